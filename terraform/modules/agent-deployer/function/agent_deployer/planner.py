"""Plans a deployment: who gets an agent, in which wave and with which command, and who does not.

Planning reads and sends nothing. It is the same for the function and for `validator deploy`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agent_deployer import capacity, fleet, servers
from agent_deployer.aws import Aws, Json
from agent_deployer.errors import RequestError
from agent_deployer.fleet import Instance
from agent_deployer.records import Records
from agent_deployer.request import Part, Request
from agent_deployer.settings import SAME_ACCOUNT_DOCUMENT, Settings

LARGEST_BATCH = 50
"""Instance ids that SSM takes in one command."""

_REFUSED_IN_RECORD = 400
_TAGS_OF_SERVER = ("dr:enabled", fleet.WAVE, fleet.PRIORITY)
"""Tags of an instance that its source server gets: recovery goes by them, and DRS copies none."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Batches in the order in which they are sent, and what is refused, by instance id.

    A batch is a record without id and part. A refusal has the instance's account, its name, a detail
    and a status: `already` for what replicates, else `refused`.
    """

    batches: tuple[Json, ...]
    refused: dict[str, Json]


def plan(aws: Aws, records: Records, settings: Settings, request: Request) -> Plan:
    """The plan of a request as everything stands now; raises CallError, RequestError."""
    into = {part.into_account_id for part in request.parts}
    standings = {each: capacity.standing(aws, records, settings, each) for each in into}
    others = {
        each: servers.read(aws, each, settings.recovery_region)
        for each in settings.external_ids
        if each not in into
    }
    accounts = others | {each: standing.account for each, standing in standings.items()}
    batches: list[Json] = []
    refused: dict[str, Json] = {}
    missing: dict[str, Json] = {}
    for part in request.parts:
        elsewhere = {k: v for k, v in accounts.items() if k != part.into_account_id}
        standing = standings[part.into_account_id]
        found = fleet.preflight(aws, part, request, settings, standing, elsewhere)
        batches += _batches(part, found.accepted, settings)
        for instance_id, (name, detail) in found.refused.items():
            # What one account lacks, another may have.
            kept = missing if name == "not-found" else refused
            kept[instance_id] = {
                "account": part.source_account_id,
                "detail": detail,
                "refusal": name,
                "status": "already" if name == fleet.ALREADY else "refused",
            }
    known = {each for batch in batches for each in batch["instances"]} | set(refused)
    asked = " or ".join(part.source_account_id for part in request.parts)
    where = f"in account {asked}, with the tags and in the waves selected"
    refused |= {k: {**v, "detail": where} for k, v in missing.items() if k not in known}
    if not known and not missing:
        raise RequestError(
            f"No instance of {asked} is tagged "
            f"{fleet.ENABLED} = true and selected: there is nothing to deploy onto."
        )
    batches.sort(key=lambda batch: fleet.wave_number(batch["wave"]))
    return Plan(tuple(batches), refused)


def _batches(part: Part, instances: Iterable[Instance], settings: Settings) -> Iterator[Json]:
    """Instances of one wave and with the same tags, in commands of as many as SSM takes."""
    groups: dict[tuple[str, str], list[Instance]] = {}
    for instance in instances:
        groups.setdefault((instance.wave, _server_tags(instance)), []).append(instance)
    cross = part.source_account_id != part.into_account_id
    for (wave, tags), members in groups.items():
        parameters = {"Region": [settings.recovery_region], "Tags": [tags]}
        if cross:
            spaced = tags.replace(",", " ")
            parameters |= {"AccountId": [part.into_account_id], "Tags": [spaced]}
        for start in range(0, len(members), LARGEST_BATCH):
            yield {
                "account": part.source_account_id,
                "region": part.source_region,
                "into": part.into_account_id,
                "wave": wave,
                "document": settings.cross_account_document if cross else SAME_ACCOUNT_DOCUMENT,
                "parameters": parameters,
                "status": "planned",
                "instances": {
                    each.id: {"status": "planned"}
                    for each in members[start : start + LARGEST_BATCH]
                },
            }


def _server_tags(instance: Instance) -> str:
    return ",".join(f"{key}={instance.tags[key]}" for key in _TAGS_OF_SERVER)


def refused_records(refused: dict[str, Json]) -> Iterator[Json]:
    """The records of refused instances, each of a size that the table takes."""
    ids = sorted(refused)
    for number, start in enumerate(range(0, len(ids), _REFUSED_IN_RECORD), 1):
        some = {each: refused[each] for each in ids[start : start + _REFUSED_IN_RECORD]}
        yield {"part": f"refused#{number:04d}", "instances": some}
