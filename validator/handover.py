"""What a sizing hands over: values for `estate.auto.tfvars`, and a payload of `deploy` for each account."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from validator.model import Part, Unknown
from validator.sizing import PRIORITY, WAVE, Filled, Server, Sizing, few, wave_number

Json = dict[str, Any]

ELSEWHERE = "they run in another account than they replicate into"
"""Why most servers of an inventory are not listed; nobody expects these to be."""


Listed = Mapping[str, Mapping[str, Mapping[str, str]]]
"""The instances that an env lists for Terraform to tag, by account name and instance id."""


def values(sizing: Sizing, listed: Listed | None = None) -> Json:
    """The values of `estate.auto.tfvars` that follow from a sizing, as `authoring.with_values` takes them.

    `volumes_per_server` is left out where the disks of a server are not known. With `listed`, instances
    that run in the account that they replicate into are listed there too, for Terraform to tag.
    """
    found: Json = {"headroom": sizing.wish.headroom, "point_in_time_days": sizing.wish.days}
    volumes = _volumes(sizing)
    if volumes is not None:
        found["volumes_per_server"] = volumes
    found["target"] = _account(sizing.accounts[0], listed)
    found["staging_accounts"] = {
        each.place.name: _account(each, listed) for each in sizing.accounts[1:]
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


def left_out(sizing: Sizing, listed: Listed) -> tuple[str, ...]:
    """Which instances `values` does not list with their tags, and why; all by id that could be listed."""
    found: dict[str, list[str]] = defaultdict(list)
    for filled in sizing.accounts:
        for server in filled.servers:
            why = _unlisted(server, filled, listed.get(filled.place.name, {}))
            if server.id is not None and why is not None:
                found[why].append(server.id)
    for each in sizing.misfits:
        if each.server.id is not None:
            found["they fit nowhere"].append(each.server.id)
    return tuple(
        f"{len(ids)} instances are not listed with tags of the inventory, since {why}: "
        f"{few(ids) if why == ELSEWHERE else ', '.join(ids)}."
        for why, ids in sorted(found.items())
    )


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


def _account(filled: Filled, listed: Listed | None) -> Json:
    found: Json = {"servers": len(filled.servers)}
    if listed is not None:
        found["instances"] = dict(_instances(filled, listed.get(filled.place.name, {})))
    return found


def _instances(
    filled: Filled, listed: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Those that are listed, then those that are to be; none that is listed goes."""
    yield from listed.items()
    for server in filled.servers:
        if server.id is not None and _unlisted(server, filled, listed) is None:
            yield (
                server.id,
                {"priority": str(server.tag(PRIORITY)), "wave": str(server.tag(WAVE))},
            )


def _unlisted(
    server: Server, filled: Filled, listed: Mapping[str, Mapping[str, str]]
) -> str | None:
    """Why a server is not listed in its account with its tags; None if it is."""
    if server.id not in listed:
        if server.account is None:
            return "the inventory does not say which account they run in"
        if server.account != filled.place.id:
            return ELSEWHERE
    if not _tagged(server):
        tags = f"{WAVE} such as wave-1 and {PRIORITY} from 1 to 9"
        kept = "; the env's are kept" if server.id in listed else ""
        return f"they do not have {tags}{kept}"
    return None


def _tagged(server: Server) -> bool:
    priority = server.tag(PRIORITY) or ""
    return bool(wave_number(server.tag(WAVE) or "")) and priority in set("123456789")


def _volumes(sizing: Sizing) -> int | None:
    servers = [server for each in sizing.accounts for server in each.servers]
    if not servers or any(isinstance(each.disks, Unknown) for each in servers):
        return None
    return -(-sum(each.volumes for each in servers) // len(servers))
