"""Invariants on how many source servers the accounts may hold, and how many recover at once."""

import re
from collections.abc import Iterator

from validator.invariants.engine import invariant, need
from validator.model import Account, Estate, Wave
from validator.quotas import (
    CONCURRENT_JOBS,
    POINTS_BESIDES_DAYS,
    REPLICATING_SERVERS,
    SERVERS_IN_ALL_JOBS,
    SERVERS_PER_JOB,
    SNAPSHOTS,
    TOTAL_SERVERS,
    TRUSTED_ACCOUNTS,
    limit,
    recovery,
)

_STAGING_ROLE = re.compile(r"DRSStagingAccountRole_[0-9]{12}")


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


@invariant(Account)
def declared_headroom_is_kept(account: Account, estate: Estate) -> Iterator[str]:
    """Every account keeps the declared headroom of its replicating quota free.

    A server whose agent is installed again, or that fails back, counts twice for a while. In an
    account that is full to the last server neither can be done, and the quota is not raised.

    Remedy: Move servers to another staging account, or declare less headroom, in estate.auto.tfvars.
    """
    quota = need(limit(account, REPLICATING_SERVERS))
    headroom = need(estate.headroom)
    used = need(account.planned)
    if used + headroom > quota:
        yield (
            f"{account.name} is declared to replicate {used} source servers and to keep {headroom} "
            f"free; the quota is {quota} ({REPLICATING_SERVERS.code})."
        )
    if estate.view == "live":
        replicating = sum(need(server.replicating) for server in need(account.servers))
        if replicating + headroom > quota:
            yield (
                f"{account.name} replicates {replicating} source servers, and {headroom} should "
                f"stay free; the quota is {quota} ({REPLICATING_SERVERS.code})."
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


@invariant(Account)
def staging_account_trusts_at_most_100_targets(account: Account, _: Estate) -> Iterator[str]:
    """No account has more than 100 staging roles, one for each target that it trusts.

    DRS takes up to 100 trusted accounts for one account. Servers cannot be extended into target
    101, though its role stands in IAM like the others.

    Remedy: Remove the staging roles of targets that are gone, or use another staging account.
    """
    named = {need(role.role_name) for role in need(account.roles)}
    trusted = sum(bool(_STAGING_ROLE.fullmatch(name)) for name in named)
    if trusted > TRUSTED_ACCOUNTS.value:
        yield (
            f"{account.name} trusts {trusted} targets; DRS takes {TRUSTED_ACCOUNTS.value} "
            f"({TRUSTED_ACCOUNTS.reference})."
        )


@invariant(Account)
def snapshots_fit_the_quota(account: Account, estate: Estate) -> Iterator[str]:
    """The snapshots of an account's declared servers fit its EBS quota.

    Each volume has a snapshot for each point in time: 6 of the last hour, 24 of the last day, and
    one for each day of retention. Once the quota is reached EBS refuses new snapshots, and every
    server of the account falls behind. Launches need some more on top.

    Remedy: Keep fewer days, move servers to another account, or ask AWS to raise L-309BACF6.
    """
    quota = need(limit(account, SNAPSHOTS))
    planned, volumes = need(account.planned), need(estate.volumes_per_server)
    points = POINTS_BESIDES_DAYS + need(estate.point_in_time_days)
    if volumes < 1:
        yield f"volumes_per_server is {volumes}; a server has at least one volume."
    if planned * volumes * points > quota:
        yield (
            f"{account.name} would keep {planned * volumes * points} snapshots in "
            f"{estate.recovery_region} ({planned} servers x {volumes} volumes x {points} points "
            f"in time); the quota is {quota} ({SNAPSHOTS.code})."
        )


@invariant(Wave)
def wave_fits_the_job_quotas(wave: Wave, estate: Estate) -> Iterator[str]:
    """No declared wave needs more servers in jobs, or more jobs, than DRS runs at once.

    DRS recovers 500 source servers at once, in up to 20 jobs of 100. StartRecovery refuses what is
    more: a wave of 600 that was never tried stops in the middle on the day of the disaster.

    Remedy: Split the wave in estate.auto.tfvars.
    """
    target = estate.target
    per_job = need(limit(target, SERVERS_PER_JOB))
    in_all_jobs = need(limit(target, SERVERS_IN_ALL_JOBS))
    jobs_at_once = need(limit(target, CONCURRENT_JOBS))
    if wave.servers < 1:
        yield f"{wave.name} recovers {wave.servers} servers."
        return
    if min(per_job, in_all_jobs, jobs_at_once) < 1:
        yield f"{wave.name} cannot be recovered: a job quota of {target.name} is 0."
        return
    needs = recovery(wave.servers, per_job, in_all_jobs, jobs_at_once)
    if needs.rounds > 1:
        yield (
            f"{wave.name} recovers {wave.servers} servers, which takes {needs.jobs} jobs in "
            f"{needs.rounds} rounds; at once DRS runs {in_all_jobs} servers "
            f"({SERVERS_IN_ALL_JOBS.code}) in {jobs_at_once} jobs ({CONCURRENT_JOBS.code}) of "
            f"{per_job} ({SERVERS_PER_JOB.code})."
        )


@invariant(Estate)
def waves_recover_every_server(estate: Estate, _: Estate) -> Iterator[str]:
    """The declared waves add up to the declared servers.

    A server in no wave is recovered by nobody; one too many in the waves is a server that does not
    exist, for which the plan of the day waits.

    Remedy: Correct recovery_waves or the declared servers in estate.auto.tfvars.
    """
    recovered = sum(wave.servers for wave in need(estate.waves))
    declared = sum(need(account.planned) for account in estate.protected)
    if recovered != declared:
        yield f"The waves recover {recovered} servers; {declared} are declared."


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


INVARIANTS = (
    account_replicates_within_quota,
    declared_headroom_is_kept,
    target_holds_every_server,
    declared_servers_fit_the_estate,
    staging_account_trusts_at_most_100_targets,
    snapshots_fit_the_quota,
    wave_fits_the_job_quotas,
    waves_recover_every_server,
    declared_servers_are_replicating,
)
