"""The code view: an `Estate` from an env's HCL alone, with no provider, credentials or network."""

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from validator.errors import SourceError
from validator.model import Estate, Placement, Provider, Unknown
from validator.sources import tfvars
from validator.sources.hcl import Block, Expression
from validator.sources.known import DEEPEST, META, Blind, Code, Json, Scope, block_name, short
from validator.sources.modules import Module
from validator.sources.resources import READ, Resources, placer
from validator.sources.tfvars import Declared

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Resource:
    """One resource of the code."""

    code: Code
    item: Json
    file: Path
    module: Module
    block: Block

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
        return _seen(lambda: _account_id(self.code, self.module, self.block), "its account")

    @property
    def region(self) -> str | Unknown:
        own = self.value("region")
        if own is not None:
            return own if isinstance(own, (str, Unknown)) else Unknown("its Region is no text")
        return _seen(lambda: _text(self.code, self._provider(), "region"), "its Region")

    def _provider(self) -> Json:
        return self.code.provider_of(self.module, self.block)

    def given(self, attribute: str) -> bool:
        return attribute in self.block.attributes or any(
            block_name(inner) == attribute for inner in self.block.blocks
        )

    def value(self, attribute: str) -> Any:
        return _seen(lambda: self._value(attribute), f"{self.address}.{attribute}")

    def _value(self, attribute: str) -> Any:
        self._kept(attribute)
        return self.code.value(self.block, attribute, self.item, self._scope())

    def _scope(self) -> Scope:
        return Scope(self.module, self.block, self.item)

    def _kept(self, attribute: str) -> None:
        """Raises Blind for an attribute that Terraform leaves as it finds it."""
        for lifecycle in self.block.of_type("lifecycle"):
            ignored = lifecycle.attributes.get("ignore_changes")
            names = set(re.findall(r"\w+", ignored.text)) if ignored is not None else set()
            if {"all", attribute} & names:
                raise Blind("its changes are ignored, so what it is may differ")

    def linked(self, attribute: str, type_: str) -> tuple[str, ...] | Unknown:
        expression = self.block.attributes.get(attribute)
        if expression is None:
            return ()
        return _seen(
            lambda: self._linked(attribute, expression, type_), f"{self.address}.{attribute}"
        )

    def _linked(self, attribute: str, expression: Expression, type_: str) -> tuple[str, ...]:
        self._kept(attribute)
        value = self.item.get(attribute)
        if isinstance(value, list):
            self.code.check(expression, self._scope(), type_)
        found = []
        for each in value if isinstance(value, list) else [value]:
            address = self.code.linked(expression, self._scope(), each, type_)
            if address is None:
                raise Blind(f"it does not lead to one {type_}")
            found.append(address)
        return tuple(found)


def read(directory: Path, declared: Declared, env: str) -> Estate:
    """The estate that the code of an env declares.

    Raises SourceError for HCL that is broken, empty or calls itself, and for files that Terraform
    and this view would read differently.
    """
    try:
        return _estate(Code(directory, declared), declared, env)
    except RecursionError as error:
        raise SourceError(f"{directory}: its expressions are nested too deeply.") from error


def template_addresses(directory: Path, declared: Declared) -> dict[str, str]:
    """The address of each account's replication configuration template, by account id.

    Raises SourceError for code that cannot be read, and for a template in an account not known.
    """
    type_ = "aws_drs_replication_configuration_template"
    addresses: dict[str, str] = {}
    for each in _resources(Code(directory, declared), frozenset({type_})):
        if isinstance(each.account_id, Unknown):
            raise SourceError(f"{each.where}: its account is not known: {each.account_id.reason}.")
        addresses[each.account_id] = each.address
    return addresses


def resources(code: Code, types: frozenset[str]) -> Resources:
    """Every resource of these types, and what may be missing among them."""
    return Resources(tuple(_resources(code, types)), code.missed(types))


def _resources(code: Code, types: frozenset[str] | None) -> Iterator[_Resource]:
    for item in code.resources(types):
        yield _Resource(code, item, *code.found(item))


def tracer(directory: Path, declared: Declared) -> Callable[[str], tuple[str, ...]]:
    """A function that says where the values of a resource come from, given its place in the code.

    Its answer goes from the declared values through module calls to the resource, a line for each
    step; it is empty for a place that holds no resource.
    """
    code = Code(directory, declared)
    places = {each.where: each for each in _resources(code, None)}

    def trace(where: str) -> tuple[str, ...]:
        resource = places.get(where)
        if resource is None:
            return ()
        steps: dict[str, None] = {}
        scope = Scope(resource.module, resource.block)
        for name, expression in resource.block.attributes.items():
            if name not in META and expression.references:
                step = f"{resource.address}: {name}"
                _trace(code, expression, scope, step, resource.file, steps)
        return tuple(steps)

    return trace


def _trace(
    code: Code,
    expression: Expression,
    scope: Scope,
    name: str,
    file: Path,
    steps: dict[str, None],
    depth: int = 0,
) -> None:
    """Adds the steps that lead to an expression, and the expression itself, each once."""
    own = f"{file}:{expression.line} {name} = {short(expression)}"
    if own in steps or depth > DEEPEST:
        return
    for reference in expression.references:
        module = scope.module
        if reference[0] == "var" and len(reference) > 1 and module.parent is None:
            path = [step for step in reference[1:] if step != "*"]
            steps[f"{code.declared.where(*path)} {'.'.join(path)}"] = None
            continue
        block = None
        if reference[0] == "data" and len(reference) > 2:
            block = module.named.get(("data", *reference[1:3]))
        if block is not None:
            of = ".".join(reference[:3])
            _trace_block(code, block[1], scope, of, block[0], steps, depth)
            continue
        onward = code.onward(reference, module)
        if onward is not None:
            within = onward[1].module
            of = f"{within.address}: " if within.address else ""
            label = f"{of}{'.'.join(reference[:3])}"
            place = _file_of(onward[0], within)
            _trace(code, *onward, label, place, steps, depth + 1)
    steps[own] = None


