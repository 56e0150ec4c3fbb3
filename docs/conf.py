"""The site of these pages: `make docs` writes docs/_build/index.html, which opens without a server or a network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from homing import __version__

project = "Homing"
author = "the Homing developers"
release = version = __version__
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
# Links to files of the repository stay readable there; the site shows those files' names.
suppress_warnings = ["myst.xref_missing"]
html_theme = "furo"
html_title = "Homing"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sourcelink = False
html_copy_source = False
