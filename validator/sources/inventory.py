"""Reads an inventory of servers: CSV, or what `aws ec2 describe-instances` and `describe-volumes` print.

Strict, since a server that is misread is a server that is not protected: whatever is not understood is
an error that names the file and line.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from validator.errors import SourceError
from validator.model import Unknown
from validator.sizing import NO_DISKS, NO_VCPUS, Server

Json = dict[str, Any]

COLUMNS = {
    "instance_id": "the EC2 instance's id; the one column that must be there",
    "name": "what people call it",
    "account": "id of the account that it runs in",
    "region": "Region that it runs in",
    "disks": "GiB of each disk, such as 100;500",
    "vcpu": "its vCPUs",
    "platform": "linux or windows",
    "staging_account": "id or name of the account that it replicates into already",
}
"""The columns of an inventory as CSV. Beside them, dr:* and tag:* are tags."""

LARGEST = 64 * 1024 * 1024
"""Bytes above which a file is not read."""

_ID = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]{1,16}){1,3}-[0-9]")
_NUMBER = re.compile(r"[1-9][0-9]{0,6}")
_PLATFORMS = ("linux", "windows")
_GONE = {"terminated", "shutting-down"}


def read(files: Sequence[Path]) -> tuple[Server, ...]:
    """The servers of all files; raises SourceError for what is no inventory, or for none at all."""
    servers: list[Server] = []
    found = _Ec2()
    for file in files:
        text = _text(file)
        if text.lstrip()[:1] in {"{", "["}:
            found.add(file, _decoded(file, text))
        else:
            servers += _rows(file, text)
    servers += found.servers()
    if not servers:
        raise SourceError(f"{', '.join(map(str, files))}: there is no server in it.")
    seen: dict[str, str] = {}
    for server in servers:
        assert server.id is not None
        if first := seen.get(server.id):
            raise SourceError(f"{server.where}: {server.id} stands in {first} already.")
        seen[server.id] = server.where
    return tuple(servers)


def _text(file: Path) -> str:
    """The text of a file, without the mark that Excel begins UTF-8 with."""
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise SourceError(f"{file}: cannot be read ({error.strerror or error}).") from error
    if len(content) > LARGEST:
        raise SourceError(f"{file}: is larger than {LARGEST // 1024 // 1024} MiB; split it.")
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise SourceError(f"{file}: is UTF-16. Save it as UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{file}:{line}: is not UTF-8. Save it as UTF-8.") from error
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        raise SourceError(f"{file}:{line}: holds a NUL, so it is damaged or no text.")
    if not text.strip():
        raise SourceError(f"{file}: is empty.")
    return text


def _rows(file: Path, text: str) -> Iterator[Server]:
    """The servers of a CSV file."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [each.strip() for each in next(reader)]
        _check_header(file, header)
        for row in reader:
            if not row:
                continue
            where = f"{file}:{reader.line_num}"
            if len(row) != len(header):
                raise SourceError(f"{where}: has {len(row)} fields; the header has {len(header)}.")
            yield _server(where, {k: v.strip() for k, v in zip(header, row, strict=True)})
    except csv.Error as error:
        raise SourceError(f"{file}:{reader.line_num}: is no CSV ({error}).") from error


def _check_header(file: Path, header: Sequence[str]) -> None:
    for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and delimiter in header[0]:
            raise SourceError(f"{file}:1: its fields are parted by {name}. Export it with commas.")
    known = ", ".join(COLUMNS)
    for name in header:
        if header.count(name) > 1:
            raise SourceError(f"{file}:1: the column {name!r} is there twice.")
        tag = name.removeprefix("tag:")
        if name not in COLUMNS and not (tag != name and tag) and not name.startswith("dr:"):
            raise SourceError(
                f"{file}:1: {name!r} is no column of an inventory. There are: {known}; and dr:* and "
                "tag:* for tags."
            )
    if "instance_id" not in header:
        raise SourceError(f"{file}:1: the column 'instance_id' is missing. There are: {known}.")
    tags = [each.removeprefix("tag:") for each in header if each not in COLUMNS]
    for name in tags:
        if tags.count(name) > 1:
            raise SourceError(f"{file}:1: the tag {name!r} is there twice.")


