"""Invariants on source servers as they are: extended, healthy, current, and each accounted for."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from validator.findings import Message
from validator.invariants.engine import Unseen, invariant, need
from validator.model import NOT_READ, Account, Estate, Extension, Pair, SourceServer, View
from validator.reconciliation import (
    REPLICATES_ON,
    Server,
    Standing,
    in_words,
    reconcile,
)

LIVE: tuple[View, ...] = ("live",)

RECENT_POINT = timedelta(minutes=30)
"""A point in time is taken every ten minutes; three in a row that are missing are no hiccup."""


def _standing(
    account: Account, estate: Estate, standing: Standing, say: Callable[[Server], str]
) -> Iterator[Message]:
    """A message for each server of an account with this standing; raises Unseen after the last.

    A server whose standing is not known may have any.
    """
    hidden = ""
    for server in reconcile(estate):
        if server.account != account.name:
            continue
        if server.standing is standing:
            yield Message(say(server), server.arn, subject=server.arn)
        elif server.standing is Standing.UNKNOWN:
            hidden = hidden or f"{server.shown}: {server.reason}"
    need(account.servers)
    if hidden:
        raise Unseen(hidden)


@invariant(Pair, views=LIVE)
def every_staging_server_is_extended(pair: Pair, estate: Estate) -> Iterator[Message]:
    """Every server that replicates into a staging account stands in the target as an extension.

    Only what is extended can be launched from the target. A server that replicates in a staging
    account and was never extended is missing on the day of the disaster, though its own account
    shows it as healthy.

    Remedy: Run `validator extend`.
    """
    target = pair.target
    yield from _standing(
        pair.staging,
        estate,
        Standing.MISSING,
        lambda server: f"{server.shown} is not extended into {target.id}.",
    )
    need(target.servers)


@invariant(Pair, views=LIVE)
def no_server_is_kept_from_extension(pair: Pair, estate: Estate) -> Iterator[Message]:
    """No server of a staging account is such that AWS refuses to extend it.

    Disks under the account's default key, a key of another Region or a marketplace product code
    make CreateExtendedSourceServer fail; the server replicates, and cannot be recovered.

    Remedy: Change the server's encryption (its initial synchronisation starts again), or recover it
    from its own account and waive it by its ARN.
    """
    yield from _standing(
        pair.staging,
        estate,
        Standing.BLOCKED,
        lambda server: f"{server.shown} cannot be extended: {server.reason}.",
    )
    need(pair.target.servers)
    for server in reconcile(estate):
        missing = server.account == pair.staging.name and server.standing is Standing.MISSING
        if missing and server.reason:
            raise Unseen(f"{server.shown}: {server.reason}")


@invariant(Pair, views=LIVE)
def extensions_are_healthy(pair: Pair, estate: Estate) -> Iterator[Message]:
    """No extended source server reports an extension error.

    EXTENSION_ERROR means that the target cannot reach the staging server any more, for example
    because the staging role or the key's policy was taken away: the server is listed, and its
    launch fails.

    Remedy: Read the message; restore the staging role, the key policy or the staging server.
    """
    yield from _standing(
        pair.staging,
        estate,
        Standing.EXTENSION_ERROR,
        lambda server: f"{server.shown} is extended with an error: {server.reason.rstrip('.')}.",
    )
    need(pair.target.servers)


@invariant(Estate, views=LIVE)
def no_extension_is_orphaned(estate: Estate, _: Estate) -> Iterator[Message]:
    """Every extension in the target has its server in a staging account of the estate.

    An orphan takes a place of the target's total quota and is counted by whoever counts lines, and
    nothing stands behind it: it cannot be launched.

    Remedy: Run `validator extend --prune`, or declare the staging account that it comes from.
    """
    for each in need(estate.target.servers):
        if need(each.extension) is not Extension.NOT_EXTENDED:
            need(each.staging_arn)
    hidden = ""
    for server in reconcile(estate):
        if server.standing is Standing.ORPHAN:
            yield Message(
                f"{server.shown} is orphaned: {server.reason}.", server.arn, subject=server.arn
            )
        elif server.standing is Standing.UNKNOWN and server.source is None:
            hidden = hidden or f"{server.shown}: {server.reason}"
    if hidden:
        raise Unseen(hidden)


@invariant(Account, views=LIVE)
def no_instance_replicates_twice(account: Account, estate: Estate) -> Iterator[Message]:
    """No instance replicates into two accounts, or twice into one.

    Two agents of one instance take two places of the quotas and twice the disks, and which of the
    two is recovered is chance.

    Remedy: Disconnect the server that is not wanted from its agent, and delete it.
    """
    yield from _standing(
        account,
        estate,
        Standing.DUPLICATE,
        lambda server: f"{server.shown} is there twice: {server.reason}.",
    )
    for other in estate.protected:
        need(other.servers)


@invariant(Account, views=LIVE)
def no_server_is_stale(account: Account, estate: Estate) -> Iterator[Message]:
    """No server is stopped, disconnected or silent.

    Such a server is in every list and has no new points in time: what comes back is what it was on
    the day that it fell silent, and after a stop not even that.

    Remedy: Start the agent or its replication again, or delete the server if it is gone.
    """
    yield from _standing(
        account,
        estate,
        Standing.STALE,
        lambda server: f"{server.shown} is not protected any more: {server.reason}.",
    )


@invariant(Pair, views=LIVE)
def every_staging_server_is_accounted_for(pair: Pair, estate: Estate) -> Iterator[str]:
    """Servers replicating in a staging account are those extended, and those named as exceptions.

    The sum proves the sets: a server that is in neither was lost between two readings, or is seen by
    DRS of the target and not by ours. What DRS of the target still lists as extensible must be what
    is missing by our own join.

    Remedy: Verify again; if it stays, compare ListExtensibleSourceServers with the servers named.
    """
    servers = need(pair.staging.servers)
    need(pair.target.servers)
    replicating = {each.arn for each in servers if need(each.replicating)}
    ours = [s for s in reconcile(estate) if s.account == pair.staging.name]
    by_standing: dict[Standing, set[str]] = {}
    for server in ours:
        by_standing.setdefault(server.standing, set()).add(server.arn)
    if Standing.UNKNOWN in by_standing:
        raise Unseen(next(s.reason for s in ours if s.standing is Standing.UNKNOWN))
    named = {arn for arns in by_standing.values() for arn in arns}
    if replicating - named:
        yield f"{len(replicating - named)} servers of {pair.staging.name} stand nowhere."
    extensible = set(need(pair.staging.extensible))
    extended = {
        need(each.staging_arn)
        for each in need(pair.target.servers)
        if need(each.extension) is not Extension.NOT_EXTENDED
    }
    missing = {each.arn for each in servers} - extended
    for arn in sorted(extensible - missing):
        yield f"DRS lists {arn} as extensible; it is extended, or is not in {pair.staging.name}."


@invariant(Estate, views=LIVE)
def extensions_come_from_declared_accounts(estate: Estate, _: Estate) -> Iterator[str]:
    """The target has extensions of the declared staging accounts only.

    A staging account that nobody declared is verified by nobody: its key, its role and its servers
    are in no report.

    Remedy: Declare the account in staging_accounts, or delete its extensions in the target.
    """
    declared = {account.id for account in estate.staging}
    for account_id in sorted(set(need(estate.target.extended_from)) - declared):
        yield f"The target has extensions of account {account_id}, which is not declared."


def _replicating(account: Account) -> Iterator[SourceServer]:
    """The account's own servers that replicate, or may."""
    for server in need(account.servers):
        if server.replicating is not False:
            yield server


