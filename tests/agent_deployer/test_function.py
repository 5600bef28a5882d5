"""The agent deployer as it is planned and packaged: its machine drives it, IAM binds it, faults strike it."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from agent_deployer import request
from agent_deployer.deployment import _comment
from botocore.exceptions import ClientError
from botocore.session import get_session

from tests.agent_deployer.estates import RECOVERY, SOURCE
from tests.agent_deployer.planned import Planned, Refusal, make_machine, part

pytestmark = pytest.mark.slow

Json = dict[str, Any]
WAVES = ("wave-1", "wave-2", "wave-3")
LASTING = {"install": 2.0, "initial-sync": 0.3}
QUICK = {"install": 0.2, "initial-sync": 0.3}


def silent(_: Json) -> None:
    pass


def states_of(deployer: Planned, execution: Json) -> dict[str, Json]:
    """What the records say of each instance."""
    return deployer.estate().status(execution["name"])[1]


def until(true: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def commands(deployer: Planned) -> list[Json]:
    """Every command of both accounts, the first one first."""
    found = [
        command
        for account in (deployer.target, deployer.staging)
        for page in deployer.client("ssm", account).get_paginator("list_commands").paginate()
        for command in page["Commands"]
    ]
    return sorted(found, key=lambda each: each["RequestedDateTime"])


def test_what_runs_is_what_was_planned(deployer: Planned) -> None:
    planned = deployer.one("aws_lambda_function").values
    made = deployer.client("lambda", deployer.home, RECOVERY).get_function_configuration(
        FunctionName=deployer.function
    )
    assert made["CodeSha256"] == planned["source_code_hash"]
    assert made["Timeout"] == planned["timeout"]


def test_three_waves_in_two_accounts(deployer: Planned) -> None:
    ids = {
        account: [
            instance
            for wave in WAVES
            for instance in deployer.run(account, 2, tags={"dr:wave": wave})
        ]
        for account in (deployer.target, deployer.staging)
    }
    before = len(commands(deployer))
    ended = deployer.deployed()
    assert ended["status"] == "SUCCEEDED", ended
    states = states_of(deployer, ended)
    assert {state["status"] for state in states.values()} == {"replicating"}
    for account, own in ids.items():
        servers = deployer.client("drs", account, RECOVERY).describe_source_servers()["items"]
        assert {server["sourceServerID"] for server in servers} == {
            states[instance]["source_server_id"] for instance in own
        }
        assert deployer.replicating(account) == deployer.sent_to(own) == sorted(own)
    sent = [re.findall(r"wave-\d", str(each["Parameters"]))[0] for each in commands(deployer)]
    assert sent[before:] == [wave for wave in WAVES for _ in ids]


def test_the_longest_name(deployer: Planned) -> None:
    """A command's comment, by which it is found again, holds the deployment's name."""
    pattern = request._schema()["$defs"]["deployment_id"]["pattern"]
    longest = "n" * (1 + int(re.findall(r",(\d+)}", pattern)[0]))
    most = get_session().get_service_model("ssm").shape_for("Comment").metadata["max"]
    batch = {"id": f"deployment#{longest}", "part": "round#001#batch#0001"}
    assert len(_comment(batch)) <= most
    (instance,) = deployer.run(deployer.target, 1)
    ended = deployer.deployed(deployer.payload(deployment_id=longest))
    assert ended["status"] == "SUCCEEDED"
    assert deployer.sent_to([instance]) == [instance]


def test_a_step_that_is_killed_once_its_command_is_sent(deployer: Planned) -> None:
    ids = [*deployer.run(deployer.target, 2), *deployer.run(deployer.staging, 1)]
    deployer.kill("ssm", "SendCommand")
    ended = deployer.deployed()
    assert ended["status"] == "SUCCEEDED", ended
    assert deployer.sent_to(ids) == sorted(ids)
    assert {state["status"] for state in states_of(deployer, ended).values()} == {"replicating"}


def writes(deployer: Planned) -> int:
    return int(deployer.calls().get("dynamodb PutItem", 0))


def test_a_step_that_is_killed_after_any_of_its_writes(deployer: Planned) -> None:
    before = writes(deployer)
    deployer.run(deployer.target, 1)
    assert deployer.deployed()["status"] == "SUCCEEDED"
    count = writes(deployer) - before
    assert count > 5
    for nth in range(1, count + 1):
        deployer.clear()
        ids = deployer.run(deployer.target, 1)
        deployer.kill("dynamodb", "PutItem", nth)
        began = deployer.invoke(deployer.payload())
        ended = deployer.ended(began["execution_arn"], lambda: pass_time_of_sending(deployer))
        assert ended["status"] == "SUCCEEDED", f"killed after write {nth}: {ended}"
        assert deployer.sent_to(ids) == ids, f"killed after write {nth}"
        assert deployer.replicating(deployer.target) == ids
        assert deployer.unfinished() == []


def pass_time_of_sending(deployer: Planned) -> None:
    """Lets the time pass in which a step could still send what it said that it would send."""
    dynamodb = deployer.client("dynamodb", deployer.home, RECOVERY)
    for item in dynamodb.scan(TableName=deployer.table)["Items"]:
        if item.get("status") == {"S": "sending"}:
            dynamodb.update_item(
                TableName=deployer.table,
                Key={name: item[name] for name in ("id", "part")},
                UpdateExpression="SET sending_at = :then",
                ExpressionAttributeValues={":then": {"N": str(int(time.time()) - 3600)}},
            )


@pytest.mark.parametrize("operation", ["DescribeInstanceInformation", "ListCommandInvocations"])
def test_a_step_over_its_time_is_made_again(deployer: Planned, operation: str) -> None:
    """While it plans, and while it looks at what it sent."""
    lambda_ = deployer.client("lambda", deployer.home, RECOVERY)
    whole = deployer.one("aws_lambda_function").values["timeout"]
    ids = deployer.run(deployer.target, 1)
    lambda_.update_function_configuration(FunctionName=deployer.function, Timeout=5)
    slow = {"kind": "slow", "service": "ssm", "operation": operation, "seconds": 8, "times": 1}
    try:
        with deployer.fault(**slow):
            ended = deployer.deployed()
    finally:
        lambda_.update_function_configuration(FunctionName=deployer.function, Timeout=whole)
    assert "Sandbox.Timedout" in errors(deployer, ended)
    assert ended["status"] == "SUCCEEDED", ended
    assert deployer.sent_to(ids) == ids


def errors(deployer: Planned, execution: Json) -> list[str]:
    """The errors that an execution's steps had."""
    states = deployer.client("stepfunctions", deployer.home, RECOVERY)
    pages = states.get_paginator("get_execution_history").paginate(
        executionArn=execution["executionArn"]
    )
    events = [event for page in pages for event in page["events"]]
    details = (each.get("lambdaFunctionFailedEventDetails", {}) for each in events)
    return [each["error"] for each in details if "error" in each]


