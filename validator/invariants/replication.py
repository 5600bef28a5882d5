"""Invariants on the replication templates: how new servers replicate into an account."""

import ipaddress
from collections import Counter
from collections.abc import Iterator

from validator.findings import Message
from validator.invariants import hcl
from validator.invariants.engine import Unseen, invariant, need
from validator.model import (
    Account,
    Estate,
    Ingress,
    Pair,
    ReplicationTemplate,
    SecurityGroup,
)

PORT = 1500
"""The TCP port on which a replication server takes data from agents."""

WORLD = 7
"""The longest prefix of a CIDR range that counts as the world: a /8 may be a private network."""

FIXED_RULES = {("MINUTE", 10, 60), ("HOUR", 1, 24)}
"""Units, interval and retention of the two point-in-time rules that DRS lets nobody change."""


def template_of(account: Account) -> ReplicationTemplate:
    """The account's replication template; raises Unseen where there is not exactly one."""
    templates = need(account.templates)
    if len(templates) != 1:
        raise Unseen(f"{account.name} has {len(templates)} replication templates, not one")
    return templates[0]


@invariant(Account)
def account_has_one_template(account: Account, estate: Estate) -> Iterator[Message]:
    """Every account that servers replicate into has exactly one replication template in a Region.

    DRS keeps one for an account and Region, and refuses a second in the middle of an apply. Without
    one the agent has no settings to start from: the account's servers take the defaults of whoever
    opens the console first, under a key that cannot be shared.

    Remedy: Call module replication-template once for the account; import one that exists already.
    """
    regions = Counter(need(template.region) for template in need(account.templates))
    if not regions[estate.recovery_region]:
        yield Message(
            f"{account.name} has no replication template in {estate.recovery_region}.",
            account.where,
        )
    for region, count in sorted(regions.items()):
        if count > 1:
            yield Message(
                f"{account.name} has {count} replication templates in {region}.", account.where
            )


@invariant(ReplicationTemplate)
def template_is_in_the_recovery_region(
    template: ReplicationTemplate, estate: Estate
) -> Iterator[str]:
    """Every replication template is in the recovery Region, the target's and the staging accounts'.

    A snapshot can be shared only in the Region that it is in, so a server is extended only where
    both accounts use DRS in the same Region. A template elsewhere seeds no server of this estate.

    Remedy: Give the module a provider of the recovery Region.
    """
    region = need(template.region)
    if region != estate.recovery_region:
        yield f"{template.name} is in {region}, not in {estate.recovery_region}."


@invariant(Pair)
def staging_template_encrypts_custom(pair: Pair, _: Estate) -> Iterator[Message]:
    """A staging account encrypts with CUSTOM, never with the account's default key and never not at all.

    AWS refuses to extend a server that is encrypted with the default EBS key, and changing the
    encryption of a server that replicates starts its initial sync again.

    Remedy: Set ebs_encryption to CUSTOM with the account's replication key.
    """
    template = template_of(pair.staging)
    encryption = need(template.ebs_encryption)
    if encryption != "CUSTOM":
        key = f"module.{hcl.label(pair.staging.name)}_replication_key.arn"
        yield Message(
            f"{pair.staging.name} encrypts with {encryption}, not CUSTOM.",
            template.where,
            hcl.arguments({"ebs_encryption": '"CUSTOM"', "ebs_encryption_key_arn": key}),
        )


@invariant(ReplicationTemplate)
def point_in_time_policy_is_legal(
    template: ReplicationTemplate, estate: Estate
) -> Iterator[Message]:
    """A point-in-time policy has the three rules that DRS takes, all enabled.

    DRS takes exactly three: every 10 minutes kept for 60, every hour kept for 24, and every day
    kept for 1 to 365. The Terraform provider takes any other at plan, and DRS refuses it at apply.

    Remedy: Write the three rules, and choose only the days.
    """
    rules = [
        (need(each.units), need(each.interval), need(each.retention), need(each.enabled))
        for each in need(template.point_in_time)
    ]
    if len(rules) != 3 or not {rule[:3] for rule in rules} >= FIXED_RULES:
        broken = f"{template.name} has other rules than the three that DRS takes"
    elif not any(rule[:2] == ("DAY", 1) and 1 <= rule[2] <= 365 for rule in rules):
        broken = f"{template.name} keeps no daily points for 1 to 365 days"
    elif not all(rule[3] for rule in rules):
        broken = f"{template.name} has a rule that is not enabled"
    else:
        return
    shown = ", ".join(f"{units} {each}/{kept}" for units, each, kept, _ in rules) or "none"
    yield Message(f"{broken} ({shown}).", template.where, _three_rules(estate))


