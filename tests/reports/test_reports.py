"""Reports: every format tells the verdict, and says nothing that the estate does not."""

import json
from dataclasses import replace

import pytest

from tests.estates import account, estate, extended, server
from tests.invariants.complete import with_staging
from tests.reports.runs import FINDINGS
from tests.reports.runs import run as example
from validator.invariants import capacity, judge
from validator.model import Account, Estate, Extension, Part, Unknown
from validator.quotas import REPLICATING_SERVERS
from validator.reports import REPORTS, Run
from validator.reports.text import bar, draws_blocks, to_text

TARGET, STAGING = "111122223333", "444455556666"


def run(of: Estate) -> Run:
    return Run("plan", "staging", "the embedded AWS", of, judge(of, capacity.INVARIANTS))


@pytest.mark.parametrize("name", REPORTS)
def test_every_format_tells_the_outcome_and_the_cloud(name: str) -> None:
    of = estate(staging=(account("staging-1", Part.STAGING, STAGING, 301),))
    text = REPORTS[name](run(of))
    assert "violated" in text
    assert "the embedded AWS" in text
    assert text.endswith("\n")
    assert text == REPORTS[name](run(of))


def test_the_text_says_which_aws_in_its_first_and_last_line() -> None:
    lines = REPORTS["text"](run(estate())).splitlines()
    assert lines[0] == lines[-1] == "plan staging on the embedded AWS"


def test_the_text_shows_the_capacity_of_the_seed() -> None:
    text = REPORTS["text"](run(estate()))
    assert "600 protected of the estate's capacity of 600" in text
    assert "300/300" in text


def test_the_text_cuts_no_number_of_an_account_that_cannot_be_read() -> None:
    denied = Unknown("denied")
    of = with_staging("live", servers=denied, quotas=((REPLICATING_SERVERS.code, denied),))
    text = REPORTS["text"](run(of))
    row, *_ = (line for line in text.splitlines() if line.startswith(" staging-1 "))
    assert row.split()[3:7] == ["unknown", "unknown", "unknown", "unknown/unknown"]
    assert "…" not in text
    assert "planned of the estate's capacity" in text and " protected of the" not in text


def test_the_text_gives_where_why_and_remedy() -> None:
    text = REPORTS["text"](run(estate(staging=(account("staging-1", Part.STAGING, STAGING, 301),))))
    for part in ("301", "staging-1, estate.auto.tfvars:staging-1", "why: ", "remedy: "):
        assert part in text


@pytest.mark.parametrize("name", ["[red]x[/]", ":key:"])
def test_names_with_markup_are_shown_as_they_are(name: str) -> None:
    of = estate(staging=(account(name, Part.STAGING, STAGING, 301),))
    assert name in REPORTS["text"](run(of))


def test_the_text_says_who_waived_a_finding_and_for_how_long() -> None:
    waived = tuple(finding for finding in FINDINGS if finding.waived)
    text = REPORTS["text"](example(findings=waived))
    assert "  shared-key-has-no-strangers of " in text
    assert "(storage team, DR-12); the waiver ends in 9 days, on 2026-12-03." in text
    assert "0 violated, 0 unknown, 2 waived, 0 hold" in text
    assert "Verdict: holds (every invariant holds for every subject, or is waived)" in text


def test_json_counts_live_servers_by_status_and_keeps_unknown_apart_from_zero() -> None:
    one, two = server(STAGING, 1), server(STAGING, 2, state="DISCONNECTED")
    target = account("target", Part.TARGET, TARGET, 0)
    staging = account("staging-1", Part.STAGING, STAGING, 1)
    of = estate(
        view="live",
        target=_with(target, servers=(extended(TARGET, one, Extension.EXTENSION_ERROR),)),
        staging=(_with(staging, servers=(one, two)), _with(staging, name="staging-2")),
    )
    rows = json.loads(REPORTS["json"](run(of)))["capacity"]["accounts"]
    assert [(r["replicating"], r["extended"], r["extension_errors"]) for r in rows] == [
        (0, 0, 1),
        (1, 0, 0),
        (None, None, None),
    ]


def test_an_unknown_number_makes_its_total_unknown() -> None:
    of = estate(staging=(account("staging-1", Part.STAGING, STAGING, Unknown("computed")),))
    capacity = json.loads(REPORTS["json"](run(of)))["capacity"]
    assert (capacity["planned"], capacity["capacity"]) == (None, 600)


def _with(of: Account, **changes: object) -> Account:

    return replace(of, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("servers", "quota", "shown"),
    [
        (0, 300, "░░░░░░░░░░"),
        (1, 300, "█░░░░░░░░░"),
        (299, 300, "█████████░"),
        (300, 300, "██████████"),
        (301, 300, "█████████!"),
        (0, 0, "░░░░░░░░░░"),
        (None, 300, "??????????"),
        (300, None, "??????????"),
    ],
)
def test_a_bar_is_full_only_at_the_quota(
    servers: int | None, quota: int | None, shown: str
) -> None:
    assert bar(servers, quota) == shown
    assert bar(servers, quota, ascii_only=True) == shown.replace("█", "#").replace("░", ".")


def test_the_text_for_a_terminal_without_blocks_is_ascii() -> None:
    text = to_text(example(of=estate(), findings=FINDINGS[:2]), ascii_only=True)
    assert text.isascii()
    assert "300/300   ##########" in text


@pytest.mark.parametrize(
    ("encoding", "draws"), [("utf-8", True), ("ascii", False), ("latin-1", False), (None, False), ("x", False)]
)  # fmt: skip
def test_an_encoding_draws_blocks_or_not(encoding: str | None, draws: bool) -> None:
    assert draws_blocks(encoding) is draws
