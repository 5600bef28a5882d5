"""checkov run as a program: what it saw becomes findings, what it did not see is never fine."""

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.tools.test_terraform import group_exists, wait_for
from validator.findings import Finding, Outcome
from validator.tools import checkov

COUNTERS = {"passed": 0, "failed": 0, "skipped": 0, "parsing_errors": 0, "resource_count": 0}


def record(check: str, resource: str, result: str = "PASSED", **more: Any) -> dict[str, Any]:
    return {
        "check_id": check,
        "check_name": f"Ensure {check}",
        "check_result": {"result": result, **more},
        "details": [],
        "file_abs_path": "/code/envs/dev/../../modules/key.tf",
        "file_line_range": [3, 9],
        "resource": resource,
    }


def report(
    passed: Any = (), failed: Any = (), skipped: Any = (), errors: Any = ()
) -> dict[str, Any]:
    lists = {"passed": list(passed), "failed": list(failed), "skipped": list(skipped)}
    return {
        "check_type": "terraform",
        "results": {
            **{f"{kind}_checks": records for kind, records in lists.items()},
            "parsing_errors": list(errors),
        },
        "summary": {
            **{kind: len(records) for kind, records in lists.items()},
            "parsing_errors": len(errors),
            "resource_count": 1,
        },
    }


