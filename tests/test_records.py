"""What a run leaves of itself: its reports are told current only for the inputs that it really read."""

import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from validator import project, records
from validator.errors import SourceError
from validator.findings import Outcome
from validator.records import Status

TODAY = datetime.now(UTC).date()
"""As the clock that records read."""


@pytest.fixture
def env(tmp_path: Path) -> project.Env:
    (tmp_path / "terraform/envs/staging").mkdir(parents=True)
    (tmp_path / "terraform/envs/staging/target.tf").write_text("# the target\n")
    (tmp_path / "terraform/modules/key").mkdir(parents=True)
    (tmp_path / "terraform/modules/key/key.tf").write_text("# a key\n")
    return project.find("staging", tmp_path)


def waived(expires: date | None) -> dict[str, Any]:
    return {
        "invariant": "keys-rotate",
        "subject": "module.key",
        "outcome": "violated",
        "waived": {
            "reason": "r",
            "owner": "o",
            "ticket": "t",
            "expires": expires and expires.isoformat(),
            "days_left": 1,
        },
    }


def report(
    env: project.Env,
    command: str,
    verdict: str = "holds",
    cloud: str = "no AWS",
    *findings: dict[str, Any],
) -> str:
    counts = {"holds": 1, "violated": 0, "unknown": 0, "waived": 0}
    return json.dumps(
        {
            "command": command,
            "env": env.name,
            "verdict": verdict,
            "cloud": cloud,
            "counts": counts,
            "notes": [],
            "findings": findings,
        }
    )


def leave(
    env: project.Env,
    command: str = "check",
    verdict: str = "holds",
    cloud: str = "no AWS",
    *findings: dict[str, Any],
) -> Path:
    """What a run of the command would leave; the folder that it is in."""
    records.begin(env, command)
    folder = env.build(command)
    (folder / "report.json").write_text(report(env, command, verdict, cloud, *findings))
    (folder / "report.txt").write_text(f"Verdict: {verdict}\n")
    records.seal(env, command, Outcome(verdict), cloud)
    return folder


def standing(env: project.Env, command: str = "check", today: date = TODAY) -> records.Standing:
    return records.standing(env, command, env.inputs(), records.versions(), today)


def test_a_run_of_the_inputs_as_they_are_is_current(env: project.Env) -> None:
    leave(env, "plan", "violated", "AWS as account 111122223333")
    found = standing(env, "plan")
    assert (found.status, found.reasons) == (Status.CURRENT, ())
    assert found.record is not None and found.files is not None
    assert (found.record.verdict, found.record.cloud) == ("violated", "AWS as account 111122223333")
    assert set(found.files) == {"record.json", "report.json", "report.txt"}
    assert set(found.record.inputs) == {
        "terraform/envs/staging/target.tf",
        "terraform/modules/key/key.tf",
    }


