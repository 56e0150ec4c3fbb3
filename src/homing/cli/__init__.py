"""The command line."""

from homing.cli.main import main

__all__ = ["main"]
