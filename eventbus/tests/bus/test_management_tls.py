"""The management API over https, with a certificate of the company's own."""

import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventbus.operator.errors import UnreachableError
from eventbus.operator.management import Management


class _WhoAmI(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"name": "bus", "tags": ["monitoring"]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is BaseHTTPRequestHandler's
        """Say nothing."""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=broker"]
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "server.key", "-out", "server.pem"]
    subprocess.run([*new, *files], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "server.pem"


@pytest.fixture
def url(certificate: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _WhoAmI)  # one client's handshake keeps nobody waiting
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("server.key"))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://bus:secret@127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_ca_of_the_environment_is_trusted_and_no_other(
    url: str, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnreachableError, match="SSLError"):
        Management(url, "/").tags()
    monkeypatch.setenv("AMQP_CA", str(tmp_path / "missing.pem"))
    with pytest.raises(UnreachableError, match="does not answer"):
        Management(url, "/").tags()
    monkeypatch.setenv("AMQP_CA", str(certificate))
    assert Management(url, "/").tags() == ["monitoring"]
