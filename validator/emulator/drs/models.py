"""The state of DRS in one account and Region, and what it refuses.

Not built: recovery jobs, recovery plans, source networks, launch actions, failback.
"""

import json
import random
import threading
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from moto.core.base_backend import BackendDict, BaseBackend
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends

from validator.emulator.authorization import allows
from validator.emulator.drs.exceptions import (
    AccessDeniedException,
    ConflictException,
    ResourceNotFoundException,
    ServiceQuotaExceededException,
    ValidationException,
)

Json = dict[str, Any]

STAGING_POLICY = (
    "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryStagingAccountPolicy_v2"
)
REPLICATING, TOTAL = "L-C1D14A2B", "L-E28BE5E0"
_DEFAULT_QUOTAS = {REPLICATING: 300, TOTAL: 4000}


def _default_quota(_account: str, _region: str, code: str) -> float:
    return _DEFAULT_QUOTAS[code]


quota_value: Callable[[str, str, str], float] = _default_quota
"""The value of a DRS quota in an account and Region; the server points it at Service Quotas."""

_REPLICATION_FIELDS = (
    "associateDefaultSecurityGroup",
    "autoReplicateNewDisks",
    "bandwidthThrottling",
    "createPublicIP",
    "dataPlaneRouting",
    "defaultLargeStagingDiskType",
    "ebsEncryption",
    "ebsEncryptionKeyArn",
    "internetProtocol",
    "pitPolicy",
    "replicationServerInstanceType",
    "replicationServersSecurityGroupsIDs",
    "stagingAreaSubnetId",
    "stagingAreaTags",
    "useDedicatedReplicationServer",
)
_LAUNCH_DEFAULTS: Json = {
    "copyPrivateIp": False,
    "copyTags": True,
    "launchDisposition": "STARTED",
    "licensing": {"osByol": False},
    "targetInstanceTypeRightSizingMethod": "BASIC",
}
_SYSTEMS = (
    "Ubuntu 22.04",
    "Amazon Linux 2023",
    "Red Hat Enterprise Linux 9",
    "Windows Server 2022",
)
_TIERS = ("web", "app", "db", "cache", "batch")


