"""The management API over https, with a certificate of the company's own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventbus.operator.errors import UnreachableError
from eventbus.operator.management import Management

SERVER = """
import http.server, ssl, sys

class WhoAmI(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"name": "bus", "tags": ["monitoring"]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), WhoAmI)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(*sys.argv[1:])
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=broker"]
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "server.key", "-out", "server.pem"]
    subprocess.run([*new, *files], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "server.pem"


@pytest.fixture
def url(certificate: Path) -> Iterator[str]:
    # a process of its own: in a test's process eventlet may have made the locks of threads its own
    command = [sys.executable, "-c", SERVER, str(certificate), str(certificate.with_name("server.key"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"https://bus:secret@127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


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
