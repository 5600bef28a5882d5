"""Faults that the control door orders: which calls they hit, and what those calls get instead.

Each service refuses in its own words, as AWS's do: a client that knows one service's code only is
caught by another's.
"""

import errno
import functools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from xml.sax.saxutils import escape

import botocore.session
from botocore.exceptions import UnknownServiceError

from validator.emulator.calls import Call, Json, Start, answered, refuse, sent

Answer = tuple[int, str, str]
"""HTTP status, code and message of a refusal."""

_EXPIRED = "The security token included in the request is expired"
_ANSWERS: dict[str, dict[str, Answer]] = {
    "deny": {
        "drs": (403, "AccessDeniedException", "Denied by the control door"),
        "ec2": (403, "UnauthorizedOperation", "Denied by the control door"),
        "iam": (403, "AccessDenied", "Denied by the control door"),
        "lambda": (403, "AccessDeniedException", "Denied by the control door"),
        "s3": (403, "AccessDenied", "Denied by the control door"),
        "sns": (403, "AuthorizationError", "Denied by the control door"),
        "sts": (403, "AccessDenied", "Denied by the control door"),
        "": (400, "AccessDeniedException", "Denied by the control door"),
    },
    "error500": {
        "dynamodb": (500, "InternalServerError", "Internal error by the control door"),
        "ec2": (500, "InternalError", "Internal error by the control door"),
        "iam": (500, "ServiceFailure", "Internal error by the control door"),
        "kms": (500, "KMSInternalException", "Internal error by the control door"),
        "lambda": (500, "ServiceException", "Internal error by the control door"),
        "s3": (500, "InternalError", "Internal error by the control door"),
        "servicequotas": (500, "ServiceException", "Internal error by the control door"),
        "ssm": (500, "InternalServerError", "Internal error by the control door"),
        "": (500, "InternalServerException", "Internal error by the control door"),
    },
    "expire": {
        "drs": (403, "ExpiredTokenException", _EXPIRED),
        "ec2": (400, "RequestExpired", "Request has expired."),
        "iam": (403, "ExpiredToken", _EXPIRED),
        "s3": (400, "ExpiredToken", "The provided token has expired."),
        "sts": (403, "ExpiredToken", _EXPIRED),
        "": (400, "ExpiredTokenException", _EXPIRED),
    },
    "skew": {
        "ec2": (400, "RequestExpired", "Request has expired. "),
        "iam": (403, "SignatureDoesNotMatch", ""),
        "s3": (
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large. ",
        ),
        "sts": (403, "SignatureDoesNotMatch", ""),
        "": (403, "InvalidSignatureException", ""),
    },
    "throttle": {
        "drs": (429, "ThrottlingException", "Rate exceeded"),
        "ec2": (503, "RequestLimitExceeded", "Request limit exceeded."),
        "iam": (400, "Throttling", "Rate exceeded"),
        "lambda": (429, "TooManyRequestsException", "Rate Exceeded."),
        "s3": (503, "SlowDown", "Please reduce your request rate."),
        "servicequotas": (400, "TooManyRequestsException", "Too many requests"),
        "sts": (400, "Throttling", "Rate exceeded"),
        "": (400, "ThrottlingException", "Rate exceeded"),
    },
}
"""What each service answers, by kind and service; "" stands for the others."""

_FIELDS: dict[str, set[str]] = {
    "deny": set(),
    "drop": set(),
    "empty-page": set(),
    "error500": {"retryAfterSeconds"},
    "expire": set(),
    "lose": set(),
    "skew": {"hours"},
    "slow": {"seconds"},
    "throttle": {"retryAfterSeconds"},
    "vanish": {"ids"},
}
_EVERY_FIELD = {"account", "after", "every", "kind", "operation", "service", "times"}
_LEAST = {"after": 0, "every": 1, "retryAfterSeconds": 0, "times": 1}
"""The whole numbers among the fields, and the least of each."""
_PAGED = {"drs", "ec2", "iam", "kms", "servicequotas", "ssm"}
_MAY_DIFFER = timedelta(minutes=5)
LOST = "validator.lost"
"""Marks a request that is answered as usual, and whose answer does not arrive."""

