"""One AMQP connection with one channel. One greenlet reads its socket; nobody else waits for a reply on it.

A failed, killed or timed-out write may have sent half a frame, so any trouble with a link ends it.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp
import eventlet
from eventlet.semaphore import Semaphore

from eventbus.department import _tolerant
from eventbus.department._tolerant import tolerate_routing_keys

_tolerant.install()

CONNECT_TIMEOUT_S = 3.0
OPEN_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 1.0
_PORTS = {"amqp": 5672, "amqps": 5671}


class LinkDownError(Exception):
    """The connection to the broker is gone, or was given up."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One host of the broker, from an `amqp://` or `amqps://` URL."""

    host: str
    port: int
    user: str
    password: str
    vhost: str
    tls: bool

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """The endpoint in a URL. Raises ValueError for one that is none; the text holds no password."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("expected amqp://user:password@host:port/vhost")
        path = parts.path.removeprefix("/")
        return cls(
            host=parts.hostname,
            port=parts.port or _PORTS[parts.scheme],
            user=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            vhost=unquote(path) or "/",
            tls=parts.scheme == "amqps",
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Link:
    """An open connection with its channel, as long as `error` is None."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        name: str,
        heartbeat_s: int,
        ca: Path | None,
        on_down: Callable[[BaseException], None],
        on_blocked: Callable[[bool], None],
    ) -> None:
        self.endpoint = endpoint
        self.error: BaseException | None = None
        self.lock = Semaphore(1)
        self._heartbeat_s = heartbeat_s
        self._on_down = on_down
        self._received_at = monotonic()
        self._received_count = -1
        self.connection = amqp.Connection(
            host=str(endpoint),
            userid=endpoint.user,
            password=endpoint.password,
            login_method="PLAIN",
            virtual_host=endpoint.vhost,
            heartbeat=heartbeat_s,
            connect_timeout=CONNECT_TIMEOUT_S,
            ssl=_tls(endpoint, ca),
            client_properties={"connection_name": name, "product": "order bus"},
            # py-amqp's default of one second gives up a connection on every short pause of the peer
            socket_settings={socket.TCP_USER_TIMEOUT: 2 * heartbeat_s * 1000},
            on_blocked=lambda _reason: on_blocked(True),
            on_unblocked=lambda: on_blocked(False),
        )
        self.channel: Any = None

    def open(self) -> None:
        """Connect and open the channel.

        Raises:
            LinkDownError: nobody answers there.
            amqp.exceptions.AMQPError: the broker refuses.
        """
        try:
            with eventlet.Timeout(OPEN_TIMEOUT_S, LinkDownError(f"{self.endpoint} does not answer")):
                self.connection.connect()
                # py-amqp leaves the connect time-out on a TLS socket: an idle link would die of it
                self.connection.transport.sock.settimeout(None)
                self.channel = self.connection.channel()
                self.channel.auto_decode = False
                tolerate_routing_keys(self.channel)
        except OSError as error:
            self._close_socket()
            raise LinkDownError(f"{self.endpoint}: {error}") from error
        except BaseException:
            self._close_socket()
            raise

    def start(self, spawn: Callable[[Callable[[], None]], Any]) -> None:
        """Start the reader and the heartbeat. From here on nothing may wait for a reply."""
        spawn(self._read)
        spawn(self._beat)

    def send(self, send_frame: Callable[..., Any], *args: Any) -> Any:
        """Write a frame that expects no reply. Raises LinkDownError when the link is gone."""
        if self.error is not None:
            raise LinkDownError(str(self.error)) from self.error
        with self.lock:  # whoever is killed while waiting here has written nothing
            try:
                return send_frame(*args)
            except OSError as error:
                self.fail(error)
                raise LinkDownError(str(error)) from error
            except BaseException as error:  # GreenletExit, Timeout, a bug: half a frame may be out
                self.fail(LinkDownError(f"a write was cut short by {type(error).__name__}"))
                raise

    def fail(self, error: BaseException) -> None:
        """Give the link up, once. The reader wakes and closes the socket."""
        if self.error is not None:
            return
        self.error = error
        self._shut_socket()
        self._on_down(error)

    def close(self) -> None:
        """Take leave of the broker, for a second at most, then drop the socket."""
        if self.error is None:
            with contextlib.suppress(LinkDownError), eventlet.Timeout(CLOSE_TIMEOUT_S, LinkDownError("no close-ok")):
                self.send(self.connection.send_method, amqp.spec.Connection.Close, "BsBB", (200, "bye", 0, 0))
                while self.error is None:
                    eventlet.sleep(0.01)
        self.fail(LinkDownError("closed"))

    def _read(self) -> None:
        try:
            while self.error is None:
                self.connection.drain_events(timeout=None)
        except Exception as error:  # noqa: BLE001 - whatever ends the reader ends the link; its owner is told
            self.fail(error)
        else:
            self.fail(LinkDownError("closed by the broker"))
        finally:
            self._close_socket()

    def _beat(self) -> None:
        while self.error is None:
            eventlet.sleep(self._heartbeat_s / 4)
            if self.connection.bytes_recv != self._received_count:
                self._received_count = self.connection.bytes_recv
                self._received_at = monotonic()
            elif monotonic() - self._received_at > 2 * self._heartbeat_s:
                self.fail(LinkDownError(f"{self.endpoint} has been silent for {2 * self._heartbeat_s} s"))
                return
            # a stuck writer must not stop the check above
            if self.error is None and self.lock.acquire(blocking=False):
                try:
                    self.connection.send_heartbeat()
                except Exception as error:  # noqa: BLE001 - a failed write ends the link; its owner is told
                    self.fail(error)
                finally:
                    self.lock.release()

    def _close_socket(self) -> None:
        transport = self.connection._transport
        if transport is not None and transport.sock is not None:
            transport.sock.close()

    def _shut_socket(self) -> None:
        # not transport.close(): a closed descriptor wakes no reader, and under TLS closing reads
        transport = self.connection._transport
        if transport is not None and transport.sock is not None:
            with contextlib.suppress(OSError):
                transport.sock.shutdown(socket.SHUT_RDWR)


def _tls(endpoint: Endpoint, ca: Path | None) -> bool | dict[str, Any]:
    if not endpoint.tls:
        return False
    ca_file = str(ca) if ca else ssl.get_default_verify_paths().cafile
    return {"ca_certs": ca_file, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": endpoint.host}
