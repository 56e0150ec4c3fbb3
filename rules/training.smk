# Captions, contrastive pretraining, embeddings, fine-tuning. Training jobs resume from results/checkpoints/<stage>/<fingerprint>/,
# which is no output, so that a retry, a requeue or a preemption loses nothing.


rule write_captions:
    input:
        photos=lambda wildcards: photo_files(run_dataset(wildcards))["photos"],
        labels=lambda wildcards: f"results/labels/{run_dataset(wildcards)}/labels.parquet",
    output:
        captions="results/runs/{run}/captions.parquet",
        preview="results/runs/{run}/captions_preview.txt",
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
        unpack(lambda wildcards: photo_files(run_dataset(wildcards))),
        unpack(checkpoint_inputs),
        captions="results/runs/{run}/captions.parquet",
        splits="results/runs/{run}/splits.parquet",
    output:
        model=directory("results/runs/{run}/pretrained"),
        history="results/runs/{run}/pretrain_history.jsonl",
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
        settings=settings("pretrain_clip", "seed", "captions", "model", "pretrain"),
    message:
        "Pretrain CLIP on the captions of run {wildcards.run}"
    script:
        "../workflow/scripts/pretrain_clip.py"


rule embed_photos:
    input:
        unpack(embedding_inputs),
    output:
        vectors="results/runs/{run}/embeddings/{trunk}/{dataset}/vectors.npy",
        photo_ids="results/runs/{run}/embeddings/{trunk}/{dataset}/photo_ids.parquet",
    log:
        "results/logs/{run}/embed_photos/{trunk}/{dataset}.log",
    benchmark:
        "results/benchmarks/{run}/embed_photos/{trunk}/{dataset}.tsv"
    retries: tries_again(2)
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        **({"gpu": CONFIG["finetune"]["gpus_per_node"]} if CONFIG["finetune"]["gpus_per_node"] else {}),
        mem_mb=4000,
        runtime=720,
        nodes=1,
        attempt=which_try,
    params:
        settings=settings("embed_photos", "model", "embed"),
    message:
        "Embed the photos of {wildcards.dataset} with the {wildcards.trunk} encoder of run {wildcards.run}"
    script:
        "../workflow/scripts/embed_photos.py"


rule finetune_geolocator:
    input:
        unpack(finetune_inputs),
        encoder="results/runs/{run}/pretrained",
        labels=lambda wildcards: f"results/labels/{run_dataset(wildcards)}/labels.parquet",
        splits="results/runs/{run}/splits.parquet",
        geocells="results/runs/{run}/geocells/geocells.parquet",
        hierarchy="results/runs/{run}/geocells/hierarchy.parquet",
        assignments="results/runs/{run}/geocells/assignments.parquet",
    output:
        model=directory("results/runs/{run}/finetuned"),
        history="results/runs/{run}/finetune_history.jsonl",
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
        settings=settings("finetune_geolocator", "seed", "model", "finetune"),
    message:
        "Fine-tune the geolocator of run {wildcards.run}"
    script:
        "../workflow/scripts/finetune_geolocator.py"


rule pretrain:
    input:
        expand("results/runs/{run}/pretrained", run=RUNS),


rule finetune:
    input:
        expand("results/runs/{run}/finetuned", run=RUNS),
