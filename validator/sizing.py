"""Which account each server is to replicate into, what that takes, and whether it fits AWS's quotas.

Pure arithmetic on an inventory or a count: nothing is read here. Servers that replicate already stay
where they are, since a move means that the agent is installed again. The order in which servers are
given never matters. What is not known (the disks of a server, a quota) is a range or an unknown.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from validator.findings import Finding, Message, Outcome, Verdict
from validator.model import Part, Unknown
from validator.quotas import (
    CONCURRENT_JOBS,
    DISKS_PER_SERVER,
    GIB_PER_DISK,
    POINTS_BESIDES_DAYS,
    REPLICATING_SERVERS,
    SERVERS_IN_ALL_JOBS,
    SERVERS_PER_JOB,
    SNAPSHOTS,
    TOTAL_SERVERS,
    HasQuotas,
    Quota,
    Recovery,
    limit,
    recovery,
)

WAVE, PRIORITY = "dr:wave", "dr:priority"
VOLUMES_PER_REPLICATION_SERVER = 15
"""As AWS packs them. Source: docs.aws.amazon.com/drs/latest/userguide/Replication-Related-FAQ.html"""

VCPUS_PER_REPLICATION_SERVER = 2
"""Those of a t3.small, the default of a replication template."""

RESERVED_ADDRESSES = 5
"""Those that AWS keeps of every subnet."""

ENDPOINTS = 2
"""Interface endpoints of a staging area: DRS and EC2, as the module staging-area makes them."""

_WAVE = re.compile(r"wave-([1-9][0-9]{0,3})")

_PROPOSED = "A count has no tag dr:wave: {} proposed, as few and even as can be."

NO_DISKS = Unknown("its disks are not given")
NO_VCPUS = Unknown("its vCPUs are not given")


@dataclass(frozen=True, slots=True)
class Server:
    """A server to protect. `id` is None for one of a count; `where` is the file and line.

    `account` and `region` are those that the instance runs in, None where the inventory does not say.
    `disks` are in GiB. `placed` is the id or name of the account that it replicates into already.
    """

    id: str | None
    where: str
    name: str = ""
    account: str | None = None
    region: str | None = None
    disks: tuple[int | Unknown, ...] | Unknown = NO_DISKS
    vcpus: int | Unknown = NO_VCPUS
    tags: tuple[tuple[str, str], ...] = ()
    placed: str | None = None

    @property
    def shown(self) -> str:
        """The id, else that it is one of a count."""
        return self.id or "a server of the count"

    def tag(self, key: str) -> str | None:
        """The value of a tag, None without it."""
        return dict(self.tags).get(key)

    @property
    def volumes(self) -> int:
        """The volumes that it has at least: one where nothing is known."""
        return 1 if isinstance(self.disks, Unknown) else len(self.disks)


@dataclass(frozen=True, slots=True)
class Place:
    """An account that servers may replicate into; `id` is None for one that is to be ordered.

    `quotas` are what was read of them, `addresses` those of its staging subnet, None where there is
    no range for it yet.
    """

    name: str
    part: Part
    id: str | None = None
    quotas: tuple[tuple[str, int | Unknown], ...] = ()
    addresses: int | None = None
    at_hand: bool = True


@dataclass(frozen=True, slots=True)
class Wish:
    """How an estate is to be sized.

    `headroom` are servers that each account keeps free, `days` those of daily points in time.
    `target_servers` is the most that replicate in the target itself, None for as many as fit.
    Servers with the same value of the tag `together` share an account; those with the same value of
    `apart` are spread over the accounts. `source_region` is where servers of an env must run, None
    for anywhere. `waves` are declared, for a count. `accounts_named` is true where the accounts at hand
    were told, so that needing more of them is a shortage.
    """

    headroom: int = 0
    days: int = 7
    target_servers: int | None = None
    together: str | None = None
    apart: str | None = None
    source_region: str | None = None
    waves: tuple[tuple[str, int], ...] = ()
    accounts_named: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """A number of which only the lower bound may be known: `upper` is then None."""

    lower: int
    upper: int | None

    def fits(self, most: int | Unknown) -> Outcome:
        """Whether it is at most so many."""
        if isinstance(most, Unknown):
            return Outcome.UNKNOWN
        if self.lower > most:
            return Outcome.VIOLATED
        return Outcome.UNKNOWN if self.upper is None or self.upper > most else Outcome.HOLDS

    def __str__(self) -> str:
        if self.upper is None:
            return f"at least {self.lower}"
        return str(self.lower) if self.lower == self.upper else f"{self.lower} to {self.upper}"


@dataclass(frozen=True, slots=True)
class Filled:
    """An account with its servers, in order, and what they take there.

    `kept` are how many of them replicate there already. `storage` is in GiB; `vcpus` are those of
    the replication servers, `addresses` all of the staging subnet but those of conversion servers.
    """

    place: Place
    servers: tuple[Server, ...]
    kept: int
    quota: int | Unknown
    cap: int
    volumes: Range
    storage: Range
    replication_servers: Range
    vcpus: Range
    snapshots: Range
    snapshot_quota: int | Unknown
    addresses: Range


@dataclass(frozen=True, slots=True)
class Misfit:
    """A server that gets no account: the name of the reason, and the reason in words."""

    server: Server
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class SizedWave:
    """A recovery wave, in the order of recovery; `needs` is None where a quota is not known."""

    name: str
    servers: int
    needs: Recovery | None


@dataclass(frozen=True, slots=True)
class Sizing:
    """An estate sized: accounts in order, what does not fit, the waves, and what must hold.

    `waves_proposed` is true where some of the waves are not declared, and no server has their tag.
    `recovery_vcpus` are those of all placed servers, which run in the target after a full recovery.
    """

    wish: Wish
    accounts: tuple[Filled, ...]
    misfits: tuple[Misfit, ...]
    waves: tuple[SizedWave, ...]
    waves_proposed: bool
    target_total: int
    target_quota: int | Unknown
    recovery_vcpus: Range
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """Violated if anything does not fit, else unknown if anything is not known, else holds."""
        return Verdict(self.findings).outcome

    @property
    def to_order(self) -> int:
        """Accounts that are needed and not at hand."""
        return sum(not each.place.at_hand for each in self.accounts)


WHY = {
    "server-fits-an-account": (
        "A server that no account takes is not protected.",
        "Read the reason: give the disks, split a group, remove a disk from replication, or raise the "
        "quota named.",
    ),
    "server-says-where-it-runs": (
        "An agent is installed through the account and in the Region that its server runs in.",
        "Give the columns `account` and `region` of each server.",
    ),
    "account-replicates-within-quota": (
        "The agent of a server past the quota cannot register, and AWS does not raise it.",
        "Install the agents of the surplus anew, for another account.",
    ),
    "declared-headroom-is-kept": (
        "A server that is installed again, or fails back, counts twice for a while.",
        "Install the agents of the surplus anew, for another account, or ask for less headroom.",
    ),
    "target-holds-every-server": (
        "Each extended server is a source server of the target too.",
        f"Ask AWS to raise {TOTAL_SERVERS.code} in the target's recovery Region, or plan a second target.",
    ),
    "snapshots-fit-the-quota": (
        "Once the quota is reached EBS refuses new snapshots, and every server falls behind.",
        f"Give every server's disks, keep fewer days, or ask AWS to raise {SNAPSHOTS.code}.",
    ),
    "staging-subnet-has-addresses": (
        "A replication server without an address is not launched, and its volumes do not replicate.",
        "Give the staging area a larger range.",
    ),
    "staging-accounts-suffice": (
        "A server without an account is not protected.",
        "Order the accounts, then `validator add-staging-account ENV ID` for each.",
    ),
    "groups-stay-together": (
        "Servers that fail and recover together should not depend on two accounts.",
        "Install the agents of the smaller part anew, for the account of the others.",
    ),
    "groups-are-spread": (
        "What is lost with one account should not be all of a group.",
        "Install the agent of one of them anew, for the account named.",
    ),
    "wave-fits-the-job-quotas": (
        "StartRecovery refuses what is more: the wave stops in the middle.",
        "Split the wave.",
    ),
    "waves-recover-every-server": (
        "A server in no wave is recovered by nobody.",
        "Give every server the tag dr:wave, such as wave-1.",
    ),
}

"""Of each statement, by name, why it must hold and what mends it."""


def size(servers: Iterable[Server], places: Sequence[Place], wish: Wish) -> Sizing:
    """The servers over the accounts, the first of which is the target; more are added as needed."""
    ordered = sorted(servers, key=_order)
    placing = _Placing(places, wish)
    placing.place(ordered)
    accounts = tuple(_filled(each, wish) for each in placing.shelves if each.needed)
    waves, proposed, wave_findings = _waves(ordered, accounts[0].place, wish)
    words = f"{few(proposed)} {'is' if len(proposed) == 1 else 'are'}"
    target = accounts[0].place
    total = sum(len(each.servers) for each in accounts)
    quota = limit(target, TOTAL_SERVERS)
    misfits = tuple(sorted(placing.misfits, key=lambda each: _order(each.server)))
    findings = (
        *_fitting(misfits, sorted((s for each in accounts for s in each.servers), key=_order)),
        *_located(ordered, wish),
        *(finding for each in accounts for finding in _of_account(each, wish)),
        _finding(
            "target-holds-every-server",
            target.name,
            Range(total, total).fits(quota),
            f"{total} source servers would stand in {target.name}; its total quota is "
            f"{_number(quota)} ({TOTAL_SERVERS.code}).",
        ),
        *_sufficing(accounts, wish),
        *_grouped(accounts, wish),
        *wave_findings,
    )
    return Sizing(
        wish,
        accounts,
        misfits,
        waves,
        bool(proposed),
        total,
        quota,
        _recovery_vcpus(accounts),
        findings,
        (_PROPOSED.format(words),) if proposed else (),
    )


def wave_number(wave: str) -> int:
    """The number by which a wave is ordered, 0 for what is no wave."""
    found = _WAVE.fullmatch(wave)
    return int(found[1]) if found else 0


def _order(server: Server) -> tuple[int, str, str]:
    """By wave, then priority, then id: what is recovered first is placed first."""
    tags = dict(server.tags)
    number = wave_number(tags.get(WAVE, ""))
    return number or 10_000, tags.get(PRIORITY, "~"), server.id or ""


@dataclass(slots=True)
class _Shelf:
    """An account while it is being filled. A cap is of servers, `most_volumes` of volumes."""

    place: Place
    cap: int
    most_volumes: int
    servers: list[Server] = field(default_factory=list)
    kept: int = 0
    volumes: int = 0

    def takes(self, servers: int, volumes: int) -> bool:
        return (
            len(self.servers) + servers <= self.cap and self.volumes + volumes <= self.most_volumes
        )

    def put(self, server: Server) -> None:
        self.servers.append(server)
        self.volumes += server.volumes

    @property
    def needed(self) -> bool:
        return self.place.at_hand or bool(self.servers)


class _Placing:
    """Puts servers onto shelves, one for each account, and adds shelves as they are needed."""

    def __init__(self, places: Sequence[Place], wish: Wish) -> None:
        self.wish = wish
        self.points = POINTS_BESIDES_DAYS + wish.days
        self.shelves = [self._shelf(each) for each in places]
        self.misfits: list[Misfit] = []
        quota = limit(places[0], TOTAL_SERVERS)
        self.total = 0 if isinstance(quota, Unknown) else quota
        self.held = 0
        self._by_name = {
            key: shelf
            for shelf in self.shelves
            for key in (shelf.place.name, shelf.place.id)
            if key is not None
        }
        self._spread: dict[str, Counter[str]] = defaultdict(Counter)
        """How many of each group that is spread stand in which account."""
        self._together: dict[str, Counter[str]] = defaultdict(Counter)
        """How many of each group that stays together stand in which account."""

    def place(self, ordered: Sequence[Server]) -> None:
        free: list[Server] = []
        for server in ordered:
            if reason := self._impossible(server):
                self.misfits.append(Misfit(server, *reason))
            elif server.placed is None:
                free.append(server)
            else:
                shelf = self._by_name[server.placed]
                shelf.kept += 1
                self._put(shelf, (server,))
        if self.wish.apart:
            self._open_enough(free)
        for unit in self._units(free):
            self._place_unit(unit)
        for shelf in self.shelves:
            shelf.servers.sort(key=_order)

    def _impossible(self, server: Server) -> tuple[str, str] | None:
        """Why a server can stand nowhere."""
        if server.placed is not None and server.placed not in self._by_name:
            return (
                "replicates-elsewhere",
                f"it replicates into {server.placed}, which is no account of this estate",
            )
        region = self.wish.source_region
        if region is not None and server.region not in {None, region}:
            return "other-region", f"it runs in {server.region}; the source Region is {region}"
        if isinstance(server.disks, Unknown):
            return None
        if len(server.disks) > DISKS_PER_SERVER.value:
            return (
                "too-many-disks",
                f"it has {len(server.disks)} disks; DRS replicates {DISKS_PER_SERVER.value}",
            )
        largest = max((each for each in server.disks if isinstance(each, int)), default=0)
        if largest > GIB_PER_DISK.value:
            return (
                "disk-too-large",
                f"a disk has {largest} GiB; DRS replicates {GIB_PER_DISK.value}",
            )
        return None

    def _units(self, free: Sequence[Server]) -> Iterator[tuple[Server, ...]]:
        """What is placed at once: groups, the largest first, then servers that are in none."""
        groups: dict[str, list[Server]] = defaultdict(list)
        single = []
        for server in free:
            value = server.tag(self.wish.together) if self.wish.together else None
            if value is None:
                single.append(server)
            else:
                groups[value].append(server)
        for value in sorted(groups, key=lambda each: (-len(groups[each]), each)):
            yield tuple(groups[value])
        if self.wish.apart:
            # Group after group, so that each is dealt out evenly.
            apart = self.wish.apart
            single.sort(key=lambda each: (each.tag(apart) or "~", _order(each)))
        for server in single:
            yield (server,)

    def _place_unit(self, unit: tuple[Server, ...]) -> None:
        count, volumes = len(unit), sum(each.volumes for each in unit)
        if self.held + count > self.total:
            self._misfit(unit, "target-total", f"the target's total of {self.total} is reached")
            return
        shelves = self.shelves
        if bound := self._bound(unit):
            if not (shelf := bound).takes(count, volumes):
                self._misfit(
                    unit,
                    "no-room-beside-group",
                    f"the rest of its group replicates in {shelf.place.name}, which is full",
                )
                return
            shelves = [shelf]
        able = [each for each in shelves if each.takes(count, volumes)]
        chosen = self._chosen(unit, able)
        if chosen is None:
            chosen = self._opened()
            if not chosen.takes(count, volumes):
                self.shelves.remove(chosen)
                self._misfit(unit, *self._too_much(count, volumes, chosen))
                return
        self._put(chosen, unit)

    def _bound(self, unit: tuple[Server, ...]) -> _Shelf | None:
        """The account where most of the unit's group replicate already, if any do."""
        together = self.wish.together
        value = unit[0].tag(together) if together else None
        if together is None or value is None:
            return None
        stand = self._together[value]
        most = max(self.shelves, key=lambda each: stand[each.place.name])
        return most if stand[most.place.name] else None

    def _chosen(self, unit: tuple[Server, ...], able: Sequence[_Shelf]) -> _Shelf | None:
        """The account for a unit among those that have room; None for a new one."""
        if not able:
            return None
        groups = self._groups(unit)
        if groups:
            best = min(
                able,
                key=lambda each: (
                    max(self._spread[g][each.place.name] for g in groups),
                    len(each.servers),
                    self.shelves.index(each),
                ),
            )
            alone = any(
                (there := self._spread[g][best.place.name]) and there == self._spread[g].total()
                for g in groups
            )
            return None if alone else best
        homes = {each.account for each in unit}
        own = [each for each in able if homes == {each.place.id}]
        return own[0] if own else able[0]

    def _groups(self, unit: tuple[Server, ...]) -> list[str]:
        apart = self.wish.apart
        values = {each.tag(apart) for each in unit} if apart else set()
        return sorted(value for value in values if value is not None)

    def _put(self, shelf: _Shelf, unit: tuple[Server, ...]) -> None:
        for server in unit:
            shelf.put(server)
            for group in self._groups((server,)):
                self._spread[group][shelf.place.name] += 1
            if (value := server.tag(self.wish.together or "")) is not None:
                self._together[value][shelf.place.name] += 1
        self.held += len(unit)

    def _misfit(self, unit: tuple[Server, ...], reason: str, detail: str) -> None:
        self.misfits += [Misfit(server, reason, detail) for server in unit]

    def _too_much(self, count: int, volumes: int, shelf: _Shelf) -> tuple[str, str]:
        if count > shelf.cap:
            what = f"its group of {count} is to stay together" if count > 1 else "it needs room"
            return "group-too-large", f"{what}; an account takes {shelf.cap}"
        return (
            "too-many-snapshots",
            f"{volumes} volumes with {self.points} points in time each are {volumes * self.points} "
            f"snapshots; the quota of an account is {SNAPSHOTS.value} ({SNAPSHOTS.code})",
        )

    def _open_enough(self, free: Sequence[Server]) -> None:
        """Opens as many accounts as the servers take, so that groups are spread over all of them."""
        apart = self.wish.apart or ""
        groups = Counter(each.tag(apart) for each in free if each.tag(apart) is not None)
        several = any(count > 1 for count in groups.values())
        wanted = min(len(free), self.total - self.held)
        volumes = sum(each.volumes for each in free[:wanted])
        while (
            sum(max(0, each.cap - len(each.servers)) for each in self.shelves) < wanted
            or sum(max(0, s.most_volumes - s.volumes) for s in self.shelves) < volumes
            or (several and sum(each.cap > 0 for each in self.shelves) < 2)
        ):
            opened = self._opened()
            if min(opened.cap, opened.most_volumes) < 1:
                break

    def _opened(self) -> _Shelf:
        """A shelf for an account that is to be ordered."""
        name = next_name({each.place.name for each in self.shelves})
        shelf = self._shelf(Place(name, Part.STAGING, at_hand=False))
        self.shelves.append(shelf)
        return shelf

    def _shelf(self, place: Place) -> _Shelf:
        cap = _cap(place, self.wish)
        snapshots = limit(place, SNAPSHOTS)
        return _Shelf(place, cap, 0 if isinstance(snapshots, Unknown) else snapshots // self.points)


def _cap(place: Place, wish: Wish) -> int:
    """The most servers that are put into an account: none where its quota is not known."""
    quota = limit(place, REPLICATING_SERVERS)
    most = 0 if isinstance(quota, Unknown) else max(0, quota - wish.headroom)
    if place.part is Part.TARGET and wish.target_servers is not None:
        most = min(most, wish.target_servers)
    return most


def _filled(shelf: _Shelf, wish: Wish) -> Filled:
    """A shelf with what its servers take. All ranges are open where a server's disks are unknown."""
    blind = any(isinstance(each.disks, Unknown) for each in shelf.servers)
    known = [d for each in shelf.servers if not isinstance(each.disks, Unknown) for d in each.disks]
    sizes = [each for each in known if isinstance(each, int)]

    def bounded(lower: int) -> Range:
        return Range(lower, None if blind else lower)

    machines = -(-shelf.volumes // VOLUMES_PER_REPLICATION_SERVER)
    points = POINTS_BESIDES_DAYS + wish.days
    return Filled(
        shelf.place,
        tuple(shelf.servers),
        shelf.kept,
        limit(shelf.place, REPLICATING_SERVERS),
        shelf.cap,
        bounded(shelf.volumes),
        Range(sum(sizes), sum(sizes) if not blind and len(sizes) == len(known) else None),
        bounded(machines),
        bounded(machines * VCPUS_PER_REPLICATION_SERVER),
        bounded(shelf.volumes * points),
        limit(shelf.place, SNAPSHOTS),
        bounded(RESERVED_ADDRESSES + ENDPOINTS + machines),
    )


def _recovery_vcpus(accounts: Iterable[Filled]) -> Range:
    """The vCPUs of all servers together; open where those of one are not known."""
    all_ = [server.vcpus for each in accounts for server in each.servers]
    known = [each for each in all_ if isinstance(each, int)]
    return Range(sum(known), sum(known) if len(known) == len(all_) else None)


def _fitting(misfits: Sequence[Misfit], placed: Sequence[Server]) -> Iterator[Finding]:
    """One finding for each reason that servers fit nowhere, or may not; one that holds if all fit."""
    name = "server-fits-an-account"
    blind = [each for each in placed if _blind(each)]
    if not misfits and not placed:
        yield _finding(name, "every server", Outcome.UNKNOWN, "There is no server to size for.")
    elif not misfits and not blind:
        yield _finding(name, "every server", Outcome.HOLDS)
    if blind:
        text = (
            f"{_named(blind)}: disks are not given. DRS replicates {DISKS_PER_SERVER.value} of a "
            f"server, each of at most {GIB_PER_DISK.value} GiB."
        )
        yield _finding(name, "disks-not-given", Outcome.UNKNOWN, Message(text, blind[0].where))
    reasons: dict[str, list[Misfit]] = defaultdict(list)
    for misfit in misfits:
        reasons[misfit.reason].append(misfit)
    for reason, some in sorted(reasons.items()):
        named = [each for each in some if each.server.id is not None]
        messages = [
            Message(f"{each.server.shown} does not fit: {each.detail}.", each.server.where)
            for each in named
        ]
        if count := len(some) - len(named):
            detail = next(each.detail for each in some if each.server.id is None)
            messages.append(Message(f"{count} servers of the count do not fit: {detail}.", ""))
        yield _finding(name, reason, Outcome.VIOLATED, *messages)


def _located(servers: Sequence[Server], wish: Wish) -> Iterator[Finding]:
    """Whether each server of an env's inventory says its Region; and its account, if it is to be deployed."""
    name = "server-says-where-it-runs"
    listed = [each for each in servers if each.id is not None]
    if wish.source_region is None or not listed:
        return
    lacking = {
        "account": [each for each in listed if each.account is None and each.placed is None],
        "region": [each for each in listed if each.region is None],
    }
    for what, some in lacking.items():
        if some:
            text = f"{_named(some)}: the {what} that they run in is not given."
            message = Message(text, some[0].where)
            yield _finding(name, f"{what}-not-given", Outcome.UNKNOWN, message)
    if not any(lacking.values()):
        yield _finding(name, "every server", Outcome.HOLDS)


def _blind(server: Server) -> bool:
    """Whether its disks may be too many, or too large. A count is of servers of ordinary disks."""
    if isinstance(server.disks, Unknown):
        return True
    return server.id is not None and any(isinstance(each, Unknown) for each in server.disks)


def _named(servers: Sequence[Server]) -> str:
    """The first servers by id, and how many more there are; of a count, how many."""
    ids = [each.id for each in servers if each.id is not None]
    return few(ids) if ids else f"{len(servers)} servers of the count"


def _of_account(each: Filled, wish: Wish) -> Iterator[Finding]:
    """What must hold in one account."""
    count, name = Range(len(each.servers), len(each.servers)), each.place.name
    within = count.fits(each.quota)
    yield _finding(
        "account-replicates-within-quota",
        name,
        within,
        f"{len(each.servers)} servers replicate in {name}; the quota is {_number(each.quota)} "
        f"({REPLICATING_SERVERS.code}).",
    )
    if within is not Outcome.UNKNOWN:
        free = each.quota - wish.headroom if isinstance(each.quota, int) else 0
        yield _finding(
            "declared-headroom-is-kept",
            name,
            count.fits(free),
            f"{each.kept} servers replicate in {name} already; with {wish.headroom} kept free it "
            f"takes {free}.",
        )
    blind = [s.shown for s in each.servers if isinstance(s.disks, Unknown)]
    more = f" The disks of {few(blind)} are not given." if blind else ""
    yield _finding(
        "snapshots-fit-the-quota",
        name,
        each.snapshots.fits(each.snapshot_quota),
        f"{name} would keep {each.snapshots} snapshots ({each.volumes} volumes x "
        f"{POINTS_BESIDES_DAYS + wish.days} points in time); the quota is "
        f"{_number(each.snapshot_quota)} ({SNAPSHOTS.code}).{more}",
    )
    if each.place.addresses is not None:
        yield _finding(
            "staging-subnet-has-addresses",
            name,
            each.addresses.fits(each.place.addresses),
            f"The staging subnet of {name} needs {each.addresses} addresses for "
            f"{each.replication_servers} replication servers; it has {each.place.addresses}.{more}",
        )


def _sufficing(accounts: Sequence[Filled], wish: Wish) -> Iterator[Finding]:
    if not wish.accounts_named:
        return
    staging = [each for each in accounts if each.place.part is Part.STAGING]
    order = sum(not each.place.at_hand for each in staging)
    yield _finding(
        "staging-accounts-suffice",
        "the estate",
        Outcome.VIOLATED if order else Outcome.HOLDS,
        f"Staging accounts at hand: {len(staging) - order}; needed: {len(staging)}.",
    )


def _grouped(accounts: Sequence[Filled], wish: Wish) -> Iterator[Finding]:
    """Whether groups are together, or spread, as they are wished."""
    for tag, name in (
        (wish.together, "groups-stay-together"),
        (wish.apart, "groups-are-spread"),
    ):
        if tag is None:
            continue
        stands: dict[str, Counter[str]] = defaultdict(Counter)
        for each in accounts:
            for server in each.servers:
                if (value := server.tag(tag)) is not None:
                    stands[value][each.place.name] += 1
        broken = False
        for value, counts in sorted(stands.items()):
            how = _torn(counts) if tag is wish.together else _uneven(counts, accounts)
            if how:
                broken = True
                yield _finding(name, f"{tag}={value}", Outcome.VIOLATED, f"{value}: {how}.")
        if not broken:
            yield _finding(name, tag, Outcome.HOLDS)


def _torn(counts: Mapping[str, int]) -> str | None:
    if len(counts) < 2:
        return None
    return "it stands in " + ", ".join(f"{name} ({n})" for name, n in sorted(counts.items()))


def _uneven(counts: Mapping[str, int], accounts: Sequence[Filled]) -> str | None:
    """How a group is not spread: another account has two fewer of it, and room."""
    if sum(counts.values()) > 1 and len(counts) == 1:
        return f"all {sum(counts.values())} stand in {next(iter(counts))}"
    most = max(counts, key=lambda name: (counts[name], name))
    for each in accounts:
        has, name = counts.get(each.place.name, 0), each.place.name
        if has + 2 <= counts[most] and len(each.servers) < each.cap:
            return f"{counts[most]} stand in {most}, {has} in {name}, which has room"
    return None


def _waves(
    servers: Sequence[Server], target: Place, wish: Wish
) -> tuple[tuple[SizedWave, ...], tuple[str, ...], tuple[Finding, ...]]:
    """The waves in order, the names of those that are proposed, and what must hold of them."""
    proposed: list[tuple[str, int]] = []
    if any(each.id is not None for each in servers):
        tagged = Counter(value for each in servers if (value := each.tag(WAVE)) is not None)
        sizes = [(wave, n) for wave, n in tagged.items() if wave_number(wave)]
        finding = _by_tags(servers)
    else:
        proposed = _proposed(len(servers), wish.waves)
        sizes = [*wish.waves, *proposed]
        finding = _by_count(len(servers), sizes)
    sizes.sort(key=lambda each: (wave_number(each[0]), each[0]))
    waves = tuple(SizedWave(wave, n, _needs(n, target)) for wave, n in sizes if n > 0)
    names = tuple(name for name, _ in proposed)
    return waves, names, (*(_of_wave(each) for each in waves), finding)


def _by_tags(servers: Sequence[Server]) -> Finding:
    """Whether every server of an inventory has the tag of a wave."""
    bad = sorted((each for each in servers if not wave_number(each.tag(WAVE) or "")), key=_order)
    none = [each for each in bad if each.tag(WAVE) is None]
    wrong = [each for each in bad if each.tag(WAVE) is not None]
    messages = [
        Message(f"{each.shown}: {WAVE} is {each.tag(WAVE)!r}, and not such as wave-1.", each.where)
        for each in wrong
    ]
    if none:
        messages.append(Message(f"{_named(none)}: without the tag {WAVE}.", none[0].where))
    outcome = Outcome.VIOLATED if wrong else Outcome.UNKNOWN if none else Outcome.HOLDS
    return _finding("waves-recover-every-server", "the estate", outcome, *messages)


def _by_count(servers: int, waves: Sequence[tuple[str, int]]) -> Finding:
    """Whether the waves together are of so many servers, and each of one at least."""
    together = sum(n for _, n in waves)
    messages = [f"{wave} is declared with {n} servers." for wave, n in waves if n < 1]
    if together != servers:
        messages.append(f"The declared waves recover {together} servers; there are {servers}.")
    outcome = Outcome.VIOLATED if messages else Outcome.HOLDS
    return _finding("waves-recover-every-server", "the estate", outcome, *messages)


def _proposed(servers: int, declared: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Waves for those that no declared wave recovers: as few as go in one round each, and even."""
    lacking = servers - sum(n for _, n in declared)
    count = -(-lacking // SERVERS_IN_ALL_JOBS.value)
    if count < 1:
        return []
    first = max((wave_number(wave) for wave, _ in declared), default=0) + 1
    least, more = divmod(lacking, count)
    return [(f"wave-{first + n}", least + (n < more)) for n in range(count)]


def _needs(servers: int, target: HasQuotas) -> Recovery | None:
    quotas = [limit(target, q) for q in (SERVERS_PER_JOB, SERVERS_IN_ALL_JOBS, CONCURRENT_JOBS)]
    known = [each for each in quotas if isinstance(each, int) and each > 0]
    return recovery(servers, *known) if len(known) == len(quotas) else None


def _of_wave(wave: SizedWave) -> Finding:
    if wave.needs is None:
        outcome, text = Outcome.UNKNOWN, "The target's job quotas are not known, or 0."
    else:
        outcome = Outcome.HOLDS if wave.needs.rounds <= 1 else Outcome.VIOLATED
        text = (
            f"{wave.name} recovers {wave.servers} servers, which takes {wave.needs.jobs} jobs in "
            f"{wave.needs.rounds} rounds, and not in one ({SERVERS_IN_ALL_JOBS.code})."
        )
    return _finding("wave-fits-the-job-quotas", wave.name, outcome, text)


def _finding(name: str, subject: str, outcome: Outcome, *messages: Message | str) -> Finding:
    why, remedy = WHY[name]
    said = () if outcome is Outcome.HOLDS else messages
    return Finding(
        invariant=name,
        family="size",
        subject=subject,
        where=subject,
        outcome=outcome,
        messages=tuple(Message(m, "") if isinstance(m, str) else m for m in said),
        why=why,
        remedy=remedy,
    )


def _number(value: int | Unknown) -> str:
    return f"not known ({value.reason})" if isinstance(value, Unknown) else str(value)


def next_name(names: Container[str]) -> str:
    """The first of staging-1, staging-2, ... that is no name yet."""
    return next(f"staging-{n}" for n in count(1) if f"staging-{n}" not in names)


def few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def asked(filled: Filled, quota: Quota) -> bool:
    """True where more vCPUs are needed than a new account has, so that AWS must be asked."""
    value = limit(filled.place, quota)
    return isinstance(value, Unknown) or filled.vcpus.upper is None or filled.vcpus.lower > value
