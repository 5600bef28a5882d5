"""A request to deploy: what the payload asks for, held against the schema and the estate.

The caller never chooses whom the deployer becomes: a role or an external id in the payload must be the
one that the deployer would take for that account anyway.
"""

import functools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_deployer.errors import RequestError
from agent_deployer.settings import Settings

Json = dict[str, Any]

LARGEST = 250_000
"""Characters of a payload: the state machine takes 262,144 as its input, and hands it on with more."""

POLL_SECONDS = 30

_TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "object": (dict,),
    "string": (str,),
}
_KEYWORDS = {
    "$ref", "additionalProperties", "const", "description", "items", "maxItems", "maximum", "minItems",
    "minimum", "oneOf", "pattern", "properties", "required", "type",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """Instances of one account and Region, and the account that they replicate into."""

    source_account_id: str
    source_region: str
    into_account_id: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. Empty `waves`, `instance_ids` and `tags` narrow nothing.

    `max_concurrency` and `max_errors` are numbers or percentages as SSM writes them: the first of a
    command, the second of a wave.
    """

    parts: tuple[Part, ...]
    deployment_id: str | None = None
    waves: tuple[str, ...] = ()
    instance_ids: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    max_concurrency: str = "50"
    max_errors: str = "10%"
    confirm_seconds: int = 1800
    poll_seconds: int = POLL_SECONDS
    retry_failed: bool = False
    dry_run: bool = False


def parse(payload: object, settings: Settings) -> Request:
    """The request that a payload makes; raises RequestError, which names what is wrong in it."""
    try:
        size = len(json.dumps(payload))
        json.dumps(payload, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"The payload is no JSON: {error}.") from error
    if size > LARGEST:
        raise RequestError(f"The payload has {size:,} characters; {LARGEST:,} is the most.")
    if not isinstance(payload, dict):
        raise RequestError("The payload must be an object.")
    pattern = payload.get("deployment_pattern")
    known = [each["$ref"].rpartition("/")[2] for each in _schema()["oneOf"]]
    if pattern not in known:
        raise RequestError(
            f"deployment_pattern must be one of {', '.join(known)}, not {pattern!r:.60}."
        )
    _check(payload, _schema()["$defs"][pattern], "payload")
    single = payload["deployments"] if pattern == "combined" else [payload]
    parts = tuple(_part(each, settings) for each in single)
    if len({each.source_account_id for each in parts}) < len(parts):
        raise RequestError("Two deployments of the payload are about the same account.")
    options = ("deployment_id", "confirm_seconds", "poll_seconds", "retry_failed", "dry_run")
    for each in single:
        if each is not payload and (misplaced := set(each) & {*options, *_NARROWING}):
            raise RequestError(
                f"{', '.join(sorted(misplaced))}: stands beside `deployments`, not in one of them."
            )
    selectors = payload.get("selectors", {})
    return Request(
        parts,
        waves=tuple(payload.get("waves", ())),
        instance_ids=tuple(dict.fromkeys(selectors.get("instance_ids", ()))),
        tags=dict(selectors.get("tags", {})),
        **payload.get("concurrency", {}),
        **{name: payload[name] for name in options if name in payload},
    )


def named(deployment_id: object) -> str:
    """A deployment's name, if it can be one; raises RequestError."""
    _check(deployment_id, _schema()["$defs"]["deployment_id"], "deployment_id")
    return str(deployment_id)


_NARROWING = ("waves", "selectors", "concurrency")


def _part(payload: Json, settings: Settings) -> Part:
    source, into = payload["source_account_id"], payload["staging_account_id"]
    for name, account in (("source_account_id", source), ("staging_account_id", into)):
        if account not in settings.external_ids:
            raise RequestError(f"{name} {account}: is no account of env {settings.environment}.")
    for name, account in (("source_role_arn", source), ("staging_role_arn", into)):
        if payload.get(name, settings.role_arn(account)) != settings.role_arn(account):
            raise RequestError(
                f"{name}: the role in account {account} is {settings.role_arn(account)}, and no other "
                "is ever assumed."
            )
    if payload.get("external_id", settings.external_ids[source]) != settings.external_ids[source]:
        raise RequestError(f"external_id: is not the one of account {source}.")
    regions = {"source_region": settings.source_region, "target_region": settings.recovery_region}
    for name, region in regions.items():
        if payload[name] != region:
            raise RequestError(f"{name} {payload[name]}: env {settings.environment} has {region}.")
    if payload["deployment_pattern"] == "same-account":
        if source != into:
            raise RequestError(
                f"same-account: instances of {source} cannot replicate into {into}; that is the "
                "pattern extended-source-servers."
            )
    else:
        _check_extension(payload, into, settings)
    return Part(source, payload["source_region"], into)


def _check_extension(payload: Json, into: str, settings: Settings) -> None:
    target = settings.target_account_id
    config = payload.get("extended_source_server_config", {})
    named = {payload["target_account_id"], config.get("target_account_id", target)}
    if named != {target}:
        raise RequestError(
            f"target_account_id: the target of env {settings.environment} is {target}."
        )
    if into == target:
        raise RequestError(
            f"staging_account_id {into}: is the target, into which nothing is extended."
        )
    key = config.get("shared_kms_key_arn")
    home = f"arn:aws:kms:{settings.recovery_region}:{target}:key/"
    if key is not None and not key.startswith(home):
        raise RequestError(f"shared_kms_key_arn: the shared key is the target's, {home}...")


@functools.cache
def _schema() -> Json:
    found: Json = json.loads(Path(__file__).with_name("payload.schema.json").read_text("utf-8"))
    return found


def _check(value: object, schema: Json, where: str) -> None:
    """Raises RequestError unless a value is as this part of the schema says.

    It knows the keywords that our schema uses; one that it does not know is an error, never skipped.
    """
    if unknown := set(schema) - _KEYWORDS:
        raise AssertionError(f"{where}: the schema has {sorted(unknown)}")
    if "$ref" in schema:
        _check(value, _schema()["$defs"][schema["$ref"].rpartition("/")[2]], where)
        return
    if "oneOf" in schema:
        _check_one_of(value, schema["oneOf"], where)
        return
    if "const" in schema:
        if value != schema["const"]:
            raise RequestError(f"{where} must be {schema['const']!r}, not {value!r:.60}.")
        return
    kind = schema["type"]
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        raise RequestError(f"{where} must be of type {kind}, not {value!r:.60}.")
    if isinstance(value, str):
        if ("pattern" in schema and not re.search(schema["pattern"], value)) or "\n" in value:
            raise RequestError(f"{where} must match {schema['pattern']}, not {value!r:.60}.")
    elif isinstance(value, dict):
        _check_members(value, schema, where)
    elif isinstance(value, list):
        _limited(len(value), schema, "Items", f"the number of {where}")
        for index, each in enumerate(value):
            _check(each, schema["items"], f"{where}[{index}]")
    elif isinstance(value, int) and not isinstance(value, bool):
        _limited(value, schema, "imum", where)


def _limited(value: int, schema: Json, word: str, where: str) -> None:
    least, most = schema.get(f"min{word}", value), schema.get(f"max{word}", value)
    if not least <= value <= most:
        raise RequestError(f"{where} must be from {least} to {most}, not {value}.")


def _check_members(value: Json, schema: Json, where: str) -> None:
    properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    if missing := [name for name in schema.get("required", ()) if name not in value]:
        raise RequestError(f"{where} lacks {', '.join(missing)}.")
    for name, each in value.items():
        if name in properties:
            _check(each, properties[name], f"{where}.{name}")
        elif isinstance(more, dict):
            _check(each, more, f"{where}.{name:.60}")
        else:
            raise RequestError(f"{where} has {name!r:.60}, which is not known.")


def _check_one_of(value: object, choices: list[Json], where: str) -> None:
    """Holds a value against the one choice that its pattern names."""
    found = value.get("deployment_pattern") if isinstance(value, dict) else None
    named = {each["$ref"].rpartition("/")[2]: each for each in choices}
    if not isinstance(found, str) or found not in named:
        raise RequestError(f"{where}.deployment_pattern must be one of {', '.join(named)}.")
    _check(value, named[found], where)
