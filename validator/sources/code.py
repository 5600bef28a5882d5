"""The code view: an `Estate` from an env's HCL alone, with no provider, credentials or network.

tfparse evaluates the expressions, modules, `for_each` and dynamic blocks. What it cannot know it
writes as null, as a marker of the reference, as the raw template or as an invented id, and sometimes
it leaves a module or resource out. So no value of it counts as known by its looks: every reference
behind an expression is followed through the HCL itself, and one that leads to something computed, or
to nothing, makes the value `Unknown`.
"""

import functools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from validator.errors import SourceError
from validator.model import Estate, Placement, Provider, Unknown
from validator.sources import hcl, tfvars
from validator.sources.evaluate import evaluated
from validator.sources.hcl import Block, Expression, Reference
from validator.sources.resources import READ, Resources, placer
from validator.sources.tfvars import Declared

Json = dict[str, Any]

_INDEX = re.compile(r'\["(?:[^"\\]|\\.)*"\]|\[\d+\]')
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_META = frozenset(
    [
        "connection",
        "count",
        "depends_on",
        "for_each",
        "lifecycle",
        "provider",
        "provisioner",
        "timeouts",
    ]
)
"""What stands in a resource for Terraform's own sake."""
_DEEPEST = 32
"""How many modules, or references, are followed into each other."""
_DOCUMENT = "aws_iam_policy_document"
_JSON = frozenset(["json", "minified_json"])
_FUNCTIONS = """
abs alltrue anytrue base64decode base64encode can ceil chomp chunklist cidrhost cidrnetmask
cidrsubnet cidrsubnets coalesce coalescelist compact concat contains distinct element endswith
flatten floor format formatlist indent index join jsondecode jsonencode keys length log lookup
lower max merge md5 min nonsensitive one parseint pow range regex regexall replace reverse
sensitive setintersection setproduct setsubtract setunion sha1 sha256 signum slice sort split
startswith strcontains strrev substr sum title tobool tolist tomap tonumber toset tostring
transpose trim trimprefix trimspace trimsuffix try upper values zipmap
"""
_PURE = frozenset(_FUNCTIONS.split())
"""Terraform's functions whose value depends on their arguments alone."""


_Key = tuple[int, Reference, tuple[int, ...]]


class _Blind(Exception):
    """An expression cannot be known; the text is the reason."""


