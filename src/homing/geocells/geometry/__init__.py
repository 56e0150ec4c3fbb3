"""Geometry of geocells on the sphere: arcs, Voronoi cells, land, borders, outlines, S2."""
