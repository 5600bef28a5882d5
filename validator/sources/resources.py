"""An estate from Terraform resources, whichever view read them: the code's or a plan's.

A resource that cannot be placed in an account makes that kind of resource unknown in every account,
since it could stand in any of them; so does one that the view could not see at all.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar

from validator.model import (
    AGENT_DEPLOYER,
    DEPLOYMENTS,
    Account,
    Ingress,
    Key,
    PointInTimeRule,
    ReplicationTemplate,
    Role,
    SecurityGroup,
    Table,
    Unknown,
    Worker,
)

Placed = TypeVar("Placed", Key, Role, ReplicationTemplate, SecurityGroup, Table, Worker)

READ = frozenset(
    [
        "aws_drs_replication_configuration_template",
        "aws_dynamodb_table",
        "aws_iam_policy",
        "aws_iam_policy_attachment",
        "aws_iam_role",
        "aws_iam_role_policies_exclusive",
        "aws_iam_role_policy",
        "aws_iam_role_policy_attachment",
        "aws_iam_role_policy_attachments_exclusive",
        "aws_iam_role_policy_attachments_exclusive",
        "aws_kms_alias",
        "aws_kms_external_key",
        "aws_kms_grant",
        "aws_kms_key",
        "aws_kms_key_policy",
        "aws_kms_replica_external_key",
        "aws_kms_replica_key",
        "aws_lambda_function",
        "aws_security_group",
        "aws_security_group_rule",
        "aws_sfn_state_machine",
        "aws_vpc_security_group_ingress_rule",
    ]
)
"""The types of resource that an estate is made of."""


_OTHER_KEYS = ("aws_kms_external_key", "aws_kms_replica_external_key", "aws_kms_replica_key")
_EXCLUSIVE = ("aws_iam_role_policies_exclusive", "aws_iam_role_policy_attachments_exclusive")


class Resource(Protocol):
    """One resource that exists once the configuration is applied."""

    @property
    def address(self) -> str:
        """The address, with indices."""

    @property
    def type(self) -> str:
        """The type, such as aws_kms_key."""

    @property
    def where(self) -> str:
        """The file and line where the view has them, else the address."""

    @property
    def account_id(self) -> str | Unknown:
        """The one account that its provider may act in."""

    @property
    def region(self) -> str | Unknown:
        """Its own Region, else its provider's."""

    def given(self, attribute: str) -> bool:
        """True if the configuration sets the attribute, or has blocks of that name."""

    def value(self, attribute: str) -> Any:
        """The attribute as plain data, None if it is not set; what is not known in it is Unknown."""

    def linked(self, attribute: str, type_: str) -> tuple[str, ...] | Unknown:
        """The addresses of the resources of `type_` that an attribute refers to."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Every resource that a view saw, and for each type of which it may have missed some, why.

    The reason under "*" is for every type.
    """

    seen: tuple[Resource, ...]
    missed: Mapping[str, Unknown]

    def of_type(self, type_: str) -> Iterator[Resource]:
        """The resources of one type, in the view's order."""
        return (resource for resource in self.seen if resource.type == type_)

    def unread(self, *types: str) -> Unknown | None:
        """Why a resource of these types, which are not read, hides what is; None if there is none."""
        found = next((each for each in self.seen if each.type in types), None)
        return (
            None if found is None else Unknown(f"{found.address} is a {found.type}, not read here")
        )

    def blind(self, *types: str) -> Unknown | None:
        """Why some resource of these types may be unseen, None if none may."""
        return next((self.missed[each] for each in (*types, "*") if each in self.missed), None)


def placer(resources: Resources, accounts: Iterable[Account]) -> Callable[[Account], Account]:
    """A function that gives an account its keys, roles, templates and whatever else it has."""
    names = {account.id: account.name for account in accounts}
    keys, key_names = _placed(
        names,
        tuple(_keys(resources)),
        resources.blind("aws_kms_key", *_OTHER_KEYS) or resources.unread(*_OTHER_KEYS),
        key_name,
    )
    roles, role_names = _placed(
        names, tuple(_roles(resources)), resources.blind("aws_iam_role"), role_name
    )
    own = {each.address: each.value("name") for each in resources.of_type("aws_security_group")}
    groups, group_names = _placed(
        names,
        tuple(_groups(resources)),
        resources.blind("aws_security_group"),
        lambda group, account: (
            group_name(own[group.name], account) if isinstance(own[group.name], str) else group.name
        ),
    )
    seeds, _ = _placed(
        names,
        tuple(_templates(resources)),
        resources.blind("aws_drs_replication_configuration_template"),
        template_name,
    )
    templates = (
        seeds
        if isinstance(seeds, Unknown)
        else tuple(_linked(each, key_names, group_names) for each in seeds)
    )
    workers, _ = _placed(
        names,
        tuple(_workers(resources, role_names)),
        resources.blind("aws_lambda_function", "aws_sfn_state_machine"),
        worker_name,
    )
    tables, _ = _placed(
        names, tuple(_tables(resources)), resources.blind("aws_dynamodb_table"), table_name
    )

    def seen(account: Account) -> Account:
        return replace(
            account,
            keys=_in_account(account, keys),
            roles=_in_account(account, roles),
            templates=_in_account(account, templates),
            security_groups=_used(account, groups, templates),
            workers=_in_account(account, workers),
            tables=_in_account(account, tables),
        )

    return seen


