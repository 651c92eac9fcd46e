"""A printer that answers as told."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ScriptedPrinter:
    """Speaks HTTP and gives the answers that a test names, in turn; the last one again and again."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        self.requests: list[bytes] = []
        script = list(answers)
        printer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                printer.requests.append(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers, body = script.pop(0) if len(script) > 1 else script[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("localhost", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.uri = f"ipp://localhost:{self._server.server_port}/ipp/print"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
