# The configuration of each run, and the small functions that the other files of rules declare their inputs and resources with.
from homing.config import configuration
from homing.jobs.code import fingerprint
from homing.sources import table
from homing.sources.listing import listing

SOURCES = table.read_sources(HERE / "config/sources.csv")
CONFIG = configuration.resolve(config)
CONFIG["labels"] = configuration.with_members(CONFIG["labels"], SOURCES)
RUNS = configuration.runs(CONFIG)


def settings(script, *keys):
    """What a job depends on beside its files: its slice of the configuration and the code it runs, as ONE dict.

    Snakemake compares params as a set of values without names, so they must not be given one by one.
    """
    return lambda wildcards: {
        "config": configuration.pick(CONFIG, keys, run=wildcards.get("run")),
        "code": fingerprint(HERE / f"workflow/scripts/{script}.py"),
    }


def refine_settings(script, *names):
    """Of the refinement, and of the seed, only what the script reads counts."""

    def chosen(wildcards):
        run = of_run(wildcards)
        slice = {"refine": {name: run["refine"][name] for name in names if name != "seed"}}
        slice |= {"seed": run["seed"]} if "seed" in names else {}
        return {"config": slice, "code": fingerprint(HERE / f"workflow/scripts/{script}.py")}

    return chosen


def dataset_settings(script, *keys):
    """The same for a step of an import: only the data set's own configuration counts."""

    def chosen(wildcards):
        dataset = configuration.with_paths(CONFIG, CONFIG["datasets"][wildcards.dataset])
        return {
            "config": configuration.pick(CONFIG, keys) | {"dataset": dataset},
            "code": fingerprint(HERE / f"workflow/scripts/{script}.py"),
        }

    return chosen


def of_run(wildcards):
    """The resolved configuration of the wildcard's run."""
    return configuration.run_config(CONFIG, wildcards.run)


def run_dataset(wildcards):
    return of_run(wildcards)["run_dataset"]


def raw_files(source):
    """Paths of the raw files of `<dataset>/<version>`, in the order of config/sources.csv."""
    return [f"results/raw/{source}/{row['file']}" for row in table.source_rows(SOURCES, source)]


def raw_manifests(*sources):
    """Their manifests (size, sha256, url, licence): small, so that jobs run again when the content changed, not the date."""
    rows = [(source, row) for source in sources for row in table.source_rows(SOURCES, source)]
    return [f"results/raw/{source}/manifests/{row['file']}.json" for source, row in rows]


def photo_files(dataset):
    """The photo table of a data set and what is read from its shards."""
    folder = f"results/photos/{dataset}"
    return {"photos": f"{folder}/photos.parquet", "index": f"{folder}/index.parquet", "shards": f"{folder}/shards"}


def final_trunk(run):
    """The encoder whose embeddings are searched: fine-tuning changes it unless only the heads are trained."""
    return "pretrained" if configuration.run_config(CONFIG, run)["finetune"]["trainable"] == "heads" else "finetuned"


def run_embeddings(run):
    """The vectors of the run's own photos that are searched."""
    dataset = configuration.run_config(CONFIG, run)["run_dataset"]
    return f"results/runs/{run}/embeddings/{final_trunk(run)}/{dataset}/vectors.npy"


def set_dataset(wildcards):
    """The data set a photo set is taken from: the run's own for train, val and test, else the benchmark of that name."""
    return run_dataset(wildcards) if wildcards.photo_set in ("train", "val", "test") else wildcards.photo_set


def embeddings(wildcards, dataset, trunk=None):
    folder = f"results/runs/{wildcards.run}/embeddings/{trunk or final_trunk(wildcards.run)}/{dataset}"
    return {"vectors": f"{folder}/vectors.npy", "photo_ids": f"{folder}/photo_ids.parquet"}


def photo_sets(run):
    """The photo sets that are predicted and scored in a run."""
    return ["test", *configuration.run_config(CONFIG, run)["evaluate"]["benchmarks"]]


