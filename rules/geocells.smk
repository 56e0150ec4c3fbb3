# Semantic geocells: the partition of the land that the classifier predicts, and the cell of every photo.
include: "inputs/geocells.smk"


rule make_geocells:
    input:
        unpack(cell_inputs),
    output:
        geocells="results/runs/{run}/geocells/geocells.parquet",
        hierarchy="results/runs/{run}/geocells/hierarchy.parquet",
        assignments="results/runs/{run}/geocells/assignments.parquet",
        quality="results/runs/{run}/geocells/quality.json",
        manifest="results/runs/{run}/manifests/make_geocells.json",
    log:
        "results/logs/{run}/make_geocells.log",
    benchmark:
        "results/benchmarks/{run}/make_geocells.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 2
    resources:
        mem_mb=size_mb(4000, 10),
        runtime=240,
    params:
        settings=settings("make_geocells", "geocells"),
    message:
        "Make the geocells of run {wildcards.run}"
    script:
        "../workflow/scripts/make_geocells.py"


rule compare_geocells:
    input:
        unpack(cell_inputs),
        **made("make_geocells", "quality"),
    output:
        comparison="results/runs/{run}/geocells/comparison.json",
        manifest="results/runs/{run}/manifests/compare_geocells.json",
    log:
        "results/logs/{run}/compare_geocells.log",
    benchmark:
        "results/benchmarks/{run}/compare_geocells.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 2
    resources:
        mem_mb=size_mb(4000, 10),
        runtime=240,
    params:
        settings=settings(
            "compare_geocells",
            "compare_geocells",
            *(f"geocells.{key}" for key in COMPARED),
            methods=lambda wildcards: of_run(wildcards)["compare_geocells"],
        ),
    message:
        "Put the geocells of run {wildcards.run} beside other partitions"
    script:
        "../workflow/scripts/compare_geocells.py"


rule geocells:
    input:
        outputs("make_geocells", run=RUNS),
        expand("results/runs/{run}/geocells/report.html", run=RUNS),
