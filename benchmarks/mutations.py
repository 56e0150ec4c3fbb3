"""Mutation check: do the unit tests notice when a core line of a room is wrong?

python benchmarks/mutations.py                          40 mutants, about 15 minutes on two cores
python benchmarks/mutations.py --rooms refine --seed 2  some rooms, other mutants
python benchmarks/mutations.py --list                   what would be run

A mutant is the library with one operator, constant or argument changed. It is caught when the room's own unit tests
fail or run out of time, and survives when they pass. Mutants are drawn with a seed, equally many from each room, and
within a room equally from each kind of change. Each runs in a copy of the repository in a temporary folder.
"""

import argparse
import ast
import copy
import datetime
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = Path("src/homing")


@dataclass(frozen=True)
class Room:
    """Core modules under src/homing, and the tests that must notice a change of them, the quickest first."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


ROOMS = {
    "refine": Room(
        ("refine/search.py", "refine/readout.py", "refine/retrieve.py", "refine/fit.py", "refine/index.py"),
        ("refine/test_refine_oracles.py", "refine/test_refine.py"),
    ),
    "geocells": Room(
        (
            "geocells/geometry/places.py", "geocells/geometry/voronoi.py", "geocells/methods/country.py",
            "geocells/methods/semantic.py", "geocells/methods/merge.py", "geocells/methods/divide.py",
            "geocells/methods/cuts.py", "geocells/methods/kmeans.py", "geocells/methods/lattices.py",
            "geocells/assign.py", "geocells/describe.py", "geocells/hierarchy.py", "geocells/partition.py",
            "geocells/quality.py",
        ),
        (
            "geocells/test_geocells_oracles.py", "geocells/test_quality.py", "geocells/test_lattices.py",
            "geocells/test_voronoi.py", "geocells/test_partitions.py", "geocells/test_geocells.py",
        ),
    ),
    "labels": Room(
        ("labels/rasters.py", "labels/pixels.py", "labels/grid.py", "labels/areas.py", "labels/borders.py",
         "labels/cells.py", "labels/label.py"),
        ("labels/test_labels_oracles.py", "labels/test_rasters.py", "labels/test_grid.py", "labels/test_labels.py"),
    ),
    "splits": Room(
        ("photos/splits.py", "photos/leaks.py"),
        ("photos/test_splits_oracles.py", "photos/test_splits.py", "photos/test_leaks.py"),
    ),
    "losses": Room(
        ("model/losses.py", "model/smoothing.py"),
        ("model/test_losses_oracles.py", "model/test_losses.py"),
    ),
}  # fmt: skip

KEYWORD = "not worker"

# Constants that decide how much is done at a time, how long is searched and how finely is drawn: there is no wrong one.
NO_RESULT = re.compile(
    r"\b(BLOCK|ROWS|QUERIES|CACHE_MB|MIN_BLOCK|CLUSTER_FROM|SLACK|DENSE_SHARE|NOTHING|MAX_CELLS|MIN_CELLS|CELLS_PER_VERTEX"
    r"|MARGIN|EXACT_PHOTOS|PROBES|MAX_LISTS|MAX_STEPS|MAX_ITERATIONS|MAX_CLUSTERED_PLACES|GATES|DRAWS|TOLERANCE_KM"
    r"|TOLERANCE_SHARE|threadpool_limits)\b"
)
TINY = 1e-5  # smaller constants guard against rounding and division by zero: half or twice as much is as good
# Mutants that no test can catch: module, part of the line, change -> why the results are the same.
EQUIVALENT = {
    ("geocells/assign.py", "nearest_km > 0", "nearest_km > 0 -> nearest_km >= 0"): "nothing is nearer than 0 km",
    ("labels/borders.py", "best + SAME_KM", "distance <= best + SAME_KM -> distance < best + SAME_KM"):
        "1e-9 km are below the rounding",
    ("geocells/methods/lattices.py", "for deeper in range(1, depth + 1)", "1 -> 0"): "the whole globe once more",
    ("geocells/partition.py", "order = sorted(", "-len(own_points[country]) -> len(own_points[country])"):
        "the countries in another order",
    ("geocells/methods/divide.py", "len(places) > 1", "len(places) > 1 -> len(places) >= 1"):
        "one place has no radius",
    ("model/smoothing.py", "squares <= chord**2", "squares <= chord**2 -> squares < chord ** 2"):
        "a cell at exactly the radius has no weight",
    ("labels/borders.py", "area[entry] < owner", "area[entry] < owner -> area[entry] <= owner"):
        "as near a point of the same area",
    ("photos/splits.py", "> 1)]", "1 -> 0"): "a block that is drawn twice is as it was",
    ("photos/splits.py", "> 1)]", "count[here] > 1 -> count[here] >= 1"): "a block that is drawn twice is as it was",
    ("labels/rasters.py", "self.rules.nearest_km > 0", "self.rules.nearest_km > 0 -> self.rules.nearest_km >= 0"):
        "nothing is nearer than 0 km",
    ("refine/retrieve.py", "row < best.row[queries]", "row < best.row[queries] -> row <= best.row[queries]"):
        "a row that replaces itself",
    ("geocells/methods/divide.py", "own.photos.sum() < 2 * min_photos", "2 -> 1"): "no cut leaves enough on both sides",
}  # fmt: skip

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
NAMES = {"min": "max", "argmin": "argmax", "minimum": "maximum", "nanmin": "nanmax", "clamp_min": "clamp_max"}
NAMES |= {after: before for before, after in NAMES.items()}
NO_MASK = re.compile(r"[{}]|None|\bstr\b|\bdict\b|^[A-Z]")  # unions of types, sets and dictionaries
SAYS_NOTHING = ("axis", "dim", "keepdims", "dtype", "kind", "initial")  # keywords whose values are no arithmetic


@dataclass(frozen=True)
class Mutant:
    """One change of one expression: bytes start..end of a module become `after`."""

    room: str
    module: str
    line: int
    kind: str
    before: str
    after: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.kind}: {self.before} -> {self.after}"


@dataclass(frozen=True)
class Outcome:
    """How the tests met a mutant: caught, survived, or caught by running out of time."""

    mutant: Mutant
    status: str
    seconds: float
    by: str


def changes(node: ast.AST) -> Iterator[tuple[str, ast.expr, str]]:
    """All single changes of a node itself: kind, the expression that is replaced, and its new source."""
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                if type(operator) in COMPARISONS:
                    new = copy.deepcopy(node)
                    new.ops[place] = COMPARISONS[type(operator)]()
                    yield "comparison", node, f"({ast.unparse(new)})"
        case ast.BoolOp():
            joined = " or " if isinstance(node.op, ast.And) else " and "
            yield "and/or", node, f"({joined.join(f'({ast.unparse(value)})' for value in node.values)})"
        case ast.BinOp(op=ast.BitAnd() | ast.BitOr()) if not NO_MASK.search(ast.unparse(node)):
            new_op = ast.BitOr() if isinstance(node.op, ast.BitAnd) else ast.BitAnd()
            yield "and/or", node, f"({ast.unparse(ast.BinOp(node.left, new_op, node.right))})"
        case ast.UnaryOp(op=ast.USub()):
            yield "minus", node, f"({ast.unparse(node.operand)})"
        case ast.UnaryOp(op=ast.Not() | ast.Invert()):
            yield "not", node, f"({ast.unparse(node.operand)})"
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            yield from ((kind, node, after) for kind, after in _other_numbers(value))
        case ast.Slice():
            for bound in (node.lower, node.upper):
                if bound is not None:
                    yield "slice", bound, f"{ast.unparse(bound)} + 1"
        case ast.Name() | ast.Attribute():
            name = node.id if isinstance(node, ast.Name) else node.attr
            if name in NAMES:
                yield "min/max", node, re.sub(rf"{name}$", NAMES[name], ast.unparse(node))
        case ast.Call():
            yield from (("lat/lon", node, after) for after in _swapped_coordinates(node))


def _other_numbers(value: int | float) -> Iterator[tuple[str, str]]:
    if isinstance(value, int):
        yield "plus/minus 1", repr(value + 1)
        yield "plus/minus 1", f"({value - 1})"
    if abs(value) >= TINY:
        yield "factor 2", repr(2 * value)
        yield "factor 2", repr(value / 2 if isinstance(value, float) else value // 2)


def _swapped_coordinates(call: ast.Call) -> Iterator[str]:
    """The call with a latitude and the longitude after it the other way round."""
    for place, (first, second) in enumerate(pairwise(call.args)):
        if _is_coordinate(first, "lat") and _is_coordinate(second, "lon"):
            swapped = [*call.args[:place], second, first, *call.args[place + 2 :]]
            yield ast.unparse(ast.Call(call.func, swapped, call.keywords))


def _is_coordinate(argument: ast.expr, name: str) -> bool:
    return isinstance(argument, ast.Name | ast.Attribute | ast.Subscript) and name in ast.unparse(argument).lower()


def mutants_of(room: str, module: str) -> list[Mutant]:
    """All mutants of a module, by line."""
    source = (ROOT / LIBRARY / module).read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node in arithmetic(ast.parse(source)):
        for kind, replaced, after in changes(node):
            start = starts[replaced.lineno - 1] + replaced.col_offset
            end = starts[(replaced.end_lineno or replaced.lineno) - 1] + (replaced.end_col_offset or 0)
            before = " ".join(source[start:end].decode().split())
            whole_line = source[starts[replaced.lineno - 1] : starts[replaced.lineno]].decode()
            if not NO_RESULT.search(whole_line) and not _is_equivalent(
                module, whole_line, f"{before} -> {_bare(after)}"
            ):
                found.append(Mutant(room, module, replaced.lineno, kind, before, after, start, end))
    return sorted(found, key=lambda mutant: (mutant.start, mutant.kind, mutant.after))


def _is_equivalent(module: str, line: str, change: str) -> bool:
    return any(module == own and part in line and change == of for own, part, of in EQUIVALENT)


def _bare(source: str) -> str:
    return source[1:-1] if source.startswith("(") and source.endswith(")") else source


def arithmetic(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes under a node, without messages, annotations and keywords that say no figure."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            is_log = isinstance(child, ast.Expr) and ast.unparse(child).startswith(("log.", "logger."))
            is_silent = isinstance(child, ast.keyword) and child.arg in SAYS_NOTHING
            if (
                isinstance(child, ast.AST)
                and not isinstance(child, ast.Raise | ast.JoinedStr)
                and not is_log | is_silent
            ):
                yield from arithmetic(child)


def draw(rooms: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """`count` mutants: equally many of each room, there equally many of each kind while there are any."""
    rng = random.Random(seed)
    drawn: list[Mutant] = []
    for number, room in enumerate(rooms):
        by_kind: dict[str, list[Mutant]] = defaultdict(list)
        for module in ROOMS[room].modules:
            for mutant in mutants_of(room, module):
                by_kind[mutant.kind].append(mutant)
        piles = [by_kind[kind] for kind in sorted(by_kind)]
        for pile in piles:
            rng.shuffle(pile)
        rng.shuffle(piles)
        wanted = count * (number + 1) // len(rooms) - count * number // len(rooms)
        taken: list[Mutant] = []
        while len(taken) < wanted and any(piles):
            taken += [pile.pop() for pile in piles if pile]
        drawn += taken[:wanted]
    return drawn


def copy_repository(folder: Path) -> Path:
    """Copy what git tracks or does not ignore, and what numba has compiled of it, into `folder`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    compiled = [str(path.relative_to(ROOT)) for path in (ROOT / LIBRARY).rglob("*.nb[ic]")]
    for name in filter(None, [*listed, *compiled]):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def run_tests(folder: Path, room: str, timeout: float) -> tuple[str, str]:
    """Run a room's tests in a copy: ("passed" | "failed" | "time", the test that failed first).

    Tests of worker processes are left out: they are slow, and others compute the same in one process.
    """
    tests = [f"tests/unit/{name}" for name in ROOMS[room].tests if (folder / "tests/unit" / name).exists()]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "-k",
        KEYWORD,
        *tests,
    ]
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "time", ""
    if process.returncode == 0:
        return "passed", ""
    if process.returncode < 0:
        return "failed", f"signal {-process.returncode}"
    first = re.search(r"^(?:FAILED|ERROR) \S*?([^/\s]+)(?: - |$)", output, re.M)
    return "failed", first.group(1) if first else output[-200:]


