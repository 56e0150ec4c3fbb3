"""Raster values at points: the pixel that contains the point, else the nearest valid one on the sphere."""

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
from homing.labels.pixels import group_by_block, nearest_valid
from homing.sphere import EARTH_RADIUS_KM, pixel_area_km2
from homing.tasks import TASKS

MIN_BLOCK = 256  # pixels; several smaller blocks are read at once
CACHE_MB = 512  # of decoded blocks that GDAL caches; three rows of blocks suffice for the search around a block


@dataclass(frozen=True)
class Label:
    """Columns of a label, and the range of its values on Earth; values beyond it mean that the unit is wrong."""

    columns: tuple[str, ...]
    unit: str
    minimum: float = -np.inf
    maximum: float = np.inf
    is_integer: bool = False


LABELS = {
    "climate": Label(TASKS["climate"].columns, "Koppen-Geiger classes", 1, TASKS["climate"].classes, is_integer=True),
    "temperature": Label(TASKS["temperature"].columns, "degrees Celsius", -80, 60),
    "precipitation": Label(TASKS["precipitation"].columns, "mm a month", 0, 10_000),
    "elevation": Label(TASKS["elevation"].columns, "metres", -12_000, 9_000),
    "population": Label(TASKS["population"].columns, "people per km2"),
}


@dataclass(frozen=True)
class Rules:
    """How a raster is read. A pixel is valid if it is not nodata and between minimum and maximum, both included."""

    nearest_km: float = 0  # radius of the search for a valid pixel; 0: only the pixel of the point
    minimum: float | None = None
    maximum: float | None = None
    counts: bool = False  # values are counts per pixel, to be divided by its area in km2


