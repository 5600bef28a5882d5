"""Recovery plans and their steps; executions are not built, so there are none to list."""

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

from validator.emulator.drs.exceptions import (
    ConflictException,
    ServiceQuotaExceededException,
    ValidationException,
)
from validator.emulator.drs.models import DrsBackend, Json, not_found, now, page, text

PLANS, SERVERS_IN_PLAN, STEPS_IN_PLAN = 1000, 100, 20
_SERVERS, _WAIT = "serverStepConfiguration", "waitStepConfiguration"


def create_plan(backend: DrsBackend, params: Json) -> Json:
    """CreateRecoveryPlan: a plan without a step, which nothing can be recovered by."""
    return _once(backend, params, lambda: _new_plan(backend, params))


def get_plan(backend: DrsBackend, params: Json) -> Json:
    """GetRecoveryPlan."""
    return {"recoveryPlan": _shown(backend, _plan(backend, params["recoveryPlanArn"]))}


def list_plans(backend: DrsBackend, params: Json) -> Json:
    """ListRecoveryPlans, in the order of their ARNs; as in the model, without their tags."""
    plans = sorted(backend.recovery_plans.values(), key=itemgetter("recoveryPlanArn"))
    shown, more = page(plans, params, itemgetter("recoveryPlanArn"))
    fields = ("recoveryPlanArn", "name", "status", "createdAt", "updatedAt")
    items = [{name: _with_status(plan)[name] for name in fields} for plan in shown]
    return {"recoveryPlans": items, **more}


def update_plan(backend: DrsBackend, params: Json) -> Json:
    """UpdateRecoveryPlan."""
    plan = _plan(backend, params["recoveryPlanArn"])
    if "name" in params:
        _check_name(backend, params["name"], plan)
    plan |= {name: params[name] for name in ("name", "description") if name in params}
    plan["updatedAt"] = text(now())
    return {"recoveryPlan": _shown(backend, plan)}


def delete_plan(backend: DrsBackend, params: Json) -> Json:
    """DeleteRecoveryPlan, with its steps."""
    arn = _plan(backend, params["recoveryPlanArn"])["recoveryPlanArn"]
    del backend.recovery_plans[arn]
    backend.tags.pop(arn, None)
    return {"recoveryPlanArn": arn}


def create_step(backend: DrsBackend, params: Json) -> Json:
    """CreateRecoveryPlanStep, at the place that is named, else the last."""
    return _once(backend, params, lambda: _new_step(backend, params))


def get_step(backend: DrsBackend, params: Json) -> Json:
    """GetRecoveryPlanStep."""
    plan, step = _step(backend, params["recoveryPlanStepArn"])
    return {"recoveryPlanStep": _numbered(plan, step)}


def list_steps(backend: DrsBackend, params: Json) -> Json:
    """ListRecoveryPlanSteps, in their order."""
    plan = _plan(backend, params["recoveryPlanArn"])
    steps = [_numbered(plan, step) for step in plan["steps"]]
    shown, more = page(steps, params, lambda step: f"{step['stepOrder']:02}")
    return {"recoveryPlanSteps": shown, **more}


def update_step(backend: DrsBackend, params: Json) -> Json:
    """UpdateRecoveryPlanStep: its servers or its wait are replaced whole."""
    plan, step = _step(backend, params["recoveryPlanStepArn"])
    changed = {**step, "updatedAt": text(now())}
    if "stepName" in params:
        changed["stepName"] = params["stepName"]
    if "configuration" in params:
        changed["configuration"] = _configuration(params["configuration"])
        if changed["configuration"].keys() != step["configuration"].keys():
            raise ValidationException("The type of a step cannot be changed.")
    _keep(backend, plan, [changed if each is step else each for each in plan["steps"]])
    return {"recoveryPlanStep": _numbered(plan, changed)}


def delete_step(backend: DrsBackend, params: Json) -> Json:
    """DeleteRecoveryPlanStep; those after it move up."""
    plan, step = _step(backend, params["recoveryPlanStepArn"])
    _keep(backend, plan, [each for each in plan["steps"] if each is not step])
    return {"recoveryPlanStepArn": step["recoveryPlanStepArn"]}


def reorder_steps(backend: DrsBackend, params: Json) -> Json:
    """ReorderRecoveryPlanSteps: every step of the plan is named, each once."""
    plan = _plan(backend, params["recoveryPlanArn"])
    steps = {step["recoveryPlanStepArn"]: step for step in plan["steps"]}
    arns = params["orderedStepArns"]
    if sorted(arns) != sorted(steps):
        raise ValidationException("orderedStepArns must name every step of the plan once.")
    _keep(backend, plan, [steps[arn] for arn in arns])
    return {"recoveryPlanSteps": [_numbered(plan, step) for step in plan["steps"]]}


def list_executions(_: DrsBackend, __: Json) -> Json:
    """ListRecoveryPlanExecutions: none, since none can be started here."""
    return {"recoveryPlanExecutions": []}


def _once(backend: DrsBackend, params: Json, made: Callable[[], Json]) -> Json:
    """What a request made; the answer of the first where the same token comes again."""
    token = params.get("clientToken")
    if not token:
        return made()
    asked = {name: value for name, value in params.items() if name != "clientToken"}
    before = backend.recovery_plan_tokens.get(token)
    if before is None:
        before = backend.recovery_plan_tokens[token] = (asked, made())
    elif before[0] != asked:
        raise ConflictException("clientToken was used with other parameters.")
    return before[1]