class DrsBackend(BaseBackend):
    """DRS of one account and Region."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.lock = threading.RLock()
        self.initialised = False
        self.templates: dict[str, Json] = {}
        self.launch_templates: dict[str, Json] = {}
        self.servers: dict[str, Json] = {}
        self.replication: dict[str, Json] = {}
        self.launch: dict[str, Json] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.random = random.Random(f"{account_id} {region_name}")

    def arn(self, kind: str, identifier: str) -> str:
        """The ARN of a resource of this account and Region."""
        return f"arn:aws:drs:{self.region_name}:{self.account_id}:{kind}/{identifier}"

    def new_id(self, prefix: str) -> str:
        """A fresh id such as s- with 17 hexadecimal digits."""
        return f"{prefix}-{self.random.getrandbits(68):017x}"

    def replicating(self) -> int:
        """How many servers count against the replicating quota."""
        return sum(
            server["stagingArea"]["status"] == "NOT_EXTENDED"
            and server["dataReplicationInfo"]["dataReplicationState"]
            not in {"STOPPED", "DISCONNECTED"}
            for server in self.servers.values()
        )

    def server(self, identifier: str) -> Json:
        """One source server; raises ResourceNotFoundException."""
        if identifier not in self.servers:
            raise ResourceNotFoundException(
                f"Source server {identifier} not found",
                resourceId=identifier,
                resourceType="SourceServer",
            )
        return self.servers[identifier]

    def create_source_servers(
        self, count: int, *, prefix: str | None = None, state: str = "CONTINUOUS"
    ) -> list[Json]:
        """Registers servers as their agents would, under the template's replication settings."""
        with self.lock:
            if not self.templates:
                raise ValidationException("There is no replication configuration template.")
            template = next(iter(self.templates.values()))
            quota = quota_value(self.account_id, self.region_name, REPLICATING)
            if self.replicating() + count > quota:
                raise _quota_exceeded(REPLICATING, quota)
            made = [self._create_source_server(template, prefix, state) for _ in range(count)]
            self.sort_servers()
            return made

    def sort_servers(self) -> None:
        """Puts the servers in the order of their ids, which pages are cut from."""
        self.servers = dict(sorted(self.servers.items()))

    def _create_source_server(self, template: Json, prefix: str | None, state: str) -> Json:
        number = len(self.servers) + 1
        identifier = self.new_id("s")
        tier = self.random.choice(_TIERS)
        disks = [
            {"deviceName": f"/dev/sd{chr(97 + n)}", "bytes": self.random.randint(30, 500) * 2**30}
            for n in range(self.random.randint(1, 4))
        ]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        server: Json = {
            "arn": self.arn("source-server", identifier),
            "sourceServerID": identifier,
            "agentVersion": "6.2.0",
            "dataReplicationInfo": {
                "dataReplicationState": state,
                "lagDuration": "PT0S",
                "replicatedDisks": [
                    {
                        "deviceName": disk["deviceName"],
                        "totalStorageBytes": disk["bytes"],
                        "replicatedStorageBytes": disk["bytes"],
                        "backloggedStorageBytes": 0,
                        "volumeStatus": "REGULAR",
                    }
                    for disk in disks
                ],
            },
            "lastLaunchResult": "NOT_STARTED",
            "lifeCycle": {
                "addedToServiceDateTime": now,
                "firstByteDateTime": now,
                "lastSeenByServiceDateTime": now,
            },
            "replicationDirection": "FAILOVER",
            "sourceProperties": {
                "cpus": [{"cores": self.random.choice((2, 4, 8))}],
                "disks": disks,
                "identificationHints": {
                    "awsInstanceID": self.new_id("i"),
                    "hostname": f"{prefix or tier}-{number:04d}.example.internal",
                },
                "os": {"fullString": self.random.choice(_SYSTEMS)},
                "ramBytes": self.random.choice((4, 8, 16, 32)) * 2**30,
                "recommendedInstanceType": self.random.choice(("m6i.large", "r6i.xlarge")),
            },
            "stagingArea": {"status": "NOT_EXTENDED", "stagingAccountID": self.account_id},
        }
        self.servers[identifier] = server
        self.replication[identifier] = {
            key: template[key] for key in _REPLICATION_FIELDS if key in template
        }
        self.launch[identifier] = dict(_LAUNCH_DEFAULTS)
        self.tags[server["arn"]] = {"Name": f"{tier}-{number:04d}"}
        return server

    def set_state(self, server_ids: list[str] | str, *, data_replication_state: str) -> int:
        """Sets the replication state of servers ("all" for every one); returns how many."""
        with self.lock:
            chosen = list(self.servers) if server_ids == "all" else list(server_ids)
            for identifier in chosen:
                self.server(identifier)["dataReplicationInfo"]["dataReplicationState"] = (
                    data_replication_state
                )
            return len(chosen)


def _quota_exceeded(code: str, value: float) -> ServiceQuotaExceededException:
    return ServiceQuotaExceededException(
        f"Service quota {code} of {value:.0f} exceeded",
        quotaCode=code,
        serviceCode="drs",
        resourceType="SourceServer",
        resourceId="",
    )


def _page(items: list[Json], params: Json, key: str, identity: str) -> Json:
    """One page of items that stand in the order of their identity.

    The token is the last item's identity, so that deletions lose and double nothing.
    """
    after, size = params.get("nextToken", "after:"), params.get("maxResults", 200)
    if not isinstance(after, str) or not after.startswith("after:"):
        raise ValidationException("nextToken is not valid")
    start = bisect_right(items, after.removeprefix("after:"), key=itemgetter(identity))
    page: Json = {key: items[start : start + size]}
    if len(items) > start + size:
        page["nextToken"] = f"after:{items[start + size - 1][identity]}"
    return page


def _initialise(backend: DrsBackend, _: Json) -> Json:
    iam = iam_backends[backend.account_id]["aws"]
    needed = ["Agent", "ConversionServer", "Failback", "RecoveryInstance", "ReplicationServer"]
    names = {role.name for role in iam.roles.values()}
    missing = [
        f"AWSElasticDisasterRecovery{each}Role"
        for each in needed
        if f"AWSElasticDisasterRecovery{each}Role" not in names
    ]
    if missing:
        raise ValidationException(f"Missing service roles: {', '.join(missing)}")
    if "AWSServiceRoleForElasticDisasterRecovery" not in names:
        iam.create_service_linked_role("drs.amazonaws.com", "", "")
    backend.initialised = True
    return {}


