"""The plan view: an `Estate` from the JSON of `terraform show -json PLAN` and the declared values.

Only what the plan shows as known is known. A value that Terraform computes at apply becomes
`Unknown`, with the references that made it so; a resource that cannot be placed in an account makes
that kind of resource unknown in every account, since it could stand in any of them.

Format: https://developer.hashicorp.com/terraform/internals/json-format
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from validator.errors import SourceError
from validator.model import Account, Change, Estate, Placement, Provider, Unknown, known
from validator.sources import tfvars
from validator.sources.resources import READ, Resources, placer
from validator.sources.tfvars import Declared

Json = dict[str, Any]

_STEP = re.compile(r'\.?([A-Za-z0-9_-]+)|\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]')
_INDEX = re.compile(r"\[[^\]]*\]")
_BUILTIN_PROVIDER = "terraform.io/builtin/terraform"
"""The provider of `terraform_data`, which makes nothing in any account."""
_KINDS = ("keys", "roles", "templates", "security_groups")
_MASK = "(sensitive)"
_SENSITIVE = (
    ("before", "before_sensitive"),
    ("after", "after_sensitive"),
    ("values", "sensitive_values"),
)
"""Where a plan keeps values, and where it says which of them are sensitive."""
_DEEPEST = 64
"""How many references are followed before a value counts as untraceable."""


@dataclass(frozen=True, slots=True)
class _Module:
    """A module of the configuration: its address without indices ("" for the root)."""

    address: str
    config: Json
    parent: "_Module | None" = None
    call: Json | None = None

    def child(self, name: str) -> "_Module | None":
        call = _mapping(self.config.get("module_calls")).get(name)
        if not isinstance(call, dict):
            return None
        address = f"{self.address}.module.{name}".lstrip(".")
        return _Module(address, _mapping(call.get("module")), self, call)

    def resource(self, address: str) -> Json | None:
        for resource in _objects(self.config.get("resources")):
            if resource.get("address") == address:
                return resource
        return None


@dataclass(frozen=True, slots=True)
class _Resource:
    """A resource that exists once the plan is applied, with its configuration if it has one."""

    plan: "_Plan"
    address: str
    type: str
    module: _Module
    config: Json | None
    after: Json
    after_unknown: Json

    @property
    def where(self) -> str:
        return self.address

    @property
    def account_id(self) -> str | Unknown:
        return self.plan.account_id(self.config)

    @property
    def region(self) -> str | Unknown:
        own = self.after.get("region")
        if isinstance(own, str):
            return own
        value = self.plan.provider_value(self.config, "region")
        return value if isinstance(value, (str, Unknown)) else Unknown("its Region is no text")

    def given(self, attribute: str) -> bool:
        return attribute in self._expressions

    @property
    def _expressions(self) -> Json:
        return _mapping((self.config or {}).get("expressions"))

    def value(self, attribute: str) -> Any:
        """The planned value; what is not known in it is Unknown, naming the references that hide it."""
        hidden = self.after_unknown.get(attribute)
        if hidden is True:
            culprits = self.plan.culprits(self, attribute)
            return Unknown(
                f"{self.address}.{attribute} is known only after apply"
                + (f", because it refers to {', '.join(culprits)}" if culprits else "")
            )
        if attribute not in self.after:
            return Unknown(f"the plan does not show {self.address}.{attribute}")
        return _merged(self.after[attribute], hidden, f"{self.address}.{attribute}")

    def linked(self, attribute: str, type_: str) -> tuple[str, ...] | Unknown:
        """The addresses of the resources of `type_` that an attribute refers to.

        A value that is written as text, or refers to a resource outside the plan, is Unknown.
        """
        expression = self._expressions.get(attribute)
        value = self.after.get(attribute)
        if expression is None or "constant_value" in expression:
            if value in (None, []) and not self.after_unknown.get(attribute):
                return ()
            return Unknown(f"{self.address}.{attribute} does not refer to a resource")
        found = set(self.plan.linked(self.module, expression, 0))
        matches = tuple(
            other.address
            for other in self.plan.of_type(type_)
            if _INDEX.sub("", other.address) in found
        )
        hidden = self.after_unknown.get(attribute)
        lists = [each for each in (value, hidden) if isinstance(each, list)]
        if len(matches) == len(found) == max([1, *map(len, lists)]):
            return matches
        return Unknown(
            f"{self.address}.{attribute} refers to {len(matches)} resources of type {type_}"
        )


def _merged(value: Any, hidden: Any, what: str) -> Any:
    """The value with Unknown wherever `hidden`, of the same shape, says so."""
    if hidden is True:
        return Unknown(f"part of {what} is known only after apply")
    if isinstance(value, dict) and isinstance(hidden, dict):
        return {key: _merged(value.get(key), hidden.get(key), what) for key in {*value, *hidden}}
    if isinstance(value, list) and isinstance(hidden, list):
        pairs = itertools.zip_longest(value, hidden)
        return [_merged(each, under, what) for each, under in pairs]
    return value


class _Plan:
    """A parsed plan: its resources, and the answers that need its configuration."""

    def __init__(self, document: Json) -> None:
        configuration = _mapping(document.get("configuration"))
        self.root = _Module("", _mapping(configuration.get("root_module")))
        self.providers = _mapping(configuration.get("provider_config"))
        self._told: dict[tuple[str, str], Any] = {}
        self.variables = {
            name: entry.get("value")
            for name, entry in _mapping(document.get("variables")).items()
            if isinstance(entry, dict)
        }
        self.changes = list(_objects(document.get("resource_changes")))
        self.resources = [self._resource(change) for change in self.changes if _remains(change)]

    def _resource(self, change: Json) -> _Resource:
        address = change["address"]
        module = self.module(change.get("module_address", ""))
        plain = _INDEX.sub("", address).removeprefix(f"{module.address}.")
        detail = change["change"]
        unknown = detail.get("after_unknown")
        return _Resource(
            plan=self,
            address=address,
            type=change["type"],
            module=module,
            config=module.resource(plain),
            after=_mapping(detail.get("after")),
            after_unknown=unknown if isinstance(unknown, dict) else {},
        )

    def module(self, address: str) -> _Module:
        """The module of the configuration at an address."""
        module = self.root
        for name in _INDEX.sub("", address).split(".")[1::2]:
            module = module.child(name) or _Module(f"{module.address}.module.{name}", {}, module)
        return module

    def of_type(self, type_: str) -> Iterator[_Resource]:
        """The resources of one type, in the plan's order."""
        return (resource for resource in self.resources if resource.type == type_)

    def account_id(self, config: Json | None) -> str | Unknown:
        """The one account that the resource's provider may act in (`allowed_account_ids`)."""
        allowed = self.provider_value(config, "allowed_account_ids")
        if isinstance(allowed, Unknown):
            return allowed
        ids = allowed if isinstance(allowed, list) else [allowed]
        if len(ids) != 1 or not isinstance(ids[0], str):
            return Unknown(f"its provider allows {len(ids)} accounts, so it may stand in any")
        return ids[0]

    def provider_value(self, config: Json | None, name: str) -> Any:
        """What the resource's provider sets `name` to, as far as the plan tells."""
        key = str((config or {}).get("provider_config_key", ""))
        # Hundreds of resources share a handful of providers.
        if (key, name) not in self._told:
            self._told[key, name] = self._provider_value(key, name)
        return self._told[key, name]

    def _provider_value(self, key: str, name: str) -> Any:
        provider = self.providers.get(key)
        expression = _mapping(_mapping(provider).get("expressions")).get(name)
        if expression is None:
            return Unknown(f"its provider {key or '(none)'} does not set {name}")
        return self.expression_value(expression, f"{name} of its provider {key}")

    def expression_value(self, expression: Any, what: str) -> Any:
        """The value of a constant, or of one variable of the root module."""
        if "constant_value" in expression:
            return expression["constant_value"]
        references = _longest(_references(expression))
        if len(references) == 1 and references[0].startswith("var."):
            return self._variable(references[0])
        return Unknown(f"{what} is not one variable")

    def landed(self, module: _Module) -> set[str | Unknown]:
        """The accounts that the resources of a module, and of those in it, stand in."""
        accounts = {
            self.account_id(resource)
            for resource in _objects(module.config.get("resources"))
            if resource.get("mode") == "managed"
            and not str(resource.get("provider_config_key", "")).endswith("terraform")
        }
        for name in _mapping(module.config.get("module_calls")):
            child = module.child(name)
            accounts |= self.landed(child) if child is not None else set()
        return accounts

    def _variable(self, reference: str) -> Any:
        value: Any = self.variables
        for step in _steps(reference)[1:]:
            if isinstance(value, dict) and step in value:
                value = value[step]
            elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
                value = value[int(step)]
            else:
                return Unknown(f"the plan gives no value for {reference}")
        return value

    def linked(self, module: _Module, expression: Any, depth: int) -> Iterator[str]:
        """The addresses, without indices, of the resources that an expression leads to."""
        if depth > _DEEPEST:
            return
        for reference in _longest(_references(expression)):
            for scope, target in _follow(module, reference):
                yield from self.linked(scope, target, depth + 1)
            steps = _steps(reference)
            if steps[0] in {"local", "each", "count", "self"}:
                # NOTE: Terraform's JSON does not say what is behind it, so it may be anything.
                yield f"({reference})"
            if module.resource(".".join(steps[:2])) and steps[0] != "data":
                yield ".".join(filter(None, (module.address, *steps[:2])))

    def culprits(self, resource: _Resource, attribute: str) -> list[str]:
        """The references that make an attribute unknown, as full addresses, sorted."""
        expression = _mapping((resource.config or {}).get("expressions")).get(attribute)
        return sorted(set(self._culprits(resource.module, expression, 0)))

    def _culprits(self, module: _Module, expression: Any, depth: int) -> Iterator[str]:
        if depth > _DEEPEST:
            return
        for reference in _longest(_references(expression)):
            full = ".".join(filter(None, (module.address, reference)))
            steps = _steps(reference)
            if steps[0] in {"each", "count", "path", "terraform", "self"}:
                continue
            if steps[0] == "local":
                # NOTE: Terraform's JSON holds no locals, so the trace ends here.
                yield full
                continue
            targets = list(_follow(module, reference))
            behind = [
                culprit
                for scope, target in targets
                for culprit in self._culprits(scope, target, depth + 1)
            ]
            yield from behind
            if steps[0] in {"var", "module", "data"}:
                # NOTE: Terraform's JSON holds no dynamic blocks, so a data source that is read at
                # apply may hide its reason; then it is named itself.
                hidden = steps[0] == "data" and not behind and self._computed(module, steps)
                if steps[0] != "var" and (not targets or hidden):
                    yield full
                continue
            if self._computed(module, steps):
                yield full

    def _computed(self, module: _Module, steps: list[str]) -> bool:
        parts = 3 if steps[0] == "data" else 2
        plain = ".".join(filter(None, (module.address, *steps[:parts])))
        if parts == 3:
            return any(_INDEX.sub("", change["address"]) == plain for change in self.changes)
        same = [r for r in self.resources if _INDEX.sub("", r.address) == plain]
        names = [step for step in steps[2:] if not step.isdigit()]
        return not same or not names or any(r.after_unknown.get(names[0]) for r in same)


