"""Evidence for an auditor: one archive with what an env is, what was proved of it, and by what.

It is a zip without compression, names sorted, times and modes fixed: the same inputs give the same
bytes on the same day. `manifest.json` has the digest of every other member, and the manifest's own
digest stands for the whole. Inputs are in it by digest only, plans not at all: nothing is secret.

The archive is not signed. Without the manifest's digest, kept elsewhere, `check` proves only that the
parts of an archive belong together.
"""

import hashlib
import io
import json
import re
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from validator import quotas, records, waivers
from validator.errors import SourceError
from validator.findings import Outcome
from validator.invariants import INVARIANTS
from validator.model import Unknown
from validator.project import Env
from validator.quotas import Quota
from validator.records import Standing, Status
from validator.waivers import Waivers

SCHEMA_VERSION = 1
"""The version of `evidence.schema.json`; it grows with every change that could break a reader."""

LARGEST = 256 * 1024 * 1024
"""Bytes above which an archive is not read."""

MOST = 100
"""Members above which an archive is not read."""

MANIFEST = "manifest.json"
SUMMARY = "summary.json"

_NO_CLOUD = "no AWS"
_EMBEDDED_CLOUD = re.compile(r"the embedded AWS \(.+\)")
_REAL_CLOUD = re.compile(r"AWS as account [0-9]{12}")
_NAME = re.compile(r"(?:[a-z]{1,20}/)?[a-z]{1,20}(?:\.[a-z]{1,20}){1,2}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LOCAL = 30
"""Bytes of a member's own header, without its name."""
_CENTRAL = 46
"""Bytes of a member's entry in the directory, without its name."""
_END = struct.Struct("<4s4H2LH")
_END_MARK = b"PK\x05\x06"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The members of an archive by name, without the manifest, and what they come to."""

    members: Mapping[str, bytes]
    summary: Json
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Checked:
    """What an archive says, and how it differs from what was written; no problem means unchanged."""

    manifest_hash: str
    summary: Json | None
    problems: tuple[str, ...]


def collect(
    env: Env,
    today: date,
    tools: Mapping[str, str | None],
    revision: tuple[str, bool] | Unknown,
    *,
    days: int = records.DAYS,
    embedded: bool = False,
) -> Evidence:
    """The evidence on an env as it stands.

    `tools` are versions of outside programs, None where one is not there; `revision` is the commit,
    and whether the checkout differs from it. What read the accounts more than `days` days ago is stale.
    What holds on an embedded AWS counts only if `embedded`. Raises OSError for an input that cannot be
    read.
    """
    inputs, versions = env.inputs(), {**records.versions(), **tools}
    standings = [
        records.standing(env, each, inputs, versions, today, days) for each in records.COMMANDS
    ]
    in_force = waivers.read(
        env.directory / waivers.FILE_NAME, today, {each.name for each in INVARIANTS}
    )
    outcome = _outcome(standings, embedded)
    summary = {
        "schema_version": SCHEMA_VERSION,
        "env": env.name,
        "day": today.isoformat(),
        "outcome": outcome.value,
        "real_accounts": all(_on_real_accounts(each) for each in standings),
        "embedded_accepted": embedded,
        "days": days,
        "commands": {each.command: _told(each) for each in standings},
        "validator_sha256": records.own_digest(),
        "git": {"revision": None, "differs": None, "reason": revision.reason}
        if isinstance(revision, Unknown)
        else {"revision": revision[0], "differs": revision[1], "reason": None},
        "versions": versions,
    }
    members = {
        SUMMARY: _json(summary),
        "inputs.json": _json({"sha256": inputs}),
        "quotas.json": _json([_quota(each) for each in known_quotas()]),
        "waivers.json": _json(_waivers(in_force, standings)),
    }
    for each in standings:
        for name, content in (each.files or {}).items():
            members[f"{each.command}/{name}"] = content
    return Evidence(members, summary, outcome)


def known_quotas() -> tuple[Quota, ...]:
    """Every quota that the validator knows, by service and name."""
    found = {each for each in vars(quotas).values() if isinstance(each, Quota)}
    return tuple(sorted(found, key=lambda each: (each.service, each.name)))


def packed(members: Mapping[str, bytes]) -> tuple[bytes, str]:
    """The archive of these members, and the SHA-256 of its manifest."""
    listed = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(members.items())
    }
    manifest = _json({"schema_version": SCHEMA_VERSION, "members": listed})
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted({**members, MANIFEST: manifest}.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, so that the mode counts
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    return content.getvalue(), hashlib.sha256(manifest).hexdigest()


def check(content: bytes, where: str, manifest_hash: str | None) -> Checked:
    """How an archive differs from what was written, member by member.

    Raises SourceError for what is no archive of evidence, whole and as `packed` writes it: whatever
    is compressed, linked, doubled, or hidden between the members is refused before it is read.
    """
    try:
        members = _members(content)
        manifest = _manifest(members)
    except (ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise SourceError(
            f"{where}: is no whole archive of evidence: {error}. Ask for it again where it was made."
        ) from error
    found = hashlib.sha256(members[MANIFEST]).hexdigest()
    problems = []
    if manifest_hash is not None and found != manifest_hash:
        problems.append(f"{MANIFEST}: its SHA-256 is {found}, not the one given.")
    for name in sorted(manifest.keys() | (members.keys() - {MANIFEST})):
        if name not in members:
            problems.append(f"{name}: is missing.")
        elif name not in manifest:
            problems.append(f"{name}: is not of this evidence.")
        elif (len(members[name]), hashlib.sha256(members[name]).hexdigest()) != manifest[name]:
            problems.append(f"{name}: was changed.")
    if problems:
        return Checked(found, None, tuple(problems))
    summary = _summary(members.get(SUMMARY))
    if summary is None:
        problems.append(f"{SUMMARY}: is not as evidence of version {SCHEMA_VERSION} writes it.")
    return Checked(found, summary, tuple(problems))


def _outcome(standings: list[Standing], embedded: bool) -> Outcome:
    """As of a verdict: violated if a current report is, else unknown if one is or proves nothing."""
    outcomes = {_counted(each, embedded) for each in standings}
    return next(o for o in (Outcome.VIOLATED, Outcome.UNKNOWN, Outcome.HOLDS) if o in outcomes)


def _counted(standing: Standing, embedded: bool) -> Outcome:
    """How one command's last run counts: what holds proves it of its own AWS alone."""
    record = standing.record
    if standing.status is not Status.CURRENT or record is None or record.verdict is None:
        return Outcome.UNKNOWN
    outcome = Outcome(record.verdict)
    if outcome is Outcome.HOLDS and not (
        _on_real_accounts(standing) or (embedded and _on_embedded(standing))
    ):
        return Outcome.UNKNOWN
    return outcome


def _on_embedded(standing: Standing) -> bool:
    cloud = None if standing.record is None else standing.record.cloud
    return (
        standing.command != "check"
        and cloud is not None
        and _EMBEDDED_CLOUD.fullmatch(cloud) is not None
    )


def _on_real_accounts(standing: Standing) -> bool:
    """True if the run needed no AWS, or was on the real one; whatever is not known to be is not."""
    cloud = None if standing.record is None else standing.record.cloud
    if standing.command == "check":
        return cloud == _NO_CLOUD
    return cloud is not None and _REAL_CLOUD.fullmatch(cloud) is not None


def _told(standing: Standing) -> Json:
    """What the summary says of one command's last run."""
    record, report = standing.record, standing.report
    return {
        "status": standing.status.value,
        "reasons": list(standing.reasons),
        "verdict": None if record is None else record.verdict,
        "cloud": None if record is None else record.cloud,
        "real_accounts": _on_real_accounts(standing),
        "started": None if record is None else record.started,
        "ended": None if record is None else record.ended,
        "counts": None if report is None else report.get("counts"),
        "notes": [] if report is None else report.get("notes", []),
        "versions": {} if record is None else dict(record.versions),
    }


def _quota(quota: Quota) -> Json:
    return {**asdict(quota), "seen": quota.seen.isoformat()}


def _waivers(in_force: Waivers, standings: list[Standing]) -> Json:
    """The env's waivers that may cover something today, and every finding that a run had waived."""
    return {
        "in_force": [
            {
                "invariant": each.invariant,
                "subject": each.subject,
                "reason": each.reason,
                "owner": each.owner,
                "ticket": each.ticket,
                "expires": each.expires.isoformat(),
                "reference": each.reference,
                "views": list(each.views),
            }
            for each in in_force.entries
        ],
        "not_in_force": [
            {
                "invariant": each.invariant,
                "subject": each.subject,
                "messages": [message.text for message in each.messages],
            }
            for each in in_force.broken
        ],
        "applied": [
            {
                "command": standing.command,
                "invariant": finding["invariant"],
                "subject": finding["subject"],
                "outcome": finding["outcome"],
                **finding["waived"],
            }
            for standing in standings
            for finding in (standing.report or {"findings": []})["findings"]
            if finding["waived"]
        ],
    }


def _json(value: Any) -> bytes:
    return f"{json.dumps(value, indent=2, sort_keys=True)}\n".encode()


def _members(content: bytes) -> dict[str, bytes]:
    """Every member by its name; raises ValueError, or what zipfile raises, for any other archive.

    The end is read first: what it says of the directory must fit the file before anything is
    unpacked, and the members must fill the file from its first byte to the directory's.
    """
    if len(content) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST} bytes")
    end = content[-_END.size :]
    if len(end) < _END.size or end[:4] != _END_MARK:
        raise ValueError("it does not end as a zip without comment does")
    _, disk, first, here, count, size, start, comment = _END.unpack(end)
    if (disk, first, comment) != (0, 0, 0) or here != count or not 0 < count <= MOST:
        raise ValueError(f"it has {count} members or several parts")
    if start + size + _END.size != len(content):
        raise ValueError("its directory is not where it says")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if len(entries) != count:
            raise ValueError("its directory has not the members that it counts")
        place, listed = 0, 0
        for entry in entries:
            _check_entry(entry, place)
            place += _LOCAL + len(entry.filename) + entry.file_size
            listed += _CENTRAL + len(entry.filename)
        if (place, listed) != (start, size):
            raise ValueError("there are bytes in it that are of no member")
        names = [entry.filename for entry in entries]
        if names != sorted(set(names)):
            raise ValueError("its members stand twice, or not in their order")
        return {entry.filename: archive.read(entry) for entry in entries}


