"""Addresses and credentials of the hosts that want more than a URL: the Hugging Face hub and Kaggle."""

import base64
import json
import os
from pathlib import Path

from homing.sources.download import Request
from homing.sources.table import Row, exact_bytes


def request_for(row: Row) -> Request:
    """What to ask for, for a row whose url is http(s)://, hf:// or kaggle://."""
    scheme, _, path = row["url"].partition("://")
    if scheme == "hf":
        return _hub(row, path)
    if scheme == "kaggle":
        return _kaggle(row, path)
    return Request(row["url"], {}, exact_bytes(row))


def _hub(row: Row, path: str) -> Request:
    """`hf://datasets/<owner>/<name>/<file>` or `hf://<owner>/<name>/<file>`, at the revision that is the version."""
    kind, path = ("datasets/", path.removeprefix("datasets/")) if path.startswith("datasets/") else ("", path)
    owner, name, file = path.split("/", 2)
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    token = hub_token()
    page = f"{endpoint}/{kind}{owner}/{name}"
    advice = f"accept the terms on {page} and set HF_TOKEN" + ("" if token else " (no token was found)")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Request(f"{page}/resolve/{row['version']}/{file}", headers, exact_bytes(row), advice)


def hub_token() -> str:
    """HF_TOKEN, or the file that `hf auth login` wrote, also where HF_HOME was moved since."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    files = [os.environ.get("HF_TOKEN_PATH"), home / "token", Path("~/.cache/huggingface/token").expanduser()]
    found = next((Path(file) for file in files if file and Path(file).is_file()), None)
    return os.environ.get("HF_TOKEN", "").strip() or (found.read_text(encoding="utf-8").strip() if found else "")


def _kaggle(row: Row, path: str) -> Request:
    """`kaggle://<owner>/<name>`: the data set's zip at the version number that is the version."""
    endpoint = os.environ.get("KAGGLE_API_ENDPOINT", "https://www.kaggle.com").rstrip("/")
    url = f"{endpoint}/api/v1/datasets/download/{path}?datasetVersionNumber={row['version']}"
    advice = "set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY, from your Kaggle account's settings"
    return Request(url, kaggle_login(), exact_bytes(row), advice)


def kaggle_login() -> dict[str, str]:
    """The header that logs in to Kaggle, from the environment or its own file; empty where there is neither."""
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