def _new_plan(backend: DrsBackend, params: Json) -> Json:
    if len(backend.recovery_plans) >= PLANS:
        raise _too_many(f"{PLANS} recovery plans", "RecoveryPlan")
    _check_name(backend, params["name"], None)
    arn, made = backend.arn("recovery-plan", backend.new_id("rp")), text(now())
    backend.recovery_plans[arn] = {
        "recoveryPlanArn": arn,
        "name": params["name"],
        "description": params.get("description", ""),
        "createdAt": made,
        "updatedAt": made,
        "steps": [],
    }
    backend.tags[arn] = dict(params.get("tags", {}))
    return {"recoveryPlan": _shown(backend, backend.recovery_plans[arn])}


def _new_step(backend: DrsBackend, params: Json) -> Json:
    plan, made = _plan(backend, params["recoveryPlanArn"]), text(now())
    plan_id = plan["recoveryPlanArn"].rsplit("/", 1)[1]
    step: Json = {
        "recoveryPlanStepArn": backend.arn(
            "recovery-plan", f"{plan_id}/step/{backend.new_id('rps')}"
        ),
        "stepName": params["stepName"],
        "configuration": _configuration(params["configuration"]),
        "createdAt": made,
        "updatedAt": made,
    }
    steps = list(plan["steps"])
    place = params.get("stepOrder", len(steps) + 1)
    if place > len(steps) + 1:
        raise ValidationException(f"stepOrder {place} leaves a gap after {len(steps)} steps.")
    steps.insert(place - 1, step)
    _keep(backend, plan, steps)
    return {"recoveryPlanStep": _numbered(plan, step)}


def _check_name(backend: DrsBackend, name: str, plan: Json | None) -> None:
    # AWS does not say whether names are unique; CreateRecoveryPlan has a ConflictException.
    if any(each["name"] == name and each is not plan for each in backend.recovery_plans.values()):
        raise ConflictException(f"A recovery plan {name} exists.")


def _configuration(given: Json) -> Json:
    kinds = [name for name in (_SERVERS, _WAIT) if given.get(name) is not None]
    if len(kinds) != 1:
        raise ValidationException(f"configuration must have one of {_SERVERS} and {_WAIT}.")
    if kinds == [_WAIT]:
        return {_WAIT: dict(given[_WAIT])}
    servers = [{"impactLevel": "CRITICAL", **each} for each in given[_SERVERS]["servers"]]
    return {_SERVERS: {"servers": servers}}


def _keep(backend: DrsBackend, plan: Json, steps: list[Json]) -> None:
    """Gives a plan its steps, unless AWS would refuse them."""
    if len(steps) > STEPS_IN_PLAN:
        raise _too_many(f"{STEPS_IN_PLAN} steps in a recovery plan", "RecoveryPlanStep")
    if steps and _WAIT in steps[0]["configuration"]:
        raise ValidationException("The first step of a recovery plan cannot be a wait.")
    arns = list(_servers(steps))
    if len(arns) > SERVERS_IN_PLAN:
        raise _too_many(f"{SERVERS_IN_PLAN} servers in a recovery plan", "RecoveryPlanStep")
    for arn in arns:
        server = backend.servers.get(arn.rsplit("/", 1)[1])
        if server is None or server.arn != arn:
            raise ValidationException(f"{arn} is no source server of this account and Region.")
        if arns.count(arn) > 1:
            raise ValidationException(f"{arn} stands in the recovery plan twice.")
    plan["steps"] = steps
    plan["updatedAt"] = text(now())


def _servers(steps: list[Json]) -> Iterator[str]:
    for step in steps:
        for server in step["configuration"].get(_SERVERS, {}).get("servers", []):
            yield server["serverArn"]


def _plan(backend: DrsBackend, arn: str) -> Json:
    if arn not in backend.recovery_plans:
        raise not_found("RecoveryPlan", "Recovery plan", arn)
    return backend.recovery_plans[arn]


def _step(backend: DrsBackend, arn: str) -> tuple[Json, Json]:
    for plan in backend.recovery_plans.values():
        for step in plan["steps"]:
            if step["recoveryPlanStepArn"] == arn:
                return plan, step
    raise not_found("RecoveryPlanStep", "Recovery plan step", arn)


def _numbered(plan: Json, step: Json) -> Json:
    return {**step, "stepOrder": plan["steps"].index(step) + 1}


def _with_status(plan: Json) -> Json:
    """A plan without a step that recovers servers is INVALID, and AWS does not start it."""
    return {**plan, "status": "ACTIVE" if any(_servers(plan["steps"])) else "INVALID"}


def _shown(backend: DrsBackend, plan: Json) -> Json:
    shown = {name: value for name, value in _with_status(plan).items() if name != "steps"}
    return {**shown, "tags": dict(backend.tags.get(plan["recoveryPlanArn"], {}))}


def _too_many(what: str, kind: str) -> ServiceQuotaExceededException:
    members: dict[str, Any] = {"resourceType": kind, "resourceId": "", "serviceCode": "drs"}
    return ServiceQuotaExceededException(f"Service quota of {what} exceeded", **members)
