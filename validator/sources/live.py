"""The live view: an `Estate` from the accounts as they are.

Every page of every account is read, accounts in parallel. What cannot be read is `Unknown` with
AWS's own words, never empty. Whether a server is extended is read from `stagingArea`, never from
the text of an ARN.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from validator.accounts import CallError, Client, Opened, Opener, assumed, call, opener, pages
from validator.errors import AccountError
from validator.model import (
    AGENT_DEPLOYER,
    DEPLOYMENTS,
    VERIFIER_ROLE,
    Account,
    Estate,
    Extension,
    Ingress,
    Instance,
    Key,
    Launch,
    LaunchSettings,
    Part,
    PointInTimeRule,
    ReplicationTemplate,
    Role,
    SecurityGroup,
    SourceServer,
    Table,
    Unknown,
    Worker,
    known,
)
from validator.quotas import QUOTAS, Quota
from validator.sources import declared as declarations
from validator.sources.declared import Declared
from validator.sources.resources import (
    group_name,
    key_name,
    role_name,
    sorted_ingress,
    sorted_rules,
    table_name,
    template_name,
    worker_name,
)

T = TypeVar("T")
Json = dict[str, Any]

_DRS_ALIAS = "alias/drs"
_DRS_ROLE = "drs"
"""How the modules' aliases and role names begin; other keys and roles are not the estate's."""


def read(declared: Declared, env: str, opener: Opener, *, deep: bool = False) -> Estate:
    """The estate as its accounts show it; an account that cannot be read is unknown, not empty.

    What AWS offers only server by server is read for servers that are not extended yet, and for all
    if `deep`.
    """
    target, staging, orchestration = declarations.accounts(declared)
    regions = _Regions(
        declarations.text(declared, "source_region"), declarations.text(declared, "recovery_region")
    )
    called = declarations.text(declared, "environment")
    everyone = (target, *staging, orchestration)
    opened = _opened(everyone, opener, regions.recovery)
    read_at = _seen(lambda: _now(opened[target.name]))
    with ThreadPoolExecutor(max_workers=min(16, len(everyone))) as pool:
        seen = list(
            pool.map(lambda each: _account(each, opened[each.name], regions, called), everyone)
        )
    by_name = {account.name: account for account in seen}
    known_target = by_name[target.name]
    with ThreadPoolExecutor(max_workers=min(16, len(everyone))) as pool:
        joined = pool.map(
            lambda each: _joined(by_name[each.name], opened, known_target, deep), everyone
        )
        by_name = {account.name: account for account in joined}
    return declarations.estate(
        declared, env, "live", lambda account: by_name[account.name], read_at=read_at
    )


def verifier(declared: Declared, environment: Mapping[str, str]) -> Opener:
    """Opens the accounts by their verifier roles, for the one caller whom those trust."""
    role = f"{VERIFIER_ROLE}-{declarations.text(declared, 'environment')}"
    return opener(role, environment, declarations.external_ids(declared))


def as_principal(declared: Declared, environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with the credentials of the caller whom the verifier roles trust.

    Raises AccountError unless that role lets the caller in.
    """
    _, _, orchestration = declarations.accounts(declared)
    return assumed(
        declarations.text(declared, "verifier_principal_arn"),
        declarations.text(declared, "recovery_region"),
        environment,
        declarations.external_ids(declared)[orchestration.id],
    )


@dataclass(frozen=True, slots=True)
class _Regions:
    source: str
    recovery: str


_Door = Opened | Unknown
"""An account's session, or why there is none."""


def _opened(accounts: tuple[Account, ...], opener: Opener, region: str) -> dict[str, _Door]:
    with ThreadPoolExecutor(max_workers=min(16, len(accounts))) as pool:
        doors = pool.map(lambda each: _seen(lambda: opener.open(each.id, region)), accounts)
        return dict(zip((each.name for each in accounts), doors, strict=True))


def _now(door: _Door) -> datetime:
    """AWS's own time: the clock of this machine may be anything."""
    if isinstance(door, Unknown):
        raise AccountError(door.reason)
    answer = call(door.client("sts"), "get_caller_identity")
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