@dataclass(frozen=True, eq=False)
class _Module:
    """One module call, or the root: its blocks and where it was called from."""

    address: str
    directory: Path
    blocks: tuple[tuple[Path, Block], ...]
    parent: "_Module | None" = None
    call: Block | None = None
    children: dict[str, "_Module"] = field(default_factory=dict)

    @functools.cached_property
    def locals(self) -> Mapping[str, Expression]:
        found: dict[str, Expression] = {}
        for _, block in self.blocks:
            if block.type == "locals":
                found |= block.attributes
        return found

    @functools.cached_property
    def named(self) -> Mapping[tuple[str, ...], tuple[Path, Block]]:
        """Each block that has labels, by its type and labels."""
        return {(b.type, *b.labels): (file, b) for file, b in self.blocks if b.labels}

    def get(self, *name: str) -> Block | None:
        found = self.named.get(name)
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where an expression stands: its module, and the blocks around it that bind `each` or a name.

    `repeated` is the block whose `for_each` or `count` binds each and count; `iterators` are the
    `for_each` expressions of the dynamic blocks around it, by the name that they bind.
    """

    module: _Module
    repeated: Block | None = None
    iterators: tuple[tuple[str, Expression], ...] = ()


class _Code:
    """An env's code, parsed and evaluated."""

    def __init__(self, directory: Path, declared: Declared) -> None:
        self.declared = declared
        self.root = _module("", directory, None, None, ())
        self.objects: dict[str, Json] = {}
        self.by_path: dict[str, list[Json]] = {}
        for items in evaluated(directory, declared.file.name).values():
            for item in items:
                meta = item["__tfmeta"]
                self.objects[item["id"]] = item
                self.by_path.setdefault(str(meta["path"]), []).append(item)
        self._why: dict[_Key, str | None] = {}
        self._open: set[_Key] = set()

    # What is known.

    def check(self, expression: Expression, scope: _Scope) -> None:
        """Raises _Blind unless everything that an expression refers to is known."""
        odd = sorted(expression.functions - _PURE)
        if odd:
            raise _Blind(f"{_short(expression)} calls {odd[0]}, which is not evaluated here")
        for reference in expression.references:
            bound = (id(scope.repeated), *(id(each) for _, each in scope.iterators))
            key = (id(scope.module), reference, bound)
            if key in self._open:
                raise _Blind(f"{'.'.join(reference)} refers to itself")
            if key not in self._why:
                self._open.add(key)
                try:
                    self._follow(reference, scope)
                    self._why[key] = None
                except _Blind as blind:
                    self._why[key] = str(blind)
                finally:
                    self._open.discard(key)
            reason = self._why[key]
            if reason is not None:
                raise _Blind(reason)

    def _follow(self, reference: Reference, scope: _Scope) -> None:
        """Raises _Blind unless what a reference names is known."""
        head, module = reference[0], scope.module
        for number, (name, for_each) in reversed(list(enumerate(scope.iterators))):
            if head == name:
                outer = _Scope(module, scope.repeated, scope.iterators[:number])
                self.check(for_each, outer)
                return
        written = ".".join(reference)
        match head:
            case "var" if len(reference) > 1:
                self._follow_variable(module, reference[1], written)
            case "local" if len(reference) > 1 and reference[1] in module.locals:
                self.check(module.locals[reference[1]], _Scope(module))
            case "module" if len(reference) > 2:
                onward = self._onward(reference, module)
                if onward is None:
                    raise _Blind(f"{written} is not an output that can be read")
                self.check(*onward)
            case "data" if len(reference) > 3:
                document = module.get("data", *reference[1:3])
                if reference[1] != _DOCUMENT or document is None or reference[-1] not in _JSON:
                    raise _Blind(f"{written} is read from AWS")
                self.check_block(document, _Scope(module, document))
            case "each" | "count" if scope.repeated is not None:
                meta = "for_each" if head == "each" else "count"
                repeated = scope.repeated.attributes.get(meta)
                if repeated is None:
                    raise _Blind(f"{written} stands where there is no {meta}")
                outside = scope.module
                if scope.repeated is module.call and module.parent is not None:
                    outside = module.parent
                self.check(repeated, _Scope(outside))
            case "path" if reference[1:] in {("module",), ("root",)}:
                pass
            case _:
                self._follow_resource(reference, module, written)

    def _follow_variable(self, module: _Module, name: str, written: str) -> None:
        block = module.get("variable", name)
        if module.parent is None:
            if name in self.declared.values:
                return
        elif module.call is not None and name in module.call.attributes:
            scope = _Scope(module.parent, module.call)
            self.check(module.call.attributes[name], scope)
            return
        if block is None or "default" not in block.attributes:
            raise _Blind(f"{written} has no value")
        self.check(block.attributes["default"], _Scope(module))

    def _follow_resource(self, reference: Reference, module: _Module, written: str) -> None:
        block = module.get("resource", *reference[:2])
        if block is None:
            raise _Blind(f"{written} is not known to this view")
        attribute = _attribute(reference, block)
        scope = _Scope(module, block)
        if block.labels[0] == "aws_iam_role" and attribute in {"arn", "id", "name"}:
            # A role's ARN is its account, path and name; its id is its name.
            for given in {"name", "path"} if attribute == "arn" else {"name"}:
                if given in block.attributes:
                    self.check(block.attributes[given], scope)
                elif given == "name":
                    raise _Blind(f"{written} is made up by AWS")
            return
        if attribute not in block.attributes:
            raise _Blind(f"{written} is known only after apply")
        self.check(block.attributes[attribute], scope)

    def check_block(self, block: Block, scope: _Scope) -> None:
        """Raises _Blind unless every attribute and nested block of a block is known."""
        for name, expression in block.attributes.items():
            if name not in _META:
                self.check(expression, scope)
        for inner in block.blocks:
            if inner.type in _META:
                continue
            body, within = self._body(inner, scope)
            self.check_block(body, within)

    def _body(self, block: Block, scope: _Scope) -> tuple[Block, _Scope]:
        """What a nested block repeats, and where that stands; raises _Blind."""
        if block.type != "dynamic":
            return block, scope
        content = next(block.of_type("content"), None)
        for_each = block.attributes.get("for_each")
        if content is None or for_each is None or not block.labels:
            raise _Blind(f"the dynamic block in line {block.line} is not whole")
        self.check(for_each, scope)
        iterator = block.attributes.get("iterator")
        name = iterator.text if iterator else block.labels[0]
        return content, _Scope(scope.module, scope.repeated, (*scope.iterators, (name, for_each)))

    # Values.

    def plain(self, value: Any, expression: Expression) -> Any:
        """A value of tfparse for an expression that is known; raises _Blind for what it could not do."""
        if value is None:
            if expression.text == "null":
                return None
            raise _Blind(f"{_short(expression)} could not be evaluated")
        if isinstance(value, dict):
            if "__attribute__" in value:
                raise _Blind(f"{_short(expression)} could not be evaluated")
            return {key: self.plain(each, expression) for key, each in value.items()}
        if isinstance(value, list):
            return [self.plain(each, expression) for each in value]
        if not isinstance(value, str):
            return value
        item = self.objects.get(value)
        if item is not None and item["__tfmeta"].get("label") == _DOCUMENT:
            return self.document(item)
        text = _ID.sub(lambda found: self._stands_for(found[0], expression), value)
        if "${" in text and "$${" not in expression.text:
            raise _Blind(f"{_short(expression)} could not be evaluated")
        if expression.functions and _holds_null(text):
            raise _Blind(f"a function in {_short(expression)} could not be evaluated")
        return text

    def _stands_for(self, identifier: str, expression: Expression) -> str:
        """The text for an id that tfparse made up, or the same text if it did not."""
        item = self.objects.get(identifier)
        if item is None:
            return identifier
        if item["__tfmeta"].get("label") == "aws_iam_role":
            resource = self.resource(item)
            name, path = resource.value("name"), resource.value("path") or "/"
            account = resource.account_id
            if isinstance(name, str) and isinstance(path, str) and isinstance(account, str):
                return f"arn:{_partition(resource.region)}:iam::{account}:role{path}{name}"
        raise _Blind(f"{_short(expression)} holds what is known only after apply")

    def document(self, item: Json) -> str:
        """The JSON that an aws_iam_policy_document writes; raises _Blind."""
        module = self.module(str(item["__tfmeta"]["path"]))
        block = module.get("data", *_plain_path(item)[-2:])
        if block is None:
            raise _Blind(f"{item['__tfmeta']['path']} is not in the code")
        self._complete(item, block, module)
        body = self.body_value(block, item, _Scope(module, block))
        return json.dumps(_policy_document(body, str(item["__tfmeta"]["path"])))

    def body_value(self, block: Block, item: Json, scope: _Scope) -> Json:
        """The attributes and nested blocks of a block as plain data; raises _Blind."""
        found: Json = {}
        for name, expression in block.attributes.items():
            if name not in _META:
                self.check(expression, scope)
                found[name] = self.plain(item.get(name), expression)
        for name in {_block_name(inner) for inner in block.blocks} - _META:
            found[name] = self.nested(block, name, item, scope)
        return found

    def nested(self, block: Block, name: str, item: Json, scope: _Scope) -> list[Json]:
        """The nested blocks of one name as plain data; raises _Blind where one may be missing."""
        given = item.get(name)
        rendered = given if isinstance(given, list) else [] if given is None else [given]
        by_line: dict[int, list[Json]] = {}
        for each in rendered:
            if not isinstance(each, dict) or "__tfmeta" not in each:
                raise _Blind(f"the block {name} in line {block.line} could not be evaluated")
            by_line.setdefault(int(each["__tfmeta"]["line_start"]), []).append(each)
        found: list[Json] = []
        for inner in block.blocks:
            if _block_name(inner) != name:
                continue
            body, within = self._body(inner, scope)
            mine = by_line.pop(body.line, [])
            self._expect(inner, len(mine), scope, item)
            found += [self.body_value(body, each, within) for each in mine]
        if by_line:
            raise _Blind(f"a block {name} in line {block.line} has no origin")
        return found

    def _expect(self, block: Block, seen: int, scope: _Scope, item: Json) -> None:
        """Raises _Blind if tfparse may have left repetitions of a nested block out."""
        if block.type != "dynamic":
            if seen != 1:
                raise _Blind(f"the block {block.type} in line {block.line} is missing")
            return
        if seen == 0 and self.simple(block.attributes["for_each"], scope, _instance(item)) not in (
            [],
            {},
        ):
            raise _Blind(f"the dynamic block in line {block.line} could not be evaluated")

    def simple(self, expression: Expression, scope: _Scope, instance: str) -> Any:
        """The value of a literal, variable, local or a choice between such, None for anything else.

        It settles what tfparse does not show: whether nothing came out because nothing was to.
        """
        return self._simple(hcl.inner(expression.node), scope.module, instance)

    def _simple(self, node: hcl.Node, module: _Module, instance: str) -> Any:
        match str(node.data):
            case "literal_value":
                return {"true": True, "false": False}.get(str(node.children[0]))
            case "int_lit":
                return int(str(node.children[0]))
            case "tuple" if not list(node.find_pred(lambda n: n.data == "expr_term")):
                return []
            case "object" if not hcl.subtrees(node, "object_elem"):
                return {}
            case "conditional":
                arms = [hcl.inner(each) for each in hcl.parts(node)]
                chosen = self._simple(arms[0], module, instance)
                if chosen is True or chosen is False:
                    return self._simple(arms[1 if chosen else 2], module, instance)
            case "function_call" if hcl.name(node) in {"toset", "tolist", "tomap"}:
                arguments = [n for a in hcl.subtrees(node, "arguments") for n in hcl.parts(a)]
                if len(arguments) == 1:
                    return self._simple(hcl.inner(arguments[0]), module, instance)
            case "get_attr_expr_term":
                reference = hcl.reference(node)
                if reference is not None and len(reference) > 1:
                    return self._named(reference, module, instance)
            case _:
                pass
        return None

    def _named(self, reference: Reference, module: _Module, instance: str) -> Any:
        """The value of a variable or local in one instance of a module, None if it is not known."""
        name = reference[1]
        value: Any = None
        prefix = f"{instance}." if instance else ""
        if reference[0] == "local":
            for item in self.by_path.get(f"{prefix}locals", []):
                value = item.get(name, value)
        elif reference[0] == "var":
            value = self.declared.values.get(name) if not instance else None
            if instance:
                for item in self.by_path.get(instance, []):
                    value = item.get(name)
            if value is None:
                for item in self.by_path.get(f"{prefix}variable.{name}", []):
                    value = item.get("default")
        for step in reference[2:]:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    # Modules and resources.

    def module(self, path: str) -> _Module:
        """The module that an address stands in."""
        module = self.root
        steps = _split(path)
        while len(steps) > 2 and steps[0] == "module":
            module = module.children[steps[1]]
            steps = steps[2:]
        return module

    def resource(self, item: Json) -> "_Resource":
        """A resource as the estate reads it."""
        path = str(item["__tfmeta"]["path"])
        module = self.module(path)
        file, block = module.named[("resource", *_plain_path(item)[-2:])]
        return _Resource(self, item, module, block, file)

    def modules(self, module: _Module | None = None) -> Iterator[_Module]:
        """The root, and every module under it."""
        module = module or self.root
        yield module
        for child in module.children.values():
            yield from self.modules(child)

    def resources(self) -> Resources:
        """Every resource that an estate is made of, and what may be missing among them."""
        missed: dict[str, Unknown] = {}
        self._find_missed(self.root, [""], missed)
        seen = tuple(
            self.resource(item)
            for path in sorted(self.by_path)
            for item in self.by_path[path]
            if item["__tfmeta"].get("type") == "resource" and item["__tfmeta"]["label"] in READ
        )
        return Resources(seen, missed)

    def _find_missed(
        self, module: _Module, instances: list[str], missed: dict[str, Unknown]
    ) -> None:
        """Adds the types of resource of which tfparse may have left some out."""
        for file, block in module.blocks:
            if block.type == "resource" and len(block.labels) == 2 and block.labels[0] in READ:
                for instance in instances:
                    address = ".".join(filter(None, (instance, *block.labels)))
                    reason = self._missing(block, module, address, instance)
                    if reason is not None:
                        missed[block.labels[0]] = Unknown(f"{file}:{block.line}: {reason}")
            if block.type == "module" and block.labels:
                found = []
                for instance in instances:
                    address = ".".join(filter(None, (instance, "module", block.labels[0])))
                    reason = self._missing(block, module, address, instance)
                    if block.labels[0] not in module.children:
                        reason = f"module {block.labels[0]} is not in this checkout"
                    if reason is not None:
                        missed["*"] = Unknown(f"{file}:{block.line}: {reason}")
                    found += self._instances(address)
                if block.labels[0] in module.children:
                    self._find_missed(module.children[block.labels[0]], found, missed)
        for file, reason in _unread(module.directory):
            missed["*"] = Unknown(f"{file}: {reason}")

    def _instances(self, address: str) -> list[str]:
        return [
            path
            for path in self.by_path
            if path == address
            or (path.startswith(f"{address}[") and _INDEX.fullmatch(path[len(address) :]))
        ]

    def _missing(self, block: Block, module: _Module, address: str, instance: str) -> str | None:
        """Why the block at an address may stand for more than tfparse shows, None if it does not."""
        seen = len(self._instances(address))
        repeated = block.attributes.get("for_each") or block.attributes.get("count")
        if repeated is None:
            return None if seen == 1 else f"{address} was left out by the evaluation"
        try:
            self.check(repeated, _Scope(module))
        except _Blind as blind:
            return f"it is not known how many of {address} there are: {blind}"
        if seen == 0 and self.simple(repeated, _Scope(module), instance) not in (0, [], {}):
            return f"{address} was left out by the evaluation"
        return None

    def _complete(self, item: Json, block: Block, module: _Module) -> None:
        """Raises _Blind unless it is known that the block stands for what tfparse shows."""
        repeated = block.attributes.get("for_each") or block.attributes.get("count")
        if repeated is not None:
            self.check(repeated, _Scope(module))

    def trace(
        self,
        expression: Expression,
        scope: _Scope,
        name: str,
        file: Path,
        steps: dict[str, None],
        depth: int = 0,
    ) -> None:
        """Adds the steps that lead to an expression, and the expression itself, each once."""
        own = f"{file}:{expression.line} {name} = {_short(expression)}"
        if own in steps or depth > _DEEPEST:
            return
        for reference in expression.references:
            module = scope.module
            if reference[0] == "var" and len(reference) > 1 and module.parent is None:
                path = [step for step in reference[1:] if step != "*"]
                steps[f"{self.declared.where(*path)} {'.'.join(path)}"] = None
                continue
            block = None
            if reference[0] == "data" and len(reference) > 2:
                block = module.named.get(("data", *reference[1:3]))
            if block is not None:
                self._trace_block(block[1], scope, ".".join(reference[:3]), block[0], steps, depth)
                continue
            onward = self._onward(reference, module)
            if onward is not None:
                within = onward[1].module
                of = f"{within.address}: " if within.address else ""
                label = f"{of}{'.'.join(reference[:3])}"
                place = _file_of(onward[0], within)
                self.trace(*onward, label, place, steps, depth + 1)
        steps[own] = None

    def _trace_block(
        self,
        block: Block,
        scope: _Scope,
        name: str,
        file: Path,
        steps: dict[str, None],
        depth: int,
    ) -> None:
        for attribute, expression in block.attributes.items():
            if expression.references:
                self.trace(expression, scope, f"{name}: {attribute}", file, steps, depth + 1)
        for inner in block.blocks:
            self._trace_block(inner, scope, name, file, steps, depth)

    # Providers.

    def provider(self, module: _Module, key: str) -> Json:
        """The root's provider configuration that a module knows as `key`; raises _Blind."""
        if any(block.type == "provider" for _, block in module.blocks) and module.parent:
            raise _Blind(f"module {module.address} configures providers of its own")
        if module.parent is None:
            name, _, alias = key.partition(".")
            found = [
                item
                for item in self.by_path.get(f"provider.{name}", [])
                if item.get("alias", "") == alias
            ]
            if len(found) != 1:
                raise _Blind(f"there are {len(found)} configurations of provider {key}")
            return found[0]
        assert module.call is not None
        wiring = module.call.attributes.get("providers")
        if wiring is None:
            if "." in key:
                raise _Blind(f"module {module.address} is not given provider {key}")
            return self.provider(module.parent, key)
        wired = hcl.mapping(wiring).get(key)
        if wired is None:
            raise _Blind(f"module {module.address} is not given provider {key}")
        return self.provider(module.parent, wired)

    def provider_value(self, item: Json, name: str) -> Any:
        """What a provider configuration of the root sets `name` to, None if nothing; raises _Blind."""
        block = self.provider_block(item)
        if name not in block.attributes:
            return None
        expression = block.attributes[name]
        self.check(expression, _Scope(self.root))
        return self.plain(item.get(name), expression)

    def provider_block(self, item: Json) -> Block:
        """The block of a provider configuration of the root."""
        meta = item["__tfmeta"]
        for file, block in self.root.blocks:
            place = (file.name, block.line)
            if block.type == "provider" and place == (meta["filename"], meta["line_start"]):
                return block
        raise _Blind(f"provider in {meta['filename']}:{meta['line_start']} is not in the code")

    def terminals(
        self, expression: Expression, scope: _Scope, type_: str, depth: int = 0
    ) -> set[str]:
        """The addresses, without indices, of the resources of a type that an expression leads to."""
        if depth > _DEEPEST:
            return set()
        found: set[str] = set()
        for reference in expression.references:
            module = scope.module
            onward = self._onward(reference, module)
            if reference[0] == "each" and scope.repeated is not None:
                repeated = scope.repeated.attributes.get("for_each")
                onward = (repeated, _Scope(module)) if repeated is not None else None
            if reference[0] == type_ and module.get("resource", *reference[:2]):
                found.add(".".join(filter(None, (module.address, *reference[:2]))))
            if onward is not None:
                found |= self.terminals(*onward, type_, depth + 1)
        return found

    def bare_end(self, expression: Expression, scope: _Scope, type_: str, value: Any) -> str | None:
        """The one resource of a type that an expression is a plain reference to, None if it is not.

        `value` is its name, which tells the instances of a repeated resource apart.
        """
        for _ in range(_DEEPEST):
            reference, module = expression.bare, scope.module
            if reference is None or len(reference) < 2:
                return None
            if reference[0] == type_:
                static = ".".join(filter(None, (module.address, *reference[:2])))
                same = [p for p in self.by_path if _INDEX.sub("", p) == static]
                named = [p for p in same if self.by_path[p][0].get("name") == value]
                found = named if len(same) > 1 and value is not None else same
                return found[0] if len(found) == 1 else None
            onward = self._onward(reference, module)
            if onward is None:
                return None
            expression, scope = onward
        return None

    def _onward(self, reference: Reference, module: _Module) -> tuple[Expression, _Scope] | None:
        """The expression behind a reference to a variable, local or output, and where it stands."""
        match reference[0]:
            case "var" if len(reference) > 1 and module.call and module.parent:
                if reference[1] in module.call.attributes:
                    call = module.call.attributes[reference[1]]
                    return call, _Scope(module.parent, module.call)
            case "local" if len(reference) > 1 and reference[1] in module.locals:
                return module.locals[reference[1]], _Scope(module)
            case "module" if len(reference) > 2 and reference[1] in module.children:
                child = module.children[reference[1]]
                for name in reference[2:4]:
                    output = child.get("output", name)
                    if output is not None and "value" in output.attributes:
                        return output.attributes["value"], _Scope(child)
            case _:
                pass
        return None