CHANGES: list[tuple[str, Callable[[Path], object], str]] = [
    ("a file of the env", lambda root: (root / "envs/staging/target.tf").write_text("# other\n"), "envs/staging/target.tf (changed) since"),
    ("a file of a module", lambda root: (root / "modules/key/key.tf").write_text("# other\n"), "modules/key/key.tf (changed) since"),
    ("a new waiver", lambda root: (root / "envs/staging/waivers.yaml").write_text("[]\n"), "waivers.yaml (new) since"),
    ("a file that is gone", lambda root: (root / "modules/key/key.tf").unlink(), "key.tf (removed) since"),
    ("the lock file", lambda root: (root / "envs/staging/.terraform.lock.hcl").write_text("x"), ".terraform.lock.hcl (new)"),
    ("a module that is a link", lambda root: (root / "modules/link").symlink_to(root / "envs"), "modules/link/"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_inputs_that_changed_since_make_it_stale(
    env: project.Env, change: Callable[[Path], object], said: str
) -> None:
    leave(env)
    elsewhere = env.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.tf").write_text("# linked\n")
    if "link" in said:
        (env.root / "terraform/modules/link").symlink_to(elsewhere)
    else:
        change(env.root / "terraform")
    found = standing(env)
    assert found.status is Status.STALE
    assert said in found.reasons[0] and "run `validator check staging`" in found.reasons[0]


def test_inputs_that_changed_while_it_ran_make_it_stale(env: project.Env) -> None:
    file = env.directory / "target.tf"
    before = file.read_text()
    records.begin(env, "check")
    (env.build("check") / "report.json").write_text(report(env, "check"))
    file.write_text("# another\n")
    records.seal(env, "check", Outcome.HOLDS, "no AWS")
    file.write_text(before)
    assert "target.tf (changed) while it ran" in standing(env).reasons[0]


def test_another_validator_makes_it_stale(
    env: project.Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(env)
    monkeypatch.setattr(records, "own_digest", lambda: "0" * 64)
    assert "the validator itself" in standing(env).reasons[0]


PROGRAMS: list[tuple[str, dict[str, str | None], str]] = [
    ("another library", {"boto3": "0.1"}, ", and is 0.1 now"),
    ("one that is gone", {"boto3": "not installed"}, ", and is not installed now"),
    ("another Terraform", {"terraform": "1.12.0"}, "terraform was 1.11.4, and is 1.12.0 now"),
    ("a Terraform that is not there", {"terraform": None}, "terraform was 1.11.4, and is not there now"),
]  # fmt: skip


@pytest.mark.parametrize(("now", "said"), [p[1:] for p in PROGRAMS], ids=[p[0] for p in PROGRAMS])
def test_a_program_of_another_version_makes_it_stale_by_name(
    env: project.Env, now: dict[str, str | None], said: str
) -> None:
    leave(env, "plan")
    rewrite(lambda data: data["versions"].update(terraform="1.11.4"))(env.build("plan"))
    as_then = {**records.versions(), "terraform": "1.11.4"}
    versions = (as_then, {**as_then, **now}, {**as_then, "checkov": "3"})
    same, other, more = (
        records.standing(env, "plan", env.inputs(), each, TODAY) for each in versions
    )
    assert (same.status, more.status, other.status) == (
        Status.CURRENT, Status.CURRENT, Status.STALE,
    )  # fmt: skip
    (reason,) = other.reasons
    assert next(iter(now)) in reason and said in reason


@pytest.mark.parametrize(
    ("command", "age", "days", "status"),
    [
        pytest.param("verify", 30, 30, Status.CURRENT, id="as old as it may be"),
        pytest.param("verify", 31, 30, Status.STALE, id="a day older"),
        pytest.param("plan", 31, 30, Status.STALE, id="a plan reads the accounts too"),
        pytest.param("check", 9999, 30, Status.CURRENT, id="a check reads the code alone"),
        pytest.param("verify", 3, 2, Status.STALE, id="fewer days are allowed"),
        pytest.param("verify", 31, 90, Status.CURRENT, id="more days are allowed"),
        pytest.param("verify", -1, 30, Status.CURRENT, id="the next day, in UTC"),
        pytest.param("verify", -2, 30, Status.STALE, id="yet to come"),
    ],
)
def test_what_was_read_in_the_accounts_gets_old(
    env: project.Env, command: str, age: int, days: int, status: Status
) -> None:
    leave(env, command)
    began = datetime.now(UTC) - timedelta(age)
    rewrite(lambda data: data.update(started=began.isoformat()))(env.build(command))
    found = records.standing(
        env, command, env.inputs(), records.versions(), datetime.now(UTC).date(), days
    )
    assert found.status is status
    assert all(f"it read the accounts on {began.date()}" in each for each in found.reasons)


@pytest.mark.parametrize(
    ("days", "status"), [(-1, Status.STALE), (0, Status.CURRENT), (None, Status.CURRENT)]
)
def test_a_waiver_that_ended_since_makes_it_stale(
    env: project.Env, days: int | None, status: Status
) -> None:
    expires = None if days is None else TODAY + timedelta(days)
    leave(env, "check", "holds", "no AWS", waived(expires), waived(expires))
    found = standing(env)
    assert found.status is status
    assert len(found.reasons) == (status is Status.STALE), "one waiver of two findings is said once"


def test_a_link_to_a_folder_above_ends(env: project.Env) -> None:
    (env.directory / "loop").symlink_to(env.root / "terraform")
    assert "terraform/envs/staging/target.tf" in env.inputs()


def rewrite(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def changed(folder: Path) -> None:
        data = json.loads((folder / "record.json").read_text())
        change(data)
        (folder / "record.json").write_text(json.dumps(data))

    return changed


SPOILT: list[tuple[str, Callable[[Path], object], Status, str]] = [
    ("never run", lambda f: [each.unlink() for each in f.iterdir()], Status.MISSING, "left no report"),
    ("killed before its end", rewrite(lambda d: d.update(reports=None)), Status.MISSING, "did not end"),
    ("no record", lambda f: (f / "record.json").unlink(), Status.BROKEN, "no record of their inputs"),
    ("an edited report", lambda f: (f / "report.json").write_text("{}"), Status.BROKEN, "report.json was changed"),
    ("a report that is gone", lambda f: (f / "report.txt").unlink(), Status.BROKEN, "report.txt is not there"),
    ("a report put there by hand", lambda f: (f / "report.pdf").write_text(""), Status.BROKEN, "report.pdf is not of the run"),
    ("a folder for a report", lambda f: [(f / "report.txt").unlink(), (f / "report.txt").mkdir()], Status.BROKEN, "report.txt is not there"),
    ("an empty record", lambda f: (f / "record.json").write_text(""), Status.BROKEN, "is not JSON"),
    ("half a record", lambda f: (f / "record.json").write_text('{"command":'), Status.BROKEN, "is not JSON"),
    ("a record of bytes", lambda f: (f / "record.json").write_bytes(b"\xff\xfe"), Status.BROKEN, "is not JSON"),
    ("a record nested too deep", lambda f: (f / "record.json").write_text("[" * 100_000), Status.BROKEN, "is not JSON"),
    ("a list", lambda f: (f / "record.json").write_text("[]"), Status.BROKEN, "is no record"),
    ("one key more", rewrite(lambda d: d.update(more=1)), Status.BROKEN, "is no record"),
    ("inputs that are no texts", rewrite(lambda d: d.update(inputs={"a": 1})), Status.BROKEN, "is no record"),
    ("a time that is none", rewrite(lambda d: d.update(started="yesterday")), Status.BROKEN, "is no record"),
    ("a time of no zone", rewrite(lambda d: d.update(started="2026-11-28T12:00:00")), Status.BROKEN, "is no record"),
    ("a time before all times", rewrite(lambda d: d.update(started="0001-01-01T00:00:00+14:00")), Status.BROKEN, "is no record"),
    ("a version to come", rewrite(lambda d: d.update(schema_version=2)), Status.BROKEN, "is no record"),
    ("another env's record", rewrite(lambda d: d.update(env="prod")), Status.BROKEN, "check prod"),
    ("another command's record", rewrite(lambda d: d.update(command="plan")), Status.BROKEN, "plan staging"),
    ("another verdict than the report's", rewrite(lambda d: d.update(verdict="violated")), Status.BROKEN, "does not say what"),
    ("another AWS than the report's", rewrite(lambda d: d.update(cloud="AWS as account 111122223333")), Status.BROKEN, "does not say what"),
    ("reports outside the folder", rewrite(lambda d: d["reports"].update({"../../../secret": "0" * 64})), Status.BROKEN, "is not there"),
    ("no JSON report", rewrite(lambda d: d["reports"].pop("report.json")), Status.BROKEN, "report.json is not of the run"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "status", "said"), [s[1:] for s in SPOILT], ids=[s[0] for s in SPOILT]
)
def test_what_is_spoilt_carries_nothing(
    env: project.Env, spoil: Callable[[Path], object], status: Status, said: str
) -> None:
    spoil(leave(env))
    found = standing(env)
    assert found.status is status
    assert said in found.reasons[0] and "run `validator check staging`" in found.reasons[0]
    assert (found.record, found.report, found.files) == (None, None, None)


def test_a_report_that_is_too_large_is_not_read(
    env: project.Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(env)
    monkeypatch.setattr(records, "LARGEST", 10)
    assert "larger than 10 bytes" in standing(env).reasons[0]


def test_a_run_forgets_the_one_before(env: project.Env) -> None:
    leave(env)
    records.begin(env, "check")
    assert standing(env).status is Status.MISSING


def test_a_run_does_not_seal_what_another_began(env: project.Env) -> None:
    records.begin(env, "check")
    rewrite(lambda data: data.update(process=os.getpid() + 1))(env.build("check"))
    with pytest.raises(SourceError, match="at the same time"):
        records.seal(env, "check", Outcome.HOLDS, "no AWS")


def test_a_run_that_was_forgotten_is_not_sealed(env: project.Env) -> None:
    with pytest.raises(SourceError, match="Run it again"):
        records.seal(env, "check", Outcome.HOLDS, "no AWS")


def test_a_command_without_records_is_left_alone(env: project.Env) -> None:
    records.seal(env, "gate", Outcome.HOLDS, "no AWS")
    assert list(env.build("gate").iterdir()) == []


def test_a_program_that_took_part_is_recorded(env: project.Env) -> None:
    records.begin(env, "plan")
    records.add_version(env, "plan", "terraform", "1.11.4")
    data = json.loads((env.build("plan") / "record.json").read_text())
    assert data["versions"] == {**records.versions(), "terraform": "1.11.4"}
