"""The invariant on what two views of one env say: the code's and the plan's."""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from validator.findings import Message
from validator.invariants.engine import Unseen, invariant, need
from validator.model import Estate, Unknown

_KINDS = ("keys", "roles", "templates", "security_groups")
_PLACES = frozenset(["name", "where"])


@invariant(Estate, views=("plan",))
def code_and_plan_agree(estate: Estate, _: Estate) -> Iterator[Message]:
    """What the code says of an account's resources and of a provider is what the plan says of it.

    A pull request is judged by its code, and the plan is what will be applied. Where the two differ,
    one of them was read wrongly or was made from something else, such as values from a variable of
    the environment or a module that changed in between. What the code alone does not tell is no
    difference: the plan tells it.

    Remedy: Make the plan again from a clean checkout. If the difference stays, look for values that
    reach Terraform by another way than estate.auto.tfvars.
    """
    code = need(estate.code)
    yield from _differences(estate.providers, code.providers)
    for planned, written in zip(estate.accounts, code.accounts, strict=True):
        for kind in _KINDS:
            yield from _differences(getattr(planned, kind), getattr(written, kind))


def _differences(
    planned: tuple[Any, ...] | Unknown, written: tuple[Any, ...] | Unknown
) -> Iterator[Message]:
    """What differs between the plan's things of one kind and the code's, joined by their names."""
    if isinstance(written, Unknown):
        return
    ours = {each.name: each for each in need(planned)}
    theirs = {each.name: each for each in written}
    for name in sorted({*ours, *theirs}):
        if name not in ours or name not in theirs:
            only = "plan" if name in ours else "code"
            yield Message(
                f"{name} stands only in the {only}.", (ours.get(name) or theirs[name]).where
            )
            continue
        for attribute in _differing(ours[name], theirs[name]):
            yield Message(f"Code and plan differ in {attribute} of {name}.", ours[name].where)


def _differing(left: Any, right: Any) -> Iterator[str]:
    """The names of the fields that differ; raises Unseen for one that only the code knows."""
    for each in fields(left):
        if each.name in _PLACES:
            continue
        one, other = getattr(left, each.name), getattr(right, each.name)
        if _hidden(other):
            continue
        if _hidden(one):
            raise Unseen(f"the plan does not tell {each.name} of {left.name}")
        if _canonical(one) != _canonical(other):
            yield each.name


def _hidden(value: Any) -> bool:
    """True if the value, or a part of it, is unknown."""
    if isinstance(value, tuple):
        return any(_hidden(each) for each in value)
    if is_dataclass(value) and not isinstance(value, Unknown):
        return any(_hidden(getattr(value, each.name)) for each in fields(value))
    return isinstance(value, Unknown)


def _canonical(value: Any) -> Any:
    """The value with every policy in one form: its text may order and nest the same words otherwise."""
    if isinstance(value, tuple):
        return sorted((_canonical(each) for each in value), key=repr)
    if isinstance(value, str) and value.startswith("{"):
        try:
            return _ordered(json.loads(value))
        except (ValueError, RecursionError):
            return value
    return value


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(each) for key, each in sorted(value.items())}
    if isinstance(value, list):
        members = sorted((_ordered(each) for each in value), key=repr)
        return members[0] if len(members) == 1 else members
    return value


INVARIANTS = (code_and_plan_agree,)
