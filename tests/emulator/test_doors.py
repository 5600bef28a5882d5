"""What the control door does to source servers, as DRS then describes them."""

import json
import time
import urllib.error
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import REGION, STAGING, TARGET, Embedded
from tests.emulator.clients import once, one, outcome, register, server_arn, trusting

pytestmark = pytest.mark.slow

Item = dict[str, Any]
HERE = {"account": STAGING, "region": REGION}


@pytest.fixture(scope="module")
def pair(embedded: Embedded) -> tuple[str, str]:
    """A server of the staging account, and its extension in the target."""
    trusting(embedded)
    (staged,) = register(embedded, 1)
    return staged, extend(embedded, staged)


def extend(embedded: Embedded, staged: str) -> str:
    made = once(embedded, "drs", TARGET).create_extended_source_server(
        sourceServerArn=server_arn(staged)
    )
    return str(made["sourceServer"]["sourceServerID"])


def change(embedded: Embedded, *ids: str, account: str = STAGING, **fields: Any) -> int:
    body = {"account": account, "region": REGION, "ids": list(ids), **fields}
    return int(embedded.door("source-servers/state", body)["changed"])


def refused(embedded: Embedded, path: str, body: Item) -> str:
    with pytest.raises(urllib.error.HTTPError) as caught:
        embedded.door(path, body)
    assert caught.value.code == 400
    return str(json.load(caught.value)["error"])


def replication(item: Item) -> Item:
    return dict(item["dataReplicationInfo"])


def initiation(item: Item) -> dict[str, str]:
    steps = replication(item)["dataReplicationInitiation"]["steps"]
    return {step["name"]: step["status"] for step in steps}


def seconds_since(moment: str) -> float:
    then = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return (datetime.now(UTC) - then).total_seconds()


STATES = [
    ("STOPPED", False, None),
    ("INITIATING", True, None),
    ("INITIAL_SYNC", True, None),
    ("BACKLOG", True, "PT30M"),
    ("CREATING_SNAPSHOT", True, "P0S"),
    ("CONTINUOUS", True, "P0S"),
    ("PAUSED", True, "PT1H"),
    ("RESCAN", True, "PT10M"),
    ("STALLED", True, "PT2H"),
    ("DISCONNECTED", True, None),
]


@pytest.mark.parametrize(("state", "disks", "lag"), STATES, ids=[s[0] for s in STATES])
def test_a_state_and_what_goes_with_it(
    embedded: Embedded, pair: tuple[str, str], state: str, disks: bool, lag: str | None
) -> None:
    change(embedded, pair[0], state=state)
    for account, identifier in zip((STAGING, TARGET), pair, strict=True):
        info = replication(one(embedded, account, identifier))
        assert info["dataReplicationState"] == state
        assert ("replicatedDisks" in info) is disks
        shown = info.get("lagDuration")
        assert (None if shown is None else shown.replace("PT0S", "P0S")) == lag
        assert "dataReplicationError" not in info