def test_a_table_that_is_throttled_for_a_while(deployer: Planned) -> None:
    ids = [*deployer.run(deployer.target, 2), *deployer.run(deployer.staging, 1)]
    with deployer.fault(kind="throttle", service="dynamodb", after=6, times=12):
        ended = deployer.deployed()
    assert ended["status"] == "SUCCEEDED", ended
    assert "TransientError" in errors(deployer, ended)
    assert deployer.sent_to(ids) == sorted(ids)


def test_a_table_that_is_throttled_for_good(deployer: Planned) -> None:
    ids = deployer.run(deployer.target, 2)
    before = writes(deployer)
    assert deployer.deployed()["status"] == "SUCCEEDED"
    # From the write on that says that the command is sent.
    to_sent = (writes(deployer) - before) // 2
    deployer.clear()
    ids = deployer.run(deployer.target, 2)
    make_machine(deployer, retries=0)
    try:
        with deployer.fault(
            kind="throttle", service="dynamodb", operation="PutItem", after=to_sent
        ):
            ended = deployer.deployed()
    finally:
        make_machine(deployer)
    assert (ended["status"], ended["error"]) == ("FAILED", "TransientError")
    assert "dynamodb put_item was refused: ThrottlingException" in ended["cause"]
    assert deployer.unfinished() == [f"deployment#{ended['name']}"]
    # Nobody could write that it ended, so that the next has to wait until it must be dead.
    pass_time(deployer, ended["name"])
    assert deployer.estate().resume(ended["name"], silent, retry_failed=False)["status"] == (
        "succeeded"
    )
    assert deployer.sent_to(ids) == deployer.replicating(deployer.target) == sorted(ids)


