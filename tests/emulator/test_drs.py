"""The embedded AWS through real botocore: what DRS does, and above all what it refuses."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import ORCHESTRATION, REGION, STAGING, TARGET, Embedded
from validator.accounts import opener
from validator.errors import AccountError
from validator.operations.bootstrap import SERVICE_ROLES

pytestmark = pytest.mark.slow

ROLE = f"DRSStagingAccountRole_{TARGET}"
ROLE_ARN = f"arn:aws:iam::{STAGING}:role/service-role/{ROLE}"
ROLE_POLICY = (
    "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryStagingAccountPolicy_v2"
)


def refusal(call: Callable[..., Any], **params: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def initialise(embedded: Embedded, account: str) -> Any:
    iam, drs = embedded.client("iam", account), embedded.client("drs", account)
    for role in SERVICE_ROLES:
        try:
            iam.create_role(
                RoleName=role.name,
                Path="/service-role/",
                AssumeRolePolicyDocument=role.trust(account),
            )
        except iam.exceptions.EntityAlreadyExistsException:
            continue
    drs.initialize_service()
    return drs


def template(**changes: Any) -> dict[str, Any]:
    rules = [
        {"enabled": True, "interval": 10, "retentionDuration": 60, "ruleID": 1, "units": "MINUTE"},
        {"enabled": True, "interval": 1, "retentionDuration": 24, "ruleID": 2, "units": "HOUR"},
        {"enabled": True, "interval": 1, "retentionDuration": 7, "ruleID": 3, "units": "DAY"},
    ]
    return {
        "associateDefaultSecurityGroup": False,
        "bandwidthThrottling": 0,
        "createPublicIP": False,
        "dataPlaneRouting": "PRIVATE_IP",
        "defaultLargeStagingDiskType": "GP3",
        "ebsEncryption": "DEFAULT",
        "pitPolicy": rules,
        "replicationServerInstanceType": "t3.small",
        "replicationServersSecurityGroupsIDs": [],
        "stagingAreaSubnetId": "subnet-0123456789abcdef0",
        "stagingAreaTags": {},
        "useDedicatedReplicationServer": False,
        **changes,
    }


def trust(target: str = TARGET) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "drs.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
        "Condition": {
            "StringLike": {"sts:SourceIdentity": target, "aws:SourceAccount": target},
            "ArnLike": {"aws:SourceArn": "arn:aws:drs:*:*:source-server/*"},
        },
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def key_policy(*, caller: str = TARGET, via: str = f"ec2.{REGION}.amazonaws.com") -> str:
    def allow(principal: str, account: str) -> dict[str, Any]:
        return {
            "Effect": "Allow",
            "Principal": {"AWS": principal},
            "Action": "kms:ReEncrypt*",
            "Resource": "*",
            "Condition": {"StringEquals": {"kms:CallerAccount": account, "kms:ViaService": via}},
        }

    admin = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{STAGING}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    statements = [admin, allow(ROLE_ARN, STAGING), allow(f"arn:aws:iam::{TARGET}:root", caller)]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.fixture(scope="module")
def estate(embedded: Embedded) -> Any:
    """Target and staging account as they should be, three servers in the staging account."""
    embedded.door("key-policy-delay", {"seconds": 0})
    iam, kms = embedded.client("iam", STAGING), embedded.client("kms", STAGING)
    iam.create_role(RoleName=ROLE, Path="/service-role/", AssumeRolePolicyDocument=trust())
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=ROLE_POLICY)
    key = kms.create_key(Policy=key_policy())["KeyMetadata"]["Arn"]
    initialise(embedded, TARGET)
    drs = initialise(embedded, STAGING)
    drs.create_replication_configuration_template(
        **template(ebsEncryption="CUSTOM", ebsEncryptionKeyArn=key)
    )
    place = {"account": STAGING, "region": REGION}
    embedded.door("source-servers", {**place, "count": 3})
    return {"key": key, "arns": [s["arn"] for s in drs.describe_source_servers()["items"]]}


def test_before_initialisation(embedded: Embedded) -> None:
    drs = embedded.client("drs", "999999999999")
    assert refusal(drs.describe_source_servers) == ("UninitializedAccountException", 400)
    code, _ = refusal(drs.initialize_service)
    assert code == "ValidationException"  # the six roles come first


def test_regions_are_apart(embedded: Embedded, estate: Any) -> None:
    drs = embedded.client("drs", STAGING, "us-east-1")
    assert refusal(drs.describe_source_servers) == ("UninitializedAccountException", 400)


BAD = [
    ("an encryption word", {"ebsEncryption": "AES"}),
    ("CUSTOM without a key", {"ebsEncryption": "CUSTOM"}),
    ("two rules", {"pitPolicy": template()["pitPolicy"][:2]}),
    ("a subnet id", {"stagingAreaSubnetId": "net-1"}),
]


@pytest.mark.parametrize("changes", [b[1] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_template(embedded: Embedded, changes: dict[str, Any]) -> None:
    initialise(embedded, "888888888888")
    drs = embedded.unchecked_client("drs", "888888888888")
    code, status = refusal(drs.create_replication_configuration_template, **template(**changes))
    assert (code, status) == ("ValidationException", 400)


def test_one_template_only(embedded: Embedded, estate: Any) -> None:
    drs = embedded.client("drs", STAGING)
    code, _ = refusal(drs.create_replication_configuration_template, **template())
    assert code in {"ServiceQuotaExceededException", "ConflictException", "ValidationException"}


def test_a_page_size_that_the_model_forbids(embedded: Embedded, estate: Any) -> None:
    drs = embedded.unchecked_client("drs", TARGET)
    for call, params in (
        (drs.describe_source_servers, {"maxResults": 0}),
        (drs.list_extensible_source_servers, {"stagingAccountID": STAGING, "maxResults": 301}),
        (drs.list_staging_accounts, {"maxResults": 51}),
    ):
        assert refusal(call, **params) == ("ValidationException", 400)


def test_extension_and_what_breaks_it(embedded: Embedded, estate: Any) -> None:
    drs, iam = embedded.client("drs", TARGET), embedded.client("iam", STAGING)
    kms = embedded.client("kms", STAGING)
    first, second, third = estate["arns"]
    key_id = estate["key"].rsplit("/", 1)[1]  # moto enables and disables by id only

    def status() -> str:
        (item,) = drs.describe_source_servers(filters={"stagingAccountIDs": [STAGING]})["items"]
        return str(item["stagingArea"]["status"])

    drs.create_extended_source_server(sourceServerArn=first)
    assert status() == "EXTENDED"
    refused = refusal(drs.create_extended_source_server, sourceServerArn=first)
    assert refused[0] in {"ConflictException", "ValidationException"}

    broken: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
        (
            lambda: kms.put_key_policy(
                KeyId=estate["key"], PolicyName="default", Policy=key_policy(caller=ORCHESTRATION)
            ),
            lambda: kms.put_key_policy(
                KeyId=estate["key"], PolicyName="default", Policy=key_policy()
            ),
        ),
        (
            lambda: kms.put_key_policy(
                KeyId=estate["key"],
                PolicyName="default",
                Policy=key_policy(via=f"drs.{REGION}.amazonaws.com"),
            ),
            lambda: kms.put_key_policy(
                KeyId=estate["key"], PolicyName="default", Policy=key_policy()
            ),
        ),
        (
            lambda: kms.disable_key(KeyId=key_id),
            lambda: kms.enable_key(KeyId=key_id),
        ),
        (
            lambda: iam.update_assume_role_policy(
                RoleName=ROLE, PolicyDocument=trust(ORCHESTRATION)
            ),
            lambda: iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=trust()),
        ),
        (
            lambda: iam.detach_role_policy(RoleName=ROLE, PolicyArn=ROLE_POLICY),
            lambda: iam.attach_role_policy(RoleName=ROLE, PolicyArn=ROLE_POLICY),
        ),
    ]

    def without_role() -> None:
        iam.detach_role_policy(RoleName=ROLE, PolicyArn=ROLE_POLICY)
        iam.delete_role(RoleName=ROLE)
        listing = drs.list_extensible_source_servers
        assert refusal(listing, stagingAccountID=STAGING) == ("AccessDeniedException", 403)

    def with_role() -> None:
        iam.create_role(RoleName=ROLE, Path="/service-role/", AssumeRolePolicyDocument=trust())
        iam.attach_role_policy(RoleName=ROLE, PolicyArn=ROLE_POLICY)

    def with_key() -> None:
        kms.cancel_key_deletion(KeyId=key_id)
        kms.enable_key(KeyId=key_id)

    broken += [
        (without_role, with_role),
        (lambda: kms.schedule_key_deletion(KeyId=key_id), with_key),
    ]
    for spoil, mend in broken:
        spoil()
        assert status() == "EXTENSION_ERROR"
        code, _ = refusal(drs.create_extended_source_server, sourceServerArn=second)
        assert code in {"AccessDeniedException", "ValidationException"}
        mend()
        assert status() == "EXTENDED"
    embedded.client("drs", STAGING).update_replication_configuration(
        sourceServerID=third.rsplit("/", 1)[1], ebsEncryption="DEFAULT"
    )
    code, _ = refusal(drs.create_extended_source_server, sourceServerArn=third)
    assert code == "ValidationException"


def test_every_other_operation(embedded: Embedded) -> None:
    """Answers have the model's shape (each client of these tests checks that), and effects stay."""
    account = "161616161616"
    drs = initialise(embedded, account)
    made = drs.create_replication_configuration_template(**template(tags={"a": "1"}))
    rct = made["replicationConfigurationTemplateID"]
    drs.update_replication_configuration_template(
        replicationConfigurationTemplateID=rct, bandwidthThrottling=7
    )
    (item,) = drs.describe_replication_configuration_templates()["items"]
    assert (item["bandwidthThrottling"], item["tags"]) == (7, {"a": "1"})

    lct = drs.create_launch_configuration_template(copyTags=False)["launchConfigurationTemplate"]
    named = {"launchConfigurationTemplateID": lct["launchConfigurationTemplateID"]}
    drs.update_launch_configuration_template(**named, launchDisposition="STOPPED")
    (item,) = drs.describe_launch_configuration_templates()["items"]
    assert (item["launchDisposition"], item["copyTags"]) == ("STOPPED", False)
    drs.delete_launch_configuration_template(**named)
    assert drs.describe_launch_configuration_templates()["items"] == []

    place = {"account": account, "region": REGION}
    (server_id,) = embedded.door("source-servers", {**place, "count": 1})["sourceServerIDs"]
    server = {"sourceServerID": server_id}
    (shown,) = drs.describe_source_servers(filters={"sourceServerIDs": [server_id]})["items"]
    machine = shown["sourceProperties"]["identificationHints"]["vmWareUuid"]
    (found,) = drs.describe_source_servers(filters={"hardwareId": machine})["items"]
    assert found["sourceServerID"] == server_id
    assert drs.describe_source_servers(filters={"hardwareId": "i-0"})["items"] == []
    drs.tag_resource(resourceArn=shown["arn"], tags={"dr:wave": "1", "x": "y"})
    drs.untag_resource(resourceArn=shown["arn"], tagKeys=["x"])
    assert drs.list_tags_for_resource(resourceArn=shown["arn"])["tags"]["dr:wave"] == "1"
    drs.update_launch_configuration(**server, copyPrivateIp=True)
    assert drs.get_launch_configuration(**server)["copyPrivateIp"] is True
    drs.update_replication_configuration(**server, bandwidthThrottling=9)
    assert drs.get_replication_configuration(**server)["bandwidthThrottling"] == 9
    assert drs.list_staging_accounts()["accounts"] == []

    assert refusal(drs.delete_source_server, **server) == ("ConflictException", 409)
    drs.disconnect_source_server(**server)
    drs.delete_source_server(**server)
    code, status = refusal(drs.get_launch_configuration, **server)
    assert (code, status) == ("ResourceNotFoundException", 404)
    drs.delete_replication_configuration_template(replicationConfigurationTemplateID=rct)


