"""The photos of the planet: where, when and by whom they are taken, and their archive in the format of MP-16."""

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from homing.sphere import wrap_longitude
from homing.toyplanet.climate import koppen
from homing.toyplanet.layers import WorldRaster
from homing.toyplanet.render import Scene, render
from homing.toyplanet.world import World

DEGREES = 0.5  # pixel size of the grid from which coordinates are drawn
PHOTOS_PER_AUTHOR = 6
HOME_SHARE, HOME_KM = 0.6, 40  # share of photos near home, and their standard deviation
WITHOUT_DATE_SHARE = 0.08
YEARS = 10


def take_photos(world: World, count: int) -> pd.DataFrame:
    """Draw `count` photos: latitude, longitude, author, moment, captured_at (moment or null), country, region and seed.

    Times are local. Photographers live where people do; they take most photos near home, the rest where others live.
    """
    rng = np.random.default_rng([world.seed, 4])
    grid = WorldRaster(world, DEGREES)
    latitude, longitude = grid.latitude[grid.land], grid.longitude[grid.land]
    weight = np.cbrt(world.population_per_km2(latitude, longitude)) * np.cos(np.radians(latitude))
    authors = max(1, count // PHOTOS_PER_AUTHOR)
    homes = rng.choice(len(latitude), authors, p=weight / weight.sum())
    author = rng.integers(0, authors, count)
    pixel = np.where(
        rng.random(count) < HOME_SHARE, homes[author], rng.choice(len(latitude), count, p=weight / weight.sum())
    )
    at_home = pixel == homes[author]
    drift = np.where(at_home[:, None], rng.normal(0, HOME_KM / 111, (count, 2)), rng.uniform(-0.25, 0.25, (count, 2)))
    where_latitude = np.clip(latitude[pixel] + drift[:, 0], -89, 89)
    where_longitude = wrap_longitude(longitude[pixel] + drift[:, 1] / np.cos(np.radians(where_latitude)))
    day = rng.integers(0, 365 * YEARS, count)
    hour = rng.uniform(7.5, 17.5, count)
    moment = pd.Timestamp("2010-01-01") + pd.to_timedelta(day * 24 + hour, unit="h")
    frame = pd.DataFrame({"latitude": where_latitude, "longitude": where_longitude, "author": author, "moment": moment})
    frame["captured_at"] = frame["moment"].dt.floor("s").where(rng.random(count) >= WITHOUT_DATE_SHARE)
    frame["country"], frame["region"] = _areas(world, where_latitude, where_longitude)
    frame["seed"] = rng.integers(0, 2**62, count)
    return frame


def _areas(world: World, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return country and region numbers of points (n,); off the coast those of the nearest area."""
    tree = world.areas.sindex
    beyond = longitude < world.areas.total_bounds[2] - 360 + 3  # the fourth continent extends beyond 180 degrees
    points = shapely.points(np.where(beyond, longitude + 360, longitude), latitude)
    nearest = tree.nearest(points, return_all=False)[1]
    return world.areas["number"].to_numpy()[nearest], world.areas["region"].to_numpy()[nearest]


def scenes(world: World, photos: pd.DataFrame) -> list[Scene]:
    """Return the scene of each photo."""
    latitude, longitude = photos["latitude"].to_numpy(), photos["longitude"].to_numpy()
    climate = world.climate
    temperature, rain = climate.temperature_c(latitude, longitude), climate.precipitation_mm(latitude, longitude)
    month = photos["moment"].dt.month.to_numpy()
    rows = np.arange(len(photos))
    columns = {
        "seed": photos["seed"],
        "country": photos["country"],
        "region": photos["region"],
        "climate": koppen(temperature, rain, latitude),
        "temperature_c": temperature[rows, month - 1],
        "rain_mm": rain[rows, month - 1],
        "elevation_m": climate.elevation_m(latitude, longitude),
        "population_per_km2": world.population_per_km2(latitude, longitude),
        "year_phase": ((month - np.where(latitude >= 0, 1, 7)) % 12) / 12,
        "sun_height": sun_height(latitude, photos["moment"]),
        "drives_on_left": world.drives_on_left[photos["country"]],
        "soil": np.clip(climate.waves["soil"](latitude, longitude), -1, 1),
    }
    values = {name: np.asarray(column).tolist() for name, column in columns.items()}
    return [
        Scene(countries=world.countries, **dict(zip(values, row, strict=True)))
        for row in zip(*values.values(), strict=True)
    ]


def sun_height(latitude: np.ndarray, moment: pd.Series) -> np.ndarray:
    """Return the sun's elevation in degrees at local solar time, at least 2."""
    day, hour = moment.dt.dayofyear.to_numpy(), (moment.dt.hour + moment.dt.minute / 60).to_numpy()
    declination = np.radians(-23.44 * np.cos(2 * np.pi * (day + 10) / 365))
    phi, angle = np.radians(latitude), np.radians(15 * (hour - 12))
    height = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(angle)
    return np.maximum(np.degrees(np.arcsin(np.clip(height, -1, 1))), 2.0)


def write_photos(world: World, folder: Path, count: int, side: int) -> None:
    """Write the files of MP-16: a tar archive split in two in the middle of a photo, and a CSV table."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = take_photos(world, count)
    images = [render(scene, side) for scene in scenes(world, photos)]
    names = [
        f"{seed % 256:02x}/{seed // 256 % 256:02x}/{number:010d}.jpg" for number, seed in enumerate(photos["seed"])
    ]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in zip(names, images, strict=True):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    content = archive.getvalue()
    cut = len(content) // 2 + 100
    (folder / "mp-16-images00").write_bytes(content[:cut])
    (folder / "mp-16-images01").write_bytes(content[cut:])
    _write_table(folder / "MP16_Pro_places365.csv", photos, names)


def _write_table(path: Path, photos: pd.DataFrame, names: list[str]) -> None:
    """Write the CSV table of the photos, whose image files have these names."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["IMG_ID", "AUTHOR", "LAT", "LON", "CAPTURED_AT"])
        for name, row in zip(names, photos.itertuples(), strict=True):
            date = "" if pd.isna(row.captured_at) else str(row.captured_at)
            table.writerow([name, f"author-{row.author:05d}", f"{row.latitude:.6f}", f"{row.longitude:.6f}", date])