def _check_template(settings: Json) -> None:
    if settings.get("ebsEncryption") == "CUSTOM" and not settings.get("ebsEncryptionKeyArn"):
        raise ValidationException("ebsEncryption CUSTOM needs ebsEncryptionKeyArn")
    rules = [
        (rule.get("units"), rule.get("interval"), rule.get("retentionDuration"))
        for rule in settings.get("pitPolicy", [])
    ]
    legal = (
        len(rules) == 3
        and {("MINUTE", 10, 60), ("HOUR", 1, 24)} <= set(rules)
        and any(u == "DAY" and i == 1 and 1 <= r <= 365 for u, i, r in rules)
    )
    if not legal:
        raise ValidationException(
            "pitPolicy must hold exactly: MINUTE 10/60, HOUR 1/24 and DAY 1/1..365"
        )


def _template(backend: DrsBackend, identifier: str) -> Json:
    if identifier not in backend.templates:
        raise ResourceNotFoundException(
            f"Replication configuration template {identifier} not found",
            resourceId=identifier,
            resourceType="ReplicationConfigurationTemplate",
        )
    return backend.templates[identifier]


def _tagged(backend: DrsBackend, item: Json) -> Json:
    return {**item, "tags": dict(backend.tags.get(item["arn"], {}))}


def _create_template(backend: DrsBackend, params: Json) -> Json:
    if backend.templates:
        raise _quota_exceeded("ReplicationConfigurationTemplates", 1)
    settings = {"associateDefaultSecurityGroup": False, "createPublicIP": False}
    settings |= {key: params[key] for key in _REPLICATION_FIELDS if params.get(key) is not None}
    _check_template(settings)
    identifier = backend.new_id("rct")
    arn = backend.arn("replication-configuration-template", identifier)
    backend.templates[identifier] = {
        **settings,
        "replicationConfigurationTemplateID": identifier,
        "arn": arn,
    }
    backend.tags[arn] = dict(params.get("tags") or {})
    return _tagged(backend, backend.templates[identifier])


def _describe_templates(backend: DrsBackend, params: Json) -> Json:
    wanted = params.get("replicationConfigurationTemplateIDs") or list(backend.templates)
    items = [_tagged(backend, _template(backend, identifier)) for identifier in sorted(wanted)]
    return _page(items, params, "items", "arn")


def _update_template(backend: DrsBackend, params: Json) -> Json:
    template = _template(backend, params["replicationConfigurationTemplateID"])
    changed = template | {k: params[k] for k in _REPLICATION_FIELDS if params.get(k) is not None}
    _check_template(changed)
    template.update(changed)
    return _tagged(backend, template)


def _delete_template(backend: DrsBackend, params: Json) -> Json:
    identifier = params["replicationConfigurationTemplateID"]
    backend.tags.pop(_template(backend, identifier)["arn"], None)
    del backend.templates[identifier]
    return {}


_LAUNCH_FIELDS = (*_LAUNCH_DEFAULTS, "exportBucketArn", "postLaunchEnabled", "recoveryMode")


def _create_launch_template(backend: DrsBackend, params: Json) -> Json:
    if backend.launch_templates:
        raise _quota_exceeded("L-1F3FAE4D", 1)
    identifier = backend.new_id("lct")
    arn = backend.arn("launch-configuration-template", identifier)
    settings = {k: params[k] for k in _LAUNCH_FIELDS if params.get(k) is not None}
    item = {
        **_LAUNCH_DEFAULTS,
        **settings,
        "launchConfigurationTemplateID": identifier,
        "arn": arn,
    }
    backend.launch_templates[identifier] = item
    backend.tags[arn] = dict(params.get("tags") or {})
    return {"launchConfigurationTemplate": _tagged(backend, item)}


def _launch_template(backend: DrsBackend, identifier: str) -> Json:
    if identifier not in backend.launch_templates:
        raise ResourceNotFoundException(
            f"Launch configuration template {identifier} not found",
            resourceId=identifier,
            resourceType="LaunchConfigurationTemplate",
        )
    return backend.launch_templates[identifier]


