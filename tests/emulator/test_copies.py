"""Copies of an embedded AWS: what they begin with, that they are apart, and how they end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import ORCHESTRATION, REGION, STAGING, TARGET, Embedded
from tests.emulator.test_drs import initialise, template
from validator.emulator.copies import Gate
from validator.quotas import REPLICATING_SERVERS, TOTAL_SERVERS

pytestmark = pytest.mark.slow

PREFIX = "/copied"


def copied(embedded: Embedded) -> tuple[Embedded, dict[str, Any]]:
    made = embedded.door("fork")
    return Embedded(made["url"]), made


def held(embedded: Embedded) -> list[Any]:
    """A little of everything that an embedded AWS holds: moto's services, DRS, quotas, S3."""
    drs, s3 = embedded.client("drs", TARGET), embedded.client("s3", ORCHESTRATION)
    return [
        sorted(role["Arn"] for role in embedded.client("iam", TARGET).list_roles()["Roles"]),
        sorted(key["KeyArn"] for key in embedded.client("kms", STAGING).list_keys()["Keys"]),
        [(server["arn"], server["tags"], server["sourceProperties"]) for server in drs.describe_source_servers()["items"]],
        drs.describe_replication_configuration_templates()["items"],
        [(each["Key"], s3.get_object(Bucket="kept", Key=each["Key"])["Body"].read())
         for each in s3.list_objects_v2(Bucket="kept").get("Contents", [])],
        embedded.client("service-quotas", TARGET).list_service_quotas(ServiceCode="drs")["Quotas"],
    ]  # fmt: skip


def change(embedded: Embedded, name: str) -> None:
    """Changes everything that `held` looks at."""
    drs, s3 = embedded.client("drs", TARGET), embedded.client("s3", ORCHESTRATION)
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    embedded.client("iam", TARGET).create_role(RoleName=name, AssumeRolePolicyDocument=policy)
    embedded.client("kms", STAGING).create_key()
    embedded.door("source-servers", {"account": TARGET, "region": REGION, "count": 1})
    (found,) = drs.describe_replication_configuration_templates()["items"]
    drs.update_replication_configuration_template(
        replicationConfigurationTemplateID=found["replicationConfigurationTemplateID"],
        replicationServerInstanceType=f"{name}.large",
    )
    s3.put_object(Bucket="kept", Key=name, Body=name.encode())
    quota = {"account": TARGET, "region": REGION, "code": "L-E28BE5E0", "value": sum(name.encode())}
    embedded.door("quotas", quota)


@pytest.fixture(scope="module")
def filled(embedded: Embedded) -> Embedded:
    drs = initialise(embedded, TARGET)
    drs.create_replication_configuration_template(**template())
    where = {"LocationConstraint": REGION}
    embedded.client("s3", ORCHESTRATION).create_bucket(
        Bucket="kept", CreateBucketConfiguration=where
    )
    change(embedded, "t3")
    return embedded


def test_a_copy_holds_the_same_and_neither_sees_what_becomes_of_the_other(
    filled: Embedded,
) -> None:
    before = held(filled)
    (one, _), (other, _) = copied(filled), copied(filled)
    assert held(one) == held(other) == before
    change(one, "m5")
    changed = held(one)
    assert all(now != then for now, then in zip(changed, before, strict=True))
    assert held(filled) == held(other) == before
    change(filled, "c6i")
    assert held(one) == changed
    assert held(other) == before


def test_a_copy_is_another_aws_without_faults_or_calls(embedded: Embedded) -> None:
    embedded.client("iam", TARGET).list_roles()
    embedded.door("faults", {"kind": "deny"})
    try:
        copy, made = copied(embedded)
    finally:
        embedded.door("faults", method="DELETE")
    assert copy.door("calls", method="GET") == {}
    assert copy.client("iam", TARGET).list_roles()["Roles"]
    ids = {each.door("health", method="GET")["id"] for each in (embedded, copy)}
    assert len(ids) == 2
    assert made["id"] in ids


def test_a_copy_enforces_iam_if_its_original_does(embedded: Embedded) -> None:
    sts = embedded.client("sts", ORCHESTRATION)
    policy = {"Effect": "Allow", "Principal": {"AWS": ORCHESTRATION}, "Action": "sts:AssumeRole"}
    role = embedded.client("iam", TARGET).create_role(
        RoleName="may-nothing",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [policy]}),
    )["Role"]["Arn"]
    got = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    embedded.door("iam-enforcement", {"on": True})
    try:
        copy, _ = copied(embedded)
    finally:
        embedded.door("iam-enforcement", {"on": False})
    session = copy.client("iam", TARGET)
    session._request_signer._credentials.access_key = got["AccessKeyId"]
    with pytest.raises(ClientError) as caught:
        session.list_roles()
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


def test_the_largest_estate_is_copied_at_once(embedded: Embedded) -> None:
    account = "222233334444"
    drs = initialise(embedded, account)
    drs.create_replication_configuration_template(**template())
    place = {"account": account, "region": REGION}
    embedded.door(
        "quotas", {**place, "code": REPLICATING_SERVERS.code, "value": TOTAL_SERVERS.value}
    )
    registered = embedded.door("source-servers", {**place, "count": TOTAL_SERVERS.value})
    started = time.monotonic()
    copy, _ = copied(embedded)
    assert time.monotonic() - started < 2
    pages = copy.client("drs", account).get_paginator("describe_source_servers").paginate()
    found = [server["sourceServerID"] for page in pages for server in page["items"]]
    assert sorted(found) == sorted(registered["sourceServerIDs"])


