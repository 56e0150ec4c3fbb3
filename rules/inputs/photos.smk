# What the rules of an import read, and the photos that a run and its benchmarks share.
def collection_files(wildcards):
    """What a data set is read from: the raw files of its source, the user's own table, a folder of photos."""
    dataset = configuration.with_paths(CONFIG, CONFIG["datasets"][wildcards.dataset])
    if "source" in dataset:
        return {"files": ancient(raw_files(dataset["source"])), "manifests": raw_manifests(dataset["source"])}
    return {"files": [ancient(dataset["table"] if dataset["adapter"] == "csv_folder" else dataset["images"])]}


def import_parts(wildcards):
    """The folders of the jobs that store the images of a data set, with their manifests; none when it has no images."""
    dataset = CONFIG["datasets"][wildcards.dataset]
    count = dataset.get("parts", 1) if "source" in dataset or dataset.get("images") else 0
    return made("store_photos", "parts=part", part=[f"{number:04d}" for number in range(count)], parts=f"{count:04d}")


def leak_inputs(wildcards):
    """The photos of a run and of its benchmarks, with their image hashes."""
    return photo_files([run_dataset(wildcards), *of_run(wildcards)["evaluate"]["benchmarks"]], "photos index")
