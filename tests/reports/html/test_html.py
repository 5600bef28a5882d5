"""The page of a run: whole in itself, shut against every name, and unknown wherever a number is not known."""

import base64
import copy
import hashlib
import itertools
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from tests.estates import account, estate
from tests.reports import runs
from tests.reports.html import runs as pages
from tests.reports.html.parsed import Node, parse
from validator.findings import Message, Outcome
from validator.model import Part, Unknown, Wave
from validator.quotas import CONCURRENT_JOBS, SERVERS_IN_ALL_JOBS
from validator.reports import Run, combined
from validator.reports.document import document, visible
from validator.reports.html import to_html

NAMES = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</title></style></article></main>",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "javascript:alert(1)",
    "<!-- ",
    "]]><svg onload=alert(1)>",
    "&lt;b&gt;&amp;",
    "\u202egnp.exe\x1b[2J\x00",
]


def page(run: Run) -> Node:
    return parse(to_html(run))


def part(of: Node, name: str) -> Node:
    return of.one("section", class_=name)


def titles(of: Node) -> list[str]:
    return [each.text for each in of.all("h2")]


def test_the_page_has_nothing_but_its_own_style_and_script() -> None:
    html = to_html(runs.run())
    top = parse(html)
    policy = top.one("meta", http_equiv="Content-Security-Policy").attributes["content"] or ""
    for name in ("style", "script"):
        digest = hashlib.sha256(top.one(name).text.encode()).digest()
        assert f"{name}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy and "*" not in policy
    assert not re.search(r"https?://|//\w|url\(|@import", top.one("style").text)
    assert not re.search(r"https?://|fetch|XMLHttp|import\(|innerHTML|eval", top.one("script").text)


def check_shut(of: Node) -> None:
    """Nothing in the page came from a name: no element that runs, no attribute that does."""
    assert len(of.all("script")) == len(of.all("style")) == 1
    for node in of.all():
        assert node.name not in {"iframe", "img", "object", "embed", "link", "base", "use", "image"}
        for name, value in node.attributes.items():
            assert not name.startswith("on") and name not in {"style", "src", "srcset", "action"}
            if name == "href":
                assert re.fullmatch(r"#[\w-]+", value or "")


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_is_shown_and_never_is_markup(name: str) -> None:
    of = estate(staging=(account(name, Part.STAGING, name, 7),))
    of = replace(
        of, env=name, source_region=name, recovery_region=name, waves=(Wave(name, name, 7),)
    )
    message = Message(name, name, name)
    finding = runs.found(name or "x", name, name, "violated", message)
    run = replace(runs.run(of, (replace(finding, why=name, remedy=name),), notes=(name,)), cloud=name, env=name, command=name)  # fmt: skip
    whole = page(run)
    check_shut(whole)
    said = visible(name)
    assert part(whole, "findings").one("ul", class_="found").one("b").text == said
    assert said.strip() in part(whole, "notes").text
    assert said in part(whole, "capacity").text


@settings(deadline=None, max_examples=25)
@given(run=runs.anything())
def test_whatever_a_run_holds_the_page_is_well_formed_and_shut(run: Run) -> None:
    check_shut(page(run))


def test_every_finding_stands_under_its_outcome() -> None:
    run = runs.run()
    found = part(page(run), "findings")
    groups = [
        (each.attributes["data-state"], each.attributes["data-invariant"])
        for each in found.all("details", class_="group")
    ]
    assert groups == sorted(
        groups, key=lambda of: ["violated", "unknown", "waived", "holds"].index(of[0] or "")
    )
    subjects = [each.text for each in found.all("b")]
    assert sorted(subjects) == sorted(visible(each.subject) for each in run.verdict.findings)
    for finding in document(run)["findings"]:
        for said in (finding["why"], finding["remedy"], finding["where"]):
            assert visible(said) in found.text
        for message in finding["messages"]:
            assert visible(message["text"]) in found.text
            assert visible(message["fix"] or "") in found.text


@pytest.mark.parametrize("outcome", Outcome)
def test_the_head_says_the_verdict_in_a_word(outcome: Outcome) -> None:
    top = page(runs.run(findings=(runs.found("a", "keys", "b", outcome),)))
    icon = {"holds": "✓", "violated": "✕", "unknown": "?"}[outcome]
    assert top.one("h1").text.split() == [f"{icon}{outcome}", "plan", "staging"]
    assert top.one("title").text == f"plan staging: {outcome}"


def test_no_finding_is_no_verdict() -> None:
    top = page(runs.run(findings=()))
    assert "No invariant was judged." in part(top, "findings").text
    assert "unknown" in top.one("h1").text


