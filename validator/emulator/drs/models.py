"""The state of `drs` for each account and Region: templates, source servers and extensions.

Not honoured: the six service roles that InitializeService needs, whether subnets and security groups
exist, a new initial sync after a change of encryption, jobs and recovery instances (there are none).
"""

import base64
import binascii
import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any, TypeVar

from moto.core.base_backend import BackendDict, BaseBackend

from validator.emulator.drs import extension, fleet, replication
from validator.emulator.drs.exceptions import (
    Conflict,
    DRSError,
    QuotaExceeded,
    ResourceNotFound,
    Uninitialized,
    Validation,
    invalid_field,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota of `drs` for one account and Region, with AWS's default."""

    name: str
    value: float
    adjustable: bool


# https://docs.aws.amazon.com/general/latest/gr/drs.html, November 2026.
QUOTAS: dict[str, Quota] = {
    "L-C1D14A2B": Quota("Max Total replicating source servers Per AWS Account", 300, False),
    "L-E28BE5E0": Quota("Max Total source servers Per AWS Account", 4000, True),
    "L-D88FAC3A": Quota("Concurrent jobs in progress", 20, False),
    "L-B827C881": Quota("Max source servers in a single Job", 100, False),
    "L-05AFA8C6": Quota("Max source servers in all Jobs", 500, False),
    "L-DD6D028C": Quota("Max concurrent Jobs per source server", 1, False),
    "L-0588D03B": Quota("Max number of launch actions per resource", 200, False),
    "L-1F3FAE4D": Quota("Max number of launch configuration templates per AWS account", 1, False),
    "L-4B0323BD": Quota("Max number of source networks per AWS account", 100, True),
}
REPLICATING, TOTAL, LAUNCH_TEMPLATES = "L-C1D14A2B", "L-E28BE5E0", "L-1F3FAE4D"


def default_quota_value(account_id: str, region: str, quota_code: str) -> float:
    """AWS's default of a quota, the same for every account and Region."""
    return QUOTAS[quota_code].value


# The emulator puts its Service Quotas here, so that a raised quota is honoured.
quota_value: Callable[[str, str, str], float] = default_quota_value

# NOTE: the model gives several lists no maximum page; a larger wish gets pages of this size, which
# the API allows and which a client that stops after one page does not survive.
DEFAULT_PAGE, LARGEST_PAGE = 100, 200
_MAX_TAGS = 50
_LONGEST_DAYS = 365
_ARN = re.compile(
    r"arn:(?P<partition>[^:]+):drs:(?P<region>[^:]+):(?P<account>\d{12}):"
    r"(?P<kind>[a-z-]+)/(?P<id>[a-z]+-[0-9a-zA-Z]{17})"
)
_KINDS = {
    "source-server": "SourceServer",
    "replication-configuration-template": "ReplicationConfigurationTemplate",
    "launch-configuration-template": "LaunchConfigurationTemplate",
}
_TEMPLATE_DEFAULTS: dict[str, Any] = {
    "associateDefaultSecurityGroup": False,
    "autoReplicateNewDisks": False,
    "createPublicIP": False,
    "dataPlaneRouting": "PRIVATE_IP",
    "defaultLargeStagingDiskType": "AUTO",
    "internetProtocol": "IPV4",
    "replicationServerInstanceType": "t3.small",
    "useDedicatedReplicationServer": False,
}
_LAUNCH_DEFAULTS: dict[str, Any] = {
    "copyPrivateIp": False,
    "copyTags": False,
    "launchDisposition": "STARTED",
    "licensing": {"osByol": False},
    "postLaunchEnabled": False,
    "recoveryMode": "OPTIMAL",
    "targetInstanceTypeRightSizingMethod": "BASIC",
}


@dataclass(slots=True, eq=False)
class SourceServer:
    """One source server as its account sees it: its own, or an extension of another account's."""

    number: int
    id: str
    arn: str
    account_id: str
    region: str
    properties: dict[str, Any]
    cloud: dict[str, Any]
    launch: dict[str, Any]
    added: datetime
    tags: dict[str, str] = field(default_factory=dict)
    state: str = "CONTINUOUS"
    error: str | None = None
    lag: str | None = None
    configuration: dict[str, Any] = field(default_factory=dict)
    staging_account: str | None = None
    staging_arn: str | None = None
    staging_id: str | None = None
    version: int = 0
    rendered: tuple[tuple[object, ...], str] | None = None

    @property
    def is_extended(self) -> bool:
        """Whether the server replicates in another account."""
        return self.staging_arn is not None

    @property
    def is_replicating(self) -> bool:
        """Whether the server counts against its account's quota of replicating servers."""
        return not self.is_extended and self.state not in replication.NOT_REPLICATING

    @property
    def hints(self) -> set[str]:
        """What the filter `hardwareId` finds the server by: instance, VMware UUID or MAC address."""
        known = self.properties["identificationHints"]
        found = {known.get("awsInstanceID"), known.get("vmWareUuid")}
        found |= {nic["macAddress"] for nic in self.properties["networkInterfaces"]}
        return {hint for hint in found if hint}

    @property
    def first_byte(self) -> datetime | None:
        """When data first arrived; None before that."""
        return None if self.state == "INITIATING" else self.added + timedelta(minutes=20)


class DRSBackend(BaseBackend):
    """DRS of one account in one Region.

    Other accounts' servers are read without their lock: two accounts that extend each other's
    servers would otherwise wait for each other. One such read is one dictionary look-up.
    """

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.lock = RLock()
        self.initialized = False
        self.replication_templates: dict[str, dict[str, Any]] = {}
        self.launch_templates: dict[str, dict[str, Any]] = {}
        self.servers: dict[str, SourceServer] = {}
        self._ordered: list[SourceServer] = []
        self._by_hint: dict[str, set[str]] = {}
        self._extended: dict[str, str] = {}
        self._made = 0

    @property
    def place(self) -> str:
        """The account and Region in words, for messages."""
        return f"account {self.account_id} in {self.region_name}"

    def require_initialized(self) -> None:
        """Raises `Uninitialized` until InitializeService has been called."""
        if not self.initialized:
            raise Uninitialized(self.account_id, self.region_name)

    def initialize(self) -> None:
        """DRS is initialised; calling it again changes nothing."""
        self.initialized = True

    # Replication configuration templates

    def create_replication_template(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """The new template; only one may exist in an account and Region."""
        with self.lock:
            if self.replication_templates:
                raise QuotaExceeded(
                    "Only one replication configuration template may exist in "
                    f"{self.place}; it has {next(iter(self.replication_templates))}.",
                    resourceType="ReplicationConfigurationTemplate",
                )
            template = {**_TEMPLATE_DEFAULTS, **wanted}
            template.setdefault("tags", {})
            _check_tags(template["tags"])
            _check_replication(template)
            identifier = self._new_id("rct")
            template |= {
                "replicationConfigurationTemplateID": identifier,
                "arn": self._arn("replication-configuration-template", identifier),
            }
            self.replication_templates[identifier] = template
            return template

    def update_replication_template(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """The template after the change; source servers that exist already keep what they have."""
        with self.lock:
            identifier = wanted["replicationConfigurationTemplateID"]
            old = self._template(self.replication_templates, identifier, "Replication")
            new = _changed(old, {k: v for k, v in wanted.items() if k not in ("arn", "tags")})
            self.replication_templates[identifier] = new
            return new

    def delete_replication_template(self, identifier: str) -> None:
        """The template is gone; source servers keep their own configuration."""
        with self.lock:
            self._template(self.replication_templates, identifier, "Replication")
            del self.replication_templates[identifier]

    def replication_template_list(self, identifiers: Sequence[str]) -> list[dict[str, Any]]:
        """All templates, or those asked for; raises `ResourceNotFound` for one that is not there."""
        with self.lock:
            wanted = identifiers or list(self.replication_templates)
            return [
                self._template(self.replication_templates, identifier, "Replication")
                for identifier in wanted
            ]

    # Launch configuration templates

    def create_launch_template(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """The new template, as many as the quota allows (one)."""
        with self.lock:
            limit = quota_value(self.account_id, self.region_name, LAUNCH_TEMPLATES)
            if len(self.launch_templates) >= limit:
                raise self._quota_exceeded(LAUNCH_TEMPLATES, limit, "LaunchConfigurationTemplate")
            tags = wanted.get("tags", {})
            _check_tags(tags)
            identifier = self._new_id("lct")
            template = {**_LAUNCH_DEFAULTS, "launchIntoSourceInstance": False, **wanted}
            template |= {
                "launchConfigurationTemplateID": identifier,
                "arn": self._arn("launch-configuration-template", identifier),
                "tags": tags,
            }
            self.launch_templates[identifier] = template
            return template

    def update_launch_template(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """The template after the change."""
        with self.lock:
            identifier = wanted["launchConfigurationTemplateID"]
            old = self._template(self.launch_templates, identifier, "Launch")
            self.launch_templates[identifier] = {**old, **wanted}
            return self.launch_templates[identifier]

    def delete_launch_template(self, identifier: str) -> None:
        """The template is gone; source servers keep their own configuration."""
        with self.lock:
            self._template(self.launch_templates, identifier, "Launch")
            del self.launch_templates[identifier]

    def launch_template_list(self, identifiers: Sequence[str]) -> list[dict[str, Any]]:
        """All templates, or those asked for; raises `ResourceNotFound` for one that is not there."""
        with self.lock:
            wanted = identifiers or list(self.launch_templates)
            return [
                self._template(self.launch_templates, identifier, "Launch") for identifier in wanted
            ]

    # Source servers

    def source_servers(
        self, filters: Mapping[str, Any], limit: int | None, token: str | None
    ) -> tuple[list[str], str | None]:
        """A page of source servers, each as JSON text, and the token of the next page.

        Pages are in the order of registration and remember a place in it, so that a server deleted
        between two pages makes no other one appear twice or not at all.
        """
        scope = f"servers/{self.account_id}/{self.region_name}/{_digest(filters)}"
        after = int(_place(token, scope) or 0)
        size = min(limit or DEFAULT_PAGE, LARGEST_PAGE)
        page: list[SourceServer] = []
        with self.lock:
            for server in self._candidates(filters, after):
                if len(page) > size:
                    break
                page.append(server)
        more = _token(scope, str(page[size - 1].number)) if len(page) > size else None
        verdicts = Verdicts(self)
        return [self._rendered(server, verdicts) for server in page[:size]], more

    def _candidates(self, filters: Mapping[str, Any], after: int) -> Iterable[SourceServer]:
        identifiers = filters.get("sourceServerIDs") or None
        accounts = set(filters.get("stagingAccountIDs") or ())
        hint = filters.get("hardwareId") or None
        if identifiers is None and hint is None:
            start = bisect_right(self._ordered, after, key=lambda server: server.number)
            chosen: Iterable[SourceServer] = (
                self._ordered[index] for index in range(start, len(self._ordered))
            )
        else:
            found = set(self.servers) if identifiers is None else set(identifiers)
            if hint is not None:
                found &= self._by_hint.get(hint, set())
            chosen = sorted(
                (self.servers[i] for i in found if i in self.servers), key=lambda s: s.number
            )
        for server in chosen:
            if server.number <= after:
                continue
            if not accounts or (server.staging_account or self.account_id) in accounts:
                yield server

    def describe(self, server: SourceServer) -> dict[str, Any]:
        """The `SourceServer` of the model, as it is now."""
        described: dict[str, Any] = json.loads(self._rendered(server, Verdicts(self)))
        return described

    def server(self, identifier: str) -> SourceServer:
        """The source server; raises `ResourceNotFound` if this account and Region has none such."""
        server = self.servers.get(identifier)
        if server is None:
            raise ResourceNotFound("SourceServer", identifier, self.place)
        return server

    def delete_source_server(self, identifier: str) -> None:
        """The server is gone: one that replicates must be disconnected first, an extended one need not."""
        with self.lock:
            server = self.server(identifier)
            if not server.is_extended and server.state != "DISCONNECTED":
                raise Conflict(
                    f"SourceServer {identifier} must be disconnected before it is deleted; "
                    f"its state is {server.state}.",
                    resourceId=identifier,
                    resourceType="SourceServer",
                )
            del self.servers[identifier]
            self._ordered.remove(server)
            for hint in server.hints:
                self._by_hint[hint].discard(identifier)
            if server.staging_arn is not None:
                del self._extended[server.staging_arn]

    def disconnect_source_server(self, identifier: str) -> SourceServer:
        """The server, now disconnected and no longer counted as replicating."""
        with self.lock:
            server = self.server(identifier)
            if server.is_extended:
                raise Conflict(
                    f"SourceServer {identifier} is extended and replicates in account "
                    f"{server.staging_account}: disconnect it there, or delete the extension.",
                    resourceId=identifier,
                    resourceType="SourceServer",
                )
            server.state, server.error, server.lag = "DISCONNECTED", None, None
            server.version += 1
            return server

    # Configuration of one source server

    def launch_configuration(self, identifier: str) -> dict[str, Any]:
        """The `LaunchConfiguration` of a server, its own even when it is extended."""
        return self.server(identifier).launch

    def update_launch_configuration(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """The launch configuration after the change."""
        with self.lock:
            server = self.server(wanted["sourceServerID"])
            method = wanted.get("targetInstanceTypeRightSizingMethod")
            if method == "BASIC" and server.properties.get("architecture") == "arm64":
                raise invalid_field(
                    "targetInstanceTypeRightSizingMethod", "BASIC does not serve arm64 servers"
                )
            server.launch = {**server.launch, **wanted}
            return server.launch

    def replication_configuration(self, identifier: str) -> dict[str, Any]:
        """The `ReplicationConfiguration` of a server; an extended one shows its staging server's."""
        server = self.server(identifier)
        if not server.is_extended:
            return server.configuration
        problem = Verdicts(self).trust(server.staging_account or "")
        if problem is not None:
            raise problem
        staging = _staging_server(server)
        if staging is None:
            raise ResourceNotFound(
                "SourceServer", server.staging_arn or "", f"account {server.staging_account}"
            )
        return {**staging.configuration, "sourceServerID": identifier}

    def update_replication_configuration(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """The replication configuration after the change; extended servers have none to change."""
        with self.lock:
            server = self.server(wanted["sourceServerID"])
            if server.is_extended:
                raise Validation(
                    f"SourceServer {server.id} is extended: its replication configuration can be "
                    f"changed only in its staging account {server.staging_account}."
                )
            new = dict(wanted)
            if "replicatedDisks" in new:
                new["replicatedDisks"] = _merged_disks(
                    server.configuration["replicatedDisks"], new["replicatedDisks"]
                )
            server.configuration = _changed(server.configuration, new)
            server.version += 1
            return server.configuration

    # Extension

    def extensible_servers(
        self, staging: str, limit: int | None, token: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of the staging account's servers that are not extended into this account yet."""
        pair = self._pair(staging)
        problem = extension.trust_problem(pair)
        if problem is not None:
            raise problem
        other = _backend(staging, self.region_name)
        if other is None or not other.initialized:
            raise Uninitialized(staging, self.region_name)
        with self.lock:
            taken = set(self._extended)
        items = [
            server
            for server in list(other._ordered)
            if not server.is_extended and server.arn not in taken
        ]
        scope = f"extensible/{self.account_id}/{self.region_name}/{staging}"
        page, more = paged(items, lambda server: server.number, scope, limit, token, largest=300)
        return [
            {
                "arn": server.arn,
                "hostname": server.properties["identificationHints"]["hostname"],
                "tags": server.tags,
            }
            for server in page
        ], more

    def create_extended_server(self, arn: str, tags: dict[str, str]) -> SourceServer:
        """The new extended server; raises what AWS answers if role, key, server or quota forbid it."""
        _check_tags(tags)
        match = _ARN.fullmatch(arn)
        if match is None or match["kind"] != "source-server":
            raise invalid_field("sourceServerArn", f"{arn[:200]} is not a source server's ARN")
        if match["partition"] != self.partition:
            raise Validation(
                f"SourceServer {arn} is in the partition {match['partition']}; "
                f"servers are extended only within {self.partition}."
            )
        if match["region"] != self.region_name:
            raise Validation(
                f"SourceServer {arn} is in the Region {match['region']}; "
                f"servers are extended only within one Region, here {self.region_name}."
            )
        staging = match["account"]
        verdicts = Verdicts(self)
        self._pair(staging)
        problem = verdicts.trust(staging)
        if problem is not None:
            raise problem
        other = _backend(staging, self.region_name)
        source = other.servers.get(match["id"]) if other is not None else None
        if source is None:
            raise ResourceNotFound("SourceServer", arn, f"account {staging} in {self.region_name}")
        if source.is_extended:
            raise Validation(
                f"SourceServer {arn} is itself extended from account {source.staging_account}; "
                "extend it from there."
            )
        problem = verdicts.encryption(source)
        if problem is not None:
            raise problem
        with self.lock:
            if arn in self._extended:
                raise Validation(
                    f"SourceServer {arn} is already extended into account {self.account_id} "
                    f"as {self._extended[arn]}."
                )
            self._check_total(1)
            number = self._next_number()
            identifier = f"s-{fleet.hex17(self.account_id, self.region_name, number)}"
            server = SourceServer(
                number=number,
                id=identifier,
                arn=self._arn("source-server", identifier),
                account_id=self.account_id,
                region=self.region_name,
                properties=source.properties,
                cloud=source.cloud,
                launch=self._launch_defaults(identifier, source.properties),
                added=datetime.now(UTC),
                tags=dict(tags),
                state=source.state,
                staging_account=staging,
                staging_arn=arn,
                staging_id=source.id,
            )
            self._register(server)
            self._extended[arn] = identifier
            return server

    def staging_accounts(
        self, limit: int | None, token: str | None
    ) -> tuple[list[dict[str, str]], str | None]:
        """A page of the accounts that have servers extended into this one."""
        with self.lock:
            accounts = sorted({s.staging_account for s in self._ordered if s.staging_account})
        scope = f"staging/{self.account_id}/{self.region_name}"
        page, more = paged(accounts, str, scope, limit, token, largest=50)
        return [{"accountID": account} for account in page], more

    # Points in time

    def recovery_snapshots(self, request: Mapping[str, Any]) -> tuple[list[dict[str, Any]], Any]:
        """A page of the points in time that the server's own policy keeps."""
        server = self.servers.get(request["sourceServerID"])
        source = _staging_server(server) if server is not None and server.is_extended else server
        moments: list[datetime] = []
        if (
            server is not None
            and source is not None
            and source.state not in replication.NOT_REPLICATING | replication.UNSYNCED
        ):
            moments = list(
                replication.points(
                    source.id, source.configuration["pitPolicy"], source.added, datetime.now(UTC)
                )
            )
        filters = request.get("filters", {})
        first, last = filters.get("fromDateTime", ""), filters.get("toDateTime", "~")
        moments = [m for m in moments if first <= replication.stamp(m) <= last]
        is_newest_first = request.get("order") == "DESC"
        moments.sort(reverse=is_newest_first)
        scope = f"points/{self.account_id}/{_digest({**request, 'nextToken': 0, 'maxResults': 0})}"
        sign = -1 if is_newest_first else 1
        page, more = paged(
            moments,
            lambda moment: sign * int(moment.timestamp()),
            scope,
            request.get("maxResults"),
            request.get("nextToken"),
        )
        disks = len(source.properties["disks"]) if source is not None else 0
        return [
            replication.recovery_snapshot(request["sourceServerID"], m, disks) for m in page
        ], more

    # Tags

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of a server or template; raises `ResourceNotFound` for any other ARN."""
        return self._tags(arn)

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """The tags are added to those that the resource has, or replace them."""
        with self.lock:
            old = self._tags(arn)
            _check_tags(tags)
            _check_tags({**old, **tags})
            old.update(tags)
            self._touch(arn)

    def untag(self, arn: str, keys: Iterable[str]) -> None:
        """The tags are gone; one that was not there is no error."""
        with self.lock:
            old = self._tags(arn)
            for key in keys:
                old.pop(key, None)
            self._touch(arn)

    def _tags(self, arn: str) -> dict[str, str]:
        match = _ARN.fullmatch(arn)
        here = (self.partition, self.region_name, self.account_id)
        if match is not None and (match["partition"], match["region"], match["account"]) == here:
            kind, identifier = match["kind"], match["id"]
            if kind == "source-server" and identifier in self.servers:
                return self.servers[identifier].tags
            templates = {
                "replication-configuration-template": self.replication_templates,
                "launch-configuration-template": self.launch_templates,
            }.get(kind, {})
            if identifier in templates:
                tags: dict[str, str] = templates[identifier]["tags"]
                return tags
        kind = _KINDS.get(match["kind"], "Resource") if match is not None else "Resource"
        raise ResourceNotFound(kind, arn, self.place)

    def _touch(self, arn: str) -> None:
        server = self.servers.get(arn.rsplit("/", 1)[-1])
        if server is not None:
            server.version += 1

    # The control door

    def create_source_servers(
        self,
        count: int,
        *,
        prefix: str | None = None,
        state: str = "CONTINUOUS",
        ebs_encryption: str | None = None,
        key_arn: str | None = None,
        origin_account_id: str | None = None,
        origin_region: str | None = None,
        tags: dict[str, str] | None = None,
        instances: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """The new source servers, as if an agent had been installed on each; all of them or none.

        `instances` are the EC2 instance ids to register, one for each server. Encryption and key are
        the template's unless given. Raises the refusals of the service, quotas included.
        """
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 10_000:
            raise invalid_field("count", "must be a whole number from 1 to 10000")
        if instances is not None and (len(instances) != count or len(set(instances)) != count):
            raise invalid_field("instances", f"must be {count} different instance ids")
        for name in (prefix,) if prefix is not None else ():
            if not re.fullmatch(r"[A-Za-z0-9-]{1,50}", name):
                raise invalid_field("prefix", "must be 1 to 50 letters, digits and hyphens")
        for instance in instances or ():
            if not re.fullmatch(r"i-[0-9a-f]{8,17}", instance):
                raise invalid_field("instances", f"{instance[:64]!r} is not an instance id")
        for account in (origin_account_id,) if origin_account_id is not None else ():
            if not re.fullmatch(r"\d{12}", account):
                raise invalid_field("originAccountID", f"{account[:64]!r} is not 12 digits")
        replication.checked_state(state)
        _check_tags(tags or {})
        with self.lock:
            self.require_initialized()
            configuration = self._configuration(ebs_encryption, key_arn)
            for instance in instances or ():
                if self._by_hint.get(instance):
                    raise Conflict(
                        f"Instance {instance} is registered already in {self.place}.",
                        resourceId=instance,
                        resourceType="SourceServer",
                    )
            if state not in replication.NOT_REPLICATING:
                self._check_replicating(count)
            self._check_total(count)
            made = [
                self._new_server(
                    prefix=prefix,
                    state=state,
                    configuration=configuration,
                    origin_account=origin_account_id or self.account_id,
                    origin_region=origin_region or self.region_name,
                    tags=dict(tags or {}),
                    instance=instances[index] if instances is not None else None,
                )
                for index in range(count)
            ]
            return [self.describe(server) for server in made]

    def set_state(
        self,
        server_ids: Sequence[str] | str,
        *,
        data_replication_state: str | None = None,
        error: str | None = None,
        lag: str | int | float | None = None,
    ) -> list[dict[str, Any]]:
        """The servers after the change; "all" means every server that is not extended.

        A state given without an error or lag clears those of before. An empty error clears it too.
        """
        state = (
            replication.checked_state(data_replication_state) if data_replication_state else None
        )
        error = replication.checked_error(error) if error else error
        new_lag = replication.checked_lag(lag) if lag is not None else None
        with self.lock:
            self.require_initialized()
            if server_ids == "all":
                servers = [server for server in self._ordered if not server.is_extended]
            elif isinstance(server_ids, str):
                servers = [self.server(server_ids)]
            else:
                servers = [self.server(identifier) for identifier in server_ids]
            for server in servers:
                if server.is_extended:
                    raise Validation(
                        f"SourceServer {server.id} is extended: set the state of "
                        f"{server.staging_arn} in account {server.staging_account}."
                    )
            if state is not None and state not in replication.NOT_REPLICATING:
                self._check_replicating(sum(not s.is_replicating for s in set(servers)))
            for server in servers:
                if state is not None:
                    server.state, server.error, server.lag = state, None, None
                if error is not None:
                    server.error = error or None
                if new_lag is not None:
                    server.lag = new_lag
                server.version += 1
            return [self.describe(server) for server in servers]

    def replicating(self) -> int:
        """How many servers count against the quota of replicating servers."""
        return sum(server.is_replicating for server in self._ordered)

    # What the above share

    def _new_server(
        self,
        *,
        prefix: str | None,
        state: str,
        configuration: dict[str, Any],
        origin_account: str,
        origin_region: str,
        tags: dict[str, str],
        instance: str | None,
    ) -> SourceServer:
        number = self._next_number()
        seed = f"{self.account_id}/{self.region_name}/{number}"
        identifier = f"s-{fleet.hex17(self.account_id, self.region_name, number)}"
        name = fleet.hostname(seed, number, prefix)
        now = datetime.now(UTC)
        # A server that has finished its initial sync has been replicating for days.
        age = {
            "INITIATING": timedelta(0),
            "INITIAL_SYNC": timedelta(hours=1),
        }.get(state, timedelta(days=10 + number % 30))
        properties = fleet.source_properties(
            seed, name, instance or f"i-{fleet.hex17('instance', seed)}", replication.stamp(now)
        )
        server = SourceServer(
            number=number,
            id=identifier,
            arn=self._arn("source-server", identifier),
            account_id=self.account_id,
            region=self.region_name,
            properties=properties,
            cloud={
                "originAccountID": origin_account,
                "originRegion": origin_region,
                "originAvailabilityZone": f"{origin_region}{'abc'[number % 3]}",
            },
            launch=self._launch_defaults(identifier, properties),
            added=now - age,
            tags=tags,
            state=state,
            error="NOT_CONVERGING" if state == "STALLED" else None,
            configuration={
                **configuration,
                "sourceServerID": identifier,
                "name": name,
                "replicatedDisks": [
                    {
                        "deviceName": disk["deviceName"],
                        "isBootDisk": index == 0,
                        "stagingDiskType": "AUTO",
                        "optimizedStagingDiskType": "GP3",
                        "iops": 3000,
                        "throughput": 125,
                    }
                    for index, disk in enumerate(properties["disks"])
                ],
            },
        )
        self._register(server)
        return server

    def _register(self, server: SourceServer) -> None:
        self.servers[server.id] = server
        self._ordered.append(server)
        for hint in server.hints:
            self._by_hint.setdefault(hint, set()).add(server.id)

    def _configuration(self, encryption: str | None, key_arn: str | None) -> dict[str, Any]:
        if not self.replication_templates:
            raise Validation(
                f"There is no replication configuration template in {self.place}: "
                "a source server cannot be registered without one."
            )
        template = next(iter(self.replication_templates.values()))
        left_out = ("replicationConfigurationTemplateID", "arn", "tags")
        seeded = {name: value for name, value in template.items() if name not in left_out}
        wanted: dict[str, Any] = {}
        if encryption is not None:
            if encryption not in ("DEFAULT", "CUSTOM", "NONE"):
                raise invalid_field("ebsEncryption", "is not one of DEFAULT, CUSTOM, NONE")
            wanted["ebsEncryption"] = encryption
        if key_arn is not None:
            wanted["ebsEncryptionKeyArn"] = key_arn
        elif encryption == "CUSTOM" and "ebsEncryptionKeyArn" in seeded:
            wanted["ebsEncryptionKeyArn"] = seeded["ebsEncryptionKeyArn"]
        return _changed(seeded, wanted)

    def _launch_defaults(self, identifier: str, properties: dict[str, Any]) -> dict[str, Any]:
        template = next(iter(self.launch_templates.values()), {})
        return {
            **{name: template.get(name, value) for name, value in _LAUNCH_DEFAULTS.items()},
            "sourceServerID": identifier,
            "name": properties["identificationHints"]["hostname"],
            "ec2LaunchTemplateID": f"lt-{fleet.hex17('launch', self.account_id, identifier)}",
        }

    def _rendered(self, server: SourceServer, verdicts: "Verdicts") -> str:
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        source: SourceServer | None = server
        problem: str | None = None
        if server.is_extended:
            source = _staging_server(server)
            problem = verdicts.extension(server, source)
        stamp = (
            now,
            server.version,
            None if source is None else (source.version, source.state),
            problem,
        )
        # Most of a page's time went into writing the same JSON again.
        if server.rendered is None or server.rendered[0] != stamp:
            described = _described(server, source, problem, now)
            server.rendered = (stamp, json.dumps(described, separators=(",", ":")))
        return server.rendered[1]

    def _pair(self, staging: str) -> extension.Pair:
        if not re.fullmatch(r"\d{12}", staging):
            raise invalid_field("stagingAccountID", f"{staging[:64]!r} is not an account id")
        if staging == self.account_id:
            raise Validation(
                f"Account {staging} is this account: servers are extended from another account."
            )
        return extension.Pair(staging, self.account_id, self.region_name, self.partition)

    def _check_replicating(self, more: int) -> None:
        limit = quota_value(self.account_id, self.region_name, REPLICATING)
        if more and self.replicating() + more > limit:
            raise self._quota_exceeded(REPLICATING, limit, "SourceServer")

    def _check_total(self, more: int) -> None:
        limit = quota_value(self.account_id, self.region_name, TOTAL)
        if len(self.servers) + more > limit:
            raise self._quota_exceeded(TOTAL, limit, "SourceServer")

    def _quota_exceeded(self, code: str, limit: float, kind: str) -> QuotaExceeded:
        return QuotaExceeded(
            f"{QUOTAS[code].name} ({code}): {self.place} is allowed {limit:g}.",
            quotaCode=code,
            resourceType=kind,
        )

    def _template(
        self, templates: dict[str, dict[str, Any]], identifier: str, word: str
    ) -> dict[str, Any]:
        if identifier not in templates:
            raise ResourceNotFound(f"{word}ConfigurationTemplate", identifier, self.place)
        return templates[identifier]

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}-{fleet.hex17(prefix, self.account_id, self.region_name, self._next_number())}"

    def _next_number(self) -> int:
        self._made += 1
        return self._made

    def _arn(self, kind: str, identifier: str) -> str:
        return f"arn:{self.partition}:drs:{self.region_name}:{self.account_id}:{kind}/{identifier}"


class Verdicts:
    """What role, trust and key say for each pair of accounts, decided once for one request."""

    def __init__(self, target: DRSBackend) -> None:
        self._target = target
        self._trust: dict[str, DRSError | None] = {}
        self._keys: dict[tuple[str, str, str | None], DRSError | None] = {}

    def trust(self, staging: str) -> DRSError | None:
        """Why DRS may not act in the staging account for the target; None if it may."""
        if staging not in self._trust:
            self._trust[staging] = extension.trust_problem(self._pair(staging))
        return self._trust[staging]

    def encryption(self, source: SourceServer) -> DRSError | None:
        """Why the staging server's disks cannot be shared with the target; None if they can."""
        configuration = source.configuration
        encryption, key = configuration["ebsEncryption"], configuration.get("ebsEncryptionKeyArn")
        place = (source.account_id, encryption, key)
        if place not in self._keys:
            self._keys[place] = extension.encryption_problem(
                self._pair(source.account_id), encryption, key
            )
        return self._keys[place]

    def extension(self, server: SourceServer, source: SourceServer | None) -> str | None:
        """The `errorMessage` of an extended server; None if it is well."""
        problem = self.trust(server.staging_account or "")
        if problem is not None:
            return problem.message
        if source is None:
            return f"The staging source server {server.staging_arn} does not exist."
        problem = self.encryption(source)
        return problem.message if problem is not None else None

    def _pair(self, staging: str) -> extension.Pair:
        target = self._target
        return extension.Pair(staging, target.account_id, target.region_name, target.partition)


def paged(
    items: Sequence[T],
    place: Callable[[T], Any],
    scope: str,
    limit: int | None,
    token: str | None,
    *,
    largest: int = LARGEST_PAGE,
) -> tuple[list[T], str | None]:
    """A page of items that are in the order of `place`, and the token of the next page.

    Raises `Validation` for a token that was given out for something else.
    """
    after = _place(token, scope)
    rest = list(items)
    if after is not None:
        rest = [item for item in items if place(item) > type(place(item))(after)]
    size = min(limit or DEFAULT_PAGE, largest)
    page = rest[:size]
    more = _token(scope, str(place(page[-1]))) if len(rest) > size else None
    return page, more


def _token(scope: str, place: str) -> str:
    text = json.dumps([_digest(scope), place]).encode()
    return base64.urlsafe_b64encode(text).decode()


def _place(token: str | None, scope: str) -> str | None:
    if not token:
        return None
    try:
        known, place = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        known, place = None, None
    if known != _digest(scope) or not isinstance(place, str):
        raise invalid_field("nextToken", "is not a token that this operation gave for this request")
    return place


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _backend(account_id: str, region: str) -> DRSBackend | None:
    """The account's DRS if anything has been asked of it, without making it."""
    regions = dict.get(drs_backends, account_id)
    return dict.get(regions, region) if regions is not None else None


def _staging_server(server: SourceServer) -> SourceServer | None:
    other = _backend(server.staging_account or "", server.region)
    source = other.servers.get(server.staging_id or "") if other is not None else None
    return source if source is not None and source.arn == server.staging_arn else None


def _described(
    server: SourceServer, source: SourceServer | None, problem: str | None, now: datetime
) -> dict[str, Any]:
    shown = source or server
    life: dict[str, Any] = {"addedToServiceDateTime": replication.stamp(server.added)}
    first = shown.first_byte
    if first is not None:
        life["firstByteDateTime"] = replication.stamp(first)
        hours = max(0, int((now - first).total_seconds())) // 3600
        life["elapsedReplicationDuration"] = f"P{hours // 24}DT{hours % 24}H"
    is_silent = shown.error == "AGENT_NOT_SEEN" or shown.state == "DISCONNECTED"
    life["lastSeenByServiceDateTime"] = replication.stamp(shown.added if is_silent else now)
    area: dict[str, Any] = {
        "status": "NOT_EXTENDED",
        "stagingAccountID": server.staging_account or server.account_id,
    }
    if server.is_extended:
        area["status"] = "EXTENDED" if problem is None else "EXTENSION_ERROR"
        area["stagingSourceServerArn"] = server.staging_arn
    if problem is not None:
        area["errorMessage"] = problem
    return {
        "sourceServerID": server.id,
        "arn": server.arn,
        "tags": server.tags,
        "lastLaunchResult": "NOT_STARTED",
        "dataReplicationInfo": replication.information(
            shown.state,
            error=shown.error,
            lag=shown.lag,
            disks=shown.properties["disks"],
            started=shown.added,
            zone=f"{shown.region}a",
            now=now,
        ),
        "lifeCycle": life,
        "sourceProperties": shown.properties,
        "stagingArea": area,
        "sourceCloudProperties": shown.cloud,
        "replicationDirection": "FAILOVER",
        "agentVersion": "5.4.0",
    }


def _changed(old: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """A template or configuration with the change made; raises `Validation` if that is illegal."""
    new = {**old, **wanted}
    if wanted.get("ebsEncryption", "CUSTOM") != "CUSTOM" and "ebsEncryptionKeyArn" not in wanted:
        new.pop("ebsEncryptionKeyArn", None)
    _check_replication(new)
    return new


def _check_replication(configuration: dict[str, Any]) -> None:
    if configuration["ebsEncryption"] == "CUSTOM" and not configuration.get("ebsEncryptionKeyArn"):
        raise invalid_field("ebsEncryptionKeyArn", "is required when ebsEncryption is CUSTOM")
    fixed = {"MINUTE": (10, 60), "HOUR": (1, 24)}
    rules = configuration["pitPolicy"]
    if sorted(rule["units"] for rule in rules) != ["DAY", "HOUR", "MINUTE"]:
        raise invalid_field("pitPolicy", "must have exactly one rule each of MINUTE, HOUR and DAY")
    for rule in rules:
        units, interval, retention = rule["units"], rule["interval"], rule["retentionDuration"]
        if units == "DAY" and (interval != 1 or not 1 <= retention <= _LONGEST_DAYS):
            raise invalid_field(
                "pitPolicy",
                f"the DAY rule must have interval 1 and retentionDuration 1 to {_LONGEST_DAYS}",
            )
        if units in fixed and (interval, retention) != fixed[units]:
            raise invalid_field(
                "pitPolicy",
                f"the {units} rule must have interval {fixed[units][0]} "
                f"and retentionDuration {fixed[units][1]}",
            )


def _merged_disks(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    changes = {disk.get("deviceName"): disk for disk in new}
    unknown = set(changes) - {disk["deviceName"] for disk in old}
    if unknown:
        names = ", ".join(str(name)[:64] for name in sorted(unknown, key=str))
        raise invalid_field("replicatedDisks", f"the server has no disk {names}")
    return [{**disk, **changes.get(disk["deviceName"], {})} for disk in old]


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > _MAX_TAGS:
        raise invalid_field("tags", f"{len(tags)} tags are more than {_MAX_TAGS}")
    for key in tags:
        if not key or key.lower().startswith("aws:"):
            raise invalid_field("tags", f"the key {key[:64]!r} is empty or reserved for AWS")


drs_backends = BackendDict(DRSBackend, "drs")
