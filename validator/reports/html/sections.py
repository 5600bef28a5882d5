"""The parts of a report's page: capacity, recovery, findings and what else a run knows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from validator.model import Unknown
from validator.quotas import recovery as needed
from validator.reports import base
from validator.reports.document import waived_in_words
from validator.reports.html.elements import (
    Html,
    bar,
    between,
    clipped,
    counted_as,
    folded,
    items,
    joined,
    mark,
    measured,
    prose,
    shown,
    table,
    tag,
)
from validator.reports.html.picture import Row

Json = dict[str, Any]

STATES = ("violated", "unknown", "waived", "holds")
"""How a finding counts, the worst first."""

_OPENED = 40
"""Findings that stand open when the page opens; the others are folded under their invariant."""

_ROUNDS = 40
"""Rounds of a recovery that are drawn one by one."""


def capacity(
    rows: Sequence[Row],
    *,
    region: str,
    live: bool,
    headroom: int | None,
    total: int | None,
    most: int | None,
) -> Html:
    """A table of the accounts that servers replicate into, each with its bar, and the estate's sum.

    `rows` are as in `picture`, all in the recovery `region`; `total` of `most` source servers are planned
    in the whole estate.
    """
    numbers = ("Replicating", "Extended", "In error") if live else ()
    columns = (
        "Account",
        "Id",
        *(() if live else ("Part",)),
        "Planned",
        *numbers,
        "Of quota",
        "Filled",
        "Free",
    )
    body = []
    for row in rows:
        value = row["replicating"] if live else row["planned"]
        said = measured(value, row["quota"])
        seen = (row["replicating"], row["extended"], row["extension_errors"]) if live else ()
        body.append(
            (
                row["account"],
                tag("code", row["id"]),
                *(() if live else (row["part"],)),
                shown(row["planned"]),
                *map(shown, seen),
                said,
                bar(value, row["quota"], label=said, kept=headroom or 0,
                    aim=row["planned"] if live else None),
                shown(row["free"]),
            )
        )  # fmt: skip
    right = {3, 4, 6} if not live else {2, 3, 4, 5, 6, 8}
    kept = "" if not headroom else f" Each account keeps {headroom} of its quota free, as declared."
    return joined(
        (
            table(f"Source servers of each account in {region}", columns, body, numbers=frozenset(right)),
            tag("p", f"Planned servers: {shown(total)}, of the estate's capacity of {shown(most)}.{kept}"),
        )
    )  # fmt: skip


def servers(counted: Json) -> Html:
    """How the source servers stand, as the JSON report's `servers` counts them."""
    said = {
        name: between(counted[name]["lower"], counted[name]["upper"])
        for name in ("protected", "target", "staging")
    }
    blind = any(of["lower"] != of["upper"] for of in (counted[name] for name in said))
    rows = [(name, shown(count)) for name, count in counted["standings"].items() if count]
    return joined(
        (
            tag("p", "Recoverable from the target: ", tag("strong", said["protected"]),
                f". Its own servers: {said['target']}. Extended into it: {said['staging']}."
                + (" Not every account could be read." if blind else "")),
            table("Each server is one of", ("Standing", "Servers"), rows, numbers=frozenset({1}))
            if rows else tag("p", "There is no source server."),
        )
    )  # fmt: skip


