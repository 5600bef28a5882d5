"""Pure, three-valued evaluation of key, trust and permission policies for one exact request.

Semantics: docs.aws.amazon.com/IAM/latest/UserGuide, pages reference_policies_evaluation-logic,
reference_policies_elements and reference_policies_condition-operators. What this evaluator does not
know (an operator, a condition key that the request does not settle, a policy variable) is unknown:
an unknown Allow is not an allowance, and an unknown Deny is not the absence of one.
"""

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from validator.errors import SourceError

LARGEST = 1024 * 1024
"""Characters above which a policy is refused; AWS's own limit is 32 KiB for a key policy."""

Values = tuple[str, ...]
Three = bool | None
"""True, False, or None for "cannot be known"."""

UNSEEN = "\N{REPLACEMENT CHARACTER}" * 36
"""Stands in a request's resource for an id that the view cannot see, such as that of a new key."""

_ACCOUNT = re.compile(r"[0-9]{12}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?")
_ROLE = re.compile(r"arn:([^:]+):iam::([0-9]{12}):role/(.*/)?([^/]+)")
_SESSION = re.compile(r"arn:([^:]+):sts::([0-9]{12}):assumed-role/([^/]+)/.+")
_ELEMENTS = frozenset(
    [
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ]
)


class Outcome(StrEnum):
    """What a policy says to one request.

    `ALLOWED_FOR_ACCOUNT`: the policy names the principal's account, so an identity policy in that
    account decides. `NOT_ALLOWED`: no statement allows it.
    """

    ALLOWED = "allowed"
    ALLOWED_FOR_ACCOUNT = "allowed for the account"
    DENIED = "denied"
    NOT_ALLOWED = "not allowed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Request:
    """One request: who asks for which action on which resource.

    `principal` is an ARN, or a service such as drs.amazonaws.com. `resource` is None for a trust
    policy, whose statements have no Resource. `context` holds every condition key that the request
    has; a key in neither `context` nor `absent` makes a condition unknown.
    """

    principal: str
    action: str
    resource: str | None
    context: Mapping[str, Values]
    absent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy.

    `principals` holds (type, value) pairs such as ("AWS", "arn:..."); a negated element holds what
    stands in NotPrincipal, NotAction or NotResource. `conditions` are (operator, key, values).
    """

    name: str
    allow: bool
    principals: tuple[tuple[str, str], ...]
    not_principal: bool
    actions: Values
    not_action: bool
    resources: Values
    not_resource: bool
    conditions: tuple[tuple[str, str, Values], ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed policy; `variables` is true where its version gives ${...} a meaning."""

    statements: tuple[Statement, ...]
    variables: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome, and in `reason` the statement that decided or is missing."""

    outcome: Outcome
    reason: str


# Many invariants ask for the same few policies.
@functools.lru_cache(maxsize=256)
def parse(text: str) -> Policy:
    """The policy that JSON text writes; raises SourceError for anything that AWS would refuse."""
    if len(text) > LARGEST:
        raise SourceError(f"The policy is larger than {LARGEST} characters.")
    try:
        document = json.loads(text, object_pairs_hook=_unique)
        json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise SourceError(f"The policy is not valid JSON: {error}.") from error
    if not isinstance(document, dict):
        raise SourceError("The policy is not a JSON object.")
    if unknown := sorted(set(document) - {"Id", "Statement", "Version"}):
        raise SourceError(f"The policy has unknown elements {', '.join(unknown)}.")
    version = document.get("Version", "2008-10-17")
    if version not in ("2008-10-17", "2012-10-17"):
        raise SourceError(f"The policy has version {version!r}, which does not exist.")
    statements = document.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise SourceError("The policy has no Statement.")
    return Policy(
        tuple(_statement(each, number) for number, each in enumerate(statements, 1)),
        version == "2012-10-17",
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


def _statement(raw: object, number: int) -> Statement:
    if not isinstance(raw, dict):
        raise SourceError(f"Statement {number} is not an object.")
    name = raw.get("Sid") or f"statement {number}"
    if not isinstance(name, str):
        raise SourceError(f"Statement {number} has a Sid that is no text.")
    if unknown := sorted(set(raw) - _ELEMENTS):
        raise SourceError(f"{name}: unknown elements {', '.join(unknown)}.")
    if raw.get("Effect") not in ("Allow", "Deny"):
        raise SourceError(f"{name}: Effect must be Allow or Deny.")
    for positive in ("Principal", "Action", "Resource"):
        if positive in raw and f"Not{positive}" in raw:
            raise SourceError(f"{name}: both {positive} and Not{positive}.")
    if "Action" not in raw and "NotAction" not in raw:
        raise SourceError(f"{name}: no Action.")
    return Statement(
        name=name,
        allow=raw["Effect"] == "Allow",
        principals=_principals(raw.get("Principal", raw.get("NotPrincipal", {})), name),
        not_principal="NotPrincipal" in raw,
        actions=_texts(raw.get("Action", raw.get("NotAction")), name),
        not_action="NotAction" in raw,
        resources=_texts(raw.get("Resource", raw.get("NotResource", [])), name),
        not_resource="NotResource" in raw,
        conditions=tuple(_conditions(raw.get("Condition", {}), name)),
    )


def _principals(raw: object, name: str) -> tuple[tuple[str, str], ...]:
    if raw == "*":
        return (("AWS", "*"),)
    if not isinstance(raw, dict):
        raise SourceError(f"{name}: a Principal must be '*' or an object.")
    return tuple((kind, value) for kind, values in raw.items() for value in _texts(values, name))


def _conditions(raw: object, name: str) -> Iterable[tuple[str, str, Values]]:
    if not isinstance(raw, dict):
        raise SourceError(f"{name}: Condition must be an object.")
    for operator, keys in raw.items():
        if not isinstance(keys, dict):
            raise SourceError(f"{name}: Condition {operator} must be an object.")
        for key, values in keys.items():
            yield operator, key, _texts(values, name)


def _texts(raw: object, name: str) -> Values:
    values = raw if isinstance(raw, list) else [raw]
    if not all(isinstance(value, (str, bool, int, float)) for value in values):
        raise SourceError(f"{name}: holds a value that is no text.")
    return tuple(str(v).lower() if isinstance(v, bool) else str(v) for v in values)


def evaluate(policy: Policy, request: Request) -> Decision:
    """What the policy alone says to the request; an explicit Deny wins over any Allow."""
    best = Decision(Outcome.NOT_ALLOWED, "no statement allows it")
    unknown: list[str] = []
    undecided_deny = False
    context = {key.lower(): values for key, values in request.context.items()}
    absent = frozenset(key.lower() for key in request.absent)
    for statement in policy.statements:
        named, applies = _applies(statement, request, context, absent, policy.variables)
        if applies is None:
            unknown.append(f"{statement.name} cannot be decided")
            undecided_deny |= not statement.allow
        elif applies and not statement.allow:
            return Decision(Outcome.DENIED, f"{statement.name} denies it")
        elif applies and named:
            best = Decision(Outcome.ALLOWED, f"{statement.name} allows it")
        elif applies and best.outcome is Outcome.NOT_ALLOWED:
            best = Decision(Outcome.ALLOWED_FOR_ACCOUNT, f"{statement.name} allows the account")
    if unknown and (undecided_deny or best.outcome is not Outcome.ALLOWED):
        return Decision(Outcome.UNKNOWN, "; ".join(unknown))
    return best


def _applies(
    statement: Statement,
    request: Request,
    context: Mapping[str, Values],
    absent: frozenset[str],
    variables: bool,
) -> tuple[bool, Three]:
    """Whether the principal is named itself (not just its account), and whether the statement applies."""
    named, principal = _principal_matches(statement, request.principal)
    parts: list[Three] = [
        principal,
        any(matches(p.lower(), request.action.lower()) for p in statement.actions)
        is not statement.not_action,
        _resource_matches(statement, request.resource, variables),
    ]
    parts += [
        _condition(operator, key.lower(), values, context, absent, variables)
        for operator, key, values in statement.conditions
    ]
    if False in parts:
        return named, False
    return named, None if None in parts else True


def _principal_matches(statement: Statement, principal: str) -> tuple[bool, Three]:
    named = [_names(kind, value, principal) for kind, value in statement.principals]
    exact: Three = True if True in named else None if None in named else False
    account = any(
        kind == "AWS" and _is_account_of(value, principal) for kind, value in statement.principals
    )
    if statement.not_principal:
        # NotPrincipal means everyone else; AWS warns that naming only the account may not spare
        # its principals.
        return True, False if exact else None if account or exact is None else True
    return exact is True, True if exact or account else exact


def _names(kind: str, value: str, principal: str) -> Three:
    """Whether one entry of a Principal element means the principal itself, not just its account."""
    if kind == "AWS":
        if value == "*" or (value == principal and principal.startswith("arn:")):
            return True
        if _ACCOUNT.fullmatch(value):
            return principal.startswith("arn:") and principal.endswith(f":iam::{value}:root")
        if _is_session_of(value, principal) is not False:
            return None  # which session asks is not known
        return _is_session_of(principal, value)
    if value == "*":
        return None
    if kind in {"Service", "Federated"}:
        return kind == "Service" and value == principal
    return None  # a canonical user id hides its account


def _is_session_of(session: str, role: str) -> Three:
    """Whether a session is one of a role; its ARN leaves out the role's path, so that may be unknown."""
    left, right = _SESSION.fullmatch(session), _ROLE.fullmatch(role)
    if not left or not right or left.groups() != (right[1], right[2], right[4]):
        return False
    return None if right[3] else True