@dataclass(frozen=True, slots=True)
class _Resource:
    """One resource of the code."""

    code: _Code
    item: Json
    module: _Module
    block: Block
    file: Path

    @property
    def address(self) -> str:
        return str(self.item["__tfmeta"]["path"])

    @property
    def type(self) -> str:
        return self.block.labels[0]

    @property
    def where(self) -> str:
        place = f"{self.file}:{self.block.line}"
        return f"{place} ({self.address})" if self.module.parent else place

    @property
    def account_id(self) -> str | Unknown:
        return _account(self.code, self._provider)

    @property
    def region(self) -> str | Unknown:
        own = self.value("region")
        if own is not None:
            return own if isinstance(own, (str, Unknown)) else Unknown("its Region is no text")
        return _known(lambda: self.code.provider_value(self._provider(), "region"), "its Region")

    def _provider(self) -> Json:
        named = self.block.attributes.get("provider")
        return self.code.provider(self.module, named.text if named else "aws")

    def given(self, attribute: str) -> bool:
        return attribute in self.block.attributes or any(
            _block_name(inner) == attribute for inner in self.block.blocks
        )

    def value(self, attribute: str) -> Any:
        scope = _Scope(self.module, self.block)
        expression = self.block.attributes.get(attribute)
        try:
            if expression is not None:
                self.code.check(expression, scope)
                return self.code.plain(self.item.get(attribute), expression)
            if self.given(attribute):
                return self.code.nested(self.block, attribute, self.item, scope)
        except _Blind as blind:
            return Unknown(f"{self.address}.{attribute} is not known from the code: {blind}")
        return None

    def linked(self, attribute: str, type_: str) -> tuple[str, ...] | Unknown:
        expression = self.block.attributes.get(attribute)
        if expression is None:
            return ()
        ends = self.code.terminals(expression, _Scope(self.module, self.block), type_)
        value = self.item.get(attribute)
        found = []
        for each in value if isinstance(value, list) else [value]:
            address = self._end(each, ends, type_, expression)
            if address is None:
                return Unknown(f"{self.address}.{attribute} does not lead to one {type_}")
            found.append(address)
        return tuple(found)

    def _end(self, value: Any, ends: set[str], type_: str, expression: Expression) -> str | None:
        """The one resource that a value stands for, by tfparse's id of it or by its name."""
        item = self.code.objects.get(value) if isinstance(value, str) else None
        if item is not None and item["__tfmeta"].get("label") == type_:
            path = str(item["__tfmeta"]["path"])
            return path if _INDEX.sub("", path) in ends else None
        return self.code.bare_end(expression, _Scope(self.module, self.block), type_, value)


