# Predictions of a photo set: the classifier's, the refined ones, the places read out of them, and the baselines, all in
# the same table.
from homing import readouts


rule calibrate_classifier:
    input:
        unpack(run_embeddings),
        **made("finetune_geolocator", "model"),
        **made("assign_splits", "splits"),
        **made("make_geocells", "assignments"),
    output:
        calibration="results/runs/{run}/calibration.json",
        manifest="results/runs/{run}/manifests/calibrate_classifier.json",
    log:
        "results/logs/{run}/calibrate_classifier.log",
    benchmark:
        "results/benchmarks/{run}/calibrate_classifier.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=size_mb(4000, 2),
        runtime=60,
    params:
        settings=settings("calibrate_classifier"),
    message:
        "Calibrate the probabilities of run {wildcards.run} on its validation photos"
    script:
        "../workflow/scripts/calibrate_classifier.py"


rule predict_photos:
    input:
        unpack(lambda wildcards: embeddings(wildcards, set_dataset(wildcards))),
        **made("finetune_geolocator", "model"),
        **made("calibrate_classifier", "calibration"),
        **made("assign_splits", "splits"),
    output:
        classifier="results/runs/{run}/predictions/{photo_set}/classifier.parquet",
        tasks="results/runs/{run}/predictions/{photo_set}/tasks.parquet",
        manifest="results/runs/{run}/predictions/{photo_set}/manifests/predict_photos.json",
    log:
        "results/logs/{run}/predict_photos/{photo_set}.log",
    benchmark:
        "results/benchmarks/{run}/predict_photos/{photo_set}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=size_mb(2000, 4),
        runtime=120,
    params:
        settings=settings("predict_photos", "refine.top_cells"),
    message:
        "Predict the {wildcards.photo_set} photos of run {wildcards.run}"
    script:
        "../workflow/scripts/predict_photos.py"


rule build_refine_index:
    input:
        unpack(run_embeddings),
        unpack(run_photos()),
        **made("assign_splits", "splits"),
        **made("make_geocells", "assignments"),
    output:
        index=directory("results/runs/{run}/refine_index"),
        manifest="results/runs/{run}/manifests/build_refine_index.json",
    log:
        "results/logs/{run}/build_refine_index.log",
    benchmark:
        "results/benchmarks/{run}/build_refine_index.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=size_mb(2000, 6),
        runtime=240,
    params:
        settings=settings("build_refine_index", "refine.optics", "seed"),
    message:
        "Cluster the training photos of run {wildcards.run} into prototypes"
    script:
        "../workflow/scripts/build_refine_index.py"


rule fit_refinement:
    input:
        unpack(run_embeddings),
        unpack(run_photos()),
        **made("predict_photos", "classifier", photo_set="val"),
        **made("assign_splits", "splits"),
        **made("build_refine_index", "index"),
        **made("make_geocells", "hierarchy"),
    output:
        fitted="results/runs/{run}/refine.json",
        manifest="results/runs/{run}/manifests/fit_refinement.json",
    log:
        "results/logs/{run}/fit_refinement.log",
    benchmark:
        "results/benchmarks/{run}/fit_refinement.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=size_mb(2000, 6),
        runtime=120,
    params:
        settings=settings(
            "fit_refinement",
            "refine.top_cells",
            "refine.temperature",
            "refine.max_move_km",
            "refine.objective",
            "refine.mode_radius_km",
            "refine.hierarchy_weight",
            "refine.gate_similarity",
            "refine.exclude_author",
        ),
    message:
        "Fit the refinement of run {wildcards.run} on its validation photos"
    script:
        "../workflow/scripts/fit_refinement.py"


rule refine_predictions:
    input:
        unpack(lambda wildcards: embeddings(wildcards, set_dataset(wildcards))),
        **made("predict_photos", "classifier"),
        **made("build_refine_index", "index"),
        **made("fit_refinement", "fitted"),
    output:
        refined="results/runs/{run}/predictions/{photo_set}/refined.parquet",
        manifest="results/runs/{run}/predictions/{photo_set}/manifests/refine_predictions.json",
    log:
        "results/logs/{run}/refine_predictions/{photo_set}.log",
    benchmark:
        "results/benchmarks/{run}/refine_predictions/{photo_set}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=size_mb(2000, 6),
        runtime=120,
    params:
        settings=settings("refine_predictions", "refine.top_cells"),
    message:
        "Refine the {wildcards.photo_set} predictions of run {wildcards.run}"
    script:
        "../workflow/scripts/refine_predictions.py"


rule read_out_predictions:
    input:
        unpack(lambda wildcards: embeddings(wildcards, set_dataset(wildcards))),
        unpack(run_photos()),
        unpack(lambda wildcards: photo_files(set_dataset(wildcards), "photos", "query_")),
        **made("refine_predictions", "refined"),
        **made("build_refine_index", "index"),
        **made("make_geocells", "hierarchy"),
        **made("fit_refinement", "fitted"),
    output:
        **{name: f"results/runs/{{run}}/predictions/{{photo_set}}/{name}.parquet" for name in readouts.FURTHER},
        manifest="results/runs/{run}/predictions/{photo_set}/manifests/read_out_predictions.json",
    log:
        "results/logs/{run}/read_out_predictions/{photo_set}.log",
    benchmark:
        "results/benchmarks/{run}/read_out_predictions/{photo_set}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=size_mb(2000, 6),
        runtime=120,
    params:
        settings=settings("read_out_predictions", "refine.readout", "refine.score_radius_km", "refine.exclude_author"),
    message:
        "Read places out of the {wildcards.photo_set} predictions of run {wildcards.run}"
    script:
        "../workflow/scripts/read_out_predictions.py"


rule guess_baselines:
    input:
        unpack(run_photos("photos index shards")),
        unpack(lambda wildcards: photo_files(set_dataset(wildcards), prefix="query_")),
        **made("assign_splits", "splits"),
    output:
        constant="results/runs/{run}/predictions/{photo_set}/constant.parquet",
        thumbnail="results/runs/{run}/predictions/{photo_set}/thumbnail.parquet",
        manifest="results/runs/{run}/predictions/{photo_set}/manifests/guess_baselines.json",
    log:
        "results/logs/{run}/guess_baselines/{photo_set}.log",
    benchmark:
        "results/benchmarks/{run}/guess_baselines/{photo_set}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        settings=settings("guess_baselines", "seed", "evaluate.thumbnails"),
    message:
        "Guess the {wildcards.photo_set} photos of run {wildcards.run} without a model"
    script:
        "../workflow/scripts/guess_baselines.py"


rule embeddings:
    input:
        [
            outputs(
                "embed_photos",
                run=run,
                encoder=final_encoder(run),
                dataset=configuration.run_config(CONFIG, run)["run_dataset"],
            )
            for run in RUNS
        ],


rule refine:
    input:
        [
            outputs(rule, run=run, photo_set=photo_sets(run))
            for run in RUNS
            for rule in ("refine_predictions", "read_out_predictions")
        ],