def _is_account_of(value: str, principal: str) -> bool:
    account = account_of(principal)
    if account is None:
        return False
    return value in {account, f"arn:{partition_of(principal)}:iam::{account}:root"}


def account_of(principal: str) -> str | None:
    """The 12-digit account of an ARN or bare account id, None for a service or wildcard."""
    if _ACCOUNT.fullmatch(principal):
        return principal
    parts = principal.split(":")
    known = len(parts) > 5 and parts[0] == "arn" and _ACCOUNT.fullmatch(parts[4])
    return parts[4] if known else None


def partition_of(arn: str) -> str | None:
    """The partition in an ARN, None for what is no ARN."""
    parts = arn.split(":")
    return parts[1] if len(parts) > 5 and parts[0] == "arn" else None


def partition(region: str) -> str:
    """The AWS partition that a Region belongs to."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _resource_matches(statement: Statement, resource: str | None, variables: bool) -> Three:
    if resource is None or not statement.resources:
        # A trust policy has no Resource, every other policy has one: AWS refuses or ignores the rest.
        return True if resource is None and not statement.resources else None
    if variables and any("${" in pattern for pattern in statement.resources):
        return None
    each = [_means(pattern, resource) for pattern in statement.resources]
    if True in each:
        return not statement.not_resource
    return None if None in each else statement.not_resource


def _means(pattern: str, resource: str) -> Three:
    """Whether a Resource pattern matches, None where that hangs on the part that is not seen."""
    if matches(pattern, resource):
        return True
    head, unseen, _ = resource.partition(UNSEEN)
    literal = re.split(r"[*?]", pattern, maxsplit=1)[0]
    return None if unseen and (head.startswith(literal) or literal.startswith(head)) else False


def grants(statement: Statement, action: str) -> bool:
    """True if the statement's Action element covers the action."""
    found = any(matches(pattern.lower(), action.lower()) for pattern in statement.actions)
    return found is not statement.not_action


