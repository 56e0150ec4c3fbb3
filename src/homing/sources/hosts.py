"""URLs and credentials of hosts with an API: the Hugging Face hub and Kaggle."""

import base64
import json
import os
from pathlib import Path

from homing.sources.download import Request
from homing.sources.table import Row, exact_bytes


def request_for(row: Row) -> Request:
    """Return the request for a row whose url is http(s)://, hf:// or kaggle://."""
    scheme, _, path = row["url"].partition("://")
    if scheme == "hf":
        return _hub_request(row, path)
    if scheme == "kaggle":
        return _kaggle_request(row, path)
    return Request(row["url"], {}, exact_bytes(row))


def _hub_request(row: Row, path: str) -> Request:
    """For `hf://datasets/<owner>/<name>/<file>` or `hf://<owner>/<name>/<file>`; the revision is the row's version."""
    kind, path = ("datasets/", path.removeprefix("datasets/")) if path.startswith("datasets/") else ("", path)
    owner, name, file = path.split("/", 2)
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    token = hub_token()
    page = f"{endpoint}/{kind}{owner}/{name}"
    advice = f"accept the terms on {page} and set HF_TOKEN" + ("" if token else " (no token was found)")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Request(f"{page}/resolve/{row['version']}/{file}", headers, exact_bytes(row), advice)


def hub_token() -> str:
    """Return HF_TOKEN, or the token in the file of `hf auth login`, even if HF_HOME has changed since; or ""."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    files = [os.environ.get("HF_TOKEN_PATH"), home / "token", Path("~/.cache/huggingface/token").expanduser()]
    found = next((Path(file) for file in files if file and Path(file).is_file()), None)
    return os.environ.get("HF_TOKEN", "").strip() or (found.read_text(encoding="utf-8").strip() if found else "")


def _kaggle_request(row: Row, path: str) -> Request:
    """For `kaggle://<owner>/<name>`: the data set's zip; its version number is the row's version."""
    endpoint = os.environ.get("KAGGLE_API_ENDPOINT", "https://www.kaggle.com").rstrip("/")
    url = f"{endpoint}/api/v1/datasets/download/{path}?datasetVersionNumber={row['version']}"
    advice = "set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY, from your Kaggle account's settings"
    return Request(url, kaggle_login(), exact_bytes(row), advice)


def kaggle_login() -> dict[str, str]:
    """Return the HTTP header that logs in to Kaggle, from the environment or Kaggle's own file, or {}."""
    if token := os.environ.get("KAGGLE_API_TOKEN", "").strip():
        return {"Authorization": f"Bearer {token}"}
    user, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY")
    file = Path(os.environ.get("KAGGLE_CONFIG_DIR", "~/.kaggle")).expanduser() / "kaggle.json"
    if not (user and key) and file.is_file():
        login = json.loads(file.read_text(encoding="utf-8"))
        user, key = login.get("username"), login.get("key")
    if not (user and key):
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()}
