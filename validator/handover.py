"""What a sizing hands over: values for `estate.auto.tfvars`, and a payload of `deploy` for each account."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from validator.model import Part, Unknown
from validator.sizing import PRIORITY, WAVE, Filled, Server, Sizing, wave_number

Json = dict[str, Any]


def values(sizing: Sizing, *, instances: bool = False) -> Json:
    """The values of `estate.auto.tfvars` that follow from a sizing, as `authoring.with_values` takes them.

    `volumes_per_server` is left out where the disks of a server are not known. With `instances`, those
    that run in the account that they replicate into are listed there, for Terraform to tag.
    """
    found: Json = {"headroom": sizing.wish.headroom, "point_in_time_days": sizing.wish.days}
    volumes = _volumes(sizing)
    if volumes is not None:
        found["volumes_per_server"] = volumes
    found["target"] = _account(sizing.accounts[0], instances)
    found["staging_accounts"] = {
        each.place.name: _account(each, instances) for each in sizing.accounts[1:]
    }
    if sizing.waves:
        found["recovery_waves"] = {each.name: each.servers for each in sizing.waves}
    return found


def payloads(
    sizing: Sizing, source_region: str, recovery_region: str
) -> tuple[dict[str, Json], tuple[str, ...]]:
    """The payload that deploys each account's new servers, by account name; and who is in none, and why."""
    target = sizing.accounts[0].place.id
    known = {each.place.id for each in sizing.accounts if each.place.id is not None}
    found: dict[str, Json] = {}
    left_out: Counter[str] = Counter()
    for filled in sizing.accounts:
        by_account: dict[str, list[str]] = {}
        for server in filled.servers:
            if server.id is None or server.placed is not None:
                continue
            if filled.place.id is None:
                left_out[f"{filled.place.name} is to be ordered first"] += 1
            elif server.account is None:
                left_out["the inventory does not say which account they run in"] += 1
            elif server.account not in known:
                left_out[f"they run in {server.account}, which is no account of the env"] += 1
            elif filled.place.part is Part.TARGET and server.account != target:
                left_out[f"they run in {server.account}, and go into the target"] += 1
            else:
                by_account.setdefault(server.account, []).append(server.id)
        if by_account:
            found[filled.place.name] = {
                "deployment_pattern": "combined",
                "deployments": [
                    _deployment(account, filled, target, source_region, recovery_region)
                    for account in sorted(by_account)
                ],
                "selectors": {
                    "instance_ids": sorted(id_ for ids in by_account.values() for id_ in ids)
                },
            }
    notes = tuple(
        f"{count} servers are in no payload of deploy: {why}."
        for why, count in sorted(left_out.items())
    )
    return found, notes


def _deployment(
    account: str, into: Filled, target: str | None, source_region: str, recovery_region: str
) -> Json:
    common = {
        "source_account_id": account,
        "source_region": source_region,
        "staging_account_id": into.place.id,
        "target_region": recovery_region,
    }
    if into.place.part is Part.TARGET:
        return {"deployment_pattern": "same-account", **common}
    return {
        "deployment_pattern": "extended-source-servers",
        "target_account_id": target,
        **common,
    }


def _account(filled: Filled, instances: bool) -> Json:
    found: Json = {"servers": len(filled.servers)}
    if instances:
        found["instances"] = dict(_instances(filled))
    return found


def _instances(filled: Filled) -> Iterator[tuple[str, Mapping[str, str]]]:
    for server in filled.servers:
        if server.id is not None and server.account == filled.place.id and _tagged(server):
            yield (
                server.id,
                {"priority": str(server.tag(PRIORITY)), "wave": str(server.tag(WAVE))},
            )


def _tagged(server: Server) -> bool:
    priority = server.tag(PRIORITY) or ""
    return bool(wave_number(server.tag(WAVE) or "")) and priority in set("123456789")


def _volumes(sizing: Sizing) -> int | None:
    servers = [server for each in sizing.accounts for server in each.servers]
    if not servers or any(isinstance(each.disks, Unknown) for each in servers):
        return None
    return -(-sum(each.volumes for each in servers) // len(servers))
