"""Labels of every photo: administrative areas, rasters, driving side, month."""
