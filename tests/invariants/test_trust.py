"""The invariants on trust: the documented role holds, and every change that matters is noticed."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.estates import account, estate
from validator.findings import Outcome
from validator.invariants import judge, trust
from validator.model import Part, Role, Unknown

TARGET, STAGING = "111122223333", "444455556666"
COMPLETE, ONLY = "staging-account-trusts-its-target", "staging-role-is-for-its-target-only"
POLICY = "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryStagingAccountPolicy_v2"
STATEMENT: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": {"Service": "drs.amazonaws.com"},
    "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
    "Condition": {
        "StringLike": {"sts:SourceIdentity": TARGET, "aws:SourceAccount": TARGET},
        "ArnLike": {"aws:SourceArn": "arn:aws:drs:*:*:source-server/*"},
    },
}
ROLE = Role(
    name=f"DRSStagingAccountRole_{TARGET} of staging-1",
    where="role.tf:1",
    account_id=STAGING,
    role_name=f"DRSStagingAccountRole_{TARGET}",
    path="/service-role/",
    trust=json.dumps({"Version": "2012-10-17", "Statement": [STATEMENT]}),
    managed_policies=(POLICY,),
    permissions=(),
)


def outcomes(*roles: Role) -> dict[str, Outcome]:
    staging = replace(account("staging-1", Part.STAGING, STAGING, 300), roles=roles)
    findings = judge(estate(staging=(staging,)), trust.INVARIANTS).findings
    return {finding.invariant: finding.outcome for finding in findings}


def trusting(*statements: dict[str, Any]) -> Role:
    return replace(ROLE, trust=json.dumps({"Version": "2012-10-17", "Statement": statements}))


def changed(*path: str, to: Any = None) -> Role:
    statement = copy.deepcopy(STATEMENT)
    place = statement
    for step in path[:-1]:
        place = place[step]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return trusting(statement)


def test_the_documented_role_holds() -> None:
    assert set(outcomes(ROLE).values()) == {Outcome.HOLDS}


MUTANTS = [
    ("another name", replace(ROLE, role_name="DRSStagingAccountRole_444455556666"), COMPLETE),
    ("another path", replace(ROLE, path="/"), COMPLETE),
    ("no managed policy", replace(ROLE, managed_policies=()), COMPLETE),
    ("the first version of the policy", replace(ROLE, managed_policies=(POLICY[:-3],)), COMPLETE),
    ("another service", changed("Principal", to={"Service": "ec2.amazonaws.com"}), COMPLETE),
    ("no source identity set", changed("Action", to="sts:AssumeRole"), COMPLETE),
    ("only the identity set", changed("Action", to="sts:SetSourceIdentity"), COMPLETE),
    ("another target", changed("Condition", "StringLike", to={"aws:SourceAccount": STAGING}), COMPLETE),
    ("an ARN of other kind", changed("Condition", "ArnLike", to={"aws:SourceArn": "arn:aws:ec2:*:*:instance/*"}), COMPLETE),
    ("a deny", trusting(STATEMENT, STATEMENT | {"Effect": "Deny"}), COMPLETE),
    ("no conditions at all", changed("Condition", to={}), ONLY),
    ("only the ARN bounded", changed("Condition", "StringLike", to={}), ONLY),
    ("everyone besides", trusting(STATEMENT, STATEMENT | {"Principal": "*"}), ONLY),
    ("an account besides", trusting(STATEMENT, STATEMENT | {"Principal": {"AWS": TARGET}}), ONLY),
]  # fmt: skip


@pytest.mark.parametrize(
    ("role", "invariant"), [m[1:] for m in MUTANTS], ids=[m[0] for m in MUTANTS]
)
def test_mutant_is_killed(role: Role, invariant: str) -> None:
    assert outcomes(role)[invariant] is Outcome.VIOLATED


def test_a_role_that_is_missing_is_violated_and_one_that_hides_is_unknown() -> None:
    assert outcomes()[COMPLETE] is Outcome.VIOLATED
    assert outcomes(replace(ROLE, role_name=Unknown("x")))[COMPLETE] is Outcome.UNKNOWN


@pytest.mark.parametrize("part", ["path", "trust", "managed_policies"])
def test_what_cannot_be_seen_is_unknown(part: str) -> None:
    assert outcomes(replace(ROLE, **{part: Unknown("x")}))[COMPLETE] is Outcome.UNKNOWN
