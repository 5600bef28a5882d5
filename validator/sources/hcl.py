"""HCL as structure: blocks, attributes with their lines, and what each expression refers to.

Nothing is evaluated here. python-hcl2 and its parser live in this file and in `tfvars.py`.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import hcl2
from lark import Token, Tree
from lark.exceptions import LarkError, UnexpectedToken

from validator.errors import SourceError

TOO_LARGE = 4 * 1024 * 1024
"""Bytes above which a file is refused rather than parsed."""

_KEPT = 64 * 1024
"""Characters up to which a parsed text is kept for the next env."""

T = TypeVar("T")
Node = Tree[Token]
Reference = tuple[str, ...]
"""A reference by its steps, such as ("var", "target", "account_id"); "*" is an index that is computed."""

DIRECTIVE = "%{}"
"""Stands among the functions of an expression that holds a template directive."""

_PASSING = """
can coalesce coalescelist compact concat element flatten join jsonencode merge nonsensitive one
reverse sensitive slice tolist tomap tostring try values
"""
PASSING = frozenset(_PASSING.split())
"""Functions that pass on what they are given, whatever it is."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SCOPES = frozenset(["var", "local", "module", "data", "each", "count", "path", "terraform"])
_CHAINS = frozenset(
    ["get_attr_expr_term", "index_expr_term", "attr_splat_expr_term", "full_splat_expr_term"]
)


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression: its text and line, what it refers to, and the functions that it calls.

    `judged` are those of its references whose value it does not merely pass on: it is compared,
    counted, taken apart, or used as a key. `bare` is the one reference that it consists of, None
    for anything more.
    """

    text: str
    line: int
    references: tuple[Reference, ...]
    judged: frozenset[Reference]
    functions: frozenset[str]
    bare: Reference | None
    node: Node = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Block:
    """One block, or a whole file as a block without type; `blocks` are in the file's order."""

    type: str
    labels: tuple[str, ...]
    line: int
    attributes: Mapping[str, Expression]
    blocks: tuple["Block", ...]

    def of_type(self, type_: str) -> Iterator["Block"]:
        """The blocks of one type that stand directly in this one."""
        return (block for block in self.blocks if block.type == type_)


def tree(file: Path) -> Node:
    """The syntax tree of an HCL file; raises SourceError."""
    return _read(file, text(file), _tree)


def tree_of(file: Path, text: str) -> Node:
    """The syntax tree of a text; raises SourceError, which names it as `file`."""
    return _read(file, text, _tree)


def block(file: Path) -> Block:
    """An HCL file as one block; raises SourceError."""
    return _read(file, text(file), _file)


def of_block(node: Node, text: str) -> Block:
    """A block of a text's syntax tree."""
    first, *rest = words(node)
    return _block(first, tuple(rest), node.meta.line, body(node), text)


def words(node: Node) -> list[str]:
    """What a block of a syntax tree begins with: its type and labels."""
    found = [_label(c) for c in node.children if isinstance(c, Tree) and c.data != "body"]
    return [word for word in found if word is not None]


def written(value: Any) -> str:
    """Plain data as HCL, with every string as literal text.

    python-hcl2's own writer drops the first quote of a text such as `"${x}`.
    """
    if isinstance(value, dict):
        elements = [f"{written_key(key)} = {written(each)}\n" for key, each in value.items()]
        return f"{{\n{''.join(elements)}}}" if elements else "{}"
    if isinstance(value, list):
        return f"[{', '.join(written(each) for each in value)}]"
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("${", "$${").replace("%{", "%%{")


def written_key(key: str) -> str:
    """A key as HCL: bare where it is a name, else in quotes."""
    return key if _NAME.fullmatch(key) else written(key)


def _read(file: Path, text: str, parse: "functools._lru_cache_wrapper[T]") -> T:
    try:
        return parse(text) if len(text) <= _KEPT else parse.__wrapped__(text)
    except LarkError as error:
        line = getattr(error, "line", None)
        place = f"{file}:{line}" if isinstance(line, int) and line > 0 else str(file)
        raise SourceError(f"{place}: not valid HCL: {_reason(error)}") from error
    except _Twice as error:
        raise SourceError(f"{file}:{error}") from error
    except RecursionError as error:
        raise SourceError(f"{file}: nested too deeply to be read.") from error


def _reason(error: LarkError) -> str:
    """Why HCL cannot be parsed, in words that know nothing of the parser."""
    if not isinstance(error, UnexpectedToken):
        return str(error).splitlines()[0]
    if error.token.type == "$END":
        return "it ends before it is complete. Is a bracket or a quote not closed?"
    return f"{str(error.token)!r} is not expected in column {error.column}."


class _Twice(Exception):
    """An attribute is set twice; the text begins with its line."""


