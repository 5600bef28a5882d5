"""IAM enforcement: what a role may do is what its policies say, and no more."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import ORCHESTRATION, REGION, STAGING, TARGET, Embedded
from tests.emulator.clients import Keys, assume, once, outcome, register, server_arn, trusting
from tests.emulator.test_functions import zipped

pytestmark = pytest.mark.slow

ROLE = f"arn:aws:iam::{STAGING}:role/Worker"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ORCHESTRATION}:root"},
            "Action": "sts:AssumeRole",
        }
    ],
}
Statement = dict[str, Any]


def document(*statements: Statement) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, resource: str = "*", **more: Any) -> Statement:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


def deny(*actions: str, **more: Any) -> Statement:
    return allow(*actions, **more) | {"Effect": "Deny"}


def when(operator: str, key: str, value: str) -> dict[str, Any]:
    return {"Condition": {operator: {key: value}}}


class Worker:
    """A role whose only inline policy each test sets, and its keys."""

    def __init__(self, embedded: Embedded, servers: list[str], key: str) -> None:
        self.embedded, self.servers, self.key = embedded, servers, key
        self.iam = embedded.client("iam", STAGING)

    def may(self, *statements: Statement) -> None:
        if statements:
            self.iam.put_role_policy(
                RoleName="Worker", PolicyName="own", PolicyDocument=document(*statements)
            )
        elif self.iam.list_role_policies(RoleName="Worker")["PolicyNames"]:
            self.iam.delete_role_policy(RoleName="Worker", PolicyName="own")

    def client(self, service: str, keys: Keys | None = None) -> Any:
        return once(self.embedded, service, STAGING, keys or assume(self.embedded, ROLE))


@pytest.fixture(scope="module")
def worker(embedded: Embedded) -> Iterator[Worker]:
    key = trusting(embedded)
    servers = register(embedded, 2)
    embedded.client("iam", STAGING).create_role(
        RoleName="Worker", AssumeRolePolicyDocument=json.dumps(TRUST)
    )
    embedded.door("iam-enforcement", {"on": True})
    yield Worker(embedded, servers, key)
    embedded.door("iam-enforcement", {"on": False})


LIST = "drs:DescribeSourceServers"
REGION_IS = "aws:RequestedRegion"
LISTING: list[tuple[str, list[Statement], bool]] = [
    ("nothing", [], False),
    ("the action", [allow(LIST)], True),
    ("another action", [allow("drs:DescribeJobs")], False),
    ("a wildcard", [allow("drs:Describe*")], True),
    ("all but others", [{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], True),
    ("another resource", [allow(LIST, resource=server_arn("s-1"))], False),
    ("denied", [allow("*"), deny(LIST)], False),
    ("denied elsewhere", [allow("*"), deny("drs:Create*")], True),
    ("in this Region", [allow(LIST, **when("StringEquals", REGION_IS, REGION))], True),
    ("in another Region", [allow(LIST, **when("StringEquals", REGION_IS, "eu-west-1"))], False),
    ("as this role", [allow(LIST, **when("ArnLike", "aws:PrincipalArn", ROLE))], True),
    ("denied here", [allow("*"), deny(LIST, **when("StringEquals", REGION_IS, REGION))], False),
    ("denied there", [allow("*"), deny(LIST, **when("StringEquals", REGION_IS, "x"))], True),
    ("with a key that is absent", [allow(LIST, **when("StringEquals", "aws:x", "y"))], False),
    ("by an unknown operator", [allow(LIST, **when("NumericEquals", REGION_IS, "1"))], False),
    ("by one over nothing", [allow(LIST, **when("DateLessThanIfExists", "aws:x", "1"))], False),
    (
        "with an unclear denial",
        [allow("*"), deny(LIST, **when("NumericEquals", REGION_IS, "1"))],
        False,
    ),
]


@pytest.mark.parametrize(
    ("statements", "allowed"), [r[1:] for r in LISTING], ids=[r[0] for r in LISTING]
)
def test_what_the_roles_own_policy_lets_through(
    worker: Worker, statements: list[Statement], allowed: bool
) -> None:
    worker.may(*statements)
    said = outcome(worker.client("drs").describe_source_servers)
    assert said == ("ok" if allowed else "AccessDeniedException")


Call = Callable[[Worker], str]


def drs(operation: str, **params: Any) -> Call:
    return lambda w: outcome(getattr(w.client("drs"), operation), **params)


def own(operation: str) -> Call:
    return lambda w: outcome(getattr(w.client("drs"), operation), sourceServerID=w.servers[0])


def of(service: str, operation: str, **params: Any) -> Call:
    return lambda w: outcome(getattr(w.client(service), operation), **params)


TAGS = {"tags": {"a": "b"}}
WORKER = f"arn:aws:iam::{STAGING}:role/Worker"
CALLS: list[tuple[str, Call, str, str, str]] = [
    (
        "GetReplicationConfiguration",
        own("get_replication_configuration"),
        "drs:GetReplicationConfiguration",
        server_arn("*"),
        "AccessDeniedException",
    ),
    (
        "DescribeRecoverySnapshots",
        own("describe_recovery_snapshots"),
        "drs:DescribeRecoverySnapshots",
        server_arn("*"),
        "AccessDeniedException",
    ),
    (
        "StartRecovery",
        lambda w: outcome(
            w.client("drs").start_recovery, sourceServers=[{"sourceServerID": w.servers[1]}]
        ),
        "drs:StartRecovery",
        server_arn("*"),
        "AccessDeniedException",
    ),
    (
        "TagResource",
        lambda w: outcome(
            w.client("drs").tag_resource, resourceArn=server_arn(w.servers[0]), **TAGS
        ),
        "drs:TagResource",
        server_arn("*"),
        "AccessDeniedException",
    ),
    (
        "ListTagsForResource",
        lambda w: outcome(
            w.client("drs").list_tags_for_resource, resourceArn=server_arn(w.servers[0])
        ),
        "drs:ListTagsForResource",
        server_arn("*"),
        "AccessDeniedException",
    ),
    ("DescribeJobs", drs("describe_jobs"), "drs:DescribeJobs", "*", "AccessDeniedException"),
    ("GetRole", of("iam", "get_role", RoleName="Worker"), "iam:GetRole", WORKER, "AccessDenied"),
    (
        "DescribeInstances",
        of("ec2", "describe_instances"),
        "ec2:DescribeInstances",
        "*",
        "UnauthorizedOperation",
    ),
    ("ListKeys", of("kms", "list_keys"), "kms:ListKeys", "*", "AccessDeniedException"),
    (
        "DescribeKey",
        lambda w: outcome(w.client("kms").describe_key, KeyId=w.key),
        "kms:DescribeKey",
        f"arn:aws:kms:{REGION}:{STAGING}:key/*",
        "AccessDeniedException",
    ),
    (
        "ListServiceQuotas",
        of("service-quotas", "list_service_quotas", ServiceCode="drs"),
        "servicequotas:ListServiceQuotas",
        "*",
        "AccessDeniedException",
    ),
    (
        "DescribeInstanceInformation",
        of("ssm", "describe_instance_information"),
        "ssm:DescribeInstanceInformation",
        "*",
        "AccessDeniedException",
    ),
    (
        "ListMetrics",
        of("cloudwatch", "list_metrics"),
        "cloudwatch:ListMetrics",
        "*",
        "AccessDeniedException",
    ),
    (
        "AssumeRole",
        of("sts", "assume_role", RoleArn=f"arn:aws:iam::{STAGING}:role/Next", RoleSessionName="ab"),
        "sts:AssumeRole",
        f"arn:aws:iam::{STAGING}:role/Next",
        "AccessDenied",
    ),
]


ARN = f"arn:aws:%s:{REGION}:{STAGING}:%s"
LAMBDA, TABLE = ARN % ("lambda", "function:worker"), ARN % ("dynamodb", "table/worker")
MACHINE, QUEUE = ARN % ("states", "stateMachine:worker"), ARN % ("sqs", "worker")
TOPIC, GROUP = ARN % ("sns", "worker"), ARN % ("logs", "log-group:worker:*")
ITEM = {"id": {"S": "one"}}
PUT = {"Put": {"TableName": "worker", "Item": ITEM}}
TARGET_TAGS = [{"Key": "tag:dr:enabled", "Values": ["true"]}]
METRIC = [{"MetricName": "x", "Value": 1.0}]
SERVICES: list[tuple[str, str, dict[str, Any], str, str, str]] = [
    ("dynamodb", "put_item", {"TableName": "worker", "Item": ITEM}, "dynamodb:PutItem", TABLE, "AccessDeniedException"),
    ("dynamodb", "put_item", {"TableName": TABLE, "Item": ITEM}, "dynamodb:PutItem", TABLE, "AccessDeniedException"),
    ("dynamodb", "transact_write_items", {"TransactItems": [PUT]}, "dynamodb:PutItem", TABLE, "AccessDeniedException"),
    ("dynamodb", "batch_get_item", {"RequestItems": {"worker": {"Keys": [ITEM]}}}, "dynamodb:BatchGetItem", TABLE, "AccessDeniedException"),
    ("dynamodb", "scan", {"TableName": "worker", "IndexName": "by-owner"}, "dynamodb:Scan", f"{TABLE}/index/by-owner", "AccessDeniedException"),
    ("lambda", "invoke", {"FunctionName": "worker", "InvocationType": "DryRun"}, "lambda:InvokeFunction", LAMBDA, "AccessDeniedException"),
    ("lambda", "invoke", {"FunctionName": LAMBDA, "InvocationType": "DryRun"}, "lambda:InvokeFunction", LAMBDA, "AccessDeniedException"),
    ("lambda", "invoke", {"FunctionName": "worker", "Qualifier": "$LATEST", "InvocationType": "DryRun"}, "lambda:InvokeFunction", f"{LAMBDA}:$LATEST", "AccessDeniedException"),
    ("lambda", "list_functions", {}, "lambda:ListFunctions", "*", "AccessDeniedException"),
    ("lambda", "list_tags", {"Resource": LAMBDA}, "lambda:ListTags", LAMBDA, "AccessDeniedException"),
    ("stepfunctions", "describe_state_machine", {"stateMachineArn": MACHINE}, "states:DescribeStateMachine", MACHINE, "AccessDeniedException"),
    ("stepfunctions", "list_state_machines", {}, "states:ListStateMachines", "*", "AccessDeniedException"),
    ("sqs", "send_message", {"QueueUrl": f"http://localhost/{STAGING}/worker", "MessageBody": "a"}, "sqs:SendMessage", QUEUE, "AccessDeniedException"),
    ("sqs", "get_queue_url", {"QueueName": "worker"}, "sqs:GetQueueUrl", QUEUE, "AccessDeniedException"),
    ("sns", "publish", {"TopicArn": TOPIC, "Message": "a"}, "sns:Publish", TOPIC, "AuthorizationError"),
    ("logs", "describe_log_streams", {"logGroupName": "worker"}, "logs:DescribeLogStreams", GROUP, "AccessDeniedException"),
    ("cloudwatch", "put_metric_data", {"Namespace": "DR", "MetricData": METRIC}, "cloudwatch:PutMetricData", "*", "AccessDeniedException"),
    ("ssm", "get_parameter", {"Name": "/dr/worker"}, "ssm:GetParameter", ARN % ("ssm", "parameter/dr/worker"), "AccessDeniedException"),
    ("ssm", "get_document", {"Name": "worker"}, "ssm:GetDocument", ARN % ("ssm", "document/worker"), "AccessDeniedException"),
    ("ssm", "describe_parameters", {}, "ssm:DescribeParameters", "*", "AccessDeniedException"),
    ("iam", "get_instance_profile", {"InstanceProfileName": "worker"}, "iam:GetInstanceProfile", f"arn:aws:iam::{STAGING}:instance-profile/dr/worker", "AccessDenied"),
]  # fmt: skip


@pytest.fixture(scope="module")
def services(worker: Worker) -> list[str]:
    """One thing of each service, called worker; returns the ids of an instance for DR and another."""
    account = worker.embedded.client
    code = {"ZipFile": zipped()}
    trusting = json.dumps(TRUST).replace(f'"AWS": "arn:aws:iam::{ORCHESTRATION}:root"', '"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]')  # fmt: skip
    worker.iam.create_role(RoleName="Service", AssumeRolePolicyDocument=trusting)
    role = f"arn:aws:iam::{STAGING}:role/Service"
    machine = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    key = [{"AttributeName": "id", "AttributeType": "S"}]
    schema = [{"AttributeName": "id", "KeyType": "HASH"}]
    index = {"IndexName": "by-owner", "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}
    account("dynamodb", STAGING).create_table(
        TableName="worker", AttributeDefinitions=key, KeySchema=schema, BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[index],
    )  # fmt: skip
    account("lambda", STAGING).create_function(
        FunctionName="worker", Runtime="python3.13", Handler="a.b", Role=role, Code=code
    )
    account("stepfunctions", STAGING).create_state_machine(
        name="worker", roleArn=role, definition=machine
    )
    account("sqs", STAGING).create_queue(QueueName="worker")
    account("sns", STAGING).create_topic(Name="worker")
    account("logs", STAGING).create_log_group(logGroupName="worker")
    ssm = account("ssm", STAGING)
    ssm.put_parameter(Name="/dr/worker", Value="a", Type="String")
    steps = [{"action": "aws:runShellScript", "name": "a", "inputs": {"runCommand": ["true"]}}]
    content = json.dumps({"schemaVersion": "2.2", "description": "a", "mainSteps": steps})
    ssm.create_document(Name="worker", DocumentType="Command", Content=content)
    worker.iam.create_instance_profile(InstanceProfileName="worker", Path="/dr/")
    place = {"account": STAGING, "region": REGION, "count": 1}
    made = [
        worker.embedded.door("instances", {**place, "tags": {"dr:enabled": enabled}})
        for enabled in ("true", "false")
    ]
    return [each["instanceIDs"][0] for each in made]


@pytest.mark.parametrize(
    ("service", "operation", "params", "action", "resource", "code"),
    SERVICES,
    ids=[f"{each[0]}-{each[1]}-{number}" for number, each in enumerate(SERVICES)],
)
def test_each_service_is_judged_by_what_its_call_names(
    worker: Worker,
    services: list[str],
    service: str,
    operation: str,
    params: dict[str, Any],
    action: str,
    resource: str,
    code: str,
) -> None:
    call = getattr(worker.client(service), operation)
    worker.may(allow(action, resource=f"arn:aws:other:::{action}"))
    assert outcome(call, **params) == code
    worker.may(allow("*"), deny(action, resource=resource))
    assert outcome(call, **params) == code
    worker.may(allow(action, resource=resource))
    assert outcome(call, **params) == "ok"


def test_a_log_group_needs_its_streams(worker: Worker, services: list[str]) -> None:
    worker.may(allow("logs:*", resource=GROUP.removesuffix(":*")))
    describe = worker.client("logs").describe_log_streams
    assert outcome(describe, logGroupName="worker") == "AccessDeniedException"


def test_a_metric_is_judged_by_its_namespace(worker: Worker) -> None:
    worker.may(
        allow("cloudwatch:PutMetricData", **when("StringEquals", "cloudwatch:namespace", "DR"))
    )
    put = worker.client("cloudwatch").put_metric_data
    assert outcome(put, Namespace="DR", MetricData=METRIC) == "ok"
    assert outcome(put, Namespace="Other", MetricData=METRIC) == "AccessDeniedException"


def test_a_machine_is_started_and_its_execution_read(worker: Worker, services: list[str]) -> None:
    states = worker.client("stepfunctions")
    execution = ARN % ("states", "execution:worker:one")
    worker.may(allow("states:StartExecution", resource=execution))
    start = {"stateMachineArn": MACHINE, "name": "one"}
    assert outcome(states.start_execution, **start) == "AccessDeniedException"
    worker.may(allow("states:StartExecution", "states:DescribeExecution", resource=MACHINE))
    assert outcome(states.start_execution, **start) == "ok"
    assert outcome(states.describe_execution, executionArn=execution) == "AccessDeniedException"
    worker.may(allow("states:DescribeExecution", resource=execution))
    assert outcome(states.describe_execution, executionArn=execution) == "ok"


AWS_DOCUMENT = f"arn:aws:ssm:{REGION}::document/AWS-RunShellScript"
OWN_DOCUMENT = ARN % ("ssm", "document/worker")
INSTANCES = ARN % ("ec2", "instance/*")
ENABLED = when("StringEquals", "ssm:resourceTag/dr:enabled", "true")
COMMANDS: list[tuple[str, str, list[str], list[Statement], bool]] = [
    ("both", "AWS-RunShellScript", ["first"], [allow("ssm:SendCommand", resource=AWS_DOCUMENT), allow("ssm:SendCommand", resource=INSTANCES)], True),
    ("no document", "AWS-RunShellScript", ["first"], [allow("ssm:SendCommand", resource=INSTANCES)], False),
    ("no instance", "AWS-RunShellScript", ["first"], [allow("ssm:SendCommand", resource=AWS_DOCUMENT)], False),
    ("an own document", "worker", ["first"], [allow("ssm:SendCommand", resource=OWN_DOCUMENT), allow("ssm:SendCommand", resource=INSTANCES)], True),
    ("not the own document", "worker", ["first"], [allow("ssm:SendCommand", resource=AWS_DOCUMENT), allow("ssm:SendCommand", resource=INSTANCES)], False),
    ("tagged", "worker", ["first"], [allow("ssm:SendCommand", resource=OWN_DOCUMENT), allow("ssm:SendCommand", resource=INSTANCES, **ENABLED)], True),
    ("one is not tagged", "worker", ["first", "second"], [allow("ssm:SendCommand", resource=OWN_DOCUMENT), allow("ssm:SendCommand", resource=INSTANCES, **ENABLED)], False),
    ("by tag", "worker", [], [allow("ssm:SendCommand", resource=OWN_DOCUMENT), allow("ssm:SendCommand", resource=INSTANCES, **when("StringEquals", "aws:ResourceTag/dr:enabled", "true"))], True),
    ("by tag, of another tag", "worker", [], [allow("ssm:SendCommand", resource=OWN_DOCUMENT), allow("ssm:SendCommand", resource=INSTANCES, **when("StringEquals", "aws:ResourceTag/dr:enabled", "no"))], False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("document_name", "to", "statements", "allowed"),
    [c[1:] for c in COMMANDS],
    ids=[c[0] for c in COMMANDS],
)
def test_a_command_needs_its_document_and_each_of_its_instances(
    worker: Worker,
    services: list[str],
    document_name: str,
    to: list[str],
    statements: list[Statement],
    allowed: bool,
) -> None:
    ids = dict(zip(("first", "second"), services, strict=True))
    params: dict[str, Any] = {"DocumentName": document_name}
    params |= {"InstanceIds": [ids[each] for each in to]} if to else {"Targets": TARGET_TAGS}
    worker.may(*statements)
    said = outcome(worker.client("ssm").send_command, **params)
    # What is allowed comes to SSM, which has its own say of it.
    assert (said != "AccessDeniedException") == allowed


def test_tags_are_put_on_what_may_be_tagged(worker: Worker, services: list[str]) -> None:
    first, second = services
    worker.may(allow("ec2:CreateTags", resource=ARN % ("ec2", f"instance/{first}")))
    tag = worker.client("ec2").create_tags
    assert outcome(tag, Resources=[first], Tags=[{"Key": "a", "Value": "b"}]) == "ok"
    said = outcome(tag, Resources=[first, second], Tags=[{"Key": "a", "Value": "b"}])
    assert said == "UnauthorizedOperation"


def test_s3_is_open_to_those_who_may_all_of_it(worker: Worker) -> None:
    for action, said in (("s3:ListAllMyBuckets", "AccessDenied"), ("s3:*", "ok")):
        worker.may(allow(action))
        assert outcome(worker.client("s3").list_buckets) == said


@pytest.fixture(scope="module")
def next_role(worker: Worker) -> None:
    """A role that trusts the worker's account."""
    trust = json.loads(json.dumps(TRUST).replace(ORCHESTRATION, STAGING))
    worker.iam.create_role(RoleName="Next", AssumeRolePolicyDocument=json.dumps(trust))


