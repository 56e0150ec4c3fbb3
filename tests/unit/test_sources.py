"""Raw files: verified before they are visible, from a mirror or from a server on loopback."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from homing.errors import HomingError
from homing.sources.retrieve import retrieve

CONTENT = b"elevation" * 1000
ROW = {
    "dataset": "etopo", "version": "1", "url": "", "file": "relief.tif", "bytes": "", "sha256": "", "licence": "CC0",
    "needs_acceptance": "no", "redistribute": "yes",
}  # fmt: skip
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "relief.tif").write_bytes(CONTENT)
    return folder


@pytest.fixture
def server():
    """Answers /good, /short (fewer bytes than announced), /page (a login page) and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.path in ("/good", "/short", "/page")
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(CONTENT)) if known else "0")
            self.send_header("Content-Type", "text/html" if self.path == "/page" else "image/tiff")
            self.end_headers()
            if known:
                self.wfile.write(CONTENT[: 100 if self.path == "/short" else None])

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()


def fetch(tmp_path, mirror=None, accepted=(), **changes):
    output, manifest = tmp_path / "out/relief.tif", tmp_path / "out/manifests/relief.tif.json"
    try:
        retrieve(ROW | changes, output, manifest, str(mirror) if mirror else None, accepted)
    except HomingError:
        assert not output.exists() and not manifest.exists(), "a failed retrieval left a file behind"
        raise
    return output.read_bytes(), json.loads(manifest.read_text())


def test_a_file_of_the_mirror_is_copied_and_described(tmp_path, mirror):
    content, manifest = fetch(tmp_path, mirror, sha256=SUM, bytes=str(len(CONTENT)))
    assert content == CONTENT
    assert manifest["sha256"] == SUM and manifest["bytes"] == len(CONTENT) and manifest["licence"] == "CC0"


def test_the_mirrors_own_checksums_count(tmp_path, mirror):
    (mirror / "SHA256SUMS").write_text(f"{'0' * 64}  relief.tif\n")
    with pytest.raises(HomingError, match=r"relief.tif .*sha256 is .* expected 000"):
        fetch(tmp_path, mirror)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "f" * 64}, "expected ffff.*damaged"),
        ({"bytes": "12"}, "9000 bytes, expected 12: truncated"),
        ({"needs_acceptance": "yes"}, "must be accepted.*accept_licences"),
        ({"url": "mirror:other/place.tif", "file": "place.tif"}, "only found in a mirror.*other/place.tif"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_left(tmp_path, mirror, changes, message):
    with pytest.raises(HomingError, match=message):
        fetch(tmp_path, mirror, **changes)


def test_an_empty_file_is_refused(tmp_path, mirror):
    (mirror / "relief.tif").write_bytes(b"")
    with pytest.raises(HomingError, match="the file is empty"):
        fetch(tmp_path, mirror)


def test_a_licence_once_accepted_is_no_obstacle(tmp_path, mirror):
    assert fetch(tmp_path, mirror, accepted=["etopo"], needs_acceptance="yes")[0] == CONTENT


def test_from_the_web(tmp_path, server):
    assert fetch(tmp_path, url=f"{server}/good", sha256=SUM)[0] == CONTENT


@pytest.mark.parametrize(
    ("path", "message"), [("short", "failed|ended after 100"), ("page", "web page"), ("absent", "download failed.*404")]
)
def test_a_bad_answer_of_the_web_is_an_error(tmp_path, server, path, message):
    with pytest.raises(HomingError, match=message):
        fetch(tmp_path, url=f"{server}/{path}")
