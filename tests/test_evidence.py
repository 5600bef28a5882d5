"""Evidence: the same bytes for the same state, nothing told current that is not, no archive believed."""

import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib import resources
from typing import Any

import jsonschema
import pytest

from tests.test_records import TODAY, env, leave, waived
from validator import evidence, quotas
from validator.errors import SourceError
from validator.evidence import Evidence
from validator.findings import Outcome
from validator.model import Unknown
from validator.project import Env

__all__ = ["env"]

AWS, EMBEDDED = "AWS as account 111122223333", "the embedded AWS (started for this command)"
SCHEMA = json.loads(
    resources.files("validator.reports").joinpath("evidence.schema.json").read_text()
)
VALIDATOR = jsonschema.Draft202012Validator(
    SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


def collected(env: Env, *, embedded: bool = False) -> Evidence:
    tools = {"terraform": "1.11.4", "provider": "5.100.0", "checkov": None}
    found = evidence.collect(env, TODAY, tools, ("a" * 40, True), embedded=embedded)
    VALIDATOR.validate(found.summary)
    return found


def whole(env: Env, cloud: str = AWS) -> None:
    leave(env, "check")
    leave(env, "plan", "holds", cloud)
    leave(env, "verify", "holds", cloud)


def test_the_schema_is_one_and_has_the_version_of_the_evidence() -> None:
    VALIDATOR.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"]["const"] == evidence.SCHEMA_VERSION


def test_all_that_hold_and_are_current_hold(env: Env) -> None:
    whole(env)
    found = collected(env)
    assert (found.outcome, found.summary["real_accounts"]) == (Outcome.HOLDS, True)
    assert found.summary["git"] == {"revision": "a" * 40, "differs": True, "reason": None}
    assert found.summary["versions"]["provider"] == "5.100.0"


OUTCOMES: list[tuple[str, Callable[[Env], object], Outcome]] = [
    ("nothing was run", lambda e: [f.unlink() for c in ("check", "plan", "verify") for f in e.build(c).iterdir()], Outcome.UNKNOWN),
    ("one is missing", lambda e: e.forget("verify"), Outcome.UNKNOWN),
    ("one is broken", lambda e: (e.build("plan") / "report.txt").write_text(""), Outcome.UNKNOWN),
    ("all are stale", lambda e: (e.directory / "target.tf").write_text(""), Outcome.UNKNOWN),
    ("one is unknown", lambda e: leave(e, "verify", "unknown", AWS), Outcome.UNKNOWN),
    ("one is violated", lambda e: leave(e, "verify", "violated", AWS), Outcome.VIOLATED),
    ("one is violated, one missing", lambda e: [leave(e, "verify", "violated", AWS), e.forget("plan")], Outcome.VIOLATED),
    ("what was violated is stale", lambda e: [leave(e, "verify", "violated", AWS), (e.directory / "target.tf").write_text("")], Outcome.UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "outcome"), [o[1:] for o in OUTCOMES], ids=[o[0] for o in OUTCOMES]
)
def test_outcome(env: Env, spoil: Callable[[Env], object], outcome: Outcome) -> None:
    whole(env)
    spoil(env)
    assert collected(env).outcome is outcome


@pytest.mark.parametrize("cloud", [EMBEDDED, "no AWS", "AWS as account 1", "", f"{AWS}\n"])
def test_what_is_not_surely_aws_is_not_of_real_accounts(env: Env, cloud: str) -> None:
    whole(env, cloud)
    summary = collected(env).summary
    assert not summary["real_accounts"]
    assert not summary["commands"]["plan"]["real_accounts"]


@pytest.mark.parametrize(
    ("cloud", "verdict", "embedded", "outcome"),
    [
        pytest.param(AWS, "holds", False, Outcome.HOLDS, id="real"),
        pytest.param(EMBEDDED, "holds", False, Outcome.UNKNOWN, id="embedded proves nothing"),
        pytest.param(EMBEDDED, "holds", True, Outcome.HOLDS, id="embedded, where that is meant"),
        pytest.param(EMBEDDED, "violated", False, Outcome.VIOLATED, id="what is violated there is"),
        pytest.param(EMBEDDED, "unknown", True, Outcome.UNKNOWN, id="unknown stays unknown"),
        pytest.param("no AWS", "holds", True, Outcome.UNKNOWN, id="of no AWS, which is not meant"),
        pytest.param("the embedded AWS", "holds", True, Outcome.UNKNOWN, id="of no such embedded one"),
    ],
)  # fmt: skip
def test_what_holds_on_no_real_account_counts_only_where_that_is_meant(
    env: Env, cloud: str, verdict: str, embedded: bool, outcome: Outcome
) -> None:
    whole(env, cloud)
    leave(env, "verify", verdict, cloud)
    found = collected(env, embedded=embedded)
    assert found.outcome is outcome
    assert found.summary["embedded_accepted"] is embedded
    assert found.summary["real_accounts"] is (cloud == AWS)


def test_no_commit_is_said(env: Env) -> None:
    summary = evidence.collect(env, TODAY, {}, Unknown("there is no `git` on PATH")).summary
    VALIDATOR.validate(summary)
    assert summary["git"] == {
        "revision": None,
        "differs": None,
        "reason": "there is no `git` on PATH",
    }


def test_waivers_are_told_with_their_days(env: Env) -> None:
    entry = {
        "invariant": "replication-keys-rotate",
        "subject": "s",
        "reason": "r",
        "owner": "o",
        "ticket": "t",
    }
    good, late = (
        {**entry, "subject": str(days), "expires": (TODAY + timedelta(days)).isoformat()}
        for days in (5, -5)
    )
    from validator.invariants import INVARIANTS

    good["invariant"] = late["invariant"] = INVARIANTS[0].name
    (env.directory / "waivers.yaml").write_text(json.dumps([good, late]))
    leave(env, "check", "holds", "no AWS", waived(TODAY))
    told = json.loads(collected(env).members["waivers.json"])
    assert [each["expires"] for each in told["in_force"]] == [good["expires"]]
    assert late["expires"] in told["not_in_force"][0]["messages"][0]
    assert [(each["command"], each["expires"]) for each in told["applied"]] == [
        ("check", TODAY.isoformat())
    ]


def test_every_quota_is_told_with_its_source_and_day(env: Env) -> None:
    told = json.loads(collected(env).members["quotas.json"])
    assert {each.name for each in (*quotas.QUOTAS, quotas.TRUSTED_ACCOUNTS)} <= {
        each["name"] for each in told
    }
    assert all(each["source"] and each["seen"] for each in told)


def test_nothing_but_reports_and_digests_is_in_it(env: Env) -> None:
    """No plan, no declared value, no broken report, no matter what lies beside the reports."""
    secret = "hunter2-and-more"
    (env.directory / "estate.auto.tfvars").write_text(f'external_id = "{secret}"\n')
    whole(env)
    for name in ("plan.tfplan", "plan.json", "saved.json"):
        (env.build("plan") / name).write_text(secret)
    (env.build("verify") / "report.txt").write_text(secret)
    archive, _ = evidence.packed(collected(env).members)
    assert secret.encode() not in archive
    names = set(zipfile.ZipFile(io.BytesIO(archive)).namelist())
    assert names == {
        "check/record.json", "check/report.json", "check/report.txt",
        "plan/record.json", "plan/report.json", "plan/report.txt",
        "inputs.json", "manifest.json", "quotas.json", "summary.json", "waivers.json",
    }  # fmt: skip


def test_the_same_state_gives_the_same_bytes(env: Env) -> None:
    whole(env)
    first = evidence.packed(collected(env).members)
    members = collected(env).members
    assert evidence.packed(dict(reversed(members.items()))) == first
    leave(env, "check", "violated")
    assert evidence.packed(collected(env).members)[1] != first[1]


@pytest.fixture
def made(env: Env) -> tuple[bytes, str]:
    whole(env)
    return evidence.packed(collected(env).members)


def test_an_unchanged_one_is_unchanged(made: tuple[bytes, str]) -> None:
    archive, manifest_hash = made
    for given in (None, manifest_hash):
        checked = evidence.check(archive, "e.zip", given)
        assert (checked.problems, checked.manifest_hash) == ((), manifest_hash)
        assert checked.summary is not None and checked.summary["outcome"] == "holds"


def members(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def rezipped(
    files: Mapping[str, bytes],
    change: Callable[[zipfile.ZipInfo], object] = lambda _: None,
    order: Callable[[list[str]], list[str]] = sorted,
) -> bytes:
    """An archive as evidence writes it, but for what a row changes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name in order(list(files)):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            change(entry)
            archive.writestr(entry, files[name], compress_type=entry.compress_type)
    return content.getvalue()


def test_the_tests_own_writer_writes_the_same(made: tuple[bytes, str]) -> None:
    assert rezipped(members(made[0])) == made[0]


CHANGED: list[tuple[str, Callable[[dict[str, bytes]], object], str]] = [
    ("a verdict", lambda m: m.update({"plan/report.json": m["plan/report.json"].replace(b"holds", b"HOLDS")}), "plan/report.json: was changed"),
    ("the summary", lambda m: m.update({"summary.json": m["summary.json"].replace(b"staging", b"prod")}), "summary.json: was changed"),
    ("a member is gone", lambda m: m.pop("verify/record.json"), "verify/record.json: is missing"),
    ("a member more", lambda m: m.update({"plan/more.json": b"{}"}), "plan/more.json: is not of this evidence"),
    ("an empty member", lambda m: m.update({"inputs.json": b""}), "inputs.json: was changed"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), [c[1:] for c in CHANGED], ids=[c[0] for c in CHANGED])
def test_a_changed_one_is_found(
    made: tuple[bytes, str], change: Callable[[dict[str, bytes]], object], said: str
) -> None:
    files = members(made[0])
    change(files)
    checked = evidence.check(rezipped(files), "e.zip", None)
    assert checked.summary is None and said in checked.problems[0]


def test_one_forged_whole_is_found_by_the_digest_kept_elsewhere(
    env: Env, made: tuple[bytes, str]
) -> None:
    """All digests fit again, so only what was noted when it was made tells it apart."""
    files = {
        k: v.replace(b"holds", b"HOLDS") if k == "quotas.json" else v
        for k, v in members(made[0]).items()
        if k != "manifest.json"
    }
    files["quotas.json"] += b"\n"
    forged, _ = evidence.packed(files)
    assert evidence.check(forged, "e.zip", None).problems == ()
    assert "not the one given" in evidence.check(forged, "e.zip", made[1]).problems[0]


@pytest.mark.parametrize(
    "summary", [b"{}", b"[]", b"null", b"\xff", b'{"commands": {"check": 1}}', b"[" * 100_000]
)
def test_a_summary_that_is_none_is_not_shown(made: tuple[bytes, str], summary: bytes) -> None:
    files = {**members(made[0]), "summary.json": summary}
    del files["manifest.json"]
    checked = evidence.check(evidence.packed(files)[0], "e.zip", None)
    assert checked.summary is None and "summary.json" in checked.problems[0]


def manifest(text: bytes) -> Callable[[bytes], bytes]:
    return lambda archive: rezipped({**members(archive), "manifest.json": text})


def twice(archive: bytes) -> bytes:
    files = members(archive)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made, pytest.warns(UserWarning, match="Duplicate"):
        for name in sorted([*files, "summary.json"]):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            made.writestr(entry, files[name])
    return content.getvalue()


def compressed(entry: zipfile.ZipInfo) -> None:
    entry.compress_type = zipfile.ZIP_DEFLATED


def bomb(_: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(10_000_000))
    return content.getvalue()


def liar(archive: bytes) -> bytes:
    """The directory says that a member is larger than the file."""
    at = archive.index(b"PK\x01\x02")
    size = (0xFFFFFFF0).to_bytes(4, "little")
    return archive[: at + 20] + size + size + archive[at + 28 :]


def flipped(archive: bytes) -> bytes:
    at = archive.index(b'"holds"')
    return archive[:at] + b'"HOLDS"' + archive[at + 7 :]


def comment(archive: bytes) -> bytes:
    content = io.BytesIO(archive)
    with zipfile.ZipFile(content, "a") as opened:
        opened.comment = b"more"
    return content.getvalue()


def attribute(value: int) -> Callable[[zipfile.ZipInfo], None]:
    def changed(entry: zipfile.ZipInfo) -> None:
        entry.external_attr = value << 16

    return changed


HOSTILE: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("empty", lambda a: b"", "does not end"),
    ("one byte", lambda a: b"P", "does not end"),
    ("text", lambda a: b"evidence " * 100, "does not end"),
    ("cut in half", lambda a: a[: len(a) // 2], "does not end"),
    ("cut by a byte", lambda a: a[:-1], "does not end"),
    ("something before it", lambda a: b"#!/bin/sh\n" + a, "directory is not where"),
    ("something after it", lambda a: a + b"more", "does not end"),
    ("a comment", comment, "does not end"),
    ("an end without members", lambda a: b"PK\x05\x06" + bytes(18), "0 members"),
    ("a damaged byte", flipped, "Bad CRC"),
    ("bytes between members", lambda a: a[: a.index(b"PK\x01\x02")] + b"hidden" + a[a.index(b"PK\x01\x02") :], "directory is not where"),
    ("a member twice", twice, "twice"),
    ("another order", lambda a: rezipped(members(a), order=lambda n: sorted(n, reverse=True)), "order"),
    ("too many", lambda a: rezipped({f"{chr(97 + n // 26)}{chr(97 + n % 26)}.json": b"" for n in range(101)}), "101 members"),
    ("compressed", lambda a: rezipped(members(a), compressed), "is compressed"),
    ("a bomb", bomb, "is compressed"),
    ("a size that is a lie", liar, "not where the member before it ends"),
    ("a way out", lambda a: rezipped({**members(a), "../../evil.sh": b""}), "no name of a member"),
    ("an absolute name", lambda a: rezipped({**members(a), "/etc/passwd": b""}), "no name of a member"),
    ("a backslash", lambda a: rezipped({**members(a), "plan\\report.json": b""}), "no name of a member"),
    ("a name that steers a terminal", lambda a: rezipped({**members(a), "\x1b[31m.json": b""}), "no name of a member"),
    ("a very long name", lambda a: rezipped({**members(a), "a" * 60_000: b""}), "no name of a member"),
    ("a link", lambda a: rezipped(members(a), attribute(stat.S_IFLNK | 0o777)), "no plain file"),
    ("a folder", lambda a: rezipped({**members(a), "plan/": b""}), "no name of a member"),
    ("an extra field", lambda a: rezipped(members(a), lambda e: setattr(e, "extra", b"\x01\x00\x02\x00ab")), "no plain file"),
    ("no manifest", lambda a: rezipped({k: v for k, v in members(a).items() if k != "manifest.json"}), "no manifest.json"),
    ("a manifest that is no JSON", manifest(b"{"), "Expecting"),
    ("a manifest of bytes", manifest(b"\xff\xff"), "decode"),
    ("a manifest nested too deep", manifest(b"[" * 100_000), "too deep"),
    ("a list as manifest", manifest(b"[]"), "manifest.json is none"),
    ("a manifest to come", manifest(b'{"schema_version": 2, "members": {}}'), "another version"),
    ("a key twice", manifest(b'{"schema_version": 1, "members": {}, "members": {}}'), "twice"),
    ("members that are no map", manifest(b'{"schema_version": 1, "members": []}'), "manifest.json is none"),
    ("a digest that is none", manifest(b'{"schema_version": 1, "members": {"a.json": {"bytes": 0, "sha256": "x"}}}'), "manifest.json is none"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "said"), [h[1:] for h in HOSTILE], ids=[h[0] for h in HOSTILE])
def test_what_is_no_archive_of_evidence_is_refused(
    made: tuple[bytes, str], spoil: Callable[[bytes], bytes], said: str
) -> None:
    with pytest.raises(SourceError) as raised:
        evidence.check(spoil(made[0]), "e.zip", None)
    assert str(raised.value).startswith("e.zip: is no whole archive of evidence")
    assert said in str(raised.value)
    assert "\x1b" not in str(raised.value)


def test_one_that_is_too_large_is_not_opened(
    made: tuple[bytes, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "LARGEST", 10)
    with pytest.raises(SourceError, match="larger than 10 bytes"):
        evidence.check(made[0], "e.zip", None)


def test_whatever_byte_is_changed_is_noticed(made: tuple[bytes, str]) -> None:
    """Each byte of the file counts: a changed one is refused, or found in a member."""
    archive, manifest_hash = made
    unnoticed: list[int] = []
    for at in range(0, len(archive), 7):
        changed = archive[:at] + bytes([archive[at] ^ 0x21]) + archive[at + 1 :]
        try:
            found: Any = evidence.check(changed, "e.zip", manifest_hash).problems
        except SourceError:
            continue
        if not found and members(changed) != members(archive):
            unnoticed.append(at)
    assert not unnoticed


def test_manifest_lists_the_digest_of_each_member(made: tuple[bytes, str]) -> None:
    files = members(made[0])
    listed = json.loads(files.pop("manifest.json"))["members"]
    assert {k: v["sha256"] for k, v in listed.items()} == {
        k: hashlib.sha256(v).hexdigest() for k, v in files.items()
    }
    assert hashlib.sha256(members(made[0])["manifest.json"]).hexdigest() == made[1]
