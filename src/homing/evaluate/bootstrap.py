"""Bootstrap confidence intervals over clusters of photos, in compiled code.

Each draw takes as many clusters as there are, with replacement (Davison & Hinkley, Bootstrap Methods and their
Application, 1997, section 3.8); it is stored as the number of times each cluster is drawn. Means and shares are then
sums over clusters, and quantiles one pass over the sorted errors, so no photo is copied. Draw i depends on the seed and
i only: it is the same for any number of workers, and for two prediction files on the same photos, which makes their
differences paired.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pandas as pd

DRAWS = 1000
INTERVAL = (2.5, 97.5)  # percentiles

compiled = numba.njit(cache=True, nogil=True)


def cluster_numbers(names: pd.Series) -> np.ndarray:
    """Return the cluster (n,) of each photo, numbered by first appearance; a photo without a name is alone."""
    codes, uniques = pd.factorize(names)
    alone = codes < 0
    codes[alone] = len(uniques) + np.arange(alone.sum())
    return pd.factorize(codes)[0].astype(np.int64)


def resample(
    values: np.ndarray,
    clusters: np.ndarray,
    error_km: np.ndarray,
    quantiles: Sequence[float],
    draws: int = DRAWS,
    seed: int = 0,
    workers: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return means (draws, m) of the columns of `values` (n, m), and quantiles (draws, q) of `error_km` (n,), per draw.

    clusters: (n,), numbers 0 to c - 1, all of which occur. Quantiles interpolate linearly, like numpy's default.
    """
    count = int(clusters.max()) + 1
    sizes = np.bincount(clusters, minlength=count)
    sums = np.column_stack([np.bincount(clusters, column, count) for column in values.T])
    order = np.argsort(error_km, kind="stable")
    levels = np.asarray(quantiles, dtype=np.float64)
    ranks = np.argsort(levels, kind="stable")
    means, found = np.empty((draws, values.shape[1])), np.empty((draws, len(levels)))
    blocks = np.array_split(np.arange(draws, dtype=np.uint64), workers)

    def work(block: np.ndarray) -> None:
        rows = block.astype(np.int64)
        means[rows], quantile = _draws(
            block, np.uint64(seed), sums, sizes, clusters[order].astype(np.int32), error_km[order], levels[ranks]
        )
        found[rows[:, None], ranks] = quantile

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, blocks))
    return means, found


def interval(drawn: np.ndarray) -> np.ndarray:
    """Return the 95 % interval (2, m) of statistics (draws, m)."""
    return np.percentile(drawn, INTERVAL, axis=0)


@compiled
def _mix(state):
    """Return a hash of a 64-bit number (the finaliser of SplitMix64, Steele et al. 2014)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@compiled
def _count_clusters(draw, seed, times):
    """Write into `times` (c,) how often each cluster is drawn; one 64-bit random number gives two clusters."""
    times[:] = 0
    count = np.uint64(len(times))
    state = _mix(_mix(seed + np.uint64(0x9E3779B97F4A7C15)) + draw)
    for number in range(len(times)):
        if number % 2 == 0:
            state += np.uint64(0x9E3779B97F4A7C15)
            word = _mix(state)
        half = word & np.uint64(0xFFFFFFFF) if number % 2 == 0 else word >> np.uint64(32)
        times[np.int64((half * count) >> np.uint64(32))] += 1


@compiled
def _draws(draws, seed, sums, sizes, cluster, error_km, levels):
    """Return means and quantiles of draws; cluster, error_km: (n,), of the photos by error; levels: ascending."""
    means, quantiles = np.zeros((len(draws), sums.shape[1])), np.zeros((len(draws), len(levels)))
    times = np.empty(len(sizes), dtype=np.int32)
    for row in range(len(draws)):
        _count_clusters(draws[row], seed, times)
        photos = 0
        for one in range(len(sizes)):
            if times[one]:
                photos += times[one] * sizes[one]
                for column in range(sums.shape[1]):
                    means[row, column] += times[one] * sums[one, column]
        means[row] /= photos
        _quantiles(times, cluster, error_km, levels, photos, quantiles[row])
    return means, quantiles


@compiled
def _quantiles(times, cluster, error_km, levels, photos, found):
    """Write the quantiles of the drawn photos into `found` (q,), in one pass over the sorted errors."""
    at, passed = 0, 0  # `passed` drawn photos come before the photo `at`
    for level in range(len(levels)):
        place = levels[level] * (photos - 1)
        low = np.int64(np.floor(place))
        while passed + times[cluster[at]] <= low:
            passed += times[cluster[at]]
            at += 1
        high, reached = at, passed + times[cluster[at]]
        while high < len(error_km) - 1 and reached <= low + 1:
            high += 1
            reached += times[cluster[high]]
        following = error_km[high] if reached > low + 1 else error_km[at]
        found[level] = error_km[at] + (following - error_km[at]) * (place - low)
