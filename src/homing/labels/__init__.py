"""Labels: administrative area, climate and other values at each photo's coordinates.

editions, boundaries                  read administrative areas of several publishers into one table
exact, cells, borders, grid, areas    point in polygon, and the nearest area
pixels, rasters                       raster values at points, and the nearest valid pixel
curve, measure, cache                 look-ups in the order of a space-filling curve, in parallel, cached
label, agreement                      the table of labels, and its agreement with the collection's own labels
"""