@pytest.mark.parametrize(
    ("call", "action", "resource", "code"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS]
)
def test_each_call_needs_its_action_on_its_resource(
    worker: Worker, next_role: None, call: Call, action: str, resource: str, code: str
) -> None:
    worker.may(allow("*"), deny(action, resource=resource))
    assert call(worker) == code
    worker.may(allow(action, resource=f"arn:aws:other:::{action}"))
    assert call(worker) == code
    worker.may(allow(action, resource=resource))
    assert call(worker) == "ok"


def test_one_servers_settings_do_not_open_anothers(worker: Worker) -> None:
    first, second = worker.servers
    worker.may(allow("drs:GetLaunchConfiguration", resource=server_arn(first)))
    read = worker.client("drs").get_launch_configuration
    assert outcome(read, sourceServerID=first) == "ok"
    assert outcome(read, sourceServerID=second) == "AccessDeniedException"


def test_the_refusal_names_who_what_and_where(worker: Worker) -> None:
    worker.may()
    drs = worker.client("drs")
    with pytest.raises(drs.exceptions.AccessDeniedException) as caught:
        drs.get_replication_configuration(sourceServerID=worker.servers[0])
    message = caught.value.response["Error"]["Message"]
    for named in ("assumed-role/Worker/", "drs:GetReplicationConfiguration", worker.servers[0]):
        assert named in message


