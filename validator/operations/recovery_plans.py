"""Writes AWS's own recovery plans for an estate, from the tags dr:wave and dr:priority of its servers.

They are written and never started: whether to recover is for people to say. A plan that is being
written has a name that says so until all of it stands.
Source: https://docs.aws.amazon.com/drs/latest/userguide/recovery-plans.html
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any

from validator.accounts import Client, Opener, call, pages, where
from validator.errors import AccountError, UsageError
from validator.model import Extension
from validator.operations.extend import WAVE_TAG
from validator.quotas import (
    RECOVERY_PLANS,
    SERVERS_PER_RECOVERY_PLAN,
    STEPS_PER_RECOVERY_PLAN,
)
from validator.sources import tfvars
from validator.sources.tfvars import Declared

Json = dict[str, Any]
OnProgress = Callable[[str, int, int], None]
"""Is told what is being done, how many plans of it are done, and how many there are."""

PRIORITY_TAG, OWN_TAG = "dr:priority", "dr:recovery-plan"
UNFINISHED = "being written"
CRITICAL, OPTIONAL = "CRITICAL", "OPTIONAL"
LONGEST_WAIT = 120
"""Minutes that a step may wait, at most."""
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9 _-]*")
_PRIORITY = re.compile(r"[1-9]")
_RECOVERABLE = {"BACKLOG", "CONTINUOUS", "CREATING_SNAPSHOT", "PAUSED", "RESCAN", "STALLED"}
"""States of a server that has points in time; in the others, and in those unknown here, it may have none."""


@dataclass(frozen=True, slots=True)
class Server:
    """A source server of the target; `obstacle` says why AWS could not recover it now, if it could not."""

    arn: str
    hostname: str
    wave: str
    priority: str
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a plan: servers that are recovered at once by ARN, or minutes to wait."""

    name: str
    servers: tuple[str, ...] = ()
    impact: str = CRITICAL
    minutes: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A recovery plan as it is wanted; `key` is the same for as long as the estate has a plan there."""

    key: str
    name: str
    wave: str
    description: str
    steps: tuple[Step, ...]

    @property
    def servers(self) -> tuple[str, ...]:
        """The ARNs of the servers that it recovers, in its order."""
        return tuple(arn for step in self.steps for arn in step.servers)


@dataclass(frozen=True, slots=True)
class Order:
    """How servers are put into steps.

    Minutes to wait between two priorities, 0 for none; from `optional_from` on, servers that fail
    do not stop the plan.
    """

    wait_minutes: int = 0
    optional_from: str | None = None


class Result(StrEnum):
    """What became of a plan."""

    WRITTEN = "written"
    CHANGED = "changed"
    KEPT = "as it is"
    DELETED = "deleted"
    WOULD_WRITE = "would be written"
    WOULD_CHANGE = "would be changed"
    WOULD_DELETE = "would be deleted"
    SURPLUS = "not wanted any more"
    FAILED = "failed"


_STANDING = {
    Result.WRITTEN,
    Result.CHANGED,
    Result.KEPT,
    Result.WOULD_WRITE,
    Result.WOULD_CHANGE,
}
_FINE = _STANDING | {Result.DELETED, Result.WOULD_DELETE}


@dataclass(frozen=True, slots=True)
class Written:
    """A plan and what became of it; `reason` says why, where that is not plain."""

    plan: Plan
    result: Result
    arn: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A source server of the target that no plan recovers."""

    arn: str
    hostname: str
    reason: str


@dataclass(frozen=True, slots=True)
class Planning:
    """What a run did, or in a dry run would do."""

    plans: tuple[Written, ...]
    left_out: tuple[LeftOut, ...]
    obstacles: tuple[Server, ...]
    dry_run: bool

    @property
    def complete(self) -> bool:
        """True if every server stands in a plan, every plan as wanted, and each could start now."""
        return (
            any(each.result in _STANDING for each in self.plans)
            and not self.left_out
            and not self.obstacles
            and all(each.result in _FINE for each in self.plans)
        )

    @property
    def failed(self) -> bool:
        """True if a plan may stand half written, or is not known."""
        return any(each.result is Result.FAILED for each in self.plans)