def _linked(
    template: ReplicationTemplate, keys: Mapping[str, str], groups: Mapping[str, str]
) -> ReplicationTemplate:
    """The template with names where it has addresses."""
    key, used = template.key, template.security_groups
    return replace(
        template,
        key=keys.get(key, key) if isinstance(key, str) else key,
        security_groups=used
        if isinstance(used, Unknown)
        else tuple(sorted(groups.get(each, each) for each in used)),
    )


def _used(
    account: Account,
    groups: tuple[SecurityGroup, ...] | Unknown,
    templates: tuple[ReplicationTemplate, ...] | Unknown,
) -> tuple[SecurityGroup, ...] | Unknown:
    """The account's security groups that replication servers use."""
    if isinstance(templates, Unknown):
        return templates
    if isinstance(groups, Unknown):
        return groups
    named: set[str] = set()
    for template in templates:
        if isinstance(template.security_groups, Unknown):
            return template.security_groups
        named |= set(template.security_groups)
    return tuple(g for g in groups if g.name in named and g.account_id == account.id)


def _keys(resources: Resources) -> Iterator[Key]:
    aliases: dict[str, list[str]] = {}
    unnamed = resources.blind("aws_kms_alias")
    for alias in resources.of_type("aws_kms_alias"):
        key, name = _one(alias, "target_key_id", "aws_kms_key"), alias.value("name")
        if isinstance(key, str) and isinstance(name, str):
            aliases.setdefault(key, []).append(name)
        else:
            unnamed = Unknown(f"{alias.address} does not show which key it names")
    policies: dict[str, Any] = {}
    astray = resources.blind("aws_kms_key_policy", "aws_kms_grant")
    for policy in resources.of_type("aws_kms_key_policy"):
        key = _one(policy, "key_id", "aws_kms_key")
        if not isinstance(key, str):
            astray = Unknown(f"{policy.address} does not show whose policy it is")
        elif key in policies:
            policies[key] = Unknown(f"{key} has more than one aws_kms_key_policy")
        else:
            policies[key] = policy.value("policy")
    for grant in resources.of_type("aws_kms_grant"):
        key = _one(grant, "key_id", "aws_kms_key")
        passed = Unknown(f"{grant.address} hands the key on past its policy")
        if isinstance(key, str):
            policies[key] = passed
        else:
            astray = passed
    for resource in resources.of_type("aws_kms_key"):
        address = resource.address
        own = policies.get(address, resource.value("policy"))
        yield Key(
            name=address,
            where=resource.where,
            account_id=resource.account_id,
            region=resource.region,
            aliases=unnamed or tuple(sorted(aliases.get(address, ()))),
            policy=astray or _text(own, f"{address} has no policy of its own"),
            enabled=_flag(resource, "is_enabled", True),
            rotated=_flag(resource, "enable_key_rotation", False),
            deletion_window=_number(resource.value("deletion_window_in_days"), default=30),
        )


