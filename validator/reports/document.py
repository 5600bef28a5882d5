"""What every report shows, as plain data: the estate's capacity, its changes and the findings."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from validator import __version__
from validator.findings import Finding, Outcome, Verdict
from validator.model import Account, Estate, Extension, SourceServer, Unknown, known
from validator.quotas import REPLICATING_SERVERS, TOTAL_SERVERS, limit

Json = dict[str, Any]

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One command's run: what it judged, on which AWS, and how it came out."""

    command: str
    env: str
    cloud: str
    estate: Estate
    verdict: Verdict
    notes: tuple[str, ...] = ()


def document(run: Run) -> Json:
    """The run as JSON-ready data; numbers that the view cannot see are None."""
    return {
        "schema_version": SCHEMA_VERSION,
        "validator_version": __version__,
        "command": run.command,
        "env": run.env,
        "view": run.estate.view,
        "cloud": run.cloud,
        "verdict": run.verdict.outcome.value,
        "counts": {outcome.value: run.verdict.count(outcome) for outcome in Outcome},
        "capacity": capacity(run.estate),
        "changes": changes(run.estate),
        "findings": [_finding(finding) for finding in run.verdict.findings],
        "notes": list(run.notes),
    }


def capacity(estate: Estate) -> Json:
    """Servers declared, seen and possible, per account that replicates and for the whole estate.

    All numbers count source servers in the recovery Region.
    """
    rows = [_capacity_row(account, estate.recovery_region) for account in estate.protected]
    return {
        "accounts": rows,
        "planned": _total([row["planned"] for row in rows]),
        "capacity": _total([row["quota"] for row in rows]),
        "target_total_quota": _number(limit(estate.target, TOTAL_SERVERS)),
    }


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


def _finding(finding: Finding) -> Json:
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
    }
