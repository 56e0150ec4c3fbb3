"""Google's S2 cells in numpy: the globe on the six faces of a cube, each a quadtree along a Hilbert curve.

A point lies on a face, at (i, j) of a grid of 2**30 x 2**30 leaves; the cell of level L that contains it is (i, j)
shifted right by 30 - L bits. Positions along the curve number the 6 * 4**L cells of a level so that the four children
of a cell follow each other. Definitions: http://s2geometry.io/devguide/s2cell_hierarchy.
"""

import numpy as np

LEAF_LEVEL = 30
SWAP, INVERT = 1, 2  # bits of the orientation of the curve in a cell: i and j exchanged, both reversed
# 2i + j of the n-th child along the curve, by orientation
CHILD = np.array([[0, 1, 3, 2], [0, 2, 3, 1], [3, 2, 0, 1], [3, 1, 0, 2]])
TURN = np.array([SWAP, 0, 0, SWAP | INVERT])  # change of orientation from the parent to the n-th child
STEP_BITS = 5  # levels per table look-up; a divisor of LEAF_LEVEL


def leaf_cells(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return face (0..5), i and j (0..2**30 - 1) of points on the unit sphere (n, 3), int64 (n,) each."""
    size = np.abs(vectors)
    x, y, z = size.T
    axis = np.where(x > y, np.where(x > z, 0, 2), np.where(y > z, 1, 2))
    x, y, z = vectors.T
    on_axis = np.where(axis == 0, x, np.where(axis == 1, y, z))
    face = np.where(on_axis < 0, axis + 3, axis)
    u = np.choose(face, [y, -x, -x, z, z, -y]) / on_axis
    v = np.choose(face, [z, z, -y, y, -x, -x]) / on_axis
    return face, leaf_number(u), leaf_number(v)


def leaf_number(tangent: np.ndarray) -> np.ndarray:
    """Return i or j of a coordinate -1..1 on a face of the cube, by S2's quadratic, nearly equal-area transform."""
    half = 0.5 * np.sqrt(1 + 3 * np.abs(tangent))
    share = np.where(tangent >= 0, half, 1 - half)
    return np.clip(np.floor(share * 2**LEAF_LEVEL).astype(np.int64), 0, 2**LEAF_LEVEL - 1)


def positions(face: np.ndarray, i: np.ndarray, j: np.ndarray, level: int) -> np.ndarray:
    """Return the numbers (n,) along the curve, 0..6 * 4**level - 1, of the cells of a level that contain leaves."""
    steps = -(-level // STEP_BITS)
    position, orientation = face.copy(), face & SWAP
    for step in range(1, steps + 1):
        shift = LEAF_LEVEL - step * STEP_BITS
        row, column = (coordinate >> shift & (2**STEP_BITS - 1) for coordinate in (i, j))
        looked_up = STEPS[(orientation << 2 * STEP_BITS) | (row << STEP_BITS) | column]
        position = (position << 2 * STEP_BITS) | (looked_up >> 2)
        orientation = looked_up & 3
    return position >> 2 * (steps * STEP_BITS - level)


def step_table() -> np.ndarray:
    """Return the table of 4 * position + new orientation, indexed by orientation, i and j of STEP_BITS bits each."""
    side = 2**STEP_BITS
    orientation, i, j = (grid.ravel() for grid in np.meshgrid(np.arange(4), *2 * [np.arange(side)], indexing="ij"))
    position = np.zeros_like(i)
    order = np.argsort(CHILD, axis=1)
    for bit in reversed(range(STEP_BITS)):
        child = order[orientation, (i >> bit & 1) << 1 | j >> bit & 1]
        position, orientation = position << 2 | child, orientation ^ TURN[child]
    return position << 2 | orientation


STEPS = step_table()


def tokens(position: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return the tokens of cells: their 64-bit ids in hexadecimal without trailing zeros; they sort like the curve."""
    ids = (
        (2 * number + 1) << 2 * (LEAF_LEVEL - depth)
        for number, depth in zip(position.tolist(), level.tolist(), strict=True)
    )
    return np.array([f"{cell:016x}".rstrip("0") for cell in ids], dtype=str)


def corners(face: np.ndarray, i: np.ndarray, j: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return the corners (n, 4, 3), anticlockwise unit vectors, of the cells of a level that contain leaves."""
    shift = LEAF_LEVEL - level
    i, j = i >> shift, j >> shift
    points = [sphere_point(face, i + right, j + up, level) for right, up in ((0, 0), (1, 0), (1, 1), (0, 1))]
    return np.stack(points, axis=1)


def centres(face: np.ndarray, i: np.ndarray, j: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return the centres (n, 3), unit vectors, of the cells of a level that contain leaves."""
    shift = LEAF_LEVEL - level
    return sphere_point(face, (i >> shift) + 0.5, (j >> shift) + 0.5, level)


def sphere_point(face: np.ndarray, i: np.ndarray, j: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return unit vectors (n, 3) of points (i, j) in the grid of 2**level x 2**level cells of a face."""
    u, v = (cube_coordinate(value * 0.5**level) for value in (i, j))
    one = np.ones_like(u)
    x = np.choose(face, [one, -u, -u, -one, v, v])
    y = np.choose(face, [u, one, -v, -v, -one, u])
    z = np.choose(face, [v, v, one, -u, -u, -one])
    return np.stack([x, y, z], axis=1) / np.sqrt(1 + u**2 + v**2)[:, None]


def cube_coordinate(share: np.ndarray) -> np.ndarray:
    """Invert S2's quadratic transform: return the coordinate -1..1 on a face of a share 0..1 of the leaves."""
    return np.where(share >= 0.5, 4 * share**2 - 1, 1 - 4 * (1 - share) ** 2) / 3