def _account(account: Account, door: _Door, regions: _Regions, environment: str) -> Account:
    if isinstance(door, Unknown):
        return replace(
            account,
            keys=door,
            roles=door,
            templates=door,
            security_groups=door,
            workers=door,
            tables=door,
            servers=door,
            instances=door,
            initialised=door,
            initialised_at_source=door,
            launch_settings=door,
            extensible=door,
            extended_from=door,
            quotas=tuple((quota.code, door) for quota in QUOTAS),
        )
    roles = _seen(lambda: tuple(_roles(door, account)))
    if account.part is Part.ORCHESTRATION:
        return replace(
            account,
            keys=(),
            roles=roles,
            templates=(),
            security_groups=(),
            workers=_seen(lambda: tuple(_workers(door, account, environment, roles))),
            tables=_seen(lambda: tuple(_tables(door, account, environment))),
            servers=(),
            instances=(),
        )
    items = _of_drs(lambda: tuple(_template_items(door)))
    ready = not isinstance(items, _Uninitialised)
    templates = () if isinstance(items, _Uninitialised) else items
    keys = (
        templates
        if isinstance(templates, Unknown)
        else _seen(lambda: _keys(door, account, templates))
    )
    groups = (
        templates
        if isinstance(templates, Unknown)
        else _seen(lambda: _groups(door, account, templates))
    )
    return replace(
        account,
        keys=keys,
        roles=roles,
        templates=templates
        if isinstance(templates, Unknown)
        else _seen(
            lambda: tuple(_template(each, door, account, keys, groups) for each in templates)
        ),
        security_groups=groups
        if isinstance(groups, Unknown)
        else tuple(group for _, group in groups),
        servers=_seen(lambda: tuple(_servers(door))) if ready else (),
        instances=_seen(lambda: tuple(_instances(door, regions.source))),
        initialised=items if isinstance(items, Unknown) else ready,
        initialised_at_source=_ready_at(door, regions.source)
        if account.part is Part.TARGET
        else Unknown("only the target is asked"),
        launch_settings=_seen(lambda: _launch_settings(door)) if ready else None,
        quotas=tuple(_quotas(door)),
    )


class _Uninitialised:
    """DRS was never initialised in the account and Region."""


def _of_drs(read: Callable[[], T]) -> T | _Uninitialised | Unknown:
    try:
        return read()
    except CallError as error:
        if error.code == "UninitializedAccountException":
            return _Uninitialised()
        return Unknown(str(error))
    except (AccountError, KeyError, TypeError, ValueError) as error:
        return Unknown(f"{error}")


def _ready_at(door: Opened, region: str) -> bool | Unknown:
    """True if DRS is initialised in another Region of the account."""
    drs = door.client("drs", region=region)
    answer = _of_drs(
        lambda: call(drs, "describe_replication_configuration_templates", maxResults=1)
    )
    return answer if isinstance(answer, Unknown) else not isinstance(answer, _Uninitialised)


def _joined(account: Account, opened: dict[str, _Door], target: Account, deep: bool) -> Account:
    """The account with what only the target tells of it, and what is read server by server."""
    if account.part is Part.ORCHESTRATION:
        return account
    door, of_target = opened[account.name], opened[target.name]
    if account.part is Part.TARGET:
        extended_from = (
            of_target
            if isinstance(of_target, Unknown)
            else _seen(lambda: tuple(_extended_from(of_target)))
        )
        account = replace(account, extended_from=extended_from)
    else:
        extensible = (
            of_target
            if isinstance(of_target, Unknown)
            else _seen(lambda: tuple(_extensible(of_target, account.id)))
        )
        account = replace(account, extensible=extensible)
    if isinstance(door, Unknown) or isinstance(account.servers, Unknown):
        return account
    extended = {server.staging_arn for server in known(target.servers)}
    wanted = [
        server
        for server in account.servers
        if server.extension is Extension.NOT_EXTENDED
        and (deep or (account.part is Part.STAGING and server.arn not in extended))
    ]
    detailed = _detailed(door, wanted, deep)
    return replace(
        account, servers=tuple(detailed.get(server.arn, server) for server in account.servers)
    )


def _detailed(door: Opened, servers: list[SourceServer], deep: bool) -> dict[str, SourceServer]:
    """The servers with what AWS offers only server by server, by ARN."""
    drs = door.client("drs")

    def detail(server: SourceServer) -> SourceServer:
        identifier = server.arn.rsplit("/", 1)[1]
        settings = _seen(
            lambda: call(drs, "get_replication_configuration", sourceServerID=identifier)
        )
        if isinstance(settings, Unknown):
            server = replace(server, encryption=settings, key=settings)
        else:
            encryption = settings.get("ebsEncryption")
            server = replace(
                server,
                encryption=encryption or Unknown(f"{server.arn} does not show ebsEncryption"),
                key=settings.get("ebsEncryptionKeyArn"),
            )
        if deep:
            server = replace(server, newest_point=_seen(lambda: _newest_point(drs, identifier)))
        return server

    with ThreadPoolExecutor(max_workers=8) as pool:
        return {server.arn: server for server in pool.map(detail, servers)}


