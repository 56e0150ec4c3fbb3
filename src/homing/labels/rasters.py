"""Values of rasters at points: the pixel that holds the point, else the nearest valid one, measured on the sphere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.warp import transform as transform_points
from rasterio.windows import Window

from homing.errors import HomingError
from homing.sphere import KM_PER_DEGREE, haversine_km, pixel_area_km2

MIN_BLOCK = 256  # pixels; smaller blocks are read several at a time


@dataclass(frozen=True)
class Rules:
    """How a raster is read: reach of the search for a valid pixel, what is no data beside nodata, and the unit."""

    nearest_km: float = 0
    minimum: float | None = None
    zero_is_nodata: bool = False
    counts: bool = False


def raster_path(files: Sequence[str | Path], member: str | None = None) -> str:
    """The path GDAL reads: a member of a zip without unpacking it, the file of that name, or the only file.

    Raises HomingError when no file has the member's name.
    """
    if not member:
        return str(files[0])
    if str(files[0]).endswith(".zip"):
        return f"/vsizip/{files[0]}/{member}"
    for file in files:
        if Path(file).name == member:
            return str(file)
    raise HomingError(f"{member}: none of {', '.join(Path(file).name for file in files)}; correct the key member")


def sample(path: str, latitude: np.ndarray, longitude: np.ndarray, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Values (NaN: none within reach) and distance in km of the pixel used (0: the point's own), both float64 (n,).

    Raises HomingError when the file cannot be read or has no coordinate reference system.
    """
    try:
        with rasterio.open(path) as dataset:
            return _Sampler(dataset, path, rules).sample(np.asarray(latitude), np.asarray(longitude))
    except RasterioError as error:
        raise HomingError(
            f"{path}: cannot be read as a raster, retrieve it again ({str(error).splitlines()[0]})"
        ) from None


