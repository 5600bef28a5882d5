"""`size`: how many accounts an estate takes, which server goes where, and whether it fits."""

import argparse
import ipaddress
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from validator import handover, project, sizing
from validator.commands import Commands, reporting
from validator.errors import SourceError, UsageError
from validator.findings import EXIT_STATUS
from validator.model import Part, Unknown
from validator.project import Env
from validator.quotas import REPLICATING_SERVERS
from validator.reports import file_name
from validator.sizing import PRIORITY, WAVE, Place, Server, Wish
from validator.sources.declared import Declared

if TYPE_CHECKING:
    from validator.reports.sizing import Sized

HEADROOM_PERCENT = 10
POINT_IN_TIME_DAYS = 7
"""As a replication template of AWS has it by default."""

_ACCOUNT = re.compile(r"[0-9]{12}")
_MOST_SERVERS = 1_000_000


@dataclass(frozen=True, slots=True)
class _Declared:
    """What an env brings to a sizing."""

    env: Env
    values: Declared
    places: tuple[Place, ...]
    planned: tuple[int, ...]
    headroom: int
    days: int
    volumes: int | None
    waves: tuple[tuple[str, int], ...]
    source_region: str
    recovery_region: str
    listed: dict[str, dict[str, dict[str, str]]]
    """The wave and priority of each instance that the env lists, by account name and instance id."""
    instances: dict[str, str]
    """The account's name, by the id of each of them."""

    orchestration: str


def register(command: Commands) -> None:
    """Adds the command."""
    size = command("size", _size, "plan how many accounts servers take, and which goes where")
    size.add_argument("env", nargs="?", help="the env that is to hold them; its accounts are kept")
    what = size.add_mutually_exclusive_group(required=True)
    what.add_argument("--servers", metavar="N", type=_count, help="so many servers")
    what.add_argument(
        "--inventory",
        metavar="FILE",
        type=Path,
        action="append",
        help="these servers: CSV, or JSON of aws ec2 describe-instances and -volumes; repeat it",
    )
    size.add_argument("--volumes", metavar="N", type=_count, help="with --servers: volumes of each")
    size.add_argument(
        "--headroom",
        metavar="PERCENT",
        type=_percent,
        help=f"of its quota that each account keeps free; by default the env's, else {HEADROOM_PERCENT}",
    )
    size.add_argument(
        "--days",
        metavar="N",
        type=_none_or_more,
        help=f"of daily points in time; by default the env's, else {POINT_IN_TIME_DAYS}",
    )
    size.add_argument("--target", metavar="ID", type=_account, help="the target account")
    size.add_argument(
        "--staging",
        metavar="ID",
        type=_account,
        action="append",
        default=[],
        help="a staging account at hand, beside those of the env; repeat it",
    )
    size.add_argument(
        "--target-servers",
        metavar="N",
        type=_none_or_more,
        help="most servers that replicate in the target itself; 0 for none",
    )
    size.add_argument("--together", metavar="TAG", help="keep servers with the same value together")
    size.add_argument("--apart", metavar="TAG", help="spread servers with the same value")
    size.add_argument(
        "--fewer",
        action="store_true",
        help="the env is to have fewer servers than it declares: those of the inventory",
    )
    size.add_argument(
        "--write", action="store_true", help="write the env's values, if its code holds with them"
    )
    size.add_argument(
        "--instances",
        action="store_true",
        help="list instances that run in their staging account too, for Terraform to tag",
    )
    size.add_argument(
        "--format", choices=("html", "json", "text"), default="text", help="report format"
    )
    size.add_argument("--output", type=Path, help="write the report there, not to stdout")


def _size(arguments: argparse.Namespace) -> int:
    """`size`: status 0 if all fits, 1 if something does not, 2 if something is not known."""
    _check_options(arguments)
    declared = None if arguments.env is None else _declared(arguments.env)
    if declared is not None:
        _check_parts(arguments, declared)
    root = project.find_root(Path.cwd()) if declared is None else declared.env.root
    folder = _folder(root, declared)
    servers = tuple(_servers(arguments, declared))
    _check_tags(arguments, servers)
    places = tuple(_places(arguments, declared, servers))
    wish = _wish(arguments, declared)
    sized = sizing.size(servers, places, wish)
    written, notes = _payloads(sized, declared, folder, root)
    notes = (*notes, *_smaller(declared, sized))
    listed = {} if declared is None else declared.listed
    if arguments.instances:
        notes = (*notes, *handover.left_out(sized, listed))
    values = handover.values(sized, listed if arguments.instances else None)
    report = _reported(arguments, declared, sized, values, written, notes)
    rendered = _rendered(report)
    for name, content in rendered.items():
        project.write(folder / file_name(name), content)
    project.write(folder / "values.json", json.dumps(values, indent=2) + "\n")
    status = EXIT_STATUS[sized.outcome]
    _show(arguments, report, rendered)
    if arguments.write and declared is not None:
        if status:
            why = (
                "not everything fits" if status == 1 else "it is not known whether everything fits"
            )
            reporting.say(f"Nothing was written: {why} env {declared.env.name}.")
        status = status or _kept(declared, sized, values)
    return status


