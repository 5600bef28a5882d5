"""The browser for the tests of pages: found where it is, fetched where it is not, and never pretended."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import browser


def put(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


ABSENT: Any = SimpleNamespace(chromium=SimpleNamespace(executable_path="/nowhere/chrome"))
"""A Playwright that has fetched no browser."""


@pytest.mark.parametrize("name", browser.NAMES)
def test_a_browser_of_the_machine_is_used(path: Path, name: str) -> None:
    put(path, name, "echo Chromium 150")
    assert browser.found(ABSENT) == str(path / name)


@pytest.mark.parametrize(
    "script", ["exit 1", "echo 'Install the snap chromium'; exit 10", "echo 7"]
)
def test_a_stub_that_only_tells_how_to_install_one_is_none(path: Path, script: str) -> None:
    put(path, "chromium", script)
    assert browser.found(ABSENT) is None


class Machine:
    """A machine that has a browser after the command that begins so, if ever."""

    def __init__(self, after: str) -> None:
        self.after = after
        self.ran: list[str] = []

    def run(self, command: Sequence[str]) -> bool:
        self.ran.append(" ".join(command))
        return True

    def look(self) -> str | None:
        return "/a/browser" if any(self.after in each for each in self.ran) else None


@pytest.mark.parametrize(
    ("after", "root", "apt", "ran", "path"),
    [
        ("", True, True, [], None),
        ("install -y", True, True, ["apt-get update", "apt-get install"], "/a/browser"),
        ("playwright", True, True, ["apt-get update", "apt-get install", "playwright install --with-deps chromium"], "/a/browser"),
        ("playwright", False, True, ["playwright install chromium"], "/a/browser"),
        ("playwright", True, False, ["playwright install --with-deps chromium"], "/a/browser"),
        ("never", True, True, ["apt-get update", "apt-get install", "playwright install"], None),
    ],
    ids=["none needed, and none found", "apt", "apt has none", "not root", "no apt", "nothing helps"],
)  # fmt: skip
def test_a_browser_is_fetched_by_what_the_machine_has(
    monkeypatch: pytest.MonkeyPatch, after: str, root: bool, apt: bool, ran: list[str], path: str | None
) -> None:  # fmt: skip
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/apt-get" if apt else None)
    machine = Machine(after or "never")
    look = machine.look if after else lambda: "/there"
    assert browser.provide(machine.run, look, root) == (path if after else "/there")
    assert len(machine.ran) == len(ran)
    for one, begins in zip(machine.ran, ran, strict=True):
        assert begins in one
