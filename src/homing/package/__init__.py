"""The model package: how a finished run is packaged, how a package predicts, and how it is exported."""
