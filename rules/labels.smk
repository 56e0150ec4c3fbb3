# Labels of every photo: administrative areas, climate, weather, elevation, population, driving side, month.
include: "inputs/labels.smk"


rule prepare_boundaries:
    input:
        files=lambda wildcards: ancient(raw_files(f"{wildcards.dataset}/{wildcards.version}")),
        manifests=lambda wildcards: raw_manifests(f"{wildcards.dataset}/{wildcards.version}"),
    output:
        areas="results/boundaries/{dataset}/{version}/areas.parquet",
        grid=directory("results/boundaries/{dataset}/{version}/grid"),
        manifest="results/boundaries/{dataset}/{version}/manifests/prepare_boundaries.json",
    log:
        "results/logs/prepare_boundaries/{dataset}/{version}.log",
    benchmark:
        "results/benchmarks/prepare_boundaries/{dataset}/{version}.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=size_mb(2000, 8),
        runtime=120,
    params:
        settings=settings("prepare_boundaries"),
    message:
        "Read the administrative areas of {wildcards.dataset}, version {wildcards.version}"
    script:
        "../workflow/scripts/prepare_boundaries.py"


rule label_tile:
    input:
        unpack(label_inputs),
    output:
        measured=temp("results/labels/{dataset}/tiles/{tile}-of-{tiles}.parquet"),
        manifest="results/labels/{dataset}/tiles/manifests/{tile}-of-{tiles}.json",
    log:
        "results/logs/label_tile/{dataset}/{tile}-of-{tiles}.log",
    benchmark:
        "results/benchmarks/label_tile/{dataset}/{tile}-of-{tiles}.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 2
    resources:
        mem_mb=label_mb,
        runtime=240,
    params:
        settings=settings("label_tile", *(f"labels.{name}" for name in ("boundaries", *RASTERS))),
    message:
        "Look up tile {wildcards.tile} of {wildcards.tiles} of {wildcards.dataset}"
    script:
        "../workflow/scripts/label_tile.py"


rule label_photos:
    input:
        unpack(label_inputs),
        unpack(label_tiles),
        unpack(lambda wildcards: boundaries("areas")),
        driving_side=ancient(raw_files(DRIVING_SIDE)),
        driving_side_manifests=raw_manifests(DRIVING_SIDE),
    output:
        labels="results/labels/{dataset}/labels.parquet",
        agreement="results/labels/{dataset}/agreement.csv",
        manifest="results/labels/{dataset}/manifests/label_photos.json",
    log:
        "results/logs/label_photos/{dataset}.log",
    benchmark:
        "results/benchmarks/label_photos/{dataset}.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 2
    resources:
        mem_mb=label_mb,
        runtime=240,
    params:
        settings=settings("label_photos", "labels"),
    message:
        "Label the photos of {wildcards.dataset}"
    script:
        "../workflow/scripts/label_photos.py"


rule labels:
    input:
        outputs("label_photos", dataset=configuration.used_datasets(CONFIG)),
