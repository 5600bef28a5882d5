"""The engine: nothing to look at, blindness and crashes never read as "holds"."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.estates import estate
from validator.findings import EXIT_STATUS, Message, Outcome, Verdict
from validator.invariants import INVARIANTS, judge
from validator.invariants.engine import invariant, need
from validator.model import Account, Estate, Key, Pair, Unknown

DOCSTRING = "It is so.\n\nElse it breaks.\n\nRemedy: Mend it."


def make(about: type, rule: object) -> object:
    rule.__doc__ = DOCSTRING  # type: ignore[attr-defined]
    return invariant(about)(rule)  # type: ignore[arg-type]


def outcomes(about: type, rule: object, of: Estate | None = None) -> list[Outcome]:
    verdict = judge(of or estate(), [make(about, rule)])  # type: ignore[list-item]
    return [finding.outcome for finding in verdict.findings]


def test_an_empty_estate_is_unknown_for_every_invariant_that_needs_a_subject() -> None:
    empty = estate(staging=())

    def silent(_: Pair, __: Estate) -> Iterator[str]:
        yield from ()

    assert outcomes(Pair, silent, empty) == [Outcome.UNKNOWN]
    assert outcomes(Key, silent, empty) == [Outcome.UNKNOWN]


def test_a_verdict_without_findings_is_unknown() -> None:
    assert Verdict(()).outcome is Outcome.UNKNOWN
    assert judge(estate(), []).outcome is Outcome.UNKNOWN


def test_silence_holds() -> None:
    def silent(_: Account, __: Estate) -> Iterator[str]:
        yield from ()

    assert outcomes(Account, silent) == [Outcome.HOLDS, Outcome.HOLDS]


def test_a_crash_is_unknown() -> None:
    def crashing(_: Estate, __: Estate) -> Iterator[str]:
        yield from [{}["missing"]]

    assert outcomes(Estate, crashing) == [Outcome.UNKNOWN]


def test_blindness_after_a_sentence_stays_violated_and_says_both() -> None:
    def both(_: Estate, __: Estate) -> Iterator[str]:
        yield "It is broken."
        need(Unknown("nobody looked"))

    (finding,) = judge(estate(), [make(Estate, both)]).findings  # type: ignore[list-item]
    assert finding.outcome is Outcome.VIOLATED
    assert [each.text for each in finding.messages] == [
        "It is broken.",
        "Cannot be known: nobody looked.",
    ]


def test_subjects_that_cannot_be_seen_are_unknown() -> None:
    hidden = replace(estate().target, keys=Unknown("access denied"))

    def silent(_: Key, __: Estate) -> Iterator[str]:
        yield from ()

    assert outcomes(Key, silent, estate(target=hidden)) == [Outcome.UNKNOWN]


def test_a_sentence_may_name_a_better_place() -> None:
    def placed(_: Estate, __: Estate) -> Iterator[Message]:
        yield Message("Broken.", "file:7")

    (finding,) = judge(estate(), [make(Estate, placed)]).findings  # type: ignore[list-item]
    assert finding.where == "file:7"


@pytest.mark.parametrize(
    "docstring",
    [
        pytest.param("", id="none"),
        pytest.param("Promise.\n\nWhy.", id="no-remedy"),
        pytest.param("Promise.\n\nWhy.\n\nDo this.", id="remedy-without-its-word"),
    ],
)
def test_a_docstring_without_its_three_parts_is_refused(docstring: str) -> None:
    def rule(_: Estate, __: Estate) -> Iterator[str]:
        yield from ()

    rule.__doc__ = docstring
    with pytest.raises(ValueError, match="docstring"):
        invariant(Estate)(rule)


def test_names_are_unique() -> None:
    names = [each.name for each in INVARIANTS]
    assert len(names) == len(set(names))


def test_violated_outweighs_unknown_and_statuses_differ() -> None:
    assert EXIT_STATUS == {Outcome.HOLDS: 0, Outcome.VIOLATED: 1, Outcome.UNKNOWN: 2}