def pass_time(deployer: Planned, name: str) -> None:
    """Makes a deployment's worker one whose time is over."""
    deployer.client("dynamodb", deployer.home, RECOVERY).update_item(
        TableName=deployer.table,
        Key={"id": {"S": f"deployment#{name}"}, "part": {"S": "deployment"}},
        UpdateExpression="SET owned_until = :now",
        ExpressionAttributeValues={":now": {"N": "0"}},
    )


def test_an_agent_of_ssm_that_goes_offline_before_its_command(deployer: Planned) -> None:
    deployer.embedded.door("delays", LASTING)
    try:
        first = deployer.run(deployer.target, 1)
        gone, stays = deployer.run(deployer.target, 2, tags={"dr:wave": "wave-2"})
        began = deployer.invoke(deployer.payload(concurrency={"max_errors": "100%"}))
        until(lambda: deployer.sent_to(first))
        ping = {"account": deployer.target, "region": SOURCE, "status": "ConnectionLost"}
        deployer.embedded.door("instances/ping", {**ping, "ids": [gone]})
        ended = deployer.ended(began["execution_arn"])
    finally:
        deployer.embedded.door("delays", QUICK)
    assert (ended["status"], ended["error"]) == ("FAILED", "Incomplete")
    states = states_of(deployer, ended)
    assert states[gone]["status"] == "failed"
    assert "ssm-offline" in states[gone]["reason"]
    assert deployer.sent_to([*first, gone, stays]) == sorted([*first, stays])
    assert deployer.replicating(deployer.target) == sorted([*first, stays])


def test_a_wave_over_its_errors(deployer: Planned) -> None:
    first = deployer.run(deployer.target, 6)
    later = deployer.run(deployer.staging, 2, tags={"dr:wave": "wave-2"})
    bad = first[:3]
    deployer.outcome(deployer.target, bad, "failed", output="no space left on device")
    strict = {"max_concurrency": "2", "max_errors": "1"}
    ended = deployer.deployed(deployer.payload(concurrency=strict))
    assert (ended["status"], ended["error"]) == ("FAILED", "Incomplete")
    states = states_of(deployer, ended)
    failed = {each for each, state in states.items() if state["status"] == "failed"}
    assert len(failed) >= 2
    assert failed <= set(bad)
    assert all("no space left on device" in states[each]["reason"] for each in failed)
    assert {states[each]["status"] for each in later} == {"stopped"}
    assert set(states) == {*first, *later}
    assert deployer.sent_to(later) == []
    replicating = {each for each, state in states.items() if state["status"] == "replicating"}
    assert deployer.replicating(deployer.target) == sorted(replicating)
    assert deployer.unfinished() == []


def test_two_executions_at_once_never_pass_the_quota(deployer: Planned) -> None:
    place = {"account": deployer.target, "region": RECOVERY, "code": "L-C1D14A2B"}
    halves = [deployer.run(deployer.target, 4) for _ in range(2)]
    payloads = [
        {
            **part(deployer.settings, deployer.target),
            "poll_seconds": 1,
            "selectors": {"instance_ids": ids},
        }
        for ids in halves
    ]
    deployer.embedded.door("quotas", {**place, "value": 5})
    try:
        with ThreadPoolExecutor(2) as pool:
            ended = list(pool.map(deployer.deployed, payloads))
    finally:
        deployer.embedded.door("quotas", {**place, "value": 300})
    states = {k: v for each in ended for k, v in states_of(deployer, each).items()}
    counts = Counter(state.get("refusal") or state["status"] for state in states.values())
    assert counts == {"replicating": 5, "no-capacity": 3}
    recorded = [k for k, v in states.items() if v["status"] == "replicating"]
    assert deployer.replicating(deployer.target) == sorted(recorded)
    assert deployer.sent_to([*states]) == sorted(recorded)


