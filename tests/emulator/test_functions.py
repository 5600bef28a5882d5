"""Lambda functions that really run, as their roles, and end as AWS ends them."""

import base64
import io
import json
import os
import secrets
import signal
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ORCHESTRATION, REGION, STAGING, Embedded
from tests.emulator.clients import faults, once, outcome
from validator.tools import emulator

pytestmark = pytest.mark.slow

HANDLER = """
import os, subprocess, sys, time

calls = 0


def handler(event, context):
    global calls
    calls += 1
    return globals()[event["do"]](event, context)


def client(service, **keys):
    import boto3  # here, for most of these functions need not wait for it

    return boto3.client(service, **keys)


def identity(event, context):
    return {
        "arn": client("sts").get_caller_identity()["Arn"],
        "pid": os.getpid(),
        "server": os.getppid(),
        "calls": calls,
        "stage": os.environ.get("STAGE"),
        "endpoint": os.environ["AWS_ENDPOINT_URL"],
        "region": os.environ["AWS_REGION"],
        "code": os.listdir(),
    }


def told(event, context):
    first = context.get_remaining_time_in_millis()
    time.sleep(0.05)
    return {
        "id": context.aws_request_id,
        "name": context.function_name,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "left": [first, context.get_remaining_time_in_millis()],
    }


def put(event, context):
    client("dynamodb").put_item(
        TableName="records",
        Item={"id": {"S": event["id"]}},
        ConditionExpression="attribute_not_exists(id)",
    )
    return "put"


def publish(event, context):
    client("sns").publish(TopicArn=event["topic"], Message="sent")
    return "published"


def as_other(event, context):
    given = client("sts").assume_role(RoleArn=event["role"], RoleSessionName="other")["Credentials"]
    client(
        "dynamodb",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    ).put_item(TableName="records", Item={"id": {"S": event["id"]}})
    return "put"


def reserve(event, context):
    import boto3

    for number in range(event["times"]):
        while True:
            table = boto3.resource("dynamodb").Table("records")
            try:
                table.update_item(
                    Key={"id": "counter"},
                    UpdateExpression="ADD taken :one",
                    ConditionExpression="attribute_not_exists(taken) OR taken < :limit",
                    ExpressionAttributeValues={":one": 1, ":limit": event["limit"]},
                )
                break
            except table.meta.client.exceptions.ConditionalCheckFailedException:
                return number
    return event["times"]


def sleep(event, context):
    print("going to sleep")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(f"child {child.pid} of {os.getpid()}", flush=True)
    time.sleep(event["seconds"])
    return "slept"


def exit(event, context):
    os._exit(event["status"])


def fail(event, context):
    raise ValueError("no good")


def size(event, context):
    return "x" * event["bytes"]


def unserializable(event, context):
    return object()
"""


def zipped(source: str = HANDLER, name: str = "main.py") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as package:
        package.writestr(name, source)
    return made.getvalue()


def trust(service: str = "lambda.amazonaws.com") -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": STAGING}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def document(*actions: str, resource: str = "*") -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


ROLE = f"arn:aws:iam::{STAGING}:role/Function"
TABLE = f"arn:aws:dynamodb:{REGION}:{STAGING}:table/records"


class Functions:
    """The functions of an account, and a table they write to."""

    def __init__(self, embedded: Embedded) -> None:
        self.embedded = embedded
        self.client = once(embedded, "lambda", STAGING)
        self.iam = embedded.client("iam", STAGING)
        self.logs = embedded.client("logs", STAGING)
        self.iam.create_role(RoleName="Function", AssumeRolePolicyDocument=trust())
        self.may("*")
        embedded.client("dynamodb", STAGING).create_table(
            TableName="records",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def may(self, *actions: str, resource: str = "*") -> None:
        self.iam.put_role_policy(
            RoleName="Function",
            PolicyName="own",
            PolicyDocument=document(*actions, resource=resource),
        )

    def make(self, name: str, code: bytes | None = None, **more: Any) -> str:
        settings = {"Handler": "main.handler", "Role": ROLE, "Runtime": "python3.13", "Timeout": 20}
        self.client.create_function(
            FunctionName=name, Code={"ZipFile": code or zipped()}, **(settings | more)
        )
        return name

    def ask(self, name: str, do: str, **event: Any) -> Any:
        answer = self.client.invoke(
            FunctionName=name, Payload=json.dumps({"do": do, **event}), LogType="Tail"
        )
        said = json.loads(answer["Payload"].read())
        assert answer.get("FunctionError") is None, said
        return said

    def fails(self, name: str, do: str = "", **event: Any) -> Any:
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps({"do": do, **event}))
        assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
        return json.loads(answer["Payload"].read())

    def logged(self, name: str) -> list[str]:
        events = self.logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [event["message"] for event in events]

    def records(self) -> set[str]:
        items = self.embedded.client("dynamodb", STAGING).scan(TableName="records")["Items"]
        return {item["id"]["S"] for item in items}


