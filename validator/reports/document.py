"""What every report shows, as plain data: the estate's capacity, its changes and the findings."""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

from validator import __version__
from validator.checklist import ticked
from validator.findings import Finding, Outcome, Verdict, Waived
from validator.model import Account, Estate, Extension, SourceServer, Unknown, known
from validator.quotas import REPLICATING_SERVERS, TOTAL_SERVERS, limit, recovery
from validator.reconciliation import Range, Standing, reconcile, totals
from validator.waivers import ends

Json = dict[str, Any]

SCHEMA_VERSION = 1
"""The version of `report.schema.json`; it grows with every change that could break a reader."""


@dataclass(frozen=True)
class Run:
    """One command's run: what it judged, on which AWS, and how it came out.

    `identity` tells two embedded AWSs apart, which `cloud` does not; None where there was no AWS.
    `root` is the checkout, which no report names. `today` is the day that waivers' days are counted
    from. `base` is the decoded JSON report of the base branch, unchecked, or why there is none;
    None compares with nothing. `before` is the same of the last run of this command on this env. `docs`
    is the web address of the folder of the invariants' pages.
    """

    command: str
    env: str
    cloud: str
    estate: Estate
    verdict: Verdict
    notes: tuple[str, ...] = ()
    root: Path | None = None
    today: date = field(default_factory=date.today)
    base: Json | Unknown | None = None
    before: Json | Unknown | None = None
    docs: str | None = None
    identity: str | None = None

    @functools.cached_property
    def document(self) -> Json:
        """What `document` says of the run, made once for all its reports."""
        return _document(self)


def document(run: Run) -> Json:
    """The run as JSON-ready data, to be read only; numbers that the view cannot see are None.

    Every text is free of the checkout's path and of what UTF-8 cannot carry.
    """
    return run.document


def _document(run: Run) -> Json:
    waived = sum(finding.waived is not None for finding in run.verdict.findings)
    counts = {outcome.value: run.verdict.count(outcome) for outcome in Outcome}
    counts[Outcome.HOLDS.value] -= waived
    data: Json = {
        "schema_version": SCHEMA_VERSION,
        "validator_version": __version__,
        "command": run.command,
        "env": run.env,
        "view": run.estate.view,
        "where": run.estate.where,
        "cloud": run.cloud,
        "cloud_identity": run.identity,
        "verdict": run.verdict.outcome.value,
        "counts": {**counts, "waived": waived},
        "capacity": capacity(run.estate),
        "changes": changes(run.estate),
        "servers": servers(run.estate),
        "checklist": checklist(run.estate, run.verdict.findings),
        "findings": [_finding(finding, run.today) for finding in run.verdict.findings],
        "notes": list(run.notes),
    }
    cleaned: Json = _cleaned(data, cleaner(run.root))
    cleaned["where"] = _without_folders(cleaned["where"])
    for finding in cleaned["findings"]:
        for placed in (finding, *finding["messages"]):
            placed["where"] = _without_folders(placed["where"])
    return cleaned


def visible(text: str) -> str:
    """The text with every character that shows nothing, or steers a terminal, written as its code.

    Line ends and tabs stay. A name that came from AWS can then neither hide nor recolour a line.
    """
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(
        character if character in "\n\t" or not _hidden(character) else _code(character)
        for character in text
    )


def waived_in_words(waived: Json) -> str:
    """Who waived a finding, why, and until when, as one sentence without its full stop."""
    if waived["expires"] is None:
        return f"{waived['reason'].strip().removesuffix('.')} ({waived['owner']})"
    return (
        f"{waived['reason'].strip().removesuffix('.')} ({waived['owner']}, {waived['ticket']}); "
        f"the waiver ends {ends(waived['days_left'], waived['expires'])}"
    )


def _hidden(character: str) -> bool:
    category = unicodedata.category(character)
    return category in {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}