def read(directory: Path, declared: Declared, env: str) -> Estate:
    """The estate that the code of an env declares.

    Raises SourceError for HCL that is broken, empty or calls itself, and for values that Terraform
    would also load from another file.
    """
    try:
        return _estate(_Code(directory, declared), declared, env)
    except RecursionError as error:
        raise SourceError(f"{directory}: its expressions are nested too deeply.") from error


def tracer(directory: Path, declared: Declared) -> Callable[[str], tuple[str, ...]]:
    """A function that says where the values of a resource come from, given its place in the code.

    Its answer goes from the declared values through module calls to the resource, a line for each
    step; it is empty for a place that holds no resource.
    """
    code = _Code(directory, declared)
    places = {
        resource.where: resource
        for path in sorted(code.by_path)
        for item in code.by_path[path]
        if item["__tfmeta"].get("type") == "resource"
        for resource in [code.resource(item)]
    }

    def trace(where: str) -> tuple[str, ...]:
        resource = places.get(where)
        if resource is None:
            return ()
        steps: dict[str, None] = {}
        scope = _Scope(resource.module, resource.block)
        for name, expression in resource.block.attributes.items():
            if name not in _META and expression.references:
                code.trace(expression, scope, f"{resource.address}: {name}", resource.file, steps)
        return tuple(steps)

    return trace


