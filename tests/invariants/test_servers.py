"""The invariants on servers as they are: each standing is named, and nothing unseen is fine."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.estates import LAUNCH_SETTINGS, READ_AT, extended, server
from tests.invariants.complete import (
    HOLDS,
    STAGING,
    TARGET,
    UNKNOWN,
    UNSEEN,
    VIOLATED,
    Case,
    complete,
    instance,
    messages,
    outcome,
    with_estate,
    with_staging,
    with_target,
)
from validator.findings import Outcome
from validator.invariants import INVARIANTS, judge
from validator.model import NOT_READ, Estate, Extension, Launch, SourceServer
from validator.reconciliation import Range, Standing, reconcile, totals

ONE, TWO = server(STAGING, 1), server(STAGING, 2)
OWN = server(TARGET, 9)
BROKEN = Extension.EXTENSION_ERROR

MISSING, BLOCKED = "every-staging-server-is-extended", "no-server-is-kept-from-extension"
HEALTHY, ORPHAN = "extensions-are-healthy", "no-extension-is-orphaned"
TWICE, STALE = "no-instance-replicates-twice", "no-server-is-stale"
SUM, DECLARED = "every-staging-server-is-accounted-for", "extensions-come-from-declared-accounts"
CONTINUOUS, LAG = "replication-is-continuous", "lag-is-within-the-objective"
POINTS, DRILLED = "points-in-time-are-recent", "servers-are-drilled"
TAGGED, READY = "tagged-instances-are-protected", "drs-is-initialised"
REVERSE = "protected-instances-are-tagged"
FAILBACK, LAUNCH = "drs-is-initialised-for-failback", "launch-settings-are-as-declared"


def live(
    staged: tuple[SourceServer, ...], extensions: tuple[SourceServer, ...] | None = None
) -> Estate:
    """The complete estate with these servers in the staging account, all extended unless said."""
    if extensions is None:
        extensions = tuple(extended(TARGET, each) for each in staged)
    whole = complete("live")
    return replace(
        whole,
        target=replace(whole.target, servers=(OWN, *extensions)),
        staging=(replace(whole.staging[0], servers=staged),),
    )


def one(**changes: Any) -> Estate:
    """One staging server, changed, and extended."""
    return live((replace(ONE, **changes),))


def bare(**changes: Any) -> Estate:
    """One staging server, changed, that the target does not have."""
    return live((replace(ONE, **changes),), ())


def ago(**length: float) -> Any:
    return READ_AT - timedelta(**length)


GOOD = complete("live")
CASES = [
    Case(MISSING, "all are extended", GOOD, HOLDS),
    Case(MISSING, "one is not", live((ONE, TWO), (extended(TARGET, ONE),)), VIOLATED),
    Case(MISSING, "one whose settings cannot be read is not", bare(encryption=UNSEEN), VIOLATED),
    Case(MISSING, "a stopped one need not be", live((replace(ONE, replication_state="STOPPED"),), ()), HOLDS),
    Case(MISSING, "the target has it as its own", live((ONE,), (replace(extended(TARGET, ONE), extension=Extension.NOT_EXTENDED),)), VIOLATED),
    Case(MISSING, "a target that cannot be read", with_target("live", servers=UNSEEN), UNKNOWN),
    Case(MISSING, "a staging account that cannot be read", with_staging("live", servers=UNSEEN), UNKNOWN),
    Case(BLOCKED, "none is", GOOD, HOLDS),
    Case(BLOCKED, "the default key", bare(encryption="DEFAULT"), VIOLATED),
    Case(BLOCKED, "a marketplace disk", bare(volumes=("CONTAINS_MARKETPLACE_PRODUCT_CODES",)), VIOLATED),
    Case(BLOCKED, "a key of another Region", bare(key="arn:aws:kms:us-east-1:444455556666:key/1"), VIOLATED),
    Case(BLOCKED, "a staging account that cannot be read", with_staging("live", servers=UNSEEN), UNKNOWN),
    Case(HEALTHY, "extended", GOOD, HOLDS),
    Case(HEALTHY, "an extension error", live((ONE,), (extended(TARGET, ONE, BROKEN),)), VIOLATED),
    Case(HEALTHY, "a status not understood", live((ONE,), (replace(extended(TARGET, ONE), extension=UNSEEN),)), UNKNOWN),
    Case(ORPHAN, "none is", GOOD, HOLDS),
    Case(ORPHAN, "its staging server is gone", live((ONE,), (extended(TARGET, ONE), extended(TARGET, TWO))), VIOLATED),
    Case(ORPHAN, "its staging account cannot be read", with_staging("live", servers=UNSEEN), UNKNOWN),
    Case(ORPHAN, "the target cannot be read", with_target("live", servers=UNSEEN), UNKNOWN),
    Case(TWICE, "none does", GOOD, HOLDS),
    Case(TWICE, "in two accounts", live((replace(ONE, instance_id=OWN.instance_id),)), VIOLATED),
    Case(TWICE, "in one account", live((ONE, replace(TWO, instance_id=ONE.instance_id))), VIOLATED),
    Case(TWICE, "the copy is stopped", live((ONE, replace(TWO, instance_id=ONE.instance_id, replication_state="STOPPED"))), HOLDS),
    Case(TWICE, "another account cannot be read", with_staging("live", servers=UNSEEN), UNKNOWN),
    Case(STALE, "all are heard", GOOD, HOLDS),
    Case(STALE, "stopped", one(replication_state="STOPPED"), VIOLATED),
    Case(STALE, "disconnected", one(replication_state="DISCONNECTED"), VIOLATED),
    Case(STALE, "silent", one(last_seen=ago(hours=2)), VIOLATED),
    Case(STALE, "never heard", one(last_seen=None), VIOLATED),
    Case(STALE, "just heard", one(last_seen=ago(minutes=59)), HOLDS),
    Case(STALE, "a time that is none", one(last_seen=UNSEEN), UNKNOWN),
    Case(SUM, "the sum is right", GOOD, HOLDS),
    Case(SUM, "DRS lists one that is extended", with_staging("live", extensible=(ONE.arn,)), VIOLATED),
    Case(SUM, "DRS lists one that is nowhere", with_staging("live", extensible=(TWO.arn,)), VIOLATED),
    Case(SUM, "DRS does not list", with_staging("live", extensible=UNSEEN), UNKNOWN),
    Case(DECLARED, "all are", GOOD, HOLDS),
    Case(DECLARED, "a stranger's", with_target("live", extended_from=(STAGING, "999988887777")), VIOLATED),
    Case(DECLARED, "DRS does not list", with_target("live", extended_from=UNSEEN), UNKNOWN),
    Case(CONTINUOUS, "continuous", GOOD, HOLDS),
    Case(CONTINUOUS, "making a snapshot", one(replication_state="CREATING_SNAPSHOT"), HOLDS),
    Case(CONTINUOUS, "initiating", one(replication_state="INITIATING", step="step 4 of 11"), VIOLATED),
    Case(CONTINUOUS, "stalled", one(replication_state="STALLED"), VIOLATED),
    Case(CONTINUOUS, "an error", one(replication_error="SNAPSHOTS_FAILURE"), VIOLATED),
    Case(CONTINUOUS, "a state that nobody knows", one(replication_state="NEW_IN_2027"), VIOLATED),
    Case(CONTINUOUS, "no state", one(replication_state=UNSEEN), UNKNOWN),
    Case(LAG, "none", GOOD, HOLDS),
    Case(LAG, "as declared", one(lag=15 * 60), HOLDS),
    Case(LAG, "a second more", one(lag=15 * 60 + 1), VIOLATED),
    Case(LAG, "another priority", one(lag=16 * 60, tags=(("dr:priority", "2"),)), HOLDS),
    Case(LAG, "no priority is held to the strictest", one(lag=16 * 60, tags=()), VIOLATED),
    Case(LAG, "no objectives", with_estate("live", objectives=()), UNKNOWN),
    Case(POINTS, "recent", GOOD, HOLDS),
    Case(POINTS, "not read", one(newest_point=NOT_READ), HOLDS),
    Case(POINTS, "old", one(newest_point=ago(hours=1)), VIOLATED),
    Case(POINTS, "none", one(newest_point=None), VIOLATED),
    Case(POINTS, "could not be read", one(newest_point=UNSEEN), UNKNOWN),
    Case(DRILLED, "not due yet", GOOD, HOLDS),
    Case(DRILLED, "drilled in time", one(added=ago(days=900), launch=Launch("DRILL", "LAUNCHED", ago(days=180))), HOLDS),
    Case(DRILLED, "never", one(added=ago(days=181)), VIOLATED),
    Case(DRILLED, "long ago", one(launch=Launch("DRILL", "TERMINATED", ago(days=181))), VIOLATED),
    Case(DRILLED, "the drill failed", one(launch=Launch("DRILL", "FAILED", ago(days=1))), VIOLATED),
    Case(DRILLED, "drilled from the target", live((replace(ONE, added=ago(days=900)),), (replace(extended(TARGET, ONE), launch=Launch("DRILL", "LAUNCHED", ago(days=1))),)), HOLDS),
    Case(DRILLED, "no date", one(added=UNSEEN), UNKNOWN),
    Case(TAGGED, "all are", GOOD, HOLDS),
    Case(TAGGED, "one has no agent", with_staging("live", instances=(instance(STAGING, 1), instance(STAGING, 7))), VIOLATED),
    Case(TAGGED, "one whose agent stopped", one(replication_state="DISCONNECTED"), VIOLATED),
    Case(REVERSE, "all are", GOOD, HOLDS),
    Case(REVERSE, "one is not", with_staging("live", instances=()), VIOLATED),
    Case(REVERSE, "one that is no EC2 instance", replace(one(origin=None), staging=(replace(one(origin=None).staging[0], instances=()),)), HOLDS),
    Case(REVERSE, "one that stopped need not be", replace(one(replication_state="STOPPED"), staging=(replace(one(replication_state="STOPPED").staging[0], instances=()),)), HOLDS),
    Case(REVERSE, "an instance of another account of the estate", one(origin=(TARGET, "us-east-1")), VIOLATED),
    Case(REVERSE, "one whose instance is nowhere", one(origin=UNSEEN), UNKNOWN),
    Case(REVERSE, "an instance of a stranger", one(origin=("9" * 12, "us-east-1")), UNKNOWN),
    Case(REVERSE, "an instance in another Region", one(origin=(STAGING, "eu-west-1")), UNKNOWN),
    Case(REVERSE, "instances cannot be read", with_staging("live", instances=UNSEEN), UNKNOWN),
    Case(TAGGED, "instances cannot be read", with_staging("live", instances=UNSEEN), UNKNOWN),
    Case(READY, "everywhere", GOOD, HOLDS),
    Case(READY, "not in a staging account", with_staging("live", initialised=False), VIOLATED),
    Case(READY, "not known", with_staging("live", initialised=UNSEEN), UNKNOWN),
    Case(FAILBACK, "both sides", GOOD, HOLDS),
    Case(FAILBACK, "not at the source", with_target("live", initialised_at_source=False), VIOLATED),
    Case(FAILBACK, "not known", with_target("live", initialised_at_source=UNSEEN), UNKNOWN),
    Case(LAUNCH, "as declared", GOOD, HOLDS),
    Case(LAUNCH, "no template", with_target("live", launch_settings=None), VIOLATED),
    Case(LAUNCH, "another disposition", with_target("live", launch_settings=replace(LAUNCH_SETTINGS, disposition="STOPPED")), VIOLATED),
    Case(LAUNCH, "not read", with_target("live", launch_settings=UNSEEN), UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    assert outcome(case.invariant, case.estate) is case.outcome


def test_each_server_has_a_finding_of_its_own() -> None:
    findings = judge(live((ONE, TWO), ()), [i for i in INVARIANTS if i.name == MISSING]).findings
    assert {f.subject for f in findings} == {ONE.arn, TWO.arn}
    assert {f.outcome for f in findings} == {Outcome.VIOLATED}


def test_a_server_is_called_by_its_hostname_where_that_is_seen() -> None:
    for hostname, called in ((ONE.hostname, f"{ONE.hostname} ({ONE.arn})"), (UNSEEN, ONE.arn)):
        (message,) = messages(MISSING, bare(hostname=hostname))
        assert called in message.text


def test_an_extension_error_is_told_in_aws_words() -> None:
    broken = extended(TARGET, ONE, BROKEN)
    (message,) = messages(HEALTHY, live((ONE,), (broken,)))
    assert broken.error and broken.error in message.text


STANDINGS = [
    ("extended", live((ONE,)), Standing.EXTENDED),
    ("error", live((ONE,), (extended(TARGET, ONE, BROKEN),)), Standing.EXTENSION_ERROR),
    ("missing", live((ONE,), ()), Standing.MISSING),
    ("blocked", bare(encryption="DEFAULT"), Standing.BLOCKED),
    ("stale", one(replication_state="STOPPED"), Standing.STALE),
    ("duplicate", live((replace(ONE, instance_id=OWN.instance_id),)), Standing.DUPLICATE),
    ("unknown", one(last_seen=UNSEEN), Standing.UNKNOWN),
]


@pytest.mark.parametrize(
    ("of", "standing"), [s[1:] for s in STANDINGS], ids=[s[0] for s in STANDINGS]
)
def test_every_server_stands_once(of: Estate, standing: Standing) -> None:
    servers = reconcile(of)
    assert len({each.arn for each in servers}) == len(servers)
    assert [each.standing for each in servers if each.account == "staging-1"] == [standing]


def test_totals_are_ranges_where_an_account_cannot_be_read() -> None:
    whole = totals(live((ONE, TWO)))
    assert (whole.protected, whole.in_target) == (Range(3, 3), Range(3, 3))
    blind = totals(with_staging("live", servers=UNSEEN))
    assert dict(blind.replicating)["staging-1"] == Range(0, 300)
    assert totals(with_target("live", servers=UNSEEN)).protected == Range(0, 301)
