"""Waivers: dated, owned, reasoned exceptions to one invariant for one subject, kept in `waivers.yaml`.

A waiver that is not exactly right covers nothing and becomes a violated finding of its own; nothing
in the file can hide another finding. What a waiver covers keeps its outcome and says who waived it.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from validator.errors import UsageError
from validator.findings import Finding, Message, Outcome, Verdict, Waived
from validator.model import View

FILE_NAME = "waivers.yaml"
LARGEST = 64 * 1024
"""Bytes above which the file is refused."""

LONGEST = 90
"""Days from today that a waiver may still last."""

WARNED = 14
"""Days before its end from which a waiver is warned of."""

FAMILY = "waivers"
EFFECTS = "effects"
"""The family of the findings that `--accept` may name."""

CHECKOV_ID = re.compile(r"CKV2?_[A-Z]+_[0-9]+")
"""The id of a check of checkov, which a waiver may name as it names an invariant."""

_VIEWS: tuple[View, ...] = ("code", "plan", "live")
_REQUIRED = ("invariant", "subject", "reason", "owner", "ticket", "expires")
_OPTIONAL = ("reference", "views")
_TEXT_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "timestamp"))
_REFERENCE = re.compile(r"[^\s.:]\S*[.:]\S*[^\s.:]")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FAILED = "The invariant failed: "
_BLIND = ("Cannot be known: ", _FAILED)
"""How the engine begins a message that says why something is not known."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What must be true of the waivers themselves; it has the parts of an invariant's docstring."""

    name: str
    promise: str
    why: str
    remedy: str


WELL_FORMED = Statement(
    name="waivers-are-well-formed",
    promise="Every waiver names an invariant, a subject, a reason, an owner, a ticket and its end.",
    why="A waiver that nobody can read in full, or that names an invariant that does not exist, is "
    "an exception that nobody decided on. It covers nothing.",
    remedy="Correct the entry as docs/waivers.md describes, or remove it.",
)
CURRENT = Statement(
    name="waivers-are-current",
    promise="No waiver is past its end.",
    why="The risk was accepted until that day and no longer. From the day after, the waiver covers "
    "nothing.",
    remedy="Mend what it covered and remove the waiver, or have its owner decide again.",
)
SHORT = Statement(
    name="waivers-end-within-90-days",
    promise=f"No waiver lasts longer than {LONGEST} days from today.",
    why="An exception without a near end is a change of the rules that nobody reviews again. It "
    "covers nothing until its end is near enough.",
    remedy=f"Let it end within {LONGEST} days; renew it, with its reason, when it does.",
)
USED = Statement(
    name="waivers-are-used",
    promise="Every waiver of an invariant that was judged covers something.",
    why="A waiver that covers nothing stays behind unseen, and covers the next mistake with the same "
    "name on the day it is made.",
    remedy="Remove the waiver; if only some views need it, name them in its `views`.",
)
STATEMENTS = (WELL_FORMED, CURRENT, SHORT, USED)


@dataclass(frozen=True, slots=True)
class Waiver:
    """One entry of the file.

    Without `reference` it covers what is violated; with one, only what cannot be known because of
    that reference. `views` are the views that it is for.
    """

    invariant: str
    subject: str
    reason: str
    owner: str
    ticket: str
    expires: date
    reference: str | None
    views: tuple[View, ...]
    where: str

    @property
    def name(self) -> str:
        """The invariant and the subject."""
        return f"{self.invariant} for {self.subject}"


@dataclass(frozen=True, slots=True)
class Waivers:
    """The waivers of one env that may cover something, and a violated finding for each other one."""

    entries: tuple[Waiver, ...] = ()
    broken: tuple[Finding, ...] = ()


