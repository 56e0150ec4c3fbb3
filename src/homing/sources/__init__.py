"""Raw files: found, verified, and never visible before they are right."""
