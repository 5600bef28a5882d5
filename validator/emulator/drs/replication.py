"""What a source server reports of its replication in each state: lag, disks, steps and points in time."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from validator.emulator.drs.exceptions import invalid_field
from validator.emulator.drs.fleet import hex17

STATES = (
    "STOPPED",
    "INITIATING",
    "INITIAL_SYNC",
    "BACKLOG",
    "CREATING_SNAPSHOT",
    "CONTINUOUS",
    "PAUSED",
    "RESCAN",
    "STALLED",
    "DISCONNECTED",
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
ERRORS = (
    "AGENT_NOT_SEEN",
    "SNAPSHOTS_FAILURE",
    "NOT_CONVERGING",
    "UNSTABLE_NETWORK",
    *(f"FAILED_TO_{step}" for step in STEPS[1:]),
)
NOT_REPLICATING = frozenset({"STOPPED", "DISCONNECTED"})
UNSYNCED = frozenset({"INITIATING", "INITIAL_SYNC"})

# Percent of each disk that is replicated, rescanned and waiting.
_PROGRESS = {
    "INITIATING": (0, 0, 0),
    "INITIAL_SYNC": (40, 0, 60),
    "BACKLOG": (100, 0, 5),
    "RESCAN": (100, 50, 0),
    "PAUSED": (100, 0, 2),
    "STALLED": (100, 0, 10),
}
_LAG = {
    "CONTINUOUS": "PT0S",
    "CREATING_SNAPSHOT": "PT0S",
    "BACKLOG": "PT12M",
    "RESCAN": "PT5M",
    "PAUSED": "PT1H",
    "STALLED": "PT3H",
}
_DURATION = re.compile(r"P(?=.)(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")
_INTERVAL = {"MINUTE": timedelta(minutes=10), "HOUR": timedelta(hours=1), "DAY": timedelta(days=1)}
_POINTS_KEPT = {"MINUTE": 6, "HOUR": 24}


def checked_state(state: str) -> str:
    """The state, if DRS has it; raises `Validation` otherwise."""
    if state not in STATES:
        raise invalid_field("dataReplicationState", f"{state!r} is not one of {', '.join(STATES)}")
    return state


def checked_error(error: str) -> str:
    """The replication error, if DRS has it; raises `Validation` otherwise."""
    if error not in ERRORS:
        raise invalid_field("dataReplicationError", f"{error!r} is not one of {', '.join(ERRORS)}")
    return error


def checked_lag(lag: str | int | float) -> str:
    """The lag as an ISO 8601 duration, from one or from seconds; raises `Validation` otherwise."""
    if isinstance(lag, int | float) and not isinstance(lag, bool) and 0 <= lag < 10**9:
        return f"PT{int(lag)}S"
    if isinstance(lag, str) and len(lag) <= 64 and _DURATION.fullmatch(lag):
        return lag
    raise invalid_field("lagDuration", f"{str(lag)[:64]!r} is not a duration like PT10M")


def stamp(moment: datetime) -> str:
    """The moment as DRS writes it, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def information(
    state: str,
    *,
    error: str | None,
    lag: str | None,
    disks: list[dict[str, Any]],
    started: datetime,
    zone: str,
    now: datetime,
) -> dict[str, Any]:
    """The `dataReplicationInfo` of a server in this state."""
    replicated, rescanned, waiting = _PROGRESS.get(state, (100, 0, 0))
    if state == "DISCONNECTED":
        replicated = 0
    result: dict[str, Any] = {
        "dataReplicationState": state,
        "replicatedDisks": [
            {
                "deviceName": disk["deviceName"],
                "totalStorageBytes": 0 if state == "DISCONNECTED" else disk["bytes"],
                "replicatedStorageBytes": disk["bytes"] * replicated // 100,
                "rescannedStorageBytes": disk["bytes"] * rescanned // 100,
                "backloggedStorageBytes": disk["bytes"] * waiting // 100,
                "volumeStatus": "REGULAR",
            }
            for disk in disks
        ],
        "stagingAvailabilityZone": zone,
    }
    lag = lag or _LAG.get(state)
    if lag is not None and state not in NOT_REPLICATING:
        result["lagDuration"] = lag
    if state in ("INITIAL_SYNC", "BACKLOG", "RESCAN"):
        result["etaDateTime"] = stamp(now + timedelta(hours=2))
    if state not in NOT_REPLICATING:
        result["dataReplicationInitiation"] = {
            "startDateTime": stamp(started),
            "steps": _steps(state, error),
        }
    if error is not None:
        result["dataReplicationError"] = {"error": error}
    return result


def points(
    server_id: str, rules: list[dict[str, Any]], since: datetime, until: datetime
) -> Iterator[datetime]:
    """The points in time that the rules keep of a server that replicated all the while, oldest first."""
    moments: set[datetime] = set()
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for rule in rules:
        if rule.get("enabled") is False:
            continue
        step = _INTERVAL[rule["units"]]
        kept = _POINTS_KEPT.get(rule["units"], rule["retentionDuration"])
        last = epoch + (until - epoch) // step * step
        moments.update(last - step * back for back in range(kept))
    yield from sorted(moment for moment in moments if moment >= since)


def recovery_snapshot(server_id: str, moment: datetime, disks: int) -> dict[str, Any]:
    """The `RecoverySnapshot` of one point in time."""
    return {
        "snapshotID": f"pit-{hex17(server_id, moment)}",
        "sourceServerID": server_id,
        "expectedTimestamp": stamp(moment),
        "timestamp": stamp(moment),
        "ebsSnapshots": [f"snap-{hex17(server_id, moment, disk)}" for disk in range(disks)],
    }


def _steps(state: str, error: str | None) -> list[dict[str, str]]:
    failed = (error or "").removeprefix("FAILED_TO_")
    if failed in STEPS:
        reached, word = STEPS.index(failed), "FAILED"
    elif state == "INITIATING":
        reached, word = STEPS.index("LAUNCH_REPLICATION_SERVER"), "IN_PROGRESS"
    else:
        reached, word = len(STEPS), "SUCCEEDED"
    statuses = ["SUCCEEDED"] * reached + [word] + ["NOT_STARTED"] * len(STEPS)
    return [{"name": name, "status": status} for name, status in zip(STEPS, statuses, strict=False)]