def text(file: Path) -> str:
    """The text of a file, with LF line ends and no byte-order mark; raises SourceError."""
    try:
        if file.stat().st_size > TOO_LARGE:
            raise SourceError(f"{file}: larger than {TOO_LARGE} bytes; refusing to read it.")
        content = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise SourceError(f"{file}: missing. Every env declares its estate there.") from None
    except OSError as error:
        raise SourceError(f"{file}: cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{file}: not UTF-8 text (byte {error.start}).") from error
    content = content.replace("\r\n", "\n")
    return content if content.endswith("\n") else f"{content}\n"


# Envs share their modules, and often whole files: each text is parsed once.
@functools.lru_cache(maxsize=1024)
def _tree(text: str) -> Node:
    return _parsed(text)


def _parsed(text: str) -> Node:
    return cast("Node", hcl2.parses_to_tree(text))


@functools.lru_cache(maxsize=1024)
def _file(text: str) -> Block:
    return _block("", (), 1, body(_parsed(text)), text)


def _block(type_: str, labels: tuple[str, ...], line: int, inner: Node, text: str) -> Block:
    attributes: dict[str, Expression] = {}
    blocks: list[Block] = []
    for child in inner.children:
        if not isinstance(child, Tree):
            continue
        if child.data == "attribute":
            if name(child) in attributes:
                raise _Twice(f"{child.meta.line}: {name(child)!r} is set twice in one block.")
            attributes[name(child)] = _expression(cast("Node", child.children[-1]), text)
        elif child.data == "block":
            blocks.append(of_block(child, text))
    return Block(type_, labels, line, attributes, tuple(blocks))


def _label(node: Node) -> str | None:
    if node.data == "new_line_or_comment":
        return None
    return "".join(
        str(token)
        for token in node.scan_values(lambda token: isinstance(token, Token))
        if token != '"'
    )


def body(node: Node) -> Node:
    """The body of a block or file; an empty one if it has none."""
    return next(iter(subtrees(node, "body")), Tree("body", []))


def subtrees(node: Node, *names: str) -> list[Node]:
    """The direct children with one of these grammar names."""
    return [c for c in node.children if isinstance(c, Tree) and c.data in names]


def parts(node: Node) -> list[Node]:
    """The direct children that are more than line ends, comments and punctuation."""
    return [c for c in node.children if isinstance(c, Tree) and c.data != "new_line_or_comment"]


def name(node: Node) -> str:
    """The first word of a node: an attribute's, a block's or a function's name."""
    return str(next(node.scan_values(lambda token: isinstance(token, Token))))


def inner(node: Node) -> Node:
    """The expression without the `expr_term` wrappers, parentheses and line ends around it."""
    while node.data == "expr_term":
        found = parts(node)
        if len(found) != 1:
            break
        node = found[0]
    return node


