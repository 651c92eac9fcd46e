"""A SAP that refuses every order in a text that quotes the customer's name, in the body and in a header."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class EchoingSap:
    """Listens from the start; `refused` counts the orders that it was sent."""

    def __init__(self) -> None:
        self.refused = 0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.answer(200, {"d": {"results": []}}, {"x-csrf-token": "token"})

            def do_POST(self) -> None:
                order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name = order["to_Text"][0]["LongText"]
                owner.refused += 1
                detail = {"code": "V1/555", "message": f"Text {name} / {name.upper()} is not allowed"}
                error = {"code": "V1/555", "message": {"lang": "en", "value": f"Customer {name} is blocked"}}
                error["innererror"] = {"transactionid": "1", "errordetails": [detail]}
                self.answer(400, {"error": error}, {"sap-message": json.dumps({"code": "V1/1", "message": name})})

            def answer(self, status: int, document: Any, headers: dict[str, str]) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                for header in (
                    {"Content-Type": "application/json", "Content-Length": str(len(body))} | headers
                ).items():
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/sap"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
