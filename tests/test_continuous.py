"""Continuous verification on an applied estate: the packaged function in its role, with nothing else at hand."""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.conftest import (
    ORCHESTRATION,
    REGION,
    STAGING,
    TARGET,
    Embedded,
    Stage,
    Validator,
    run_validator,
)
from tests.test_cli import TFVARS
from validator import accounts, continuous, packaging
from validator.findings import Outcome
from validator.invariants import INVARIANTS, judge
from validator.sources import declared as declarations
from validator.sources import live, tfvars

pytestmark = pytest.mark.slow

SERVERS = 30
"""As many as the env declares in each account, once it is applied: fewer are read sooner."""
NAME = "drs-continuous-verification-staging"
ROLE = "drs-verify-staging"
RUNTIME = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3")
"""What Lambda's own Python has."""

ROOT_MAY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ORCHESTRATION}:root"},
            "Action": "sts:AssumeRole",
        }
    ],
}

CALL = """
import importlib, json, sys
sys.path[:0] = sys.argv[2:]
module, name = sys.argv[1].rsplit(".", 1)
print(json.dumps(getattr(importlib.import_module(module), name)({}, None)))
loaded = {each.split(".")[0] for each in sys.modules}
assert not loaded & {"hcl2", "lark", "regex", "rich", "tfparse", "moto"}, loaded
"""


@dataclass(frozen=True)
class Deployed:
    """The estate of env `staging` as applied, with fewer servers, all extended, and the function's package."""

    embedded: Embedded
    checkout: Path
    unpacked: Path
    configuration: dict[str, Any]
    queue: str
    credentials: dict[str, str]

    def client(self, service: str, account: str = ORCHESTRATION) -> Any:
        return self.embedded.client(service, account)

    def setting(self, name: str) -> str:
        return str(self.configuration["Environment"]["Variables"][name])

    def environment(self) -> dict[str, str]:
        """The function's own environment."""
        return {
            **self.embedded.environment(ORCHESTRATION),
            **self.credentials,
            **self.configuration["Environment"]["Variables"],
            "AWS_REGION": REGION,
        }

    def run(self) -> "subprocess.CompletedProcess[str]":
        """One run of the function as Lambda makes it."""
        folders = [str(self.unpacked / each) for each in ("task", "runtime")]
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", CALL, self.configuration["Handler"], *folders],
            cwd="/", env=self.environment(), capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def told(self) -> list[tuple[str, str]]:
        """Subject and text of each message since the last call."""
        found = []
        sqs = self.client("sqs")
        while got := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for each in got:
                body = json.loads(each["Body"])
                found.append((body["Subject"], body["Message"]))
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=each["ReceiptHandle"])
        return found

    def measured(self, name: str, **dimensions: str) -> float | None:
        """The sum of a metric over all runs so far."""
        wanted = {"Environment": "staging", **dimensions}
        now = datetime.now(UTC)
        points = self.client("cloudwatch").get_metric_statistics(
            Namespace=self.setting("METRIC_NAMESPACE"),
            MetricName=name, Dimensions=[{"Name": k, "Value": v} for k, v in wanted.items()],
            StartTime=now - timedelta(hours=1), EndTime=now + timedelta(minutes=1), Period=7200, Statistics=["Sum"],
        )["Datapoints"]  # fmt: skip
        return sum(each["Sum"] for each in points) if points else None


def of_the_function(embedded: Embedded) -> dict[str, str]:
    """The role's credentials, which only Lambda can have: the trust lets this test in for a moment."""
    iam, arn = embedded.client("iam", ORCHESTRATION), f"arn:aws:iam::{ORCHESTRATION}:role/{ROLE}"
    trust = iam.get_role(RoleName=ROLE)["Role"]["AssumeRolePolicyDocument"]
    iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(ROOT_MAY))
    got = embedded.client("sts", ORCHESTRATION).assume_role(RoleArn=arn, RoleSessionName="function")
    iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(trust))
    return in_variables(got["Credentials"])


