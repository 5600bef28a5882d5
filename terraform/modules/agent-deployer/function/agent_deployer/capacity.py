"""Capacity of an account, reserved before agents are sent, so that no two deployments pass its quota.

A reservation names its instance. Once that instance shows among the account's servers it is counted
there and not twice. The reservations are read before the servers: one that is released in between was
in sight of DRS already.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from agent_deployer import servers
from agent_deployer.aws import Aws, Json
from agent_deployer.errors import CallError, TransientError
from agent_deployer.records import Records
from agent_deployer.settings import Settings

RESERVED_SECONDS = 7200
"""How long a reservation holds: longer than a command can be delivered and run."""

_REPLICATING, _TOTAL = "L-C1D14A2B", "L-E28BE5E0"
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """Room in an account: `free` more servers may replicate into it, of `quota`.

    `reserved` has the deployment that holds each instance, `failed` those that failed before, each
    with the reason.
    """

    free: int
    quota: int
    reserved: dict[str, str]
    failed: dict[str, str]
    account: servers.Account


def standing(aws: Aws, records: Records, settings: Settings, account_id: str) -> Standing:
    """The room in an account as it is now."""
    record = records.get(_key(account_id, settings), "capacity") or {}
    return _standing(aws, record, settings, account_id)


def reserve(
    aws: Aws,
    records: Records,
    settings: Settings,
    account_id: str,
    deployment_id: str,
    instance_ids: Sequence[str],
) -> dict[str, tuple[str, str]]:
    """Reserves room for as many of the instances as there is, in their order.

    What the deployment had reserved already it keeps, for the full time again. Returns the others,
    each with the name and the detail of its refusal.
    """
    for tries in range(_TRIES):
        key = _key(account_id, settings)
        record = records.get(key, "capacity") or {"id": key, "part": "capacity"}
        held = _valid(record)
        own = {
            each
            for each in instance_ids
            if each in held and held[each]["deployment"] == deployment_id
        }
        now = _standing(aws, record, settings, account_id, own)
        entry = {"deployment": deployment_id, "until": int(time.time()) + RESERVED_SECONDS}
        free, granted, refused = now.free, {}, {}
        for instance_id in instance_ids:
            known = now.account.servers.get(instance_id)
            counted = known is not None and known.replicating
            if instance_id in now.reserved:
                refused[instance_id] = ("in-another-deployment", now.reserved[instance_id])
            elif counted or free > 0:
                granted[instance_id] = entry
                free -= not counted
            else:
                refused[instance_id] = ("no-capacity", no_room(account_id, now))
        record["reserved"] = _valid(record) | granted
        if records.put(record):
            return refused
        time.sleep(0.02 * tries)
    raise TransientError(
        f"Account {account_id}: others kept changing its reservations.", "Contention"
    )


def release(
    records: Records,
    settings: Settings,
    account_id: str,
    deployment_id: str,
    done: Iterable[str],
    failed: dict[str, str],
) -> None:
    """Ends the reservations of instances that are done, and remembers those that failed, and why."""
    done = set(done)
    if not done and not failed:
        return
    for tries in range(_TRIES):
        record = records.get(_key(account_id, settings), "capacity")
        if record is None:
            return
        reserved = {
            instance_id: entry
            for instance_id, entry in _valid(record).items()
            if instance_id not in done or entry["deployment"] != deployment_id
        }
        remembered = {k: v for k, v in record.get("failed", {}).items() if k not in done}
        new = {
            **record,
            "reserved": reserved,
            "failed": dict([*remembered.items(), *_short(failed)][-_REMEMBERED:]),
        }
        if new == record or records.put(new):
            return
        time.sleep(0.02 * tries)
    raise TransientError(
        f"Account {account_id}: others kept changing its reservations.", "Contention"
    )


def no_room(account_id: str, now: Standing) -> str:
    """Why an account takes no more, in numbers."""
    return (
        f"account {account_id} has a quota of {now.quota} replicating servers, of which "
        f"{now.account.replicating} replicate"
        + (f" and {len(now.reserved)} are about to" if now.reserved else "")
    )


_REMEMBERED = 1000
"""Failed instances that an account's record holds at most: those that failed last."""

_LONGEST_REASON = 200
"""Bytes of a reason there: DynamoDB takes 400 KB in one item. The whole of it is in the deployment's."""


def _short(failed: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The instances that failed, each with as much of its reason as the record has room for."""
    for instance_id, reason in failed.items():
        yield instance_id, reason.encode()[:_LONGEST_REASON].decode(errors="ignore")


def _key(account_id: str, settings: Settings) -> str:
    return f"account#{account_id}#{settings.recovery_region}"


def _valid(record: Json) -> Json:
    """The reservations that hold; those of dead executions have run out."""
    now = int(time.time())
    return {k: v for k, v in record.get("reserved", {}).items() if v["until"] > now}


def _standing(
    aws: Aws, record: Json, settings: Settings, account_id: str, without: Collection[str] = ()
) -> Standing:
    reserved = {
        instance_id: str(entry["deployment"])
        for instance_id, entry in _valid(record).items()
        if instance_id not in without
    }
    account = servers.read(aws, account_id, settings.recovery_region)
    coming = sum(
        not ((known := account.servers.get(each)) and known.replicating) for each in reserved
    )
    place = ("service-quotas", account_id, settings.recovery_region)
    quota, total = _quota(aws, place, _REPLICATING), _quota(aws, place, _TOTAL)
    free = min(quota - account.replicating, total - account.total) - coming
    return Standing(max(0, free), quota, reserved, dict(record.get("failed", {})), account)


def _quota(aws: Aws, place: tuple[str, str, str], code: str) -> int:
    """A quota of DRS as applied to the account, else AWS's default."""
    asked = {"ServiceCode": "drs", "QuotaCode": code}
    try:
        answer = aws.call(place, "get_service_quota", **asked)
    except CallError as error:
        if error.code != "NoSuchResourceException":
            raise
        answer = aws.call(place, "get_aws_default_service_quota", **asked)
    value = answer.get("Quota", {}).get("Value")
    if not isinstance(value, (int, float)):
        raise CallError(f"Account {place[1]}: Service Quotas gave no value for {code}.", "NoValue")
    return int(value)
