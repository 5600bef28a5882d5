"""Translates DRS requests: botocore's model names the operation and says what its input may be."""

import functools
import json
import re
from typing import Any
from urllib.parse import unquote

import botocore.session
import orjson
from moto.core.responses import BaseResponse

from validator.emulator.drs import recovery
from validator.emulator.drs.exceptions import (
    DrsError,
    NotBuiltException,
    UninitializedAccountException,
    ValidationException,
)
from validator.emulator.drs.models import drs_backends
from validator.emulator.drs.operations import OPERATIONS

_BEFORE_INITIALISATION = {
    "InitializeService",
    "ListTagsForResource",
    "TagResource",
    "UntagResource",
}


@functools.cache
def service_model() -> Any:
    """botocore's model of DRS."""
    return botocore.session.get_session().get_service_model("drs")


@functools.cache
def _routes() -> dict[tuple[str, str], str]:
    model = service_model()
    return {
        (o.http["method"], o.http["requestUri"].split("{")[0]): name
        for name in model.operation_names
        for o in [model.operation_model(name)]
    }


class DrsResponse(BaseResponse):
    """One DRS request in one account and Region."""

    def __init__(self) -> None:
        super().__init__(service_name="drs")

    def call_action(self) -> tuple[int, dict[str, str], str | bytes]:
        """The answer: HTTP status, headers and JSON; every refusal is JSON too."""
        try:
            status, answer = self._answer()
        except DrsError as error:
            headers = {"x-amzn-ErrorType": error.code, "Content-Type": "application/json"}
            body = {"code": error.code, "message": error.message, **error.members}
            return error.status, headers, json.dumps(body)
        # A page of 200 servers is 270 KB, and json would take most of the answer's time.
        return status, {"Content-Type": "application/json"}, orjson.dumps(answer)

    def _answer(self) -> tuple[int, dict[str, Any]]:
        path, method = unquote(self.path), self.method
        arn = path.removeprefix("/tags/") if path.startswith("/tags/") else None
        name = _routes().get((method, "/tags/" if arn else path.rstrip("/")))
        if name is None or name not in OPERATIONS:
            raise NotBuiltException(
                f"The embedded AWS has no operation {name or f'{method} {path}'} of drs."
            )
        params = self._params(arn)
        operation = service_model().operation_model(name)
        if operation.input_shape is not None:
            check(operation.input_shape, params, "")
        backend = drs_backends[self.current_account][self.region]
        with backend.lock:
            if name not in _BEFORE_INITIALISATION and not backend.initialised:
                raise UninitializedAccountException("Account not initialized")
            recovery.settle(backend)
            return operation.http.get("responseCode", 200), OPERATIONS[name](backend, params)

    def _params(self, arn: str | None) -> dict[str, Any]:
        params: dict[str, Any] = {}
        for key, values in self.querystring.items():
            params[key] = (
                list(values)
                if key == "tagKeys"
                else int(values[0])
                if key == "maxResults" and values[0].isdigit()
                else values[0]
            )
        if self.body and self.method == "POST":
            try:
                body = json.loads(self.body)
            except ValueError as error:
                raise ValidationException("The body is not JSON.") from error
            if not isinstance(body, dict):
                raise ValidationException("The body is not a JSON object.")
            params = body
        if arn is not None:
            params["resourceArn"] = arn
        return params


def check(shape: Any, value: Any, name: str) -> None:
    """Raises ValidationException unless a value fits the model: botocore's client checks less."""
    label = name or "input"
    if shape.type_name == "structure":
        if not isinstance(value, dict):
            raise _invalid(label, "must be an object")
        for required in shape.required_members:
            if required not in value:
                raise _invalid(f"{name}.{required}".lstrip("."), "is required")
        for key, member in shape.members.items():
            if value.get(key) is not None:
                check(member, value[key], f"{name}.{key}".lstrip("."))
        return
    size = len(value) if isinstance(value, (str, list, dict)) else value
    expected = {"string": str, "integer": int, "long": int, "boolean": bool, "list": list}
    kind = expected.get(shape.type_name)
    if kind is not None and not isinstance(value, kind):
        raise _invalid(label, f"must be a {shape.type_name}")
    limits = shape.metadata
    if isinstance(size, int) and not isinstance(value, bool):
        if "min" in limits and size < limits["min"]:
            raise _invalid(label, f"must be at least {limits['min']}")
        if "max" in limits and size > limits["max"]:
            raise _invalid(label, f"must be at most {limits['max']}")
    if shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            raise _invalid(label, f"must be one of {shape.enum}, not {value!r}")
        if "pattern" in limits and not re.fullmatch(_pattern(limits["pattern"]), value):
            raise _invalid(label, f"must match {limits['pattern']}, not {value!r}")
    if shape.type_name == "list":
        for item in value:
            check(shape.member, item, label)


def _pattern(text: str) -> str:
    """A pattern of the model as Python has it, which names no classes of Unicode."""
    return text.replace(r"\p{L}", r"\w").replace(r"\p{N}", r"\d").replace(r"\p{Z}", r"\s")


def _invalid(name: str, text: str) -> ValidationException:
    return ValidationException(
        f"{name} {text}",
        reason="fieldValidationFailed",
        fieldList=[{"name": name, "message": text}],
    )
