"""The benchmark of `check` measures envs that all hold, and its page can be written again."""

from pathlib import Path

import pytest

from benchmarks import check
from tests.conftest import run_validator


@pytest.mark.slow
def test_the_envs_that_are_measured_hold(tmp_path: Path) -> None:
    check.estates(tmp_path, 3)
    done = run_validator(tmp_path, "check", "--all")
    assert done.returncode == 0, done.stdout
    assert all(f"env-{number:02}" in done.stdout for number in (1, 2, 3))


def test_the_page_keeps_what_stands_around_the_figures() -> None:
    once = check.written([("one", "1 s", "at most 2 s")], "a machine")
    before, after = check.PAGE.read_text().split(check.MARKS[0])[0], once.split(check.MARKS[1])[1]
    assert once.startswith(before) and check.PAGE.read_text().endswith(after)
    assert "| one | 1 s | at most 2 s |" in once


def test_the_page_names_the_command() -> None:
    assert f"benchmarks/{Path(check.__file__).name}" in check.PAGE.read_text()
