# Which raw files there are, and what the toy planet generates of them.
from homing.sources.listing import listing

USED_SOURCES = configuration.used_sources(CONFIG)


def toyplanet_files():
    return sorted({row["url"].removeprefix("toyplanet:") for row in SOURCES if row["url"].startswith("toyplanet:")})


def source_row(wildcards):
    return table.source_row(SOURCES, f"{wildcards.dataset}/{wildcards.version}", wildcards.file)


def generated(wildcards):
    """The toy planet's file and checksums, for rows that are generated here."""
    url = source_row(wildcards)["url"]
    if not url.startswith("toyplanet:"):
        return []
    return [ancient(f"results/toyplanet/{url.removeprefix('toyplanet:')}"), "results/toyplanet/SHA256SUMS"]
