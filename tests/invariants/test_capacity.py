"""Capacity and account invariants: rows that hold, are violated, are unknown, and the boundary."""

from dataclasses import replace

import pytest

from tests.estates import account, estate, extended, server
from validator.findings import Outcome
from validator.invariants import INVARIANTS, judge
from validator.invariants.engine import Invariant
from validator.model import Account, Estate, Extension, Part, SourceServer, Unknown
from validator.quotas import REPLICATING_SERVERS, TOTAL_SERVERS

TARGET, STAGING = "111122223333", "444455556666"
HOLDS, VIOLATED, UNKNOWN = Outcome.HOLDS, Outcome.VIOLATED, Outcome.UNKNOWN


def named(name: str) -> Invariant:
    return next(each for each in INVARIANTS if each.name == name)


def outcome(name: str, of: Estate) -> Outcome:
    return judge(of, [named(name)]).outcome


def target(planned: int | Unknown, **changes: object) -> Account:
    return replace(account("target", Part.TARGET, TARGET, planned), **changes)  # type: ignore[arg-type]


def staging(planned: int | Unknown, name: str = "staging-1", **changes: object) -> Account:
    return replace(account(name, Part.STAGING, STAGING, planned), **changes)  # type: ignore[arg-type]


def live(mine: tuple[SourceServer, ...], theirs: tuple[SourceServer, ...], planned: int) -> Estate:
    return estate(
        view="live",
        target=target(len([s for s in mine if s.replicating]), servers=mine),
        staging=(staging(planned, servers=theirs),),
    )


ONE = server(STAGING, 1)
TWO = server(STAGING, 2)
STAGINGS = [staging(300, f"staging-{n}", id=f"{n:012}") for n in range(1, 15)]

