"""Extends every extensible source server of the staging accounts into the target, each exactly once.

CreateExtendedSourceServer is not idempotent and knows no conflict, so no call of it is ever repeated
blindly: after an answer that leaves its effect open, the target is listed first. What the result
says was extended was counted from DescribeSourceServers afterwards.
Source: https://docs.aws.amazon.com/drs/latest/userguide/multi-account.html
"""

import functools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from validator import pace
from validator.accounts import CallError, Client, Opened, Opener, call, pages, uncertain
from validator.errors import AccountError, UsageError
from validator.model import Account, Extension, LaunchSettings
from validator.operations.launch import Step, mend, settle
from validator.operations.standing import (
    Extended,
    Staged,
    Staging,
    Target,
    read_staging,
    read_target,
)
from validator.quotas import TOTAL_SERVERS
from validator.sources import tfvars
from validator.sources.tfvars import Declared

OnProgress = Callable[[str, int, int], None]
"""Is told what is being done, how many servers of it are done, and how many there are."""

WAVE_TAG = "dr:wave"
_MOST_TAGS = 50
_ROUNDS = 8
_LONGEST_WAIT = 10.0
_LISTINGS = 4
_FULL = "ServiceQuotaExceededException"
_ONE_SERVER = {
    "AccessDeniedException",
    "ConflictException",
    "ResourceNotFoundException",
    "ValidationException",
}
"""Refusals that say something of one server; any other says something of the account."""
_RESTRICTED = {
    "CONTAINS_MARKETPLACE_PRODUCT_CODES": "has a disk with AWS Marketplace product codes",
    "MISSING_VOLUME_ATTRIBUTES_AND_PRECHECK_UNAVAILABLE": (
        "has a disk that AWS could not look at for AWS Marketplace product codes"
    ),
}
_DEFAULT_KEY = (
    "its disks use the account's default EBS key (ebsEncryption DEFAULT), and AWS extends only what "
    "a customer-managed key encrypts (CUSTOM); changing it starts the initial sync again"
)


class Result(StrEnum):
    """What became of one server; each server has exactly one."""

    EXTENDED = "extended"
    WOULD_EXTEND = "would be extended"
    ALREADY = "already extended"
    IN_ERROR = "extended with error"
    GONE = "staging server gone"
    PRUNED = "pruned"
    WOULD_PRUNE = "would be pruned"
    BLOCKED = "blocked"
    NO_ROOM = "no room in the quota"
    FAILED = "failed"
    NOT_TRIED = "not tried"


