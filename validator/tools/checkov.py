"""Runs checkov, a program in an environment of its own, and turns what it reports into findings of ours.

checkov says "fine" in many ways without having looked: status 0 and zeros for a folder with nothing
in it, for a plan that is no plan, and after a crash inside itself; nothing at all for a missing
folder; a module that it cannot load is a line of its log. So its exit status is not read, and
whatever is not a whole report over resources that it did look at is an `unknown` finding.

NOTE: over a plan, checkov caches what it thinks of an IAM policy by resource type and name, without
the module: of all `aws_iam_role_policy.this` it judges one. Over code it judges each file's own.
Scan both.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from validator.errors import ToolError
from validator.findings import Finding, Message, Outcome, Waived

FAMILY = "checkov"
"""The family of all its findings, and the invariant of those that are not one check's."""

TIMEOUT_SECONDS = 600.0

_running: "set[subprocess.Popen[str]]" = set()
_NO_REASON = "No comment provided"
_LOGGED = re.compile(r"\[(?:WARNI|ERROR|CRITI)\S* *\] +(.*)")
_INDEX = re.compile(r'\[(?:"(?:[^"\\]|\\.)*"|[^\]"]*)\]')
_WHOLE = "checkov passes what it does not see, so it must have looked at everything."
_LOOK = "Run checkov by hand with the same file or folder, and mend what keeps it from reading it."


@dataclass(frozen=True, slots=True)
class _Record:
    """One check of one resource, as checkov's report writes it."""

    check: str
    name: str
    resource: str
    place: str
    details: tuple[str, ...]
    comment: str


@dataclass(frozen=True, slots=True)
class _Report:
    """What checkov said: the checks by their result, and what it could not read."""

    passed: tuple[_Record, ...]
    failed: tuple[_Record, ...]
    skipped: tuple[_Record, ...]
    unread: tuple[str, ...]


def program(environment: Mapping[str, str]) -> Path | None:
    """The checkov to run: the one that make installs beside our environment, else PATH's."""
    ours = Path(sys.prefix).parent / ".venv-checkov" / "bin" / "checkov"
    if ours.is_file():
        return ours
    found = shutil.which("checkov", path=environment.get("PATH", os.defpath))
    return Path(found) if found else None


def installed_version(environment: Mapping[str, str]) -> str | None:
    """The version of the checkov to run, as its environment's record says; None if none is there."""
    found = program(environment)
    if found is None:
        return None
    place = found.resolve().parent.parent
    records = sorted(place.glob("lib/python*/site-packages/checkov-*.dist-info"))
    return records[0].name.removeprefix("checkov-").removesuffix(".dist-info") if records else None


def scan_code(directory: Path, root: Path, environment: Mapping[str, str]) -> tuple[Finding, ...]:
    """Findings over one root module's HCL and the local modules that it calls.

    `where` is a file and line, relative to `root`. A `checkov:skip` comment with a reason is a
    waived finding, shown with that reason; one without is a violation.

    Scan one env at a time: of envs with equal module names in one folder, checkov reports one.
    """
    # NOTE: written with "=", since checkov looks for the word `--directory` to find a folder whose
    # .checkov.yaml it then obeys; one in the code under judgement could switch every check off.
    arguments = [f"--directory={directory.resolve()}", "--framework", "terraform"]
    name = _relative(str(directory.resolve()), root)
    try:
        report = _scan(arguments, root, environment)
    except ToolError as error:
        return (_unknown(name, str(error), _LOOK),)
    return _ordered(
        [
            *(_violated(record, record.place) for record in report.failed),
            *(_skipped(record) for record in report.skipped),
            *_holding(report, {record.resource: record.place for record in report.passed}),
            *(_unknown(each, f"{name}: {each}", _LOOK) for each in report.unread),
        ]
    )