def _three_rules(estate: Estate) -> str:
    days = estate.point_in_time_days
    kept = days if isinstance(days, int) and 1 <= days <= 365 else 7
    rules = [("MINUTE", 10, 60), ("HOUR", 1, 24), ("DAY", 1, kept)]
    return "\n\n".join(
        hcl.block(
            "pit_policy",
            (),
            {
                "enabled": "true",
                "interval": str(interval),
                "retention_duration": str(retention),
                "rule_id": str(number),
                "units": hcl.quoted(units),
            },
        )
        for number, (units, interval, retention) in enumerate(rules, 1)
    )


@invariant(ReplicationTemplate)
def points_in_time_are_kept_as_declared(
    template: ReplicationTemplate, estate: Estate
) -> Iterator[str]:
    """Daily points in time are kept for as many days as the estate declares.

    Fewer days, and an attack that was noticed late has encrypted every point that is left. More
    days are snapshots that nobody counted against the EBS quota.

    Remedy: Give the template var.point_in_time_days.
    """
    declared = need(estate.point_in_time_days)
    for rule in need(template.point_in_time):
        if need(rule.units) == "DAY" and need(rule.retention) != declared:
            yield f"{template.name} keeps daily points for {rule.retention} days, not {declared}."
    if not any(need(rule.units) == "DAY" for rule in need(template.point_in_time)):
        yield f"{template.name} keeps no daily points; {declared} days are declared."


@invariant(ReplicationTemplate)
def replication_stays_private(template: ReplicationTemplate, _: Estate) -> Iterator[Message]:
    """Replication data takes private addresses, and replication servers have no public one.

    With PUBLIC_IP the disks of every server cross the internet, and each replication server is an
    address that anybody can try.

    Remedy: Set data_plane_routing to PRIVATE_IP and create_public_ip to false.
    """
    fix = hcl.arguments({"create_public_ip": "false", "data_plane_routing": '"PRIVATE_IP"'})
    if need(template.data_plane_routing) != "PRIVATE_IP":
        yield Message(
            f"{template.name} routes data by {template.data_plane_routing}.", template.where, fix
        )
    if need(template.public_ip):
        yield Message(f"{template.name} gives servers a public address.", template.where, fix)


@invariant(ReplicationTemplate)
def template_security_groups_exist(template: ReplicationTemplate, estate: Estate) -> Iterator[str]:
    """A template names security groups of its own account and Region, or takes DRS's default one.

    DRS refuses a group of another account or Region. With no group at all the replication servers
    stand in the VPC's default group, which no agent can reach: replication never starts.

    Remedy: Give the template the security group of the account's staging area.
    """
    names = need(template.security_groups)
    if not names and not need(template.default_security_group):
        yield f"{template.name} names no security group."
    for name in names:
        group = _group(template, name, estate)
        if group is None:
            yield f"{template.name} names {name}, which is no security group of its account."
        elif need(group.region) != need(template.region):
            yield f"{template.name} is in {template.region}; its group {name} in {group.region}."


@invariant(ReplicationTemplate)
def port_1500_is_closed_to_the_world(
    template: ReplicationTemplate, estate: Estate
) -> Iterator[Message]:
    """No security group of the replication servers opens TCP 1500 to the whole world.

    Port 1500 takes the data of every disk. DRS's own default security group opens it to all
    addresses. The source servers' ranges are known and few.

    Remedy: Set associate_default_security_group to false and let in only the source ranges; where
    the world is meant, a waiver says so.
    """
    if need(template.default_security_group):
        yield Message(
            f"{template.name} uses DRS's default security group, which opens {PORT} to the world.",
            template.where,
            hcl.arguments({"associate_default_security_group": "false"}),
        )
    hidden: Unseen | None = None
    for name in need(template.security_groups):
        group = _group(template, name, estate)
        if group is None:
            hidden = Unseen(f"the security group {name} is not among those of the account")
            continue
        for ingress in need(group.ingress):
            try:
                if _opens(ingress):
                    yield Message(f"{name} opens {PORT} to {ingress.source}.", group.where)
            except Unseen as unseen:
                hidden = unseen
    if hidden is not None:
        raise hidden