def bound(statement: Statement, key: str) -> Values | None:
    """The only values of a condition key with which the statement can apply, None if unbounded.

    Only operators that demand an exact value bound: IfExists and ForAllValues also apply where the
    key is missing, and a wildcard bounds nothing. No values at all means that it never applies.
    """
    found = [
        values
        for operator, name, values in statement.conditions
        if name.lower() == key.lower() and _demands(operator, values)
    ]
    if not found:
        return None
    return tuple(value for value in found[0] if all(value in other for other in found))


def _demands(operator: str, values: Values) -> bool:
    plain = operator.lower().removeprefix("foranyvalue:")
    if plain in {"stringequals", "stringequalsignorecase", "bool"}:
        return True
    return plain in {"stringlike", "arnequals", "arnlike"} and not any(
        "*" in value or "?" in value for value in values
    )


@functools.lru_cache(maxsize=2**16)  # the same few policies meet the same few requests
def matches(pattern: str, text: str) -> bool:
    """True if `text` matches `pattern`, where * is any run of characters and ? any one.

    Linear in memory and at worst quadratic in time, so that no hostile pattern can stall it.
    """
    position = at = 0
    star, mark = -1, 0
    while position < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, mark = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in {"?", text[position]}:
            at += 1
            position += 1
        elif star >= 0:
            mark += 1
            at, position = star + 1, mark
        else:
            return False
    return all(character == "*" for character in pattern[at:])


