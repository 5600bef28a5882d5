"""Recovery plans on an embedded AWS: every server once, in its order, and nothing half written."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import STAGING, TARGET, Embedded
from tests.operations.estates import Made, applied, fresh
from validator.errors import AccountError, UsageError
from validator.operations import recovery_plans
from validator.operations.extend import extend
from validator.operations.recovery_plans import (
    UNFINISHED,
    Order,
    Planning,
    Result,
    Server,
    packed,
)
from validator.reports.recovery_planning import to_json, to_text

ENV = "staging"
PLAIN = Order()


# Packing -------------------------------------------------------------------------------------------


def servers(*groups: tuple[str, str, int]) -> list[Server]:
    return [
        Server(f"arn:{wave}:{priority}:{n:04}", f"h{n:04}", wave, priority)
        for wave, priority, count in groups
        for n in range(count)
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["wave-1", "wave-2", "wave-10"]),
            st.sampled_from("123456789"),
            st.integers(1, 130),
        ),
        max_size=8,
        unique_by=lambda each: each[:2],
    ),
    st.sampled_from([Order(), Order(5), Order(0, "3"), Order(120, "1")]),
)
def test_every_server_stands_in_one_plan_of_its_wave_that_aws_takes(
    groups: list[tuple[str, str, int]], order: Order
) -> None:
    ordered = servers(*sorted(groups, key=lambda g: (int(g[0][5:]), g[1])))
    plans = packed(ordered, ENV, order)
    arns = [arn for plan in plans for arn in plan.servers]
    assert sorted(arns) == sorted(each.arn for each in ordered)
    for plan in plans:
        assert {arn.split(":")[1] for arn in plan.servers} == {plan.wave}
        assert 1 <= len(plan.servers) <= 100 and len(plan.steps) <= 20
        assert not plan.steps[0].minutes
        assert [arn.split(":")[2] for arn in plan.servers] == sorted(
            arn.split(":")[2] for arn in plan.servers
        )
        for step in plan.steps:
            assert bool(step.minutes) != bool(step.servers)
    for wave in {plan.wave for plan in plans}:
        of_wave = [plan for plan in plans if plan.wave == wave]
        count = sum(len(plan.servers) for plan in of_wave)
        assert len(of_wave) == -(-count // 100)
    assert len({plan.name for plan in plans}) == len(plans)


def test_what_fails_may_or_may_not_stop_a_plan() -> None:
    (plan,) = packed(servers(("wave-1", "1", 1), ("wave-1", "2", 1)), ENV, Order(3, "2"))
    assert [(s.name, s.impact, s.minutes) for s in plan.steps] == [
        ("priority 1", "CRITICAL", 0),
        ("wait before priority 2", "CRITICAL", 3),
        ("priority 2", "OPTIONAL", 0),
    ]


# Writing -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(embedded: Embedded) -> Made:
    """104 servers of wave-1 and 6 of wave-2 stand in the target, most of them extended."""
    made = applied(embedded)
    made.drs(TARGET)
    arns = made.register(106)
    for place, tags in (
        (slice(0, 60), {"dr:wave": "wave-1", "dr:priority": "1"}),
        (slice(60, 104), {"dr:wave": "wave-1", "dr:priority": "2"}),
        (slice(104, 106), {"dr:wave": "wave-2", "dr:priority": "3"}),
    ):
        made.tag(sorted(arns)[place], tags)
    assert extend(made.declared, made.opener, launch=None, dry_run=False).complete
    made.drs(TARGET).create_replication_configuration_template(**_own_template(made, embedded))
    own = made.register(4, TARGET)
    made.tag(own, {"dr:wave": "wave-2", "dr:priority": "1"})
    return made


def _own_template(made: Made, embedded: Embedded) -> dict[str, Any]:
    from tests.operations.estates import replication_template

    return replication_template(ebsEncryption="DEFAULT")


@pytest.fixture(autouse=True)
def swept(request: pytest.FixtureRequest) -> Any:
    """No plan is left to the next test."""
    yield
    if "made" in request.fixturenames:
        made = request.getfixturevalue("made")
        drs = made.drs(TARGET)
        for each in listed(made):
            drs.delete_recovery_plan(recoveryPlanArn=each["recoveryPlanArn"])


def run(made: Made, order: Order = PLAIN, **options: Any) -> Planning:
    return recovery_plans.write(made.declared, made.opener, order, **{"dry_run": False, **options})


def listed(made: Made) -> list[dict[str, Any]]:
    pages = made.drs(TARGET).get_paginator("list_recovery_plans").paginate()
    return [each for page in pages for each in page["recoveryPlans"]]


def steps(made: Made, name: str) -> list[tuple[str, list[str]]]:
    """The names of a plan's steps, each with its servers' hostnames."""
    drs = made.drs(TARGET)
    (arn,) = [each["recoveryPlanArn"] for each in listed(made) if each["name"] == name]
    found = drs.list_recovery_plan_steps(recoveryPlanArn=arn)["recoveryPlanSteps"]
    return [
        (
            step["stepName"],
            [
                each["serverArn"]
                for each in step["configuration"]
                .get("serverStepConfiguration", {})
                .get("servers", [])
            ],
        )
        for step in found
    ]


def results(done: Planning) -> dict[str, Result]:
    return {each.plan.name: each.result for each in done.plans}


def writes(made: Made) -> int:
    return sum(
        made.calls(name)
        for name in (
            "CreateRecoveryPlan",
            "CreateRecoveryPlanStep",
            "DeleteRecoveryPlan",
            "DeleteRecoveryPlanStep",
            "UpdateRecoveryPlan",
            "UpdateRecoveryPlanStep",
        )
    )


NAMES = ["staging wave-1 01", "staging wave-1 02", "staging wave-2 01"]


@pytest.mark.slow
def test_plans_are_written_once_and_then_left_alone(made: Made) -> None:
    before = writes(made)
    would = run(made, dry_run=True)
    assert would.complete and set(results(would).values()) == {Result.WOULD_WRITE}
    assert writes(made) == before and not listed(made)
    first = run(made)
    assert first.complete and results(first) == dict.fromkeys(NAMES, Result.WRITTEN)
    assert sorted(each["name"] for each in listed(made)) == NAMES
    assert {each["status"] for each in listed(made)} == {"ACTIVE"}
    assert [(name, len(arns)) for name, arns in steps(made, NAMES[0])] == [
        ("priority 1", 60),
        ("priority 2", 40),
    ]
    assert [(name, len(arns)) for name, arns in steps(made, NAMES[2])] == [
        ("priority 1", 4),
        ("priority 3", 2),
    ]
    target = {item["arn"] for item in made.listed(TARGET)}
    assert {arn for name in NAMES for _, arns in steps(made, name) for arn in arns} == target
    before = writes(made)
    again = run(made)
    assert again.complete and set(results(again).values()) == {Result.KEPT}
    assert writes(made) == before
    assert made.calls("StartRecoveryPlanExecution") == 0
    text = to_text(first)
    assert "110 servers in 3 plans" in text and "2 jobs, at best in 1 round." in text
    document = json.loads(to_json(first, ENV, "the embedded AWS"))
    assert document["complete"] and len(document["plans"][0]["steps"][0]["servers"]) == 60


@pytest.mark.slow
def test_a_server_of_another_priority_changes_its_plan_alone(made: Made) -> None:
    run(made)
    (one, *_) = [arn for name, arns in steps(made, NAMES[2]) for arn in arns if name[-1] == "3"]
    drs = made.drs(TARGET)
    drs.tag_resource(resourceArn=one, tags={"dr:priority": "2"})
    try:
        done = run(made)
        assert done.complete and results(done) == {
            NAMES[0]: Result.KEPT,
            NAMES[1]: Result.KEPT,
            NAMES[2]: Result.CHANGED,
        }
        assert [(name, len(arns)) for name, arns in steps(made, NAMES[2])] == [
            ("priority 1", 4),
            ("priority 2", 1),
            ("priority 3", 1),
        ]
        with_waits = run(made, Order(15))
        assert with_waits.complete
        assert [name for name, _ in steps(made, NAMES[2])] == [
            "priority 1",
            "wait before priority 2",
            "priority 2",
            "wait before priority 3",
            "priority 3",
        ]
        assert run(made, Order(20, "3")).complete  # in place
        assert run(made).complete
    finally:
        drs.tag_resource(resourceArn=one, tags={"dr:priority": "3"})


@pytest.mark.slow
def test_servers_that_no_plan_can_take_are_named(made: Made) -> None:
    items = sorted(made.listed(TARGET), key=lambda item: item["arn"])
    drs, tagged = made.drs(TARGET), {}
    for item, tags in zip(
        items, ({"dr:wave": "wave-9"}, {"dr:priority": "high"}, None, None), strict=False
    ):
        tagged[item["arn"]] = item["tags"]
        if tags:
            drs.tag_resource(resourceArn=item["arn"], tags=tags)
    drs.untag_resource(resourceArn=items[2]["arn"], tagKeys=["dr:wave"])
    drs.untag_resource(resourceArn=items[3]["arn"], tagKeys=["dr:priority"])
    try:
        done = run(made, dry_run=True)
    finally:
        for arn, tags in tagged.items():
            drs.tag_resource(resourceArn=arn, tags=tags)
    assert not done.complete
    assert {each.arn: each.reason for each in done.left_out} == {
        items[0]["arn"]: "its tag dr:wave is 'wave-9', and the env declares no such wave",
        items[1]["arn"]: "its tag dr:priority is 'high', and must be a number from 1 to 9",
        items[2]["arn"]: "it has no tag dr:wave",
        items[3]["arn"]: "it has no tag dr:priority",
    }
    assert f"({items[2]['arn']}): it has no tag dr:wave" in to_text(done)


@pytest.mark.slow
def test_a_server_that_cannot_be_recovered_keeps_its_plan_from_starting(
    made: Made, embedded: Embedded
) -> None:
    server = min(made.listed(STAGING), key=lambda item: item["arn"])["sourceServerID"]
    state = {"account": STAGING, "region": made.region, "ids": [server]}
    embedded.door("source-servers/state", {**state, "state": "INITIAL_SYNC"})
    try:
        done = run(made, dry_run=True)
    finally:
        embedded.door("source-servers/state", {**state, "state": "CONTINUOUS"})
    assert not done.complete
    assert [each.obstacle for each in done.obstacles] == [
        "its dataReplicationState is INITIAL_SYNC"
    ]
    assert "keeps its plan from starting" in to_text(done)


@pytest.mark.slow
def test_plans_that_nothing_asks_for(made: Made) -> None:
    run(made)
    drs = made.drs(TARGET)
    drs.create_recovery_plan(name="staging by hand")
    mine = drs.create_recovery_plan(name="x", tags={"dr:recovery-plan": "staging/wave-7/1"})
    drs.create_recovery_plan(name="prod wave-1 01", tags={"dr:recovery-plan": "prod/wave-1/1"})
    done = run(made)
    (surplus,) = [each for each in done.plans if each.result is Result.SURPLUS]
    assert surplus.arn == mine["recoveryPlan"]["recoveryPlanArn"] and not done.complete
    assert results(run(made, prune=True, dry_run=True))["x"] is Result.WOULD_DELETE
    pruned = run(made, prune=True)
    assert pruned.complete and results(pruned)["x"] is Result.DELETED
    names = {each["name"] for each in listed(made)}
    assert names == {*NAMES, "staging by hand", "prod wave-1 01"}


@pytest.mark.slow
def test_a_name_that_is_taken_and_a_plan_that_stands_twice(made: Made) -> None:
    drs = made.drs(TARGET)
    theirs = drs.create_recovery_plan(name=NAMES[0])["recoveryPlan"]["recoveryPlanArn"]
    for name in ("a", "b"):
        drs.create_recovery_plan(name=name, tags={"dr:recovery-plan": "staging/wave-2/1"})
    done = run(made)
    assert done.failed and not done.complete
    assert results(done) == {
        NAMES[0]: Result.FAILED,
        NAMES[1]: Result.WRITTEN,
        NAMES[2]: Result.FAILED,
    }
    reasons = [each.reason for each in done.plans if each.reason]
    assert theirs in reasons[0] and "it stands 2 times" in reasons[1]


@pytest.mark.slow
def test_waves_that_are_alike_are_two(made: Made) -> None:
    """wave-1 and wave-01 have the same number: neither may take the other's servers or name."""
    waves = {**made.declared.values["recovery_waves"], "wave-01": 2}
    values = {**made.declared.values, "recovery_waves": waves}
    alike = replace(made, declared=replace(made.declared, values=values))
    items = [i for i in made.listed(TARGET) if i["tags"]["dr:wave"] == "wave-1"]
    drs = made.drs(TARGET)
    for item in items[:2]:
        drs.tag_resource(resourceArn=item["arn"], tags={"dr:wave": "wave-01"})
    try:
        done = run(alike)
        assert done.complete
        assert len(results(done)) == len(done.plans) == len(NAMES) + 1
        found = [
            arn for each in listed(made) for _, arns in steps(made, each["name"]) for arn in arns
        ]
        assert sorted(found) == sorted(item["arn"] for item in made.listed(TARGET))
    finally:
        for item in items[:2]:
            drs.tag_resource(resourceArn=item["arn"], tags={"dr:wave": "wave-1"})


