"""Invariants on the roles by which one account of the estate lets another one, or DRS, act in it."""

from collections.abc import Iterator

from validator import policy
from validator.findings import Message
from validator.invariants.engine import Unseen, invariant, need
from validator.model import Account, Estate, Pair, Role, Unknown
from validator.policy import Outcome, Policy, Request

DRS = "drs.amazonaws.com"
STAGING_ACTIONS = ("sts:AssumeRole", "sts:SetSourceIdentity")
STAGING_POLICY = (
    "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryStagingAccountPolicy_v2"
)
_STRANGER = "000000000000"
"""An account id that AWS gives to nobody."""


def role_named(account: Account, name: str) -> Role | None:
    """The account's role with that name, None if there is none; raises Unseen if it may be hidden."""
    hidden: Unknown | None = None
    for role in need(account.roles):
        if isinstance(role.role_name, Unknown):
            hidden = role.role_name
        elif role.role_name == name:
            return role
    if hidden is not None:
        raise Unseen(hidden.reason)
    return None


def _drs_may(document: Policy, action: str, account_id: str, where: str, estate: Estate) -> bool:
    """True if the trust policy lets DRS do `action` for the DRS of `account_id`."""
    request = Request(
        principal=DRS,
        action=action,
        resource="*",
        context={
            "sts:SourceIdentity": (account_id,),
            "aws:SourceAccount": (account_id,),
            "aws:SourceArn": (
                f"arn:aws:drs:{estate.recovery_region}:{account_id}:source-server/s-0",
            ),
        },
        absent=frozenset({"sts:ExternalId", "aws:PrincipalOrgID"}),
    )
    decision = policy.evaluate(document, request)
    if decision.outcome is Outcome.UNKNOWN:
        raise Unseen(f"{where}: {decision.reason}")
    return decision.outcome is Outcome.ALLOWED


@invariant(Pair)
def staging_account_trusts_its_target(pair: Pair, estate: Estate) -> Iterator[Message]:
    """A staging account has the role by which DRS extends and recovers its servers for the target.

    DRS of the target finds the role by its name and path alone, sets its own account id as source
    identity, and does everything in the staging account through the role's managed policy. Without
    the role the staging account is not there for the target; with half of it servers are listed,
    and turn to EXTENSION_ERROR or fail to launch.

    Remedy: Make DRSStagingAccountRole_<target> with module staging-trust.
    """
    name = f"DRSStagingAccountRole_{pair.target.id}"
    role = role_named(pair.staging, name)
    if role is None:
        yield Message(f"{pair.staging.name} has no role {name}.", pair.staging.where)
        return
    if need(role.path) != "/service-role/":
        yield Message(f"{name} has path {role.path}, not /service-role/.", role.where)
    document = policy.parse(need(role.trust))
    for action in STAGING_ACTIONS:
        if not _drs_may(document, action, pair.target.id, role.where, estate):
            yield Message(f"{name} does not let DRS {action} for {pair.target.id}.", role.where)
    if STAGING_POLICY not in need(role.managed_policies):
        yield Message(f"{name} lacks the managed policy {STAGING_POLICY}.", role.where)


@invariant(Pair)
def staging_role_is_for_its_target_only(pair: Pair, estate: Estate) -> Iterator[Message]:
    """The staging role lets DRS act for its target, and for no other account.

    DRS is one principal for all of AWS's customers. Without conditions on the source identity,
    account and ARN, the DRS of any account could be made to read this account's servers.

    Remedy: Give the trust policy the three conditions that module staging-trust writes.
    """
    name = f"DRSStagingAccountRole_{pair.target.id}"
    role = role_named(pair.staging, name)
    if role is None:
        raise Unseen(f"{pair.staging.name} has no role {name}")
    document = policy.parse(need(role.trust))
    for action in STAGING_ACTIONS:
        if _drs_may(document, action, _STRANGER, role.where, estate):
            yield Message(f"{name} lets DRS {action} for any account.", role.where)
    for statement in document.statements:
        for kind, value in statement.principals:
            if statement.allow and (kind, value) != ("Service", DRS):
                yield Message(
                    f"{name}: {statement.name} lets {kind} {value} assume it.", role.where
                )
        if statement.allow and statement.not_principal:
            yield Message(f"{name}: {statement.name} lets everyone but a few in.", role.where)


INVARIANTS = (staging_account_trusts_its_target, staging_role_is_for_its_target_only)
