"""The estate as every view sees it: accounts, keys, roles and servers, with `Unknown` where a view is blind.

All classes are frozen and hold tuples, so that one estate can be read by many invariants at once.
Account ids are 12-digit strings, Regions are AWS Region names, policies are JSON text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, TypeVar

T = TypeVar("T")

View = Literal["code", "plan", "live"]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that the view cannot see, with the reason in words that end a sentence."""

    reason: str


NOT_READ = Unknown("it is read server by server, which was not asked for")


VERIFIER_ROLE = "DRSVerifierRole"
"""How the role is called by which an account is verified, before a hyphen and the env's name."""

AGENT_DEPLOYER = "drs-agent-deployer"
"""How the agent deployer's function, state machine and role are called, before `-<env>`."""

DEPLOYMENTS = "drs-agent-deployments"
"""How the table of deployments is called, before `-<env>`."""


class Part(StrEnum):
    """The part that an account plays in an estate."""

    TARGET = "target"
    STAGING = "staging"
    ORCHESTRATION = "orchestration"


class Extension(StrEnum):
    """`stagingArea.status` of a source server [drs API model]."""

    NOT_EXTENDED = "NOT_EXTENDED"
    EXTENDED = "EXTENDED"
    EXTENSION_ERROR = "EXTENSION_ERROR"


@dataclass(frozen=True, slots=True)
class Launch:
    """The last launch of a server: DRILL or RECOVERY, its status [drs API model], and when."""

    type: str
    status: str
    at: datetime | Unknown


@dataclass(frozen=True, slots=True)
class SourceServer:
    """A server known to DRS in one account and Region.

    `origin` is the account id and Region of its EC2 instance, None if it is none. `lag` is in
    seconds, None where DRS gives none. `step` is the initiation step that is under way or failed,
    in words, None once all are done. `encryption`, `key` and `newest_point` are read server by
    server, so only where they were asked for; `newest_point` is the time of the newest point in
    time, None if there is none. `volumes` are the volumeStatus of its disks.
    """

    arn: str
    hostname: str | Unknown
    extension: Extension | Unknown
    staging_account_id: str | Unknown
    staging_arn: str | None | Unknown
    replication_state: str | Unknown
    error: str | None = None
    instance_id: str | None = None
    origin: tuple[str, str] | None | Unknown = None
    tags: tuple[tuple[str, str], ...] = ()
    lag: int | None | Unknown = None
    last_seen: datetime | None | Unknown = None
    first_byte: datetime | None | Unknown = None
    replication_error: str | None = None
    step: str | None = None
    direction: str = "FAILOVER"
    added: datetime | None | Unknown = None
    volumes: tuple[str, ...] = ()
    launch: Launch | None = None
    encryption: str | Unknown = NOT_READ
    key: str | None | Unknown = NOT_READ
    newest_point: datetime | None | Unknown = NOT_READ

    @property
    def name(self) -> str:
        """The ARN, which no two source servers share."""
        return self.arn

    @property
    def where(self) -> str:
        """The ARN: a server stands nowhere else."""
        return self.arn

    @property
    def shown(self) -> str:
        """The hostname with the ARN, as messages name a server."""
        host = "a server" if isinstance(self.hostname, Unknown) else self.hostname
        return f"{host} ({self.arn})"

    def tag(self, key: str) -> str | None:
        """The value of a tag, None without it."""
        return dict(self.tags).get(key)

    @property
    def replicating(self) -> bool | Unknown:
        """True if the server counts against its account's replicating quota.

        AWS counts every server that is not an extension and neither stopped nor disconnected.
        """
        if isinstance(self.extension, Unknown):
            return self.extension
        if self.extension is not Extension.NOT_EXTENDED:
            return False
        if isinstance(self.replication_state, Unknown):
            return self.replication_state
        return self.replication_state not in {"STOPPED", "DISCONNECTED"}


@dataclass(frozen=True, slots=True)
class Instance:
    """An EC2 instance of the source Region that is tagged for DR."""

    id: str
    where: str
    account_id: str
    state: str
    tags: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The instance's id."""
        return self.id


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """How servers of an account are launched, in the words of DRS.

    `disposition` is STOPPED or STARTED, `right_sizing` NONE, BASIC or IN_AWS [drs API model].
    """

    copy_private_ip: bool
    copy_tags: bool
    disposition: str
    licensing_byol: bool
    right_sizing: str