def meet(folder: Path, mutant: Mutant, timeout: float) -> Outcome:
    """Run the tests against a mutant in a copy of the repository, which is whole again afterwards."""
    path = folder / LIBRARY / mutant.module
    source = path.read_bytes()
    is_compiled = b"@compiled" in source or b"njit" in source
    if is_compiled:  # functions of other modules hold its compiled code
        for cached in (folder / LIBRARY).rglob("*.nb[ic]"):
            cached.unlink()
    started = time.monotonic()
    path.write_bytes(source[: mutant.start] + mutant.after.encode() + source[mutant.end :])
    try:
        status, by = run_tests(folder, mutant.room, timeout + 120 * is_compiled)
    finally:
        path.write_bytes(source)
    if is_compiled:
        for cached in (folder / LIBRARY).rglob("*.nb[ic]"):
            cached.unlink()
    names = {"passed": "survived", "failed": "caught", "time": "caught"}
    return Outcome(mutant, names[status], round(time.monotonic() - started, 1), by or status)


def check(mutants: Sequence[Mutant], jobs: int) -> list[Outcome]:
    """Meet all mutants, `jobs` at a time, and print each outcome. Raises RuntimeError where tests fail unchanged."""
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(jobs) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(jobs):
            copies.put(copy_repository(Path(temporary) / str(number)))

        def baseline(room: str) -> float:
            folder, started = copies.get(), time.monotonic()
            status, by = run_tests(folder, room, 1200)
            copies.put(folder)
            if status != "passed":
                raise RuntimeError(f"{room}: the tests fail without any change: {by}")
            return time.monotonic() - started

        rooms = sorted({mutant.room for mutant in mutants})
        seconds = dict(zip(rooms, pool.map(baseline, rooms), strict=True))
        print("seconds of the tests without a change:", {room: round(value) for room, value in seconds.items()})

        def one(mutant: Mutant) -> Outcome:
            folder = copies.get()
            outcome = meet(folder, mutant, 120 + 5 * seconds[mutant.room])
            copies.put(folder)
            print(f"{outcome.status:<9} {outcome.seconds:>5.0f} s  {mutant}  [{outcome.by}]", flush=True)
            return outcome

        return list(pool.map(one, mutants))


