"""The page on `size`: its example is what the command prints, its columns are those that are read."""

import json
import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES
from validator.cli import main
from validator.sizing import WHY
from validator.sources import inventory

PAGE = (PAGES.parent / "size.md").read_text()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "terraform/envs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(kind: str) -> list[str]:
    every = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [text for its, text in every if its == kind]


def test_the_first_example_prints_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    command = blocks("sh")[0].split()[1:]
    assert main(command) == 0
    assert blocks("")[0] in capsys.readouterr().out


def test_the_inventory_of_the_page_is_read(here: Path) -> None:
    (here / "servers.csv").write_text(blocks("csv")[0])
    assert main([*blocks("sh")[1].split()[1:], "--headroom", "0"]) == 0
    accounts = json.loads((here / "build/size/report.json").read_text())["accounts"]
    assert [each["servers"] for each in accounts] == [1, 1]
    shown = json.loads(blocks("json")[0])
    assert set(shown) <= set(accounts[1])


def test_every_column_and_statement_is_explained() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert dict(rows) == inventory.COLUMNS
    assert set(re.findall(r"`([a-z]+(?:-[a-z]+){2,})`", PAGE.split("## What is judged")[1])) >= set(
        WHY
    )
