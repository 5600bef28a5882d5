"""The report as a pull-request comment, in GitHub's Markdown, within GitHub's limit."""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from validator.findings import Outcome
from validator.model import Unknown
from validator.reports import base
from validator.reports.document import Run, document, one_line, visible
from validator.waivers import WARNED, ends

Json = dict[str, Any]

LIMIT = 65_536
"""Characters that GitHub lets a comment have, counted as UTF-16 does."""

_CAPACITY = 12_000
_COMPARED = 10_000
_WAIVERS = 10_000
_REST = 4_000
"""Characters for the parts beside the findings, which have what is left."""

_CELLS = 8
_LONGEST = 1_500
"""Characters of one text of a finding; the whole of it is in report.json."""

_MARK = {Outcome.HOLDS: "✅", Outcome.VIOLATED: "❌", Outcome.UNKNOWN: "❓"}
_PUNCTUATION = re.compile(r"^[-+]|[\\`*_\[\]<>()#!|~&@:.$]")


_CALLS = re.compile(r"[@#]|:(?=//)|\bwww(?=\.)")


def to_markdown(run: Run) -> str:
    """The run as a comment: verdict, capacity, what changed against the base, findings, waivers."""
    data = document(run)
    compared = None if run.base is None else base.compare(data, run.base)
    before = [
        marker(run.env),
        _heading(data),
        _capacity(data),
        *_changes(data),
        *_compared(compared),
    ]
    after = [*_waivers(data), *_notes(data), _footer(data)]
    room = LIMIT - sum(_length(part) + 2 for part in (*before, *after)) - _REST
    findings = _findings(data, compared, room)
    return "\n\n".join(part for part in (*before, *findings, *after) if part) + "\n"


def marker(env: str) -> str:
    """The hidden first line of the comment of an env, by which the next run finds and replaces it."""
    return f"<!-- drs-estate-validator: {html.escape(one_line(env))} -->"


def _heading(data: Json) -> str:
    counts, outcome = data["counts"], data["verdict"]
    numbers = ", ".join(
        f"{counts[name]} {word}"
        for name, word in (
            ("violated", "violated"),
            ("unknown", "unknown"),
            ("waived", "waived"),
            ("holds", "hold"),
        )
    )
    return (
        f"### {_MARK[outcome]} {_md(data['command'])} {_md(data['env'])}: {outcome}\n\n"
        f"On {_md(data['cloud'])}. {sum(counts.values())} findings: {numbers}."
    )


def _capacity(data: Json) -> str:
    capacity = data["capacity"]
    live = data["view"] == "live"
    rows = [
        f"| {_md(row['account'])} | {_code(row['id'])} | {_md(row['region'])} "
        f"| {_bar(row['replicating'] if live else row['planned'], row['quota'])} |"
        for row in capacity["accounts"]
    ]
    head = (
        f"| Account | Id | Region | {'Replicating' if live else 'Planned'} servers |\n"
        "| :-- | :-- | :-- | :-- |"
    )
    total = (
        f"{'Planned' if live else 'Protected'} source servers: {_shown(capacity['planned'])} "
        f"of the estate's capacity of {_shown(capacity['capacity'])}."
    )
    return f"{_listed([head, *rows], _CAPACITY, 'accounts')}\n\n{total}"


def _bar(servers: int | None, quota: int | None) -> str:
    """Such as `██████░░ 262/300`: full only at the quota, and beyond it by how many."""
    numbers = f"{_shown(servers)}/{_shown(quota)}"
    if servers is None or quota is None:
        return f"<code>{'?' * _CELLS} {numbers}</code>"
    part = servers / quota if quota > 0 else float(servers > 0)
    filled = min(_CELLS, max(int(part * _CELLS), int(servers > 0)))
    bar = f"<code>{'█' * filled}{'░' * (_CELLS - filled)} {numbers}</code>"
    return f"{bar} ❌ {servers - quota} too many" if servers > quota else bar


