"""Whether reading the accounts again can still change the verdict, and what is moving or stuck."""

import time
from collections.abc import Callable

from validator.findings import Outcome, Verdict
from validator.model import Estate, SourceServer, known
from validator.reconciliation import REPLICATES_ON, Standing, reconcile

STABLE_READINGS = 3
"""Readings in a row in which nothing changed, after which waiting on is in vain."""

_MOVING = frozenset(["INITIATING", "INITIAL_SYNC", "BACKLOG", "RESCAN", "CREATING_SNAPSHOT"])
"""The states that DRS leaves by itself [drs API model]."""

_Seen = dict[str, tuple[str, str | None, str]]


class Watch:
    """Decides after each reading whether to wait and read again; remembers what changed."""

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Waits for at most `seconds`, None for a single reading."""
        self._clock = clock
        self._started = clock()
        self._deadline = None if seconds is None else self._started + seconds
        self._pause = min(15.0, max(1.0, (seconds or 0) / 20))
        self._last: _Seen | None = None
        self._still = 0
        self.notes: tuple[str, ...] = ()
        self.progress = ""

    def seen(self, estate: Estate, verdict: Verdict) -> float | None:
        """The seconds to pause before the next reading, None if this one was the last."""
        if self._deadline is None:
            return None
        now = _servers(estate)
        self._still = self._still + 1 if now == self._last else 0
        self._last = now
        moving, stuck = _moving(estate), _stuck(estate)
        waited = f"after {self._clock() - self._started:.0f} seconds"
        state = f"{len(moving)} servers still moving, {len(stuck)} stuck"
        self.progress = f"waiting: {state}"
        if verdict.outcome is Outcome.HOLDS:
            self.notes = (f"It holds {waited}.",)
        elif self._still >= STABLE_READINGS and verdict.outcome is Outcome.VIOLATED and not moving:
            self.notes = (f"Nothing moves any more {waited}, and it cannot come to hold: {state}.",)
        elif self._clock() + self._pause > self._deadline:
            self.notes = (f"It does not hold {waited}: {state}.",)
        else:
            return self._pause
        for label, servers in (("Still moving", moving), ("Stuck", stuck)):
            if servers and verdict.outcome is not Outcome.HOLDS:
                listed = "; ".join(_in_words(server) for server in servers[:10])
                more = f"; and {len(servers) - 10} more" if len(servers) > 10 else ""
                self.notes += (f"{label}: {listed}{more}.",)
        return None


def _servers(estate: Estate) -> _Seen:
    """Of each server what changes while it converges."""
    found: _Seen = {}
    for server in reconcile(estate):
        source = server.source
        state = str(source.replication_state) if source else ""
        found[server.arn] = (state, source.step if source else None, server.standing.value)
    return found


def _replicating(estate: Estate) -> list[SourceServer]:
    return [
        server
        for account in estate.protected
        for server in known(account.servers)
        if server.replicating is True
    ]


def _moving(estate: Estate) -> list[SourceServer]:
    """The servers on their way to a state in which they can be recovered."""
    return [
        server
        for server in _replicating(estate)
        if server.replication_state in _MOVING
        and server.replication_error is None
        and not _failed(server)
    ]


def _stuck(estate: Estate) -> list[SourceServer]:
    """The servers that will not get there by waiting."""
    replicating = _replicating(estate)
    stale = {s.arn for s in reconcile(estate) if s.standing is Standing.STALE}
    return [
        server
        for server in replicating
        if server.arn in stale
        or server.replication_error is not None
        or _failed(server)
        or server.replication_state not in (_MOVING | REPLICATES_ON)
    ]


def _failed(server: SourceServer) -> bool:
    return server.step is not None and server.step.endswith("FAILED")


def _in_words(server: SourceServer) -> str:
    detail = server.replication_error or server.step
    return f"{server.shown} is {server.replication_state}" + (f" ({detail})" if detail else "")