class _Sampler:
    """One open raster. Rows and columns are floored: a pixel holds its north-western border."""

    def __init__(self, dataset: rasterio.DatasetReader, path: str, rules: Rules) -> None:
        if dataset.crs is None:
            raise HomingError(f"{path}: no coordinate reference system; assign one, for instance EPSG:4326")
        self.dataset, self.rules = dataset, rules
        self.height, self.width = dataset.shape
        self.affine = dataset.transform
        self.geographic = dataset.crs.is_geographic
        turn = 360 / abs(self.affine.a)
        self.wraps = self.geographic and abs(self.width - turn) < 0.5
        self.period = round(turn) if self.geographic else 0

    def sample(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        row, column, inside = self.pixels(latitude, longitude)
        values = np.full(len(latitude), np.nan)
        values[inside] = self.gather(row[inside], column[inside])
        distance = np.where(np.isnan(values), np.nan, 0.0)
        if self.rules.nearest_km > 0:
            for point in np.flatnonzero(np.isnan(values)):
                found = self.nearest(latitude[point], longitude[point], row[point], column[point])
                values[point], distance[point] = found
        return values, distance

    def pixels(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row and column of the pixel that holds each point, and whether it is on the raster."""
        x, y = self.project(latitude, longitude)
        finite = np.isfinite(x) & np.isfinite(y)
        columns, rows = ~self.affine @ (np.where(finite, x, 0), np.where(finite, y, 0))
        row, column = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
        row = np.where((row == self.height) & (rows == self.height), self.height - 1, row)
        if self.geographic:
            column = self._wrapped(column)
        else:
            column = np.where((column == self.width) & (columns == self.width), self.width - 1, column)
        inside = finite & (row >= 0) & (row < self.height) & (column >= 0) & (column < self.width)
        return row, column, inside

    def _wrapped(self, column: np.ndarray) -> np.ndarray:
        """Columns one turn of the globe away, where that brings them onto the raster."""
        column = np.where(column >= self.width, column - self.period, column)
        return np.where(column < 0, column + self.period, column)

    def project(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.geographic:
            return np.asarray(longitude, dtype=np.float64), np.asarray(latitude, dtype=np.float64)
        x, y = transform_points("EPSG:4326", self.dataset.crs, list(longitude), list(latitude))
        return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)

    def centres(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Latitude and longitude of pixel centres."""
        x, y = self.affine @ (column + 0.5, row + 0.5)
        if self.geographic:
            return y, x
        longitude, latitude = transform_points(self.dataset.crs, "EPSG:4326", list(x), list(y))
        return np.asarray(latitude), np.asarray(longitude)

    def gather(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Values of pixels; points are grouped so that each block of the file is decoded once."""
        values = np.empty(len(row))
        for members, window in self.blocks(row, column):
            block = self.read(window)
            values[members] = block[row[members] - window.row_off, column[members] - window.col_off]
        return values

    def blocks(self, row: np.ndarray, column: np.ndarray) -> Iterator[tuple[np.ndarray, Window]]:
        block_height, block_width = (
            size * -(-MIN_BLOCK // size) if size < MIN_BLOCK else size for size in self.dataset.block_shapes[0]
        )
        across = -(-self.width // block_width)
        block = (row // block_height) * across + column // block_width
        order = np.argsort(block, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(block[order])) + 1):
            if len(members):
                number = block[members[0]]
                top, left = (number // across) * block_height, (number % across) * block_width
                height, width = min(block_height, self.height - top), min(block_width, self.width - left)
                yield members, Window(left, top, width, height)

    def read(self, window: Window) -> np.ndarray:
        """Values of a window as float64, NaN where there is no data, scaled and in the unit that is asked for."""
        raw = self.dataset.read(1, window=window)
        values = raw.astype(np.float64)
        nodata = self.dataset.nodata
        if nodata is not None and not np.isnan(nodata):
            values[raw == np.asarray(nodata).astype(raw.dtype)] = np.nan
        values = values * self.dataset.scales[0] + self.dataset.offsets[0]
        if self.rules.zero_is_nodata:
            values[values == 0] = np.nan
        if self.rules.minimum is not None:
            values[values < self.rules.minimum] = np.nan
        if self.rules.counts:
            values[values < 0] = np.nan
            values /= self.areas_km2(np.arange(window.row_off, window.row_off + window.height))[:, None]
        return values

    def areas_km2(self, row: np.ndarray) -> np.ndarray:
        """True area of the pixels of some rows: they shrink towards the poles; projections are taken as equal-area."""
        if not self.geographic:
            return np.full(len(row), abs(self.affine.a * self.affine.e) / 1e6)
        edges = self.affine.f + self.affine.e * np.stack([row, row + 1])
        edges = np.clip(edges, -90, 90)
        return pixel_area_km2(edges.min(axis=0), edges.max(axis=0), abs(self.affine.a))

    def nearest(self, latitude: float, longitude: float, row: int, column: int) -> tuple[float, float]:
        """Value and distance of the nearest valid pixel centre within reach; NaN twice when there is none."""
        rows, columns = self.reach(latitude)
        top, bottom = max(0, row - rows), min(self.height, row + rows + 1)
        if top >= bottom:
            return np.nan, np.nan
        span = self.columns_around(column, columns)
        value = np.concatenate([self.read(Window(a, top, b - a, bottom - top)) for a, b in span], axis=1)
        number = np.concatenate([np.arange(a, b) for a, b in span])
        valid_row, valid_column = np.nonzero(~np.isnan(value))
        if not len(valid_row):
            return np.nan, np.nan
        centre = self.centres(valid_row + top, number[valid_column])
        away = haversine_km(latitude, longitude, *centre)
        best = int(away.argmin())
        if away[best] > self.rules.nearest_km:
            return np.nan, np.nan
        return float(value[valid_row[best], valid_column[best]]), float(away[best])

    def reach(self, latitude: float) -> tuple[int, int]:
        """Half-height and half-width in pixels of a window that holds every pixel within reach."""
        distance = self.rules.nearest_km
        if not self.geographic:
            pixels = distance * 1000 / min(abs(self.affine.a), abs(self.affine.e))
            return int(pixels * 1.5) + 2, int(pixels * 1.5) + 2
        rows = int(distance / (abs(self.affine.e) * KM_PER_DEGREE)) + 2
        farthest = min(89.9, abs(latitude) + distance / KM_PER_DEGREE)
        columns = distance / (abs(self.affine.a) * KM_PER_DEGREE * np.cos(np.radians(farthest)))
        return rows, int(min(columns, self.width)) + 2

    def columns_around(self, column: int, half: int) -> list[tuple[int, int]]:
        """Column ranges of the window, in two pieces where it crosses the antimeridian."""
        left, right = column - half, column + half + 1
        if not self.wraps:
            return [(max(0, left), min(self.width, right))] if right > 0 and left < self.width else [(0, 0)]
        if right - left >= self.width:
            return [(0, self.width)]
        left, right = left % self.width, (right - 1) % self.width + 1
        return [(left, right)] if left < right else [(left, self.width), (0, right)]
