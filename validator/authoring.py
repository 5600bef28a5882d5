"""The code of an env as it is to become: a new env, one more staging account, one less, other numbers.

An env is written after one that is there, so that envs differ by value and never by structure. Nothing
is kept here: each function returns the files of the env's folder that change, as text, or None for
one that goes.
"""

import ipaddress
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from validator.errors import SourceError, UsageError
from validator.project import Env
from validator.sizing import next_name
from validator.sources import hcl, tfvars, writing
from validator.sources.tfvars import Declared

Files = dict[str, str | None]
"""Files of an env's folder by name, as they are to become; None is one that goes."""

BACKEND = "backend.hcl"
LOCK = ".terraform.lock.hcl"
_ACCOUNT_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_ENV_NAME = re.compile(r"[a-z][a-z0-9-]{1,20}")
_ID = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A staging account to add; None where the name or the range is to be the next that is free.

    `servers` are the source servers that are to replicate there, `wave` the one that recovers them.
    """

    id: str
    name: str | None = None
    cidr: str | None = None
    servers: int = 0
    wave: str | None = None


@dataclass(frozen=True, slots=True)
class NewEnv:
    """An env to write, by its accounts' ids; Regions are those of the env that it is written after.

    `servers` are spread evenly over the accounts, and over as few waves as the job quotas allow.
    """

    name: str
    target: str
    orchestration: str
    staging: tuple[str, ...]
    servers: int
    servers_at_once: int
    source_region: str | None = None
    recovery_region: str | None = None


def new_env(like: Env, declared: Declared, wanted: NewEnv, taken: Iterable[str]) -> Files:
    """The files of a new env, written after `like`; `taken` are the ranges that other envs have.

    Raises UsageError for what no env can be, SourceError for an env that nothing can be written after.
    """
    _check_env(wanted)
    ids = {"target": wanted.target, "orchestration": wanted.orchestration}
    files: Files = {
        file.name: hcl.text(file)
        for file in (*like.directory.glob("*.tf"), like.directory / BACKEND, like.directory / LOCK)
    }
    for name in _object(declared, "staging_accounts"):
        files.pop(_file_of(files, declared, name))
    model, model_name = _model(like, declared)
    text = hcl.text(like.directory / tfvars.FILE_NAME)
    old = {name: str(_object(declared, name)["account_id"]) for name in ids}
    names = {
        old["target"]: wanted.target,
        old["orchestration"]: wanted.orchestration,
    }
    text = text.replace(f"env {like.name}:", f"env {wanted.name}:", 1)
    values: dict[tuple[str, ...], Any] = {("environment",): wanted.name}
    for path, value in _texts(declared.values):
        if path[0] in {"target", "staging_accounts", "orchestration", "environment"}:
            continue
        changed = value
        for before, after in names.items():
            changed = changed.replace(before, after)
        changed = re.sub(rf"-{re.escape(like.name)}$", f"-{wanted.name}", changed)
        if changed != value:
            values[path] = changed
    for name, region in (
        ("source_region", wanted.source_region),
        ("recovery_region", wanted.recovery_region),
    ):
        if region is not None:
            values[(name,)] = region
    shares = _shares(wanted.servers, 1 + len(wanted.staging))
    free = _free(declared, [*ranges(declared), *taken])
    values[("target",)] = _account(wanted.target, next(free), shares[0])
    values[("orchestration",)] = {
        "account_id": wanted.orchestration,
        "external_id": str(uuid.uuid4()),
    }
    accounts = {}
    for number, (id_, servers) in enumerate(zip(wanted.staging, shares[1:], strict=True), 1):
        accounts[name := f"staging-{number}"] = _account(id_, next(free), servers)
        files[f"{name}.tf"] = _renamed(model, model_name, name)
    values[("staging_accounts",)] = accounts
    waves = _shares(wanted.servers, -(-wanted.servers // wanted.servers_at_once))
    values[("recovery_waves",)] = {f"wave-{n}": size for n, size in enumerate(waves, 1)}
    for path, assigned in values.items():
        text = writing.assigned(text, path, assigned)
    files[tfvars.FILE_NAME] = text
    files[BACKEND] = _backend(like, names, wanted)
    return files


def with_account(
    env: Env, declared: Declared, wanted: NewAccount, taken: Iterable[str]
) -> tuple[str, Files]:
    """The name of a staging account to add, and the files that change; none if it is there already.

    Raises UsageError for an account that cannot be added, or is there otherwise.
    """
    accounts = _object(declared, "staging_accounts")
    _check_id(wanted.id)
    there = {str(each["account_id"]): name for name, each in accounts.items()}
    if wanted.id in there:
        return _already(declared, there[wanted.id], wanted)
    for part in ("target", "orchestration"):
        if _object(declared, part)["account_id"] == wanted.id:
            raise UsageError(f"{wanted.id} is the {part} account of env {env.name} already.")
    name = wanted.name or next_name(accounts)
    _check_name(name, ("target", "orchestration", *accounts))
    if wanted.servers < 0:
        raise UsageError("--servers must be 0 or more.")
    cidr = wanted.cidr or next(_free(declared, [*ranges(declared), *taken]))
    _check_range(cidr, ranges(declared))
    text = hcl.text(env.directory / tfvars.FILE_NAME)
    text = writing.assigned(
        text, ("staging_accounts", name), _account(wanted.id, cidr, wanted.servers)
    )
    if wanted.servers:
        waves = _object(declared, "recovery_waves")
        if wanted.wave is None:
            raise UsageError("--servers needs --wave: the wave that recovers them.")
        together = int(waves.get(wanted.wave, 0)) + wanted.servers
        text = writing.assigned(text, ("recovery_waves", wanted.wave), together)
    model, model_name = _model(env, declared)
    file = f"{name}.tf"
    if (env.directory / file).exists():
        raise UsageError(f"{env.directory / file}: exists already.")
    return name, {file: _renamed(model, model_name, name), tfvars.FILE_NAME: text}


def without_account(env: Env, declared: Declared, name: str) -> Files:
    """The files that change for a staging account to go; raises UsageError if there is none such."""
    if name not in _object(declared, "staging_accounts"):
        known = ", ".join(_object(declared, "staging_accounts")) or "none"
        raise UsageError(f"Env {env.name} has no staging account {name!r}; it has: {known}.")
    files: Files = {file.name: hcl.text(file) for file in env.directory.glob("*.tf")}
    text = hcl.text(env.directory / tfvars.FILE_NAME)
    return {
        _file_of(files, declared, name): None,
        tfvars.FILE_NAME: writing.removed(text, ("staging_accounts", name)),
    }


def with_values(env: Env, values: Mapping[str, Any]) -> Files:
    """The declared values with others in their place; `values` nests like `estate.auto.tfvars`.

    An object of an account is changed key by key; any other value is replaced whole.
    """
    text = hcl.text(env.directory / tfvars.FILE_NAME)
    for path, value in _assignments(values):
        text = writing.assigned(text, path, value)
    return {tfvars.FILE_NAME: text}


def calls_of(name: str) -> str:
    """What the names of an account's module calls begin with."""
    return f"{name.replace('-', '_')}_"