def _check_options(arguments: argparse.Namespace) -> None:
    """Raises UsageError for options that have nothing to do with each other."""
    if arguments.inventory and arguments.volumes is not None:
        raise UsageError("--volumes goes with --servers: an inventory has the disks of each.")
    if arguments.env is not None and arguments.target is not None:
        raise UsageError("--target: an env has its target account already.")
    if arguments.env is None and arguments.write:
        raise UsageError("--write needs an env, whose values it writes.")
    if arguments.instances and not arguments.inventory:
        raise UsageError("--instances goes with --inventory: a count names none.")
    if arguments.fewer and (arguments.env is None or not arguments.inventory):
        raise UsageError("--fewer goes with an env and --inventory, which says what is left.")
    if arguments.servers is not None and (arguments.together or arguments.apart):
        raise UsageError("--together and --apart go with --inventory: a count has no tags.")
    ids = [*arguments.staging, *([arguments.target] if arguments.target else [])]
    if len(set(ids)) < len(ids):
        raise UsageError("Each account plays one part: an id was given twice.")


def _check_parts(arguments: argparse.Namespace, declared: _Declared) -> None:
    """Raises UsageError for a staging account that is another account of the env."""
    parts = {declared.orchestration: "orchestration", declared.places[0].id: "target"}
    for id_ in arguments.staging:
        if id_ in parts:
            raise UsageError(
                f"--staging {id_}: is the {parts[id_]} account of env {declared.env.name}. "
                "Each account plays one part."
            )


def _declared(name: str) -> _Declared:
    """What the env declares, as far as it has to do with its size."""
    from validator.commands import envs
    from validator.sources import tfvars

    env, declared = envs.find(name)
    estate = tfvars.estate(declared, env.name, "code", lambda account: account)
    objects = [
        declared.values["target"],
        *(declared.values["staging_accounts"][each.name] for each in estate.staging),
    ]
    places, planned, listed = [], [], {}
    for account, values in zip(estate.protected, objects, strict=True):
        where = declared.where(account.name)
        addresses = _addresses(values.get("staging_area_cidr"), where)
        places.append(Place(account.name, account.part, account.id, addresses=addresses))
        planned.append(_known(account.planned))
        listed[account.name] = values.get("instances", {})
    waves = () if isinstance(estate.waves, Unknown) else estate.waves
    return _Declared(
        env,
        declared,
        tuple(places),
        tuple(planned),
        _known(estate.headroom),
        _known(estate.point_in_time_days),
        None if isinstance(estate.volumes_per_server, Unknown) else estate.volumes_per_server,
        tuple((each.name, each.servers) for each in waves),
        estate.source_region,
        estate.recovery_region,
        listed,
        {id_: name for name, ids in listed.items() for id_ in ids},
        estate.orchestration.id,
    )


def _known(value: int | Unknown) -> int:
    if isinstance(value, Unknown):
        raise SourceError(f"{value.reason}.")
    return value


def _addresses(cidr: Any, where: str) -> int:
    try:
        return ipaddress.IPv4Network(cidr).num_addresses
    except (ValueError, TypeError) as error:
        raise SourceError(f"{where}: staging_area_cidr {cidr!r} is no range.") from error


