"""IAM enforcement: what a role may do is what its policies say, and no more."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import ORCHESTRATION, REGION, STAGING, TARGET, Embedded
from tests.emulator.clients import Keys, assume, once, outcome, register, server_arn, trusting

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