def _estate(code: _Code, declared: Declared, env: str) -> Estate:
    target, staging, orchestration = tfvars.accounts(declared)
    return tfvars.estate(
        declared,
        env,
        "code",
        placer(code.resources(), (target, *staging, orchestration)),
        providers=tuple(_providers(code)),
        placements=tuple(_placements(code, declared)),
    )


def _providers(code: _Code) -> Iterator[Provider]:
    for file, block in code.root.blocks:
        if block.type != "provider" or block.labels != ("aws",):
            continue
        alias = block.attributes.get("alias")
        key = f"aws.{alias.text.strip(chr(34))}" if alias else "aws"
        assumes = list(block.of_type("assume_role"))
        yield Provider(
            name=key,
            where=f"{file}:{block.line}",
            region=_known(functools.partial(_setting, code, key, "region"), f"the Region of {key}"),
            allowed=_allowed(code, functools.partial(code.provider, code.root, key)),
            role_account_id=_assumed(code, key, block) if assumes else None,
        )


def _setting(code: _Code, key: str, name: str) -> Any:
    return code.provider_value(code.provider(code.root, key), name)


def _assumed(code: _Code, key: str, block: Block) -> str | Unknown:
    """The account of the role that a provider assumes."""
    try:
        item = code.provider(code.root, key)
        (assumed,) = code.nested(block, "assume_role", item, _Scope(code.root))
        arn = assumed.get("role_arn")
    except (_Blind, ValueError) as blind:
        return Unknown(f"the role that {key} assumes is not known: {blind}")
    found = re.fullmatch(r"arn:[^:]+:iam::([0-9]{12}):role/.+", str(arn))
    return found[1] if found else Unknown(f"{key} assumes {arn!r}, which is no role ARN")


