"""Oracles of each stage, by brute force."""

import numpy as np

from homing.evaluate.ceilings import Points, ceilings, oracle_errors
from homing.evaluate.distances import FARTHEST_KM
from homing.sphere import haversine_km


def test_ceilings_by_brute_force():
    rng = np.random.default_rng(22)
    truth = np.column_stack([rng.uniform(-60, 60, 60), rng.uniform(-180, 180, 60)])
    centroids = np.column_stack([rng.uniform(-60, 60, 12), rng.uniform(-180, 180, 12)])
    cells = np.argsort(rng.random((60, 12)), axis=1)[:, :5]
    true_cell = rng.integers(0, 12, 60)
    photos = Points(rng.integers(0, 11, 400), rng.uniform(-60, 60, 400), rng.uniform(-180, 180, 400))  # cell 11: none
    found = oracle_errors(truth, cells, centroids[cells], true_cell, {"photo": photos})
    for row in range(60):
        centroid = haversine_km(*truth[row], *centroids.T)
        photo = haversine_km(*truth[row], photos.latitude, photos.longitude)
        reach = [photo[photos.cell_id == cell].min() if cell < 11 else centroid[cell] for cell in cells[row]]
        own = photo[photos.cell_id == true_cell[row]].min() if true_cell[row] < 11 else FARTHEST_KM
        expected = [centroid[cells[row, 0]], centroid[cells[row]].min(), reach[0], min(reach), own]
        np.testing.assert_allclose([values[row] for values in found.values()], expected, rtol=1e-6)
    figures = ceilings(found, [200, 2500])
    assert list(figures) == ["first_cell", "best_of_5_cells", "photo_in_first_cell", "photo_in_5_cells",
                             "photo_in_true_cell"]  # fmt: skip
    assert figures["photo_in_5_cells"]["median_km"] <= figures["photo_in_first_cell"]["median_km"]
