"""SSM Run Command as its clients see it, and the agents that it installs."""

import itertools
import json
import time
import urllib.error
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import REGION, Embedded, fits
from tests.emulator.clients import outcome
from tests.emulator.test_aws_cli import Cli
from tests.emulator.test_drs import initialise, template
from validator.emulator import agents, documents

pytestmark = pytest.mark.slow

Item = dict[str, Any]

DOCUMENT = "AWSDisasterRecovery-InstallDRAgentOnInstance"
SOURCE = "us-east-1"
EC2_POLICY = "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryEc2InstancePolicy"
PROFILE_ROLE = "AWSElasticDisasterRecoveryAutomatedAgentInstallRole"
SECONDS = {"install": 0.3, "initial-sync": 0.4}

_accounts = itertools.count(200000000001)


def models_own(operation_model: Any, response_dict: Item, **_: object) -> None:
    """Fails if an answer of SSM does not fit botocore's model."""
    if response_dict["status_code"] < 300 and operation_model.output_shape is not None:
        answer = json.loads(response_dict["body"] or "{}")
        answer.pop("ExecutionElapsedTime", None)  # the model's pattern fits no duration
        fits(operation_model.output_shape, answer, operation_model.name)


class Fleet:
    """Instances of an account of their own."""

    def __init__(self, embedded: Embedded, count: int = 1, **options: Any) -> None:
        self.embedded, self.account = embedded, str(next(_accounts))
        self.ids = self.run(count, **options) if count else []
        self.ssm = embedded.client("ssm", self.account, SOURCE)
        self.ssm.meta.events.register("before-parse.ssm.*", models_own)
        self.unchecked = embedded.unchecked_client("ssm", self.account, SOURCE)

    def run(self, count: int, **options: Any) -> list[str]:
        body = {"account": self.account, "region": SOURCE, "count": count, **options}
        return list(self.embedded.door("instances", body)["instanceIDs"])

    def door(self, path: str, **body: Any) -> Any:
        return self.embedded.door(path, {"account": self.account, "region": SOURCE, **body})

    def ready(self, account: str | None = None) -> Any:
        """DRS of an account as agents need it; returns its client."""
        drs = initialise(self.embedded, account or self.account)
        drs.create_replication_configuration_template(**template())
        return drs

    def send(self, **params: Any) -> Item:
        sent = {
            "DocumentName": DOCUMENT,
            "InstanceIds": self.ids,
            "Parameters": {"Region": [REGION]},
        } | params
        return dict(self.ssm.send_command(**{k: v for k, v in sent.items() if v is not None}))

    def ended(self, sent: Item) -> Item:
        """A command that was sent, when it is over."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            identifier = sent["Command"]["CommandId"]
            (command,) = self.ssm.list_commands(CommandId=identifier)["Commands"]
            if command["Status"] not in {"Pending", "InProgress"}:
                return dict(command)
            time.sleep(0.05)
        raise TimeoutError(command)

    def result(self, sent: Item, instance: str | None = None) -> Item:
        """What became of a command on an instance, when it is over."""
        self.ended(sent)
        found = {"CommandId": sent["Command"]["CommandId"], "InstanceId": instance or self.ids[0]}
        return dict(self.ssm.get_command_invocation(**found))


@pytest.fixture(scope="module", autouse=True)
def quick(embedded: Embedded) -> None:
    embedded.door("delays", SECONDS)


@pytest.fixture
def fleet(embedded: Embedded) -> Fleet:
    return Fleet(embedded)


def servers(drs: Any) -> list[Item]:
    pages = drs.get_paginator("describe_source_servers").paginate()
    return [item for page in pages for item in page["items"]]


def states(drs: Any) -> set[str]:
    return {item["dataReplicationInfo"]["dataReplicationState"] for item in servers(drs)}


# Documents


@pytest.mark.parametrize("region", [SOURCE, "eu-west-1"])
def test_the_document_of_aws_is_everywhere(embedded: Embedded, region: str) -> None:
    ssm = embedded.client("ssm", str(next(_accounts)), region)
    ssm.meta.events.register("before-parse.ssm.*", models_own)
    described = ssm.describe_document(Name=DOCUMENT)["Document"]
    assert {each["Name"] for each in described["Parameters"]} == {"Region", "Tags"}
    facts = ("Owner", "DocumentType", "SchemaVersion", "Status")
    assert [described[fact] for fact in facts] == ["Amazon", "Command", "2.2", "Active"]
    assert set(described["PlatformTypes"]) == {"Linux", "Windows"}
    content = json.loads(ssm.get_document(Name=DOCUMENT)["Content"])
    assert REGION in content["parameters"]["Region"]["allowedValues"]
    assert "default" not in content["parameters"]["Region"]
    assert content["parameters"]["Tags"]["default"] == ""


def test_the_document_of_aws_is_nobody_s_to_change(fleet: Fleet) -> None:
    ssm, refused = fleet.ssm, "InvalidDocumentOperation"
    before = ssm.get_document(Name=DOCUMENT)
    assert outcome(ssm.delete_document, Name=DOCUMENT) == refused
    content = json.dumps(document())
    changed = {"Name": DOCUMENT, "Content": content, "DocumentVersion": "$LATEST"}
    assert outcome(ssm.update_document, **changed) == refused
    default = {"Name": DOCUMENT, "DocumentVersion": "1"}
    assert outcome(ssm.update_document_default_version, **default) == refused
    share = {"Name": DOCUMENT, "PermissionType": "Share", "AccountIdsToAdd": [fleet.account]}
    assert outcome(ssm.modify_document_permission, **share) == refused
    again = {"Name": DOCUMENT, "Content": content, "DocumentType": "Command"}
    assert outcome(ssm.create_document, **again) != "ok"
    assert ssm.get_document(Name=DOCUMENT)["Content"] == before["Content"]


def document(*lines: str, **more: Any) -> Item:
    """A document as our own deployer has one."""
    run = "sudo ./aws-replication-installer-init --no-prompt --region {{ Region }} --account-id {{ Account }}"
    return {
        "schemaVersion": "2.2",
        "parameters": {
            "Region": {"type": "String"},
            "Account": {"type": "String", "allowedPattern": "^[0-9]{12}$"},
            "Names": {"type": "StringList", "default": [], "allowedValues": ["a", "b"]},
        },
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "install",
                "inputs": {"runCommand": list(lines or (run,))},
            }
        ],
        **more,
    }


def create(fleet: Fleet, content: Item, name: str = "install-agent") -> None:
    fleet.ssm.create_document(Name=name, Content=json.dumps(content), DocumentType="Command")


def test_a_document_of_ones_own_as_terraform_keeps_it(fleet: Fleet) -> None:
    ssm, name = fleet.ssm, "install-agent"
    tags = [{"Key": "a", "Value": "b"}]
    made = ssm.create_document(
        Name=name, Content=json.dumps(document()), DocumentType="Command", Tags=tags
    )["DocumentDescription"]
    assert (made["Status"], made["PlatformTypes"]) == ("Active", ["Linux", "MacOS"])
    resource = {"ResourceType": "Document", "ResourceId": name}
    ssm.add_tags_to_resource(**resource, Tags=[{"Key": "c", "Value": "d"}])
    listed = ssm.list_tags_for_resource(**resource)["TagList"]
    assert {each["Key"]: each["Value"] for each in listed} == {"a": "b", "c": "d"}
    share = {"Name": name, "PermissionType": "Share"}
    ssm.modify_document_permission(**share, AccountIdsToAdd=["111122223333"])
    assert ssm.describe_document_permission(**share)["AccountIds"] == ["111122223333"]
    ssm.modify_document_permission(**share, AccountIdsToRemove=["111122223333"])
    other = json.dumps(document("true"))
    changed = {"Name": name, "Content": other, "DocumentVersion": "$LATEST"}
    version = ssm.update_document(**changed)["DocumentDescription"]["DocumentVersion"]
    assert ssm.get_document(Name=name)["Content"] != other
    ssm.update_document_default_version(Name=name, DocumentVersion=version)
    assert ssm.get_document(Name=name)["Content"] == other
    ssm.delete_document(Name=name)
    assert outcome(ssm.describe_document, Name=name) == "InvalidDocument"


CONTENTS: list[tuple[str, Item]] = [
    ("a name that no parameter has", document("echo {{ Regoin }}")),
    ("no steps", document(mainSteps=[])),
    ("steps of another schema", document(mainSteps={"action": "aws:runShellScript"})),
    ("a type that is not known", document(parameters={"Region": {"type": "Number"}})),
    (
        "a precondition that is not known",
        document(
            parameters={},
            mainSteps=[
                {
                    "action": "aws:runShellScript",
                    "name": "x",
                    "inputs": {"runCommand": ["true"]},
                    "precondition": {"StringEquals": ["moon", "full"]},
                }
            ],
        ),
    ),
]


@pytest.mark.parametrize("content", [c[1] for c in CONTENTS], ids=[c[0] for c in CONTENTS])
def test_content_that_is_refused(fleet: Fleet, content: Item) -> None:
    call = {"Name": "wrong", "Content": json.dumps(content), "DocumentType": "Command"}
    assert outcome(fleet.ssm.create_document, **call) == "InvalidDocumentContent"


# What SendCommand refuses


@pytest.fixture(scope="module")
def crowd(embedded: Embedded) -> dict[str, Any]:
    """An account with an instance of each kind, and a document of its own."""
    fleet = Fleet(embedded, 51)
    embedded.client("iam", fleet.account).create_instance_profile(InstanceProfileName="mute")
    found = {
        "fleet": fleet,
        "many": fleet.ids,
        "bare": fleet.run(1, profile=None),
        "mute": fleet.run(1, profile="mute"),
        "stopped": fleet.run(1),
        "lost": fleet.run(1),
        "windows": fleet.run(1, platform="windows"),
        "nobody's": ["i-00000000000000000"],
    }
    ec2 = embedded.client("ec2", fleet.account, SOURCE)
    ec2.stop_instances(InstanceIds=found["stopped"])
    fleet.door("instances/ping", ids=found["lost"], status="ConnectionLost")
    create(fleet, document())
    return found


def region(*values: str, **more: list[str]) -> Item:
    return {"Parameters": {"Region": list(values), **more}}


OWN = {"DocumentName": "install-agent"}
REFUSED: list[tuple[str, Item, str]] = [
    ("51 instances", {"InstanceIds": "many"}, "ValidationException"),
    ("an id that is none", {"InstanceIds": ["web-1"]}, "ValidationException"),
    ("six targets", {"InstanceIds": None, "Targets": [{"Key": "tag:a", "Values": ["b"]}] * 6},
     "ValidationException"),
    ("a target of another kind", {"InstanceIds": None, "Targets": [{"Key": "mood", "Values": ["b"]}]},
     "ValidationException"),
    ("neither instances nor targets", {"InstanceIds": None}, "ValidationException"),
    ("both", {"Targets": [{"Key": "tag:dr:enabled", "Values": ["true"]}]}, "ValidationException"),
    ("no time", {"TimeoutSeconds": 29}, "ValidationException"),
    ("too much time", {"TimeoutSeconds": 2592001}, "ValidationException"),
    ("a comment that is long", {"Comment": "x" * 101}, "ValidationException"),
    ("nothing at once", {"MaxConcurrency": "0"}, "ValidationException"),
    ("more than all at once", {"MaxConcurrency": "101%"}, "ValidationException"),
    ("less than no errors", {"MaxErrors": "-1"}, "ValidationException"),
    ("a document that is not there", {"DocumentName": "AWSDRS-InstallDRAgentOnInstance"},
     "InvalidDocument"),
    ("a document of another account", {"DocumentName":
     f"arn:aws:ssm:{SOURCE}:999999999999:document/install-agent"}, "InvalidDocument"),
    ("a version that is not there", {"DocumentVersion": "2"}, "InvalidDocumentVersion"),
    ("another content", {"DocumentHash": "0" * 64}, "InvalidDocument"),
    ("no Region", {"Parameters": {}}, "InvalidParameters"),
    ("parameters left out", {"Parameters": None}, "InvalidParameters"),
    ("two Regions", region(REGION, SOURCE), "InvalidParameters"),
    ("a Region without DRS", region("mars-west-1"), "InvalidParameters"),
    ("the seed's Region", {"Parameters": {"ReplicationServerRegion": [REGION]}}, "InvalidParameters"),
    ("the seed's account", region(REGION, StagingAccountID=["111122223333"]), "InvalidParameters"),
    ("a tag without a value", region(REGION, Tags=["Name"]), "InvalidParameters"),
    ("22 tags", region(REGION, Tags=[",".join(f"k{n}=v" for n in range(22))]), "InvalidParameters"),
    ("a value that fits no pattern", OWN | region(REGION, Account=["12"]), "InvalidParameters"),
    ("a list with a value that may not be", OWN | region(REGION, Account=["1" * 12], Names=["a", "c"]),
     "InvalidParameters"),
    ("an instance that is not there", {"InstanceIds": "nobody's"}, "InvalidInstanceId"),
    ("an instance without a profile", {"InstanceIds": "bare"}, "InvalidInstanceId"),
    ("an instance that may not speak", {"InstanceIds": "mute"}, "InvalidInstanceId"),
    ("an instance that is stopped", {"InstanceIds": "stopped"}, "InvalidInstanceId"),
    ("an instance that is not heard", {"InstanceIds": "lost"}, "InvalidInstanceId"),
    ("the same twice", {"InstanceIds": "twice"}, "DuplicateInstanceId"),
    ("an instance of another platform", OWN | region(REGION, Account=["1" * 12]) | {"InstanceIds": "windows"},
     "UnsupportedPlatformType"),
]  # fmt: skip


@pytest.mark.parametrize(("params", "code"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_a_command_that_is_refused_is_not_sent(
    crowd: dict[str, Any], params: Item, code: str
) -> None:
    fleet: Fleet = crowd["fleet"]
    good = fleet.ids[0]
    named = params.get("InstanceIds", [good])
    if named == "twice":
        params = params | {"InstanceIds": [good, good]}
    elif isinstance(named, str):
        odd = crowd[named]
        params = params | {"InstanceIds": odd if named in {"many", "windows"} else [good, *odd]}
    else:
        params = params | {"InstanceIds": named}
    sent = {"DocumentName": DOCUMENT, **region(REGION), **params}
    with pytest.raises(ClientError) as caught:
        fleet.unchecked.send_command(**{k: v for k, v in sent.items() if v is not None})
    assert caught.value.response["Error"]["Code"] == code
    said = caught.value.response["Error"]["Message"]
    if code == "InvalidInstanceId":
        assert crowd[str(named)][0] in said
        assert good not in said
    assert fleet.ssm.list_commands()["Commands"] == []


def test_the_seed_s_own_call_is_refused_by_name(crowd: dict[str, Any], tmp_path: Path) -> None:
    fleet: Fleet = crowd["fleet"]
    done = Cli(fleet.embedded, tmp_path).run(
        fleet.account, "ssm", "send-command", "--region", SOURCE,
        "--document-name", DOCUMENT, "--instance-ids", fleet.ids[0],
        "--parameters", "ReplicationServerRegion=us-west-2,StagingAccountID=111122223333",
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stdout == ""
    assert "(InvalidParameters)" in done.stderr
    for said in ("Region is required", "ReplicationServerRegion", "StagingAccountID"):
        assert said in done.stderr


def test_the_call_as_it_should_be(embedded: Embedded, tmp_path: Path) -> None:
    fleet = Fleet(embedded)
    cli = Cli(embedded, tmp_path)
    fleet.ready()
    sent = cli.answer(
        fleet.account, "ssm", "send-command", "--region", SOURCE, "--document-name", DOCUMENT,
        "--targets", "Key=tag:dr:enabled,Values=true", "--parameters", "Region=us-west-2",
    )  # fmt: skip
    assert sent["Command"]["Status"] == "Pending"
    found = {"CommandId": sent["Command"]["CommandId"], "InstanceId": fleet.ids[0]}
    fleet.ssm.get_waiter("command_executed").wait(**found, WaiterConfig={"Delay": 1})
    assert fleet.result(sent)["StatusDetails"] == "Success"


# What an install does


def test_an_agent_registers_its_instance(embedded: Embedded) -> None:
    fleet = Fleet(embedded, 2, tags={"team": "a"}, disks=[20, 500])
    drs = fleet.ready()
    sent = fleet.send(
        Parameters={"Region": [REGION], "Tags": ["Wave=1,Owner=team one"]}, Comment="wave 1"
    )
    command = sent["Command"]
    assert (command["Status"], command["StatusDetails"]) == ("Pending", "Pending")
    assert (command["TargetCount"], command["CompletedCount"], command["ErrorCount"]) == (2, 0, 0)
    assert (command["MaxConcurrency"], command["MaxErrors"]) == ("50", "0")
    assert (command["Comment"], command["TimeoutSeconds"]) == ("wave 1", 3600)
    assert servers(drs) == []
    result = fleet.result(sent)
    assert (result["Status"], result["ResponseCode"]) == ("Success", 0)
    seen = servers(drs)
    assert states(drs) <= {"INITIATING", "INITIAL_SYNC", "CONTINUOUS"}
    hints = {s["sourceProperties"]["identificationHints"]["awsInstanceID"]: s for s in seen}
    assert set(hints) == set(fleet.ids)
    server = hints[fleet.ids[0]]
    assert server["sourceServerID"] in result["StandardOutputContent"]
    assert server["tags"] == {"Wave": "1", "Owner": "team one"}
    origin = server["sourceCloudProperties"]
    assert (origin["originAccountID"], origin["originRegion"]) == (fleet.account, SOURCE)
    volumes = embedded.client("ec2", fleet.account, SOURCE).describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": fleet.ids[:1]}]
    )["Volumes"]
    sizes = sorted(volume["Size"] * 2**30 for volume in volumes)
    assert sizes == sorted(disk["bytes"] for disk in server["sourceProperties"]["disks"])
    assert sizes == [20 * 2**30, 500 * 2**30]
    # Again: the same server, whose tags stay.
    again = fleet.send(Parameters={"Region": [REGION], "Tags": ["Wave=2"]})
    assert fleet.ended(again)["Status"] == "Success"
    assert {s["sourceServerID"]: s["tags"] for s in servers(drs)} == {
        s["sourceServerID"]: s["tags"] for s in seen
    }


def test_a_new_agent_goes_on_to_continuous_by_itself(fleet: Fleet) -> None:
    drs = fleet.ready()
    fleet.embedded.door("delays", {"initial-sync": 1})
    try:
        sent, seen = fleet.send(), []
        while "CONTINUOUS" not in seen:  # only DRS is asked, and the install ends all the same
            seen += [each for each in states(drs) if each not in seen]
            time.sleep(0.05)
    finally:
        fleet.embedded.door("delays", SECONDS)
    assert seen == ["INITIATING", "INITIAL_SYNC", "CONTINUOUS"]
    assert fleet.result(sent)["Status"] == "Success"


def test_an_agent_that_was_disconnected_begins_anew(fleet: Fleet) -> None:
    drs = fleet.ready()
    fleet.result(fleet.send())
    (server,) = servers(drs)
    drs.disconnect_source_server(sourceServerID=server["sourceServerID"])
    assert states(drs) == {"DISCONNECTED"}
    fleet.result(fleet.send())
    (again,) = servers(drs)
    assert again["sourceServerID"] == server["sourceServerID"]
    assert again["dataReplicationInfo"]["dataReplicationState"] != "DISCONNECTED"


def detach(fleet: Fleet) -> None:
    iam = fleet.embedded.client("iam", fleet.account)
    iam.detach_role_policy(RoleName=PROFILE_ROLE, PolicyArn=EC2_POLICY)


def full(fleet: Fleet) -> None:
    fleet.ready()
    place = {"account": fleet.account, "region": REGION}
    fleet.embedded.door("quotas", {**place, "code": "L-C1D14A2B", "value": 1})
    fleet.embedded.door("source-servers", {**place, "count": 1})


def without_policy(fleet: Fleet) -> None:
    fleet.ready()
    detach(fleet)


FAILING: list[tuple[str, Callable[[Fleet], object], str]] = [
    ("DRS is not initialised", lambda fleet: None, "not being initialized"),
    (
        "there is no template",
        lambda fleet: initialise(fleet.embedded, fleet.account),
        "no replication configuration template",
    ),
    ("the account is full", full, "L-C1D14A2B of 1 exceeded"),
    ("the profile lacks the policy", without_policy, EC2_POLICY),
]


@pytest.mark.parametrize(("spoil", "said"), [f[1:] for f in FAILING], ids=[f[0] for f in FAILING])
def test_an_install_that_fails_says_why(
    fleet: Fleet, spoil: Callable[[Fleet], object], said: str
) -> None:
    spoil(fleet)
    sent = fleet.send()
    result = fleet.result(sent)
    assert (result["Status"], result["ResponseCode"]) == ("Failed", 1)
    assert said in result["StandardErrorContent"]
    assert fleet.ended(sent)["ErrorCount"] == 1
    (listed,) = fleet.ssm.list_command_invocations(
        CommandId=sent["Command"]["CommandId"], Details=True
    )["CommandInvocations"]
    assert said in listed["CommandPlugins"][0]["Output"]


OUTCOMES = [
    ("failed", "Failed", "disk full", 0),
    ("unregistered", "Success", "fine", 0),
    ("success", "Success", "fine", 1),
]


@pytest.mark.parametrize(("ordered", "status", "output", "registered"), OUTCOMES)
def test_an_install_ends_as_a_door_says(
    fleet: Fleet, ordered: str, status: str, output: str, registered: int
) -> None:
    drs = fleet.ready()
    fleet.door("installs", ids=fleet.ids, outcome=ordered, output=output)
    result = fleet.result(fleet.send())
    assert result["Status"] == status
    kind = "StandardErrorContent" if status == "Failed" else "StandardOutputContent"
    assert result[kind] == output
    assert len(servers(drs)) == registered
    fleet.door("installs", ids="all", outcome="success")
    assert fleet.result(fleet.send())["StatusDetails"] == "Success"
    assert len(servers(drs)) == 1


# Into another account


def cross(fleet: Fleet, into: str, *, agent: bool = True, authorized: bool = True) -> None:
    """The roles that let agents of the fleet register in another account."""
    iam = fleet.embedded.client("iam", fleet.account)
    name = f"DRSCrossAccountAgentAuthorizedRole_{into}"
    arn = f"arn:aws:iam::{fleet.account}:role/service-role/{name}"
    principal = {"Effect": "Allow", "Action": "sts:AssumeRole"}

    def make(client: Any, role: str, statement: Item) -> None:
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        client.create_role(RoleName=role, Path="/service-role/", AssumeRolePolicyDocument=trust)

    root = f"arn:aws:iam::{fleet.account}:root"
    if authorized:
        make(iam, name, principal | {"Principal": {"AWS": root}})
    if agent:
        other = fleet.embedded.client("iam", into)
        condition = {"ArnEquals": {"aws:PrincipalArn": arn}}
        role = f"DRSCrossAccountAgentRole_{fleet.account}"
        make(other, role, principal | {"Principal": {"AWS": root}, "Condition": condition})
        other.attach_role_policy(RoleName=role, PolicyArn=EC2_POLICY)


def into(fleet: Fleet, account: str) -> Item:
    create(fleet, document())
    parameters = {"Region": [REGION], "Account": [account]}
    return fleet.send(DocumentName="install-agent", Parameters=parameters)


def test_an_agent_registers_in_another_account(fleet: Fleet) -> None:
    other = str(next(_accounts))
    drs = fleet.ready(other)
    cross(fleet, other)
    assert fleet.result(into(fleet, other))["StatusDetails"] == "Success"
    (server,) = servers(drs)
    assert server["sourceCloudProperties"]["originAccountID"] == fleet.account
    assert server["tags"] == {}


@pytest.mark.parametrize("missing", ["agent", "authorized"])
def test_no_agent_registers_where_a_role_is_missing(fleet: Fleet, missing: str) -> None:
    other = str(next(_accounts))
    drs = fleet.ready(other)
    cross(fleet, other, **{missing: False})
    result = fleet.result(into(fleet, other))
    assert result["Status"] == "Failed"
    assert "AccessDenied" in result["StandardErrorContent"]
    assert "sts:AssumeRole" in result["StandardErrorContent"]
    assert servers(drs) == []


def test_no_agent_registers_where_the_role_trusts_another(fleet: Fleet) -> None:
    other = str(next(_accounts))
    drs = fleet.ready(other)
    cross(fleet, other)
    iam = fleet.embedded.client("iam", other)
    role = f"DRSCrossAccountAgentRole_{fleet.account}"
    trust = json.loads(json.dumps(iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]))
    trust["Statement"][0]["Condition"]["ArnEquals"]["aws:PrincipalArn"] += "0"
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))
    assert "AccessDenied" in fleet.result(into(fleet, other))["StandardErrorContent"]
    assert servers(drs) == []


def test_the_own_account_needs_no_such_roles(fleet: Fleet) -> None:
    drs = fleet.ready()
    assert fleet.result(into(fleet, fleet.account))["StatusDetails"] == "Success"
    assert len(servers(drs)) == 1


def test_a_shared_document_is_sent_by_its_arn(fleet: Fleet) -> None:
    other = Fleet(fleet.embedded)
    create(fleet, document("true", parameters={}))
    arn = f"arn:aws:ssm:{SOURCE}:{fleet.account}:document/install-agent"
    sent = {"DocumentName": arn, "InstanceIds": other.ids}
    assert outcome(other.ssm.send_command, **sent) == "InvalidDocument"
    fleet.ssm.modify_document_permission(
        Name="install-agent", PermissionType="Share", AccountIdsToAdd=[other.account]
    )
    assert other.result(other.ssm.send_command(**sent))["Status"] == "Success"


# Scripts


def step(script: str, action: str = "aws:runShellScript") -> documents.Step:
    return documents.Step("install", action, script, 60)


LINUX = "aws-replication-installer-init"
PLAIN = agents.Install(REGION)
SCRIPTS: list[tuple[str, str, object]] = [
    ("nothing of ours", "yum update -y", None),
    ("only fetched", f"wget -O ./{LINUX} https://x/latest/linux/{LINUX}\nchmod +x {LINUX}", None),
    ("plain", f"sudo ./{LINUX} --region {REGION} --no-prompt", PLAIN),
    ("by Python", f"python3 {LINUX}.py\npython3 {LINUX} --region={REGION} --no-prompt", PLAIN),
    ("over two lines", f"./{LINUX} \\\n --region {REGION} --no-prompt", PLAIN),
    ("after another", f"cd /tmp && ./{LINUX} --region {REGION} --no-prompt | tee log", PLAIN),
    ("a variable", f"export R='{REGION}'\n./{LINUX} --region \"${{R}}\" --no-prompt", PLAIN),
    (
        "account and tags",
        f"./{LINUX} --region {REGION} --account-id {'1' * 12} --tags a=b 'c=d e' --no-prompt",
        agents.Install(REGION, "1" * 12, {"a": "b", "c": "d e"}),
    ),
    ("no tags", f"./{LINUX} --region {REGION} --no-prompt --tags ''", PLAIN),
]


@pytest.mark.parametrize(("script", "meant"), [s[1:] for s in SCRIPTS], ids=[s[0] for s in SCRIPTS])
def test_a_script_that_installs(script: str, meant: object) -> None:
    assert agents.requested("own", {}, step(script)) == meant


def test_a_script_of_windows_that_installs() -> None:
    for line in (
        f".\\AwsReplicationWindowsInstaller.exe --region {REGION} --no-prompt",
        f"$r = '{REGION}'\n& C:\\Temp\\AwsReplicationWindowsInstaller.exe --region $r --no-prompt",
        "$i = Join-Path $env:TEMP 'AwsReplicationWindowsInstaller.exe'\n"
        f"& $i --region {REGION} --no-prompt",
        "Start-Process -FilePath .\\AwsReplicationWindowsInstaller.exe -ArgumentList "
        f"'--region {REGION} --no-prompt' -Wait",
    ):
        found = agents.requested("own", {}, step(line, "aws:runPowerShellScript"))
        assert found == PLAIN, line


UNCLEAR = [
    ("no arguments", f"./{LINUX}", "--region"),
    ("nobody answers", f"./{LINUX} --region {REGION}", "--no-prompt"),
    ("an invented argument", f"./{LINUX} --region {REGION} --no-prompt --target-account-id 1",
     "--target-account-id"),
    ("no account id", f"./{LINUX} --region {REGION} --no-prompt --account-id 12", "--account-id"),
    ("an empty account id", f"./{LINUX} --region {REGION} --no-prompt --account-id ''", "--account-id"),
    ("a Region without DRS", f"./{LINUX} --region mars-1 --no-prompt", "mars-1"),
    ("no value", f"./{LINUX} --no-prompt --region", "--region"),
    ("a tag without a value", f"./{LINUX} --region {REGION} --no-prompt --tags a", "--tags"),
    ("what nobody set", f"./{LINUX} --region $R --no-prompt", "$R"),
    ("all that was given", f"./{LINUX} --region {REGION} --no-prompt \"$@\"", "$@"),
    ("an open quote", f"./{LINUX} --region '{REGION} --no-prompt", "quotation"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "said"), [u[1:] for u in UNCLEAR], ids=[u[0] for u in UNCLEAR])
def test_a_script_that_cannot_install(script: str, said: str) -> None:
    found = agents.requested("own", {}, step(script))
    assert isinstance(found, agents.Result)
    assert found.code != 0
    assert said in found.error


def test_a_document_for_both_platforms(embedded: Embedded) -> None:
    fleet = Fleet(embedded)
    fleet.ids += fleet.run(1, platform="windows")
    drs = fleet.ready()
    content = json.loads(fleet.ssm.get_document(Name=DOCUMENT)["Content"])
    create(fleet, content)
    sent = fleet.send(
        DocumentName="install-agent", Parameters={"Region": [REGION], "Tags": ["a=b"]}
    )
    plugins = {
        each["InstanceId"]: each["CommandPlugins"][0]["Name"]
        for each in invocations(fleet, fleet.ended(sent), Details=True)
    }
    assert plugins == dict(zip(fleet.ids, ("InstallOnLinux", "InstallOnWindows"), strict=True))
    assert [server["tags"] for server in servers(drs)] == [{"a": "b"}] * 2


# Targets and lists


def invocations(fleet: Fleet, command: Item, **params: Any) -> list[Item]:
    asked = {"CommandId": command["CommandId"], **params}
    pages = fleet.ssm.get_paginator("list_command_invocations").paginate(**asked)
    return [item for page in pages for item in page["CommandInvocations"]]


def targets(fleet: Fleet, *found: Item) -> Item:
    commands = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}}
    return fleet.send(InstanceIds=None, Targets=list(found), **commands)


def test_targets_are_found_when_the_command_is_answered(embedded: Embedded) -> None:
    fleet = Fleet(embedded, 3, tags={"team": "a", "dr:wave": "1"})
    others = fleet.run(2, tags={"team": "b", "dr:wave": "1"})
    wave, team = (
        {"Key": f"tag:{k}", "Values": v} for k, v in (("dr:wave", ["1"]), ("team", ["a"]))
    )

    def reached(*found: Item) -> set[str]:
        sent = targets(fleet, *found)
        assert sent["Command"]["TargetCount"] == 0
        command = fleet.ended(sent)
        listed = {each["InstanceId"] for each in invocations(fleet, command)}
        assert command["TargetCount"] == len(listed)
        return listed

    assert reached(wave) == {*fleet.ids, *others}
    assert reached(wave, team) == set(fleet.ids)
    assert reached({"Key": "tag:team", "Values": ["b", "c"]}) == set(others)
    assert reached({"Key": "InstanceIds", "Values": others}) == set(others)
    nobody = fleet.ended(targets(fleet, {"Key": "tag:team", "Values": ["z"]}))
    assert (nobody["StatusDetails"], nobody["TargetCount"]) == ("NoInstancesInTag", 0)


def test_a_target_of_another_platform(embedded: Embedded) -> None:
    fleet = Fleet(embedded)
    windows = fleet.run(1, platform="windows")
    sent = targets(fleet, {"Key": "tag:dr:enabled", "Values": ["true"]})
    command = fleet.ended(sent)
    assert (command["Status"], command["StatusDetails"]) == ("Failed", "Incomplete")
    assert (command["CompletedCount"], command["ErrorCount"]) == (2, 0)
    assert fleet.result(sent)["Status"] == "Success"
    result = fleet.result(sent, windows[0])
    assert (result["Status"], result["StatusDetails"]) == ("Failed", "InvalidPlatform")


def test_lists_in_pages_and_by_filter(embedded: Embedded) -> None:
    fleet = Fleet(embedded, 12)
    shell = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}}
    sent = [fleet.send(**shell, Comment=str(n))["Command"] for n in range(4)]
    first = fleet.ssm.list_commands(CommandId=sent[0]["CommandId"])["Commands"][0]
    failing = fleet.send()
    for each in [*({"Command": s} for s in sent), failing]:
        fleet.ended(each)

    def ids(**params: Any) -> list[str]:
        pages = fleet.ssm.get_paginator("list_commands").paginate(**params)
        return [each["CommandId"] for page in pages for each in page["Commands"]]

    def filtered(key: str, value: str) -> list[str]:
        return ids(Filters=[{"key": key, "value": value}])

    newest_first = [each["CommandId"] for each in reversed([*sent, failing["Command"]])]
    assert ids(PaginationConfig={"PageSize": 2}) == newest_first
    assert ids(InstanceId=fleet.ids[3]) == newest_first
    assert ids(InstanceId="i-00000000000000000") == []
    assert filtered("DocumentName", DOCUMENT) == newest_first[:1]
    assert filtered("Status", "Failed") == newest_first[:1]
    assert filtered("Status", "Success") == newest_first[1:]
    assert filtered("ExecutionStage", "Executing") == []
    then = first["RequestedDateTime"].isoformat()
    assert filtered("InvokedAfter", "2001-01-01T00:00:00Z") == newest_first
    assert filtered("InvokedBefore", "2001-01-01T00:00:00Z") == []
    after, before = filtered("InvokedAfter", then), filtered("InvokedBefore", then)
    assert set(after) | set(before) == set(newest_first)
    assert not set(after) & set(before)
    listed = invocations(fleet, failing["Command"], PaginationConfig={"PageSize": 5})
    assert sorted(each["InstanceId"] for each in listed) == sorted(fleet.ids)
    failed = [{"key": "Status", "value": "Failed"}]
    assert invocations(fleet, failing["Command"], Filters=failed) == listed
    assert invocations(fleet, sent[0], Filters=failed) == []
    assert len(invocations(fleet, sent[0], InstanceId=fleet.ids[0])) == 1
    for method in (fleet.unchecked.list_commands, fleet.unchecked.list_command_invocations):
        for size in (0, 51):
            assert outcome(method, MaxResults=size) == "ValidationException"
        assert outcome(method, NextToken="next") == "InvalidNextToken"


def test_what_is_not_there(fleet: Fleet) -> None:
    other = Fleet(fleet.embedded, 0)
    command = fleet.send()["Command"]["CommandId"]
    unknown = "00000000-0000-0000-0000-000000000000"
    get = fleet.ssm.get_command_invocation
    here = {"CommandId": command, "InstanceId": fleet.ids[0]}
    assert outcome(get, **here) == "ok"
    assert outcome(get, **here | {"CommandId": unknown}) == "InvocationDoesNotExist"
    assert outcome(get, **here | {"InstanceId": "i-00000000000000000"}) == "InvocationDoesNotExist"
    assert outcome(other.ssm.get_command_invocation, **here) == "InvocationDoesNotExist"
    assert outcome(get, **here, PluginName="dance") == "InvalidPluginName"
    for call in (
        fleet.ssm.list_commands,
        fleet.ssm.list_command_invocations,
        fleet.ssm.cancel_command,
    ):
        assert outcome(call, CommandId=unknown) == "InvalidCommandId"
    odd = {"CommandId": command, "InstanceIds": ["i-00000000000000000"]}
    assert outcome(fleet.ssm.cancel_command, **odd) == "InvalidInstanceId"


# At size


def test_three_hundred_installs_and_no_more(embedded: Embedded) -> None:
    """Ten too many, ordered at once and polled by several clients."""
    fleet = Fleet(embedded, 310)
    drs = fleet.ready()
    batches = [fleet.ids[n : n + 50] for n in range(0, 310, 50)]

    def run(ids: list[str]) -> Item:
        return fleet.ended(fleet.send(InstanceIds=ids, MaxErrors="100%"))

    with ThreadPoolExecutor(len(batches)) as pool:
        commands = list(pool.map(run, batches))
    assert sum(command["ErrorCount"] for command in commands) == 10
    assert sum(command["CompletedCount"] for command in commands) == 310
    failed = [
        each["InstanceId"]
        for command in commands
        for each in invocations(fleet, command)
        if each["Status"] == "Failed"
    ]
    registered = {
        s["sourceProperties"]["identificationHints"]["awsInstanceID"] for s in servers(drs)
    }
    assert len(registered) == 300
    assert registered == set(fleet.ids) - set(failed)


# Doors


WRONG: list[tuple[str, Item, str]] = [
    ("installs", {"ids": "all", "outcome": "explode"}, "outcome must be one of"),
    ("installs", {"ids": "all", "outcome": "failed", "ouput": "x"}, "unknown: ['ouput']"),
    ("installs", {"outcome": "failed"}, "ids"),
    ("installs", {"ids": ["i-0"], "outcome": "failed"}, "i-0"),
    ("instances/ping", {"ids": ["i-0"], "status": "Online"}, "i-0"),
    ("instances/ping", {"ids": [], "status": "Asleep"}, "status must be one of"),
    ("instances/ping", {"ids": [], "status": "Online", "state": 1}, "unknown: ['state']"),
    ("instances", {"count": 1, "architecture": "ppc64"}, "architecture must be one of"),
    (
        "instances",
        {"count": 1, "architecture": "arm64", "platform": "windows"},
        "architecture must be one of",
    ),
    ("instances", {"count": 1, "disks": []}, "disks must be a list"),
    ("instances", {"count": 1, "disks": ["8"]}, "disks must be a list"),
]


@pytest.mark.parametrize(("path", "body", "said"), WRONG, ids=[f"{w[0]} {w[2]}" for w in WRONG])
def test_a_door_says_what_is_wrong(fleet: Fleet, path: str, body: Item, said: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        fleet.door(path, **body)
    assert caught.value.code == 400
    assert said in json.load(caught.value)["error"]


def test_instances_of_a_kind(embedded: Embedded) -> None:
    fleet = Fleet(embedded, 0)
    fleet.run(1, architecture="arm64")
    fleet.run(1, type="c6i.32xlarge", disks=[8, 16, 32])
    ec2 = embedded.client("ec2", fleet.account, SOURCE)
    found = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    arm, big = found
    assert (arm["Architecture"], arm["InstanceType"][:3] in {"m6g", "r6g"}) == ("arm64", True)
    assert (big["Architecture"], big["InstanceType"]) == ("x86_64", "c6i.32xlarge")
    sizes = {}
    for volume in ec2.describe_volumes()["Volumes"]:
        (attachment,) = volume["Attachments"]
        sizes.setdefault(attachment["InstanceId"], []).append(volume["Size"])
    assert {key: sorted(value) for key, value in sizes.items()} == {
        arm["InstanceId"]: [8],
        big["InstanceId"]: [8, 16, 32],
    }
    assert {m["DeviceName"] for m in big["BlockDeviceMappings"]} >= {big["RootDeviceName"]}


def test_a_lost_connection_shows_in_the_inventory(embedded: Embedded) -> None:
    fleet = Fleet(embedded, 2)

    def pings() -> dict[str, str]:
        listed = fleet.ssm.describe_instance_information()["InstanceInformationList"]
        return {each["InstanceId"]: each["PingStatus"] for each in listed}

    assert set(pings().values()) == {"Online"}
    fleet.door("instances/ping", ids=fleet.ids[:1], status="ConnectionLost")
    assert pings() == {fleet.ids[0]: "ConnectionLost", fleet.ids[1]: "Online"}
    fleet.door("instances/ping", ids=fleet.ids, status="Online")
    assert set(pings().values()) == {"Online"}