def test_the_301st_server_is_refused(embedded: Embedded) -> None:
    account = "121212121212"
    drs = initialise(embedded, account)
    drs.create_replication_configuration_template(**template())
    embedded.door("source-servers", {"account": account, "region": REGION, "count": 300})
    with pytest.raises(OSError, match="400"):
        embedded.door("source-servers", {"account": account, "region": REGION, "count": 1})
    servers = drs.get_paginator("describe_source_servers").paginate(
        PaginationConfig={"PageSize": 7}
    )
    arns = [server["arn"] for page in servers for server in page["items"]]
    assert len(arns) == len(set(arns)) == 300


def test_a_role_is_assumed_only_as_its_trust_says(embedded: Embedded) -> None:
    iam = embedded.client("iam", STAGING)
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ORCHESTRATION}:root"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "secret-1"}},
            }
        ],
    }
    iam.create_role(RoleName="Guarded", AssumeRolePolicyDocument=json.dumps(document))
    known, other = {STAGING: "secret-1"}, {STAGING: "secret-2"}
    trusted = opener("Guarded", embedded.environment(ORCHESTRATION), known)
    assert trusted.open(STAGING, REGION).account_id == STAGING
    for refused in (
        opener("Guarded", embedded.environment(ORCHESTRATION)),
        opener("Guarded", embedded.environment(ORCHESTRATION), other),
        opener("Guarded", embedded.environment(TARGET), known),
    ):
        with pytest.raises(AccountError, match="AccessDenied"):
            refused.open(STAGING, REGION)