def _newest_point(drs: Client, identifier: str) -> datetime | None:
    """The time of the server's newest point in time, None if it has none."""
    answer = call(
        drs,
        "describe_recovery_snapshots",
        sourceServerID=identifier,
        order="DESC",
        maxResults=1,
    )
    times = [datetime.fromisoformat(item["timestamp"]) for item in answer["items"]]
    return max(times) if times else None


def _extensible(door: Opened, staging_account_id: str) -> Iterator[str]:
    """The ARNs that DRS of the target could still extend from a staging account."""
    drs, operation = door.client("drs"), "list_extensible_source_servers"
    page = {"PaginationConfig": {"PageSize": 300}}
    for item in pages(drs, operation, "items", stagingAccountID=staging_account_id, **page):
        yield item["arn"]


def _extended_from(door: Opened) -> Iterator[str]:
    for item in pages(door.client("drs"), "list_staging_accounts", "accounts"):
        yield item["accountID"]


def _launch_settings(door: Opened) -> LaunchSettings | None:
    """How servers of the account are launched by default, None if nothing says so."""
    items = list(pages(door.client("drs"), "describe_launch_configuration_templates", "items"))
    if not items:
        return None
    item = items[0]
    return LaunchSettings(
        right_sizing=item["targetInstanceTypeRightSizingMethod"],
        disposition=item["launchDisposition"],
        copy_tags=item["copyTags"],
        copy_private_ip=item["copyPrivateIp"],
        licensing_byol=item["licensing"]["osByol"],
    )


