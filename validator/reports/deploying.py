"""What `deploy` did, as text for people: each wave as sums, and whatever is not well by name."""

from collections.abc import Mapping
from typing import Any

from validator.reports.document import one_line

Json = dict[str, Any]

_STATES = (
    "planned",
    "sent",
    "installed",
    "replicating",
    "already",
    "failed",
    "stopped",
    "cancelled",
    "refused",
)
_QUIET = {"already", "installed", "planned", "replicating", "sent"}
_MEANING = {
    "cancelled": "the deployment was ended by somebody; go on with --resume",
    "failed": "an error stopped the deployment; go on with --resume",
    "incomplete": "not every instance replicates",
    "planning": "it is being planned",
    "running": "it goes on",
    "succeeded": "every instance replicates",
}


def to_text(progress: Json, instances: Mapping[str, Json]) -> str:
    """A deployment as lines: a table of its waves, and every instance that does not replicate."""
    waves: dict[str, dict[str, int]] = {}
    for state in instances.values():
        counts = waves.setdefault(state.get("wave") or "not planned", {})
        counts[state["status"]] = counts.get(state["status"], 0) + 1
    shown = [each for each in _STATES if any(each in counts for counts in waves.values())]
    lines = [f"  {'wave':12}" + "".join(f"{each:>13}" for each in shown)]
    for wave in sorted(waves, key=_order):
        numbers = "".join(f"{waves[wave].get(each, 0):>13}" for each in shown)
        lines.append(f"  {wave:12}{numbers}")
    lines.append("")
    lines += [_line(instance_id, state) for instance_id, state in sorted(instances.items(), key=_what)
              if state["status"] not in _QUIET]  # fmt: skip
    if "error" in progress:
        lines.append(f"  error: {one_line(progress['error'])}")
    status = progress["status"]
    lines.append(f"Deployment {progress['deployment_id']}: {status} ({_MEANING[status]}).")
    return "\n".join(lines) + "\n"


def to_line(progress: Json) -> str:
    """How a deployment stands, in one line: its waves in their order, and its last error."""
    waves = sorted(progress.get("waves", {}).items(), key=lambda each: _order(each[0]))
    counts = [
        f"{wave} {', '.join(f'{number} {state}' for state, number in sorted(states.items()))}"
        for wave, states in waves
    ]
    errors = progress.get("errors", ())
    if errors:
        counts.append(f"last error: {errors[-1]['instance']}: {one_line(errors[-1]['reason'])}")
    said = f": {'; '.join(counts)}" if counts else ""
    return f"{progress['deployment_id']} {progress['status']}{said}"


def planned_to_text(batches: tuple[Json, ...], refused: Mapping[str, Json]) -> str:
    """What a dry run found, as lines."""
    lines = []
    for batch in batches:
        lines.append(
            f"  {batch['wave']}: {len(batch['instances'])} instances of account {batch['account']} "
            f"would get an agent that replicates into {batch['into']}"
        )
    left_out = {k: v for k, v in refused.items() if v["status"] not in _QUIET}
    lines += [_line(instance_id, state) for instance_id, state in sorted(left_out.items())]
    total = sum(len(batch["instances"]) for batch in batches)
    lines.append(
        f"{total} instances in {len(batches)} commands; {len(left_out)} are left out, "
        f"{len(refused) - len(left_out)} replicate already."
    )
    return "\n".join(lines) + "\n"


def _line(instance_id: str, state: Json) -> str:
    reason = one_line(state.get("reason") or "")
    if "refusal" in state:
        reason = f"{state['refusal']} ({one_line(state['detail'])})"
    return f"  {state['status']}: {instance_id}" + (f": {reason}" if reason else "")


def _what(item: tuple[str, Json]) -> tuple[str, str]:
    return item[1]["status"], item[0]


def _order(wave: str) -> tuple[bool, int]:
    number = wave.rpartition("-")[2]
    return not number.isdigit(), int(number) if number.isdigit() else 0
