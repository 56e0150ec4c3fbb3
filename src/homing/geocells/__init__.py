"""The partition of the land that the classifier predicts: seven methods, one table.

partition   the method by its name, country by country        points      which photos shape the cells
country     land without overlaps, photos at places on it     describe    the rows of the table
semantic    merge what is small, divide what is large         hierarchy   levels above the cells
  merge       by common borders                               assign      the cell of any photo
  divide      by clusters, cut along voronoi's arcs           quality     what a partition is worth
centres     k-means; admin: units as they are                 compare     partitions side by side
lattices    S2, H3, quadtree, with their outlines             export      the cells for QGIS
"""
