"""What evidence says, as text for people: how each command's last run stands, and what that comes to."""

from collections.abc import Sequence
from typing import Any

from validator.reports.document import one_line

Json = dict[str, Any]

_EXPLAIN = {
    "holds": "every report holds, and is of the inputs as they are",
    "violated": "a report of the inputs as they are is violated",
    "unknown": "something could not be known, or a report is not current, or not of real accounts",
}
NOT_SIGNED = (
    "Evidence is not signed. Without --manifest-hash this proves only that its parts belong together, "
    "not that it is the one that was made."
)


def to_text(summary: Json, file: str, manifest_hash: str) -> str:
    """The summary of evidence just made, with where it is and the digest to keep."""
    lines = _told(summary)
    if loud(summary) and not summary["embedded_accepted"]:
        lines.append("To let what holds on the embedded AWS count, say --embedded.")
    lines += [f"Archive: {file}", f"Manifest SHA-256: {manifest_hash}"]
    lines.append(
        "Keep that digest where the archive's keeper cannot change it: nothing else signs it."
    )
    return "\n".join(lines) + "\n"


def checked_to_text(
    summary: Json | None, file: str, manifest_hash: str, problems: Sequence[str], known: bool
) -> str:
    """How an archive was found; `known` says that the manifest's digest was given from elsewhere."""
    if summary is None or problems:
        lines = [f"{one_line(file)}: is not as it was made."]
        lines += [f"  {one_line(each)}" for each in problems]
        lines.append(f"Manifest SHA-256: {manifest_hash}")
        return "\n".join(lines) + "\n"
    lines = _told(summary)
    if known:
        lines.append(f"{one_line(file)}: is unchanged.")
    else:
        lines += [f"{one_line(file)}: its parts belong together.", NOT_SIGNED]
    lines.append(f"Manifest SHA-256: {manifest_hash}")
    return "\n".join(lines) + "\n"


def _told(summary: Json) -> list[str]:
    lines = [one_line(f"evidence {summary['env']} of {summary['day']}"), ""]
    lines.append(f"  {'Command':8} {'Report':8} {'Verdict':9} {'Ended':26} On")
    for command, each in summary["commands"].items():
        cells = (
            f"{one_line(command):8} {each['status']:8} {each['verdict'] or '-':9} "
            f"{one_line(each['ended'] or '-'):26} {one_line(each['cloud'] or '-')}"
        )
        lines.append(f"  {cells}")
    lines.append("")
    for command, each in summary["commands"].items():
        lines += [f"{each['status']} {command}: {one_line(reason)}" for reason in each["reasons"]]
    lines += loud(summary)
    outcome = summary["outcome"]
    lines.append(f"Outcome: {outcome} ({_EXPLAIN[outcome]})")
    return lines


def loud(summary: Json) -> list[str]:
    """What must not be overlooked: evidence that is not of real accounts."""
    played = [
        command
        for command, each in summary["commands"].items()
        if not each["real_accounts"] and each["cloud"] is not None
    ]
    if not played:
        return []
    return [
        f"NOT OF REAL ACCOUNTS: {', '.join(played)} did not run on AWS itself, and proves nothing of it."
    ]