@pytest.mark.slow
def test_a_target_without_servers_keeps_its_plans(embedded: Embedded) -> None:
    """Whatever took its servers away, how they recover is not deleted for it, and nothing is fine."""
    empty = applied(embedded)
    drs = empty.drs(TARGET)
    drs.create_recovery_plan(name="x", tags={"dr:recovery-plan": "staging/wave-1/1"})
    for dry_run in (True, False):
        done = run(empty, prune=True, dry_run=dry_run)
        assert not done.complete and results(done) == {"x": Result.SURPLUS}
        assert "none to write" in to_text(done)
    assert [each["name"] for each in listed(empty)] == ["x"]
    drs.delete_recovery_plan(recoveryPlanArn=listed(empty)[0]["recoveryPlanArn"])


# What goes wrong -----------------------------------------------------------------------------------


BROKEN: list[tuple[str, str]] = [
    ("its first step is refused", "CreateRecoveryPlanStep"),
    ("its last name is refused", "UpdateRecoveryPlan"),
    ("it cannot be read back", "ListRecoveryPlanSteps"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("why", "operation"), BROKEN, ids=[each[0] for each in BROKEN])
def test_a_half_written_plan_says_so_and_is_finished_by_the_next_run(
    made: Made, embedded: Embedded, why: str, operation: str
) -> None:
    fault = {"service": "drs", "operation": operation, "kind": "deny"}
    embedded.door("faults", fault)
    try:
        done = run(made)
    finally:
        embedded.door("faults", method="DELETE")
    assert done.failed and not done.complete
    assert set(results(done).values()) == {Result.FAILED}
    assert all("Do not start it" in each.reason for each in done.plans)
    if operation != "ListRecoveryPlanSteps":
        assert all(each["name"].endswith(UNFINISHED) for each in listed(made))
    finished = run(made)
    assert finished.complete
    assert sorted(each["name"] for each in listed(made)) == NAMES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("DescribeSourceServers", "deny"),
        ("ListRecoveryPlans", "deny"),
        ("GetRecoveryPlan", "deny"),
    ],
)
def test_a_target_that_cannot_be_read_is_an_error(
    made: Made, embedded: Embedded, operation: str, kind: str
) -> None:
    run(made)
    before = writes(made)
    embedded.door("faults", {"service": "drs", "operation": operation, "kind": kind})
    try:
        with pytest.raises(AccountError, match="AccessDenied"):
            run(made)
    finally:
        embedded.door("faults", method="DELETE")
    assert writes(made) == before


