# Captions, contrastive pretraining, embeddings, fine-tuning. Training jobs resume from results/checkpoints/<stage>/<fingerprint>/,
# which is no output, so that a retry, a requeue or a preemption loses nothing.


def training_resources(stage):
    """Resources of a training job, as its run asks for them. Several nodes: one task per node, as the SLURM plugin wants."""

    def asked(choose):
        return lambda wildcards: choose(**{key: of_run(wildcards)[stage][key] for key in ("nodes", "gpus_per_node")})

    return {
        "nodes": asked(lambda nodes, gpus_per_node: nodes),
        "gpu": asked(lambda nodes, gpus_per_node: gpus_per_node or None if nodes == 1 else None),
        "gres": asked(lambda nodes, gpus_per_node: f"gpu:{gpus_per_node}" if nodes > 1 and gpus_per_node else None),
        "mpi": asked(lambda nodes, gpus_per_node: "srun" if nodes > 1 else None),
        "tasks": asked(lambda nodes, gpus_per_node: nodes if nodes > 1 else None),
        "tasks_per_gpu": asked(lambda nodes, gpus_per_node: 0 if nodes > 1 else None),
    }


def checkpoint_inputs(wildcards):
    """The checkpoint that a run starts from, where it is retrieved."""
    source = of_run(wildcards)["model"]["source"]
    if not source:
        return {}
    dataset, version = source.split("/")
    files = made("convert_checkpoint", "folder", dataset=dataset, version=version)
    return {"checkpoint": files.pop("folder")} | files


def encoder_files(encoder):
    """The encoder of a run: pretrained, or as it is after fine-tuning."""
    return made("pretrain_clip" if encoder == "pretrained" else "finetune_geolocator", "model")


def final_encoder(run):
    """The encoder whose embeddings are searched: fine-tuning changes it unless only the heads are trained."""
    return "pretrained" if configuration.run_config(CONFIG, run)["finetune"]["trainable"] == "heads" else "finetuned"


def embeddings(wildcards, dataset, encoder=None):
    """The vectors of a data set's photos, by the encoder that is searched or another."""
    encoder = encoder or final_encoder(wildcards.run)
    return made("embed_photos", "vectors photo_ids", encoder=encoder, dataset=dataset)


def run_embeddings(wildcards):
    return embeddings(wildcards, run_dataset(wildcards))


def finetune_inputs(wildcards):
    """Cached embeddings when only the heads are trained, else the photos."""
    dataset = run_dataset(wildcards)
    if of_run(wildcards)["finetune"]["trainable"] == "heads":
        return embeddings(wildcards, dataset, "pretrained") | photo_files(dataset, "photos")
    return photo_files(dataset)


def pretrain_keys(wildcards):
    """An encoder that is handed over as it is depends on neither captions nor training settings."""
    captions = ["captions"] if of_run(wildcards)["pretrain"]["enabled"] else []
    return ["seed", "torch_threads", "model", "pretrain", *captions]


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
        settings=lambda wildcards: settings("pretrain_clip", *pretrain_keys(wildcards))(wildcards),
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
        encoder=ancient(rules.pretrain_clip.output.model),
        encoder_manifest=rules.pretrain_clip.output.manifest,
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