def test_what_is_unknown_is_said_and_never_0() -> None:
    unknown = Unknown("computed")
    of = estate(
        target=account("target", Part.TARGET, "111122223333", unknown),
        staging=(account("staging-1", Part.STAGING, "444455556666", unknown),),
    )
    of = replace(of, headroom=unknown, waves=Unknown("the file cannot be read"))
    top = page(runs.run(of))
    picture = part(top, "estate").one("svg")
    assert "0 / 300" not in picture.text.replace("unknown / 300", "")
    assert picture.text.count("unknown / 300") == 2
    assert "unknown / 4,000" in picture.text and "unknown servers" in picture.text
    assert all("blind" in (each.attributes["class"] or "") for each in picture.all("path"))
    assert "Planned servers: unknown" in part(top, "capacity").text
    bars = part(top, "capacity").all("svg")
    assert [each.attributes["aria-label"] for each in bars] == ["unknown of 300"] * 2
    assert "is unknown" in part(top, "recovery").text
    assert "The waves are unknown: the file cannot be read." in part(top, "recovery").text


def test_live_servers_that_cannot_be_read_are_a_range() -> None:
    run = pages.large()
    target = replace(run.estate.target, servers=Unknown("denied"))
    top = page(runs.run(replace(run.estate, target=target)))
    picture = part(top, "estate").one("svg").text
    assert "unknown / 300" in picture and "304 / 300, 4 too many" in picture
    assert re.search(r"in all\d[\d,]* to \d[\d,]* / 4,000", picture)
    assert "Not every account could be read." in part(top, "capacity").text


def test_the_extensions_of_an_account_are_unknown_where_the_target_cannot_be_read() -> None:
    run = pages.large()
    target = replace(run.estate.target, servers=Unknown("denied"))
    picture = part(page(runs.run(replace(run.estate, target=target))), "estate").one("svg").text
    assert picture.count("unknown extended") == pages.ACCOUNTS
    assert "0 extended" not in picture


@pytest.mark.parametrize("count", [0, 1, 13, 40])
def test_the_picture_holds_any_number_of_staging_accounts(count: int) -> None:
    staging = tuple(
        account(f"staging-{n}", Part.STAGING, f"{n:012}", 100 + n) for n in range(count)
    )
    picture = part(page(runs.run(estate(staging=staging))), "estate").one("svg")
    texts = picture.all("text")
    assert [each.text for each in texts if each.text.startswith("staging-")] == [
        each.name for each in staging
    ]
    assert ("no staging account" in picture.text) == (count == 0)
    _, _, width, height = map(int, (picture.attributes["viewbox"] or "").split())
    for each in texts:
        assert 0 < int(each.attributes["x"] or "") < width
        assert 0 < int(each.attributes["y"] or "") < height
    rows = [int(each.attributes["y"] or "") for each in texts if each.text.startswith("staging-")]
    assert all(below - above >= 40 for above, below in itertools.pairwise(rows))


@pytest.mark.parametrize(
    ("planned", "kind"),
    [(250, "fill"), (291, "tight"), (300, "tight"), (301, "over"), (0, None), (Unknown("x"), None)],
    ids=["room", "into the headroom", "full", "too many", "none", "unknown"],
)
def test_a_bar_tells_room_headroom_and_too_many_apart(
    planned: int | Unknown, kind: str | None
) -> None:
    of = estate(staging=(account("staging-1", Part.STAGING, "444455556666", planned),))
    bar = part(page(runs.run(replace(of, headroom=10))), "capacity").all("svg")[1]
    kinds = {each.attributes["class"] for each in bar.all("rect")}
    assert kinds & {"fill", "tight", "over"} == ({kind} if kind else set())


def test_a_recovery_has_a_line_for_each_round_and_a_wave_that_does_not_fit_is_marked() -> None:
    of = replace(estate(), waves=(Wave("one", "x", 500), Wave("two", "x", 501), Wave("none", "x", 0)))  # fmt: skip
    recovery = part(page(runs.run(of)), "recovery")
    assert "6 jobs in 2 rounds" in recovery.text
    assert [each.text for each in recovery.one("ol").all("li")] == [
        "5 jobs, 500 servers",
        "1 job, 100 servers",
    ]
    rows = [each.text for each in recovery.one("tbody").all("tr")]
    assert [row.split("✓")[-1].split("✕")[-1] for row in rows] == ["holds", "violated", "violated"]


@pytest.mark.parametrize(
    ("value", "said"),
    [(Unknown("denied"), "job quotas are unknown"), (0, "nothing can be recovered")],
    ids=["denied", "a quota of 0"],
)
def test_rounds_are_not_told_from_quotas_that_are_not_there(
    value: int | Unknown, said: str
) -> None:
    for quota in (CONCURRENT_JOBS, SERVERS_IN_ALL_JOBS):
        of = estate()
        of = replace(of, target=replace(of.target, quotas=((quota.code, value),)))
        recovery = part(page(runs.run(of)), "recovery").text
        assert said in recovery
        assert "rounds:" not in recovery


