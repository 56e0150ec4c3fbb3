"""HTML pages for people: the report of a run, of geocells, of labels and of a comparison, with maps and charts."""
