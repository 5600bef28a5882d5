"""The emulator's own evaluation of resource policies: allowed or refused, nothing between.

It decides what AWS would refuse, by other code than the validator's, so that one mistake cannot
hide in both. What it does not understand it refuses.
"""

import fnmatch
import json
import re
from collections.abc import Callable, Mapping
from typing import Any


class _Unclear(Exception):
    """The policy holds something that this evaluator does not understand."""


def allows(
    document: str | dict[str, Any],
    *,
    principal: str,
    action: str,
    resource: str = "*",
    context: Mapping[str, str] | None = None,
    by_name: bool = False,
) -> bool:
    """True if the policy lets `principal` (an ARN or service name) do `action`.

    With `by_name`, naming the principal's account is not enough. `context` holds the condition
    keys of the request; a key that is not in it is absent.
    """
    return (
        decision(
            document,
            principal=principal,
            action=action,
            resource=resource,
            context=context,
            by_name=by_name,
        )
        == "Allow"
    )


def decision(
    document: str | dict[str, Any],
    *,
    principal: str | None = None,
    action: str,
    resource: str = "*",
    context: Mapping[str, str] | None = None,
    by_name: bool = False,
) -> str | None:
    """What a policy says: "Allow", "Deny", or None if it says nothing; "Deny" if it is not understood.

    Without a principal it is an identity's own policy, which names none.
    """
    keys = {key.lower(): value for key, value in (context or {}).items()}
    try:
        policy = json.loads(document) if isinstance(document, str) else document
        statements = _as_list(policy["Statement"])
        effects = {
            statement["Effect"]
            for statement in statements
            if (
                principal is None
                or _principal(statement, principal, by_name and statement["Effect"] == "Allow")
            )
            and _listed(statement, "Action", action.lower(), lower=True)
            and _listed(statement, "Resource", resource)
            and all(
                _condition(operator, key.lower(), _as_list(values), keys)
                for operator, tests in statement.get("Condition", {}).items()
                for key, values in tests.items()
            )
        }
    except (ValueError, KeyError, TypeError, AttributeError, _Unclear):
        return "Deny"
    return next((effect for effect in ("Deny", "Allow") if effect in effects), None)


def principals(document: str | dict[str, Any]) -> list[str]:
    """Every AWS principal that a policy names; raises ValueError if it is no policy."""
    policy = json.loads(document) if isinstance(document, str) else document
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise ValueError("no Statement")
    named = []
    for statement in _as_list(policy["Statement"]):
        if not isinstance(statement, dict) or statement.get("Effect") not in {"Allow", "Deny"}:
            raise ValueError("a statement without Effect")
        for element in ("Principal", "NotPrincipal"):
            value = statement.get(element)
            if isinstance(value, dict):
                named += [str(each) for each in _as_list(value.get("AWS", []))]
    return named


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _principal(statement: dict[str, Any], principal: str, by_name: bool) -> bool:
    negated = "NotPrincipal" in statement
    value = statement["NotPrincipal"] if negated else statement["Principal"]
    if value == "*":
        return not negated
    kind = "AWS" if principal.startswith("arn:") else "Service"
    found = any(_same(each, principal, by_name) for each in _as_list(value.get(kind, [])))
    return found is not negated


def _same(named: str, principal: str, by_name: bool) -> bool:
    session = re.fullmatch(r"arn:(.+):sts::(\d{12}):assumed-role/([^/]+)/.*", principal)
    candidates = {"*", principal}
    account = principal.split(":")[4] if principal.startswith("arn:") else None
    if session:
        candidates.add(f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}")
    if account and (not by_name or principal.endswith(":root")):
        candidates |= {account, f"arn:aws:iam::{account}:root"}
    return named in candidates


def _listed(statement: dict[str, Any], element: str, value: str, *, lower: bool = False) -> bool:
    negated = f"Not{element}" in statement
    patterns = statement.get(f"Not{element}" if negated else element)
    if patterns is None:
        return element == "Resource"
    found = any(_like(p.lower() if lower else p, value) for p in _as_list(patterns))
    return found is not negated


def _like(pattern: str, value: str) -> bool:
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


_OPERATORS: dict[str, Callable[[list[str], str], bool]] = {
    "arnequals": lambda wanted, actual: any(_like(each, actual) for each in wanted),
    "arnlike": lambda wanted, actual: any(_like(each, actual) for each in wanted),
    "bool": lambda wanted, actual: actual.lower() in wanted,
    "stringequals": lambda wanted, actual: actual in wanted,
    "stringlike": lambda wanted, actual: any(_like(each, actual) for each in wanted),
}
"""The condition operators that are understood, each with its Not and IfExists where AWS has them."""


def _condition(operator: str, key: str, expected: list[Any], keys: Mapping[str, str]) -> bool:
    name = operator.lower()
    actual = keys.get(key)
    if name == "null":
        return ("true" if actual is None else "false") in [str(e).lower() for e in expected]
    if_exists = name.endswith("ifexists")
    name = name.removesuffix("ifexists")
    negated = name in {"arnnotequals", "arnnotlike", "stringnotequals", "stringnotlike"}
    met = _OPERATORS.get(name.replace("not", "") if negated else name)
    if met is None:
        raise _Unclear(operator)
    if actual is None:
        return if_exists or negated
    wanted = [str(each).lower() if isinstance(each, bool) else str(each) for each in expected]
    return met(wanted, actual) is not negated
