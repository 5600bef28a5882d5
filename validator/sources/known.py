"""What is known of an env's code, and the values of what is.

tfparse evaluates the expressions, modules, `for_each` and dynamic blocks. What it cannot know it
writes as null, as a marker of the reference, as the raw template or as an invented id, and sometimes
it leaves a module or resource out. So no value of it counts as known by its looks: every reference
behind an expression is followed through the HCL itself, and one that leads to something computed, or
to nothing, makes the value `Blind`.
"""

import enum
import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from validator.errors import SourceError
from validator.model import Unknown
from validator.sources import elements, hcl, modules, parts, policy_documents
from validator.sources.elements import Opaque
from validator.sources.hcl import Block, Expression, Reference
from validator.sources.modules import Module
from validator.sources.tfvars import Declared

Json = dict[str, Any]

_INDEX = re.compile(r'\["(?:[^"\\]|\\.)*"\]|\[\d+\]')
_LAST_INDEX = re.compile(r'\[("(?:[^"\\]|\\.)*"|\d+)\]$')
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NAMES = "arn b64_std b64_url base64 bcrypt_hash bucket dec hex id json name result"
_INVENTED = frozenset(_NAMES.split())
"""What tfparse sets by itself in blocks of some names."""
META = frozenset(
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
DEEPEST = 32
"""How many references are followed into each other."""
_LARGEST = 2**53
"""Up to here JSON holds each whole number exactly; tfparse cuts the largest."""
_PARTITIONS = {
    r"cn-[a-z]+-\d": "aws-cn",
    r"us-gov-[a-z]+-\d": "aws-us-gov",
    r"(af|ap|ca|eu|il|me|mx|sa|us)-[a-z]+-\d": "aws",
}
"""The partitions by the form of their Regions' names."""
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


_NULLING = frozenset(["jsondecode", "one"])
"""Functions that may make a null of what is none."""
_NULL_SHY = frozenset(["contains", "format", "formatlist"])
"""Functions that take a null in tfparse otherwise than in Terraform."""


class Blind(Exception):
    """An expression cannot be known; the text is the reason."""


class Kind(enum.Flag):
    """What is to be minded of a value that is known.

    `STANDS`: it may hold an id of tfparse that stands for a role's ARN or a policy, so it can be
    passed on, but not looked into. `LATE`: tfparse had no value for it yet when it repeated blocks,
    so nothing can be repeated over it. `NULL`: it may hold a null, which some functions of tfparse
    take otherwise than Terraform's.
    """

    PLAIN = 0
    STANDS = enum.auto()
    LATE = enum.auto()
    NULL = enum.auto()


_Key = tuple[int, Reference, str, int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression stands: its module, and the blocks around it that bind `each` or a name.

    `repeated` is the block whose `for_each` or `count` binds each and count, and `item` what
    tfparse shows of the one instance that is meant, if one is. `iterators` are the dynamic blocks
    around it: the name that each binds, its `for_each`, and the element that is meant, if one is.
    """

    module: Module
    repeated: Block | None = None
    item: Json | None = None
    iterators: tuple[tuple[str, Expression, Json | None], ...] = ()


class Code:
    """An env's code, parsed and evaluated."""

    def __init__(self, directory: Path, declared: Declared) -> None:
        """Raises SourceError for code that is broken, cannot be evaluated, or has other values too."""
        self.declared = declared
        self.objects: dict[str, Json] = {}
        self.by_path: dict[str, list[Json]] = {}
        self._static: dict[str, list[str]] = {}
        _refuse_other_values(directory, declared.file)
        with parts.begun(directory, declared.file.name) as evaluated:
            self.root = modules.load(directory)
            found = evaluated()
        for items in found.values():
            for item in items:
                path = str(item["__tfmeta"]["path"])
                self.objects[item["id"]] = item
                if path not in self.by_path:
                    self._static.setdefault(_INDEX.sub("", path), []).append(path)
                self.by_path.setdefault(path, []).append(item)
        self._kinds: dict[_Key, Kind | Blind] = {}
        self._open: set[_Key] = set()

    # What is known.

    def check(self, expression: Expression, scope: Scope, ends: str = "") -> Kind:
        """What is to be minded of an expression; raises Blind unless all that it refers to is known.

        Resources of type `ends` are the ends of the way: what they refer to does not matter.
        """
        odd = sorted(expression.functions - _PURE)
        if odd:
            raise Blind(f"{short(expression)} calls {odd[0]}, which is not evaluated here")
        nulls = re.search(r"\bnull\b", expression.text) or expression.functions & _NULLING
        kind = Kind.NULL if nulls else Kind.PLAIN
        for reference in expression.references:
            found = self._kind(reference, scope, ends)
            if Kind.STANDS in found and reference in expression.judged:
                written = ".".join(reference)
                raise Blind(f"{short(expression)} looks into {written}, which is made up elsewhere")
            kind |= found
        if Kind.NULL in kind and expression.functions & _NULL_SHY:
            raise Blind(f"{short(expression)} may give a function null")
        return kind

    def _kind(self, reference: Reference, scope: Scope, ends: str) -> Kind:
        bound = tuple(id(each) for _, each, _ in scope.iterators)
        key = (id(scope.module), reference, ends, id(scope.repeated), bound)
        if key in self._open:
            raise Blind(f"{'.'.join(reference)} refers to itself")
        if key not in self._kinds:
            self._open.add(key)
            try:
                self._kinds[key] = self._follow(reference, scope, ends)
            except Blind as blind:
                self._kinds[key] = blind
            finally:
                self._open.discard(key)
        found = self._kinds[key]
        if isinstance(found, Blind):
            raise Blind(str(found))
        return found

    def _follow(self, reference: Reference, scope: Scope, ends: str) -> Kind:
        """What is to be minded of what a reference names; raises Blind unless it is known."""
        head, module = reference[0], scope.module
        for number, (name, for_each, _) in enumerate(scope.iterators, 1):
            if head == name:
                outer = replace(scope, iterators=scope.iterators[number:])
                return self._repeats(for_each, outer)
        written = ".".join(reference)
        match head:
            case "var" if len(reference) > 1:
                return self._follow_variable(module, reference[1], written, ends)
            case "local" if len(reference) > 1 and reference[1] in module.locals:
                for path in self._static.get(module.static("locals"), ()):
                    for item in self.by_path[path]:
                        if reference[1] in item and _empty(item[reference[1]]):
                            # To tfparse a local that is null is one that does not exist.
                            raise Blind(f"{written} could not be evaluated")
                return self.check(module.locals[reference[1]], Scope(module), ends)
            case "module":
                onward = self.onward(reference, module)
                if onward is None:
                    raise Blind(f"{written} is not an output that can be read")
                call = module.children[reference[1]].call
                output = _output(reference, call)
                if call is not None and not repeated(call) and _hidden(output, call):
                    # tfparse takes the call's own argument for the output of the same name.
                    raise Blind(f"{written} cannot be told from the argument {output}")
                return self.check(*onward, ends) | Kind.LATE
            case "data" if len(reference) > 3:
                document = module.get("data", *reference[1:3])
                if reference[1] != _DOCUMENT or document is None:
                    raise Blind(f"{written} is read from AWS")
                if _attribute(reference[1:], document) not in _JSON:
                    raise Blind(f"{written} is more than its JSON")
                self.check_block(document, Scope(module, document))
                return Kind.STANDS | _lateness(document)
            case "each" | "count" if scope.repeated is not None:
                meta = "for_each" if head == "each" else "count"
                over = scope.repeated.attributes.get(meta)
                if over is None:
                    raise Blind(f"{written} stands where there is no {meta}")
                return self._repeats(over, Scope(module))
            case _:
                return self._follow_resource(reference, module, written, ends)

    def _repeats(self, expression: Expression, scope: Scope) -> Kind:
        """What is to be minded of what a block is repeated over; raises Blind if it cannot be."""
        kind = self.check(expression, scope)
        if Kind.LATE in kind:
            raise Blind(f"{short(expression)} repeats a block over what is evaluated later")
        return kind

    def _follow_variable(self, module: Module, name: str, written: str, ends: str) -> Kind:
        block = module.get("variable", name)
        if block is None:
            raise Blind(f"{written} is not declared")
        typed = block.attributes.get("type")
        optional = typed is not None and "optional" in typed.functions
        nulls = Kind.NULL if optional else Kind.PLAIN
        if module.parent is None:
            if name in self.declared.values:
                return nulls
        elif module.call is not None:
            if name in module.call.attributes:
                scope = Scope(module.parent, module.call)
                return self.check(module.call.attributes[name], scope, ends) | nulls
            if _invented(name, module.call):
                raise Blind(f"{written} cannot be told from what tfparse makes up")
        if "default" not in block.attributes:
            raise Blind(f"{written} has no value")
        return self.check(block.attributes["default"], Scope(module), ends) | nulls

    def _follow_resource(
        self, reference: Reference, module: Module, written: str, ends: str
    ) -> Kind:
        block = module.get("resource", *reference[:2])
        if block is None:
            raise Blind(f"{written} is not known to this view")
        if ends and block.labels[0] == ends:
            return Kind.STANDS | _lateness(block)
        attribute = _attribute(reference, block)
        scope = Scope(module, block)
        if block.labels[0] == "aws_iam_role" and attribute == "arn":
            # A role's ARN is its account, path and name.
            if "name" not in block.attributes:
                raise Blind(f"{written} is made up by AWS")
            for given in ("name", "path"):
                if given in block.attributes:
                    self.check(block.attributes[given], scope)
            return Kind.STANDS | _lateness(block)
        if attribute not in block.attributes:
            raise Blind(f"{written} is known only after apply")
        kind = self.check(block.attributes[attribute], scope) & ~Kind.NULL
        for path in self._static.get(module.static(*reference[:2]), []):
            for item in self.by_path[path]:
                if not _kept(item.get(attribute), block.labels[0]):
                    raise Blind(f"{written} may be changed by the provider")
        return kind | _lateness(block)

    def check_block(self, block: Block, scope: Scope) -> None:
        """Raises Blind unless every attribute and nested block of a block is known."""
        for name, expression in block.attributes.items():
            if name not in META:
                self.check(expression, scope)
        for inner in block.blocks:
            if inner.type in META:
                continue
            body, name, for_each = _body(inner)
            within = scope
            if for_each is not None:
                self._repeats(for_each, scope)
                within = replace(scope, iterators=((name, for_each, None), *scope.iterators))
            self.check_block(body, within)

    # Values.

    def value(self, block: Block, name: str, item: Json, scope: Scope) -> Any:
        """An attribute, or the nested blocks of a name, as plain data; None if there is neither.

        Raises Blind.
        """
        expression = block.attributes.get(name)
        if expression is not None:
            self.check(expression, scope)
            return self._plain(item.get(name), expression)
        if any(block_name(inner) == name for inner in block.blocks):
            return self.nested(block, name, item, scope)
        return None

    def _plain(self, value: Any, expression: Expression, whole: bool = True) -> Any:
        """A value of tfparse for an expression that is known; raises Blind for what it could not do.

        `whole` is false for a value inside the expression's own.
        """
        if value is None:
            if expression.text == "null":
                return None
            raise Blind(f"{short(expression)} could not be evaluated")
        if isinstance(value, dict):
            if "__attribute__" in value:
                raise Blind(f"{short(expression)} could not be evaluated")
            return {key: self._plain(each, expression, False) for key, each in value.items()}
        if isinstance(value, list):
            return [self._plain(each, expression, False) for each in value]
        if not isinstance(value, str):
            if isinstance(value, int) and abs(value) > _LARGEST:
                raise Blind(f"{short(expression)} is too large a number")
            return value
        item = self.objects.get(value)
        if item is not None and item["__tfmeta"].get("label") == _DOCUMENT:
            return self._document(item)
        text = _ID.sub(lambda found: self._stands_for(found[0], expression), value)
        escaped = expression.text.count("$${") if whole or not expression.references else 0
        if "${...}" in text or text.count("${") > escaped:
            raise Blind(f"{short(expression)} could not be evaluated")
        made = expression.functions or expression.references
        if made and re.search(r"\bnull\b", text):
            # What a function that failed leaves in JSON; where nothing failed, null is rare in text.
            raise Blind(f"a function behind {short(expression)} could not be evaluated")
        return text

    def _stands_for(self, identifier: str, expression: Expression) -> str:
        """The text for an id that tfparse made up, or the same text if it did not."""
        item = self.objects.get(identifier)
        if item is None:
            return identifier
        if item["__tfmeta"].get("label") == "aws_iam_role":
            return self._role_arn(item)
        raise Blind(f"{short(expression)} holds what is known only after apply")

    def _role_arn(self, item: Json) -> str:
        address = str(item["__tfmeta"]["path"])
        _, module, block = self.found(item)
        scope = Scope(module, block, item)
        name, path = (self.value(block, each, item, scope) for each in ("name", "path"))
        provider = self.provider_of(module, block)
        account = self.account_id(provider)
        partition = _partition(self.provider_value(provider, "region"))
        if not isinstance(name, str) or not re.fullmatch(r"[\w+=,.@-]{1,64}", name, re.ASCII):
            raise Blind(f"the name of {address} is no name of a role")
        path = "/" if path is None else path
        if not isinstance(path, str) or not re.fullmatch(r"/|/[!-~]+/", path):
            raise Blind(f"the path of {address} is no path")
        return f"arn:{partition}:iam::{account}:role{path}{name}"

    def _document(self, item: Json) -> str:
        """The JSON that an aws_iam_policy_document writes; raises Blind."""
        path = str(item["__tfmeta"]["path"])
        module = self.module(path)
        block = module.get("data", *_split(path)[-2:]) if module else None
        if block is None or module is None:
            raise Blind(f"{path} is not in the code")
        body = self._body_value(block, item, Scope(module, block, item))
        try:
            return json.dumps(policy_documents.policy(body))
        except policy_documents.Unwritable as odd:
            raise Blind(f"{path}: {odd}") from None

    def _body_value(self, block: Block, item: Json, scope: Scope) -> Json:
        """The attributes and nested blocks of a block as plain data; raises Blind."""
        names = {*block.attributes, *(block_name(inner) for inner in block.blocks)} - META
        return {name: self.value(block, name, item, scope) for name in names}

    def nested(self, block: Block, name: str, item: Json, scope: Scope) -> list[Json]:
        """The nested blocks of one name as plain data; raises Blind where one may be missing."""
        given = item.get(name)
        rendered = given if isinstance(given, list) else [] if given is None else [given]
        by_line: dict[int, list[Json]] = {}
        for each in rendered:
            if not isinstance(each, dict) or "__tfmeta" not in each:
                raise Blind(f"the block {name} in line {block.line} could not be evaluated")
            by_line.setdefault(int(each["__tfmeta"]["line_start"]), []).append(each)
        found: list[Json] = []
        for inner in block.blocks:
            if block_name(inner) != name:
                continue
            body, iterator, for_each = _body(inner)
            mine = by_line.pop(body.line, [])
            if for_each is None:
                if len(mine) != 1:
                    raise Blind(f"the block {name} in line {inner.line} is missing")
                found.append(self._body_value(body, mine[0], scope))
                continue
            shown = self._elements(inner, for_each, len(mine), scope)
            for each, element in zip(mine, shown, strict=True):
                bound = (iterator, for_each, element)
                within = replace(scope, iterators=(bound, *scope.iterators))
                found.append(self._body_value(body, each, within))
        if by_line:
            raise Blind(f"a block {name} in line {block.line} has no origin")
        return found

    def _elements(self, block: Block, for_each: Expression, seen: int, scope: Scope) -> list[Json]:
        """The elements of a dynamic block; raises Blind unless tfparse shows one block for each."""
        self._repeats(for_each, scope)
        try:
            pairs = elements.pairs(self._simple(for_each, scope))
        except Opaque:
            raise Blind(
                f"how often the dynamic block in line {block.line} is repeated cannot be told"
            ) from None
        if len(pairs) != seen:
            # NOTE: tfparse 0.6 drops the last repetition where other blocks follow dynamic ones.
            raise Blind(
                f"the dynamic block in line {block.line} has {len(pairs)} elements, "
                f"of which the evaluation shows {seen} (it should stand after other blocks)"
            )
        return [{"key": key, "value": value} for key, value in pairs]

    def _simple(self, expression: Expression, scope: Scope) -> Any:
        """The value of an expression that is known, if it is simple; raises Opaque."""
        names = {name: element for name, _, element in reversed(scope.iterators)}
        bound = {name: element for name, element in names.items() if element is not None}
        if len(bound) != len(names):
            raise Opaque
        lookup = functools.partial(self._lookup, scope=scope)
        return elements.value(expression.node, lookup, bound)

    def _lookup(self, reference: Reference, scope: Scope) -> Any:
        """The value of a variable, a local, or each, in one instance of a module; raises Opaque."""
        if scope.item is None:
            raise Opaque
        instance = _instance(scope.item)
        prefix = f"{instance}." if instance else ""
        place: list[Json] = []
        if len(reference) < 2:
            raise Opaque
        name = reference[1]
        match reference[0]:
            case "local":
                place = self.by_path.get(f"{prefix}locals", [])
            case "var":
                if not instance and name in self.declared.values:
                    return elements.steps(self.declared.values[name], reference[2:])
                call = scope.module.call
                if call is not None and name in call.attributes:
                    place = self.by_path.get(instance, [])
                else:
                    place = self.by_path.get(f"{prefix}variable.{name}", [])
                    name = "default"
            case "each":
                return elements.steps(_each(scope.item), reference[1:])
            case _:
                pass
        found = [item[name] for item in place if name in item]
        if len(found) != 1:
            raise Opaque
        value = elements.steps(found[0], reference[2:])
        if _marked(value):
            raise Opaque
        return value

    # Modules and resources.

    def module(self, path: str) -> Module | None:
        """The module that an address stands in, None if its code is not read."""
        module: Module | None = self.root
        steps = _split(path)
        while module is not None and len(steps) > 2 and steps[0] == "module":
            module = module.children.get(steps[1])
            steps = steps[2:]
        return module

    def found(self, item: Json) -> tuple[Path, Module, Block]:
        """The file, module and block of a resource that is read."""
        path = str(item["__tfmeta"]["path"])
        module = self.module(path)
        assert module is not None
        file, block = module.named[("resource", *_split(path)[-2:])]
        return file, module, block

    def resources(self, types: frozenset[str] | None = None) -> Iterator[Json]:
        """What tfparse shows of every resource of these types, or of all, whose code is read."""
        for path in sorted(self.by_path):
            for item in self.by_path[path]:
                meta = item["__tfmeta"]
                wanted = types is None or meta.get("label") in types
                if meta.get("type") == "resource" and wanted and self.module(path) is not None:
                    yield item

    def missed(self, types: frozenset[str]) -> dict[str, Unknown]:
        """The types of resource of which tfparse may have left some out, "*" for all, and why."""
        found: dict[str, Unknown] = {}
        self._find_missed(self.root, [""], types, found)
        return found

    def _find_missed(
        self, module: Module, within: list[str], types: frozenset[str], missed: dict[str, Unknown]
    ) -> None:
        for file, block in module.blocks:
            if block.type == "resource" and block.labels[0] in types:
                key = block.labels[0]
            elif block.type == "module":
                key = "*"
            else:
                continue
            instances: list[str] = []
            for instance in within:
                steps = block.labels if block.type == "resource" else ("module", *block.labels)
                address = ".".join(filter(None, (instance, *steps)))
                seen = self.instances(address)
                try:
                    self._complete(block, module, address, seen)
                except Blind as blind:
                    missed[key] = Unknown(f"{file}:{block.line}: {blind}")
                instances += seen
            if block.type == "module":
                child = module.children.get(block.labels[0])
                if child is None:
                    reason = f"module {block.labels[0]} is not in this checkout"
                    missed["*"] = Unknown(f"{file}:{block.line}: {reason}")
                else:
                    self._find_missed(child, instances, types, missed)

    def instances(self, address: str) -> list[str]:
        """The addresses of what tfparse shows for a block, given its own without its last index."""
        return [
            path
            for path in self._static.get(_INDEX.sub("", address), ())
            if path == address
            or (path.startswith(f"{address}[") and _INDEX.fullmatch(path[len(address) :]))
        ]

    def _complete(self, block: Block, module: Module, address: str, seen: list[str]) -> None:
        """Raises Blind unless tfparse shows every instance of the block at an address."""
        dropped = Blind(f"{address} was left out by the evaluation")
        over = block.attributes.get("for_each") or block.attributes.get("count")
        if over is None:
            if seen != [address]:
                raise dropped
            return
        try:
            self._repeats(over, Scope(module))
        except Blind as blind:
            raise Blind(f"it is not known how many of {address} there are: {blind}") from None
        if not seen:
            try:
                found = self._simple(over, Scope(module, item={"__tfmeta": {"path": address}}))
            except Opaque:
                raise dropped from None
            if found not in (0, [], {}) or isinstance(found, bool):
                raise dropped
            return
        item = self.by_path[seen[0]][0]
        if "count" in block.attributes:
            if item.get("count") != len(seen):
                raise dropped
            return
        given = item.get("for_each")
        if not isinstance(given, (dict, list)):
            raise dropped
        if {_key(path) for path in seen} != {str(each) for each in given}:
            raise dropped

    def onward(self, reference: Reference, module: Module) -> tuple[Expression, Scope] | None:
        """The expression behind a reference to a variable, local or output, and where it stands."""
        match reference[0]:
            case "var" if len(reference) > 1 and module.call and module.parent:
                if reference[1] in module.call.attributes:
                    call = module.call.attributes[reference[1]]
                    return call, Scope(module.parent, module.call)
            case "local" if len(reference) > 1 and reference[1] in module.locals:
                return module.locals[reference[1]], Scope(module)
            case "module" if len(reference) > 2 and reference[1] in module.children:
                child = module.children[reference[1]]
                output = child.get("output", _output(reference, child.call))
                if output is not None and "value" in output.attributes:
                    return output.attributes["value"], Scope(child)
            case _:
                pass
        return None

    # What an attribute links to.

    def linked(self, expression: Expression, scope: Scope, value: Any, type_: str) -> str | None:
        """The address of the one resource of a type that a value is an id of; None if it is unsure."""
        found = self.objects.get(value) if isinstance(value, str) else None
        if found is not None and found["__tfmeta"].get("label") == type_:
            try:
                self.check(expression, scope, type_)
            except Blind:
                return None
            return str(found["__tfmeta"]["path"])
        for _ in range(DEEPEST):
            reference, module = expression.bare, scope.module
            if reference is None or len(reference) < 3:
                return None
            if reference[0] == type_:
                same = self._static.get(module.static(*reference[:2]), [])
                named = [path for path in same if self.by_path[path][0].get("name") == value]
                ends = named if len(same) > 1 and isinstance(value, str) else same
                return ends[0] if len(ends) == 1 else None
            onward = self.onward(reference, module)
            if onward is None:
                return None
            expression, scope = onward
        return None

    # Providers.

    def provider(self, module: Module, key: str) -> Json:
        """The root's provider configuration that a module knows as `key`; raises Blind."""
        if module.parent is None or module.call is None:
            name, _, alias = key.partition(".")
            found = [
                item
                for item in self.by_path.get(f"provider.{name}", [])
                if item.get("alias", "") == alias
            ]
            if len(found) != 1:
                raise Blind(f"there are {len(found)} configurations of provider {key}")
            return found[0]
        if any(module.of_type("provider")):
            raise Blind(f"module {module.address} configures providers of its own")
        wiring = module.call.attributes.get("providers")
        if wiring is None:
            if "." in key:
                raise Blind(f"module {module.address} is not given provider {key}")
            return self.provider(module.parent, key)
        wired = hcl.mapping(wiring).get(key)
        if wired is None:
            raise Blind(f"module {module.address} is not given provider {key}")
        return self.provider(module.parent, wired)

    def provider_of(self, module: Module, block: Block) -> Json:
        """The provider configuration of a resource; raises Blind."""
        named = block.attributes.get("provider")
        return self.provider(module, named.text if named else "aws")

    def provider_value(self, item: Json, name: str) -> Any:
        """What a provider configuration of the root sets `name` to, None if nothing; raises Blind."""
        return self.value(self._provider_block(item), name, item, Scope(self.root))

    def _provider_block(self, item: Json) -> Block:
        meta = item["__tfmeta"]
        for file, block in self.root.of_type("provider"):
            if (file.name, block.line) == (meta["filename"], meta["line_start"]):
                return block
        raise Blind(f"provider in {meta['filename']}:{meta['line_start']} is not in the code")

    def allowed(self, provider: Json) -> tuple[str, ...]:
        """The accounts that a provider configuration names as allowed, none if any is; raises Blind."""
        found = self.provider_value(provider, "allowed_account_ids")
        if found is None:
            return ()
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise Blind("allowed_account_ids of its provider is no list of text")
        return tuple(found)

    def account_id(self, provider: Json) -> str:
        """The one account that a provider configuration may act in; raises Blind."""
        allowed = self.allowed(provider)
        if len(allowed) != 1:
            raise Blind(f"its provider allows {len(allowed)} accounts, so it may stand in any")
        return allowed[0]


def _refuse_other_values(directory: Path, declared: Path) -> None:
    """Raises SourceError for a file whose values Terraform would load beside the declared ones."""
    for file in sorted(directory.glob("*")):
        loaded = file.name in {"terraform.tfvars", "terraform.tfvars.json"}
        if (loaded or file.name.endswith((".auto.tfvars", ".auto.tfvars.json"))) and (
            file.name != declared.name
        ):
            raise SourceError(
                f"{file}: Terraform loads it beside {declared.name}, and its values may win. "
                f"Move them into {declared.name}."
            )


def _body(block: Block) -> tuple[Block, str, Expression | None]:
    """What a nested block holds; for a dynamic one also the name that it binds, and its for_each.

    Raises Blind for a dynamic block that is not whole.
    """
    if block.type != "dynamic":
        return block, "", None
    content = next(block.of_type("content"), None)
    for_each = block.attributes.get("for_each")
    if content is None or for_each is None or not block.labels:
        raise Blind(f"the dynamic block in line {block.line} is not whole")
    iterator = block.attributes.get("iterator")
    return content, iterator.text if iterator else block.labels[0], for_each


def block_name(block: Block) -> str:
    """The type of the blocks that a nested block writes, which a dynamic one has as its label."""
    return block.labels[0] if block.type == "dynamic" and block.labels else block.type


def repeated(block: Block) -> bool:
    """True if a block has `for_each` or `count`."""
    return "for_each" in block.attributes or "count" in block.attributes


def _lateness(block: Block) -> Kind:
    """LATE for a block that tfparse has to repeat before anything can refer to it."""
    return Kind.LATE if repeated(block) else Kind.PLAIN


def _attribute(reference: Reference, block: Block) -> str:
    """The attribute that a reference to a resource names, "" for the whole resource."""
    steps = reference[3:] if repeated(block) else reference[2:]
    return steps[0] if steps else ""


def _output(reference: Reference, call: Block | None) -> str:
    """The output that a reference to a module names, "" for the whole module."""
    steps = reference[3:] if call is not None and repeated(call) else reference[2:]
    return steps[0] if steps else ""


def _invented(name: str, call: Block) -> bool:
    """True if tfparse sets a value of its own under this name in a module call."""
    return name == "id" or (name in _INVENTED and call.labels[0].startswith(("aws_", "random_")))


def _hidden(output: str, call: Block) -> bool:
    return output in call.attributes or _invented(output, call)


def _kept(value: Any, type_: str) -> bool:
    """True if the attribute of a resource surely stays as it is written.

    Where the provider's schema has a number, a set or a JSON policy, what is read back may differ.
    """
    if type_ == "terraform_data":
        return value is not None
    if not isinstance(value, str) or value in {"true", "false"}:
        return False
    return not re.match(r"\s*[{\[]|-?[0-9.]+(e[+-]?[0-9]+)?$", value)


def _marked(value: Any) -> bool:
    """True if tfparse's marker of an unknown reference stands somewhere in a value."""
    if isinstance(value, dict):
        return "__attribute__" in value or any(_marked(each) for each in value.values())
    return isinstance(value, list) and any(_marked(each) for each in value)


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and "__attribute__" in value)


def _each(item: Json) -> Json:
    """`each` in one instance of a block; raises Opaque."""
    given, key = item.get("for_each"), _key(str(item["__tfmeta"]["path"]))
    if isinstance(given, dict) and key in given:
        return {"key": key, "value": given[key]}
    if isinstance(given, list) and key in given:
        return {"key": key, "value": key}
    raise Opaque


def _key(path: str) -> str | None:
    """The key in the last index of an address."""
    found = _LAST_INDEX.search(path)
    if found is None:
        return None
    try:
        return str(json.loads(found[1]))
    except ValueError:
        return None


def _split(path: str) -> list[str]:
    """The steps of an address without its indices."""
    return _INDEX.sub("", path).split(".")


def _instance(item: Json) -> str:
    """The address, with indices, of the module that an object stands in."""
    path = str(item["__tfmeta"]["path"])
    found = re.match(r'((?:module\.[^.\["]+(?:\["(?:[^"\\]|\\.)*"\]|\[\d+\])?\.)*)', path)
    return found[1].rstrip(".") if found else ""


def _partition(region: Any) -> str:
    """The partition of a Region; raises Blind for one that is not of the form of those known."""
    for pattern, partition in _PARTITIONS.items():
        if isinstance(region, str) and re.fullmatch(pattern, region):
            return partition
    raise Blind(f"the partition of Region {region!r} is not known")


def short(expression: Expression) -> str:
    """The text of an expression on one line, cut where it is long."""
    text = " ".join(expression.text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."
