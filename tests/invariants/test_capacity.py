"""The invariants on capacity: what holds, what is one too many, and what cannot be counted."""

from dataclasses import replace
from typing import Any

import pytest

from tests.estates import account, extended, server
from tests.invariants.complete import (
    HOLDS,
    STAGING,
    TARGET,
    UNKNOWN,
    UNSEEN,
    VIOLATED,
    Case,
    complete,
    live,
    messages,
    outcome,
    with_estate,
    with_staging,
    with_target,
)
from validator.model import Account, Estate, Extension, Part, Role, Wave
from validator.quotas import (
    CONCURRENT_JOBS,
    QUOTAS,
    REPLICATING_SERVERS,
    SERVERS_IN_ALL_JOBS,
    SNAPSHOTS,
    TOTAL_SERVERS,
    TRUSTED_ACCOUNTS,
    Recovery,
    limit,
    recovery,
)

WITHIN, HEADROOM = "account-replicates-within-quota", "declared-headroom-is-kept"
TOTAL, FIT = "target-holds-every-server", "declared-servers-fit-the-estate"
TRUSTS, KEPT = "staging-account-trusts-at-most-100-targets", "snapshots-fit-the-quota"
WAVE, WAVES = "wave-fits-the-job-quotas", "waves-recover-every-server"
REPLICATING = "declared-servers-are-replicating"

ONE, TWO = server(STAGING, 1), server(STAGING, 2)
BROKEN = Extension.EXTENSION_ERROR


def quota(code: str, value: Any) -> dict[str, Any]:
    return {"quotas": ((code, value),)}


def many(count: int) -> tuple[Account, ...]:
    """Staging accounts of 300 servers each."""
    return tuple(
        account(f"staging-{n}", Part.STAGING, f"{n:012}", 300) for n in range(1, count + 1)
    )


def total(own: int, **changes: Any) -> Estate:
    """The target's own servers beside 13 full staging accounts: 3,900."""
    return replace(with_target(planned=own, **changes), staging=many(13))


def targets(count: int, **changes: Any) -> Estate:
    (role, *_) = complete().staging[0].roles  # type: ignore[misc]
    names = [f"DRSStagingAccountRole_{n:012}" for n in range(count)]
    roles: tuple[Role, ...] = tuple(replace(role, role_name=name) for name in names)
    return with_staging(roles=(*roles, replace(role, **{"role_name": "Another", **changes})))


def waves(*servers: int) -> tuple[Wave, ...]:
    return tuple(Wave(f"wave-{n}", "estate.auto.tfvars:40", each) for n, each in enumerate(servers))


