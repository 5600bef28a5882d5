"""The report for people: tables, and colour where the terminal has it. rich lives in this package."""

import io
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from validator.findings import Outcome
from validator.reports.document import Run, document, one_line, visible, waived_in_words

WIDTH = 110
_STYLE = {"holds": "bold green", "violated": "bold red", "unknown": "bold yellow"}
_WAIVED = "bold cyan"
_EXPLAIN = {
    "holds": "every invariant holds for every subject",
    "violated": "at least one invariant is violated",
    "unknown": "something could not be known, so nothing may be concluded",
}

Json = dict[str, Any]


def to_text(run: Run, *, colour: bool = False, width: int = WIDTH) -> str:
    """The run as text for a terminal of `width` columns."""
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        force_terminal=colour,
        color_system="standard" if colour else None,
        width=width,
        highlight=False,
        emoji=False,
        legacy_windows=False,
    )
    data = document(run)
    console.print(_heading(data), markup=False)
    console.print()
    _print_capacity(console, data)
    _print_changes(console, data)
    _print_findings(console, data)
    for note in data["notes"]:
        console.print(visible(note), markup=False)
    outcome = data["verdict"]
    explained = _EXPLAIN[outcome]
    if outcome == Outcome.HOLDS and data["counts"]["waived"]:
        explained += ", or is waived"
    console.print(Text.assemble("Verdict: ", (outcome, _STYLE[outcome]), f" ({explained})"))
    console.print(_heading(data), markup=False)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _heading(data: Json) -> str:
    return one_line(f"{data['command']} {data['env']} on {data['cloud']}")


def _print_capacity(console: Console, data: Json) -> None:
    capacity = data["capacity"]
    live = data["view"] == "live"
    table = Table(box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("Account", no_wrap=True)
    table.add_column("Id", no_wrap=True)
    table.add_column("Role", no_wrap=True)
    table.add_column("Region", no_wrap=True)
    table.add_column("Planned", justify="right")
    if live:
        for column in ("Replicating", "Extended", "Errors"):
            table.add_column(column, justify="right", no_wrap=True)
    table.add_column("Of quota", justify="right")
    table.add_column("Free", justify="right")
    for row in capacity["accounts"]:
        seen = ("replicating", "extended", "extension_errors") if live else ()
        compared = row["replicating"] if live else row["planned"]
        full = row["free"] is not None and row["free"] < 0
        table.add_row(
            escape(one_line(row["account"])),
            escape(one_line(row["id"])),
            row["part"],
            escape(one_line(row["region"])),
            _shown(row["planned"]),
            *(_shown(row[name]) for name in seen),
            f"{_shown(compared)}/{_shown(row['quota'])}",
            _shown(row["free"]),
            style="red" if full else None,
        )
    console.print(table)
    console.print(
        f"{_shown(capacity['planned'])} protected of the estate's capacity of "
        f"{_shown(capacity['capacity'])} source servers; the target's total quota is "
        f"{_shown(capacity['target_total_quota'])}."
    )
    console.print()


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


def _print_findings(console: Console, data: Json) -> None:
    for finding in data["findings"]:
        outcome, waived = finding["outcome"], finding["waived"]
        if outcome == Outcome.HOLDS:
            continue
        console.print(
            Text.assemble(
                ("waived, " if waived else "", _WAIVED),
                (outcome, _WAIVED if waived else _STYLE[outcome]),
                " " + one_line(f"{finding['invariant']}: {finding['subject']}"),
            ),
            soft_wrap=True,
        )
        for message in finding["messages"]:
            console.print(f"  {visible(message['text'])}", markup=False, soft_wrap=True)
        if waived:
            line = f"  waived: {one_line(waived_in_words(waived))}."
            console.print(line, markup=False, soft_wrap=True)
        for label in ("where", "why", "remedy"):
            line = f"  {label}: {one_line(finding[label])}"
            console.print(line, markup=False, soft_wrap=True)
        console.print()
    counts = data["counts"]
    console.print(
        f"{sum(counts.values())} findings: {counts['violated']} violated, "
        f"{counts['unknown']} unknown, {counts['waived']} waived, {counts['holds']} hold."
    )


def _shown(number: int | None) -> str:
    return "unknown" if number is None else str(number)
