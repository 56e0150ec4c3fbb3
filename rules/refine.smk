# Predictions of a photo set: the classifier's, the refined ones, the places read out of them, and the baselines, all in
# the same table.
from homing.readouts import FURTHER


rule calibrate_classifier:
    input:
        unpack(lambda wildcards: embeddings(wildcards, run_dataset(wildcards))),
        model="results/runs/{run}/finetuned",
        splits="results/runs/{run}/splits.parquet",
        assignments="results/runs/{run}/geocells/assignments.parquet",
    output:
        calibration="results/runs/{run}/calibration.json",
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
        model="results/runs/{run}/finetuned",
        calibration="results/runs/{run}/calibration.json",
        splits="results/runs/{run}/splits.parquet",
    output:
        predictions="results/runs/{run}/predictions/{photo_set}/classifier.parquet",
        tasks="results/runs/{run}/predictions/{photo_set}/tasks.parquet",
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
        settings=refine_settings("predict_photos", "top_cells"),
    message:
        "Predict the {wildcards.photo_set} photos of run {wildcards.run}"
    script:
        "../workflow/scripts/predict_photos.py"


rule build_refine_index:
    input:
        unpack(lambda wildcards: embeddings(wildcards, run_dataset(wildcards))),
        photos=lambda wildcards: photo_files(run_dataset(wildcards))["photos"],
        splits="results/runs/{run}/splits.parquet",
        assignments="results/runs/{run}/geocells/assignments.parquet",
    output:
        index=directory("results/runs/{run}/refine_index"),
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
        settings=refine_settings("build_refine_index", "optics", "seed"),
    message:
        "Cluster the training photos of run {wildcards.run} into prototypes"
    script:
        "../workflow/scripts/build_refine_index.py"


rule fit_refinement:
    input:
        unpack(lambda wildcards: embeddings(wildcards, run_dataset(wildcards))),
        predictions="results/runs/{run}/predictions/val/classifier.parquet",
        photos=lambda wildcards: photo_files(run_dataset(wildcards))["photos"],
        splits="results/runs/{run}/splits.parquet",
        index="results/runs/{run}/refine_index",
        hierarchy="results/runs/{run}/geocells/hierarchy.parquet",
    output:
        fitted="results/runs/{run}/refine.json",
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
        settings=refine_settings(
            "fit_refinement",
            "top_cells",
            "temperature",
            "max_move_km",
            "objective",
            "mode_radius_km",
            "hierarchy_weight",
            "gate_similarity",
            "exclude_author",
        ),
    message:
        "Fit the refinement of run {wildcards.run} on its validation photos"
    script:
        "../workflow/scripts/fit_refinement.py"


rule refine_predictions:
    input:
        unpack(lambda wildcards: embeddings(wildcards, set_dataset(wildcards))),
        predictions="results/runs/{run}/predictions/{photo_set}/classifier.parquet",
        index="results/runs/{run}/refine_index",
        fitted="results/runs/{run}/refine.json",
    output:
        predictions="results/runs/{run}/predictions/{photo_set}/refined.parquet",
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
        settings=refine_settings("refine_predictions", "top_cells"),
    message:
        "Refine the {wildcards.photo_set} predictions of run {wildcards.run}"
    script:
        "../workflow/scripts/refine_predictions.py"


rule read_out_predictions:
    input:
        unpack(lambda wildcards: embeddings(wildcards, set_dataset(wildcards))),
        predictions="results/runs/{run}/predictions/{photo_set}/refined.parquet",
        photos=lambda wildcards: photo_files(run_dataset(wildcards))["photos"],
        query_photos=lambda wildcards: photo_files(set_dataset(wildcards))["photos"],
        index="results/runs/{run}/refine_index",
        hierarchy="results/runs/{run}/geocells/hierarchy.parquet",
        fitted="results/runs/{run}/refine.json",
    output:
        **{name: f"results/runs/{{run}}/predictions/{{photo_set}}/{name}.parquet" for name in FURTHER},
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
        settings=refine_settings("read_out_predictions", "readout", "score_radius_km", "exclude_author"),
    message:
        "Read places out of the {wildcards.photo_set} predictions of run {wildcards.run}"
    script:
        "../workflow/scripts/read_out_predictions.py"


rule guess_baselines:
    input:
        unpack(baseline_inputs),
        splits="results/runs/{run}/splits.parquet",
    output:
        constant="results/runs/{run}/predictions/{photo_set}/constant.parquet",
        thumbnail="results/runs/{run}/predictions/{photo_set}/thumbnail.parquet",
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
        settings=settings("guess_baselines", "seed", "evaluate"),
    message:
        "Guess the {wildcards.photo_set} photos of run {wildcards.run} without a model"
    script:
        "../workflow/scripts/guess_baselines.py"


rule embeddings:
    input:
        [run_embeddings(run) for run in RUNS],


rule refine:
    input:
        [
            f"results/runs/{run}/predictions/{photo_set}/{readout}.parquet"
            for run in RUNS
            for photo_set in photo_sets(run)
            for readout in ["refined", *FURTHER]
        ],
