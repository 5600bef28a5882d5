"""What each `verify` counted, kept line by line, so that growth can be told from it.

A line is JSON with the time, the AWS and the counts of source servers by account: nothing secret, and no
server by name. The newest lines are kept, `MOST` of them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from validator import project
from validator.errors import SourceError
from validator.project import Env

Json = dict[str, Any]

MOST = 5000
"""Lines that are kept: more than three years of a verification every six hours."""

LARGEST = 64 * 1024 * 1024
"""Bytes above which a file is not read."""

_ID = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True)
class Count:
    """What one account replicated, and its quota; None for what could not be read."""

    id: str
    replicating: int | None
    quota: int | None


@dataclass(frozen=True, slots=True)
class Verified:
    """One verification: when, of which env on which AWS, and what it counted.

    `in_target` are all source servers of the target, extended ones included. `where` is the file and
    line that it stands in.
    """

    at: datetime
    env: str
    cloud: str
    accounts: tuple[Count, ...]
    in_target: int | None
    target_quota: int | None
    where: str = ""


def file_of(env: Env) -> Path:
    """Where the verifications of an env are kept; the folder exists on return."""
    return env.build("history") / "verify.jsonl"


def verified(document: Mapping[str, Any], cloud: str, at: datetime) -> Verified:
    """The counts of a report of `verify`, for `kept`."""
    capacity, bounds = document["capacity"], document["servers"]["in_target"]
    exact = bounds["lower"] if bounds["lower"] == bounds["upper"] else None
    return Verified(
        at.astimezone(UTC).replace(microsecond=0),
        document["env"],
        cloud,
        tuple(
            Count(each["id"], each["replicating"], each["quota"]) for each in capacity["accounts"]
        ),
        exact,
        capacity["target_total_quota"],
    )


def kept(env: Env, one: Verified) -> None:
    """Adds a verification to those of the env; the file is written whole or not at all."""
    file = file_of(env)
    lines = file.read_bytes().splitlines() if file.exists() else []
    content = asdict(one)
    del content["where"]
    content["at"] = one.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    lines.append(json.dumps(content).encode())
    project.write(file, b"\n".join(lines[-MOST:]) + b"\n")


def read(files: Sequence[Path], env: str, now: datetime) -> tuple[Verified, ...]:
    """The verifications of an env in these files, the oldest first, each once.

    Raises SourceError for a file that cannot be read, and for a line that is no verification, is of
    another env, is of a time to come, or counts otherwise than another of the same time and AWS.
    """
    found: dict[tuple[datetime, str], Verified] = {}
    for file in files:
        for number, line in enumerate(_lines(file), 1):
            if not line.strip():
                continue
            where = f"{file}:{number}"
            try:
                one = _verified(json.loads(line), where)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
                raise SourceError(
                    f"{where}: is no verification ({what:.100}). Remove the line, if nobody knows more."
                ) from error
            if one.env != env:
                raise SourceError(f"{where}: is of env {one.env!r:.60}, and not of {env}.")
            if one.at > now:
                raise SourceError(f"{where}: is of {one.at.isoformat()}, which is yet to come.")
            same = found.setdefault((one.at, one.cloud), one)
            if replace(same, where=where) != one:
                raise SourceError(
                    f"{same.where} and {where}: are of the same time and AWS ({one.cloud:.60}), and count "
                    "differently. Remove the one that is wrong."
                )
    return tuple(found[key] for key in sorted(found))


def _lines(file: Path) -> list[str]:
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise SourceError(f"{file}: is larger than {LARGEST // 1024 // 1024} MiB.")
        return content.decode().split("\n")
    except OSError as error:
        raise SourceError(f"{file}: cannot be read ({error.strerror or error}).") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{file}:{line}: is not UTF-8, so it is damaged.") from error


def _verified(content: Json, where: str) -> Verified:
    at = datetime.strptime(content["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    accounts = tuple(
        Count(_id(each["id"]), _number(each["replicating"]), _number(each["quota"]))
        for each in content["accounts"]
    )
    if len({each.id for each in accounts}) < len(accounts) or not accounts:
        raise ValueError("an account stands twice, or there is none")
    return Verified(
        at,
        _text(content["env"]),
        _text(content["cloud"]),
        accounts,
        _number(content["in_target"]),
        _number(content["target_quota"]),
        where,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.60} is no text")
    return value


def _id(value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError(f"{value!r:.60} is no account id")
    return value


def _number(value: object) -> int | None:
    """A whole number from 0 to a million, or None for what was not known; raises ValueError."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1_000_000:
        raise ValueError(f"{value!r:.60} is no number of servers")
    return value
