"""The HTTP server of the embedded AWS: moto behind one door, with faults and a control door."""

import io
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.wsgi import Server
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from validator.emulator import moto_patches
from validator.emulator.drs import drs_backends
from validator.emulator.drs.exceptions import DrsError

Json = dict[str, Any]
Start = Callable[..., Any]

INSTANCE_ID = secrets.token_hex(8)

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")
_FORM = "application/x-www-form-urlencoded"
_XML_SERVICES = {"cloudfront", "route53", "s3"}
"""Services that speak XML and do not send forms, as the other XML services do."""


class Application:
    """The WSGI application; faults and call counts are its only state."""

    def __init__(self, management_account: str) -> None:
        moto_patches.install(management_account)
        self._aws = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._faults: list[Json] = []
        self._calls: dict[str, int] = {}

    def __call__(self, environ: Json, start: Start) -> Iterable[bytes]:
        """Answers one request; nothing that goes wrong in here is an HTML page."""
        path = environ.get("PATH_INFO", "")
        if path.startswith("/_emulator/"):
            return self._control(environ, start, path.removeprefix("/_emulator/"))
        service, operation = _called(environ)
        fault = self._fault(service, operation)
        if fault is not None and fault["kind"] == "slow":
            time.sleep(float(fault.get("seconds", 1)))
        elif fault is not None and fault["kind"] == "empty-page":
            return _json(start, 200, _empty_page(environ))
        elif fault is not None:
            return _refuse(environ, start, service, *_FAULTS[fault["kind"]])
        return self._answer(environ, start, service, operation)

    def _answer(self, environ: Json, start: Start, service: str, operation: str) -> Iterable[bytes]:
        answered: list[Any] = []

        def hold(status: str, headers: Any, info: Any = None) -> Any:
            answered[:] = [status, headers, info]

        try:
            body = b"".join(self._aws(environ, hold))
            # moto's web framework answers in HTML where it knows no such path.
            missing = answered[0].startswith("500") or body[:14].lower() == b"<!doctype html"
        except Exception:  # whatever moto raises, the client gets an AWS answer
            body, missing = b"", True
        if missing:
            name = moto_patches.rest_operation(service, environ) or operation
            message = f"The embedded AWS has no operation {name} of {service}, or it failed."
            return _refuse(environ, start, service, 400, "NotBuiltException", message)
        start(*answered[:2])
        return [body]

    def _fault(self, service: str, operation: str) -> Json | None:
        with self._lock:
            name = f"{service} {operation}"
            self._calls[name] = self._calls.get(name, 0) + 1
            for fault in self._faults:
                if fault.get("service", service) != service:
                    continue
                if fault.get("operation", operation) != operation:
                    continue
                fault["seen"] = fault.get("seen", 0) + 1
                if fault["seen"] % int(fault.get("every", 1)) == 0:
                    return fault
        return None

    def _control(self, environ: Json, start: Start, path: str) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        try:
            size = int(environ.get("CONTENT_LENGTH") or 0)
            body = json.loads(environ["wsgi.input"].read(size) or "{}")
            return _json(start, 200, self._controlled(method, path, body))
        except DrsError as error:
            return _json(start, 400, {"error": error.message})
        except (KeyError, ValueError, TypeError) as error:
            return _json(start, 400, {"error": f"{type(error).__name__}: {error}"})

    def _controlled(self, method: str, path: str, body: Json) -> Json:
        match method, path:
            case "GET", "health":
                return {"id": INSTANCE_ID, "status": "ok"}
            case "POST", "source-servers":
                options = {k: body[k] for k in ("prefix", "state") if k in body}
                made = drs_backends[body["account"]][body["region"]].create_source_servers(
                    int(body["count"]), **options
                )
                return {"sourceServerIDs": [server["sourceServerID"] for server in made]}
            case "POST", "source-servers/state":
                changed = drs_backends[body["account"]][body["region"]].set_state(
                    body.get("ids", "all"), data_replication_state=body["state"]
                )
                return {"changed": changed}
            case "POST", "quotas":
                if body["code"] not in moto_patches.QUOTAS:
                    raise ValueError(f"no quota {body['code']}")
                place = (body["account"], body["region"], body["code"])
                moto_patches.quotas[place] = float(body["value"])
                return {}
            case "POST", "key-policy-delay":
                moto_patches.key_policy_delay = float(body["seconds"])
                return {}
            case "POST", "faults":
                if body.get("kind") not in _KINDS:
                    raise ValueError(f"kind must be one of {sorted(_KINDS)}")
                if body["kind"] == "empty-page" and body.get("service") != "drs":
                    raise ValueError("empty-page is for service drs")
                with self._lock:
                    self._faults.append(body)
                return {}
            case "DELETE", "faults":
                with self._lock:
                    self._faults.clear()
                return {}
            case "GET", "calls":
                with self._lock:
                    return dict(self._calls)
        raise ValueError(f"no such door: {method} /_emulator/{path}; docs/emulator.md lists them")