def _roles(resources: Resources) -> Iterator[Role]:
    attached: dict[str, list[str]] = {}
    permissions: dict[str, list[str | Unknown]] = {}
    several = ("aws_iam_policy_attachment", *_EXCLUSIVE)
    astray = resources.blind("aws_iam_role_policy_attachment", *several)
    astray = astray or resources.unread(*several)
    hidden = astray or resources.blind("aws_iam_role_policy", "aws_iam_policy")
    policies = {each.address: each for each in resources.of_type("aws_iam_policy")}
    for attachment in resources.of_type("aws_iam_role_policy_attachment"):
        role = _one(attachment, "role", "aws_iam_role")
        arn = attachment.value("policy_arn")
        policy = _one(attachment, "policy_arn", "aws_iam_policy")
        if isinstance(role, str) and isinstance(policy, str) and policy in policies:
            permissions.setdefault(role, []).append(policies[policy].value("policy"))
        elif isinstance(role, str) and isinstance(arn, str):
            attached.setdefault(role, []).append(arn)
            if ":iam::aws:policy/" not in arn:
                unread = Unknown(f"{attachment.address} attaches {arn}, which is not read")
                permissions.setdefault(role, []).append(unread)
        else:
            astray = Unknown(f"{attachment.address} does not show what it attaches to which role")
            hidden = astray
    for inline in resources.of_type("aws_iam_role_policy"):
        role = _one(inline, "role", "aws_iam_role")
        if isinstance(role, str):
            permissions.setdefault(role, []).append(inline.value("policy"))
        else:
            hidden = Unknown(f"{inline.address} does not show whose permissions it gives")
    for resource in resources.of_type("aws_iam_role"):
        exclusive = [a for a in ("inline_policy", "managed_policy_arns") if resource.given(a)]
        odd = Unknown(f"{resource.address} sets {exclusive[0]}") if exclusive else None
        yield Role(
            name=resource.address,
            where=resource.where,
            account_id=resource.account_id,
            role_name=_text(resource.value("name"), f"{resource.address} has no name of its own"),
            path=_text(resource.value("path") or "/", ""),
            trust=_text(resource.value("assume_role_policy"), f"{resource.address} has no trust"),
            managed_policies=astray or odd or tuple(sorted(attached.get(resource.address, ()))),
            permissions=hidden or odd or _texts(permissions.get(resource.address, [])),
        )


def _groups(resources: Resources) -> Iterator[SecurityGroup]:
    separate: dict[str, list[Ingress]] = {}
    astray = resources.blind("aws_security_group_rule", "aws_vpc_security_group_ingress_rule")
    for kind in ("aws_vpc_security_group_ingress_rule", "aws_security_group_rule"):
        for rule in resources.of_type(kind):
            if kind == "aws_security_group_rule" and rule.value("type") == "egress":
                continue
            group = _one(rule, "security_group_id", "aws_security_group")
            if isinstance(group, str):
                given = functools.partial(_given, rule)
                separate.setdefault(group, []).extend(_ingress(given, rule.address))
            else:
                astray = Unknown(f"{rule.address} does not show whose ingress it is")
    for resource in resources.of_type("aws_security_group"):
        inline: list[Ingress] | Unknown = []
        if resource.given("ingress"):
            inline = _inline(resource)
        blind = astray or (inline if isinstance(inline, Unknown) else None)
        yield SecurityGroup(
            name=resource.address,
            where=resource.where,
            account_id=resource.account_id,
            region=resource.region,
            ingress=blind or sorted_ingress((*_known(inline), *separate.get(resource.address, ()))),
        )


def sorted_ingress(ingress: Iterable[Ingress]) -> tuple[Ingress, ...]:
    """The ways in, in an order that no view changes."""
    return tuple(sorted(ingress, key=repr))


def _known(inline: list[Ingress] | Unknown) -> list[Ingress]:
    return [] if isinstance(inline, Unknown) else inline


def _inline(resource: Resource) -> list[Ingress] | Unknown:
    """The ingress blocks that stand in the security group itself."""
    blocks = resource.value("ingress")
    if isinstance(blocks, Unknown):
        return blocks
    found: list[Ingress] = []
    for each in blocks if isinstance(blocks, list) else [blocks]:
        if not isinstance(each, dict):
            return Unknown(f"{resource.address} has an ingress that cannot be read")
        found += _ingress(each.get, resource.address)
    return found


def _given(resource: Resource, attribute: str) -> Any:
    """The attribute's value, None for one that the configuration does not set."""
    return resource.value(attribute) if resource.given(attribute) else None


def _ingress(value: Callable[[str], Any], address: str) -> Iterator[Ingress]:
    """The ways in that one rule opens, one for each source that it names."""
    protocol = value("ip_protocol") or value("protocol")
    sources: list[str | Unknown] = []
    for attribute in ("cidr_ipv4", "cidr_ipv6", "cidr_blocks", "ipv6_cidr_blocks"):
        given = value(attribute)
        if given is None:
            continue
        for each in given if isinstance(given, list) else [given]:
            sources.append(_text(each, f"{address} has a {attribute} that is no text"))
    for attribute, kind in (
        ("referenced_security_group_id", "security group"),
        ("source_security_group_id", "security group"),
        ("security_groups", "security group"),
        ("self", "security group"),
        ("prefix_list_id", "prefix list"),
        ("prefix_list_ids", "prefix list"),
    ):
        found = value(attribute)
        if isinstance(found, Unknown) and attribute in {
            "self",
            "security_groups",
            "prefix_list_ids",
        }:
            sources.append(found)  # it may be none
        elif found:
            sources.append(kind)
    if not sources:
        sources.append(Unknown(f"{address} shows no source"))
    every = protocol in {"-1", "all"}
    for source in sources:
        yield Ingress(
            protocol="-1" if every else _text(protocol, f"{address} shows no protocol"),
            from_port=None if every else _number(value("from_port")),
            to_port=None if every else _number(value("to_port")),
            source=source,
        )