KEYS: list[tuple[str, str, bool, bool]] = [
    ("named by the key's policy", ROLE, False, True),
    ("its account named, no policy", f"arn:aws:iam::{STAGING}:root", False, False),
    ("its account named, and a policy", f"arn:aws:iam::{STAGING}:root", True, True),
    ("not named, but a policy", f"arn:aws:iam::{TARGET}:root", True, False),
]


@pytest.mark.parametrize(
    ("principal", "policy", "allowed"), [k[1:] for k in KEYS], ids=[k[0] for k in KEYS]
)
def test_a_key_is_opened_by_its_own_policy_first(
    worker: Worker, principal: str, policy: bool, allowed: bool
) -> None:
    worker.may(*([allow("kms:DescribeKey")] if policy else []))
    statement = allow("kms:*", Principal={"AWS": principal})
    kms = worker.embedded.client("kms", STAGING)
    key = kms.create_key(Policy=document(statement))["KeyMetadata"]
    kms.create_alias(AliasName=f"alias/{key['KeyId']}", TargetKeyId=key["KeyId"])
    said = "ok" if allowed else "AccessDeniedException"
    for name in (key["Arn"], key["KeyId"], f"alias/{key['KeyId']}"):
        assert outcome(worker.client("kms").describe_key, KeyId=name) == said
    refusing = [statement, deny("kms:DescribeKey", Principal={"AWS": ROLE})]
    kms.put_key_policy(KeyId=key["Arn"], PolicyName="default", Policy=document(*refusing))
    assert outcome(worker.client("kms").describe_key, KeyId=key["Arn"]) == "AccessDeniedException"


