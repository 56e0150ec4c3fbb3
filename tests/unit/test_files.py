"""Files appear whole or not at all, with the permissions of any new file, and JSON is JSON for every reader."""

import errno
import json
import os
import threading

import pytest

from homing.errors import HomingError, TransientError
from homing.files import (
    atomic_path,
    is_disk_full,
    read_json,
    read_json_lines,
    translate_disk_full,
    write_json,
    write_json_lines,
)

HISTORY = [{"step": 1, "loss": float("nan"), "parts": [1.5, float("-inf")]}, {"step": 2, "loss": 0.25, "parts": (3,)}]


def strict_json(text: str):
    """Parse as other languages do, without Python's bare NaN and Infinity."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.fixture
def umask():
    """Set the umask of the process for one test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path) -> int:
    return path.stat().st_mode & 0o777


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a.json") as partial:
        partial.write_text("half")
        raise RuntimeError
    assert read_json(tmp_path / "a.json") == 1 and [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(("mask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_permissions_follow_the_umask_whatever_the_library_sets(tmp_path, umask, mask, file_mode, folder_mode):
    umask(mask)
    (tmp_path / "theirs").write_text("")
    (tmp_path / "theirs").chmod(0o440)
    with atomic_path(tmp_path / "model") as partial:
        partial.mkdir(0o700)
        (partial / "weights").write_text("")
        (partial / "weights").chmod(0o600)
        (partial / "link").symlink_to(tmp_path / "theirs")
    found = [mode(tmp_path / name) for name in ("model", "model/weights", "theirs")]
    assert found == [folder_mode, file_mode, 0o440]


def test_writing_does_not_touch_the_umask_under_which_other_threads_write(tmp_path, umask):
    umask(0o077)
    stop, exposed = threading.Event(), []

    def create_files() -> None:
        number = 0
        while not stop.is_set():
            path = tmp_path / f"secret-{number % 50}"
            path.unlink(missing_ok=True)
            path.write_text("")
            if mode(path) != 0o600:
                exposed.append(mode(path))
            number += 1

    def write_files(writer: int) -> None:
        for number in range(100):
            write_json(tmp_path / f"{writer}-{number}.json", number)

    bystander = threading.Thread(target=create_files)
    writers = [threading.Thread(target=write_files, args=(writer,)) for writer in range(4)]
    for thread in [bystander, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    bystander.join()
    assert not exposed
    assert {mode(path) for path in tmp_path.glob("*.json")} == {0o600}


def test_the_umask_is_never_set(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask belongs to the whole process"))
    write_json(tmp_path / "a.json", 1)


def test_numbers_that_are_not_finite_are_refused_or_null(tmp_path):
    path = tmp_path / "a.json"
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="a.json.*not JSON compliant"):
            write_json(path, {"metric": [value]})
        with pytest.raises(ValueError, match="a.json.*not JSON compliant"):
            write_json_lines(path, [{"metric": value}])
    assert not path.exists()
    expected = [{"step": 1, "loss": None, "parts": [1.5, None]}, {"step": 2, "loss": 0.25, "parts": [3]}]
    write_json(path, HISTORY, non_finite_as_null=True)
    assert strict_json(path.read_text()) == read_json(path) == expected
    write_json_lines(path, HISTORY, non_finite_as_null=True)
    assert [strict_json(line) for line in path.read_text().splitlines()] == read_json_lines(path) == expected


@pytest.mark.parametrize("read", [read_json, read_json_lines])
def test_missing_and_broken_json_is_named(tmp_path, read):
    with pytest.raises(HomingError, match="a.json: no such file"):
        read(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(HomingError, match="a.json: not valid JSON"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_a_transient_error_and_other_errors_pass(number):
    for error in (OSError(number, "full", "x.bin"), ValueError(f"I/O error: full (os error {number})")):
        assert is_disk_full(error)
        with pytest.raises(TransientError, match="no space left"), translate_disk_full():
            raise error
    for other in (OSError(errno.EACCES, "denied"), HomingError(f"row 3 (os error {number})"), ValueError("28")):
        with pytest.raises(type(other)) as raised, translate_disk_full():
            raise other
        assert raised.value is other
