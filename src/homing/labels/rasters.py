"""Values of rasters at points: the pixel that holds the point, else the nearest valid one, measured on the sphere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pyproj
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from homing.errors import HomingError
from homing.jobs.fingerprint import of_file
from homing.labels.pixels import grouped, nearest_valid
from homing.sphere import EARTH_RADIUS_KM, pixel_area_km2

LEAST_BLOCK = 256  # pixels; smaller blocks are read several at a time
CACHE_MB = 512  # decoded blocks that GDAL keeps: three rows of them hold all that a search around a block needs


@dataclass(frozen=True)
class Label:
    """Columns of a label, and what its values can be on Earth: beyond it the file has another unit."""

    columns: tuple[str, ...]
    unit: str
    least: float = -np.inf
    most: float = np.inf
    whole: bool = False


LABELS = {
    "climate": Label(("climate",), "Koppen-Geiger classes", 1, 30, whole=True),
    "temperature": Label(("temperature_c", "temperature_range_c"), "degrees Celsius", -80, 60),
    "precipitation": Label(("precipitation_mm", "precipitation_range_mm"), "mm a month", 0, 10_000),
    "elevation": Label(("elevation_m",), "metres", -12_000, 9_000),
    "population": Label(("population_per_km2",), "people per km2"),
}


@dataclass(frozen=True)
class Rules:
    """How a raster is read: reach of the search for a valid pixel, what counts as one beside nodata, and the unit."""

    nearest_km: float = 0
    minimum: float | None = None
    maximum: float | None = None
    counts: bool = False  # per pixel, to be divided by its area


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


@dataclass(frozen=True)
class RasterLookup:
    """A label read from one raster, or mean and range of the twelve months of a stack of them."""

    name: str
    files: tuple[str, ...]  # as retrieved
    layers: tuple[str, ...]  # paths that GDAL reads
    rules: Rules

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the label table it fills: value or mean, range of a stack, distance of the pixel used."""
        return (*LABELS[self.name].columns, f"{self.name}_distance_km")

    def __call__(self, latitude: np.ndarray, longitude: np.ndarray) -> dict[str, np.ndarray]:
        """The columns at points, float64 (n,) each; NaN where no valid pixel is in reach.

        Raises HomingError where a value is none that its unit has on Earth.
        """
        total = np.zeros(len(latitude))
        least, most, farthest = (np.full(len(latitude), value) for value in (np.inf, -np.inf, 0.0))
        for layer in self.layers:
            value, distance = sample(layer, latitude, longitude, self.rules)
            self._check_unit(layer, value)
            total += value
            least, most = np.minimum(least, value), np.maximum(most, value)
            farthest = np.maximum(farthest, distance)
        found = {self.columns[0]: total / len(self.layers), self.columns[-1]: farthest}
        if len(self.columns) == 3:
            found[self.columns[1]] = most - least if len(self.layers) > 1 else np.full(len(latitude), np.nan)
        return found

    def _check_unit(self, layer: str, values: np.ndarray) -> None:
        label = LABELS[self.name]
        wrong = values[(values < label.least) | (values > label.most) | (label.whole & (values % 1 > 0))]
        if wrong.size:
            raise HomingError(
                f"{Path(layer).name}: {self.name} of {wrong[0]:g} is not in {label.unit} ({label.least:g} to "
                f"{label.most:g}); another unit, or a scale and offset that the file does not state? "
                "Choose another source in labels"
            )

    def identity(self) -> tuple:
        """What the answers depend on: the content of the files, and how they are read."""
        return (self.name, [of_file(file) for file in self.files], self.layers, astuple(self.rules))


