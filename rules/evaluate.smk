# Every prediction file of a photo set is scored by the same evaluator, baselines included.


def prediction_files(wildcards):
    """All predictions of a photo set, by readout, and those of the tasks."""
    photo_set = wildcards.get("photo_set", "test")
    files = made("predict_photos", "tasks", photo_set=photo_set)
    for readout in readouts.READOUTS:
        files |= made(readout.rule, readout.name, photo_set=photo_set)
    return files


def truth(wildcards):
    """Photos and labels of a photo set and of the training photos; of a benchmark also its leaks."""
    dataset, own = set_dataset(wildcards), run_dataset(wildcards)
    return (
        photo_files(dataset, "photos")
        | made("label_photos", "labels", dataset=dataset)
        | photo_files(own, "photos", "train_")
        | made("label_photos", "labels", "train_", dataset=own)
        | ({} if dataset == own else made("find_leaks", "leaks"))
    )


def evaluation_keys(wildcards):
    """How a photo set is scored, within what reach an answer has a country, and of benchmarks what a leak is."""
    keys = ["seed", "evaluate.radii_km", "labels.boundaries.nearest_km"]
    return keys + ([] if set_dataset(wildcards) == run_dataset(wildcards) else ["decontaminate.by"])


def run_metrics(wildcards):
    """The metrics of a run's photo sets."""
    files = [made("evaluate_predictions", "metrics", photo_set=photo_set) for photo_set in photo_sets(wildcards.run)]
    return {
        "metrics": [one["metrics"] for one in files],
        "metrics_manifests": [one["evaluate_predictions_manifest"] for one in files],
    }


rule evaluate_predictions:
    input:
        unpack(truth),
        unpack(prediction_files),
        unpack(lambda wildcards: boundaries("areas grid")),
        **made("assign_splits", "splits"),
        **made("make_geocells", "geocells assignments"),
        **made("build_refine_index", "index"),
    output:
        metrics=report(
            "results/runs/{run}/metrics/{photo_set}.json",
            caption="../workflow/report/metrics.rst",
            category="Figures",
            labels={"run": "{run}", "file": "metrics of {photo_set}"},
        ),
        manifest="results/runs/{run}/metrics/manifests/{photo_set}.json",
    log:
        "results/logs/{run}/evaluate_predictions/{photo_set}.log",
    benchmark:
        "results/benchmarks/{run}/evaluate_predictions/{photo_set}.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=size_mb(1000, 20),
        runtime=60,
    params:
        settings=lambda wildcards: settings("evaluate_predictions", *evaluation_keys(wildcards))(wildcards),
    message:
        "Score the {wildcards.photo_set} predictions of run {wildcards.run}"
    script:
        "../workflow/scripts/evaluate_predictions.py"


rule summarise_run:
    input:
        unpack(run_metrics),
    output:
        summary=report(
            "results/runs/{run}/summary.json",
            caption="../workflow/report/summary.rst",
            category="Figures",
            labels={"run": "{run}", "file": "summary"},
        ),
        provenance="results/runs/{run}/provenance.json",
        manifest="results/runs/{run}/manifests/summarise_run.json",
    log:
        "results/logs/{run}/summarise_run.log",
    benchmark:
        "results/benchmarks/{run}/summarise_run.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=settings("summarise_run", *result_keys()),
        benchmarks="results/benchmarks",
    message:
        "Headline figures of run {wildcards.run}"
    script:
        "../workflow/scripts/summarise_run.py"


rule evaluate:
    input:
        outputs("summarise_run", run=RUNS),
