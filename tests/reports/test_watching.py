"""Watching an estate: every reading is shown as it came out, and the last one is what counts."""

import contextlib
import io
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.reports import runs
from tests.reports.html import runs as pages
from validator.errors import AccountError, ValidatorError
from validator.findings import Finding, Verdict
from validator.reports import Run
from validator.reports.watching import Watching, watch

HOLDS = runs.run(findings=runs.FINDINGS[:1])
BREAKS = runs.run(findings=runs.FINDINGS[:2])
DENIED = AccountError("staging-1: access denied\x1b[2J")


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("no file")


def watched(*readings: Run | ValidatorError | type[BaseException]) -> Run | ValidatorError | None:
    """What counts after these readings and Ctrl-C."""
    left: Iterator[Run | ValidatorError | type[BaseException]] = iter(readings)
    paused = 0

    def read() -> Run:
        reading = next(left)
        if isinstance(reading, Run):
            return reading
        raise reading

    def pause() -> None:
        nonlocal paused
        paused += 1
        if paused == len(readings):
            raise KeyboardInterrupt

    screen = Watching("verify staging", 30, lambda: "12:00:00")
    with contextlib.suppress(KeyboardInterrupt), screen:
        watch(read, screen, pause)
    return screen.last


@pytest.mark.parametrize(
    ("readings", "counts"),
    [
        ((HOLDS,), HOLDS),
        ((BREAKS, HOLDS), HOLDS),
        ((HOLDS, BREAKS), BREAKS),
        ((HOLDS, DENIED), DENIED),
        ((DENIED, HOLDS), HOLDS),
        ((HOLDS, KeyboardInterrupt), HOLDS),
        ((DENIED, KeyboardInterrupt), DENIED),
        ((KeyboardInterrupt,), None),
    ],
    ids=["one", "mended", "broken", "failed after it held", "read again", "interrupted while it read", "interrupted after it failed", "interrupted before any"],
)  # fmt: skip
def test_the_last_reading_counts_and_a_failed_one_is_none_that_held(
    readings: tuple[Run, ...], counts: Run | None
) -> None:
    assert watched(*readings) is counts


def test_an_error_that_is_no_reading_ends_it() -> None:
    with pytest.raises(RuntimeError):
        watched(HOLDS, RuntimeError)


def test_each_reading_is_a_line_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    watched(HOLDS, BREAKS, DENIED, BREAKS)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "verify staging: reading the accounts every 30 seconds until Ctrl-C",
        "verify staging: 12:00:00 holds: 0 violated, 0 unknown, 0 waived, 1 hold",
        "verify staging: 12:00:00 violated: 1 violated, 0 unknown, 0 waived, 1 hold",
        "verify staging:   new: violated account-replicates-within-quota of staging-1",
        r"verify staging: 12:00:00 no verdict: staging-1: access denied\u001b[2J",
        "verify staging: 12:00:00 violated: 1 violated, 0 unknown, 0 waived, 1 hold",
    ]


def test_a_line_of_live_accounts_says_how_the_servers_stand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    live = pages.large()
    few: tuple[Finding, ...] = live.verdict.findings[:2]
    watched(replace(live, verdict=replace(live.verdict, findings=few)))
    line = capsys.readouterr().err.splitlines()[-1]
    assert " recoverable from the target; " in line and " missing" in line


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What was sent to a terminal on which these readings were watched."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("LINES", "60")

    def shown(*readings: Run | ValidatorError) -> str:
        tty = Tty()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stderr", tty)
            watched(*readings)
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-IK-Z]", "", tty.getvalue())

    return shown


def test_a_terminal_shows_the_estate_with_its_bars(terminal: Callable[..., str]) -> None:
    shown = terminal(BREAKS)
    assert "305/300   █████████!" in shown
    assert "unknown/300   ??????????" in shown
    assert "account-replicates-within-quota: 1" in shown
    assert "read at 12:00:00, again every 30 seconds; Ctrl-C ends" in shown


def drawn(monkeypatch: pytest.MonkeyPatch, run: Run, lines: int, columns: int = 110) -> list[str]:
    """The lines that a terminal of that size has on it after a reading, before the screen is gone."""
    for name, value in (("TERM", "xterm"), ("COLUMNS", columns), ("LINES", lines)):
        monkeypatch.setenv(name, str(value))
    tty = Tty()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", tty)
        with Watching("verify staging", 30, lambda: "12:00:00") as screen:
            before = len(tty.getvalue())
            screen.show(run)
            shown = tty.getvalue()[before:]
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", shown).strip("\n").split("\n")


MANY = replace(
    pages.large(),
    verdict=Verdict(
        tuple(
            runs.found(
                f"invariant-{n:02}", "capacity", "target", "unknown" if n % 2 else "violated"
            )
            for n in range(40)
        )
    ),
)
"""A live estate of 14 accounts that 40 invariants do not hold for."""


@pytest.mark.parametrize("columns", [80, 110, 200])
@pytest.mark.parametrize("run", [pages.large(), MANY], ids=["few invariants", "many invariants"])
def test_an_ordinary_terminal_has_verdict_time_and_findings_of_14_accounts(
    monkeypatch: pytest.MonkeyPatch, run: Run, columns: int
) -> None:
    lines = drawn(monkeypatch, run, 24, columns)
    assert len(lines) <= 24, "the terminal would scroll, or the screen be cropped"
    top = "\n".join(lines[:5])
    assert "Verdict: violated" in top
    assert "read at 12:00:00, again every 30 seconds; Ctrl-C ends" in top
    assert any(line.startswith("violated ") for line in lines)
    text = " ".join(lines)
    assert "of the estate's capacity of" in text and "Recoverable from the target: " in text


def test_rows_that_do_not_fit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = drawn(monkeypatch, pages.large(), 24)
    rows = [line for line in lines if re.match(r" *(target|staging-\d+) +\d{12}", line)]
    assert 0 < len(rows) < 14
    assert lines[-1].strip() == f"{14 - len(rows)} more accounts are not shown."


def test_where_all_fits_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = drawn(monkeypatch, pages.large(), 60)
    assert len([line for line in lines if re.match(r" *(target|staging-\d+) +\d{12}", line)]) == 14
    assert "not shown" not in "\n".join(lines)


def test_invariants_that_do_not_fit_are_counted_and_violated_ones_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = drawn(monkeypatch, MANY, 24)
    found = [line for line in lines if "invariant-" in line]
    assert all(line.startswith("violated ") for line in found)
    assert f"{40 - len(found)} more invariants that do not hold are not shown." in map(
        str.strip, lines
    )
    assert lines[-1].strip() == "14 more accounts are not shown."


@pytest.mark.parametrize("height", [1, 2, 5, 8, 12])
def test_a_tiny_terminal_has_what_counts_first(
    monkeypatch: pytest.MonkeyPatch, height: int
) -> None:
    lines = drawn(monkeypatch, MANY, height)
    assert len(lines) <= height
    assert ("Verdict: violated" in "\n".join(lines)) == (height > 1)


def test_thousands_of_new_findings_are_counted_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    watched(HOLDS, MANY)
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if " new: " in line]) == 21
    assert lines[-1] == "verify staging:   new: 20 more; Ctrl-C ends with the report of all"


def test_a_terminal_shows_a_failed_reading_and_not_the_one_before(
    terminal: Callable[..., str],
) -> None:
    shown = terminal(HOLDS, DENIED)
    _, _, after = shown.partition("no verdict: staging-1: access denied")
    assert after and "Verdict: " not in after and "\x1b[2J" not in shown
