"""The estate as every view sees it: accounts, keys, roles and servers, with `Unknown` where a view is blind.

All classes are frozen and hold tuples, so that one estate can be read by many invariants at once.
Account ids are 12-digit strings, Regions are AWS Region names, policies are JSON text.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeVar

T = TypeVar("T")

View = Literal["code", "plan", "live"]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that the view cannot see, with the reason in words that end a sentence."""

    reason: str


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
class SourceServer:
    """A server known to DRS in one account and Region."""

    arn: str
    hostname: str | Unknown
    extension: Extension | Unknown
    staging_account_id: str | Unknown
    staging_arn: str | None | Unknown
    replication_state: str | Unknown
    error: str | None = None

    @property
    def name(self) -> str:
        """The ARN, which no two source servers share."""
        return self.arn

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
class Key:
    """A customer-managed KMS key of one account and Region."""

    name: str
    where: str
    account_id: str | Unknown
    region: str | Unknown
    aliases: tuple[str, ...] | Unknown
    policy: str | Unknown
    enabled: bool | Unknown


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role, with its trust policy as JSON text."""

    name: str | Unknown
    where: str
    account_id: str | Unknown
    path: str | Unknown
    trust: str | Unknown
    managed_policies: tuple[str, ...] | Unknown


@dataclass(frozen=True, slots=True)
class ReplicationTemplate:
    """The replication configuration template of one account and Region, which seeds new servers.

    `key` is the `Key.name` of the key that it encrypts with, None where it names none.
    """

    name: str
    where: str
    account_id: str | Unknown
    region: str | Unknown
    ebs_encryption: str | Unknown
    key: str | None | Unknown


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the estate and what the view saw in it.

    `planned` is the declared number of servers that replicate into the account's recovery Region
    (0 for the orchestration account); `where` is the file and line that declares it.
    """

    name: str
    part: Part
    id: str
    where: str
    planned: int | Unknown
    keys: tuple[Key, ...] | Unknown = ()
    roles: tuple[Role, ...] | Unknown = ()
    templates: tuple[ReplicationTemplate, ...] | Unknown = ()
    servers: tuple[SourceServer, ...] | Unknown = Unknown("this view does not read live servers")
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
    """What a plan does to one resource: its address, the account it stands in, and the actions."""

    address: str
    account: str | Unknown
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Estate:
    """All accounts, servers and keys of one environment, as one view sees them."""

    env: str
    view: View
    source_region: str
    recovery_region: str
    target: Account
    staging: tuple[Account, ...]
    orchestration: Account
    where: str
    changes: tuple[Change, ...] = field(default=())

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
