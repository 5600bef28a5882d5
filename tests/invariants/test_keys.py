"""The invariants on keys: the modules' policies hold, and every change that matters is noticed."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.estates import REGION, account, estate, replication_template
from validator.findings import Outcome
from validator.invariants import judge, keys
from validator.model import Estate, Key, Part, Unknown

TARGET, STAGING = "111122223333", "444455556666"
VIA = {"kms:ViaService": f"ec2.{REGION}.amazonaws.com"}
Policy = dict[str, Any]


def bounded(sid: str, principal: str, action: str, caller: str, **more: Any) -> Policy:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": action,
        "Resource": "*",
        "Condition": {"StringEquals": {**VIA, "kms:CallerAccount": caller}, **more},
    }


def good() -> list[Policy]:
    """The replication key's policy with every opt-in statement."""
    root, target = (f"arn:aws:iam::{each}:root" for each in (STAGING, TARGET))
    role = f"arn:aws:iam::{STAGING}:role/service-role/DRSStagingAccountRole_{TARGET}"
    admin = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}
    return [
        {"Sid": "Admin", **admin},
        bounded("Role", role, "kms:ReEncrypt*", STAGING),
        bounded("Target", target, "kms:ReEncrypt*", TARGET),
        bounded(
            "Grant",
            target,
            "kms:CreateGrant",
            TARGET,
            Bool={"kms:GrantIsForAWSResource": "true"},
        ),
    ]


def with_key(
    statements: list[Policy] | Unknown,
    *,
    key: dict[str, Any] | None = None,
    template: dict[str, Any] | None = None,
) -> Estate:
    text = (
        statements
        if isinstance(statements, Unknown)
        else json.dumps({"Version": "2012-10-17", "Statement": statements})
    )
    made = replace(Key("key", "key.tf:1", STAGING, REGION, (), text, True, True, 30), **(key or {}))
    seed = replace(replication_template(STAGING, "key"), **(template or {}))
    staging = account("staging-1", Part.STAGING, STAGING, 300)
    return estate(staging=(replace(staging, keys=(made,), templates=(seed,)),))


def outcomes(subject: Estate) -> dict[str, Outcome]:
    return {f.invariant: f.outcome for f in judge(subject, keys.INVARIANTS).findings}


def test_the_documented_policy_holds() -> None:
    assert set(outcomes(with_key(good())).values()) == {Outcome.HOLDS}


def changed(number: int, path: tuple[str, ...], value: Any) -> Callable[[], list[Policy]]:
    def make() -> list[Policy]:
        statements = good()
        place: Any = statements[number]
        for step in path[:-1]:
            place = place[step]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        return statements

    return make


def without(number: int) -> Callable[[], list[Policy]]:
    return lambda: [s for n, s in enumerate(good()) if n != number]


def plus(**statement: Any) -> Callable[[], list[Policy]]:
    return lambda: [*good(), {"Sid": "More", "Effect": "Allow", "Resource": "*", **statement}]