def training_resources(stage):
    """Resources of a training job. Several nodes are asked for as the SLURM plugin wants them: one task per node."""
    asked = CONFIG[stage]
    nodes, gpus = asked["nodes"], asked["gpus_per_node"]
    if nodes == 1:
        return {"nodes": 1} | ({"gpu": gpus} if gpus else {})
    return {"nodes": nodes, "mpi": "srun", "tasks": nodes, "tasks_per_gpu": 0} | (
        {"gres": f"gpu:{gpus}"} if gpus else {}
    )


def tries_again(count):
    """Retries, counted by the Snakemake that submits the jobs alone. Those that run within them would make twenty tries of four."""
    return count if workflow.is_main_process else 0


def which_try(wildcards, attempt):
    """A resource of what is tried again, so that its job knows (homing.jobs.retries); as text, for it is no amount to be shared."""
    return str(attempt)


def size_mb(base, per_input):
    """Memory that grows with the input: base + per_input x its size, both in MB."""
    return lambda wildcards, input: int(base + per_input * input.size_mb)


def toyplanet_files():
    return sorted({row["url"].removeprefix("toyplanet:") for row in SOURCES if row["url"].startswith("toyplanet:")})


USED_SOURCES = configuration.used_sources(CONFIG)


def used_rows():
    """The rows of config/sources.csv that this configuration reads."""
    return [row for source in USED_SOURCES for row in table.source_rows(SOURCES, source)]


def source_row(wildcards):
    return table.source_row(SOURCES, f"{wildcards.dataset}/{wildcards.version}", wildcards.file)


def generated(wildcards):
    """The toy planet's file and checksums, for rows that are generated here."""
    url = source_row(wildcards)["url"]
    if not url.startswith("toyplanet:"):
        return []
    return [ancient(f"results/toyplanet/{url.removeprefix('toyplanet:')}"), "results/toyplanet/SHA256SUMS"]


def collection_files(wildcards):
    """What a data set is read from: the raw files of its source, the user's own table, a folder of photos."""
    dataset = configuration.with_paths(CONFIG, CONFIG["datasets"][wildcards.dataset])
    if "source" in dataset:
        return {"files": ancient(raw_files(dataset["source"])), "manifests": raw_manifests(dataset["source"])}
    return {"files": [dataset["table"] if dataset["adapter"] == "csv_folder" else dataset["images"]]}


def import_parts(wildcards):
    """The folders of the jobs that store the images of a data set; none when it has no images."""
    dataset = CONFIG["datasets"][wildcards.dataset]
    count = dataset.get("parts", 1) if "source" in dataset or dataset.get("images") else 0
    folder = f"results/photos/{wildcards.dataset}/import"
    return [f"{folder}/part-{number:04d}-of-{count:04d}" for number in range(count)]


def leak_inputs(wildcards):
    """The photos of a run and of its benchmarks, with their image hashes."""
    names = [run_dataset(wildcards), *of_run(wildcards)["evaluate"]["benchmarks"]]
    return {kind: [photo_files(name)[kind] for name in names] for kind in ("photos", "index")}


def leak_settings(script):
    """Which benchmarks are compared by what: other keys of the evaluation must not divide the photos anew."""

    def chosen(wildcards):
        run = of_run(wildcards)
        slice = {"benchmarks": run["evaluate"]["benchmarks"], "decontaminate": run["decontaminate"]}
        return {"config": slice, "code": fingerprint(HERE / f"workflow/scripts/{script}.py")}

    return chosen


def leak_table(wildcards):
    """Of a benchmark: which of its photos the run's data set has too."""
    own = wildcards.photo_set in ("train", "val", "test")
    return {} if own else {"leaks": f"results/runs/{wildcards.run}/leaks.parquet"}


