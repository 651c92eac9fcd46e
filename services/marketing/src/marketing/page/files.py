"""The page's files, read once, as answers that a browser may keep.

Scripts, styles and pictures lie under a folder named after the digest of all of them: they may be kept for good, and a
new version of one is a new name. Documents name that folder and are asked for anew each time.
"""

import gzip
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from werkzeug import Request, Response

DOCUMENTS = {"/": "index.html", "/docs": "docs.html"}
"""Paths, and the files that are answered there."""
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_FOR_GOOD = "public, max-age=31536000, immutable"  # a year: RFC 9111 has no "for ever"
_ASK_EACH_TIME = "no-cache"
_PLACEHOLDER = b"{{assets}}"
_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_SERVED = (".css", ".js", ".svg")
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent."""

    body: bytes
    compressed: bytes
    content_type: str
    cache_control: str
    etag: str

    def answer(self, request: Request) -> Response:
        """The file, gzipped for who takes it; 304 for who has it."""
        response = Response(self.body, content_type=self.content_type, headers=HEADERS)
        response.headers["Cache-Control"] = self.cache_control
        response.headers["Vary"] = "Accept-Encoding"
        etag = self.etag
        if takes_gzip(request):
            response.data, etag = self.compressed, f"{self.etag}-gzip"
            response.headers["Content-Encoding"] = "gzip"
        response.set_etag(etag)
        return response.make_conditional(request)


@dataclass(frozen=True, slots=True)
class Page:
    """All files of the page. `version` changes with any of them, and is the name of their folder."""

    version: str
    routes: dict[str, Callable[[Request], Response]]


def read_page() -> Page:
    """Every path of the page, with what answers it."""
    assets = dict(_assets(resources.files(__package__)))
    documents = {path: resources.files(__package__).joinpath(name).read_bytes() for path, name in DOCUMENTS.items()}
    digest = hashlib.sha256()
    for name, body in sorted((assets | documents).items()):
        digest.update(f"{name}\n{len(body)}\n".encode() + body)
    version = digest.hexdigest()[:_DIGEST_CHARACTERS]
    folder = f"assets/{version}"
    found = {f"/{folder}/{name}": _file(name, body, _FOR_GOOD) for name, body in assets.items()}
    for path, body in documents.items():
        found[path] = _file(DOCUMENTS[path], body.replace(_PLACEHOLDER, folder.encode()), _ASK_EACH_TIME)
    return Page(version, {path: file.answer for path, file in found.items()})


def takes_gzip(request: Request) -> bool:
    """Whether the one who asks has said that gzip is welcome."""
    return request.accept_encodings["gzip"] > 0


def _assets(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _assets(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_SERVED):
            yield prefix + entry.name, entry.read_bytes()


def _file(name: str, body: bytes, cache_control: str) -> File:
    content_type = _CONTENT_TYPES[PurePosixPath(name).suffix]
    etag = hashlib.sha256(body).hexdigest()[:_DIGEST_CHARACTERS]
    return File(body, gzip.compress(body, mtime=0), content_type, cache_control, etag)
