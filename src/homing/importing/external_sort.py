"""External sort and join: rows are partitioned into files on disk, and each partition fits in memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

SAMPLE_SIZE = 10_000  # of keys that `range_boundaries` needs


class DiskPartitions:
    """Rows of one schema in `count` files named after `name`, one per partition, in `folder`."""

    def __init__(self, folder: Path, name: str, schema: pa.Schema, count: int) -> None:
        self.folder, self.name, self.schema, self.count = folder, name, schema, count
        self.writers: dict[int, pa.RecordBatchStreamWriter] = {}

    def add(self, frame: pd.DataFrame, partition: np.ndarray) -> None:
        """Append each row of `frame` to its partition, int (n,) in 0..count-1."""
        table = pa.Table.from_pandas(frame, schema=self.schema, preserve_index=False)
        order = np.argsort(partition, kind="stable")
        edges = np.searchsorted(partition[order], np.arange(self.count + 1))
        for number in range(self.count):
            if edges[number + 1] > edges[number]:
                rows = table if self.count == 1 else table.take(order[edges[number] : edges[number + 1]])
                self._writer(number).write_table(rows)

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.name}-{number:04d}.arrow"

    def _writer(self, number: int) -> pa.RecordBatchStreamWriter:
        if number not in self.writers:
            self.writers[number] = pa.ipc.new_stream(str(self._path(number)), self.schema)
        return self.writers[number]

    def frames(self) -> Iterator[pd.DataFrame]:
        """Yield each partition, empty ones too, with its rows in the order they were added, and delete its file."""
        while self.writers:
            self.writers.popitem()[1].close()
        for number in range(self.count):
            path = self._path(number)
            if not path.exists():
                yield self.schema.empty_table().to_pandas()
                continue
            with pa.ipc.open_stream(str(path)) as stream:
                frame = stream.read_all().to_pandas()
            path.unlink()
            yield frame


def hash_partition(keys: pd.Series, count: int) -> np.ndarray:
    """Return the partition of each key by its hash, int64 (n,) in 0..count-1; equal keys share one."""
    if count == 1 or not len(keys):
        return np.zeros(len(keys), dtype=np.int64)
    return (pd.util.hash_array(keys.to_numpy(dtype=object)) % np.uint64(count)).astype(np.int64)


def range_boundaries(sample: Sequence[str], count: int) -> list[str]:
    """Return the count - 1 keys that divide the population of `sample` into ranges of similar size."""
    ordered = sorted(sample)
    return [ordered[len(ordered) * number // count] for number in range(1, count)] if ordered else []


def range_partition(keys: pd.Series, boundaries: Sequence[str]) -> np.ndarray:
    """Return the range that each key is in, int64 (n,); the partitions one after the other are in order of the keys."""
    if not boundaries:
        return np.zeros(len(keys), dtype=np.int64)
    return np.searchsorted(np.array(boundaries, dtype=object), keys.to_numpy(dtype=object), side="right")
