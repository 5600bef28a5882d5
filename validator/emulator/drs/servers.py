"""Source servers as DRS describes them, and the operations on one of them."""

import time
from datetime import timedelta

from validator.emulator.drs import extension
from validator.emulator.drs.exceptions import ConflictException
from validator.emulator.drs.models import (
    DrsBackend,
    Json,
    Server,
    duration,
    not_found,
    now,
    page,
    text,
)

STEPS = (
    "WAIT",
    "CREATE_SECURITY_GROUP",
    "LAUNCH_REPLICATION_SERVER",
    "BOOT_REPLICATION_SERVER",
    "AUTHENTICATE_WITH_SERVICE",
    "DOWNLOAD_REPLICATION_SOFTWARE",
    "CREATE_STAGING_DISKS",
    "ATTACH_STAGING_DISKS",
    "PAIR_REPLICATION_SERVER_WITH_AGENT",
    "CONNECT_AGENT_TO_REPLICATION_SERVER",
    "START_DATA_TRANSFER",
)
_DONE = [{"name": name, "status": "SUCCEEDED"} for name in STEPS]
_MOVING = {"INITIAL_SYNC", "BACKLOG", "RESCAN"}


def shown(backend: DrsBackend, server: Server, known: extension.Problems | None = None) -> Json:
    """The server as answered; an extension's status is decided now, and its facts are the staging's.

    `known` holds what was decided for this page already.
    """
    facts = server.staged or server
    facts.settle()
    area = {"status": "NOT_EXTENDED", "stagingAccountID": server.staging_account}
    if server.staged is not None:
        problem = extension.problem(backend, server, {} if known is None else known)
        area |= {
            "status": "EXTENSION_ERROR" if problem else "EXTENDED",
            "stagingSourceServerArn": server.staged.arn,
            **({"errorMessage": problem} if problem else {}),
        }
    account, region, zone = facts.origin
    item: Json = {
        "agentVersion": facts.agent_version,
        "arn": server.arn,
        "dataReplicationInfo": _replication_info(facts, f"{backend.region_name}a"),
        "lastLaunchResult": server.last_launch_result,
        "lifeCycle": _life_cycle(facts, server),
        "replicationDirection": facts.direction,
        "sourceProperties": facts.properties,
        "sourceServerID": server.id,
        "stagingArea": area,
        "tags": dict(backend.tags.get(server.arn, {})),
    }
    if account is not None:
        item["sourceCloudProperties"] = {
            "originAccountID": account,
            "originAvailabilityZone": zone,
            "originRegion": region,
        }
    if server.recovery_instance is not None:
        item["recoveryInstanceId"] = server.recovery_instance
    return item


def _progress(server: Server) -> float:
    """How much of an initial sync is done, between 0 and 1."""
    if server.sync is None:
        return 0.4
    began, seconds = server.sync
    return min(0.99, (time.monotonic() - began) / max(seconds, 0.001))


def _replication_info(server: Server, zone: str) -> Json:
    info: Json = {"dataReplicationState": server.state}
    if server.error is not None:
        info["dataReplicationError"] = {
            "error": server.error,
            **({"rawError": server.raw_error} if server.raw_error is not None else {}),
        }
    if server.state == "STOPPED":
        return info
    info["stagingAvailabilityZone"] = zone
    info["replicatedDisks"] = [_disk(server, disk) for disk in server.properties["disks"]]
    info["dataReplicationInitiation"] = {
        "startDateTime": text(server.added),
        "steps": _steps(server) if server.state == "INITIATING" else _DONE,
    }
    if server.lag is not None:
        info["lagDuration"] = server.lag if isinstance(server.lag, str) else duration(server.lag)
    if server.state in _MOVING:
        info["etaDateTime"] = text(now() + timedelta(hours=1))
    return info


def _disk(server: Server, disk: Json) -> Json:
    total = disk["bytes"]
    share = {"INITIATING": 0.0, "INITIAL_SYNC": _progress(server)}.get(server.state, 1.0)
    return {
        "backloggedStorageBytes": total // 100 if server.state == "BACKLOG" else 0,
        "deviceName": disk["deviceName"],
        "replicatedStorageBytes": int(total * share),
        "rescannedStorageBytes": total // 2 if server.state == "RESCAN" else 0,
        "totalStorageBytes": total,
        "volumeStatus": server.volume_status,
    }