_MARK = "!"
"""Ends the token of a page without items; what stands before it leads to the page asked for."""


class Faults:
    """The faults in force, and the credentials that they have made expire."""

    def __init__(self, account_of: Callable[[Call], str], vanish: Callable[[Call, Any], None]):
        self._account_of = account_of
        self._vanish = vanish
        self._lock = threading.Lock()
        self._faults: list[Json] = []
        self._expired: set[str] = set()

    def add(self, fault: Json) -> None:
        """Puts a fault in force; raises ValueError for one that says nothing known."""
        kind = fault.get("kind")
        if not isinstance(kind, str) or kind not in _FIELDS:
            raise ValueError(f"kind must be one of {sorted(_FIELDS)}")
        unknown = set(fault) - _EVERY_FIELD - _FIELDS[kind]
        if unknown:
            known = sorted(_EVERY_FIELD | _FIELDS[kind])
            raise ValueError(f"fields of {kind} are {known}; not {sorted(unknown)}")
        for name, least in _LEAST.items():
            if name in fault and (type(fault[name]) is not int or fault[name] < least):
                raise ValueError(f"{name} must be a whole number of at least {least}")
        for name in ("account", "operation", "service"):
            if not isinstance(fault.get(name, ""), str):
                raise ValueError(f"{name} must be text")
        for name in ("hours", "seconds"):
            if name in fault and type(fault[name]) not in {int, float}:
                raise ValueError(f"{name} must be a number")
        if fault.get("seconds", 0) < 0:
            raise ValueError("seconds must not be negative")
        if kind == "vanish" and not (isinstance(fault.get("ids"), list) and fault["ids"]):
            raise ValueError("vanish needs ids, a list of server ids")
        if kind == "empty-page" and fault.get("service") not in _PAGED:
            raise ValueError(f"empty-page needs a service of {sorted(_PAGED)}")
        most = {"times": 1} if kind == "vanish" else {}
        with self._lock:
            self._faults.append({**most, **fault, "seen": 0, "hit": 0})

    def clear(self) -> None:
        """Ends all faults; expired credentials work again."""
        with self._lock:
            self._faults.clear()
            self._expired.clear()

    def answer(self, call: Call, start: Start) -> list[bytes] | None:
        """What a fault answers to a call, None if the call goes on; raises OSError to drop it."""
        fault = self._hit(call)
        kind = fault["kind"] if fault else None
        if kind == "expire":
            self._expired.add(call.access_key)
        if call.access_key in self._expired:
            return refuse(call, start, *_answer("expire", call))
        if kind == "empty-page":
            return _empty_page(call, start)
        _lead_on(call)
        if fault is None:
            return None
        match kind:
            case "slow":
                time.sleep(fault.get("seconds", 1))
            case "vanish":
                self._vanish(call, fault["ids"])
            case "lose":
                call.environ[LOST] = True
            case "drop":
                raise ConnectionResetError(errno.ECONNRESET, "dropped by the control door")
            case "skew":
                return _skewed(call, start, fault.get("hours", 1))
            case _:
                waits: tuple[tuple[str, str], ...] = ()
                if call.service == "drs" and "retryAfterSeconds" in _FIELDS[str(kind)]:
                    # The model binds DRS's retryAfterSeconds to this header.
                    waits = (("Retry-After", str(fault.get("retryAfterSeconds", 1))),)
                return refuse(call, start, *_answer(str(kind), call), waits)
        return None

    def _hit(self, call: Call) -> Json | None:
        with self._lock:
            if not self._faults:
                return None
            signer = self._account_of(call)
            acts_in = signer
            if call.operation == "AssumeRole":
                arn = str(call.params().get("RoleArn", ""))
                acts_in = (arn.split(":") + [""] * 5)[4]
            for fault in self._faults:
                if fault.get("service", call.service) != call.service:
                    continue
                if fault.get("operation", call.operation) != call.operation:
                    continue
                # Credentials expire where they are from; all else happens where the call acts.
                account = signer if fault["kind"] == "expire" else acts_in
                if fault.get("account", account) != account:
                    continue
                if fault["kind"] == "empty-page" and not _paginator(call):
                    continue
                fault["seen"] += 1
                counted = fault["seen"] - fault.get("after", 0)
                if counted < 1 or counted % fault.get("every", 1) != 0:
                    continue
                if fault["hit"] >= fault.get("times", fault["hit"] + 1):
                    continue
                fault["hit"] += 1
                return fault
        return None


