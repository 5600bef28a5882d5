"""The pull-request comment: as GitHub renders it, whatever the estate is called, and within its limit."""

import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from tests.estates import account, estate
from tests.reports import runs
from validator.findings import Message
from validator.model import Part, Unknown
from validator.reports import REPORTS, Run
from validator.reports.document import document, one_line
from validator.reports.markdown import LIMIT, marker

RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
TAGS = {
    "h3", "h4", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "ul", "li",
    "strong", "b", "br", "sub", "details", "summary",
}  # fmt: skip
NO_WIDTH = "\u200b"


class Page(HTMLParser):
    """The tags, attributes and text of a rendered comment; `open` must be empty at its end."""

    def __init__(self, comment: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.open: list[str] = []
        self.text = ""
        self.comments: list[str] = []
        self.calls = ""
        self.feed(RENDERER.render(comment))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        self.text += data
        if "code" not in self.open:
            self.calls += data


def comment(run: Run) -> str:
    return REPORTS["markdown"](run)


@settings(deadline=None)
@given(run=runs.anything())
def test_no_name_or_text_becomes_markup_a_link_or_a_call(run: Run) -> None:
    page = Page(comment(run))
    assert {tag for tag, _ in page.tags} <= TAGS
    assert {name for _, names in page.tags for name in names} <= {"style", "class"}
    assert not page.open
    assert len(page.comments) == 1
    assert not re.search(r"[@#](?!\u200b)|://|\bwww\.", page.calls)
    findings = document(run)["findings"]
    counted = [each for each in findings if each["outcome"] != "holds" and not each["waived"]]
    assert [tag for tag, _ in page.tags].count("details") == len(counted)
    seen = re.sub(r"\s", "", page.text.replace(NO_WIDTH, ""))
    for finding in counted:
        for text in (finding["subject"], *(message["text"] for message in finding["messages"])):
            assert re.sub(r"\s", "", one_line(text)) in seen


def test_it_begins_with_the_marker_of_its_env() -> None:
    assert comment(runs.run()).startswith(marker("staging") + "\n")
    assert marker("staging") != marker("prod")
    assert marker("a --> b").count("-->") == 1


def test_it_shows_the_verdict_the_findings_and_what_to_do() -> None:
    text = Page(comment(runs.run())).text
    for part in (
        "❌ plan staging: violated",
        "4 violated, 1 unknown, 2 waived, 2 hold",
        "terraform/envs/staging/estate.auto.tfvars:24",
        "Remedy: Move servers",
        'actions = ["kms:Decrypt"]',
        "⚠️ ends in 9 days, on 2026-12-03",
        "Terraform will change:",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("planned", "bar"),
    [
        (0, "░░░░░░░░ 0/300"),
        (1, "█░░░░░░░ 1/300"),
        (262, "██████░░ 262/300"),
        (299, "███████░ 299/300"),
        (300, "████████ 300/300"),
        (305, "████████ 305/300 ❌ 5 too many"),
        (Unknown("computed"), "???????? unknown/300"),
    ],
)
def test_a_bar_is_full_only_at_the_quota(planned: int | Unknown, bar: str) -> None:
    of = estate(staging=(account("staging-1", Part.STAGING, "444455556666", planned),))
    assert bar in Page(comment(runs.run(of))).text


def test_it_says_what_changed_against_the_base() -> None:
    text = Page(comment(runs.run(base=runs.base()))).text
    assert "1 new, 4 unchanged, 1 fixed, 1 no longer judged" in text
    assert "staging-1 us-west-2: 262 → 305 of 300" in text
    new, unchanged = (text.index(title) for title in ("New findings", "Unchanged findings"))
    assert new < text.index("account-replicates-within-quota: staging-1") < unchanged


@pytest.mark.parametrize(
    "base", [Unknown("there is none"), {"env": "@all"}], ids=["none", "no report"]
)
def test_a_base_that_cannot_be_compared_is_a_note_and_nothing_is_fixed(base: object) -> None:
    text = Page(comment(runs.run(base=base))).text
    assert "Could not be compared" in text
    assert "fixed" not in text.lower().replace("nothing is fixed", "")
    assert "account-replicates-within-quota: staging-1" in text


def test_without_a_base_nothing_is_said_of_one() -> None:
    assert "base branch" not in comment(runs.run())


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(runs.run(findings=runs.FINDINGS * 400), id="many findings"),
        pytest.param(runs.run(findings=runs.FINDINGS * 400, base=runs.base()), id="many unchanged"),
        pytest.param(runs.run(findings=runs.FINDINGS * 400, base={**runs.base(), "findings": []}), id="many new"),
        pytest.param(runs.run(findings=tuple(replace(runs.FINDINGS[5], subject="@" * 900) for _ in range(400))), id="many waivers"),
        pytest.param(runs.run(notes=("#@" * 9000,) * 50), id="long notes"),
        pytest.param(runs.run(findings=(runs.found("a", "b", "😀" * 70_000, "violated", Message("|" * 70_000, "x", "`" * 70_000)),) * 90), id="long texts"),
        pytest.param(runs.run(estate(staging=tuple(account(f"*{n}*" * 9, Part.STAGING, "1", n) for n in range(900)))), id="many accounts"),
        pytest.param(runs.run(base={**runs.base(), "env": "@" * 70_000}), id="a base with a long name"),
    ],
)  # fmt: skip
def test_it_fits_and_what_is_cut_is_said(run: Run) -> None:
    text = comment(run)
    assert len(text.encode("utf-16-le")) // 2 <= LIMIT
    page = Page(text)
    assert not page.open
    assert (
        re.search(r"\d+ more (findings|waivers|notes|accounts|characters)", page.text)
        or "could not" in page.text.lower()
    )
    assert re.search("[❌✅] plan staging: (violated|holds)", page.text)
    assert "All of it: report.json" in page.text


def test_the_findings_that_are_left_out_are_counted() -> None:
    page = Page(comment(runs.run(findings=runs.FINDINGS[1:2] * 1000)))
    shown = [tag for tag, _ in page.tags].count("details")
    assert shown > 20
    assert f"{1000 - shown} more findings are left out here" in page.text


def test_html_of_a_name_is_shown_and_not_read() -> None:
    assert html.escape("<img src=x>", quote=False) in comment(runs.run())
    assert "<img" not in comment(runs.run()).replace(r"\<img", "").split("```")[0]