def read(document: object, declared: Declared, env: str) -> Estate:
    """The estate that a plan of env `env` leads to.

    `document` is the decoded JSON of `terraform show -json`. Raises SourceError if it is not a
    whole plan of this env, made with the values that are declared now.
    """
    checked = _checked(document, declared, env)
    try:
        return _estate(_Plan(checked), declared, env)
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError) as error:
        raise SourceError(
            f"The plan is not as Terraform documents it ({type(error).__name__}: {error})."
        ) from error


def beside(planned: Estate, code: Estate | Unknown) -> Estate:
    """The planned estate with its code's estate beside it, and with the code's files and lines."""
    if isinstance(code, Unknown):
        return replace(planned, code=code)
    places = {
        each.name: each.where
        for account in code.accounts
        for kind in _KINDS
        for each in known(getattr(account, kind))
    }
    places |= {each.name: each.where for each in known(code.providers)}
    places |= {each.name: each.where for each in known(code.placements)}

    told = {each.name: each for each in known(code.providers)}

    def placed(values: Any) -> Any:
        if isinstance(values, Unknown):
            return values
        return tuple(replace(each, where=places.get(each.name, each.where)) for each in values)

    def seen(account: Account) -> Account:
        return replace(account, **{kind: placed(getattr(account, kind)) for kind in _KINDS})

    return replace(
        planned,
        target=seen(planned.target),
        staging=tuple(seen(account) for account in planned.staging),
        orchestration=seen(planned.orchestration),
        providers=planned.providers
        if isinstance(planned.providers, Unknown)
        else tuple(_confirmed(each, told.get(each.name, each)) for each in planned.providers),
        placements=placed(planned.placements),
        code=code,
    )


