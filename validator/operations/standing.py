"""What stands in the staging accounts and in the target, as far as extending needs it.

Every page is read to its end. An answer that lacks a part is an AccountError, never an empty one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from validator.accounts import CallError, Client, Opened, Opener, pages, where
from validator.errors import AccountError
from validator.model import Account, Extension

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Staged:
    """A source server as its staging account, or AWS's list of what can be extended, shows it."""

    hostname: str
    tags: Mapping[str, str]
    replicates: bool
    volume_statuses: frozenset[str]


@dataclass(frozen=True, slots=True)
class Staging:
    """A staging account as it was read, servers by ARN.

    `offered` are those that AWS lets the target extend, `elsewhere` those of the source Region.
    """

    account: Account
    opened: Opened
    servers: Mapping[str, Staged]
    offered: Mapping[str, Staged]
    elsewhere: Mapping[str, Staged]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Extended:
    """A source server of the target that points to one in a staging account."""

    arn: str
    id: str
    hostname: str
    staging_account_id: str
    status: str
    error: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """The target at one moment: how many source servers, and the extensions by their staging ARN."""

    total: int
    extensions: Mapping[str, tuple[Extended, ...]]


def read_staging(
    account: Account, opener: Opener, drs: Client, region: str, source_region: str
) -> Staging:
    """A staging account as it stands; raises AccountError.

    Its own servers are listed before those offered, and the target after both, so that whatever
    changes meanwhile shows as an extension and never as a server that AWS does not offer.
    """
    opened = opener.open(account.id, region)
    servers = dict(_servers(opened.client("drs"), "describe_source_servers", filters={}))
    offered = dict(_servers(drs, "list_extensible_source_servers", stagingAccountID=account.id))
    elsewhere: dict[str, Staged] = {}
    notes: tuple[str, ...] = ()
    if source_region != region:
        there = opened.client("drs", region=source_region)
        try:
            elsewhere = dict(_servers(there, "describe_source_servers", filters={}))
        except AccountError as error:
            if not isinstance(error, CallError) or error.code != "UninitializedAccountException":
                notes = (f"{error} Servers that replicate into {source_region} stay unseen.",)
    return Staging(account, opened, servers, offered, elsewhere, notes)


def _servers(drs: Client, operation: str, **params: Any) -> Iterator[tuple[str, Staged]]:
    size = 300 if operation == "list_extensible_source_servers" else 200
    try:
        for item in pages(drs, operation, "items", PaginationConfig={"PageSize": size}, **params):
            replication = item.get("dataReplicationInfo") or {}
            area = item.get("stagingArea") or {}
            yield (
                item["arn"],
                Staged(
                    hostname=_hostname(item),
                    tags=item.get("tags") or {},
                    replicates=area.get("status") in {None, Extension.NOT_EXTENDED}
                    and item.get("replicationDirection") != "FAILBACK"
                    and replication.get("dataReplicationState") not in {"STOPPED", "DISCONNECTED"},
                    volume_statuses=frozenset(
                        disk.get("volumeStatus", "")
                        for disk in replication.get("replicatedDisks") or ()
                    ),
                ),
            )
    except (AttributeError, KeyError, TypeError) as error:
        raise AccountError(
            f"{where(drs, operation)} gave an answer that lacks a part "
            f"({type(error).__name__}: {error})."
        ) from error


def _hostname(item: Json) -> str:
    hints = (item.get("sourceProperties") or {}).get("identificationHints") or {}
    return str(item.get("hostname") or hints.get("hostname") or hints.get("awsInstanceID") or "")


def read_target(drs: Client) -> Target:
    """The target as it stands; raises AccountError."""
    total = 0
    extensions: dict[str, tuple[Extended, ...]] = {}
    try:
        for item in pages(
            drs, "describe_source_servers", "items", filters={}, PaginationConfig={"PageSize": 200}
        ):
            total += 1
            area = item.get("stagingArea") or {}
            arn = area.get("stagingSourceServerArn")
            if not arn:
                continue
            extension = Extended(
                arn=item["arn"],
                id=item["sourceServerID"],
                hostname=_hostname(item),
                staging_account_id=area.get("stagingAccountID") or arn.split(":")[4],
                status=str(area.get("status")),
                error=area.get("errorMessage") or "",
                tags=item.get("tags") or {},
            )
            extensions[arn] = (*extensions.get(arn, ()), extension)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise AccountError(
            f"{where(drs, 'describe_source_servers')} gave an answer that lacks a part "
            f"({type(error).__name__}: {error})."
        ) from error
    return Target(total, extensions)
