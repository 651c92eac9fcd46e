import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pika
import pika.exceptions
import psutil
import pytest
import requests
from eventbus.operator.private_node import NodeStartError, PrivateNode, ServerNotFoundError, find_server
from eventbus.testing.rabbitmqctl import rabbitmqctl

pytestmark = pytest.mark.broker
EPMD_PORT = 4369


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    """One running node, in a folder whose name needs care; tests leave it running."""
    with PrivateNode(tmp_path_factory.mktemp("a node é")) as started:
        yield started


def connect(url: str) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(f"{url}?socket_timeout=3&stack_timeout=3&connection_attempts=1"))


def wait_until(condition: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "not within the deadline"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    return subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()[
        :1
    ] not in ("", "Z")


def taken(url: str, queue: str) -> bytes | None:
    """The queue's next message; None as well while the queue has no leader yet, just after the node's start."""
    with contextlib.suppress(pika.exceptions.AMQPError), connect(url) as connection:
        body: bytes | None = connection.channel().basic_get(queue, auto_ack=True)[2]
        return body
    return None


def is_on_disk(node: PrivateNode, queue: str) -> bool:
    """Ra writes the names of its queues half a second later; a node killed before has the queue for ever dead."""
    return any(queue.encode() in f.read_bytes() for f in (node.directory / "data").rglob("names.dets"))


def test_node_neither_starts_nor_asks_an_epmd(node: PrivateNode) -> None:
    """RabbitMQ's own check of each minute, at once. It leaked a handle a minute where two nodes ran."""
    check = "rabbit_epmd_monitor ! check, sys:get_state(rabbit_epmd_monitor, 50000)."
    rabbitmqctl(node, "eval", check)
    ports = {connection.raddr.port for connection in psutil.Process(node.pid).net_connections() if connection.raddr}
    assert EPMD_PORT not in ports


def test_guest_and_wrong_password_are_refused(node: PrivateNode) -> None:
    port = urlsplit(node.amqp_url).port
    for login in ("guest:guest", "bus:guess"):
        with pytest.raises((pika.exceptions.ProbableAuthenticationError, pika.exceptions.AMQPConnectionError)):
            connect(f"amqp://{login}@127.0.0.1:{port}/")
    assert (
        requests.get(
            f"http://guest:guest@127.0.0.1:{urlsplit(node.management_url).port}/api/whoami", timeout=5
        ).status_code
        == 401
    )


def test_management_user_is_administrator(node: PrivateNode) -> None:
    assert "administrator" in str(requests.get(f"{node.management_url}/api/whoami", timeout=5).json()["tags"])


def test_listens_on_loopback_alone(node: PrivateNode) -> None:
    """AMQP, management and Erlang's distribution: whoever owns the latter owns the node."""
    inodes = {os.readlink(f).removeprefix("socket:[").rstrip("]") for f in Path(f"/proc/{node.pid}/fd").iterdir()}
    listening = [
        row.split()[1]
        for table in ("tcp", "tcp6")
        for row in Path("/proc/net", table).read_text().splitlines()[1:]
        if row.split()[3] == "0A" and row.split()[9] in inodes
    ]
    assert len(listening) == 3
    assert all(address.startswith("0100007F:") for address in listening)


def test_secrets_are_readable_by_the_owner_alone(node: PrivateNode) -> None:
    password = urlsplit(node.amqp_url).password
    assert password
    holders = [f for f in node.directory.iterdir() if f.is_file() and password in f.read_text(errors="replace")]
    assert holders
    assert all(f.stat().st_mode & 0o077 == 0 for f in [*holders, node.directory / ".erlang.cookie"])
    assert password not in Path(f"/proc/{node.pid}/cmdline").read_text()


def test_write_ahead_log_is_limited(node: PrivateNode) -> None:
    with connect(node.amqp_url) as connection:
        channel = connection.channel()
        channel.queue_declare("fills.the.log", durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        for _ in range(40):
            channel.basic_publish("", "fills.the.log", b"x" * 1024 * 1024)
        channel.queue_delete("fills.the.log")
    assert max(f.stat().st_size for f in (node.directory / "data").rglob("*.wal")) < 24 * 1024 * 1024


def test_two_nodes_run_side_by_side(node: PrivateNode, tmp_path: Path) -> None:
    with PrivateNode(tmp_path / "other") as other:
        assert other.amqp_url != node.amqp_url
        connect(other.amqp_url).close()
        connect(node.amqp_url).close()
        assert subprocess.run(["pgrep", "-f", "epmd.*-daemon", "-s", str(other.pid)]).returncode == 1


@pytest.mark.parametrize("end", [PrivateNode.stop, PrivateNode.kill], ids=["stopped", "killed"])
def test_started_again_keeps_url_and_messages(node: PrivateNode, end: Callable[[PrivateNode], None]) -> None:
    url, queue = node.amqp_url, f"kept.{end.__name__}"
    with connect(url) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        channel.basic_publish("", queue, b"still here", pika.BasicProperties(delivery_mode=2))
    wait_until(lambda: is_on_disk(node, queue))
    end(node)
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        connect(url)
    node.start()
    assert node.amqp_url == url
    wait_until(lambda: taken(url, queue) == b"still here")


def test_paused_answers_nobody_until_resumed(node: PrivateNode) -> None:
    node.pause()
    try:
        with pytest.raises(requests.Timeout):
            requests.get(f"{node.management_url}/api/overview", timeout=0.5)
    finally:
        node.resume()
    node.wait_ready()


def test_starter_killed_node_ends_too(tmp_path: Path) -> None:
    code = (
        "import sys, time; from eventbus.operator.private_node import PrivateNode\n"
        "node = PrivateNode(sys.argv[1]); node.start(); print(node.pid, flush=True); time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with starter:
        assert starter.stdout
        pid = int(starter.stdout.readline())
        assert alive(pid)
        starter.kill()
    wait_until(lambda: not alive(pid))


def test_foreground_command_is_the_node_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "eventbus.operator.private_node", str(tmp_path)]
    node = PrivateNode(tmp_path)
    node.prepare()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        node.wait_ready()
        assert (tmp_path / "rabbitmq.pid").read_text().strip() == str(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_second_node_in_a_folder_is_refused_and_a_leftover_can_be_ended(tmp_path: Path) -> None:
    """Two nodes on the same files would destroy them."""
    with PrivateNode(tmp_path) as first:
        pid = first.pid
        second = PrivateNode(tmp_path)
        with pytest.raises(NodeStartError, match=f"runs here already .process {pid}"):
            second.start()
        second.end_leftover()
        wait_until(lambda: first.pid is None)
        second.prepare()


def test_server_that_ends_at_once_is_told_with_its_output(tmp_path: Path) -> None:
    broken = tmp_path / "rabbitmq-server"
    broken.write_text("#!/bin/sh\necho this is not Erlang >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(NodeStartError, match=r"ended with code 3:\n\s+this is not Erlang"):
        PrivateNode(tmp_path / "node", broken).start()


def test_no_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBITMQ_SERVER", "/nowhere/rabbitmq-server")
    with pytest.raises(ServerNotFoundError, match="got: /nowhere/rabbitmq-server"):
        find_server()
