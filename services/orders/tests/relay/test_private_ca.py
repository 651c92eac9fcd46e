"""A broker whose certificate is signed by a CA of the company's own."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from eventbus.operator.connection import connected
from eventbus.operator.errors import UnreachableError
from eventbus.operator.private_node import PrivateNode
from eventbus.testing.broker import Broker, Node
from eventbus.testing.ports import free_port

from eventbus import topology


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def _certificates(folder: Path) -> None:
    """`ca.pem`, and `server.pem` with `server.key` for 127.0.0.1; `other.pem`, a CA that signed nothing."""
    folder.mkdir()
    for name in ("ca", "other"):
        new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}")
        _openssl(folder, *new, "-keyout", f"{name}.key", "-out", f"{name}.pem")
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    request = ("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=broker")
    _openssl(folder, *request, "-keyout", "server.key", "-out", "server.csr")
    sign = ("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    _openssl(folder, *sign, "-extfile", "san", "-out", "server.pem")


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    folder = tmp_path / "certificates"
    _certificates(folder)
    return folder


@pytest.fixture
def tls_url(broker_node: Node, tmp_path: Path, certificates: Path) -> Iterator[str]:
    """An `amqps` URL of a node of the test's own, with the shared topology. (`broker_node` marks the test.)"""
    node, port = PrivateNode(tmp_path / "node"), free_port()
    node.directory.mkdir()
    (node.directory / "advanced.config").write_text(
        f'[{{rabbit, [{{ssl_listeners, [{{"127.0.0.1", {port}}}]}}, {{ssl_options, ['
        f'{{certfile, "{certificates}/server.pem"}}, {{keyfile, "{certificates}/server.key"}}]}}]}}].\n'
    )
    with node, Broker(Node(node.amqp_url, node.management_url)) as broker:
        broker.declare_shared()
        parts = urlsplit(broker.amqp_url)
        login = parts.netloc.rpartition("@")[0]
        yield parts._replace(scheme="amqps", netloc=f"{login}@127.0.0.1:{port}").geturl()


def test_relay_and_bus_trust_the_ca_they_are_given_and_no_other(
    sqlite_box: Any,
    tls_url: str,
    certificates: Path,
    start_relay: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sqlite_box.put(3)
    wrong = start_relay(sqlite_box, tls_url, amqp_ca=str(certificates / "other.pem"))
    assert "CERTIFICATE_VERIFY_FAILED" in wrong.wait_log("broker away")["reason"]
    wrong.end()
    start_relay(sqlite_box, tls_url, amqp_ca=str(certificates / "ca.pem")).wait_ready()
    sqlite_box.wait_empty()

    with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"), connected(tls_url):
        pass
    monkeypatch.setenv("AMQP_CA", str(certificates / "ca.pem"))
    with connected(tls_url) as connection:
        connection.channel().queue_declare(topology.ARCHIVE_FEED, passive=True)


def test_ca_that_cannot_be_read_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_CA", str(tmp_path / "nowhere.pem"))

    expected = r"AMQP_CA: expected a file with the CA's certificate, got .*nowhere"
    with pytest.raises(UnreachableError, match=expected), connected("amqps://127.0.0.1:1/"):
        pass
