"""A way to the embedded AWS that loses or changes answers after the call took effect, as networks do."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlparse

Answer = tuple[int, Any]
Meddle = Callable[[str, Any, Callable[[], Answer]], Answer | None]
"""Is given the operation, what it asks, and a way to have it done; returns what the caller gets.

None is no answer: the connection ends.
"""


def altered(operation: str, change: Callable[[Any], Any]) -> Meddle:
    """Changes the answers of one operation, or loses them where `change` returns None."""

    def meddle(called: str, _: Any, forward: Callable[[], Answer]) -> Answer | None:
        status, answer = forward()
        changed = change(answer) if called == operation else answer
        return None if changed is None else (status, changed)

    return meddle


def refused(operation: str, status: int, code: str) -> Meddle:
    """Refuses one operation."""

    def meddle(called: str, _: Any, forward: Callable[[], Answer]) -> Answer:
        return (status, {"code": code, "message": "no"}) if called == operation else forward()

    return meddle


def decoded(answer: tuple[int, bytes, dict[str, str]]) -> Answer:
    return answer[0], json.loads(answer[1] or b"{}")


@contextmanager
def between(url: str, meddle: Meddle) -> Iterator[str]:
    """The URL of a proxy to `url` whose DRS answers `meddle` may change."""
    there = urlparse(url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            operation = self.path.strip("/")
            if not operation:  # not of DRS
                self.answer(*self.forward(body))
                return
            answer = meddle(
                operation, json.loads(body or b"{}"), lambda: decoded(self.forward(body))
            )
            if answer is None:
                self.close_connection = True
            else:
                text = json.dumps(answer[1]).encode()
                self.answer(answer[0], text, {"Content-Type": "application/json"})

        def forward(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
            connection = http.client.HTTPConnection(there, timeout=60)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            text, kept = answer.read(), {"Content-Type": answer.getheader("Content-Type", "")}
            connection.close()
            return answer.status, text, kept

        def answer(self, status: int, text: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST  # noqa: N815 (http.server's name)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
