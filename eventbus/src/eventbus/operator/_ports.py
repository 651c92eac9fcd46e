"""Ports on loopback for servers of our own."""

import random
import socket

PORTS = range(20000, 32000)
"""Below the ranges that systems take the ports of outgoing connections from."""
TRIES = 100


def is_free(port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """So many ports that were free a moment ago. Raises OSError: there are not so many."""
    ports = [port for port in random.sample(PORTS, TRIES * count) if is_free(port)]
    if len(ports) < count:
        raise OSError(f"expected {count} free ports between {PORTS.start} and {PORTS.stop}, found {len(ports)}")
    return ports[:count]
