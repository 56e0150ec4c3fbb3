"""A planet of real size for the benchmarks of labels and geocells: areas, rasters, photos where people take them."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import shapely
from rasterio.transform import from_origin
from rasterio.windows import Window

from homing import tables

BLOCK = 512  # pixels
REACH = 1  # blocks around a block with photos that have data too
RASTERS = {  # file -> dtype, nodata, lowest and highest value
    "climate.tif": ("uint8", 0, 1, 30),
    "temperature.tif": ("float32", -3.4e38, -30, 35),
    "precipitation.tif": ("float32", -3.4e38, 0, 400),
    "elevation.tif": ("int16", -32768, -100, 4000),
    "population.tif": ("float32", -99999, 0, 3000),
    "climate_v3.tif": ("uint8", 0, 1, 30),
}


def write_photos(path: Path, count: int, places: np.ndarray, seed: int = 0) -> pd.DataFrame:
    """Write and return a table of photos around `places` (n, 2: latitude, longitude), most within a few kilometres."""
    rng = np.random.default_rng(seed)
    chosen = places[rng.integers(0, len(places), count)]
    moved = chosen + rng.standard_t(3, (count, 2)) * 0.01
    frame = pd.DataFrame(
        {
            "photo_id": pd.Series(np.arange(count)).map("photo-{:08d}".format),
            "latitude": np.clip(moved[:, 0], -90, 90),
            "longitude": (moved[:, 1] + 180) % 360 - 180,
            "views": np.int8(1),
            "captured_at": pd.Timestamp("2016-01-01") + pd.to_timedelta(rng.integers(0, 300_000_000, count), unit="s"),
        }
    )
    with tables.writer(path, "photos") as out:
        for start in range(0, count, tables.CHUNK_ROWS):
            out.add(frame.iloc[start : start + tables.CHUNK_ROWS])
    return frame


def read_places(sample: str | None) -> np.ndarray:
    """Return latitude and longitude (n, 2) of the sample data, else of random cities with realistic sizes."""
    if sample:
        frame = pd.read_csv(Path(sample) / "points/mp16_coordinates_100k.csv")
        return frame[["latitude", "longitude"]].to_numpy()
    rng = np.random.default_rng(1)
    cities = np.column_stack([rng.normal(30, 20, 3000).clip(-55, 75), rng.uniform(-180, 180, 3000)])
    weight = 1 / np.arange(1, 3001)
    return cities[rng.choice(3000, 100_000, p=weight / weight.sum())] + rng.normal(0, 0.2, (100_000, 2))


def build_areas(places: np.ndarray, areas: int, vertices: int) -> gpd.GeoDataFrame:
    """Return second-level areas, 16 per region, with jagged borders that neighbours share.

    They are the cells of a lattice that is denser where photos are; its emptiest cells are sea.
    """
    columns = int(np.sqrt(areas * 3.2)) // 4 * 4
    rows = -(-areas * 8 // (columns * 5) // 4) * 4
    xs, ys = _lines(places[:, 1], columns, -179.9, 179.9), _lines(places[:, 0], rows, -60, 80)
    east, north = _borders(xs, ys, vertices // 4)
    row, column = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    inside = np.histogram2d(places[:, 0], places[:, 1], [ys, xs])[0]
    kept = np.sort(np.argsort(-inside.ravel(), kind="stable")[:areas])
    row, column = row.ravel()[kept], column.ravel()[kept]
    rings = np.concatenate(
        [east[row, column], north[row, column + 1], east[row + 1, column][:, ::-1], north[row, column][:, ::-1]], axis=1
    )
    rings = np.concatenate([rings, rings[:, :1]], axis=1)
    ends = np.arange(len(rings) + 1) * rings.shape[1]
    shapes = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, rings.reshape(-1, 2), (ends, np.arange(len(rings) + 1))
    )
    region = row // 4 * 1000 + column // 4
    names = {"area_id": pd.Series(np.arange(len(kept))).map("A{:06d}".format), "area": "an area"}
    names |= {"region_id": pd.Series(region).map("R{:06d}".format), "region": "a region"}
    names |= {"country": pd.Series(region // 40 % 250).map("C{:02d}".format), "country_name": "a country"}
    return gpd.GeoDataFrame(names, geometry=shapes, crs="EPSG:4326")


def _lines(values: np.ndarray, count: int, low: float, high: float) -> np.ndarray:
    """Return the lines of the lattice, at quantiles of a mixture of an even distribution and that of the photos."""
    even = np.linspace(low, high, 20_000)
    mixed = np.sort(
        np.concatenate([even, np.random.default_rng(0).choice(values[(values > low) & (values < high)], 20_000)])
    )
    lines = mixed[np.linspace(0, len(mixed) - 1, count + 1).astype(int)]
    lines[0], lines[-1] = low, high
    return np.maximum.accumulate(lines + np.arange(count + 1) * 1e-6)


def _borders(xs: np.ndarray, ys: np.ndarray, pieces: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the borders from each node to its neighbours in the east and in the north, (rows, columns, pieces, 2)."""
    rng = np.random.default_rng(2)
    t = np.arange(pieces) / pieces
    taper = 0.6 * np.minimum(t, 1 - t)
    widths, heights = np.diff(xs), np.diff(ys)

    def noise(shape: tuple[int, int]) -> np.ndarray:
        steps = np.cumsum(rng.normal(0, 1, (*shape, pieces)).astype(np.float32), axis=-1)
        return steps / (np.abs(steps).max(axis=-1, keepdims=True) + 1e-6) * taper

    nearest = np.minimum(np.r_[heights, heights[-1]], np.r_[heights[0], heights])
    size = np.minimum(widths[None, :], nearest[:, None])[..., None]
    east = np.stack(
        np.broadcast_arrays(
            xs[:-1, None] + widths[:, None] * t, ys[:, None, None] + noise((len(ys), len(widths))) * size / 2
        ),
        axis=-1,
    )
    nearest = np.minimum(np.r_[widths, widths[-1]], np.r_[widths[0], widths])
    size = np.minimum(heights[:, None], nearest[None, :])[..., None]
    north = np.stack(
        np.broadcast_arrays(
            xs[:, None] + noise((len(heights), len(xs))) * size / 2, (ys[:-1, None] + heights[:, None] * t)[:, None, :]
        ),
        axis=-1,
    )
    return east, north


