"""The invariants on accounts: ids, providers, module calls and partitions."""

from dataclasses import replace
from typing import Any

import pytest

from tests.invariants.complete import (
    HOLDS,
    ORCHESTRATION,
    STAGING,
    TARGET,
    UNKNOWN,
    UNSEEN,
    VIOLATED,
    Case,
    complete,
    document,
    edited,
    outcome,
    replication_key_statements,
    trust_statement,
    with_estate,
    with_key,
    with_staging,
    with_staging_role,
)
from validator.model import Estate, Placement, Provider

ONE = Provider("aws.staging_1", "staging-1.tf:1", "us-west-2", (STAGING,), STAGING)
CALL = Placement("module.key", "staging-1.tf:9", STAGING, STAGING)


def provider(**changes: Any) -> Estate:
    return with_estate(providers=(replace(ONE, **changes),))


def placed(**changes: Any) -> Estate:
    return with_estate(placements=(replace(CALL, **changes),))


WELL_FORMED, DISTINCT = "account-ids-are-well-formed", "account-ids-are-distinct"
HELD, ASSUMES = "provider-is-held-to-one-account", "provider-assumes-a-role-of-its-account"
ACTS, LAND = "provider-acts-in-a-declared-region", "resources-land-in-their-declared-account"
SHARE, STAYS = "regions-share-one-partition", "key-policy-stays-in-its-partition"
ROLE = "role-stays-in-its-partition"
CHINA = "arn:aws-cn:iam::444455556666:root"
GOVCLOUD = {"source_region": "us-gov-east-1", "recovery_region": "us-gov-west-1"}

CASES = [
    Case(WELL_FORMED, "twelve digits", complete(), HOLDS),
    Case(WELL_FORMED, "a leading zero stays", with_staging(id="012345678901"), HOLDS),
    Case(WELL_FORMED, "eleven digits", with_staging(id="44445555666"), VIOLATED),
    Case(WELL_FORMED, "thirteen digits", with_staging(id="4444555566666"), VIOLATED),
    Case(WELL_FORMED, "a line end after the digits", with_staging(id=f"{STAGING}\n"), VIOLATED),
    Case(WELL_FORMED, "digits of another script", with_staging(id="٤" * 12), VIOLATED),
    Case(DISTINCT, "three accounts", complete(), HOLDS),
    Case(DISTINCT, "staging is the target", with_staging(id=TARGET), VIOLATED),
    Case(DISTINCT, "staging is orchestration", with_staging(id=ORCHESTRATION), VIOLATED),
    Case(HELD, "one account of the estate", complete(), HOLDS),
    Case(HELD, "no allowed account", provider(allowed=()), VIOLATED),
    Case(HELD, "two allowed accounts", provider(allowed=(STAGING, TARGET)), VIOLATED),
    Case(HELD, "a stranger", provider(allowed=("999999999999",)), VIOLATED),
    Case(HELD, "allowed accounts not seen", provider(allowed=UNSEEN), UNKNOWN),
    Case(HELD, "providers not read", with_estate(providers=UNSEEN), UNKNOWN),
    Case(HELD, "no provider at all", with_estate(providers=()), UNKNOWN),
    Case(ASSUMES, "a role of its account", complete(), HOLDS),
    Case(ASSUMES, "no role", provider(role_account_id=None), HOLDS),
    Case(ASSUMES, "a role of another account", provider(role_account_id=TARGET), VIOLATED),
    Case(ASSUMES, "a role and no allowed account", provider(allowed=()), VIOLATED),
    Case(ASSUMES, "a role not seen", provider(role_account_id=UNSEEN), UNKNOWN),
    Case(ACTS, "the recovery Region", complete(), HOLDS),
    Case(ACTS, "the source Region", provider(region="us-east-1"), HOLDS),
    Case(ACTS, "a third Region", provider(region="eu-west-1"), VIOLATED),
    Case(ACTS, "a Region not seen", provider(region=UNSEEN), UNKNOWN),
    Case(LAND, "where declared", complete(), HOLDS),
    Case(LAND, "in another account", placed(account_id=TARGET), VIOLATED),
    Case(LAND, "declared for another account", placed(declared_id=TARGET), VIOLATED),
    Case(LAND, "an account not seen", placed(account_id=UNSEEN), UNKNOWN),
    Case(LAND, "no module call", with_estate(placements=()), UNKNOWN),
    Case(SHARE, "two commercial Regions", complete(), HOLDS),
    Case(SHARE, "two GovCloud Regions", with_estate(**GOVCLOUD), HOLDS),
    Case(SHARE, "to China", with_estate(recovery_region="cn-north-1"), VIOLATED),
    Case(SHARE, "from GovCloud", with_estate(source_region="us-gov-east-1"), VIOLATED),
    Case(STAYS, "one partition", complete(), HOLDS),
    Case(STAYS, "a principal of China", with_key(policy=document(*edited(replication_key_statements, 2, "Principal.AWS", CHINA))), VIOLATED),
    Case(STAYS, "a commercial key in GovCloud", with_estate(**GOVCLOUD), VIOLATED),
    Case(STAYS, "any partition", with_key(policy=document(*edited(replication_key_statements, 0, "Resource", "arn:aws*:kms:*"))), HOLDS),
    Case(STAYS, "a policy not seen", with_key(policy=UNSEEN), UNKNOWN),
    Case(STAYS, "keys not seen", with_staging(keys=UNSEEN), UNKNOWN),
    Case(ROLE, "one partition", complete(), HOLDS),
    Case(ROLE, "a condition of China", with_staging_role(trust=document(*edited(lambda: [trust_statement()], 0, "Condition.ArnLike", {"aws:SourceArn": "arn:aws-cn:drs:*:*:source-server/*"}))), VIOLATED),
    Case(ROLE, "a managed policy of China", with_staging_role(managed_policies=("arn:aws-cn:iam::aws:policy/X",)), VIOLATED),
    Case(ROLE, "managed policies not seen", with_staging_role(managed_policies=UNSEEN), UNKNOWN),
    Case(ROLE, "a trust policy not seen", with_staging_role(trust=UNSEEN), UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    assert outcome(case.invariant, case.estate) is case.outcome