def _confirmed(planned: Provider, written: Provider) -> Provider:
    """The provider of a plan, with the place of the code's, and known only where the code's is.

    Of an argument a plan tells no more than what it refers to: `[var.a]` and `[var.a, "1"]` are the
    same there.
    """
    return replace(
        planned,
        where=written.where,
        region=written.region if isinstance(written.region, Unknown) else planned.region,
        allowed=written.allowed if isinstance(written.allowed, Unknown) else planned.allowed,
    )


def masked(document: object) -> object:
    """The plan's JSON with every value that Terraform calls sensitive replaced."""
    if isinstance(document, list):
        return [masked(each) for each in document]
    if not isinstance(document, dict):
        return document
    found = {key: masked(value) for key, value in document.items()}
    for values, marks in _SENSITIVE:
        if values in found and marks in found:
            found[values] = _hidden(found[values], found[marks])
    if found.get("sensitive") is True and "value" in found:
        found["value"] = _MASK
    variables = _mapping(found.get("variables"))
    declared = _mapping(
        _mapping(_mapping(found.get("configuration")).get("root_module")).get("variables")
    )
    for name, declaration in declared.items():
        if _mapping(declaration).get("sensitive") is True and name in variables:
            variables[name] = {"value": _MASK}
    return found


def _hidden(value: Any, marks: Any) -> Any:
    if marks is True:
        return _MASK
    if isinstance(value, dict) and isinstance(marks, dict):
        return {key: _hidden(each, marks.get(key)) for key, each in value.items()}
    if isinstance(value, list) and isinstance(marks, list):
        return [_hidden(each, mark) for each, mark in itertools.zip_longest(value, marks)]
    return value


