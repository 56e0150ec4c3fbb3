"""Fine-tuning and embedding: views, patches left out, hierarchy, early stopping, parts that survive a kill."""

import io
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from small_import import import_photos
from small_world import CAPTIONS, FINETUNE, MODEL, PRETRAIN, make_spec, run_processes, train, write_world
from tiny_encoders import ALONE, build, save

from homing import tables
from homing.embeddings import read_embeddings
from homing.errors import HomingError
from homing.files import write_json
from homing.model.clip import build_clip, save_untrained
from homing.model.encoders import load_encoder
from homing.model.geolocator import load_geolocator
from homing.model.images import normalise, pixels
from homing.photos.images import decode_image
from homing.photos.shards import ShardReader
from homing.training import embed
from homing.training.data.images import ImageLoader, decode_square
from homing.training.data.sampler import DistributedBatchSampler
from homing.training.finetune import prepare, read_levels
from homing.training.launch.processes import read_error

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    return write_world(tmp_path_factory.mktemp("world") / "inputs")


@pytest.fixture(scope="module")
def panoramas(tmp_path_factory) -> dict[str, str]:
    """Twelve places in four views."""
    folder = tmp_path_factory.mktemp("panoramas")
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"id": [f"p{number:02d}" for number in range(12)]})
    frame["lat"], frame["lon"] = rng.uniform(-50, 50, 12), rng.uniform(-170, 170, 12)
    for view in range(4):
        frame[f"file_{view}"] = frame["id"] + f"_{view}.png"
        for name in frame[f"file_{view}"]:
            Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(folder / name)
    frame.to_csv(folder / "photos.csv", index=False)
    paths = {name: str(folder / f"{name}.parquet") for name in ("photos", "index", "rejected", "ledger")}
    paths["shards"] = str(folder / "shards")
    settings = {"max_side": 64, "max_megapixels": 10, "shard_megabytes": 1, "quality": 90}
    dataset = {"adapter": "csv_folder", "images": str(folder), "views": 4}
    import_photos(dataset, [folder / "photos.csv"], settings, paths, 0.0, 1)
    return paths


def settings(**changes) -> dict:
    return {"seed": 5, "model": MODEL, "finetune": FINETUNE | changes}


def test_the_centre_square_is_pillows_at_the_full_size_and_near_it_at_half():
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((240, 180), Image.BICUBIC)
    output = io.BytesIO()
    smooth.save(output, "JPEG", quality=95)
    whole = decode_image(output.getvalue()).crop((30, 0, 210, 180))
    full = decode_square(output.getvalue(), 100)
    assert full.shape == (3, 180, 180)
    assert np.abs(full.permute(1, 2, 0).numpy().astype(int) - np.asarray(whole)).max() <= 2
    half = decode_square(output.getvalue(), 90)
    assert half.shape == (3, 90, 90)
    small = np.asarray(whole.resize((90, 90), Image.BOX)).astype(int)
    assert np.abs(half.permute(1, 2, 0).numpy() - small).mean() < 3


def test_images_are_the_same_from_memory_and_by_any_number_of_threads(inputs):
    reader = ShardReader(inputs["shards"], inputs["index"])
    names = tables.read(inputs["photos"], "photos")["photo_id"].tolist()
    items = np.arange(len(names))[::-1]
    batches = [ImageLoader(reader, names, 16, True, 1, threads).batch(items, 3) for threads in (1, 4)]
    assert torch.equal(*batches)
    cached = ImageLoader(reader, names, 16, True, 1, 2)
    assert torch.equal(cached.batch(items[:5], 3), cached.batch(items, 3)[:5])
    assert not torch.equal(cached.batch(items, 4), cached.batch(items, 3))  # another epoch, other crops
    plain = cached.batch(items, None)
    stored = pixels(decode_image(reader.read(names[items[0]])), 20)
    torch.testing.assert_close(plain[0].float(), pixels(Image.fromarray(stored.permute(1, 2, 0).numpy()), 16).float())
    with pytest.raises(HomingError, match="no photo 'absent'"):
        ImageLoader(reader, ["absent"], 16, False, 1, 1)


def test_all_views_are_given_in_order_or_one_is_drawn_in_each_epoch(panoramas):
    reader = ShardReader(panoramas["shards"], panoramas["index"])
    names = tables.read(panoramas["photos"], "photos")["photo_id"].tolist()
    whole = ImageLoader(reader, names, 16, False, 1, 2, views=4, cache_bytes=0).batch(np.array([4, 2]), None)
    assert whole.shape == (2, 4, 3, 16, 16)
    for row, item in enumerate((4, 2)):
        for view in range(4):
            assert torch.equal(whole[row, view], pixels(decode_image(reader.read(names[item], view)), 16))
    single = ImageLoader(reader, names, 16, False, 1, 2)
    drawn = torch.stack([single.batch(np.array([4]), epoch)[0] for epoch in range(30)])
    seen = (drawn[:, None] == whole[0]).flatten(2).all(dim=2)
    assert (seen.sum(dim=1) == 1).all() and seen.any(dim=0).all()


