"""The state of DRS in one account and Region: its servers, templates, jobs and recovery instances."""

import functools
import random
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from moto.core.base_backend import BackendDict, BaseBackend

from validator.emulator.drs.exceptions import (
    ResourceNotFoundException,
    ServiceQuotaExceededException,
    ValidationException,
)

Json = dict[str, Any]
T = TypeVar("T")

REPLICATING, TOTAL = "L-C1D14A2B", "L-E28BE5E0"
JOBS, SERVERS_IN_JOB, SERVERS_IN_JOBS = "L-D88FAC3A", "L-B827C881", "L-05AFA8C6"
LAUNCH_TEMPLATES = "L-1F3FAE4D"
_DEFAULT_QUOTAS = {
    REPLICATING: 300,
    TOTAL: 4000,
    JOBS: 20,
    SERVERS_IN_JOB: 100,
    SERVERS_IN_JOBS: 500,
}
UNPROTECTED = {"STOPPED", "DISCONNECTED"}

delays = {"extension": 0.0, "initial-sync": 2.0, "install": 1.0, "job": 0.5}
"""Seconds that things take, which the control door sets.

Until a created extension shows, an initial sync ends, an invocation of Run Command ends, a job ends.
"""


def _default_quota(_account: str, _region: str, code: str) -> float:
    return _DEFAULT_QUOTAS[code]


quota_value: Callable[[str, str, str], float] = _default_quota
"""The value of a DRS quota in an account and Region; the server points it at Service Quotas."""


def now() -> datetime:
    """This moment, to the second, in UTC."""
    return datetime.now(UTC).replace(microsecond=0)


@functools.lru_cache(maxsize=8192)
def text(moment: datetime) -> str:
    """A moment as DRS writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """Seconds as an ISO-8601 duration, such as PT0S or P1DT2H."""
    days, rest = divmod(int(seconds), 86400)
    parts = [(rest // 3600, "H"), (rest % 3600 // 60, "M"), (rest % 60, "S")]
    hours = "".join(f"{value}{unit}" for value, unit in parts if value)
    shown = (f"{days}D" if days else "") + (f"T{hours}" if hours else "")
    return f"P{shown or 'T0S'}"


@dataclass(slots=True)
class Server:
    """A source server: one that replicates here, or an extension of one that does elsewhere."""

    id: str
    arn: str
    properties: Json
    origin: tuple[str | None, str, str]
    """Account, Region and Availability Zone of the machine; no account if no EC2 knows it."""
    launch: Json
    replication: Json
    staging_account: str
    added: datetime
    staged: "Server | None" = None
    """The staging account's server that an extended one points to."""
    state: str = "CONTINUOUS"
    synced: datetime | None = None
    """When the initial sync ended: no point in time is older. None while it has not."""
    sync: tuple[float, float] | None = None
    """When an initial sync that ends by itself began, and how many seconds it takes."""
    lag: float | str | None = 0.0
    error: str | None = None
    raw_error: str | None = None
    step: str | None = None
    """The initiation step that it is stuck at."""
    seen: datetime | None = None
    """When DRS last saw the agent, if that is not just now."""
    volume_status: str = "REGULAR"
    direction: str = "FAILOVER"
    agent_version: str = "6.2.0"
    last_launch: Json | None = None
    last_launch_result: str = "NOT_STARTED"
    recovery_instance: str | None = None
    visible: float = 0.0
    """The monotonic second from which it shows."""

    def become(self, state: str) -> None:
        """Puts it in a state as servers usually are in it: lag, error, step and last seen follow."""
        if state in {"STOPPED", "INITIATING", "INITIAL_SYNC"}:
            self.synced = None  # stopping deletes all points in time
        elif self.synced is None:
            self.synced = now()
        usual: dict[str, float] = {
            "BACKLOG": 1800,
            "CONTINUOUS": 0,
            "CREATING_SNAPSHOT": 0,
            "PAUSED": 3600,
            "RESCAN": 600,
            "STALLED": 7200,
        }
        self.state, self.lag = state, usual.get(state)
        self.error = self.raw_error = self.step = self.sync = None
        self.seen = now() if state in UNPROTECTED else None

    def settle(self) -> None:
        """Moves an initial sync that goes on by itself to where it is by now."""
        if self.sync is None:
            return
        began, seconds = self.sync
        passed = time.monotonic() - began
        if passed >= seconds:
            self.become("CONTINUOUS")
        elif passed >= seconds / 2:
            self.state = "INITIAL_SYNC"


