"""Calls at the pace that AWS takes, against an AWS made of a function."""

import signal
import threading
import time
from collections import Counter

import pytest

from validator import pace
from validator.accounts import CallError, NoAnswerError
from validator.errors import AccountError
from validator.pace import MOST, Pace, each


def throttle(after: float | None = None) -> CallError:
    return CallError("slow down", "ThrottlingException", 429, after)


def test_every_item_gets_its_result_in_order() -> None:
    assert each(lambda n: n * n, range(50), repeatable=True).results == tuple(
        n * n for n in range(50)
    )


def test_nothing_to_do() -> None:
    assert each(lambda n: n, [], repeatable=True).results == ()


def test_more_at_once_while_all_is_answered_and_never_too_many() -> None:
    lock, now, seen = threading.Lock(), 0, []

    def work(_: int) -> None:
        nonlocal now
        with lock:
            now += 1
            seen.append(now)
        time.sleep(0.005)
        with lock:
            now -= 1

    each(work, range(300), repeatable=True)
    assert max(seen[:4]) <= 4 < max(seen) <= MOST


def test_a_throttle_halves_and_one_burst_halves_once() -> None:
    at = Pace(0.0)
    for _ in range(200):
        at.answered(1.0)
    assert at.limit == MOST
    at.throttled(2.0, started=1.5)
    at.throttled(2.1, started=1.5)
    assert at.limit == MOST // 2
    at.throttled(3.0, started=2.5)
    assert at.limit == MOST // 4
    for now in (4.0, 5.0, 6.0, 7.0):
        at.throttled(now, started=now - 0.5)
    assert at.limit == 1 and at.resume > 7.0
    paused = at.pause
    at.throttled(8.0, started=7.5)
    assert at.pause > paused
    for _ in range(9):
        at.answered(9.0)
    assert at.limit > 1 and at.pause == 0


def test_it_settles_near_what_aws_takes_at_once() -> None:
    lock, now, throttles = threading.Lock(), 0, 0

    def work(_: int) -> None:
        nonlocal now, throttles
        with lock:
            now += 1
            too_many = now > 3
            throttles += too_many
        time.sleep(0.003)
        with lock:
            now -= 1
        if too_many:
            raise throttle()

    assert each(work, range(200), repeatable=True).results == (None,) * 200
    assert throttles < 200


def test_a_throttled_call_waits_as_long_as_aws_asks() -> None:
    began: list[float] = []

    def work(_: int) -> str:
        began.append(time.monotonic())
        if len(began) == 1:
            raise throttle(0.4)
        return "done"

    assert each(work, [1], repeatable=False).results == ("done",)
    assert began[1] - began[0] >= 0.4


def test_throttles_without_end_become_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_PATIENCE", 0.3)

    def work(_: int) -> None:
        raise throttle()

    results = each(work, range(3), repeatable=True).results
    assert all(isinstance(result, CallError) and result.throttled for result in results)


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize(
    "error",
    [NoAnswerError("lost"), CallError("oh", "InternalServerException", 500)],
    ids=["no answer", "500"],
)
def test_only_what_may_be_repeated_is(error: AccountError, repeatable: bool) -> None:
    tries: Counter[int] = Counter()

    def work(n: int) -> int:
        tries[n] += 1
        if n == 2 and tries[n] < 3:
            raise error
        return n

    results = each(work, range(5), repeatable=repeatable).results
    assert results == (0, 1, 2 if repeatable else error, 3, 4)
    assert tries[2] == (3 if repeatable else 1)


def test_a_refusal_is_a_result_at_once() -> None:
    tries: list[int] = []

    def work(n: int) -> int:
        tries.append(n)
        raise CallError("no", "AccessDeniedException", 403)

    (result,) = each(work, [1], repeatable=True).results
    assert isinstance(result, CallError) and tries == [1]


def test_a_defect_of_ours_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        each(lambda n: 1 // n, [1, 0], repeatable=True)


def test_ctrl_c_lets_what_is_in_flight_end() -> None:
    ended: set[int] = set()

    def work(n: int) -> int:
        time.sleep(0.05)
        ended.add(n)
        return n

    def stop(done: int) -> None:
        if done == 10:
            signal.raise_signal(signal.SIGINT)

    paced = each(work, range(100), repeatable=True, on_done=stop)
    assert paced.interrupted and 10 <= len(ended) < 100
    assert {n for n, result in enumerate(paced.results) if result is not None} == ended


def test_a_second_ctrl_c_is_raised() -> None:
    def stop(_: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        each(lambda n: n, range(100), repeatable=True, on_done=stop)