@invariant(ReplicationTemplate)
def agents_reach_port_1500(template: ReplicationTemplate, estate: Estate) -> Iterator[Message]:
    """The security groups of the replication servers let addresses in on TCP 1500.

    Agents send the data of every disk there. With no way in, Terraform applies, DRS accepts and the
    agents install; then every server stays in its initial sync for ever, and nothing is protected.

    Remedy: Give the staging area the ranges of the source servers (source_cidrs).
    """
    if need(template.default_security_group):
        return
    hidden: Unseen | None = None
    for name in need(template.security_groups):
        group = _group(template, name, estate)
        if group is None:
            hidden = Unseen(f"the security group {name} is not among those of the account")
            continue
        for ingress in need(group.ingress):
            try:
                if _covers(ingress) and _range(ingress):
                    return
            except Unseen as unseen:
                hidden = unseen
    if hidden is not None:
        raise hidden
    yield Message(f"{template.name} lets nobody in on {PORT}.", template.where)


@invariant(ReplicationTemplate)
def new_disks_are_replicated(template: ReplicationTemplate, _: Estate) -> Iterator[Message]:
    """A disk that a source server gets after its installation is replicated too.

    Without it DRS leaves the new disk out and keeps reporting the server as healthy. The disk is
    missed on the day of the recovery, with all that was written to it.

    Remedy: Set auto_replicate_new_disks to true.
    """
    if not need(template.replicates_new_disks):
        yield Message(
            f"{template.name} leaves out disks that are added later.",
            template.where,
            hcl.arguments({"auto_replicate_new_disks": "true"}),
        )


def _group(template: ReplicationTemplate, name: str, estate: Estate) -> SecurityGroup | None:
    owner = need(template.account_id)
    account = next((each for each in estate.protected if each.id == owner), None)
    if account is None:
        raise Unseen(f"{template.where} is of account {owner}, which the estate does not declare")
    return next((each for each in need(account.security_groups) if each.name == name), None)


def _opens(ingress: Ingress) -> bool:
    """True if the ingress opens the port to the world; what settles that it does not is enough."""
    hidden: Unseen | None = None
    for part in (_covers, _is_from_the_world):
        try:
            if not part(ingress):
                return False
        except Unseen as unseen:
            hidden = unseen
    if hidden is not None:
        raise hidden
    return True


def _covers(ingress: Ingress) -> bool:
    """True if the ingress lets the port in over TCP."""
    protocol = need(ingress.protocol).lower()
    if protocol in {"-1", "all"}:
        return True
    if protocol not in {"tcp", "6"}:
        return False
    first, last = need(ingress.from_port), need(ingress.to_port)
    return first is None or last is None or first <= PORT <= last


def _is_from_the_world(ingress: Ingress) -> bool:
    """True for a CIDR range that holds the world; raises Unseen for ranges kept elsewhere."""
    return need(ingress.source) != "security group" and _range(ingress).prefixlen <= WORLD


def _range(ingress: Ingress) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The CIDR range that the ingress lets in; raises Unseen where it names none."""
    source = need(ingress.source)
    try:
        return ipaddress.ip_network(source, strict=False)
    except ValueError:
        raise Unseen(f"what addresses {source} holds is not known") from None


INVARIANTS = (
    account_has_one_template,
    template_is_in_the_recovery_region,
    staging_template_encrypts_custom,
    point_in_time_policy_is_legal,
    points_in_time_are_kept_as_declared,
    replication_stays_private,
    template_security_groups_exist,
    port_1500_is_closed_to_the_world,
    agents_reach_port_1500,
    new_disks_are_replicated,
)
