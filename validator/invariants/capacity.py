"""Invariants on how many source servers the accounts may hold."""

from collections.abc import Iterator

from validator.invariants.engine import invariant, need
from validator.model import Account, Estate, Extension
from validator.quotas import REPLICATING_SERVERS, TOTAL_SERVERS, limit


@invariant(Account)
def account_replicates_within_quota(account: Account, estate: Estate) -> Iterator[str]:
    """No account is declared, or seen, to replicate more source servers than its quota.

    AWS lets 300 source servers replicate per account and Region, and does not raise it. The agent
    of server 301 cannot register: the server stays unprotected, and nobody is told until it is
    needed.

    Remedy: Move servers to another staging account, or add one, in estate.auto.tfvars.
    """
    quota = need(limit(account, REPLICATING_SERVERS))
    planned = need(account.planned)
    if planned > quota:
        yield (
            f"{account.name} ({account.id}) in {estate.recovery_region} is declared to replicate "
            f"{planned} source servers; the quota is {quota} ({REPLICATING_SERVERS.code})."
        )
    if estate.view == "live":
        replicating = sum(need(server.replicating) for server in need(account.servers))
        if replicating > quota:
            yield (
                f"{account.name} ({account.id}) in {estate.recovery_region} replicates "
                f"{replicating} source servers; the quota is {quota} ({REPLICATING_SERVERS.code})."
            )


@invariant(Estate)
def target_holds_every_server(estate: Estate, _: Estate) -> Iterator[str]:
    """The target's own servers and all extended ones fit the target's total quota.

    Each extended server is a source server of the target too, and an account holds 4,000 of them
    per Region by default. Past that, CreateExtendedSourceServer is refused and the rest of the
    estate cannot be recovered from the target.

    Remedy: Ask AWS to raise L-E28BE5E0 in the target's recovery Region, or split the estate over
    two targets.
    """
    quota = need(limit(estate.target, TOTAL_SERVERS))
    declared = sum(need(account.planned) for account in estate.protected)
    if declared > quota:
        yield (
            f"{declared} source servers are declared for target {estate.target.id} in "
            f"{estate.recovery_region}; its total quota is {quota} ({TOTAL_SERVERS.code})."
        )


@invariant(Estate)
def declared_servers_fit_the_estate(estate: Estate, _: Estate) -> Iterator[str]:
    """The estate declares at least one server, and no more than its accounts can replicate.

    An estate without servers protects nothing, however well it is built. One with more servers
    than 300 for each account that replicates needs another staging account before the first agent
    is installed: an agent cannot be moved between accounts, only installed again.

    Remedy: Correct the declared numbers, or add a staging account, in estate.auto.tfvars.
    """
    declared = sum(need(account.planned) for account in estate.protected)
    capacity = sum(need(limit(account, REPLICATING_SERVERS)) for account in estate.protected)
    if declared == 0:
        yield "No server is declared to replicate in any account."
    if declared > capacity:
        yield (
            f"{declared} source servers are declared; the {len(estate.protected)} accounts that "
            f"replicate hold {capacity} in {estate.recovery_region}."
        )


@invariant(Account, views=("live",))
def declared_servers_are_replicating(account: Account, _: Estate) -> Iterator[str]:
    """As many source servers replicate in an account as are declared for it.

    A server that does not replicate cannot be recovered. Fewer than declared are unprotected
    servers; more than declared were planned by nobody and use quota meant for others.

    Remedy: Install the agent on the missing servers, or declare the right number.
    """
    planned = need(account.planned)
    replicating = sum(need(server.replicating) for server in need(account.servers))
    if replicating != planned:
        yield f"{replicating} source servers replicate in {account.name}; {planned} are declared."


@invariant(Account, views=("live",))
def replicating_servers_are_extended(account: Account, estate: Estate) -> Iterator[str]:
    """Every server of a staging account stands in the target as an extended source server.

    Only what is extended can be launched from the target. A server that replicates in a staging
    account and was never extended is missing on the day of the disaster, though its own account
    shows it as healthy.

    Remedy: Run CreateExtendedSourceServer in the target for each server named.
    """
    if account is estate.target:
        return
    extended = {need(server.staging_arn) for server in need(estate.target.servers)}
    for server in need(account.servers):
        if need(server.replicating) and server.arn not in extended:
            yield f"{server.hostname} ({server.arn}) is not extended into {estate.target.id}."


@invariant(Account, views=("live",))
def extensions_are_healthy(account: Account, estate: Estate) -> Iterator[str]:
    """No extended source server of the target reports an extension error.

    EXTENSION_ERROR means that the target cannot reach the staging server any more, for example
    because the staging role or the key's policy was taken away: the server is listed, and its
    launch fails.

    Remedy: Read the message; restore the staging role, the key policy or the staging server.
    """
    for server in need(account.servers):
        if need(server.extension) is Extension.EXTENSION_ERROR:
            yield f"{server.hostname} ({server.arn}): {server.error or 'no message'}"


INVARIANTS = (
    account_replicates_within_quota,
    target_holds_every_server,
    declared_servers_fit_the_estate,
    declared_servers_are_replicating,
    replicating_servers_are_extended,
    extensions_are_healthy,
)
