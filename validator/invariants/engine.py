"""The engine: runs invariants over an estate and turns silence, speech and blindness into findings."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from validator.findings import Finding, Message, Outcome, Verdict
from validator.model import (
    Account,
    Estate,
    Key,
    Pair,
    Placement,
    Provider,
    ReplicationTemplate,
    Role,
    SecurityGroup,
    Unknown,
    View,
    Wave,
)

T = TypeVar("T")

EVERY_VIEW: tuple[View, ...] = ("code", "plan", "live")


class Subject(Protocol):
    """What an invariant looks at: anything with a name and a place."""

    @property
    def name(self) -> str:
        """The name that stands in findings and waivers."""

    @property
    def where(self) -> str:
        """The file and line, address or ARN."""


Rule = Callable[[Any, Estate], Iterator[str | Message]]


@dataclass(frozen=True, slots=True)
class Invariant:
    """A statement that must hold for every subject of a type.

    `promise`, `why` and `remedy` are the three parts of the rule's docstring.
    """

    name: str
    family: str
    about: type
    views: tuple[View, ...]
    promise: str
    why: str
    remedy: str
    rule: Rule


class Unseen(Exception):
    """A value that an invariant needs is unknown; the engine makes it an `unknown` finding."""


def need(value: T | Unknown) -> T:
    """The value, if the view knows it; otherwise the finding becomes `unknown` with the reason."""
    if isinstance(value, Unknown):
        raise Unseen(value.reason)
    return value


def _each(parts: Iterable[tuple[Any, ...] | Unknown]) -> Iterator[Subject]:
    """Every subject that is seen; then raises Unseen if some were not."""
    reasons = []
    for part in parts:
        if isinstance(part, Unknown):
            reasons.append(part.reason)
        else:
            yield from part
    if reasons:
        raise Unseen("; ".join(dict.fromkeys(reasons)))


SUBJECTS: dict[type, Callable[[Estate], Iterable[Subject]]] = {
    Estate: lambda estate: (estate,),
    Account: lambda estate: estate.protected,
    Pair: lambda estate: estate.pairs,
    Key: lambda estate: _each(each.keys for each in estate.accounts),
    Role: lambda estate: _each(each.roles for each in estate.accounts),
    ReplicationTemplate: lambda estate: _each(each.templates for each in estate.protected),
    SecurityGroup: lambda estate: _each(each.security_groups for each in estate.protected),
    Provider: lambda estate: _each([estate.providers]),
    Placement: lambda estate: _each([estate.placements]),
    Wave: lambda estate: _each([estate.waves]),
}
"""Every subject of a type that is seen; then raises Unseen if an account's could not be."""


def invariant(about: type, *, views: tuple[View, ...] = EVERY_VIEW) -> Callable[[Rule], Invariant]:
    """Makes an invariant of a generator function that yields a sentence per way it is broken.

    The function's name in kebab case is the invariant's name, its module the family. Raises
    ValueError if the docstring lacks one of its three parts.
    """

    def decorate(rule: Rule) -> Invariant:
        name = rule.__name__.replace("_", "-")
        parts = inspect.cleandoc(rule.__doc__ or "").split("\n\n")
        if len(parts) != 3 or not parts[2].startswith("Remedy: "):
            raise ValueError(f"{name}: the docstring must be a promise, why, and 'Remedy: ...'")
        promise, why, remedy = (" ".join(part.split()) for part in parts)
        return Invariant(
            name=name,
            family=rule.__module__.rsplit(".", 1)[-1],
            about=about,
            views=views,
            promise=promise,
            why=why,
            remedy=remedy.removeprefix("Remedy: "),
            rule=rule,
        )

    return decorate


def judge(estate: Estate, invariants: Sequence[Invariant]) -> Verdict:
    """The verdict on an estate: a finding for each invariant of its view and each subject.

    An invariant without a subject, and one that raises, is `unknown`. Order is that of the
    invariants, then of the estate.
    """
    return Verdict(
        tuple(
            finding
            for each in invariants
            if estate.view in each.views
            for finding in _findings(each, estate)
        )
    )


def _findings(each: Invariant, estate: Estate) -> Iterator[Finding]:
    found = 0
    try:
        for subject in SUBJECTS[each.about](estate):
            found += 1
            yield from _judge_subject(each, subject, estate)
    except Unseen as unseen:
        said = [_blind(unseen, estate)]
        yield _finding(each, estate.name, Outcome.UNKNOWN, said, estate.where)
        return
    if not found:
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", each.about.__name__).lower()
        nothing = f"The estate has nothing to look at (no {kind})."
        said = [Message(nothing, estate.where)]
        yield _finding(each, estate.name, Outcome.UNKNOWN, said, estate.where)


def _judge_subject(each: Invariant, subject: Subject, estate: Estate) -> Iterator[Finding]:
    """One finding, or one for each thing that the messages name as their own subject.

    What is said of the subject itself, or of nothing because all of it holds, is a finding of the
    subject's own name.
    """
    messages: dict[str, list[Message]] = {}
    blind: list[Message] = []
    try:
        for broken in each.rule(subject, estate):
            said = broken if isinstance(broken, Message) else Message(broken, subject.where)
            messages.setdefault(said.subject or subject.name, []).append(said)
    except Unseen as unseen:
        blind.append(_blind(unseen, subject))
    except Exception as error:
        # A crash inside an invariant must never read as silence, which would mean "holds".
        text = f"The invariant failed: {type(error).__name__}: {error}"
        blind.append(Message(text, subject.where))
    if blind:
        own = messages.setdefault(subject.name, [])
        outcome = Outcome.VIOLATED if own else Outcome.UNKNOWN
        yield _finding(each, subject.name, outcome, [*own, *blind], subject.where)
        del messages[subject.name]
    elif not messages:
        yield _finding(each, subject.name, Outcome.HOLDS, [], subject.where)
    for name, said_of in messages.items():
        yield _finding(each, name, Outcome.VIOLATED, said_of, subject.where)


def _blind(unseen: Exception, subject: Subject) -> Message:
    return Message(f"Cannot be known: {str(unseen).rstrip('.')}.", subject.where)


def _finding(
    each: Invariant, subject: str, outcome: Outcome, messages: list[Message], where: str
) -> Finding:
    return Finding(
        invariant=each.name,
        family=each.family,
        subject=subject,
        where=messages[0].where if messages else where,
        outcome=outcome,
        messages=tuple(messages),
        why=each.why,
        remedy=each.remedy,
    )