def test_a_trust_policy_that_names_nobody_is_refused(embedded: Embedded) -> None:
    iam = embedded.client("iam", STAGING)
    document = json.loads(trust())
    document["Statement"][0]["Principal"] = {"AWS": f"arn:aws:iam::{TARGET}:role/nobody"}
    nobody = json.dumps(document)
    iam.create_role(RoleName="Trusting", AssumeRolePolicyDocument=trust())
    for call in (
        lambda: iam.create_role(RoleName="Other", AssumeRolePolicyDocument=nobody),
        lambda: iam.update_assume_role_policy(RoleName="Trusting", PolicyDocument=nobody),
    ):
        assert refusal(call) == ("MalformedPolicyDocument", 400)


def test_a_key_policy_that_names_nobody_is_refused(embedded: Embedded) -> None:
    policy = json.loads(key_policy())
    policy["Statement"][0]["Principal"]["AWS"] = f"arn:aws:iam::{STAGING}:role/nobody"
    code, _ = refusal(embedded.client("kms", STAGING).create_key, Policy=json.dumps(policy))
    assert code == "MalformedPolicyDocumentException"


def pages(embedded: Embedded, account: str) -> Iterator[list[dict[str, Any]]]:
    """Pages of source servers as JSON: botocore parses 4,000 servers for longer than all is answered."""
    signed = (
        f"AWS4-HMAC-SHA256 Credential={account}/20261124/{REGION}/drs/aws4_request, Signature=any"
    )
    asked: dict[str, Any] = {"maxResults": 200}
    while True:
        request = urllib.request.Request(
            f"{embedded.url}/DescribeSourceServers",
            data=json.dumps(asked).encode(),
            headers={"Authorization": signed, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            page = json.load(answer)
        yield page["items"]
        if "nextToken" not in page:
            return
        asked["nextToken"] = page["nextToken"]


def test_four_thousand_servers_and_eight_readers_while_servers_go(embedded: Embedded) -> None:
    account = "131313131313"
    drs = initialise(embedded, account)
    drs.create_replication_configuration_template(**template())
    place = {"account": account, "region": REGION}
    embedded.door("quotas", {**place, "code": "L-C1D14A2B", "value": 4000})
    made = embedded.door("source-servers", {**place, "count": 4000})["sourceServerIDs"]
    doomed = made[::40]
    embedded.door("source-servers/state", {**place, "state": "DISCONNECTED", "ids": doomed})
    reading = threading.Barrier(9)

    def read(_: int) -> list[str]:
        seen = []
        for number, page in enumerate(pages(embedded, account)):
            seen += [server["sourceServerID"] for server in page]
            if number == 0:
                reading.wait(timeout=60)
        return seen

    with ThreadPoolExecutor(8) as pool:
        readings = pool.map(read, range(8))
        reading.wait(timeout=60)
        for identifier in doomed:
            drs.delete_source_server(sourceServerID=identifier)
        for seen in readings:
            assert len(seen) == len(set(seen)), "a server was read twice"
            assert set(made) - set(doomed) <= set(seen) <= set(made)
    assert set(read_alone(drs)) == set(made) - set(doomed)


def read_alone(drs: Any) -> list[str]:
    pages = drs.get_paginator("describe_source_servers").paginate()
    return [server["sourceServerID"] for page in pages for server in page["items"]]