@pytest.fixture(scope="module")
def functions(embedded: Embedded) -> Functions:
    return Functions(embedded)


@pytest.fixture
def enforced(functions: Functions) -> Iterator[None]:
    functions.embedded.door("iam-enforcement", {"on": True})
    yield
    functions.embedded.door("iam-enforcement", {"on": False})
    functions.may("*")


def until(true: Any, seconds: float = 20) -> Any:
    """What `true` returns as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
    return found


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_function_runs_its_zip_as_its_role_and_is_kept_warm(functions: Functions) -> None:
    name = functions.make("warm", Environment={"Variables": {"STAGE": "one"}})
    first = functions.ask(name, "identity")
    assert first == {
        "arn": f"arn:aws:sts::{STAGING}:assumed-role/Function/warm",
        "calls": 1,
        "code": first["code"],
        "endpoint": functions.embedded.url,
        "pid": first["pid"],
        "region": REGION,
        "server": first["server"],
        "stage": "one",
    }
    assert "main.py" in first["code"]
    second = functions.ask(name, "identity")
    assert (second["pid"], second["calls"]) == (first["pid"], 2)


CHANGES = [
    ("code", "update_function_code", {"ZipFile": zipped(HANDLER + "\n")}),
    (
        "variables",
        "update_function_configuration",
        {"Environment": {"Variables": {"STAGE": "two"}}},
    ),
    ("memory", "update_function_configuration", {"MemorySize": 256}),
]


@pytest.mark.parametrize(
    ("operation", "change"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES]
)
def test_a_changed_function_gets_another_process(
    functions: Functions, operation: str, change: dict[str, Any]
) -> None:
    name = functions.make(f"changed-{next(iter(change))}")
    pid = functions.ask(name, "identity")["pid"]
    getattr(functions.client, operation)(FunctionName=name, **change)
    answer = functions.ask(name, "identity")
    assert (answer["calls"], answer["pid"] == pid, lives(pid)) == (1, False, False)
    functions.client.delete_function(FunctionName=name)
    assert not lives(answer["pid"])
    assert outcome(functions.client.invoke, FunctionName=name) == "ResourceNotFoundException"


def test_what_the_context_tells(functions: Functions) -> None:
    name = functions.make("told", MemorySize=512)
    answer = functions.client.invoke(FunctionName=name, Payload=b'{"do": "told"}')
    told = json.loads(answer["Payload"].read())
    assert told["id"] == answer["ResponseMetadata"]["RequestId"]
    assert told["arn"] == f"arn:aws:lambda:{REGION}:{STAGING}:function:told"
    assert (told["name"], told["memory"], told["group"]) == ("told", "512", "/aws/lambda/told")
    before, after = told["left"]
    assert 20_000 >= before >= after + 50
    streams = functions.logs.describe_log_streams(logGroupName="/aws/lambda/told")["logStreams"]
    assert [each["logStreamName"] for each in streams] == [told["stream"]]


def test_what_it_prints_is_logged_and_its_tail_is_told(functions: Functions) -> None:
    name = functions.make("prints")
    answer = functions.client.invoke(
        FunctionName=name, Payload=b'{"do": "sleep", "seconds": 0}', LogType="Tail"
    )
    tail = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert tail == functions.logged(name)
    request = answer["ResponseMetadata"]["RequestId"]
    assert tail[:2] == [f"START RequestId: {request} Version: $LATEST", "going to sleep"]
    assert tail[-1].startswith(f"REPORT RequestId: {request}\tDuration: ")


def test_time_out(functions: Functions) -> None:
    name = functions.make("slow", Timeout=1)
    began = time.monotonic()
    said = functions.fails(name, "sleep", seconds=30)
    assert time.monotonic() - began < 15
    assert said["errorType"] == "Sandbox.Timedout"
    assert said["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert said["errorMessage"] in "".join(functions.logged(name))
    (line,) = [each for each in functions.logged(name) if each.startswith("child")]
    child, parent = int(line.split()[1]), int(line.split()[3])
    assert not lives(parent)
    until(lambda: not lives(child))
    assert functions.ask(name, "identity")["pid"] != parent


FAILURES: list[tuple[str, str, str, dict[str, Any], str, str]] = [
    ("an exception", HANDLER, "main.handler", {"do": "fail"}, "ValueError", "no good"),
    ("an exit", HANDLER, "main.handler", {"do": "exit", "status": 3}, "Runtime.ExitError", "exit status 3"),
    ("an end without reason", HANDLER, "main.handler", {"do": "exit", "status": 0}, "Runtime.ExitError", "without providing a reason"),
    ("no module", HANDLER, "other.handler", {}, "Runtime.ImportModuleError", "Unable to import module 'other'"),
    ("a missing import", "import nowhere", "main.handler", {}, "Runtime.ImportModuleError", "No module named 'nowhere'"),
    ("a syntax error", "def", "main.handler", {}, "Runtime.UserCodeSyntaxError", "main"),
    ("no handler", HANDLER, "main.none", {}, "Runtime.HandlerNotFound", "Handler 'none' missing"),
    ("a raising module", "1 / 0", "main.handler", {}, "ZeroDivisionError", "division by zero"),
    ("a dying module", "import os; os._exit(1)", "main.handler", {}, "Runtime.ExitError", "exit status 1"),
    ("an answer that is no JSON", HANDLER, "main.handler", {"do": "unserializable"}, "Runtime.MarshalError", "not JSON serializable"),
    ("an answer over 6 MB", HANDLER, "main.handler", {"do": "size", "bytes": 6_291_557}, "Function.ResponseSizeTooLarge", "6291556"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "handler", "event", "kind", "message"),
    [f[1:] for f in FAILURES],
    ids=[f[0] for f in FAILURES],
)
def test_failures_have_lambdas_own_names(
    functions: Functions, source: str, handler: str, event: dict[str, Any], kind: str, message: str
) -> None:
    name = functions.make(f"fails-{secrets.token_hex(4)}", zipped(source), Handler=handler)
    said = functions.fails(name, **event)
    assert said["errorType"] == kind
    assert message in said["errorMessage"]
    if kind == "ValueError":
        assert said["requestId"]
        assert "in fail" in "".join(said["stackTrace"])
    assert functions.fails(name, **event)["errorType"] == kind  # nor is it better the second time


def test_an_event_over_6_mb_and_one_that_is_no_json(functions: Functions) -> None:
    name = functions.make("large")
    big = json.dumps({"do": "size", "bytes": 1, "x": "x" * 6_291_456}).encode()
    invoke = functions.client.invoke
    with pytest.raises(functions.client.exceptions.ClientError) as caught:
        invoke(FunctionName=name, Payload=big)
    answer = caught.value.response
    assert answer["Error"]["Code"] == "RequestEntityTooLargeException"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 413
    said = outcome(invoke, FunctionName=name, Payload=b"{")
    assert said == "InvalidRequestContentException"
    assert invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    assert len(functions.ask(name, "size", bytes=6_000_000)) == 6_000_000


def test_events_at_once_have_processes_of_their_own_up_to_the_reserved(
    functions: Functions,
) -> None:
    name = functions.make("parallel", Timeout=60)
    with ThreadPoolExecutor(6) as pool:
        began = time.monotonic()
        assert set(pool.map(lambda _: functions.ask(name, "sleep", seconds=2), range(6))) == {
            "slept"
        }
        assert time.monotonic() - began < 6 * 2
        functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
        params = {"FunctionName": name, "Payload": b'{"do": "sleep", "seconds": 2}'}
        said = list(pool.map(lambda _: outcome(functions.client.invoke, **params), range(6)))
    assert sorted(said) == ["TooManyRequestsException"] * 4 + ["ok"] * 2
    assert functions.ask(name, "sleep", seconds=0) == "slept"


def test_conditional_writes_of_many_never_pass_the_limit(functions: Functions) -> None:
    name = functions.make("reserves", Timeout=60)
    with ThreadPoolExecutor(4) as pool:
        taken = sum(
            pool.map(lambda _: functions.ask(name, "reserve", times=20, limit=50), range(4))
        )
    table = functions.embedded.client("dynamodb", STAGING)
    item = table.get_item(TableName="records", Key={"id": {"S": "counter"}})["Item"]
    assert taken == int(item["taken"]["N"]) == 50


def test_the_role_must_let_lambda_in(functions: Functions) -> None:
    with pytest.raises(
        functions.client.exceptions.ClientError, match="cannot be assumed by Lambda"
    ):
        functions.make("nobody", Role=f"{ROLE}Missing")
    functions.iam.create_role(
        RoleName="Closed", AssumeRolePolicyDocument=trust("states.amazonaws.com")
    )
    with pytest.raises(
        functions.client.exceptions.ClientError, match="cannot be assumed by Lambda"
    ):
        functions.make("closed", Role=f"arn:aws:iam::{STAGING}:role/Closed")
    functions.iam.update_assume_role_policy(RoleName="Closed", PolicyDocument=trust())
    functions.make("closed", Role=f"arn:aws:iam::{STAGING}:role/Closed")
    assert functions.ask("closed", "identity")["arn"].endswith("assumed-role/Closed/closed")
    functions.iam.delete_role(RoleName="Closed")
    invoke = functions.client.invoke
    assert outcome(invoke, FunctionName="closed", Payload=b"{}") == "AccessDeniedException"


def test_what_the_role_may_not_is_refused_by_name(functions: Functions, enforced: None) -> None:
    name = functions.make("writes")
    functions.may("dynamodb:GetItem", resource=TABLE)
    said = functions.fails(name, "put", id="refused")
    for named in ("AccessDenied", "dynamodb:PutItem", "assumed-role/Function/writes", TABLE):
        assert named in said["errorMessage"]
    functions.may("dynamodb:PutItem", resource=TABLE)
    assert functions.ask(name, "put", id="first") == "put"
    again = functions.fails(name, "put", id="first")
    assert again["errorType"] == "ConditionalCheckFailedException"
    assert {"first"} == functions.records() & {"first", "refused"}


def test_a_role_that_may_not_log_leaves_no_log(functions: Functions, enforced: None) -> None:
    group = f"arn:aws:logs:{REGION}:{STAGING}:log-group:/aws/lambda/silent:*"
    name = functions.make("silent")
    functions.may("sts:*")
    functions.ask(name, "identity")
    listed = functions.logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/silent")
    assert listed["logGroups"] == []
    functions.may(
        "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", resource=group
    )
    functions.ask(name, "identity")
    assert functions.logged(name)


def test_a_failed_event_is_tried_again_and_then_told_to_the_queue(
    functions: Functions, enforced: None
) -> None:
    sqs = functions.embedded.client("sqs", STAGING)
    url = sqs.create_queue(QueueName="failed")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    name = functions.make("asynchronous")
    config = {
        "FunctionName": name,
        "DestinationConfig": {"OnFailure": {"Destination": arn}},
        "MaximumRetryAttempts": 1,
    }
    functions.may("logs:*")
    configure = functions.client.put_function_event_invoke_config
    with pytest.raises(functions.client.exceptions.ClientError, match="SendMessage"):
        configure(**config)
    functions.may("logs:*", "sqs:SendMessage")
    configure(**config)
    payload = {"do": "fail", "n": 7}
    answer = functions.client.invoke(
        FunctionName=name, InvocationType="Event", Payload=json.dumps(payload)
    )
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    (message,) = until(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))
    told = json.loads(message["Body"])
    assert told["requestPayload"] == payload
    assert told["responsePayload"]["errorMessage"] == "no good"
    assert told["requestContext"]["condition"] == "RetriesExhausted"
    assert told["requestContext"]["approximateInvokeCount"] == 2
    assert len([line for line in functions.logged(name) if line.startswith("START")]) == 2
    configure(**{**config, "MaximumRetryAttempts": 0})
    asked = functions.client.get_function_event_invoke_config(FunctionName=name)
    assert asked["MaximumRetryAttempts"] == 0


def order(name: str, service: str, operation: str, **more: Any) -> dict[str, Any]:
    after = {"service": service, "operation": operation, **more}
    return {"account": STAGING, "region": REGION, "function": name, "after": after}


def test_killed_after_a_call_and_before_its_answer(functions: Functions) -> None:
    name = functions.make("killed")
    functions.embedded.door("functions/kill", order(name, "dynamodb", "PutItem", nth=2))
    assert functions.ask(name, "put", id="before") == "put"
    said = functions.fails(name, "put", id="orphan")
    assert said["errorType"] == "Runtime.ExitError"
    assert said["errorMessage"].endswith("Runtime exited with error: signal: killed")
    assert "orphan" in functions.records()
    assert functions.ask(name, "put", id="after") == "put"


def test_killed_after_a_call_with_another_roles_keys(functions: Functions) -> None:
    other = {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "sts:AssumeRole"}
    functions.iam.create_role(
        RoleName="Other",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [other]}),
    )
    role = f"arn:aws:iam::{STAGING}:role/Other"
    name = functions.make("killed-as-other")
    functions.embedded.door("functions/kill", order(name, "dynamodb", "PutItem"))
    assert (
        functions.fails(name, "as_other", role=role, id="by-other")["errorType"]
        == "Runtime.ExitError"
    )
    assert "by-other" in functions.records()
    assert functions.ask(name, "as_other", role=role, id="by-other-again") == "put"


WRONG = [
    ("no such function", order("nobody", "ssm", "SendCommand"), "no function nobody"),
    ("no service", {**order("ordered", "", ""), "after": {"operation": "a"}}, "service"),
    ("a typo", order("ordered", "ssm", "SendCommand", n=1), "unknown"),
    ("never", order("ordered", "ssm", "SendCommand", nth=0), "nth"),
]


@pytest.mark.parametrize(("body", "said"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_an_order_to_kill_that_says_nothing_known(
    functions: Functions, body: dict[str, Any], said: str
) -> None:
    outcome(functions.make, name="ordered")
    with pytest.raises(OSError) as caught:
        functions.embedded.door("functions/kill", body)
    assert said in json.load(caught.value)["error"]


@pytest.mark.parametrize("kind", ["throttle", "deny", "error500"])
def test_faults_name_the_operation_of_lambda(functions: Functions, kind: str) -> None:
    said = {"deny": "AccessDeniedException", "error500": "ServiceException", "throttle": "TooManyRequestsException"}[kind]  # fmt: skip
    with faults(functions.embedded, {"kind": kind, "service": "lambda", "operation": "Invoke"}):
        assert outcome(functions.client.invoke, FunctionName="none") == said
        assert outcome(functions.client.list_functions) == "ok"


def test_all_end_with_the_emulator() -> None:
    with emulator.started(ORCHESTRATION) as running:
        original = Embedded(running.url)
        copy = Embedded(original.door("fork")["url"])
        for embedded, how in ((copy, signal.SIGKILL), (original, signal.SIGTERM)):
            functions = Functions(embedded)
            name = functions.make("orphan")
            answer = functions.ask(name, "identity")
            root = Path(f"/proc/{answer['pid']}/cwd").readlink()
            assert (root / "main.py").exists()
            os.kill(answer["server"], how)
            until(lambda pid=answer["pid"]: not lives(pid))
            until(lambda root=root: not root.exists())