class Fake:
    """A `checkov` that is a shell script, the only one to be found."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setattr(sys, "prefix", str(folder / ".venv"))
        self.environment: Mapping[str, str] = {"PATH": f"{folder}/bin:{os.environ['PATH']}"}

    def script(self, text: str) -> None:
        file = self.folder / "bin" / "checkov"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def answers(self, answer: Any, log: str = "", status: int = 0) -> None:
        """Says `answer`, as JSON unless it is text."""
        text = answer if isinstance(answer, str) else json.dumps(answer)
        (self.folder / "answer").write_text(text)
        (self.folder / "log").write_text(log)
        self.script(f"cat {self.folder}/answer; cat {self.folder}/log >&2; exit {status}")

    def code(self) -> tuple[Finding, ...]:
        return checkov.scan_code(self.folder, Path("/code"), self.environment)

    def plan(self, code: tuple[Finding, ...] = ()) -> tuple[Finding, ...]:
        return checkov.scan_plan(self.folder / "plan.json", code, Path("/code"), self.environment)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    return Fake(tmp_path, monkeypatch)


GOOD = report([record("CKV_1", "a.b")])
NOT_FINE = {
    "bare counters: an empty folder, or a crash inside": (COUNTERS, "", 0, "checked no resource"),
    "no output: a missing folder": ("", "[MainThread  ] [ERROR]  it does not exist", 0, "does not exist"),
    "no output at all": ("", "", 1, "it said nothing"),
    "no JSON": ("Traceback (most recent call last):", "", 1, "no JSON"),
    "cut short": (json.dumps(GOOD)[:-40], "", 0, "no JSON"),
    "nested too deep": ("[" * 100_000, "", 0, "no JSON"),
    "an empty list": ([], "", 0, "checked no resource"),
    "a list of bare counters": ([COUNTERS], "", 0, "checked no resource"),
    "another type": ("3", "", 0, "not as expected"),
    "null": ("null", "", 0, "not as expected"),
    "resources, but no check ran": (report(), "", 0, "checked no resource"),
    "a record without a resource": (
        report([{k: v for k, v in record("CKV_1", "a.b").items() if k != "resource"}]), "", 0, "not as expected"
    ),
    "failures announced but not listed": (
        {**GOOD, "summary": {**GOOD["summary"], "failed": 1}}, "", 1, "1 failed are announced and 0 listed"
    ),
    "unread files announced but not listed": (
        {**GOOD, "summary": {**GOOD["summary"], "parsing_errors": 1}}, "", 0, "not every parsing error"
    ),
    "a file that it cannot read, and nothing else": (report(errors=["/code/a.tf"]), "", 0, "cannot read a.tf"),
    "a file that it cannot read, beside others": (
        report([record("CKV_1", "a.b")], errors=["/code/a.tf"]), "", 0, "cannot read a.tf"
    ),
    "a module that it cannot load": (GOOD, "2026 [MainThread  ] [WARNI]  Failed to download module m\n", 0, "module m"),
    "a check that failed to run": (GOOD, "2026 [MainThread  ] [ERROR]  Failed to run check CKV_1\n", 0, "CKV_1"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "log", "status", "said"), NOT_FINE.values(), ids=NOT_FINE)
def test_what_it_did_not_see_is_unknown(
    fake: Fake, answer: Any, log: str, status: int, said: str
) -> None:
    fake.answers(answer, log, status)
    for findings in (fake.code(), fake.plan()):
        unknown = [each for each in findings if each.outcome is Outcome.UNKNOWN]
        assert [said in each.messages[0].text for each in unknown] == [True]
        assert unknown[0].remedy


def test_a_missing_program_is_unknown(fake: Fake) -> None:
    (finding,) = checkov.scan_code(fake.folder, ROOT, {"PATH": str(fake.folder)})
    assert finding.outcome is Outcome.UNKNOWN
    assert "make gate" in finding.messages[0].text


def test_a_program_that_cannot_run_is_unknown(fake: Fake) -> None:
    fake.script("")
    (fake.folder / "bin" / "checkov").write_bytes(b"\x7fELF no program")
    (finding,) = fake.code()
    assert finding.outcome is Outcome.UNKNOWN
    assert "cannot be run" in finding.messages[0].text


def test_one_that_hangs_is_ended_and_unknown(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkov, "TIMEOUT_SECONDS", 1.0)
    fake.script(f"echo $$ > {fake.folder}/pid; sleep 300 & wait")
    (finding,) = fake.code()
    assert finding.outcome is Outcome.UNKNOWN
    assert "did not end" in finding.messages[0].text
    group = int((fake.folder / "pid").read_text())
    wait_for(lambda: not group_exists(group))


def test_one_that_nobody_waits_for_is_ended(fake: Fake) -> None:
    pid = fake.folder / "pid"
    fake.script(f"echo $$ > {pid}; sleep 300 & wait")
    with ThreadPoolExecutor(1) as pool:
        scanned = pool.submit(fake.code)
        wait_for(lambda: pid.exists() and pid.read_text().strip() != "")

        def ended() -> bool:
            checkov.end()
            return scanned.done()

        wait_for(ended)
        (finding,) = scanned.result()
    assert finding.outcome is Outcome.UNKNOWN
    wait_for(lambda: not group_exists(int(pid.read_text())))


def test_interrupting_leaves_no_process(fake: Fake) -> None:
    pid = fake.folder / "pid"
    fake.script(f"echo $$ > {pid}; sleep 300 & wait")

    def interrupt() -> None:
        wait_for(lambda: pid.exists() and pid.read_text().strip())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        fake.code()
    wait_for(lambda: not group_exists(int(pid.read_text())))


def test_ours_comes_before_the_one_on_path(fake: Fake) -> None:
    fake.script("")
    ours = fake.folder / ".venv-checkov" / "bin" / "checkov"
    assert checkov.program(fake.environment) == fake.folder / "bin" / "checkov"
    ours.parent.mkdir(parents=True)
    ours.touch()
    assert checkov.program(fake.environment) == ours


def test_settings_of_the_user_stay_out(fake: Fake) -> None:
    fake.environment = {
        **fake.environment,
        "CKV_SKIP_CHECK": "CKV_1",
        "BC_API_KEY": "k",
        "HOME": "/home/x",
    }
    fake.answers(GOOD)
    text = (fake.folder / "bin" / "checkov").read_text()
    fake.script(
        f'env > {fake.folder}/env; echo "$@" > {fake.folder}/arguments; pwd > {fake.folder}/pwd\n{text}'
    )
    fake.code()
    seen = dict(line.split("=", 1) for line in (fake.folder / "env").read_text().splitlines())
    assert not {"CKV_SKIP_CHECK", "BC_API_KEY"} & set(seen)
    assert seen["HOME"] == (fake.folder / "pwd").read_text().strip() != "/home/x"
    assert not Path(seen["HOME"]).exists()
    assert "--skip-download" in (fake.folder / "arguments").read_text().split()


SKIPPED = {"result": "SKIPPED", "suppress_comment": " Argued."}


def test_records_become_findings(fake: Fake) -> None:
    fake.answers(
        [
            report(
                [record("CKV_1", "b.whole"), record("CKV_2", "b.whole"), record("CKV_1", "a.half")],
                [record("CKV_2", "a.half", "FAILED")],
                [record("CKV_3", "c.skipped", **SKIPPED), record("CKV_4", "c.skipped", suppress_comment="No comment provided")],
            )
        ],
        status=1,
    )  # fmt: skip
    rows = [
        (each.invariant, each.subject, each.where, each.outcome, each.counted, each.waived and each.waived.reason)
        for each in fake.code()
    ]  # fmt: skip
    bad, place = Outcome.VIOLATED, "modules/key.tf:3"
    assert rows == [
        ("CKV_2", "a.half", place, bad, bad, None),
        ("checkov", "b.whole", place, Outcome.HOLDS, Outcome.HOLDS, None),
        ("CKV_3", "c.skipped", place, bad, Outcome.HOLDS, "Argued."),
        ("CKV_4", "c.skipped", place, bad, bad, None),
    ]


def test_the_order_is_not_checkovs(fake: Fake) -> None:
    records = [
        record("CKV_2", "b", "FAILED"),
        record("CKV_1", "b", "FAILED"),
        record("CKV_9", "a", "FAILED"),
    ]
    fake.answers(report(failed=records))
    first = fake.code()
    fake.answers(report(failed=records[::-1]))
    assert fake.code() == first
    assert [each.invariant for each in first] == ["CKV_9", "CKV_1", "CKV_2"]


def test_a_plan_takes_lines_and_skips_from_its_code(fake: Fake) -> None:
    fake.answers(report(skipped=[record("CKV_1", "module.a.x.this", **SKIPPED)]))
    code = fake.code()
    same, other = 'module.a.x.this["k.[0]"]', "module.b.x.this"
    fake.answers(report(failed=[record("CKV_1", each, "FAILED") for each in (same, other)]))
    findings = {each.subject: each for each in fake.plan(code)}
    assert set(findings) == {same, other}
    assert findings[same].counted is Outcome.HOLDS
    assert findings[same].where == "modules/key.tf:3"
    assert findings[other].counted is Outcome.VIOLATED, "a skip in one module is none in another"


def test_a_skip_without_a_reason_is_none_for_the_plan(fake: Fake) -> None:
    fake.answers(
        report(skipped=[record("CKV_1", "x.this", suppress_comment="No comment provided")])
    )
    code = fake.code()
    fake.answers(report(failed=[record("CKV_1", "x.this", "FAILED")]))
    (finding,) = fake.plan(code)
    assert finding.counted is Outcome.VIOLATED


def test_what_only_one_view_finds_is_kept(fake: Fake) -> None:
    fake.answers(
        report(
            [record("CKV_1", "good.both"), record("CKV_1", "worse.plan")],
            [record("CKV_1", "worse.code", "FAILED")],
        )
    )
    code = fake.code()
    fake.answers(
        report(
            [record("CKV_1", "good.both"), record("CKV_1", "worse.code")],
            [record("CKV_2", "worse.plan", "FAILED")],
        )
    )
    assert [(each.invariant, each.subject) for each in fake.plan(code)] == [
        ("checkov", "good.both"), ("CKV_1", "worse.code"), ("CKV_2", "worse.plan"),
    ]  # fmt: skip


def test_code_that_could_not_be_read_stays_unknown_beside_a_good_plan(fake: Fake) -> None:
    fake.answers("")
    code = fake.code()
    fake.answers(GOOD)
    assert {each.outcome for each in fake.plan(code)} == {Outcome.UNKNOWN, Outcome.HOLDS}


KEY = 'resource "aws_kms_key" "%s" {\n%s}\n'
SKIP = "  #checkov:skip=CKV_AWS_7: Imported key material cannot rotate.\n"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    """What the real checkov finds in a folder whose settings would switch it off."""
    folder = tmp_path_factory.mktemp("real")
    (folder / ".checkov.yaml").write_text("check: [CKV_NONE]\n")
    (folder / "key.tf").write_text(KEY % ("bad", "") + KEY % ("skipped", SKIP))
    (folder / "broken.tf").write_text('resource "aws_kms_key" {')
    (folder / "gone.tf").write_text('module "gone" {\n  source = "./gone"\n}\n')
    found = checkov.scan_code(folder, folder.parent, os.environ)
    assert len(
        {
            each.subject + each.invariant + each.messages[0].text if each.messages else each.subject
            for each in found
        }
    ) == len(found)
    return {f"{each.invariant} {each.subject}": each for each in found} | {
        each.messages[0].text: each for each in found if each.outcome is Outcome.UNKNOWN
    }


@pytest.mark.slow
def test_real_violations_have_a_place(real: dict[str, Finding]) -> None:
    assert real["CKV_AWS_7 aws_kms_key.bad"].outcome is Outcome.VIOLATED
    assert real["CKV_AWS_7 aws_kms_key.bad"].where.endswith("/key.tf:1")


@pytest.mark.slow
def test_a_real_skip_is_a_waiver_that_shows(real: dict[str, Finding]) -> None:
    waived = real["CKV_AWS_7 aws_kms_key.skipped"].waived
    assert waived
    assert waived.reason == "Imported key material cannot rotate."


@pytest.mark.slow
@pytest.mark.parametrize("file", ["broken.tf", "gone"])
def test_what_the_real_one_cannot_read_is_unknown(real: dict[str, Finding], file: str) -> None:
    assert any(file in text and each.outcome is Outcome.UNKNOWN for text, each in real.items())


@pytest.mark.slow
def test_what_is_no_plan_is_unknown_to_the_real_one(tmp_path: Path) -> None:
    """One run over three files checks nothing in any, and cannot read the second."""
    plans = ("{}", "no plan", '{"format_version": "1.2", "planned_values": {}}')
    for number, plan in enumerate(plans):
        (tmp_path / f"{number}.json").write_text(plan)
    arguments = [f"--directory={tmp_path}", "--framework", "terraform_plan"]
    report = checkov._scan(arguments, tmp_path, os.environ)
    assert (report.passed, report.failed, report.skipped) == ((), (), ())
    assert report.unread == ("cannot read 1.json",)
