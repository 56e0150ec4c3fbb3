# Photo collections become one table and tar shards each; each run divides its own into train, val and test.


rule import_photos:
    input:
        unpack(collection_files),
    output:
        photos="results/photos/{dataset}/photos.parquet",
        rejected="results/photos/{dataset}/rejected.parquet",
        index="results/photos/{dataset}/index.parquet",
        shards=directory("results/photos/{dataset}/shards"),
    log:
        "results/logs/import_photos/{dataset}.log",
    benchmark:
        "results/benchmarks/import_photos/{dataset}.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=720,
    params:
        settings=settings("import_photos", "datasets", "shards", "mirror", "max_rejected_share"),
    message:
        "Read, check and shard the photos of {wildcards.dataset}"
    script:
        "../workflow/scripts/import_photos.py"


rule assign_splits:
    input:
        photos=lambda wildcards: photo_files(run_dataset(wildcards))["photos"],
    output:
        splits="results/runs/{run}/splits.parquet",
    log:
        "results/logs/{run}/assign_splits.log",
    benchmark:
        "results/benchmarks/{run}/assign_splits.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=size_mb(1000, 20),
        runtime=60,
    params:
        settings=settings("assign_splits", "seed", "splits", "run_dataset"),
    message:
        "Divide the photos of run {wildcards.run} into train, val and test"
    script:
        "../workflow/scripts/assign_splits.py"