@invariant(Account, views=LIVE)
def replication_is_continuous(account: Account, _: Estate) -> Iterator[Message]:
    """Every server has done its initial synchronisation and replicates each change.

    A server in its initial synchronisation has no point in time yet and cannot be recovered; one
    that is stalled, paused or behind loses what came since.

    Remedy: Wait for what is still moving (`verify --wait`); mend what the error or the step names.
    """
    for server in _replicating(account):
        state = need(server.replication_state)
        if state in REPLICATES_ON and server.replication_error is None:
            continue
        detail = server.replication_error or server.step
        more = f" ({detail})" if detail else ""
        yield Message(f"{server.shown} is {state}{more}.", server.arn, subject=server.arn)


@invariant(Account, views=LIVE)
def lag_is_within_the_objective(account: Account, estate: Estate) -> Iterator[Message]:
    """No server lags behind by more than the objective declared for its priority.

    The lag is what would be lost now. A server without dr:priority, or with one that no objective is
    declared for, is held to the strictest.

    Remedy: Give the replication more bandwidth or a larger replication server, or declare another
    objective.
    """
    objectives = dict(need(estate.objectives))
    if not objectives:
        raise Unseen("no recovery_point_objectives are declared")
    strictest = min(objectives.values())
    for server in _replicating(account):
        if need(server.replication_state) not in REPLICATES_ON:
            continue  # replication-is-continuous speaks of it
        minutes = objectives.get(server.tag("dr:priority") or "", strictest)
        lag = need(server.lag)
        if lag is not None and lag > 60 * minutes:
            behind = in_words(timedelta(seconds=lag))
            yield Message(
                f"{server.shown} lags {behind} behind; its objective is {minutes} minutes.",
                server.arn,
                subject=server.arn,
            )


