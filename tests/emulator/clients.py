"""Clients of the embedded AWS that make each call once, and estates that its tests share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.conftest import ORCHESTRATION, REGION, STAGING, TARGET, Embedded, models_own_answer
from tests.emulator.test_drs import ROLE, ROLE_POLICY, initialise, key_policy, template, trust

Keys = dict[str, str]


def once(embedded: Embedded, service: str, account: str, keys: Keys | None = None) -> Any:
    """A client that repeats nothing, as the account's root or with keys of an assumed role."""
    keys = keys or {"aws_access_key_id": account, "aws_secret_access_key": "any"}
    client = boto3.client(
        service,
        region_name=REGION,
        endpoint_url=embedded.url,
        config=Config(
            proxies={},
            retries={"mode": "standard", "total_max_attempts": 1},
            s3={"addressing_style": "path"},
        ),
        **keys,
    )
    if service == "drs":
        client.meta.events.register("before-parse.drs.*", models_own_answer)
    return client


def assume(embedded: Embedded, role_arn: str, by: str = ORCHESTRATION, **more: str) -> Keys:
    """The keys of a role that an account's root assumed."""
    given = embedded.client("sts", by).assume_role(
        RoleArn=role_arn, RoleSessionName="session", **more
    )["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


def outcome(call: Any, **params: Any) -> str:
    """ "ok", or the code of the refusal."""
    try:
        call(**params)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "ok"


@contextmanager
def faults(embedded: Embedded, *ordered: dict[str, Any]) -> Iterator[None]:
    """Faults that are in force as long as the context lives."""
    try:
        for fault in ordered:
            embedded.door("faults", fault)
        yield
    finally:
        embedded.door("faults", method="DELETE")


def trusting(embedded: Embedded) -> str:
    """A target and a staging account as they should be; returns the ARN of the replication key."""
    embedded.door("key-policy-delay", {"seconds": 0})
    iam = embedded.client("iam", STAGING)
    iam.create_role(RoleName=ROLE, Path="/service-role/", AssumeRolePolicyDocument=trust())
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=ROLE_POLICY)
    key = embedded.client("kms", STAGING).create_key(Policy=key_policy())["KeyMetadata"]["Arn"]
    custom = template(ebsEncryption="CUSTOM", ebsEncryptionKeyArn=key)
    for account in (TARGET, STAGING):
        initialise(embedded, account).create_replication_configuration_template(**custom)
    return str(key)


def register(embedded: Embedded, count: int, account: str = STAGING, **options: Any) -> list[str]:
    """The ids of servers that are registered in an account."""
    place = {"account": account, "region": REGION, "count": count}
    return list(embedded.door("source-servers", {**place, **options})["sourceServerIDs"])


def server_arn(identifier: str, account: str = STAGING) -> str:
    """The ARN of a source server."""
    return f"arn:aws:drs:{REGION}:{account}:source-server/{identifier}"


def one(embedded: Embedded, account: str, identifier: str) -> dict[str, Any]:
    """A server as it is described now."""
    drs = once(embedded, "drs", account)
    (item,) = drs.describe_source_servers(filters={"sourceServerIDs": [identifier]})["items"]
    return dict(item)