def scan_plan(
    plan: Path, code: Iterable[Finding], root: Path, environment: Mapping[str, str]
) -> tuple[Finding, ...]:
    """Findings over a plan as `terraform show -json` writes it, joined with its code's findings.

    A plan knows neither lines nor `checkov:skip` comments: a resource takes both from `code`, what
    `scan_code` gave for the same root module. What the plan does not repeat of `code` is kept.
    """
    known = tuple(code)
    places = {_bare(each.subject): each.where for each in known if each.where != each.subject}
    skips = {(each.invariant, _bare(each.subject)): each.waived for each in known if each.waived}
    name = _relative(str(plan.resolve()), root)
    try:
        report = _scan(
            ["--file", str(plan.resolve()), "--framework", "terraform_plan"], root, environment
        )
    except ToolError as error:
        return _ordered([*known, _unknown(name, str(error), _LOOK)])
    found = [
        *(
            _violated(
                record,
                places.get(_bare(record.resource), record.resource),
                skips.get((record.check, _bare(record.resource))),
            )
            for record in report.failed
        ),
        *(_skipped(record) for record in report.skipped),
        *_holding(report, places),
        *(_unknown(each, f"{name}: {each}", _LOOK) for each in report.unread),
    ]
    repeated = {(each.invariant, _bare(each.subject)) for each in found}
    looked_at = {_bare(each.subject) for each in found}
    broken = {_bare(each.subject) for each in known if each.outcome is not Outcome.HOLDS}
    return _ordered(
        [
            *(f for f in found if f.outcome is not Outcome.HOLDS or _bare(f.subject) not in broken),
            *(
                f
                for f in known
                if (f.invariant, _bare(f.subject)) not in repeated
                and (f.outcome is not Outcome.HOLDS or _bare(f.subject) not in looked_at)
            ),
        ]
    )


def _scan(arguments: list[str], root: Path, environment: Mapping[str, str]) -> _Report:
    """A whole report over at least one checked resource; raises ToolError for anything less."""
    found = program(environment)
    if found is None:
        raise ToolError("checkov is not installed; `make gate` installs it into .venv-checkov.")
    output, log, status = _run([str(found), *arguments], environment)
    try:
        answer = json.loads(output)
    except (ValueError, RecursionError) as error:
        last = log.strip().splitlines()[-1:] or ["it said nothing"]
        raise ToolError(f"checkov gave no JSON ({error}; status {status}): {last[0]}") from error
    reports = answer if isinstance(answer, list) else [answer]
    logged = [_relative(line, root) for line in _LOGGED.findall(log)]
    try:
        parts = [_report(each, root) for each in reports if "results" in each]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ToolError(f"checkov's JSON is not as expected ({error!r}).") from error
    whole = _Report(
        passed=tuple(record for part in parts for record in part.passed),
        failed=tuple(record for part in parts for record in part.failed),
        skipped=tuple(record for part in parts for record in part.skipped),
        unread=tuple(sorted({*logged, *(each for part in parts for each in part.unread)})),
    )
    if not (whole.passed or whole.failed or whole.skipped or whole.unread):
        raise ToolError("checkov checked no resource.")
    return whole