@dataclass(frozen=True, slots=True)
class _Standing:
    """A plan of this env that stands in the target, with the ARN of each step."""

    arn: str
    key: str
    name: str
    description: str
    status: str
    steps: tuple[tuple[str, Step], ...]


def write(
    declared: Declared,
    opener: Opener,
    order: Order,
    *,
    dry_run: bool,
    prune: bool = False,
    on_progress: OnProgress = lambda *_: None,
) -> Planning:
    """Brings the target's recovery plans to what the tags of its servers say; safe to repeat and to kill.

    With `prune`, plans of this env that nothing asks for any more are deleted, unless nothing asks
    for any plan at all: a target that shows no servers is no reason to delete how they recover.
    Raises UsageError for an order that AWS has no plans for, AccountError if the target cannot be read.
    """
    env = tfvars.text(declared, "environment")
    waves = [str(each) for each in declared.values.get("recovery_waves") or ()]
    _check(order, [env, *waves])
    account, _, _ = tfvars.accounts(declared)
    drs = opener.open(account.id, tfvars.text(declared, "recovery_region")).client("drs")
    servers, left_out = read(drs, waves)
    wanted = packed(servers, env, order)
    standing, others, there = _standing(drs, env)
    _check_room(drs, there + sum(plan.key not in standing for plan in wanted))
    written = []
    for number, plan in enumerate(wanted):
        on_progress("writing plans", number, len(wanted))
        written.append(_written(drs, plan, standing.get(plan.key, []), others, dry_run=dry_run))
    kept = {plan.key for plan in wanted}
    for key in sorted(standing.keys() - kept):
        for each in standing[key]:
            written.append(_surplus(drs, each, prune=prune and bool(wanted), dry_run=dry_run))
    return Planning(
        tuple(written), left_out, tuple(each for each in servers if each.obstacle), dry_run
    )


def read(drs: Client, waves: Sequence[str]) -> tuple[tuple[Server, ...], tuple[LeftOut, ...]]:
    """The target's servers in the order that they recover in, and those that no plan can take.

    `waves` are those that the env declares. Raises AccountError.
    """
    servers, left_out = [], []
    try:
        for item in pages(
            drs, "describe_source_servers", "items", filters={}, PaginationConfig={"PageSize": 200}
        ):
            tags = item.get("tags") or {}
            hints = (item.get("sourceProperties") or {}).get("identificationHints") or {}
            name = str(hints.get("hostname") or hints.get("awsInstanceID") or "")
            if reason := _why_not(item, tags, waves):
                left_out.append(LeftOut(item["arn"], name, reason))
                continue
            servers.append(
                Server(item["arn"], name, tags[WAVE_TAG], tags[PRIORITY_TAG], _obstacle(item))
            )
    except (AttributeError, KeyError, TypeError) as error:
        raise AccountError(
            f"{where(drs, 'describe_source_servers')} gave an answer that lacks a part "
            f"({type(error).__name__}: {error})."
        ) from error
    servers.sort(
        key=lambda each: (
            _natural(each.wave),
            each.wave,  # wave-1 and wave-01 are two waves
            each.priority,
            each.hostname,
            each.arn,
        )
    )
    return tuple(servers), tuple(sorted(left_out, key=lambda each: (each.reason, each.arn)))


