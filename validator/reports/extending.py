"""What `extend` did, as text for people: refusals and exceptions by name, the rest as sums."""

from collections import Counter
from typing import Any

from validator.reports.document import one_line


def to_text(done: Any) -> str:
    """The run of `extend` as lines."""
    lines: list[str] = []
    sums = Counter((server.account, server.result.value) for server in done.servers)
    for (account, result), count in sorted(sums.items()):
        lines.append(f"  {account}: {count} {result}")
    quiet = {"extended", "already extended"}
    for server in done.servers:
        if server.result.value not in quiet:
            reason = f": {server.reason}" if server.reason else ""
            lines.append(f"  {server.result.value}: {server.hostname} ({server.arn}){reason}")
    for step in done.steps:
        lines.append(f"  {step.account}: {step.text}")
    for refusal in done.refusals:
        lines.append(f"  {refusal.account} was left out: {refusal.message}")
    lines += [f"  {note}" for note in done.notes]
    if done.shortfall:
        lines.append(
            f"{done.shortfall} servers found no room: the target holds {done.total} of its total "
            f"quota of {done.quota} source servers."
        )
    if done.beyond_limit:
        lines.append(f"{done.beyond_limit} more could be extended; --limit left them out.")
    if done.interrupted:
        lines.append("Interrupted: calls in flight were finished, the rest was not tried.")
    if not done.servers:
        lines.append("There is no server to extend.")
    lines.append(f"The target holds {done.total} of {done.quota} source servers.")
    return "\n".join(line[:2] + one_line(line[2:]) for line in lines) + "\n"
