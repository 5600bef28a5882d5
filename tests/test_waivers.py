"""Waivers: only one that is exactly right covers anything, and none makes the unknown look fine."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.estates import estate
from validator.errors import UsageError
from validator.findings import Finding, Message, Outcome, Verdict
from validator.invariants import judge
from validator.invariants.engine import invariant, need
from validator.model import Estate, Unknown
from validator.waivers import LARGEST, LONGEST, WARNED, Waivers, accept, apply, read, warnings

TODAY = date(2026, 11, 24)
KEY = "module.key.aws_kms_key.this.arn"
BLIND = f"Cannot be known: {KEY} is known only after apply."
FAILED = f"The invariant failed: KeyError: {KEY}"
BROKEN = "It grants everybody kms:Decrypt."
KNOWN = frozenset({"keys-rotate", "keys-stay-home", "waivers-are-used"})
GOOD = {
    "invariant": "keys-rotate",
    "subject": "alias/drs",
    "reason": "AWS owns the material until the move.",
    "owner": "storage team",
    "ticket": "DR-12",
    "expires": "2026-12-31",
}


def found(
    *texts: str,
    of: str = "keys-rotate",
    about: str = "alias/drs",
    outcome: str = "violated",
    family: str = "keys",
) -> Finding:
    messages = tuple(Message(text, "main.tf:3") for text in texts)
    return Finding(of, family, about, "main.tf:3", Outcome(outcome), messages, "why", "remedy")


def written(folder: Path, content: object) -> Path:
    file = folder / "waivers.yaml"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


def waived(folder: Path, content: object, *findings: Finding, view: str = "plan") -> Verdict:
    waivers = read(written(folder, content), TODAY, KNOWN)
    return apply(Verdict(findings), waivers, view)  # type: ignore[arg-type]


def complaints(verdict: Verdict) -> list[tuple[str, str]]:
    return [
        (each.invariant, " ".join(message.text for message in each.messages))
        for each in verdict.findings
        if each.family == "waivers" and each.outcome is Outcome.VIOLATED
    ]


def entry(**changes: object) -> list[dict[str, object]]:
    return [{key: value for key, value in {**GOOD, **changes}.items() if value is not None}]


def test_without_a_file_nothing_is_waived_and_nothing_is_said(tmp_path: Path) -> None:
    assert read(tmp_path / "waivers.yaml", TODAY, KNOWN) == Waivers()


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "[]", b"\xef\xbb\xbf"])
def test_an_empty_file_waives_nothing(tmp_path: Path, content: object) -> None:
    verdict = Verdict((found(BROKEN),))
    assert waived(tmp_path, content, *verdict.findings) == verdict


def test_a_waived_finding_keeps_its_outcome_and_counts_as_holding(tmp_path: Path) -> None:
    verdict = waived(tmp_path, entry(), found(BROKEN))
    (finding,) = verdict.findings
    assert verdict.outcome is Outcome.HOLDS
    assert finding.outcome is Outcome.VIOLATED
    assert finding.waived is not None
    assert (
        finding.waived.reason,
        finding.waived.owner,
        finding.waived.ticket,
        finding.waived.expires,
    ) == (
        GOOD["reason"],
        GOOD["owner"],
        GOOD["ticket"],
        date(2026, 12, 31),
    )


@pytest.mark.parametrize(
    ("changes", "texts", "outcome", "covered"),
    [
        pytest.param({}, [BROKEN, "And rotation is off."], "violated", True, id="every message is violated"),
        pytest.param({}, [BLIND], "unknown", False, id="unknown needs its reference"),
        pytest.param({"reference": KEY}, [BLIND], "unknown", True, id="the reference is in the message"),
        pytest.param({"reference": "module.key.aws_kms_key"}, [BLIND], "unknown", False, id="only the beginning of the reference"),
        pytest.param({"reference": "aws_kms_key.this.arn"}, [BLIND], "unknown", False, id="only the end of the reference"),
        pytest.param({"reference": "module.key.aws_kms_key.other.arn"}, [BLIND], "unknown", False, id="another reference"),
        pytest.param({"reference": KEY}, [BLIND, "Cannot be known: var.name."], "unknown", False, id="one of two references"),
        pytest.param({"reference": KEY}, [BROKEN], "violated", False, id="now it is known, and violated"),
        pytest.param({}, [BROKEN, BLIND], "violated", False, id="violated and unknown, without the reference"),
        pytest.param({"reference": KEY}, [BROKEN, BLIND], "violated", False, id="violated and unknown, with the reference only"),
        pytest.param({"reference": KEY}, [FAILED], "unknown", False, id="a crash is no reference"),
        pytest.param({}, [BROKEN, FAILED], "violated", False, id="violated and crashed"),
        pytest.param({}, [], "violated", False, id="violated without a word"),
        pytest.param({"reference": KEY}, [], "unknown", False, id="unknown without a word"),
    ],
)  # fmt: skip
def test_a_waiver_covers_only_what_it_names(
    tmp_path: Path, changes: dict[str, object], texts: list[str], outcome: str, covered: bool
) -> None:
    verdict = waived(tmp_path, entry(**changes), found(*texts, outcome=outcome))
    assert (verdict.findings[0].waived is not None) is covered
    assert (verdict.outcome is Outcome.HOLDS) is covered


def test_what_is_violated_and_unknown_at_once_needs_a_waiver_for_each(tmp_path: Path) -> None:
    both = entry() + entry(reference=KEY, expires="2026-12-01")
    verdict = waived(tmp_path, both, found(BROKEN, BLIND))
    assert verdict.outcome is Outcome.HOLDS
    (finding,) = verdict.findings
    assert finding.waived is not None
    assert finding.waived.expires == date(2026, 12, 1), "the one that ends first"


@pytest.mark.parametrize(
    ("of", "about"),
    [("keys-stay-home", "alias/drs"), ("keys-rotate", "alias/drs-2"), ("keys-rotate", "ALIAS/drs")],
)
def test_another_invariant_or_subject_is_not_covered(tmp_path: Path, of: str, about: str) -> None:
    other = found(BROKEN, of=of, about=about)
    verdict = waived(tmp_path, entry(), found(BROKEN), other)
    assert [finding.waived is not None for finding in verdict.findings] == [True, False]


@pytest.mark.parametrize(
    ("content", "invariant_name", "said"),
    [
        pytest.param("a: [", "waivers-are-well-formed", "Not YAML", id="not YAML"),
        pytest.param(b"\xff\xfe\x00", "waivers-are-well-formed", "Not YAML", id="not UTF-8"),
        pytest.param("#" * (LARGEST + 1), "waivers-are-well-formed", "larger than", id="too large"),
        pytest.param("[" * 20_000, "waivers-are-well-formed", "Not YAML", id="nested without end"),
        pytest.param("- a\n---\n- b\n", "waivers-are-well-formed", "Not YAML", id="two documents"),
        pytest.param(GOOD, "waivers-are-well-formed", "not a list", id="a map, not a list"),
        pytest.param(["all"], "waivers-are-well-formed", "not a map", id="an entry that is no map"),
        *(
            pytest.param(entry(**{key: None}), "waivers-are-well-formed", f"{key} is missing", id=f"no {key}")
            for key in GOOD
        ),
        *(
            pytest.param(entry(**{key: " "}), "waivers-are-well-formed", f"{key} must be text", id=f"blank {key}")
            for key in GOOD
        ),
        pytest.param(entry(reason=["a"]), "waivers-are-well-formed", "reason must be text", id="a list for a text"),
        pytest.param(entry(owner=True), "waivers-are-well-formed", "owner must be text", id="yes for an owner"),
        pytest.param(entry(until="2027-01-01"), "waivers-are-well-formed", "'until' is no part", id="a key that is none"),
        pytest.param(yaml.safe_dump(entry()) + "  owner: me\n", "waivers-are-well-formed", "'owner' stands twice", id="a key twice"),
        pytest.param(entry() * 2, "waivers-are-well-formed", "same waiver", id="the same waiver twice"),
        pytest.param(entry() + entry(views=["plan"]), "waivers-are-well-formed", "same waiver", id="twice for one view"),
        pytest.param(entry(invariant="keys-dance"), "waivers-are-well-formed", "no invariant 'keys-dance'", id="an invariant that is none"),
        pytest.param(entry(invariant="waivers-are-used"), "waivers-are-well-formed", "no invariant", id="a waiver of waivers"),
        pytest.param(entry(expires="soon"), "waivers-are-well-formed", "must be a day", id="no date"),
        pytest.param(entry(expires="2026-02-30"), "waivers-are-well-formed", "must be a day", id="a day that is none"),
        pytest.param(entry(expires="20261201"), "waivers-are-well-formed", "must be a day", id="another way to write a date"),
        pytest.param(entry(reference="known"), "waivers-are-well-formed", "reference must be", id="a word, not a reference"),
        pytest.param(entry(reference="."), "waivers-are-well-formed", "reference must be", id="a full stop"),
        pytest.param(entry(views=[]), "waivers-are-well-formed", "views must be", id="no view"),
        pytest.param(entry(views=["plan", "all"]), "waivers-are-well-formed", "views must be", id="a view that is none"),
        pytest.param(entry(views="plan"), "waivers-are-well-formed", "views must be", id="views that are no list"),
        pytest.param(entry(expires=str(TODAY - timedelta(1))), "waivers-are-current", "ended on 2026-11-23", id="ended yesterday"),
        pytest.param(entry(expires=str(TODAY + timedelta(LONGEST + 1))), "waivers-end-within-90-days", "91 days", id="91 days from today"),
    ],
)  # fmt: skip
def test_a_bad_waiver_is_violated_itself_and_covers_nothing(
    tmp_path: Path, content: object, invariant_name: str, said: str
) -> None:
    verdict = waived(tmp_path, content, found(BROKEN))
    assert verdict.findings[0] == found(BROKEN), "the finding is neither hidden nor waived"
    assert verdict.outcome is Outcome.VIOLATED
    names, texts = zip(*complaints(verdict), strict=True)
    assert set(names) == {invariant_name}
    assert said in texts[0]


@pytest.mark.parametrize("days", [0, 1, LONGEST])
def test_a_waiver_counts_on_its_last_day_and_up_to_90_days_ahead(tmp_path: Path, days: int) -> None:
    ends = str(TODAY + timedelta(days))
    assert waived(tmp_path, entry(expires=ends), found(BROKEN)).outcome is Outcome.HOLDS


def test_a_good_waiver_beside_a_bad_one_still_counts(tmp_path: Path) -> None:
    verdict = waived(tmp_path, ["all", *entry()], found(BROKEN))
    assert verdict.findings[0].waived is not None
    assert complaints(verdict) == [("waivers-are-well-formed", "The entry is not a map.")]


def test_the_findings_say_the_line(tmp_path: Path) -> None:
    content = "# one\n- all\n\n" + yaml.safe_dump(entry(expires="2020-01-01"))
    verdict = waived(tmp_path, content, found(BROKEN))
    file = tmp_path / "waivers.yaml"
    assert [each.where for each in verdict.findings[1:]] == [f"{file}:2", f"{file}:4"]


@pytest.mark.parametrize(
    ("finding", "view", "unused"),
    [
        pytest.param(found(outcome="holds"), "plan", True, id="its subject holds"),
        pytest.param(found(BROKEN, about="alias/other"), "plan", True, id="its subject is gone"),
        pytest.param(found(BLIND, outcome="unknown"), "plan", True, id="it cannot cover the unknown"),
        pytest.param(found(BROKEN), "plan", False, id="it covers"),
        pytest.param(found(BROKEN, BLIND), "plan", False, id="it covers a part"),
        pytest.param(found(outcome="holds", of="keys-stay-home"), "plan", False, id="this view does not judge its invariant"),
        pytest.param(found(outcome="holds"), "live", False, id="it is for another view"),
    ],
)  # fmt: skip
def test_an_unused_waiver_is_violated(
    tmp_path: Path, finding: Finding, view: str, unused: bool
) -> None:
    verdict = waived(tmp_path, entry(views=["code", "plan"]), finding, view=view)
    assert [name for name, _ in complaints(verdict)] == ["waivers-are-used"] * unused


def test_a_waiver_for_another_view_covers_nothing(tmp_path: Path) -> None:
    assert waived(tmp_path, entry(views=["code"]), found(BROKEN)).outcome is Outcome.VIOLATED


def test_a_waiver_file_never_turns_an_empty_verdict_into_one_that_holds(tmp_path: Path) -> None:
    assert waived(tmp_path, entry()).outcome is Outcome.UNKNOWN


def test_what_stands_in_the_way_of_the_file_is_violated(tmp_path: Path) -> None:
    folder, dangling = tmp_path / "folder", tmp_path / "dangling"
    folder.mkdir()
    dangling.symlink_to(tmp_path / "nowhere")
    for file in (folder, dangling):
        (finding,) = read(file, TODAY, KNOWN).broken
        assert "not a file" in finding.messages[0].text


@invariant(Estate)
def half_seen(estate: Estate, _: Estate) -> Iterator[str]:
    """One thing is wrong and another unseen.

    So that the engine writes both.

    Remedy: None.
    """
    yield BROKEN
    need(Unknown(f"{KEY} is known only after apply") if estate.view == "plan" else 1)
    raise KeyError(KEY)


@pytest.mark.parametrize("view", ["plan", "code"])
def test_the_engine_says_what_is_unknown_in_words_that_no_plain_waiver_covers(
    tmp_path: Path, view: str
) -> None:
    of = estate(view=view)  # type: ignore[arg-type]
    verdict = judge(of, (half_seen,))
    assert len(verdict.findings[0].messages) == 2
    plain = entry(invariant="half-seen", subject=of.name)
    waivers = read(written(tmp_path, plain), TODAY, {"half-seen"})
    assert len(waivers.entries) == 1
    assert apply(verdict, waivers, of.view).findings[0].waived is None


@pytest.mark.parametrize(
    ("days", "said"),
    [(0, "today"), (1, "in 1 day, on"), (WARNED, "in 14 days, on"), (WARNED + 1, None)],
)
def test_a_waiver_is_warned_of_from_14_days_before_its_end(
    tmp_path: Path, days: int, said: str | None
) -> None:
    verdict = waived(tmp_path, entry(expires=str(TODAY + timedelta(days))), found(BROKEN))
    said_of = warnings(verdict, TODAY)
    assert [f"ends {said}" in text for text in said_of] == [True] * (said is not None)


EFFECT = found("The key is destroyed.", of="no-key-is-destroyed", family="effects")


def test_an_accepted_effect_counts_as_holding_for_this_run() -> None:
    other = found("A trust is cut.", of="no-trust-is-cut", family="effects")
    verdict = accept(Verdict((EFFECT, other)), ["no-key-is-destroyed"])
    assert [each.waived is not None for each in verdict.findings] == [True, False]
    assert verdict.findings[0].waived is not None
    assert verdict.findings[0].waived.expires is None
    assert not warnings(verdict, TODAY)


def test_accepting_leaves_what_is_unknown_unknown() -> None:
    blind = replace(EFFECT, subject="another key", outcome=Outcome.UNKNOWN)
    verdict = accept(Verdict((EFFECT, blind)), ["no-key-is-destroyed"])
    assert verdict.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("finding", "name", "said"),
    [
        pytest.param(EFFECT, "no-key-is-lost", "is no effect of this run", id="a name that is none"),
        pytest.param(found(BROKEN), "keys-rotate", "is an invariant, not an effect", id="no effect"),
        pytest.param(replace(EFFECT, outcome=Outcome.HOLDS), EFFECT.invariant, "is not violated", id="it holds"),
        pytest.param(replace(EFFECT, outcome=Outcome.UNKNOWN), EFFECT.invariant, "is not violated", id="it is unknown"),
        pytest.param(replace(EFFECT, messages=(*EFFECT.messages, Message(BLIND, "x"))), EFFECT.invariant, "cannot be known", id="a part is unknown"),
    ],
)  # fmt: skip
def test_only_a_violated_effect_can_be_accepted(finding: Finding, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        accept(Verdict((finding,)), [name])


_words = st.sampled_from(
    ["invariant", "subject", "reason", "owner", "ticket", "expires", "reference", "views",
     "keys-rotate", "alias/drs", "2026-12-01", KEY, "known", "Cannot", ".", "*", "", "code", "plan"]
)  # fmt: skip
_yaml = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200),
    st.text(alphabet="-: \n[]{}&*!|>'\"%@`#,?abcU\\0", max_size=80),
    st.lists(st.dictionaries(_words, st.one_of(_words, st.lists(_words), st.none()))).map(
        yaml.safe_dump
    ),
    st.lists(st.fixed_dictionaries({key: st.sampled_from([value, "x.y"]) for key, value in GOOD.items()}, optional={"reference": _words, "views": st.just(["plan"])})).map(yaml.safe_dump),
)  # fmt: skip


@settings(deadline=None)
@given(content=_yaml)
def test_no_file_makes_anything_raise_or_hides_what_is_unknown(
    tmp_path_factory: pytest.TempPathFactory, content: str | bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "waivers.yaml"
    raw = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    file.write_bytes(raw)
    findings = (found(BLIND, outcome="unknown"), found(BROKEN, BLIND, of="keys-stay-home"))
    waivers = read(file, TODAY, KNOWN)
    verdict = apply(Verdict(findings), waivers, "plan")
    named = {(waiver.invariant, waiver.reference) for waiver in waivers.entries}
    for finding in verdict.findings[:2]:
        assert finding.waived is None or (finding.invariant, KEY) in named
    assert [replace(each, waived=None) for each in verdict.findings[:2]] == list(findings)
    assert all(each.outcome is Outcome.VIOLATED for each in verdict.findings[2:])
    assert not waivers.entries or KEY.encode() in raw or verdict.outcome is not Outcome.HOLDS
