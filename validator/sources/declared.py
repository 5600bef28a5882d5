"""What an env declares, as plain data: its accounts, Regions and numbers, with the line of each.

`tfvars.py` reads it from an env's folder. This file needs no parser, since `verify` also runs where
there is none: from a package that holds the declared values alone.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from validator.errors import SourceError
from validator.model import Account, Estate, LaunchSettings, Part, Unknown, View, Wave

_LAUNCH_VALUES = {
    "disposition": ("STARTED", "STOPPED"),
    "right_sizing": ("BASIC", "IN_AWS", "NONE"),
}
"""What the API takes [drs API model]."""


Path_ = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Declared:
    """The values of `estate.auto.tfvars` as plain data, with the line of each key.

    `lines` maps a path of keys, such as ("target", "servers"), to its line, counted from 1.
    """

    file: Path
    values: Mapping[str, Any]
    lines: Mapping[Path_, int]

    def where(self, *path: str) -> str:
        """The file and line that declares a value, of its nearest enclosing key if it has none."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return f"{self.file}:{self.lines[path[:length]]}"
        return str(self.file)


def packed(declared: Declared, file: str) -> str:
    """The declared values as JSON for `unpacked`; `file` is the name that messages give for them."""
    lines = [[list(path), line] for path, line in sorted(declared.lines.items())]
    content = {"file": file, "values": declared.values, "lines": lines}
    return json.dumps(content, indent=1) + "\n"


def unpacked(packed: str) -> Declared:
    """What `packed` wrote; raises SourceError for anything else."""
    try:
        content = json.loads(packed)
        lines = {tuple(path): int(line) for path, line in content["lines"]}
        return Declared(Path(content["file"]), dict(content["values"]), lines)
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"The package's declared values cannot be read ({error}). Make the package again."
        ) from error


def accounts(declared: Declared) -> tuple[Account, tuple[Account, ...], Account]:
    """The target, staging and orchestration accounts as declared, with nothing seen in them yet.

    Raises SourceError if one of them, its id, or its number of servers is not declared.
    """
    target = _account(declared, Part.TARGET, ("target",))
    staging = tuple(
        _account(declared, Part.STAGING, ("staging_accounts", name))
        for name in _object(declared, ("staging_accounts",))
    )
    return target, staging, _account(declared, Part.ORCHESTRATION, ("orchestration",))


def meant(declared: Declared, call: str) -> str | None:
    """The id of the account that a module call is for by its name, None if the name says nothing.

    The calls of an account's file begin with the account's name, such as `staging_1_trust`.
    """
    target, staging, orchestration = accounts(declared)
    for account in (target, *staging, orchestration):
        if call.startswith(f"{account.name.replace('-', '_')}_"):
            return account.id
    return None


def text(declared: Declared, name: str) -> str:
    """The declared string `name`; raises SourceError if it is missing, empty or no string."""
    value = declared.values.get(name)
    if not isinstance(value, str) or not value:
        raise SourceError(f"{declared.where(name)}: {name!r} must be a string that is not empty.")
    return value


def estate(
    declared: Declared,
    env: str,
    view: View,
    seen: Callable[[Account], Account],
    **more: Any,
) -> Estate:
    """The declared estate, with what `seen` adds to each of its accounts.

    `more` are the fields that only some views have. Raises SourceError for a value that is not
    what it must be; one that the env does not declare is Unknown.
    """
    target, staging, orchestration = accounts(declared)
    return Estate(
        env=env,
        view=view,
        source_region=text(declared, "source_region"),
        recovery_region=text(declared, "recovery_region"),
        target=seen(target),
        staging=tuple(seen(account) for account in staging),
        orchestration=seen(orchestration),
        where=str(declared.file),
        headroom=_whole(declared, "headroom"),
        volumes_per_server=_whole(declared, "volumes_per_server"),
        point_in_time_days=_whole(declared, "point_in_time_days"),
        waves=_waves(declared),
        objectives=_objectives(declared),
        drill_days=_whole(declared, "drill_days"),
        launch_settings=launch_settings(declared),
        **more,
    )