@dataclass(slots=True)
class Job:
    """A job that launches recovery instances; it ends by itself after its seconds."""

    item: Json
    began: float
    seconds: float
    points: dict[str, str]
    """The moment that each server is recovered to, by the server's id."""
    log: list[Json] = field(default_factory=list)


class DrsBackend(BaseBackend):
    """DRS of one account and Region."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.lock = threading.RLock()
        self.initialised = False
        self.templates: dict[str, Json] = {}
        self.launch_templates: dict[str, Json] = {}
        self.servers: dict[str, Server] = {}
        self.jobs: dict[str, Job] = {}
        self.recovery_instances: dict[str, Json] = {}
        self.recovery_plans: dict[str, Json] = {}
        self.recovery_plan_tokens: dict[str, tuple[Json, Json]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.random = random.Random(f"{account_id} {region_name}")

    def arn(self, kind: str, identifier: str) -> str:
        """The ARN of a resource of this account and Region."""
        return f"arn:aws:drs:{self.region_name}:{self.account_id}:{kind}/{identifier}"

    def new_id(self, prefix: str) -> str:
        """A fresh id such as s- with 17 hexadecimal digits."""
        return f"{prefix}-{self.random.getrandbits(68):017x}"

    def quota(self, code: str) -> float:
        """The value of a quota here."""
        return quota_value(self.account_id, self.region_name, code)

    def replicating(self) -> int:
        """How many servers count against the replicating quota."""
        return sum(
            server.staged is None and server.state not in UNPROTECTED
            for server in list(self.servers.values())
        )

    def server(self, identifier: str) -> Server:
        """One source server; raises ResourceNotFoundException."""
        if identifier not in self.servers:
            raise not_found("SourceServer", "Source server", identifier)
        return self.servers[identifier]

    def add_servers(self, servers: list[Server]) -> None:
        """Adds servers in the order of ids, which pages are cut from."""
        self.servers |= {server.id: server for server in servers}
        self.servers = dict(sorted(self.servers.items()))

    def remove_server(self, server: Server) -> None:
        """Removes a server; whoever still points to it sees when its agent was last seen."""
        server.seen = server.seen or now()
        self.servers.pop(server.id, None)
        self.tags.pop(server.arn, None)

    def tagged(self, item: Json) -> Json:
        """An item with its tags."""
        return {**item, "tags": dict(self.tags.get(item["arn"], {}))}


def not_found(kind: str, words: str, identifier: str) -> ResourceNotFoundException:
    """The refusal of an id that is not there."""
    return ResourceNotFoundException(
        f"{words} {identifier} not found", resourceId=identifier, resourceType=kind
    )


def quota_exceeded(code: str, value: float) -> ServiceQuotaExceededException:
    """The refusal of what a quota forbids."""
    return ServiceQuotaExceededException(
        f"Service quota {code} of {value:.0f} exceeded",
        quotaCode=code,
        serviceCode="drs",
        resourceType="SourceServer",
        resourceId="",
    )


def page(
    items: list[T], params: Json, identity: Callable[[T], str], *, descending: bool = False
) -> tuple[list[T], Json]:
    """One page of items that stand in the order of their identity, and what names the next page.

    The token is the last item's identity, so that deletions lose and double nothing.
    """
    token, size = params.get("nextToken"), params.get("maxResults", 200)
    if token is not None and (not isinstance(token, str) or not token.startswith("after:")):
        raise ValidationException("nextToken is not valid")
    start = 0
    if token is not None:
        last = token.removeprefix("after:")
        if descending:
            start = len(items) - bisect_left(items[::-1], last, key=identity)
        else:
            start = bisect_right(items, last, key=identity)
    shown = items[start : start + size]
    more = len(items) > start + size
    return shown, {"nextToken": f"after:{identity(shown[-1])}"} if more else {}


def ago(seconds: float) -> datetime:
    """The moment so many seconds before now."""
    return now() - timedelta(seconds=seconds)


drs_backends = BackendDict(DrsBackend, "drs")
