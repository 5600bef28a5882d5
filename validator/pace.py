"""Many calls at the pace that AWS takes: one more at once while it answers, half when it throttles."""

import heapq
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from validator.accounts import ATTEMPTS, CallError, uncertain
from validator.errors import AccountError

T = TypeVar("T")
R = TypeVar("R")

MOST = 16
"""Calls at once, at most."""
_FIRST = 4
_SHORTEST, _LONGEST = 0.05, 20.0
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Paced(Generic[R]):
    """What became of each item, in the order given: a result, an error, or None if not tried.

    `interrupted` is true after a Ctrl-C: what was in flight ended, the rest was not tried.
    """

    results: tuple[R | AccountError | None, ...]
    interrupted: bool


class Pace:
    """How many calls may be in flight, and when the next may start.

    Additive increase, multiplicative decrease. Where even one call at a time is too much, the pause
    between calls doubles with every throttle and halves with every answer. Seconds throughout.
    """

    def __init__(self, now: float) -> None:
        self.limit = _FIRST
        self.pause = 0.0
        self.resume = now
        self.answered_at = now
        self._answers = 0
        self._cut = now

    def answered(self, now: float) -> None:
        """A call was answered, whatever the answer."""
        self.answered_at = now
        self.pause = self.pause / 2 if self.pause > _SHORTEST else 0.0
        self._answers += 1
        if self._answers >= self.limit:
            self._answers = 0
            self.limit = min(MOST, self.limit + 1)

    def throttled(self, now: float, started: float) -> None:
        """A call that began at `started` was throttled; of one burst only the first halves."""
        self._answers = 0
        if self.limit == 1:
            self.pause = min(_LONGEST, max(_SHORTEST, self.pause * 2))
            self.resume = now + self.pause
        elif started >= self._cut:
            self.limit //= 2
            self._cut = now


def each(
    work: Callable[[T], R],
    items: Sequence[T],
    *,
    repeatable: bool,
    on_done: Callable[[int], None] = lambda _: None,
) -> Paced[R]:
    """Does `work` for every item, several at once, in order as far as AWS lets it.

    A throttled call is made again once the seconds that AWS asks for have passed, until nothing at
    all was answered for two minutes. A call whose effect is uncertain is made again only if `work`
    is `repeatable`. `on_done` is told how many items are done. An AccountError of `work` becomes
    its item's result. The first Ctrl-C lets what is in flight end; the second is raised.
    """
    results: list[R | AccountError | None] = [None] * len(items)
    pace = Pace(time.monotonic())
    waiting = [(pace.resume, index, 1) for index in range(len(items))]
    running: dict[Future[R], tuple[int, int, float]] = {}
    done, interrupted = 0, False
    with ThreadPoolExecutor(MOST) as pool:
        while waiting or running:
            try:
                now = time.monotonic()
                while waiting and len(running) < pace.limit:
                    if max(waiting[0][0], pace.resume) > now:
                        break
                    _, index, tries = heapq.heappop(waiting)
                    running[pool.submit(work, items[index])] = (index, tries, now)
                for future in _finished(running, waiting, pace):
                    index, tries, started = running.pop(future)
                    again = _settle(future, results, index, tries, started, pace, repeatable)
                    if again is None or interrupted:
                        done += 1
                        on_done(done)
                    else:
                        heapq.heappush(waiting, (again, index, tries + 1))
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                waiting.clear()
    return Paced(tuple(results), interrupted)


def _finished(
    running: dict[Future[R], tuple[int, int, float]],
    waiting: list[tuple[float, int, int]],
    pace: Pace,
) -> list[Future[R]]:
    """The calls that ended, after waiting until one does or another may start."""
    timeout = None
    if waiting and len(running) < pace.limit:
        timeout = max(0.0, max(waiting[0][0], pace.resume) - time.monotonic())
    if not running:
        time.sleep(timeout or 0.0)
    return list(wait(running, timeout, FIRST_COMPLETED).done)


def _settle(
    future: Future[R],
    results: list[R | AccountError | None],
    index: int,
    tries: int,
    started: float,
    pace: Pace,
    repeatable: bool,
) -> float | None:
    """Keeps what a call came to; returns when to make it again, None for never."""
    now = time.monotonic()
    try:
        results[index] = future.result()
    except AccountError as error:
        if isinstance(error, CallError) and error.throttled:
            pace.throttled(now, started)
            if now - pace.answered_at <= _PATIENCE:
                return now + (error.retry_after or 0.0) + _backoff(tries)
        else:
            pace.answered(now)
            if repeatable and uncertain(error) and tries < ATTEMPTS:
                return now + _backoff(tries)
        results[index] = error
        return None
    pace.answered(now)
    return None


def _backoff(tries: int) -> float:
    """Seconds to wait before try `tries` + 1, at random so that not all come back at once."""
    return random.uniform(0.0, min(_LONGEST, _SHORTEST * 2**tries))
