"""The arguments of the commands that read a configuration and a Snakemake profile."""

import argparse


def add_workflow_arguments(command: argparse.ArgumentParser) -> None:
    """Add `--configfile` and `--profile`, which mean what they mean for snakemake."""
    files = "configuration files; later ones override earlier ones"
    command.add_argument("--configfile", nargs="+", action="extend", default=[], metavar="FILE", help=files)
    profiles = "folder, file or name of a Snakemake profile; may be repeated (default: local)"
    command.add_argument("--profile", action="append", default=[], metavar="P", help=profiles)
