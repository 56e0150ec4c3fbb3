"""Intervals by the bootstrap over clusters of photos, in compiled code.

A draw takes as many clusters as there are, with replacement (Davison & Hinkley, Bootstrap Methods and their
Application, 1997, section 3.8): what is drawn is how often each cluster counts. Means and shares then are sums over
clusters, and quantiles one walk along the sorted distances, so that no photo is copied. Draw i depends on the seed and
on i alone: the same for any number of workers, and for two prediction files on the same photos, whose differences are
paired by that.
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
    """The cluster (n,) of each photo, 0, 1, ... in order of appearance; a photo without a name is by itself."""
    codes, uniques = pd.factorize(names)
    alone = codes < 0
    codes[alone] = len(uniques) + np.arange(alone.sum())
    return pd.factorize(codes)[0].astype(np.int64)


def resample(
    values: np.ndarray,
    clusters: np.ndarray,
    away: np.ndarray,
    quantiles: Sequence[float],
    draws: int = DRAWS,
    seed: int = 0,
    workers: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Means (draws, m) of the columns of `values` (n, m), and quantiles (draws, q) of `away` (n,), in each draw.

    clusters: of each photo, 0 to c - 1, all used. Quantiles are those of numpy's default, between two photos linear.
    """
    count = int(clusters.max()) + 1
    sizes = np.bincount(clusters, minlength=count)
    sums = np.column_stack([np.bincount(clusters, column, count) for column in values.T])
    order = np.argsort(away, kind="stable")
    levels = np.asarray(quantiles, dtype=np.float64)
    ranks = np.argsort(levels, kind="stable")
    means, found = np.empty((draws, values.shape[1])), np.empty((draws, len(levels)))
    blocks = np.array_split(np.arange(draws, dtype=np.uint64), workers)

    def work(block: np.ndarray) -> None:
        rows = block.astype(np.int64)
        means[rows], quantile = _draws(
            block, np.uint64(seed), sums, sizes, clusters[order].astype(np.int32), away[order], levels[ranks]
        )
        found[rows[:, None], ranks] = quantile

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, blocks))
    return means, found


def interval(drawn: np.ndarray) -> np.ndarray:
    """The 95 % interval (2, m) of statistics (draws, m)."""
    return np.percentile(drawn, INTERVAL, axis=0)


@compiled
def _mixed(state):
    """A 64-bit number whose bits depend on all bits of `state` (the finaliser of SplitMix64, Steele et al. 2014)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@compiled
def _counts(draw, seed, times):
    """How often each cluster is drawn, into `times`; two clusters from each 64-bit number."""
    times[:] = 0
    count = np.uint64(len(times))
    state = _mixed(_mixed(seed + np.uint64(0x9E3779B97F4A7C15)) + draw)
    for number in range(len(times)):
        if number % 2 == 0:
            state += np.uint64(0x9E3779B97F4A7C15)
            word = _mixed(state)
        half = word & np.uint64(0xFFFFFFFF) if number % 2 == 0 else word >> np.uint64(32)
        times[np.int64((half * count) >> np.uint64(32))] += 1


@compiled
def _draws(draws, seed, sums, sizes, cluster, away, levels):
    """Means and quantiles in some draws; cluster and away: of the photos by distance; levels ascending."""
    means, quantiles = np.zeros((len(draws), sums.shape[1])), np.zeros((len(draws), len(levels)))
    times = np.empty(len(sizes), dtype=np.int32)
    for row in range(len(draws)):
        _counts(draws[row], seed, times)
        photos = 0
        for one in range(len(sizes)):
            if times[one]:
                photos += times[one] * sizes[one]
                for column in range(sums.shape[1]):
                    means[row, column] += times[one] * sums[one, column]
        means[row] /= photos
        _walk(times, cluster, away, levels, photos, quantiles[row])
    return means, quantiles


@compiled
def _walk(times, cluster, away, levels, photos, found):
    """Quantiles of the drawn photos, in one walk along the distances."""
    at, passed = 0, 0  # photos before `at`, each as often as drawn
    for level in range(len(levels)):
        place = levels[level] * (photos - 1)
        low = np.int64(np.floor(place))
        while passed + times[cluster[at]] <= low:
            passed += times[cluster[at]]
            at += 1
        high, reached = at, passed + times[cluster[at]]
        while high < len(away) - 1 and reached <= low + 1:
            high += 1
            reached += times[cluster[high]]
        beyond = away[high] if reached > low + 1 else away[at]
        found[level] = away[at] + (beyond - away[at]) * (place - low)
