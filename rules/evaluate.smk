# Every prediction file of a photo set is scored by the same evaluator, baselines included.
from homing import readouts


rule evaluate_predictions:
    input:
        unpack(truth),
        unpack(leak_table),
        **{
            name: f"results/runs/{{run}}/predictions/{{photo_set}}/{name}.parquet"
            for name in [*readouts.NAMES, "tasks"]
        },
        splits="results/runs/{run}/splits.parquet",
        geocells="results/runs/{run}/geocells/geocells.parquet",
        assignments="results/runs/{run}/geocells/assignments.parquet",
        index="results/runs/{run}/refine_index",
        areas=f"{BOUNDARIES}/areas.parquet",
        grid=f"{BOUNDARIES}/grid",
    output:
        metrics=report(
            "results/runs/{run}/metrics/{photo_set}.json",
            caption="../workflow/report/metrics.rst",
            category="Figures",
            labels={"run": "{run}", "file": "metrics of {photo_set}"},
        ),
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
        settings=evaluation_settings("evaluate_predictions"),
    message:
        "Score the {wildcards.photo_set} predictions of run {wildcards.run}"
    script:
        "../workflow/scripts/evaluate_predictions.py"


rule summarise_run:
    input:
        metrics=lambda wildcards: expand(
            "results/runs/{{run}}/metrics/{photo_set}.json", photo_set=photo_sets(wildcards.run)
        ),
    output:
        summary=report(
            "results/runs/{run}/summary.json",
            caption="../workflow/report/summary.rst",
            category="Figures",
            labels={"run": "{run}", "file": "summary"},
        ),
        provenance="results/runs/{run}/provenance.json",
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
        settings=settings("summarise_run", *configuration.RESULT_KEYS),
        benchmarks="results/benchmarks",
    message:
        "Headline figures of run {wildcards.run}"
    script:
        "../workflow/scripts/summarise_run.py"


rule evaluate:
    input:
        expand("results/runs/{run}/summary.json", run=RUNS),
