"""The report of `forecast`: when each account and the target are full, and what to order by when."""

import json
from datetime import datetime
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from validator import __version__
from validator.findings import Outcome
from validator.forecasting import HORIZON_DAYS, Forecast, Outlook, Wall, per_month
from validator.reports.document import one_line
from validator.reports.text import STYLE, WIDTH, paper, printed

Json = dict[str, Any]

SCHEMA_VERSION = 1
"""The version of `forecast.schema.json`; it grows with every change that could break a reader."""

_EXPLAIN = {
    "holds": "no limit is passed within the lead time",
    "violated": "a limit is passed within the lead time, or was",
    "unknown": "too little is known, so nothing may be concluded",
}


def document(made: Forecast, env: str, notes: tuple[str, ...]) -> Json:
    """The forecast as JSON-ready data, as `forecast.schema.json` says."""
    return {
        "schema_version": SCHEMA_VERSION,
        "validator_version": __version__,
        "command": "forecast",
        "env": env,
        "at": _time(made.now),
        "verdict": made.outcome.value,
        "lead_days": made.lead_days,
        "verifications": made.verifications,
        "accounts": [_outlook(each) for each in made.accounts],
        "estate": _outlook(made.estate),
        "target_total": _outlook(made.target_total),
        "orders": [{"by": _day(each.by), "needed": _day(each.needed)} for each in made.orders],
        "findings": [
            {
                "name": each.invariant,
                "subject": each.subject,
                "outcome": each.outcome.value,
                "messages": [message.text for message in each.messages],
                "why": each.why,
                "remedy": each.remedy,
            }
            for each in made.findings
        ],
        "notes": [*made.notes, *notes],
    }


def to_json(made: Forecast, env: str, notes: tuple[str, ...]) -> str:
    """The forecast as indented JSON with a final line end."""
    return json.dumps(document(made, env, notes), indent=2) + "\n"


def to_text(
    made: Forecast,
    env: str,
    notes: tuple[str, ...],
    *,
    colour: bool = False,
    width: int = WIDTH,
) -> str:
    """The forecast as text for a terminal of `width` columns."""
    console = paper(colour=colour, width=width)
    data = document(made, env, notes)
    console.print(
        f"forecast {env} on {_day(made.now)}, from {made.verifications} verifications",
        markup=False,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in ("Servers", "A month", "Limit", "Passed on", "Quota", "Passed on"):
        table.add_column(name, justify="right", no_wrap=True)
    bad = {each["subject"]: each["outcome"] for each in data["findings"]}
    for each in [*data["accounts"], data["estate"], data["target_total"]]:
        outcome = bad[each["name"]]
        table.add_row(
            escape(one_line(each["name"])),
            *_cells(each),
            style=None if outcome == Outcome.HOLDS else STYLE[outcome],
        )
    console.print(table)
    for order in data["orders"]:
        console.print(
            f"Order a staging account by {order['by']}: it is needed on {order['needed']}.",
            markup=False,
        )
    if not data["orders"] and made.estate.growth is not None:
        console.print("No account is to be ordered in the time that was asked for.")
    console.print()
    for finding in data["findings"]:
        if finding["outcome"] != Outcome.HOLDS:
            outcome = finding["outcome"]
            console.print(Text.assemble((outcome, STYLE[outcome]), f" {finding['name']}"))
            for message in finding["messages"]:
                console.file.write(f"  {one_line(message)}\n")
            console.file.write(f"  why: {finding['why']}\n  remedy: {finding['remedy']}\n\n")
    for note in data["notes"]:
        console.print(one_line(note), markup=False)
    outcome = data["verdict"]
    console.print(Text.assemble("Verdict: ", (outcome, STYLE[outcome]), f" ({_EXPLAIN[outcome]})"))
    return printed(console)


def _cells(each: Json) -> tuple[str, ...]:
    growth = each["growth"]
    if growth is None:
        return ("unknown",) * 6
    shown = [str(growth["last"]), f"{growth['per_month']:+.1f}"]
    for wall in (each["headroom"], each["quota"]):
        if wall is None:
            shown += ["unknown", "unknown"]
        else:
            never = f"not in {HORIZON_DAYS // 365} years"
            shown += [str(wall["limit"]), wall["on"] or never]
    return tuple(shown)


def _outlook(each: Outlook) -> Json:
    growth = each.growth
    return {
        "name": each.name,
        "id": each.id,
        "growth": None
        if growth is None
        else {"per_month": per_month(growth), "last": growth.last, "at": _time(growth.at)},
        "headroom": _wall(each.headroom),
        "quota": _wall(each.quota),
        "unknown": each.unknown,
    }


def _wall(wall: Wall | None) -> Json | None:
    if wall is None:
        return None
    return {"limit": wall.limit, "on": None if wall.on is None else _day(wall.on)}


def _day(at: datetime) -> str:
    return at.date().isoformat()


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
