"""The page on evidence says what an archive holds and how its reports stand."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES
from tests.test_evidence import collected, whole
from validator import cli, project, records
from validator.records import Status

PAGE = (PAGES.parent / "evidence.md").read_text()
ROWS = re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE)


def test_every_status_is_explained() -> None:
    assert [row for row in ROWS if row.strip("`") in set(Status)] == [
        f"`{each}`" for each in Status
    ]


def test_every_member_is_explained(tmp_path: Path) -> None:
    (tmp_path / "terraform/envs/staging").mkdir(parents=True)
    env = project.find("staging", tmp_path)
    whole(env)
    named = {each for row in ROWS for each in re.findall(r"`([a-z.]+/?)`", row)} - set(Status)
    members = {
        each if "/" not in each else f"{each.split('/')[0]}/" for each in collected(env).members
    }
    assert named == members | {"manifest.json"}
    assert set(records.COMMANDS) == {each.strip("/") for each in named if each.endswith("/")}


@pytest.mark.parametrize(
    "option", ["--check", "--manifest-hash", "--output", "--format", "--days", "--embedded"]
)
def test_every_option_is_explained(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert option in PAGE
    with pytest.raises(SystemExit):
        cli.main(["evidence", "--help"])
    assert option in capsys.readouterr().out
