# What all files of rules share: the configuration, what a rule depends on, files that other rules make, resources.
from homing.config import configuration
from homing.config.slices import result_keys
from homing.config.settings import settings_of
from homing.sources import table

SOURCES = table.read_sources(HERE / "config/sources.csv")
CONFIG = configuration.resolve(config)
CONFIG["labels"] = configuration.with_members(CONFIG["labels"], SOURCES)
RUNS = configuration.runs(CONFIG)


def settings(script, *keys, methods=()):
    """What a job depends on beside its inputs: these dotted keys of the run's configuration, and the script's code.

    ONE dict, since Snakemake compares params as a set of values without names. A key may be a function of the wildcards
    that returns keys. Keys of a method count only where it is chosen, or is one of `methods` (or of what that returns).
    """
    script = HERE / f"workflow/scripts/{script}.py"

    def chosen(wildcards):
        named = [name for key in keys for name in (key(wildcards) if callable(key) else [key])]
        further = methods(wildcards) if callable(methods) else methods
        return settings_of(CONFIG, script, named, wildcards.get("run"), wildcards.get("dataset"), further)

    return chosen


def made(rule, names, prefix="", **wildcards):
    """Outputs as inputs: `ancient`, for dates do not count, beside their manifest, whose content does.

    names: of outputs, or input=output where the input has another name. Wildcards with lists of values give lists.
    """
    output = getattr(rules, rule).output
    several = any(isinstance(value, list) for value in wildcards.values())

    def path(name):
        paths = expand(str(output[name]), allow_missing=True, **wildcards)
        return paths if several else paths[0]

    pairs = [name.split("=") if "=" in name else (name, name) for name in names.split()]
    files = {f"{prefix}{new}": ancient(path(name)) for new, name in pairs}
    return files | {f"{prefix}{rule}_manifest": path("manifest")}


def outputs(rule, **wildcards):
    """All outputs of a rule, as targets."""
    return expand([str(path) for path in getattr(rules, rule).output], **wildcards)


def raw_files(source):
    """Paths of the raw files of `<dataset>/<version>`, in the order of config/sources.csv."""
    return [f"results/raw/{source}/{row['file']}" for row in table.source_rows(SOURCES, source)]


def raw_manifests(*sources):
    """Their manifests: bytes, sha256, url, licence."""
    rows = [(source, row) for source in sources for row in table.source_rows(SOURCES, source)]
    return [f"results/raw/{source}/manifests/{row['file']}.json" for source, row in rows]


def of_run(wildcards):
    """The resolved configuration of the wildcard's run."""
    return configuration.run_config(CONFIG, wildcards.run)


def run_dataset(wildcards):
    return of_run(wildcards)["run_dataset"]


def set_dataset(wildcards):
    """The data set of a photo set: the run's own for train, val and test, else the benchmark of that name."""
    return run_dataset(wildcards) if wildcards.photo_set in ("train", "val", "test") else wildcards.photo_set


def photo_sets(run):
    """The photo sets that are predicted and scored in a run."""
    return ["test", *configuration.run_config(CONFIG, run)["evaluate"]["benchmarks"]]


def photo_files(dataset, names="photos index shards", prefix=""):
    """The photo table of a data set and what is read from its shards."""
    return made("import_photos", names, prefix, dataset=dataset)


def run_photos(names="photos"):
    """The same of the run's own data set."""
    return lambda wildcards: photo_files(run_dataset(wildcards), names)


def run_labels(wildcards):
    return made("label_photos", "labels", dataset=run_dataset(wildcards))


def leaks(output):
    """What is known of photos that the run's benchmarks have too; nothing where the run has no benchmarks."""
    return lambda wildcards: made("find_leaks", output) if of_run(wildcards)["evaluate"]["benchmarks"] else {}


def boundaries(names):
    """What was made of the administrative areas that the labels use."""
    dataset, version = CONFIG["labels"]["boundaries"]["source"].split("/")
    return made("prepare_boundaries", names, dataset=dataset, version=version)


def tries_again(count):
    """Retries, counted by the Snakemake that submits the jobs alone: those within its jobs would multiply them."""
    return count if workflow.is_main_process else 0


def which_try(wildcards, attempt):
    """The number of the attempt, which homing.jobs.retries reads; text, since it is no amount to be shared."""
    return str(attempt)


def size_mb(base, per_input):
    """Memory that grows with the input: base + per_input x its size, both in MB."""
    return lambda wildcards, input: int(base + per_input * input.size_mb)
