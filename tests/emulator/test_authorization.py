"""The emulator's own evaluator of policies: what it allows, denies, and does not understand."""

from typing import Any

import pytest

from validator.emulator.authorization import decision

ROLE = "arn:aws:iam::444455556666:role/service-role/Worker"
KEYS = {"aws:SourceAccount": "111122223333", "aws:Secure": "true"}
EQUALS = {"StringEquals": {"aws:SourceAccount": "111122223333"}}
ABSENT = {"aws:Other": "x"}

CASES: list[tuple[str, dict[str, Any], str | None]] = [
    ("the action", {}, "Allow"),
    ("another action", {"Action": "kms:Encrypt"}, None),
    ("a wildcard, whatever the case", {"Action": ["KMS:de*"]}, "Allow"),
    ("all but this action", {"Action": None, "NotAction": "kms:Decrypt"}, None),
    ("another resource", {"Resource": "arn:aws:kms:::key/other"}, None),
    ("denied", {"Effect": "Deny"}, "Deny"),
    ("a key that is as it should be", {"Condition": EQUALS}, "Allow"),
    ("a key that is not", {"Condition": {"StringEquals": {"aws:SourceAccount": "1"}}}, None),
    ("a key that is absent", {"Condition": {"StringEquals": ABSENT}}, None),
    ("absent, if it exists", {"Condition": {"StringEqualsIfExists": ABSENT}}, "Allow"),
    ("absent, not equal", {"Condition": {"StringNotEquals": ABSENT}}, "Allow"),
    ("absent, as asked for", {"Condition": {"Null": {"aws:Other": True}}}, "Allow"),
    ("a pattern", {"Condition": {"StringLike": {"aws:SourceAccount": "1111*"}}}, "Allow"),
    ("not the pattern", {"Condition": {"StringNotLike": {"aws:SourceAccount": "1111*"}}}, None),
    ("a truth", {"Condition": {"Bool": {"aws:Secure": True}}}, "Allow"),
    ("an unknown operator", {"Condition": {"NumericEquals": {"aws:Secure": "1"}}}, "Deny"),
    ("unknown, key absent", {"Condition": {"NumericEquals": ABSENT}}, "Deny"),
    ("unknown, if it exists", {"Condition": {"NumericEqualsIfExists": ABSENT}}, "Deny"),
    ("unknown, negated", {"Condition": {"NumericNotEquals": ABSENT}}, "Deny"),
    ("unknown, over a set", {"Condition": {"ForAnyValue:StringEquals": ABSENT}}, "Deny"),
    ("unknown, of another action", {"Action": "a:B", "Condition": {"Odd": ABSENT}}, None),
    ("a condition that is none", {"Condition": ["x"]}, "Deny"),
]


@pytest.mark.parametrize(("changes", "said"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_an_identitys_own_policy(changes: dict[str, Any], said: str | None) -> None:
    statement = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", **changes}
    kept = {name: value for name, value in statement.items() if value is not None}
    assert decision({"Statement": kept}, action="kms:Decrypt", context=KEYS) == said


@pytest.mark.parametrize("document", ["", "{", "[]", "{}", '{"Statement": [{"Action": "*"}]}'])
def test_what_is_no_policy_denies(document: str) -> None:
    assert decision(document, action="kms:Decrypt") == "Deny"


NAMED = [
    ("its name", {"AWS": ROLE}, True, "Allow"),
    ("its account", {"AWS": "arn:aws:iam::444455556666:root"}, False, "Allow"),
    ("its account, where a name is needed", {"AWS": "444455556666"}, True, None),
    ("another account", {"AWS": "111122223333"}, False, None),
    ("a service", {"Service": "drs.amazonaws.com"}, False, None),
    ("everybody", "*", True, "Allow"),
]


@pytest.mark.parametrize(
    ("principal", "by_name", "said"), [n[1:] for n in NAMED], ids=[n[0] for n in NAMED]
)
def test_whom_a_resource_policy_names(principal: Any, by_name: bool, said: str | None) -> None:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "*", "Resource": "*"}
    asked = {"principal": ROLE, "action": "kms:Decrypt"}
    assert decision({"Statement": [statement]}, **asked, by_name=by_name) == said
    if said == "Allow":
        against = {"Statement": [statement, statement | {"Effect": "Deny"}]}
        assert decision(against, **asked, by_name=by_name) == "Deny"