def _expression(node: Node, text: str) -> Expression:
    plain = inner(node)
    found = _Found()
    _collect(plain, frozenset(), False, found)
    chain = _chain(plain) if plain.data in _CHAINS else None
    bare = chain[0] if chain is not None and not chain[1] and "*" not in chain[0] else None
    meta = node.meta
    return Expression(
        text=text[meta.start_pos : meta.end_pos].strip() if not meta.empty else "",
        line=1 if meta.empty else meta.line,
        references=tuple(sorted(found.references)),
        judged=frozenset(found.judged),
        functions=frozenset(found.functions),
        bare=bare,
        node=node,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What is found on the way through an expression."""

    references: set[Reference] = field(default_factory=set)
    judged: set[Reference] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)

    def add(self, reference: Reference, judged: bool) -> None:
        self.references.add(reference)
        if judged:
            self.judged.add(reference)


def _collect(node: Node, bound: frozenset[str], judged: bool, found: _Found) -> None:
    """Adds every reference and function of an expression; `bound` are the names of `for` loops.

    `judged` is true where more is done with a value than passing it on.
    """
    kind = str(node.data)
    if kind in _CHAINS:
        chain = _chain(node)
        if chain is not None:
            reference, others = chain
            if reference[0] not in bound:
                found.add(reference, judged)
            for other in others:
                _collect(other, bound, True, found)
            return
        base, access = (cast("Node", child) for child in node.children)
        indices: list[Node] = []
        _steps(access, [], indices)
        _collect(base, bound, judged, found)
        for index in indices:
            _collect(index, bound, True, found)
        return
    if kind == "identifier":
        if str(node.children[0]) not in bound:
            found.add((str(node.children[0]),), judged)
        return
    if kind in {"for_tuple_expr", "for_object_expr"}:
        _collect_for(node, bound, judged, found)
        return
    if kind == "conditional":
        condition, *arms = parts(node)
        _collect(condition, bound, True, found)
        for arm in arms:
            _collect(arm, bound, judged, found)
        return
    if kind == "function_call":
        called = "::".join(str(n.children[0]) for n in subtrees(node, "identifier"))
        found.functions.add(called)
        for argument in subtrees(node, "arguments"):
            _collect(argument, bound, judged or called not in PASSING, found)
        return
    if kind == "object_elem_key":
        if key(node) is not None:
            return
        judged = True
    elif kind in {"binary_op", "unary_op"}:
        judged = True
    elif kind.startswith("template_"):
        found.functions.add(DIRECTIVE)
    for child in node.children:
        if isinstance(child, Tree):
            _collect(child, bound, judged, found)
        elif child.type in {"HEREDOC_TEMPLATE", "HEREDOC_TEMPLATE_TRIM"}:
            _collect_heredoc(str(child), bound, judged, found)
        elif child.type.startswith("ESCAPED_") and re.search(r"[$%]\{", child[3:]):
            # The parser takes all up to the next brace for escaped text, also a template in it.
            found.functions.add(DIRECTIVE)


def _collect_for(node: Node, bound: frozenset[str], judged: bool, found: _Found) -> None:
    """A `for` judges its collection where it judges what it takes from there: the values, for keys
    are judged where they are made."""
    intro, *results = parts(node)
    condition = results.pop() if results[-1].data == "for_cond" else None
    names = [str(n.children[0]) for n in subtrees(intro, "identifier")]
    body = _Found()
    if condition is not None:
        _collect(condition, frozenset(), True, body)
    for result in results[:-1]:  # the key
        _collect(result, frozenset(), True, body)
    _collect(results[-1], frozenset(), judged, body)
    own = {name for name in names if name not in _SCOPES}
    for reference in body.references:
        if reference[0] not in bound | own:
            found.add(reference, reference in body.judged)
    found.functions.update(body.functions)
    worked = any(reference[0] == names[-1] for reference in body.judged)
    _collect(parts(intro)[-1], bound, judged or worked, found)


def _collect_heredoc(text: str, bound: frozenset[str], judged: bool, found: _Found) -> None:
    """A heredoc is one token to the parser: its templates are read as expressions of their own."""
    if re.search(r"(?<!%)%\{", text):
        found.functions.add(DIRECTIVE)
    for start in re.finditer(r"(?<!\$)\$\{", text):
        depth, end = 1, start.end()
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        try:
            inside = body(_parsed(f"x = ({text[start.end() : end - 1].strip('~')})\n"))
        except LarkError:
            found.functions.add(DIRECTIVE)
            continue
        _collect(parts(parts(inside)[0])[-1], bound, judged, found)


def _chain(node: Node) -> tuple[Reference, list[Node]] | None:
    """A reference by its steps, and the expressions in its indices; None if it is no reference."""
    steps: list[str] = []
    others: list[Node] = []
    while True:
        node = inner(node)
        if node.data == "identifier":
            return (str(node.children[0]), *reversed(steps)), others
        if node.data not in _CHAINS:
            return None
        base, access = (cast("Node", child) for child in node.children)
        taken: list[str] = []
        _steps(access, taken, others)
        steps += reversed(taken)
        node = base


def _steps(access: Node, taken: list[str], others: list[Node]) -> None:
    if access.data == "get_attr":
        taken.append(name(cast("Node", access.children[-1])))
    elif access.data == "short_index":
        taken.append(str(access.children[-1]))
    elif access.data == "braces_index":
        index = inner(
            next(
                c
                for c in access.children
                if isinstance(c, Tree) and c.data != "new_line_or_comment"
            )
        )
        written = literal(index)
        taken.append("*" if written is None else written)
        if written is None:
            others.append(index)
    else:  # a splat
        taken.append("*")
        for each in access.children:
            if isinstance(each, Tree):
                _steps(each, taken, others)


def literal(node: Node) -> str | None:
    """The text of a whole number or of a string without templates, as it is written; else None."""
    if node.data == "int_lit":
        return str(node.children[0])
    if node.data == "string" and all(
        t.data in {"string", "string_part"} for t in node.iter_subtrees()
    ):
        return _label(node)
    return None


def key(node: Node) -> str | None:
    """The name that the key of an object's element is, None where it must be evaluated."""
    found = parts(node)[0]
    if found.data == "keyword":
        return str(found.children[0])
    plain = inner(found)
    parenthesised = any(isinstance(child, Token) for child in found.children)
    return str(plain.children[0]) if plain.data == "identifier" and not parenthesised else None


def reference(node: Node) -> Reference | None:
    """The one reference that a node is, None if it is anything else or has a computed index."""
    chain = _chain(node)
    return chain[0] if chain is not None and not chain[1] and "*" not in chain[0] else None


def mapping(expression: Expression) -> Mapping[str, str]:
    """The keys and values, as they are written, of an object of plain references such as `providers`."""
    found: dict[str, str] = {}
    for element in subtrees(inner(expression.node), "object_elem"):
        key, value = (inner(cast("Node", n)) for n in (element.children[0], element.children[-1]))
        if key.data == "object_elem_key":
            key = inner(cast("Node", key.children[0]))
        written = reference(key) or ((name(key),) if key.data == "identifier" else None)
        wired = reference(value) or ((name(value),) if value.data == "identifier" else None)
        if written is not None and wired is not None:
            found[".".join(written)] = ".".join(wired)
    return found