def read(file: Path, today: date, known_invariants: Collection[str]) -> Waivers:
    """The waivers of a `waivers.yaml`, none if there is no such file; never raises for its content."""
    import yaml  # takes a moment that most envs need not spend

    try:
        content = _content(file)
        root = None if content is None else yaml.compose(content, Loader=yaml.SafeLoader)
    except (OSError, ValueError, OverflowError, RecursionError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{1 if mark is None else mark.line + 1}"
        problem = getattr(error, "problem", None) or str(error) or type(error).__name__
        return Waivers(broken=(_broken(WELL_FORMED, FILE_NAME, where, [f"Not YAML: {problem}."]),))
    if root is None:
        return Waivers()
    if root.id != "sequence":
        text = "The file is not a list of waivers."
        return Waivers(broken=(_broken(WELL_FORMED, FILE_NAME, _where(file, root), [text]),))
    known = frozenset(known_invariants) - {each.name for each in STATEMENTS}
    return _sorted_out(
        [_entry(file, n, node, known) for n, node in enumerate(root.value, 1)], today
    )


def apply(verdict: Verdict, waivers: Waivers, view: View) -> Verdict:
    """The verdict with every covered finding waived, and a violated finding for each bad waiver.

    A finding is waived only if every one of its messages is covered: what is violated by a waiver
    without reference, what cannot be known by one whose reference stands in the message.
    """
    by_subject: dict[tuple[str, str], list[Waiver]] = {}
    for waiver in waivers.entries:
        if view in waiver.views:
            by_subject.setdefault((waiver.invariant, waiver.subject), []).append(waiver)
    used: set[Waiver] = set()
    findings = []
    for finding in verdict.findings:
        matching = by_subject.get((finding.invariant, finding.subject), [])
        covering = [
            [waiver for waiver in matching if _covers(waiver, finding, message)]
            for message in finding.messages
        ]
        used.update(waiver for each in covering for waiver in each)
        if finding.waived is None and covering and all(covering):
            first = min((w for each in covering for w in each), key=lambda waiver: waiver.expires)
            waived = Waived(first.reason, first.owner, first.ticket, first.expires)
            finding = replace(finding, waived=waived)
        findings.append(finding)
    judged = {finding.invariant for finding in verdict.findings}
    if any(finding.family == "checkov" for finding in verdict.findings):
        # checkov's findings name a check only where it failed.
        judged |= {w.invariant for w in waivers.entries if CHECKOV_ID.fullmatch(w.invariant)}
    unused = (
        _broken(USED, waiver.name, waiver.where, [_unused(waiver)])
        for waivers_of in by_subject.values()
        for waiver in waivers_of
        if waiver.invariant in judged and waiver not in used
    )
    return Verdict((*findings, *waivers.broken, *unused))


def accept(verdict: Verdict, effects: Collection[str]) -> Verdict:
    """The verdict with the violated effects of these names accepted, for this run only.

    Raises UsageError for a name that is no effect of this run, that is not violated, or of which
    something is not known.
    """
    for name in effects:
        _check_acceptable(verdict, name)
    accepted = Waived("accepted by name for this run", "the command line", "", None)
    return Verdict(
        tuple(
            replace(finding, waived=accepted)
            if finding.family == EFFECTS
            and finding.invariant in effects
            and finding.outcome is Outcome.VIOLATED
            and finding.waived is None
            else finding
            for finding in verdict.findings
        )
    )


def warnings(verdict: Verdict, today: date) -> tuple[str, ...]:
    """A sentence for each waiver that covers something and ends within two weeks."""
    return tuple(
        f"The waiver of {finding.invariant} for {finding.subject} ends "
        f"{ends(days, finding.waived.expires)} ({finding.waived.owner}, {finding.waived.ticket})."
        for finding in verdict.findings
        if finding.waived is not None
        and finding.waived.expires is not None
        and (days := (finding.waived.expires - today).days) <= WARNED
    )


def ends(days_left: int, expires: date | str) -> str:
    """When a waiver ends, in words: "today", "in 1 day, on 2026-12-01"."""
    if days_left == 0:
        return "today"
    return f"in {days_left} day{'s' * (days_left != 1)}, on {expires}"


def _content(file: Path) -> str | None:
    """The file's text, None if there is none; raises ValueError if it is not readable as text."""
    if not file.exists() and not file.is_symlink():
        return None
    if not file.is_file():
        raise ValueError("it is not a file")
    with file.open("rb") as stream:
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST} bytes")
    return content.decode("utf-8-sig")


def _sorted_out(entries: list[Waiver | Finding], today: date) -> Waivers:
    """Those that may cover something apart from those that are broken, late, too long or double."""
    good: list[Waiver] = []
    broken = [entry for entry in entries if isinstance(entry, Finding)]
    waivers = [entry for entry in entries if isinstance(entry, Waiver)]
    named: dict[tuple[str, str, str | None], list[Waiver]] = {}
    for waiver in waivers:
        named.setdefault((waiver.invariant, waiver.subject, waiver.reference), []).append(waiver)
    for waiver in waivers:
        days = (waiver.expires - today).days
        twins = [
            other.where
            for other in named[waiver.invariant, waiver.subject, waiver.reference]
            if other is not waiver and set(other.views) & set(waiver.views)
        ]
        if twins:
            text = f"The same waiver stands at {', '.join(twins[:3])} too, so neither counts."
            broken.append(_broken(WELL_FORMED, waiver.name, waiver.where, [text]))
        elif days < 0:
            text = f"The waiver ended on {waiver.expires} ({waiver.owner}, {waiver.ticket})."
            broken.append(_broken(CURRENT, waiver.name, waiver.where, [text]))
        elif days > LONGEST:
            text = f"The waiver ends on {waiver.expires}, {days} days from today."
            broken.append(_broken(SHORT, waiver.name, waiver.where, [text]))
        else:
            good.append(waiver)
    return Waivers(tuple(good), tuple(broken))