def _templates(resources: Resources) -> Iterator[ReplicationTemplate]:
    for resource in resources.of_type("aws_drs_replication_configuration_template"):
        encryption = resource.value("ebs_encryption")
        yield ReplicationTemplate(
            name=resource.address,
            where=resource.where,
            account_id=resource.account_id,
            region=resource.region,
            ebs_encryption=_text(encryption, f"{resource.address} shows no ebs_encryption"),
            key=_template_key(resource),
            point_in_time=_rules(resource),
            data_plane_routing=_text(
                resource.value("data_plane_routing"), f"{resource.address} shows no routing"
            ),
            public_ip=_flag(resource, "create_public_ip", None),
            default_security_group=_flag(resource, "associate_default_security_group", None),
            security_groups=resource.linked(
                "replication_servers_security_groups_ids", "aws_security_group"
            ),
            replicates_new_disks=_flag(resource, "auto_replicate_new_disks", None),
        )


def _template_key(resource: Resource) -> str | None | Unknown:
    if not resource.given("ebs_encryption_key_arn"):
        return None
    linked = _one(resource, "ebs_encryption_key_arn", "aws_kms_key")
    written = resource.value("ebs_encryption_key_arn")
    if isinstance(linked, Unknown) and (written is None or isinstance(written, str)):
        return written
    return linked


def _rules(resource: Resource) -> tuple[PointInTimeRule, ...] | Unknown:
    """The point-in-time policy, in the order of its units, which no view changes."""
    rules = resource.value("pit_policy")
    if isinstance(rules, Unknown):
        return rules
    found = []
    for rule in rules if isinstance(rules, list) else [rules]:
        if not isinstance(rule, dict):
            return Unknown(f"{resource.address} has a pit_policy that cannot be read")
        enabled = rule.get("enabled")
        found.append(
            PointInTimeRule(
                units=_text(rule.get("units"), f"{resource.address} has a rule without units"),
                interval=_whole(rule.get("interval")),
                retention=_whole(rule.get("retention_duration")),
                enabled=_boolean(
                    True if enabled is None else enabled,
                    f"{resource.address} has a rule that may be disabled",
                ),
            )
        )
    return sorted_rules(found)


def sorted_rules(rules: Iterable[PointInTimeRule]) -> tuple[PointInTimeRule, ...]:
    """The rules of a point-in-time policy, in an order that no view changes."""
    return tuple(sorted(rules, key=repr))


_WORKERS: tuple[tuple[str, Literal["function", "state machine"], str, str], ...] = (
    ("aws_lambda_function", "function", "function_name", "role"),
    ("aws_sfn_state_machine", "state machine", "name", "role_arn"),
)
"""The kinds of worker: Terraform's type, and what it calls the name and the role."""


def _workers(resources: Resources, roles: Mapping[str, str]) -> Iterator[Worker]:
    """The workers whose name begins as the agent deployer's, or is not known."""
    for type_, kind, named, acts_as in _WORKERS:
        for resource in resources.of_type(type_):
            own = _text(resource.value(named), f"{resource.address} has no name of its own")
            if isinstance(own, str) and not own.startswith(AGENT_DEPLOYER):
                continue
            role = _one(resource, acts_as, "aws_iam_role")
            yield Worker(
                name=resource.address,
                where=resource.where,
                account_id=resource.account_id,
                region=resource.region,
                kind=kind,
                worker_name=own,
                role=roles.get(role, role) if isinstance(role, str) else role,
            )


def _tables(resources: Resources) -> Iterator[Table]:
    """The tables whose name begins as that of deployments, or is not known."""
    for resource in resources.of_type("aws_dynamodb_table"):
        own = _text(resource.value("name"), f"{resource.address} has no name of its own")
        if isinstance(own, str) and not own.startswith(DEPLOYMENTS):
            continue
        yield Table(
            name=resource.address,
            where=resource.where,
            account_id=resource.account_id,
            region=resource.region,
            table_name=own,
            recoverable=_recoverable(resource),
            protected=_flag(resource, "deletion_protection_enabled", False),
        )