def _run(command: list[str], environment: Mapping[str, str]) -> tuple[str, str, int]:
    """Output, log and status of one run, which no setting, network or time out of ours reaches."""
    with tempfile.TemporaryDirectory(prefix="checkov-") as empty:
        child = {
            # checkov reads some 60 variables, and settings from HOME and the working folder.
            "HOME": empty,
            "LANG": "C.UTF-8",
            "LOG_LEVEL": "WARNING",
            "PATH": environment.get("PATH", os.defpath),
        }
        options = ["--skip-download", "--compact", "--output", "json"]
        try:
            process = subprocess.Popen(
                [*command, *options],
                cwd=empty,
                env=child,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(f"{command[0]}: cannot be run ({error}).") from error
        _running.add(process)
        try:
            output, log = process.communicate(timeout=TIMEOUT_SECONDS)
        except BaseException as error:
            _end(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ToolError(f"checkov did not end within {TIMEOUT_SECONDS:.0f} s.") from error
            raise
        finally:
            _running.discard(process)
    return output, log, process.returncode


def end() -> None:
    """Ends the scans that other threads wait for: what they give is then unknown."""
    for process in tuple(_running):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _end(process: "subprocess.Popen[str]") -> None:
    """Ends checkov and its workers, which have nothing to save."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _report(raw: Any, root: Path) -> _Report:
    """One framework's report; raises ValueError where its lists and its counts disagree."""
    results, summary = raw["results"], raw["summary"]
    lists = {
        kind: tuple(_record(each, root) for each in results[f"{kind}_checks"])
        for kind in ("passed", "failed", "skipped")
    }
    for kind, records in lists.items():
        if summary[kind] != len(records):
            raise ValueError(f"{summary[kind]} {kind} are announced and {len(records)} listed")
    errors = results["parsing_errors"]
    if summary["parsing_errors"] != len(errors):
        raise ValueError("not every parsing error is listed")
    return _Report(
        **lists, unread=tuple(f"cannot read {_relative(str(file), root)}" for file in errors)
    )


def _record(raw: Any, root: Path) -> _Record:
    result = raw["check_result"]
    return _Record(
        check=str(raw["check_id"]),
        name=str(raw["check_name"]),
        resource=str(raw["resource"]),
        place=f"{_relative(os.path.normpath(raw['file_abs_path']), root)}:{raw['file_line_range'][0]}",
        details=tuple(str(each) for each in raw.get("details") or ()),
        comment=str(result.get("suppress_comment") or "").strip(),
    )


def _violated(record: _Record, where: str, waived: Waived | None = None) -> Finding:
    text = " ".join(f"{each.rstrip('.')}." for each in (record.name, *record.details))
    return Finding(
        invariant=record.check,
        family=FAMILY,
        subject=record.resource,
        where=where,
        outcome=Outcome.VIOLATED,
        messages=(Message(text, where),),
        why=f"{record.name}.",
        remedy=f"Mend the resource, or waive {record.check} for it with a reason.",
        waived=waived,
    )


def _skipped(record: _Record) -> Finding:
    if record.comment in {"", _NO_REASON}:
        bare = f"checkov:skip={record.check} gives no reason"
        return _violated(
            _Record(
                record.check, record.name, record.resource, record.place, (bare,), record.comment
            ),
            record.place,
        )
    waiver = Waived(record.comment, owner="the code", ticket="checkov:skip", expires=None)
    return _violated(record, record.place, waiver)


def _holding(report: _Report, places: Mapping[str, str]) -> Iterable[Finding]:
    """One finding for each resource that passed all its checks."""
    broken = {record.resource for record in (*report.failed, *report.skipped)}
    for resource in {record.resource for record in report.passed} - broken:
        yield Finding(
            invariant=FAMILY,
            family=FAMILY,
            subject=resource,
            where=places.get(resource) or places.get(_bare(resource), resource),
            outcome=Outcome.HOLDS,
            messages=(),
            why=_WHOLE,
            remedy=_LOOK,
        )


def _unknown(subject: str, text: str, remedy: str) -> Finding:
    return Finding(
        invariant=FAMILY,
        family=FAMILY,
        subject=subject,
        where=subject,
        outcome=Outcome.UNKNOWN,
        messages=(Message(text, subject),),
        why=_WHOLE,
        remedy=remedy,
    )


def _ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(
        sorted(
            set(findings), key=lambda each: (each.subject, each.invariant, each.where, _text(each))
        )
    )


def _text(finding: Finding) -> str:
    return " ".join(message.text for message in finding.messages)


def _bare(address: str) -> str:
    """A resource's address without the indices of count and for_each."""
    return _INDEX.sub("", address)


def _relative(text: str, root: Path) -> str:
    """The text with paths under `root` written from there."""
    return text.replace(f"{root.resolve()}{os.sep}", "")
