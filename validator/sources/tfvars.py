"""The declared truth: `estate.auto.tfvars` of an env, checked against the types in its `variables.tf`.

Terraform drops a misspelt key of an object in silence, so the file is read here first, strictly:
literals only, no key twice, every key declared, every declared key given.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lark import Token, Tree

from validator.errors import SourceError
from validator.model import Account, Estate, LaunchSettings, Part, Unknown, View, Wave
from validator.sources import hcl
from validator.sources.hcl import Node

FILE_NAME = "estate.auto.tfvars"
_LAUNCH_VALUES = {
    "disposition": ("STARTED", "STOPPED"),
    "right_sizing": ("BASIC", "IN_AWS", "NONE"),
}
"""What the API takes [drs API model]."""

_PRIMITIVES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "bool": (bool,),
}

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


def read(env_dir: Path) -> Declared:
    """The declared values of the env in `env_dir`.

    Raises SourceError if the file or `variables.tf` is missing or malformed, or if a key is given
    twice, undeclared, missing or of the wrong type.
    """
    file = env_dir / FILE_NAME
    lines: dict[Path_, int] = {}
    values = _literals(file, lines)
    types = dict(_variable_types(env_dir / "variables.tf"))
    declared = Declared(file, values, lines)
    for name, value in values.items():
        if name not in types:
            raise SourceError(
                f"{declared.where(name)}: {name!r} is not a variable of this env "
                f"({_listing(types)}). Terraform would ignore it: correct the name."
            )
        _check(declared, value, types[name], (name,))
    for name in types:
        if name not in values:
            raise SourceError(f"{file}: {name!r} is missing. Declare it; it has no default.")
    return declared


def literals(file: Path) -> Mapping[str, Any]:
    """The values of an HCL file of literals, such as `backend.hcl`; raises SourceError."""
    return _literals(file, {})


def _literals(file: Path, lines: dict[Path_, int]) -> dict[str, Any]:
    try:
        return {
            name: _value(file, expression, (name,), lines)
            for name, expression in _attributes(file, hcl.tree(file), lines)
        }
    except RecursionError as error:
        raise SourceError(f"{file}: nested too deeply to be read.") from error


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


def _attributes(file: Path, tree: Node, lines: dict[Path_, int]) -> Iterator[tuple[str, Node]]:
    """The top-level attributes of a tfvars file; anything else in it is an error."""
    for child in hcl.body(tree).children:
        if not isinstance(child, Tree) or child.data == "new_line_or_comment":
            continue
        if child.data != "attribute":
            raise SourceError(f"{file}:{child.meta.line}: only `name = value` may stand here.")
        name, expression = hcl.name(child), cast("Node", child.children[-1])
        if (name,) in lines:
            raise SourceError(f"{file}:{child.meta.line}: {name!r} is declared twice.")
        lines[(name,)] = child.meta.line
        yield name, expression


def _value(file: Path, expression: Node, path: Path_, lines: dict[Path_, int]) -> Any:
    """A literal as plain data; `lines` gains the line of every key on the way."""
    node = hcl.inner(expression)
    tokens = [str(c) for c in node.children if isinstance(c, Token)]
    match node.data:
        case "string":
            return _string(file, node, path, lines)
        case "int_lit":
            return int(tokens[0])
        case "float_lit":
            return float(tokens[0])
        case "literal_value" if tokens[0] in {"true", "false"}:
            return tokens[0] == "true"
        case "unary_op" if tokens == ["-"] and isinstance(node.children[-1], Tree):
            number = _value(file, node.children[-1], path, lines)
            if isinstance(number, (int, float)) and not isinstance(number, bool):
                return -number
        case "tuple":
            return [
                _value(file, item, path, lines)
                for item in node.children
                if isinstance(item, Tree) and item.data != "new_line_or_comment"
            ]
        case "object":
            return dict(_elements(file, node, path, lines))
        case _:
            pass
    raise SourceError(
        f"{_nearest(file, path, lines)}: {'.'.join(path)} must be a literal "
        "(text, number, true, false, list or object), so that every view reads the same value."
    )


def _elements(
    file: Path, node: Node, path: Path_, lines: dict[Path_, int]
) -> Iterator[tuple[str, Any]]:
    for element in hcl.subtrees(node, "object_elem"):
        key_node = hcl.inner(cast("Node", element.children[0].children[0]))  # type: ignore[union-attr]
        if key_node.data not in {"identifier", "string"}:
            raise SourceError(f"{file}:{element.meta.line}: a key must be a plain name or text.")
        key = (
            hcl.name(key_node)
            if key_node.data == "identifier"
            else _string(file, key_node, path, lines)
        )
        if (*path, key) in lines:
            raise SourceError(f"{file}:{element.meta.line}: {key!r} is declared twice.")
        lines[(*path, key)] = element.meta.line
        yield key, _value(file, cast("Node", element.children[-1]), (*path, key), lines)


def _string(file: Path, node: Node, path: Path_, lines: dict[Path_, int]) -> str:
    if any(tree.data not in {"string", "string_part"} for tree in node.iter_subtrees()):
        raise SourceError(
            f"{_nearest(file, path, lines)}: {'.'.join(path)} must be plain text, "
            "without ${...} or %{...}."
        )
    raw = "".join(str(token) for token in node.scan_values(lambda t: isinstance(t, Token)))
    try:
        return cast("str", json.loads(raw))
    except json.JSONDecodeError as error:
        raise SourceError(
            f"{_nearest(file, path, lines)}: {'.'.join(path)} has an escape that is not "
            "understood here."
        ) from error


def _nearest(file: Path, path: Path_, lines: Mapping[Path_, int]) -> str:
    return Declared(file, {}, lines).where(*path)


def _variable_types(file: Path) -> Iterator[tuple[str, Node]]:
    """The type expression of each variable block; raises SourceError where one has none."""
    for block in hcl.subtrees(hcl.body(hcl.tree(file)), "block"):
        if hcl.name(block) != "variable":
            continue
        label = hcl.subtrees(block, "string")
        name = _string(file, label[0], ("variable",), {}) if label else "?"
        types = [
            cast("Node", attribute.children[-1])
            for attribute in hcl.subtrees(hcl.body(block), "attribute")
            if hcl.name(attribute) == "type"
        ]
        if len(types) != 1:
            raise SourceError(f"{file}:{block.meta.line}: variable {name!r} must have one type.")
        yield name, types[0]


def _check(declared: Declared, value: Any, type_: Node, path: Path_) -> None:
    """Raises SourceError unless `value` is exactly of the Terraform type that `type_` writes."""
    where, name, node = declared.where(*path), ".".join(path), hcl.inner(type_)
    if node.data == "identifier":
        kind = hcl.name(node)
        if kind == "any":
            return
        allowed = _PRIMITIVES.get(kind)
        if allowed is None:
            raise SourceError(f"{where}: {name} has the type {kind!r}, which is not known here.")
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind != "bool"):
            quoted = " (in quotes)" if kind == "string" else ""
            raise SourceError(f"{where}: {name} must be a {kind}{quoted}.")
        return
    if node.data != "function_call":
        raise SourceError(f"{where}: the type of {name} cannot be read.")
    kind, arguments = hcl.name(node), _arguments(node)
    match kind:
        case "optional":
            _check(declared, value, arguments[0], path)
        case "object":
            _check_object(declared, value, arguments[0], path)
        case "map":
            if not isinstance(value, dict):
                raise SourceError(f"{where}: {name} must be a map.")
            for key, item in value.items():
                _check(declared, item, arguments[0], (*path, key))
        case "list" | "set":
            if not isinstance(value, list):
                raise SourceError(f"{where}: {name} must be a list.")
            for item in value:
                _check(declared, item, arguments[0], path)
        case _:
            raise SourceError(f"{where}: {name} has the type {kind!r}, which is not known here.")


def _check_object(declared: Declared, value: Any, type_: Node, path: Path_) -> None:
    where, name = declared.where(*path), ".".join(path)
    if not isinstance(value, dict):
        raise SourceError(f"{where}: {name} must be an object.")
    types = {
        hcl.name(element): cast("Node", element.children[-1])
        for element in hcl.subtrees(hcl.inner(type_), "object_elem")
    }
    for key, item in value.items():
        if key not in types:
            raise SourceError(
                f"{declared.where(*path, key)}: {key!r} is not a key of {name} "
                f"({_listing(types)}). Terraform would ignore it: correct the name."
            )
        _check(declared, item, types[key], (*path, key))
    for key, item_type in types.items():
        node = hcl.inner(item_type)
        optional = node.data == "function_call" and hcl.name(node) == "optional"
        if key not in value and not optional:
            raise SourceError(f"{where}: {name} lacks {key!r}.")


def _arguments(node: Node) -> list[Node]:
    lists = hcl.subtrees(node, "arguments")
    found = [
        c
        for c in (lists[0].children if lists else [])
        if isinstance(c, Tree) and c.data != "new_line_or_comment"
    ]
    if not found:
        raise SourceError(f"a type constructor {hcl.name(node)!r} without its type.")
    return found


def _listing(names: Mapping[str, Any]) -> str:
    return "it has: " + ", ".join(sorted(names))
