# What shapes the cells of a run.
def cell_inputs(wildcards):
    """The photos that shape the cells of a run, and the run's own."""
    shaping, own = of_run(wildcards)["geocells"]["dataset"] or run_dataset(wildcards), run_dataset(wildcards)
    inputs = boundaries("areas") | made("assign_splits", "splits")
    for prefix, dataset in (("", shaping), ("run_", own)):
        inputs |= photo_files(dataset, "photos", prefix) | made("label_photos", "labels", prefix, dataset=dataset)
    return inputs


# What a compared method is made by; its other keys follow from the number of cells.
COMPARED = ("method", "min_photos", "max_photos", "optics", "levels", "s2_level", "quadtree_depth")
