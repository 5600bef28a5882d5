"""The policy evaluator, case by case; each row id says why."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.errors import SourceError
from validator.policy import Outcome, Request, evaluate, matches, parse

ROLE = "arn:aws:iam::444455556666:role/service-role/DRSStagingAccountRole_111122223333"
ROOT = "arn:aws:iam::444455556666:root"
EC2 = {"StringEquals": {"kms:ViaService": "ec2.us-west-2.amazonaws.com"}}


def statement(**changes: Any) -> dict[str, Any]:
    base = {
        "Sid": "S",
        "Effect": "Allow",
        "Principal": {"AWS": ROLE},
        "Action": "kms:ReEncrypt*",
        "Resource": "*",
    }
    merged = {**base, **changes}
    return {key: value for key, value in merged.items() if value is not None}


def decide(
    *statements: dict[str, Any],
    absent: tuple[str, ...] = (),
    principal: str = ROLE,
    **context: str,
) -> Outcome:
    keys = {
        "kms:ViaService": ("ec2.us-west-2.amazonaws.com",),
        "kms:CallerAccount": ("444455556666",),
    }
    keys |= {name.replace("__", ":"): (value,) for name, value in context.items()}
    request = Request(
        principal=principal,
        action="kms:ReEncryptFrom",
        resource="arn:aws:kms:us-west-2:444455556666:key/k",
        context=keys,
        absent=frozenset(absent),
    )
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return evaluate(parse(json.dumps(document)), request).outcome


def when(**condition: Any) -> dict[str, Any]:
    return statement(Condition=condition)


DENY = statement(Effect="Deny")
CASES = [
    ("the role by name", [statement()], Outcome.ALLOWED),
    ("its account's root", [statement(Principal={"AWS": ROOT})], Outcome.ALLOWED_FOR_ACCOUNT),
    ("its bare account", [statement(Principal={"AWS": "444455556666"})], Outcome.ALLOWED_FOR_ACCOUNT),
    ("another account", [statement(Principal={"AWS": "111122223333"})], Outcome.NOT_ALLOWED),
    ("everyone", [statement(Principal="*")], Outcome.ALLOWED),
    ("a service is no role", [statement(Principal={"Service": "*.amazonaws.com"})], Outcome.NOT_ALLOWED),
    ("an explicit deny wins", [statement(), DENY], Outcome.DENIED),
    ("a deny of another action", [statement(), statement(Effect="Deny", Action="kms:Encrypt")], Outcome.ALLOWED),
    ("actions ignore case", [statement(Action="KMS:reencrypt*")], Outcome.ALLOWED),
    ("another action", [statement(Action="kms:Decrypt")], Outcome.NOT_ALLOWED),
    ("NotAction of another", [statement(Action=None, NotAction="kms:Decrypt")], Outcome.ALLOWED),
    ("NotAction of this", [statement(Action=None, NotAction="kms:*")], Outcome.NOT_ALLOWED),
    ("NotPrincipal spares it", [statement(Principal=None, NotPrincipal={"AWS": ROLE})], Outcome.NOT_ALLOWED),
    ("NotResource of this", [statement(Resource=None, NotResource="*")], Outcome.NOT_ALLOWED),
    ("another resource", [statement(Resource="arn:aws:kms:us-east-1:*:key/*")], Outcome.NOT_ALLOWED),
    ("no statement for it", [statement(Principal={"AWS": "999999999999"})], Outcome.NOT_ALLOWED),
    ("through EC2", [when(**EC2)], Outcome.ALLOWED),
    ("through DRS only", [when(StringEquals={"kms:ViaService": "drs.us-west-2.amazonaws.com"})], Outcome.NOT_ALLOWED),
    ("condition keys ignore case", [when(StringEquals={"KMS:VIASERVICE": "ec2.us-west-2.amazonaws.com"})], Outcome.ALLOWED),
    ("one of several values", [when(StringEquals={"kms:CallerAccount": ["1", "444455556666"]})], Outcome.ALLOWED),
    ("StringLike", [when(StringLike={"kms:ViaService": "ec2.*.amazonaws.com"})], Outcome.ALLOWED),
    ("StringEquals has no wildcard", [when(StringEquals={"kms:ViaService": "ec2.*"})], Outcome.NOT_ALLOWED),
    ("StringNotEquals of another", [when(StringNotEquals={"kms:CallerAccount": "1"})], Outcome.ALLOWED),
    ("NumericLessThan", [when(NumericLessThan={"kms:CallerAccount": "5"})], Outcome.NOT_ALLOWED),
    ("a number that is none", [when(NumericEquals={"kms:ViaService": "5"})], Outcome.UNKNOWN),
    ("an operator not known", [when(DateGreaterThan={"kms:CallerAccount": "2020"})], Outcome.UNKNOWN),
    ("a key that the request does not settle", [when(StringEquals={"aws:Other": "x"})], Outcome.UNKNOWN),
    ("a policy variable", [when(StringEquals={"kms:CallerAccount": "${aws:x}"})], Outcome.UNKNOWN),
    ("an undecided deny", [statement(), statement(Effect="Deny", Condition={"StringEquals": {"aws:Other": "x"}})], Outcome.UNKNOWN),
    ("an undecided allow beside a sure one", [statement(), when(StringEquals={"aws:Other": "x"})], Outcome.ALLOWED),
    ("Null of a key that is there", [when(Null={"kms:ViaService": "true"})], Outcome.NOT_ALLOWED),
    ("Null false of a key that is there", [when(Null={"kms:ViaService": "false"})], Outcome.ALLOWED),
]  # fmt: skip


@pytest.mark.parametrize(
    ("statements", "outcome"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_outcome(statements: list[dict[str, Any]], outcome: Outcome) -> None:
    assert decide(*statements) is outcome


ABSENT = [
    ("StringEquals", "x", Outcome.NOT_ALLOWED),
    ("StringNotEquals", "x", Outcome.ALLOWED),
    ("StringEqualsIfExists", "x", Outcome.ALLOWED),
    ("ForAllValues:StringEquals", "x", Outcome.ALLOWED),
    ("ForAnyValue:StringEquals", "x", Outcome.NOT_ALLOWED),
    ("Bool", "true", Outcome.NOT_ALLOWED),
    ("Null", "true", Outcome.ALLOWED),
]


@pytest.mark.parametrize(("operator", "value", "outcome"), ABSENT, ids=[a[0] for a in ABSENT])
def test_a_key_that_the_request_lacks(operator: str, value: str, outcome: Outcome) -> None:
    assert decide(when(**{operator: {"aws:Other": value}}), absent=("aws:Other",)) is outcome


def test_a_session_is_its_role() -> None:
    named = statement(Principal={"AWS": "arn:aws:iam::444455556666:role/R"})
    session = "arn:aws:sts::444455556666:assumed-role/R/me"
    assert decide(named, principal=session) is Outcome.ALLOWED


REFUSED = {
    "no JSON": "{",
    "no object": "[]",
    "no statement": '{"Version": "2012-10-17"}',
    "an empty list": '{"Statement": []}',
    "an unknown element": json.dumps({"Statement": [statement(Principals="*")]}),
    "no effect": json.dumps({"Statement": [statement(Effect="allow")]}),
    "an unknown version": json.dumps({"Version": "2020-01-01", "Statement": [statement()]}),
    "both Action and NotAction": json.dumps({"Statement": [statement(NotAction="x")]}),
    "a key twice": '{"Statement": [{"Effect": "Deny", "Effect": "Allow", "Action": "*"}]}',
    "a number as condition": json.dumps({"Statement": [statement(Condition=5)]}),
    "too deep": "[" * 100_000,
    "too large": " " * 2_000_000,
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str) -> None:
    with pytest.raises(SourceError):
        parse(text)


@given(st.text(alphabet="ab*?", max_size=12), st.text(alphabet="ab", max_size=12))
def test_wildcards_mean_what_a_plain_recursion_says(pattern: str, text: str) -> None:
    def plain(p: str, t: str) -> bool:
        if not p:
            return not t
        if p[0] == "*":
            return plain(p[1:], t) or (bool(t) and plain(p, t[1:]))
        return bool(t) and p[0] in {"?", t[0]} and plain(p[1:], t[1:])

    assert matches(pattern, text) is plain(pattern, text)


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_an_error(text: str) -> None:
    with contextlib.suppress(SourceError):
        parse(text)
