"""One file over HTTP that survives: resumed where the server allows it, retried with back-off, never a wrong file.

Bytes land in a partial file that stays when a job dies. Beside it lies what must hold for it to be continued: the
validator (a strong ETag, or Last-Modified) and the length that the server stated (RFC 9110, sections 13.1.5 and 14).
"""

import email.utils
import logging
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from tqdm import tqdm

from homing.errors import HomingError, TransientError
from homing.files import read_json, write_json

log = logging.getLogger(__name__)

CHUNK = 1 << 16  # what a broken connection loses at most
LONGEST_PAUSE_SECONDS = 120
SPARE_BYTES = 50_000_000  # left free on the disk
LOG_SECONDS = 30
BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


@dataclass(frozen=True)
class Patience:
    """How long a silent server is waited for, and how often is tried in a row without one new byte."""

    timeout_seconds: float = 60
    attempts: int = 6
    pause_seconds: float = 2


@dataclass
class Request:
    """What is fetched: `headers` may hold a token; it is sent to the first host alone and appears in no message."""

    url: str
    headers: Mapping[str, str]
    bytes: int | None
    advice: str = ""


class _Again(Exception):
    """The attempt failed in a way that another one may mend."""

    def __init__(self, why: str, pause: float | None = None) -> None:
        super().__init__(why)
        self.pause = pause


def download(request: Request, partial: Path, patience: Patience) -> str:
    """Fetch `request` into `partial`, going on where it ends. Returns the sha256 that the hub states, or "".

    Raises HomingError when the server refuses, sends a web page or keeps failing; what came so far stays in `partial`.
    """
    partial.parent.mkdir(parents=True, exist_ok=True)
    failures, farthest = 0, _size(partial)
    while True:
        try:
            return _Attempt(request, partial, patience).run()
        except _Again as problem:
            failures = 0 if _size(partial) > farthest else failures + 1
            farthest = max(farthest, _size(partial))
            if failures >= patience.attempts:
                kept = f" to go on at {_size(partial)} bytes" if _size(partial) else ""
                raise TransientError(
                    f"{public(request.url)}: {problem} ({failures} attempts without progress); run again{kept}, "
                    "or put the file into the mirror folder"
                ) from None
            pause = patience.pause_seconds * 2 ** max(0, failures - 1) if problem.pause is None else problem.pause
            log.warning("%s: %s; trying again", public(request.url), problem)
            time.sleep(min(pause, LONGEST_PAUSE_SECONDS))


def discard(partial: Path) -> None:
    """Forget a partial file, so that the next download starts at its first byte."""
    partial.unlink(missing_ok=True)
    _state_path(partial).unlink(missing_ok=True)