def _estate(plan: _Plan, declared: Declared, env: str) -> Estate:
    target, staging, orchestration = tfvars.accounts(declared)
    accounts = (target, *staging, orchestration)
    resources = Resources(
        tuple(each for each in plan.resources if each.type in READ), dict(_taken_away(plan))
    )
    names = {account.id: account.name for account in accounts}
    return tfvars.estate(
        declared,
        env,
        "plan",
        placer(resources, accounts),
        providers=tuple(_providers(plan)),
        placements=tuple(_placements(plan, declared)),
        changes=tuple(_changes(plan, names)),
    )


def _taken_away(plan: _Plan) -> Iterator[tuple[str, Unknown]]:
    """The types of which a plan deletes one, where AWS puts something of its own in its place."""
    for change in plan.changes:
        if change["type"] == "aws_kms_key_policy" and not _remains(change):
            yield (
                change["type"],
                Unknown(f"{change['address']} is taken away, and AWS's default policy follows"),
            )


def _providers(plan: _Plan) -> Iterator[Provider]:
    for key, config in plan.providers.items():
        if _mapping(config).get("name") != "aws" or "expressions" not in config:
            # Terraform also lists the default configuration that nothing sets; what used it would
            # stand in no known account.
            continue
        wired = {"provider_config_key": key}
        named = "allowed_account_ids" in config["expressions"]
        allowed = plan.provider_value(wired, "allowed_account_ids") if named else []
        region = plan.provider_value(wired, "region")
        ids = allowed if isinstance(allowed, list) else [allowed]
        known = all(isinstance(each, str) for each in ids)
        assumes = "assume_role" in _mapping(_mapping(config).get("expressions"))
        one = ids[0] if known and len(ids) == 1 else Unknown(f"{key} allows {len(ids)} accounts")
        yield Provider(
            name=key,
            where=f"provider {key}",
            region=region if isinstance(region, (str, Unknown)) else Unknown("it is no text"),
            allowed=tuple(ids) if known else Unknown(f"{key} does not show allowed_account_ids"),
            # NOTE: a plan exists only if the provider found the account of its credentials among
            # the allowed ones, so a single allowed account is the one that it acts in.
            role_account_id=(one if assumes else None),
        )


