"""What a RabbitMQ node has on disk, for tests that kill it."""

from pathlib import Path

from eventbus.operator.private_node import PrivateNode
from eventbus.testing.waiting import wait_until

_CLOSED_PROPERLY = 1


def wait_queue_on_disk(node: PrivateNode, queue: str) -> None:
    """Wait until a new quorum queue would survive `node.kill()`.

    RabbitMQ keeps the names of its Raft logs in a dets table, which it saves some seconds after a queue is declared.
    Killed before that, it starts the queue anew, without its log and without a leader (seen on 3.10.8).
    """

    def is_saved(table: Path) -> bool:
        content = table.read_bytes()
        return int.from_bytes(content[8:12], "big") == _CLOSED_PROPERLY and f"_{queue}".encode() in content

    wait_until(lambda: any(is_saved(t) for t in node.directory.rglob("names.dets")), 30, f"queue {queue} on disk")
