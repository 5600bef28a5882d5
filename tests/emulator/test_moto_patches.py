"""What AWS refuses or knows and moto does not: late principals, DRS's quotas and its linked role."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.conftest import REGION, STAGING, TARGET, Embedded
from tests.emulator.test_drs import initialise, key_policy, refusal, template, trust
from validator.quotas import QUOTAS

pytestmark = pytest.mark.slow


def test_kms_sees_a_new_role_late(embedded: Embedded) -> None:
    iam, kms = embedded.client("iam", STAGING), embedded.client("kms", STAGING)
    role = iam.create_role(RoleName="Late", AssumeRolePolicyDocument=trust())["Role"]["Arn"]
    document = json.loads(key_policy())
    document["Statement"] = document["Statement"][:1]
    key = kms.create_key(Policy=json.dumps(document))["KeyMetadata"]["KeyId"]
    document["Statement"].append(
        {"Effect": "Allow", "Principal": {"AWS": role}, "Action": "kms:Decrypt", "Resource": "*"}
    )
    named = json.dumps(document)
    embedded.door("key-policy-delay", {"seconds": 3600})
    refused = ("MalformedPolicyDocumentException", 400)
    assert refusal(kms.create_key, Policy=named) == refused
    put = {"KeyId": key, "PolicyName": "default", "Policy": named}
    assert refusal(kms.put_key_policy, **put) == refused
    assert role not in kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    embedded.door("key-policy-delay", {"seconds": 0})
    kms.put_key_policy(**put)
    assert role in kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]


@pytest.mark.parametrize("policy", ["", "{", "[]", "{}", '{"Statement": [{"Effect": "Perhaps"}]}'])
def test_a_key_policy_that_is_none(embedded: Embedded, policy: str) -> None:
    kms = embedded.unchecked_client("kms", STAGING)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    put = {"KeyId": key, "PolicyName": "default", "Policy": policy}
    code, status = refusal(kms.put_key_policy, **put)
    assert (code, status) == ("MalformedPolicyDocumentException", 400)


def test_drs_quotas_are_those_of_aws_and_can_be_set(embedded: Embedded) -> None:
    quotas = embedded.client("service-quotas", TARGET)
    drs = [quota for quota in QUOTAS if quota.service == "drs"]
    assert drs
    for quota in drs:
        asked = {"ServiceCode": "drs", "QuotaCode": quota.code}
        for call in (quotas.get_service_quota, quotas.get_aws_default_service_quota):
            assert call(**asked)["Quota"]["Value"] == quota.value
        place = {"account": TARGET, "region": REGION, "code": quota.code}
        embedded.door("quotas", {**place, "value": quota.value + 1})
        assert quotas.get_service_quota(**asked)["Quota"]["Value"] == quota.value + 1
        default = quotas.get_aws_default_service_quota(**asked)["Quota"]
        assert default["Value"] == quota.value
        elsewhere = embedded.client("service-quotas", TARGET, "us-east-1")
        assert elsewhere.get_service_quota(**asked)["Quota"]["Value"] == quota.value
    listed = quotas.list_service_quotas(ServiceCode="drs")["Quotas"]
    assert {quota.code for quota in drs} <= {each["QuotaCode"] for each in listed}
    unknown = {"ServiceCode": "drs", "QuotaCode": "L-00000000"}
    assert refusal(quotas.get_service_quota, **unknown)[0] == "NoSuchResourceException"


@pytest.mark.parametrize(
    ("code", "account"), [("L-C1D14A2B", "141414141414"), ("L-E28BE5E0", "191919191919")]
)
def test_a_set_quota_is_the_one_that_is_enforced(
    embedded: Embedded, code: str, account: str
) -> None:
    initialise(embedded, account).create_replication_configuration_template(**template())
    place = {"account": account, "region": REGION}
    embedded.door("quotas", {**place, "code": code, "value": 2})
    embedded.door("source-servers", {**place, "count": 2})
    with pytest.raises(OSError, match="400"):
        embedded.door("source-servers", {**place, "count": 1})


def test_the_service_linked_role_of_drs(embedded: Embedded) -> None:
    iam = embedded.client("iam", "171717171717")
    asked = {"AWSServiceName": "drs.amazonaws.com"}
    role = iam.create_service_linked_role(**asked)["Role"]
    assert role["Arn"].endswith(
        ":role/aws-service-role/drs.amazonaws.com/AWSServiceRoleForElasticDisasterRecovery"
    )
    with pytest.raises(ClientError, match="has been taken"):
        iam.create_service_linked_role(**asked)


def test_what_moto_shows_in_one_answer_only_it_shows_in_every_such_one(embedded: Embedded) -> None:
    iam, tags = embedded.client("iam", STAGING), [{"Key": "a", "Value": "b"}]
    for name, own in (("Tagged", tags), ("Untagged", []), ("TaggedToo", tags)):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(), Tags=own)
        assert iam.get_role(RoleName=name)["Role"].get("Tags", []) == own
        (listed,) = [r for r in iam.list_roles()["Roles"] if r["RoleName"] == name]
        assert "Tags" not in listed
        assert listed["AssumeRolePolicyDocument"] == json.loads(trust())
