"""Downloads from a faulty server on loopback end with the right bytes or a clear error."""

import hashlib
import io
import random
import re
import socket
import threading
import time
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from homing.errors import HomingError
from homing.sources.download import RetryPolicy
from homing.sources.retrieve import RetrievalSettings, retrieve

SEQUENCES = 200
HASTE = RetryPolicy(timeout_seconds=0.25, attempts=3, pause_seconds=0.001)
SECRET = "hf_never_to_be_seen"
FAULTS = (
    "fine", "fine", "cut", "cut", "cut", "stall", "503", "429", "page", "long", "short", "no_ranges", "redirect",
    "other_part", "changed", "reset",
)  # fmt: skip


def archive(seed: int) -> bytes:
    """A zip, so that a truncated file is noticed even without a known digest."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as file:
        member = zipfile.ZipInfo("data.bin", (2020, 1, 1, 0, 0, 0))
        file.writestr(member, random.Random(seed).randbytes(300_000 + seed * 97))
    return output.getvalue()


class Server(ThreadingHTTPServer):
    """Serves /<sequence>/file.zip; the fault of each request of a sequence is drawn with the sequence's seed."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.draws: dict[str, random.Random] = {}
        self.seen: list[tuple[str, str | None, str]] = []
        self.faults: Counter[str] = Counter()
        self.script: dict[str, list[str]] = {}

    def handle_error(self, request, client_address):
        pass  # clients that hang up are part of the test


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.close_connection = True
        server, path = self.server, self.path.split("?")[0]
        server.seen.append((path, self.headers.get("Authorization"), self.headers.get("Host")))
        sequence = path.split("/")[1]
        if path.endswith("/moved"):
            return self.send(archive(int(sequence)), "fine")
        draw = server.draws.setdefault(sequence, random.Random(f"faults {sequence}"))
        script = server.script.get(sequence)
        fault = (script.pop(0) if script else "fine") if script is not None else draw.choice(FAULTS)
        server.faults[fault] += 1
        self.play(fault, archive(int(sequence)), draw)

    def play(self, fault: str, content: bytes, draw: random.Random) -> None:
        if fault in ("503", "429"):
            self.answer(int(fault), {"Retry-After": "0", "Content-Length": "0"})
        elif fault == "page":
            page = b"<!DOCTYPE html><title>Sign in</title>"
            self.answer(200, {"Content-Type": "text/html", "Content-Length": str(len(page))}, page)
        elif fault == "redirect":
            host = f"localhost:{self.server.server_port}"
            self.answer(302, {"Location": f"http://{host}/{self.path.split('/')[1]}/moved?sig={SECRET}"})
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()
        else:
            self.send(content, fault, draw)

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body)), "Connection": "close"} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send(self, content: bytes, fault: str, draw: random.Random | None = None) -> None:
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        if fault == "changed":
            content, tag = content[::-1], '"another version"'
        begin = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and fault != "no_ranges" and self.headers.get("If-Range") in (None, tag):
            begin = int(asked[1])
            if begin >= len(content):
                return self.answer(416, {"Content-Range": f"bytes */{len(content)}"})
            if fault == "other_part":
                begin = begin // 2
        body = content[begin:]
        stated = len(body) + {"long": 1000, "short": -min(500, len(body) - 1)}.get(fault, 0)
        self.send_response(206 if begin else 200)
        headers = {"Content-Type": "application/zip", "Content-Length": str(stated), "ETag": tag, "Connection": "close"}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if fault in ("cut", "stall"):
            body = body[: draw.randrange(len(body))]
        self.wfile.write(body)
        self.wfile.flush()
        if fault == "stall":
            time.sleep(3 * HASTE.timeout_seconds)


@pytest.fixture(scope="module")
def server():
    with Server() as httpd:
        threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield httpd
        httpd.shutdown()


def row(server: Server, sequence: int, known: str, **changes) -> dict[str, str]:
    content = archive(sequence)
    digest = hashlib.sha256(content).hexdigest()
    return {
        "dataset": "etopo", "version": "1", "file": "file.zip", "licence": "CC0", "needs_acceptance": "no",
        "redistribute": "yes", "member": "", "url": f"http://127.0.0.1:{server.server_port}/{sequence}/file.zip",
        "bytes": str(len(content)) if known == "bytes" else "",
        "sha256": digest if known == "sha256" else "record on first use",
    } | changes  # fmt: skip


def fetch(server, folder, sequence, known, **changes):
    output = folder / "out/file.zip"
    choices = RetrievalSettings(lock=folder / "lock.csv", retry=HASTE)
    retrieve(row(server, sequence, known, **changes), output, folder / "out/manifest.json", choices)
    return output.read_bytes()


def test_200_fault_sequences_end_in_the_right_bytes_or_a_clear_error(server, tmp_path):
    def play(sequence: int) -> str:
        """Run the job up to six times, as a workflow that retries would."""
        folder = tmp_path / str(sequence)
        folder.mkdir()
        for _ in range(6):
            try:
                found = fetch(server, folder, sequence, ("sha256", "bytes", "nothing")[sequence % 3])
            except HomingError as error:
                assert not (folder / "out/file.zip").exists() and not (folder / "out/manifest.json").exists()
                assert "file.zip" in str(error) and len(str(error)) > 40 and SECRET not in str(error), error
                continue
            return "right" if found == archive(sequence) else "WRONG"
        return "error"

    with ThreadPoolExecutor(24) as pool:
        ends = Counter(pool.map(play, range(SEQUENCES)))
    assert set(server.faults) == set(FAULTS)
    assert ends["WRONG"] == 0
    assert ends["right"] > 0.9 * SEQUENCES, ends