def _placements(code: _Code, declared: Declared) -> Iterator[Placement]:
    for file, block in code.root.blocks:
        if block.type != "module" or not block.labels:
            continue
        name = block.labels[0]
        module = code.root.children.get(name)
        meant: Any = tfvars.meant(declared, name)
        if "account_id" in block.attributes:
            expression = block.attributes["account_id"]
            item = (code.by_path.get(f"module.{name}") or [{}])[0]
            meant = _known(
                functools.partial(_argument, code, expression, item), f"account_id of {name}"
            )
        if module is None or meant is None:
            continue
        landed = {
            _account(code, functools.partial(code.provider, each, key))
            for each in code.modules(module)
            for key in _used_providers(each)
        }
        for account_id in sorted(landed, key=str):
            yield Placement(
                name=f"module.{name}",
                where=f"{file}:{block.line}",
                declared_id=meant,
                account_id=account_id,
            )


def _argument(code: _Code, expression: Expression, item: Json) -> Any:
    code.check(expression, _Scope(code.root))
    return code.plain(item.get("account_id"), expression)


def _used_providers(module: _Module) -> set[str]:
    """The AWS provider configurations, as the module knows them, of its own resources."""
    return {
        block.attributes["provider"].text if "provider" in block.attributes else "aws"
        for _, block in module.blocks
        if block.type == "resource" and block.labels and block.labels[0].startswith("aws_")
    }


