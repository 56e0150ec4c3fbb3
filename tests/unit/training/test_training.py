"""Training: data order, checkpoints, and the same weights whether unbroken or resumed."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from small_world import FINETUNE, MODEL, train, write_world

from homing import tables
from homing.errors import HomingError
from homing.files import read_json, sha256, write_json
from homing.model.geolocator import load_geolocator
from homing.sphere import haversine_km
from homing.training import checkpoint, resume
from homing.training.checkpoint import Checkpoints
from homing.training.data.sampler import DistributedBatchSampler, local_slice
from homing.training.launch.accelerate import Sizes, allocated, launch_command
from homing.training.optimiser import learning_rate
from homing.training.progress import Progress
from homing.training.worker import write_history

STAGES = ["pretrain", "finetune"]
ROOT = Path(__file__).resolve().parents[3]


def test_an_epoch_has_each_photo_once_in_another_order():
    sampler = DistributedBatchSampler(photos=103, global_batch=10, seed=3)
    epochs = [
        np.concatenate([sampler.global_items(epoch, step) for step in range(sampler.steps_per_epoch)])
        for epoch in (0, 1)
    ]
    assert all(sorted(epoch) == list(range(103)) for epoch in epochs)
    assert (epochs[0] != epochs[1]).any()


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 7])
def test_slices_of_processes_make_up_the_batch(processes):
    batch = np.arange(100, 110)
    slices = [local_slice(batch, process, processes) for process in range(processes)]
    assert len({len(items) for items, _ in slices}) == 1
    items, real = (np.concatenate(part) for part in zip(*slices, strict=True))
    assert (items[real] == batch).all() and set(items) <= set(batch)


def test_a_broken_checkpoint_falls_back_to_the_one_before(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.newest() is None
    for step in (1, 2, 3):
        checkpoints.save(step, {"weight": torch.full((3,), float(step))}, {"step": step})
    assert checkpoints.steps() == [2, 3] and checkpoints.newest() == 3
    broken = tmp_path / "step-00000003/tensors.safetensors"
    broken.write_bytes(broken.read_bytes()[:-1] + b"\xff")
    assert checkpoints.newest() == 2
    tensors, state = checkpoints.load(2)
    assert state == {"step": 2} and (tensors["weight"] == 2).all()
    (tmp_path / "step-00000002/sums.json").unlink()
    assert checkpoints.newest() is None


@pytest.mark.parametrize(("first", "summed"), [(True, ["state.json", "tensors.safetensors"]), (False, [])])
def test_the_first_process_sums_the_newest_checkpoint_once_and_the_others_take_its_word(
    tmp_path, monkeypatch, first, summed
):
    checkpoints, spec = Checkpoints(tmp_path), {"fingerprint": "f"}
    for step in (1, 2):
        checkpoints.save(step, {"weight": torch.ones(3)}, spec | {"progress": Progress(step).state()})
    seen = []
    monkeypatch.setattr(checkpoint, "sha256", lambda path: seen.append(path.name) or sha256(path))
    monkeypatch.setattr(resume, "reduce_sum", lambda step: step if first else torch.tensor(2))
    accelerator = SimpleNamespace(is_main_process=first, device=torch.device("cpu"))
    _, progress = resume.find_checkpoint(checkpoints, spec, accelerator)
    assert progress.step == 2 and sorted(seen) == summed


def test_the_last_checkpoints_are_kept_and_the_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, kept=2)
    for step, best in ((1, 1), (2, 2), (3, 2), (4, 2), (5, 5)):
        checkpoints.save(step, {"weight": torch.zeros(1)}, {"best_step": best})
    assert checkpoints.steps() == [2, 4, 5]  # the best of step 4 too, if 5 turns out broken
    checkpoints.save(6, {"weight": torch.zeros(1)}, {"best_step": 5})
    assert checkpoints.steps() == [5, 6]


def test_a_loss_that_is_not_finite_stops_neither_checkpoint_nor_history(tmp_path):
    """As a row of fp16 may hold it, whose step is skipped: null in both files, before and after a resume."""
    progress = Progress(2, [{"step": 1, "loss": float("nan")}, {"step": 2, "loss": 0.1 + 0.2}])
    Checkpoints(tmp_path).save(2, {"weight": torch.zeros(1)}, {"progress": progress.state()})
    resumed = Progress(**Checkpoints(tmp_path).load(2)[1]["progress"])
    assert resumed == Progress(2, [{"step": 1, "loss": None}, {"step": 2, "loss": 0.1 + 0.2}])
    for name, history in (("unbroken", progress.history), ("resumed", resumed.history)):
        write_history(tmp_path / name, history)
    assert (tmp_path / "unbroken").read_text() == (tmp_path / "resumed").read_text()
    assert "NaN" not in (tmp_path / "unbroken").read_text() and "null" in (tmp_path / "unbroken").read_text()


def test_the_learning_rate_warms_up_and_decays_to_nothing():
    settings = {"learning_rate": 1.0, "warmup_share": 0.1}
    rates = [learning_rate(settings, step, 100) for step in range(101)]
    assert rates[0] < 0.1 and max(rates) == 1.0 and rates[100] == 0
    assert np.diff(rates[:10]).min() > 0 and np.diff(rates[10:]).max() < 0
    assert learning_rate(settings | {"schedule": "constant"}, 99, 100) == 1.0


def test_several_nodes_need_slurm():
    two = Sizes(nodes=2, processes=1, gpus=0, cores=1)
    with pytest.raises(HomingError, match="need SLURM"):
        launch_command("homing.training.finetune", "spec.json", two, job_id=None)


def test_a_launch_has_the_sizes_of_the_rules_resources():
    assert allocated({"nodes": 1}, 2, None) == Sizes(nodes=1, processes=1, gpus=0, cores=2)
    assert allocated({"nodes": 1, "gpu": 4}, 32, None) == Sizes(nodes=1, processes=4, gpus=4, cores=32)
    assert allocated({"nodes": 2, "gres": "gpu:h100:8"}, 64, None) == Sizes(nodes=2, processes=8, gpus=8, cores=64)
    assert allocated({"nodes": 2, "gres": "gpu:2"}, 3, 1).processes == 1
    assert allocated({"nodes": 1}, 4, 2).cores_per_process == 2


@pytest.mark.parametrize(("name", "gpus"), [("a100_40gb", 1), ("h100", 1), ("four_gpus", 4)])
def test_the_example_profiles_launch_one_process_per_gpu(name, gpus):
    profile = yaml.safe_load((ROOT / f"profiles/gpus/{name}.yaml").read_text())
    site = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())
    # A later profile replaces the whole of `set-resources`, so that it must name all that the site's does.
    assert set(profile["set-resources"]) == set(site["set-resources"]) == set(profile["set-threads"])
    for rule in ("pretrain_clip", "finetune_geolocator"):
        threads = profile["set-threads"][rule]
        sizes = allocated(profile["set-resources"][rule], threads, None)
        assert sizes == Sizes(nodes=1, processes=gpus, gpus=gpus, cores=threads) and sizes.cores_per_process >= 2


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    return write_world(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def unbroken(inputs, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("unbroken")
    return {stage: train(inputs, folder / stage, stage) for stage in STAGES} | {"folder": folder}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lowers_its_loss_and_validates_each_epoch(unbroken, stage):
    losses, history = unbroken[stage].losses, unbroken[stage].history
    assert len(losses) == 12  # 3 epochs of ceil(41 / 12) steps
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    assert sum("val_median_km" in row for row in history) == 3


@pytest.mark.parametrize("stage", STAGES)
def test_stopped_in_the_middle_of_an_epoch_and_resumed_it_ends_with_the_same_bits(inputs, unbroken, tmp_path, stage):
    stopped = train(inputs, tmp_path, stage, stop_after_steps=6)
    assert stopped.status == 1 and "stopped at step 6 of 12" in stopped.error
    assert not (tmp_path / "model").exists() and Checkpoints(tmp_path / "checkpoints").steps() == [4, 6]
    resumed = train(inputs, tmp_path, stage)
    assert resumed.status == 0 and resumed.losses == unbroken[stage].losses
    for name, expected in unbroken[stage].weights.items():
        assert torch.equal(resumed.weights[name], expected), name


@pytest.mark.parametrize("stage", STAGES)
def test_the_weights_are_the_same_bytes_on_any_number_of_cores(inputs, unbroken, tmp_path, stage):
    """A job of two cores decodes with two threads and sums with as many as one of one core: `torch_threads`."""
    trained = train(inputs, tmp_path / "two", stage, threads=2)
    assert trained.losses == unbroken[stage].losses
    for key, expected in unbroken[stage].weights.items():
        assert torch.equal(trained.weights[key], expected), key


def test_what_is_drawn_in_the_module_is_drawn_again_after_a_resume(inputs, unbroken, tmp_path):
    encoder = shutil.copytree(inputs["encoder"], tmp_path / "encoder")
    config = read_json(encoder / "config.json")
    config["vision_config"]["attention_dropout"] = 0.3
    write_json(encoder / "config.json", config)
    dropping = inputs | {"encoder": str(encoder)}
    whole = train(dropping, tmp_path / "whole", "finetune")
    assert not np.allclose(whole.losses[:4], unbroken["finetune"].losses[:4], rtol=1e-4)
    assert train(dropping, tmp_path / "resumed", "finetune", stop_after_steps=6).status == 1
    resumed = train(dropping, tmp_path / "resumed", "finetune")
    assert resumed.losses == whole.losses
    assert all(torch.equal(resumed.weights[name], value) for name, value in whole.weights.items())


def test_a_finetuned_geolocator_answers(unbroken):
    geolocator = load_geolocator(unbroken["folder"] / "finetune/model")
    answers = geolocator.predict_vectors(geolocator.embed(torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)))
    np.testing.assert_allclose(answers["cell_probability"].sum(axis=1), 1, rtol=1e-5)
    assert answers["cell_probability"].shape == (3, 7)
    assert (answers["climate"] >= 1).all() and (answers["month"] <= 12).all()


def test_heads_alone_are_trained_on_cached_embeddings(inputs, tmp_path):
    """Read by photo_id, whatever the order of the rows; the encoder stays where it was."""
    rng = np.random.default_rng(9)
    photos = tables.read(inputs["photos"], "photos").sample(frac=1, random_state=1)
    ids, centres = photos["photo_id"], pd.read_parquet(inputs["geocells"])
    away = haversine_km(
        *photos[["latitude", "longitude"]].to_numpy().T[:, :, None], centres["latitude"], centres["longitude"]
    )
    cells = away.argmin(axis=1)  # an embedding tells the nearest cell, which is also what the smoothed targets say
    paths = {"vectors": str(tmp_path / "vectors.npy"), "photo_ids": str(tmp_path / "photo_ids.parquet")}
    assigned = pd.DataFrame({"photo_id": ids, "cell_id": cells})
    tables.write(tmp_path / "assignments.parquet", assigned, "assignments")
    paths["assignments"] = str(tmp_path / "assignments.parquet")
    np.save(paths["vectors"], (np.eye(7, 16)[cells] * 5 + rng.normal(0, 0.1, (len(ids), 16))).astype(np.float16))
    pd.DataFrame({"photo_id": ids}).to_parquet(paths["photo_ids"])
    heads = {"seed": 5, "model": MODEL, "finetune": FINETUNE | {"trainable": "heads", "epochs": 30}}
    assert train(inputs | paths, tmp_path, "finetune", settings=heads).status == 0
    assert not (tmp_path / "model/encoder").exists()
    answers = load_geolocator(tmp_path / "model").predict_vectors(np.eye(7, 16) * 5)
    right = (answers["cell_probability"].argmax(axis=1)[cells] == cells).mean()
    commonest = np.bincount(cells).max() / len(cells)  # what rows read in a wrong order would reach
    assert right > 0.8 > 1.5 * commonest
