"""Tables larger than memory, ordered or joined in pieces: rows are laid into buckets on disk and taken up again."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

SAMPLE = 10_000


class Spill:
    """`buckets` files of rows of one schema in a folder of the user's choice."""

    def __init__(self, folder: Path, name: str, schema: pa.Schema, buckets: int) -> None:
        self.folder, self.name, self.schema, self.buckets = folder, name, schema, buckets
        self.writers: dict[int, pa.RecordBatchStreamWriter] = {}

    def add(self, frame: pd.DataFrame, bucket: np.ndarray) -> None:
        """Lay each row of `frame` into its bucket, int (n,) in 0..buckets-1."""
        table = pa.Table.from_pandas(frame, schema=self.schema, preserve_index=False)
        order = np.argsort(bucket, kind="stable")
        edges = np.searchsorted(bucket[order], np.arange(self.buckets + 1))
        for number in range(self.buckets):
            if edges[number + 1] > edges[number]:
                rows = table if self.buckets == 1 else table.take(order[edges[number] : edges[number + 1]])
                self._writer(number).write_table(rows)

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.name}-{number:04d}.arrow"

    def _writer(self, number: int) -> pa.RecordBatchStreamWriter:
        if number not in self.writers:
            self.writers[number] = pa.ipc.new_stream(str(self._path(number)), self.schema)
        return self.writers[number]

    def frames(self) -> Iterator[pd.DataFrame]:
        """Each bucket in turn, empty ones too; its rows in the order in which they came. Its file is removed."""
        while self.writers:
            self.writers.popitem()[1].close()
        for number in range(self.buckets):
            path = self._path(number)
            if not path.exists():
                yield self.schema.empty_table().to_pandas()
                continue
            with pa.ipc.open_stream(str(path)) as stream:
                frame = stream.read_all().to_pandas()
            path.unlink()
            yield frame


def by_hash(keys: pd.Series, buckets: int) -> np.ndarray:
    """The bucket of each key, the same for equal keys."""
    if buckets == 1 or not len(keys):
        return np.zeros(len(keys), dtype=np.int64)
    return (pd.util.hash_array(keys.to_numpy(dtype=object)) % np.uint64(buckets)).astype(np.int64)


def edges_of(sample: Sequence[str], buckets: int) -> list[str]:
    """Texts that divide what `sample` was drawn from into `buckets` ranges of like size."""
    ordered = sorted(sample)
    return [ordered[len(ordered) * number // buckets] for number in range(1, buckets)] if ordered else []


def by_range(keys: pd.Series, edges: Sequence[str]) -> np.ndarray:
    """The range that each key lies in."""
    if not edges:
        return np.zeros(len(keys), dtype=np.int64)
    return np.searchsorted(np.array(edges, dtype=object), keys.to_numpy(dtype=object), side="right")