FIELDS: list[tuple[str, Item, Callable[[Item], Any], Any]] = [
    ("lag in seconds", {"lag": 93784}, lambda i: replication(i)["lagDuration"], "P1DT2H3M4S"),
    ("lag in words", {"lag": "unheard of"}, lambda i: replication(i)["lagDuration"], "unheard of"),
    ("no lag", {"lag": None}, lambda i: replication(i).get("lagDuration"), None),
    (
        "an error",
        {"state": "STALLED", "error": "NOT_CONVERGING", "rawError": "too slow"},
        lambda i: replication(i)["dataReplicationError"],
        {"error": "NOT_CONVERGING", "rawError": "too slow"},
    ),
    (
        "a step that is stuck",
        {"step": "CREATE_STAGING_DISKS", "error": "FAILED_TO_CREATE_STAGING_DISKS"},
        lambda i: [initiation(i)[s] for s in ("WAIT", "CREATE_STAGING_DISKS", "ATTACH_STAGING_DISKS")],
        ["SUCCEEDED", "FAILED", "NOT_STARTED"],
    ),
    (
        "a step that goes on",
        {"step": "WAIT"},
        lambda i: [replication(i)["dataReplicationState"], initiation(i)["WAIT"]],
        ["INITIATING", "IN_PROGRESS"],
    ),
    (
        "last seen",
        {"lastSeenSecondsAgo": 7200},
        lambda i: 7200 <= seconds_since(i["lifeCycle"]["lastSeenByServiceDateTime"]) < 7260,
        True,
    ),
    (
        "a volume status",
        {"volumeStatus": "PENDING"},
        lambda i: {disk["volumeStatus"] for disk in replication(i)["replicatedDisks"]},
        {"PENDING"},
    ),
    (
        "where it is from",
        {"originAccount": "999999999999", "originRegion": "eu-west-1"},
        lambda i: i["sourceCloudProperties"],
        {
            "originAccountID": "999999999999",
            "originAvailabilityZone": "eu-west-1a",
            "originRegion": "eu-west-1",
        },
    ),
    ("failback", {"direction": "FAILBACK"}, lambda i: i["replicationDirection"], "FAILBACK"),
    ("the agent", {"agentVersion": "1.2.3"}, lambda i: i["agentVersion"], "1.2.3"),
    (
        "the instance",
        {"instance": "i-0123456789abcdef0"},
        lambda i: i["sourceProperties"]["identificationHints"]["awsInstanceID"],
        "i-0123456789abcdef0",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "seen", "value"), [f[1:] for f in FIELDS], ids=[f[0] for f in FIELDS]
)
def test_a_field_is_seen_in_both_accounts(
    embedded: Embedded,
    pair: tuple[str, str],
    fields: Item,
    seen: Callable[[Item], Any],
    value: Any,
) -> None:
    change(embedded, pair[0], state="CONTINUOUS")
    assert change(embedded, pair[0], **fields) == 1
    for account, identifier in zip((STAGING, TARGET), pair, strict=True):
        assert seen(one(embedded, account, identifier)) == value
    known = refused(
        embedded, "source-servers/state", {**HERE, "account": TARGET, "ids": [pair[1]], **fields}
    )
    assert f"{pair[1]} is extended" in known


def test_what_each_account_has_of_its_own(embedded: Embedded, pair: tuple[str, str]) -> None:
    staged, extended = pair
    launch = {"status": "FAILED", "type": "RECOVERY", "daysAgo": 100}
    settings = {"copyPrivateIp": True}
    change(embedded, extended, account=TARGET, launch=settings, lastLaunch=launch, tags={"a": "b"})
    item = one(embedded, TARGET, extended)
    last = item["lifeCycle"]["lastLaunch"]
    assert (last["status"], last["initiated"]["type"]) == ("FAILED", "RECOVERY")
    assert timedelta(days=99) < timedelta(
        seconds=seconds_since(last["initiated"]["apiCallDateTime"])
    )
    assert item["lastLaunchResult"] == "FAILED"
    assert item["tags"]["a"] == "b"
    read = once(embedded, "drs", TARGET).get_launch_configuration
    assert read(sourceServerID=extended)["copyPrivateIp"] is True
    other = one(embedded, STAGING, staged)
    assert "lastLaunch" not in other["lifeCycle"]
    assert "a" not in other["tags"]
    change(embedded, extended, account=TARGET, lastLaunch=None)
    assert one(embedded, TARGET, extended)["lastLaunchResult"] == "NOT_STARTED"


def test_settings_of_replication_and_a_key_that_is_left_over(
    embedded: Embedded, pair: tuple[str, str]
) -> None:
    """DEFAULT, with or without the ARN of the key that was used before, can be shared with nobody."""
    (other,) = register(embedded, 1)
    extended = extend(embedded, other)
    read = once(embedded, "drs", STAGING).get_replication_configuration
    before = read(sourceServerID=other)

    def statuses() -> list[str]:
        """Of both extensions, as one page has them."""
        items = once(embedded, "drs", TARGET).describe_source_servers()["items"]
        found = {item["sourceServerID"]: item["stagingArea"]["status"] for item in items}
        return [found[pair[1]], found[extended]]

    change(embedded, other, replication={"ebsEncryption": "DEFAULT"})
    assert "ebsEncryptionKeyArn" not in read(sourceServerID=other)
    assert statuses() == ["EXTENDED", "EXTENSION_ERROR"]
    # AWS's own operation keeps what it is not told to change.
    change(embedded, other, replication={"ebsEncryption": "CUSTOM", **key(before)})
    update = once(embedded, "drs", STAGING).update_replication_configuration
    update(sourceServerID=other, ebsEncryption="DEFAULT")
    assert key(read(sourceServerID=other)) == key(before)
    assert statuses() == ["EXTENDED", "EXTENSION_ERROR"]
    message = one(embedded, TARGET, extended)["stagingArea"]["errorMessage"]
    assert "default EBS encryption key" in message
    update(sourceServerID=other, ebsEncryption="CUSTOM")
    assert statuses() == ["EXTENDED", "EXTENDED"]
    foreign = embedded.client("kms", STAGING).create_key()["KeyMetadata"]["Arn"]
    update(sourceServerID=other, ebsEncryptionKeyArn=foreign)
    assert statuses() == ["EXTENDED", "EXTENSION_ERROR"]
    assert foreign in one(embedded, TARGET, extended)["stagingArea"]["errorMessage"]


