"""The plan view: an `Estate` from the JSON of `terraform show -json PLAN` and the declared values.

Only what the plan shows as known is known. A value that Terraform computes at apply becomes
`Unknown`, with the references that made it so; a resource that cannot be placed in an account makes
that kind of resource unknown in every account, since it could stand in any of them.

Format: https://developer.hashicorp.com/terraform/internals/json-format
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from validator.errors import SourceError
from validator.model import Account, Change, Estate, Key, ReplicationTemplate, Role, Unknown
from validator.sources import tfvars
from validator.sources.tfvars import Declared

Json = dict[str, Any]
Placed = TypeVar("Placed", Key, Role, ReplicationTemplate)

_STEP = re.compile(r'\.?([A-Za-z0-9_-]+)|\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]')
_INDEX = re.compile(r"\[[^\]]*\]")
_BUILTIN_PROVIDER = "terraform.io/builtin/terraform"
"""The provider of `terraform_data`, which makes nothing in any account."""
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

    address: str
    type: str
    module: _Module
    config: Json | None
    after: Json
    after_unknown: Json

    def value(self, plan: "_Plan", attribute: str) -> Any:
        """The attribute's planned value, or Unknown naming the references that hide it."""
        if self.after_unknown.get(attribute):
            culprits = plan.culprits(self, attribute)
            return Unknown(
                f"{self.address}.{attribute} is known only after apply"
                + (f", because it refers to {', '.join(culprits)}" if culprits else "")
            )
        if attribute not in self.after:
            return Unknown(f"the plan does not show {self.address}.{attribute}")
        return self.after[attribute]


class _Plan:
    """A parsed plan: its resources, and the answers that need its configuration."""

    def __init__(self, document: Json) -> None:
        configuration = _mapping(document.get("configuration"))
        self.root = _Module("", _mapping(configuration.get("root_module")))
        self.providers = _mapping(configuration.get("provider_config"))
        self.variables = {
            name: entry.get("value")
            for name, entry in _mapping(document.get("variables")).items()
            if isinstance(entry, dict)
        }
        self.changes = list(_objects(document.get("resource_changes")))
        self.resources = [self._resource(change) for change in self.changes if _remains(change)]

    def _resource(self, change: Json) -> _Resource:
        address = change["address"]
        module = self._module(change.get("module_address", ""))
        plain = _INDEX.sub("", address).removeprefix(f"{module.address}.")
        detail = change["change"]
        unknown = detail.get("after_unknown")
        return _Resource(
            address=address,
            type=change["type"],
            module=module,
            config=module.resource(plain),
            after=_mapping(detail.get("after")),
            after_unknown=unknown if isinstance(unknown, dict) else {},
        )

    def _module(self, address: str) -> _Module:
        module = self.root
        for name in _INDEX.sub("", address).split(".")[1::2]:
            module = module.child(name) or _Module(f"{module.address}.module.{name}", {}, module)
        return module

    def of_type(self, type_: str) -> Iterator[_Resource]:
        """The resources of one type, in the plan's order."""
        return (resource for resource in self.resources if resource.type == type_)

    def account_id(self, config: Json | None) -> str | Unknown:
        """The one account that the resource's provider may act in (`allowed_account_ids`)."""
        allowed = self._provider_value(config, "allowed_account_ids")
        if isinstance(allowed, Unknown):
            return allowed
        ids = allowed if isinstance(allowed, list) else [allowed]
        if len(ids) != 1 or not isinstance(ids[0], str):
            return Unknown(f"its provider allows {len(ids)} accounts, so it may stand in any")
        return ids[0]

    def region(self, resource: _Resource) -> str | Unknown:
        """The Region of a resource: its own (provider 6), else its provider's."""
        own = resource.after.get("region")
        if isinstance(own, str):
            return own
        value = self._provider_value(resource.config, "region")
        return value if isinstance(value, (str, Unknown)) else Unknown("its Region is no text")

    def _provider_value(self, config: Json | None, name: str) -> Any:
        key = (config or {}).get("provider_config_key")
        provider = self.providers.get(key) if isinstance(key, str) else None
        expression = _mapping(_mapping(provider).get("expressions")).get(name)
        if expression is None:
            return Unknown(f"its provider {key or '(none)'} does not set {name}")
        if "constant_value" in expression:
            return expression["constant_value"]
        references = _longest(_references(expression))
        if len(references) == 1 and references[0].startswith("var."):
            return self._variable(references[0])
        return Unknown(f"{name} of its provider {key} is not one variable")

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

    def linked(self, resource: _Resource, attribute: str, type_: str) -> str | None | Unknown:
        """The address of the resource of `type_` that an attribute refers to.

        None if the attribute is not set. A value that is written as text, or refers to a resource
        outside the plan, is Unknown.
        """
        expression = _mapping((resource.config or {}).get("expressions")).get(attribute)
        if expression is None or "constant_value" in expression:
            value = resource.after.get(attribute)
            if value is None and not resource.after_unknown.get(attribute):
                return None
            return Unknown(f"{resource.address}.{attribute} does not refer to a resource")
        found = set(self._linked(resource.module, expression, 0))
        matches = [
            other.address for other in self.of_type(type_) if _INDEX.sub("", other.address) in found
        ]
        if len(matches) == 1 and len(found) == 1:
            return matches[0]
        return Unknown(
            f"{resource.address}.{attribute} refers to {len(matches)} resources of type {type_}"
        )

    def _linked(self, module: _Module, expression: Any, depth: int) -> Iterator[str]:
        if depth > _DEEPEST:
            return
        for reference in _longest(_references(expression)):
            for scope, target in _follow(module, reference):
                yield from self._linked(scope, target, depth + 1)
            steps = _steps(reference)
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


