"""Source servers of an account as DRS knows them, by the instance that their agent runs on."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent_deployer.aws import Aws, Json
from agent_deployer.errors import CallError

_PAGE = {"PageSize": 200}
_UNPROTECTED = {"DISCONNECTED", "STOPPED"}
_SYNCHRONISING = {"BACKLOG", "CONTINUOUS", "CREATING_SNAPSHOT", "INITIAL_SYNC", "RESCAN"}


@dataclass(frozen=True, slots=True)
class Server:
    """One source server. `error` is the initiation step that failed, with DRS's error, or empty."""

    id: str
    instance_id: str
    state: str
    replicating: bool
    error: str

    @property
    def synchronising(self) -> bool:
        """True once its first synchronisation has begun."""
        return self.replicating and self.state in _SYNCHRONISING


@dataclass(frozen=True, slots=True)
class Account:
    """DRS of one account: its servers by instance id, and how many servers there are.

    `replicating` and `total` count all servers, also those that are no EC2 instances.
    `initialised` is false where DRS was never initialised.
    """

    servers: Mapping[str, Server]
    replicating: int = 0
    total: int = 0
    initialised: bool = True


def read(aws: Aws, account_id: str, region: str) -> Account:
    """DRS of an account as it is now; raises CallError for every refusal but "not initialised"."""
    servers: dict[str, Server] = {}
    replicating = total = 0
    place = ("drs", account_id, region)
    try:
        for item in aws.pages(
            place, "describe_source_servers", "items", filters={}, PaginationConfig=_PAGE
        ):
            total += 1
            server = _server(item)
            replicating += server.replicating
            known = servers.get(server.instance_id)
            # A disconnected leftover does not hide the server that replicates.
            if server.instance_id and (known is None or not known.replicating):
                servers[server.instance_id] = server
    except CallError as error:
        if error.code == "UninitializedAccountException":
            return Account({}, initialised=False)
        raise
    return Account(servers, replicating, total)


def _server(item: Json) -> Server:
    info = item.get("dataReplicationInfo") or {}
    hints = (item.get("sourceProperties") or {}).get("identificationHints") or {}
    area = item.get("stagingArea") or {}
    state = str(info.get("dataReplicationState") or "")
    steps = (info.get("dataReplicationInitiation") or {}).get("steps") or ()
    failed = [step.get("name") for step in steps if step.get("status") == "FAILED"]
    said = (info.get("dataReplicationError") or {}).get("error")
    extended = area.get("status") in {"EXTENDED", "EXTENSION_ERROR"}
    return Server(
        id=str(item["sourceServerID"]),
        # An extension is of another account's instance: it does not replicate here.
        instance_id="" if extended else str(hints.get("awsInstanceID") or ""),
        state=state,
        replicating=not extended and state not in _UNPROTECTED,
        error=f"initiation step {failed[0]} failed ({said or 'no error told'})" if failed else "",
    )
