"""The files of a model package, and the check that this version can read a folder.

config.json: format, run, refine (settings of the readouts), calibration (temperature of the logits, or null), precision
of the encoder, answers (the finest it gives), photos (true if it has the training photos), summary, versions.
geolocator.json, heads.safetensors, cells.parquet (place, names, area and photos of each cell), hierarchy.parquet,
cells.geojson (simplified outlines), preprocessor_config.json, encoder/ (transformers' layout), refine/ (the index),
card.json and README.md (the model card).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homing import __version__
from homing.errors import HomingError
from homing.files import read_json

FORMAT = 3
ANSWERS = ("exact", "region", "country")  # from the finest to the coarsest
OWN = ("config.json", "geolocator.json", "heads.safetensors", "cells.parquet", "preprocessor_config.json", "card.json")
INDEX = ("prototypes.parquet", "members.parquet", "prototypes.npy", "members.npy", "centre.npy")
ENCODER = ("config.json", "model.safetensors", "preprocessor_config.json")


@dataclass(frozen=True)
class Layout:
    """The folders of a package: `own` has its own files, `encoder` the image encoder."""

    own: Path
    encoder: Path

    @classmethod
    def of(cls, folder: str | Path) -> "Layout":
        """Find the package in a folder: a package, a Hugging Face layout or a run. Raises HomingError without one."""
        folder = Path(folder)
        known = [
            cls(folder, folder / "encoder"),
            cls(folder / "homing", folder),
            cls(folder / "model", folder / "model/encoder"),
        ]
        for layout in known:
            if any((layout.own / name).is_file() for name in ("geolocator.json", "heads.safetensors", "cells.parquet")):
                return layout
        raise HomingError(f"{folder}: no model package; give the folder results/runs/<run>/model of a finished run")

    @property
    def index(self) -> Path | None:
        """Folder of the index of training photos; None if the package has none."""
        return self.own / "refine" if (self.own / "refine").is_dir() else None

    def read_config(self) -> dict[str, Any]:
        """Return the content of config.json without any check."""
        return read_json(self.own / "config.json")

    def config(self) -> dict[str, Any]:
        """Return the content of config.json. Raises HomingError if the format is another or a file is missing."""
        config = self.read_config()
        if config.get("format") != FORMAT:
            raise HomingError(
                f"{self.own / 'config.json'}: a package of format {config.get('format')}, made by Homing "
                f"{config.get('versions', {}).get('homing', 'of unknown version')}; Homing {__version__} reads format "
                f"{FORMAT}. Make it again (delete the folder and run the workflow), or install the Homing it came from"
            )
        wanted = [self.own / name for name in OWN] + [self.encoder / name for name in ENCODER]
        wanted += [self.index / name for name in INDEX] if self.index else []
        absent = [str(path) for path in wanted if not path.is_file()]
        if absent:
            raise HomingError(f"{absent[0]}: missing, so the package is incomplete; copy it again, all files of it")
        return config
