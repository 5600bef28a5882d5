"""Diagnosis: the first invariant that does not hold is the cause, and AWS's own errors are explained."""

from dataclasses import replace

import pytest

from tests.estates import extended, server
from tests.invariants.complete import STAGING, TARGET, UNSEEN, complete, with_staging, with_target
from validator.diagnosis import FIELD_ERRORS, SYMPTOMS, Symptom, diagnose, field_errors, unknown
from validator.findings import Finding, Message, Outcome
from validator.invariants import INVARIANTS, judge
from validator.model import Estate, Extension

NAMES = {each.name for each in INVARIANTS if "live" in each.views}
INVISIBLE, FULL, NO_LAUNCH = SYMPTOMS


def causes(estate: Estate, *servers: str) -> dict[str, str | None]:
    """The invariant that explains each symptom, None where none does."""
    found = diagnose(judge(estate, INVARIANTS).findings, servers)
    return {c.symptom.text: c.finding.invariant if c.finding else None for c in found}


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=[s.text for s in SYMPTOMS])
def test_a_symptom_asks_invariants_that_judge_live_accounts(symptom: Symptom) -> None:
    assert set(symptom.invariants) <= NAMES


def test_nothing_explains_a_symptom_of_an_estate_that_holds() -> None:
    assert set(causes(complete("live")).values()) == {None}
    for cause in diagnose(judge(complete("live"), INVARIANTS).findings):
        assert cause.passed == cause.symptom.invariants


ONE = server(STAGING, 1)
BROKEN = [
    ("the staging role is gone", with_staging("live", roles=()), INVISIBLE, "staging-account-trusts-its-target"),
    ("the role is gone and nothing is extended", replace(with_staging("live", roles=()), target=replace(complete("live").target, servers=())), INVISIBLE, "staging-account-trusts-its-target"),
    ("nothing is extended", with_target("live", servers=()), INVISIBLE, "every-staging-server-is-extended"),
    ("nothing is extended", with_target("live", servers=()), FULL, "every-staging-server-is-extended"),
    ("an extension has an error", with_target("live", servers=(extended(TARGET, ONE, Extension.EXTENSION_ERROR),)), NO_LAUNCH, "extensions-are-healthy"),
    ("a server is stalled", with_staging("live", servers=(replace(ONE, replication_state="STALLED"),)), NO_LAUNCH, "replication-is-continuous"),
    ("roles cannot be read", with_staging("live", roles=UNSEEN), INVISIBLE, "staging-account-trusts-its-target"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("estate", "symptom", "invariant"),
    [each[1:] for each in BROKEN],
    ids=[f"{each[0]}: {each[2].text}" for each in BROKEN],
)
def test_the_first_invariant_that_does_not_hold_is_the_cause(
    estate: Estate, symptom: Symptom, invariant: str
) -> None:
    assert causes(estate)[symptom.text] == invariant


def test_findings_of_other_servers_are_left_out() -> None:
    two = replace(server(STAGING, 2), replication_state="STALLED")
    estate = complete("live")
    staging = replace(estate.staging[0], servers=(ONE, two))
    extensions = tuple(extended(TARGET, each) for each in (ONE, two))
    own = tuple(s for s in estate.target.servers if s.extension is Extension.NOT_EXTENDED)  # type: ignore[union-attr]
    estate = replace(
        estate, staging=(staging,), target=replace(estate.target, servers=(*own, *extensions))
    )
    assert causes(estate)[NO_LAUNCH.text] == "replication-is-continuous"
    assert causes(estate, two.arn)[NO_LAUNCH.text] == "replication-is-continuous"
    assert causes(estate, ONE.arn)[NO_LAUNCH.text] is None


def test_servers_that_no_account_shows_are_named() -> None:
    estate = complete("live")
    assert unknown(estate, (ONE.arn, "web-1", "s-nowhere")) == ("s-nowhere",)
    blind = replace(
        with_staging("live", servers=UNSEEN), target=replace(estate.target, servers=UNSEEN)
    )
    assert unknown(blind, (ONE.arn,)) == (ONE.arn,)


MESSAGES = [
    "Cannot extend a server that is encrypted with the default EBS encryption key.",
    "arn:aws:iam::1:role/x is not authorized to use key arn:aws:kms:::key/1",
    "UninitializedAccountException: Account not initialized",
    "Account 4 does not trust 1: no role DRSStagingAccountRole_1",
    "Account 4, us-west-2: sts AssumeRole was refused: AccessDenied: no",
    "The staging source server was not found.",
    "web-1 is DISCONNECTED (AGENT_NOT_SEEN).",
    "web-1 is STALLED (SNAPSHOTS_FAILURE).",
    "web-1 is BACKLOG (NOT_CONVERGING).",
    "web-1 is STALLED (FAILED_TO_ATTACH_STAGING_DISKS).",
    "web-1 is STALLED (FAILED_TO_CONNECT_AGENT_TO_REPLICATION_SERVER).",
]


def finding(text: str, outcome: Outcome = Outcome.VIOLATED) -> Finding:
    return Finding("x", "servers", "s", "s", outcome, (Message(text, "s"),), "why", "remedy")


def test_each_error_known_from_the_field_is_recognised_by_its_words() -> None:
    found = [field_errors([finding(text)]) for text in MESSAGES]
    assert [[error for _, error in each] for each in found] == [[each] for each in FIELD_ERRORS]


def test_errors_are_told_once_and_only_where_something_is_wrong() -> None:
    twice = [finding(MESSAGES[0]), finding(MESSAGES[0]), finding("something else")]
    assert [text for text, _ in field_errors(twice)] == [MESSAGES[0]]
    assert field_errors([finding(MESSAGES[0], Outcome.HOLDS)]) == ()