def _recoverable(resource: Resource) -> bool | Unknown:
    """True if the table has point-in-time recovery, which is a block of its own."""
    blocks = resource.value("point_in_time_recovery")
    if blocks is None or blocks == []:
        return False
    hidden = f"{resource.address} has a point_in_time_recovery that cannot be read"
    block = blocks[0] if isinstance(blocks, list) else blocks
    return _boolean(block.get("enabled") if isinstance(block, dict) else block, hidden)


def _placed(
    names: Mapping[str, str],
    resources: tuple[Placed, ...],
    blind: Unknown | None,
    named: Callable[[Placed, str], str],
) -> tuple[tuple[Placed, ...] | Unknown, Mapping[str, str]]:
    """The resources under their names, and the name of each address.

    Unknown if there may be more of them, or if one could stand in any account or in a foreign one.
    Two that would share a name keep their addresses.
    """
    if blind is not None:
        return blind, {}
    wanted: dict[str, str] = {}
    for resource in resources:
        account_id = resource.account_id
        if isinstance(account_id, Unknown):
            return Unknown(f"the account of {resource.name} is not known: {account_id.reason}"), {}
        if account_id not in names:
            return Unknown(
                f"{resource.name} stands in account {account_id}, "
                "which is not declared in the estate"
            ), {}
        wanted[resource.name] = named(resource, names[account_id])
    shared = Counter(wanted.values())
    final = {address: name if shared[name] == 1 else address for address, name in wanted.items()}
    return tuple(replace(each, name=final[each.name]) for each in resources), final


def key_name(key: Key, account: str) -> str:
    """What a key is called in every view: its first alias with its account, if it has one."""
    if isinstance(key.aliases, Unknown) or not key.aliases:
        return key.name
    return f"{key.aliases[0]} of {account}"


def role_name(role: Role, account: str) -> str:
    """What a role is called in every view, if its name is known."""
    known = not isinstance(role.role_name, Unknown)
    return f"role {role.role_name} of {account}" if known else role.name


def template_name(_: ReplicationTemplate, account: str) -> str:
    """What a replication template is called in every view."""
    return f"replication template of {account}"


def group_name(name: str, account: str) -> str:
    """What a security group is called in every view, from its own name and its account's."""
    return f"security group {name} of {account}"


def worker_name(worker: Worker, account: str) -> str:
    """What a function or a state machine is called in every view, if its name is known."""
    known = not isinstance(worker.worker_name, Unknown)
    return f"{worker.kind} {worker.worker_name} of {account}" if known else worker.name


def table_name(table: Table, account: str) -> str:
    """What a table is called in every view, if its name is known."""
    known = not isinstance(table.table_name, Unknown)
    return f"table {table.table_name} of {account}" if known else table.name


def _in_account(
    account: Account, resources: tuple[Placed, ...] | Unknown
) -> tuple[Placed, ...] | Unknown:
    if isinstance(resources, Unknown):
        return resources
    return tuple(each for each in resources if each.account_id == account.id)


def _one(resource: Resource, attribute: str, type_: str) -> str | Unknown:
    """The address of the one resource that an attribute refers to."""
    linked = resource.linked(attribute, type_)
    if isinstance(linked, Unknown):
        return linked
    if len(linked) != 1:
        return Unknown(
            f"{resource.address}.{attribute} refers to {len(linked)} resources of type {type_}"
        )
    return linked[0]


def _flag(resource: Resource, attribute: str, default: bool | None) -> bool | Unknown:
    value = resource.value(attribute)
    if value is None:
        value = default
    return _boolean(value, f"{resource.address} does not show {attribute}")


def _boolean(value: Any, reason: str) -> bool | Unknown:
    return value if isinstance(value, (bool, Unknown)) else Unknown(reason)


def _number(value: Any, default: int | None = None) -> int | None | Unknown:
    return default if value is None else _whole(value)


def _whole(value: Any) -> int | Unknown:
    """The value as a whole number, which Terraform may write as a float or as text."""
    if isinstance(value, Unknown):
        return value
    try:
        number = int(value)
        if not isinstance(value, bool) and number == float(value):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    return Unknown(f"{value!r} is no whole number")


def _text(value: Any, reason: str) -> str | Unknown:
    return value if isinstance(value, (str, Unknown)) else Unknown(reason)


def _texts(values: list[str | Unknown]) -> tuple[str, ...] | Unknown:
    found = [_text(each, "a policy is no text") for each in values]
    blind = next((each for each in found if isinstance(each, Unknown)), None)
    return blind or tuple(sorted(each for each in found if isinstance(each, str)))
