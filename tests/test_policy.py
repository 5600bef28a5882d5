"""The policy evaluator, case by case; each row id says why."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from validator.errors import SourceError
from validator.policy import UNSEEN, Outcome, Request, bound, evaluate, matches, parse, partition

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
    ("an account of another partition", [statement(Principal={"AWS": ROOT.replace(":aws:", ":aws-cn:")})], Outcome.NOT_ALLOWED),
    ("a role whose path ends like a root", [statement(Principal={"AWS": "arn:aws:iam::444455556666:role/x:root"})], Outcome.NOT_ALLOWED),
    ("every service is no role for sure", [statement(Principal={"Service": "*"})], Outcome.UNKNOWN),
    ("every service, denied", [statement(), statement(Effect="Deny", Principal={"Service": "*"})], Outcome.UNKNOWN),
    ("a federated provider is no role", [statement(Principal={"Federated": "*.example.com"})], Outcome.NOT_ALLOWED),
    ("a canonical user may be its account", [statement(), statement(Effect="Deny", Principal={"CanonicalUser": "a"})], Outcome.UNKNOWN),
    ("a deny of one of its sessions", [statement(), statement(Effect="Deny", Principal={"AWS": "arn:aws:sts::444455556666:assumed-role/DRSStagingAccountRole_111122223333/s"})], Outcome.UNKNOWN),
    ("a deny of another role's session", [statement(), statement(Effect="Deny", Principal={"AWS": "arn:aws:sts::444455556666:assumed-role/R/s"})], Outcome.ALLOWED),
    ("NotPrincipal spares another", [statement(), statement(Effect="Deny", Principal=None, NotPrincipal={"AWS": "arn:aws:iam::1:root"})], Outcome.DENIED),
    ("NotPrincipal spares its account only", [statement(), statement(Effect="Deny", Principal=None, NotPrincipal={"AWS": ROOT})], Outcome.UNKNOWN),
    ("no value to be equal to", [when(StringEquals={"kms:ViaService": []})], Outcome.UNKNOWN),
    ("no value to differ from", [when(StringNotEquals={"kms:ViaService": []})], Outcome.UNKNOWN),
    ("a number as Python writes it", [when(NumericLessThan={"kms:CallerAccount": "1_0e400"})], Outcome.UNKNOWN),
    ("a deny of its account", [statement(), statement(Effect="Deny", Principal={"AWS": ROOT})], Outcome.DENIED),
    ("no Resource, which KMS ignores", [statement(Resource=None)], Outcome.UNKNOWN),
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


SESSIONS = [
    ("arn:aws:iam::444455556666:role/R", Outcome.ALLOWED, "its role"),
    ("arn:aws:iam::444455556666:role/path/R", Outcome.UNKNOWN, "a path that the session hides"),
    ("arn:aws:iam::444455556666:role/Q", Outcome.NOT_ALLOWED, "another role"),
    ("arn:aws:iam::111122223333:role/R", Outcome.NOT_ALLOWED, "a role of another account"),
    (ROOT, Outcome.ALLOWED_FOR_ACCOUNT, "its account"),
]


@pytest.mark.parametrize(
    ("named", "outcome"), [s[:2] for s in SESSIONS], ids=[s[2] for s in SESSIONS]
)
def test_a_session_is_its_role(named: str, outcome: Outcome) -> None:
    session = "arn:aws:sts::444455556666:assumed-role/R/me"
    assert decide(statement(Principal={"AWS": named}), principal=session) is outcome


KEYS = "arn:aws:kms:us-west-2:444455556666:key/"
RESOURCES = [
    ("*", Outcome.ALLOWED, "any"),
    (f"{KEYS}*", Outcome.ALLOWED, "any key of the account and Region"),
    (f"{KEYS}{'?' * 36}", Outcome.ALLOWED, "any id"),
    (f"{KEYS}1234", Outcome.UNKNOWN, "one key, which may be this"),
    (f"{KEYS}12*", Outcome.UNKNOWN, "keys that begin so"),
    ("arn:aws:kms:*:444455556666:key/12*", Outcome.UNKNOWN, "keys that begin so anywhere"),
    (KEYS.replace("us-west-2", "us-east-1") + "*", Outcome.NOT_ALLOWED, "another Region"),
    (KEYS.replace(":key/", ":alias/") + "x", Outcome.NOT_ALLOWED, "an alias"),
]


@pytest.mark.parametrize(
    ("resource", "outcome"), [r[:2] for r in RESOURCES], ids=[r[2] for r in RESOURCES]
)
@pytest.mark.parametrize("negated", [False, True])
def test_a_key_whose_id_is_not_seen(resource: str, outcome: Outcome, negated: bool) -> None:
    element = {"NotResource": resource, "Resource": None} if negated else {"Resource": resource}
    document = {"Version": "2012-10-17", "Statement": [statement(**element)]}
    request = Request(ROLE, "kms:ReEncryptFrom", f"{KEYS}{UNSEEN}", {})
    turned = {Outcome.ALLOWED: Outcome.NOT_ALLOWED, Outcome.NOT_ALLOWED: Outcome.ALLOWED}
    expected = turned.get(outcome, outcome) if negated else outcome
    assert evaluate(parse(json.dumps(document)), request).outcome is expected


def test_a_trust_policy_has_no_resource() -> None:
    request = Request(ROLE, "kms:ReEncryptFrom", None, {})
    for resource, outcome in ((None, Outcome.ALLOWED), ("*", Outcome.UNKNOWN)):
        document = {"Statement": [statement(Resource=resource)]}
        assert evaluate(parse(json.dumps(document)), request).outcome is outcome


def test_several_values_need_a_quantifier() -> None:
    request = Request(ROLE, "kms:ReEncryptFrom", KEYS, {"aws:TagKeys": ("a", "b")})
    for operator, outcome in (
        ("StringEquals", Outcome.UNKNOWN),
        ("ForAllValues:StringEquals", Outcome.NOT_ALLOWED),
        ("ForAnyValue:StringEquals", Outcome.ALLOWED),
    ):
        document = {"Statement": [when(**{operator: {"aws:TagKeys": "a"}})]}
        assert evaluate(parse(json.dumps(document)), request).outcome is outcome


def test_a_condition_key_without_values_is_one_that_is_not_there() -> None:
    request = Request(ROLE, "kms:ReEncryptFrom", KEYS, {"kms:ViaService": ()})
    document = {"Statement": [when(**EC2)]}
    assert evaluate(parse(json.dumps(document)), request).outcome is Outcome.NOT_ALLOWED


BOUND = [
    ({"StringEquals": {"kms:ViaService": "a"}}, ("a",), "StringEquals"),
    ({"stringequals": {"KMS:viaservice": ["a", "b"]}}, ("a", "b"), "in any case"),
    ({"StringLike": {"kms:ViaService": "a"}}, ("a",), "StringLike without a wildcard"),
    ({"ForAnyValue:StringEquals": {"kms:ViaService": "a"}}, ("a",), "ForAnyValue"),
    ({"StringEquals": {"kms:ViaService": ["a", "b"]}, "StringLike": {"kms:ViaService": "b"}}, ("b",), "two operators"),
    ({"StringEquals": {"kms:ViaService": []}}, (), "no value"),
    ({"StringLike": {"kms:ViaService": "a*"}}, None, "a wildcard"),
    ({"StringEqualsIfExists": {"kms:ViaService": "a"}}, None, "IfExists"),
    ({"ForAllValues:StringEquals": {"kms:ViaService": "a"}}, None, "ForAllValues"),
    ({"StringNotEquals": {"kms:ViaService": "a"}}, None, "a negation"),
    ({"StringAlmost": {"kms:ViaService": "a"}}, None, "an operator not known"),
    ({"StringEquals": {"kms:CallerAccount": "a"}}, None, "another key"),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "values"), [b[:2] for b in BOUND], ids=[b[2] for b in BOUND])
def test_bound(condition: dict[str, Any], values: tuple[str, ...] | None) -> None:
    (parsed,) = parse(json.dumps({"Statement": [when(**condition)]})).statements
    assert bound(parsed, "kms:ViaService") == values


PARTITIONS = [
    ("us-west-2", "aws"),
    ("us-gov-west-1", "aws-us-gov"),
    ("cn-north-1", "aws-cn"),
    ("ca-central-1", "aws"),
]


@pytest.mark.parametrize(("region", "expected"), PARTITIONS)
def test_partition_of_a_region(region: str, expected: str) -> None:
    assert partition(region) == expected


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
    "half a surrogate pair": json.dumps({"Statement": [statement(Sid="\ud800")]}),
    "a second list of statements": json.dumps({"Statement": [statement()], "Statements": []}),
    "an effect that is a list": json.dumps({"Statement": [statement(Effect=["Allow"])]}),
    "a version that is a list": json.dumps({"Version": [], "Statement": [statement()]}),
    "too deep": "[" * 100_000,
    "too large": " " * 2_000_000,
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str) -> None:
    with pytest.raises(SourceError):
        parse(text)


@settings(deadline=None)
@given(st.text(alphabet="ab*?", max_size=12), st.text(alphabet="ab", max_size=12))
def test_wildcards_mean_what_a_plain_recursion_says(pattern: str, text: str) -> None:
    def plain(p: str, t: str) -> bool:
        if not p:
            return not t
        if p[0] == "*":
            return plain(p[1:], t) or (bool(t) and plain(p, t[1:]))
        return bool(t) and p[0] in {"?", t[0]} and plain(p[1:], t[1:])

    assert matches(pattern, text) is plain(pattern, text)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_an_error(text: str) -> None:
    with contextlib.suppress(SourceError):
        parse(text)


# Generated policies and requests. Values come from small sets, so that they meet each other often.

PRINCIPALS = [
    ROLE,
    ROOT,
    "444455556666",
    "*",
    "arn:aws:sts::444455556666:assumed-role/R/s",
    "arn:aws:iam::444455556666:role/p/R",
    "AROAEXAMPLE",
    "drs.amazonaws.com",
]
KINDS = ["AWS", "Service", "Federated", "CanonicalUser"]
NAMES = ["kms:ViaService", "KMS:CallerAccount", "aws:PrincipalArn", "aws:Other"]
VALUES = ["ec2.us-west-2.amazonaws.com", "444455556666", ROLE, "*", "${aws:x}", "true", "5", ""]
KNOWN = ["StringEquals", "StringNotEquals", "StringLike", "ArnLike", "ArnNotEquals", "Bool", "Null"]
KNOWN += ["NumericLessThan", "StringEqualsIfExists", "ForAllValues:StringEquals"]
KNOWN += ["ForAnyValue:StringNotLike", "ForAnyValue:StringEqualsIfExists"]
ODD = ["DateLessThan", "IpAddress", "StringAlmost", "ForSome:StringEquals", "NullIfExists", ""]

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def one_or_more(values: list[str]) -> st.SearchStrategy[Any]:
    return st.sampled_from(values) | st.lists(st.sampled_from(values), max_size=3)


def element(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: values}) | st.fixed_dictionaries({f"Not{name}": values})


def conditions(operators: list[str], *, least: int = 0) -> st.SearchStrategy[Any]:
    keys = st.dictionaries(
        st.sampled_from(NAMES), one_or_more(VALUES), min_size=min(least, 1), max_size=2
    )
    return st.dictionaries(st.sampled_from(operators), keys, min_size=least, max_size=2)


def statements(
    effect: str, condition: st.SearchStrategy[Any] | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    principals = st.just("*") | st.dictionaries(st.sampled_from(KINDS), one_or_more(PRINCIPALS))
    actions = one_or_more(["kms:ReEncryptFrom", "kms:*", "KMS:re*", "*", "kms:Decrypt"])
    resources = one_or_more(["*", f"{KEYS}*", f"{KEYS}1234", "arn:aws:s3:::b"])
    parts = st.tuples(
        element("Principal", principals), element("Action", actions), element("Resource", resources)
    )
    return st.builds(
        lambda some, when: {"Effect": effect, "Condition": when} | some[0] | some[1] | some[2],
        parts,
        conditions(KNOWN + ODD) if condition is None else condition,
    )


POLICIES = st.lists(statements("Allow") | statements("Deny"), min_size=1, max_size=4)
VERSIONS = st.sampled_from(["2012-10-17", "2008-10-17"])
REQUESTS = st.builds(
    Request,
    principal=st.sampled_from([ROLE, ROOT, "drs.amazonaws.com", PRINCIPALS[4]]),
    action=st.just("kms:ReEncryptFrom"),
    resource=st.sampled_from([f"{KEYS}1234", f"{KEYS}{UNSEEN}", None]),
    context=st.dictionaries(
        st.sampled_from(NAMES), st.lists(st.sampled_from(VALUES), max_size=2).map(tuple)
    ),
    absent=st.frozensets(st.sampled_from(NAMES)),
)
ALLOWS = {Outcome.ALLOWED: 2, Outcome.ALLOWED_FOR_ACCOUNT: 1}
REFUSES = {Outcome.DENIED, Outcome.NOT_ALLOWED}


def of(version: str, policy: list[dict[str, Any]], request: Request) -> Outcome:
    return evaluate(parse(json.dumps({"Version": version, "Statement": policy})), request).outcome


@PATIENT
@given(VERSIONS, POLICIES, REQUESTS, st.data())
def test_taking_an_allow_away_never_turns_a_refusal_into_an_allowance(
    version: str, policy: list[dict[str, Any]], request: Request, data: st.DataObject
) -> None:
    allows = [n for n, each in enumerate(policy) if each["Effect"] == "Allow"]
    if len(policy) == 1 or not allows or of(version, policy, request) not in REFUSES:
        return
    gone = data.draw(st.sampled_from(allows))
    less = [each for n, each in enumerate(policy) if n != gone]
    assert of(version, less, request) in REFUSES


@PATIENT
@given(VERSIONS, POLICIES, statements("Deny"), st.integers(0, 4), REQUESTS)
def test_adding_a_deny_never_allows_more(
    version: str, policy: list[dict[str, Any]], deny: dict[str, Any], place: int, request: Request
) -> None:
    before = of(version, policy, request)
    after = of(version, [*policy[:place], deny, *policy[place:]], request)
    assert ALLOWS.get(after, 0) <= ALLOWS.get(before, 0)
    assert not (before is Outcome.DENIED and after is not Outcome.DENIED)


@PATIENT
@given(
    VERSIONS,
    st.lists(statements("Allow", conditions(ODD, least=1)), min_size=1, max_size=3),
    st.lists(statements("Deny"), max_size=2),
    REQUESTS,
)
def test_an_operator_that_is_not_known_allows_nothing(
    version: str, allows: list[dict[str, Any]], denies: list[dict[str, Any]], request: Request
) -> None:
    assert of(version, [*allows, *denies], request) not in ALLOWS


@PATIENT
@given(VERSIONS, statements("Deny", conditions(ODD, least=1)), REQUESTS)
def test_a_deny_under_an_operator_that_is_not_known_is_never_passed_over(
    version: str, deny: dict[str, Any], request: Request
) -> None:
    unconditional = {**deny, "Condition": {}}
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "*"}
    if request.resource is not None:
        everyone["Resource"] = "*"
    assert of(version, [everyone], request) is Outcome.ALLOWED
    if of(version, [everyone, unconditional], request) is not Outcome.ALLOWED:
        assert of(version, [everyone, deny], request) not in ALLOWS


@PATIENT
@given(VERSIONS, POLICIES, REQUESTS, st.randoms(use_true_random=False))
def test_the_order_of_statements_decides_nothing(
    version: str, policy: list[dict[str, Any]], request: Request, random: Any
) -> None:
    shuffled = list(policy)
    random.shuffle(shuffled)
    assert of(version, shuffled, request) is of(version, policy, request)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
PARTS = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "Condition",
]


@PATIENT
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "Version": JSON | VERSIONS,
            "Id": JSON,
            "Statement": JSON
            | st.lists(
                st.fixed_dictionaries(
                    {"Effect": st.sampled_from(["Allow", "Deny"]) | JSON, "Action": JSON},
                    optional={name: JSON for name in PARTS if name not in {"Effect", "Action"}},
                ),
                max_size=3,
            ),
        },
    ),
    REQUESTS,
)
def test_any_document_is_judged_or_refused(document: dict[str, Any], request: Request) -> None:
    with contextlib.suppress(SourceError):
        evaluate(parse(json.dumps(document)), request)