def raster_path(files: Sequence[str | Path], member: str | None = None) -> str:
    """Return the path for GDAL: a member of a zip, read in place, the file of that name, or the first file.

    Raises HomingError if no file has the name of the member.
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
    """Look up a label in one raster, or the mean and range of a stack of twelve monthly rasters."""

    name: str
    files: tuple[str, ...]  # as retrieved
    layers: tuple[str, ...]  # paths for GDAL
    rules: Rules

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table of labels: value or mean, range of a stack, distance of the farthest pixel used."""
        return (*LABELS[self.name].columns, f"{self.name}_distance_km")

    def __call__(self, latitude: np.ndarray, longitude: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns at points, float64 (n,) each; NaN without a valid pixel within `nearest_km`.

        Raises HomingError if a value is outside the range of its unit on Earth.
        """
        total = np.zeros(len(latitude))
        lowest, highest, farthest = (np.full(len(latitude), value) for value in (np.inf, -np.inf, 0.0))
        for layer in self.layers:
            value, distance = sample(layer, latitude, longitude, self.rules)
            self._check_unit(layer, value)
            total += value
            lowest, highest = np.minimum(lowest, value), np.maximum(highest, value)
            farthest = np.maximum(farthest, distance)
        found = {self.columns[0]: total / len(self.layers), self.columns[-1]: farthest}
        if len(self.columns) == 3:
            found[self.columns[1]] = highest - lowest if len(self.layers) > 1 else np.full(len(latitude), np.nan)
        return found

    def _check_unit(self, layer: str, values: np.ndarray) -> None:
        label = LABELS[self.name]
        out_of_range = (values < label.minimum) | (values > label.maximum)
        wrong = values[out_of_range | (label.is_integer & (values % 1 > 0))]
        if wrong.size:
            raise HomingError(
                f"{Path(layer).name}: {self.name} of {wrong[0]:g} is not in {label.unit} ({label.minimum:g} to "
                f"{label.maximum:g}); another unit, or a scale and offset that the file does not state? "
                "Choose another source in labels"
            )

    def identity(self) -> tuple:
        """What the answers depend on: the content of the files, and how they are read."""
        return (self.name, [of_file(file) for file in self.files], self.layers, astuple(self.rules))


def sample(path: str, latitude: np.ndarray, longitude: np.ndarray, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Return values and the distance in km of the pixel used (0: the point's own), float64 (n,); NaN without one.

    Raises HomingError if the file cannot be read, or its rows are not parallels.
    """
    with open_raster(path) as dataset:
        return Raster(dataset, path, rules).sample(np.asarray(latitude, float), np.asarray(longitude, float))


@contextmanager
def open_raster(path: str) -> Iterator[rasterio.DatasetReader]:
    """Open a raster with a cache of blocks. Raises HomingError if it cannot be opened or read."""
    try:
        with rasterio.Env(GDAL_CACHEMAX=CACHE_MB), rasterio.open(path) as dataset:
            yield dataset
    except RasterioError as error:
        raise HomingError(
            f"{path}: cannot be read as a raster, retrieve it again ({str(error).splitlines()[0]})"
        ) from None


class Raster:
    """An open raster whose rows are parallels, each with its own width of a pixel in degrees.

    This is so in geographic coordinates and in cylindrical and pseudocylindrical projections (Mollweide). A pixel
    contains its first border in each direction: rows and columns are rounded down.
    """

    def __init__(self, dataset: rasterio.DatasetReader, path: str, rules: Rules) -> None:
        self.dataset, self.path, self.rules = dataset, path, rules
        self.height, self.width = dataset.shape
        self.affine, self.inverse = dataset.transform, ~dataset.transform
        self.nodata = _as_stored(dataset.nodata, np.dtype(dataset.dtypes[0]))
        if dataset.crs is None:
            raise HomingError(f"{path}: no coordinate reference system; assign one, for instance EPSG:4326")
        if self.affine.b or self.affine.d:
            raise HomingError(f"{path}: its rows are rotated; warp it to EPSG:4326 (rio warp --dst-crs EPSG:4326)")
        self.geographic = dataset.crs.is_geographic
        if self.geographic:
            self._check_degrees()
        else:
            self.projection = pyproj.Transformer.from_crs("EPSG:4326", dataset.crs.to_wkt(), always_xy=True)
        self.row_edges, self.row_latitude, self.row_west, self.row_step = self._parallels()

    def _check_degrees(self) -> None:
        left, bottom, right, top = self.dataset.bounds
        if min(left, right) < -360.5 or max(left, right) > 360.5 or min(bottom, top) < -91 or max(bottom, top) > 91:
            raise HomingError(
                f"{self.path}: says it is in degrees ({self.dataset.crs}) and reaches from {left:g}, {bottom:g} to "
                f"{right:g}, {top:g}; assign its true coordinate reference system (rio edit-info --crs)"
            )

    def _parallels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return latitudes of the rows' edges (height + 1,) and centres, and longitude and pixel width of each row.

        The longitude is that of the row's first edge; the last three are (height,), in degrees, NaN off the globe.
        """
        y = self.affine.f + self.affine.e * np.arange(self.height + 1)
        centres = 0.5 * (y[:-1] + y[1:])
        if self.geographic:
            west, step = np.full(self.height, self.affine.c), np.full(self.height, self.affine.a)
            return np.clip(y, -90, 90), centres, west, step
        centre_x = self.affine.c + self.affine.a * self.width / 2
        offset = self.affine.a * self.width / 64

        def inverse(x: float, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            longitude, latitude = self.projection.transform(np.full(len(y), x), y, direction="INVERSE")
            off_globe = ~(np.isfinite(longitude) & np.isfinite(latitude))
            return np.where(off_globe, np.nan, longitude), np.where(off_globe, np.nan, latitude)

        samples = (inverse(centre_x + x, centres) for x in (0, offset, -offset))
        (here, level), (east, level_east), (west, level_west) = samples
        step = (east - here) / (self.width / 64)
        deviations = np.stack([level_east - level, level_west - level, east + west - 2 * here])
        if np.nanmax(np.abs(deviations), initial=0) > 1e-6 or np.isnan(step).all():
            raise HomingError(
                f"{self.path}: its rows are not parallels ({self.dataset.crs}); warp it to EPSG:4326 "
                "(rio warp --dst-crs EPSG:4326)"
            )
        return inverse(centre_x, y)[1], level, here - step * self.width / 2, step

    def sample(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return values and distances at points, block by block, so that each block of the file is decoded once."""
        row, column, inside = self.find_pixels(latitude, longitude)
        values = np.full(len(latitude), np.nan)
        distance = np.full(len(latitude), np.nan)
        for members, window in self.blocks(row, column):
            rows, columns = row[members], column[members]
            raw = self.read(window)[
                np.clip(rows - window.row_off, 0, window.height - 1),
                np.clip(columns - window.col_off, 0, window.width - 1),
            ]
            found = np.where(inside[members], self.converted(raw, rows), np.nan)
            found_km = np.where(np.isnan(found), np.nan, 0.0)
            missing = np.flatnonzero(np.isnan(found))
            if len(missing) and self.rules.nearest_km > 0:
                points = members[missing]
                found[missing], found_km[missing] = self.nearest(latitude[points], longitude[points])
            values[members], distance[members] = found, found_km
        return values, distance

    def find_pixels(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return row and column of the pixel that contains each point, and whether it is on the raster; (n,) each."""
        x, y = (longitude, latitude) if self.geographic else self.projection.transform(longitude, latitude)
        finite = np.isfinite(x) & np.isfinite(y)
        columns = np.where(finite, x, 0) * self.inverse.a + self.inverse.c
        rows = np.where(finite, y, 0) * self.inverse.e + self.inverse.f
        column, row = np.floor(columns).astype(np.int64), np.floor(rows).astype(np.int64)
        row = np.where((row == self.height) & (rows == self.height), self.height - 1, row)
        if self.geographic:  # longitudes are periodic
            period = round(360 / abs(self.affine.a))
            column = np.where(column >= self.width, column - period, column)
            column = np.where(column < 0, column + period, column)
        else:
            column = np.where((column == self.width) & (columns == self.width), self.width - 1, column)
        inside = finite & (row >= 0) & (row < self.height) & (column >= 0) & (column < self.width)
        return row, column, inside

    def blocks(self, row: np.ndarray, column: np.ndarray) -> Iterator[tuple[np.ndarray, Window]]:
        """Yield points and window of each block in the order of the file; points off the raster are in the nearest."""
        shape = self.dataset.block_shapes[0]
        block_height, block_width = (-(-MIN_BLOCK // size) * size if size < MIN_BLOCK else size for size in shape)
        order, starts = group_by_block(row, column, self.height, self.width, block_height, block_width)
        across = -(-self.width // block_width)
        for number in np.flatnonzero(np.diff(starts)):
            top, left = int(number // across) * block_height, int(number % across) * block_width
            window = Window(left, top, min(block_width, self.width - left), min(block_height, self.height - top))
            yield order[starts[number] : starts[number + 1]], window

    def read(self, window: Window) -> np.ndarray:
        """Read stored pixels. Raises HomingError for a missing tile of a file without a nodata value."""
        if self.dataset.nodata is None and self.dataset.driver == "GTiff":
            block_height, block_width = self.dataset.block_shapes[0]
            name = f"BLOCK_OFFSET_{window.col_off // block_width}_{window.row_off // block_height}"
            if self.dataset.get_tag_item(name, dm="TIFF", bidx=1) is None:
                raise HomingError(
                    f"{self.path}: the tile at row {window.row_off}, column {window.col_off} is missing; "
                    "retrieve it again, or set nodata if it is meant to be empty (rio edit-info --nodata)"
                )
        return self.dataset.read(1, window=window)

    def converted(self, raw: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Convert stored values of pixels in the given rows to float64 in the label's unit, NaN where invalid."""
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
            first, second = self.row_edges[on_raster], self.row_edges[on_raster + 1]
            width = abs(self.row_step[on_raster])
            values /= pixel_area_km2(np.minimum(first, second), np.maximum(first, second), width)
        return values

    def nearest(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return value and distance in km of the nearest valid pixel centre of points in one block; NaN without one."""
        value = np.full(len(latitude), np.nan)
        distance = np.full(len(latitude), self.rules.nearest_km, dtype=np.float64)
        for shift in (0, -360, 360):
            window = self.search_window(latitude, longitude + shift)
            if window is None:
                continue
            rows = np.arange(window.row_off, window.row_off + window.height)
            pixels = self.converted(self.dataset.read(1, window=window), rows[:, None])
            if not self.geographic:  # the corners of a projection are not on the globe
                columns = np.arange(window.col_off, window.col_off + window.width) + 0.5
                pixels[np.abs(self.row_west[rows, None] + columns * self.row_step[rows, None]) > 180] = np.nan
            nearest_valid(
                latitude, longitude + shift, value, distance, pixels, window.row_off, window.col_off,
                self.row_latitude, self.row_west, self.row_step,
            )  # fmt: skip
        return value, np.where(np.isnan(value), np.nan, distance)

    def search_window(self, latitude: np.ndarray, longitude: np.ndarray) -> Window | None:
        """Return the window with all pixel centres within `nearest_km` of any of the points; None if there is none."""
        angle = self.rules.nearest_km / EARTH_RADIUS_KM
        half_height = np.degrees(angle)
        south, north = latitude.min() - half_height, latitude.max() + half_height
        within = (self.row_latitude >= south) & (self.row_latitude <= north)
        rows = np.flatnonzero(within & ~np.isnan(self.row_step))
        if not len(rows):
            return None
        top, bottom = rows[0], rows[-1] + 1
        poleward = np.radians(np.abs(latitude).max())
        over_pole = poleward + angle >= np.pi / 2
        half_width = 180.0 if over_pole else np.degrees(np.arcsin(np.sin(angle) / np.cos(poleward)))
        ends = np.stack([longitude.min() - half_width, longitude.max() + half_width])[:, None]
        columns = (ends - self.row_west[rows]) / self.row_step[rows]
        left, right = max(0, int(np.floor(columns.min()))), min(self.width, int(np.ceil(columns.max())) + 1)
        return Window(left, top, right - left, bottom - top) if left < right else None


def _as_stored(nodata: float | None, dtype: np.dtype) -> np.generic | None:
    """Return the nodata value in the dtype of the pixels; None if no pixel can have it."""
    if nodata is None or np.isnan(nodata):
        return None
    limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    return dtype.type(nodata) if limits.min <= nodata <= limits.max else None