@pytest.mark.slow
def test_more_plans_than_aws_keeps(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    few = replace(recovery_plans.RECOVERY_PLANS, value=2)
    monkeypatch.setattr(recovery_plans, "RECOVERY_PLANS", few)
    with pytest.raises(AccountError, match="3 recovery plans would stand there, and AWS keeps 2"):
        run(made)
    assert not listed(made)
    for name in ("a", "b"):  # one that stands twice counts twice
        tags = {"dr:recovery-plan": "staging/wave-1/1"}
        made.drs(TARGET).create_recovery_plan(name=name, tags=tags)
    made.drs(TARGET).create_recovery_plan(name="of somebody else")
    with pytest.raises(AccountError, match="5 recovery plans would stand there"):
        run(made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "message"),
    [
        (Order(-1), "from 1 to 120 minutes"),
        (Order(121), "from 1 to 120 minutes"),
        (Order(0, "0"), "from 1 to 9"),
        (Order(0, "ten"), "from 1 to 9"),
    ],
)
def test_orders_that_aws_has_no_plans_for(made: Made, order: Order, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(made, order)


@pytest.mark.slow
def test_a_target_without_drs(embedded: Embedded) -> None:
    with pytest.raises(AccountError, match="UninitializedAccount"):
        run(fresh(embedded))
