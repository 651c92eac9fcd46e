"""A proxy that stands between us and a printer, and cuts connections."""

import base64
import socket
import threading
from contextlib import suppress


class CuttingProxy:
    """Stands between us and the printer, and cuts connections at IPP operations that a test names."""

    def __init__(self, port: int, path: str = "/ipp/print") -> None:
        self._target = ("localhost", port)
        self._listener = socket.create_server(("localhost", 0))
        self.uri = f"ipp://localhost:{self._listener.getsockname()[1]}{path}"
        self._swallow: list[int] = []
        self._cut: list[int] = []
        self._status: dict[tuple[int, bytes], int] = {}
        self._delay: list[int] = []
        self._login: bytes | None = None
        self._lock = threading.Lock()
        self.arrived = threading.Event()
        self.go_on = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow_answer(self, operation: int) -> None:
        """The next such request arrives whole; its answer does not."""
        self._swallow.append(operation)

    def cut_request(self, operation: int) -> None:
        """The next such request is cut before its last bytes."""
        self._cut.append(operation)

    def answer(self, operation: int, status: int, job_id: int | None = None) -> None:
        """Every such request, of that job, has this answer and does not reach the printer."""
        named = b"" if job_id is None else b"\x21\x00\x06job-id\x00\x04" + job_id.to_bytes(4)
        self._status[operation, named] = status

    @property
    def is_done_cutting(self) -> bool:
        """Whether everything that was to be cut was cut."""
        return not self._swallow and not self._cut

    def answer_itself(self) -> None:
        """All requests reach the printer again."""
        self._status.clear()

    def require_login(self, user: str, password: str) -> None:
        """Nobody else reaches the printer from now on."""
        self._login = b"authorization: basic " + base64.b64encode(f"{user}:{password}".encode()).lower()

    def delay(self, operation: int) -> None:
        """The next such request has `arrived` and reaches the printer at `go_on`."""
        self._delay.append(operation)

    def close(self) -> None:
        self.go_on.set()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(self._target) as server:
            while request := _read_message(client):
                operation = request.body[3] if len(request.body) > 3 else -1
                if self._login is not None and self._login not in request.head.lower():
                    client.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
                    continue
                # the printer behind it would look for this login, and take its time to find it wrong
                lines = request.head.split(b"\r\n")
                request.head = b"\r\n".join(x for x in lines if not x.lower().startswith(b"authorization:"))
                if told := [s for (op, job), s in self._status.items() if op == operation and job in request.body]:
                    body = b"\x02\x00" + told[0].to_bytes(2) + b"\x00\x00\x00\x01\x03"
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    continue
                if self._is_told(self._delay, operation):
                    self.arrived.set()
                    self.go_on.wait(30)
                if self._is_told(self._cut, operation):
                    server.sendall(request.head + request.body[:-100])
                    return
                server.sendall(request.head + request.body)
                answer = _read_message(server)
                if self._is_told(self._swallow, operation):
                    return
                if answer is None:
                    return
                client.sendall(answer.head + answer.body)

    def _is_told(self, operations: list[int], operation: int) -> bool:
        """Whether one more such request is to be hurt; that is used up then."""
        with self._lock:
            if operation not in operations:
                return False
            operations.remove(operation)
            return True


class _Message:
    def __init__(self, head: bytes, body: bytes) -> None:
        self.head = head
        self.body = body


def _read_message(connection: socket.socket) -> _Message | None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := connection.recv(65536)):
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    head += b"\r\n\r\n"
    headers = head.decode("latin-1").lower()
    if "transfer-encoding: chunked" in headers:
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(65536)
        return _Message(head, body)
    length = next(
        (int(line.partition(":")[2]) for line in headers.splitlines() if line.startswith("content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return _Message(head, body)
