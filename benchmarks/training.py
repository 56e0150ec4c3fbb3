"""Training, embedding and the loss: images per second beside what the device can multiply, and beside a plain loop.

Runs with torch, transformers and accelerate alone (the loader's figures need simplejpeg and Pillow too), on random
weights, on a GPU or on one core of a CPU, by the processor's time, so that others on the machine do not count.
`--scale small` on a CPU measures a tiny encoder and B/32; else B/32, L/14 and L/14-336.
"""

import gc
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from timing import median_seconds, scale_of, show
from timing.pictures import jpegs

from homing.model.clip import ContrastiveModel, ImageTextModel, train_tokenizer
from homing.model.encoders import ClipEncoder, use_fused_attention
from homing.model.heads import Classifier, GeoHeads, known_tasks, task_losses
from homing.model.images import Preprocessing, normalise
from homing.model.losses import contrastive_terms
from homing.model.precision import autocast
from homing.model.smoothing import SmoothedCells
from homing.sphere import EARTH_RADIUS_KM
from homing.tasks import TASKS
from homing.training.accumulate import GradientAccumulator
from homing.training.data.prefetch import prefetch
from homing.training.data.sampler import Batch, DistributedBatchSampler
from homing.training.data.vectors import EmbeddingInputs, embed_items
from homing.training.optimiser import Optimizer

