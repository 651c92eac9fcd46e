"""What a department calls, SAP or a printer, and what refuses every login. It remembers the logins that it was sent."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class RefusingTarget:
    """Answers every request with this status, on a port of its own."""

    def __init__(self, status: int) -> None:
        self.passwords: set[str] = set()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.refuse()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.refuse()

            def refuse(self) -> None:
                scheme, _, login = self.headers.get("Authorization", "").partition(" ")
                if scheme == "Basic":
                    owner.passwords.add(base64.b64decode(login).decode().partition(":")[2])
                self.send_response(status)
                self.send_header("WWW-Authenticate", 'Basic realm="target"')
                self.send_header("Content-Length", "0")
                self.send_header("Connection", "close")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
