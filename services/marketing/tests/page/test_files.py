"""The page's files as they are sent: nothing from elsewhere, kept as long as they are right."""

import gzip
import hashlib
import re
from importlib import resources
from pathlib import Path

import pytest
from marketing.page import files
from werkzeug import Request, Response
from werkzeug.test import Client

FOLDER = Path(str(resources.files("marketing.page")))
OWN = sorted(path for path in FOLDER.glob("*") if path.suffix in (".html", ".css", ".js", ".svg"))
ROUTES = files.read_page().routes


@Request.application
def application(request: Request) -> Response:
    return ROUTES[request.path](request)


@pytest.fixture
def client() -> Client:
    return Client(application)


@pytest.mark.parametrize("path", sorted(ROUTES), ids=lambda path: Path(path).name or "page")
def test_file_is_whole_gzipped_for_who_takes_it_and_not_sent_twice(client: Client, path: str) -> None:
    plain = client.get(path)
    small = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(small.data) == plain.data != b""
    assert (small.headers["Content-Encoding"], "Content-Encoding" in plain.headers) == ("gzip", False)
    assert small.headers["ETag"] != plain.headers["ETag"]
    for known, encoding in ((plain, "identity"), (small, "gzip")):
        again = client.get(path, headers={"Accept-Encoding": encoding, "If-None-Match": known.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
    assert client.head(path).data == b""


def test_documents_are_asked_for_each_time_and_what_they_name_is_kept_for_good(client: Client) -> None:
    for path in files.DOCUMENTS:
        document = client.get(path)
        assert document.headers["Cache-Control"] == "no-cache"
        named = re.findall(r"(?:src|href)=\"(assets/[^\"]+)\"", document.get_data(as_text=True))
        assert len(named) >= 2
        for name in named:
            assert "immutable" in client.get(f"/{name}").headers["Cache-Control"]


def test_every_module_that_a_module_imports_is_there() -> None:
    for script in FOLDER.glob("*.js"):
        for name in re.findall(r"from \"\./([^\"]+)\"", script.read_text(encoding="utf-8")):
            assert (FOLDER / name).exists(), f"{script.name}: {name}"


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere_and_nothing_is_inline(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"(?:https?:)?//[a-z]", re.sub(r"http://…", "", re.sub(r"^\s*//.*", "", text, flags=re.M))) == []
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*src=)|innerHTML|eval\(", text)


def test_policy_allows_scripts_and_styles_of_this_server_alone(client: Client) -> None:
    policy = dict(part.split(" ", 1) for part in client.get("/").headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in str(policy)
    assert client.get("/").headers["X-Content-Type-Options"] == "nosniff"


def test_vendored_files_are_the_published_ones() -> None:
    folder = FOLDER / "vendor"
    sums = {line.split()[1]: line.split()[0] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert {path.name for path in folder.glob("chart-*")} == set(sums)
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == known for name, known in sums.items())


def test_files_are_short() -> None:
    assert [path.name for path in OWN if len(path.read_text(encoding="utf-8").splitlines()) > 250] == []