def _changes(data: Json) -> Iterator[str]:
    if data["view"] != "plan":
        return
    if not data["changes"]:
        yield "Terraform will change nothing."
        return
    lines = [
        f"- {_md(account)}: " + _md(", ".join(f"{n} to {action}" for action, n in actions.items()))
        for account, actions in data["changes"].items()
    ]
    yield _listed(["Terraform will change:\n", *lines], _REST // 2, "accounts")


def _compared(compared: base.Comparison | Unknown | None) -> Iterator[str]:
    if compared is None:
        return
    yield "#### Against the base branch"
    if isinstance(compared, Unknown):
        reason = _md(_clipped(compared.reason, 300))
        yield f"❓ Could not be compared: {reason}. Nothing below says what is new."
        return
    yield (
        f"**{len(compared.new)} new**, {len(compared.unchanged)} unchanged, "
        f"{len(compared.fixed)} fixed, {len(compared.gone)} no longer judged."
    )
    capacity = [f"- {_md(_clipped(line, 300))}" for line in compared.capacity]
    yield _listed(capacity or ["The capacity is the same."], _COMPARED // 3, "accounts")
    for title, names in (
        ("✅ Fixed", compared.fixed),
        ("❓ No longer judged, which does not say that they hold", compared.gone),
    ):
        if names:
            lines = [
                f"- {_code(invariant)}: {_md(_clipped(subject, 300))}"
                for invariant, subject in names
            ]
            yield _listed([f"{title}:\n", *lines], _COMPARED // 3, "findings")


def _findings(data: Json, compared: base.Comparison | Unknown | None, room: int) -> Iterator[str]:
    """The findings that count, those that are new first, as many as there is room for."""
    if isinstance(compared, base.Comparison):
        groups: list[tuple[str, Sequence[Json]]] = [
            ("New findings", compared.new),
            ("Unchanged findings", compared.unchanged),
        ]
    else:
        counted = [
            finding
            for finding in data["findings"]
            if finding["waived"] is None and finding["outcome"] != Outcome.HOLDS
        ]
        groups = [("Findings", counted)]
    for title, findings in groups:
        if findings:
            blocks = [f"#### {title}", *(_finding(finding) for finding in findings)]
            text = _listed(blocks, room, "findings", "\n\n")
            room -= _length(text) + 2
            yield text


def _finding(finding: Json) -> str:
    name = f"{_MARK[finding['outcome']]} {finding['outcome']} <b>{_html(finding['invariant'])}</b>"
    lines = [
        "<details>",
        f"<summary>{name}: {_html(_clipped(finding['subject'], 300))}</summary>",
        "",
    ]
    for message in finding["messages"]:
        place = "" if message["where"] == finding["where"] else f" ({_code(message['where'])})"
        lines += [f"- {_md(_clipped(message['text'], _LONGEST))}{place}", ""]
        if message["fix"]:
            lines += [*_fenced(_clipped(message["fix"], _LONGEST)), ""]
    lines += [
        f"**Where:** {_code(finding['where'])}<br>",
        f"**Why:** {_md(_clipped(finding['why'], _LONGEST))}<br>",
        f"**Remedy:** {_md(_clipped(finding['remedy'], _LONGEST))}",
        "",
        "</details>",
    ]
    return "\n".join(lines)


def _waivers(data: Json) -> Iterator[str]:
    """Every waived finding, under its reason: one reason often holds for many."""
    groups: dict[str, list[Json]] = {}
    for finding in data["findings"]:
        if finding["waived"] is not None:
            groups.setdefault(_reason(finding["waived"]), []).append(finding)
    lines = []
    for reason, findings in groups.items():
        names = [
            f"  - {_code(finding['invariant'])} {_md(_clipped(finding['subject'], 300))} "
            f"({finding['outcome']})"
            for finding in findings
        ]
        lines += [f"- {reason}\n{names[0]}", *names[1:]]
    if lines:
        yield _listed(["#### Waivers\n", *lines], _WAIVERS, "waivers")


def _reason(waived: Json) -> str:
    """Why, by whom and until when; what the command line or the code waives has no end."""
    owner, ticket = (_md(_clipped(waived[name], 100)) for name in ("owner", "ticket"))
    by = ", ".join(part for part in (owner, ticket) if part)
    why = waived["reason"].strip().removesuffix(".")
    text = f"{_md(_clipped(why, 300))} ({by})"
    if waived["expires"] is None:
        return text
    end = f"ends {_md(ends(waived['days_left'], waived['expires']))}"
    return f"{text}; {f'⚠️ <b>{end}</b>' if waived['days_left'] <= WARNED else end}"


def _notes(data: Json) -> Iterator[str]:
    if data["notes"]:
        lines = [f"- {_md(_clipped(note, 500))}" for note in data["notes"]]
        yield _listed(["#### Notes\n", *lines], _REST // 2, "notes")


def _footer(data: Json) -> str:
    return f"<sub>DRS estate validator {_md(data['validator_version'])}. All of it: report\\.json</sub>"


def _listed(parts: Iterable[str], room: int, noun: str, between: str = "\n") -> str:
    """The first part and as many of the others as there is room for; says how many are left out."""
    head, *others = parts
    text, kept = head, 0
    for part in others:
        if _length(text) + _length(part) + len(between) > room:
            break
        text, kept = f"{text}{between}{part}", kept + 1
    left = len(others) - kept
    if not left:
        return text
    return f"{text}\n\n**{left} more {noun} are left out here; report\\.json has them all\\.**"


def _fenced(code: str) -> list[str]:
    """The code in a fence that nothing in it can close."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}hcl", *visible(code).split("\n"), fence]


def _clipped(text: str, most: int) -> str:
    """The text, or its beginning and how much is missing."""
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most} more characters)"


def _md(text: str) -> str:
    """The text for a line of Markdown, which shows it as it is and notifies nobody."""
    return _escaped(_quiet(one_line(text)))


def _code(text: str) -> str:
    """The text in a code span, where GitHub looks for neither people nor issues."""
    return f"<code>{_escaped(one_line(text))}</code>"


def _html(text: str) -> str:
    """The text for a line of an HTML block, where Markdown is not read."""
    return html.escape(_quiet(one_line(text)), quote=False)


def _escaped(text: str) -> str:
    return _PUNCTUATION.sub(r"\\\g<0>", text)


def _quiet(text: str) -> str:
    """The text with a space of no width where GitHub would see a person, an issue or an address."""
    return _CALLS.sub("\\g<0>\u200b", text)


def _shown(number: int | None) -> str:
    return "unknown" if number is None else str(number)


def _length(text: str) -> int:
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2