def test_a_cancel_that_comes_while_a_step_is_made(deployer: Planned) -> None:
    """It comes too late: the step that records the end finds it, and every instance replicates."""
    (instance,) = deployer.run(deployer.target, 1)
    reads = "drs DescribeSourceServers"
    plans = 2 * len(deployer.settings["external_ids"]) - 1  # each account, and one to reserve
    slow = {"kind": "slow", "service": "drs", "operation": "DescribeSourceServers", "seconds": 3}
    before = deployer.calls().get(reads, 0)
    payload = {**part(deployer.settings, deployer.target), "poll_seconds": 1}
    with deployer.fault(**slow, after=plans):
        began = deployer.invoke(payload)
        until(lambda: deployer.calls().get(reads, 0) > before + plans)
        deployer.estate()._deployer.cancel(began["deployment_id"])
        ended = deployer.ended(began["execution_arn"])
    assert ended["status"] == "SUCCEEDED"
    assert states_of(deployer, ended)[instance]["status"] == "replicating"


def test_an_execution_ends_no_deployment_of_somebody_else(deployer: Planned) -> None:
    ids = deployer.run(deployer.target, 1)
    payload = deployer.payload(deployment_id="mine")
    operator = deployer.estate()
    operator._deployer.start(payload, "mine")
    busy = deployer.deployed(payload)
    assert (busy["status"], busy["error"]) == ("FAILED", "BusyError")
    assert "is worked on by validator deploy" in busy["cause"]
    other = deployer.direct(json.dumps({**payload, "poll_seconds": 2}), name="mine-too")
    assert (other["status"], other["error"]) == ("FAILED", "RequestError")
    assert deployer.sent_to(ids) == []
    assert operator.direct(payload, "mine", silent)["status"] == "succeeded"
    assert deployer.sent_to(ids) == ids


STRANGER = "999999999999"


def hostile(deployer: Planned) -> dict[str, tuple[object, str]]:
    """Payloads that nobody honest sends, each with what is said of it."""
    settings = deployer.settings
    own = part(settings, deployer.target)
    role = f"arn:aws:iam::{{}}:role/DRSOrchestrationRole-{settings['environment']}".format
    execution = f"{deployer.machine.replace(':stateMachine:', ':execution:')}:{{}}".format
    step = {"deployment_id": "nobody", "execution": execution("nobody")}
    return {
        "another account's role": (
            {**own, "source_role_arn": role(deployer.staging)},
            "no other is ever assumed",
        ),
        "a stranger's role": ({**own, "staging_role_arn": role(STRANGER)}, "no other is ever"),
        "another account's external id": (
            {**own, "external_id": settings["external_ids"][deployer.staging]},
            "external_id: is not the one",
        ),
        "a stranger's account": ({**own, "source_account_id": STRANGER}, "is no account of env"),
        "a path for a name": ({**own, "deployment_id": "../x"}, "deployment_id must match"),
        "a path for an account": ({**own, "source_account_id": "../.."}, "must match"),
        "numbers for texts": ({**own, "source_account_id": 1}, "must be of type string"),
        "a text for a flag": ({**own, "dry_run": "yes"}, "must be of type boolean"),
        "an unknown pattern": ({**own, "deployment_pattern": "all"}, "deployment_pattern must be"),
        "a pattern that cannot be a key": (
            {"deployment_pattern": "combined", "deployments": [{"deployment_pattern": []}]},
            "deployment_pattern must be one of",
        ),
        "half a character": ({**own, "selectors": {"tags": {"a": "\ud800"}}}, "is no JSON"),
        "no object": ([own], "must be an object"),
        "nothing": (None, "must be an object"),
        "300 KB": ({**own, "external_id": "x" * 300_000}, "is the most"),
        "a step of no execution": (
            {"step": "advance", "deployment_id": "../x", "execution": execution("../x")},
            "deployment_id must match",
        ),
        "a step of another machine": (
            {"step": "advance", **step, "execution": f"{execution('nobody')}-else"},
            "execution: only",
        ),
        "a step of a deployment that is not": ({"step": "advance", **step}, "is no deployment"),
        "a step without its members": ({"step": "plan"}, "A step plan has deployment_id"),
        "a step with more": ({"step": "advance", **step, "force": True}, "and nothing else"),
        "a step to plan a hostile payload": (
            {"step": "plan", **step, "payload": {**own, "source_role_arn": role(STRANGER)}},
            "no other is ever assumed",
        ),
        "a step that ends what is not": (
            {"step": "abandon", **step, "failure": {"Error": "x", "Cause": "y"}},
            "is no deployment",
        ),
        "a step that failed of nothing": (
            {"step": "abandon", **step, "failure": "x"},
            "failure: must",
        ),
        "an unknown step": ({"step": "erase"}, "There is no step 'erase'"),
        "a step that is no text": ({"step": ["plan"]}, "There is no step"),
    }


