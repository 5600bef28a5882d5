"""The planned roles are enough, and each of their permissions is needed: without it, its name is told."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.agent_deployer.estates import RECOVERY
from tests.agent_deployer.planned import (
    Planned,
    Refusal,
    Resource,
    configure_events,
    make_machine,
    part,
    put_policy,
)

pytestmark = pytest.mark.slow

Json = dict[str, Any]

UNUSED = {
    "logs:CreateLogStream": "a function that may not log runs all the same, as on AWS",
    "logs:PutLogEvents": "a function that may not log runs all the same, as on AWS",
    "servicequotas:GetAWSDefaultServiceQuota": "it is asked only where no quota is applied",
}
"""What the deployment of these tests ends without, and why."""

AFTER_SENDING = {"ssm:CancelCommand", "ssm:ListCommandInvocations", "ssm:ListCommands"}


@dataclass(frozen=True, slots=True)
class Permission:
    """One action of one statement of a planned policy."""

    policy: Resource
    statement: int
    action: str

    def without(self) -> str:
        """The policy's document without it."""
        document = json.loads(self.policy.values["policy"])
        statement = document["Statement"][self.statement]
        left = [each for each in _list(statement["Action"]) if each != self.action]
        if left:
            statement["Action"] = left
        else:
            del document["Statement"][self.statement]
        return json.dumps(document)

    @property
    def name(self) -> str:
        sid = json.loads(self.policy.values["policy"])["Statement"][self.statement]["Sid"]
        return f"{self.policy.values['role']} {sid} {self.action}"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def permissions(policy: Resource) -> Iterator[Permission]:
    for number, statement in enumerate(json.loads(policy.values["policy"])["Statement"]):
        for action in _list(statement["Action"]):
            yield Permission(policy, number, action)


@contextmanager
def removed(deployer: Planned, permission: Permission) -> Iterator[None]:
    """A permission is not there as long as the context lives."""
    put_policy(deployer, permission.policy, permission.without())
    try:
        yield
    finally:
        put_policy(deployer, permission.policy, permission.policy.values["policy"])


@pytest.fixture
def impatient(deployer: Planned) -> Iterator[Planned]:
    """A deployer whose machine makes no step again, except where one is cut off."""
    make_machine(deployer, retries=1)
    yield deployer
    make_machine(deployer)


def outcome(deployer: Planned, action: str, name: str) -> tuple[str, str]:
    """How a deployment ends, and what is said of it."""
    payload = {**part(deployer.settings, deployer.target), "poll_seconds": 1, "deployment_id": name}
    if action == "ssm:ListCommands":
        # What a step that was cut off has sent is looked for.
        deployer.kill("ssm", "SendCommand")
    try:
        began = deployer.invoke(payload)
    except Refusal as refusal:
        return "refused", refusal.message
    if action == "ssm:CancelCommand":
        cancel(deployer, name)
    ended = deployer.ended(began["execution_arn"])
    return ended["status"], f"{ended.get('error')} {ended.get('cause')}"


def cancel(deployer: Planned, name: str) -> None:
    """Cancels a deployment once its command is sent and hangs."""
    estate, end = deployer.estate(), time.monotonic() + 60
    while True:
        assert time.monotonic() < end
        records = [each for each in deployer.records() if each["id"]["S"].endswith(f"#{name}")]
        if records and estate.status(name)[0]["counts"].get("sent"):
            break
        time.sleep(0.1)
    estate._deployer.cancel(name)


def test_no_permission_can_be_left_out(impatient: Planned, subtests: pytest.Subtests) -> None:
    deployer = impatient
    policies = [
        deployer.one("aws_iam_role_policy", "_agent_deployer", "function"),
        deployer.one("aws_iam_role_policy", "target_orchestration_role"),
    ]
    everything = [each for policy in policies for each in permissions(policy)]
    assert UNUSED.keys() | AFTER_SENDING < {each.action for each in everything}
    for number, permission in enumerate(everything):
        action = permission.action
        if action == "sqs:SendMessage":
            continue  # of the function's configuration, see below
        with subtests.test(permission.name):
            ids = deployer.run(deployer.target, 1)
            if action == "ssm:CancelCommand":
                deployer.outcome(deployer.target, ids, "hang")
            with removed(deployer, permission):
                status, said = outcome(deployer, action, f"without-{number}")
            sent = deployer.sent_to(ids)
            if action in UNUSED:
                assert (status, sent) == ("SUCCEEDED", ids)
            else:
                assert status in {"FAILED", "refused"}
                assert action in said
                assert sent == (ids if action in AFTER_SENDING else [])
        deployer.clear()


def test_no_permission_of_the_machine_can_be_left_out(
    impatient: Planned, subtests: pytest.Subtests
) -> None:
    deployer = impatient
    (instance,) = deployer.run(deployer.target, 1)
    for permission in permissions(deployer.one("aws_iam_role_policy", name="machine")):
        with subtests.test(permission.name), removed(deployer, permission):
            if permission.action.startswith("logs:"):
                # Step Functions asks when the machine is made.
                with pytest.raises(ClientError, match=permission.action):
                    make_machine(deployer)
                continue
            status, said = outcome(deployer, permission.action, "without-steps")
            assert status == "FAILED"
            assert permission.action in said
    assert deployer.sent_to([instance]) == deployer.records() == []


def test_what_nobody_waits_for_is_left_in_the_queue(deployer: Planned) -> None:
    """Lambda asks for the permission when it is told of the queue, and uses it when an event fails."""
    sqs, name = (
        deployer.client("sqs", deployer.home, RECOVERY),
        deployer.one("aws_sqs_queue").values["name"],
    )
    queue = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    policy = deployer.one("aws_iam_role_policy", "_agent_deployer", "function")
    (permission,) = (p for p in permissions(policy) if p.action.startswith("sqs:"))
    with removed(deployer, permission), pytest.raises(ClientError, match="SendMessage on SQS"):
        configure_events(deployer)
    payload = {**deployer.payload(), "deployment_pattern": "all"}
    deployer.client("lambda", deployer.home, RECOVERY).invoke(
        FunctionName=deployer.function, InvocationType="Event", Payload=json.dumps(payload)
    )
    end, messages = time.monotonic() + 30, []
    while not messages:
        assert time.monotonic() < end
        messages = sqs.receive_message(QueueUrl=queue).get("Messages", [])
    told = json.loads(messages[0]["Body"])
    assert told["requestPayload"] == payload
    assert told["responsePayload"]["errorType"] == "RequestError"
