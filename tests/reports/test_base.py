"""The comparison with the base branch: whatever its report is, nothing is called fixed that is not."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reports import runs
from validator.model import Unknown
from validator.reports.base import LARGEST, Comparison, compare, read
from validator.reports.document import document

HEAD = document(runs.run())
NAME = (runs.FINDINGS[1].invariant, runs.FINDINGS[1].subject)


def states(before: dict[str, Any] | None, after: dict[str, Any] | None) -> Comparison:
    """The comparison of two reports that hold one finding, or none."""
    reports = []
    for changes in (before, after):
        report = copy.deepcopy(HEAD)
        finding = {**report["findings"][1], "waived": None, **(changes or {})}
        report["findings"] = [] if changes is None else [finding]
        reports.append(report)
    compared = compare(reports[1], reports[0])
    assert isinstance(compared, Comparison)
    return compared


WAIVED = {"outcome": "violated", "waived": HEAD["findings"][5]["waived"]}
HOLDS, VIOLATED, UNKNOWN = ({"outcome": name} for name in ("holds", "violated", "unknown"))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param(HOLDS, VIOLATED, "new", id="held"),
        pytest.param(None, UNKNOWN, "new", id="was not judged"),
        pytest.param(WAIVED, VIOLATED, "new", id="its waiver ended"),
        pytest.param(UNKNOWN, VIOLATED, "new", id="was unknown, is now known to be violated"),
        pytest.param(VIOLATED, VIOLATED, "unchanged", id="violated before and after"),
        pytest.param(VIOLATED, UNKNOWN, "unchanged", id="violated, now unknown"),
        pytest.param(VIOLATED, HOLDS, "fixed", id="holds now"),
        pytest.param(UNKNOWN, HOLDS, "fixed", id="known to hold now"),
        pytest.param(VIOLATED, None, "gone", id="not judged any more is not fixed"),
        pytest.param(VIOLATED, WAIVED, None, id="waived is not fixed"),
        pytest.param(HOLDS, HOLDS, None, id="held before and after"),
        pytest.param(WAIVED, HOLDS, None, id="was waived"),
    ],
)  # fmt: skip
def test_what_became_of_a_finding(before: Any, after: Any, said: str | None) -> None:
    compared = states(before, after)
    shown = {name: len(getattr(compared, name)) for name in ("new", "unchanged", "fixed", "gone")}
    assert shown == {name: int(name == said) for name in shown}


def test_a_subject_that_stands_twice_is_as_bad_as_its_worse_half() -> None:
    after = copy.deepcopy(HEAD)
    after["findings"] = [
        {**HEAD["findings"][1], "outcome": outcome} for outcome in ("violated", "holds")
    ]
    compared = compare(after, HEAD)
    assert isinstance(compared, Comparison)
    assert NAME not in compared.fixed


def test_the_capacity_is_told_by_account_and_region() -> None:
    compared = compare(HEAD, runs.base())
    assert isinstance(compared, Comparison)
    assert compared.capacity == (
        "staging-1 us-west-2: 262 → 305 of 300",
        "staging-3 us-west-2: new, 262 of 300",
        "staging-9 us-west-2: no longer in the estate",
    )


def test_a_quota_that_changed_is_told_with_both() -> None:
    base = copy.deepcopy(HEAD)
    base["capacity"]["accounts"][0]["quota"] = None
    compared = compare(HEAD, base)
    assert isinstance(compared, Comparison)
    assert compared.capacity == ("target us-west-2: 300 of unknown → 300 of 300",)


def changed(path: tuple[Any, ...], value: object) -> dict[str, Any]:
    base: Any = copy.deepcopy(HEAD)
    at = base
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return base  # type: ignore[no-any-return]


EMBEDDED, SERVING = "the embedded AWS (started for this command)", "the embedded AWS (serving at u)"
REAL, OTHER = "AWS as account 111122223333", "AWS as account 444455556666"


def on(view: str, cloud: str, identity: str | None) -> dict[str, Any]:
    return {**copy.deepcopy(HEAD), "view": view, "cloud": cloud, "cloud_identity": identity}


@pytest.mark.parametrize(
    ("view", "before", "now", "said"),
    [
        pytest.param("live", (REAL, "aws"), (REAL, "aws"), REAL, id="the same accounts"),
        pytest.param("plan", (REAL, "aws"), (REAL, "aws"), REAL, id="plans of the same accounts"),
        pytest.param("plan", (EMBEDDED, "embedded 1"), (EMBEDDED, "embedded 2"), "another embedded AWS", id="plans, each on an AWS of its own"),
        pytest.param("plan", (EMBEDDED, "embedded 1"), (SERVING, "embedded 2"), "another embedded AWS", id="plans on two kinds of embedded AWS"),
        pytest.param("plan", (SERVING, "embedded 1"), (SERVING, "embedded 1"), "the same embedded AWS", id="plans on one that serves"),
        pytest.param("live", (SERVING, "embedded 1"), (SERVING, "embedded 1"), "the same embedded AWS", id="one that serves, read twice"),
        pytest.param("code", (EMBEDDED, None), (REAL, None), None, id="code is on no AWS"),
    ],
)  # fmt: skip
def test_runs_on_the_same_aws_are_compared_and_it_is_named(
    view: str, before: tuple[str, str], now: tuple[str, str], said: str | None
) -> None:
    compared = compare(on(view, *now), on(view, *before))
    assert isinstance(compared, Comparison)
    assert compared.aws == said


@pytest.mark.parametrize(
    ("view", "before", "now", "said"),
    [
        pytest.param("live", (EMBEDDED, "embedded 1"), (REAL, "aws"), EMBEDDED, id="embedded, then real"),
        pytest.param("live", (REAL, "aws"), (EMBEDDED, "embedded 1"), REAL, id="real, then embedded"),
        pytest.param("plan", (EMBEDDED, "embedded 1"), (REAL, "aws"), EMBEDDED, id="a plan on an embedded one, then on the real one"),
        pytest.param("live", (OTHER, "aws"), (REAL, "aws"), OTHER, id="as another account"),
        pytest.param("plan", (OTHER, "aws"), (REAL, "aws"), OTHER, id="a plan as another account"),
        pytest.param("live", (SERVING, "embedded 1"), (SERVING, "embedded 2"), "another embedded AWS", id="one that was started again at the same address"),
        pytest.param("live", (EMBEDDED, "embedded 1"), (EMBEDDED, "embedded 2"), "another embedded AWS", id="each on an AWS of its own"),
        pytest.param("live", (EMBEDDED, None), (EMBEDDED, None), "another embedded AWS", id="which ones is not known"),
        pytest.param("live", ("no AWS", None), (REAL, "aws"), "no AWS", id="on none"),
    ],
)  # fmt: skip
def test_runs_on_two_awss_are_not_compared(
    view: str, before: tuple[str, str], now: tuple[str, str], said: str
) -> None:
    compared = compare(on(view, *now), on(view, *before))
    assert isinstance(compared, Unknown)
    assert compared.reason.startswith("it is of another ") and said in compared.reason


def test_a_report_that_names_no_embedded_aws_is_of_another() -> None:
    """One of an earlier validator."""
    before = on("live", EMBEDDED, None)
    del before["cloud_identity"]
    assert isinstance(compare(on("live", EMBEDDED, "embedded 1"), before), Unknown)


ROW = ("capacity", "accounts", 0)


@pytest.mark.parametrize(
    "base",
    [
        pytest.param({}, id="empty"),
        pytest.param(changed(("schema_version",), 2), id="another version"),
        pytest.param(changed(("env",), "prod"), id="another env"),
        pytest.param(changed(("command",), "check"), id="another command"),
        pytest.param(changed(("view",), "code"), id="another view"),
        pytest.param(changed(("cloud",), 7), id="an AWS that is a number"),
        pytest.param(changed(("cloud",), "AWS as account 111122223333"), id="another AWS"),
        pytest.param(changed(("findings",), None), id="no findings"),
        pytest.param(changed(("findings", 0), "x"), id="a finding that is none"),
        pytest.param(changed(("findings", 0, "outcome"), "fine"), id="an outcome that is none"),
        pytest.param(changed(("findings", 0, "outcome"), []), id="an outcome that is a list"),
        pytest.param(changed(("findings", 0, "subject"), 7), id="a subject that is a number"),
        pytest.param(changed(("findings", 0, "waived"), True), id="waived without a waiver"),
        pytest.param(changed(("capacity",), []), id="no capacity"),
        pytest.param(changed((*ROW, "planned"), "300"), id="a number in quotes"),
        pytest.param(changed((*ROW, "planned"), True), id="true for a number"),
        pytest.param(changed((*ROW, "quota"), 10**5000), id="a number too long to print"),
        pytest.param(changed((*ROW, "quota"), -1), id="fewer than none"),
        pytest.param(Unknown("the base branch has no report"), id="none"),
    ],
)
def test_what_is_no_report_of_the_same_run_is_not_compared(base: Any) -> None:
    compared = compare(HEAD, base)
    assert isinstance(compared, Unknown)
    assert compared.reason


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)  # fmt: skip


@settings(deadline=None)
@given(data=st.data(), value=_json)
def test_no_base_makes_the_comparison_raise_or_invents_a_fixed_finding(
    data: st.DataObject, value: object
) -> None:
    path: list[Any] = []
    at: Any = HEAD
    while isinstance(at, (dict, list)) and at and (not path or data.draw(st.booleans())):
        path.append(
            data.draw(st.sampled_from(list(at) if isinstance(at, dict) else range(len(at))))
        )
        at = at[path[-1]]
    for base in (changed(tuple(path), value), value):
        compared = compare(HEAD, base)  # type: ignore[arg-type]
        if isinstance(compared, Comparison):
            held = {
                (f["invariant"], f["subject"]) for f in HEAD["findings"] if f["outcome"] == "holds"
            }
            assert set(compared.fixed) <= held
            assert len(compared.new) + len(compared.unchanged) == sum(
                f["outcome"] != "holds" and f["waived"] is None for f in HEAD["findings"]
            )


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b"null", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"],
    ids=["empty", "half", "not UTF-8", "a list", "null", "nested without end", "a long number"],
)
def test_a_file_that_is_no_report_says_so(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(content)
    assert isinstance(read(file), Unknown)


def test_a_file_that_is_not_there_or_too_large_says_so(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert isinstance(read(file), Unknown)
    with file.open("wb") as stream:
        stream.truncate(LARGEST + 1)
    assert "larger" in getattr(read(file), "reason", "")


def test_the_report_of_the_base_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps(HEAD))
    assert read(file) == HEAD