def _arn_matches(pattern: str, text: str) -> bool:
    """ArnLike and ArnEquals alike: each of the six colon-separated parts matches on its own."""
    left, right = pattern.split(":", 5), text.split(":", 5)
    return (
        len(left) == len(right) == 6
        and left[0] == "arn"
        and all(matches(p, t) for p, t in zip(left, right, strict=True))
    )


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def test(expected: str, actual: str) -> bool:
        if not _NUMBER.fullmatch(expected) or not _NUMBER.fullmatch(actual):
            raise ValueError("no number")
        return compare(float(actual), float(expected))

    return test


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "stringequals": lambda expected, actual: expected == actual,
    "stringequalsignorecase": lambda expected, actual: expected.lower() == actual.lower(),
    "stringlike": matches,
    "arnequals": _arn_matches,
    "arnlike": _arn_matches,
    "bool": lambda expected, actual: expected.lower() == actual.lower(),
    "numericequals": _number(lambda actual, expected: actual == expected),
    "numericlessthan": _number(lambda actual, expected: actual < expected),
    "numericlessthanequals": _number(lambda actual, expected: actual <= expected),
    "numericgreaterthan": _number(lambda actual, expected: actual > expected),
    "numericgreaterthanequals": _number(lambda actual, expected: actual >= expected),
}
_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
    "numericnotequals": "numericequals",
}


def _condition(
    operator: str,
    key: str,
    expected: Values,
    context: Mapping[str, Values],
    absent: frozenset[str],
    variables: bool,
) -> Three:
    """Whether one condition is met; None where the operator, the key or a variable is not known."""
    plain = operator.lower()
    quantifier, _, rest = plain.rpartition(":")
    if quantifier not in {"", "foranyvalue", "forallvalues"}:
        return None
    if (key not in context and key not in absent) or not expected:
        return None
    if variables and any("${" in value for value in expected):
        return None
    actual = context.get(key) or None  # a key without values is a key that is not there
    if rest == "null":
        return _null(expected, actual) if not quantifier else None
    if_exists = rest.endswith("ifexists")
    rest = rest.removesuffix("ifexists")
    negated = rest in _NEGATED
    test = _OPERATORS.get(_NEGATED.get(rest, rest))
    if test is None:
        return None
    if actual is None:
        return if_exists or quantifier == "forallvalues" or (negated and quantifier == "")
    if len(actual) > 1 and not quantifier:
        return None
    try:
        met = [any(test(e, a) for e in expected) is not negated for a in actual]
    except ValueError:
        return None
    return any(met) if quantifier == "foranyvalue" else all(met)


def _null(expected: Values, actual: Values | None) -> Three:
    if not set(expected) <= {"true", "false"}:
        return None
    return ("true" if actual is None else "false") in expected