def _estate(plan: _Plan, declared: Declared, env: str) -> Estate:
    accounts = tfvars.accounts(declared)
    ids = {account.id for account in (accounts[0], *accounts[1], accounts[2])}
    keys = _place(ids, tuple(_keys(plan)))
    roles = _place(ids, tuple(_roles(plan)))
    templates = _place(ids, tuple(_templates(plan)))

    def seen(account: Account) -> Account:
        return replace(
            account,
            keys=_in_account(account, keys),
            roles=_in_account(account, roles),
            templates=_in_account(account, templates),
            servers=Unknown("a plan does not show live servers"),
        )

    names = {account.id: account.name for account in (accounts[0], *accounts[1], accounts[2])}
    return Estate(
        env=env,
        view="plan",
        source_region=tfvars.text(declared, "source_region"),
        recovery_region=tfvars.text(declared, "recovery_region"),
        target=seen(accounts[0]),
        staging=tuple(seen(account) for account in accounts[1]),
        orchestration=seen(accounts[2]),
        where=str(declared.file),
        changes=tuple(_changes(plan, names)),
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


def _keys(plan: _Plan) -> Iterator[Key]:
    aliases: dict[str, list[str]] = {}
    blind: Unknown | None = None
    for alias in plan.of_type("aws_kms_alias"):
        key, name = plan.linked(alias, "target_key_id", "aws_kms_key"), alias.value(plan, "name")
        if isinstance(key, str) and isinstance(name, str):
            aliases.setdefault(key, []).append(name)
        else:
            blind = Unknown(f"{alias.address} does not show which key it names")
    policies: dict[str, Any] = {}
    astray: Unknown | None = None
    for policy in plan.of_type("aws_kms_key_policy"):
        key = plan.linked(policy, "key_id", "aws_kms_key")
        if not isinstance(key, str):
            astray = Unknown(f"{policy.address} does not show whose policy it is")
        elif key in policies:
            policies[key] = Unknown(f"{key} has more than one aws_kms_key_policy")
        else:
            policies[key] = policy.value(plan, "policy")
    for resource in plan.of_type("aws_kms_key"):
        enabled = resource.value(plan, "is_enabled")
        yield Key(
            name=resource.address,
            where=resource.address,
            account_id=plan.account_id(resource.config),
            region=plan.region(resource),
            aliases=blind or tuple(sorted(aliases.get(resource.address, ()))),
            policy=astray or _text(policies.get(resource.address, resource.value(plan, "policy"))),
            enabled=enabled
            if isinstance(enabled, (bool, Unknown))
            else Unknown("no true or false"),
        )


def _roles(plan: _Plan) -> Iterator[Role]:
    attached: dict[str, list[str]] = {}
    blind: Unknown | None = None
    for attachment in plan.of_type("aws_iam_role_policy_attachment"):
        role = plan.linked(attachment, "role", "aws_iam_role")
        arn = attachment.value(plan, "policy_arn")
        if isinstance(role, str) and isinstance(arn, str):
            attached.setdefault(role, []).append(arn)
        else:
            blind = Unknown(f"{attachment.address} does not show what it attaches to which role")
    for resource in plan.of_type("aws_iam_role"):
        yield Role(
            name=_text(resource.value(plan, "name")),
            where=resource.address,
            account_id=plan.account_id(resource.config),
            path=_text(resource.value(plan, "path")),
            trust=_text(resource.value(plan, "assume_role_policy")),
            managed_policies=blind or tuple(sorted(attached.get(resource.address, ()))),
        )


def _templates(plan: _Plan) -> Iterator[ReplicationTemplate]:
    for resource in plan.of_type("aws_drs_replication_configuration_template"):
        yield ReplicationTemplate(
            name=resource.address,
            where=resource.address,
            account_id=plan.account_id(resource.config),
            region=plan.region(resource),
            ebs_encryption=_text(resource.value(plan, "ebs_encryption")),
            key=plan.linked(resource, "ebs_encryption_key_arn", "aws_kms_key"),
        )


def _place(ids: set[str], resources: tuple[Placed, ...]) -> tuple[Placed, ...] | Unknown:
    """The resources, or Unknown if one of them could stand in any account or in a foreign one."""
    for resource in resources:
        if isinstance(resource.account_id, Unknown):
            return Unknown(
                f"the account of {resource.where} is not known: {resource.account_id.reason}"
            )
        if resource.account_id not in ids:
            return Unknown(
                f"{resource.where} stands in account {resource.account_id}, "
                "which is not declared in the estate"
            )
    return resources


def _in_account(
    account: Account, resources: tuple[Placed, ...] | Unknown
) -> tuple[Placed, ...] | Unknown:
    if isinstance(resources, Unknown):
        return resources
    return tuple(each for each in resources if each.account_id == account.id)


def _changes(plan: _Plan, names: Mapping[str, str]) -> Iterator[Change]:
    for change in plan.changes:
        actions = tuple(str(action) for action in change["change"]["actions"])
        if change["mode"] != "managed" or actions == ("no-op",):
            continue
        if change.get("provider_name") == _BUILTIN_PROVIDER:
            continue
        module = plan._module(change.get("module_address", ""))
        plain = _INDEX.sub("", change["address"]).removeprefix(f"{module.address}.")
        account = plan.account_id(module.resource(plain))
        if isinstance(account, str):
            account = names.get(account, account)
        yield Change(change["address"], account, actions)


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


def _text(value: Any) -> str | Unknown:
    return value if isinstance(value, (str, Unknown)) else Unknown("it is no text in the plan")


def _mapping(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _objects(value: object) -> Iterator[Json]:
    if isinstance(value, list):
        yield from (cast("Json", each) for each in value if isinstance(each, dict))
