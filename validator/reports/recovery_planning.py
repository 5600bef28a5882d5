"""What `recovery-plans` wrote, as text for people and as JSON for machines."""

import json
from collections import Counter
from itertools import groupby
from typing import Any

from validator.quotas import SERVERS_IN_ALL_JOBS, SERVERS_PER_JOB, recovery
from validator.reports.document import one_line

_QUIET = {"written", "changed", "as it is", "would be written", "would be changed"}


def to_text(done: Any) -> str:
    """The run as lines: what became of the plans of each wave, and every exception by name."""
    lines = []
    wanted = [each for each in done.plans if each.plan.servers and each.result in _QUIET]
    for wave, of_wave in groupby(wanted, key=lambda each: each.plan.wave):
        lines.append(f"  {wave}: {_sums(list(of_wave))}")
    for each in done.plans:
        if each.result not in _QUIET:
            reason = f": {each.reason}" if each.reason else ""
            lines.append(f"  {each.result}: {each.plan.name} ({each.arn or 'not there'}){reason}")
    for left in done.left_out:
        lines.append(f"  in no plan: {left.hostname} ({left.arn}): {left.reason}")
    for server in done.obstacles:
        lines.append(f"  keeps its plan from starting: {server.hostname}: {server.obstacle}")
    if done.obstacles:
        lines.append("AWS starts a plan only if every server of it can be recovered.")
    if not wanted and not done.failed:
        lines.append("No server of the target has the tags of a plan, so there is none to write.")
    count = sum(len(each.plan.servers) for each in wanted)
    if count:
        fewest = recovery(count)
        lines.append(
            f"{count} servers in {len(wanted)} plans. At most {SERVERS_IN_ALL_JOBS.value} servers are "
            f"recovered at once, {SERVERS_PER_JOB.value} in a job: a full recovery takes "
            f"{fewest.jobs} jobs, at best in {fewest.rounds} "
            f"round{'s' if fewest.rounds > 1 else ''}. Nothing was started."
        )
    return "\n".join(line[:2] + one_line(line[2:]) for line in lines) + "\n"


def _sums(of_wave: list[Any]) -> str:
    results = Counter(each.result.value for each in of_wave)
    servers = sum(len(each.plan.servers) for each in of_wave)
    steps = sum(len(each.plan.steps) for each in of_wave)
    told = ", ".join(f"{number} {result}" for result, number in sorted(results.items()))
    fewest = recovery(servers)
    rounds = f", {fewest.rounds} rounds" if fewest.rounds > 1 else ""
    return f"{servers} servers, {len(of_wave)} plans with {steps} steps ({told}){rounds}"


def to_json(done: Any, env: str, cloud: str) -> str:
    """The run as one document: plans with their steps, servers left out, servers in the way."""
    document = {
        "env": env,
        "cloud": cloud,
        "dry_run": done.dry_run,
        "complete": done.complete,
        "plans": [
            {
                "name": each.plan.name,
                "arn": each.arn,
                "wave": each.plan.wave,
                "result": each.result.value,
                "reason": each.reason,
                "steps": [
                    {"name": step.name, "wait_minutes": step.minutes}
                    if step.minutes
                    else {"name": step.name, "impact": step.impact, "servers": list(step.servers)}
                    for step in each.plan.steps
                ],
            }
            for each in done.plans
        ],
        "left_out": [
            {"arn": each.arn, "hostname": each.hostname, "reason": each.reason}
            for each in done.left_out
        ],
        "obstacles": [
            {"arn": each.arn, "hostname": each.hostname, "reason": each.obstacle}
            for each in done.obstacles
        ],
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"
