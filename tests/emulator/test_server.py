"""The door of the embedded AWS: what it starts with, what it does not know, and its control door."""

import json
import re
import socket
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.conftest import ORCHESTRATION, REGION, ROOT, STAGING, TARGET, Embedded
from validator.accounts import opener

pytestmark = pytest.mark.slow

ARN = f"arn:aws:%s:{REGION}:{STAGING}:%s"
JOURNAL = {"JournalTableConfiguration": {"RecordExpiration": {"Expiration": "DISABLED"}}}
NOT_BUILT: list[tuple[str, str, dict[str, Any]]] = [
    ("drs", "describe_source_networks", {}),
    ("dynamodb", "update_table_replica_auto_scaling", {"TableName": "abc"}),
    ("ec2", "withdraw_byoip_cidr", {"Cidr": "10.0.0.0/24"}),
    ("iam", "accept_delegation_request", {"DelegationRequestId": "a" * 16}),
    ("kms", "connect_custom_key_store", {"CustomKeyStoreId": "abc"}),
    ("lambda", "update_code_signing_config", {"CodeSigningConfigArn": ARN % ("lambda", "x")}),
    ("logs", "associate_kms_key", {"kmsKeyId": "abc"}),
    ("mgn", "list_applications", {}),  # moto has no such service
    (
        "s3",
        "create_bucket_metadata_configuration",
        {"Bucket": "abc", "MetadataConfiguration": JOURNAL},
    ),
    ("service-quotas", "get_association_for_service_quota_template", {}),
    ("ssm", "list_ops_item_related_items", {}),
    ("stepfunctions", "delete_state_machine_version", {"stateMachineVersionArn": "abc"}),
    ("sts", "get_web_identity_token", {"Audience": ["a"], "SigningAlgorithm": "RS256"}),
]


@pytest.mark.parametrize(
    ("service", "operation", "params"), NOT_BUILT, ids=[f"{n[0]}-{n[1]}" for n in NOT_BUILT]
)
def test_what_is_not_built_is_a_client_error_that_names_it(
    embedded: Embedded, service: str, operation: str, params: dict[str, Any]
) -> None:
    client = embedded.client(service, STAGING)
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**params)
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert answer["Error"]["Code"] == "NotBuiltException"
    assert client.meta.method_to_api_mapping[operation] in answer["Error"]["Message"]


@pytest.mark.parametrize("path", ["/", "/nowhere", "/a%3Cb%3E&c", "/tags/"])
def test_no_request_is_answered_with_a_page_of_html(embedded: Embedded, path: str) -> None:
    for headers in ({}, {"Authorization": "nonsense"}, {"X-Amz-Target": "nonsense"}):
        request = urllib.request.Request(embedded.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        assert status < 500
        assert b"<html" not in body.lower()


def test_every_account_starts_with_the_role_of_aws_organizations(embedded: Embedded) -> None:
    """Also one that nobody has named yet: the management account may do all in it, and only that one."""
    account = "151515151515"
    opened = opener("OrganizationAccountAccessRole", embedded.environment(ORCHESTRATION)).open(
        account, REGION
    )
    assert opened.client("sts").get_caller_identity()["Account"] == account
    assert opened.client("iam").list_attached_role_policies(
        RoleName="OrganizationAccountAccessRole"
    )["AttachedPolicies"] == [
        {
            "PolicyName": "AdministratorAccess",
            "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess",
        }
    ]
    with pytest.raises(ClientError) as caught:
        embedded.client("sts", TARGET).assume_role(
            RoleArn=f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole",
            RoleSessionName="stranger",
        )
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


DOORS = [
    ("GET", "nowhere", {}, "no such door"),
    ("POST", "quotas", {"account": STAGING, "region": REGION, "code": "L-0", "value": 1}, "L-0"),
    ("POST", "faults", {"kind": "flood"}, "kind must be one of"),
    ("POST", "faults", {"kind": "empty-page", "service": "s3"}, "needs a service"),
    ("POST", "source-servers", {"account": STAGING, "region": REGION}, "count"),
    ("POST", "source-servers", {"account": "9" * 12, "region": REGION, "count": 1}, "template"),
]


@pytest.mark.parametrize(("method", "path", "body", "said"), DOORS)
def test_the_control_door_says_what_is_wrong(
    embedded: Embedded, method: str, path: str, body: dict[str, Any], said: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        embedded.door(path, body, method)
    assert caught.value.code == 400
    assert said in json.load(caught.value)["error"]


DOCUMENTED = [
    ("doors", "nowhere", {}, r"doors are (.*)", r"^\| `((?:GET|POST|DELETE) \S+)`"),
    ("faults", "faults", {"kind": "flood"}, r"one of \[(.*)\]", r"^\| `([a-z0-9-]+)` \|"),
    (
        "fields",
        "source-servers/state",
        {"account": STAGING, "region": REGION},
        r"fields are (.*);",
        r"^\| `([a-zA-Z]+)`(?:, `([a-zA-Z]+)`)? \|",
    ),
]


@pytest.mark.parametrize(
    ("path", "body", "listed", "row"), [d[1:] for d in DOCUMENTED], ids=[d[0] for d in DOCUMENTED]
)
def test_the_page_names_all_that_there_is(
    embedded: Embedded, path: str, body: dict[str, Any], listed: str, row: str
) -> None:
    """In docs/emulator.md, each in a row of its table."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        embedded.door(path, body)
    found = re.search(listed, json.load(caught.value)["error"])
    assert found is not None
    known = {each.strip(" '") for each in found[1].split(",")}
    rows = re.findall(row, (ROOT / "docs/emulator.md").read_text(), re.MULTILINE)
    named = {each for found in rows for each in ([found] if isinstance(found, str) else found)}
    assert known <= named
    if " " in min(known):  # a door is like nothing else on the page
        assert named == known


def test_an_answer_comes_in_one_piece(embedded: Embedded) -> None:
    """Terraform's AWS provider loses answers that do not, and then repeats calls that were made."""
    address = urlsplit(embedded.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        for _ in range(50):
            connection.sendall(b"GET /_emulator/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
            assert json.loads(body)["status"] == "ok", head