def test_a_hostile_payload_is_refused_and_leaves_nothing(
    deployer: Planned, subtests: pytest.Subtests
) -> None:
    ids = deployer.run(deployer.target, 1)
    before = deployer.calls().get("states StartExecution", 0)
    for why, (payload, said) in hostile(deployer).items():
        with subtests.test(why):
            with pytest.raises(Refusal) as caught:
                deployer.invoke(payload)
            assert caught.value.kind == "RequestError"
            assert said in caught.value.message
    assert deployer.calls().get("states StartExecution", 0) == before
    assert deployer.sent_to(ids) == deployer.records() == []


@pytest.mark.parametrize(
    ("payload", "code", "status"),
    [
        (json.dumps({"x": "x" * 10_000_000}).encode(), "RequestEntityTooLargeException", 413),
        (b"{'not': JSON}", "InvalidRequestContentException", 400),
    ],
    ids=["10 MB", "not JSON"],
)
def test_lambda_itself_refuses(deployer: Planned, payload: bytes, code: str, status: int) -> None:
    with pytest.raises(ClientError) as caught:
        deployer.invoke(payload)
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert deployer.records() == []


def test_a_hostile_execution_ends_by_name(deployer: Planned, subtests: pytest.Subtests) -> None:
    """Who may start the machine is bound by the same: its input is the payload, whatever it is."""
    ids = deployer.run(deployer.target, 1)
    chosen = {k: v for k, v in hostile(deployer).items() if "step" not in k and "300" not in k}
    pattern = "deployment_pattern must be one of"
    own = part(deployer.settings, deployer.target)
    more: dict[str, tuple[object, str]] = {
        "a step": ({"step": "advance", "deployment_id": "x", "execution": "y"}, pattern),
        "a text": ("text", "must be an object"),
        "a dry run": ({**own, "dry_run": True}, "dry_run: nothing is deployed"),
        "another's name": (
            {**own, "deployment_id": "another"},
            "deployment_id: this is deployment",
        ),
    }
    for why, (payload, said) in (chosen | more).items():
        with subtests.test(why):
            ended = deployer.direct(json.dumps(payload))
            assert (ended["status"], ended["error"]) == ("FAILED", "RequestError")
            assert said in ended["cause"]
    with subtests.test("a name that a deployment cannot have"):
        ended = deployer.direct(json.dumps(own), name="Named_By_Hand")
        assert (ended["status"], ended["error"]) == ("FAILED", "RequestError")
        assert "deployment_id must match" in ended["cause"]
    assert deployer.sent_to(ids) == deployer.records() == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{'not': JSON}", "InvalidExecutionInput"),
        (json.dumps({"x": "x" * 300_000}), "ValidationException"),
    ],
    ids=["not JSON", "300 KB"],
)
def test_step_functions_itself_refuses(deployer: Planned, text: str, code: str) -> None:
    with pytest.raises(ClientError) as caught:
        deployer.direct(text)
    assert caught.value.response["Error"]["Code"] == code
    assert deployer.records() == []