def _account(code: _Code, provider: Callable[[], Json]) -> str | Unknown:
    """The one account that a provider configuration may act in."""
    allowed = _allowed(code, provider)
    if isinstance(allowed, Unknown):
        return allowed
    if len(allowed) != 1:
        return Unknown(f"its provider allows {len(allowed)} accounts, so it may stand in any")
    return allowed[0]


def _allowed(code: _Code, provider: Callable[[], Json]) -> tuple[str, ...] | Unknown:
    try:
        allowed = code.provider_value(provider(), "allowed_account_ids")
    except _Blind as blind:
        return Unknown(str(blind))
    if allowed is None:
        return Unknown("its provider does not set allowed_account_ids")
    ids = allowed if isinstance(allowed, list) else [allowed]
    if not all(isinstance(each, str) for each in ids):
        return Unknown("allowed_account_ids of its provider is no list of text")
    return tuple(ids)


def _known(read: Callable[[], Any], what: str) -> str | Unknown:
    try:
        value = read()
    except _Blind as blind:
        return Unknown(f"{what} is not known: {blind}")
    return value if isinstance(value, str) else Unknown(f"{what} is not given as text")


def _module(
    address: str,
    directory: Path,
    parent: _Module | None,
    call: Block | None,
    callers: tuple[Path, ...],
) -> _Module:
    """A module with all under it; raises SourceError for one that is missing, or calls itself."""
    real = directory.resolve()
    if real in callers or len(callers) > _DEEPEST:
        raise SourceError(f"{directory}: this module calls itself.")
    if not directory.is_dir():
        raise SourceError(f"{directory}: module {address or 'root'} is missing.")
    files = sorted(directory.glob("*.tf"))
    blocks = tuple((file, block) for file in files for block in hcl.block(file).blocks)
    if not files:
        raise SourceError(f"{directory}: there is no Terraform code in it.")
    module = _Module(address, directory, blocks, parent, call)
    for _, block in blocks:
        source = block.attributes.get("source")
        if block.type != "module" or not block.labels or source is None:
            continue
        path = source.text.strip('"')
        if path.startswith(("./", "../")):
            name = block.labels[0]
            module.children[name] = _module(
                ".".join(filter(None, (address, "module", name))),
                Path(os.path.normpath(directory / path)),
                module,
                block,
                (*callers, real),
            )
    return module


