"""One call to the embedded AWS, as its headers, path and body name it, and refusals in its protocol."""

import io
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

from validator.emulator import moto_patches

Json = dict[str, Any]
Start = Callable[..., Any]

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")
_FORM = "application/x-www-form-urlencoded"
_XML_SERVICES = {"cloudfront", "route53", "s3"}
"""Services that speak XML and do not send forms, as the other XML services do."""
_TAGS = {"DELETE": "UntagResource", "GET": "ListTagsForResource", "POST": "TagResource"}


@dataclass(frozen=True, slots=True)
class Call:
    """What is called, with whose credentials, where."""

    service: str
    """As the signature names it: `servicequotas`, `iam`."""
    operation: str
    region: str
    access_key: str
    form: bool
    """True if the parameters came as a form, as EC2's and IAM's do."""
    environ: Json

    def params(self) -> Json:
        """The parameters; a form's and a query's are all text, with flat names."""
        if self.environ["REQUEST_METHOD"] == "GET":
            return dict(parse_qsl(self.environ.get("QUERY_STRING", "")))
        raw = body(self.environ)
        if self.form:
            return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
        try:
            found = json.loads(raw or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def replace_params(self, params: Json) -> None:
        """Puts other parameters into the request, for whoever answers it."""
        if self.environ["REQUEST_METHOD"] == "GET":
            self.environ["QUERY_STRING"] = urlencode(params)
            return
        raw = (urlencode(params) if self.form else json.dumps(params)).encode()
        self.environ["wsgi.input"] = io.BytesIO(raw)
        self.environ["CONTENT_LENGTH"] = str(len(raw))


class Tally:
    """How often each operation was called."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, call: Call) -> None:
        """Counts a call."""
        with self._lock:
            self._counts[f"{call.service} {call.operation}"] += 1

    def counts(self) -> Json:
        """The counts, by service and operation."""
        with self._lock:
            return dict(self._counts)

    def clear(self) -> Json:
        """The counts, which then begin at zero."""
        with self._lock:
            counts = dict(self._counts)
            self._counts.clear()
            return counts


def body(environ: Json) -> bytes:
    """The request's body, which stays readable for whoever answers."""
    raw: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(raw)
    return raw


def called(environ: Json) -> Call:
    """The call that a request makes, as far as its headers and path tell."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    access_key, region, service = found.groups() if found else ("", "", "s3")
    service = service.lower()
    form = environ.get("CONTENT_TYPE", "").startswith(_FORM)
    target = environ.get("HTTP_X_AMZ_TARGET")
    path = environ.get("PATH_INFO", "/")
    if target:
        operation = target.rsplit(".", 1)[-1]
    elif form:
        operation = dict(parse_qsl(body(environ).decode("utf-8", "replace"))).get("Action", "")
    elif service == "drs" and path.startswith("/tags/"):
        operation = _TAGS.get(environ["REQUEST_METHOD"], "tags")
    elif service == "lambda":
        operation = moto_patches.rest_operation(service, environ) or path
    else:
        operation = path.strip("/").split("/")[0]
    return Call(service, operation or "(in the body)", region, access_key, form, environ)


def refuse(
    call: Call,
    start: Start,
    status: int,
    code: str,
    message: str,
    headers: tuple[tuple[str, str], ...] = (),
) -> list[bytes]:
    """Answers a refusal as the called service would write it."""
    if not call.form and call.service not in _XML_SERVICES:
        answer = {"__type": code, "code": code, "message": message}
        return answered(start, status, answer, (("x-amzn-ErrorType", code), *headers))
    message = escape(message)
    text = (
        f"<ErrorResponse><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        f"</Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    )
    return sent(start, f"{status} Refused", "text/xml", text, headers)


def answered(
    start: Start, status: int, answer: Json, headers: tuple[tuple[str, str], ...] = ()
) -> list[bytes]:
    """Answers JSON."""
    reason = "OK" if status < 400 else "Refused"
    return sent(start, f"{status} {reason}", "application/json", json.dumps(answer), headers)


def sent(
    start: Start, status: str, kind: str, text: str, headers: tuple[tuple[str, str], ...] = ()
) -> list[bytes]:
    """Answers a text, whose length the answer's head tells."""
    content = text.encode()
    start(status, [("Content-Type", kind), ("Content-Length", str(len(content))), *headers])
    return [content]