CASES = [
    Case(WITHIN, "300 is within", complete(), HOLDS),
    Case(WITHIN, "301 is not", with_staging(planned=301), VIOLATED),
    Case(WITHIN, "the target replicates too", with_target(planned=301), VIOLATED),
    Case(WITHIN, "an unknown number", with_staging(planned=UNSEEN), UNKNOWN),
    Case(WITHIN, "a quota that cannot be read", with_staging(planned=1, **quota(REPLICATING_SERVERS.code, UNSEEN)), UNKNOWN),
    Case(WITHIN, "a lower quota in the account", with_staging(**quota(REPLICATING_SERVERS.code, 299)), VIOLATED),
    Case(WITHIN, "live servers that cannot be read", with_staging("live", servers=UNSEEN), UNKNOWN),
    Case(WITHIN, "300 live", live((), tuple(server(STAGING, n) for n in range(300)), 300), HOLDS),
    Case(WITHIN, "301 live", live((), tuple(server(STAGING, n) for n in range(301)), 300), VIOLATED),
    Case(WITHIN, "stopped servers do not count", live((), tuple(server(STAGING, n, state="STOPPED") for n in range(301)), 0), HOLDS),
    Case(WITHIN, "disconnected servers do not count", live((), tuple(server(STAGING, n, state="DISCONNECTED") for n in range(301)), 0), HOLDS),
    Case(WITHIN, "stalled servers count", live((), tuple(server(STAGING, n, state="STALLED") for n in range(301)), 300), VIOLATED),
    Case(WITHIN, "extended servers do not count", live(tuple(extended(TARGET, server(STAGING, n)) for n in range(301)), (), 0), HOLDS),
    Case(HEADROOM, "none declared", complete(), HOLDS),
    Case(HEADROOM, "290 and 10 free", replace(with_staging(planned=290), headroom=10, target=replace(complete().target, planned=0)), HOLDS),
    Case(HEADROOM, "291 and 10 free", replace(with_staging(planned=291), headroom=10), VIOLATED),
    Case(HEADROOM, "an unknown headroom", with_estate(headroom=UNSEEN), UNKNOWN),
    Case(HEADROOM, "an unknown number", with_staging(planned=UNSEEN), UNKNOWN),
    Case(HEADROOM, "live servers eat it up", replace(live((), tuple(server(STAGING, n) for n in range(291)), 290), headroom=10), VIOLATED),
    Case(HEADROOM, "live servers that cannot be read", with_staging("live", servers=UNSEEN), UNKNOWN),
    Case(TOTAL, "4000 in all", total(100), HOLDS),
    Case(TOTAL, "4001 in all", total(101), VIOLATED),
    Case(TOTAL, "a raised quota", total(101, **quota(TOTAL_SERVERS.code, 5000)), HOLDS),
    Case(TOTAL, "an unknown number", with_target(planned=UNSEEN), UNKNOWN),
    Case(FIT, "600 of 600", complete(), HOLDS),
    Case(FIT, "601 of 600", with_target(planned=301), VIOLATED),
    Case(FIT, "nothing declared", replace(with_staging(planned=0), target=replace(complete().target, planned=0)), VIOLATED),
    Case(FIT, "an unknown number", with_target(planned=UNSEEN), UNKNOWN),
    Case(TRUSTS, "one target", complete(), HOLDS),
    Case(TRUSTS, "100 targets and another role", targets(100), HOLDS),
    Case(TRUSTS, "101 targets", targets(101), VIOLATED),
    Case(TRUSTS, "a role whose name is hidden", targets(100, role_name=UNSEEN), UNKNOWN),
    Case(TRUSTS, "roles not seen", with_staging(roles=UNSEEN), UNKNOWN),
    Case(KEPT, "300 servers x 3 volumes x 37 points", complete(), HOLDS),
    Case(KEPT, "81 days", with_estate(point_in_time_days=81), HOLDS),
    Case(KEPT, "82 days", with_estate(point_in_time_days=82), VIOLATED),
    Case(KEPT, "a raised quota", replace(with_staging(**quota(SNAPSHOTS.code, 200_000)), point_in_time_days=82, target=replace(complete().target, planned=0)), HOLDS),
    Case(KEPT, "a server without a volume", with_estate(volumes_per_server=0), VIOLATED),
    Case(KEPT, "unknown volumes", with_estate(volumes_per_server=UNSEEN), UNKNOWN),
    Case(KEPT, "unknown days", with_estate(point_in_time_days=UNSEEN), UNKNOWN),
    Case(KEPT, "a quota that cannot be read", with_staging(**quota(SNAPSHOTS.code, UNSEEN)), UNKNOWN),
    Case(WAVE, "three of 200", complete(), HOLDS),
    Case(WAVE, "500 at once", with_estate(waves=waves(500)), HOLDS),
    Case(WAVE, "501 at once", with_estate(waves=waves(501)), VIOLATED),
    Case(WAVE, "more jobs than run at once", replace(with_target(**quota(CONCURRENT_JOBS.code, 1)), waves=waves(101)), VIOLATED),
    Case(WAVE, "no job at all", with_target(**quota(CONCURRENT_JOBS.code, 0)), VIOLATED),
    Case(WAVE, "an empty wave", with_estate(waves=waves(0)), VIOLATED),
    Case(WAVE, "a wave of less than nothing", with_estate(waves=waves(-200)), VIOLATED),
    Case(WAVE, "no wave", with_estate(waves=()), UNKNOWN),
    Case(WAVE, "waves not seen", with_estate(waves=UNSEEN), UNKNOWN),
    Case(WAVE, "a quota that cannot be read", with_target(**quota(SERVERS_IN_ALL_JOBS.code, UNSEEN)), UNKNOWN),
    Case(WAVES, "600 of 600", complete(), HOLDS),
    Case(WAVES, "599 of 600", with_estate(waves=waves(200, 200, 199)), VIOLATED),
    Case(WAVES, "601 of 600", with_estate(waves=waves(200, 200, 201)), VIOLATED),
    Case(WAVES, "no wave", with_estate(waves=()), VIOLATED),
    Case(WAVES, "waves not seen", with_estate(waves=UNSEEN), UNKNOWN),
    Case(WAVES, "an unknown number", with_staging(planned=UNSEEN), UNKNOWN),
    Case(REPLICATING, "as many as declared", live((), (ONE,), 1), HOLDS),
    Case(REPLICATING, "one missing", live((), (ONE,), 2), VIOLATED),
    Case(REPLICATING, "one too many", live((), (ONE, TWO), 1), VIOLATED),
    Case(REPLICATING, "a state not understood", live((), (server(STAGING, 1, state=UNSEEN),), 1), UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    assert outcome(case.invariant, case.estate) is case.outcome


def test_the_finding_names_account_region_number_quota_and_place() -> None:
    (message,) = messages(WITHIN, with_staging(planned=301))
    for part in (STAGING, "us-west-2", "301", "300", REPLICATING_SERVERS.code):
        assert part in message.text
    assert message.where == "estate.auto.tfvars:staging-1"


def test_a_wave_that_is_too_large_says_how_many_jobs_and_rounds_it_takes() -> None:
    (message,) = messages(WAVE, with_estate(waves=waves(600)))
    assert "6 jobs in 2 rounds" in message.text


RECOVERIES = [
    ((0,), Recovery(0, 0), "nothing"),
    ((1,), Recovery(1, 1), "one server is a job"),
    ((100,), Recovery(1, 1), "a full job"),
    ((101,), Recovery(2, 1), "one more than a job"),
    ((500,), Recovery(5, 1), "all jobs full"),
    ((501,), Recovery(6, 2), "one more than all jobs"),
    ((600,), Recovery(6, 2), "two full accounts"),
    ((4000,), Recovery(40, 8), "a full target"),
    ((41, 10, 500, 2), Recovery(5, 3), "fewer jobs at once than servers"),
    ((550, 100, 550, 20), Recovery(6, 1), "a last job that is not full"),
]


@pytest.mark.parametrize(
    ("of", "expected"), [r[:2] for r in RECOVERIES], ids=[r[2] for r in RECOVERIES]
)
def test_recovery(of: tuple[int, ...], expected: Recovery) -> None:
    assert recovery(*of) == expected


def test_with_a_quota_of_nothing_nothing_is_recovered() -> None:
    with pytest.raises(ValueError, match="quota of 0"):
        recovery(1, 100, 0, 20)


def test_a_number_that_service_quotas_lacks_is_not_asked_for() -> None:
    assert all(each.code for each in QUOTAS)
    assert TRUSTED_ACCOUNTS not in QUOTAS
    assert limit(complete().target, TRUSTED_ACCOUNTS) == TRUSTED_ACCOUNTS.value