def write_rasters(folder: Path, photos: pd.DataFrame, per_degree: int) -> None:
    """Write six rasters in tiles of 512 pixels, with some sea in each; tiles far from photos are all sea."""
    height, width = 180 * per_degree, 360 * per_degree
    down, across = -(-height // BLOCK), -(-width // BLOCK)
    row = ((90 - photos["latitude"].to_numpy()) * per_degree // BLOCK).astype(int).clip(0, down - 1)
    column = ((photos["longitude"].to_numpy() + 180) * per_degree // BLOCK).astype(int).clip(0, across - 1)
    wanted = np.zeros((down, across), dtype=bool)
    for up in range(-REACH, REACH + 1):
        for left in range(-REACH, REACH + 1):
            wanted[np.clip(row + up, 0, down - 1), (column + left) % across] = True
    rng = np.random.default_rng(3)
    pool = [_field(rng) for _ in range(24)]
    for name, (kind, nodata, low, high) in RASTERS.items():
        blocks = [_block(field, sea, kind, nodata, low, high, rng) for field, sea in pool]
        profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": kind, "nodata": nodata}
        profile |= {
            "crs": "EPSG:4326",
            "transform": from_origin(-180, 90, 1 / per_degree, 1 / per_degree),
            "tiled": True,
        }
        profile |= {"blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "zlevel": 6, "num_threads": 2}
        profile |= {"predictor": 3 if kind == "float32" else 2, "sparse_ok": True}
        with rasterio.open(folder / name, "w", **profile) as dataset:
            for top, left in zip(*np.nonzero(wanted), strict=True):
                block = blocks[(7 * top + 13 * left) % len(blocks)]
                tall, wide = min(BLOCK, height - top * BLOCK), min(BLOCK, width - left * BLOCK)
                dataset.write(block[:tall, :wide], 1, window=Window(left * BLOCK, top * BLOCK, wide, tall))


def _field(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a field of hills of several sizes in 0..1, and a mask of the sea."""
    field = np.zeros((BLOCK, BLOCK), dtype=np.float32)
    for size in (4, 16, 64, 256):
        coarse = rng.random((size + 1, size + 1)).astype(np.float32)
        at = np.linspace(0, size, BLOCK, endpoint=False)
        whole, part = at.astype(int), (at % 1).astype(np.float32)
        rows = coarse[whole] * (1 - part)[:, None] + coarse[whole + 1] * part[:, None]
        field += (rows[:, whole] * (1 - part) + rows[:, whole + 1] * part) / size**0.7
    field = (field - field.min()) / np.ptp(field)
    return field, field < 0.12


def _block(
    field: np.ndarray,
    sea: np.ndarray,
    dtype: str,
    nodata: float,
    low: float,
    high: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the field scaled to low..high, with noise if it is of floats, and nodata in the sea."""
    values = low + (high - low) * field
    if dtype == "float32":
        values = np.round(values * (1 + 0.01 * rng.standard_normal(values.shape)), 2).clip(low, high)
    return np.where(sea, nodata, values).astype(dtype)
