"""Relief, temperature, precipitation and Koppen-Geiger classes of the planet, as functions of coordinates."""

from dataclasses import dataclass, field

import numpy as np

from homing.sphere import unit_vectors

MONTHS = np.arange(1, 13)
LAPSE_RATE = 6.0  # degrees Celsius per km
DRY_SUMMER, DRY_WINTER, NEVER_DRY = 0, 1, 2  # in the order of the class numbers of Beck et al.


class Waves:
    """A smooth random function on the sphere, of about -1..1: a sum of plane waves, without seams or poles."""

    def __init__(self, rng: np.random.Generator, frequency: float, count: int = 16) -> None:
        self.vectors = rng.normal(size=(count, 3)) * frequency
        self.phases = rng.uniform(0, 2 * np.pi, count)

    def __call__(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        angles = unit_vectors(latitude, longitude) @ self.vectors.T + self.phases
        return np.cos(angles).sum(axis=-1) / np.sqrt(len(self.phases))


@dataclass
class Climate:
    """The climate of a planet. Methods take latitude and longitude of one shape and return that shape, months last."""

    seed: int
    waves: dict[str, Waves] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 1])
        sizes = {"hills": 9, "ridges": 4, "warmth": 3, "wetness": 4, "timing": 3, "soil": 5}
        self.waves = {name: Waves(rng, size) for name, size in sizes.items()}

    def elevation_m(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """Return the elevation in metres, at least 1, also where there is sea."""
        hills, ridges = self.waves["hills"](latitude, longitude), self.waves["ridges"](latitude, longitude)
        return np.clip(120 + 160 * (hills + 1) + 2600 * np.clip(ridges - 0.4, 0, None) ** 1.3, 1, 6500)

    def temperature_c(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """Return monthly mean temperatures in degrees Celsius (..., 12)."""
        mean = 28 - 0.0095 * latitude**2 + 2 * self.waves["warmth"](latitude, longitude)
        mean = mean - LAPSE_RATE * self.elevation_m(latitude, longitude) / 1000
        swing = 0.33 * np.abs(latitude) * (1 + 0.3 * self.waves["timing"](latitude, longitude))
        return mean[..., None] + swing[..., None] * summer(latitude)

    def precipitation_mm(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """Return monthly precipitation (..., 12): wet at the equator, dry at 25 degrees, wet summers or wet winters."""
        bands = 220 * np.exp(-((latitude / 12) ** 2)) + 90 * np.exp(-(((np.abs(latitude) - 50) / 16) ** 2)) + 14
        mean = bands * np.exp(0.7 * self.waves["wetness"](latitude, longitude))
        mediterranean = (np.abs(latitude) > 28) & (np.abs(latitude) < 46)
        timing = np.where(mediterranean, np.tanh(2 * self.waves["timing"](latitude, longitude)), 0.6)
        return mean[..., None] * (1 + 0.85 * timing[..., None] * summer(latitude))


def summer(latitude: np.ndarray) -> np.ndarray:
    """Return the season of each month (..., 12): 1 in midsummer (July in the north, January in the south) to -1."""
    return np.sign(latitude)[..., None] * np.cos(2 * np.pi * (MONTHS - 7) / 12)


def koppen(temperature: np.ndarray, precipitation: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """Return Koppen-Geiger classes 1..30 (...) of monthly temperature and precipitation (..., 12).

    Criteria: Beck et al., "Present and future Koppen-Geiger climate classification maps", 2018, table 2.
    """
    warm_half = np.where(latitude[..., None] >= 0, (MONTHS >= 4) & (MONTHS <= 9), (MONTHS < 4) | (MONTHS > 9))
    annual_t, annual_p = temperature.mean(axis=-1), precipitation.sum(axis=-1)
    hot, cold = temperature.max(axis=-1), temperature.min(axis=-1)
    summer_p = np.where(warm_half, precipitation, 0).sum(axis=-1)
    summer_share = summer_p / annual_p
    threshold = 20 * annual_t + np.select([summer_share > 0.7, summer_share < 0.3], [280, 0], 140)
    driest = precipitation.min(axis=-1)
    dry_summer = np.where(warm_half, precipitation, np.inf).min(axis=-1)
    dry_winter = np.where(warm_half, np.inf, precipitation).min(axis=-1)
    wet_summer = np.where(warm_half, precipitation, 0).max(axis=-1)
    wet_winter = np.where(warm_half, 0, precipitation).max(axis=-1)
    dry = [(dry_summer < 40) & (dry_summer < wet_winter / 3), dry_winter < wet_summer / 10]
    season = np.select(dry, [DRY_SUMMER, DRY_WINTER], NEVER_DRY)
    months_over_10 = (temperature > 10).sum(axis=-1)
    heat = np.select([hot > 22, months_over_10 >= 4, cold < -38], [0, 1, 3], 2)
    tropical = np.select([driest >= 60, driest >= 100 - annual_p / 25], [1, 2], 3)
    arid = 4 + 2 * (annual_p >= threshold / 2) + (annual_t < 18)
    temperate = 8 + 3 * season + np.minimum(heat, 2)
    continental = 17 + 4 * season + heat
    polar = np.where(hot > 0, 29, 30)
    return np.select(
        [annual_p < threshold, hot <= 10, cold >= 18, cold > 0], [arid, polar, tropical, temperate], continental
    ).astype(np.uint8)
