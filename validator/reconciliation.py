"""Where every source server of an estate stands, by joining staging accounts and target on ARNs.

Sets, not counts: two wrongs of equal number cancel out in a count. Each server is exactly one of the
standings below. What a view could not read never counts as nothing: a total is a range then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from validator.model import Account, Estate, Extension, SourceServer, Unknown, known
from validator.quotas import REPLICATING_SERVERS, TOTAL_SERVERS, limit

STALE_AFTER = timedelta(hours=1)
"""Silence of an agent that counts as its loss; DRS itself hears from an agent every few minutes."""

REPLICATES_ON = frozenset(["CONTINUOUS", "CREATING_SNAPSHOT"])
"""The states in which every change of a server is on its staging disks or on its way [drs API model]."""


class Standing(StrEnum):
    """How a server stands; exactly one holds for each."""

    PROTECTED = "protected"
    """It replicates into the target itself."""
    EXTENDED = "extended"
    """It replicates into a staging account, and the target has it without an error."""
    EXTENSION_ERROR = "extension error"
    MISSING = "missing"
    """It replicates into a staging account, and the target does not have it."""
    BLOCKED = "blocked"
    """It is missing, and cannot be extended as it is."""
    STALE = "stale"
    """It is stopped or disconnected, or its agent has gone silent."""
    DUPLICATE = "duplicate"
    """Its instance replicates a second time."""
    ORPHAN = "orphan"
    """The target has it, and no staging account of the estate does."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Server:
    """One server of the estate with its standing, and the reason in words where it needs one.

    `account` is the name of the account that it replicates into; `source` is None for an orphan,
    `extension` is None where the target has none.
    """

    account: str
    source: SourceServer | None
    extension: SourceServer | None
    standing: Standing
    reason: str = ""

    @property
    def shown(self) -> str:
        """The server as messages name it."""
        server = self.source or self.extension
        return "" if server is None else server.shown

    @property
    def arn(self) -> str:
        """The ARN where it replicates, or that of an orphaned extension."""
        server = self.source or self.extension
        return "" if server is None else server.arn


@dataclass(frozen=True, slots=True)
class Range:
    """A total of which only the bounds are known, equal where it is known; both inclusive."""

    lower: int
    upper: int

    def __add__(self, other: "Range") -> "Range":
        return Range(self.lower + other.lower, self.upper + other.upper)

    @property
    def known(self) -> int | None:
        """The total, None if it is not known."""
        return self.lower if self.lower == self.upper else None

    def __str__(self) -> str:
        return str(self.lower) if self.known is not None else f"{self.lower} to {self.upper}"


@dataclass(frozen=True, slots=True)
class Totals:
    """Source servers in the recovery Region: of the target itself, of each staging account, extended.

    `replicating` holds a range for each account that servers replicate into, by its name.
    """

    replicating: tuple[tuple[str, Range], ...]
    extended: Range
    in_target: Range

    @property
    def protected(self) -> Range:
        """Servers that can be recovered from the target: its own and the extended ones."""
        return self.replicating[0][1] + self.extended


def reconcile(estate: Estate) -> tuple[Server, ...]:
    """Every server that some account shows, in the estate's order of accounts and by ARN.

    Servers of an account that cannot be read are not in it: their account says why.
    """
    # Many invariants ask for the same estate's, one after the other.
    latest = _latest[0] if _latest else None
    if latest is None or latest[0] is not estate:
        latest = (estate, tuple(_servers(estate)))
        _latest[:] = [latest]
    return latest[1]


_latest: list[tuple[Estate, tuple[Server, ...]]] = []


def _servers(estate: Estate) -> Iterator[Server]:
    extensions = {
        server.staging_arn: server
        for server in known(estate.target.servers)
        if isinstance(server.staging_arn, str) and server.extension is not Extension.NOT_EXTENDED
    }
    doubt = _doubt(estate)
    copies = _copies(estate)
    listed: set[str] = set()
    for account in estate.protected:
        for server in sorted(known(account.servers), key=lambda each: each.arn):
            if server.extension in {Extension.EXTENDED, Extension.EXTENSION_ERROR}:
                continue
            listed.add(server.arn)
            yield _judged(account, server, extensions.get(server.arn), estate, copies, doubt)
    unread = [a for a in estate.staging if isinstance(a.servers, Unknown)]
    for server in sorted(known(estate.target.servers), key=lambda each: each.arn):
        if server.extension not in {Extension.EXTENDED, Extension.EXTENSION_ERROR}:
            continue
        if not isinstance(server.staging_arn, str):
            yield Server(
                "", None, server, Standing.UNKNOWN, "DRS does not show what it is extended from"
            )
        elif server.staging_arn not in listed:
            yield _without_source(server, unread)


def _doubt(estate: Estate) -> str | None:
    """Why a server of the target may be the extension of any staging server, None if none may."""
    for server in known(estate.target.servers):
        if isinstance(server.extension, Unknown):
            return server.extension.reason
        if server.extension is not Extension.NOT_EXTENDED and not isinstance(
            server.staging_arn, str
        ):
            return f"DRS does not show what {server.arn} is extended from"
    return None


def _without_source(server: SourceServer, unread: list[Account]) -> Server:
    account_id = str(server.staging_arn).split(":")[4]
    hidden = next((each for each in unread if each.id == account_id), None)
    if hidden is not None:
        return Server(hidden.name, None, server, Standing.UNKNOWN, f"{hidden.name} cannot be read")
    return Server(
        "", None, server, Standing.ORPHAN, f"{server.staging_arn} is in no staging account"
    )