@invariant(Account, views=LIVE)
def servers_are_drilled(account: Account, estate: Estate) -> Iterator[Message]:
    """Every server was launched successfully, in a drill or for real, within the declared days.

    Replication proves that data arrives; only a launch proves that the server starts. AWS advises
    several drills a year.

    Remedy: Start a drill of the servers named, in waves of at most 100.
    """
    days = need(estate.drill_days)
    now = need(estate.read_at)
    launches = {
        server.staging_arn: server.launch
        for server in need(estate.target.servers)
        if isinstance(server.staging_arn, str)
    }
    for server in _replicating(account):
        launch = launches.get(server.arn) or server.launch
        since = need(server.added) if launch is None else need(launch.at)
        if since is None:
            raise Unseen(f"{server.shown} does not show when it was added")
        if launch is not None and launch.status not in {"LAUNCHED", "TERMINATED"}:
            yield Message(
                f"The last launch of {server.shown}, a {launch.type}, is {launch.status}.",
                server.arn,
                subject=server.arn,
            )
        elif now - since > timedelta(days=days):
            ago = in_words(now - since)
            what = f"was last launched {ago} ago" if launch else f"was never launched in {ago}"
            yield Message(f"{server.shown} {what}.", server.arn, subject=server.arn)


@invariant(Account, views=LIVE)
def points_in_time_are_recent(account: Account, estate: Estate) -> Iterator[Message]:
    """Every server has a point in time of the last half hour, where that was read (--deep).

    DRS takes one every ten minutes. A server may look continuous and have no new points, for
    example where its snapshots fail on a quota or a key.

    Remedy: Look for SNAPSHOTS_FAILURE, the EBS snapshot quota, and the state of the key.
    """
    now = need(estate.read_at)
    for server in _replicating(account):
        if server.newest_point is NOT_READ or need(server.replication_state) not in REPLICATES_ON:
            continue
        newest = need(server.newest_point)
        if newest is None or now - newest > RECENT_POINT:
            age = (
                "no point in time"
                if newest is None
                else f"none newer than {in_words(now - newest)}"
            )
            yield Message(f"{server.shown} has {age}.", server.arn, subject=server.arn)