def _instances(door: Opened, region: str) -> Iterator[Instance]:
    """The instances of the source Region that are tagged for DR and not terminated."""
    wanted = [
        {"Name": "tag:dr:enabled", "Values": ["true"]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    ec2 = door.client("ec2", region=region)
    for reservation in pages(ec2, "describe_instances", "Reservations", Filters=wanted):
        for item in reservation["Instances"]:
            tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags", [])}
            yield Instance(
                id=item["InstanceId"],
                where=f"arn:aws:ec2:{region}:{door.account_id}:instance/{item['InstanceId']}",
                account_id=door.account_id,
                state=item["State"]["Name"],
                tags=tuple(sorted(tags.items())),
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
    for item in pages(iam, "list_roles", "Roles", PaginationConfig={"PageSize": 1000}):
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


def _workers(
    opened: Opened, account: Account, environment: str, roles: tuple[Role, ...] | Unknown
) -> Iterator[Worker]:
    """The agent deployer's function and state machine, as far as they are there."""
    name = f"{AGENT_DEPLOYER}-{environment}"
    names = {each.where: each.name for each in known(roles)}
    machine = f"arn:aws:states:{opened.region}:{opened.account_id}:stateMachine:{name}"
    function = _there(
        opened.client("lambda"),
        "get_function_configuration",
        "ResourceNotFoundException",
        FunctionName=name,
    )
    states = _there(
        opened.client("stepfunctions"),
        "describe_state_machine",
        "StateMachineDoesNotExist",
        stateMachineArn=machine,
    )
    common = {"account_id": opened.account_id, "region": opened.region}

    def role(arn: str) -> str | Unknown:
        return roles if isinstance(roles, Unknown) else names.get(arn, arn)

    if function is not None:
        arn, called = function["FunctionArn"], function["FunctionName"]
        each = Worker(
            arn, arn, **common, kind="function", worker_name=called, role=role(function["Role"])
        )
        yield replace(each, name=worker_name(each, account.name))
    if states is not None:
        each = Worker(
            machine,
            machine,
            **common,
            kind="state machine",
            worker_name=states["name"],
            role=role(states["roleArn"]),
        )
        yield replace(each, name=worker_name(each, account.name))


def _tables(opened: Opened, account: Account, environment: str) -> Iterator[Table]:
    """The table of deployments, if it is there."""
    name, dynamodb = f"{DEPLOYMENTS}-{environment}", opened.client("dynamodb")
    answer = _there(dynamodb, "describe_table", "ResourceNotFoundException", TableName=name)
    if answer is None:
        return
    described = answer["Table"]
    table = Table(
        name=described["TableArn"],
        where=described["TableArn"],
        account_id=opened.account_id,
        region=opened.region,
        table_name=described["TableName"],
        recoverable=_seen(lambda: _recoverable(dynamodb, name)),
        protected=described.get("DeletionProtectionEnabled", False),
    )
    yield replace(table, name=table_name(table, account.name))


def _recoverable(dynamodb: Client, table: str) -> bool:
    """True if a table has point-in-time recovery."""
    answer = call(dynamodb, "describe_continuous_backups", TableName=table)
    recovery = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    return bool(recovery["PointInTimeRecoveryStatus"] == "ENABLED")


def _there(client: Client, operation: str, missing: str, **params: str) -> Json | None:
    """One call's answer, None if AWS says that the thing is not there."""
    try:
        return call(client, operation, **params)
    except CallError as error:
        if error.code != missing:
            raise
        return None


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
        replicates_new_disks=item.get(
            "autoReplicateNewDisks", Unknown("DRS does not tell autoReplicateNewDisks")
        ),
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
    data = item.get("dataReplicationInfo") or {}
    life = item.get("lifeCycle") or {}
    failed = data.get("dataReplicationError") or {}
    cloud = item.get("sourceCloudProperties") or {}
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
        replication_state=data.get("dataReplicationState")
        or Unknown(f"{missing} its dataReplicationState"),
        error=area.get("errorMessage"),
        instance_id=hints.get("awsInstanceID"),
        origin=_origin(cloud, hints.get("awsInstanceID"), item["arn"]),
        tags=tuple(sorted((item.get("tags") or {}).items())),
        lag=_seconds(data.get("lagDuration"), item["arn"]),
        last_seen=_time(life.get("lastSeenByServiceDateTime"), item["arn"]),
        first_byte=_time(life.get("firstByteDateTime"), item["arn"]),
        added=_time(life.get("addedToServiceDateTime"), item["arn"]),
        replication_error=failed.get("error"),
        step=_step((data.get("dataReplicationInitiation") or {}).get("steps") or []),
        direction=item.get("replicationDirection") or "FAILOVER",
        volumes=tuple(
            disk["volumeStatus"]
            for disk in data.get("replicatedDisks") or []
            if disk.get("volumeStatus")
        ),
        launch=_launch(life.get("lastLaunch"), item["arn"]),
    )


def _origin(cloud: Json, instance_id: str | None, arn: str) -> tuple[str, str] | None | Unknown:
    """Account and Region of a server's EC2 instance, None if it is none."""
    account, region = cloud.get("originAccountID"), cloud.get("originRegion")
    if account and region:
        return account, region
    if instance_id or cloud:
        return Unknown(f"{arn} does not show where its instance {instance_id} is")
    return None


def _step(steps: list[Json]) -> str | None:
    """The initiation step that is not done yet, with its number and status."""
    for number, step in enumerate(steps, 1):
        if step.get("status") not in {"SUCCEEDED", "SKIPPED"}:
            return f"step {number} of {len(steps)}, {step.get('name')}, is {step.get('status')}"
    return None


def _launch(launch: Json | None, arn: str) -> Launch | None:
    if not launch or not launch.get("initiated"):
        return None
    initiated = launch["initiated"]
    return Launch(
        type=str(initiated.get("type")),
        status=str(launch.get("status")),
        at=_time(initiated.get("apiCallDateTime"), arn) or Unknown(f"{arn} does not show when"),
    )


_DURATION = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?"
    r"(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)


def _seconds(text: str | None, arn: str) -> int | None | Unknown:
    """A lag, which DRS writes as an ISO 8601 duration."""
    if text is None:
        return None
    found = _DURATION.fullmatch(text)
    if found is None or text in {"P", "PT"} or text.endswith("T"):
        return Unknown(f"{arn} shows a lag that is no duration ({text!r})")
    parts = {name: float(value) for name, value in found.groupdict().items() if value}
    return int(timedelta(**parts).total_seconds())


def _time(text: str | None, arn: str) -> datetime | None | Unknown:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return Unknown(f"{arn} shows a time that is none ({text!r})")
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _quotas(door: Opened) -> Iterator[tuple[str, int | Unknown]]:
    """Each quota in this account: as applied, or AWS's default where none was applied."""
    client = door.client("service-quotas")
    for service in sorted({quota.service for quota in QUOTAS}):
        wanted = [quota for quota in QUOTAS if quota.service == service]
        values = _seen(functools.partial(_values, client, service, wanted))
        for quota in wanted:
            if isinstance(values, Unknown):
                yield quota.code, values
            else:
                nothing = Unknown(f"Service Quotas gives no value for {quota.code}")
                yield quota.code, values.get(quota.code, nothing)


def _values(client: Client, service: str, wanted: list[Quota]) -> dict[str, int]:
    values: dict[str, int] = {}
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        if all(quota.code in values for quota in wanted):
            break
        for item in pages(client, operation, "Quotas", ServiceCode=service):
            values.setdefault(item["QuotaCode"], int(item["Value"]))
    return values
