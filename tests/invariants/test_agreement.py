"""The invariant on code and plan: it speaks of every difference, and of nothing that is none."""

from dataclasses import replace

import pytest

from tests.invariants.complete import (
    HOLDS,
    UNKNOWN,
    UNSEEN,
    VIOLATED,
    Case,
    complete,
    messages,
    outcome,
    with_estate,
    with_key,
    with_staging,
)
from validator.model import Estate

AGREE = "code-and-plan-agree"


def beside(planned: Estate, code: Estate | None = None) -> Estate:
    return replace(planned, code=replace(code or complete(), view="code"))


def _only_in_plan() -> Estate:
    (key,) = complete().staging[0].keys  # type: ignore[misc]
    return beside(with_staging(keys=(key, replace(key, name="another key"))))


def _provider_of_two() -> Estate:
    whole = complete()
    first, *rest = whole.providers  # type: ignore[misc]
    wider = replace(first, allowed=(*first.allowed, "999988887777"))  # type: ignore[misc]
    return beside(whole, replace(whole, providers=(wider, *rest)))


CASES = [
    Case(AGREE, "the same estate", complete(), HOLDS),
    Case(AGREE, "another policy", beside(with_key(policy='{"Statement": []}')), VIOLATED),
    Case(AGREE, "a flag", beside(with_key(rotated=False)), VIOLATED),
    Case(AGREE, "a key that only the plan has", _only_in_plan(), VIOLATED),
    Case(AGREE, "a role that only the code has", beside(with_staging(roles=())), VIOLATED),
    Case(AGREE, "a provider that only the code lets into a second account", _provider_of_two(), VIOLATED),
    Case(AGREE, "providers that the plan does not tell", beside(with_estate(providers=UNSEEN)), UNKNOWN),
    Case(AGREE, "the code was not read", with_estate(code=UNSEEN), UNKNOWN),
    Case(AGREE, "what the plan does not tell", beside(with_key(policy=UNSEEN)), UNKNOWN),
    Case(AGREE, "an account that the plan does not tell", beside(with_staging(keys=UNSEEN)), UNKNOWN),
    Case(AGREE, "what the code does not tell", beside(complete(), with_key(policy=UNSEEN)), HOLDS),
    Case(AGREE, "an account that the code does not tell", beside(complete(), with_staging(keys=UNSEEN)), HOLDS),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    assert outcome(case.invariant, case.estate) is case.outcome


def test_the_same_policy_in_other_words_is_no_difference() -> None:
    one = with_key(policy='{"Statement": [{"Action": ["a", "b"]}]}')
    other = with_key(policy='{"Statement":{"Action":["b","a"]}}')
    assert outcome(AGREE, beside(one, other)) is HOLDS


def test_a_difference_names_the_attribute_and_the_resource() -> None:
    (said,) = messages(AGREE, beside(with_key(rotated=False)))
    (key,) = complete().staging[0].keys  # type: ignore[misc]
    assert said.text == f"Code and plan differ in rotated of {key.name}."
    assert said.where == key.where