def packed(servers: Iterable[Server], env: str, order: Order) -> tuple[Plan, ...]:
    """The fewest plans that recover the servers wave by wave; in a plan, priority by priority.

    `servers` come in the order that they recover in. A server stands in one plan, no plan has
    servers of two waves, and a wave's plans follow one another by priority.
    """
    plans = []
    most = SERVERS_PER_RECOVERY_PLAN.value
    for wave, of_wave in groupby(servers, key=lambda each: each.wave):
        members = list(of_wave)
        count = -(-len(members) // most)
        for number in range(1, count + 1):
            part = members[(number - 1) * most : number * most]
            plans.append(
                Plan(
                    key=f"{env}/{wave}/{number}",
                    name=f"{env} {wave} {number:02}",
                    wave=wave,
                    description=f"Env {env}, {wave}, plan {number} of {count}: {len(part)} servers.",
                    steps=tuple(_steps(part, order)),
                )
            )
    keys = [plan.key for plan in plans]
    assert len(set(keys)) == len(keys), "the servers do not come wave by wave"
    return tuple(plans)


def _steps(servers: Sequence[Server], order: Order) -> Iterator[Step]:
    for number, (priority, group) in enumerate(groupby(servers, key=lambda each: each.priority)):
        if number and order.wait_minutes:
            yield Step(f"wait before priority {priority}", minutes=order.wait_minutes)
        optional = order.optional_from is not None and priority >= order.optional_from
        arns = tuple(sorted(each.arn for each in group))
        yield Step(f"priority {priority}", arns, OPTIONAL if optional else CRITICAL)


def _check(order: Order, names: Iterable[str]) -> None:
    if not 0 <= order.wait_minutes <= LONGEST_WAIT:
        raise UsageError(f"AWS waits from 1 to {LONGEST_WAIT} minutes, not {order.wait_minutes}.")
    if order.optional_from is not None and not _PRIORITY.fullmatch(order.optional_from):
        raise UsageError(f"A priority is a number from 1 to 9, not {order.optional_from!r}.")
    # Nine priorities with a wait between each two.
    assert STEPS_PER_RECOVERY_PLAN.value >= 2 * 9 - 1
    for name in names:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r}: a recovery plan is named after it, and AWS takes letters, digits, "
                "spaces, hyphens and underscores."
            )


def _check_room(drs: Client, plans: int) -> None:
    if plans > RECOVERY_PLANS.value:
        raise AccountError(
            f"{where(drs, 'create_recovery_plan')}: {plans} recovery plans would stand there, and "
            f"AWS keeps {RECOVERY_PLANS.value} ({RECOVERY_PLANS.reference}). Nothing was written."
        )


def _why_not(item: Json, tags: Json, waves: Sequence[str]) -> str:
    """Why no plan can take a server, empty if one can."""
    wave, priority = tags.get(WAVE_TAG), tags.get(PRIORITY_TAG)
    if item.get("replicationDirection") == "FAILBACK":
        return "it replicates back, from a recovery instance to where it came from"
    if wave is None:
        return f"it has no tag {WAVE_TAG}"
    if wave not in waves:
        return f"its tag {WAVE_TAG} is {wave!r}, and the env declares no such wave"
    if priority is None:
        return f"it has no tag {PRIORITY_TAG}"
    if not _PRIORITY.fullmatch(priority):
        return f"its tag {PRIORITY_TAG} is {priority!r}, and must be a number from 1 to 9"
    return ""


def _obstacle(item: Json) -> str:
    """Why AWS would refuse to recover a server now, as far as this can be seen; empty if it would not."""
    area, replication = item.get("stagingArea") or {}, item.get("dataReplicationInfo") or {}
    state = replication.get("dataReplicationState")
    if area.get("status") == Extension.EXTENSION_ERROR:
        return f"its extension is in error: {area.get('errorMessage') or 'no message'}"
    if state not in _RECOVERABLE:
        return f"its dataReplicationState is {state or 'not told'}"
    return ""


def _natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """Sorts wave-2 before wave-10."""
    parts = re.split(r"(\d+)", text)
    return tuple((0, int(each)) if each.isdigit() else (1, each) for each in parts)