def recovery(
    total: int | None,
    waves: Sequence[tuple[str, int]] | Unknown,
    *,
    per_job: int | None,
    in_all_jobs: int | None,
    jobs_at_once: int | None,
) -> Html:
    """What a recovery of `total` servers takes, in jobs and rounds, and each wave by itself.

    The last three are the target's job quotas, None where not known. A round is what DRS runs at once.
    """
    if per_job is None or in_all_jobs is None or jobs_at_once is None:
        return tag("p", "The target's job quotas are unknown, so the rounds of a recovery are too.")
    if min(per_job, in_all_jobs, jobs_at_once) < 1:
        return tag("p", "A job quota of the target is 0: nothing can be recovered.")
    at_once = min(in_all_jobs, per_job * jobs_at_once)

    def needs(count: int) -> tuple[str, str]:
        of = needed(count, per_job, in_all_jobs, jobs_at_once)
        return shown(of.jobs), shown(of.rounds)

    parts: list[Html] = []
    if total is None:
        parts.append(tag("p", "How many servers there are to recover is unknown."))
    else:
        jobs, rounds = needs(total)
        parts.append(
            tag(
                "p",
                f"A full recovery of {shown(total)} servers takes ",
                tag("strong", f"{jobs} jobs in {rounds} rounds"),
                f": {shown(per_job)} servers a job, {shown(in_all_jobs)} in all jobs at once, "
                f"{shown(jobs_at_once)} jobs at once.",
            )
        )
        parts.append(_rounds(total, at_once, per_job))
    if isinstance(waves, Unknown):
        parts.append(tag("p", f"The waves are unknown: {waves.reason}."))
    elif waves:
        rows = [
            (
                name,
                shown(count),
                *needs(max(0, count)),
                bar(count, at_once, label=measured(count, at_once)),
                mark("holds" if 0 < count <= at_once else "violated"),
            )
            for name, count in waves
        ]
        parts.append(
            table(
                "Declared waves, each recovered at once",
                ("Wave", "Servers", "Jobs", "Rounds", f"Of {shown(at_once)} at once", "Fits"),
                rows,
                numbers=frozenset({1, 2, 3}),
            )
        )
    return joined(parts)