def denial(call: Call, message: str) -> Answer:
    """How the called service says that somebody may not do this."""
    status, code, _ = _answer("deny", call)
    return status, code, message


def _answer(kind: str, call: Call) -> Answer:
    answers = _ANSWERS[kind]
    return answers.get(call.service, answers[""])


def _skewed(call: Call, start: Start, hours: float) -> list[bytes] | None:
    """The refusal of a signature that is not of the hour that AWS now has, None if it is.

    botocore does not correct its clock, but a client that takes the answer's date for the time
    gets through.
    """
    there = datetime.now(UTC) + timedelta(hours=hours)
    signed = str(call.environ.get("HTTP_X_AMZ_DATE", ""))
    try:
        here = datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        here = datetime.min.replace(tzinfo=UTC)
    if abs(there - here) <= _MAY_DIFFER:
        return None
    status, code, message = _answer("skew", call)
    stamp = "%Y%m%dT%H%M%SZ"
    if not message and here < there:
        earliest = (there - _MAY_DIFFER).strftime(stamp)
        message = (
            f"Signature expired: {signed} is now earlier than {earliest} "
            f"({there.strftime(stamp)} - 5 min.)"
        )
    elif not message:
        latest = (there + _MAY_DIFFER).strftime(stamp)
        message = (
            f"Signature not yet current: {signed} is still later than {latest} "
            f"({there.strftime(stamp)} + 5 min.)"
        )
    date = ("Date", format_datetime(there, usegmt=True))
    return refuse(call, start, status, code, message.strip(), (date,))


def _paginator(call: Call) -> Json:
    """How an operation is paginated, after botocore; {} if it is not."""
    try:
        model = _session().get_paginator_model(_name(call))
        found: Json = model.get_paginator(call.operation)
        return found
    except (UnknownServiceError, ValueError):
        return {}


def _name(call: Call) -> str:
    """The service's name in botocore."""
    return {"servicequotas": "service-quotas"}.get(call.service, call.service)


@functools.cache
def _session() -> Any:
    return botocore.session.get_session()


def _first(value: Any) -> str:
    return str(value[0] if isinstance(value, list) else value)


def _lead_on(call: Call) -> None:
    """Takes the mark of an empty page off a token, so that the page asked for is the next."""
    if call.service not in _PAGED:
        return
    params = call.params()
    marked = [k for k, v in params.items() if isinstance(v, str) and v.endswith(_MARK)]
    if not marked:
        return
    paging = _paginator(call)
    name = _first(paging.get("input_token", ""))
    if name not in marked:
        return
    token = params.pop(name).rstrip(_MARK)
    call.replace_params(params | ({name: token} if token else {}))


def _empty_page(call: Call, start: Start) -> list[bytes]:
    """No items, and a token that leads to the page that was asked for."""
    paging = _paginator(call)
    asked = call.params().get(_first(paging["input_token"]), "")
    keys = paging["result_key"]
    answer: Json = {key: [] for key in (keys if isinstance(keys, list) else [keys])}
    answer[_first(paging["output_token"])] = f"{asked}{_MARK}"
    if "more_results" in paging:
        answer[paging["more_results"]] = True
    if not call.form:
        return answered(start, 200, answer)
    model = _session().get_service_model(_name(call))
    output = model.operation_model(call.operation).output_shape
    members = "".join(
        f"<{tag}>{'' if value == [] else escape(str(value).lower() if value is True else value)}</{tag}>"
        for key, value in answer.items()
        for tag in [output.members[key].serialization.get("name", key)]
    )
    wrapper = output.serialization.get("resultWrapper")
    inside = f"<{wrapper}>{members}</{wrapper}>" if wrapper else members
    name = f"{call.operation}Response"
    return sent(start, "200 OK", "text/xml", f"<{name}>{inside}</{name}>")