def test_views_are_averaged_in_embeddings_and_in_training(panoramas, inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {name: panoramas[name] for name in ("photos", "index", "shards")}
    vectors = run_embedding(given | {"model": inputs["encoder"]}, tmp_path / "out")
    reader = ShardReader(given["shards"], given["index"])
    names = tables.read(given["photos"], "photos")["photo_id"].tolist()
    encoder = load_encoder(inputs["encoder"]).eval()
    with torch.inference_mode():
        for row, name in enumerate(names):
            views = torch.stack([pixels(decode_image(reader.read(name, view)), 16) for view in range(4)])
            expected = encoder(normalise(views, encoder.preprocessing), "mean").mean(dim=0)
            np.testing.assert_allclose(vectors[row], expected.numpy(), atol=2e-3, rtol=2e-3)
    stage = prepare(stage_spec(inputs | given, panoramas, tmp_path), CPU)
    batch = DistributedBatchSampler(stage.photos, 4, 5).local_batch(0, 0, 1)
    (images,) = stage.load(batch)
    assert images.shape == (4, 4, 3, 16, 16)
    outputs = stage.forward(stage.module.eval(), (images,))
    apart = torch.stack(
        [stage.module.encoder(normalise(images[:, view], encoder.preprocessing), "mean") for view in range(4)]
    )
    torch.testing.assert_close(outputs["cell"], stage.module.heads(apart.mean(dim=0))["cell"], rtol=1e-4, atol=1e-5)


def stage_spec(inputs: dict[str, str], panoramas: dict[str, str], folder: Path) -> dict:
    """A spec whose labels, splits and cells are those of the panoramas."""
    ids = tables.read(panoramas["photos"], "photos")["photo_id"].tolist()
    labels = tables.read(inputs["labels"], "labels").iloc[: len(ids)].assign(photo_id=ids)
    written = {"labels": labels, "splits": pd.DataFrame({"photo_id": ids, "split": ["train"] * 8 + ["val"] * 4})}
    written["assignments"] = pd.DataFrame({"photo_id": ids, "cell_id": np.arange(len(ids)) % 7})
    for name, frame in written.items():
        tables.write(folder / f"{name}.parquet", frame, name)
    paths = {name: str(folder / f"{name}.parquet") for name in written}
    return make_spec(inputs | paths, folder, "finetune", settings=settings(augment=False))


EMBED = {"mixed_precision": "no", "compile": False}


def run_embedding(given: dict[str, str], folder: Path, processes: int = 1, part: int | None = None) -> np.ndarray:
    """What the rule does; with a size of the parts, in processes that start at once. Returns the vectors."""
    rule = SimpleNamespace(
        input=given,
        output=SimpleNamespace(vectors=folder / "vectors.npy", photo_ids=folder / "photo_ids.parquet"),
        params=SimpleNamespace(settings={"config": {"model": MODEL, "embed": EMBED, "torch_threads": 1}, "code": "c"}),
        resources={},
        threads=1,
    )

    def launch(module: str, spec: dict, sizes) -> None:
        write_json(spec["path"], spec)
        if any(run_processes(embed_process, processes, spec["path"], part)):
            raise read_error(spec)

    with pytest.MonkeyPatch.context() as patch:
        if part:
            patch.setattr(embed, "launch", launch)
            patch.setattr(embed, "PART", part)
        embed.embed_photos(rule)
    return read_embeddings(folder / "vectors.npy", folder / "photo_ids.parquet")[1]


def embed_process(spec: str, part: int) -> None:
    embed.PART, sys.argv = part, ["", spec]
    embed.main()


def test_embeddings_are_the_same_bytes_for_any_processes_and_after_a_kill(inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {name: inputs[name] for name in ("photos", "index", "shards")} | {"model": inputs["encoder"]}
    whole = run_embedding(given, tmp_path / "one", part=20)
    assert whole.dtype == np.float16 and whole.shape == (51, 16) and np.isfinite(whole).all()
    run_embedding(given, tmp_path / "two", processes=2, part=20)
    assert (tmp_path / "two/vectors.npy").read_bytes() == (tmp_path / "one/vectors.npy").read_bytes()
    assert not list((tmp_path / "results/checkpoints/embed").iterdir())  # what is done is no longer kept

    broken = tmp_path / "broken"
    shutil.copytree(given["shards"], broken)
    last = sorted(broken.glob("*.tar"))[-1]
    last.write_bytes(b"\0" * last.stat().st_size)  # as a job that dies at its last photos
    with pytest.raises(HomingError, match="photo 'p0.*import the photos again"):
        run_embedding(given | {"shards": str(broken)}, tmp_path / "three", part=20)
    (folder,) = (tmp_path / "results/checkpoints/embed").iterdir()
    assert [path.name for path in folder.glob("part-*.npy")] == ["part-000000.npy"]
    assert not (tmp_path / "three").exists()
    np.save(folder / "part-000000.npy", whole[:20] + 1)  # to be seen again, as it is not made anew
    shutil.copy2(Path(given["shards"]) / last.name, last)
    resumed = run_embedding(given | {"shards": str(broken)}, tmp_path / "three", processes=2, part=20)
    assert np.array_equal(resumed, np.concatenate([whole[:20] + 1, whole[20:]]))


def test_parts_of_another_encoder_are_not_taken(inputs, tmp_path):
    """Of the same size, to the byte."""
    folders = []
    for seed in (1, 2, 1):
        save_untrained(tmp_path / "encoder", MODEL, seed)
        given = {name: inputs[name] for name in ("photos", "index", "shards")} | {"model": str(tmp_path / "encoder")}
        folders.append(embed.parts_folder(given, {"config": MODEL}))
    assert folders[0] == folders[2] != folders[1]


@pytest.mark.parametrize(("encoder", "loss"), [("clip", "infonce"), ("siglip", "sigmoid"), ("siglip2", "infonce")])
def test_every_encoder_that_reads_is_pretrained(inputs, tmp_path, encoder, loss):
    """With patches left out; SigLIP's learned bias is trained by its own loss alone."""
    model = MODEL | {"pretrained": str(save(encoder, tmp_path / "hub"))}
    pretrain = PRETRAIN | {"loss": loss, "patch_dropout": 0.25, "epochs": 2}
    chosen = {"seed": 5, "model": model, "captions": CAPTIONS, "pretrain": pretrain}
    trained = train(inputs, tmp_path / "run", "pretrain", settings=chosen)
    assert trained.status == 0, (tmp_path / "run/log.txt").read_text()
    before, after = (
        build_clip(MODEL | {"pretrained": str(tmp_path / folder)}, [], 0).model for folder in ("hub", "run/model")
    )
    changed = {name for name, value in after.named_parameters() if not torch.equal(value, before.get_parameter(name))}
    assert {name.split(".")[0] for name in changed} >= {"vision_model", "text_model", "logit_scale"}
    assert ("logit_bias" in changed) == (loss == "sigmoid")


@pytest.mark.parametrize("encoder", ["clip", *ALONE])
def test_the_last_layer_of_every_kind_of_encoder_is_tuned(inputs, tmp_path, encoder):
    """With patches left out and a hierarchy; what lies below stays as it was, bit by bit."""
    if encoder == "clip":
        save_untrained(tmp_path / "encoder", MODEL, 1)
    else:
        build(encoder).save_pretrained(tmp_path / "hub")
        save_untrained(tmp_path / "encoder", MODEL | {"pretrained": str(tmp_path / "hub")}, 1)
    hierarchy().to_parquet(tmp_path / "levels.parquet")
    changed = inputs | {"encoder": str(tmp_path / "encoder"), "hierarchy": str(tmp_path / "levels.parquet")}
    weights = FINETUNE["weights"] | {"hierarchy": 0.5}
    trained = train(
        changed, tmp_path, "finetune", settings=settings(patch_dropout=0.5, epochs=2, weights=weights, augment=True)
    )
    assert trained.status == 0, (tmp_path / "log.txt").read_text()
    assert all("loss.hierarchy" in row for row in trained.history if "loss" in row)
    before, after = load_encoder(tmp_path / "encoder"), load_geolocator(tmp_path / "model").encoder
    different = {name for name, value in after.named_parameters() if not torch.equal(value, before.get_parameter(name))}
    last = {f"model.{name}" for name, _ in before.model.named_parameters() if _in_last_layer(before, name)}
    assert different and different <= last


def _in_last_layer(encoder, name: str) -> bool:
    own = {id(value) for value in encoder.layers[-1].parameters()}
    return id(encoder.model.get_parameter(name)) in own


def hierarchy() -> pd.DataFrame:
    """Seven cells in three regions in two countries."""
    rows = [(0, 0, None), (0, 1, None), (1, 0, 0), (1, 1, 0), (1, 2, 1)]
    rows += [(2, cell, cell // 3) for cell in range(7)]
    return pd.DataFrame(rows, columns=["level", "node", "parent"]).assign(name="a place")


def test_the_levels_above_the_cells_are_read_finest_first(tmp_path):
    hierarchy().to_parquet(tmp_path / "hierarchy.parquet")
    regions, countries = read_levels(tmp_path / "hierarchy.parquet", np.arange(7))
    assert regions.tolist() == [0, 0, 0, 1, 1, 1, 2] and countries.tolist() == [0, 0, 0, 0, 0, 0, 1]
    hierarchy().iloc[:-1].to_parquet(tmp_path / "short.parquet")
    with pytest.raises(HomingError, match="level 2 has no parent of node 6"):
        read_levels(tmp_path / "short.parquet", np.arange(7))
    with pytest.raises(HomingError, match="finetune.weights.hierarchy needs it"):
        read_levels(tmp_path / "absent.parquet", np.arange(7))


def test_training_ends_when_the_median_distance_no_longer_falls(inputs, tmp_path):
    """A learning rate of nothing: the first epoch is the best, and two more show that."""
    trained = train(
        inputs, tmp_path, "finetune", settings=settings(patience=2, epochs=9, learning_rate=1e-12, warmup_share=0)
    )
    assert trained.status == 0, (tmp_path / "log.txt").read_text()
    assert sum("val_median_km" in row for row in trained.history) == 3