def _rounds(total: int, at_once: int, per_job: int) -> Html:
    """Each round as a row with a box for each job, as full as the job."""
    rows: list[Html] = []
    left = total
    while left > 0 and len(rows) < _ROUNDS:
        now = min(left, at_once)
        jobs = [min(per_job, now - start) for start in range(0, now, per_job)]
        boxes = [
            shape
            for at, count in enumerate(jobs)
            for shape in (
                tag("rect", x=at * 34, y=0, width=30, height=12, rx=2, class_="track"),
                tag("rect", x=at * 34, y=0, width=max(2, 30 * count // per_job), height=12, rx=2,
                    class_="fill"),
            )
        ]  # fmt: skip
        width = max(1, len(jobs)) * 34
        drawing = tag(
            "svg", *boxes, viewBox=f"0 0 {width} 12", width=width, height=12, aria_hidden="true"
        )
        said = f"{counted_as(len(jobs), 'job')}, {counted_as(now, 'server')}"
        rows.append(tag("li", drawing, tag("span", said)))
        left -= now
    if not rows:
        return Html()
    more = (
        tag("p", f"The other {shown(left)} servers follow in further rounds.") if left else Html()
    )
    return joined((tag("ol", *rows, class_="rounds", aria_label="Rounds of a full recovery"), more))


def changes(
    counted: Mapping[str, Mapping[str, int]], addresses: Mapping[str, Sequence[str]]
) -> Html:
    """What Terraform will change: counts by account and action, and the addresses of each account."""
    if not counted:
        return tag("p", "Terraform will change nothing.")
    actions = sorted({action for of in counted.values() for action in of})
    rows = [
        (account, *(shown(of.get(each, 0)) for each in actions)) for account, of in counted.items()
    ]
    parts = [
        table(
            "Resources that Terraform will change",
            ("Account", *(f"To {each}" for each in actions)),
            rows,
            numbers=frozenset(range(1, len(actions) + 1)),
        )
    ]
    parts += [
        folded(
            f"{account}: {counted_as(len(of), 'resource')}", items(tag("code", each) for each in of)
        )
        for account, of in addresses.items()
    ]
    return joined(parts)


def checklist(rows: Sequence[Json]) -> Html:
    """The prerequisites of each account with their outcomes and evidence, under each account."""
    accounts: dict[str, list[Json]] = {}
    for row in rows:
        accounts.setdefault(row["account"], []).append(row)
    parts = []
    for account, of in accounts.items():
        outcomes = [row["outcome"] for row in of]
        worst = next((each for each in ("violated", "unknown", None) if each in outcomes), "holds")
        title = joined(
            (mark(worst), " ", account, f": {outcomes.count('holds')} of {len(of)} hold")
        )
        body = [
            (
                row["item"],
                mark(row["outcome"]),
                folded("evidence", items(row["evidence"])) if row["evidence"] else "none",
            )
            for row in of
        ]
        columns = ("Prerequisite", "Outcome", "Evidence")
        listed = table(f"What {account} needs, and what proves it", columns, body)
        parts.append(folded(title, listed, opened=worst != "holds" and len(accounts) <= 4))
    return joined(parts)


def waivers(found: Iterable[Json]) -> Html:
    """Every waiver that covers a finding, with who, why, until when, and what it covers."""
    groups: dict[str, list[str]] = {}
    for finding in found:
        if finding["waived"] is not None:
            covered = groups.setdefault(waived_in_words(finding["waived"]), [])
            covered.append(f"{finding['invariant']} of {finding['subject']} ({finding['outcome']})")
    return joined(
        folded(
            f"{reason}: {counted_as(len(covered), 'finding')}",
            items(covered),
            opened=len(covered) <= 5,
        )
        for reason, covered in groups.items()
    )


def compared(result: base.Comparison | Unknown, earlier: str) -> Html:
    """What changed against an `earlier` run, or why it cannot be said; it is never said by default."""
    if isinstance(result, Unknown):
        return tag(
            "p",
            mark("unknown"),
            f" {earlier[0].upper()}{earlier[1:]} could not be compared: {clipped(result.reason, 300)}. "
            "Nothing here says what is new.",
        )
    counts = (
        f"{len(result.new)} new, {len(result.unchanged)} as before, {len(result.fixed)} that hold now, "
        f"{len(result.gone)} no longer judged."
    )
    which = "" if result.aws is None else f", which was on {clipped(result.aws, 100)}"
    parts = [tag("p", f"Against {earlier}{which}: ", tag("strong", counts))]
    lists = (
        ("New", [f"{each['invariant']} of {each['subject']} ({each['outcome']})" for each in result.new]),
        ("Hold now", [f"{invariant} of {subject}" for invariant, subject in result.fixed]),
        (
            "No longer judged, which does not say that they hold",
            [f"{invariant} of {subject}" for invariant, subject in result.gone],
        ),
        ("Capacity", list(result.capacity)),
    )  # fmt: skip
    parts += [
        folded(f"{title}: {len(texts)}", items(texts), opened=len(texts) <= 20)
        for title, texts in lists
        if texts
    ]
    if not result.capacity:
        parts.append(tag("p", "The capacity is the same."))
    return joined(parts)


@dataclass(frozen=True, slots=True)
class Named:
    """An account that findings are filtered by."""

    name: str
    id: str


def findings(found: Sequence[Json], accounts: Sequence[Named], name: str) -> Html:
    """Every finding, under its invariant, with controls that filter them where scripts run.

    `found` are findings as the JSON report has them; `name` is the article's, for names of controls.
    """
    if not found:
        return tag("p", mark("unknown"), " No invariant was judged.")
    groups: dict[tuple[str, str], list[Json]] = {}
    for finding in found:
        groups.setdefault((state(finding), finding["invariant"]), []).append(finding)
    ordered = sorted(groups, key=lambda key: STATES.index(key[0]))
    listed, standing = [], 0
    for key in ordered:
        opened = key[0] in ("violated", "unknown") and standing + len(groups[key]) <= _OPENED
        standing += len(groups[key]) if opened else 0
        listed.append(_group(*key, groups[key], accounts, opened=opened))
    return joined((_controls(found, accounts, name), *listed))


def state(finding: Json) -> str:
    """How a finding counts: its outcome, or `waived`."""
    return "waived" if finding["waived"] is not None else str(finding["outcome"])


def _group(
    how: str, invariant: str, found: Sequence[Json], accounts: Sequence[Named], *, opened: bool
) -> Html:
    first = found[0]
    return tag(
        "details",
        tag(
            "summary",
            mark(how),
            tag("code", invariant),
            tag("span", first["family"], class_="family"),
            tag("span", f"{len(found):,}", class_="count"),
        ),
        tag(
            "dl",
            tag("dt", "Why"),
            tag("dd", first["why"], class_="prose"),
            tag("dt", "Remedy"),
            tag("dd", first["remedy"], class_="prose"),
            class_="told",
        ),
        tag("ul", *(_finding(each, accounts) for each in found), class_="found"),
        class_="group",
        open=opened,
        data_state=how,
        data_invariant=invariant,
    )


def _finding(finding: Json, accounts: Sequence[Named]) -> Html:
    subject, where = finding["subject"], finding["where"]
    parts = [tag("b", subject)]
    if where != subject:
        parts.append(tag("code", where, class_="where"))
    for message in finding["messages"]:
        parts.append(tag("p", message["text"], class_="prose"))
        if message["where"] not in (where, subject):
            parts.append(tag("code", message["where"], class_="where"))
        if message["fix"]:
            parts.append(tag("pre", tag("code", message["fix"]), tabindex=0))
    if finding["waived"] is not None:
        parts.append(tag("p", f"Waived: {waived_in_words(finding['waived'])}.", class_="prose"))
    said = " ".join((subject, where, *(each["text"] for each in finding["messages"])))
    words = frozenset(subject.replace(",", " ").split())
    of = [str(at) for at, each in enumerate(accounts) if each.name in words or each.id in said]
    return tag("li", *parts, data_of=" ".join(of) or None)


def _controls(found: Sequence[Json], accounts: Sequence[Named], name: str) -> Html:
    counts = {each: sum(state(finding) == each for finding in found) for each in STATES}
    boxes = [
        tag("label", tag("input", type="checkbox", name="state", value=each, checked=True),
            mark(each), f" {counts[each]:,}")
        for each in STATES
        if counts[each]
    ]  # fmt: skip
    invariants = sorted({finding["invariant"] for finding in found})
    return controls(
        tag("fieldset", tag("legend", "Outcome"), *boxes),
        chosen("Invariant", "invariant", [(each, each) for each in invariants]),
        chosen("Account", "account", [(each.name, str(at)) for at, each in enumerate(accounts)]),
        label=f"Findings of {name}",
        looked_for="words in a finding",
        said=counted_as(len(found), "finding"),
    )


def controls(*own: Html, label: str, looked_for: str, said: str, noun: str | None = None) -> Html:
    """Controls that filter the groups beside them, where scripts run: `own`, a search and two buttons.

    `page.js` knows them by their names: `state` and `invariant` are of a group, `account` of its rows.
    `noun` is what the rows are, if they are no findings.
    """
    return tag(
        "form",
        *own,
        tag(
            "label",
            "Search",
            tag("input", type="search", name="text", placeholder=looked_for,
                autocomplete="off", spellcheck="false"),
        ),
        tag("button", "Show all", type="reset"),
        tag("button", "Open all", type="button", name="fold"),
        tag("output", said, aria_live="polite"),
        class_="controls",
        role="search",
        aria_label=label,
        data_noun=noun,
        hidden=True,
    )  # fmt: skip


def chosen(label: str, name: str, values: Iterable[tuple[str, str]]) -> Html:
    """A choice among values, each with its words, or all of them."""
    options = [tag("option", words, value=value) for words, value in (("all", ""), *values)]
    return tag("label", label, tag("select", *options, name=name))


def notes(texts: Sequence[str]) -> Html:
    """What else the run says, each with its own lines."""
    return joined(prose(text) for text in texts)