EQUALS = ("Condition", "StringEquals")
MUTANTS = [
    ("no statement for the role", without(1), "staging-role-can-share-snapshots"),
    ("the role's statement names the root", changed(1, ("Principal", "AWS"), f"arn:aws:iam::{STAGING}:root"), "staging-role-can-share-snapshots"),
    ("only one of the two actions", changed(1, ("Action",), "kms:ReEncryptFrom"), "staging-role-can-share-snapshots"),
    ("the role through DRS", changed(1, (*EQUALS, "kms:ViaService"), f"drs.{REGION}.amazonaws.com"), "staging-role-can-share-snapshots"),
    ("the role in the source Region", changed(1, (*EQUALS, "kms:ViaService"), "ec2.us-east-1.amazonaws.com"), "staging-role-can-share-snapshots"),
    ("a deny for everyone", plus(Effect="Deny", Principal="*", Action="kms:ReEncryptTo"), "staging-role-can-share-snapshots"),
    ("no statement for the target", without(2), "target-can-use-the-replication-key"),
    ("another target", changed(2, ("Principal", "AWS"), "arn:aws:iam::777788889999:root"), "target-can-use-the-replication-key"),
    ("the target without CallerAccount", changed(2, (*EQUALS, "kms:CallerAccount"), None), "other-accounts-use-the-key-through-ec2-only"),
    ("the target without ViaService", changed(2, (*EQUALS, "kms:ViaService"), None), "other-accounts-use-the-key-through-ec2-only"),
    ("CallerAccount IfExists bounds nothing", changed(2, ("Condition",), {"StringEqualsIfExists": {**VIA, "kms:CallerAccount": TARGET}}), "other-accounts-use-the-key-through-ec2-only"),
    ("a wildcard caller", changed(2, ("Condition",), {"StringLike": {**VIA, "kms:CallerAccount": "*"}}), "other-accounts-use-the-key-through-ec2-only"),
    ("EC2 or anything else", changed(2, (*EQUALS, "kms:ViaService"), [*VIA.values(), "s3.us-west-2.amazonaws.com"]), "other-accounts-use-the-key-through-ec2-only"),
    ("any grant", changed(3, ("Condition", "Bool"), None), "grants-are-for-aws-resources-only"),
    ("grants for others than AWS", changed(3, ("Condition", "Bool", "kms:GrantIsForAWSResource"), "false"), "grants-are-for-aws-resources-only"),
    ("every action is a grant too", changed(2, ("Action",), "kms:*"), "grants-are-for-aws-resources-only"),
    ("a stranger", plus(Principal={"AWS": "999999999999"}, Action="kms:Decrypt"), "key-admits-only-the-estate"),
    ("a stranger's role, bounded", lambda: [*good(), bounded("X", "arn:aws:iam::999999999999:role/r", "kms:Decrypt", "999999999999")], "key-admits-only-the-estate"),
    ("everyone", plus(Principal="*", Action="kms:Decrypt"), "key-admits-only-the-estate"),
    ("a service", plus(Principal={"Service": "s3.amazonaws.com"}, Action="kms:Decrypt"), "key-admits-only-the-estate"),
    ("everyone but one", plus(NotPrincipal={"AWS": "999999999999"}, Action="kms:Decrypt"), "key-admits-only-the-estate"),
    ("no administration", without(0), "owner-keeps-administration"),
    ("administration without PutKeyPolicy", changed(0, ("Action",), ["kms:Describe*", "kms:ScheduleKeyDeletion"]), "owner-keeps-administration"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "invariant"), [m[1:] for m in MUTANTS], ids=[m[0] for m in MUTANTS]
)
def test_mutant_is_killed(make: Callable[[], list[Policy]], invariant: str) -> None:
    assert outcomes(with_key(make()))[invariant] is Outcome.VIOLATED


OWNS = "staging-account-owns-its-replication-key"
PLACES = [
    ("the key of the target", {"key": {"account_id": TARGET}}, Outcome.VIOLATED),
    ("a key of another Region", {"key": {"region": "us-east-1"}}, Outcome.VIOLATED),
    ("a disabled key", {"key": {"enabled": False}}, Outcome.VIOLATED),
    ("default encryption", {"template": {"ebs_encryption": "DEFAULT"}}, Outcome.VIOLATED),
    ("a template of another Region", {"template": {"region": "us-east-1"}}, Outcome.VIOLATED),
    ("no key named", {"template": {"key": None}}, Outcome.UNKNOWN),
    ("a key out of sight", {"template": {"key": "other"}}, Outcome.UNKNOWN),
    ("a Region out of sight", {"key": {"region": Unknown("x")}}, Outcome.UNKNOWN),
]


@pytest.mark.parametrize(
    ("changes", "outcome"), [p[1:] for p in PLACES], ids=[p[0] for p in PLACES]
)
def test_place_of_the_key(changes: dict[str, Any], outcome: Outcome) -> None:
    assert outcomes(with_key(good(), **changes))[OWNS] is outcome


def test_an_unknown_policy_is_unknown_everywhere_it_matters() -> None:
    seen = outcomes(with_key(Unknown("because of x")))
    assert seen.pop(OWNS) is Outcome.HOLDS
    assert set(seen.values()) == {Outcome.UNKNOWN}


def test_an_estate_without_a_key_is_unknown() -> None:
    assert Outcome.HOLDS not in outcomes(estate()).values()