@invariant(Account, views=LIVE)
def tagged_instances_are_protected(account: Account, estate: Estate) -> Iterator[Message]:
    """Every instance that is tagged dr:enabled=true replicates into some account of the estate.

    A tag is what people see and believe. An instance whose agent was never installed, or was
    removed, is unprotected under a tag that says otherwise.

    Remedy: Run `validator deploy`, or take the tag away.
    """
    instances = need(account.instances)
    protected = {
        server.instance_id
        for each in estate.protected
        for server in need(each.servers)
        if need(server.replicating)
    }
    for instance in instances:
        if instance.id not in protected:
            yield Message(
                f"{instance.id} ({instance.state}) is tagged for DR and does not replicate.",
                instance.where,
                subject=instance.where,
            )


@invariant(Account, views=LIVE)
def protected_instances_are_tagged(account: Account, estate: Estate) -> Iterator[Message]:
    """Every EC2 instance that replicates into the account is tagged dr:enabled=true.

    Waves, priorities and agents are chosen by tags. An instance without them replicates and costs a
    place of the quota, and no wave recovers it and no report of tags counts it.

    Remedy: Tag the instance (`instance-tags` does), or delete its source server.
    """
    by_id = {each.id: each for each in estate.protected}
    elsewhere = ""
    for server in _replicating(account):
        origin = need(server.origin)
        if origin is None or need(server.extension) is not Extension.NOT_EXTENDED:
            continue  # no instance, or seen where it replicates
        owner, region = origin
        if owner not in by_id or region != estate.source_region:
            elsewhere = f"{server.shown} is an instance of {owner} in {region}, which is not read"
        elif server.instance_id not in {each.id for each in need(by_id[owner].instances)}:
            yield Message(
                f"{server.shown} replicates, and its instance {server.instance_id} of {owner} is not "
                "tagged for DR, or is gone.",
                server.arn,
                subject=server.arn,
            )
    if elsewhere:
        raise Unseen(elsewhere)


@invariant(Account, views=LIVE)
def drs_is_initialised(account: Account, estate: Estate) -> Iterator[str]:
    """DRS is initialised in the recovery Region of every account that servers replicate into.

    Until then no agent can register and no server be extended: every call is refused with
    UninitializedAccountException.

    Remedy: Run `validator bootstrap`.
    """
    if not need(account.initialised):
        yield f"DRS of {account.name} ({account.id}) is not initialised in {estate.recovery_region}."


@invariant(Estate, views=LIVE)
def drs_is_initialised_for_failback(estate: Estate, _: Estate) -> Iterator[str]:
    """DRS of the target is initialised in the source Region too.

    After a recovery servers replicate back from the recovery Region. AWS advises to initialise both
    sides in advance: on the day of the failback every agent is refused until somebody does.

    Remedy: Run `validator bootstrap`.
    """
    if not need(estate.target.initialised_at_source):
        yield f"DRS of the target {estate.target.id} is not initialised in {estate.source_region}."


@invariant(Estate, views=LIVE)
def launch_settings_are_as_declared(estate: Estate, _: Estate) -> Iterator[str]:
    """The target's launch configuration template is as declared.

    Every extension takes its launch settings from it. Another right sizing or disposition shows only
    when hundreds of servers have been launched wrongly.

    Remedy: Run `validator bootstrap`, which sets the template.
    """
    declared = need(estate.launch_settings)
    found = need(estate.target.launch_settings)
    if found is None:
        yield f"The target {estate.target.id} has no launch configuration template."
    elif found != declared:
        yield f"The target's launch configuration template is {found}; declared is {declared}."


INVARIANTS = (
    drs_is_initialised,
    drs_is_initialised_for_failback,
    every_staging_server_is_extended,
    no_server_is_kept_from_extension,
    extensions_are_healthy,
    no_extension_is_orphaned,
    no_instance_replicates_twice,
    no_server_is_stale,
    every_staging_server_is_accounted_for,
    extensions_come_from_declared_accounts,
    replication_is_continuous,
    lag_is_within_the_objective,
    points_in_time_are_recent,
    servers_are_drilled,
    tagged_instances_are_protected,
    protected_instances_are_tagged,
    launch_settings_are_as_declared,
)
