"""The live view: an `Estate` from the accounts as they are.

Every page of every account is read, accounts in parallel. What cannot be read is `Unknown` with
AWS's own words, never empty. Whether a server is extended is read from `stagingArea`, never from
the text of an ARN.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from validator.accounts import CallError, Client, Opened, Opener, call, pages
from validator.errors import AccountError
from validator.model import (
    Account,
    Estate,
    Extension,
    Key,
    Part,
    ReplicationTemplate,
    Role,
    SourceServer,
    Unknown,
)
from validator.quotas import QUOTAS, Quota
from validator.sources import tfvars
from validator.sources.tfvars import Declared

T = TypeVar("T")
Json = dict[str, Any]


def read(declared: Declared, env: str, opener: Opener) -> Estate:
    """The estate as its accounts show it; an account that cannot be read is unknown, not empty."""
    target, staging, orchestration = tfvars.accounts(declared)
    region = tfvars.text(declared, "recovery_region")
    everyone = (target, *staging, orchestration)
    with ThreadPoolExecutor(max_workers=min(16, len(everyone))) as pool:
        seen = list(pool.map(lambda account: _account(account, opener, region), everyone))
    return Estate(
        env=env,
        view="live",
        source_region=tfvars.text(declared, "source_region"),
        recovery_region=region,
        target=seen[0],
        staging=tuple(seen[1:-1]),
        orchestration=seen[-1],
        where=str(declared.file),
    )


def _account(account: Account, opener: Opener, region: str) -> Account:
    try:
        opened = opener.open(account.id, region)
    except AccountError as error:
        blind = Unknown(str(error))
        return replace(
            account,
            keys=blind,
            roles=blind,
            templates=blind,
            servers=blind,
            quotas=tuple((quota.code, blind) for quota in QUOTAS),
        )
    replicates = account.part is not Part.ORCHESTRATION
    return replace(
        account,
        keys=_seen(lambda: tuple(_keys(opened))),
        roles=_seen(lambda: tuple(_roles(opened))),
        templates=_seen(lambda: tuple(_templates(opened))) if replicates else (),
        servers=_seen(lambda: tuple(_servers(opened))) if replicates else (),
        quotas=tuple((quota.code, _quota(opened, quota)) for quota in QUOTAS) if replicates else (),
    )


def _seen(read: Callable[[], T]) -> T | Unknown:
    """What `read` gives, or Unknown with the refusal; an answer half there is a refusal too."""
    try:
        return read()
    except AccountError as error:
        return Unknown(str(error))
    except (KeyError, TypeError, ValueError) as error:
        return Unknown(f"AWS's answer lacks a part ({type(error).__name__}: {error})")


def _keys(opened: Opened) -> Iterator[Key]:
    kms = opened.client("kms")
    aliases: dict[str, list[str]] = {}
    for alias in pages(kms, "list_aliases", "Aliases"):
        if "TargetKeyId" in alias:
            aliases.setdefault(alias["TargetKeyId"], []).append(alias["AliasName"])
    for item in pages(kms, "list_keys", "Keys"):
        key = call(kms, "describe_key", KeyId=item["KeyId"])["KeyMetadata"]
        if key["KeyManager"] != "CUSTOMER" or key["KeyState"].startswith("PendingDeletion"):
            continue
        yield Key(
            name=key["Arn"],
            where=key["Arn"],
            account_id=key["Arn"].split(":")[4],
            region=key["Arn"].split(":")[3],
            aliases=tuple(sorted(aliases.get(key["KeyId"], ()))),
            policy=_key_policy(kms, key["Arn"]),
            enabled=key["KeyState"] == "Enabled",
        )


def _key_policy(kms: Client, arn: str) -> str | Unknown:
    named = {"KeyId": arn, "PolicyName": "default"}
    return _seen(lambda: str(call(kms, "get_key_policy", **named)["Policy"]))


def _attached(iam: Client, role: str) -> tuple[str, ...] | Unknown:
    operation, key = "list_attached_role_policies", "AttachedPolicies"
    return _seen(
        lambda: tuple(sorted(p["PolicyArn"] for p in pages(iam, operation, key, RoleName=role)))
    )


def _roles(opened: Opened) -> Iterator[Role]:
    iam = opened.client("iam")
    for role in pages(iam, "list_roles", "Roles", PathPrefix="/service-role/"):
        yield Role(
            name=role["RoleName"],
            where=role["Arn"],
            account_id=opened.account_id,
            path=role["Path"],
            trust=json.dumps(role["AssumeRolePolicyDocument"]),
            managed_policies=_attached(iam, role["RoleName"]),
        )


def _templates(opened: Opened) -> Iterator[ReplicationTemplate]:
    drs = opened.client("drs")
    for item in pages(drs, "describe_replication_configuration_templates", "items"):
        yield ReplicationTemplate(
            name=item["arn"],
            where=item["arn"],
            account_id=opened.account_id,
            region=opened.region,
            ebs_encryption=item["ebsEncryption"],
            key=_key_arn(opened, item.get("ebsEncryptionKeyArn")),
        )


def _key_arn(opened: Opened, named: str | None) -> str | None | Unknown:
    """The key's own ARN, since a template may name an alias."""
    if not named or ":key/" in named:
        return named or None
    return _seen(
        lambda: str(call(opened.client("kms"), "describe_key", KeyId=named)["KeyMetadata"]["Arn"])
    )


def _servers(opened: Opened) -> Iterator[SourceServer]:
    drs = opened.client("drs")
    for item in pages(
        drs, "describe_source_servers", "items", filters={}, PaginationConfig={"PageSize": 200}
    ):
        yield _server(item)


def _server(item: Json) -> SourceServer:
    area = item.get("stagingArea") or {}
    status = area.get("status")
    hints = (item.get("sourceProperties") or {}).get("identificationHints") or {}
    state = (item.get("dataReplicationInfo") or {}).get("dataReplicationState")
    missing = f"{item['arn']} does not show"
    return SourceServer(
        arn=item["arn"],
        hostname=hints.get("hostname") or hints.get("awsInstanceID") or item["sourceServerID"],
        extension=Extension(status)
        if status in set(Extension)
        else Unknown(f"{missing} a stagingArea.status that is known ({status!r})"),
        staging_account_id=area.get("stagingAccountID")
        or Unknown(f"{missing} its stagingArea.stagingAccountID"),
        staging_arn=area.get("stagingSourceServerArn"),
        replication_state=state or Unknown(f"{missing} its dataReplicationState"),
        error=area.get("errorMessage"),
    )


def _quota(opened: Opened, quota: Quota) -> int | Unknown:
    """The quota in this account: as applied, or AWS's default where none was applied."""
    client = opened.client("service-quotas")
    asked = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    try:
        try:
            answer = call(client, "get_service_quota", **asked)
        except CallError as error:
            if error.code != "NoSuchResourceException":
                raise
            answer = call(client, "get_aws_default_service_quota", **asked)
        return int(answer["Quota"]["Value"])
    except AccountError as error:
        return Unknown(str(error))
    except (KeyError, TypeError, ValueError) as error:
        return Unknown(f"Service Quotas gave no value for {quota.code} ({error})")
