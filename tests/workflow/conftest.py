"""Finished runs that tests share: made once per session, whatever the number of workers, and read by all of them."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import guides
import pytest
from checkout import TINY, copy_repository, snakemake
from filelock import FileLock


@pytest.fixture(scope="session")
def finished_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a finished run of tiny.yaml. Read only: a test that changes anything works on `copy_of` it."""

    def make(folder: Path) -> None:
        copy_repository(folder)
        snakemake(folder, "--configfile", TINY, "--cores", 2)

    return _made_once(tmp_path_factory, "finished_tiny", make)


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout where a reader has followed the first guide, with its finished demo. Read only, as `finished_tiny`."""

    def make(folder: Path) -> None:
        guides.checkout(folder)
        guides.follow(guides.GUIDES / "start.md", folder)

    return _made_once(tmp_path_factory, "finished_demo", make)


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """A function that copies a finished checkout, dates and links too, into a folder of the test's own."""

    def copy(finished: Path) -> Path:
        folder = tmp_path / "checkout"
        subprocess.run(["cp", "-a", "--reflink=auto", finished, folder], check=True)
        return folder

    return copy


def _made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` of this session, made by the worker that asks first; the others wait for it.

    Where making it fails, it fails once: the other workers fail with the first one's message.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # each worker has a folder of its own in it
    folder, done, failed = root / name, root / f"{name}.done", root / f"{name}.failed"
    with FileLock(root / f"{name}.lock"):
        if failed.exists():
            pytest.fail(f"{name} could not be made: {failed.read_text(encoding='utf-8')}")
        if not done.exists():
            folder.mkdir()
            try:
                make(folder)
            except BaseException as error:
                failed.write_text(str(error), encoding="utf-8")
                raise
            done.touch()
    return folder