CAN_DECODE = all(find_spec(name) for name in ("simplejpeg", "PIL"))
GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
PRECISION = "bf16" if GPU else "no"
CELLS, EMBEDDED = 11_000, 4_700_000  # of MP-16
CAPTION_TOKENS = 77
PARTS = 4  # of a global batch that does not fit at once
OPTIMISER: dict[str, Any] = {
    "learning_rate": 1e-5, "weight_decay": 0.01, "betas": [0.9, 0.98], "epsilon": 1e-6,
    "gradient_clip": 1.0, "mixed_precision": PRECISION,
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """The sizes of a CLIP, and how many pairs a GPU of 80 GB trains on at once (halved where they do not fit)."""

    side: int
    patch: int
    width: int
    layers: int
    text_width: int
    text_layers: int
    batch: int

    @property
    def tokens(self) -> int:
        return (self.side // self.patch) ** 2 + 1

    def image_flops(self) -> float:
        """Of one image forwards; a multiplication and an addition are two."""
        patches = 2 * (self.tokens - 1) * 3 * self.patch**2 * self.width
        return patches + self.layers * layer_flops(self.tokens, self.width)

    def text_flops(self) -> float:
        return self.text_layers * layer_flops(CAPTION_TOKENS, self.text_width)


def layer_flops(tokens: int, width: int) -> float:
    """Queries, keys, values, output and a fourfold feed-forward: 12 matrices; and the attention itself."""
    return tokens * (2 * 12 * width**2 + 4 * tokens * width)


SIZES = {
    "tiny": Size(64, 16, 128, 4, 96, 2, 256),
    "b32": Size(224, 32, 768, 12, 512, 12, 1024),
    "l14": Size(224, 14, 1024, 24, 768, 12, 192),
    "l14_336": Size(336, 14, 1024, 24, 768, 12, 96),
}


def main() -> None:
    full, as_json = scale_of(small=0, full=1)
    if not GPU:
        torch.set_num_threads(1)
    names = list(SIZES)[1:] if GPU or full else ["tiny", "b32"]
    steps = 20 if GPU else 2
    figures: dict[str, Any] = {"device": device_name(), "precision": PRECISION, "torch": torch.__version__}
    rate = matmul_tflops()
    figures["compiled"] = compiled = GPU and can_compile()
    figures |= of_the_loss()
    figures |= of_the_heads(steps)
    for name in names:
        for mode, measure in (("pretrain", of_pretraining), ("last", of_the_last_layer), ("embed", of_embedding)):
            found = fitting(measure, SIZES[name], batch_of(SIZES[name]), steps, compiled)
            figures |= {f"{name}_{mode}_{key}": value for key, value in found.items()}
            rate = max(rate, matmul_tflops())  # between the others, for a shared machine is slow now and then
    fits = figures[f"{names[-1]}_pretrain_batch"]
    figures |= of_cached_gradients(SIZES[names[-1]], fits, steps, compiled)
    figures |= {"matmul_tflops": rate} | shares_of_matmul(figures, names, rate)
    figures |= of_the_plain_loop(SIZES[names[0]], steps)
    unmeasured = dict.fromkeys(("loader_images_per_second_per_core", "waiting_share"))
    figures |= of_the_loader(names[-1], steps, compiled) if CAN_DECODE else unmeasured
    show(figures, as_json)


def shares_of_matmul(figures: Mapping[str, Any], names: list[str], rate: float) -> dict[str, float]:
    """What images per second are of the rate of matrix products; under the mode alone, those of the largest size."""
    shares: dict[str, float] = {}
    for mode, name in ((mode, name) for name in names for mode in ("pretrain", "last", "embed")):
        per_second = figures[f"{name}_{mode}_images_per_second"]
        share = figures[f"{name}_{mode}_gflops"] * per_second / (rate * 1e3)
        shares |= {f"{name}_{mode}_share_of_matmul": share, f"{mode}_share_of_matmul": share}
        shares[f"{mode}_images_per_second"] = per_second
    return shares


def batch_of(size: Size) -> int:
    """Pairs at once: of the GPU's memory, or few for a CPU's patience."""
    return size.batch if GPU else min(32, max(2, 400 // size.tokens))


def device_name() -> str:
    return torch.cuda.get_device_name() if GPU else "CPU, one core"


def seconds(work: Callable[[], object], times: int, warm_up: int = 3 if GPU else 1) -> float:
    """Mean wall time of a call on a GPU, which has finished before and after; on a CPU its own time in the fastest."""
    for _ in range(warm_up):
        work()
    if not GPU:
        return min(timed(work, time.process_time) for _ in range(times))
    synchronise()

    def work_to_the_end() -> None:
        for _ in range(times):
            work()
        synchronise()

    return timed(work_to_the_end, time.perf_counter) / times


def timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    started = clock()
    work()
    return clock() - started


def synchronise() -> None:
    if GPU:
        torch.cuda.synchronize()


def matmul_tflops() -> float:
    """The best rate of a large matrix product, in the precision of the training."""
    side, kind = (8192, torch.bfloat16) if GPU else (2048, torch.float32)
    a, b = (torch.randn(side, side, device=DEVICE, dtype=kind) for _ in range(2))
    best = min(seconds(lambda: a @ b, 10) for _ in range(3))
    return 2 * side**3 / best / 1e12


def can_compile() -> bool:
    """Whether torch.compile finds what it needs on this machine."""
    try:
        torch.compile(torch.nn.Linear(8, 8).to(DEVICE))(torch.zeros(1, 8, device=DEVICE))
    except Exception as error:  # whatever a missing compiler raises; said, and measured without
        print(f"not compiled: {str(error).splitlines()[0]}", file=sys.stderr)
        return False
    return True


def fitting(measure: Callable[..., dict[str, float]], size: Size, batch: int, *arguments: Any) -> dict[str, float]:
    """The figures with the largest batch that fits: `batch`, or a half, a quarter ... of it."""
    while True:
        gc.collect()
        if GPU:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            found = measure(size, batch, *arguments)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            batch //= 2
            continue
        memory = {"memory_gb": torch.cuda.max_memory_allocated() / 1e9} if GPU else {}
        return found | memory | {"batch": batch}


def build(size: Size, compiled: bool) -> ImageTextModel:
    """A CLIP with random weights."""
    config = CLIPConfig(
        vision_config={
            "hidden_size": size.width, "intermediate_size": 4 * size.width, "num_hidden_layers": size.layers,
            "num_attention_heads": max(2, size.width // 64), "image_size": size.side, "patch_size": size.patch,
        },
        text_config={
            "hidden_size": size.text_width, "intermediate_size": 4 * size.text_width,
            "num_hidden_layers": size.text_layers, "num_attention_heads": max(2, size.text_width // 64),
            "max_position_embeddings": CAPTION_TOKENS, "vocab_size": 49408,
            "bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407,
        },
        projection_dim=size.text_width,
    )  # fmt: skip
    use_fused_attention(config)
    torch.manual_seed(0)
    clip = CLIPModel(config)
    tokenizer = train_tokenizer(["A photo."], 300)  # not used
    parts = ImageTextModel(clip, tokenizer, ClipEncoder(clip.vision_model, Preprocessing(size.side)))
    parts.tune({"compile": compiled})
    return parts


def captions(count: int) -> tuple[Tensor, Tensor]:
    ids = torch.randint(0, 49000, (count, CAPTION_TOKENS), generator=torch.manual_seed(1))
    ids[:, -1] = 49407
    return ids, torch.ones_like(ids)


def pictures(count: int, side: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.manual_seed(2))


class Pairs:
    """Pretraining on images and captions, as `homing.training.pretrain` does it, of random pairs."""

    compares, weights = True, {"contrastive": 1.0}

    def __init__(self, parts: ImageTextModel) -> None:
        self.parts, self.module = parts, ContrastiveModel(parts, sigmoid=False)

    def forward(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        images, *text = inputs
        return module(normalise(images, self.parts.preprocessing), *text)

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        return {"contrastive": torch.tensor(batch.all_real.sum())}

    def losses(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        image, text, rows = outputs["image"], outputs["text"], torch.from_numpy(batch.rows).to(DEVICE)
        same, valid = torch.eye(len(image), dtype=torch.bool, device=DEVICE), torch.ones_like(rows, dtype=torch.bool)
        terms = contrastive_terms(
            image[rows], text[rows], image, text, rows, outputs["scale"], None, same[rows], valid, "infonce"
        )
        return {"contrastive": terms.sum()}


class Places:
    """Fine-tuning on images or embeddings, as `homing.training.finetune` does it, of random places."""

    compares = False

    def __init__(self, module: Classifier, photos: int) -> None:
        self.module, self.weights = module, dict.fromkeys(("cell", *TASKS), 1.0)
        rng, cells = np.random.default_rng(0), module.heads.cell.out_features
        self.cells = SmoothedCells(*coordinates(cells, rng), 65, "normalised").to(DEVICE)
        true = torch.from_numpy(rng.integers(0, cells, photos)).to(DEVICE)
        self.targets = {"cell": true, "latitude": self.cells.latitude[true], "longitude": self.cells.longitude[true]}
        self.targets |= {task: true % 12 for task in ("climate", "month")}
        self.targets["regression"] = torch.randn(photos, 6, device=DEVICE)
        self.known = known_tasks(self.targets)

    def forward(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        return module(*inputs)

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        rows = torch.from_numpy(batch.all_items).to(DEVICE)
        return {task: self.known[task][rows].sum() for task in self.weights}

    def losses(self, outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        rows = torch.from_numpy(batch.items).to(DEVICE)
        targets = {name: value[rows] for name, value in self.targets.items()}
        return {task: loss.sum() for task, loss in task_losses(outputs, targets, self.cells).items()}


def coordinates(count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Latitudes and longitudes spread evenly over the globe."""
    latitude = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    return torch.from_numpy(latitude), torch.from_numpy(rng.uniform(-180, 180, count))


class Steps:
    """Optimiser steps of a stage, as the loop of `homing.training.loop` takes them, without its book-keeping."""

    def __init__(self, stage: Pairs | Places, micro_batch: int | None = None) -> None:
        accelerator = Accelerator(cpu=not GPU)
        module: nn.Module = stage.module.to(DEVICE).train()
        module.forward = autocast(DEVICE, PRECISION)(module.forward)
        self.optimizer = Optimizer(module, OPTIMISER, DEVICE)
        wrapped = accelerator.prepare_model(module)
        self.gradients = GradientAccumulator(stage, wrapped, accelerator, self.optimizer.backward, 0, micro_batch)

    def __call__(self, batch: Batch, inputs: tuple[Tensor, ...]) -> None:
        self.gradients.add(batch, inputs)
        self.optimizer.clip()
        self.optimizer.step(OPTIMISER["learning_rate"])


def pinned(*values: Tensor) -> tuple[Tensor, ...]:
    return tuple(value.pin_memory() for value in values) if GPU else values


def of_pretraining(size: Size, batch: int, steps: int, compiled: bool) -> dict[str, float]:
    """All layers of image and text model."""
    step, inputs = Steps(Pairs(build(size, compiled))), pinned(pictures(batch, size.side), *captions(batch))
    view = DistributedBatchSampler(batch, batch, 0).local_batch(0, 0, 1)
    taken = seconds(lambda: step(view, inputs), steps)
    return {"images_per_second": batch / taken, "gflops": 3 * (size.image_flops() + size.text_flops()) / 1e9}


def of_the_last_layer(size: Size, batch: int, steps: int, compiled: bool) -> dict[str, float]:
    """The last layer and the heads, the trunk computed anew without gradient."""
    encoder = build(size, compiled).image_encoder
    encoder.freeze("last", 1, "mean")
    step = Steps(Places(Classifier(encoder, GeoHeads(size.width, CELLS), "mean"), batch))
    view, inputs = DistributedBatchSampler(batch, batch, 0).local_batch(0, 0, 1), pinned(pictures(batch, size.side))
    taken = seconds(lambda: step(view, inputs), steps)
    flops = size.image_flops() + 2 * layer_flops(size.tokens, size.width) + 3 * 2 * size.width * CELLS
    return {"images_per_second": batch / taken, "gflops": flops / 1e9}


def of_cached_gradients(size: Size, batch: int, steps: int, compiled: bool) -> dict[str, float]:
    """Pretraining with four times the pairs that fit at once: a third more work for the same pairs."""
    step = Steps(Pairs(build(size, compiled)), micro_batch=batch)
    pairs = PARTS * batch
    view, inputs = (
        DistributedBatchSampler(pairs, pairs, 0).local_batch(0, 0, 1),
        pinned(pictures(pairs, size.side), *captions(pairs)),
    )
    taken = seconds(lambda: step(view, inputs), max(1, steps // PARTS), warm_up=1)
    return {"cached_pretrain_images_per_second": pairs / taken, "cached_pretrain_batch": pairs}


class InMemory:
    """Images that are decoded already, as the loader gives them."""

    views = 1

    def __init__(self, pixels: Tensor) -> None:
        (self.pixels,) = pinned(pixels)

    def batch(self, items: np.ndarray, epoch: int | None) -> Tensor:
        return self.pixels[: len(items)]


def of_embedding(size: Size, batch: int, steps: int, compiled: bool) -> dict[str, float]:
    """Embeddings as rule embed_photos makes them."""
    encoder = build(size, compiled).image_encoder.eval().to(DEVICE)
    photos, images = batch * steps, InMemory(pictures(batch * steps if not GPU else 2048, size.side))
    work = partial(embed_items, encoder, images, np.arange(photos), "mean", PRECISION, DEVICE)
    return {"images_per_second": photos / seconds(work, 2, warm_up=1), "gflops": size.image_flops() / 1e9}


def of_the_heads(steps: int) -> dict[str, float]:
    """An epoch of the heads alone over the cached embeddings of MP-16, from the rate of some steps."""
    per_second = embeddings_per_second(1024, CELLS, 4096 if GPU else 1024, steps)
    # What a step costs the host however small its tensors are, and so the least that an epoch takes on any device.
    per_step = 64 / embeddings_per_second(16, 256, 64, 50)
    return {
        "heads_embeddings_per_second": per_second,
        "heads_epoch_seconds": EMBEDDED / per_second,
        "heads_host_epoch_seconds": EMBEDDED / 4096 * per_step,
    }


def embeddings_per_second(width: int, cells: int, batch: int, steps: int) -> float:
    vectors = np.random.default_rng(0).normal(size=(64 * batch if GPU else 4 * batch, width)).astype(np.float16)
    step = Steps(Places(Classifier(None, GeoHeads(width, cells), "mean"), len(vectors)))
    order, load = DistributedBatchSampler(len(vectors), batch, 0), EmbeddingInputs(vectors)
    views = [order.local_batch(number % order.steps_per_epoch, 0, 1) for number in range(3 * steps)]

    def run() -> None:
        for view, inputs, _ in prefetch(lambda view: load(view.items, None), views):
            step(view, inputs)

    return batch * len(views) / seconds(run, 1 if GPU else 2, warm_up=1)


def of_the_loss(photos: int = 4096, cells: int = 12_000) -> dict[str, float]:
    """Forward and backward, beside the float64 matrix of distances and beside plain cross entropy."""
    rng = np.random.default_rng(1)
    centroids = [value.to(DEVICE) for value in coordinates(cells, rng)]
    true = torch.from_numpy(rng.integers(0, cells, photos)).to(DEVICE)
    latitude, longitude = (
        values[true] + torch.from_numpy(rng.normal(0, 0.5, photos)).to(DEVICE) for values in centroids
    )
    latitude = latitude.clamp(-90, 90)
    logits = torch.randn(photos, cells, device=DEVICE)
    started = time.perf_counter()
    smoothed = SmoothedCells(centroids[0], centroids[1], 75, "normalised")
    building = time.perf_counter() - started

    def by_matrix(values: Tensor) -> Tensor:
        a, b = torch.deg2rad(latitude)[:, None], torch.deg2rad(centroids[0])[None]
        turn = torch.deg2rad(centroids[1])[None] - torch.deg2rad(longitude)[:, None]
        half = torch.sin((b - a) / 2) ** 2 + torch.cos(a) * torch.cos(b) * torch.sin(turn / 2) ** 2
        away = 2 * EARTH_RADIUS_KM * torch.asin(half.clamp(0, 1).sqrt())
        targets = torch.softmax(-(away - away.gather(1, true[:, None])) / 75, dim=1)
        return -(targets * torch.log_softmax(values.double(), dim=1)).sum(dim=1)

    forms: dict[str, Callable[[Tensor], Tensor]] = {
        "matrix": by_matrix,
        "smoothed": lambda values: smoothed.loss(values, latitude, longitude, true),
        "plain": lambda values: functional.cross_entropy(values, true, reduction="none"),
    }
    results = {name: with_gradient(form, logits) for name, form in forms.items()}
    times = {
        name: seconds(partial(with_gradient, form, logits), 10 if GPU else 3, warm_up=1) for name, form in forms.items()
    }
    error = [float((found.double() - exact).abs().max() / exact.abs().max())
             for found, exact in zip(results["smoothed"], results["matrix"], strict=True)]  # fmt: skip
    return {
        "smoothed_loss_speedup": times["matrix"] / times["smoothed"],
        "smoothed_loss_seconds": times["smoothed"],
        "smoothed_loss_over_plain": times["smoothed"] / times["plain"],
        "smoothed_loss_relative_error": error[0],
        "smoothed_gradient_relative_error": error[1],
        "smoothed_cells_build_seconds": building,
    }


def with_gradient(form: Callable[[Tensor], Tensor], logits: Tensor) -> tuple[Tensor, Tensor]:
    values = logits.detach().requires_grad_()
    losses = form(values)
    losses.mean().backward()
    assert values.grad is not None
    return losses.detach(), values.grad


def of_the_plain_loop(size: Size, steps: int) -> dict[str, float]:
    """Our pretraining step beside transformers' own forward and loss: the same batch, nothing compiled."""
    batch = 256 if GPU else batch_of(size)
    inputs = pinned(pictures(batch, size.side), *captions(batch))
    view = DistributedBatchSampler(batch, batch, 0).local_batch(0, 0, 1)
    ours, preprocessing = Steps(Pairs(build(size, compiled=False))), Preprocessing(size.side)
    encoder = build(size, compiled=False)
    ContrastiveModel(encoder, sigmoid=False).to(DEVICE).train()
    theirs = encoder.model
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-5, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01)

    def plain() -> None:
        images, ids, mask = (value.to(DEVICE) for value in inputs)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
            output = theirs(
                input_ids=ids, attention_mask=mask, pixel_values=normalise(images, preprocessing), return_loss=True
            )
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    taken: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(3 if GPU else 5):  # in turns, so that others on the machine slow both
        taken["ours"].append(seconds(lambda: ours(view, inputs), steps, warm_up=1))
        taken["plain"].append(seconds(plain, steps, warm_up=1))
    return {"pretrain_speedup_over_plain_loop": min(taken["plain"]) / min(taken["ours"])}


class Stored:
    """JPEGs in memory, as a reader of shards gives them."""

    views, index_path = 1, "memory"

    def __init__(self, photos: list[bytes]) -> None:
        self.photos = photos

    def rows(self, photo_ids: Sequence[str]) -> np.ndarray:
        return np.arange(len(photo_ids))

    def read_row(self, row: int) -> bytes:
        return self.photos[row % len(self.photos)]


def of_the_loader(trained: str, steps: int, compiled: bool) -> dict[str, float]:
    """Decoding, cropping and resizing to 336 pixels on one core, beside Pillow; how long a training waits for two."""
    import io

    from PIL import Image

    from homing.training.data.images import ImageLoader

    size = SIZES["l14_336"]
    short = size.side * 8 // 7  # shards of 384 pixels
    photos = jpegs(24, short * 4 // 3, short)
    names = [f"p{number}" for number in range(100_000)]
    loader, few = ImageLoader(Stored(photos), names, size.side, True, seed=0, threads=1, cache_bytes=0), np.arange(96)
    ours = median_seconds(lambda: loader.batch(few, 0), time.process_time)

    def by_pillow() -> None:
        for data in photos:
            image = Image.open(io.BytesIO(data)).convert("RGB")
            box = (short // 6 + 10, 10, short // 6 + 10 + 0.9 * short, 10 + 0.9 * short)
            np.asarray(image.resize((size.side, size.side), Image.Resampling.BICUBIC, box=box))

    theirs = median_seconds(by_pillow, time.process_time) / len(photos)
    return {
        "loader_images_per_second_per_core": len(few) / ours,
        "loader_speedup_over_pillow": theirs * len(few) / ours,
        "loader_kilobytes_per_image": sum(map(len, photos)) / len(photos) / 1000,
        "waiting_share": waiting_share(SIZES[trained], Stored(photos), names, steps, compiled),
    }


def waiting_share(size: Size, stored: Stored, names: list[str], steps: int, compiled: bool) -> float:
    """The share of the time that pretraining waits for its images, past the first steps."""
    from homing.training.data.images import ImageLoader

    batch = max(1, batch_of(size) // 2)
    loader = ImageLoader(stored, names, size.side, augment=True, seed=0, threads=2, cache_bytes=0)
    step, order = Steps(Pairs(build(size, compiled))), DistributedBatchSampler(len(names), batch, 0)
    text = pinned(*captions(batch))
    views = [order.local_batch(number, 0, 1) for number in range(steps + 3)]
    started, waited = math.nan, 0.0
    for number, (view, inputs, seconds_waited) in enumerate(
        prefetch(lambda view: (loader.batch(view.items, view.epoch), *text), views)
    ):
        if number == 3:
            synchronise()
            started, waited = time.perf_counter(), 0.0
        waited += seconds_waited
        step(view, inputs)
    synchronise()
    return waited / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
