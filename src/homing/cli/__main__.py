"""Run the command line as `python -m homing.cli`."""

import sys

from homing.cli.main import main

sys.exit(main())