def _servers(arguments: argparse.Namespace, declared: _Declared | None) -> Iterator[Server]:
    """The servers of the inventory, or as many as are counted; those of an env stay where they are."""
    if arguments.inventory:
        from validator.sources import inventory

        read = inventory.read(arguments.inventory)
        if declared is not None:
            _check_whole(arguments, declared, read)
        for server in read:
            yield _listed(server, declared)
        return
    volumes = arguments.volumes
    if volumes is None and declared is not None:
        volumes = declared.volumes
    why = Unknown("a count has no disks: give --volumes")
    disks: tuple[Unknown, ...] | Unknown = why if volumes is None else (why,) * volumes
    kept: list[str] = []
    if declared is not None:
        for place, planned in zip(declared.places, declared.planned, strict=True):
            kept += [place.name] * planned
    if len(kept) > arguments.servers:
        raise UsageError(
            f"--servers {arguments.servers}: env {declared.env.name if declared else ''} declares "
            f"{len(kept)} already. Which of them go is not for a count to say: use --inventory."
        )
    for number in range(arguments.servers):
        yield Server(None, "", disks=disks, placed=kept[number] if number < len(kept) else None)


def _check_whole(
    arguments: argparse.Namespace, declared: _Declared, servers: Sequence[Server]
) -> None:
    """Raises SourceError for an inventory that lacks what the env has: it would be sized too small."""
    if len(servers) < sum(declared.planned) and not arguments.fewer:
        raise SourceError(
            f"{', '.join(map(str, arguments.inventory))}: holds {len(servers)} servers; env "
            f"{declared.env.name} declares {sum(declared.planned)}. Give the whole inventory, or --fewer "
            "if the env is to have so many."
        )
    lacking = sorted(declared.instances.keys() - {each.id for each in servers})
    if lacking:
        raise SourceError(
            f"{declared.values.file}: lists {len(lacking)} instances that the inventory lacks "
            f"({lacking[0]} in {declared.instances[lacking[0]]}). Add them to the inventory, or take "
            "them out of the env."
        )


def _listed(server: Server, declared: _Declared | None) -> Server:
    """The server, as the env lists its instance where the inventory does not say.

    Raises SourceError if the inventory says that it replicates elsewhere.
    """
    name = None if declared is None else declared.instances.get(str(server.id))
    if declared is None or name is None:
        return server
    place = next(each for each in declared.places if each.name == name)
    if server.placed not in {None, place.name, place.id}:
        raise SourceError(
            f"{server.where}: {server.id} replicates into {server.placed}; "
            f"{declared.values.where('staging_accounts', name)} lists it in {name}."
        )
    env = declared.listed[name][str(server.id)]
    return replace(
        server,
        placed=name,
        account=server.account or place.id,
        region=server.region or declared.source_region,
        tags=tuple({WAVE: env["wave"], PRIORITY: env["priority"], **dict(server.tags)}.items()),
    )


def _smaller(declared: _Declared | None, sized: sizing.Sizing) -> Iterator[str]:
    """What there is to say of accounts that get fewer servers than the env declares."""
    if declared is None:
        return
    for place, planned in zip(declared.places, declared.planned, strict=True):
        now = next(len(each.servers) for each in sized.accounts if each.place.name == place.name)
        if now < planned:
            yield (
                f"{place.name} gets {now} servers; {planned} are declared. Give the staging_account of "
                "those that replicate there already."
            )


def _check_tags(arguments: argparse.Namespace, servers: Sequence[Server]) -> None:
    for option in ("together", "apart"):
        tag = getattr(arguments, option)
        if tag is not None and not any(each.tag(tag) is not None for each in servers):
            raise UsageError(f"--{option} {tag}: no server of the inventory has this tag.")


def _places(
    arguments: argparse.Namespace, declared: _Declared | None, servers: Sequence[Server]
) -> Iterator[Place]:
    """The target, then the staging accounts at hand: the env's, those named, those in the inventory."""
    if declared is not None:
        yield from declared.places
        known = {each.id for each in declared.places}
        names = {each.name for each in declared.places}
        own = [each for each in arguments.staging if each not in known]
    else:
        yield Place("target", Part.TARGET, arguments.target)
        placed = {each.placed for each in servers if each.placed is not None}
        strange = sorted(each for each in placed if not _ACCOUNT.fullmatch(each))
        if strange:
            raise UsageError(
                f"staging_account {strange[0]!r:.60}: is no account id. Names are an env's: name it."
            )
        more = sorted(placed - {arguments.target, *arguments.staging})
        names, own = set(), [*arguments.staging, *more]
    for id_ in own:
        name = sizing.next_name(names)
        names.add(name)
        yield Place(name, Part.STAGING, id_)


