"""When accounts and the target will be full, from what earlier verifications counted.

Pure arithmetic. Growth is the median of the slopes between every two days (Theil-Sen), which one odd day
does not bend. What too few verifications say is unknown, and never "not soon".
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from statistics import median

from validator.findings import Finding, Message, Outcome, Verdict
from validator.quotas import REPLICATING_SERVERS, TOTAL_SERVERS

LEAST_POINTS, LEAST_DAYS = 3, 7
"""Days with a verification, and days from the first to the last, below which nothing is foretold."""

MOST_DAYS = 730
"""Days with a verification that are looked at, the newest."""

STALE_DAYS = 30
"""Days after which the newest verification says too little of today."""

HORIZON_DAYS = 3650
"""Ten years; what is further is not foretold."""


@dataclass(frozen=True, slots=True)
class Series:
    """Counts of servers over time, the oldest first; `denied` if the newest verification had none."""

    points: tuple[tuple[datetime, int], ...]
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Growth:
    """Servers a day, and the last count with its time."""

    per_day: float
    last: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Wall:
    """A limit, and when growth passes it: `on` is None for not within `HORIZON_DAYS`.

    It is passed already where `on` is the time of the last count.
    """

    limit: int
    on: datetime | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is foretold of one account, of the target's total, or of the estate.

    `growth` is None, with the reason in `unknown`, where too little is known; so is a wall whose limit
    is not known.
    """

    name: str
    id: str | None
    growth: Growth | None
    headroom: Wall | None
    quota: Wall | None
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A staging account to order: the latest day, and the day from which it is needed."""

    by: datetime
    needed: datetime


@dataclass(frozen=True, slots=True)
class Forecast:
    """The outlook of each account, of the estate and of the target's total, and what to order."""

    now: datetime
    lead_days: int
    verifications: int
    accounts: tuple[Outlook, ...]
    estate: Outlook
    target_total: Outlook
    orders: tuple[Order, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """Violated if a wall comes within the lead time, else unknown if one is not known."""
        return Verdict(self.findings).outcome


@dataclass(frozen=True, slots=True)
class Known:
    """An account as it is declared: its counts, and its quota as it was read last, None if unknown."""

    name: str
    id: str
    series: Series
    quota: int | None


@dataclass(frozen=True, slots=True)
class Question:
    """What a forecast is made of.

    `total` are the counts of all accounts together, `in_target` those of the target's total with its
    quota. `headroom` are servers that each account keeps free.
    """

    accounts: tuple[Known, ...]
    total: Series
    in_target: Series
    target_quota: int | None
    headroom: int
    lead_days: int
    order_days: int
    verifications: int
    now: datetime


def forecast(asked: Question) -> Forecast:
    """When each limit is passed, and which accounts are to be ordered by when."""
    accounts = tuple(
        _outlook(each.name, each.id, each.series, each.quota, asked.headroom, asked.now)
        for each in asked.accounts
    )
    quotas = [each.quota for each in asked.accounts]
    known = [each for each in quotas if each is not None]
    room = sum(known) if len(known) == len(quotas) else None
    estate = _outlook("estate", None, asked.total, room, asked.headroom * len(quotas), asked.now)
    total = _outlook("target total", None, asked.in_target, asked.target_quota, 0, asked.now)
    orders = tuple(_orders(estate, asked))
    findings = (
        *(_finding(each, asked, REPLICATING_SERVERS.code) for each in accounts),
        _finding(estate, asked, REPLICATING_SERVERS.code),
        _finding(total, asked, TOTAL_SERVERS.code),
    )
    return Forecast(
        asked.now,
        asked.lead_days,
        asked.verifications,
        accounts,
        estate,
        total,
        orders,
        findings,
        tuple(_notes(orders, total)),
    )


def grown(series: Series, now: datetime) -> Growth | str:
    """The growth of a series by its last count of each day, or why it is not known."""
    if series.denied:
        return "the last verification could not count it"
    days: dict[int, tuple[datetime, int]] = {at.toordinal(): (at, n) for at, n in series.points}
    points = [days[day] for day in sorted(days)][-MOST_DAYS:]
    if len(points) < LEAST_POINTS:
        return (
            f"not enough verifications: on {len(points)} of the {LEAST_POINTS} days that it takes"
        )
    span = (points[-1][0] - points[0][0]) / timedelta(days=1)
    if span < LEAST_DAYS:
        return f"not enough verifications: they span {span:.1f} days, {LEAST_DAYS} are the least"
    age = (now - points[-1][0]).days
    if age > STALE_DAYS:
        return f"the newest verification is {age} days old, {STALE_DAYS} are the most"
    slopes = [
        (later - earlier) / ((then - at) / timedelta(days=1))
        for (at, earlier), (then, later) in combinations(points, 2)
    ]
    return Growth(median(slopes), points[-1][1], points[-1][0])


def wall(growth: Growth, limit: int) -> Wall:
    """When growth passes a limit, from its last count on."""
    if growth.last > limit:
        return Wall(limit, growth.at)
    if growth.per_day <= 0:
        return Wall(limit, None)
    days = (limit - growth.last) / growth.per_day
    return Wall(limit, growth.at + timedelta(days=days) if days <= HORIZON_DAYS else None)


def _outlook(
    name: str, id_: str | None, series: Series, quota: int | None, headroom: int, now: datetime
) -> Outlook:
    growth = grown(series, now)
    if isinstance(growth, str):
        return Outlook(name, id_, None, None, None, growth)
    if quota is None:
        why = "the last verification could not read the quota"
        return Outlook(name, id_, growth, None, None, why)
    return Outlook(name, id_, growth, wall(growth, max(0, quota - headroom)), wall(growth, quota))


def _orders(estate: Outlook, asked: Question) -> Iterator[Order]:
    """The accounts to order within the days asked for, one for each time that all are full."""
    growth, full = estate.growth, estate.headroom
    each = REPLICATING_SERVERS.value - asked.headroom
    if growth is None or full is None or each < 1:
        return
    lead = timedelta(days=asked.lead_days)
    limit = full.limit
    last = asked.now + timedelta(days=asked.order_days)
    while (passed := wall(growth, limit)).on is not None:
        by = max(asked.now, passed.on - lead)
        if by > last:
            return
        yield Order(by, max(asked.now, passed.on))
        limit += each


def _notes(orders: Sequence[Order], total: Outlook) -> Iterator[str]:
    on = None if total.quota is None else total.quota.on
    if on is not None and any(each.needed > on for each in orders):
        yield (
            "Accounts that are needed after the target's total is reached help only if "
            f"{TOTAL_SERVERS.code} is raised."
        )


def _finding(outlook: Outlook, asked: Question, code: str) -> Finding:
    """Whether no limit of this outlook is passed within the lead time."""
    first = outlook.headroom
    due = asked.now + timedelta(days=asked.lead_days)
    if outlook.growth is None or first is None:
        outcome, text = Outcome.UNKNOWN, f"{outlook.name}: {outlook.unknown}."
    elif first.on is not None and first.on <= due:
        past = outlook.growth.last > first.limit
        when = "is passed already" if past else f"is passed on {first.on.date()}"
        outcome = Outcome.VIOLATED
        text = (
            f"{outlook.name}: {outlook.growth.last} servers, and {per_month(outlook.growth):+.1f} a "
            f"month; its limit of {first.limit} {when} ({code}). The lead time is "
            f"{asked.lead_days} days."
        )
    else:
        outcome, text = Outcome.HOLDS, ""
    return Finding(
        invariant="no-limit-within-the-lead-time",
        family="forecast",
        subject=outlook.name,
        where=outlook.name,
        outcome=outcome,
        messages=() if outcome is Outcome.HOLDS else (Message(text, ""),),
        why="What takes longer to get than there is time comes too late.",
        remedy="Order the accounts, or ask for the quota, now; verify daily where too little is known.",
    )


def per_month(growth: Growth) -> float:
    """Servers in 30 days, rounded to a tenth, and never -0.0."""
    return math.floor(growth.per_day * 300 + 0.5) / 10 + 0.0


def series(points: Mapping[datetime, int | None]) -> Series:
    """The counts that are known, the oldest first, and whether the newest is one of them."""
    return Series(
        tuple((at, n) for at, n in sorted(points.items()) if n is not None),
        bool(points) and points[max(points)] is None,
    )
