"""The table of deployments: what was asked, what was sent, what became of it, and reserved capacity.

Partition key `id`, sort key `part`:

    deployment#<id>        deployment              the request, its status, who works on it
    deployment#<id>        round#001#batch#0001    up to 50 instances of one command, and their states
    deployment#<id>        round#001#refused#0001  instances that were not sent, and why
    account#<id>#<Region>  capacity                instances that are about to replicate into it

Every record has a `version`, and each write names the one that it has read: two writers never both win.
"""

import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from agent_deployer.aws import Aws
from agent_deployer.errors import BusyError, CallError, DeployerError, TransientError
from agent_deployer.settings import Settings

Json = dict[str, Any]

KEPT_SECONDS = 90 * 86400
"""How long the records of a deployment stay after its end."""

_WRITTEN_AT_ONCE = 25
_LOST = "ConditionalCheckFailedException"


class Records:
    """The table, as the deployer reads and writes it."""

    def __init__(self, aws: Aws, settings: Settings) -> None:
        self._aws = aws
        self._place = ("dynamodb", settings.account_id, settings.recovery_region)
        self._table = settings.table

    def get(self, id_: str, part: str) -> Json | None:
        """One record as it is now, None if there is none."""
        answer = self._aws.call(
            self._place,
            "get_item",
            TableName=self._table,
            Key=_packed({"id": id_, "part": part}),
            ConsistentRead=True,
        )
        return _unpacked(answer["Item"]) if answer.get("Item") else None

    def put(self, record: Json) -> bool:
        """Writes a record, raised by one version; False if somebody else has written it since.

        A record without a version must not be there yet. On success `record` has its new version.
        """
        version = record.get("version")
        condition: Json = {"ConditionExpression": "attribute_not_exists(id)"}
        if version is not None:
            condition = {
                "ConditionExpression": "version = :version",
                "ExpressionAttributeValues": _packed({":version": version}),
            }
        new = {**record, "version": (version or 0) + 1}
        try:
            self._aws.call(
                self._place, "put_item", TableName=self._table, Item=_packed(new), **condition
            )
        except CallError as error:
            if error.code == _LOST:
                return False
            raise
        record["version"] = new["version"]
        return True

    def put_all(self, records: Iterable[Json]) -> None:
        """Writes records that nobody else can be writing, over what is there."""
        waiting = [
            {"PutRequest": {"Item": _packed({**record, "version": record.get("version", 0) + 1})}}
            for record in records
        ]
        tries = 0
        while waiting:
            now, waiting = waiting[:_WRITTEN_AT_ONCE], waiting[_WRITTEN_AT_ONCE:]
            answer = self._aws.call(
                self._place, "batch_write_item", RequestItems={self._table: now}
            )
            left = answer.get("UnprocessedItems", {}).get(self._table, [])
            waiting += left
            tries = tries + 1 if left else 0
            if tries > 8:
                raise TransientError(
                    f"Table {self._table}: {len(left)} records were not taken.", "UnprocessedItems"
                )
            if left:
                time.sleep(0.05 * 2**tries)

    def parts(self, id_: str) -> dict[str, Json]:
        """Every record under a partition key, by its sort key."""
        found = self._aws.pages(
            self._place,
            "query",
            "Items",
            TableName=self._table,
            KeyConditionExpression="id = :id",
            ExpressionAttributeValues=_packed({":id": id_}),
            ConsistentRead=True,
        )
        return {record["part"]: record for record in map(_unpacked, found)}

    def take(self, deployment: Json, owner: str, seconds: float) -> None:
        """Makes `owner` the one who works on a deployment for so long; raises BusyError, TransientError.

        Who works on it already may take it again.
        """
        now = int(time.time())
        holder, until = deployment.get("owner"), deployment.get("owned_until", 0)
        if holder not in {None, owner} and until > now:
            raise BusyError(
                f"Deployment {name(deployment)} is worked on by {holder}, for {until - now} s at least."
            )
        deployment |= {"owner": owner, "owned_until": now + int(seconds)}
        if not self.put(deployment):
            # Who begins to work on it, or cancels it: another look tells.
            raise TransientError(f"{name(deployment)}: somebody has just changed it.", "Contention")


def name(deployment: Json) -> str:
    """The id of a deployment, as people write it."""
    return str(deployment["id"]).removeprefix("deployment#")


def deployment_key(deployment_id: str) -> str:
    """The partition key of a deployment."""
    return f"deployment#{deployment_id}"


def _packed(record: Json) -> Json:
    serialize = TypeSerializer().serialize
    return {key: serialize(value) for key, value in record.items()}


def _unpacked(item: Json) -> Json:
    deserialize = TypeDeserializer().deserialize
    found: Json = _plain({key: deserialize(value) for key, value in item.items()})
    if not isinstance(found.get("version"), int):
        raise DeployerError(f"A record of the table is not whole: {sorted(found)}.")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
