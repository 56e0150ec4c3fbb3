"""Geometry of geocells: places, great-circle arcs, Voronoi borders, tessellation of land, borders, outlines, S2."""
