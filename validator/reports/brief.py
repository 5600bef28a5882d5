"""A run in a few lines, for a tour of many runs: what changes, its servers, what is new, the verdict."""

from validator.findings import Finding, Outcome
from validator.reports.document import Run, document, one_line


def to_brief(run: Run, before: Run | None = None) -> str:
    """The run as text, without what did not hold in the run `before` either."""
    data = document(run)
    lines = []
    for account, actions in (data["changes"] or {}).items():
        counts = ", ".join(f"{count} to {action}" for action, count in actions.items())
        lines.append(f"{account}: {counts}")
    servers = data["servers"]
    if servers is not None:
        standings = [f"{count} {name}" for name, count in servers["standings"].items() if count]
        lines.append(f"source servers: {', '.join(standings) or 'none'}")
        lower, upper = servers["protected"]["lower"], servers["protected"]["upper"]
        bounds = f"{lower}" if lower == upper else f"{lower} to {upper}"
        planned = data["capacity"]["planned"]
        lines.append(f"recoverable from the target: {bounds} of {planned} planned")
    groups: dict[tuple[Outcome, str], list[Finding]] = {}
    for each in new(run, before):
        groups.setdefault((each.outcome, each.invariant), []).append(each)
    for (outcome, invariant), findings in groups.items():
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        lines.append(f"{outcome} {invariant}{more}")
        lines += [f"  {message.text}" for message in findings[0].messages[:1]]
        lines.append(f"  remedy: {findings[0].remedy}")
    lines.append(f"verdict: {data['verdict']}")
    return "\n".join(_indented(line) for line in lines)


def new(run: Run, before: Run | None) -> list[Finding]:
    """What does not hold in a run, and did not come out so in the run before."""
    earlier = {_told(each) for each in before.verdict.findings} if before else set()
    return [
        each
        for each in run.verdict.findings
        if each.counted is not Outcome.HOLDS and _told(each) not in earlier
    ]


def _told(finding: Finding) -> tuple[str, str, Outcome]:
    return finding.invariant, finding.subject, finding.outcome


def _indented(line: str) -> str:
    depth = len(line) - len(line.lstrip(" "))
    return " " * (depth + 2) + one_line(line)
