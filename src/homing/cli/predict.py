"""`homing predict`: photos in, places out, on the terminal and in files, batch by batch.

The model is imported when the command runs, so that other commands start quickly.
"""

import argparse
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from homing.errors import HomingError
from homing.readouts import CLASSIFIER, PACKAGED

if TYPE_CHECKING:
    import pandas as pd

    from homing.cli.inputs import Item
    from homing.package.package import GeolocatorPackage, Place, Prepared

T = TypeVar("T")
PREFETCH = 128  # places decoded in advance
MAX_THREADS = 8  # for decoding


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    command.description = (
        "Predict where photos were taken. The exit status is 0; 1 if some photos cannot be read (reported on stderr, "
        "the others are answered); 2 if nothing could be answered. GPS coordinates in the EXIF are never used."
    )
    add = command.add_argument
    add("photos", nargs="+", metavar="PHOTO",
        help="image files, folders of images, patterns, tables with a column `file`, or - for a list of paths on "
             "standard input, one per line")  # fmt: skip
    add("--model", required=True, metavar="DIR", help="results/runs/<run>/model of a finished run, or an export")
    add("--output", action="append", default=[], metavar="FILE",
        help="write .csv, .parquet, .geojson or .html (an offline map); may be repeated")  # fmt: skip
    add("--top", type=int, default=5, metavar="N", help="answers per photo (default: 5)")
    add("--views", type=int, default=1, metavar="N",
        help="so many consecutive photos are views of one place (4 for a panorama; default: 1)")  # fmt: skip
    how = command.add_mutually_exclusive_group()
    how.add_argument(
        "--readout", choices=PACKAGED, help="how a place is derived from the probabilities (default: refined)"
    )
    how.add_argument(
        "--no-refine", dest="readout", action="store_const", const=CLASSIFIER, help=f"--readout {CLASSIFIER}"
    )
    how.add_argument("--coarse", choices=["country", "region"], help="answer countries or regions instead of places")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="auto: the GPU if there is one")
    add("--quiet", action="store_true", help="do not print the answers")


@dataclass
class Count:
    """Counts of answered places, images read, and places left out or with GPS coordinates."""

    answered: int = 0
    images: int = 0
    left_out: int = 0
    with_gps: int = 0


def predict(options: argparse.Namespace) -> int:
    """Answer every readable photo. Return the exit status: 0, or 1 if some could not be read."""
    from homing.cli.inputs import expand
    from homing.cli.output import writer_for
    from homing.package.layout import Layout
    from homing.package.package import BATCH, GeolocatorPackage

    if options.top < 1:
        raise HomingError(f"--top {options.top}: ask for at least one answer")
    writers = [writer_for(Path(path)) for path in options.output]
    layout = Layout.of(options.model)
    items = expand(options.photos, options.views)
    package = GeolocatorPackage.load(options.model, options.device)
    package.choose(options.readout, options.coarse)
    count, started = Count(), time.monotonic()
    with ExitStack() as stack:
        writes = [stack.enter_context(writer(layout)) for writer in writers]
        for batch in batches(readable(package, items, count, shows_progress(options)), BATCH):
            table = answers(package, batch, options)
            for write in writes:
                write(table, [item for item, _ in batch])
            if not options.quiet:
                print_answers(table)
            count.answered += len(batch)
            count.with_gps += sum(photo.has_gps_exif for _, photo in batch)
        if not count.answered:
            raise HomingError(f"none of {len(items)} photos could be read; nothing was written")
    summarise(count, time.monotonic() - started, package)
    return 1 if count.left_out else 0


def shows_progress(options: argparse.Namespace) -> bool:
    """Return True if stderr is a terminal and no answers are printed on it."""
    return sys.stderr.isatty() and (options.quiet or not sys.stdout.isatty())


def readable(
    package: "GeolocatorPackage", items: Sequence["Item"], count: Count, bar: bool
) -> Iterator[tuple["Item", "Prepared"]]:
    """Yield the places that can be read, in order; the others are reported on stderr and counted."""
    from tqdm import tqdm

    from homing.photos.images import PhotoError

    for item, future in tqdm(prefetched(package.prepare, items), total=len(items), unit=" photos", disable=not bar):
        try:
            photo = future.result()
        except PhotoError as error:
            print(f"homing: {error}; left out", file=sys.stderr)
            count.left_out += 1
            continue
        count.images += len(item.files)
        yield item, photo


def prefetched(
    prepare: "Callable[[Place], Prepared]", items: Iterable["Item"]
) -> Iterator[tuple["Item", "Future[Prepared]"]]:
    """Yield items in order, each with its photo, which threads decode while the model works on earlier ones."""
    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        waiting: deque[tuple[Item, Future[Prepared]]] = deque()
        for item in items:
            waiting.append((item, pool.submit(prepare, item.files if len(item.files) > 1 else item.files[0])))
            if len(waiting) > PREFETCH:
                yield waiting.popleft()
        yield from waiting


def batches(photos: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of `size` photos; the last may be shorter."""
    batch: list[T] = []
    for photo in photos:
        batch.append(photo)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def answers(
    package: "GeolocatorPackage", batch: Sequence[tuple["Item", "Prepared"]], options: argparse.Namespace
) -> "pd.DataFrame":
    """Return the answers to a batch, with the path and id of each photo: the columns of docs/predicting.md."""
    table = package.answer([photo for _, photo in batch], options.top, options.readout, options.coarse)
    number = table["photo"].to_numpy()
    table["photo"] = [str(batch[one][0].files[0]) for one in number]
    table.insert(1, "photo_id", [batch[one][0].photo_id for one in number])
    first = ["photo", "photo_id", "rank", "latitude", "longitude", "probability"]
    return table[first + [name for name in table.columns if name not in first]]


def print_answers(table: "pd.DataFrame") -> None:
    """Print the answers to each photo, one per line."""
    from homing.cli.output import area, place_name

    for answer in table.to_dict("records"):
        if answer["rank"] == 0:
            score = f"expected score {answer['expected_score']:,.0f}, " if "expected_score" in answer else ""
            areas = f"50 % in {area(answer['area_50_km2'])}, 90 % in {area(answer['area_90_km2'])}"
            print(f"{answer['photo']}  ({score}{areas})")
        where = f"{answer['latitude']:8.3f} {answer['longitude']:9.3f}"
        print(f"  {answer['probability']:6.1%} {where}  {place_name(answer)}")


def summarise(count: Count, seconds: float, package: "GeolocatorPackage") -> None:
    """Print the number of photos, the speed and what was left out on stderr."""
    if count.with_gps:
        have = "photo has" if count.with_gps == 1 else "photos have"
        print(f"homing: {count.with_gps} {have} GPS coordinates in the EXIF; they were not used", file=sys.stderr)
    out = f"; {count.left_out} could not be read" if count.left_out else ""
    speed = f"{count.images} images in {seconds:.1f} s, {count.images / max(seconds, 1e-9):.1f} images/s"
    photos = "photo" if count.answered == 1 else "photos"
    print(f"homing: {count.answered} {photos} answered on {package.device}: {speed}{out}", file=sys.stderr)
