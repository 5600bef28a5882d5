"""Points in time, recovery jobs and recovery instances.

A job ends by itself, some seconds after it was started; what it did is worked out when DRS of the
account is next asked for anything.
"""

import hashlib
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from operator import itemgetter

from validator.emulator.drs import extension
from validator.emulator.drs.exceptions import (
    AccessDeniedException,
    ConflictException,
    ValidationException,
)
from validator.emulator.drs.models import (
    JOBS,
    SERVERS_IN_JOB,
    SERVERS_IN_JOBS,
    UNPROTECTED,
    DrsBackend,
    Job,
    Json,
    Server,
    delays,
    drs_backends,
    now,
    page,
    quota_exceeded,
    text,
)

_UNITS = {"MINUTE": 60, "HOUR": 3600, "DAY": 86400}


def points(server: Server) -> list[datetime]:
    """The moments that a replicating server can be recovered to, oldest first.

    None older than the end of its initial sync, none newer than its lag or its last sign of life.
    """
    server.settle()
    if server.synced is None:
        return []
    newest = server.seen if server.state == "DISCONNECTED" and server.seen else now()
    if isinstance(server.lag, int | float):
        newest -= timedelta(seconds=server.lag)
    found = set()
    for rule in server.replication.get("pitPolicy", []):
        if not rule.get("enabled", True):
            continue
        unit = _UNITS[rule["units"]]
        step = unit * rule["interval"]
        oldest = max(server.synced, newest - timedelta(seconds=unit * rule["retentionDuration"]))
        last = int(newest.timestamp()) // step * step
        found |= set(range(last, int(oldest.timestamp()) - 1, -step))
    if server.synced <= newest < server.synced + timedelta(hours=1):
        found.add(int(server.synced.timestamp()))  # the first point stands as soon as it can
    return [datetime.fromtimestamp(each, UTC) for each in sorted(found)]


def _hex(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:17]


def _replicating(backend: DrsBackend, server: Server) -> Server:
    """The server that takes the points in time: of an extended one, its staging server."""
    if server.staged is None:
        return server
    staging = drs_backends[server.staging_account][backend.region_name]
    if staging.servers.get(server.staged.id) is not server.staged:
        raise AccessDeniedException("The staging source server was not found.")
    refused = extension.trust_problem(backend, staging)
    if refused is not None:
        raise AccessDeniedException(refused)
    return server.staged


def describe_snapshots(backend: DrsBackend, params: Json) -> Json:
    """DescribeRecoverySnapshots; of an extended server, as its staging account has them."""
    if params["sourceServerID"] not in backend.servers:
        raise ValidationException(f"Source server {params['sourceServerID']} not found")
    server = backend.server(params["sourceServerID"])
    source = _replicating(backend, server)
    filters = params.get("filters") or {}
    moments = [
        moment
        for moment in map(text, points(source))
        if filters.get("fromDateTime", "") <= moment <= filters.get("toDateTime", "9")
    ]
    descending = params.get("order") == "DESC"
    if descending:
        moments.reverse()
    chosen, more = page(moments, params, str, descending=descending)
    items = [
        {
            "ebsSnapshots": [
                f"snap-{_hex(source.id, moment, disk['deviceName'])}"
                for disk in source.properties["disks"]
            ],
            "expectedTimestamp": moment,
            "snapshotID": f"pit-{_hex(source.id, moment)}",
            "sourceServerID": server.id,
            "timestamp": moment,
        }
        for moment in chosen
    ]
    return {"items": items, **more}


