# What the labels of a data set are looked up in.
RASTERS = ["climate", "temperature", "precipitation", "elevation", "population"]
DRIVING_SIDE = CONFIG["labels"]["driving_side"]


def label_inputs(wildcards):
    """The photos, and the rasters and areas that are looked up."""
    sources = {name: CONFIG["labels"][name]["source"] for name in RASTERS}
    rasters = {name: ancient(raw_files(source)) for name, source in sources.items()}
    manifests = {"raster_manifests": raw_manifests(*sources.values())}
    return rasters | manifests | photo_files(wildcards.dataset, "photos") | boundaries("grid")


def label_tiles(wildcards):
    """What other jobs look up of a data set; nothing where one job does it all."""
    count = CONFIG["labels"]["tiles"]
    return made("label_tile", "tiles=measured", tile=list(range(count)) if count > 1 else [], tiles=count)


def label_mb(wildcards, input):
    """Memory that grows with the photos: some columns of all of them, beside two workers with their rasters' cache."""
    photos = Path(input.photos)
    return 6000 + (photos.stat().st_size * 20 // 1_000_000 if photos.exists() else 0)