def _wish(arguments: argparse.Namespace, declared: _Declared | None) -> Wish:
    if arguments.headroom is not None or declared is None:
        percent = HEADROOM_PERCENT if arguments.headroom is None else arguments.headroom
        headroom = -(-REPLICATING_SERVERS.value * percent // 100)
    else:
        headroom = declared.headroom
    days = arguments.days
    if days is None:
        days = POINT_IN_TIME_DAYS if declared is None else declared.days
    return Wish(
        headroom=headroom,
        days=days,
        target_servers=arguments.target_servers,
        together=arguments.together,
        apart=arguments.apart,
        source_region=None if declared is None else declared.source_region,
        waves=() if declared is None else declared.waves,
        accounts_named=declared is not None or bool(arguments.staging),
    )


def _folder(root: Path, declared: _Declared | None) -> Path:
    """Where the run leaves its files, with none of an earlier one."""
    folder = root / "build" / "size" if declared is None else declared.env.build("size")
    folder.mkdir(parents=True, exist_ok=True)
    project.emptied(folder)
    return folder


def _payloads(
    sized: sizing.Sizing, declared: _Declared | None, folder: Path, root: Path
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Writes a payload of `deploy` for each account; its files, and what there is to say."""
    if declared is None:
        return (), ()
    found, notes = handover.payloads(sized, declared.source_region, declared.recovery_region)
    written = []
    for name, payload in found.items():
        file = folder / f"payload-{name}.json"
        project.write(file, json.dumps(payload, indent=2) + "\n")
        written.append(file.relative_to(root).as_posix())
    return tuple(written), notes


def _reported(
    arguments: argparse.Namespace,
    declared: _Declared | None,
    sized: sizing.Sizing,
    values: dict[str, Any],
    written: tuple[str, ...],
    notes: tuple[str, ...],
) -> "Sized":
    from validator.reports.sizing import Sized

    files = ", ".join(map(str, arguments.inventory or ()))
    source = files or f"{arguments.servers} servers"
    env = None if declared is None else declared.env.name
    regions = (
        (None, None) if declared is None else (declared.source_region, declared.recovery_region)
    )
    return Sized(env, source, sized, values, written, notes, *regions)


def _rendered(report: "Sized") -> dict[str, str]:
    """The report in every format."""
    from validator.reports import sizing as reports
    from validator.reports.html.sizing import to_html

    return {
        "html": to_html(report),
        "json": reports.to_json(report),
        "text": reports.to_text(report),
    }


def _show(arguments: argparse.Namespace, report: "Sized", rendered: dict[str, str]) -> None:
    from validator.reports import sizing as reports

    text = rendered[arguments.format]
    if arguments.output is not None:
        project.write(arguments.output, text)
    elif arguments.format == "text" and sys.stdout.isatty():
        width = os.get_terminal_size().columns
        sys.stdout.write(reports.to_text(report, colour=True, width=width))
    else:
        sys.stdout.write(text)


def _kept(declared: _Declared, sized: sizing.Sizing, values: dict[str, Any]) -> int:
    """Writes the env's values, if its code holds with them; the status."""
    from validator import authoring
    from validator.commands.authoring import kept

    env = declared.env
    mine = {each.name for each in declared.places}
    lacking = [
        each.place.id for each in sized.accounts if each.servers and each.place.name not in mine
    ]
    if lacking:
        for id_ in lacking:
            reporting.say(f"  validator add-staging-account {env.name} {id_}")
        raise UsageError(
            f"{len(lacking)} accounts of the sizing are not in env {env.name}. Add them as above, then "
            "size it again."
        )
    accounts = values["staging_accounts"]
    values = {**values, "staging_accounts": {k: v for k, v in accounts.items() if k in mine}}
    if status := kept(env, authoring.with_values(env, values)):
        return status
    reporting.say(f"The values of env {env.name} are written. Next: validator plan {env.name}")
    return 0


def _count(text: str) -> int:
    """A whole number above 0."""
    number = _none_or_more(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r}: must be 1 or more")
    return number


def _none_or_more(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text) or int(text) > _MOST_SERVERS:
        raise argparse.ArgumentTypeError(f"{text!r:.40}: must be a whole number, 0 or more")
    return int(text)


def _percent(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,2}", text):
        raise argparse.ArgumentTypeError(f"{text!r:.40}: must be a whole number from 0 to 99")
    return int(text)


def _account(text: str) -> str:
    if not _ACCOUNT.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r:.40}: an account id is 12 digits")
    return text