def scripted(server: Server, sequence: int, *faults: str) -> int:
    server.script[str(sequence)] = list(faults)
    server.seen.clear()
    return sequence


def test_a_broken_download_resumes_where_it_ended(server, tmp_path):
    sequence = scripted(server, 1001, "cut", "cut", "fine")
    assert fetch(server, tmp_path, sequence, "sha256") == archive(sequence)
    assert len(server.seen) == 3
    assert not list((tmp_path / "out").rglob("*partial*/*"))


def test_the_next_job_resumes_the_download_of_one_that_died(server, tmp_path):
    sequence = scripted(server, 1002, *["cut"] + ["503"] * 10)
    with pytest.raises(HomingError, match=r"503.*3 attempts without progress.*run again to resume at \d+ bytes"):
        fetch(server, tmp_path, sequence, "nothing")
    had = (tmp_path / "out/.partial/file.zip").stat().st_size
    assert 0 < had < len(archive(sequence))
    scripted(server, sequence, "fine")
    assert fetch(server, tmp_path, sequence, "nothing") == archive(sequence)


@pytest.mark.parametrize(
    ("faults", "changes", "message"),
    [
        (["page"], {}, "web page instead of the file"),
        (["fine"], {"sha256": "f" * 64}, "expected ffff.*damaged"),
        (["fine"], {"bytes": "12"}, "announces .* bytes, config/sources.csv says 12"),
        (["short", "short", "short"], {}, "not a complete zip"),
        (["long"] * 9, {}, "3 attempts without progress.*run again"),
    ],
)
def test_faults_are_named_and_no_file_is_left(server, tmp_path, faults, changes, message):
    sequence = scripted(server, 1100 + len(message), *faults)
    with pytest.raises(HomingError, match=message):
        fetch(server, tmp_path, sequence, "nothing", **changes)
    assert not (tmp_path / "out/file.zip").exists()


def test_a_download_that_does_not_fit_on_the_disk_is_not_started(server, tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 999, 1))
    with pytest.raises(HomingError, match="GB to download, 0.00 GB free"):
        fetch(server, tmp_path, scripted(server, 1200, "fine"), "sha256")


def test_later_downloads_must_match_the_first_digest(server, tmp_path):
    sequence = scripted(server, 1300, "fine")
    fetch(server, tmp_path, sequence, "nothing")
    assert hashlib.sha256(archive(sequence)).hexdigest() in (tmp_path / "lock.csv").read_text()
    (tmp_path / "out/file.zip").unlink()
    (tmp_path / "out/manifest.json").unlink()
    scripted(server, sequence, "changed")
    with pytest.raises(HomingError, match="sha256 is .* expected .* the lock file"):
        fetch(server, tmp_path, sequence, "nothing")


def test_simultaneous_jobs_all_record_their_digests(server, tmp_path):
    def one(sequence: int) -> None:
        output = tmp_path / f"{sequence}/file.zip"
        choices = RetrievalSettings(lock=tmp_path / "lock.csv", retry=HASTE)
        wanted = row(server, sequence, "nothing", version=str(sequence))
        retrieve(wanted, output, output.with_suffix(".json"), choices)

    for sequence in range(1400, 1412):
        server.script[str(sequence)] = ["fine"]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(1400, 1412)))
    assert len((tmp_path / "lock.csv").read_text().splitlines()) == 13


def test_a_token_is_sent_to_its_host_only_and_appears_in_no_message(server, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/1500")
    monkeypatch.setenv("HF_TOKEN", SECRET)
    hub = {"url": "hf://datasets/owner/name/file.zip", "version": "c" * 40}
    scripted(server, 1500, "redirect")
    assert fetch(server, tmp_path, 1500, "sha256", **hub) == archive(1500)
    (path, first, _), (_, second, _) = server.seen
    assert path == f"/1500/datasets/owner/name/resolve/{'c' * 40}/file.zip"
    assert first == f"Bearer {SECRET}" and second is None
    scripted(server, 1500, "page")
    (tmp_path / "out/file.zip").unlink()
    with pytest.raises(HomingError, match="accept the terms on .*owner/name and set HF_TOKEN") as raised:
        fetch(server, tmp_path, 1500, "sha256", **hub)
    assert SECRET not in str(raised.value) + caplog.text


def test_a_request_to_kaggle_has_its_login(server, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", f"http://127.0.0.1:{server.server_port}/1600")
    monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "key")
    scripted(server, 1600, "fine")
    wanted = {"url": "kaggle://josht000/osv-mini-129k", "version": "1"}
    assert fetch(server, tmp_path, 1600, "sha256", **wanted) == archive(1600)
    assert server.seen[0][:2] == ("/1600/api/v1/datasets/download/josht000/osv-mini-129k", "Basic bWU6a2V5")


def test_the_hubs_own_digest_is_enforced(server, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "version_string", lambda self: 'hub\r\nX-Linked-Etag: "' + "a" * 64 + '"')
    with pytest.raises(HomingError, match="sha256 is .* expected aaaa"):
        fetch(server, tmp_path, scripted(server, 1700, "fine"), "nothing")