def external_ids(declared: Declared) -> dict[str, str]:
    """The external id that each account's roles demand, by account id; raises SourceError."""
    found = {}
    paths: list[Path_] = [("target",), ("orchestration",)]
    paths += [("staging_accounts", name) for name in _object(declared, ("staging_accounts",))]
    for path in paths:
        values = _object(declared, path)
        if not isinstance(values.get("external_id"), str):
            raise SourceError(f"{declared.where(*path)}: external_id must be a quoted string.")
        found[str(values.get("account_id"))] = str(values["external_id"])
    return found


def _whole(declared: Declared, *path: str) -> int | Unknown:
    value: Any = declared.values
    for key in path:
        if key not in value:
            return Unknown(f"{declared.file} does not declare {'.'.join(path)}")
        value = value[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise SourceError(
            f"{declared.where(*path)}: {'.'.join(path)} must be a whole number, 0 or more."
        )
    return value


def _waves(declared: Declared) -> tuple[Wave, ...] | Unknown:
    if "recovery_waves" not in declared.values:
        return Unknown(f"{declared.file} does not declare recovery_waves")
    names = _object(declared, ("recovery_waves",))
    return tuple(
        Wave(name, declared.where("recovery_waves", name), servers)
        for name in names
        if isinstance(servers := _whole(declared, "recovery_waves", name), int)
    )


def _objectives(declared: Declared) -> tuple[tuple[str, int], ...] | Unknown:
    name = "recovery_point_objectives"
    if name not in declared.values:
        return Unknown(f"{declared.file} does not declare {name}")
    found = {key: _whole(declared, name, key) for key in _object(declared, (name,))}
    return tuple((key, value) for key, value in found.items() if isinstance(value, int))


def launch_settings(declared: Declared) -> LaunchSettings | Unknown:
    """How extended servers are to be launched; raises SourceError for what AWS would refuse."""
    name = "launch_settings"
    if name not in declared.values:
        return Unknown(f"{declared.file} does not declare {name}")
    values = _object(declared, (name,))
    for key, allowed in _LAUNCH_VALUES.items():
        if values.get(key) not in allowed:
            raise SourceError(
                f"{declared.where(name, key)}: {name}.{key} must be one of {', '.join(allowed)}."
            )
    flags = {key: values.get(key) for key in ("copy_private_ip", "copy_tags", "licensing_byol")}
    for key, flag in flags.items():
        if not isinstance(flag, bool):
            raise SourceError(f"{declared.where(name, key)}: {name}.{key} must be true or false.")
    return LaunchSettings(
        right_sizing=str(values["right_sizing"]),
        disposition=str(values["disposition"]),
        copy_tags=bool(flags["copy_tags"]),
        copy_private_ip=bool(flags["copy_private_ip"]),
        licensing_byol=bool(flags["licensing_byol"]),
    )


def _account(declared: Declared, part: Part, path: Path_) -> Account:
    values = _object(declared, path)
    account_id = values.get("account_id")
    if not isinstance(account_id, str):
        raise SourceError(f"{declared.where(*path)}: account_id must be a quoted string.")
    planned: int | Unknown = 0
    where = declared.where(*path, "account_id")
    if part is not Part.ORCHESTRATION:
        where = declared.where(*path, "servers")
        servers = values.get("servers")
        if not isinstance(servers, int) or isinstance(servers, bool) or servers < 0:
            raise SourceError(f"{where}: servers must be a whole number, 0 or more.")
        planned = servers
    return Account(name=path[-1], part=part, id=account_id, where=where, planned=planned)


def _object(declared: Declared, path: Path_) -> Mapping[str, Any]:
    value: Any = declared.values
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        raise SourceError(f"{declared.where(*path)}: {'.'.join(path)} must be declared.")
    return cast("Mapping[str, Any]", value)