def key(settings: Item) -> dict[str, str]:
    return {"ebsEncryptionKeyArn": settings["ebsEncryptionKeyArn"]}


def test_an_initial_sync_goes_on_when_told(embedded: Embedded, pair: tuple[str, str]) -> None:
    made = register(embedded, 2, state="INITIATING")

    def states() -> list[str]:
        found = [replication(one(embedded, STAGING, each)) for each in made]
        return [info["dataReplicationState"] for info in found]

    def advance(**more: Any) -> int:
        return int(
            embedded.door("source-servers/advance", {**HERE, "ids": made, **more})["changed"]
        )

    assert states() == ["INITIATING"] * 2
    assert advance() == 2
    assert states() == ["INITIAL_SYNC"] * 2
    assert advance(ids=made[:1]) == 1
    assert states() == ["CONTINUOUS", "INITIAL_SYNC"]
    assert advance(seconds=0) == 1  # the other one has no sync to end
    assert states() == ["CONTINUOUS"] * 2
    assert advance() == 0


def test_an_initial_sync_goes_on_by_itself(embedded: Embedded, pair: tuple[str, str]) -> None:
    (made,) = register(embedded, 1, syncSeconds=1)
    seen = []
    while "CONTINUOUS" not in seen:
        state = replication(one(embedded, STAGING, made))["dataReplicationState"]
        seen += [state] if state not in seen else []
        time.sleep(0.05)
    assert seen == ["INITIATING", "INITIAL_SYNC", "CONTINUOUS"]


def test_a_server_that_vanishes_leaves_its_extension_in_error(
    embedded: Embedded, pair: tuple[str, str]
) -> None:
    (gone,) = register(embedded, 1)
    extended = extend(embedded, gone)
    body = {**HERE, "ids": [gone, "s-00000000000000000"]}
    assert embedded.door("source-servers/vanish", body) == {"changed": 1}
    drs = once(embedded, "drs", STAGING)
    assert gone not in {each["sourceServerID"] for each in drs.describe_source_servers()["items"]}
    assert outcome(drs.get_launch_configuration, sourceServerID=gone) == "ResourceNotFoundException"
    area = one(embedded, TARGET, extended)["stagingArea"]
    assert (area["status"], area["stagingSourceServerArn"]) == ("EXTENSION_ERROR", server_arn(gone))
    assert "not found" in area["errorMessage"]


def test_what_is_not_extended_is_extended_at_once(
    embedded: Embedded, pair: tuple[str, str]
) -> None:
    tagged = register(embedded, 2, tags={"dr:wave": "wave-1"})
    body = {"account": TARGET, "region": REGION, "staging": STAGING}
    extended = embedded.door("source-servers/extend", body)["sourceServerIDs"]
    seen = [one(embedded, TARGET, each) for each in extended]
    behind = {each["stagingArea"]["stagingSourceServerArn"]: each["tags"] for each in seen}
    staged = [one(embedded, STAGING, each) for each in tagged]
    assert {each["arn"]: each["tags"] for each in staged}.items() <= behind.items()
    assert server_arn(pair[0]) not in behind
    assert embedded.door("source-servers/extend", body) == {"sourceServerIDs": []}
    assert "unknown: ['ids']" in refused(embedded, "source-servers/extend", {**body, "ids": []})
    register(embedded, 1)
    quota = {"account": TARGET, "region": REGION, "code": "L-E28BE5E0"}
    embedded.door("quotas", {**quota, "value": 0})
    try:
        assert "quota" in refused(embedded, "source-servers/extend", body).lower()
    finally:
        embedded.door("quotas", {**quota, "value": 4000})


