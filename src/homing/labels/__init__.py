"""Labels: what is at each photo's coordinates, looked up in boundaries and rasters.

editions, boundaries     administrative areas of several makers become one table
exact, cells, borders, grid, areas    which of them holds a point, or is nearest
pixels, rasters          what a raster says there
curve, measure, known    many look-ups in a good order, on many workers, and none of them twice
label, agreement         the table of labels, and how it agrees with what a collection says
"""
