"""What a command knows of its last run: read before it is removed, and never trusted."""

import json
from pathlib import Path

import pytest

from tests.reports.html.parsed import Node, parse
from validator.cli import main
from validator.commands import reporting
from validator.model import Unknown
from validator.project import Env
from validator.reports import base

TFVARS = Path("terraform/envs/staging/estate.auto.tfvars")


@pytest.fixture
def here(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(checkout)
    return checkout / "build/staging/check"


def changed(here: Path, status: int = 0) -> str:
    """What the page says of the last run, after another run."""
    assert main(["check", "staging", "--output", "/dev/null"]) == status
    page: Node = parse((here / "report.html").read_text())
    return page.one("section", class_="changed").text


def test_each_run_is_compared_with_the_last_one(here: Path) -> None:
    assert "no report of an earlier run is there" in changed(here)
    said = changed(here)
    assert "0 new, 0 as before, 0 that hold now, 0 no longer judged." in said
    assert "The capacity is the same." in said
    text = TFVARS.read_text()
    TFVARS.write_text(text.replace("= 300", "= 301", 1))
    said = changed(here, status=1)
    assert "account-replicates-within-quota" in said
    assert "300 → 301 of 300" in said


@pytest.mark.parametrize(
    "content",
    [b"", b'{"schema_version": 1, "env"', b"[]", b"\xff\xfe", b"[" * 100_000, b'{"a": 1e999}'],
    ids=["empty", "truncated", "a list", "no text", "deep", "no number"],
)
def test_a_last_report_that_is_none_is_said_so(here: Path, content: bytes) -> None:
    here.mkdir(parents=True)
    (here / "report.json").write_bytes(content)
    said = changed(here)
    assert "The last run could not be compared: " in said
    assert "the same" not in said
    assert str(here.parents[2]) not in said


def test_a_report_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "LARGEST", 10)
    env = Env(tmp_path, "staging")
    file = env.build("check") / "report.json"
    file.write_text(json.dumps({"env": "staging"}))
    earlier = reporting.begun(env, "check")
    assert isinstance(earlier, Unknown) and "larger" in earlier.reason
    assert not file.exists()


def test_a_folder_in_its_place_is_no_report(tmp_path: Path) -> None:
    env = Env(tmp_path, "staging")
    (env.build("check") / "report.json").mkdir()
    assert isinstance(reporting.begun(env, "check"), Unknown)
