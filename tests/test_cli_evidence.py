"""`evidence` as a person runs it: made of real runs, checked, and refused where it says nothing."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.conftest import Embedded, Validator
from tests.test_cli import TFVARS, edit
from tests.test_evidence import AWS, EMBEDDED, SCHEMA
from tests.test_records import leave
from validator import project
from validator.cli import main
from validator.project import Env

FILE = Path("build/staging/evidence/evidence.zip")


@pytest.fixture
def here(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Env:
    """Env staging of a checkout that is the working directory."""
    monkeypatch.chdir(checkout)
    return project.find("staging", checkout)


def made(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main(["evidence", "staging", "--format", "json", *arguments])
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    jsonschema.validate(printed["summary"], SCHEMA)
    return status, printed


def statuses(printed: dict[str, Any]) -> dict[str, str]:
    return {name: each["status"] for name, each in printed["summary"]["commands"].items()}


def test_of_nothing_is_no_verdict_and_written_all_the_same(
    here: Env, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evidence", "staging"]) == 2
    said = capsys.readouterr().out
    for command in ("check", "plan", "verify"):
        assert f"missing {command}: it left no report; run `validator {command} staging`" in said
    assert "Outcome: unknown" in said
    assert zipfile.is_zipfile(FILE)


def test_a_real_check_is_current_until_its_input_changes(
    here: Env, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "staging"]) == 0
    capsys.readouterr()
    status, printed = made(capsys)
    assert (status, statuses(printed)["check"]) == (2, "current")
    assert printed["summary"]["commands"]["check"]["counts"]["holds"] > 100
    edit(here.root / TFVARS, "drill_days             = 180", "drill_days             = 90")
    _, printed = made(capsys)
    assert statuses(printed)["check"] == "stale"
    assert f"{TFVARS} (changed) since" in printed["summary"]["commands"]["check"]["reasons"][0]


def test_a_check_that_fails_leaves_nothing_of_the_one_before(
    here: Env, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(here, "check")
    (here.root / TFVARS).write_text("target = {")
    assert main(["check", "staging"]) == 2
    capsys.readouterr()
    assert statuses(made(capsys)[1])["check"] == "missing"


@pytest.mark.parametrize(("verdict", "status"), [("holds", 0), ("violated", 1), ("unknown", 2)])
def test_its_status_is_that_of_the_reports(
    here: Env, capsys: pytest.CaptureFixture[str], verdict: str, status: int
) -> None:
    for command, cloud in (("check", "no AWS"), ("plan", AWS), ("verify", AWS)):
        leave(here, command, verdict if command == "verify" else "holds", cloud)
    assert main(["evidence", "staging"]) == status
    assert "NOT OF REAL ACCOUNTS" not in capsys.readouterr().out


def test_an_embedded_aws_is_said_loudly(here: Env, capsys: pytest.CaptureFixture[str]) -> None:
    for command, cloud in (("check", "no AWS"), ("plan", EMBEDDED), ("verify", AWS)):
        leave(here, command, "holds", cloud)
    assert main(["evidence", "staging"]) == 0
    assert "NOT OF REAL ACCOUNTS: plan did not run on AWS" in capsys.readouterr().out
    assert main(["evidence", "--check", str(FILE)]) == 0
    assert "NOT OF REAL ACCOUNTS: plan did not run on AWS" in capsys.readouterr().out


def test_a_missing_terraform_is_told_as_not_there(
    here: Env, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    _, printed = made(capsys)
    assert printed["summary"]["versions"]["terraform"] is None
    assert printed["summary"]["git"]["reason"] == "there is no `git` on PATH"
    lock = (here.directory / ".terraform.lock.hcl").read_text()
    assert f'version     = "{printed["summary"]["versions"]["provider"]}"' in lock


def test_it_is_checked_with_and_without_the_digest_kept(
    here: Env, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = here.root / "kept.zip"
    _, printed = made(capsys, "--output", str(elsewhere))
    assert not FILE.exists()
    assert main(["evidence", "--check", str(elsewhere)]) == 0
    assert "proves only that its parts belong together" in capsys.readouterr().out
    digest = printed["manifest_sha256"]
    assert main(["evidence", "--check", str(elsewhere), "--manifest-hash", digest.upper()]) == 0
    said = capsys.readouterr().out
    assert "kept.zip: is unchanged." in said and "not signed" not in said
    assert main(["evidence", "--check", str(elsewhere), "--manifest-hash", "0" * 64]) == 1
    assert f"its SHA-256 is {digest}, not the one given" in capsys.readouterr().out
    assert main(["evidence", "--check", str(elsewhere), "--format", "json"]) == 0
    assert not json.loads(capsys.readouterr().out)["known_manifest"]


def test_one_cut_short_is_no_verdict(here: Env, capsys: pytest.CaptureFixture[str]) -> None:
    made(capsys)
    FILE.write_bytes(FILE.read_bytes()[:-100])
    assert main(["evidence", "--check", str(FILE)]) == 2
    assert f"{FILE}: is no whole archive of evidence" in capsys.readouterr().err


def test_a_new_one_that_fails_leaves_no_old_one(
    here: Env, capsys: pytest.CaptureFixture[str]
) -> None:
    made(capsys)
    assert main(["evidence", "staging", "--output", "no/such/folder/e.zip"]) == 2
    assert "no/such/folder" in capsys.readouterr().err
    assert not FILE.exists()


USAGE = [
    ("neither env nor archive", [], "Name the env"),
    ("both", ["staging", "--check", "e.zip"], "Name the env"),
    ("a digest to make", ["staging", "--manifest-hash", "0" * 64], "goes with --check"),
    ("a digest that is none", ["--check", "e.zip", "--manifest-hash", "xyz"], "64 digits"),
    ("an output to check", ["--check", "e.zip", "--output", "o"], "not for --check"),
    ("an archive that is not there", ["--check", "nowhere.zip"], "nowhere.zip: is no file"),
    ("a folder", ["--check", "terraform"], "terraform: is no file"),
    ("an env that is not there", ["nowhere"], "There is no env 'nowhere'"),
]


@pytest.mark.parametrize(("arguments", "said"), [u[1:] for u in USAGE], ids=[u[0] for u in USAGE])
def test_bad_usage(
    here: Env, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["evidence", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_of_a_real_plan_and_a_real_verification(
    checkout: Path,
    validator: Validator,
    applied_here: Embedded,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Of an estate without its servers, on the embedded AWS: violated, and said to be of no account."""
    assert validator("check", "staging").returncode == 0
    assert validator("verify", "staging").returncode == 1
    done = validator("evidence", "staging", "--format", "json")
    assert done.returncode == 1, done.stderr
    printed = json.loads(done.stdout)
    jsonschema.validate(printed["summary"], SCHEMA)
    assert statuses(printed) == {"check": "current", "plan": "current", "verify": "current"}
    commands = printed["summary"]["commands"]
    assert {name: each["verdict"] for name, each in commands.items()} == {"check": "holds", "plan": "holds", "verify": "violated"}  # fmt: skip
    assert not commands["plan"]["real_accounts"] and not commands["verify"]["real_accounts"]
    assert commands["plan"]["versions"]["terraform"] == printed["summary"]["versions"]["terraform"]
    with zipfile.ZipFile(checkout / FILE) as archive:
        assert "plan/report.json" in archive.namelist()
        assert not [n for n in archive.namelist() if "tfplan" in n or n == "plan/plan.json"]
    moved = tmp_path_factory.mktemp("auditor") / "evidence.zip"
    shutil.copy(checkout / FILE, moved)
    done = validator(
        "evidence", "--check", str(moved), "--manifest-hash", printed["manifest_sha256"]
    )
    assert done.returncode == 0
    assert "NOT OF REAL ACCOUNTS: plan, verify" in done.stdout
