"""The report of `size`: which server goes where, what that takes, and whether it fits."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from validator import __version__
from validator.findings import Finding, Outcome
from validator.model import Unknown
from validator.quotas import VCPUS, limit
from validator.reports.document import one_line
from validator.reports.text import STYLE, WIDTH, bar, paper, printed
from validator.sizing import Filled, Range, Sizing, asked

Json = dict[str, Any]

SCHEMA_VERSION = 1
"""The version of `size.schema.json`; it grows with every change that could break a reader."""

_MESSAGES_SHOWN = 20
EXPLAIN = {
    "holds": "every server has an account, within every quota",
    "violated": "not everything fits",
    "unknown": "something is not known, so nothing may be concluded",
}


@dataclass(frozen=True, slots=True)
class Sized:
    """One run of `size`: for which env, from what, and what came of it.

    `source` says in words what was sized. `payloads` are the files that were written for `deploy`. The
    Regions are None where nothing declares them.
    """

    env: str | None
    source: str
    sizing: Sizing
    values: Json
    payloads: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source_region: str | None = None
    recovery_region: str | None = None


def document(sized: Sized) -> Json:
    """The run as JSON-ready data, as `size.schema.json` says; what is not known is None, never 0."""
    sizing, wish = sized.sizing, sized.sizing.wish
    staging = sizing.accounts[1:]
    known = [each.needs for each in sizing.waves]
    complete = [each for each in known if each is not None]
    return {
        "schema_version": SCHEMA_VERSION,
        "validator_version": __version__,
        "command": "size",
        "env": sized.env,
        "source": sized.source,
        "verdict": sizing.outcome.value,
        "asked": {
            "headroom": wish.headroom,
            "point_in_time_days": wish.days,
            "target_servers": wish.target_servers,
            "together": wish.together,
            "apart": wish.apart,
        },
        "servers": {
            "total": sizing.target_total + len(sizing.misfits),
            "placed": sizing.target_total,
            "kept": sum(each.kept for each in sizing.accounts),
            "not_fitting": len(sizing.misfits),
        },
        "staging_accounts": {
            "needed": sum(bool(each.servers) for each in staging),
            "at_hand": sum(each.place.at_hand for each in staging),
            "to_order": sizing.to_order,
        },
        "target_total": {"servers": sizing.target_total, "quota": _number(sizing.target_quota)},
        "recovery_vcpus": {
            **_bounds(sizing.recovery_vcpus),
            "quota": _number(limit(sizing.accounts[0].place, VCPUS)),
        },
        "accounts": [_account(each) for each in sizing.accounts],
        "waves": [
            {
                "name": each.name,
                "servers": each.servers,
                "jobs": None if each.needs is None else each.needs.jobs,
                "rounds": None if each.needs is None else each.needs.rounds,
            }
            for each in sizing.waves
        ],
        "waves_proposed": sizing.waves_proposed,
        "recovery": {
            "jobs": sum(each.jobs for each in complete),
            "rounds": sum(each.rounds for each in complete),
        }
        if len(complete) == len(known)
        else None,
        "not_fitting": _misfits(sizing),
        "findings": [_finding(each) for each in sizing.findings],
        "values": sized.values,
        "payloads": list(sized.payloads),
        "notes": [*sizing.notes, *sized.notes],
    }


def to_json(sized: Sized) -> str:
    """The run as indented JSON with a final line end."""
    return json.dumps(document(sized), indent=2) + "\n"


def to_text(sized: Sized, *, colour: bool = False, width: int = WIDTH) -> str:
    """The run as text for a terminal of `width` columns."""
    console = paper(colour=colour, width=width)
    data = document(sized)
    heading = one_line(f"size {sized.env + ' ' if sized.env else ''}of {sized.source}")
    console.print(heading, markup=False)
    console.print(_accounts(data))
    servers, staging, total = data["servers"], data["staging_accounts"], data["target_total"]
    console.print(
        f"{servers['placed']} servers in {sum(each['servers'] > 0 for each in data['accounts'])} "
        f"accounts, {servers['kept']} of them where they replicate already; "
        f"{data['asked']['headroom']} kept free in each. The target would hold {total['servers']} of "
        f"its total of {_shown(total['quota'])}."
    )
    if staging["to_order"]:
        console.print(Text(f"Accounts to order: {staging['to_order']}.", "bold"))
    ask = [each for each in data["accounts"] if each["vcpus"]["ask"] and each["servers"]]
    if ask:
        most = max(each["vcpus"]["lower"] for each in ask)
        console.print(
            f"Ask AWS for vCPUs ({VCPUS.code}) in {len(ask)} accounts, for up to {most} of "
            f"replication servers: a new account has {VCPUS.value}."
        )
    vcpus = _ranged(data["recovery_vcpus"])
    console.print(
        f"The recovered servers take {'unknown' if vcpus == '?' else vcpus} vCPUs in the target."
    )
    _print_waves(console, data)
    for finding in data["findings"]:
        if finding["outcome"] != Outcome.HOLDS:
            _print_finding(console, finding)
    for note in data["notes"]:
        console.print(one_line(note), markup=False)
    outcome = data["verdict"]
    console.print(Text.assemble("Verdict: ", (outcome, STYLE[outcome]), f" ({EXPLAIN[outcome]})"))
    return printed(console)


def _accounts(data: Json) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Account", no_wrap=True)
    table.add_column("Id", no_wrap=True)
    table.add_column("Servers", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in ("Volumes", "GiB", "Snapshots", "Replication\nservers", "Addresses"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in data["accounts"]:
        quota = each["quota"]
        over = quota is None or each["servers"] > each["cap"]
        table.add_row(
            escape(one_line(each["name"])),
            each["id"] or ("to order" if not each["at_hand"] else "-"),
            f"{each['servers']}/{_shown(quota)}",
            Text(bar(each["servers"], quota), "red" if over else "green"),
            *(
                _ranged(each[name])
                for name in (
                    "volumes",
                    "storage_gib",
                    "snapshots",
                    "replication_servers",
                    "addresses",
                )
            ),
        )
    return table


def _print_waves(console: Any, data: Json) -> None:
    if not data["waves"]:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Wave", no_wrap=True)
    for name in ("Servers", "Jobs", "Rounds"):
        table.add_column(name, justify="right")
    for each in data["waves"]:
        late = each["rounds"] is None or each["rounds"] > 1
        table.add_row(
            escape(one_line(each["name"])),
            str(each["servers"]),
            _shown(each["jobs"]),
            _shown(each["rounds"]),
            style="red" if late else None,
        )
    console.print(table)
    if data["recovery"] is not None:
        jobs, rounds = data["recovery"]["jobs"], data["recovery"]["rounds"]
        console.print(f"A full recovery, wave by wave, takes {jobs} jobs in {rounds} rounds.")
    console.print()


def _print_finding(console: Any, finding: Json) -> None:
    outcome = finding["outcome"]
    name = one_line(f"{finding['name']}: {finding['subject']}")
    console.print(Text.assemble((outcome, STYLE[outcome]), " ", name), soft_wrap=True)
    messages = finding["messages"]
    for message in messages[:_MESSAGES_SHOWN]:
        where = f"{message['where']}: " if message["where"] else ""
        console.file.write(f"  {one_line(where + message['text'])}\n")
    if (more := len(messages) - _MESSAGES_SHOWN) > 0:
        console.file.write(f"  ... and {more} more, all in report.json\n")
    console.file.write(f"  why: {finding['why']}\n  remedy: {finding['remedy']}\n\n")


def _account(each: Filled) -> Json:
    place = each.place
    return {
        "name": place.name,
        "id": place.id,
        "part": place.part.value,
        "at_hand": place.at_hand,
        "servers": len(each.servers),
        "kept": each.kept,
        "quota": _number(each.quota),
        "cap": each.cap,
        "instance_ids": [server.id for server in each.servers if server.id is not None],
        "volumes": _bounds(each.volumes),
        "storage_gib": _bounds(each.storage),
        "replication_servers": _bounds(each.replication_servers),
        "vcpus": {
            **_bounds(each.vcpus),
            "quota": _number(limit(place, VCPUS)),
            "ask": asked(each, VCPUS),
        },
        "snapshots": {**_bounds(each.snapshots), "quota": _number(each.snapshot_quota)},
        "addresses": {**_bounds(each.addresses), "available": place.addresses},
    }


def _misfits(sizing: Sizing) -> list[Json]:
    """Reasons with the ids of the servers that they are true of; a count's servers have none."""
    counts: Counter[tuple[str, str]] = Counter()
    ids: dict[tuple[str, str], list[str]] = {}
    for each in sizing.misfits:
        reason = each.reason, each.detail
        counts[reason] += 1
        if each.server.id is not None:
            ids.setdefault(reason, []).append(each.server.id)
    return [
        {
            "reason": reason[0],
            "detail": reason[1],
            "servers": count,
            "instance_ids": ids.get(reason, []),
        }
        for reason, count in sorted(counts.items())
    ]


def _finding(finding: Finding) -> Json:
    return {
        "name": finding.invariant,
        "subject": finding.subject,
        "outcome": finding.outcome.value,
        "messages": [{"text": each.text, "where": each.where} for each in finding.messages],
        "why": finding.why,
        "remedy": finding.remedy,
    }


def _bounds(value: Range) -> Json:
    return {"lower": value.lower, "upper": value.upper}


def _number(value: int | Unknown) -> int | None:
    return None if isinstance(value, Unknown) else value


def _ranged(bounds: Json) -> str:
    if bounds["upper"] is None:
        return f"≥{bounds['lower']}" if bounds["lower"] else "?"
    return str(bounds["lower"])


def _shown(number: int | None) -> str:
    return "unknown" if number is None else str(number)
