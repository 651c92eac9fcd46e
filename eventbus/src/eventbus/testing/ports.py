"""Ports for what a test starts."""

import random
import socket

PORTS = range(20_000, 32_768)
"""Below the range that Linux takes ports from for outgoing connections, and for servers that take any."""
TRIES = 100


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago, and that is given to nobody who does not ask for it."""
    for port in random.SystemRandom().sample(PORTS, TRIES):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"none of {TRIES} ports between {PORTS.start} and {PORTS.stop} is free")
