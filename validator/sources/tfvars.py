"""The declared truth: `estate.auto.tfvars` of an env, checked against the types in its `variables.tf`.

Terraform drops a misspelt key of an object in silence, so the file is read here first, strictly:
literals only, no key twice, every key declared, every declared key given.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from lark import Token, Tree

from validator.errors import SourceError
from validator.sources import hcl
from validator.sources.declared import (
    Declared,
    Path_,
    accounts,
    estate,
    launch_settings,
    meant,
    text,
)
from validator.sources.hcl import Node

__all__ = [
    "FILE_NAME",
    "Declared",
    "accounts",
    "estate",
    "launch_settings",
    "literals",
    "meant",
    "read",
    "text",
]

FILE_NAME = "estate.auto.tfvars"
_PRIMITIVES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "bool": (bool,),
}


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
