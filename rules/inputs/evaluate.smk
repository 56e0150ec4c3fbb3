# The predictions of a photo set and what they are scored against.
def prediction_files(wildcards):
    """All predictions of a photo set, by readout, and those of the tasks."""
    photo_set = wildcards.get("photo_set", "test")
    files = made("predict_photos", "tasks", photo_set=photo_set)
    for readout in readouts.READOUTS:
        files |= made(readout.rule, readout.name, photo_set=photo_set)
    return files


def truth(wildcards):
    """Photos and labels of a photo set and of the training photos; of a benchmark also its leaks."""
    dataset, own = set_dataset(wildcards), run_dataset(wildcards)
    return (
        photo_files(dataset, "photos")
        | made("label_photos", "labels", dataset=dataset)
        | photo_files(own, "photos", "train_")
        | made("label_photos", "labels", "train_", dataset=own)
        | ({} if dataset == own else made("find_leaks", "leaks"))
    )


def evaluation_keys(wildcards):
    """How a photo set is scored, within what reach an answer has a country, and of benchmarks what a leak is."""
    keys = ["seed", "evaluate.radii_km", "labels.boundaries.nearest_km"]
    return keys + ([] if set_dataset(wildcards) == run_dataset(wildcards) else ["decontaminate.by"])


def run_metrics(wildcards):
    """The metrics of a run's photo sets."""
    return made("evaluate_predictions", "metrics", photo_set=photo_sets(wildcards.run))
