"""What changed against the base branch, from its JSON report, which may be anything."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from validator.findings import Outcome
from validator.model import Unknown
from validator.reports.document import SCHEMA_VERSION

Json = dict[str, Any]
Name = tuple[str, str]
"""An invariant and a subject."""

LARGEST = 64 * 1024 * 1024
"""Bytes above which a base report is not read."""

_SERVERS = 1_000_000
"""More source servers than any account has: a number past it is no number of servers."""

_WAIVED = "waived"
_WORST = (Outcome.HOLDS.value, _WAIVED, Outcome.UNKNOWN.value, Outcome.VIOLATED.value)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a run found, beside what the base branch's run had found.

    `new` and `unchanged` are findings of this run that count against it; what was unknown and is now
    violated is new. `fixed` hold now;
    `gone` were violated or unknown, and are not judged any more. `capacity` are sentences. `aws` is on
    which AWS the base was, in words; None where neither needed one.
    """

    new: tuple[Json, ...]
    unchanged: tuple[Json, ...]
    fixed: tuple[Name, ...]
    gone: tuple[Name, ...]
    capacity: tuple[str, ...]
    aws: str | None = None


def read(file: Path) -> Json | Unknown:
    """The decoded report in a file, or why there is none; nothing in it is checked yet."""
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            return Unknown(f"{file} is larger than {LARGEST} bytes")
        decoded = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        return Unknown(f"{file} cannot be read ({error})")
    return decoded if isinstance(decoded, dict) else Unknown(f"{file} is not a report")


def compare(data: Json, base: Json | Unknown) -> Comparison | Unknown:
    """What changed between the base's report and this run's, or why they cannot be compared.

    `data` is this run's document. A finding that is absent from this run is never called fixed.
    """
    if isinstance(base, Unknown):
        return base
    try:
        _check(base)
        for name in ("schema_version", "env"):
            if base[name] != data[name]:
                return Unknown(f"its {name} is {base[name]!r}, not {data[name]!r}")
        # A gate's base is judged by its code alone: nobody plans what is not proposed.
        of_gate = data["command"] == "gate" and (base["command"], base["view"]) == ("check", "code")
        for name in () if of_gate else ("command", "view"):
            if base[name] != data[name]:
                return Unknown(f"its {name} is {base[name]!r}, not {data[name]!r}")
        aws = None if of_gate else _aws(data, base)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        return Unknown(f"it is not a report of version {SCHEMA_VERSION} ({error})")
    if isinstance(aws, Unknown):
        return aws
    before, after = _states(base), _states(data)
    new: list[Json] = []
    unchanged: list[Json] = []
    for finding in data["findings"]:
        state = _state(finding)
        if _counts(state):
            worse = _WORST.index(state) > _WORST.index(before.get(_name(finding), Outcome.HOLDS))
            (new if worse else unchanged).append(finding)
    bad = {name for name, state in before.items() if _counts(state)}
    return Comparison(
        new=tuple(new),
        unchanged=tuple(unchanged),
        fixed=tuple(sorted(name for name in bad if after.get(name) == Outcome.HOLDS)),
        gone=tuple(sorted(bad - after.keys())),
        capacity=tuple(_deltas(_rows(base), _rows(data))),
        aws=aws,
    )


def _aws(data: Json, base: Json) -> str | None | Unknown:
    """On which AWS the base was, in words; Unknown if what was read there says nothing of this run's.

    Accounts are compared with the same accounts alone. Plans are compared on any two embedded AWSs
    too: each command may start its own, and it is the code that changes between them.
    """
    if data["view"] == "code":
        return None
    before, now = (_embedded(each["cloud"]) for each in (base, data))
    if before != now or not (now or base["cloud"] == data["cloud"]):
        return Unknown(f"it is of another AWS: {base['cloud']}, not {data['cloud']}")
    if not now:
        return str(data["cloud"])
    identity = data["cloud_identity"]
    if identity is not None and base.get("cloud_identity") == identity:
        return "the same embedded AWS"
    if data["view"] == "live":
        return Unknown(
            "it is of another embedded AWS, and tells nothing of the accounts of this one"
        )
    return "another embedded AWS"


def _embedded(cloud: str) -> bool:
    return cloud.startswith("the embedded AWS")


def _check(base: Json) -> None:
    """Raises TypeError, ValueError or KeyError unless all that is compared is of its type."""
    _check_texts(base["cloud"])
    for finding in base["findings"]:
        _check_texts(finding["invariant"], finding["subject"])
        Outcome(finding["outcome"])
        if finding["waived"] is not None and not isinstance(finding["waived"], dict):
            raise TypeError("waived is no object")
    for row in base["capacity"]["accounts"]:
        _check_texts(row["account"], row["region"])
        for number in (row["planned"], row["replicating"], row["quota"]):
            if number is not None and not (type(number) is int and 0 <= number <= _SERVERS):
                raise TypeError("a number of servers is none")


def _check_texts(*values: object) -> None:
    if not all(isinstance(value, str) for value in values):
        raise TypeError("a name is no text")


def _states(report: Json) -> dict[Name, str]:
    """How each finding counts: its outcome, or waived; the worst where a name stands twice."""
    states: dict[Name, str] = {}
    for finding in report["findings"]:
        name, state = _name(finding), _state(finding)
        states[name] = max(state, states.get(name, state), key=_WORST.index)
    return states


def _name(finding: Json) -> Name:
    return finding["invariant"], finding["subject"]


def _state(finding: Json) -> str:
    return str(finding["outcome"]) if finding["waived"] is None else _WAIVED


def _counts(state: str) -> bool:
    return state in {Outcome.VIOLATED, Outcome.UNKNOWN}


def _rows(report: Json) -> dict[Name, tuple[int | None, int | None]]:
    """Servers and quota of each account and Region: the servers seen in a live view, else planned."""
    column = "replicating" if report["view"] == "live" else "planned"
    return {
        (row["account"], row["region"]): (row[column], row["quota"])
        for row in report["capacity"]["accounts"]
    }


def _deltas(
    before: dict[Name, tuple[int | None, int | None]],
    after: dict[Name, tuple[int | None, int | None]],
) -> Iterator[str]:
    for name, (servers, quota) in after.items():
        now = f"{_shown(servers)} of {_shown(quota)}"
        if name not in before:
            yield f"{' '.join(name)}: new, {now}"
        elif before[name] != (servers, quota):
            was, quota_was = before[name]
            then = _shown(was) if quota_was == quota else f"{_shown(was)} of {_shown(quota_was)}"
            yield f"{' '.join(name)}: {then} → {now}"
    for name in before:
        if name not in after:
            yield f"{' '.join(name)}: no longer in the estate"


def _shown(number: int | None) -> str:
    return "unknown" if number is None else str(number)