def sample(path: str, latitude: np.ndarray, longitude: np.ndarray, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Values (NaN: none within reach) and distance in km of the pixel used (0: the point's own), both float64 (n,).

    Raises HomingError when the file cannot be read, or its rows are not parallels.
    """
    with _opened(path) as dataset:
        return _Raster(dataset, path, rules).sample(np.asarray(latitude, float), np.asarray(longitude, float))


@contextmanager
def _opened(path: str) -> Iterator[rasterio.DatasetReader]:
    try:
        with rasterio.Env(GDAL_CACHEMAX=CACHE_MB), rasterio.open(path) as dataset:
            yield dataset
    except RasterioError as error:
        raise HomingError(
            f"{path}: cannot be read as a raster, retrieve it again ({str(error).splitlines()[0]})"
        ) from None


class _Raster:
    """One open raster. Rows and columns are floored: a pixel holds its north-western border.

    Its rows are parallels, each with its own width of a pixel in degrees, as in geographic coordinates and in
    cylindrical and pseudocylindrical projections (Mollweide).
    """

    def __init__(self, dataset: rasterio.DatasetReader, path: str, rules: Rules) -> None:
        self.dataset, self.path, self.rules = dataset, path, rules
        self.height, self.width = dataset.shape
        self.affine, self.inverse = dataset.transform, ~dataset.transform
        self.nodata = _as_stored(dataset.nodata, np.dtype(dataset.dtypes[0]))
        if dataset.crs is None:
            raise HomingError(f"{path}: no coordinate reference system; assign one, for instance EPSG:4326")
        if self.affine.b or self.affine.d:
            raise HomingError(f"{path}: its rows are rotated; warp it to EPSG:4326 (gdalwarp -t_srs EPSG:4326)")
        self.geographic = dataset.crs.is_geographic
        if self.geographic:
            self._check_degrees()
        else:
            self.projection = pyproj.Transformer.from_crs("EPSG:4326", dataset.crs.to_wkt(), always_xy=True)
        self.edges, self.middles, self.west, self.step = self._parallels()

    def _check_degrees(self) -> None:
        left, bottom, right, top = self.dataset.bounds
        if min(left, right) < -360.5 or max(left, right) > 360.5 or min(bottom, top) < -91 or max(bottom, top) > 91:
            raise HomingError(
                f"{self.path}: says it is in degrees ({self.dataset.crs}) and reaches from {left:g}, {bottom:g} to "
                f"{right:g}, {top:g}; assign its true coordinate reference system (gdal_edit.py -a_srs)"
            )

    def _parallels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Latitudes of the rows' edges (height + 1,) and centres; each row's western end and a pixel's width in it."""
        y = self.affine.f + self.affine.e * np.arange(self.height + 1)
        centres = 0.5 * (y[:-1] + y[1:])
        if self.geographic:
            west, step = np.full(self.height, self.affine.c), np.full(self.height, self.affine.a)
            return np.clip(y, -90, 90), centres, west, step
        middle = self.affine.c + self.affine.a * self.width / 2
        reach = self.affine.a * self.width / 64

        def back(x: float, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            longitude, latitude = self.projection.transform(np.full(len(y), x), y, direction="INVERSE")
            bad = ~(np.isfinite(longitude) & np.isfinite(latitude))
            return np.where(bad, np.nan, longitude), np.where(bad, np.nan, latitude)

        (here, level), (east, level_east), (west, level_west) = (back(middle + x, centres) for x in (0, reach, -reach))
        step = (east - here) / (self.width / 64)
        uneven = np.nanmax(
            np.abs(np.stack([level_east - level, level_west - level, east + west - 2 * here])), initial=0
        )
        if uneven > 1e-6 or np.isnan(step).all():
            raise HomingError(
                f"{self.path}: its rows are not parallels ({self.dataset.crs}); warp it to EPSG:4326 "
                "(gdalwarp -t_srs EPSG:4326)"
            )
        return back(middle, y)[1], level, here - step * self.width / 2, step

    def sample(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points are grouped by the block that holds them, so that each block of the file is decoded once."""
        row, column, inside = self.pixels(latitude, longitude)
        values = np.full(len(latitude), np.nan)
        distance = np.full(len(latitude), np.nan)
        for members, window in self.blocks(row, column):
            rows, columns = row[members], column[members]
            raw = self.read(window)[
                np.clip(rows - window.row_off, 0, window.height - 1),
                np.clip(columns - window.col_off, 0, window.width - 1),
            ]
            found = np.where(inside[members], self.converted(raw, rows), np.nan)
            away = np.where(np.isnan(found), np.nan, 0.0)
            lost = np.flatnonzero(np.isnan(found))
            if len(lost) and self.rules.nearest_km > 0:
                found[lost], away[lost] = self.nearest(latitude[members[lost]], longitude[members[lost]])
            values[members], distance[members] = found, away
        return values, distance

    def pixels(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row and column of the pixel that holds each point, and whether it is on the raster."""
        x, y = (longitude, latitude) if self.geographic else self.projection.transform(longitude, latitude)
        finite = np.isfinite(x) & np.isfinite(y)
        columns = np.where(finite, x, 0) * self.inverse.a + self.inverse.c
        rows = np.where(finite, y, 0) * self.inverse.e + self.inverse.f
        column, row = np.floor(columns).astype(np.int64), np.floor(rows).astype(np.int64)
        row = np.where((row == self.height) & (rows == self.height), self.height - 1, row)
        if self.geographic:  # one turn of the globe away, where that brings them onto the raster
            turn = round(360 / abs(self.affine.a))
            column = np.where(column >= self.width, column - turn, column)
            column = np.where(column < 0, column + turn, column)
        else:
            column = np.where((column == self.width) & (columns == self.width), self.width - 1, column)
        inside = finite & (row >= 0) & (row < self.height) & (column >= 0) & (column < self.width)
        return row, column, inside

    def blocks(self, row: np.ndarray, column: np.ndarray) -> Iterator[tuple[np.ndarray, Window]]:
        """Points of each block of the file, in the order of the file; those beside the raster are in the nearest."""
        tall, wide = (
            -(-LEAST_BLOCK // size) * size if size < LEAST_BLOCK else size for size in self.dataset.block_shapes[0]
        )
        order, starts = grouped(row, column, self.height, self.width, tall, wide)
        across = -(-self.width // wide)
        for number in np.flatnonzero(np.diff(starts)):
            top, left = int(number // across) * tall, int(number % across) * wide
            window = Window(left, top, min(wide, self.width - left), min(tall, self.height - top))
            yield order[starts[number] : starts[number + 1]], window

    def read(self, window: Window) -> np.ndarray:
        """Pixels as they are stored. Raises HomingError for a tile that is not in the file and not nodata either."""
        if self.dataset.nodata is None and self.dataset.driver == "GTiff":
            tall, wide = self.dataset.block_shapes[0]
            name = f"BLOCK_OFFSET_{window.col_off // wide}_{window.row_off // tall}"
            if self.dataset.get_tag_item(name, dm="TIFF", bidx=1) is None:
                raise HomingError(
                    f"{self.path}: the tile at row {window.row_off}, column {window.col_off} is missing; "
                    "retrieve it again, or set nodata if it is meant to be empty (gdal_edit.py -a_nodata)"
                )
        return self.dataset.read(1, window=window)

    def converted(self, raw: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Stored values of pixels in the given rows as float64: NaN where there is no data, in the unit asked for."""
        values = raw.astype(np.float64)
        if self.nodata is not None:
            values[raw == self.nodata] = np.nan
        values = values * self.dataset.scales[0] + self.dataset.offsets[0]
        if self.rules.minimum is not None:
            values[values < self.rules.minimum] = np.nan
        if self.rules.maximum is not None:
            values[values > self.rules.maximum] = np.nan
        if self.rules.counts:
            on_raster = np.clip(row, 0, self.height - 1)
            first, second = self.edges[on_raster], self.edges[on_raster + 1]
            values /= pixel_area_km2(np.minimum(first, second), np.maximum(first, second), abs(self.step[on_raster]))
        return values

    def nearest(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and distance of the nearest valid pixel centre of points in one block; NaN where none is in reach."""
        value, away = np.full(len(latitude), np.nan), np.full(len(latitude), self.rules.nearest_km, dtype=np.float64)
        for turn in (0, -360, 360):
            window = self.around(latitude, longitude + turn)
            if window is None:
                continue
            rows = np.arange(window.row_off, window.row_off + window.height)
            pixels = self.converted(self.dataset.read(1, window=window), rows[:, None])
            if not self.geographic:  # the corners of a projection are not on the globe
                columns = np.arange(window.col_off, window.col_off + window.width) + 0.5
                pixels[np.abs(self.west[rows, None] + columns * self.step[rows, None]) > 180] = np.nan
            nearest_valid(
                latitude, longitude + turn, value, away, pixels, window.row_off, window.col_off,
                self.middles, self.west, self.step,
            )  # fmt: skip
        return value, np.where(np.isnan(value), np.nan, away)

    def around(self, latitude: np.ndarray, longitude: np.ndarray) -> Window | None:
        """The window with all pixel centres within reach of any of the points; None where there are none."""
        angle = self.rules.nearest_km / EARTH_RADIUS_KM
        tall = np.degrees(angle)
        south, north = latitude.min() - tall, latitude.max() + tall
        rows = np.flatnonzero((self.middles >= south) & (self.middles <= north) & ~np.isnan(self.step))
        if not len(rows):
            return None
        top, bottom = rows[0], rows[-1] + 1
        farthest = np.radians(np.abs(latitude).max())
        wide = 180.0 if farthest + angle >= np.pi / 2 else np.degrees(np.arcsin(np.sin(angle) / np.cos(farthest)))
        ends = np.stack([longitude.min() - wide, longitude.max() + wide])[:, None]
        columns = (ends - self.west[rows]) / self.step[rows]
        left, right = max(0, int(np.floor(columns.min()))), min(self.width, int(np.ceil(columns.max())) + 1)
        return Window(left, top, right - left, bottom - top) if left < right else None


def _as_stored(nodata: float | None, dtype: np.dtype) -> np.generic | None:
    """The nodata value in the type of the pixels; None where no pixel can have it."""
    if nodata is None or np.isnan(nodata):
        return None
    limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    return dtype.type(nodata) if limits.min <= nodata <= limits.max else None
