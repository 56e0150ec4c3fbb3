"""The refinement index: prototypes of each geocell, which are clusters of its training photos, with mean embeddings.

On disk a folder: prototypes.parquet (prototype, cell_id, latitude, longitude, photos), members.parquet (prototype,
photo_id, latitude, longitude), prototypes.npy and members.npy (float16), centre.npy (float32).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from homing.sphere import EARTH_RADIUS_KM, from_vectors, unit_vectors

log = logging.getLogger(__name__)

BLOCK = 32_768  # vectors held as float32 at a time: 128 MB of 1,024 dimensions


@dataclass(frozen=True)
class RefineIndex:
    """Prototypes, sorted by cell_id, and their members (training photos), sorted by prototype; one vector per row.

    Vectors (float16) are centred on the mean training embedding and scaled to length 1, so that distances between them
    lie in 0..2 for any encoder.
    """

    prototypes: pd.DataFrame
    members: pd.DataFrame
    prototype_vectors: np.ndarray
    member_vectors: np.ndarray
    centre: np.ndarray

    def normalise(self, vectors: np.ndarray) -> np.ndarray:
        """Return embeddings (n, d) centred and scaled like those of the index, float32."""
        return unit_length(np.asarray(vectors, dtype=np.float32) - self.centre)

    def save(self, folder: str | Path) -> None:
        """Write the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.prototypes.to_parquet(folder / "prototypes.parquet", index=False)
        self.members.to_parquet(folder / "members.parquet", index=False)
        np.save(folder / "prototypes.npy", self.prototype_vectors, allow_pickle=False)
        np.save(folder / "members.npy", self.member_vectors, allow_pickle=False)
        np.save(folder / "centre.npy", self.centre, allow_pickle=False)

    @classmethod
    def load(cls, folder: str | Path) -> "RefineIndex":
        """Read the folder; vectors are memory-mapped."""
        folder = Path(folder)
        return cls(
            pd.read_parquet(folder / "prototypes.parquet"),
            pd.read_parquet(folder / "members.parquet"),
            np.load(folder / "prototypes.npy", mmap_mode="r", allow_pickle=False),
            np.load(folder / "members.npy", mmap_mode="r", allow_pickle=False),
            np.load(folder / "centre.npy", allow_pickle=False),
        )


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (..., d) scaled to length 1; zero vectors stay zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def build_index(photos: pd.DataFrame, vectors: np.ndarray, optics: Sequence[float]) -> RefineIndex:
    """Build the index of training photos (photo_id, latitude, longitude, cell_id) and their embeddings (n, d).

    optics: (min_samples, xi) of the OPTICS clusters of each cell's coordinates. A photo outside all clusters is a
    prototype of its own (Haas et al., "PIGEON", CVPR 2024, section 3.4). Memory beside the embeddings: a float16 copy
    in the order of the prototypes, and one float32 block.
    """
    order = np.lexsort((photos["photo_id"], photos["cell_id"]))
    photos = photos.iloc[order].reset_index(drop=True)
    prototype = _number_prototypes(photos, int(optics[0]), optics[1])
    by_prototype = np.argsort(prototype, kind="stable")
    members = photos.iloc[by_prototype].reset_index(drop=True).assign(prototype=prototype[by_prototype])
    firsts = np.flatnonzero(np.diff(members["prototype"], prepend=-1))
    centre = mean_vector(vectors)
    member_vectors, means = _order_vectors(vectors, order[by_prototype], firsts, centre)
    points = unit_vectors(members["latitude"], members["longitude"])
    latitude, longitude = from_vectors(np.add.reduceat(points, firsts) if len(firsts) else np.zeros((0, 3)))
    prototypes = pd.DataFrame(
        {"prototype": np.arange(len(firsts)), "cell_id": members["cell_id"].to_numpy()[firsts]}
        | {"latitude": latitude, "longitude": longitude, "photos": np.diff(firsts, append=len(members))}
    )
    log.info("%d prototypes of %d photos in %d cells", len(firsts), len(photos), prototypes["cell_id"].nunique())
    return RefineIndex(
        prototypes, members[["prototype", "photo_id", "latitude", "longitude"]], means, member_vectors, centre
    )


def mean_vector(vectors: np.ndarray) -> np.ndarray:
    """Return the mean (d,) of vectors (n, d), summed in float64 block by block; zero if there are none."""
    total = np.zeros(vectors.shape[1])
    for start in range(0, len(vectors), BLOCK):
        total += np.asarray(vectors[start : start + BLOCK], dtype=np.float32).sum(axis=0, dtype=np.float64)
    return (total / max(len(vectors), 1)).astype(np.float32)


def _number_prototypes(photos: pd.DataFrame, min_samples: int, xi: float) -> np.ndarray:
    """Return the prototype (n,) of photos sorted by cell; the numbers of a cell follow those of the cell before."""
    latitude, longitude = photos["latitude"].to_numpy(), photos["longitude"].to_numpy()
    bounds = np.flatnonzero(np.diff(photos["cell_id"], prepend=-1, append=-1))
    prototype = np.empty(len(photos), dtype=np.int64)
    count = 0
    for start, end in pairwise(bounds):
        labels = cluster_places(latitude[start:end], longitude[start:end], min_samples, xi)
        prototype[start:end] = count + labels
        count += labels.max() + 1
    return prototype


def _order_vectors(
    vectors: np.ndarray, order: np.ndarray, firsts: np.ndarray, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the members' vectors (n, d) in `order` and the prototypes' mean vectors (p, d), all of length 1.

    firsts: (p,), the position of each prototype's first member. Works on blocks of whole prototypes.
    """
    members = np.empty((len(order), vectors.shape[1]), dtype=np.float16)
    means = np.empty((len(firsts), vectors.shape[1]), dtype=np.float16)
    ends = np.append(firsts[1:], len(order))
    begin = 0
    while begin < len(firsts):
        end = max(begin + 1, int(np.searchsorted(ends, firsts[begin] + BLOCK, side="right")))
        rows = slice(firsts[begin], ends[end - 1])
        normalised = unit_length(np.asarray(vectors[order[rows]], dtype=np.float32) - centre)
        members[rows] = normalised
        means[begin:end] = unit_length(np.add.reduceat(normalised, firsts[begin:end] - firsts[begin], axis=0))
        begin = end
    return members, means


def cluster_places(latitude: np.ndarray, longitude: np.ndarray, min_samples: int, xi: float) -> np.ndarray:
    """Return labels 0..k-1 (n,) of the photos of one cell: OPTICS clusters, and each other photo by itself."""
    from homing.optics import optics_clusters  # here, since readers of an index need no scikit-learn

    labels = np.full(len(latitude), -1)
    if len(latitude) > min_samples:
        labels = optics_clusters(EARTH_RADIUS_KM * unit_vectors(latitude, longitude), min_samples, xi)
    alone = labels < 0
    labels = np.where(alone, labels.max() + np.cumsum(alone), labels)
    return np.unique(labels, return_inverse=True)[1]
