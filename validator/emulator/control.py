"""The control door: what people and tests do to the embedded AWS that no API of AWS does."""

from collections.abc import Callable
from typing import Any

from validator.emulator import agents, functions, instances, moto_patches
from validator.emulator.calls import Json, Tally
from validator.emulator.copies import Copies
from validator.emulator.drs import door, drs_backends, models
from validator.emulator.drs.models import DrsBackend
from validator.emulator.enforcement import Enforcement
from validator.emulator.faults import Faults


class Control:
    """The doors, by method and path."""

    def __init__(
        self,
        identity: str,
        faults: Faults,
        enforcement: Enforcement,
        tally: Tally,
        copies: Copies,
    ) -> None:
        self._doors: dict[tuple[str, str], Callable[[Json], Json]] = {
            ("DELETE", "calls"): lambda _: tally.clear(),
            ("DELETE", "faults"): lambda _: _clear(faults),
            ("DELETE", "fork"): lambda body: copies.end(body["id"]),
            ("GET", "calls"): lambda _: tally.counts(),
            ("GET", "health"): lambda _: {"id": identity, "status": "ok"},
            ("POST", "delays"): _delays,
            ("POST", "faults"): lambda body: _add(faults, body),
            ("POST", "fork"): lambda _: copies.make(),
            ("POST", "functions/kill"): functions.kill_after,
            ("POST", "iam-enforcement"): lambda body: _enforce(enforcement, body),
            ("POST", "installs"): _installs,
            ("POST", "instances"): _instances,
            ("POST", "instances/ping"): _ping,
            ("POST", "key-policy-delay"): _key_policy_delay,
            ("POST", "quotas"): _quota,
            ("POST", "source-servers"): _register,
            ("POST", "source-servers/advance"): _advance,
            ("POST", "source-servers/extend"): _extend,
            ("POST", "source-servers/state"): _change,
            ("POST", "source-servers/vanish"): _vanish,
        }

    def answer(self, method: str, path: str, body: Json) -> Json:
        """What a door answers; raises KeyError, ValueError or DrsError for a wrong body."""
        if (method, path) not in self._doors:
            doors = ", ".join(sorted(f"{verb} {door}" for verb, door in self._doors))
            raise ValueError(f"no such door: {method} {path}; doors are {doors}")
        return self._doors[method, path](body)


def _clear(faults: Faults) -> Json:
    faults.clear()
    return {}


def _add(faults: Faults, fault: Json) -> Json:
    faults.add(fault)
    return {}


def _backend(body: Json) -> DrsBackend:
    backend: DrsBackend = drs_backends[body["account"]][body["region"]]
    return backend


def _only(body: Json, *known: str) -> None:
    """Raises ValueError if the body holds what the door does not know: a typo is never silence."""
    if unknown := set(body) - {"account", "region", *known}:
        raise ValueError(
            f"unknown: {sorted(unknown)}; known are {sorted({'account', 'region', *known})}"
        )


def _ids(body: Json) -> list[str] | None:
    ids = body.get("ids", "all")
    return None if ids == "all" else list(ids)


def _register(body: Json) -> Json:
    _only(body, "count", "instances", "prefix", "state", "syncSeconds", "tags")
    names = {"prefix": "prefix", "state": "state", "syncSeconds": "sync_seconds", "tags": "tags"}
    options = {option: body[name] for name, option in names.items() if name in body}
    backend = _backend(body)
    if "instances" not in body:
        return {"sourceServerIDs": door.register(backend, int(body["count"]), **options)}
    where = body["instances"]
    _only(where, "ids")
    ids = where.get("ids")
    found = instances.machines(where.get("account", body["account"]), where["region"], ids)
    if ids is None:
        # An agent that is installed again is still the same server.
        servers = list(backend.servers.values())
        known = {s.properties["identificationHints"].get("awsInstanceID") for s in servers}
        found = [machine for machine in found if machine.id not in known]
    return {"sourceServerIDs": door.register(backend, found, **options)}


def _change(body: Json) -> Json:
    fields = {k: v for k, v in body.items() if k not in {"account", "region", "ids"}}
    return {"changed": door.change(_backend(body), _ids(body), fields)}


def _advance(body: Json) -> Json:
    _only(body, "ids", "seconds")
    return {"changed": door.advance(_backend(body), _ids(body), body.get("seconds"))}


def _extend(body: Json) -> Json:
    _only(body, "staging")
    return {"sourceServerIDs": door.extend(_backend(body), str(body["staging"]))}


def _vanish(body: Json) -> Json:
    _only(body, "ids")
    return {"changed": door.vanish(_backend(body), list(body["ids"]))}


def _instances(body: Json) -> Json:
    names = ("architecture", "disks", "platform", "prefix", "profile", "tags", "type")
    _only(body, "count", *names)
    options: dict[str, Any] = {name: body[name] for name in names if name in body}
    made = instances.run(body["account"], body["region"], int(body["count"]), **options)
    return {"instanceIDs": made}


def _installs(body: Json) -> Json:
    _only(body, "ids", "outcome", "output")
    ids = None if body["ids"] == "all" else list(body["ids"])
    place = (body["account"], body["region"])
    return {"changed": agents.order(*place, ids, body["outcome"], body.get("output"))}


def _ping(body: Json) -> Json:
    _only(body, "ids", "status")
    place = (body["account"], body["region"])
    return {"changed": instances.ping(*place, list(body["ids"]), body["status"])}


def _quota(body: Json) -> Json:
    if body["code"] not in moto_patches.QUOTAS:
        raise ValueError(f"no quota {body['code']}")
    place = (body["account"], body["region"], body["code"])
    moto_patches.quotas[place] = float(body["value"])
    return {}


def _key_policy_delay(body: Json) -> Json:
    moto_patches.key_policy_delay = float(body["seconds"])
    return {}


def _delays(body: Json) -> Json:
    if not body or set(body) - set(models.delays):
        raise ValueError(f"delays are {sorted(models.delays)}")
    models.delays.update({name: float(seconds) for name, seconds in body.items()})
    return {}


def _enforce(enforcement: Enforcement, body: Json) -> Json:
    if not isinstance(body.get("on"), bool):
        raise ValueError(f"on must be true or false, not {body.get('on')!r}")
    enforcement.on = body["on"]
    return {}