def _trace_block(
    code: Code,
    block: Block,
    scope: Scope,
    name: str,
    file: Path,
    steps: dict[str, None],
    depth: int,
) -> None:
    for attribute, expression in block.attributes.items():
        if expression.references:
            _trace(code, expression, scope, f"{name}: {attribute}", file, steps, depth + 1)
    for inner in block.blocks:
        _trace_block(code, inner, scope, name, file, steps, depth)


def _file_of(expression: Expression, module: Module) -> Path:
    """The file of a module that holds an expression of one of its blocks."""
    for file, block in module.blocks:
        if any(each is expression for each in block.attributes.values()):
            return file
    return module.directory


def _estate(code: Code, declared: Declared, env: str) -> Estate:
    target, staging, orchestration = tfvars.accounts(declared)
    seen = resources(code, READ)
    return tfvars.estate(
        declared,
        env,
        "code",
        placer(seen, (target, *staging, orchestration)),
        providers=_providers(code),
        placements=tuple(_placements(code, declared)),
    )


def _providers(code: Code) -> tuple[Provider, ...] | Unknown:
    """The configurations of the AWS provider; Unknown where a module may have more of them."""
    for module in code.root.every():
        if module.parent is not None:
            for file, block in module.of_type("provider"):
                return Unknown(f"{file}:{block.line}: module {module.address} has its own provider")
    names = _local_names(code.root)
    return tuple(
        _provider(code, file, block)
        for file, block in code.root.of_type("provider")
        if block.labels[0] in names
    )


def _local_names(root: Module) -> set[str]:
    """The names that the root gives to the AWS provider."""
    found = {"aws"}
    for _, terraform in root.of_type("terraform"):
        for required in terraform.of_type("required_providers"):
            for name, expression in required.attributes.items():
                if "hashicorp/aws" in expression.text:
                    found.add(name)
    return found


def _provider(code: Code, file: Path, block: Block) -> Provider:
    alias = block.attributes.get("alias")
    key = ".".join([block.labels[0], *([alias.text.strip('"')] if alias else [])])

    def item() -> Json:
        return code.provider(code.root, key)

    assumes = any(block_name(each) in _ASSUMES for each in block.blocks)
    return Provider(
        name=key,
        where=f"{file}:{block.line}",
        region=_seen(lambda: _text(code, item(), "region"), f"the Region of {key}"),
        allowed=_seen(lambda: code.allowed(item()), f"allowed_account_ids of {key}"),
        role_account_id=_seen(lambda: _assumed(code, item()), f"the role of {key}")
        if assumes
        else None,
    )


_ASSUMES = ("assume_role", "assume_role_with_web_identity")


def _assumed(code: Code, item: Json) -> str:
    """The account of the role that a provider assumes; raises Blind."""
    assumed = [each for name in _ASSUMES for each in code.provider_value(item, name) or []]
    if len(assumed) != 1:
        raise Blind(f"it assumes {len(assumed)} roles")
    arn = str(assumed[0].get("role_arn"))
    found = re.fullmatch(r"arn:[^:]+:iam::([0-9]{12}):role/.+", arn)
    if found is None:
        raise Blind(f"{arn!r} is no role ARN")
    return found[1]


def _placements(code: Code, declared: Declared) -> Iterator[Placement]:
    for file, block in code.root.of_type("module"):
        name = block.labels[0]
        module = code.root.children.get(name)
        meant: str | Unknown | None = tfvars.meant(declared, name)
        if "account_id" in block.attributes:
            meant = _seen(functools.partial(_argument, code, block), f"account_id of {name}")
        if meant is None:
            continue
        landed: set[str | Unknown] = {Unknown(f"module {name} is not in this checkout")}
        if module is not None:
            landed = {
                _seen(functools.partial(_account_id, code, each, used), "its account")
                for each in module.every()
                for used in _used(each)
            }
        for account_id in sorted(landed, key=str):
            yield Placement(
                name=f"module.{name}",
                where=f"{file}:{block.line}",
                declared_id=meant,
                account_id=account_id,
            )


def _account_id(code: Code, module: Module, block: Block) -> str:
    """The one account that a resource stands in; raises Blind."""
    return code.account_id(code.provider_of(module, block))


def _argument(code: Code, call: Block) -> str:
    """The one value of account_id in a module call; raises Blind."""
    items = [code.by_path[path][0] for path in code.instances(f"module.{call.labels[0]}")]
    if len(items) != 1:
        raise Blind(f"there are {len(items)} instances")
    value = code.value(call, "account_id", items[0], Scope(code.root, call, items[0]))
    if not isinstance(value, str):
        raise Blind("it is no text")
    return value


def _used(module: Module) -> list[Block]:
    """One AWS resource of the module for each provider configuration that it uses."""
    found = {
        block.attributes["provider"].text if "provider" in block.attributes else "aws": block
        for _, block in module.of_type("resource")
        if block.labels[0].startswith("aws_")
    }
    return list(found.values())


def _text(code: Code, provider: Json, name: str) -> str:
    """An attribute of a provider configuration that is text; raises Blind."""
    value = code.provider_value(provider, name)
    if not isinstance(value, str):
        raise Blind("it is not given as text")
    return value


def _seen(read: Callable[[], T], what: str) -> T | Unknown:
    """What `read` returns, Unknown with its reason where it is blind."""
    try:
        return read()
    except Blind as blind:
        return Unknown(f"{what} is not known from the code: {blind}")
