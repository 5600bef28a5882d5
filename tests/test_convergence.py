"""Waiting for a verdict: until it holds, until nothing moves, or until the time is up."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.estates import server
from tests.invariants.complete import STAGING, complete
from validator.convergence import STABLE_READINGS, Watch
from validator.findings import Finding, Outcome, Verdict
from validator.model import Estate, SourceServer

MINUTES = 60.0


def verdict(outcome: Outcome) -> Verdict:
    return Verdict((Finding("x", "servers", "s", "s", outcome, (), "why", "remedy"),))


HELD, BROKEN, UNSURE = (verdict(o) for o in (Outcome.HOLDS, Outcome.VIOLATED, Outcome.UNKNOWN))


def replicating(state: str, **changes: object) -> Estate:
    """An estate with one server in this state in its staging account."""
    estate = complete("live")
    one: SourceServer = replace(server(STAGING, 1, state=state), **changes)  # type: ignore[arg-type]
    return replace(estate, staging=(replace(estate.staging[0], servers=(one,)),))


def watched(
    readings: Sequence[tuple[Estate, Verdict]], seconds: float | None = 60 * MINUTES
) -> tuple[int, str]:
    """How many readings there were, and what was said; every pause is slept through."""
    now = 0.0
    watch = Watch(seconds, clock=lambda: now)
    for number, (estate, judged) in enumerate(readings, 1):
        pause = watch.seen(estate, judged)
        if pause is None:
            return number, " ".join(watch.notes)
        assert pause > 0
        now += pause
    return len(readings) + 1, ""


SYNCING, DONE = replicating("INITIAL_SYNC"), replicating("CONTINUOUS")
STALLED = replicating("STALLED", replication_error="NOT_CONVERGING")


def test_without_a_wait_there_is_one_reading() -> None:
    assert watched([(SYNCING, BROKEN)], None) == (1, "")


def test_it_waits_while_something_moves_and_ends_when_it_holds() -> None:
    readings, said = watched([*[(SYNCING, BROKEN)] * 9, (DONE, HELD)])
    assert readings == 10
    assert said.startswith("It holds after")


def test_what_is_stuck_ends_the_wait_and_is_named() -> None:
    readings, said = watched([(STALLED, BROKEN)] * 20)
    assert readings == STABLE_READINGS + 1
    assert "cannot come to hold: 0 servers still moving, 1 stuck" in said
    assert "STALLED (NOT_CONVERGING)" in said


def test_one_that_moves_keeps_the_wait_for_one_that_is_stuck() -> None:
    both = replace(
        SYNCING,
        staging=(
            replace(
                SYNCING.staging[0],
                servers=(*SYNCING.staging[0].servers, replace(server(STAGING, 2, state="STALLED"))),  # type: ignore[misc]
            ),
        ),
    )
    readings, said = watched([(both, BROKEN)] * 200, 10 * MINUTES)
    assert readings > STABLE_READINGS + 1
    assert "It does not hold after" in said
    assert "Still moving: " in said and "Stuck: " in said


def test_a_change_begins_the_count_again() -> None:
    turns = [(STALLED, BROKEN)] * STABLE_READINGS + [(DONE, BROKEN)] * (STABLE_READINGS + 1)
    readings, said = watched([*turns, (DONE, HELD)])
    assert readings == len(turns)
    assert "cannot come to hold" in said


@pytest.mark.parametrize("judged", [BROKEN, UNSURE], ids=["violated", "unknown"])
def test_time_that_is_up_ends_the_wait(judged: Verdict) -> None:
    readings, said = watched([(SYNCING, judged)] * 200, 10 * MINUTES)
    assert readings < 200
    assert "It does not hold after" in said


def test_what_cannot_be_known_is_waited_for_to_the_end() -> None:
    """An account that is throttled or denied now may be readable on the next reading."""
    readings, said = watched([*[(STALLED, UNSURE)] * 10, (DONE, HELD)])
    assert readings == 11
    assert said.startswith("It holds after")