def _standing(drs: Client, env: str) -> tuple[dict[str, list[_Standing]], dict[str, str], int]:
    """The plans of this env by key, the ARNs of the others by name, and how many plans there are.

    Raises AccountError.
    """
    own: dict[str, list[_Standing]] = {}
    others: dict[str, str] = {}
    there = 0
    try:
        for item in pages(drs, "list_recovery_plans", "recoveryPlans"):
            there += 1
            arn, name = item["recoveryPlanArn"], item["name"]
            plan = call(drs, "get_recovery_plan", recoveryPlanArn=arn)["recoveryPlan"]
            key = (plan.get("tags") or {}).get(OWN_TAG, "")
            if key.startswith(f"{env}/"):
                own.setdefault(key, []).append(
                    _Standing(
                        arn,
                        key,
                        name,
                        plan.get("description") or "",
                        plan["status"],
                        tuple(_read_steps(drs, arn)),
                    )
                )
            else:
                others[name] = arn
    except (AttributeError, KeyError, TypeError) as error:
        raise AccountError(
            f"{where(drs, 'list_recovery_plans')} gave an answer that lacks a part "
            f"({type(error).__name__}: {error})."
        ) from error
    return own, others, there


def _read_steps(drs: Client, arn: str) -> Iterator[tuple[str, Step]]:
    items = list(pages(drs, "list_recovery_plan_steps", "recoveryPlanSteps", recoveryPlanArn=arn))
    for item in sorted(items, key=lambda each: int(each["stepOrder"])):
        configuration = item["configuration"]
        servers = (configuration.get("serverStepConfiguration") or {}).get("servers") or []
        wait = configuration.get("waitStepConfiguration") or {}
        levels = {each.get("impactLevel", CRITICAL) for each in servers}
        yield (
            item["recoveryPlanStepArn"],
            Step(
                item["stepName"],
                tuple(sorted(each["serverArn"] for each in servers)),
                # Levels that differ are never what is wanted.
                " and ".join(sorted(levels)) or CRITICAL,
                wait.get("waitDurationMinutes", 0),
            ),
        )


def _written(
    drs: Client,
    plan: Plan,
    standing: Sequence[_Standing],
    others: Mapping[str, str],
    *,
    dry_run: bool,
) -> Written:
    """What becomes of one plan that is wanted."""
    if plan.name in others:
        reason = f"another plan has its name: rename or delete {others[plan.name]}"
        return Written(plan, Result.FAILED, reason=reason)
    if len(standing) > 1:
        arns = ", ".join(each.arn for each in standing)
        reason = f"it stands {len(standing)} times: delete all but one of {arns}"
        return Written(plan, Result.FAILED, reason=reason)
    now = standing[0] if standing else None
    if now is not None and _same(now, plan):
        return Written(plan, Result.KEPT, now.arn)
    if dry_run:
        return Written(
            plan, Result.WOULD_CHANGE if now else Result.WOULD_WRITE, now.arn if now else ""
        )
    arn = now.arn if now else ""
    try:
        if now is None:
            arn = _created(drs, plan)
        steps = now.steps if now else ()
        _bring(drs, arn, plan, steps)
        after = _read_back(drs, arn, plan.key)
    except AccountError as error:
        return Written(plan, Result.FAILED, arn, f"{error} Do not start it until it is written.")
    if not _same(after, plan):
        return Written(plan, Result.FAILED, arn, "AWS took it, and shows another plan than that")
    return Written(plan, Result.CHANGED if now else Result.WRITTEN, arn)


def _same(standing: _Standing, plan: Plan) -> bool:
    return (
        standing.name == plan.name
        and standing.description == plan.description
        and standing.status == "ACTIVE"
        and tuple(step for _, step in standing.steps) == plan.steps
    )


def _created(drs: Client, plan: Plan) -> str:
    # botocore sends a token of its own, so that a call that is repeated makes one plan.
    answer = call(
        drs,
        "create_recovery_plan",
        name=f"{plan.name} {UNFINISHED}",
        description=plan.description,
        tags={OWN_TAG: plan.key},
    )
    return str(_part(drs, "create_recovery_plan", answer, "recoveryPlan", "recoveryPlanArn"))