def _assignments(values: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in values.items():
        if name == "target":
            yield from (((name, key), each) for key, each in value.items())
        elif name == "staging_accounts":
            for account, keys in value.items():
                yield from (((name, account, key), each) for key, each in keys.items())
        else:
            yield (name,), value


def _already(declared: Declared, name: str, wanted: NewAccount) -> tuple[str, Files]:
    has = _object(declared, "staging_accounts")[name]
    asked = {"staging_area_cidr": wanted.cidr, "servers": wanted.servers or None}
    other = [key for key, value in asked.items() if value is not None and has[key] != value]
    if other or wanted.name not in {None, name}:
        raise UsageError(
            f"{declared.where('staging_accounts', name)}: {wanted.id} is {name} already, with other "
            f"values ({', '.join(other) or 'name'}). Change them there."
        )
    return name, {}


def _model(env: Env, declared: Declared) -> tuple[str, str]:
    """The text of the file that the first staging account is written in, and the account's name."""
    for name in _object(declared, "staging_accounts"):
        files: Files = {file.name: hcl.text(file) for file in env.directory.glob("*.tf")}
        text = files[_file_of(files, declared, name)]
        assert text is not None
        return text, name
    raise SourceError(
        f"{declared.file}: has no staging account that another could be written after."
    )


def _file_of(files: Files, declared: Declared, name: str) -> str:
    """The one file that holds every module call of a staging account, and nothing of another."""
    begin = calls_of(name)
    found = [
        file
        for file, text in files.items()
        if file.endswith(".tf")
        and any(
            type_ == "module" and labels and labels[0].startswith(begin)
            for type_, labels, _ in writing.blocks(text or "")
        )
    ]
    if len(found) != 1:
        raise SourceError(
            f"{declared.where('staging_accounts', name)}: the module calls of {name} stand in "
            f"{', '.join(sorted(found)) or 'no file'}; they must stand in one file."
        )
    alone = all(
        labels and (labels[0].startswith(begin) or (type_ == "provider" and begin[:-1] in block))
        for type_, labels, block in writing.blocks(files[found[0]] or "")
    )
    if not alone:
        raise SourceError(f"{found[0]}: holds more than providers and module calls of {name}.")
    return found[0]


def _renamed(model: str, old: str, new: str) -> str:
    return writing.renamed(model, {old: new, old.replace("-", "_"): new.replace("-", "_")})


def _account(id_: str, cidr: str, servers: int) -> dict[str, Any]:
    return {
        "account_id": id_,
        "external_id": str(uuid.uuid4()),
        "instances": {},
        "servers": servers,
        "staging_area_cidr": cidr,
    }


def _backend(like: Env, names: Mapping[str, str], wanted: NewEnv) -> str:
    """Where the new env's state is kept: its own key, in the bucket of its orchestration account."""
    file = like.directory / BACKEND
    text, values = hcl.text(file), tfvars.literals(file)
    key = str(values.get("key", ""))
    if like.name not in key:
        raise SourceError(
            f"{file}: key {key!r} does not name env {like.name}, so two envs would share one state."
        )
    changed = {"key": key.replace(like.name, wanted.name)}
    bucket = str(values.get("bucket", ""))
    for before, after in names.items():
        bucket = bucket.replace(before, after)
    changed["bucket"] = bucket
    if wanted.recovery_region is not None:
        changed["region"] = wanted.recovery_region
    for name, value in changed.items():
        text = writing.assigned(text, (name,), value)
    return text


def _shares(servers: int, parts: int) -> list[int]:
    """So many servers in so many parts, as even as can be, the larger parts first."""
    if parts == 0:
        return []
    least, more = divmod(servers, parts)
    return [least + (number < more) for number in range(parts)]


def _texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every string that stands under keys alone, with the path of its keys."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(each, (*path, key))


def ranges(declared: Declared) -> list[str]:
    """The staging areas' ranges, the target's first."""
    accounts = [_object(declared, "target"), *_object(declared, "staging_accounts").values()]
    return [str(each.get("staging_area_cidr")) for each in accounts]


def _free(declared: Declared, taken: Sequence[str]) -> Iterator[str]:
    """The ranges after the env's last one, of the same size, that overlap none that is taken."""
    used = [_network(each, declared) for each in taken]
    last = max(_network(each, declared) for each in ranges(declared))
    start = int(last.broadcast_address) + 1
    while start + last.num_addresses <= 1 << 32:
        network = ipaddress.IPv4Network((start, last.prefixlen))
        start += last.num_addresses
        if not any(network.overlaps(each) for each in used):
            used.append(network)
            yield str(network)
    raise UsageError("There is no free range after the last staging area's; name one with --cidr.")


def _network(cidr: str, declared: Declared) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise SourceError(f"{declared.file}: staging_area_cidr {cidr!r} is no range.") from error


def _check_range(cidr: str, ranges: Sequence[str]) -> None:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise UsageError(f"--cidr {cidr}: is no IPv4 range ({error}).") from error
    if not 16 <= network.prefixlen <= 28:
        raise UsageError(f"--cidr {cidr}: AWS takes ranges from /16 to /28.")
    for each in ranges:
        if network.overlaps(ipaddress.IPv4Network(each)):
            raise UsageError(f"--cidr {cidr}: overlaps {each}, another staging area of the env.")


def _check_env(wanted: NewEnv) -> None:
    if not _ENV_NAME.fullmatch(wanted.name):
        raise UsageError(
            f"{wanted.name!r}: an env's name is a-z, 0-9 and hyphens, 2 to 21 of them."
        )
    ids = (wanted.target, wanted.orchestration, *wanted.staging)
    for each in ids:
        _check_id(each)
    if len(set(ids)) < len(ids):
        raise UsageError("Each account of an env plays one part: an id was given twice.")
    if wanted.servers < 1:
        raise UsageError("--servers must be 1 or more: an estate without servers protects nothing.")


def _check_id(id_: str) -> None:
    if not _ID.fullmatch(id_):
        raise UsageError(f"{id_!r}: an account id is 12 digits.")


def _check_name(name: str, others: Iterable[str]) -> None:
    if not _ACCOUNT_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r}: an account's name is a-z and 0-9, with single hyphens between."
        )
    for other in others:
        if f"{name}-".startswith(f"{other}-") or f"{other}-".startswith(f"{name}-"):
            # The account's module calls begin with its name, and would be taken for the other's.
            raise UsageError(f"{name!r}: is, or begins like, the account {other!r} of the env.")


def _object(declared: Declared, name: str) -> Mapping[str, Any]:
    value = declared.values.get(name)
    if not isinstance(value, dict):
        raise SourceError(f"{declared.where(name)}: {name} must be an object.")
    return value
