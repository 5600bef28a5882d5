"""EC2 instances of the control door: in EC2, in SSM's inventory, and as DRS knows them."""

import urllib.error
from typing import Any

import pytest

from tests.conftest import REGION, STAGING, TARGET, Embedded
from tests.emulator.clients import once, outcome
from tests.emulator.test_drs import initialise, template

pytestmark = pytest.mark.slow

SOURCE = "us-east-1"


def run(embedded: Embedded, count: int, account: str = STAGING, **more: Any) -> list[str]:
    body = {"account": account, "region": SOURCE, "count": count, **more}
    return list(embedded.door("instances", body)["instanceIDs"])


def inventory(embedded: Embedded, account: str = STAGING, **params: Any) -> list[dict[str, Any]]:
    ssm = embedded.client("ssm", account, SOURCE)
    pages = ssm.get_paginator("describe_instance_information").paginate(**params)
    return [item for page in pages for item in page["InstanceInformationList"]]


def ids(found: list[dict[str, Any]]) -> set[str]:
    return {item["InstanceId"] for item in found}


def test_instances_are_tagged_and_every_page_is_read(embedded: Embedded) -> None:
    account = "101010101010"
    made = run(embedded, 60, account, tags={"dr:wave": "wave-9", "team": "a"})
    ec2 = embedded.client("ec2", account, SOURCE)
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "tag:dr:wave", "Values": ["wave-9"]}], PaginationConfig={"PageSize": 25}
    )
    seen = [i for p in pages for r in p["Reservations"] for i in r["Instances"]]
    assert [i["InstanceId"] for i in seen] == made
    tags = [{t["Key"]: t["Value"] for t in i["Tags"]} for i in seen]
    assert {t["dr:enabled"] for t in tags} == {"true"}
    assert {t["dr:priority"] for t in tags} == {"1", "2", "3"}
    assert {t["team"] for t in tags} == {"a"}
    assert len({t["Name"] for t in tags}) == len(made)
    assert all(i["IamInstanceProfile"]["Arn"] for i in seen)
    assert ids(inventory(embedded, account)) == set(made)


def test_only_what_runs_and_may_speak_to_ssm_is_online(embedded: Embedded) -> None:
    account = "202020202020"
    iam = embedded.client("iam", account)
    iam.create_instance_profile(InstanceProfileName="mute")
    (good,) = run(embedded, 1, account)
    (bare,) = run(embedded, 1, account, profile=None)
    (mute,) = run(embedded, 1, account, profile="mute")
    (stopped,) = run(embedded, 1, account)
    embedded.client("ec2", account, SOURCE).stop_instances(InstanceIds=[stopped])
    (found,) = inventory(embedded, account)
    assert (found["InstanceId"], found["PingStatus"]) == (good, "Online")
    iam.detach_role_policy(
        RoleName="AWSElasticDisasterRecoveryAutomatedAgentInstallRole",
        PolicyArn="arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    )
    assert inventory(embedded, account) == []
    assert {bare, mute}.isdisjoint(ids(inventory(embedded, account)))


@pytest.fixture(scope="module")
def fleet(embedded: Embedded) -> dict[str, list[str]]:
    return {
        "linux": run(embedded, 7, tags={"team": "a"}),
        "windows": run(embedded, 2, platform="windows", prefix="mail"),
    }


FILTERS = [
    ("by platform", {"Key": "PlatformTypes", "Values": ["Windows"]}, {"windows"}),
    ("by tag", {"Key": "tag:team", "Values": ["a", "b"]}, {"linux"}),
    ("by a tag's key", {"Key": "tag-key", "Values": ["team"]}, {"linux"}),
    ("by state", {"Key": "PingStatus", "Values": ["Online"]}, {"linux", "windows"}),
    ("by another state", {"Key": "PingStatus", "Values": ["ConnectionLost"]}, set()),
]


@pytest.mark.parametrize(
    ("filter_", "kinds"), [f[1:] for f in FILTERS], ids=[f[0] for f in FILTERS]
)
def test_a_filter_of_the_inventory(
    embedded: Embedded, fleet: dict[str, list[str]], filter_: dict[str, Any], kinds: set[str]
) -> None:
    assert ids(inventory(embedded, Filters=[filter_])) == {i for k in kinds for i in fleet[k]}


def test_the_inventory_in_pages_of_five(embedded: Embedded, fleet: dict[str, list[str]]) -> None:
    paged = inventory(embedded, PaginationConfig={"PageSize": 5})
    assert len(paged) == len(ids(paged))
    assert ids(paged) == {each for kind in fleet.values() for each in kind}
    one = {"Key": "InstanceIds", "Values": fleet["windows"][:1]}
    (item,) = inventory(embedded, Filters=[one])
    assert item["PlatformName"].startswith("Microsoft Windows")
    ssm = once(embedded, "ssm", STAGING)
    unchecked = embedded.unchecked_client("ssm", STAGING).describe_instance_information
    for size in (4, 51):
        assert outcome(unchecked, MaxResults=size) == "ValidationException"
    odd = [{"Key": "Mood", "Values": ["good"]}]
    assert outcome(ssm.describe_instance_information, Filters=odd) == "InvalidFilterKey"


def test_agents_on_instances_register_them_as_they_are(
    embedded: Embedded, fleet: dict[str, list[str]]
) -> None:
    for account in (STAGING, TARGET):
        initialise(embedded, account).create_replication_configuration_template(**template())
    place = {"account": STAGING, "region": REGION}
    where = {"region": SOURCE}
    first = {**where, "ids": fleet["windows"]}

    def register(instances: dict[str, Any], account: str = STAGING, **more: Any) -> list[str]:
        body = {**place, "account": account, "instances": instances, **more}
        return list(embedded.door("source-servers", body)["sourceServerIDs"])

    def described(account: str = STAGING) -> dict[str, dict[str, Any]]:
        items = once(embedded, "drs", account).describe_source_servers()["items"]
        return {i["sourceProperties"]["identificationHints"]["awsInstanceID"]: i for i in items}

    assert len(register(first, tags={"x": "y"})) == 2
    assert set(described()) == set(fleet["windows"])
    item = described()[fleet["windows"][0]]
    assert item["sourceProperties"]["os"]["fullString"].startswith("Microsoft Windows")
    assert item["sourceCloudProperties"]["originRegion"] == SOURCE
    assert item["tags"]["Name"].startswith("mail-")
    assert (item["tags"]["dr:enabled"], item["tags"]["x"]) == ("true", "y")
    # An agent on every instance: those that have one stay as they are.
    assert len(register(where)) == len(fleet["linux"])
    assert register(where) == []
    assert set(described()) == {each for kind in fleet.values() for each in kind}
    # Agents that replicate elsewhere than their account, and one instance in two accounts.
    assert len(register({**where, "account": STAGING, "ids": fleet["linux"][:1]}, TARGET)) == 1
    (other,) = described(TARGET).values()
    assert other["sourceCloudProperties"]["originAccountID"] == STAGING
    embedded.client("ec2", STAGING, SOURCE).terminate_instances(InstanceIds=fleet["linux"][:1])
    with pytest.raises(urllib.error.HTTPError) as caught:
        register({**where, "ids": fleet["linux"][:1]})
    assert fleet["linux"][0] in caught.value.read().decode()