def _unread(directory: Path) -> Iterator[tuple[Path, str]]:
    """What Terraform reads in a folder and this view does not."""
    for file in sorted(directory.iterdir()):
        if file.name.endswith(".tf.json"):
            yield file, "Terraform's JSON syntax is not read"
        elif file.name == "override.tf" or file.name.endswith("_override.tf"):
            yield file, "override files are not read"


def _policy_document(body: Json, path: str) -> Json:
    """The policy that the blocks of an aws_iam_policy_document write; raises _Blind."""
    for merged in ("source_policy_documents", "override_policy_documents", "source_json"):
        if merged in body:
            raise _Blind(f"{path} merges other policies")
    return {
        "Version": body.get("version", "2012-10-17"),
        "Statement": [_policy_statement(each) for each in body.get("statement", [])],
    }


def _policy_statement(body: Json) -> Json:
    statement: Json = {"Effect": body.get("effect", "Allow")}
    if body.get("sid"):
        statement["Sid"] = body["sid"]
    for name, element in (
        ("actions", "Action"),
        ("not_actions", "NotAction"),
        ("resources", "Resource"),
        ("not_resources", "NotResource"),
    ):
        if body.get(name):
            statement[element] = _variables(body[name])
    for name, element in (("principals", "Principal"), ("not_principals", "NotPrincipal")):
        blocks = body.get(name, [])
        if [(b.get("type"), b.get("identifiers")) for b in blocks] == [("*", ["*"])]:
            statement[element] = "*"
        elif blocks:
            who: dict[str, list[Any]] = {}
            for block in blocks:
                who.setdefault(str(block.get("type")), []).extend(block.get("identifiers") or [])
            statement[element] = who
    conditions: dict[str, dict[str, list[Any]]] = {}
    for block in body.get("condition", []):
        tests = conditions.setdefault(str(block.get("test")), {})
        tests.setdefault(str(block.get("variable")), []).extend(
            _variables(block.get("values") or [])
        )
    if conditions:
        statement["Condition"] = conditions
    return statement


def _variables(values: list[Any]) -> list[Any]:
    """The provider writes policy variables as &{...}, since ${...} is Terraform's."""
    return [v.replace("&{", "${") if isinstance(v, str) else v for v in values]


def _file_of(expression: Expression, module: _Module) -> Path:
    """The file of a module that holds an expression of one of its blocks."""
    for file, block in module.blocks:
        if any(each is expression for each in block.attributes.values()):
            return file
    return module.directory


def _attribute(reference: Reference, block: Block) -> str:
    repeated = "for_each" in block.attributes or "count" in block.attributes
    steps = reference[3:] if repeated else reference[2:]
    return steps[0] if steps else ""


def _block_name(block: Block) -> str:
    return block.labels[0] if block.type == "dynamic" and block.labels else block.type


def _split(path: str) -> list[str]:
    """The steps of an address without its indices."""
    return _INDEX.sub("", path).split(".")


def _plain_path(item: Json) -> list[str]:
    return _split(str(item["__tfmeta"]["path"]))


def _instance(item: Json) -> str:
    """The address, with indices, of the module that an object stands in."""
    path = str(item["__tfmeta"].get("path", ""))
    found = re.match(r'((?:module\.[^.\["]+(?:\["(?:[^"\\]|\\.)*"\]|\[\d+\])?\.)*)', path)
    return found[1].rstrip(".") if found else ""


def _partition(region: str | Unknown) -> str:
    name = "" if isinstance(region, Unknown) else region
    return (
        "aws-cn"
        if name.startswith("cn-")
        else "aws-us-gov"
        if name.startswith("us-gov-")
        else "aws"
    )


def _holds_null(text: str) -> bool:
    """True if the text is JSON with a null in it, which is what a failed function leaves there."""
    if not text.startswith(("{", "[")) or "null" not in text:
        return False
    try:
        stack = [json.loads(text)]
    except ValueError:
        return False
    while stack:
        value = stack.pop()
        if value is None:
            return True
        stack += (
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        )
    return False


def _short(expression: Expression) -> str:
    text = " ".join(expression.text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."
