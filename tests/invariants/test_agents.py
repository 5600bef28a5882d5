"""The invariants on the agent deployer: it is there, in its role, and what it did is not forgotten."""

import pytest

from tests.invariants.complete import (
    HOLDS,
    ORCHESTRATION,
    SOURCE_REGION,
    TARGET,
    UNKNOWN,
    UNSEEN,
    VIOLATED,
    Case,
    complete,
    deployer_trust,
    document,
    edited,
    messages,
    outcome,
    with_deployer,
    with_function,
    with_function_role,
    with_orchestration,
    with_staging,
    with_table,
)
from validator.model import Estate

DEPLOYED, TRACKED = "agent-deployer-is-deployed", "deployments-are-tracked"
PINNED = "Condition.ArnEquals.aws:PrincipalArn"
FUNCTION, MACHINE = complete().orchestration.workers  # type: ignore[misc]
OTHER = f"arn:aws:iam::{ORCHESTRATION}:role/drs-agent-deployer-prod"


def trusting(principal: str) -> Estate:
    """A staging account's orchestration role that lets one principal in."""
    return with_deployer(trust=document(*edited(lambda: [deployer_trust()], 0, PINNED, principal)))


CASES = [
    Case(DEPLOYED, "function, machine and role as declared", complete(), HOLDS),
    Case(DEPLOYED, "no function", with_orchestration(workers=(MACHINE,)), VIOLATED),
    Case(DEPLOYED, "no state machine", with_orchestration(workers=(FUNCTION,)), VIOLATED),
    Case(DEPLOYED, "the function of another env", with_function(worker_name="drs-agent-deployer-prod"), VIOLATED),
    Case(DEPLOYED, "a function in the source Region", with_function(region=SOURCE_REGION), VIOLATED),
    Case(DEPLOYED, "a function with another role", with_function(role="drs-verify of orchestration"), VIOLATED),
    Case(DEPLOYED, "a role of the function that is not there", with_orchestration(roles=()), VIOLATED),
    Case(DEPLOYED, "a role of the function that is called otherwise", with_function_role(role_name="deployer"), VIOLATED),
    Case(DEPLOYED, "a function whose name is not known", with_function(worker_name=UNSEEN), UNKNOWN),
    Case(DEPLOYED, "a function whose role is not known", with_function(role=UNSEEN), UNKNOWN),
    Case(DEPLOYED, "workers that are not read", with_orchestration(workers=UNSEEN), UNKNOWN),
    Case(DEPLOYED, "an orchestration role for another env's deployer", trusting(OTHER), VIOLATED),
    Case(DEPLOYED, "an orchestration role for that name in another account", trusting(OTHER.replace(ORCHESTRATION, TARGET)), VIOLATED),
    Case(DEPLOYED, "an orchestration role whose trust is not read", with_deployer(trust=UNSEEN), UNKNOWN),
    Case(DEPLOYED, "no orchestration role, which is another's to say", with_staging(roles=()), HOLDS),
    Case(TRACKED, "the table as the module has it", complete(), HOLDS),
    Case(TRACKED, "no table", with_orchestration(tables=()), VIOLATED),
    Case(TRACKED, "the table of another env", with_table(table_name="drs-agent-deployments-prod"), VIOLATED),
    Case(TRACKED, "a table in the source Region", with_table(region=SOURCE_REGION), VIOLATED),
    Case(TRACKED, "no point-in-time recovery", with_table(recoverable=False), VIOLATED),
    Case(TRACKED, "no deletion protection", with_table(protected=False), VIOLATED),
    Case(TRACKED, "one is off, and the other is not known", with_table(recoverable=UNSEEN, protected=False), VIOLATED),
    Case(TRACKED, "point-in-time recovery that is not known", with_table(recoverable=UNSEEN), UNKNOWN),
    Case(TRACKED, "a table whose Region is not known", with_table(region=UNSEEN), UNKNOWN),
    Case(TRACKED, "tables that are not read", with_orchestration(tables=UNSEEN), UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    assert outcome(case.invariant, case.estate) is case.outcome


def test_all_that_a_table_lacks_is_said_with_what_mends_it() -> None:
    found = messages(TRACKED, with_table(recoverable=False, protected=False))
    assert [each.fix for each in found] == [
        "point_in_time_recovery {\n  enabled = true\n}",
        "deletion_protection_enabled = true",
    ]