def _describe_launch_templates(backend: DrsBackend, params: Json) -> Json:
    wanted = params.get("launchConfigurationTemplateIDs") or list(backend.launch_templates)
    items = [_tagged(backend, _launch_template(backend, each)) for each in sorted(wanted)]
    return _page(items, params, "items", "arn")


def _update_launch_template(backend: DrsBackend, params: Json) -> Json:
    item = _launch_template(backend, params["launchConfigurationTemplateID"])
    item.update({k: params[k] for k in _LAUNCH_FIELDS if params.get(k) is not None})
    return {"launchConfigurationTemplate": _tagged(backend, item)}


def _delete_launch_template(backend: DrsBackend, params: Json) -> Json:
    item = _launch_template(backend, params["launchConfigurationTemplateID"])
    backend.tags.pop(item["arn"], None)
    del backend.launch_templates[item["launchConfigurationTemplateID"]]
    return {}


def _describe_servers(backend: DrsBackend, params: Json) -> Json:
    filters = params.get("filters") or {}
    servers = list(backend.servers.values())
    if ids := filters.get("sourceServerIDs"):
        servers = [server for server in servers if server["sourceServerID"] in ids]
    if hardware := filters.get("hardwareId"):
        servers = [
            server
            for server in servers
            if server["sourceProperties"]["identificationHints"]["awsInstanceID"] == hardware
        ]
    if staging := filters.get("stagingAccountIDs"):
        servers = [s for s in servers if s["stagingArea"]["stagingAccountID"] in staging]
    page = _page(servers, params, "items", "sourceServerID")
    problems: dict[tuple[str, str], str | None] = {}
    page["items"] = [_shown(backend, server, problems) for server in page["items"]]
    return page


def _shown(backend: DrsBackend, server: Json, problems: dict[tuple[str, str], str | None]) -> Json:
    """The server as answered: an extension's status is decided now, once per account and key."""
    server = _tagged(backend, server)
    area = server["stagingArea"]
    if area["status"] == "NOT_EXTENDED":
        return server
    staging = drs_backends[area["stagingAccountID"]][backend.region_name]
    identifier = area["stagingSourceServerArn"].rsplit("/", 1)[1]
    if identifier not in staging.servers:
        problem: str | None = "The staging source server was not found."
    else:
        settings = staging.replication[identifier]
        pair = (area["stagingAccountID"], str(settings.get("ebsEncryptionKeyArn")))
        if pair not in problems:
            problems[pair] = _problem(backend, staging, settings)
        problem = problems[pair]
    status = "EXTENSION_ERROR" if problem else "EXTENDED"
    server["stagingArea"] = {
        **area,
        "status": status,
        **({"errorMessage": problem} if problem else {}),
    }
    return server


def _problem(target: DrsBackend, staging: DrsBackend, settings: Json) -> str | None:
    """Why DRS of the target cannot use a server of the staging account, None if it can."""
    iam = iam_backends[staging.account_id]["aws"]
    name = f"DRSStagingAccountRole_{target.account_id}"
    role = next((r for r in iam.roles.values() if r.name == name), None)
    if role is None or role.path != "/service-role/":
        return f"Account {staging.account_id} does not trust {target.account_id}: no role {name}."
    context = {
        "sts:SourceIdentity": target.account_id,
        "aws:SourceAccount": target.account_id,
        "aws:SourceArn": target.arn("source-server", "s-00000000000000000"),
    }
    for action in ("sts:AssumeRole", "sts:SetSourceIdentity"):
        trust = role.assume_role_policy_document
        if not allows(trust, principal="drs.amazonaws.com", action=action, context=context):
            return f"The trust policy of {role.arn} does not let DRS {action}."
    if STAGING_POLICY not in role.managed_policies:
        return f"{role.arn} lacks the managed policy {STAGING_POLICY}."
    if settings.get("ebsEncryption") != "CUSTOM":
        return "The source server cannot be extended if it has the default EBS encryption key."
    return _key_problem(target, staging, role.arn, str(settings["ebsEncryptionKeyArn"]))


