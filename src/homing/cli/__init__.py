"""The command line: `homing COMMAND`."""

from homing.cli.main import main

__all__ = ["main"]
