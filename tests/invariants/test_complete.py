"""What is asked of every invariant: rows of each outcome, and that no blindness ever reads as "holds"."""

import functools
import importlib
import pkgutil
import typing
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

import tests.invariants
from tests.invariants.complete import Case, complete, outcome
from validator.findings import Outcome
from validator.invariants import INVARIANTS, Invariant, judge
from validator.model import Estate, Unknown, View

CASES: list[Case] = [
    case
    for module in pkgutil.iter_modules(tests.invariants.__path__, "tests.invariants.")
    if module.name.rsplit(".", 1)[1].startswith("test_") and module.name != __name__
    for case in getattr(importlib.import_module(module.name), "CASES", ())
]


@pytest.mark.parametrize("view", ["code", "plan", "live"])
def test_every_invariant_holds_on_the_complete_estate(view: View) -> None:
    findings = judge(complete(view), INVARIANTS).findings
    broken = [(f.invariant, f.messages) for f in findings if f.outcome is not Outcome.HOLDS]
    assert not broken
    judged = {each.name for each in INVARIANTS if view in each.views}
    assert {finding.invariant for finding in findings} == judged


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda each: each.name)
def test_an_invariant_has_a_case_of_each_outcome(invariant: Invariant) -> None:
    rows = [case for case in CASES if case.invariant == invariant.name]
    wanted = set(Outcome)
    if not any(
        outcome(invariant.name, blind) is Outcome.UNKNOWN
        for case in rows
        for _, blind in blinded(case.estate)
    ):
        wanted.remove(Outcome.UNKNOWN)  # it looks at nothing that a view may fail to see
    assert wanted <= {case.outcome for case in rows}


def test_no_two_cases_are_called_the_same() -> None:
    names = [str(case) for case in CASES]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.outcome is not Outcome.HOLDS], ids=str
)
def test_blindness_never_turns_a_case_into_one_that_holds(case: Case) -> None:
    turned = [
        place
        for place, blind in blinded(case.estate)
        if outcome(case.invariant, blind) is Outcome.HOLDS
    ]
    assert not turned


@functools.cache
def unseeable(type_: type) -> set[str]:
    """The fields that a view may fail to see."""
    hints = typing.get_type_hints(type_)
    return {name for name, hint in hints.items() if Unknown in typing.get_args(hint)}


def blinded(of: Any) -> Iterator[tuple[str, Any]]:
    """The value with each of its fields that a view may fail to see unknown, one at a time."""
    for field in fields(of):
        value = getattr(of, field.name)
        if field.name in unseeable(type(of)) and not isinstance(value, Unknown):
            yield field.name, replace(of, **{field.name: Unknown("a test hides it")})
        if isinstance(value, Estate):
            continue  # the other view beside this one
        for number, part in unlike(value if isinstance(value, tuple) else (value,)):
            if is_dataclass(part) and not isinstance(part, Unknown):
                for name, blind in blinded(part):
                    whole = blind
                    if isinstance(value, tuple):
                        whole = (*value[:number], blind, *value[number + 1 :])
                    yield f"{field.name}[{number}].{name}", replace(of, **{field.name: whole})


NAMES = {"arn", "hostname", "id", "instance_id", "staging_arn", "where"}
"""Fields by which one server or instance is told from the next."""


def unlike(parts: tuple[Any, ...]) -> Iterator[tuple[int, Any]]:
    """Each part with its place; of those that differ by their names alone, such as 300 servers, two."""
    alike: Counter[str] = Counter()
    for number, part in enumerate(parts):
        if is_dataclass(part):
            kind = repr([getattr(part, f.name) for f in fields(part) if f.name not in NAMES])
            alike[kind] += 1
            if alike[kind] > 2:
                continue
        yield number, part