def public(url: str) -> str:
    """The address without user, password and query, which may hold a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _state_path(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.state.json")


class _Attempt:
    """One request and the bytes it brings."""

    def __init__(self, request: Request, partial: Path, patience: Patience) -> None:
        self.request, self.partial, self.patience = request, partial, patience
        self.where = public(request.url)
        self.state = read_json(_state_path(partial)) if _state_path(partial).is_file() else {}
        if self.state.get("url") != request.url or not self.state.get("validator"):
            discard(partial)
            self.state = {}
        self.have = _size(partial)

    def run(self) -> str:
        headers = {"Accept-Encoding": "identity", **self.request.headers}
        if self.have:
            headers |= {"Range": f"bytes={self.have}-", "If-Range": self.state["validator"]}
        try:
            with requests.get(
                self.request.url, headers=headers, stream=True, timeout=self.patience.timeout_seconds
            ) as answer:
                total = self.accept(answer)
                if total is None or self.have < total:
                    self.write(answer, total)
                return _stated_sum(answer)
        except requests.exceptions.SSLError:
            raise HomingError(f"{self.where}: its certificate cannot be verified; check the machine's clock") from None
        except BROKEN as error:
            raise _Again(f"the connection broke ({type(error).__name__})") from None
        except requests.RequestException as error:
            raise HomingError(f"{self.where}: cannot be fetched ({type(error).__name__}); correct its url") from None

    def accept(self, answer: requests.Response) -> int | None:
        """Judge status and headers, prepare the partial file; the length of the whole, where it is stated."""
        self.refuse(answer)
        validator, total = _validator(answer), _length(answer)
        if answer.status_code == 416:
            if total is not None and total == self.have:
                return total
            discard(self.partial)
            raise _Again("the server's file is not the one that was begun")
        if answer.status_code == 206 and not self.goes_on(answer, validator, total):
            discard(self.partial)
            raise _Again("the server answered with another part of the file than asked for")
        if answer.status_code == 200:
            discard(self.partial)
            self.have = 0
        if self.request.bytes is not None and total is not None and total != self.request.bytes:
            discard(self.partial)
            raise HomingError(
                f"{self.where}: the server announces {total} bytes, config/sources.csv says {self.request.bytes}: "
                "another version upstream, or a server that is wrong"
            )
        self.check_space(total or self.request.bytes)
        state = {"url": self.request.url, "validator": validator, "bytes": total}
        if state != self.state:
            write_json(_state_path(self.partial), state)
        return total

    def refuse(self, answer: requests.Response) -> None:
        """Raise for every answer that brings no part of the file."""
        status = answer.status_code
        if status in (408, 425, 429) or status >= 500:
            raise _Again(f"the server answered {status}", _retry_after(answer))
        if status in (401, 403):
            advice = self.request.advice or "a login or an acceptance of terms is needed there"
            raise HomingError(f"{self.where}: access refused ({status}): {advice}, or put the file into the mirror")
        if status not in (200, 206, 416):
            raise HomingError(f"{self.where}: answered {status}; correct its url, or put the file into the mirror")
        if "text/html" in answer.headers.get("Content-Type", "").lower() and status != 416:
            raise HomingError(
                f"{self.where}: answered with a web page instead of the file; "
                f"{self.request.advice or 'is a login needed?'}, or put the file into the mirror"
            )
        if answer.headers.get("Content-Encoding", "identity") not in ("identity", ""):
            raise HomingError(f"{self.where}: sends the file compressed, so that it cannot be verified or resumed")

    def goes_on(self, answer: requests.Response, validator: str, total: int | None) -> bool:
        """Whether a partial answer continues the file that was begun."""
        begin = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        same = validator in ("", self.state.get("validator")) and total in (None, self.state.get("bytes"), self.have)
        return self.have > 0 and begin is not None and int(begin[1]) == self.have and same

    def check_space(self, total: int | None) -> None:
        free = shutil.disk_usage(self.partial.parent).free
        if total is not None and total - self.have + SPARE_BYTES > free:
            raise TransientError(
                f"{self.where}: {(total - self.have) / 1e9:.2f} GB to fetch, {free / 1e9:.2f} GB free in "
                f"{self.partial.parent}; make room, or move results to a larger disk"
            )

    def write(self, answer: requests.Response, total: int | None) -> None:
        """Append the body; raise when it ends early or is longer than it may be."""
        limit = total or self.request.bytes
        began = said = time.monotonic()
        size = self.have
        with (
            self.partial.open("ab") as file,
            tqdm(total=limit, initial=size, unit="B", unit_scale=True, desc=self.partial.name, disable=None) as bar,
        ):
            for chunk in answer.iter_content(CHUNK):
                self.append(file, chunk)
                size += len(chunk)
                bar.update(len(chunk))
                if limit is not None and size > limit:
                    break
                if time.monotonic() - said > LOG_SECONDS:
                    said = time.monotonic()
                    rate = (size - self.have) / (said - began) / 1e6
                    log.info("%s: %.2f of %.2f GB, %.1f MB/s", self.partial.name, size / 1e9, (limit or 0) / 1e9, rate)
        if limit is not None and size > limit:
            discard(self.partial)
            raise _Again(f"the server sent more than the {limit} bytes of the file")
        if limit is not None and size < limit:
            raise _Again(f"the connection ended after {size} of {limit} bytes")

    def append(self, file, chunk: bytes) -> None:
        try:
            file.write(chunk)
        except OSError as error:
            raise TransientError(
                f"{self.partial}: cannot be written ({error.strerror}); make room and run again, it goes on there"
            ) from None


def _validator(answer: requests.Response) -> str:
    """A strong ETag or Last-Modified, by which the server knows its file again; "" when it has none."""
    tag = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _length(answer: requests.Response) -> int | None:
    """Bytes of the whole file, as stated."""
    if answer.status_code in (206, 416):
        found = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
        return int(found[1]) if found else None
    stated = answer.headers.get("Content-Length", "")
    return int(stated) if stated.isdigit() else None


def _retry_after(answer: requests.Response) -> float | None:
    """Seconds the server asks to wait: a number or a date."""
    text = answer.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _stated_sum(answer: requests.Response) -> str:
    """The sha256 that the Hugging Face hub states for a large file, in its own answer before the redirect."""
    for step in [*answer.history, answer]:
        tag = step.headers.get("X-Linked-Etag", "").strip('"')
        if re.fullmatch(r"[0-9a-f]{64}", tag):
            return tag
    return ""