def test_a_managed_policy_counts_by_its_default_version(worker: Worker) -> None:
    worker.may()
    arn = worker.iam.create_policy(PolicyName="Managed", PolicyDocument=document(allow(LIST)))[
        "Policy"
    ]["Arn"]
    worker.iam.attach_role_policy(RoleName="Worker", PolicyArn=arn)
    assert outcome(worker.client("drs").describe_source_servers) == "ok"
    worker.iam.create_policy_version(
        PolicyArn=arn, PolicyDocument=document(allow("drs:DescribeJobs")), SetAsDefault=True
    )
    assert outcome(worker.client("drs").describe_source_servers) == "AccessDeniedException"
    assert outcome(worker.client("drs").describe_jobs) == "ok"
    worker.iam.detach_role_policy(RoleName="Worker", PolicyArn=arn)
    assert outcome(worker.client("drs").describe_jobs) == "AccessDeniedException"


def test_a_session_policy_and_a_boundary_only_narrow(worker: Worker) -> None:
    worker.may(allow(LIST))
    for policy, said in (
        (allow("*"), "ok"),
        (allow("drs:DescribeJobs"), "AccessDeniedException"),
    ):
        keys = assume(worker.embedded, ROLE, Policy=document(policy))
        assert outcome(worker.client("drs", keys).describe_source_servers) == said
        assert outcome(worker.client("drs", keys).describe_jobs) == "AccessDeniedException"
        name = f"Boundary{said}"
        arn = worker.iam.create_policy(PolicyName=name, PolicyDocument=document(policy))["Policy"]
        worker.iam.put_role_permissions_boundary(RoleName="Worker", PermissionsBoundary=arn["Arn"])
        assert outcome(worker.client("drs").describe_source_servers) == said
    worker.iam.delete_role_permissions_boundary(RoleName="Worker")
    assert outcome(worker.client("drs").describe_source_servers) == "ok"


def test_a_role_that_is_gone_may_nothing(worker: Worker) -> None:
    iam = worker.iam
    iam.create_role(RoleName="Gone", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="Gone", PolicyName="own", PolicyDocument=document(allow("*")))
    keys = assume(worker.embedded, f"arn:aws:iam::{STAGING}:role/Gone")
    assert outcome(worker.client("drs", keys).describe_source_servers) == "ok"
    iam.delete_role_policy(RoleName="Gone", PolicyName="own")
    iam.delete_role(RoleName="Gone")
    assert outcome(worker.client("drs", keys).describe_source_servers) == "AccessDeniedException"
    assert outcome(worker.client("sts", keys).get_caller_identity) == "ok"


def test_the_root_is_free_and_so_is_everybody_when_it_is_off(worker: Worker) -> None:
    worker.may()
    assert outcome(once(worker.embedded, "drs", STAGING).describe_source_servers) == "ok"
    worker.embedded.door("iam-enforcement", {"on": False})
    try:
        assert outcome(worker.client("drs").describe_source_servers) == "ok"
    finally:
        worker.embedded.door("iam-enforcement", {"on": True})
    assert outcome(worker.client("drs").describe_source_servers) == "AccessDeniedException"