CASES = [
    pytest.param("account-replicates-within-quota", estate(), HOLDS, id="300-is-within"),
    pytest.param(
        "account-replicates-within-quota",
        estate(staging=(staging(301),)),
        VIOLATED,
        id="301-is-not",
    ),
    pytest.param(
        "account-replicates-within-quota",
        estate(target=target(301)),
        VIOLATED,
        id="the-target-replicates-too",
    ),
    pytest.param(
        "account-replicates-within-quota",
        estate(staging=(staging(Unknown("computed")),)),
        UNKNOWN,
        id="undeclared-number",
    ),
    pytest.param(
        "account-replicates-within-quota",
        estate(staging=(staging(1, quotas=((REPLICATING_SERVERS.code, Unknown("denied")),)),)),
        UNKNOWN,
        id="quota-not-readable",
    ),
    pytest.param(
        "account-replicates-within-quota",
        estate(view="live", target=target(0, servers=())),
        UNKNOWN,
        id="live-servers-not-readable",
    ),
    pytest.param(
        "account-replicates-within-quota",
        live((), tuple(server(STAGING, n) for n in range(301)), 300),
        VIOLATED,
        id="301-live",
    ),
    pytest.param(
        "account-replicates-within-quota",
        live((), tuple(server(STAGING, n, state="STOPPED") for n in range(301)), 0),
        HOLDS,
        id="stopped-servers-do-not-count",
    ),
    pytest.param(
        "target-holds-every-server",
        estate(target=target(100), staging=tuple(STAGINGS[:13])),
        HOLDS,
        id="4000-in-all",
    ),
    pytest.param(
        "target-holds-every-server",
        estate(target=target(101), staging=tuple(STAGINGS[:13])),
        VIOLATED,
        id="4001-in-all",
    ),
    pytest.param(
        "target-holds-every-server",
        estate(target=target(300, quotas=((TOTAL_SERVERS.code, 5000),)), staging=tuple(STAGINGS)),
        HOLDS,
        id="raised-quota",
    ),
    pytest.param(
        "target-holds-every-server",
        estate(target=target(Unknown("computed"))),
        UNKNOWN,
        id="unknown-number",
    ),
    pytest.param("declared-servers-fit-the-estate", estate(), HOLDS, id="600-of-600"),
    pytest.param(
        "declared-servers-fit-the-estate",
        estate(target=target(0), staging=(staging(0),)),
        VIOLATED,
        id="nothing-declared",
    ),
    pytest.param(
        "declared-servers-fit-the-estate",
        estate(target=target(301)),
        VIOLATED,
        id="601-of-600",
    ),
    pytest.param(
        "declared-servers-fit-the-estate",
        estate(target=target(Unknown("computed"))),
        UNKNOWN,
        id="number-unknown",
    ),
    pytest.param(
        "declared-servers-are-replicating", live((), (ONE,), 1), HOLDS, id="as-many-as-declared"
    ),
    pytest.param(
        "declared-servers-are-replicating", live((), (ONE,), 2), VIOLATED, id="one-missing"
    ),
    pytest.param(
        "declared-servers-are-replicating", live((), (ONE, TWO), 1), VIOLATED, id="one-too-many"
    ),
    pytest.param(
        "declared-servers-are-replicating",
        live((), (server(STAGING, 1, state=Unknown("new value")),), 1),
        UNKNOWN,
        id="state-not-understood",
    ),
    pytest.param(
        "replicating-servers-are-extended",
        live((extended(TARGET, ONE),), (ONE,), 1),
        HOLDS,
        id="extended",
    ),
    pytest.param(
        "replicating-servers-are-extended",
        live((extended(TARGET, ONE),), (ONE, TWO), 2),
        VIOLATED,
        id="one-not-extended",
    ),
    pytest.param(
        "replicating-servers-are-extended",
        estate(view="live", staging=(staging(1, servers=(ONE,)),)),
        UNKNOWN,
        id="target-not-readable",
    ),
    pytest.param(
        "extensions-are-healthy",
        live((extended(TARGET, ONE),), (ONE,), 1),
        HOLDS,
        id="healthy",
    ),
    pytest.param(
        "extensions-are-healthy",
        live((extended(TARGET, ONE, Extension.EXTENSION_ERROR),), (ONE,), 1),
        VIOLATED,
        id="extension-error",
    ),
    pytest.param(
        "extensions-are-healthy",
        live((server(TARGET, 9, extension=Unknown("new value")),), (ONE,), 1),
        UNKNOWN,
        id="status-not-understood",
    ),
    pytest.param("account-ids-are-well-formed", estate(), HOLDS, id="twelve-digits"),
    pytest.param(
        "account-ids-are-well-formed",
        estate(staging=(staging(1, id="11122223333"),)),
        VIOLATED,
        id="eleven-digits",
    ),
    pytest.param(
        "account-ids-are-well-formed",
        estate(staging=(staging(1, id="444455556666\n"),)),
        VIOLATED,
        id="line-end-after-the-digits",
    ),
    pytest.param("account-ids-are-distinct", estate(), HOLDS, id="three-accounts"),
    pytest.param(
        "account-ids-are-distinct",
        estate(staging=(staging(1, id=TARGET),)),
        VIOLATED,
        id="staging-is-the-target",
    ),
    pytest.param(
        "account-ids-are-distinct",
        estate(staging=(staging(1, id="777788889999"),)),
        VIOLATED,
        id="staging-is-orchestration",
    ),
]


@pytest.mark.parametrize(("name", "of", "expected"), CASES)
def test_case(name: str, of: Estate, expected: Outcome) -> None:
    assert outcome(name, of) is expected


def test_the_finding_names_account_region_number_quota_and_place() -> None:
    verdict = judge(estate(staging=(staging(301),)), [named("account-replicates-within-quota")])
    finding = next(f for f in verdict.findings if f.outcome is VIOLATED)
    for part in (STAGING, "us-west-2", "301", "300"):
        assert part in finding.messages[0].text
    assert finding.where == "estate.auto.tfvars:staging-1"


def test_every_server_that_is_not_extended_is_named() -> None:
    verdict = judge(live((), (ONE, TWO), 2), [named("replicating-servers-are-extended")])
    finding = next(f for f in verdict.findings if f.outcome is VIOLATED)
    assert [ONE.arn in finding.messages[0].text, TWO.arn in finding.messages[1].text] == [
        True,
        True,
    ]