_FAULTS: dict[str, tuple[int, str, str]] = {
    "throttle": (429, "ThrottlingException", "Rate exceeded"),
    "deny": (403, "AccessDeniedException", "Denied by the control door"),
    "error500": (500, "InternalServerException", "Internal error by the control door"),
}
_KINDS = {*_FAULTS, "slow", "empty-page"}


def _empty_page(environ: Json) -> Json:
    """No items, and a token that leads to the page that was asked for."""
    token = json.loads(_body(environ) or b"{}").get("nextToken", "after:")
    return {"items": [], "nextToken": f"{token}!"}


def _body(environ: Json) -> bytes:
    """The request's body, which stays readable for whoever answers."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _called(environ: Json) -> tuple[str, str]:
    """The service and operation that a request names, as far as its headers and path tell."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = found[3].lower() if found else "s3"
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return service, target.rsplit(".", 1)[-1]
    if environ.get("CONTENT_TYPE", "").startswith(_FORM):
        action = parse_qs(_body(environ).decode("utf-8", "replace")).get("Action")
        if action:
            return service, action[0]
    return service, environ.get("PATH_INFO", "/").strip("/").split("/")[0] or "(in the body)"


def _refuse(
    environ: Json, start: Start, service: str, status: int, code: str, message: str
) -> list[bytes]:
    form = environ.get("CONTENT_TYPE", "").startswith(_FORM)
    if not form and service not in _XML_SERVICES:
        return _json(start, status, {"__type": code, "code": code, "message": message}, code)
    message = escape(message)
    text = (
        f"<ErrorResponse><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        f"</Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    )
    content = text.encode()
    start(
        f"{status} Refused",
        [("Content-Type", "text/xml"), ("Content-Length", str(len(content)))],
    )
    return [content]


def _json(start: Start, status: int, body: Json, code: str | None = None) -> list[bytes]:
    content = json.dumps(body).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
    if code is not None:
        headers.append(("x-amzn-ErrorType", code))
    if status in {429, 500}:
        headers.append(("Retry-After", "1"))  # DRS's retryAfterSeconds
    start(f"{status} {'OK' if status < 400 else 'Refused'}", headers)
    return [content]


class _Request(HTTPRequest):
    """Sends the head and the body of an answer at once.

    The AWS SDK for Go closes a request's body as soon as it has the answer's head. Go's transport may
    still be looking for the end of that body, drops the connection, and loses what it has not read:
    the SDK then repeats a call that was made (github.com/aws/aws-sdk-go-v2/issues/2737). An answer
    that came in one piece is already read by then.
    """

    def respond(self) -> None:
        connection, held = self.conn, io.BytesIO()
        sending, connection.wfile = connection.wfile, held
        try:
            super().respond()
        finally:
            connection.wfile = sending
            sending.write(held.getvalue())


class _Connection(HTTPConnection):
    RequestHandlerClass = _Request


def make_server(port: int, management_account: str) -> tuple[Server, str]:
    """A server bound to 127.0.0.1 only, ready to serve, with its URL; port 0 takes a free one."""
    server = Server(
        ("127.0.0.1", port), Application(management_account), numthreads=16, request_queue_size=256
    )
    server.ConnectionClass = _Connection
    # A connection that the server closes while its client sends the next request on it is a call that
    # was made and not answered: keep all that a Terraform run opens, for as long as it lasts.
    server.keep_alive_conn_limit = 1000
    server.timeout = 600
    server.prepare()
    bound = server.bind_addr[1]
    # Step Functions calls back to the serving port.
    os.environ["MOTO_PORT"] = str(bound)
    return server, f"http://127.0.0.1:{bound}"
