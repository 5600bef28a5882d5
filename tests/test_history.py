"""Verifications are kept line by line; a line that is none is named, and none is kept for ever."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from validator import history
from validator.errors import SourceError
from validator.history import Count, Verified
from validator.project import Env

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ONE = Verified(
    NOW - timedelta(days=1),
    "staging",
    "aws",
    (Count("1" * 12, 300, 300), Count("2" * 12, None, 300)),
    None,
    4000,
)
LINE: dict[str, Any] = {
    "at": "2026-11-27T12:00:00Z",
    "env": "staging",
    "cloud": "aws",
    "accounts": [{"id": "1" * 12, "replicating": 300, "quota": 300}],
    "in_target": 600,
    "target_quota": 4000,
}


def test_what_is_kept_is_read(tmp_path: Path) -> None:
    env = Env(tmp_path, "staging")
    later = replace(ONE, at=NOW)
    history.kept(env, later)
    history.kept(env, ONE)
    file = history.file_of(env)
    assert history.read([file, file], "staging", NOW) == (
        replace(ONE, where=f"{file}:2"),
        replace(later, where=f"{file}:1"),
    )


def test_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST", 3)
    env = Env(tmp_path, "staging")
    for hours in range(5, 0, -1):
        history.kept(env, replace(ONE, at=NOW - timedelta(hours=hours)))
    read = history.read([history.file_of(env)], "staging", NOW)
    assert [NOW - each.at for each in read] == [timedelta(hours=n) for n in (3, 2, 1)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("{", "is no verification", id="cut off"),
        pytest.param("[]", "is no verification", id="a list"),
        pytest.param("[" * 100_000, "is no verification", id="nested without end"),
        pytest.param({**LINE, "env": "prod"}, "is of env 'prod'", id="another env"),
        pytest.param({**LINE, "at": "2026-11-28T12:00:01Z"}, "yet to come", id="a time to come"),
        pytest.param({**LINE, "at": "yesterday"}, "is no verification", id="a time in words"),
        pytest.param({**LINE, "accounts": []}, "there is none", id="no account"),
        pytest.param({**LINE, "accounts": LINE["accounts"] * 2}, "stands twice", id="an account twice"),
        pytest.param({**LINE, "in_target": -1}, "no number of servers", id="a negative number"),
        pytest.param({**LINE, "in_target": True}, "no number of servers", id="no number"),
        pytest.param({**LINE, "in_target": 1e300}, "no number of servers", id="a number without end"),
        pytest.param({**LINE, "cloud": 5}, "is no text", id="an AWS that is no text"),
        pytest.param({k: v for k, v in LINE.items() if k != "target_quota"}, "lacks 'target_quota'", id="a part is missing"),
        pytest.param({**LINE, "accounts": [{"id": "../x", "replicating": 1, "quota": 1}]}, "no account id", id="a strange id"),
        pytest.param(b"\xff", "is not UTF-8", id="no text"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_verification(tmp_path: Path, line: Any, said: str) -> None:
    file = tmp_path / "verify.jsonl"
    bad = (
        line
        if isinstance(line, bytes)
        else line.encode()
        if isinstance(line, str)
        else json.dumps(line).encode()
    )
    file.write_bytes(json.dumps(LINE).encode() + b"\n\n" + bad + b"\n")
    with pytest.raises(SourceError) as error:
        history.read([file], "staging", NOW)
    assert said in str(error.value)
    assert f"{file}:3" in str(error.value)


def test_two_counts_of_one_time_are_an_error(tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    first.write_text(json.dumps(LINE) + "\n")
    second.write_text("\n" + json.dumps({**LINE, "in_target": 599}) + "\n")
    with pytest.raises(SourceError) as raised:
        history.read([first, second], "staging", NOW)
    assert f"{first}:1 and {second}:2: are of the same time" in str(raised.value)
    second.write_text(json.dumps({**LINE, "in_target": 599, "cloud": "embedded"}) + "\n")
    assert len(history.read([first, second], "staging", NOW)) == 2


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        history.read([tmp_path / "none"], "staging", NOW)


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "LARGEST", 10)
    file = tmp_path / "verify.jsonl"
    file.write_text(json.dumps(LINE))
    with pytest.raises(SourceError, match="is larger than"):
        history.read([file], "staging", NOW)


def test_a_report_of_verify_becomes_counts_without_names() -> None:
    row = {"account": "target", "id": "1" * 12, "replicating": 7, "quota": 300, "free": 293}
    bounds = {"lower": 7, "upper": 9}
    document = {
        "env": "staging",
        "capacity": {"accounts": [row], "target_total_quota": 4000},
        "servers": {"in_target": bounds},
    }
    made = history.verified(document, "aws", NOW + timedelta(microseconds=5))
    assert made == Verified(NOW, "staging", "aws", (Count("1" * 12, 7, 300),), None, 4000)
    bounds["upper"] = 7
    assert history.verified(document, "aws", NOW).in_target == 7