def test_an_extension_shows_late(embedded: Embedded, pair: tuple[str, str]) -> None:
    (late,) = register(embedded, 1)
    drs = once(embedded, "drs", TARGET)

    def shows() -> bool:
        items = drs.describe_source_servers(filters={"stagingAccountIDs": [STAGING]})["items"]
        extended = {item["stagingArea"]["stagingSourceServerArn"] for item in items}
        left = drs.list_extensible_source_servers(stagingAccountID=STAGING)["items"]
        assert (server_arn(late) in extended) is not (server_arn(late) in {i["arn"] for i in left})
        return server_arn(late) in extended

    embedded.door("delays", {"extension": 3600})
    try:
        extend(embedded, late)
        assert not shows()
        again = outcome(drs.create_extended_source_server, sourceServerArn=server_arn(late))
        assert again == "ValidationException"
    finally:
        embedded.door("delays", {"extension": 0})
    (prompt,) = register(embedded, 1)
    extend(embedded, prompt)
    late = prompt
    assert shows()


def test_every_server_is_changed_where_none_is_named(embedded: Embedded) -> None:
    made = register(embedded, 3, TARGET)
    body = {"account": TARGET, "region": REGION, "agentVersion": "7.0.0"}
    own = embedded.door("source-servers/state", body)["changed"]
    items = once(embedded, "drs", TARGET).describe_source_servers()["items"]
    changed = {i["sourceServerID"] for i in items if i["agentVersion"] == "7.0.0"}
    assert len(changed) == own
    assert set(made) <= changed
    assert (
        not {i["sourceServerID"] for i in items if i["stagingArea"]["status"] == "EXTENDED"}
        & changed
    )


def test_calls_are_counted_until_that_is_ended(embedded: Embedded) -> None:
    embedded.door("calls", method="DELETE")
    drs = once(embedded, "drs", TARGET)
    drs.describe_source_servers()
    drs.describe_source_servers()
    drs.list_tags_for_resource(resourceArn=drs.describe_source_servers()["items"][0]["arn"])
    embedded.client("iam", TARGET).list_roles()
    counted = {
        "drs DescribeSourceServers": 3,
        "drs ListTagsForResource": 1,
        "iam ListRoles": 1,
    }
    assert embedded.door("calls", method="GET") == counted
    assert embedded.door("calls", method="DELETE") == counted
    assert embedded.door("calls", method="GET") == {}


WRONG: list[tuple[str, Item, str]] = [
    ("source-servers", {**HERE, "count": 1, "sate": "STALLED"}, "unknown: ['sate']"),
    ("source-servers", {**HERE, "instances": {"region": REGION, "ids": ["i-0"]}}, "i-0"),
    ("source-servers", {**HERE, "instances": {"region": REGION, "count": 1}}, "['count']"),
    ("source-servers/state", {**HERE}, "fields are"),
    ("source-servers/state", {**HERE, "sate": "STALLED"}, "not ['sate']"),
    ("source-servers/state", {**HERE, "ids": ["s-0"], "state": "STALLED"}, "s-0 not found"),
    ("source-servers/state", {**HERE, "step": "DANCE"}, "step must be one of"),
    ("source-servers/advance", {**HERE, "state": "CONTINUOUS"}, "unknown: ['state']"),
    ("source-servers/vanish", {**HERE}, "ids"),
    ("source-servers/vanish", {"region": REGION, "ids": []}, "account"),
    ("instances", {**HERE, "count": 1, "platform": "plan9"}, "platform must be one of"),
    ("instances", {**HERE, "count": 1, "os": "linux"}, "unknown: ['os']"),
    ("delays", {}, "delays are"),
    ("delays", {"extention": 1}, "delays are"),
    ("iam-enforcement", {}, "on must be true or false"),
    ("iam-enforcement", {"on": "no"}, "on must be true or false"),
]


@pytest.mark.parametrize(("path", "body", "said"), WRONG, ids=[f"{w[0]} {w[2]}" for w in WRONG])
def test_a_door_says_what_is_wrong(
    embedded: Embedded, pair: tuple[str, str], path: str, body: Item, said: str
) -> None:
    assert said in refused(embedded, path, body)