def _key_problem(
    target: DrsBackend, staging: DrsBackend, role_arn: str, key_arn: str
) -> str | None:
    region = staging.region_name
    parts = key_arn.split(":")
    if len(parts) != 6 or parts[3] != region:
        return f"The key {key_arn} is not in {region}."
    key = kms_backends[parts[4]][region].keys.get(parts[5].removeprefix("key/"))
    if key is None or not key.enabled or key.key_state != "Enabled" or key.key_manager == "AWS":
        return f"The key {key_arn} is not an enabled customer-managed key."
    via = {"kms:ViaService": f"ec2.{region}.amazonaws.com"}
    root = f"arn:aws:iam::{target.account_id}:root"
    for principal, account, by_name in (
        (role_arn, staging.account_id, True),
        (root, target.account_id, False),
    ):
        for action in ("kms:ReEncryptFrom", "kms:ReEncryptTo"):
            if not allows(
                key.policy,
                principal=principal,
                action=action,
                resource=key_arn,
                context=via | {"kms:CallerAccount": account},
                by_name=by_name,
            ):
                return f"{principal} is not authorized to use key {key_arn} ({action})."
    return None


def _extensible(backend: DrsBackend, params: Json) -> Json:
    account = params["stagingAccountID"]
    staging = drs_backends[account][backend.region_name]
    iam = iam_backends[account]["aws"]
    name = f"DRSStagingAccountRole_{backend.account_id}"
    if not any(role.name == name for role in iam.roles.values()):
        raise AccessDeniedException(
            f"Account {account} does not trust {backend.account_id}: no role {name}."
        )
    taken = {s["stagingArea"].get("stagingSourceServerArn") for s in backend.servers.values()}
    items = [
        {
            "arn": server["arn"],
            "hostname": server["sourceProperties"]["identificationHints"]["hostname"],
            "tags": dict(staging.tags.get(server["arn"], {})),
        }
        for server in list(staging.servers.values())  # its own requests go on meanwhile
        if server["stagingArea"]["status"] == "NOT_EXTENDED" and server["arn"] not in taken
    ]
    return _page(items, params, "items", "arn")


def _extend(backend: DrsBackend, params: Json) -> Json:
    arn = params["sourceServerArn"]
    _, _, _, region, account, resource = arn.split(":", 5)
    if region != backend.region_name:
        raise ValidationException(f"{arn} is not in {backend.region_name}")
    if account == backend.account_id:
        raise ValidationException(f"{arn} is in this account")
    staging = drs_backends[account][region]
    staged = staging.servers.get(resource.removeprefix("source-server/"))
    if staged is None:
        raise ResourceNotFoundException(
            f"{arn} not found", resourceId=arn, resourceType="SourceServer"
        )
    if staged["stagingArea"]["status"] != "NOT_EXTENDED":
        raise ValidationException(f"{arn} is an extended source server itself")
    if any(s["stagingArea"].get("stagingSourceServerArn") == arn for s in backend.servers.values()):
        raise ValidationException(f"{arn} is already extended")
    problem = _problem(backend, staging, staging.replication[staged["sourceServerID"]])
    if problem is not None and "default EBS encryption" in problem:
        raise ValidationException(problem)
    if problem is not None:
        raise AccessDeniedException(problem)
    quota = quota_value(backend.account_id, backend.region_name, TOTAL)
    if len(backend.servers) >= quota:
        raise _quota_exceeded(TOTAL, quota)
    identifier = backend.new_id("s")
    server = json.loads(json.dumps(staged)) | {
        "arn": backend.arn("source-server", identifier),
        "sourceServerID": identifier,
        "stagingArea": {
            "status": "EXTENDED",
            "stagingAccountID": account,
            "stagingSourceServerArn": arn,
        },
    }
    backend.servers[identifier] = server
    backend.sort_servers()
    backend.launch[identifier] = dict(_LAUNCH_DEFAULTS)
    backend.tags[server["arn"]] = dict(params.get("tags") or {})
    return {"sourceServer": _tagged(backend, server)}


def _delete_server(backend: DrsBackend, params: Json) -> Json:
    server = backend.server(params["sourceServerID"])
    extended = server["stagingArea"]["status"] != "NOT_EXTENDED"
    if not extended and server["dataReplicationInfo"]["dataReplicationState"] != "DISCONNECTED":
        raise ConflictException("The source server must be disconnected first")
    for state in (backend.servers, backend.launch, backend.replication):
        state.pop(params["sourceServerID"], None)
    backend.tags.pop(server["arn"], None)
    return {}