def _steps(server: Server) -> list[Json]:
    if server.step is not None:
        at = STEPS.index(server.step)
    else:
        # An initial sync that goes on by itself initiates in the first half of its time.
        at = min(len(STEPS) - 1, int(2 * _progress(server) * len(STEPS)))
    reached = "FAILED" if server.step is not None and server.error is not None else "IN_PROGRESS"
    status = ["SUCCEEDED"] * at + [reached] + ["NOT_STARTED"] * (len(STEPS) - at - 1)
    return [{"name": n, "status": s} for n, s in zip(STEPS, status, strict=True)]


def _life_cycle(facts: Server, server: Server) -> Json:
    seen = facts.seen or max(facts.added, now() - timedelta(seconds=int(facts.id[-2:], 16) % 50))
    cycle: Json = {
        "addedToServiceDateTime": text(server.added),
        "lastSeenByServiceDateTime": text(seen),
    }
    if facts.state != "INITIATING":
        cycle["firstByteDateTime"] = text(facts.added)
        elapsed = max(0.0, (seen - facts.added).total_seconds())
        cycle["elapsedReplicationDuration"] = duration(elapsed)
    if server.last_launch is not None:
        cycle["lastLaunch"] = server.last_launch
    return cycle


def describe_servers(backend: DrsBackend, params: Json) -> Json:
    """DescribeSourceServers."""
    filters = params.get("filters") or {}
    moment = time.monotonic()
    servers = [server for server in backend.servers.values() if server.visible <= moment]
    if ids := set(filters.get("sourceServerIDs") or ()):
        servers = [server for server in servers if server.id in ids]
    if hardware := filters.get("hardwareId"):
        servers = [server for server in servers if hardware in _hardware(server)]
    if staging := filters.get("stagingAccountIDs"):
        servers = [server for server in servers if server.staging_account in staging]
    chosen, more = page(servers, params, lambda server: server.id)
    known: extension.Problems = {}
    return {"items": [shown(backend, server, known) for server in chosen], **more}


def _hardware(server: Server) -> set[str]:
    cards = server.properties["networkInterfaces"]
    hints = server.properties["identificationHints"]
    return {
        *(hints[name] for name in ("awsInstanceID", "vmWareUuid") if name in hints),
        *(card["macAddress"] for card in cards),
    }


def create_extended_server(backend: DrsBackend, params: Json) -> Json:
    """CreateExtendedSourceServer."""
    return {"sourceServer": shown(backend, extension.extend(backend, params))}


def delete_server(backend: DrsBackend, params: Json) -> Json:
    """DeleteSourceServer: an extended one at once, another one only when it is disconnected."""
    server = backend.server(params["sourceServerID"])
    if server.staged is None and server.state != "DISCONNECTED":
        raise ConflictException("The source server must be disconnected first")
    backend.remove_server(server)
    return {}


def disconnect_server(backend: DrsBackend, params: Json) -> Json:
    """DisconnectSourceServer."""
    server = backend.server(params["sourceServerID"])
    if server.staged is not None:
        raise ConflictException(f"{server.id} is extended: it replicates in its staging account")
    server.become("DISCONNECTED")
    return shown(backend, server)


def _known_arn(backend: DrsBackend, arn: str) -> str:
    if arn not in backend.tags:
        raise not_found("Resource", "Resource", arn)
    return arn


def list_tags(backend: DrsBackend, params: Json) -> Json:
    """ListTagsForResource."""
    return {"tags": dict(backend.tags[_known_arn(backend, params["resourceArn"])])}


def tag(backend: DrsBackend, params: Json) -> Json:
    """TagResource."""
    backend.tags[_known_arn(backend, params["resourceArn"])].update(params["tags"])
    return {}


def untag(backend: DrsBackend, params: Json) -> Json:
    """UntagResource."""
    tags = backend.tags[_known_arn(backend, params["resourceArn"])]
    for key in params["tagKeys"]:
        tags.pop(key, None)
    return {}
