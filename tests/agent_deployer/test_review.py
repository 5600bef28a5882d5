"""What an owner of many servers fears: a fault that reads as success, and a fleet too large for a limit."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from agent_deployer import capacity, fleet, servers
from agent_deployer.aws import Aws
from agent_deployer.deployment import Deployer
from agent_deployer.errors import TransientError
from agent_deployer.records import deployment_key
from agent_deployer.request import Request
from agent_deployer.settings import SAME_ACCOUNT_DOCUMENT
from boto3.dynamodb.types import TypeSerializer

from tests.agent_deployer import estates
from tests.agent_deployer.estates import RECOVERY, SOURCE
from tests.agent_deployer.test_deployment import FAST, deployed, quick, silent, statuses
from tests.agent_deployer.test_request import SETTINGS, STAGING, TARGET
from tests.conftest import Embedded
from tests.emulator.test_functions import zipped
from validator.errors import AccountError
from validator.quotas import REPLICATING_SERVERS, TOTAL_SERVERS

pytestmark = pytest.mark.slow
__all__ = ["quick"]

Json = dict[str, Any]
LARGEST_ITEM = 400 * 1024
"""Bytes that DynamoDB takes in one item."""


@pytest.mark.parametrize("state", ["INITIATING", "PAUSED", "STALLED"])
def test_a_server_that_is_registered_and_does_not_synchronise_is_no_success(
    embedded: Embedded, state: str
) -> None:
    found = estates.fleet(embedded)
    (instance,) = found.run(found.target, 1)
    assert deployed(found)[0]["status"] == "succeeded"
    drs = found.client("drs", found.target, RECOVERY)
    (server,) = drs.describe_source_servers()["items"]
    place = {"account": found.target, "region": RECOVERY, "ids": [server["sourceServerID"]]}
    embedded.door("source-servers/state", {**place, "state": state})
    progress, instances = deployed(found)
    assert progress["status"] == "incomplete"
    assert statuses(instances) == {"not-synchronising": 1}
    assert state in instances[instance]["detail"]
    assert found.sent(found.target) == [instance]


def test_many_late_agents_are_looked_for_once_in_each_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: Counter[str] = Counter()

    def account(_: Aws, account_id: str, __: str) -> servers.Account:
        read[account_id] += 1
        astray = servers.Server("s-1", "i-3", "CONTINUOUS", True, "")
        return servers.Account({"i-3": astray} if account_id == STAGING else {})

    monkeypatch.setattr(servers, "read", account)
    states: Json = {f"i-{n}": {"status": "installed", "installed_at": 0} for n in range(50)}
    batch = {"instances": states, "into": TARGET}
    deployer = Deployer(Aws(no_client), SETTINGS, "somebody")
    deployer._confirm([batch], TARGET, Request(()), 10_000)
    assert read == {TARGET: 1, STAGING: 1}
    assert {state["status"] for state in states.values()} == {"failed"}
    assert STAGING in states["i-3"]["reason"]
    assert "no source server" in states["i-4"]["reason"]


def no_client(*_: Any) -> Any:
    raise AssertionError("nothing is called")


class Table:
    """A table of one item that is refused where DynamoDB would refuse it."""

    def __init__(self, item: Json) -> None:
        self.item = item

    def get(self, *_: str) -> Json:
        return json.loads(json.dumps(self.item))  # type: ignore[no-any-return]

    def put(self, item: Json) -> bool:
        packed = json.dumps(
            {k: TypeSerializer().serialize(v) for k, v in item.items()}, ensure_ascii=False
        )
        assert len(packed.encode()) < LARGEST_ITEM
        self.item = item
        return True


def test_the_record_of_an_account_stays_small_whatever_installers_say() -> None:
    held = {f"i-{n:017x}": {"deployment": "d" * 60, "until": 2**40} for n in range(300)}
    table = Table({"id": "account", "part": "capacity", "version": 1, "reserved": held})
    for start in range(0, 2000, 50):
        failed = {f"i-{n:017x}": "Failed: " + "失敗" * 150 for n in range(start, start + 50)}
        capacity.release(table, SETTINGS, TARGET, "d" * 60, [], failed)  # type: ignore[arg-type]
    remembered = table.item["failed"]
    assert len(remembered) == 1000
    assert all(reason.startswith("Failed: 失敗") for reason in remembered.values())


class Paged:
    """A client that gives one page of nothing, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Json] = []

    def get_paginator(self, _: str) -> "Paged":
        return self

    def paginate(self, **params: Any) -> Iterator[Json]:
        self.asked.append(params)
        yield {"Reservations": [], "Volumes": [], "InstanceInformationList": []}