def start_recovery(backend: DrsBackend, params: Json) -> Json:
    """StartRecovery: one job for all the servers named, a drill or a recovery."""
    wanted = {each["sourceServerID"]: each for each in params["sourceServers"]}
    if not wanted or len(wanted) != len(params["sourceServers"]):
        raise ConflictException("Name at least one source server, and each of them once")
    running = _running(backend)
    busy = {each for job in running for each in _servers(job)}
    if len(wanted) > (most := backend.quota(SERVERS_IN_JOB)):
        raise quota_exceeded(SERVERS_IN_JOB, most)
    if len(running) >= (most := backend.quota(JOBS)):
        raise quota_exceeded(JOBS, most)
    if len(busy) + len(wanted) > (most := backend.quota(SERVERS_IN_JOBS)):
        raise quota_exceeded(SERVERS_IN_JOBS, most)
    if missing := sorted(set(wanted) - set(backend.servers)):
        raise ConflictException(f"No such source servers: {', '.join(missing)}")
    chosen = [backend.server(identifier) for identifier in wanted]
    if busy & set(wanted):
        raise ConflictException(
            "One or more of the Source Servers included in API call are currently being processed "
            f"by a Job: {', '.join(sorted(busy & set(wanted)))}"
        )
    moments = {s.id: _recovered_to(s, wanted[s.id].get("recoverySnapshotID")) for s in chosen}
    kind = "DRILL" if params.get("isDrill") else "RECOVERY"
    identifier = backend.new_id("drsjob")
    item: Json = {
        "arn": backend.arn("job", identifier),
        "creationDateTime": text(now()),
        "initiatedBy": f"START_{kind}",
        "jobID": identifier,
        "participatingServers": [
            {"launchStatus": "PENDING", "sourceServerID": each} for each in wanted
        ],
        "status": "PENDING",
        "type": "LAUNCH",
    }
    job = Job(item, time.monotonic(), delays["job"], moments)
    _note(job, "JOB_START")
    backend.jobs = dict(sorted([*backend.jobs.items(), (identifier, job)]))
    backend.tags[item["arn"]] = dict(params.get("tags") or {})
    for server in chosen:
        server.last_launch_result = "PENDING"
        server.last_launch = {
            "initiated": {
                "apiCallDateTime": item["creationDateTime"],
                "jobID": identifier,
                "type": kind,
            },
            "status": "PENDING",
        }
    return {"job": backend.tagged(item)}


def _recovered_to(server: Server, pinned: str | None) -> str:
    """The moment that a server would be recovered to; raises ConflictException if there is none."""
    source = server.staged or server
    moments = points(source)
    reason = None
    if source.state in UNPROTECTED:
        reason = f"is {source.state}"
    elif not moments:
        reason = f"has no consistent point in time (it is {source.state})"
    elif source.volume_status == "PENDING" or source.volume_status.startswith("MISSING"):
        reason = f"has volumes that are {source.volume_status}"
    if reason is not None:
        raise ConflictException(f"Source server {server.id} cannot be recovered: it {reason}")
    if pinned is None:
        return text(moments[-1])
    for moment in map(text, moments):
        if pinned == f"pit-{_hex(source.id, moment)}":
            return moment
    raise ConflictException(f"Source server {server.id} has no recovery snapshot {pinned}")


def _running(backend: DrsBackend) -> list[Job]:
    return [job for job in backend.jobs.values() if job.item["status"] != "COMPLETED"]


def _servers(job: Job) -> list[str]:
    return [each["sourceServerID"] for each in job.item["participatingServers"]]


def _note(job: Job, event: str, **data: str) -> None:
    job.log.append(
        {"event": event, "eventData": data, "logDateTime": text(now())}
        if data
        else {"event": event, "logDateTime": text(now())}
    )


def settle(backend: DrsBackend) -> None:
    """Brings the jobs of an account to where they are by now."""
    for job in _running(backend):
        passed = time.monotonic() - job.began
        if job.item["status"] == "PENDING" and passed >= job.seconds / 4:
            job.item["status"] = "STARTED"
            for each in job.item["participatingServers"]:
                each["launchStatus"] = "IN_PROGRESS"
            _remember(backend, job, _servers(job), "IN_PROGRESS")
        if passed >= job.seconds:
            _launch(backend, job)
            job.item["status"] = "COMPLETED"
            job.item["endDateTime"] = text(now())
            _note(job, "JOB_END")


def _remember(backend: DrsBackend, job: Job, servers: Iterable[str], status: str) -> None:
    """Writes into the servers how their last launch goes on, if this job is their last launch."""
    for identifier in servers:
        server = backend.servers.get(identifier)
        if server is None or server.last_launch is None:
            continue
        if server.last_launch["initiated"]["jobID"] == job.item["jobID"]:
            server.last_launch = server.last_launch | {"status": status}


