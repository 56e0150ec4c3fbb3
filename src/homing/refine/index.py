"""The prototypes of each geocell: clusters of its training photos, with their mean embeddings.

On disk a folder: prototypes.parquet (prototype, cell_id, latitude, longitude, photos), members.parquet (prototype,
photo_id, latitude, longitude), prototypes.npy and members.npy (float16), centre.npy (float32).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from homing.optics import optics_clusters
from homing.sphere import EARTH_RADIUS_KM, spherical_mean, unit_vectors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RefineIndex:
    """prototypes, sorted by cell_id, and members, sorted by prototype, with one vector per row.

    Vectors are centred on the mean of the training embeddings and have length 1, so that distances between them lie in
    0..2 whatever the encoder.
    """

    prototypes: pd.DataFrame
    members: pd.DataFrame
    prototype_vectors: np.ndarray
    member_vectors: np.ndarray
    centre: np.ndarray

    def comparable(self, vectors: np.ndarray) -> np.ndarray:
        """Embeddings (n, d) as the index keeps them: centred, of length 1, float32."""
        return unit_length(np.asarray(vectors, dtype=np.float32) - self.centre)

    def save(self, folder: str | Path) -> None:
        """Write the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.prototypes.to_parquet(folder / "prototypes.parquet", index=False)
        self.members.to_parquet(folder / "members.parquet", index=False)
        np.save(folder / "prototypes.npy", self.prototype_vectors.astype(np.float16), allow_pickle=False)
        np.save(folder / "members.npy", self.member_vectors.astype(np.float16), allow_pickle=False)
        np.save(folder / "centre.npy", self.centre.astype(np.float32), allow_pickle=False)

    @classmethod
    def load(cls, folder: str | Path) -> "RefineIndex":
        """Read the folder; vectors stay on disk until they are used."""
        folder = Path(folder)
        return cls(
            pd.read_parquet(folder / "prototypes.parquet"),
            pd.read_parquet(folder / "members.parquet"),
            np.load(folder / "prototypes.npy", mmap_mode="r", allow_pickle=False),
            np.load(folder / "members.npy", mmap_mode="r", allow_pickle=False),
            np.load(folder / "centre.npy", allow_pickle=False),
        )


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Rows divided by their length; a zero row stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def build_index(photos: pd.DataFrame, vectors: np.ndarray, optics: Sequence[float]) -> RefineIndex:
    """The index of training photos (photo_id, latitude, longitude, cell_id) and their embeddings (n, d).

    optics: (min_samples, xi) of the clusters of each cell's coordinates. A photo in no cluster is a prototype of its
    own. Haas et al., "PIGEON", CVPR 2024, section 3.4.
    """
    centre = np.asarray(vectors, dtype=np.float32).mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1])
    prepared = unit_length(np.asarray(vectors, dtype=np.float32) - centre)
    order = np.lexsort((photos["photo_id"], photos["cell_id"]))
    photos, prepared = photos.iloc[order].reset_index(drop=True), prepared[order]
    min_samples, xi = int(optics[0]), optics[1]
    prototype = np.empty(len(photos), dtype=np.int64)
    started = 0
    for _, rows in sorted(photos.groupby("cell_id").indices.items()):
        labels = cluster_places(
            photos["latitude"].to_numpy()[rows], photos["longitude"].to_numpy()[rows], min_samples, xi
        )
        prototype[rows] = started + labels
        started += labels.max() + 1
    members = photos[["photo_id", "latitude", "longitude"]].assign(prototype=prototype)
    order = np.argsort(prototype, kind="stable")
    members, prepared, cell_ids = (
        members.iloc[order].reset_index(drop=True),
        prepared[order],
        photos["cell_id"].iloc[order],
    )
    rows, means = [], np.empty((started, prepared.shape[1]), dtype=np.float32)
    for number, own in sorted(members.groupby("prototype").indices.items()):
        means[number] = prepared[own].mean(axis=0)
        latitude, longitude = spherical_mean(members["latitude"].iloc[own], members["longitude"].iloc[own])
        rows.append((number, int(cell_ids.iloc[own[0]]), latitude, longitude, len(own)))
    prototypes = pd.DataFrame(rows, columns=["prototype", "cell_id", "latitude", "longitude", "photos"])
    log.info("%d prototypes of %d photos in %d cells", started, len(photos), prototypes["cell_id"].nunique())
    return RefineIndex(prototypes, members, unit_length(means), prepared, np.asarray(centre, dtype=np.float32))


def cluster_places(latitude: np.ndarray, longitude: np.ndarray, min_samples: int, xi: float) -> np.ndarray:
    """Labels 0..k-1 (n,) of the photos of one cell: density clusters, and each photo in none by itself."""
    labels = np.full(len(latitude), -1)
    if len(latitude) > min_samples:
        labels = optics_clusters(EARTH_RADIUS_KM * unit_vectors(latitude, longitude), min_samples, xi)
    alone = labels < 0
    labels = np.where(alone, labels.max() + np.cumsum(alone), labels)
    return np.unique(labels, return_inverse=True)[1]