CLIENTS = 8


def test_calls_that_are_made_meanwhile_are_answered_and_are_in_a_copy_whole_or_not_at_all(
    embedded: Embedded,
) -> None:
    over, acknowledged = threading.Event(), [0] * CLIENTS

    def write(client: int) -> None:
        ssm = embedded.client("ssm", TARGET)
        while not over.is_set():
            name = f"{PREFIX}/{client}/{acknowledged[client] + 1:06d}"
            ssm.put_parameter(Name=name, Value="x", Type="String")
            acknowledged[client] += 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        writing = [pool.submit(write, client) for client in range(CLIENTS)]
        while min(acknowledged) < 3:
            time.sleep(0.01)
        seen = []
        for _ in range(5):
            before = list(acknowledged)
            copy, _ = copied(embedded)
            seen.append((before, copy, list(acknowledged)))
        over.set()
        for each in writing:
            each.result()
    for before, copy, after in seen:
        for client, numbers in enumerate(written(copy)):
            assert numbers == list(range(1, len(numbers) + 1))
            # One more than was heard of may have been made.
            assert before[client] <= len(numbers) <= after[client] + 1
    assert [len(numbers) for numbers in written(embedded)] == acknowledged


def written(embedded: Embedded) -> list[list[int]]:
    """The numbers that each client has written, in order."""
    pages = embedded.client("ssm", TARGET).get_paginator("get_parameters_by_path")
    found: list[list[int]] = [[] for _ in range(CLIENTS)]
    for page in pages.paginate(Path=PREFIX, Recursive=True):
        for each in page["Parameters"]:
            _, _, client, number = each["Name"].split("/")
            found[int(client)].append(int(number))
    return [sorted(each) for each in found]


def test_a_slow_fault_does_not_hold_a_copy_up(embedded: Embedded) -> None:
    embedded.door("faults", {"kind": "slow", "service": "iam", "seconds": 4, "times": 1})
    iam = embedded.client("iam", TARGET)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(iam.list_roles)
        time.sleep(0.5)
        started = time.monotonic()
        copied(embedded)
        assert time.monotonic() - started < 2
        assert not slow.done()
        assert slow.result()["Roles"]


def test_the_gate_lets_one_in_alone_and_never_waits_for_a_call_that_waits_for_it() -> None:
    gate, together, log = Gate(), threading.Barrier(3), []

    def call(inner: Callable[[], None]) -> None:
        with gate.together():
            together.wait()
            time.sleep(0.2)
            inner()
            log.append("answered")

    def nested() -> None:
        def inner() -> None:
            with gate.together():
                log.append("inner")

        with ThreadPoolExecutor(1) as pool:
            pool.submit(inner).result(timeout=20)

    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(call, nested), pool.submit(call, lambda: None)]
        together.wait()
        with gate.alone():
            log.append("alone")
        for each in calls:
            each.result()
    assert log[-1] == "alone"
    assert sorted(log) == ["alone", "answered", "answered", "inner"]


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_copy_ends_when_asked_and_its_own_copies_with_it(embedded: Embedded) -> None:
    copy, made = copied(embedded)
    _, second = copied(copy)
    _, kept = copied(embedded)
    assert embedded.door("fork", {"id": made["id"]}, method="DELETE") == {}
    assert gone(made["pid"])
    wait_for(lambda: gone(second["pid"]))
    with pytest.raises(urllib.error.URLError, match="refused"):
        copy.door("health", method="GET")
    assert not gone(kept["pid"])
    with pytest.raises(urllib.error.HTTPError) as caught:
        embedded.door("fork", {"id": made["id"]}, method="DELETE")
    assert caught.value.code == 400


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_copy_outlives_its_original(number: int) -> None:
    command = [sys.executable, "-m", "validator.emulator", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as original:
        assert original.stdout is not None
        ready = json.loads(original.stdout.readline())
        copy, made = copied(Embedded(ready["url"]))
        _, second = copied(copy)
        # The first copies' lines must not be kept open by the second's.
        _, third = copied(Embedded(ready["url"]))
        original.send_signal(number)
        wait_for(lambda: all(gone(each["pid"]) for each in (made, second, third)))
        # Whoever reads what the original says sees its end.
        assert original.stdout.read() == b""


def test_an_announced_original_stays_announced_when_a_copy_ends(tmp_path: Path) -> None:
    file = tmp_path / "emulator.json"
    command = [sys.executable, "-m", "validator.emulator", "--json", "--announce", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as original:
        assert original.stdout is not None
        original.stdout.readline()
        embedded = Embedded(json.loads(file.read_text())["url"])
        _, made = copied(embedded)
        os.kill(made["pid"], signal.SIGTERM)
        wait_for(lambda: gone(made["pid"]))
        assert file.exists()
        assert embedded.door("health", method="GET")["status"] == "ok"
        original.terminate()
    assert not file.exists()