def _bring(drs: Client, arn: str, plan: Plan, standing: Sequence[tuple[str, Step]]) -> None:
    """Brings a plan that stands to what is wanted, under a name that says so meanwhile."""
    steps = [step for _, step in standing]
    changes = [
        (step_arn, wanted)
        for (step_arn, step), wanted in zip(standing, plan.steps, strict=False)
        if step != wanted
    ]
    rename = {"recoveryPlanArn": arn, "name": f"{plan.name} {UNFINISHED}"}
    if _in_place(steps, plan.steps):
        if len(changes) > 1:
            call(drs, "update_recovery_plan", **rename)
        for step_arn, wanted in changes:
            call(
                drs,
                "update_recovery_plan_step",
                recoveryPlanStepArn=step_arn,
                configuration=_configuration(wanted),
            )
    else:
        call(drs, "update_recovery_plan", **rename)
        # Waits go first: AWS leaves none at the head of a plan.
        for step_arn, _ in sorted(standing, key=lambda each: not each[1].minutes):
            call(drs, "delete_recovery_plan_step", recoveryPlanStepArn=step_arn)
        for wanted in plan.steps:
            call(
                drs,
                "create_recovery_plan_step",
                recoveryPlanArn=arn,
                stepName=wanted.name,
                configuration=_configuration(wanted),
            )
    call(
        drs,
        "update_recovery_plan",
        recoveryPlanArn=arn,
        name=plan.name,
        description=plan.description,
    )


def _in_place(standing: Sequence[Step], wanted: Sequence[Step]) -> bool:
    """True if each step can be changed by itself: same steps, and no server goes from one to another."""
    if [(s.name, bool(s.minutes)) for s in standing] != [(s.name, bool(s.minutes)) for s in wanted]:
        return False
    place = {arn: number for number, step in enumerate(standing) for arn in step.servers}
    return all(
        place.get(arn, number) == number
        for number, step in enumerate(wanted)
        for arn in step.servers
    ) and not _crowded(standing, wanted)


def _crowded(standing: Sequence[Step], wanted: Sequence[Step]) -> bool:
    """True if changing steps in their order would for a moment be more servers than a plan takes."""
    count = sum(len(step.servers) for step in standing)
    for before, after in zip(standing, wanted, strict=True):
        count += len(after.servers) - len(before.servers)
        if count > SERVERS_PER_RECOVERY_PLAN.value:
            return True
    return False


def _configuration(step: Step) -> Json:
    if step.minutes:
        return {"waitStepConfiguration": {"waitDurationMinutes": step.minutes}}
    servers = [{"serverArn": arn, "impactLevel": step.impact} for arn in step.servers]
    return {"serverStepConfiguration": {"servers": servers}}


def _read_back(drs: Client, arn: str, key: str) -> _Standing:
    operation = "get_recovery_plan"
    answer = call(drs, operation, recoveryPlanArn=arn)
    plan = _part(drs, operation, answer, "recoveryPlan")
    try:
        return _Standing(
            arn,
            key,
            plan["name"],
            plan.get("description") or "",
            plan["status"],
            tuple(_read_steps(drs, arn)),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise AccountError(
            f"{where(drs, operation)} gave an answer that lacks a part "
            f"({type(error).__name__}: {error})."
        ) from error


def _part(drs: Client, operation: str, answer: Json, *path: str) -> Any:
    value: Any = answer
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        raise AccountError(f"{where(drs, operation)} gave an answer without {'.'.join(path)}.")
    return value


def _surplus(drs: Client, standing: _Standing, *, prune: bool, dry_run: bool) -> Written:
    """What becomes of a plan of this env that no server asks for any more."""
    wave = standing.key.split("/")[1] if standing.key.count("/") == 2 else ""
    steps = tuple(step for _, step in standing.steps)
    plan = Plan(standing.key, standing.name, wave, standing.description, steps)
    if not prune:
        reason = "--prune deletes it, once another plan of the env is wanted"
        return Written(plan, Result.SURPLUS, standing.arn, reason)
    if dry_run:
        return Written(plan, Result.WOULD_DELETE, standing.arn)
    try:
        call(drs, "delete_recovery_plan", recoveryPlanArn=standing.arn)
    except AccountError as error:
        return Written(plan, Result.FAILED, standing.arn, str(error))
    return Written(plan, Result.DELETED, standing.arn)