def _disconnect_server(backend: DrsBackend, params: Json) -> Json:
    server = backend.server(params["sourceServerID"])
    server["dataReplicationInfo"]["dataReplicationState"] = "DISCONNECTED"
    return _tagged(backend, server)


def _replication(backend: DrsBackend, params: Json) -> Json:
    server = backend.server(params["sourceServerID"])
    identifier = server["sourceServerID"]
    owner = backend
    if server["stagingArea"]["status"] != "NOT_EXTENDED":
        owner = drs_backends[server["stagingArea"]["stagingAccountID"]][backend.region_name]
        identifier = server["stagingArea"]["stagingSourceServerArn"].rsplit("/", 1)[1]
        owner.server(identifier)
    return {**owner.replication[identifier], "sourceServerID": server["sourceServerID"]}


def _update_replication(backend: DrsBackend, params: Json) -> Json:
    server = backend.server(params["sourceServerID"])
    if server["stagingArea"]["status"] != "NOT_EXTENDED":
        raise ValidationException("An extended source server is configured in its staging account")
    settings = backend.replication[server["sourceServerID"]]
    changed = settings | {k: params[k] for k in _REPLICATION_FIELDS if params.get(k) is not None}
    _check_template(changed)
    settings.update(changed)
    return {**settings, "sourceServerID": server["sourceServerID"]}


def _get_launch(backend: DrsBackend, params: Json) -> Json:
    server = backend.server(params["sourceServerID"])
    identifier = server["sourceServerID"]
    return {**backend.launch[identifier], "sourceServerID": identifier}


def _update_launch(backend: DrsBackend, params: Json) -> Json:
    server = backend.server(params["sourceServerID"])
    settings = backend.launch[server["sourceServerID"]]
    settings.update({k: params[k] for k in _LAUNCH_FIELDS if params.get(k) is not None})
    return _get_launch(backend, params)


def _staging_accounts(backend: DrsBackend, params: Json) -> Json:
    ids = {
        server["stagingArea"]["stagingAccountID"]
        for server in backend.servers.values()
        if server["stagingArea"]["status"] != "NOT_EXTENDED"
    }
    items = [{"accountID": account} for account in sorted(ids)]
    return _page(items, params, "accounts", "accountID")


def _known_arn(backend: DrsBackend, arn: str) -> str:
    if arn not in backend.tags:
        raise ResourceNotFoundException(f"{arn} not found", resourceId=arn, resourceType="Resource")
    return arn


def _list_tags(backend: DrsBackend, params: Json) -> Json:
    return {"tags": dict(backend.tags[_known_arn(backend, params["resourceArn"])])}


def _tag(backend: DrsBackend, params: Json) -> Json:
    backend.tags[_known_arn(backend, params["resourceArn"])].update(params["tags"])
    return {}


def _untag(backend: DrsBackend, params: Json) -> Json:
    tags = backend.tags[_known_arn(backend, params["resourceArn"])]
    for key in params["tagKeys"]:
        tags.pop(key, None)
    return {}


OPERATIONS: dict[str, Callable[[DrsBackend, Json], Json]] = {
    "CreateExtendedSourceServer": _extend,
    "CreateLaunchConfigurationTemplate": _create_launch_template,
    "CreateReplicationConfigurationTemplate": _create_template,
    "DeleteLaunchConfigurationTemplate": _delete_launch_template,
    "DeleteReplicationConfigurationTemplate": _delete_template,
    "DeleteSourceServer": _delete_server,
    "DescribeLaunchConfigurationTemplates": _describe_launch_templates,
    "DescribeReplicationConfigurationTemplates": _describe_templates,
    "DescribeSourceServers": _describe_servers,
    "DisconnectSourceServer": _disconnect_server,
    "GetLaunchConfiguration": _get_launch,
    "GetReplicationConfiguration": _replication,
    "InitializeService": _initialise,
    "ListExtensibleSourceServers": _extensible,
    "ListStagingAccounts": _staging_accounts,
    "ListTagsForResource": _list_tags,
    "TagResource": _tag,
    "UntagResource": _untag,
    "UpdateLaunchConfiguration": _update_launch,
    "UpdateLaunchConfigurationTemplate": _update_launch_template,
    "UpdateReplicationConfiguration": _update_replication,
    "UpdateReplicationConfigurationTemplate": _update_template,
}

drs_backends = BackendDict(DrsBackend, "drs")