def _placements(plan: _Plan, declared: Declared) -> Iterator[Placement]:
    for name, call in _mapping(plan.root.config.get("module_calls")).items():
        module = plan.root.child(name)
        landed = plan.landed(module) if module is not None else set()
        for account_id in sorted(landed, key=str):
            argument = _mapping(_mapping(call).get("expressions")).get("account_id")
            given = None if argument is None else plan.expression_value(argument, "account_id")
            meant = tfvars.meant(declared, name) if given is None else given
            if meant is None:
                continue
            yield Placement(
                name=f"module.{name}",
                where=f"module.{name}",
                declared_id=meant
                if isinstance(meant, (str, Unknown))
                else Unknown("its account_id is no text"),
                account_id=account_id,
            )


def _checked(document: object, declared: Declared, env: str) -> Json:
    """The document, if it is a whole plan of this env with the declared values."""
    if not isinstance(document, dict):
        raise SourceError("The plan is not a JSON object; make the plan again.")
    version = document.get("format_version")
    if not isinstance(version, str) or not version.startswith("1."):
        raise SourceError(f"The plan has format version {version!r}; this reads version 1.")
    for name, kind in (("resource_changes", list), ("configuration", dict), ("variables", dict)):
        if not isinstance(document.get(name), kind):
            raise SourceError(f"The plan has no {name}; it is empty, cut short or not a plan.")
    if document.get("errored") is True or document.get("complete") is False:
        raise SourceError("The plan is not complete; make the plan again.")
    for change in document["resource_changes"]:
        detail = change.get("change") if isinstance(change, dict) else None
        if (
            not isinstance(detail, dict)
            or not isinstance(detail.get("actions"), list)
            or not all(isinstance(change.get(key), str) for key in ("address", "type", "mode"))
        ):
            raise SourceError("The plan has a resource change that cannot be read.")
    variables = {
        name: entry.get("value") if isinstance(entry, dict) else None
        for name, entry in document["variables"].items()
    }
    if variables.get("environment") != env:
        raise SourceError(
            f"The plan is of env {variables.get('environment')!r}, not of {env!r}; "
            "make the plan again."
        )
    for name, value in declared.values.items():
        if not _within(value, variables.get(name)):
            raise SourceError(
                f"{declared.where(name)}: the plan was made with another value of {name!r}; "
                "make the plan again."
            )
    return cast("Json", document)


def _within(declared: Any, planned: Any) -> bool:
    """True if every declared value stands in the planned one, which may also hold defaults."""
    if isinstance(declared, dict):
        return isinstance(planned, dict) and all(
            key in planned and _within(value, planned[key]) for key, value in declared.items()
        )
    return bool(declared == planned)


