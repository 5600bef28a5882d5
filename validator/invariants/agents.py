"""Invariants on the agent deployer: what deploys agents, and what knows which were deployed."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from validator import policy
from validator.findings import Message
from validator.invariants import hcl
from validator.invariants.engine import Unseen, invariant, need
from validator.invariants.trust import DEPLOYER, role_named
from validator.model import AGENT_DEPLOYER, DEPLOYMENTS, Estate, Role, Table, Unknown, Worker

Thing = TypeVar("Thing", Table, Worker)

_KINDS = ("function", "state machine")


@invariant(Estate)
def agent_deployer_is_deployed(estate: Estate, _: Estate) -> Iterator[Message]:
    """The orchestration account has the agent deployer's function and state machine, in their roles.

    Payloads are sent to the function by its name, and it starts the state machine by its own. Each
    orchestration role lets in the function's role and no other: run with another role, or with that
    role not let in by an account, it deploys nothing there.

    Remedy: Call module agent-deployer for the orchestration account, and give each orchestration-role
    the ARN of its role.
    """
    name, home = f"{AGENT_DEPLOYER}-{estate.env}", estate.orchestration
    for kind in _KINDS:
        workers = ((w.worker_name, w) for w in need(home.workers) if w.kind == kind)
        found = _named(workers, name, estate.recovery_region)
        if found is None:
            yield Message(
                f"{home.name} has no {kind} {name} in {estate.recovery_region}.", home.where
            )
        elif kind == "function":
            own = role_named(home, name)
            if own is None or need(found.role) != own.name:
                yield Message(f"{found.name} does not run with role {name}.", found.where)
    principal = f"arn:{policy.partition(estate.recovery_region)}:iam::{home.id}:role/{name}"
    for account in estate.protected:
        role = role_named(account, f"{DEPLOYER}-{estate.env}")
        if role is not None and not _lets_in(role, principal):
            yield Message(f"{role.name} does not let {principal} in.", role.where)


def _lets_in(role: Role, principal: str) -> bool:
    """True if the role's trust policy names the principal, or its account's root bound to it."""
    return any(
        principal in (policy.bound(statement, "aws:PrincipalArn") or ())
        or ("AWS", principal) in statement.principals
        for statement in policy.parse(need(role.trust)).statements
        if statement.allow
    )


@invariant(Estate)
def deployments_are_tracked(estate: Estate, _: Estate) -> Iterator[Message]:
    """The table of deployments exists, can be recovered to any second, and cannot be deleted by mistake.

    It alone knows which instances were sent an agent and how much capacity is reserved. Without it
    the agent deployer refuses to work; with an old copy of it, it sends agents a second time.

    Remedy: Call module agent-deployer, which turns on point-in-time recovery and deletion protection.
    """
    name, home = f"{DEPLOYMENTS}-{estate.env}", estate.orchestration
    tables = ((each.table_name, each) for each in need(home.tables))
    table = _named(tables, name, estate.recovery_region)
    if table is None:
        yield Message(f"{home.name} has no table {name} in {estate.recovery_region}.", home.where)
        return
    unseen: Unseen | None = None
    for held, what, fix in (
        (table.recoverable, "no point-in-time recovery", _RECOVERABLE),
        (table.protected, "no deletion protection", _PROTECTED),
    ):
        if isinstance(held, Unknown):
            unseen = Unseen(held.reason)
        elif not held:
            yield Message(f"{table.name} has {what}.", table.where, fix)
    if unseen is not None:
        raise unseen


_RECOVERABLE = hcl.block("point_in_time_recovery", [], {"enabled": "true"})
_PROTECTED = hcl.arguments({"deletion_protection_enabled": "true"})


def _named(things: Iterable[tuple[str | Unknown, Thing]], name: str, region: str) -> Thing | None:
    """The thing of that name and Region; raises Unseen if one may be it and is not known."""
    hidden: Unknown | None = None
    for called, thing in things:
        unseen = [each for each in (called, thing.region) if isinstance(each, Unknown)]
        if any(
            isinstance(each, str) and each != wanted
            for each, wanted in ((called, name), (thing.region, region))
        ):
            continue
        if not unseen:
            return thing
        hidden = unseen[0]
    need(hidden)
    return None


INVARIANTS = (agent_deployer_is_deployed, deployments_are_tracked)