def _code(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def one_line(text: str) -> str:
    """The text in one line, with what shows nothing written as its code."""
    return " ".join(visible(text).split())


def capacity(estate: Estate) -> Json:
    """Servers declared, seen and possible, per account that replicates and for the whole estate.

    All numbers count source servers in the recovery Region.
    """
    rows = [_capacity_row(account, estate.recovery_region) for account in estate.protected]
    planned = _total([row["planned"] for row in rows])
    return {
        "accounts": rows,
        "planned": planned,
        "capacity": _total([row["quota"] for row in rows]),
        "target_total_quota": _number(limit(estate.target, TOTAL_SERVERS)),
        "recovery": None
        if planned is None
        else {"jobs": recovery(planned).jobs, "rounds": recovery(planned).rounds},
    }


def servers(estate: Estate) -> Json | None:
    """How many servers stand how, and the totals as ranges; None for a view without live servers.

    `target` are the target's own servers, `staging` those that it has as extensions, `protected`
    their sum: what can be recovered from the target.
    """
    if estate.view != "live":
        return None
    of, standing = totals(estate), Counter(each.standing for each in reconcile(estate))
    return {
        "standings": {each.value: standing[each] for each in Standing},
        "replicating": {name: _bounds(total) for name, total in of.replicating},
        "target": _bounds(of.replicating[0][1]),
        "staging": _bounds(of.extended),
        "protected": _bounds(of.protected),
        "in_target": _bounds(of.in_target),
    }


def _bounds(total: Range) -> Json:
    return {"lower": total.lower, "upper": total.upper}


def checklist(estate: Estate, findings: tuple[Finding, ...]) -> list[Json] | None:
    """The prerequisites of each account with their outcomes; None for a view without accounts."""
    if estate.view != "live":
        return None
    return [
        {
            "account": each.account,
            "item": each.item.text,
            "outcome": None if each.outcome is None else each.outcome.value,
            "evidence": list(each.evidence),
        }
        for each in ticked(estate, findings)
    ]


def changes(estate: Estate) -> Json:
    """How many resources the plan creates, updates, replaces and deletes, by account."""
    counted: dict[str, Counter[str]] = {}
    for change in estate.changes:
        account = "(unknown account)" if isinstance(change.account, Unknown) else change.account
        counted.setdefault(account, Counter())[_action(change.actions)] += 1
    return {account: dict(sorted(counted[account].items())) for account in sorted(counted)}


def _action(actions: tuple[str, ...]) -> str:
    return "replace" if len(actions) > 1 else actions[0] if actions else "unknown"


def _capacity_row(account: Account, region: str) -> Json:
    quota, planned = _number(limit(account, REPLICATING_SERVERS)), _number(account.planned)
    seen = not isinstance(account.servers, Unknown)
    return {
        "account": account.name,
        "part": account.part.value,
        "id": account.id,
        "region": region,
        "planned": planned,
        "quota": quota,
        "free": None if quota is None or planned is None else quota - planned,
        "replicating": _replicating(account.servers) if seen else None,
        "extended": _extensions(account.servers, Extension.EXTENDED) if seen else None,
        "extension_errors": (
            _extensions(account.servers, Extension.EXTENSION_ERROR) if seen else None
        ),
    }


def _replicating(servers: tuple[SourceServer, ...] | Unknown) -> int | None:
    counted = [server.replicating for server in known(servers)]
    return None if any(isinstance(each, Unknown) for each in counted) else counted.count(True)


def _extensions(servers: tuple[SourceServer, ...] | Unknown, status: Extension) -> int | None:
    counted = [server.extension for server in known(servers)]
    return None if any(isinstance(each, Unknown) for each in counted) else counted.count(status)


def _number(value: int | Unknown) -> int | None:
    return None if isinstance(value, Unknown) else value


def _total(numbers: list[int | None]) -> int | None:
    known_numbers = [number for number in numbers if number is not None]
    return sum(known_numbers) if len(known_numbers) == len(numbers) else None


def cleaner(root: Path | None) -> Callable[[str], str]:
    """A function that frees a text of the checkout's path and of what UTF-8 cannot carry."""
    checkout = None
    if root is not None and root != root.parent:
        own = re.escape(str(root))
        checkout = re.compile(rf"(?<![\w./-]){own}(?:(/)(?=\S)|/?(?![\w.-]))")

    @functools.cache  # most texts stand in many findings
    def clean(text: str) -> str:
        text = text.encode(errors="replace").decode()
        if checkout is None:
            return text
        return checkout.sub(lambda found: "" if found[1] else ".", text)

    return clean


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): _cleaned(each, clean) for key, each in value.items()}
    if isinstance(value, list):
        return [_cleaned(each, clean) for each in value]
    return value


def _without_folders(where: str) -> str:
    """The place without the folders of a path that lies outside the checkout."""
    return PurePosixPath(where).name if where.startswith("/") else where


def _finding(finding: Finding, today: date) -> Json:
    return {
        "invariant": finding.invariant,
        "family": finding.family,
        "subject": finding.subject,
        "where": finding.where,
        "outcome": finding.outcome.value,
        "messages": [
            {"text": each.text, "where": each.where, "fix": each.fix} for each in finding.messages
        ],
        "why": finding.why,
        "remedy": finding.remedy,
        "waived": None if finding.waived is None else _waived(finding.waived, today),
    }


def _waived(waived: Waived, today: date) -> Json:
    """Who waived it and why; the days left are None for what was accepted for this run only."""
    expires = waived.expires
    return {
        "reason": waived.reason,
        "owner": waived.owner,
        "ticket": waived.ticket,
        "expires": None if expires is None else expires.isoformat(),
        "days_left": None if expires is None else (expires - today).days,
    }