def in_variables(credentials: dict[str, Any]) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
    }


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, applied_stage: Stage) -> Iterator[Deployed]:
    checkout = tmp_path_factory.mktemp("checkout")
    with applied_stage.copied(checkout) as embedded:
        unpacked = tmp_path_factory.mktemp("function")
        with zipfile.ZipFile(checkout / "build/staging/continuous-verification.zip") as archive:
            archive.extractall(unpacked / "task")
        declare_fewer(checkout / TFVARS, unpacked / "task" / continuous.DECLARED)
        for account in (TARGET, STAGING):
            embedded.door(
                "source-servers", {"account": account, "region": REGION, "count": SERVERS}
            )
        extended = run_validator(checkout, "extend", "staging")
        assert extended.returncode == 0, extended.stdout + extended.stderr
        (unpacked / "runtime").mkdir()
        for each in RUNTIME:
            (unpacked / "runtime" / each).symlink_to(Path(boto3.__file__).parents[1] / each)
        sns, sqs = (embedded.client(each, ORCHESTRATION) for each in ("sns", "sqs"))
        configuration = embedded.client("lambda", ORCHESTRATION).get_function_configuration(
            FunctionName=NAME
        )
        queue = sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        topic = configuration["Environment"]["Variables"]["TOPIC_ARN"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        role = of_the_function(embedded)
        yield Deployed(embedded, checkout, unpacked, configuration, queue, role)


def declare_fewer(file: Path, packed: Path) -> None:
    """Declares SERVERS in each account, in the env and in the package, which has what the env has."""

    def declared() -> str:
        return declarations.packed(tfvars.read(file.parent), str(TFVARS))

    assert packed.read_text() == declared()
    fewer = {"(servers +=) 300": SERVERS, r"(wave-\d +=) 200": SERVERS * 2 // 3}
    for old, new in fewer.items():
        file.write_text(re.sub(old, rf"\1 {new}", file.read_text()))
    packed.write_text(declared())


def answer(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return loaded


def test_what_runs_is_the_package_in_the_trusted_role(deployed: Deployed) -> None:
    package = deployed.checkout / "build/staging/continuous-verification.zip"
    declared = tfvars.read(deployed.checkout / "terraform/envs/staging")
    assert deployed.configuration["CodeSha256"] == packaging.sha256(package)
    assert deployed.configuration["Role"] == tfvars.text(declared, "verifier_principal_arn")


def test_a_verdict_is_told_when_it_changes_and_only_then(deployed: Deployed) -> None:
    iam = deployed.client("iam", STAGING)
    policy = {
        "RoleName": f"DRSStagingAccountRole_{TARGET}",
        "PolicyArn": "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryStagingAccountPolicy_v2",
    }
    agent = {
        "RoleName": "DRSAgentInstallRole-staging",
        "PolicyArn": "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    }
    deployed.told()

    assert answer(deployed.run()) == {"verdict": "holds", "told": True}
    ((subject, text),) = deployed.told()
    assert subject == "DRS estate staging: holds"
    assert text.startswith("Env staging: holds.\n")

    shown = run_validator(deployed.checkout, "verify", "staging", "--format", "json")
    counts = json.loads(shown.stdout)["counts"]
    assert shown.returncode == 0
    assert deployed.measured("Verdict") == 0
    assert deployed.measured("Completed") == 1
    for outcome in ("holds", "violated", "unknown"):
        assert deployed.measured("Findings", Outcome=outcome) == counts[outcome]
    for account in ("target", "staging-1"):
        assert deployed.measured("Replicating", Account=account) == SERVERS
    assert deployed.measured("Extended", Account="staging-1") == SERVERS
    assert deployed.measured("Missing", Account="staging-1") == 0

    assert answer(deployed.run()) == {"verdict": "holds", "told": False}
    assert deployed.told() == []
    assert deployed.measured("Completed") == 2

    iam.detach_role_policy(**policy)
    assert answer(deployed.run()) == {"verdict": "violated", "told": True}
    ((subject, text),) = deployed.told()
    assert subject == "DRS estate staging: violated"
    assert text.startswith("Env staging: violated; it was holds before.\n")
    assert "violated extensions-are-healthy" in text
    assert deployed.measured("Verdict") == 1
    assert answer(deployed.run()) == {"verdict": "violated", "told": False}
    assert deployed.told() == []

    # A second thing that breaks does not hide behind the first.
    iam.detach_role_policy(**agent)
    assert answer(deployed.run()) == {"verdict": "violated", "told": True}
    ((_, text),) = deployed.told()
    assert "accounts-have-their-roles" in text

    for each in (policy, agent):
        iam.attach_role_policy(**each)
    assert answer(deployed.run()) == {"verdict": "holds", "told": True}
    assert [subject for subject, _ in deployed.told()] == ["DRS estate staging: holds"]


def test_an_account_that_is_denied_is_unknown(deployed: Deployed) -> None:
    iam, role = deployed.client("iam", STAGING), "DRSVerifierRole-staging"
    deployed.run()
    deployed.told()
    before = deployed.measured("Replicating", Account="staging-1")
    trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    nobody = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(nobody))
    try:
        assert answer(deployed.run()) == {"verdict": "unknown", "told": True}
        ((subject, text),) = deployed.told()
        assert subject == "DRS estate staging: unknown"
        assert "AccessDenied" in text
        # What is not known is no number.
        assert deployed.measured("Replicating", Account="staging-1") == before
    finally:
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))
    assert answer(deployed.run()) == {"verdict": "holds", "told": True}
    assert len(deployed.told()) == 1


LOST = [
    ("not JSON", "none"),
    ("JSON of another kind", "[]"),
    ("an outcome that is none", '{"outcome": "fine", "digest": "x"}'),
    ("half of it", '{"outcome": "holds"}'),
    ("gone", None),
]


@pytest.mark.parametrize("value", [row[1] for row in LOST], ids=[row[0] for row in LOST])
def test_a_lost_verdict_is_none_so_that_any_is_a_change(
    deployed: Deployed, value: str | None
) -> None:
    ssm, name = deployed.client("ssm"), deployed.setting("VERDICT_NAME")
    doors = continuous._Doors(deployed.environment())
    kept = continuous.Told(Outcome.HOLDS, "digest")
    doors.keep(kept)
    assert doors.last() == kept
    if value is None:
        ssm.delete_parameter(Name=name)
    else:
        ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    assert doors.last() is None


FAILURES = [
    ("the last verdict cannot be read", "ssm", "GetParameter", 1),
    ("the new verdict cannot be kept", "ssm", "PutParameter", 2),
    ("a metric cannot be put", "monitoring", None, 1),
    ("nothing can be told", "sns", None, 0),
]


@pytest.mark.parametrize(
    ("service", "operation", "messages"),
    [row[1:] for row in FAILURES],
    ids=[row[0] for row in FAILURES],
)
def test_whatever_fails_is_unknown_and_raised(
    deployed: Deployed, service: str, operation: str | None, messages: int
) -> None:
    name = deployed.setting("VERDICT_NAME")
    deployed.client("ssm").put_parameter(Name=name, Value="none", Type="String", Overwrite=True)
    deployed.told()
    completed, verdict = deployed.measured("Completed"), deployed.measured("Verdict")
    fault = {"kind": "deny", "service": service} | ({"operation": operation} if operation else {})
    deployed.embedded.door("faults", fault)
    try:
        done = deployed.run()
    finally:
        deployed.embedded.door("faults", method="DELETE")
    assert done.returncode != 0
    assert "Denied by the control door" in done.stderr
    told = deployed.told()
    assert len(told) == messages
    assert not told or told[-1][0] == "DRS estate staging: unknown"
    assert deployed.measured("Completed") == completed
    if service != "monitoring":
        assert verdict is not None
        assert deployed.measured("Verdict") == verdict + 2
    if service == "sns":  # what could not be told is told by the next run
        assert answer(deployed.run()) == {"verdict": "holds", "told": True}


def test_a_package_without_its_estate_is_unknown(deployed: Deployed) -> None:
    file = deployed.unpacked / "task/estate/declared.json"
    kept = file.read_text()
    deployed.told()
    for spoilt in ("", kept[:-20], kept.replace('"external_id"', '"external"')):
        file.write_text(spoilt)
        done = deployed.run()
        assert done.returncode != 0
        assert [subject for subject, _ in deployed.told()] == ["DRS estate staging: unknown"]
    file.write_text(kept)


def test_verify_reads_as_the_workflow_through_the_same_roles(deployed: Deployed) -> None:
    declared = tfvars.read(deployed.checkout / "terraform/envs/staging")
    arn = declared.values["continuous_verification"]["workflow_role_arn"]
    trust = json.dumps(ROOT_MAY)
    deployed.client("iam").create_role(RoleName=arn.split("/")[1], AssumeRolePolicyDocument=trust)
    got = deployed.client("sts").assume_role(RoleArn=arn, RoleSessionName="workflow")["Credentials"]
    workflow = {
        "CLOUD": "aws",
        "AWS_ENDPOINT_URL": deployed.embedded.url,
        "AWS_REGION": REGION,
        **in_variables(got),
    }
    done = run_validator(deployed.checkout, "verify", "staging", "--verifier-role", **workflow)
    assert done.returncode == 0, done.stdout + done.stderr
    # The role lets nobody else in, its own account's root included.
    refused = run_validator(deployed.checkout, "verify", "staging", "--verifier-role")
    assert refused.returncode == 2
    assert "AccessDenied" in refused.stderr


def test_the_verifier_role_may_do_what_verify_does_and_no_more(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls that the embedded AWS sees, against the actions that the applied role allows."""
    iam = deployed.client("iam", STAGING)
    # A customer-managed policy on a role of the estate, which is read as well.
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "ec2:DescribeRegions", "Resource": "*"}],
    }
    arn = iam.create_policy(PolicyName="read-regions", PolicyDocument=json.dumps(document))[
        "Policy"
    ]["Arn"]
    iam.attach_role_policy(RoleName="DRSAgentInstallRole-staging", PolicyArn=arn)
    declared = tfvars.read(deployed.checkout / "terraform/envs/staging")
    role = {**os.environ, **deployed.environment()}
    # A quota that was never applied in the account, so that AWS's default is asked for.
    never = (*live.QUOTAS, replace(live.QUOTAS[0], code="L-00000000"))
    monkeypatch.setattr(live, "QUOTAS", never)
    before = deployed.embedded.door("calls", method="GET")
    deployed.embedded.door("iam-enforcement", {"on": True})
    try:
        estate = live.read(declared, "staging", live.verifier(declared, role), deep=True)
        after = deployed.embedded.door("calls", method="GET")
    finally:
        deployed.embedded.door("iam-enforcement", {"on": False})
        iam.detach_role_policy(RoleName="DRSAgentInstallRole-staging", PolicyArn=arn)
    findings = judge(estate, INVARIANTS).findings
    assert not [finding for finding in findings if finding.outcome != "holds"]
    called = {name.replace(" ", ":") for name in after if after[name] != before.get(name)}
    needed = called - {"sts:AssumeRole", "sts:GetCallerIdentity"}  # the caller's, and anybody's
    for account in (TARGET, STAGING, ORCHESTRATION):
        policy = deployed.client("iam", account).get_role_policy(
            RoleName="DRSVerifierRole-staging", PolicyName="read-drs"
        )
        actions = [
            action
            for each in policy["PolicyDocument"]["Statement"]
            for action in _list(each["Action"])
        ]
        assert sorted(actions) == sorted(set(actions))
        assert set(actions) == needed


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_no_operation_that_is_denied_lets_the_estate_hold(
    checkout: Path, called: Validator, applied_here: Embedded
) -> None:
    """Denies each operation that a verification of six servers calls, one after the other."""
    file = checkout / TFVARS
    text = re.sub(r"(servers +=) 300", r"\1 3", file.read_text())
    file.write_text(re.sub(r"(wave-\d =) 200", r"\1 2", text))
    for account in (TARGET, STAGING):
        body = {"account": account, "region": REGION, "count": 3}
        applied_here.door("source-servers", body)
    assert called("extend", "staging").returncode == 0
    declared = tfvars.read(file.parent)
    role = tfvars.text(declared, "access_role_name")
    opener = accounts.opener(role, applied_here.environment(ORCHESTRATION))

    def outcome() -> Outcome:
        return judge(live.read(declared, "staging", opener), INVARIANTS).outcome

    before = applied_here.door("calls", method="GET")
    assert outcome() is Outcome.HOLDS
    after = applied_here.door("calls", method="GET")
    operations = [name.split(" ") for name in after if after[name] != before.get(name)]
    services = {"dynamodb", "drs", "ec2", "iam", "kms", "lambda", "servicequotas", "states", "sts"}
    assert {each for each, _ in operations} == services
    for service, operation in operations:
        fault = {"kind": "deny", "service": service, "operation": operation}
        applied_here.door("faults", fault)
        assert outcome() is Outcome.UNKNOWN, f"{service} {operation} was denied"
        applied_here.door("faults", method="DELETE")


def test_the_function_may_assume_verifier_roles_and_write_its_own_things_only(
    deployed: Deployed,
) -> None:
    declared = tfvars.read(deployed.checkout / "terraform/envs/staging")
    topic, place = deployed.setting("TOPIC_ARN"), f"{REGION}:{ORCHESTRATION}"
    queue = f"arn:aws:sqs:{place}:{NAME}-undelivered"
    ids = declarations.external_ids(declared)
    verifiers = [
        (
            f"Verify{account}",
            ["sts:AssumeRole"],
            [f"arn:aws:iam::{account}:role/DRSVerifierRole-staging"],
            {"StringEquals": {"sts:ExternalId": id_}},
        )
        for account, id_ in ids.items()
    ]
    own = [
        (
            "WriteMetrics",
            ["cloudwatch:PutMetricData"],
            ["*"],
            {"StringEquals": {"cloudwatch:namespace": deployed.setting("METRIC_NAMESPACE")}},
        ),
        (
            "KeepTheVerdict",
            ["ssm:GetParameter", "ssm:PutParameter"],
            [f"arn:aws:ssm:{place}:parameter{deployed.setting('VERDICT_NAME')}"],
            {},
        ),
        ("TellAChange", ["sns:Publish"], [topic], {}),
        ("LeaveWhatFailed", ["sqs:SendMessage"], [queue], {}),
        (
            "WriteLogs",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [f"arn:aws:logs:{place}:log-group:/aws/lambda/{NAME}:*"],
            {},
        ),
    ]
    policy = deployed.client("iam").get_role_policy(RoleName=ROLE, PolicyName="verify-and-tell")
    assert statements(policy["PolicyDocument"]) == sorted(verifiers + own)


def test_nobody_else_writes_to_the_queue_and_the_alarms_topic(deployed: Deployed) -> None:
    place = f"{REGION}:{ORCHESTRATION}"
    sqs, sns = deployed.client("sqs"), deployed.client("sns")
    url = sqs.get_queue_url(QueueName=f"{NAME}-undelivered")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
    rule = {"ArnEquals": {"aws:SourceArn": f"arn:aws:events:{place}:rule/{NAME}"}}
    assert statements(json.loads(queue["Policy"])) == [
        (
            "ScheduleLeavesWhatItCouldNotStart",
            ["sqs:SendMessage"],
            [f"arn:aws:sqs:{place}:{NAME}-undelivered"],
            rule,
        )
    ]
    topic = f"arn:aws:sns:{place}:{NAME}-alarms"
    alarms = {"ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:{place}:alarm:{NAME}-*"}}
    policy = sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
    assert statements(json.loads(policy)) == [
        ("AlarmsOfThisModule", ["sns:Publish"], [topic], alarms)
    ]


def statements(document: dict[str, Any]) -> list[tuple[str, list[str], list[str], dict[str, Any]]]:
    """Each statement's sid, actions, resources and conditions; all of them allow."""
    assert {each["Effect"] for each in document["Statement"]} == {"Allow"}
    assert not {"NotAction", "NotResource", "NotPrincipal"} & {
        k for each in document["Statement"] for k in each
    }
    return sorted(
        (
            each["Sid"],
            sorted(_list(each["Action"])),
            _list(each["Resource"]),
            each.get("Condition", {}),
        )
        for each in document["Statement"]
    )