def _changes(plan: _Plan, names: Mapping[str, str]) -> Iterator[Change]:
    for change in plan.changes:
        detail = change["change"]
        actions = tuple(str(action) for action in detail["actions"])
        if change["mode"] != "managed" or actions == ("no-op",):
            continue
        if change.get("provider_name") == _BUILTIN_PROVIDER:
            continue
        module = plan.module(change.get("module_address", ""))
        plain = _INDEX.sub("", change["address"]).removeprefix(f"{module.address}.")
        config = module.resource(plain)
        account = plan.account_id(config) if config else _former_account(plan, module, detail)
        if isinstance(account, str):
            account = names.get(account, account)
        yield Change(
            address=change["address"],
            type=change["type"],
            account=account,
            actions=actions,
            changed=tuple(_changed(detail)),
        )


def _former_account(plan: _Plan, module: _Module, detail: Json) -> str | Unknown:
    """The account of a resource that the configuration does not have any more.

    Its own ARN tells it; else its module's other resources do, if they all stand in one account.
    """
    arn = _mapping(detail.get("before")).get("arn")
    if isinstance(arn, str) and (found := re.match(r"arn:[^:]*:[^:]*:[^:]*:([0-9]{12}):", arn)):
        return found[1]
    landed = plan.landed(module) if module.address else set()
    if len(landed) == 1:
        return next(iter(landed))
    return Unknown("the configuration does not have it any more, and its ARN names no account")


def _changed(detail: Json) -> Iterator[str]:
    """The attributes that differ after an update or a replacement, or may."""
    before, after = detail.get("before"), detail.get("after")
    unknown = detail.get("after_unknown")
    if not isinstance(before, dict) or not isinstance(after, dict):
        return
    hidden = unknown if isinstance(unknown, dict) else {}
    for attribute in sorted({*before, *after, *hidden}):
        if _marked(hidden.get(attribute)) or before.get(attribute) != after.get(attribute):
            yield attribute


def _marked(marks: Any) -> bool:
    """True if `after_unknown` marks a value, or a part of it; it has the value's shape either way."""
    if isinstance(marks, dict):
        return any(_marked(each) for each in marks.values())
    if isinstance(marks, list):
        return any(_marked(each) for each in marks)
    return marks is True


def _remains(change: Json) -> bool:
    """True for a managed resource that exists after the apply."""
    return (
        change["mode"] == "managed"
        and "deposed" not in change
        and change["change"]["actions"] not in (["delete"], ["forget"])
    )


def _follow(module: _Module, reference: str) -> Iterator[tuple[_Module, Any]]:
    """The expressions behind a reference to a variable, a module's output or a data source."""
    steps = _steps(reference)
    if steps[0] == "var" and module.parent is not None and len(steps) > 1:
        expression = _mapping(_mapping(module.call).get("expressions")).get(steps[1])
        if expression is not None:
            yield module.parent, expression
    elif steps[0] == "module" and len(steps) > 1:
        child = module.child(steps[1])
        outputs = [step for step in steps[2:] if not step.isdigit()]
        if child is not None:
            declared = _mapping(child.config.get("outputs"))
            for name, output in declared.items():
                if not outputs or name == outputs[0] or name in outputs[:2]:
                    yield child, _mapping(output).get("expression")
    elif steps[0] == "data" and len(steps) > 2:
        resource = module.resource(".".join(steps[:3]))
        if resource is not None:
            yield module, resource.get("expressions")


def _references(expression: Any) -> Iterator[str]:
    """Every reference in an expression, nested blocks included."""
    if isinstance(expression, dict):
        for key, value in expression.items():
            if key == "references" and isinstance(value, list):
                yield from (each for each in value if isinstance(each, str))
            else:
                yield from _references(value)
    elif isinstance(expression, list):
        for item in expression:
            yield from _references(item)


def _longest(references: Iterator[str]) -> list[str]:
    """The references that are not the beginning of another: Terraform lists each prefix too."""
    unique = sorted(set(references))
    return [
        each
        for each in unique
        if not any(o != each and o.startswith((f"{each}.", f"{each}[")) for o in unique)
    ]


def _steps(reference: str) -> list[str]:
    return [name or text or index for name, text, index in _STEP.findall(reference)]


def _mapping(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _objects(value: object) -> Iterator[Json]:
    if isinstance(value, list):
        yield from (cast("Json", each) for each in value if isinstance(each, dict))