def evaluation_settings(script):
    """How a photo set is scored, within what reach an answer has a country, and of benchmarks which leaks are told."""

    def chosen(wildcards):
        keys = ["seed", "evaluate", *(["decontaminate"] if leak_table(wildcards) else [])]
        slice = configuration.pick(CONFIG, keys, run=wildcards.run)
        slice["nearest_km"] = CONFIG["labels"]["boundaries"]["nearest_km"]
        return {"config": slice, "code": fingerprint(HERE / f"workflow/scripts/{script}.py")}

    return chosen


def split_inputs(wildcards):
    """The photos, and what is known of leaks where the run has benchmarks."""
    photos = {"photos": photo_files(run_dataset(wildcards))["photos"]}
    leaks = {"leaks": f"results/runs/{wildcards.run}/leaks.parquet"}
    return photos | (leaks if of_run(wildcards)["evaluate"]["benchmarks"] else {})


def leak_counts(wildcards):
    """How many photos the run's benchmarks have too, where it has benchmarks."""
    if not of_run(wildcards)["evaluate"]["benchmarks"]:
        return {}
    return {"leaks": f"results/runs/{wildcards.run}/leaks.json"}


def checkpoint_inputs(wildcards):
    """The checkpoint that a run starts from, where it is retrieved."""
    source = of_run(wildcards)["model"]["source"]
    return {"checkpoint": f"results/encoders/{source}"} if source else {}


def label_tiles(wildcards):
    """What other jobs look up of a data set; nothing where one job does it all."""
    tiles = CONFIG["labels"]["tiles"]
    folder = f"results/labels/{wildcards.dataset}/tiles"
    return [f"{folder}/{number}-of-{tiles}.parquet" for number in range(tiles)] if tiles > 1 else []


def label_mb(wildcards, input):
    """Memory that grows with the photos: some columns of all of them, beside two workers with their rasters' cache."""
    photos = Path(input.photos)
    return 6000 + (photos.stat().st_size * 20 // 1_000_000 if photos.exists() else 0)


def areas_file():
    return f"results/boundaries/{CONFIG['labels']['boundaries']['source']}/areas.parquet"


def cell_dataset(wildcards):
    return of_run(wildcards)["geocells"]["dataset"] or run_dataset(wildcards)


def cell_inputs(wildcards):
    """The photos that shape the cells of a run, and the run's own."""
    shaping, own = cell_dataset(wildcards), run_dataset(wildcards)
    return {
        "areas": areas_file(),
        "photos": f"results/photos/{shaping}/photos.parquet",
        "labels": f"results/labels/{shaping}/labels.parquet",
        "run_photos": f"results/photos/{own}/photos.parquet",
        "run_labels": f"results/labels/{own}/labels.parquet",
        "splits": f"results/runs/{wildcards.run}/splits.parquet",
    }


def embedding_inputs(wildcards):
    return photo_files(wildcards.dataset) | {"model": f"results/runs/{wildcards.run}/{wildcards.trunk}"}


def finetune_inputs(wildcards):
    """Cached embeddings when only the heads are trained, else the photos."""
    dataset = run_dataset(wildcards)
    if of_run(wildcards)["finetune"]["trainable"] == "heads":
        return embeddings(wildcards, dataset, "pretrained") | {"photos": photo_files(dataset)["photos"]}
    return photo_files(dataset)


def baseline_inputs(wildcards):
    """The photos to be predicted and the training photos, with their shards for the thumbnails."""
    train, queries = photo_files(run_dataset(wildcards)), photo_files(set_dataset(wildcards))
    return train | {f"query_{name}": path for name, path in queries.items()}


def truth(wildcards):
    dataset = set_dataset(wildcards)
    return {
        "photos": photo_files(dataset)["photos"],
        "labels": f"results/labels/{dataset}/labels.parquet",
        "train_labels": f"results/labels/{run_dataset(wildcards)}/labels.parquet",
        "train_photos": photo_files(run_dataset(wildcards))["photos"],
    }


def variant_summaries(wildcards):
    """The main run's report shows its variants beside it."""
    others = [run for run in RUNS if run != wildcards.run] if wildcards.run == RUNS[0] else []
    return expand("results/runs/{run}/summary.json", run=others)
