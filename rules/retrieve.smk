# Raw files: each is one row of config/sources.csv, verified before it is visible, with a manifest beside it.
include: "inputs/retrieve.smk"


rule make_toyplanet:
    output:
        sums="results/toyplanet/SHA256SUMS",
        files=expand("results/toyplanet/{file}", file=toyplanet_files()),
    log:
        "results/logs/make_toyplanet.log",
    benchmark:
        "results/benchmarks/make_toyplanet.tsv"
    conda:
        "../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=settings("make_toyplanet", "toyplanet"),
    message:
        "Generate the toy planet in the upstream formats"
    script:
        "../workflow/scripts/make_toyplanet.py"


rule retrieve_file:
    input:
        generated,
    output:
        file="results/raw/{dataset}/{version}/{file}",
        manifest="results/raw/{dataset}/{version}/manifests/{file}.json",
    log:
        "results/logs/retrieve_file/{dataset}/{version}/{file}.log",
    benchmark:
        "results/benchmarks/retrieve_file/{dataset}/{version}/{file}.tsv"
    retries: tries_again(2)
    conda:
        "../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=lambda wildcards, attempt: 240 * attempt,
        attempt=which_try,
    # Neither the code nor the mirror nor an acceptance makes a file that is there be fetched again: only another address.
    params:
        settings=lambda wildcards: {"config": {"url": source_row(wildcards)["url"]}},
    message:
        "Retrieve {wildcards.file} ({wildcards.dataset}, version {wildcards.version})"
    script:
        "../workflow/scripts/retrieve_file.py"


rule retrieve:
    input:
        raw_manifests(*USED_SOURCES),
    params:
        listing=lambda wildcards: listing(
            configuration.used_rows(CONFIG, SOURCES), Path("results/raw"), CONFIG["mirror"], CONFIG["accept_licences"]
        ),
    message:
        "Raw files of this configuration:\n{params.listing}"
