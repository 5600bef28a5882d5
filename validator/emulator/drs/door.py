"""What the control door does to DRS: agents that register, lag, break, vanish and catch up."""

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from validator.emulator.drs import extension
from validator.emulator.drs.models import (
    REPLICATING,
    TOTAL,
    DrsBackend,
    Json,
    Server,
    ago,
    drs_backends,
    now,
    quota_exceeded,
    text,
)
from validator.emulator.drs.servers import STEPS
from validator.emulator.drs.settings import launch_settings, replication_settings

_SYSTEMS = (
    "Ubuntu 22.04",
    "Amazon Linux 2023",
    "Red Hat Enterprise Linux 9",
    "Windows Server 2022",
)
TIERS = ("web", "app", "db", "cache", "batch")
_DAYS_IN_SERVICE = 30
"""How long a server that is registered as synchronised has been in service."""

_RESULTS = {
    "FAILED": "FAILED",
    "IN_PROGRESS": "PENDING",
    "LAUNCHED": "SUCCEEDED",
    "PENDING": "PENDING",
    "TERMINATED": "SUCCEEDED",
}


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that an agent is installed on; one that no EC2 knows is of no account."""

    id: str
    hostname: str
    account_id: str | None
    region: str
    zone: str
    tags: dict[str, str]
    system: str
    architecture: str = "x86_64"
    disks: tuple[tuple[str, int], ...] = ()
    """Device names and GiB; none stands for disks that are made up."""


def register(
    backend: DrsBackend,
    machines: Iterable[Machine] | int,
    *,
    prefix: str | None = None,
    state: str = "CONTINUOUS",
    sync_seconds: float | None = None,
    tags: dict[str, str] | None = None,
    since: float | None = None,
) -> list[str]:
    """Registers servers as their agents would; returns their ids.

    A number stands for so many machines that no EC2 knows. With `sync_seconds` the initial sync
    ends by itself; it began at `since` of the monotonic clock, or just now. Raises DrsError where DRS
    would refuse an agent.
    """
    with backend.lock:
        replication = replication_settings(backend)
        if isinstance(machines, int):
            machines = _unknown(backend, machines, prefix)
        machines = list(machines)
        for code, counted in ((REPLICATING, backend.replicating()), (TOTAL, len(backend.servers))):
            if counted + len(machines) > (quota := backend.quota(code)):
                raise quota_exceeded(code, quota)
        made = []
        for machine in machines:
            server = _server(backend, machine, replication, state)
            if sync_seconds is not None:
                server.become("INITIATING")
                server.sync = (time.monotonic() if since is None else since, sync_seconds)
            backend.tags[server.arn] = machine.tags | (tags or {})
            made.append(server)
        backend.add_servers(made)
        return [server.id for server in made]


def _unknown(backend: DrsBackend, count: int, prefix: str | None) -> list[Machine]:
    found = []
    for number in range(len(backend.servers) + 1, len(backend.servers) + count + 1):
        tier = backend.random.choice(TIERS)
        found.append(
            Machine(
                id=str(uuid.UUID(bytes=backend.random.randbytes(16))),
                hostname=f"{prefix or tier}-{number:04d}.example.internal",
                account_id=None,
                region="us-east-1",
                zone="us-east-1a",
                tags={"Name": f"{tier}-{number:04d}"},
                system=backend.random.choice(_SYSTEMS),
            )
        )
    return found


def _server(backend: DrsBackend, machine: Machine, replication: Json, state: str) -> Server:
    chance = backend.random
    identifier = backend.new_id("s")
    fresh = state in {"INITIATING", "INITIAL_SYNC"}
    added = now() if fresh else ago(86400 * _DAYS_IN_SERVICE)
    digits = chance.randbytes(5)
    address = ".".join(["10", *(str(each) for each in digits[:3])])
    server = Server(
        id=identifier,
        arn=backend.arn("source-server", identifier),
        properties={
            "architecture": machine.architecture,
            "cpus": [{"cores": chance.choice((2, 4, 8)), "modelName": "Intel Xeon"}],
            "disks": [
                {"bytes": gib * 2**30, "deviceName": device}
                for device, gib in machine.disks or _disks(backend)
            ],
            "identificationHints": {
                "vmWareUuid" if machine.account_id is None else "awsInstanceID": machine.id,
                "fqdn": machine.hostname,
                "hostname": machine.hostname,
            },
            "lastUpdatedDateTime": text(added),
            "networkInterfaces": [
                {"ips": [address], "isPrimary": True, "macAddress": f"02:{digits.hex(':')}"}
            ],
            "os": {"fullString": machine.system},
            "ramBytes": chance.choice((4, 8, 16, 32)) * 2**30,
            "recommendedInstanceType": chance.choice(("m6i.large", "r6i.xlarge")),
            "supportsNitroInstances": True,
        },
        origin=(machine.account_id, machine.region, machine.zone),
        launch=launch_settings(backend),
        replication=dict(replication),
        staging_account=backend.account_id,
        added=added,
        synced=None if fresh else added + timedelta(hours=2),
    )
    server.become(state)
    return server


def _disks(backend: DrsBackend) -> list[tuple[str, int]]:
    chance = backend.random
    return [(f"/dev/sd{chr(97 + n)}", chance.randint(30, 500)) for n in range(chance.randint(1, 4))]


def _seen(server: Server, seconds: float | None) -> None:
    server.seen = None if seconds is None else ago(seconds)


def _step(server: Server, step: str | None) -> None:
    if step is not None and step not in STEPS:
        raise ValueError(f"step must be one of {', '.join(STEPS)}")
    if step is not None:
        server.become("INITIATING")
    server.step = step


def _replication(server: Server, settings: Json) -> None:
    changed = server.replication | settings
    if changed.get("ebsEncryption") != "CUSTOM":
        changed.pop("ebsEncryptionKeyArn", None)
    server.replication = changed


def _hint(server: Server, name: str, value: str) -> None:
    hints = server.properties["identificationHints"] | {name: value}
    server.properties["identificationHints"] = hints


def _origin(server: Server, account: str | None = None, region: str | None = None) -> None:
    region = region or server.origin[1]
    server.origin = (account or server.origin[0], region, f"{region}a")


def _last_launch(server: Server, launch: Json | None) -> None:
    if launch is None:
        server.last_launch, server.last_launch_result = None, "NOT_STARTED"
        return
    status = launch.get("status", "LAUNCHED")
    server.last_launch = {
        "initiated": {
            "apiCallDateTime": text(ago(86400 * float(launch.get("daysAgo", 0)))),
            "jobID": f"drsjob-{server.id.removeprefix('s-')}",
            "type": launch.get("type", "DRILL"),
        },
        "status": status,
    }
    server.last_launch_result = _RESULTS[status]


def _set(name: str) -> Any:
    return lambda server, value: setattr(server, name, value)


# In the order in which they are applied: a state or a step puts the rest back to what is usual.
_REPLICATED: dict[str, Any] = {
    "state": lambda server, value: server.become(value),
    "step": _step,
    "lag": _set("lag"),
    "error": _set("error"),
    "rawError": _set("raw_error"),
    "lastSeenSecondsAgo": _seen,
    "volumeStatus": _set("volume_status"),
    "replication": _replication,
    "originAccount": lambda server, value: _origin(server, account=value),
    "originRegion": lambda server, value: _origin(server, region=value),
    "direction": _set("direction"),
    "agentVersion": _set("agent_version"),
    "instance": lambda server, value: _hint(server, "awsInstanceID", value),
}
_OWN: dict[str, Any] = {
    "launch": lambda server, value: setattr(server, "launch", server.launch | value),
    "lastLaunch": _last_launch,
}


def extend(backend: DrsBackend, staging: str) -> list[str]:
    """Extends a staging account's servers that are not extended, with their tags; returns the new ids.

    Raises DrsError where DRS would refuse one.
    """
    own = drs_backends[staging][backend.region_name]
    with backend.lock:
        taken = {each.staged.id for each in backend.servers.values() if each.staged is not None}
        return [
            extension.extend(
                backend, {"sourceServerArn": server.arn, "tags": own.tags.get(server.arn)}
            ).id
            for server in list(own.servers.values())
            if server.staged is None and server.id not in taken
        ]


def change(backend: DrsBackend, ids: list[str] | None, fields: Json) -> int:
    """Sets fields of servers and returns of how many; no ids stand for every server.

    What replicates is set where it replicates: every server is then every one that is not extended.
    Raises ValueError for an unknown field and for an extended server.
    """
    unknown = set(fields) - {*_REPLICATED, *_OWN, "tags"}
    if unknown or not fields:
        known = ", ".join([*_REPLICATED, *_OWN, "tags"])
        raise ValueError(f"fields are {known}; not {sorted(unknown)}")
    replicated = sorted(set(fields) & set(_REPLICATED))
    with backend.lock:
        for server in (chosen := _chosen(backend, ids, own=bool(replicated))):
            if replicated and server.staged is not None:
                raise ValueError(f"{server.id} is extended: set {replicated} of {server.staged.id}")
            for name, apply in (_REPLICATED | _OWN).items():
                if name in fields:
                    apply(server, fields[name])
            backend.tags[server.arn].update(fields.get("tags", {}))
        return len(chosen)


def advance(backend: DrsBackend, ids: list[str] | None, seconds: float | None) -> int:
    """Moves initial syncs one state on, or lets them end by themselves in so many seconds."""
    onward = {"INITIATING": "INITIAL_SYNC", "INITIAL_SYNC": "CONTINUOUS"}
    with backend.lock:
        chosen = [s for s in _chosen(backend, ids, own=True) if s.state in onward]
        for server in chosen:
            if seconds is None:
                server.become(onward[server.state])
            else:
                server.sync = (time.monotonic(), seconds)
        return len(chosen)


def vanish(backend: DrsBackend, ids: list[str]) -> int:
    """Removes servers without asking their state; whoever is not there is no matter."""
    with backend.lock:
        chosen = [backend.servers[each] for each in ids if each in backend.servers]
        for server in chosen:
            backend.remove_server(server)
        return len(chosen)


def _chosen(backend: DrsBackend, ids: list[str] | None, *, own: bool) -> list[Server]:
    if ids is None:
        return [s for s in backend.servers.values() if s.staged is None or not own]
    return [backend.server(each) for each in ids]
