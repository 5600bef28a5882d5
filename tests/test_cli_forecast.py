"""`forecast` on the command line: from what `verify` kept to its status and its reports."""

import json
import shutil
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.conftest import ROOT, STAGING, TARGET
from tests.test_history import NOW
from validator import history
from validator.cli import main
from validator.commands import forecast
from validator.history import Count, Verified
from validator.project import Env

SCHEMA = json.loads(
    resources.files("validator.reports").joinpath("forecast.schema.json").read_text()
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that the command runs in."""
    shutil.copytree(ROOT / "terraform", tmp_path / "terraform")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(forecast, "_now", lambda: NOW)
    return tmp_path


def keep(here: Path, *counts: tuple[int, int], cloud: str = "aws", every: int = 7) -> None:
    env = Env(here, "staging")
    for number, (target, staging) in enumerate(counts):
        at = NOW - timedelta(days=every * (len(counts) - 1 - number))
        accounts = (Count(TARGET, target, 300), Count(STAGING, staging, 300))
        history.kept(env, Verified(at, "staging", cloud, accounts, target + staging, 4000))


def run(here: Path, *arguments: str) -> tuple[int, Any]:
    status = main(["forecast", "staging", *arguments])
    report = here / "build/staging/forecast/report.json"
    return status, json.loads(report.read_text()) if report.exists() else None


def test_nothing_was_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(here) == (2, None)
    assert "no verification was kept yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        pytest.param([(100, 100), (100, 101), (100, 102)], 0, id="slow growth"),
        pytest.param([(100, 200), (100, 240), (100, 280)], 1, id="a wall in four days"),
        pytest.param([(100, 200), (100, 240)], 2, id="too few"),
        pytest.param([(100, 300), (100, 300), (100, 300)], 0, id="full, and steady"),
    ],
)
def test_the_status(here: Path, counts: list[tuple[int, int]], status: int) -> None:
    keep(here, *counts)
    got, report = run(here)
    assert got == status
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert report["verdict"] == {0: "holds", 1: "violated", 2: "unknown"}[status]


def test_what_is_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(here, (286, 272), (293, 279), (300, 286))
    assert run(here, "--lead-days", "60", "--order-days", "0")[0] == 1
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines()]
    assert ["staging-1", "286", "+30.0", "300", "2026-12-12", "300", "2026-12-12"] in rows
    assert "Order a staging account by 2026-11-28: it is needed on 2026-12-05." in shown
    assert (here / "build/staging/forecast/report.txt").read_text() == shown


def test_json_is_shown_and_written_elsewhere(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(here, (1, 1), (1, 1), (1, 1))
    _, report = run(here, "--format", "json")
    assert json.loads(capsys.readouterr().out) == report
    run(here, "--output", "there.txt")
    assert capsys.readouterr().out == ""
    assert "Verdict: holds" in (here / "there.txt").read_text()


def test_an_account_that_was_never_verified_is_unknown(here: Path) -> None:
    env = Env(here, "staging")
    for days in (14, 7, 0):
        accounts = (Count(TARGET, 5, 300), Count("9" * 12, 5, 300))
        history.kept(
            env, Verified(NOW - timedelta(days=days), "staging", "aws", accounts, 10, 4000)
        )
    status, report = run(here)
    assert status == 2
    assert report["accounts"][1]["growth"] is None
    assert "999999999999" in report["notes"][0]


def test_another_aws_counts_other_servers(here: Path) -> None:
    keep(here, (1, 1), (1, 1), (1, 1), cloud="embedded x", every=8)
    keep(here, (1, 1), (1, 1), (2, 2))
    _, report = run(here)
    assert report["verifications"] == 3
    assert "on another AWS" in report["notes"][0]


def test_what_was_kept_elsewhere(here: Path) -> None:
    keep(here, (1, 1), (1, 1), (1, 1))
    (here / "build/staging/history/verify.jsonl").rename(here / "kept.jsonl")
    assert run(here, "--history", "kept.jsonl", "--history", "kept.jsonl")[0] == 0


def test_an_account_that_was_denied_last_is_unknown(here: Path) -> None:
    for days, staging in ((15, 1), (8, 1), (1, 1), (0, None)):
        accounts = (Count(TARGET, 1, 300), Count(STAGING, staging, 300))
        at = NOW - timedelta(days=days)
        history.kept(Env(here, "staging"), Verified(at, "staging", "aws", accounts, 2, 4000))
    status, report = run(here)
    assert status == 2
    assert [each["growth"] is None for each in report["accounts"]] == [False, True]
    assert (report["estate"]["growth"], report["orders"]) == (None, [])


def test_a_line_that_is_damaged_leaves_no_report(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(here, (1, 1), (1, 1), (1, 1))
    assert run(here)[0] == 0
    with (here / "build/staging/history/verify.jsonl").open("a") as file:
        file.write('{"at": "2026')
    assert run(here) == (2, None)
    assert "verify.jsonl:4: is no verification" in capsys.readouterr().err


@pytest.mark.parametrize("days", ["-1", "x", "99999", "1.5"])
def test_what_is_no_number_of_days(here: Path, days: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["forecast", "staging", "--lead-days", days])
    assert ended.value.code == 2
