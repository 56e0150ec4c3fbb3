# Captions, contrastive pretraining, embeddings, fine-tuning. Training jobs resume from results/checkpoints/<stage>/<fingerprint>/,
# which is no output, so that a retry, a requeue or a preemption loses nothing.
include: "inputs/training.smk"


rule write_captions:
    input:
        unpack(run_photos()),
        unpack(run_labels),
    output:
        captions="results/runs/{run}/captions.parquet",
        preview="results/runs/{run}/captions_preview.txt",
        manifest="results/runs/{run}/manifests/write_captions.json",
    log:
        "results/logs/{run}/write_captions.log",
    benchmark:
        "results/benchmarks/{run}/write_captions.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=size_mb(1000, 20),
        runtime=60,
    params:
        settings=settings("write_captions", "seed", "captions"),
    message:
        "Write the caption clues of run {wildcards.run}"
    script:
        "../workflow/scripts/write_captions.py"


rule convert_checkpoint:
    input:
        files=lambda wildcards: ancient(raw_files(f"{wildcards.dataset}/{wildcards.version}")),
        manifests=lambda wildcards: raw_manifests(f"{wildcards.dataset}/{wildcards.version}"),
    output:
        folder=directory("results/encoders/{dataset}/{version}"),
        manifest="results/encoders/{dataset}/manifests/{version}.json",
    log:
        "results/logs/convert_checkpoint/{dataset}/{version}.log",
    benchmark:
        "results/benchmarks/convert_checkpoint/{dataset}/{version}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=size_mb(1000, 3),
        runtime=60,
    params:
        settings=settings("convert_checkpoint"),
    message:
        "Keep the weights of {wildcards.dataset} as safetensors"
    script:
        "../workflow/scripts/convert_checkpoint.py"


rule pretrain_clip:
    input:
        unpack(run_photos("photos index shards")),
        unpack(checkpoint_inputs),
        **made("write_captions", "captions"),
        **made("assign_splits", "splits"),
    output:
        model=directory("results/runs/{run}/pretrained"),
        history="results/runs/{run}/pretrain_history.jsonl",
        manifest="results/runs/{run}/manifests/pretrain_clip.json",
    log:
        "results/logs/{run}/pretrain_clip.log",
    benchmark:
        "results/benchmarks/{run}/pretrain_clip.tsv"
    retries: tries_again(3)
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        **training_resources("pretrain"),
        mem_mb=4000,
        runtime=1440,
        attempt=which_try,
    params:
        settings=settings("pretrain_clip", pretrain_keys),
    message:
        "Pretrain CLIP on the captions of run {wildcards.run}"
    script:
        "../workflow/scripts/pretrain_clip.py"


rule embed_photos:
    input:
        unpack(lambda wildcards: photo_files(wildcards.dataset)),
        unpack(lambda wildcards: encoder_files(wildcards.encoder)),
    output:
        vectors="results/runs/{run}/embeddings/{encoder}/{dataset}/vectors.npy",
        photo_ids="results/runs/{run}/embeddings/{encoder}/{dataset}/photo_ids.parquet",
        manifest="results/runs/{run}/embeddings/{encoder}/{dataset}/manifests/embed_photos.json",
    log:
        "results/logs/{run}/embed_photos/{encoder}/{dataset}.log",
    benchmark:
        "results/benchmarks/{run}/embed_photos/{encoder}/{dataset}.tsv"
    retries: tries_again(2)
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        gpu=lambda wildcards: of_run(wildcards)["finetune"]["gpus_per_node"] or None,
        mem_mb=4000,
        runtime=720,
        nodes=1,
        attempt=which_try,
    params:
        settings=settings("embed_photos", "torch_threads", "model.pooling", "embed"),
    message:
        "Embed the photos of {wildcards.dataset} with the {wildcards.encoder} encoder of run {wildcards.run}"
    script:
        "../workflow/scripts/embed_photos.py"


rule finetune_geolocator:
    input:
        unpack(finetune_inputs),
        unpack(run_labels),
        **made("assign_splits", "splits"),
        **made("make_geocells", "geocells hierarchy assignments"),
        **made("pretrain_clip", "encoder=model"),
    output:
        model=directory("results/runs/{run}/finetuned"),
        history="results/runs/{run}/finetune_history.jsonl",
        manifest="results/runs/{run}/manifests/finetune_geolocator.json",
    log:
        "results/logs/{run}/finetune_geolocator.log",
    benchmark:
        "results/benchmarks/{run}/finetune_geolocator.tsv"
    retries: tries_again(3)
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        **training_resources("finetune"),
        mem_mb=4000,
        runtime=1440,
        attempt=which_try,
    params:
        settings=settings("finetune_geolocator", "seed", "torch_threads", "model.pooling", "finetune"),
    message:
        "Fine-tune the geolocator of run {wildcards.run}"
    script:
        "../workflow/scripts/finetune_geolocator.py"


rule pretrain:
    input:
        outputs("pretrain_clip", run=RUNS),


rule finetune:
    input:
        outputs("finetune_geolocator", run=RUNS),
