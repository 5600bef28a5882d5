"""The live view: an `Estate` from the accounts as they are.

Every page of every account is read, accounts in parallel. What cannot be read is `Unknown` with
AWS's own words, never empty. Whether a server is extended is read from `stagingArea`, never from
the text of an ARN.
"""

import functools
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
    Ingress,
    Key,
    Part,
    PointInTimeRule,
    ReplicationTemplate,
    Role,
    SecurityGroup,
    SourceServer,
    Unknown,
)
from validator.quotas import QUOTAS, Quota
from validator.sources import tfvars
from validator.sources.resources import (
    group_name,
    key_name,
    role_name,
    sorted_ingress,
    sorted_rules,
    template_name,
)
from validator.sources.tfvars import Declared

T = TypeVar("T")
Json = dict[str, Any]

_DRS_ALIAS = "alias/drs"
_DRS_ROLE = "drs"
"""How the modules' aliases and role names begin; other keys and roles are not the estate's."""


def read(declared: Declared, env: str, opener: Opener) -> Estate:
    """The estate as its accounts show it; an account that cannot be read is unknown, not empty."""
    target, staging, orchestration = tfvars.accounts(declared)
    region = tfvars.text(declared, "recovery_region")
    everyone = (target, *staging, orchestration)
    with ThreadPoolExecutor(max_workers=min(16, len(everyone))) as pool:
        seen = list(pool.map(lambda account: _account(account, opener, region), everyone))
    by_name = {account.name: account for account in seen}
    return tfvars.estate(declared, env, "live", lambda account: by_name[account.name])


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
            security_groups=blind,
            servers=blind,
            quotas=tuple((quota.code, blind) for quota in QUOTAS),
        )
    replicates = account.part is not Part.ORCHESTRATION
    items = _seen(lambda: tuple(_template_items(opened))) if replicates else ()
    keys = items if isinstance(items, Unknown) else _seen(lambda: _keys(opened, account, items))
    groups = items if isinstance(items, Unknown) else _seen(lambda: _groups(opened, account, items))
    return replace(
        account,
        keys=keys,
        roles=_seen(lambda: tuple(_roles(opened, account))),
        templates=items
        if isinstance(items, Unknown)
        else _seen(lambda: tuple(_template(item, opened, account, keys, groups) for item in items)),
        security_groups=groups
        if isinstance(groups, Unknown)
        else tuple(group for _, group in groups),
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


def _keys(opened: Opened, account: Account, templates: tuple[Json, ...]) -> tuple[Key, ...]:
    """The keys of DRS: those that a template encrypts with, and those whose alias says so."""
    kms = opened.client("kms")
    aliases: dict[str, list[str]] = {}
    for alias in pages(kms, "list_aliases", "Aliases"):
        if "TargetKeyId" in alias:
            aliases.setdefault(alias["TargetKeyId"], []).append(alias["AliasName"])
    used = {_key_arn(opened, item.get("ebsEncryptionKeyArn")) for item in templates}
    found = []
    for item in pages(kms, "list_keys", "Keys"):
        names = tuple(sorted(aliases.get(item["KeyId"], ())))
        if item["KeyArn"] in used or any(name.startswith(_DRS_ALIAS) for name in names):
            key = _key(kms, item["KeyArn"], names)
            if key is not None:
                found.append(replace(key, name=key_name(key, account.name)))
    return tuple(found)


def _key(kms: Client, arn: str, aliases: tuple[str, ...]) -> Key | None:
    """The key as KMS shows it, None if it is AWS's own; one about to be deleted is not enabled."""
    key = call(kms, "describe_key", KeyId=arn)["KeyMetadata"]
    if key["KeyManager"] != "CUSTOMER":
        return None
    named = {"KeyId": arn, "PolicyName": "default"}
    return Key(
        name=arn,
        where=arn,
        account_id=arn.split(":")[4],
        region=arn.split(":")[3],
        aliases=aliases,
        policy=_seen(lambda: str(call(kms, "get_key_policy", **named)["Policy"])),
        enabled=key["KeyState"] == "Enabled",
        rotated=_seen(
            lambda: bool(call(kms, "get_key_rotation_status", KeyId=arn)["KeyRotationEnabled"])
        ),
        deletion_window=None,
    )


def _attached(iam: Client, role: str) -> tuple[str, ...] | Unknown:
    operation, key = "list_attached_role_policies", "AttachedPolicies"
    return _seen(
        lambda: tuple(sorted(p["PolicyArn"] for p in pages(iam, operation, key, RoleName=role)))
    )


def _permissions(
    iam: Client, role: str, attached: tuple[str, ...] | Unknown
) -> tuple[str, ...] | Unknown:
    """The role's inline policies and its customer-managed ones, as JSON text."""
    if isinstance(attached, Unknown):
        return attached
    found = []
    for name in pages(iam, "list_role_policies", "PolicyNames", RoleName=role):
        answer = call(iam, "get_role_policy", RoleName=role, PolicyName=name)
        found.append(json.dumps(answer["PolicyDocument"]))
    for arn in attached:
        if ":iam::aws:policy/" not in arn:
            version = call(iam, "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
            answer = call(iam, "get_policy_version", PolicyArn=arn, VersionId=version)
            found.append(json.dumps(answer["PolicyVersion"]["Document"]))
    return tuple(sorted(found))


def _roles(opened: Opened, account: Account) -> Iterator[Role]:
    """The roles of the estate: those whose name begins as its modules name them."""
    iam = opened.client("iam")
    for item in pages(iam, "list_roles", "Roles"):
        name = item["RoleName"]
        if not name.lower().startswith(_DRS_ROLE):
            continue
        attached = _attached(iam, name)
        role = Role(
            name=item["Arn"],
            where=item["Arn"],
            account_id=opened.account_id,
            role_name=name,
            path=item["Path"],
            trust=json.dumps(item["AssumeRolePolicyDocument"]),
            managed_policies=attached,
            permissions=_seen(functools.partial(_permissions, iam, name, attached)),
        )
        yield replace(role, name=role_name(role, account.name))


def _template_items(opened: Opened) -> Iterator[Json]:
    yield from pages(opened.client("drs"), "describe_replication_configuration_templates", "items")


def _template(
    item: Json,
    opened: Opened,
    account: Account,
    keys: tuple[Key, ...] | Unknown,
    groups: tuple[tuple[str, SecurityGroup], ...] | Unknown,
) -> ReplicationTemplate:
    key = _key_arn(opened, item.get("ebsEncryptionKeyArn"))
    names = {k.where: k.name for k in keys} if not isinstance(keys, Unknown) else {}
    used = item["replicationServersSecurityGroupsIDs"]
    template = ReplicationTemplate(
        name=item["arn"],
        where=item["arn"],
        account_id=opened.account_id,
        region=opened.region,
        ebs_encryption=item["ebsEncryption"],
        key=names.get(key, key) if isinstance(key, str) else key,
        point_in_time=sorted_rules(
            PointInTimeRule(
                rule["units"],
                rule["interval"],
                rule["retentionDuration"],
                rule.get("enabled", True),
            )
            for rule in item["pitPolicy"]
        ),
        data_plane_routing=item["dataPlaneRouting"],
        public_ip=item["createPublicIP"],
        default_security_group=item["associateDefaultSecurityGroup"],
        security_groups=groups
        if isinstance(groups, Unknown)
        else tuple(sorted({i: g.name for i, g in groups}.get(each, each) for each in used)),
    )
    return replace(template, name=template_name(template, account.name))


def _groups(
    opened: Opened, account: Account, templates: tuple[Json, ...]
) -> tuple[tuple[str, SecurityGroup], ...]:
    """The security groups that the templates use, by id, with all that they let in."""
    ids = sorted({id_ for item in templates for id_ in item["replicationServersSecurityGroupsIDs"]})
    if not ids:
        return ()
    ec2 = opened.client("ec2")
    wanted = [{"Name": "group-id", "Values": ids}]
    ingress: dict[str, list[Ingress]] = {}
    for rule in pages(ec2, "describe_security_group_rules", "SecurityGroupRules", Filters=wanted):
        if not rule["IsEgress"]:
            ingress.setdefault(rule["GroupId"], []).append(_ingress(rule))
    found = []
    for item in pages(ec2, "describe_security_groups", "SecurityGroups", Filters=wanted):
        id_ = item["GroupId"]
        group = SecurityGroup(
            name=group_name(item["GroupName"], account.name),
            where=id_,
            account_id=opened.account_id,
            region=opened.region,
            ingress=sorted_ingress(ingress.get(id_, ())),
        )
        found.append((id_, group))
    return tuple(found)


def _ingress(rule: Json) -> Ingress:
    every = rule["IpProtocol"] == "-1"
    source = rule.get("CidrIpv4") or rule.get("CidrIpv6")
    if source is None and rule.get("ReferencedGroupInfo"):
        source = "security group"
    if source is None and rule.get("PrefixListId"):
        source = "prefix list"
    return Ingress(
        protocol=rule["IpProtocol"],
        from_port=None if every else rule["FromPort"],
        to_port=None if every else rule["ToPort"],
        source=source or Unknown(f"{rule['SecurityGroupRuleId']} shows no source"),
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
