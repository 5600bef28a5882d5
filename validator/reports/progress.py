"""Progress on stderr: a live line on a terminal, one plain line a step anywhere else."""

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.status import Status

_SHOWN = {"apply_start", "apply_complete", "apply_errored"}


class Progress:
    """Shows which step of a command runs; a context manager, silent after its end."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        """Shows nothing where `quiet`: something else shows what goes on."""
        self._title = title
        self._console = Console(file=sys.stderr, highlight=False, markup=False, quiet=quiet)
        self._live: Status | None = None
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._console.quiet:
            self._live = self._console.status(self._title)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
        if self._bars is not None:
            self._bars.stop()

    def count(self, what: str, done: int, total: int) -> None:
        """Shows a bar for what is counted, on a terminal; elsewhere one line when it is through."""
        if self._live is None:
            if done == total and total:
                self._console.print(f"{self._title}: {what} {done} of {total}", soft_wrap=True)
            return
        if self._bars is None:
            self._live.stop()
            self._bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._bars.start()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(f"{self._title}: {what}", total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)

    def step(self, message: str) -> None:
        """Says which step begins."""
        if self._live is not None:
            self._live.update(f"{self._title}: {message}")
        else:
            self._console.print(f"{self._title}: {message}", soft_wrap=True)

    def event(self, event: Mapping[str, Any]) -> None:
        """Shows one event of Terraform's machine-readable output, where it means progress."""
        message = event.get("@message")
        if not isinstance(message, str):
            return
        if self._live is not None:
            self._live.update(f"{self._title}: {message[:100]}")
        elif event.get("type") in _SHOWN and ".data." not in message:
            self._console.print(f"  {message}", soft_wrap=True)
