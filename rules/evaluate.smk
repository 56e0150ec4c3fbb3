# Every prediction file of a photo set is scored by the same evaluator, baselines included.
include: "inputs/evaluate.smk"


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
        settings=settings("evaluate_predictions", evaluation_keys),
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