def _judged(
    account: Account,
    server: SourceServer,
    extension: SourceServer | None,
    estate: Estate,
    copies: dict[str, tuple[str, ...]],
    doubt: str | None,
) -> Server:
    def stands(standing: Standing, reason: str = "") -> Server:
        return Server(account.name, server, extension, standing, reason)

    replicating = server.replicating
    if isinstance(replicating, Unknown):
        return stands(Standing.UNKNOWN, replicating.reason)
    if not replicating:
        return stands(Standing.STALE, f"its replication is {server.replication_state}")
    silent = silence(server, estate)
    if isinstance(silent, Unknown):
        return stands(Standing.UNKNOWN, silent.reason)
    if silent is None or silent > STALE_AFTER:
        since = "ever" if silent is None else f"for {in_words(silent)}"
        return stands(Standing.STALE, f"its agent has not been heard {since}")
    others = [arn for arn in copies.get(server.instance_id or "", ()) if arn != server.arn]
    if others:
        return stands(
            Standing.DUPLICATE, f"{server.instance_id} also replicates as {', '.join(others)}"
        )
    if account is estate.target:
        return stands(Standing.PROTECTED)
    if isinstance(estate.target.servers, Unknown):
        return stands(Standing.UNKNOWN, "the target cannot be read")
    if extension is None and doubt is not None:
        return stands(Standing.UNKNOWN, doubt)
    if extension is None:
        blocked = blocked_by(server, estate.recovery_region)
        if isinstance(blocked, Unknown):
            return stands(Standing.MISSING, blocked.reason)
        return stands(Standing.BLOCKED if blocked else Standing.MISSING, blocked or "")
    if isinstance(extension.extension, Unknown):
        return stands(Standing.UNKNOWN, extension.extension.reason)
    if extension.extension is Extension.EXTENSION_ERROR:
        return stands(Standing.EXTENSION_ERROR, extension.error or "DRS gives no message")
    return stands(Standing.EXTENDED)


def silence(server: SourceServer, estate: Estate) -> timedelta | None | Unknown:
    """How long the agent has been silent, None if it was never heard."""
    if isinstance(server.last_seen, Unknown):
        return server.last_seen
    if isinstance(estate.read_at, Unknown):
        return estate.read_at
    return None if server.last_seen is None else estate.read_at - server.last_seen


def blocked_by(server: SourceServer, recovery_region: str) -> str | None | Unknown:
    """Why AWS would refuse to extend a server as it is, None if it would not."""
    if any("MARKETPLACE" in status and status != "REGULAR" for status in server.volumes):
        return "a disk of it carries a marketplace product code"
    if server.arn.split(":")[3] != recovery_region:
        return f"it replicates into {server.arn.split(':')[3]}, not {recovery_region}"
    if isinstance(server.encryption, Unknown):
        return server.encryption
    if server.encryption == "DEFAULT":
        return "its disks are encrypted with the account's default key (DEFAULT)"
    if isinstance(server.key, Unknown):
        return server.key
    if server.encryption == "CUSTOM" and server.key is not None:
        region = (server.key.split(":") + [""] * 4)[3]
        if region != recovery_region:
            return f"its key {server.key} is not in {recovery_region}"
    return None


def _copies(estate: Estate) -> dict[str, tuple[str, ...]]:
    """The ARNs of every instance that replicates more than once."""
    found: dict[str, list[str]] = {}
    for account in estate.protected:
        for server in known(account.servers):
            if server.instance_id and server.replicating is True:
                found.setdefault(server.instance_id, []).append(server.arn)
    return {key: tuple(sorted(arns)) for key, arns in found.items() if len(arns) > 1}


def totals(estate: Estate) -> Totals:
    """The estate's totals; an account that cannot be read adds none to all that its quota lets it hold."""
    replicating = tuple((each.name, _replicating(each)) for each in estate.protected)
    staging = Range(0, 0)
    for _, each in replicating[1:]:
        staging += each
    servers = estate.target.servers
    if isinstance(servers, Unknown):
        most = _quota(estate.target, total=True)
        return Totals(replicating, Range(0, min(staging.upper, most)), Range(0, most))
    status = [server.extension for server in servers]
    sure = status.count(Extension.EXTENDED)
    doubtful = sum(isinstance(each, Unknown) for each in status)
    return Totals(replicating, Range(sure, sure + doubtful), Range(len(servers), len(servers)))


def _replicating(account: Account) -> Range:
    if isinstance(account.servers, Unknown):
        return Range(0, _quota(account, total=False))
    counted = [server.replicating for server in account.servers]
    sure = counted.count(True)
    return Range(sure, sure + sum(isinstance(each, Unknown) for each in counted))


def _quota(account: Account, *, total: bool) -> int:
    """The most that an account can hold: its live quota, AWS's default where that is not known."""
    quota = TOTAL_SERVERS if total else REPLICATING_SERVERS
    value = limit(account, quota)
    return quota.value if isinstance(value, Unknown) else value


def in_words(length: timedelta) -> str:
    """A length of time as people say it, in its largest unit."""
    seconds = int(length.total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'s' * (number != 1)}"
    return f"{seconds} second{'s' * (seconds != 1)}"
