"""What a run of `check`, `plan` or `verify` leaves beside its reports, to know later what it was a run of.

A record is begun before anything is read and sealed after the reports are written. So a report with
no sealed record belongs to nothing, and one whose bytes or inputs differ from its record says so.
"""

import functools
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any

from validator import __version__, project
from validator.errors import SourceError
from validator.findings import Outcome
from validator.project import Env

COMMANDS = ("check", "plan", "verify")
"""The commands whose runs are recorded, in the order in which an estate meets them."""

FILE = "record.json"
SCHEMA_VERSION = 1

DAYS = 30
"""Days for which what a run read in the accounts is taken to be so; `evidence --days` says otherwise."""

LARGEST = 64 * 1024 * 1024
"""Bytes above which a report or a record is not read."""

_REPORT = "report.json"
_READ_ACCOUNTS = ("plan", "verify")
_LIBRARIES = (
    "boto3",
    "botocore",
    "moto",
    "python-hcl2",
    "python-terraform",
    "pyyaml",
    "tfparse",
)
"""The libraries that read an estate, or answer for AWS."""

_PACKAGE = Path(__file__).parent
Json = dict[str, Any]


class Status(StrEnum):
    """How a command's last reports stand to the inputs as they are now."""

    CURRENT = "current"
    STALE = "stale"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Record:
    """What one run was a run of.

    `inputs`, `reports` and `validator` are SHA-256 digests: of files by path, of reports by name, of
    the validator's own files. `changed` are inputs that changed while it ran. `process` is the id of
    the process that ran. Times are ISO 8601 in UTC. `ended`, `verdict`, `cloud` and `reports` are
    None until the record is sealed.
    """

    command: str
    env: str
    process: int
    started: str
    inputs: Mapping[str, str]
    validator: str
    versions: Mapping[str, str]
    ended: str | None = None
    verdict: str | None = None
    cloud: str | None = None
    reports: Mapping[str, str] | None = None
    changed: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Standing:
    """One command's last run: how it stands, why, and what it left.

    `files` are the record and the reports by name: only what is as its record says, so nothing of a
    run that is missing or broken. `report` is the decoded JSON report, None without one.
    """

    command: str
    status: Status
    reasons: tuple[str, ...] = ()
    record: Record | None = None
    report: Json | None = None
    files: Mapping[str, bytes] | None = None


def begin(env: Env, command: str) -> None:
    """Forgets the command's last run, and records what this one is a run of."""
    env.forget(command)
    record = Record(
        command=command,
        env=env.name,
        process=os.getpid(),
        started=_now(),
        inputs=env.inputs(),
        validator=own_digest(),
        versions=versions(),
    )
    _keep(env, record)


def add_version(env: Env, command: str, name: str, version: str) -> None:
    """Records the version of one more program that took part in the run that was begun."""
    record = _begun(env, command)
    _keep(env, replace(record, versions=dict(sorted({**record.versions, name: version}.items()))))


def seal(env: Env, command: str, verdict: Outcome, cloud: str) -> None:
    """Records how the run ended, and the digests of the reports that it left.

    A command that has no records is left alone. Raises SourceError if the record that was begun is
    not there any more: another run of the same command has taken its place.
    """
    if command not in COMMANDS:
        return
    record = _begun(env, command)
    folder = env.build(command)
    sealed = replace(
        record,
        ended=_now(),
        verdict=verdict.value,
        cloud=cloud,
        reports={f.name: project.digest(f) for f in sorted(folder.glob("report.*"))},
        changed=tuple(differing(record.inputs, env.inputs())),
    )
    _keep(env, sealed)


def standing(
    env: Env,
    command: str,
    inputs: Mapping[str, str],
    versions: Mapping[str, str | None],
    today: date,
    days: int = DAYS,
) -> Standing:
    """How the command's last run stands to the env's `inputs` and the programs' `versions` as they are.

    A run that read the accounts more than `days` days before `today` is stale. A version is None where
    the program is not there.
    """
    folder = env.build(command)
    again = f"run `validator {command} {env.name}`"
    if not (folder / FILE).exists():
        if any(folder.glob("report.*")):
            return Standing(
                command, Status.BROKEN, (f"its reports have no record of their inputs; {again}",)
            )
        return Standing(command, Status.MISSING, (f"it left no report; {again}",))
    try:
        content = _content(folder / FILE)
        record = _decoded(content)
        _check_owner(record, env, command)
        if record.reports is None:
            return Standing(
                command, Status.MISSING, (f"its last run did not end with a report; {again}",)
            )
        files = {FILE: content, **dict(_reports(folder, record.reports))}
        report = _report(files, record)
    except (OSError, ValueError) as error:
        return Standing(command, Status.BROKEN, (f"{error}; {again}",))
    found = (
        *_stale(record, inputs, versions),
        *_waivers_ended(report, today),
        *_too_old(record, today, days),
    )
    reasons = tuple(f"{each}; {again}" for each in dict.fromkeys(found))
    status = Status.STALE if reasons else Status.CURRENT
    return Standing(command, status, reasons, record, report, files)


