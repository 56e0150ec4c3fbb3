# What a run hands over: a model package that `homing predict` loads, and one offline HTML page.
include: "inputs/report.smk"


rule package_model:
    input:
        unpack(leaks("counts")),
        unpack(run_photos()),
        **made("finetune_geolocator", "model"),
        **made("make_geocells", "geocells hierarchy"),
        **made("build_refine_index", "index"),
        **made("fit_refinement", "fitted"),
        **made("calibrate_classifier", "calibration"),
        **made("assign_splits", "splits"),
        **made("evaluate_predictions", "metrics", photo_set="test"),
        **made("summarise_run", "summary provenance"),
        **made("pretrain_clip", "encoder=model"),
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
        settings=settings("package_model", "refine", methods=["score"]),  # asked of a package, any readout answers
    message:
        "Package the model of run {wildcards.run}"
    script:
        "../workflow/scripts/package_model.py"


rule report_labels:
    input:
        unpack(lambda wildcards: boundaries("areas grid")),
        **made("import_photos", "photos"),
        **made("label_photos", "labels agreement"),
        driving_side=ancient(raw_files(DRIVING_SIDE)),
        driving_side_manifests=raw_manifests(DRIVING_SIDE),
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
        unpack(run_photos()),
        **made("make_geocells", "geocells assignments quality"),
        **made("compare_geocells", "comparison"),
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
        unpack(run_photos("photos index shards")),
        unpack(run_labels),
        unpack(prediction_files),
        unpack(run_metrics),
        **made("assign_splits", "splits"),
        **made("summarise_run", "summary provenance"),
        **made("make_geocells", "geocells assignments quality"),
        **made("compare_geocells", "comparison"),
        **made("build_refine_index", "index", "refine_"),
        **made("write_captions", "preview"),
        **made("pretrain_clip", "history", "pretrain_"),
        **made("finetune_geolocator", "history", "finetune_"),
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
