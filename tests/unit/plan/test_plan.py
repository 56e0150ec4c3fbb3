"""The arithmetic of the plan: operations of encoders, critical path, disk over time, shipped and measured rates."""

import pytest

from homing.config import configuration
from homing.errors import HomingError
from homing.plan import estimate, rates
from homing.plan.encoders import shape_of
from homing.plan.facts import Facts
from homing.plan.jobs import ROOT, Job, in_order
from homing.plan.rates import Measured, Model
from homing.plan.text import duration, gigabytes

MODEL = {"source": None, "pretrained": None}
# One picture and one caption forward, GFLOP, as counted by torch's FlopCounterMode on the real models.
COUNTED = {"clip_b32": (8.8, 5.96), "clip_l14": (162.0, 13.3), "clip_l14_336": (381.9, 13.3)}


@pytest.mark.parametrize("name", COUNTED)
def test_operations_are_those_that_torch_counts(name):
    shape = shape_of(MODEL | {"source": f"{name}/0"})
    assert shape.known
    assert (shape.picture_gflop, shape.caption_gflop) == pytest.approx(COUNTED[name], rel=0.01)


def test_weights_are_as_large_as_the_published_file():
    assert shape_of(MODEL | {"source": "clip_l14_336/0"}).gb == pytest.approx(1.71, rel=0.02)


def test_the_shape_of_an_unknown_encoder_is_marked_as_unknown():
    assert not shape_of(MODEL | {"pretrained": "google/siglip2-base-patch16-224"}).known


def job(rule: str, reads=(), writes=(), **more) -> Job:
    return Job(rule, inputs=list(reads), outputs=list(writes), benchmark=f"{rule}.tsv", **more)


def facts(tmp_path, given=None, stated=None) -> Facts:
    return Facts(configuration.resolve(given or {}), tmp_path, stated or {})


def test_the_critical_path_goes_through_the_slower_branch_and_all_downloads():
    first, second = (job("retrieve_file", writes=[name]) for name in "ab")
    slow, fast, last = job("slow", "a", "c"), job("fast", "b", "d"), job("last", "cd", "e")
    jobs = in_order([last, slow, fast, second, first])
    assert jobs.index(last) == 4 and jobs.index(first) < jobs.index(slow)
    seconds = {first: 10, second: 20, slow: 7, fast: 3, last: 1}
    amounts = {one: {"line_gb": 1.0} if one in (first, second) else {} for one in jobs}
    chain, total = estimate._chain(jobs, seconds, amounts)
    assert chain == ["retrieve_file", "slow", "last"]
    assert total == 30 + 7 + 1  # two downloads share one line


def test_temporary_files_leave_when_their_last_reader_is_done():
    candidates = "results/photos/toy/import/candidates.parquet"
    jobs = [job("make", writes=[candidates]), job("read", [candidates], ["x"]), job("after", ["x"], ["y"])]
    sizes = {candidates: 5.0, "x": 1.0, "y": 2.0}
    assert estimate._peak_gb(jobs, sizes) == 6.0


def test_work_grows_with_the_photos_and_epochs(tmp_path):
    pretrain = Job("pretrain_clip", {"run": "demo"}, benchmark="b.tsv", threads=2)

    def seconds(epochs, photos):
        given = {"pretrain": {"epochs": epochs}}
        amounts = facts(tmp_path, given, {"toy": photos}).amounts(pretrain, {})
        return Model().seconds(pretrain, amounts)

    start = seconds(1, 0)
    once = seconds(1, 1_000_000) - start
    assert seconds(1, 10_000_000) - start == pytest.approx(10 * once)
    assert seconds(5, 1_000_000) - start == pytest.approx(5 * once)


def test_gpus_share_the_operations_but_not_the_start(tmp_path):
    def seconds(gpus):
        one = Job("pretrain_clip", {"run": "demo"}, benchmark="b.tsv", threads=64, resources={"gpu": gpus})
        large = {"model": {"source": "clip_l14_336/ce19dc912ca5cd21c8a653c79e251e808ccabcd1"}}
        return Model("h100").seconds(one, facts(tmp_path, large, {"toy": 10**6}).amounts(one, {}))

    assert seconds(4) < seconds(1) < 4 * seconds(4)


def benchmark(folder, name, seconds):
    (folder / name).write_text(f"s\th:m:s\n{seconds}\t-\n")


def test_a_measured_job_sets_its_own_time_and_scales_others_only_if_it_was_mostly_work(tmp_path):
    amounts = {"job": 1, "photo": 1e8}
    long, short = job("import_photos"), job("list_photos")
    units = {long: amounts, short: {"job": 1, "photo": 10}}
    model = Model()
    benchmark(tmp_path, "import_photos.tsv", 3 * model.seconds(long, amounts))
    benchmark(tmp_path, "list_photos.tsv", 100.0)
    measured = Measured.read(tmp_path, [long, short], model, units)
    assert measured.factors == {("import_photos", "photo"): pytest.approx(3)}
    other = Job("import_photos", benchmark="other.tsv")
    assert estimate._seconds(other, amounts, model, measured) == pytest.approx(3 * model.seconds(other, amounts))
    assert estimate._seconds(short, units[short], model, measured) == pytest.approx(100)
    doubled = amounts | {"photo": 2e8}  # the same job with twice the photos since
    assert estimate._seconds(long, doubled, model, measured) == pytest.approx(
        3 * model.seconds(long, doubled), rel=1e-6
    )


def test_a_file_that_is_no_benchmark_is_named(tmp_path):
    (tmp_path / "import_photos.tsv").write_text("nothing\n")
    with pytest.raises(HomingError, match="import_photos.tsv: no Snakemake benchmark"):
        Measured.read(tmp_path, [job("import_photos")], Model(), {})


def test_every_rate_is_of_a_rule_that_there_is_and_has_a_source():
    scripts = {path.stem for path in (ROOT / "workflow/scripts").glob("*.py")}
    assert set(rates.shipped()) - {"*"} <= scripts
    assert all(rate.source and rate.seconds > 0 for rule in rates.shipped().values() for rate in rule)


def test_photos_are_stated_counted_published_or_assumed(tmp_path):
    (tmp_path / "photos.csv").write_text("latitude,longitude,file\n1,2,a.jpg\n3,4,b.jpg\n")
    own = {"adapter": "csv_folder", "table": "photos.csv", "images": "photos"}
    datasets = {
        "mine": own,
        "away": own | {"table": "elsewhere.csv"},
        "osv5m": {"adapter": "osv5m", "source": "osv5m/cff33609b56b54d8743b7ee7a416eb8433e9a681"},
    }
    found = facts(tmp_path, {"datasets": datasets, "run_dataset": "mine"})
    assert (found.photos("mine"), found.photos("osv5m")) == (2, 5_100_000) and not found.unknowns
    assert found.photos("away") == 100_000 and "--photos away=N" in found.unknowns["photos of away"]
    assert facts(tmp_path, {"datasets": datasets, "run_dataset": "mine"}, {"mine": 7}).photos("mine") == 7
    with pytest.raises(HomingError, match="--photos mne: must be one of datasets"):
        facts(tmp_path, {"datasets": datasets, "run_dataset": "mine"}, {"mne": 7})


def test_numbers_are_read_at_a_glance():
    assert [gigabytes(size) for size in (376.04, 1.71, 0.0234, 0)] == ["376 GB", "1.71 GB", "23 MB", "0"]
    assert [duration(hours) for hours in (139.2, 1.5, 0.5, 0.001)] == ["139 h", "1.5 h", "30 min", "3.6 s"]
