"""Download a file over HTTP: resumed if the server allows it, retried with exponential back-off.

Bytes are written to a partial file that stays if the job dies. A state file beside it keeps what must not change until
the download is resumed: the validator (a strong ETag, or Last-Modified) and the length that the server stated (RFC
9110, sections 13.1.5 and 14).
"""

import email.utils
import logging
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import requests
from tqdm import tqdm

from homing.errors import HomingError, TransientError
from homing.files import read_json, write_json

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 16  # the most that a broken connection loses
MAX_PAUSE_SECONDS = 120
SPARE_BYTES = 50_000_000  # to leave free on the disk
LOG_SECONDS = 30
CONNECTION_ERRORS = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a silent server, and how often to retry.

    attempts: in a row without one new byte. pause_seconds: before the first retry; doubled before each further one.
    """

    timeout_seconds: float = 60
    attempts: int = 6
    pause_seconds: float = 2


@dataclass
class Request:
    """A file to download.

    headers: may hold a token, which is sent to the first host only and appears in no message. bytes: the exact size if
    it is known. advice: what to do if access is refused.
    """

    url: str
    headers: Mapping[str, str]
    bytes: int | None
    advice: str = ""


class _RetryableError(Exception):
    """An attempt failed, and another may succeed; `pause`: seconds that the server asks to wait."""

    def __init__(self, why: str, pause: float | None = None) -> None:
        super().__init__(why)
        self.pause = pause


def download(request: Request, partial: Path, retry: RetryPolicy) -> str:
    """Download `request` to `partial`, resuming at its end. Return the SHA-256 that the hub states, or "".

    Raises HomingError if the server refuses or sends a web page, and TransientError if it keeps failing or the disk is
    full; `partial` then keeps the bytes so far, unless they are wrong.
    """
    partial.parent.mkdir(parents=True, exist_ok=True)
    failures, most = 0, _size(partial)
    while True:
        try:
            return _Attempt(request, partial, retry.timeout_seconds).run()
        except _RetryableError as problem:
            failures = 0 if _size(partial) > most else failures + 1
            most = max(most, _size(partial))
            if failures >= retry.attempts:
                resume = f" to resume at {_size(partial)} bytes" if _size(partial) else ""
                raise TransientError(
                    f"{redacted(request.url)}: {problem} ({failures} attempts without progress); run again{resume}, "
                    "or put the file into the mirror folder"
                ) from None
            pause = retry.pause_seconds * 2 ** max(0, failures - 1) if problem.pause is None else problem.pause
            log.warning("%s: %s; trying again", redacted(request.url), problem)
            time.sleep(min(pause, MAX_PAUSE_SECONDS))


def discard(partial: Path) -> None:
    """Delete a partial file and its state, so that the next download starts at the first byte."""
    partial.unlink(missing_ok=True)
    _state_path(partial).unlink(missing_ok=True)


def redacted(url: str) -> str:
    """Return a URL without user, password and query, which may hold a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _state_path(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.state.json")


class _Attempt:
    """One HTTP request and the bytes it brings; `have`: bytes of the partial file before it."""

    def __init__(self, request: Request, partial: Path, timeout_seconds: float) -> None:
        self.request, self.partial, self.timeout_seconds = request, partial, timeout_seconds
        self.url = redacted(request.url)
        self.state = read_json(_state_path(partial)) if _state_path(partial).is_file() else {}
        if self.state.get("url") != request.url or not self.state.get("validator"):
            discard(partial)
            self.state = {}
        self.have = _size(partial)

    def run(self) -> str:
        """Send the request and append its body to the partial file; return the stated SHA-256, or ""."""
        headers = {"Accept-Encoding": "identity", **self.request.headers}
        if self.have:
            headers |= {"Range": f"bytes={self.have}-", "If-Range": self.state["validator"]}
        try:
            with requests.get(self.request.url, headers=headers, stream=True, timeout=self.timeout_seconds) as response:
                total = self.check(response)
                if total is None or self.have < total:
                    self.write(response, total)
                return _hub_sha256(response)
        except requests.exceptions.SSLError:
            raise HomingError(f"{self.url}: its certificate cannot be verified; check the machine's clock") from None
        except CONNECTION_ERRORS as error:
            raise _RetryableError(f"the connection broke ({type(error).__name__})") from None
        except requests.RequestException as error:
            raise HomingError(f"{self.url}: cannot be fetched ({type(error).__name__}); correct its url") from None

    def check(self, response: requests.Response) -> int | None:
        """Check status and headers, prepare the partial file, and return the stated length of the whole file."""
        self.check_status(response)
        validator, total = _validator(response), _length(response)
        if response.status_code == 416:
            if total is not None and total == self.have:
                return total
            discard(self.partial)
            raise _RetryableError("the file on the server has changed since the download began")
        if response.status_code == 206 and not self.continues(response, validator, total):
            discard(self.partial)
            raise _RetryableError("the server sent another part of the file than requested")
        if response.status_code == 200:
            discard(self.partial)
            self.have = 0
        if self.request.bytes is not None and total is not None and total != self.request.bytes:
            discard(self.partial)
            raise HomingError(
                f"{self.url}: the server announces {total} bytes, config/sources.csv says {self.request.bytes}: "
                "another version upstream, or a faulty server"
            )
        self.check_space(total or self.request.bytes)
        state = {"url": self.request.url, "validator": validator, "bytes": total}
        if state != self.state:
            write_json(_state_path(self.partial), state)
        return total

    def check_status(self, response: requests.Response) -> None:
        """Raise for every response that brings no part of the file."""
        status = response.status_code
        if status in (408, 425, 429) or status >= 500:
            raise _RetryableError(f"the server answered {status}", _retry_after(response))
        if status in (401, 403):
            advice = self.request.advice or "a login or an acceptance of terms is needed there"
            raise HomingError(f"{self.url}: access refused ({status}): {advice}, or put the file into the mirror")
        if status not in (200, 206, 416):
            raise HomingError(f"{self.url}: answered {status}; correct its url, or put the file into the mirror")
        if "text/html" in response.headers.get("Content-Type", "").lower() and status != 416:
            raise HomingError(
                f"{self.url}: answered with a web page instead of the file; "
                f"{self.request.advice or 'is a login needed?'}, or put the file into the mirror"
            )
        if response.headers.get("Content-Encoding", "identity") not in ("identity", ""):
            raise HomingError(f"{self.url}: sends the file compressed, so that it cannot be verified or resumed")

    def continues(self, response: requests.Response, validator: str, total: int | None) -> bool:
        """True if a partial response continues the file that was begun."""
        begin = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        same = validator in ("", self.state.get("validator")) and total in (None, self.state.get("bytes"), self.have)
        return self.have > 0 and begin is not None and int(begin[1]) == self.have and same

    def check_space(self, total: int | None) -> None:
        """Raise TransientError if the rest of the file does not fit on the disk."""
        free = shutil.disk_usage(self.partial.parent).free
        if total is not None and total - self.have + SPARE_BYTES > free:
            raise TransientError(
                f"{self.url}: {(total - self.have) / 1e9:.2f} GB to download, {free / 1e9:.2f} GB free in "
                f"{self.partial.parent}; free some space, or move results to a larger disk"
            )

    def write(self, response: requests.Response, total: int | None) -> None:
        """Append the body to the partial file; raise if it is shorter or longer than stated."""
        limit = total or self.request.bytes
        started = logged = time.monotonic()
        size = self.have
        with (
            self.partial.open("ab") as file,
            tqdm(total=limit, initial=size, unit="B", unit_scale=True, desc=self.partial.name, disable=None) as bar,
        ):
            for chunk in response.iter_content(CHUNK_BYTES):
                self.append(file, chunk)
                size += len(chunk)
                bar.update(len(chunk))
                if limit is not None and size > limit:
                    break
                if time.monotonic() - logged > LOG_SECONDS:
                    logged = time.monotonic()
                    rate = (size - self.have) / (logged - started) / 1e6
                    log.info("%s: %.2f of %.2f GB, %.1f MB/s", self.partial.name, size / 1e9, (limit or 0) / 1e9, rate)
        if limit is not None and size > limit:
            discard(self.partial)
            raise _RetryableError(f"the server sent more than the {limit} bytes of the file")
        if limit is not None and size < limit:
            raise _RetryableError(f"the connection ended after {size} of {limit} bytes")

    def append(self, file: BinaryIO, chunk: bytes) -> None:
        try:
            file.write(chunk)
        except OSError as error:
            raise TransientError(
                f"{self.partial}: cannot be written ({error.strerror}); free some space and run again, it resumes there"
            ) from None


def _validator(response: requests.Response) -> str:
    """Return a strong ETag or Last-Modified, which changes with the file; "" if there is none."""
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _length(response: requests.Response) -> int | None:
    """Return the stated length of the whole file in bytes, or None."""
    if response.status_code in (206, 416):
        found = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
        return int(found[1]) if found else None
    stated = response.headers.get("Content-Length", "")
    return int(stated) if stated.isdigit() else None


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds that the server asks to wait, given as a number or a date, or None."""
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _hub_sha256(response: requests.Response) -> str:
    """Return the SHA-256 that the Hugging Face hub states for a large file, before it redirects, or ""."""
    for step in [*response.history, response]:
        tag = step.headers.get("X-Linked-Etag", "").strip('"')
        if re.fullmatch(r"[0-9a-f]{64}", tag):
            return tag
    return ""