@dataclass(frozen=True, slots=True)
class Key:
    """A customer-managed KMS key of one account and Region.

    `name` is the same in every view: an alias with the account that the key stands in, or the
    address or ARN of a key without one. `deletion_window` is in days, None where the view cannot
    have one: AWS keeps it only once the key is scheduled for deletion.
    """

    name: str
    where: str
    account_id: str | Unknown
    region: str | Unknown
    aliases: tuple[str, ...] | Unknown
    policy: str | Unknown
    enabled: bool | Unknown
    rotated: bool | Unknown
    deletion_window: int | None | Unknown


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role, with its trust policy and its own permission policies as JSON text.

    `name` is the role's name with its account's; `role_name` is what IAM calls it. `permissions`
    are the inline policies and the customer-managed ones attached, `managed_policies` the ARNs of
    every managed policy attached.
    """

    name: str
    where: str
    account_id: str | Unknown
    role_name: str | Unknown
    path: str | Unknown
    trust: str | Unknown
    managed_policies: tuple[str, ...] | Unknown
    permissions: tuple[str, ...] | Unknown


@dataclass(frozen=True, slots=True)
class Ingress:
    """One way into a security group: ports inclusive.

    `source` is a CIDR range, "security group" or "prefix list". `protocol` is "tcp", "udp", "icmp"
    or "-1" for all of them, which has no ports (None).
    """

    protocol: str | Unknown
    from_port: int | None | Unknown
    to_port: int | None | Unknown
    source: str | Unknown


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A security group of the replication servers, with what it lets in."""

    name: str
    where: str
    account_id: str | Unknown
    region: str | Unknown
    ingress: tuple[Ingress, ...] | Unknown


@dataclass(frozen=True, slots=True)
class PointInTimeRule:
    """One rule of a point-in-time policy: a point every `interval` units, kept for `retention`.

    `units` is MINUTE, HOUR or DAY [drs API model].
    """

    units: str | Unknown
    interval: int | Unknown
    retention: int | Unknown
    enabled: bool | Unknown


@dataclass(frozen=True, slots=True)
class ReplicationTemplate:
    """The replication configuration template of one account and Region, which seeds new servers.

    `key` is the `Key.name` of the key that it encrypts with, None where it names none;
    `security_groups` are `SecurityGroup.name`s. `replicates_new_disks` is true where a disk that a
    server gets later is replicated too.
    """

    name: str
    where: str
    account_id: str | Unknown
    region: str | Unknown
    ebs_encryption: str | Unknown
    key: str | None | Unknown
    point_in_time: tuple[PointInTimeRule, ...] | Unknown
    data_plane_routing: str | Unknown
    public_ip: bool | Unknown
    default_security_group: bool | Unknown
    security_groups: tuple[str, ...] | Unknown
    replicates_new_disks: bool | Unknown


@dataclass(frozen=True, slots=True)
class Worker:
    """What does the agent deployer's work: a Lambda function or a Step Functions state machine.

    `worker_name` is what AWS calls it, `role` the `Role.name` of the role that it runs with.
    """

    name: str
    where: str
    account_id: str | Unknown
    region: str | Unknown
    kind: Literal["function", "state machine"]
    worker_name: str | Unknown
    role: str | Unknown


@dataclass(frozen=True, slots=True)
class Table:
    """A DynamoDB table of the agent deployer; `table_name` is what AWS calls it.

    `recoverable` is true where point-in-time recovery is on, `protected` where deletion is refused.
    """

    name: str
    where: str
    account_id: str | Unknown
    region: str | Unknown
    table_name: str | Unknown
    recoverable: bool | Unknown
    protected: bool | Unknown


@dataclass(frozen=True, slots=True)
class Provider:
    """One configuration of the AWS provider: which account and Region it may act in.

    `allowed` are its `allowed_account_ids`, none where it does not set them. `role_account_id` is
    the account of the role that it assumes, None where it assumes none.
    """

    name: str
    where: str
    region: str | Unknown
    allowed: tuple[str, ...] | Unknown
    role_account_id: str | None | Unknown


@dataclass(frozen=True, slots=True)
class Placement:
    """A module call that says which account it is for, and the account that its resources land in."""

    name: str
    where: str
    declared_id: str | Unknown
    account_id: str | Unknown