def summary(outcomes: Sequence[Outcome], seed: int) -> dict[str, object]:
    """Counts and all outcomes, as kept in benchmarks/results/mutations.json."""
    by_room: dict[str, list[bool]] = defaultdict(list)
    for outcome in outcomes:
        by_room[outcome.mutant.room].append(outcome.status == "caught")
    caught = sum(map(sum, by_room.values()))
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seed": seed,
        "mutants": len(outcomes),
        "caught": caught,
        "caught_share": caught / max(1, len(outcomes)),
        "rooms": {room: {"mutants": len(each), "caught": sum(each)} for room, each in by_room.items()},
        "outcomes": [
            {key: value for key, value in asdict(outcome.mutant).items() if key not in ("start", "end")}
            | {"status": outcome.status, "seconds": outcome.seconds, "by": outcome.by}
            for outcome in outcomes
        ],
    }


def as_text(found: dict[str, object]) -> str:
    """The table of rooms."""
    rooms = found["rooms"]
    assert isinstance(rooms, dict)
    lines = [f"{'room':<12}{'mutants':>8}{'caught':>8}"]
    lines += [f"{room:<12}{row['mutants']:>8}{row['caught']:>8}" for room, row in rooms.items()]
    return "\n".join([*lines, f"{'all':<12}{found['mutants']:>8}{found['caught']:>8}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", nargs="+", choices=list(ROOMS), default=list(ROOMS))
    parser.add_argument("--mutants", type=int, default=40)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument("--output", type=Path, help="write the outcomes to this JSON file")
    parser.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    options = parser.parse_args()
    mutants = draw(options.rooms, options.mutants, options.seed)
    if options.list:
        print("\n".join(map(str, mutants)))
        return
    found = summary(check(mutants, options.jobs), options.seed)
    print(as_text(found))
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
