"""State machines that really run: their tasks, errors, names and ends are those of Step Functions."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import REGION, STAGING, Embedded
from tests.emulator.clients import faults, once, outcome
from tests.emulator.test_functions import Functions, document, trust, until, zipped

pytestmark = pytest.mark.slow

Json = dict[str, Any]
ROLE = f"arn:aws:iam::{STAGING}:role/Machine"
LAMBDA = f"arn:aws:lambda:{REGION}:{STAGING}:function:"
WORKER = """
import time

import boto3

count = 0


def handler(event, context):
    global count
    count += 1
    if event.get("fail", 0) >= count:
        raise RuntimeError(f"failure {count}")
    time.sleep(event.get("seconds", 0))
    polls = event.get("polls", 0) + 1
    boto3.client("dynamodb").put_item(
        TableName="records", Item={"id": {"S": f"{event.get('name')}-{polls}"}}
    )
    return {**event, "polls": polls, "done": polls >= event.get("until", 1), "wait": 0}
"""


def machine(task: Json, **states: Json) -> str:
    return json.dumps({"StartAt": "Work", "States": {"Work": {"Type": "Task", **task}, **states}})


def invoke(name: str, **more: Any) -> Json:
    parameters = {"FunctionName": LAMBDA + name, "Payload.$": "$"}
    return {
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": parameters,
        "OutputPath": "$.Payload",
        **more,
    }


def retry(*names: str, attempts: int = 2) -> Json:
    one = {"ErrorEquals": list(names), "IntervalSeconds": 1, "MaxAttempts": attempts}
    return {"Retry": [{**one, "BackoffRate": 1.0}]}


def catch(*names: str) -> Json:
    return {"Catch": [{"ErrorEquals": list(names), "Next": "Caught", "ResultPath": "$.caught"}]}


CAUGHT: Json = {"Type": "Pass", "Parameters": {"error.$": "$.caught.Error"}, "End": True}
LOOP = machine(
    invoke("worker", Next="Done?"),
    **{
        "Done?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.done", "BooleanEquals": True, "Next": "Shape"}],
            "Default": "Later",
        },
        "Later": {"Type": "Wait", "SecondsPath": "$.wait", "Next": "Work"},
        "Shape": {
            "Type": "Pass",
            "Parameters": {"polls.$": "$.polls", "execution.$": "$$.Execution.Name"},
            "Next": "Good",
        },
        "Good": {"Type": "Succeed"},
    },
)


class Machines:
    """The state machines of an account, and a function that they call."""

    def __init__(self, embedded: Embedded) -> None:
        self.embedded = embedded
        self.functions = Functions(embedded)
        self.functions.make("worker", zipped(WORKER), Timeout=30)
        self.client = once(embedded, "stepfunctions", STAGING)
        self.functions.iam.create_role(
            RoleName="Machine", AssumeRolePolicyDocument=trust("states.amazonaws.com")
        )
        self.may("lambda:InvokeFunction")
        self.made = 0

    def may(self, *actions: str, resource: str = "*") -> None:
        policy = document(*actions, resource=resource)
        self.functions.iam.put_role_policy(
            RoleName="Machine", PolicyName="own", PolicyDocument=policy
        )

    def make(self, definition: str, **more: Any) -> str:
        self.made += 1
        settings = {"name": f"machine-{self.made}", "roleArn": ROLE, "definition": definition}
        return str(self.client.create_state_machine(**{**settings, **more})["stateMachineArn"])

    def start(self, arn: str, **event: Any) -> str:
        answer = self.client.start_execution(stateMachineArn=arn, input=json.dumps(event))
        return str(answer["executionArn"])

    def end(self, execution: str, seconds: float = 60) -> Json:
        def ended() -> Any:
            found = self.client.describe_execution(executionArn=execution)
            return found if found["status"] != "RUNNING" else None

        return dict(until(ended, seconds))

    def run(self, definition: str, **event: Any) -> Json:
        return self.end(self.start(self.make(definition), **event))


@pytest.fixture(scope="module")
def machines(embedded: Embedded) -> Machines:
    return Machines(embedded)


@pytest.fixture
def enforced(machines: Machines) -> Iterator[None]:
    machines.embedded.door("iam-enforcement", {"on": True})
    yield
    machines.embedded.door("iam-enforcement", {"on": False})
    machines.may("lambda:InvokeFunction")


def test_a_loop_of_task_choice_and_wait_until_it_is_done(machines: Machines) -> None:
    arn = machines.make(LOOP)
    execution = machines.start(arn, name="loop", until=3)
    ended = machines.end(execution)
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["output"]) == {"polls": 3, "execution": ended["name"]}
    assert ended["stopDate"] >= ended["startDate"]
    assert {"loop-1", "loop-2", "loop-3"} <= machines.functions.records()
    pages = machines.client.get_paginator("get_execution_history").paginate(
        executionArn=execution, PaginationConfig={"PageSize": 10}
    )
    types = [event["type"] for page in pages for event in page["events"]]
    assert types.count("TaskSucceeded") == 3
    assert (types[0], types[-1]) == ("ExecutionStarted", "ExecutionSucceeded")
    (last,) = machines.client.get_execution_history(
        executionArn=execution, reverseOrder=True, maxResults=1
    )["events"]
    assert last["type"] == "ExecutionSucceeded"
    listed = machines.client.list_executions(stateMachineArn=arn, statusFilter="SUCCEEDED")
    assert [each["executionArn"] for each in listed["executions"]] == [execution]


def test_the_plain_arn_of_a_function_answers_with_its_answer(machines: Machines) -> None:
    ended = machines.run(machine({"Resource": LAMBDA + "worker", "End": True}), name="plain")
    assert json.loads(ended["output"])["polls"] == 1


def test_a_failure_is_retried_by_name_and_then_caught(machines: Machines) -> None:
    machines.functions.make("flaky", zipped(WORKER))
    task = invoke("flaky", End=True, **retry("RuntimeError"))
    assert machines.run(machine(task), fail=2)["status"] == "SUCCEEDED"
    machines.functions.make("broken", zipped(WORKER))
    task = invoke("broken", End=True, **retry("RuntimeError", attempts=1), **catch("RuntimeError"))
    ended = machines.run(machine(task, Caught=CAUGHT), fail=99)
    assert json.loads(ended["output"]) == {"error": "RuntimeError"}
    failed = machines.run(machine(invoke("broken", End=True)), fail=99)
    assert (failed["status"], failed["error"]) == ("FAILED", "RuntimeError")
    assert "failure" in failed["cause"]


NAMES: list[tuple[str, str, Json, str]] = [
    ("throttled", "worker", {"kind": "throttle", "service": "lambda", "times": 1}, "Lambda.TooManyRequestsException"),
    ("unavailable", "worker", {"kind": "error500", "service": "lambda", "times": 1}, "Lambda.ServiceException"),
    ("no answer", "worker", {"kind": "drop", "service": "lambda", "times": 1}, "Lambda.SdkClientException"),
    ("no function", "missing", {}, "Lambda.ResourceNotFoundException"),
    ("too slow", "slow", {}, "Sandbox.Timedout"),
    ("too slow, as any failure", "slow", {}, "States.TaskFailed"),
]  # fmt: skip


@pytest.mark.parametrize("plain", [False, True], ids=["invoke", "plain"])
@pytest.mark.parametrize(
    ("function", "fault", "error"), [n[1:] for n in NAMES], ids=[n[0] for n in NAMES]
)
def test_what_goes_wrong_with_lambda_has_its_name(
    machines: Machines, function: str, fault: Json, error: str, plain: bool
) -> None:
    outcome(machines.functions.make, name="slow", code=zipped(WORKER), Timeout=1)
    arn = {"Resource": LAMBDA + function} if plain else invoke(function)
    task = {**arn, "End": True, **catch(error)}
    with faults(machines.embedded, *([fault] if fault else [])):
        ended = machines.run(machine(task, Caught=CAUGHT), seconds=10 if function == "slow" else 0)
    said = json.loads(ended["output"])["error"]
    assert said == ("Sandbox.Timedout" if error == "States.TaskFailed" else error)


def test_a_throttled_task_is_retried_by_name(machines: Machines) -> None:
    task = invoke("worker", End=True, **retry("Lambda.TooManyRequestsException"))
    arn = machines.make(machine(task))
    with faults(machines.embedded, {"kind": "throttle", "service": "lambda", "times": 2}):
        assert machines.end(machines.start(arn))["status"] == "SUCCEEDED"


def test_a_task_over_its_own_time_limit(machines: Machines) -> None:
    task = invoke("worker", End=True, TimeoutSeconds=1, **catch("States.Timeout"))
    ended = machines.run(machine(task, Caught=CAUGHT), seconds=5)
    assert json.loads(ended["output"]) == {"error": "States.Timeout"}


def test_the_machine_calls_with_its_own_role(machines: Machines, enforced: None) -> None:
    task = machine(invoke("worker", End=True))
    machines.may("lambda:GetFunction")
    failed = machines.run(task)
    assert (failed["status"], failed["error"]) == ("FAILED", "Lambda.AWSLambdaException")
    for named in ("assumed-role/Machine/", "lambda:InvokeFunction", LAMBDA + "worker", "AccessDeniedException"):  # fmt: skip
        assert named in failed["cause"]
    machines.may("lambda:InvokeFunction", resource=LAMBDA + "other")
    assert machines.run(task)["status"] == "FAILED"
    machines.may("lambda:InvokeFunction", resource=LAMBDA + "worker")
    assert machines.run(task, name="allowed")["status"] == "SUCCEEDED"


def test_the_role_must_let_step_functions_in(machines: Machines) -> None:
    with pytest.raises(machines.client.exceptions.ClientError, match=r"states\.amazonaws\.com"):
        machines.make(LOOP, roleArn=f"{ROLE}Missing")
    machines.functions.iam.create_role(RoleName="Closed", AssumeRolePolicyDocument=trust())
    with pytest.raises(machines.client.exceptions.ClientError, match=r"states\.amazonaws\.com"):
        machines.make(LOOP, roleArn=f"arn:aws:iam::{STAGING}:role/Closed")


def test_a_log_needs_the_role_to_be_allowed_it(machines: Machines, enforced: None) -> None:
    group = f"arn:aws:logs:{REGION}:{STAGING}:log-group:machines:*"
    logging = {
        "level": "ALL",
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}],
    }
    with pytest.raises(machines.client.exceptions.ClientError, match="logs:CreateLogDelivery"):
        machines.make(LOOP, loggingConfiguration=logging)
    machines.may("logs:*")
    arn = machines.make(LOOP, loggingConfiguration=logging)
    assert (
        machines.client.describe_state_machine(stateMachineArn=arn)["loggingConfiguration"]
        == logging
    )


def test_twenty_at_once(machines: Machines) -> None:
    arn = machines.make(LOOP)
    began = time.monotonic()
    executions = [machines.start(arn, name=f"many{n}", until=2, seconds=1) for n in range(20)]
    ended = [machines.end(each) for each in executions]
    assert {each["status"] for each in ended} == {"SUCCEEDED"}
    assert time.monotonic() - began < 20 * 2
    assert {f"many{n}-2" for n in range(20)} <= machines.functions.records()


def test_a_name_is_an_execution(machines: Machines) -> None:
    arn = machines.make(machine(invoke("worker", End=True)))
    start = machines.client.start_execution
    named = {"stateMachineArn": arn, "name": "once", "input": '{"seconds": 3}'}
    first = start(**named)
    assert start(**named)["executionArn"] == first["executionArn"]
    assert first["executionArn"].endswith(f":machine-{machines.made}:once")
    assert outcome(start, **{**named, "input": "{}"}) == "ExecutionAlreadyExists"
    machines.end(first["executionArn"])
    assert outcome(start, **named) == "ExecutionAlreadyExists"
    assert outcome(start, **{**named, "name": "a b"}) == "InvalidName"
    assert outcome(start, **{**named, "name": "new", "input": "{"}) == "InvalidExecutionInput"
    long = json.dumps("x" * 262_144)
    assert outcome(start, **{**named, "name": "new", "input": long}) == "ValidationException"
    assert start(stateMachineArn=arn)["executionArn"] != start(stateMachineArn=arn)["executionArn"]


def test_stopped_at_once(machines: Machines) -> None:
    waiting = {"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 600, "End": True}}}
    arn = machines.make(json.dumps(waiting))
    execution = machines.start(arn)
    stop = machines.client.stop_execution
    stop(executionArn=execution, error="Cancelled", cause="by hand")
    found = machines.client.describe_execution(executionArn=execution)
    assert (found["status"], found["error"], found["cause"]) == ("ABORTED", "Cancelled", "by hand")
    stop(executionArn=execution)
    again = machines.client.describe_execution(executionArn=execution)
    assert (again["error"], again["stopDate"]) == ("Cancelled", found["stopDate"])
    assert outcome(stop, executionArn=f"{execution}x") == "ExecutionDoesNotExist"


def broken(**state: Any) -> str:
    return json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", **state}}})


DEFINITIONS: list[tuple[str, str, str]] = [
    ("no JSON", "{", "JSON"),
    ("a list", "[]", "no JSON object"),
    ("no such next", broken(Next="B"), "leads to B"),
    ("no end", broken(), "either Next or End"),
    ("an unreached state", machine(invoke("worker", End=True), Lost={"Type": "Succeed"}), "Lost is not reached"),
    ("no such catch", machine(invoke("worker", End=True, **catch("States.ALL"))), "leads to Caught"),
    ("JSONata", json.dumps({"QueryLanguage": "JSONata", **json.loads(LOOP)}), "JSONata"),
    ("an unknown type", broken(Type="Sleep", End=True), "Sleep"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("definition", "said"), [d[1:] for d in DEFINITIONS], ids=[d[0] for d in DEFINITIONS]
)
def test_a_definition_that_leads_nowhere(machines: Machines, definition: str, said: str) -> None:
    checked = machines.client.validate_state_machine_definition(definition=definition)
    assert checked["result"] == "FAIL"
    assert said in checked["diagnostics"][0]["message"]
    with pytest.raises(machines.client.exceptions.InvalidDefinition, match=said):
        machines.make(definition)


def test_a_good_definition_is_ok(machines: Machines) -> None:
    checked = machines.client.validate_state_machine_definition(definition=LOOP)
    assert (checked["result"], checked["diagnostics"]) == ("OK", [])


def test_a_machine_can_be_changed_tagged_and_removed(machines: Machines) -> None:
    arn = machines.make(LOOP, tags=[{"key": "a", "value": "b"}])
    client = machines.client
    client.tag_resource(resourceArn=arn, tags=[{"key": "c", "value": "d"}])
    client.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "c", "value": "d"}]
    changed = machine(invoke("worker", End=True))
    client.update_state_machine(stateMachineArn=arn, definition=changed)
    assert client.describe_state_machine(stateMachineArn=arn)["definition"] == changed
    assert (
        outcome(client.update_state_machine, stateMachineArn=arn, definition=broken())
        == "InvalidDefinition"
    )
    client.delete_state_machine(stateMachineArn=arn)
    assert outcome(client.describe_state_machine, stateMachineArn=arn) == "StateMachineDoesNotExist"
