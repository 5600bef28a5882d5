"""The estate while it is watched: one screen that is drawn anew on a terminal, a line a reading elsewhere."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from validator.errors import ValidatorError
from validator.reports.brief import new
from validator.reports.document import Run, document, one_line
from validator.reports.text import draws_blocks, to_overview

LEAST = 10
"""Seconds between two readings, at least: each asks every account of the estate some dozens of times."""

MOST = 20
"""Findings that a reading shows where there is no terminal, at most: thousands may be new at once."""


class Watching:
    """Shows each reading of the accounts; a context manager, whose screen is gone after it."""

    def __init__(self, title: str, seconds: int, clock: Callable[[], str] | None = None) -> None:
        """Reads again every `seconds`; `clock` gives the time of day that is shown.

        `last` is how the last reading came out, None before any; one that was cut off is none.
        """
        self._title = title
        self._seconds = seconds
        self._clock = clock or (lambda: time.strftime("%H:%M:%S"))
        self._console = Console(file=sys.stderr, highlight=False, markup=False)
        self._ascii_only = not draws_blocks(sys.stderr.encoding)  # before Live puts itself there
        self._live: Live | None = None
        self._shown: Run | None = None
        self.last: Run | ValidatorError | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop"
            )
            self._live.start()
            self._draw(Text(f"{self._title}: reading the accounts"))
        else:
            self._line(f"reading the accounts every {self._seconds} seconds until Ctrl-C")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, run: Run) -> None:
        """Shows a reading, and what in it is new since the last one that succeeded."""
        self.last, read_at = run, self._clock()
        if self._live is None:
            self._line(f"{read_at} {_in_a_line(run)}")
            found = new(run, self._shown) if self._shown else []
            for finding in found[:MOST]:
                self._line(f"  new: {finding.outcome} {finding.invariant} of {finding.subject}")
            if len(found) > MOST:
                self._line(f"  new: {len(found) - MOST} more; Ctrl-C ends with the report of all")
        else:
            width, height = self._console.size
            screen = to_overview(
                run,
                self._foot(read_at),
                height=height,
                colour=True,
                width=width,
                ascii_only=self._ascii_only,
            )
            self._draw(Text.from_ansi(screen))
        self._shown = run

    def failed(self, error: ValidatorError) -> None:
        """Shows that a reading failed: nothing of the last one that succeeded stays on the screen."""
        self.last, read_at = error, self._clock()
        said = one_line(f"no verdict: {error}")
        if self._live is None:
            self._line(f"{read_at} {said}")
        else:
            self._draw(Text.assemble(f"{self._foot(read_at)}\n", (said, "bold yellow")))

    def _foot(self, read_at: str) -> str:
        return f"{self._title}: read at {read_at}, again every {self._seconds} seconds; Ctrl-C ends"

    def _draw(self, text: Text) -> None:
        assert self._live is not None
        self._live.update(text, refresh=True)

    def _line(self, text: str) -> None:
        indent = text[: len(text) - len(text.lstrip(" "))]
        self._console.print(f"{self._title}: {indent}{one_line(text)}", soft_wrap=True)


def watch(read: Callable[[], Run], screen: Watching, pause: Callable[[], None]) -> NoReturn:
    """Shows one reading after the other until KeyboardInterrupt; then `screen.last` is what counts."""
    while True:
        try:
            run = read()
        except ValidatorError as error:
            screen.failed(error)
        else:
            screen.show(run)
        pause()


def _in_a_line(run: Run) -> str:
    data = document(run)
    counts, servers = data["counts"], data["servers"]
    parts = [
        f"{data['verdict']}: {counts['violated']} violated, {counts['unknown']} unknown, "
        f"{counts['waived']} waived, {counts['holds']} hold"
    ]
    if servers is not None:
        lower, upper = servers["protected"]["lower"], servers["protected"]["upper"]
        recoverable = f"{lower}" if lower == upper else f"{lower} to {upper}"
        parts.append(f"{recoverable} recoverable from the target")
        parts += [f"{count} {name}" for name, count in servers["standings"].items() if count]
    return "; ".join(parts)
