"""Methods that partition the land of a country, or the globe, into geocells.

country     what a method starts from, and what it returns
semantic    areas merged below the minimum (merge), cells split above the maximum (divide, along one of the cuts)
kmeans      Voronoi cells of centroids      admin    administrative areas or regions
lattices    S2, H3 and quadtree cells
"""
