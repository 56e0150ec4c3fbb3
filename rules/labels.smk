# Labels of every photo: administrative areas, climate, weather, elevation, population, driving side, month.
RASTERS = ["climate", "temperature", "precipitation", "elevation", "population"]
DRIVING_SIDE = CONFIG["labels"]["driving_side"]
BOUNDARIES = f"results/boundaries/{CONFIG['labels']['boundaries']['source']}"
LABEL_INPUTS = {name: ancient(raw_files(CONFIG["labels"][name]["source"])) for name in RASTERS} | {
    "photos": "results/photos/{dataset}/photos.parquet",
    "grid": f"{BOUNDARIES}/grid",
    "manifests": raw_manifests(*(CONFIG["labels"][name]["source"] for name in RASTERS)),
}


rule prepare_boundaries:
    input:
        files=lambda wildcards: ancient(raw_files(f"{wildcards.dataset}/{wildcards.version}")),
        manifests=lambda wildcards: raw_manifests(f"{wildcards.dataset}/{wildcards.version}"),
    output:
        areas="results/boundaries/{dataset}/{version}/areas.parquet",
        grid=directory("results/boundaries/{dataset}/{version}/grid"),
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
        **LABEL_INPUTS,
    output:
        measured=temp("results/labels/{dataset}/tiles/{tile}-of-{tiles}.parquet"),
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
        settings=settings("label_tile", "labels"),
    message:
        "Look up tile {wildcards.tile} of {wildcards.tiles} of {wildcards.dataset}"
    script:
        "../workflow/scripts/label_tile.py"


rule label_photos:
    input:
        **LABEL_INPUTS,
        tiles=label_tiles,
        areas=f"{BOUNDARIES}/areas.parquet",
        driving_side=ancient(raw_files(DRIVING_SIDE)),
        sides_manifests=raw_manifests(DRIVING_SIDE),
    output:
        labels="results/labels/{dataset}/labels.parquet",
        agreement="results/labels/{dataset}/agreement.csv",
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
        expand("results/labels/{dataset}/labels.parquet", dataset=configuration.used_datasets(CONFIG)),
