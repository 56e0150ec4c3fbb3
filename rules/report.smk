# What a run hands over: a model package that `homing predict` loads, and one offline HTML page.


rule package_model:
    input:
        unpack(leak_counts),
        model="results/runs/{run}/finetuned",
        encoder="results/runs/{run}/pretrained",
        geocells="results/runs/{run}/geocells/geocells.parquet",
        hierarchy="results/runs/{run}/geocells/hierarchy.parquet",
        index="results/runs/{run}/refine_index",
        fitted="results/runs/{run}/refine.json",
        calibration="results/runs/{run}/calibration.json",
        photos=lambda wildcards: photo_files(run_dataset(wildcards))["photos"],
        splits="results/runs/{run}/splits.parquet",
        metrics="results/runs/{run}/metrics/test.json",
        summary="results/runs/{run}/summary.json",
        provenance="results/runs/{run}/provenance.json",
        manifests=raw_manifests(*configuration.used_sources(CONFIG)),
    output:
        package=directory("results/runs/{run}/model"),
    log:
        "results/logs/{run}/package_model.log",
    benchmark:
        "results/benchmarks/{run}/package_model.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=size_mb(1000, 3),
        runtime=30,
    params:
        settings=settings("package_model", "refine"),
    message:
        "Package the model of run {wildcards.run}"
    script:
        "../workflow/scripts/package_model.py"


rule report_labels:
    input:
        photos="results/photos/{dataset}/photos.parquet",
        labels="results/labels/{dataset}/labels.parquet",
        agreement="results/labels/{dataset}/agreement.csv",
        areas=f"{BOUNDARIES}/areas.parquet",
        grid=f"{BOUNDARIES}/grid",
        driving_side=ancient(raw_files(DRIVING_SIDE)),
    output:
        report=report(
            "results/labels/{dataset}/report.html",
            caption="../workflow/report/labels.rst",
            category="Data",
            labels={"data set": "{dataset}", "page": "labels"},
        ),
    log:
        "results/logs/report_labels/{dataset}.log",
    benchmark:
        "results/benchmarks/report_labels/{dataset}.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=label_mb,
        runtime=30,
    params:
        settings=settings("report_labels"),
    message:
        "Write the page of the labels of {wildcards.dataset}"
    script:
        "../workflow/scripts/report_labels.py"


rule report_geocells:
    input:
        photos=lambda wildcards: photo_files(run_dataset(wildcards))["photos"],
        geocells="results/runs/{run}/geocells/geocells.parquet",
        assignments="results/runs/{run}/geocells/assignments.parquet",
        quality="results/runs/{run}/geocells/quality.json",
        comparison="results/runs/{run}/geocells/comparison.json",
    output:
        report=report(
            "results/runs/{run}/geocells/report.html",
            caption="../workflow/report/geocells.rst",
            category="Runs",
            labels={"run": "{run}", "page": "geocells"},
        ),
        geopackage="results/runs/{run}/geocells/geocells.gpkg",
    log:
        "results/logs/{run}/report_geocells.log",
    benchmark:
        "results/benchmarks/{run}/report_geocells.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=size_mb(2000, 8),
        runtime=30,
    params:
        settings=settings("report_geocells", "run_dataset"),
    message:
        "Write the page of the geocells of run {wildcards.run}"
    script:
        "../workflow/scripts/report_geocells.py"


rule make_report:
    input:
        unpack(lambda wildcards: photo_files(run_dataset(wildcards))),
        **{name: f"results/runs/{{run}}/predictions/test/{name}.parquet" for name in readouts.NAMES},
        labels=lambda wildcards: f"results/labels/{run_dataset(wildcards)}/labels.parquet",
        splits="results/runs/{run}/splits.parquet",
        summary="results/runs/{run}/summary.json",
        provenance="results/runs/{run}/provenance.json",
        metrics=lambda wildcards: expand(
            "results/runs/{{run}}/metrics/{photo_set}.json", photo_set=photo_sets(wildcards.run)
        ),
        geocells="results/runs/{run}/geocells/geocells.parquet",
        assignments="results/runs/{run}/geocells/assignments.parquet",
        quality="results/runs/{run}/geocells/quality.json",
        comparison="results/runs/{run}/geocells/comparison.json",
        refine_index="results/runs/{run}/refine_index",
        captions="results/runs/{run}/captions_preview.txt",
        pretrain_history="results/runs/{run}/pretrain_history.jsonl",
        finetune_history="results/runs/{run}/finetune_history.jsonl",
        manifests=raw_manifests(*configuration.used_sources(CONFIG)),
        variants=variant_summaries,
    output:
        report=report(
            "results/runs/{run}/report.html",
            caption="../workflow/report/run.rst",
            category="Runs",
            labels={"run": "{run}", "page": "report"},
        ),
    log:
        "results/logs/{run}/make_report.log",
    benchmark:
        "results/benchmarks/{run}/make_report.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=size_mb(2000, 2),
        runtime=30,
    params:
        settings=settings("make_report"),
    message:
        "Write the report of run {wildcards.run}"
    script:
        "../workflow/scripts/make_report.py"


rule report:
    input:
        expand("results/runs/{run}/report.html", run=RUNS),
        expand("results/runs/{run}/geocells/report.html", run=RUNS),
        expand("results/labels/{dataset}/report.html", dataset=configuration.used_datasets(CONFIG)),