def _launch(backend: DrsBackend, job: Job) -> None:
    known: extension.Problems = {}
    for participant in job.item["participatingServers"]:
        identifier = participant["sourceServerID"]
        server = backend.servers.get(identifier)
        problem = "The source server was deleted." if server is None else None
        if server is not None and server.staged is not None:
            problem = extension.problem(backend, server, known)
        _note(job, "USING_PREVIOUS_SNAPSHOT", sourceServerID=identifier)
        if server is None or problem is not None:
            participant["launchStatus"] = "FAILED"
            _note(job, "SNAPSHOT_FAIL", sourceServerID=identifier, rawError=problem or "")
            _note(job, "LAUNCH_FAILED", sourceServerID=identifier, rawError=problem or "")
            _remember(backend, job, [identifier], "FAILED")
            if server is not None:
                server.last_launch_result = "FAILED"
            continue
        for event in ("CONVERSION_START", "CONVERSION_END", "LAUNCH_START"):
            _note(job, event, sourceServerID=identifier)
        instance = _recovery_instance(backend, job, server)
        participant |= {
            "launchStatus": "LAUNCHED",
            "recoveryInstanceID": instance["recoveryInstanceID"],
        }
        server.recovery_instance = instance["recoveryInstanceID"]
        server.last_launch_result = "SUCCEEDED"
        _remember(backend, job, [identifier], "LAUNCHED")


def _recovery_instance(backend: DrsBackend, job: Job, server: Server) -> Json:
    identifier = backend.new_id("i")
    hints = server.properties["identificationHints"]
    item: Json = {
        "agentVersion": (server.staged or server).agent_version,
        "arn": backend.arn("recovery-instance", identifier),
        "dataReplicationInfo": {"dataReplicationState": "NOT_STARTED"},
        "ec2InstanceID": identifier,
        "ec2InstanceState": "RUNNING",
        "failback": {"failbackToOriginalServer": False, "state": "FAILBACK_NOT_STARTED"},
        "isDrill": job.item["initiatedBy"] == "START_DRILL",
        "jobID": job.item["jobID"],
        "originAvailabilityZone": server.origin[2],
        "originEnvironment": "AWS",
        "pointInTimeSnapshotDateTime": job.points[server.id],
        "recoveryInstanceID": identifier,
        "recoveryInstanceProperties": {
            "cpus": server.properties["cpus"],
            "identificationHints": {"awsInstanceID": identifier, "hostname": hints["hostname"]},
            "lastUpdatedDateTime": text(now()),
            "os": server.properties["os"],
            "ramBytes": server.properties["ramBytes"],
        },
        "sourceServerID": server.id,
    }
    copied = backend.tags.get(server.arn, {}) if server.launch.get("copyTags") else {}
    backend.tags[item["arn"]] = dict(copied)
    backend.recovery_instances[identifier] = item
    backend.recovery_instances = dict(sorted(backend.recovery_instances.items()))
    return item


def describe_jobs(backend: DrsBackend, params: Json) -> Json:
    """DescribeJobs."""
    filters = params.get("filters") or {}
    items = [
        backend.tagged(job.item)
        for identifier, job in backend.jobs.items()
        if identifier in (filters.get("jobIDs") or backend.jobs)
        and filters.get("fromDate", "") <= job.item["creationDateTime"]
        and job.item["creationDateTime"] <= filters.get("toDate", "9")
    ]
    shown, more = page(items, params, itemgetter("jobID"))
    return {"items": shown, **more}


def describe_job_log(backend: DrsBackend, params: Json) -> Json:
    """DescribeJobLogItems, oldest first."""
    job = backend.jobs.get(params["jobID"])
    if job is None:
        raise ValidationException(f"Job {params['jobID']} not found")
    numbered = [(f"{number:09d}", item) for number, item in enumerate(job.log)]
    shown, more = page(numbered, params, itemgetter(0))
    return {"items": [item for _, item in shown], **more}


def describe_instances(backend: DrsBackend, params: Json) -> Json:
    """DescribeRecoveryInstances."""
    filters = params.get("filters") or {}
    ids, servers = filters.get("recoveryInstanceIDs"), filters.get("sourceServerIDs")
    items = [
        backend.tagged(item)
        for item in backend.recovery_instances.values()
        if (not ids or item["recoveryInstanceID"] in ids)
        and (not servers or item["sourceServerID"] in servers)
    ]
    shown, more = page(items, params, itemgetter("recoveryInstanceID"))
    return {"items": shown, **more}
