"""Geocells: the partition of the land into the classes of the classifier; seven methods, one table.

geometry/   arcs, Voronoi borders, land and its tessellation
methods/    how a country, or the globe, is partitioned
shaping     which photos shape the cells            hierarchy   coarser levels above the cells
partition   all countries by the chosen method      quality     figures of a partition
describe    the rows of the table of cells          compare     partitions side by side
assign      the cell of any photo                   export      GeoPackage and simplified outlines
"""