def _entry(file: Path, number: int, node: Any, known: frozenset[str]) -> Waiver | Finding:
    """The waiver that a node of the list writes, or the finding that says what is wrong with it."""
    where, name = _where(file, node), f"entry {number}"
    if node.id != "mapping":
        return _broken(WELL_FORMED, name, where, ["The entry is not a map."])
    problems: list[str] = []
    values: dict[str, str] = {}
    views: tuple[View, ...] = _VIEWS
    seen: set[str] = set()
    for key_node, value_node in node.value:
        key = key_node.value if key_node.id == "scalar" else "(not a word)"
        if key in seen:
            problems.append(f"{key!r} stands twice.")
        elif key not in (*_REQUIRED, *_OPTIONAL):
            problems.append(f"{key!r} is no part of a waiver.")
        elif key == "views":
            views = tuple(view for view in _VIEWS if view in set(_scalars(value_node)))
            if not views or len(views) != len(list(_scalars(value_node))):
                problems.append(f"views must be a list of {', '.join(_VIEWS)}, each once.")
        elif (text := _text(value_node)) is None:
            problems.append(f"{key} must be text that is not empty.")
        else:
            values[key] = text
        seen.add(key)
    problems += [f"{key} is missing." for key in _REQUIRED if key not in seen]
    problems += _wrong(values, known)
    if problems:
        if {"invariant", "subject"} <= values.keys():
            name = f"{values['invariant']} for {values['subject']}"
        return _broken(WELL_FORMED, name, where, problems)
    return Waiver(
        invariant=values["invariant"],
        subject=values["subject"],
        reason=values["reason"],
        owner=values["owner"],
        ticket=values["ticket"],
        expires=date.fromisoformat(values["expires"]),
        reference=values.get("reference"),
        views=views,
        where=where,
    )


def _wrong(values: dict[str, str], known: frozenset[str]) -> Iterator[str]:
    """What is wrong with the values that are there."""
    invariant, expires, reference = (
        values.get(key) for key in ("invariant", "expires", "reference")
    )
    if invariant is not None and invariant not in known and not CHECKOV_ID.fullmatch(invariant):
        yield f"There is no invariant {invariant!r}."
    if expires is not None and not _is_day(expires):
        yield f"expires must be a day such as 2026-12-31, not {expires!r}."
    if reference is not None and not _REFERENCE.fullmatch(reference):
        yield (
            f"reference must be what the message names, such as module.key.aws_kms_key.this.arn, "
            f"not {reference!r}."
        )


def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        return False


def _scalars(node: Any) -> Iterator[str]:
    """The texts of a YAML list; nothing for anything else, "" for what is no text in it."""
    if node.id == "sequence":
        for each in node.value:
            yield _text(each) or ""


def _text(node: Any) -> str | None:
    """The text of a YAML scalar as it is written, None for a blank, a null, a list or a map."""
    if node.id != "scalar" or node.tag not in _TEXT_TAGS:
        return None
    text = str(node.value)
    return text if text.strip() else None


def _covers(waiver: Waiver, finding: Finding, message: Message) -> bool:
    """True if the waiver, which names the finding's invariant and subject, covers this message."""
    if finding.outcome is Outcome.HOLDS:
        return False
    if finding.outcome is Outcome.VIOLATED and not message.text.startswith(_BLIND):
        return waiver.reference is None
    if waiver.reference is None or message.text.startswith(_FAILED):
        return False
    # A whole reference, not the beginning of a longer one: `data.a.b` is not `data.a.b.arn`.
    whole = rf"(?<![\w.:/*-]){re.escape(waiver.reference)}(?![\w:/*\[-]|\.\w)"
    return re.search(whole, message.text) is not None


def _unused(waiver: Waiver) -> str:
    what = (
        "nothing is violated"
        if waiver.reference is None
        else f"nothing is unknown because of {waiver.reference}"
    )
    return f"The waiver covers nothing: {waiver.invariant} was judged, and {what} in its subject."


def _check_acceptable(verdict: Verdict, name: str) -> None:
    """Raises UsageError unless the name is that of a violated effect of which all is known."""
    named = [finding for finding in verdict.findings if finding.invariant == name]
    effects = [finding for finding in named if finding.family == EFFECTS]
    violated = [finding for finding in effects if finding.outcome is Outcome.VIOLATED]
    if not violated:
        there = {f.invariant for f in verdict.findings if f.family == EFFECTS}
        problem = (
            "is an effect, but is not violated"
            if effects
            else "is an invariant, not an effect"
            if named
            else "is no effect of this run"
        )
        raise UsageError(
            f"--accept {name}: {problem}. Effects of this run: {', '.join(sorted(there)) or 'none'}."
        )
    for finding in violated:
        if any(message.text.startswith(_BLIND) for message in finding.messages):
            raise UsageError(
                f"--accept {name}: something about {finding.subject} cannot be known, so the effect "
                "cannot be accepted by name alone; see its finding."
            )


def _where(file: Path, node: Any) -> str:
    return f"{file}:{node.start_mark.line + 1}"


def _broken(statement: Statement, subject: str, where: str, texts: list[str]) -> Finding:
    return Finding(
        invariant=statement.name,
        family=FAMILY,
        subject=subject,
        where=where,
        outcome=Outcome.VIOLATED,
        messages=tuple(Message(text, where) for text in texts),
        why=statement.why,
        remedy=statement.remedy,
    )
