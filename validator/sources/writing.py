"""HCL rewritten in place: a name or a value is changed, and all the rest stays as somebody wrote it.

Comments, order and empty lines survive; `terraform fmt` aligns the result. Each function takes the
text of a file and returns the text that it is to become.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from lark import Token, Tree

from validator.errors import SourceError
from validator.sources import hcl
from validator.sources.hcl import Node

_Element = tuple[str, Node]
"""An attribute, or an element of an object: its key, and the node of both."""


def renamed(text: str, names: Mapping[str, str]) -> str:
    """The text with each word of `names` renamed, also where it is followed by `_` and more.

    Words are names and strings of the syntax, so that a comment stays as it is.
    """
    pieces, end = [], 0
    for token in _tree(text).scan_values(lambda each: isinstance(each, Token)):
        if token.type not in {"NAME", "STRING_CHARS"} or token.start_pos is None:
            continue
        for old, new in names.items():
            if token == old or token.startswith(f"{old}_"):
                pieces += [text[end : token.start_pos], new]
                end = token.start_pos + len(old)
                break
    return "".join([*pieces, text[end:]])


def assigned(text: str, path: tuple[str, ...], value: Any) -> str:
    """The text with a value at a path of keys, in place of the one that stands there, if any.

    The last key may be new, the others must be there. Raises SourceError.
    """
    *above, last = path
    inside = _inside(text, above)
    for key, node in _elements(inside):
        if key == last:
            start, end = _range(node.children[-1])
            return text[:start] + hcl.written(value) + text[end:]
    line = f"{hcl.written_key(last)} = {hcl.written(value)}\n"
    if inside.data == "body":
        return f"{text.rstrip()}\n\n{line}".lstrip("\n")
    brace = _range(inside)[1] - 1
    before = text[:brace].rstrip(" \t")
    if not before.endswith("\n"):
        before = f"{before.rstrip()}\n"
    return f"{before}{line}{text[brace:]}"


def removed(text: str, path: tuple[str, ...]) -> str:
    """The text without what stands at a path of keys; it must stand on lines of its own.

    Raises SourceError.
    """
    *above, last = path
    for key, node in _elements(_inside(text, above)):
        if key == last:
            first, end = _range(node)
            start = text.rfind("\n", 0, first) + 1
            stop = text.find("\n", end)
            stop = len(text) if stop < 0 else stop + 1
            around = text[start:first] + text[end:stop]
            if around.strip(" \t\r\n,"):
                break
            return text[:start] + text[stop:]
    raise SourceError(f"{'.'.join(path)}: does not stand on lines of its own; remove it by hand.")


def blocks(text: str) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Type, labels and text of each block that stands at the top of a file."""
    for node in hcl.subtrees(hcl.body(_tree(text)), "block"):
        block = hcl.of_block(node, text)
        start, end = _range(node)
        yield block.type, block.labels, text[start:end]


def _tree(text: str) -> Node:
    return hcl.tree_of(Path("the text to write"), text)


def _range(node: object) -> tuple[int, int]:
    """Where a node begins and ends in the text."""
    meta = cast("Node", node).meta
    return meta.start_pos, meta.end_pos


def _inside(text: str, path: list[str]) -> Node:
    """The body of the text, or the object at a path of keys."""
    found = hcl.body(_tree(text))
    for depth, key in enumerate(path, 1):
        under = dict(_elements(found)).get(key)
        found = found if under is None else hcl.inner(cast("Node", under.children[-1]))
        if under is None or found.data != "object":
            raise SourceError(
                f"{'.'.join(path[:depth])}: is no object, so nothing can be put in it."
            )
    return found


def _elements(node: Node) -> Iterator[_Element]:
    for child in node.children:
        if not isinstance(child, Tree):
            continue
        if child.data == "attribute":
            yield hcl.name(child), child
        elif child.data == "object_elem":
            plain = hcl.inner(cast("Node", child.children[0].children[0]))  # type: ignore[union-attr]
            key = hcl.name(plain) if plain.data == "identifier" else hcl.literal(plain)
            if key is not None:
                yield key, child
