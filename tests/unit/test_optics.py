"""OPTICS in compiled loops equals scikit-learn's, ties included."""

import numpy as np
import pytest
from sklearn.cluster import OPTICS

from homing.optics import optics_clusters, optics_order


@pytest.mark.parametrize("seed", range(5))
def test_optics_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    plane = np.concatenate([rng.normal(centre, 1 + centre / 20, (80, 2)) for centre in (0, 12, 30)])
    oracle = OPTICS(min_samples=8, xi=0.05).fit(plane)
    ordering, reachability, predecessor = optics_order(plane, 8)
    assert (ordering == oracle.ordering_).all() and (predecessor == oracle.predecessor_).all()
    np.testing.assert_array_equal(reachability, oracle.reachability_)
    assert (optics_clusters(plane, 8, 0.05) == oracle.labels_).all()


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_optics_is_scikit_learns_where_points_and_distances_are_equal(dimensions):
    """A lattice is full of ties; some points are there twice; there are more points than in one block."""
    rng = np.random.default_rng(dimensions)
    plane = rng.integers(0, 6, (400, dimensions)).astype(float)
    oracle = OPTICS(min_samples=5, xi=0.05, algorithm="kd_tree").fit(plane)
    ordering, reachability, predecessor = optics_order(plane, 5)
    assert (ordering == oracle.ordering_).all() and (predecessor == oracle.predecessor_).all()
    np.testing.assert_array_equal(reachability, oracle.reachability_)