def _server(where: str, cells: Mapping[str, str]) -> Server:
    """A row as a server; an empty cell is a value that is not given."""
    tags = tuple(
        (name.removeprefix("tag:"), value)
        for name, value in cells.items()
        if name not in COLUMNS and value
    )
    vcpu = _matched(where, cells, "vcpu", _NUMBER, "a whole number")
    platform = cells.get("platform", "").lower() or None
    if platform not in {None, *_PLATFORMS}:
        raise SourceError(
            f"{where}: platform is {cells['platform']!r:.60}; DRS has agents for linux and windows."
        )
    return Server(
        id=_instance_id(where, cells["instance_id"]),
        where=where,
        name=cells.get("name", ""),
        account=_matched(where, cells, "account", _ACCOUNT, "12 digits"),
        region=_matched(where, cells, "region", _REGION, "a Region, such as us-east-1"),
        disks=_disks(where, cells.get("disks", "")),
        vcpus=NO_VCPUS if vcpu is None else int(vcpu),
        tags=tags,
        placed=cells.get("staging_account") or None,
    )


def _instance_id(where: str, value: str) -> str:
    if not _ID.fullmatch(value):
        raise SourceError(f"{where}: {value!r:.60} is no instance id, such as i-0123456789abcdef0.")
    return value


def _matched(
    where: str, cells: Mapping[str, str], name: str, pattern: re.Pattern[str], what: str
) -> str | None:
    value = cells.get(name, "")
    if not value:
        return None
    if not pattern.fullmatch(value):
        raise SourceError(f"{where}: {name} is {value!r:.60}, and must be {what}.")
    return value


def _disks(where: str, cell: str) -> tuple[int | Unknown, ...] | Unknown:
    if not cell:
        return NO_DISKS
    sizes = [each.strip() for each in cell.split(";")]
    for each in sizes:
        if not _NUMBER.fullmatch(each):
            raise SourceError(
                f"{where}: disks is {cell!r:.60}, and must be the GiB of each disk, such as 100;500."
            )
    return tuple(int(each) for each in sizes)


def _decoded(file: Path, text: str) -> Json:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise SourceError(
            f"{file}:{error.lineno}: is no JSON, or not all of it ({error.msg})."
        ) from error
    except RecursionError as error:
        raise SourceError(f"{file}: is nested too deeply to be read.") from error
    if isinstance(found, dict) and ("Reservations" in found) != ("Volumes" in found):
        if found.get("NextToken"):
            raise SourceError(
                f"{file}: is one page of several (NextToken). Print all of them: leave out "
                "--no-paginate and --max-items."
            )
        return found
    raise SourceError(
        f"{file}: is neither what `aws ec2 describe-instances` nor what `aws ec2 describe-volumes` "
        "prints, unfiltered by --query."
    )


@dataclass(slots=True)
class _Ec2:
    """What EC2 printed, until volumes and instances have met."""

    instances: list[tuple[Path, str, Json]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    def add(self, file: Path, found: Json) -> None:
        try:
            for reservation in found.get("Reservations", ()):
                owner = str(reservation["OwnerId"])
                self.instances += [(file, owner, each) for each in reservation["Instances"]]
            for volume in found.get("Volumes", ()):
                self.sizes[str(volume["VolumeId"])] = _whole(volume["Size"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _unlike(file, error) from error

    def servers(self) -> Iterator[Server]:
        for file, owner, instance in self.instances:
            try:
                if instance["State"]["Name"] not in _GONE:
                    yield self._server(file, owner, instance)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise _unlike(file, error) from error

    def _server(self, file: Path, owner: str, instance: Json) -> Server:
        where = f"{file}: {instance['InstanceId']!s:.30}"
        tags = {str(each["Key"]): str(each["Value"]) for each in instance.get("Tags", ())}
        volumes = [
            str(each["Ebs"]["VolumeId"])
            for each in instance["BlockDeviceMappings"]
            if "Ebs" in each
        ]
        cpus = instance.get("CpuOptions")
        zone = str(instance["Placement"]["AvailabilityZone"])
        region = _REGION.match(zone)
        return Server(
            id=_instance_id(where, str(instance["InstanceId"])),
            where=where,
            name=tags.get("Name", ""),
            account=_matched(where, {"OwnerId": owner}, "OwnerId", _ACCOUNT, "12 digits"),
            region=region[0] if region else None,
            disks=tuple(
                self.sizes.get(each, Unknown(f"{each} stands in no describe-volumes"))
                for each in volumes
            )
            or Unknown("EC2 shows no EBS volume of it"),
            vcpus=_whole(cpus["CoreCount"]) * _whole(cpus["ThreadsPerCore"])
            if cpus
            else Unknown("EC2 gives no CpuOptions of it"),
            tags=tuple(sorted((k, v) for k, v in tags.items() if v)),
        )


def _whole(value: object) -> int:
    """A whole number above 0; raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{value!r:.60} is no whole number above 0")
    return value


def _unlike(file: Path, error: Exception) -> SourceError:
    what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
    return SourceError(f"{file}: is not as EC2 prints it: {what:.120}.")