def test_ec2_is_asked_in_pages() -> None:
    """EC2 throttles and cuts off who asks for everything at once."""
    client = Paged()
    ec2 = ("ec2", TARGET, "us-east-1")
    aws = Aws(lambda *_: client)
    assert fleet._described(aws, ec2, []) == []
    assert fleet._disks(aws, ec2, ["i-1"]) == {}
    for asked in client.asked:
        assert 5 <= asked["PaginationConfig"]["PageSize"] <= 500


@pytest.mark.parametrize("kind", ["throttle", "error500"])
def test_a_look_at_ssm_is_taken_again_by_itself(embedded: Embedded, kind: str) -> None:
    """With eighty commands under way one look of eighty is throttled, and that ends no step."""
    found = estates.fleet(embedded)
    place = ("ssm", found.target, SOURCE)
    embedded.door("faults", {"kind": kind, "account": found.target, "service": "ssm", "times": 2})
    try:
        assert list(Aws(found.estate()._connect).pages(place, "list_commands", "Commands")) == []
    finally:
        embedded.door("faults", method="DELETE")


@pytest.mark.parametrize("kind", ["throttle", "error500"])
def test_a_command_is_never_sent_again_by_itself(embedded: Embedded, kind: str) -> None:
    found = estates.fleet(embedded)
    ids = found.run(found.target, 1)
    place, document = ("ssm", found.target, SOURCE), SAME_ACCOUNT_DOCUMENT
    parameters = {"Region": [RECOVERY]}
    embedded.door("faults", {"kind": kind, "account": found.target, "service": "ssm", "times": 1})
    try:
        with pytest.raises(TransientError):
            Aws(found.estate()._connect).once(
                place, "send_command", DocumentName=document, InstanceIds=ids, Parameters=parameters
            )
    finally:
        embedded.door("faults", method="DELETE")
    assert found.sent(found.target) == []


def test_an_old_deployment_that_is_resumed_is_looked_at_as_often_as_was_asked(
    embedded: Embedded,
) -> None:
    found = estates.fleet(embedded)
    (instance,) = found.run(found.target, 1)
    found.outcome(found.target, [instance], "unregistered")
    estate = found.estate()
    ended = estate.direct({**estate.payload(FAST), "confirm_seconds": 1}, None, silent)
    records = estate._deployer._records
    record = records.get(deployment_key(ended["deployment_id"]), "deployment")
    assert record is not None
    assert records.put({**record, "started": record["started"] - 7 * 86400})
    found.outcome(found.target, [instance], "success")
    waits: list[int] = []
    again = estate.resume(
        ended["deployment_id"],
        lambda progress: waits.append(progress["wait_seconds"]),
        retry_failed=True,
    )
    assert again["status"] == "succeeded"
    assert set(waits) == {1}


def test_its_quotas_are_those_of_the_validator() -> None:
    """The function has nothing of the validator with it, so it names them itself."""
    assert REPLICATING_SERVERS.code == capacity._REPLICATING
    assert TOTAL_SERVERS.code == capacity._TOTAL
    assert (REPLICATING_SERVERS.service, TOTAL_SERVERS.service) == ("drs", "drs")


def test_an_answer_of_the_function_that_names_no_deployment(embedded: Embedded) -> None:
    found = estates.fleet(embedded)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    role = found.client("iam", found.home).create_role(
        RoleName="another", AssumeRolePolicyDocument=trust
    )["Role"]["Arn"]
    code = (
        "import json, os\n\n\ndef handler(event, _):\n    return json.loads(os.environ['ANSWER'])\n"
    )
    lambda_ = found.client("lambda", found.home, RECOVERY)
    name = "drs-agent-deployer-staging"
    lambda_.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler="main.handler",
        Code={"ZipFile": zipped(code)},
    )
    for answer in ("null", "[1]", '{"deployment_id": "one"}'):
        lambda_.update_function_configuration(
            FunctionName=name, Environment={"Variables": {"ANSWER": answer}}
        )
        with pytest.raises(AccountError, match="names no deployment"):
            found.estate().via_function({}, None, silent)
