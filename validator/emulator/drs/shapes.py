"""Requests checked against botocore's model: what the client does not check, the service must.

botocore's client checks types, required members and minimum lengths; enums, patterns and maximum
lengths reach the service.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from validator.emulator.drs.exceptions import Validation

_INTEGER_RANGE = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
_JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
}


def check(shape: Shape | None, value: dict[str, Any]) -> None:
    """Raises `Validation` that names every member of `value` that breaks the shape."""
    if shape is None:
        return
    fields = list(violations(shape, value))
    if fields:
        text = "; ".join(f"{name}: {message}" for name, message in fields[:10])
        count = f"{len(fields)} validation error{'s' if len(fields) > 1 else ''} detected"
        raise Validation(f"{count}: {text}", fields=fields[:100])


def violations(shape: Shape, value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Each way in which a JSON value breaks the shape, as the member's path and a sentence.

    A member that the shape does not have is ignored, as AWS does; a null one counts as absent.
    """
    expected = _JSON_TYPES.get(shape.type_name)
    is_right = expected is None or isinstance(value, expected)
    # NOTE: Python counts true and false as integers, JSON does not.
    if isinstance(value, bool) and shape.type_name != "boolean":
        is_right = False
    if not is_right:
        yield name or "request", f"must be of type {shape.type_name}"
        return
    yield from _limits(shape, value, name)
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        for member in shape.required_members:
            if value.get(member) is None:
                yield _join(name, member), "is required"
        for member, member_shape in shape.members.items():
            if value.get(member) is not None:
                yield from violations(member_shape, value[member], _join(name, member))
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from violations(shape.member, item, f"{name}[{index}]")
    elif isinstance(shape, MapShape) and isinstance(value, dict):
        for key, item in value.items():
            yield from violations(shape.key, key, f"{name} key {key[:64]!r}")
            yield from violations(shape.value, item, f"{name}[{key[:64]!r}]")


def known(shape: StructureShape, value: dict[str, Any]) -> dict[str, Any]:
    """The members of a request that the shape has, without those that are null."""
    return {name: value[name] for name in shape.members if value.get(name) is not None}


def _limits(shape: Shape, value: object, name: str) -> Iterator[tuple[str, str]]:
    lowest, highest = shape.metadata.get("min"), shape.metadata.get("max")
    if isinstance(value, str | list | dict) and not isinstance(shape, StructureShape):
        what = "length" if isinstance(value, str) else "number of items"
        if lowest is not None and len(value) < lowest:
            yield name, f"{what} {len(value)} is less than the minimum {lowest}"
        if highest is not None and len(value) > highest:
            yield name, f"{what} {len(value)} is more than the maximum {highest}"
            return
    elif isinstance(value, int | float) and not isinstance(value, bool):
        floor, ceiling = _INTEGER_RANGE.get(shape.type_name, (None, None))
        lowest = floor if lowest is None else lowest
        highest = ceiling if highest is None else highest
        if lowest is not None and value < lowest:
            yield name, f"value {value} is less than the minimum {lowest}"
        if highest is not None and value > highest:
            yield name, f"value {value} is more than the maximum {highest}"
    if isinstance(value, str):
        allowed = shape.metadata.get("enum")
        if allowed and value not in allowed:
            yield name, f"value {value[:64]!r} is not one of {', '.join(allowed)}"
        pattern = shape.metadata.get("pattern")
        if pattern and not _pattern(pattern).fullmatch(value):
            yield name, f"value {value[:64]!r} does not match the pattern {pattern}"


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _join(name: str, member: str) -> str:
    return f"{name}.{member}" if name else member
