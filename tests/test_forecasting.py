"""Growth foretells when limits are passed; too little of it is unknown, and shrinking passes nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validator import forecasting
from validator.findings import Outcome
from validator.forecasting import (
    HORIZON_DAYS,
    Forecast,
    Growth,
    Known,
    Question,
    Series,
    forecast,
    grown,
    per_month,
    wall,
)

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def series(*counts: int, every: int = 7, ago: int = 0) -> Series:
    """Counts so many days apart, the last so many days ago."""
    last = len(counts) - 1
    return Series(
        tuple((NOW - DAY * (ago + every * (last - n)), each) for n, each in enumerate(counts))
    )


def asked(
    counts: Series,
    quota: int | None = 300,
    headroom: int = 0,
    lead: int = 30,
    order: int = 365,
    in_target: Series | None = None,
    target_quota: int | None = 4000,
) -> Forecast:
    known = Known("target", "1" * 12, counts, quota)
    total = counts if in_target is None else in_target
    return forecast(Question((known,), counts, total, target_quota, headroom, lead, order, 3, NOW))


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        pytest.param(Series(()), "on 0 of the 3 days", id="none"),
        pytest.param(series(1, 2), "on 2 of the 3 days", id="two"),
        pytest.param(series(1, 2, 3, every=3), "they span 6.0 days", id="three in a week"),
        pytest.param(series(1, 2, 3, ago=31), "is 31 days old", id="old ones"),
        pytest.param(
            Series(tuple((NOW - timedelta(hours=n), n) for n in range(10, 0, -1))),
            "on 1 of the 3 days",
            id="ten of one day",
        ),
    ],
)
def test_too_little_is_unknown(counts: Series, why: str) -> None:
    assert why in str(grown(counts, NOW))
    made = asked(counts)
    assert made.outcome is Outcome.UNKNOWN
    assert why in made.findings[0].messages[0].text
    assert made.orders == ()


@pytest.mark.parametrize(
    ("counts", "per_day"),
    [
        pytest.param(series(10, 17, 24), 1.0, id="one a day"),
        pytest.param(series(24, 17, 10), -1.0, id="one less a day"),
        pytest.param(series(9, 9, 9), 0.0, id="none"),
        pytest.param(series(0, 7, 14, 300, 28, 35, 42), 1.0, id="one odd day does not bend it"),
    ],
)
def test_growth(counts: Series, per_day: float) -> None:
    growth = grown(counts, NOW)
    assert isinstance(growth, Growth)
    assert growth.per_day == pytest.approx(per_day)
    assert (growth.last, growth.at) == (counts.points[-1][1], NOW)


@pytest.mark.parametrize(
    ("last", "per_day", "on"),
    [
        pytest.param(290, 1.0, NOW + 10 * DAY, id="in ten days"),
        pytest.param(300, 1.0, NOW, id="full, and growing"),
        pytest.param(300, 0.0, None, id="full, and not growing"),
        pytest.param(301, -1.0, NOW, id="passed, though shrinking"),
        pytest.param(100, -1.0, None, id="shrinking"),
        pytest.param(0, 300 / HORIZON_DAYS, NOW + HORIZON_DAYS * DAY, id="at the horizon"),
        pytest.param(0, 300 / (HORIZON_DAYS + 1), None, id="past the horizon"),
    ],
)
def test_a_wall(last: int, per_day: float, on: datetime | None) -> None:
    found = wall(Growth(per_day, last, NOW), 300).on
    if found is None or on is None:
        assert found is on
    else:
        assert abs(found - on) < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("lead", "outcome"),
    [
        pytest.param(19, Outcome.HOLDS, id="time enough"),
        pytest.param(20, Outcome.VIOLATED, id="no day to lose"),
    ],
)
def test_the_lead_time_decides(lead: int, outcome: Outcome) -> None:
    made = asked(series(266, 273, 280), lead=lead)
    assert made.outcome is outcome


def test_a_count_that_was_denied_last_is_unknown() -> None:
    """Fifteen days of denied counts say nothing of the last fifteen days."""
    points = {NOW - DAY * (37 - n): 100 if n <= 22 else None for n in range(38)}
    counts = forecasting.series(points)
    assert len(counts.points) == 23
    made = asked(counts)
    assert {each.outcome for each in made.findings} == {Outcome.UNKNOWN}
    assert "the last verification could not count it" in made.findings[0].messages[0].text
    assert made.orders == ()


def test_a_count_that_was_denied_before_is_left_out() -> None:
    counts = forecasting.series({NOW: 10, NOW - 7 * DAY: None, NOW - 8 * DAY: 9, NOW - 9 * DAY: 9})
    assert len(counts.points) == 3
    assert asked(counts).outcome is Outcome.HOLDS


def test_headroom_is_passed_before_the_quota() -> None:
    account = asked(series(206, 213, 220), headroom=30).accounts[0]
    assert account.headroom and account.quota
    assert (account.headroom.limit, account.quota.limit) == (270, 300)
    assert account.headroom.on == NOW + 50 * DAY
    assert account.quota.on == NOW + 80 * DAY


def test_a_quota_that_is_not_known_is_unknown() -> None:
    made = asked(series(1, 2, 3), quota=None)
    assert made.outcome is Outcome.UNKNOWN
    assert made.accounts[0].quota is None


def test_the_targets_total_is_a_wall_of_its_own() -> None:
    made = asked(series(1, 1, 1), in_target=series(3974, 3981, 3988))
    assert {f.subject: f.outcome for f in made.findings}["target total"] is Outcome.VIOLATED
    assert made.accounts[0].quota and made.accounts[0].quota.on is None


def test_accounts_are_ordered_before_they_are_needed() -> None:
    """300 places, 290 used, one more a day: full in 10 days, and every 300 days from then on."""
    made = asked(series(276, 283, 290), lead=30, order=300)
    assert [(each.by, each.needed) for each in made.orders] == [
        (NOW, NOW + 10 * DAY),
        (NOW + 280 * DAY, NOW + 310 * DAY),
    ]


def test_accounts_that_the_target_cannot_take_are_told() -> None:
    made = asked(series(276, 283, 290), in_target=series(3979, 3986, 3993))
    assert "L-E28BE5E0 is raised" in made.notes[0]


@pytest.mark.parametrize(
    ("per_day", "shown"), [(1.0, 30.0), (-0.001, 0.0), (0.0, 0.0), (-1.0, -30.0)]
)
def test_a_month(per_day: float, shown: float) -> None:
    assert str(per_month(Growth(per_day, 0, NOW))) == str(shown)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 300), max_size=20), st.integers(0, 60), st.integers(0, 300))
def test_whatever_was_counted(counts: list[int], lead: int, headroom: int) -> None:
    made = asked(series(*counts), lead=lead, headroom=headroom)
    few = len(counts) < 3
    assert (made.accounts[0].growth is None) == few
    assert (made.outcome is Outcome.UNKNOWN) == few
    assert list(made.orders) == sorted(made.orders, key=lambda each: each.needed)
    assert all(NOW <= each.by <= each.needed for each in made.orders)
    if not few and max(counts) == min(counts) and counts[0] <= 300 - headroom:
        assert made.outcome is Outcome.HOLDS