_FINE = {
    Result.EXTENDED,
    Result.WOULD_EXTEND,
    Result.ALREADY,
    Result.PRUNED,
    Result.WOULD_PRUNE,
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which servers a run is about: all, unless narrowed.

    `accounts` are names or ids of staging accounts, `wave` is the value of the tag dr:wave, `tags`
    are pairs that a server must all have, `limit` is the most servers that are extended.
    """

    accounts: tuple[str, ...] = ()
    wave: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    limit: int | None = None

    def takes(self, tags: Mapping[str, str]) -> bool:
        """True if a server with these tags is meant."""
        wanted = self.tags if self.wave is None else (*self.tags, (WAVE_TAG, self.wave))
        return all(tags.get(key) == value for key, value in wanted)


EVERYTHING = Selection()


@dataclass(frozen=True, slots=True)
class Server:
    """One server and what became of it; `reason` says why, where that is not plain.

    `account` is its staging account by name, `arn` its ARN there, `extension` the ARN in the target.
    """

    account: str
    arn: str
    hostname: str
    result: Result
    reason: str = ""
    extension: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A staging account that could not be worked on, or only in part."""

    account: str
    message: str


@dataclass(frozen=True, slots=True)
class Extending:
    """What a run of `extend` did, or in a dry run would do.

    `total` is the number of source servers in the target, counted after all was done, `quota` the
    target's live quota of them, and `shortfall` how many selected servers found no room under it.
    `beyond_limit` counts servers that could be extended and that the limit left out.
    """

    servers: tuple[Server, ...]
    refusals: tuple[Refusal, ...]
    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    total: int
    quota: int
    shortfall: int
    beyond_limit: int
    dry_run: bool
    interrupted: bool

    @property
    def complete(self) -> bool:
        """True if there were servers, and each that was selected stands extended, or would.

        One that is blocked, gone, in error, failed or not tried is not, nor is one of an account
        that could not be read.
        """
        return (
            not self.interrupted
            and not self.refusals
            and not any(step.failed for step in self.steps)
            and bool(self.servers)
            and all(server.result in _FINE for server in self.servers)
        )

    def of(self, result: Result) -> tuple[Server, ...]:
        """The servers with one result."""
        return tuple(server for server in self.servers if server.result is result)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A server to extend."""

    staging: Staging
    arn: str
    seen: Staged

    @property
    def account(self) -> str:
        """Its staging account's name."""
        return self.staging.account.name


@dataclass(slots=True)
class _Run:
    """What the steps of one run share; it only grows."""

    on_progress: OnProgress
    servers: dict[str, Server] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    interrupted: bool = False

    def keep(
        self, account: str, arn: str, seen: Staged | Extended, result: Result, reason: str = ""
    ) -> None:
        """Remembers what became of a server, over what was remembered before."""
        extension = seen.arn if isinstance(seen, Extended) else None
        self.servers[arn] = Server(account, arn, seen.hostname, result, reason, extension)

    def keep_all(self, candidates: Iterable[_Candidate], result: Result, reason: str = "") -> None:
        """Remembers the same of several servers."""
        for candidate in candidates:
            self.keep(candidate.account, candidate.arn, candidate.seen, result, reason)


def extend(
    declared: Declared,
    opener: Opener,
    *,
    launch: LaunchSettings | None,
    selection: Selection = EVERYTHING,
    dry_run: bool,
    prune: bool = False,
    on_progress: OnProgress = lambda *_: None,
) -> Extending:
    """Extends the selected servers of every staging account that are not extended yet.

    `launch` are the declared launch settings, None where none are declared. With `prune`, extensions
    whose staging server is gone are deleted. Safe to repeat, to stop and to kill. Raises UsageError
    for a selection that cannot be meant, AccountError if the target cannot be read.
    """
    target_account, staging_accounts, _ = tfvars.accounts(declared)
    region = tfvars.text(declared, "recovery_region")
    chosen = _chosen(declared, staging_accounts, selection)
    run = _Run(on_progress)
    opened = opener.open(target_account.id, region)
    drs = opened.client("drs")
    quota = _quota(opened)
    source_region = tfvars.text(declared, "source_region")
    read = list(_read(chosen, opener, drs, region, source_region, run))
    target = read_target(drs)
    if launch is not None:
        with _interruptible(run):
            run.steps.extend(settle(opened, target_account.name, launch, dry_run=dry_run))
    gone = list(_gone(read, target, selection))
    if gone and prune and not dry_run and not run.interrupted:
        _prune(gone, opened.client("drs", attempts=1), run)
        target = read_target(drs)
    candidates = list(_candidates(read, target, selection, region, run))
    eligible, beyond = _eligible(candidates, selection.limit, run)
    made: set[str] = set()
    if dry_run:
        room = max(0, quota - target.total + (len(gone) if prune else 0))
        would, left = eligible[:room], eligible[room:]
        for candidate in would:
            run.keep_all([candidate], Result.WOULD_EXTEND, _left_out(candidate.seen.tags))
    else:
        target, made, left = _create(eligible, opened, target, quota, run)
    run.keep_all(left, Result.NO_ROOM, f"the target may hold {quota} source servers")
    _stand(read, target, made, selection, run)
    if dry_run and prune:
        for staging, extension, arn in gone:
            run.keep(staging.account.name, arn, extension, Result.WOULD_PRUNE, extension.error)
    if launch is not None and made & target.extensions.keys():
        with _interruptible(run):
            _seeded(opened, target_account.name, launch, target, made, run)
    return Extending(
        servers=tuple(
            sorted(run.servers.values(), key=lambda server: (server.account, server.arn))
        ),
        refusals=tuple(Refusal(*each) for each in sorted(run.refusals.items())),
        steps=tuple(run.steps),
        notes=tuple(note for staging in read for note in staging.notes),
        total=target.total,
        quota=quota,
        shortfall=len(left),
        beyond_limit=beyond,
        dry_run=dry_run,
        interrupted=run.interrupted,
    )


def _chosen(
    declared: Declared, staging: Sequence[Account], selection: Selection
) -> tuple[Account, ...]:
    """The staging accounts that are meant; raises UsageError for what the env does not declare."""
    known = {name for account in staging for name in (account.name, account.id)}
    for name in selection.accounts:
        if name not in known:
            raise UsageError(
                f"{name!r} is not a staging account of this env "
                f"({', '.join(account.name for account in staging)})."
            )
    waves = declared.values.get("recovery_waves", {})
    if selection.wave is not None and selection.wave not in waves:
        raise UsageError(
            f"{selection.wave!r} is not a recovery wave of this env ({', '.join(waves)})."
        )
    if selection.limit is not None and selection.limit < 1:
        raise UsageError(f"The limit must be 1 or more, not {selection.limit}.")
    return tuple(
        account
        for account in staging
        if not selection.accounts or {account.name, account.id} & set(selection.accounts)
    )


def _quota(opened: Opened) -> int:
    """The most source servers that the target may hold: as applied, else AWS's default."""
    client = opened.client("service-quotas")
    asked = {"ServiceCode": TOTAL_SERVERS.service, "QuotaCode": TOTAL_SERVERS.code}
    try:
        answer = call(client, "get_service_quota", **asked)
    except CallError as error:
        if error.code != "NoSuchResourceException":
            raise
        answer = call(client, "get_aws_default_service_quota", **asked)
    value = answer.get("Quota", {}).get("Value")
    if not isinstance(value, (int, float)):
        raise AccountError(
            f"Account {opened.account_id}, {opened.region}: Service Quotas gave no value for "
            f"{TOTAL_SERVERS.code} ({TOTAL_SERVERS.name}), so nothing was extended."
        )
    return int(value)


def _read(
    accounts: Sequence[Account],
    opener: Opener,
    drs: Client,
    region: str,
    source_region: str,
    run: _Run,
) -> Iterator[Staging]:
    """Each staging account that could be read; the others are remembered as refusals."""

    def one(account: Account) -> Staging | AccountError:
        try:
            return read_staging(account, opener, drs, region, source_region)
        except AccountError as error:
            return error

    run.on_progress("reading accounts", 0, len(accounts))
    with ThreadPoolExecutor(pace.MOST) as pool:
        for done, (account, seen) in enumerate(zip(accounts, pool.map(one, accounts), strict=True)):
            run.on_progress("reading accounts", done + 1, len(accounts))
            if isinstance(seen, AccountError):
                run.refusals[account.name] = str(seen)
            else:
                yield seen


def _of_account(
    staging: Staging, target: Target, selection: Selection
) -> Iterator[tuple[str, tuple[Extended, ...]]]:
    """The selected extensions of a staging account's servers, by the ARN there."""
    for arn, extensions in target.extensions.items():
        if extensions[0].staging_account_id == staging.account.id:
            seen = staging.servers.get(arn)
            if selection.takes(seen.tags if seen else extensions[0].tags):
                yield arn, extensions


def _gone(
    read: Sequence[Staging], target: Target, selection: Selection
) -> Iterator[tuple[Staging, Extended, str]]:
    """The extensions in error whose staging server its account, read to the end, does not list."""
    for staging in read:
        for arn, extensions in _of_account(staging, target, selection):
            for extension in extensions:
                if extension.status == Extension.EXTENSION_ERROR and arn not in staging.servers:
                    yield staging, extension, arn


def _prune(gone: Sequence[tuple[Staging, Extended, str]], drs: Client, run: _Run) -> None:
    """Deletes extensions in the target, each after one more look for its staging server."""
    own = _clients(staging for staging, _, _ in gone)

    def one(each: tuple[Staging, Extended, str]) -> bool:
        staging, extension, arn = each
        filters = {"sourceServerIDs": [arn.rsplit("/", 1)[-1]]}
        try:
            if list(
                pages(own[staging.account.id], "describe_source_servers", "items", filters=filters)
            ):
                return False
        except CallError as error:
            if error.code != "ResourceNotFoundException":
                raise
        try:
            call(drs, "delete_source_server", sourceServerID=extension.id)
        except CallError as error:
            if error.code != "ResourceNotFoundException":
                raise
        return True

    paced = pace.each(
        one,
        gone,
        repeatable=True,
        on_done=lambda done: run.on_progress("pruning", done, len(gone)),
    )
    run.interrupted = run.interrupted or paced.interrupted
    for (staging, extension, arn), result in zip(gone, paced.results, strict=True):
        if isinstance(result, AccountError):
            run.keep(staging.account.name, arn, extension, Result.FAILED, str(result))
        elif result:
            run.keep(staging.account.name, arn, extension, Result.PRUNED)


def _candidates(
    read: Sequence[Staging], target: Target, selection: Selection, region: str, run: _Run
) -> Iterator[_Candidate]:
    """The selected servers that may be tried, by account and ARN; the others are remembered."""
    for staging in read:
        name = staging.account.name
        seen = {arn: s for arn, s in staging.servers.items() if s.replicates}
        seen.update(staging.offered)
        for arn, server in sorted(seen.items()):
            if arn in target.extensions or not selection.takes(server.tags):
                continue
            own = staging.servers.get(arn)
            there = arn.split(":")[3] if arn.count(":") > 3 else "?"
            restricted = own.volume_statuses & set(_RESTRICTED) if own else ()
            if there != region:
                run.keep(name, arn, server, Result.BLOCKED, _wrong_region(there, region))
            elif own is None:
                reason = "it was registered while this ran: run it again"
                run.keep(name, arn, server, Result.NOT_TRIED, reason)
            elif arn not in staging.offered:
                reason = "it replicates, but AWS does not offer it for extension"
                run.keep(name, arn, server, Result.BLOCKED, reason)
            elif restricted:
                reason = f"it {_RESTRICTED[min(restricted)]} ({min(restricted)})"
                run.keep(name, arn, server, Result.BLOCKED, reason)
            else:
                yield _Candidate(staging, arn, server)
        for arn, server in sorted(staging.elsewhere.items()):
            if server.replicates and selection.takes(server.tags):
                reason = _wrong_region(arn.split(":")[3], region)
                run.keep(name, arn, server, Result.BLOCKED, reason)


def _wrong_region(there: str, region: str) -> str:
    return (
        f"it replicates into {there}, and only servers that replicate into {region}, the recovery "
        "Region, can be extended"
    )


def _eligible(
    candidates: Sequence[_Candidate], limit: int | None, run: _Run
) -> tuple[list[_Candidate], int]:
    """The candidates whose encryption lets them be extended, up to the limit.

    The second value is how many the limit left unseen. AWS shows a server's encryption only to its
    own account, server by server.
    """
    clients = _clients(candidate.staging for candidate in candidates)

    def one(candidate: _Candidate) -> str | None:
        if candidate.account in run.refusals:
            return None
        with _stopping(candidate, run):
            answer = call(
                clients[candidate.staging.account.id],
                "get_replication_configuration",
                sourceServerID=candidate.arn.rsplit("/", 1)[-1],
            )
        return str(answer.get("ebsEncryption"))

    eligible: list[_Candidate] = []
    rest = list(candidates)
    total = len(rest) if limit is None else min(limit, len(rest))
    while rest and len(eligible) < total and not run.interrupted:
        batch, rest = rest[: total - len(eligible)], rest[total - len(eligible) :]
        paced = pace.each(
            one,
            batch,
            repeatable=True,
            on_done=lambda done: run.on_progress("looking at servers", done, total),
        )
        run.interrupted = run.interrupted or paced.interrupted
        for candidate, result in zip(batch, paced.results, strict=True):
            if result is None or (isinstance(result, AccountError) and _of_the_account(result)):
                run.keep_all([candidate], Result.NOT_TRIED)
            elif isinstance(result, AccountError):
                run.keep_all([candidate], Result.FAILED, str(result))
            elif result == "DEFAULT":
                run.keep_all([candidate], Result.BLOCKED, _DEFAULT_KEY)
            else:
                eligible.append(candidate)
    if run.interrupted:
        run.keep_all(rest, Result.NOT_TRIED)
        rest = []
    stopped = [candidate for candidate in eligible if candidate.account in run.refusals]
    run.keep_all(stopped, Result.NOT_TRIED)
    return [c for c in eligible if c.account not in run.refusals], len(rest)


def _clients(accounts: Iterable[Staging]) -> dict[str, Client]:
    """A client of each account by its id, whose failures the pace decides about."""
    opened = {staging.account.id: staging.opened for staging in accounts}
    return {account: each.client("drs", attempts=1) for account, each in opened.items()}


@contextmanager
def _stopping(candidate: _Candidate, run: _Run) -> Iterator[None]:
    """Remembers a refusal that says more than something of one server, and lets it pass."""
    try:
        yield
    except AccountError as error:
        if _of_the_account(error):
            run.refusals.setdefault(candidate.account, str(error))
        raise


def _of_the_account(error: AccountError) -> bool:
    """True if the error would meet every server of the account."""
    if not isinstance(error, CallError):
        return not uncertain(error)
    return not (error.throttled or uncertain(error) or error.code in {*_ONE_SERVER, _FULL})


def _create(
    eligible: Sequence[_Candidate], opened: Opened, target: Target, quota: int, run: _Run
) -> tuple[Target, set[str], list[_Candidate]]:
    """Extends servers; returns the target afterwards, the ARNs extended, and those without room.

    In rounds, each of which begins by listing the target: what stands there is never made again,
    also where the call that made it was never answered.
    """
    listing, drs = opened.client("drs"), opened.client("drs", attempts=1)
    full = threading.Event()

    def one(candidate: _Candidate) -> str | None:
        if full.is_set() or candidate.account in run.refusals:
            return None
        tags = _carried(candidate.seen.tags)
        with _stopping(candidate, run):
            try:
                call(drs, "create_extended_source_server", sourceServerArn=candidate.arn, tags=tags)
            except CallError as error:
                if error.code == _FULL:
                    full.set()
                raise
        return candidate.arn

    made: set[str] = set()
    pending, unanswered, errors = list(eligible), Counter[str](), dict[str, str]()
    while eligible:
        target = _listed(listing, run)
        made |= {arn for arn in unanswered if arn in target.extensions}
        pending = [each for each in pending if each.arn not in target.extensions]
        batch = pending[: max(0, quota - target.total)]
        if not batch or full.is_set() or run.interrupted:
            break
        paced = pace.each(
            one,
            batch,
            repeatable=False,
            on_done=functools.partial(_extending, run, len(made), len(eligible)),
        )
        run.interrupted = run.interrupted or paced.interrupted
        again = []
        for candidate, result in zip(batch, paced.results, strict=True):
            if isinstance(result, str):
                made.add(result)
            elif result is None or (isinstance(result, CallError) and result.code == _FULL):
                again.append(candidate)  # interrupted, stopped, or without room
            elif _of_the_account(result):
                run.keep_all([candidate], Result.NOT_TRIED)
            elif uncertain(result) and unanswered[candidate.arn] < _ROUNDS:
                unanswered[candidate.arn] += 1
                errors[candidate.arn] = str(result)
                again.append(candidate)
            else:
                run.keep_all([candidate], Result.FAILED, str(result))
        run.keep_all((c for c in again if c.account in run.refusals), Result.NOT_TRIED)
        again = [c for c in again if c.account not in run.refusals]
        pending = [*again, *pending[len(batch) :]]
        if any(unanswered[candidate.arn] for candidate in again) and not run.interrupted:
            with _interruptible(run):
                time.sleep(_wait(max(unanswered.values())))
    for seconds in range(_LISTINGS):
        if made <= target.extensions.keys():
            break
        time.sleep(seconds)
        target = _listed(listing, run)
    if run.interrupted:
        for candidate in pending:
            run.keep_all([candidate], Result.NOT_TRIED, errors.get(candidate.arn, ""))
        pending = []
    return target, made, pending


def _extending(run: _Run, before: int, total: int, done: int) -> None:
    run.on_progress("extending", before + done, total)


def _wait(tries: int) -> float:
    """Seconds to wait before looking whether a call that was not answered took effect."""
    return random.uniform(0.1, min(_LONGEST_WAIT, 0.2 * 2**tries))


def _listed(drs: Client, run: _Run) -> Target:
    """The target as it stands, after a first Ctrl-C too, which is remembered."""
    with _interruptible(run):
        return read_target(drs)
    return read_target(drs)


@contextmanager
def _interruptible(run: _Run) -> Iterator[None]:
    """Remembers a first Ctrl-C; the second is raised."""
    try:
        yield
    except KeyboardInterrupt:
        if run.interrupted:
            raise
        run.interrupted = True


def _carried(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of a staging server that its extension gets: none of AWS's own, and 50 at most.

    Where there are more, the tags of this product (dr:) come first, then the others by name.
    """
    own = sorted(
        (name for name in tags if not name.lower().startswith("aws:")),
        key=lambda name: (not name.startswith("dr:"), name),
    )
    return {name: tags[name] for name in own[:_MOST_TAGS]}


def _left_out(tags: Mapping[str, str]) -> str:
    """Which tags AWS's limit leaves out, empty if none."""
    kept = _carried(tags)
    left = sorted(n for n in tags if n not in kept and not n.lower().startswith("aws:"))
    return f"tags left out, over AWS's {_MOST_TAGS}: {', '.join(left)}" if left else ""


def _stand(
    read: Sequence[Staging], target: Target, made: Set[str], selection: Selection, run: _Run
) -> None:
    """Remembers how each selected extension stands in the target now, whatever was thought before."""
    for staging in read:
        name = staging.account.name
        for arn, extensions in _of_account(staging, target, selection):
            extension, *more = extensions
            before = run.servers.get(arn)
            if more:
                arns = ", ".join(each.arn for each in extensions)
                reason = f"it is extended {len(extensions)} times: delete all but one of {arns}"
                run.keep(name, arn, extension, Result.FAILED, reason)
            elif extension.status == Extension.EXTENDED and arn in made:
                reason = _left_out(staging.offered[arn].tags)
                run.keep(name, arn, extension, Result.EXTENDED, reason)
            elif extension.status == Extension.EXTENDED:
                run.keep(name, arn, extension, Result.ALREADY)
            elif before is None or before.result is not Result.FAILED:
                gone = arn not in staging.servers
                reason = extension.error or f"its stagingArea.status is {extension.status}"
                run.keep(name, arn, extension, Result.GONE if gone else Result.IN_ERROR, reason)
        for arn in made - target.extensions.keys():
            if arn in staging.offered:
                reason = "AWS said that it was extended and does not list it: run it again"
                run.keep(name, arn, staging.offered[arn], Result.FAILED, reason)


def _seeded(
    opened: Opened,
    account: str,
    launch: LaunchSettings,
    target: Target,
    made: Set[str],
    run: _Run,
) -> None:
    """Sees on one new extension that the template seeded it, else brings every one to the settings."""
    first, *rest = (target.extensions[arn][0].id for arn in sorted(made & target.extensions.keys()))
    steps = len(run.steps)
    run.steps.extend(mend(opened, account, launch, [first], dry_run=False))
    if len(run.steps) > steps:
        run.steps.extend(mend(opened, account, launch, rest, dry_run=False))
