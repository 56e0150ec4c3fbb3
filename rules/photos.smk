# Photo collections become one table and tar shards each; each run divides its own into train, val and test.
include: "inputs/photos.smk"


rule list_photos:
    input:
        unpack(collection_files),
    output:
        candidates=temp("results/photos/{dataset}/import/candidates.parquet"),
        rejected=temp("results/photos/{dataset}/import/rejected.parquet"),
        manifest="results/photos/{dataset}/import/manifests/list_photos.json",
    log:
        "results/logs/list_photos/{dataset}.log",
    benchmark:
        "results/benchmarks/list_photos/{dataset}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        settings=settings("list_photos", "dataset"),
    message:
        "List the photos of {wildcards.dataset} and validate their rows"
    script:
        "../workflow/scripts/list_photos.py"


rule store_photos:
    input:
        unpack(collection_files),
        **made("list_photos", "candidates"),
    output:
        part=temp(directory("results/photos/{dataset}/import/part-{part}-of-{parts}")),
        manifest="results/photos/{dataset}/import/manifests/part-{part}-of-{parts}.json",
    log:
        "results/logs/store_photos/{dataset}/{part}-of-{parts}.log",
    benchmark:
        "results/benchmarks/store_photos/{dataset}/{part}-of-{parts}.tsv"
    retries: tries_again(2)
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=720,
        attempt=which_try,
    params:
        settings=settings("store_photos", "dataset", "shards"),
    message:
        "Check and shard the images of {wildcards.dataset}, part {wildcards.part} of {wildcards.parts}"
    script:
        "../workflow/scripts/store_photos.py"


rule import_photos:
    input:
        unpack(import_parts),
        **made("list_photos", "candidates rejected"),
    output:
        photos="results/photos/{dataset}/photos.parquet",
        rejected="results/photos/{dataset}/rejected.parquet",
        index="results/photos/{dataset}/index.parquet",
        ledger="results/photos/{dataset}/ledger.parquet",
        shards=directory("results/photos/{dataset}/shards"),
        manifest="results/photos/{dataset}/manifests/import_photos.json",
    log:
        "results/logs/import_photos/{dataset}.log",
    benchmark:
        "results/benchmarks/import_photos/{dataset}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        settings=settings("import_photos", "dataset.views"),
    message:
        "Join the photos of {wildcards.dataset}"
    script:
        "../workflow/scripts/import_photos.py"


rule find_leaks:
    input:
        unpack(leak_inputs),
    output:
        leaks="results/runs/{run}/leaks.parquet",
        counts="results/runs/{run}/leaks.json",
        manifest="results/runs/{run}/manifests/find_leaks.json",
    log:
        "results/logs/{run}/find_leaks.log",
    benchmark:
        "results/benchmarks/{run}/find_leaks.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=size_mb(1000, 20),
        runtime=120,
    params:
        settings=settings("find_leaks", "evaluate.benchmarks", "decontaminate"),
    message:
        "Look for photos of run {wildcards.run} that its benchmarks have too"
    script:
        "../workflow/scripts/find_leaks.py"


rule assign_splits:
    input:
        unpack(run_photos()),
        unpack(leaks("leaks")),
    output:
        splits="results/runs/{run}/splits.parquet",
        manifest="results/runs/{run}/manifests/assign_splits.json",
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
        settings=settings("assign_splits", "seed", "splits"),
    message:
        "Divide the photos of run {wildcards.run} into train, val and test"
    script:
        "../workflow/scripts/assign_splits.py"
