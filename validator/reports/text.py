"""The report for people: tables, and colour where the terminal has it. rich lives in this package."""

import io
from collections import Counter
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from validator.findings import Outcome
from validator.reports.document import Run, document, one_line, visible, waived_in_words

WIDTH = 110
STYLE = {"holds": "bold green", "violated": "bold red", "unknown": "bold yellow"}
_WAIVED = "bold cyan"
_CELLS = 10
_PLAIN = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""Lines of a table for a terminal that has ASCII alone."""

_EXPLAIN = {
    "holds": "every invariant holds for every subject",
    "violated": "at least one invariant is violated",
    "unknown": "something could not be known, so nothing may be concluded",
}

Json = dict[str, Any]


def to_text(run: Run, *, colour: bool = False, width: int = WIDTH, ascii_only: bool = False) -> str:
    """The run as text for a terminal of `width` columns; `ascii_only` for one that draws no blocks."""
    console = paper(colour=colour, width=width)
    data = document(run)
    console.print(_heading(data), markup=False)
    console.print()
    _print_capacity(console, data, ascii_only)
    _print_changes(console, data)
    _print_servers(console, data)
    _print_checklist(console, data, ascii_only)
    _print_findings(console, data)
    for note in data["notes"]:
        console.print(visible(note), markup=False)
    _print_verdict(console, data)
    console.print(_heading(data), markup=False)
    return printed(console)


def to_overview(
    run: Run,
    foot: str,
    *,
    height: int,
    colour: bool = False,
    width: int = WIDTH,
    ascii_only: bool = False,
) -> str:
    """The run on a screen of `height` lines: what counts first, then as much of the table as fits.

    First are the verdict, `foot`, and how often each invariant does not hold. Whatever is left out
    is counted.
    """
    data = document(run)
    console = paper(colour=colour, width=width)
    console.print(_heading(data), markup=False)
    _print_verdict(console, data)
    console.print(foot, markup=False)
    top = printed(console).splitlines()
    console = paper(colour=colour, width=width)
    _print_servers(console, data)
    _print_capacity_in_words(console, data)
    words = [line for line in printed(console).splitlines() if line]
    least = len(words) + 1  # and a line that says that the table is left out
    found = _found(data, colour=colour, width=width)
    found = _most(found, max(height - len(top) - least, 2), "invariants that do not hold")
    lines = [*top, *found, *words]
    rows = len(data["capacity"]["accounts"])
    console = paper(colour=colour, width=width)
    console.print(_capacity_table(data, ascii_only))
    table = [line for line in printed(console).splitlines() if line]
    above = len(table) - rows
    room = height - len(lines)
    if len(table) > room:
        kept = max(room - above - 1, 0)
        table = [
            *(table[: above + kept] if kept else ()),
            f"{rows - kept} more accounts are not shown.",
        ]
    return "\n".join([*lines, *table]) + "\n"


def _found(data: Json, *, colour: bool, width: int) -> list[str]:
    """How often each invariant does not hold, those that are violated first; a line each."""
    found = Counter(
        (each["outcome"], each["invariant"])
        for each in data["findings"]
        if each["outcome"] != Outcome.HOLDS and not each["waived"]
    )
    console = paper(colour=colour, width=width)
    for (outcome, invariant), count in sorted(
        found.items(), key=lambda each: each[0][0] != Outcome.VIOLATED
    ):
        said = Text.assemble((outcome, STYLE[outcome]), f" {one_line(invariant)}: {count}")
        console.print(said, no_wrap=True, overflow="crop")
    return printed(console).splitlines()


def _most(lines: list[str], most: int, what: str) -> list[str]:
    """The lines, or so many that with a line that counts the others they are `most`."""
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"{len(lines) - most + 1} more {what} are not shown."]


def bar(
    servers: int | None, quota: int | None, *, cells: int = _CELLS, ascii_only: bool = False
) -> str:
    """Such as `█████████░`: full only at the quota, `!` past it, `?` where a number is not known."""
    full, empty = ("#", ".") if ascii_only else ("█", "░")
    if servers is None or quota is None:
        return "?" * cells
    if servers > quota:
        return full * (cells - 1) + "!"
    filled = max(servers * cells // quota, int(servers > 0)) if quota > 0 else 0
    return full * filled + empty * (cells - filled)


def draws_blocks(encoding: str | None) -> bool:
    """True if a stream of that encoding can draw bars and lines."""
    try:
        "█░─".encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def _print_verdict(console: Console, data: Json) -> None:
    outcome = data["verdict"]
    explained = _EXPLAIN[outcome]
    if outcome == Outcome.HOLDS and data["counts"]["waived"]:
        explained += ", or is waived"
    console.print(Text.assemble("Verdict: ", (outcome, STYLE[outcome]), f" ({explained})"))


def paper(*, colour: bool, width: int) -> Console:
    """A console that writes into memory; `printed` gives what was written."""
    return Console(
        file=io.StringIO(),
        force_terminal=colour,
        color_system="standard" if colour else None,
        width=width,
        highlight=False,
        emoji=False,
        legacy_windows=False,
    )


def printed(console: Console) -> str:
    """What was written to a console of `paper`, without spaces at the ends of lines."""
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def _heading(data: Json) -> str:
    return one_line(f"{data['command']} {data['env']} on {data['cloud']}")


def _print_capacity(console: Console, data: Json, ascii_only: bool) -> None:
    console.print(_capacity_table(data, ascii_only))
    _print_capacity_in_words(console, data)
    console.print()


def _capacity_table(data: Json, ascii_only: bool) -> Table:
    """A row of one line for each account."""
    capacity = data["capacity"]
    live = data["view"] == "live"
    table = Table(
        box=_PLAIN if ascii_only else box.SIMPLE_HEAD, title_justify="left", pad_edge=False
    )
    table.add_column("Account", no_wrap=True)
    table.add_column("Id", no_wrap=True)
    # A live row has more numbers, each of which may be unknown; the rest is as in the plan.
    if not live:
        table.add_column("Role", no_wrap=True)
        table.add_column("Region", no_wrap=True)
    numbers = ("Replicating", "Extended", "Errors") if live else ()
    for column in ("Planned", *numbers, "Of quota", "", "Free"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in capacity["accounts"]:
        seen = ("replicating", "extended", "extension_errors") if live else ()
        compared = row["replicating"] if live else row["planned"]
        full = row["free"] is not None and row["free"] < 0
        table.add_row(
            escape(one_line(row["account"])),
            escape(one_line(row["id"])),
            *(() if live else (row["part"], escape(one_line(row["region"])))),
            _shown(row["planned"]),
            *(_shown(row[name]) for name in seen),
            f"{_shown(compared)}/{_shown(row['quota'])}",
            bar(compared, row["quota"], cells=6 if live else _CELLS, ascii_only=ascii_only),
            _shown(row["free"]),
            style="red" if full else None,
        )
    return table


def _print_capacity_in_words(console: Console, data: Json) -> None:
    capacity, live = data["capacity"], data["view"] == "live"
    console.print(
        f"{_shown(capacity['planned'])} {'planned' if live else 'protected'} of the estate's capacity of "
        f"{_shown(capacity['capacity'])} source servers; the target's total quota is "
        f"{_shown(capacity['target_total_quota'])}."
    )
    if capacity["recovery"] is not None:
        jobs, rounds = capacity["recovery"]["jobs"], capacity["recovery"]["rounds"]
        console.print(f"A full recovery takes {jobs} jobs in {rounds} rounds.")


def _print_changes(console: Console, data: Json) -> None:
    if data["view"] != "plan":
        return
    if not data["changes"]:
        console.print("Terraform will change nothing.\n")
        return
    console.print("Terraform will change:")
    for account, actions in data["changes"].items():
        counts = ", ".join(f"{count} to {action}" for action, count in actions.items())
        console.print(f"  {one_line(account)}: {one_line(counts)}", markup=False)
    console.print()


def _print_servers(console: Console, data: Json) -> None:
    servers = data["servers"]
    if servers is None:
        return
    target, staging, protected = (_range(servers[k]) for k in ("target", "staging", "protected"))
    console.print(
        f"Target servers: {target}. Staging servers extended into it: {staging}. "
        f"Recoverable from the target: {protected}, of {_shown(data['capacity']['planned'])} planned."
    )
    standings = [f"{count} {name}" for name, count in servers["standings"].items() if count]
    console.print(f"Each server is one of: {', '.join(standings) or 'none'}.\n")


def _range(bounds: Json) -> str:
    lower, upper = bounds["lower"], bounds["upper"]
    return str(lower) if lower == upper else f"{lower} to {upper} (not all could be read)"


def _print_checklist(console: Console, data: Json, ascii_only: bool) -> None:
    if data["checklist"] is None:
        return
    table = Table(
        box=_PLAIN if ascii_only else box.SIMPLE_HEAD, title_justify="left", pad_edge=False
    )
    for column in ("Account", "Prerequisite", ""):
        table.add_column(column, no_wrap=column != "Prerequisite")
    for row in data["checklist"]:
        outcome = row["outcome"]
        table.add_row(
            escape(one_line(row["account"])),
            escape(one_line(row["item"])),
            Text("not judged", "dim") if outcome is None else Text(outcome, STYLE[outcome]),
        )
    console.print(table)


def _print_findings(console: Console, data: Json) -> None:
    """What does not hold, said once for each invariant and outcome; then what is waived."""
    groups: dict[tuple[str, str], list[Json]] = {}
    for finding in data["findings"]:
        if finding["outcome"] != Outcome.HOLDS and not finding["waived"]:
            groups.setdefault((finding["outcome"], finding["invariant"]), []).append(finding)
    for (outcome, invariant), findings in groups.items():
        _print(console, Text.assemble((outcome, STYLE[outcome]), f" {one_line(invariant)}"))
        for finding in findings:
            _print_finding(console, finding)
        for label in ("why", "remedy"):
            _print(console, f"  {label}: {one_line(findings[0][label])}")
        console.print()
    _print_waived(console, [finding for finding in data["findings"] if finding["waived"]])
    counts = data["counts"]
    console.print(
        f"{sum(counts.values())} findings: {counts['violated']} violated, "
        f"{counts['unknown']} unknown, {counts['waived']} waived, {counts['holds']} hold."
    )


def _shown(number: int | None) -> str:
    return "unknown" if number is None else str(number)


def _print_finding(console: Console, finding: Json) -> None:
    subject, where = finding["subject"], finding["where"]
    if subject != where:
        _print(console, f"  {one_line(subject)}, {one_line(where)}")
    elif not all(subject in message["text"] for message in finding["messages"]):
        _print(console, f"  {one_line(subject)}")
    for message in finding["messages"]:
        _print(console, f"    {visible(message['text'])}")
        if message["fix"]:
            for line in visible(message["fix"]).splitlines():
                _print(console, f"      {line}")


def _print_waived(console: Console, findings: list[Json]) -> None:
    reasons: dict[str, list[str]] = {}
    for finding in findings:
        name = one_line(f"{finding['invariant']} of {finding['subject']} ({finding['outcome']})")
        reasons.setdefault(one_line(waived_in_words(finding["waived"])), []).append(name)
    for reason, names in reasons.items():
        _print(console, Text.assemble(("waived", _WAIVED), f": {reason}."))
        for name in names:
            _print(console, f"  {name}")
    if findings:
        console.print()


def _print(console: Console, line: str | Text) -> None:
    """A line that the terminal wraps, so that whoever copies it copies it whole."""
    if isinstance(line, str):
        console.file.write(f"{line}\n")  # thousands of them, and nothing in them to style
    else:
        console.print(line, markup=False, soft_wrap=True)