def test_a_run_with_none_before_it_says_nothing_of_changes() -> None:
    assert "What changed" not in titles(page(runs.run()))


def test_what_changed_since_the_last_run_is_named() -> None:
    changed = part(page(runs.run(before=runs.base())), "changed").text
    assert "Against the last run, which was on another embedded AWS: 1 new, 4 as before, 1 that hold now, 1 no longer judged." in changed  # fmt: skip
    assert "account-replicates-within-quota of staging-1 (violated)" in changed
    assert "staging-1 us-west-2: 262 → 305 of 300" in changed


def spoilt(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(runs.base()), **changes}


BEFORE: list[tuple[str, Any]] = [
    ("none", Unknown("no report of an earlier run is there")),
    ("empty", {}),
    ("another version", spoilt(schema_version=2)),
    ("another env", spoilt(env="prod")),
    ("another AWS", spoilt(cloud="AWS as account 111122223333")),
    ("another AWS with a hostile name", spoilt(cloud="<script>alert(1)</script>" * 1000)),
    ("another view", spoilt(view="live")),
    ("findings that are none", spoilt(findings=[None])),
    ("findings that are no list", spoilt(findings=7)),
    ("an outcome that is none", spoilt(findings=[{**runs.base()["findings"][0], "outcome": "fine"}])),
    ("numbers that are texts", spoilt(capacity={"accounts": [{"account": "a", "region": "b", "planned": "<b>"}]})),
    ("hostile", spoilt(env="<script>alert(1)</script>" * 1000)),
]  # fmt: skip


@pytest.mark.parametrize("before", [b[1] for b in BEFORE], ids=[b[0] for b in BEFORE])
def test_what_cannot_be_compared_is_said_so_and_nothing_is_called_unchanged(before: Any) -> None:
    top = page(runs.run(before=before))
    check_shut(top)
    changed = part(top, "changed").text
    assert "unknown The last run could not be compared: " in changed.replace("?unknown", "unknown")
    assert "new," not in changed and "the same" not in changed
    assert len(changed) < 1000


def test_names_of_the_last_run_are_shown_and_never_are_markup() -> None:
    earlier = runs.base()
    hostile = {**earlier["findings"][1], "outcome": "violated"}
    earlier["findings"] = [{**hostile, "subject": f"{name}\ud800"} for name in NAMES]
    earlier["capacity"]["accounts"][1]["account"] = NAMES[0]
    top = page(runs.run(before=json.loads(json.dumps(earlier))))
    check_shut(top)
    assert NAMES[0] in part(top, "changed").text


def test_the_page_of_several_runs_has_each_with_names_of_its_own() -> None:
    both = [to_html(runs.run()), to_html(replace(runs.run(), env="prod"))]
    top = parse(combined("html", both))
    check_shut(top)
    ids = [each.attributes["id"] for each in top.all() if "id" in each.attributes]
    assert len(ids) == len(set(ids))
    articles = top.all("article")
    assert [each.one("h1").text.split()[-1] for each in articles] == ["staging", "prod"]
    links = [each.attributes["href"] for each in top.one("nav", aria_label="Reports").all("a")]
    assert links == [f"#{each.attributes['id']}" for each in articles]


def test_every_link_and_label_leads_somewhere() -> None:
    top = page(pages.large())
    ids = [each.attributes["id"] for each in top.all() if "id" in each.attributes]
    assert len(ids) == len(set(ids))
    for each in top.all("a"):
        assert (each.attributes["href"] or "")[1:] in ids
    for each in top.all():
        labelled = each.attributes.get("aria-labelledby")
        assert labelled is None or labelled in ids


def test_the_prerequisites_stand_under_their_account_with_their_outcomes() -> None:
    run = pages.large()
    rows = document(run)["checklist"]
    accounts = [each for each in part(page(run), "checklist").all("details") if each.all("table")]
    assert len(accounts) == len(run.estate.accounts)
    told = [
        [cell.text for cell in row.all()[:2] if cell.name in ("th", "td")]
        + [row.one("span", aria_hidden="true").text]
        for each in accounts
        for row in each.one("tbody").all("tr")
    ]
    assert [item for item, *_ in told] == [row["item"] for row in rows]
    icons = {"violated": "✕", "unknown": "?", "holds": "✓", None: "·"}
    assert [icon for *_, icon in told] == [icons[row["outcome"]] for row in rows]
    assert accounts[0].all("summary")[0].text == "·not judged target: 0 of 7 hold"
