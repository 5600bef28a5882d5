"""The HTTP server of the embedded AWS: moto behind one door, with faults and a control door."""

import errno
import io
import json
import os
import secrets
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.wsgi import Server
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from validator.emulator import commands, functions, moto_patches, state_machines
from validator.emulator.calls import Call, Json, Start, Tally, answered, body, called, refuse
from validator.emulator.control import Control
from validator.emulator.copies import Announce, Copies, Gate, NoCopy
from validator.emulator.drs import door, drs_backends
from validator.emulator.drs.exceptions import DrsError
from validator.emulator.enforcement import Enforcement
from validator.emulator.faults import LOST, Faults, denial


class Application:
    """The WSGI application; faults, IAM enforcement and call counts are its only state.

    Its `id` differs for every start and for every copy.
    """

    def __init__(self, management_account: str) -> None:
        moto_patches.install(management_account)
        self._aws = DomainDispatcherApplication(create_backend_app)
        self._enforcement = Enforcement()
        functions.install(self._enforcement.permits)
        state_machines.install(self._enforcement.permits)
        self._begin()

    def _begin(self) -> None:
        self.id = secrets.token_hex(8)
        self._gate = Gate()
        self._tally = Tally()
        self._faults = Faults(_account, self._vanish)
        copies = Copies(self._gate, self._serve_copy)
        self._control = Control(self.id, self._faults, self._enforcement, self._tally, copies)

    def _serve_copy(self, announce: Announce) -> None:
        """Serves as a copy, which has no faults and has counted no calls."""
        self._begin()
        server, url = make_server(0, self)
        announce({"id": self.id, "url": url})
        server.serve()

    def __call__(self, environ: Json, start: Start) -> Iterable[bytes]:
        """Answers one request; nothing that goes wrong in here is an HTML page."""
        path = environ.get("PATH_INFO", "")
        with self._gate.together():
            commands.settle()
        if path.startswith("/_emulator/"):
            return self._controlled(environ, start, path.removeprefix("/_emulator/"))
        call = called(environ)
        self._tally.add(call)
        faulty = self._faults.answer(call, start)
        if faulty is not None:
            return faulty
        with self._gate.together():
            answer = self._answer(call, start)
        if call.environ.get(LOST):
            raise ConnectionResetError(errno.ECONNRESET, "lost by the control door")
        return answer

    def _answer(self, call: Call, start: Start) -> Iterable[bytes]:
        held: list[Any] = []

        def hold(status: str, headers: Any, info: Any = None) -> Any:
            held[:] = [status, headers, info]

        try:
            if self._enforcement.on:
                refused = self._enforcement.refusal(call, _account(call))
                if refused is not None:
                    return refuse(call, start, *denial(call, refused))
            content = b"".join(self._aws(call.environ, hold))
            # moto's web framework answers in HTML where it knows no such path.
            missing = held[0].startswith("500") or content[:14].lower() == b"<!doctype html"
        except Exception:  # whatever moto raises, the client gets an AWS answer
            content, missing = b"", True
        if missing:
            name = moto_patches.rest_operation(call.service, call.environ) or call.operation
            message = f"The embedded AWS has no operation {name} of {call.service}, or it failed."
            return refuse(call, start, 400, "NotBuiltException", message)
        functions.answered(call, content)
        start(*held[:2])
        return [content]

    def _controlled(self, environ: Json, start: Start, path: str) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        try:
            asked = json.loads(body(environ) or "{}")
            # What makes a copy waits until it is alone.
            with nullcontext() if path == "fork" else self._gate.together():
                return answered(start, 200, self._control.answer(method, path, asked))
        except NoCopy as error:
            return answered(start, 503, {"error": str(error)})
        except DrsError as error:
            return answered(start, 400, {"error": error.message})
        except (AttributeError, KeyError, ValueError, TypeError) as error:
            return answered(start, 400, {"error": f"{type(error).__name__}: {error}"})

    def _vanish(self, call: Call, ids: Any) -> None:
        with self._gate.together():
            door.vanish(drs_backends[_account(call)][call.region], list(ids))


def _account(call: Call) -> str:
    return moto_patches.account_of(call.access_key)


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


def make_server(port: int, application: Application) -> tuple[Server, str]:
    """A server bound to 127.0.0.1 only, ready to serve, with its URL; port 0 takes a free one."""
    server = Server(
        # A fault may hold many requests up, every function that runs holds one, and all others must
        # still be served.
        ("127.0.0.1", port), application, numthreads=functions.CONCURRENT + 48,
        request_queue_size=256,
    )  # fmt: skip
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