@dataclass(frozen=True, slots=True)
class Wave:
    """A declared recovery wave: servers of the whole estate that are recovered at once."""

    name: str
    where: str
    servers: int


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the estate and what the view saw in it.

    `planned` is the declared number of servers that replicate into the account's recovery Region
    (0 for the orchestration account); `where` is the file and line that declares it. `initialised` is
    said of DRS in the recovery Region, `initialised_at_source` in the source Region. `extensible`
    are the ARNs that DRS of the target lists as extensible from a staging account, `extended_from`
    the account ids that DRS of the target lists as staging accounts: only those it has an extension
    of. `workers` and `tables` are the agent deployer's.
    """

    name: str
    part: Part
    id: str
    where: str
    planned: int | Unknown
    keys: tuple[Key, ...] | Unknown = ()
    roles: tuple[Role, ...] | Unknown = ()
    templates: tuple[ReplicationTemplate, ...] | Unknown = ()
    security_groups: tuple[SecurityGroup, ...] | Unknown = ()
    workers: tuple[Worker, ...] | Unknown = ()
    tables: tuple[Table, ...] | Unknown = ()
    servers: tuple[SourceServer, ...] | Unknown = Unknown("this view does not read live servers")
    instances: tuple[Instance, ...] | Unknown = Unknown("this view does not read instances")
    initialised: bool | Unknown = Unknown("this view does not ask DRS")
    initialised_at_source: bool | Unknown = Unknown("this view does not ask DRS")
    launch_settings: LaunchSettings | None | Unknown = Unknown("this view does not ask DRS")
    extensible: tuple[str, ...] | Unknown = Unknown("this view does not ask DRS")
    extended_from: tuple[str, ...] | Unknown = Unknown("this view does not ask DRS")
    quotas: tuple[tuple[str, int | Unknown], ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """One staging account with the target account that its servers are extended into."""

    staging: Account
    target: Account

    @property
    def name(self) -> str:
        """Both accounts by name, staging first."""
        return f"{self.staging.name} -> {self.target.name}"

    @property
    def where(self) -> str:
        """Where the staging account is declared."""
        return self.staging.where


@dataclass(frozen=True, slots=True)
class Change:
    """What a plan does to one resource: its address, type, account, and the actions.

    `changed` are the attributes that differ afterwards, or may differ where that is not known.
    """

    address: str
    type: str
    account: str | Unknown
    actions: tuple[str, ...]
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Estate:
    """All accounts, servers and keys of one environment, as one view sees them.

    `headroom` is the declared number of source servers of its quota that each account keeps free;
    `volumes_per_server` and `point_in_time_days` are declared for the whole estate. `objectives` are
    the declared recovery point objectives in minutes by `dr:priority`, `drill_days` the most days
    between two drills of a server, `launch_settings` how extended servers are to be launched.
    `read_at` is when the accounts were read. `code` is what the code view says of the same env,
    beside a plan.
    """

    env: str
    view: View
    source_region: str
    recovery_region: str
    target: Account
    staging: tuple[Account, ...]
    orchestration: Account
    where: str
    headroom: int | Unknown
    volumes_per_server: int | Unknown
    point_in_time_days: int | Unknown
    waves: tuple[Wave, ...] | Unknown
    objectives: tuple[tuple[str, int], ...] | Unknown
    drill_days: int | Unknown
    launch_settings: LaunchSettings | Unknown
    providers: tuple[Provider, ...] | Unknown = Unknown("this view does not read providers")
    placements: tuple[Placement, ...] | Unknown = Unknown("this view does not read module calls")
    changes: tuple[Change, ...] = ()
    read_at: datetime | Unknown = Unknown("this view does not read accounts")
    code: "Estate | Unknown" = Unknown("the code was not read beside it")

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.env

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Every account: target, staging accounts in declared order, orchestration."""
        return (self.target, *self.staging, self.orchestration)

    @property
    def protected(self) -> tuple[Account, ...]:
        """The accounts that servers replicate into: the target and the staging accounts."""
        return (self.target, *self.staging)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Each staging account with the target."""
        return tuple(Pair(account, self.target) for account in self.staging)


def known(values: tuple[T, ...] | Unknown) -> Iterator[T]:
    """Yields the values, or nothing where they are unknown: for display only, never for a judgement."""
    if not isinstance(values, Unknown):
        yield from values