def differing(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Each file whose digest is another, or that is only on one side, with what happened to it."""
    for file in sorted(before.keys() | now.keys()):
        if file not in now:
            yield f"{file} (removed)"
        elif file not in before:
            yield f"{file} (new)"
        elif before[file] != now[file]:
            yield f"{file} (changed)"


@functools.cache
def own_digest() -> str:
    """The SHA-256 over every file of the validator itself, which its version does not tell."""
    digest = hashlib.sha256()
    for file in sorted(
        each for kind in ("*.py", "*.json", "*.css", "*.js") for each in _PACKAGE.rglob(kind)
    ):
        digest.update(f"{file.relative_to(_PACKAGE).as_posix()}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


@functools.cache
def versions() -> Mapping[str, str]:
    """The versions of the validator, of Python, and of the libraries that read an estate."""
    found = {"python": platform.python_version(), "validator": __version__}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = "not installed"
    return dict(sorted(found.items()))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _keep(env: Env, record: Record) -> None:
    text = json.dumps(asdict(record), indent=2, sort_keys=True)
    project.write(env.build(record.command) / FILE, f"{text}\n")


def _begun(env: Env, command: str) -> Record:
    """The record of the run that is on; raises SourceError if there is none."""
    file = env.build(command) / FILE
    try:
        record = _decoded(_content(file))
        if record.process != os.getpid():
            raise ValueError("it is of another process")
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{file}: is not what this run began with ({error}). Did another `{command}` of env "
            f"{env.name} run at the same time? Run it again."
        ) from error
    return record


def _content(file: Path) -> bytes:
    """The file's bytes; raises ValueError if it is no file, or too large."""
    if not file.is_file():
        raise ValueError(f"{file.name} is not there")
    with file.open("rb") as stream:
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{file.name} is larger than {LARGEST} bytes")
    return content


def _decoded(content: bytes) -> Record:
    """The record that the bytes write; raises ValueError if they write none."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{FILE} is not JSON") from error
    names = {each.name for each in fields(Record)}
    if not isinstance(data, dict) or set(data) != names:
        raise ValueError(f"{FILE} is no record")
    texts = ("command", "env", "started", "validator")
    perhaps = ("ended", "verdict", "cloud")
    good = (
        data["schema_version"] == SCHEMA_VERSION
        and all(isinstance(data[name], str) for name in texts)
        and all(data[name] is None or isinstance(data[name], str) for name in perhaps)
        and all(_is_texts(data[name]) for name in ("inputs", "versions"))
        and (data["reports"] is None or _is_texts(data["reports"]))
        and _is_in_utc(data["started"])
        and isinstance(data["process"], int)
        and isinstance(data["changed"], list)
        and all(isinstance(each, str) for each in data["changed"])
    )
    if not good:
        raise ValueError(f"{FILE} is no record")
    return Record(**{**data, "changed": tuple(data["changed"])})


def _is_in_utc(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).utcoffset() == timedelta(0)
    except ValueError:
        return False


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _check_owner(record: Record, env: Env, command: str) -> None:
    if (record.env, record.command) != (env.name, command):
        raise ValueError(f"{FILE} is one of {record.command} {record.env}")


def _reports(folder: Path, digests: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """The reports that a record names, each as it says; raises ValueError if they differ."""
    there = {each.name for each in folder.glob("report.*")}
    if unsealed := sorted(there - digests.keys()):
        raise ValueError(f"{unsealed[0]} is not of the run that {FILE} tells of")
    if _REPORT not in digests:
        raise ValueError(f"{FILE} names no {_REPORT}")
    for name, expected in sorted(digests.items()):
        if name not in there:
            raise ValueError(f"{name} is not there")
        content = _content(folder / name)
        if hashlib.sha256(content).hexdigest() != expected:
            raise ValueError(f"{name} was changed since the run")
        yield name, content


def _report(files: Mapping[str, bytes], record: Record) -> Json:
    """The decoded JSON report; raises ValueError unless it says what the record says of the run."""
    try:
        report = json.loads(files[_REPORT])
        said = tuple(report[key] for key in ("command", "env", "verdict", "cloud"))
        expires = [each["waived"]["expires"] for each in report["findings"] if each["waived"]]
        for each in expires:
            if each is not None:
                date.fromisoformat(each)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{_REPORT} is no report of the validator") from error
    if said != (record.command, record.env, record.verdict, record.cloud):
        raise ValueError(f"{_REPORT} does not say what {FILE} says of the run")
    if record.verdict not in {each.value for each in Outcome}:
        raise ValueError(f"{_REPORT} has no verdict")
    decoded: Json = report
    return decoded


def _stale(
    record: Record, inputs: Mapping[str, str], versions: Mapping[str, str | None]
) -> Iterator[str]:
    """Each input and program that is not what it was when the run began."""
    for change in record.changed:
        yield f"{change} while it ran"
    for change in differing(record.inputs, inputs):
        yield f"{change} since"
    if record.validator != own_digest():
        yield "the validator itself was changed since"
    for name, then in sorted(record.versions.items()):
        now = versions.get(name)
        if now != then:
            yield f"{name} was {then}, and is {now or 'not there'} now"


def _too_old(record: Record, today: date, days: int) -> Iterator[str]:
    """Why what a run read in the accounts is not taken to be so any more; nothing if it is."""
    if record.command not in _READ_ACCOUNTS:
        return
    began = datetime.fromisoformat(record.started).date()
    age = (today - began).days
    if age > days:
        yield f"it read the accounts on {began}, {age} days ago, and {days} are allowed"
    elif age < -1:  # the day in UTC may be the next one already
        yield f"it read the accounts on {began}, which is yet to come"


def _waivers_ended(report: Json, today: date) -> Iterator[str]:
    """Each waiver that a run counted on and that has ended."""
    for finding in report["findings"]:
        waived = finding["waived"]
        if waived and waived["expires"] and date.fromisoformat(waived["expires"]) < today:
            yield (
                f"the waiver of {finding['invariant']} for {finding['subject']} ended on "
                f"{waived['expires']}"
            )
