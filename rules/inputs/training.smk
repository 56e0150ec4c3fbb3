# What is trained on what, and the machines that a training asks for.
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
    return made("convert_checkpoint", "checkpoint=folder", dataset=dataset, version=version)


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