def _check_entry(entry: zipfile.ZipInfo, place: int) -> None:
    """Raises ValueError unless the entry is a plain, stored file that begins at `place`."""
    if not _NAME.fullmatch(entry.orig_filename):
        raise ValueError(f"{entry.orig_filename[:80]!r} is no name of a member")
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise ValueError(f"{entry.filename} is compressed")
    if entry.external_attr != 0o100644 << 16 or entry.flag_bits or entry.extra or entry.comment:
        raise ValueError(f"{entry.filename} is no plain file")
    if entry.header_offset != place:
        raise ValueError(f"{entry.filename} is not where the member before it ends")


def _manifest(members: Mapping[str, bytes]) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of each member as the manifest has them; raises ValueError."""
    if MANIFEST not in members:
        raise ValueError(f"it has no {MANIFEST}")
    data = _decoded(members[MANIFEST])
    if not isinstance(data, dict) or set(data) != {"schema_version", "members"}:
        raise ValueError(f"{MANIFEST} is none")
    if data["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"{MANIFEST} is of another version than {SCHEMA_VERSION}")
    if not isinstance(data["members"], dict):
        raise ValueError(f"{MANIFEST} is none")
    found = {}
    for name, each in data["members"].items():
        good = (
            _NAME.fullmatch(name)
            and isinstance(each, dict)
            and set(each) == {"bytes", "sha256"}
            and isinstance(each["bytes"], int)
            and isinstance(each["sha256"], str)
            and _DIGEST.fullmatch(each["sha256"])
        )
        if not good:
            raise ValueError(f"{MANIFEST} is none")
        found[name] = (each["bytes"], each["sha256"])
    return found


def _summary(content: bytes | None) -> Json | None:
    """The summary as far as `check` shows it, None if it is none."""
    try:
        data = _decoded(content or b"")
        for each in records.COMMANDS:
            told = data["commands"][each]
            Status(told["status"])
            if told["verdict"] is not None:
                Outcome(told["verdict"])
            if not all(told[k] is None or isinstance(told[k], str) for k in ("cloud", "ended")):
                return None
            if not all(isinstance(reason, str) for reason in told["reasons"]):
                return None
            if not isinstance(told["real_accounts"], bool):
                return None
        Outcome(data["outcome"])
        date.fromisoformat(data["day"])
        good = isinstance(data["env"], str) and isinstance(data["real_accounts"], bool)
        good = good and data["schema_version"] == SCHEMA_VERSION
    except (ValueError, KeyError, TypeError):
        return None
    decoded: Json = data
    return decoded if good else None


def _decoded(content: bytes) -> Any:
    """The JSON that the bytes write, no key twice; raises ValueError."""

    def once(pairs: list[tuple[str, Any]]) -> Json:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("a key stands twice in its JSON")
        return dict(pairs)

    try:
        return json.loads(content, object_pairs_hook=once)
    except RecursionError as error:
        raise ValueError("its JSON is nested too deep") from error
