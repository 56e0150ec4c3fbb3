"""The settings of a job: everything it depends on beside its inputs."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from homing.config.configuration import Config, with_paths
from homing.config.slices import slice_of
from homing.jobs.code import fingerprint
from homing.jobs.fingerprint import content_of, of_listing


def settings_of(
    config: Config,
    script: Path,
    keys: Iterable[str],
    run: str | None = None,
    dataset: str | None = None,
    methods: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the slice of the configuration and the fingerprint of the code.

    keys: dotted keys of the run's configuration; "dataset" stands for the configuration of one data set with the
    content of the user's files, "dataset.KEY" for one key of it, if it is given. methods: further methods whose keys
    count.
    """
    own = [key for key in keys if key.split(".")[0] == "dataset"]
    chosen = slice_of(config, [key for key in keys if key not in own], run, methods)
    if own:
        chosen["dataset"] = _of_dataset(config, config["datasets"][dataset], own)
    return {"config": chosen, "code": fingerprint(script)}


def _of_dataset(config: Config, dataset: Config, keys: list[str]) -> Config:
    if "dataset" not in keys:
        return {key: dataset[key] for key in (key.split(".")[1] for key in keys) if key in dataset}
    dataset = with_paths(config, dataset)
    if "source" in dataset:
        return dataset
    # The user's own files: a table counts by its content, images by their names and sizes.
    return dataset | {
        "content": {
            name: describe(dataset[name])
            for name, describe in (("table", _of_table), ("images", _of_images))
            if dataset.get(name) and Path(dataset[name]).exists()
        }
    }


@cache
def _of_table(path: str) -> str:
    return content_of(path)


@cache
def _of_images(path: str) -> str:
    return of_listing(path)
