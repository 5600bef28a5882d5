"""`evidence` as a person runs it: made of real runs, checked, and refused where it says nothing."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
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
from validator.cloud import Cloud
from validator.project import Env
from validator.sources import tfvars
from validator.sources.tfvars import Declared

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
    assert main(["evidence", "staging"]) == 2
    said = capsys.readouterr().out
    assert "NOT OF REAL ACCOUNTS: plan did not run on AWS" in said and "say --embedded" in said
    assert main(["evidence", "staging", "--embedded"]) == 0
    said = capsys.readouterr().out
    assert "NOT OF REAL ACCOUNTS: plan did not run on AWS" in said and "say --embedded" not in said
    assert main(["evidence", "--check", str(FILE)]) == 0
    assert "NOT OF REAL ACCOUNTS: plan did not run on AWS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ([], 2, "stale verify: it read the accounts on"),
        (["--days", "40"], 2, "40 are allowed"),
        (["--days", "41"], 0, "Outcome: holds"),
    ],
)
def test_a_verification_of_long_ago_is_stale(
    here: Env, capsys: pytest.CaptureFixture[str], options: list[str], status: int, said: str
) -> None:
    for command, cloud in (("check", "no AWS"), ("plan", AWS), ("verify", AWS)):
        leave(here, command, "holds", cloud)
    record = here.build("verify") / "record.json"
    then = datetime.combine(date.today() - timedelta(41), time(), UTC).isoformat()
    record.write_text(json.dumps({**json.loads(record.read_text()), "started": then}))
    assert main(["evidence", "staging", *options]) == status
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("command", ["check", "plan", "gate", "verify"])
def test_an_edit_after_the_env_was_read_is_one_while_it_ran(
    here: Env, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """The record has the inputs as they were before the first of them was read."""
    file = here.root / TFVARS
    before, read = project.digest(file), tfvars.read

    def edited(folder: Path) -> Declared:
        declared = read(folder)
        edit(file, "drill_days             = 180", "drill_days             = 90")
        return declared

    monkeypatch.setattr(tfvars, "read", edited)
    monkeypatch.setenv("CLOUD", "nowhere")  # ends all but check before anything else is read
    main([command, "staging"])
    folder = here.build("plan" if command == "gate" else command)
    record = json.loads((folder / "record.json").read_text())
    assert record["inputs"][str(TFVARS)] == before != project.digest(file)


def test_apply_plans_nothing_that_was_edited_after_it_was_read(
    here: Env, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def opened(*_: object) -> Iterator[Cloud]:
        edit(here.root / TFVARS, "drill_days             = 180", "drill_days             = 90")
        yield Cloud(AWS, "aws", {}, None)

    monkeypatch.setattr("validator.cloud.opened", opened)
    assert main(["apply", "staging"]) == 2
    assert f"{TFVARS}: was changed while this ran" in capsys.readouterr().err


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
    ("days to check", ["--check", "e.zip", "--days", "5"], "not for --check"),
    ("an embedded AWS to check", ["--check", "e.zip", "--embedded"], "not for --check"),
    ("an env that is not there", ["nowhere"], "There is no env 'nowhere'"),
]


@pytest.mark.parametrize(("arguments", "said"), [u[1:] for u in USAGE], ids=[u[0] for u in USAGE])
def test_bad_usage(
    here: Env, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["evidence", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("days", ["-1", "x", "1.5", "10000", "\u0663", ""])
def test_days_that_are_none_are_refused(capsys: pytest.CaptureFixture[str], days: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["evidence", "staging", f"--days={days}"])
    assert ended.value.code == 2
    assert "must be 0 to 9999 days" in capsys.readouterr().err


@pytest.mark.slow
def test_of_a_real_plan_and_a_real_verification(
    checkout: Path,
    called: Validator,
    applied_here: Embedded,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Of an estate without its servers, on the embedded AWS: violated, and said to be of no account."""
    assert called("check", "staging").returncode == 0
    assert called("verify", "staging").returncode == 1
    done = called("evidence", "staging", "--format", "json")
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
    done = called("evidence", "--check", str(moved), "--manifest-hash", printed["manifest_sha256"])
    assert done.returncode == 0
    assert "NOT OF REAL ACCOUNTS: plan, verify" in done.stdout
