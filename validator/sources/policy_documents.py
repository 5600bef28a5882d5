"""The policy that the blocks of an `aws_iam_policy_document` write, as the AWS provider writes it."""

from typing import Any

Json = dict[str, Any]

_TOP = frozenset(["policy_id", "statement", "version"])
_ELEMENTS = {
    "actions": "Action",
    "not_actions": "NotAction",
    "resources": "Resource",
    "not_resources": "NotResource",
}
_PRINCIPALS = {"principals": "Principal", "not_principals": "NotPrincipal"}
_STATEMENT = frozenset(["condition", "effect", "sid", *_ELEMENTS, *_PRINCIPALS])


class Unwritable(Exception):
    """What the blocks write is not certain; the text is the reason."""


def policy(body: Json) -> Json:
    """The policy of a document, given its attributes and nested blocks as plain data.

    Raises Unwritable for what merges other policies, and for what the provider would refuse.
    """
    _only(body, _TOP, "the document")
    found: Json = {"Version": body.get("version") or "2012-10-17"}
    if body.get("policy_id"):
        found["Id"] = body["policy_id"]
    statements = [_statement(each) for each in body.get("statement", [])]
    if statements:
        found["Statement"] = statements
    sids = [each["Sid"] for each in statements if "Sid" in each]
    if len(set(sids)) != len(sids):
        raise Unwritable("two of its statements have one sid")
    return found


def _only(body: Json, known: frozenset[str], what: str) -> None:
    odd = sorted(name for name, value in body.items() if name not in known and value is not None)
    if odd:
        raise Unwritable(f"{what} sets {odd[0]}, which is not read")


def _statement(body: Json) -> Json:
    _only(body, _STATEMENT, "a statement")
    statement: Json = {"Effect": body.get("effect") or "Allow"}
    if body.get("sid") not in (None, ""):
        statement["Sid"] = _text(body["sid"], "sid")
    for name, element in _ELEMENTS.items():
        values = _texts(body.get(name), name)
        if values:
            statement[element] = values if name.endswith("actions") else _variables(values)
    for name, element in _PRINCIPALS.items():
        if body.get(name):
            statement[element] = _principals(body[name])
    if body.get("condition"):
        statement["Condition"] = _conditions(body["condition"])
    return statement


def _principals(blocks: list[Json]) -> Any:
    who: dict[str, list[str]] = {}
    for block in blocks:
        _only(block, frozenset(["type", "identifiers"]), "a principal")
        identifiers = _variables(_texts(block.get("identifiers"), "identifiers"))
        _extend(who.setdefault(_text(block.get("type"), "type"), []), identifiers)
    return "*" if who == {"*": ["*"]} else who


def _conditions(blocks: list[Json]) -> Json:
    found: dict[str, dict[str, list[str]]] = {}
    for block in blocks:
        _only(block, frozenset(["test", "variable", "values"]), "a condition")
        tests = found.setdefault(_text(block.get("test"), "test"), {})
        values = _variables(_texts(block.get("values"), "values"))
        _extend(tests.setdefault(_text(block.get("variable"), "variable"), []), values)
    return found


def _extend(found: list[str], values: list[str]) -> None:
    """Adds what is new: principals and conditions are sets to the provider."""
    found += [each for each in dict.fromkeys(values) if each not in found]


def _text(value: Any, name: str) -> str:
    """The value as the provider's schema makes it text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value
    raise Unwritable(f"{name} holds {value!r}, which is no text")


def _texts(value: Any, name: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unwritable(f"{name} is no list")
    return [_text(each, name) for each in value]


def _variables(values: list[str]) -> list[str]:
    """The provider writes policy variables as &{...}, since ${...} is Terraform's."""
    return [each.replace("&{", "${") for each in values]
