"""Recovery plans of the embedded AWS: what it keeps, and what it refuses as AWS does."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import REGION, Embedded
from tests.emulator.test_drs import initialise, refusal, template

pytestmark = pytest.mark.slow

ACCOUNT, OTHER = "171717171717", "181818181818"
ABSENT = f"arn:aws:drs:{REGION}:{ACCOUNT}:recovery-plan/rp-{'0' * 17}"


@pytest.fixture(scope="module")
def drs(embedded: Embedded) -> Any:
    for account in (ACCOUNT, OTHER):
        drs = initialise(embedded, account)
        drs.create_replication_configuration_template(**template())
        place = {"account": account, "region": REGION}
        embedded.door("source-servers", {**place, "count": 130 if account == ACCOUNT else 1})
    return embedded.client("drs", ACCOUNT)


@pytest.fixture(scope="module")
def servers(drs: Any) -> list[str]:
    return arns(drs)


def arns(drs: Any) -> list[str]:
    pages = drs.get_paginator("describe_source_servers").paginate(filters={})
    return [item["arn"] for page in pages for item in page["items"]]


@pytest.fixture
def plan(drs: Any, request: pytest.FixtureRequest) -> str:
    made = drs.create_recovery_plan(name=f"of {request.node.name[:200]}".translate(_NAMES))
    return str(made["recoveryPlan"]["recoveryPlanArn"])


_NAMES = {ord(c): "-" for c in "[]_.,:'"}


def recovers(arns: list[str], **more: str) -> dict[str, Any]:
    servers = [{"serverArn": arn, **more} for arn in arns]
    return {"serverStepConfiguration": {"servers": servers}}


def waits(minutes: int) -> dict[str, Any]:
    return {"waitStepConfiguration": {"waitDurationMinutes": minutes}}


def add(drs: Any, plan: str, name: str, configuration: dict[str, Any], **more: Any) -> str:
    made = drs.create_recovery_plan_step(
        recoveryPlanArn=plan, stepName=name, configuration=configuration, **more
    )
    return str(made["recoveryPlanStep"]["recoveryPlanStepArn"])


def steps(drs: Any, plan: str) -> list[dict[str, Any]]:
    pages = drs.get_paginator("list_recovery_plan_steps").paginate(
        recoveryPlanArn=plan, PaginationConfig={"PageSize": 2}
    )
    return [step for page in pages for step in page["recoveryPlanSteps"]]


def test_a_plan_is_kept_as_it_was_made_and_changed(drs: Any, servers: list[str]) -> None:
    made = drs.create_recovery_plan(name="Whole life", description="d", tags={"a": "1"})
    plan = made["recoveryPlan"]["recoveryPlanArn"]
    assert made["recoveryPlan"]["status"] == "INVALID"
    first = add(drs, plan, "first", recovers(servers[:2]))
    add(drs, plan, "third", recovers(servers[2:3], impactLevel="OPTIONAL"))
    wait = add(drs, plan, "pause", waits(5), stepOrder=2)
    assert [(s["stepOrder"], s["stepName"]) for s in steps(drs, plan)] == [
        (1, "first"),
        (2, "pause"),
        (3, "third"),
    ]
    levels = [
        server["impactLevel"]
        for step in steps(drs, plan)
        for server in step["configuration"].get("serverStepConfiguration", {}).get("servers", [])
    ]
    assert levels == ["CRITICAL", "CRITICAL", "OPTIONAL"]
    drs.update_recovery_plan_step(recoveryPlanStepArn=wait, configuration=waits(9), stepName="p")
    shown = drs.get_recovery_plan_step(recoveryPlanStepArn=wait)["recoveryPlanStep"]
    assert (shown["stepName"], shown["configuration"]) == ("p", waits(9))
    order = [step["recoveryPlanStepArn"] for step in steps(drs, plan)]
    moved = [order[2], order[1], order[0]]
    drs.reorder_recovery_plan_steps(recoveryPlanArn=plan, orderedStepArns=moved)
    assert [step["recoveryPlanStepArn"] for step in steps(drs, plan)] == moved
    drs.delete_recovery_plan_step(recoveryPlanStepArn=first)
    assert [step["stepOrder"] for step in steps(drs, plan)] == [1, 2]
    drs.update_recovery_plan(recoveryPlanArn=plan, name="Other name")
    drs.tag_resource(resourceArn=plan, tags={"b": "2"})
    shown = drs.get_recovery_plan(recoveryPlanArn=plan)["recoveryPlan"]
    assert (shown["name"], shown["status"], shown["description"]) == ("Other name", "ACTIVE", "d")
    assert shown["tags"] == {"a": "1", "b": "2"}
    pages = drs.get_paginator("list_recovery_plans").paginate(PaginationConfig={"PageSize": 1})
    assert plan in [each["recoveryPlanArn"] for p in pages for each in p["recoveryPlans"]]
    assert drs.list_recovery_plan_executions(recoveryPlanArn=plan)["recoveryPlanExecutions"] == []
    drs.delete_recovery_plan(recoveryPlanArn=plan)
    assert refusal(drs.get_recovery_plan, recoveryPlanArn=plan)[0] == "ResourceNotFoundException"


REFUSED: list[tuple[str, str, Callable[[list[str]], dict[str, Any]]]] = [
    ("a wait that is first", "ValidationException", lambda _: waits(5)),
    ("a wait of three hours", "ValidationException", lambda _: waits(180)),
    ("no servers", "ValidationException", lambda _: recovers([])),
    ("101 servers", "ValidationException", lambda s: recovers(s[:101])),
    ("a server twice", "ValidationException", lambda s: recovers([s[0], s[0]])),
    (
        "a server of another account",
        "ValidationException",
        lambda s: recovers([s[0].replace(ACCOUNT, OTHER)]),
    ),
    ("a server that is not there", "ValidationException", lambda s: recovers([s[0][:-1] + "_"])),
    ("both kinds", "ValidationException", lambda s: recovers(s[:1]) | waits(5)),
]


@pytest.mark.parametrize(("why", "code", "made"), REFUSED, ids=[each[0] for each in REFUSED])
def test_a_step_that_aws_refuses(
    drs: Any, servers: list[str], plan: str, why: str, code: str, made: Any
) -> None:
    given = {"recoveryPlanArn": plan, "stepName": "s", "configuration": made(servers)}
    if why == "both kinds" or why == "no servers":  # botocore itself refuses these
        with pytest.raises(Exception, match=r"one of|min length"):
            drs.create_recovery_plan_step(**given)
    else:
        assert refusal(drs.create_recovery_plan_step, **given)[0] == code
    assert steps(drs, plan) == []


def test_quotas_of_a_plan(drs: Any, servers: list[str], plan: str) -> None:
    add(drs, plan, "many", recovers(servers[:81]))
    too_many = recovers(servers[81:101])
    given = {"recoveryPlanArn": plan, "stepName": "more"}
    code, status = refusal(drs.create_recovery_plan_step, **given, configuration=too_many)
    assert (code, status) == ("ServiceQuotaExceededException", 402)
    for number in range(19):
        add(drs, plan, f"s{number}", recovers(servers[81 + number : 82 + number]))
    given["stepName"] = "the 21st"
    code, _ = refusal(drs.create_recovery_plan_step, **given, configuration=waits(1))
    assert code == "ServiceQuotaExceededException"


def test_a_server_stands_in_one_step_of_a_plan_and_in_many_plans(
    drs: Any, servers: list[str], plan: str
) -> None:
    step = add(drs, plan, "one", recovers(servers[:1]))
    given = {"recoveryPlanArn": plan, "stepName": "two", "configuration": recovers(servers[:1])}
    assert refusal(drs.create_recovery_plan_step, **given)[0] == "ValidationException"
    other = drs.create_recovery_plan(name="another")["recoveryPlan"]["recoveryPlanArn"]
    add(drs, other, "one", recovers(servers[:1]))
    changed = {"recoveryPlanStepArn": step, "configuration": waits(5)}
    assert refusal(drs.update_recovery_plan_step, **changed)[0] == "ValidationException"


def test_the_first_server_step_cannot_leave_a_wait_behind(
    drs: Any, servers: list[str], plan: str
) -> None:
    first = add(drs, plan, "one", recovers(servers[:1]))
    wait = add(drs, plan, "pause", waits(5))
    code, _ = refusal(drs.delete_recovery_plan_step, recoveryPlanStepArn=first)
    assert code == "ValidationException"
    order = {"recoveryPlanArn": plan, "orderedStepArns": [wait, first]}
    assert refusal(drs.reorder_recovery_plan_steps, **order)[0] == "ValidationException"
    order = {"recoveryPlanArn": plan, "orderedStepArns": [first]}
    assert refusal(drs.reorder_recovery_plan_steps, **order)[0] == "ValidationException"


def test_the_same_request_makes_one_plan(drs: Any) -> None:
    first = drs.create_recovery_plan(name="Once", clientToken="t")
    assert (
        drs.create_recovery_plan(name="Once", clientToken="t")["recoveryPlan"]
        == (first["recoveryPlan"])
    )
    for asked in ({"name": "Twice", "clientToken": "t"}, {"name": "Once", "clientToken": "u"}):
        assert refusal(drs.create_recovery_plan, **asked)[0] == "ConflictException"


def test_what_is_not_there(drs: Any, servers: list[str]) -> None:
    given = {"recoveryPlanArn": ABSENT, "stepName": "s", "configuration": recovers(servers[:1])}
    assert refusal(drs.create_recovery_plan_step, **given) == ("ResourceNotFoundException", 404)
    step = {"recoveryPlanStepArn": f"{ABSENT}/step/rps-{'0' * 17}"}
    assert refusal(drs.delete_recovery_plan_step, **step) == ("ResourceNotFoundException", 404)


def test_no_plan_is_ever_started_here(drs: Any, plan: str) -> None:
    with pytest.raises(Exception, match="no operation StartRecoveryPlanExecution"):
        drs.start_recovery_plan_execution(recoveryPlanArn=plan, mode="DRILL")
