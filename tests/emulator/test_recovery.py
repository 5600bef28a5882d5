"""Points in time, recovery jobs and recovery instances, of own servers and of extended ones."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import REGION, STAGING, TARGET, Embedded
from tests.emulator.clients import once, one, outcome, register, server_arn, trusting
from tests.emulator.test_drs import ROLE, ROLE_POLICY, key_policy

pytestmark = pytest.mark.slow

HERE = {"account": STAGING, "region": REGION}
FORMAT = "%Y-%m-%dT%H:%M:%SZ"
Pair = tuple[str, str]


@pytest.fixture(scope="module")
def key(embedded: Embedded) -> str:
    """The replication key of an estate of a target and a staging account."""
    return trusting(embedded)


@pytest.fixture
def pair(embedded: Embedded, key: str) -> Pair:
    """A server that has replicated for a month in the staging account, and its extension."""
    (staged,) = register(embedded, 1)
    made = once(embedded, "drs", TARGET).create_extended_source_server(
        sourceServerArn=server_arn(staged)
    )
    return staged, made["sourceServer"]["sourceServerID"]


def change(embedded: Embedded, server: str, **fields: Any) -> None:
    embedded.door("source-servers/state", {**HERE, "ids": [server], **fields})


def snapshots(embedded: Embedded, account: str, server: str, **params: Any) -> list[dict[str, Any]]:
    paginator = once(embedded, "drs", account).get_paginator("describe_recovery_snapshots")
    pages = paginator.paginate(sourceServerID=server, **params)
    return [item for page in pages for item in page["items"]]


def ages(items: list[dict[str, Any]]) -> list[float]:
    """The minutes since each point in time."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return [(now - datetime.strptime(i["timestamp"], FORMAT)).total_seconds() / 60 for i in items]


def test_the_points_in_time_are_those_of_the_rules(embedded: Embedded, pair: Pair) -> None:
    """Six to seven of ten minutes, a day of hours, seven days; some stand for two rules."""
    items = snapshots(embedded, STAGING, pair[0])
    old = ages(items)
    assert old == sorted(old, reverse=True)
    assert old[-1] <= 10
    assert 6 <= sum(age <= 60 for age in old) <= 8
    assert 6 + 23 <= sum(age <= 24 * 60 for age in old) <= 7 + 24
    assert 6 * 24 * 60 < old[0] <= 7 * 24 * 60
    assert len({item["snapshotID"] for item in items}) == len(items)
    disks = one(embedded, STAGING, pair[0])["sourceProperties"]["disks"]
    assert {len(item["ebsSnapshots"]) for item in items} == {len(disks)}


def test_an_extension_has_the_points_of_its_staging_server(embedded: Embedded, pair: Pair) -> None:
    own, extended = (
        [(i["snapshotID"], i["timestamp"]) for i in snapshots(embedded, account, server)]
        for account, server in zip((STAGING, TARGET), pair, strict=True)
    )
    assert own == extended != []
    iam = embedded.client("iam", STAGING)
    iam.detach_role_policy(RoleName=ROLE, PolicyArn=ROLE_POLICY)
    try:
        read = once(embedded, "drs", TARGET).describe_recovery_snapshots
        assert outcome(read, sourceServerID=pair[1]) == "AccessDeniedException"
    finally:
        iam.attach_role_policy(RoleName=ROLE, PolicyArn=ROLE_POLICY)


def test_points_in_pages_in_either_order_and_between_moments(
    embedded: Embedded, pair: Pair
) -> None:
    whole = snapshots(embedded, TARGET, pair[1], order="ASC")
    size = {"PaginationConfig": {"PageSize": 4}}
    assert snapshots(embedded, TARGET, pair[1], order="ASC", **size) == whole
    assert snapshots(embedded, TARGET, pair[1], order="DESC", **size) == whole[::-1]
    between = {"fromDateTime": whole[2]["timestamp"], "toDateTime": whole[-2]["timestamp"]}
    assert snapshots(embedded, TARGET, pair[1], filters=between) == whole[2:-1]
    read = once(embedded, "drs", TARGET).describe_recovery_snapshots
    assert outcome(read, sourceServerID=f"s-{'0' * 17}") == "ValidationException"


NEWEST = [
    ("continuous", {"state": "CONTINUOUS"}, (0, 10)),
    ("lagging", {"lag": 7200}, (120, 131)),
    ("stalled", {"state": "STALLED"}, (120, 131)),
    ("gone for a day", {"state": "DISCONNECTED", "lastSeenSecondsAgo": 86400}, (1440, 1451)),
    ("stopped", {"state": "STOPPED"}, None),
    ("in its initial sync", {"state": "INITIAL_SYNC"}, None),
]


@pytest.mark.parametrize(("fields", "minutes"), [n[1:] for n in NEWEST], ids=[n[0] for n in NEWEST])
def test_no_point_is_newer_than_the_replication(
    embedded: Embedded, pair: Pair, fields: dict[str, Any], minutes: tuple[float, float] | None
) -> None:
    change(embedded, pair[0], **fields)
    old = ages(snapshots(embedded, TARGET, pair[1]))
    if minutes is None:
        assert old == []
    else:
        assert minutes[0] <= old[-1] <= minutes[1]


def test_the_first_point_stands_when_the_initial_sync_ends(embedded: Embedded, key: str) -> None:
    (fresh,) = register(embedded, 1, state="INITIAL_SYNC")
    assert snapshots(embedded, STAGING, fresh) == []
    embedded.door("source-servers/advance", {**HERE, "ids": [fresh]})
    (only,) = snapshots(embedded, STAGING, fresh)
    assert ages([only])[0] < 1


def start(embedded: Embedded, *servers: str, **params: Any) -> dict[str, Any]:
    drs = once(embedded, "drs", TARGET)
    chosen = [{"sourceServerID": each} for each in servers]
    return dict(drs.start_recovery(sourceServers=chosen, **params)["job"])


def job(embedded: Embedded, identifier: str) -> dict[str, Any]:
    drs = once(embedded, "drs", TARGET)
    (item,) = drs.describe_jobs(filters={"jobIDs": [identifier]})["items"]
    return dict(item)


def ended(embedded: Embedded, identifier: str) -> dict[str, Any]:
    """The job when it is completed."""
    while (item := job(embedded, identifier))["status"] != "COMPLETED":
        time.sleep(0.05)
    return item


def events(embedded: Embedded, identifier: str) -> list[str]:
    paginator = once(embedded, "drs", TARGET).get_paginator("describe_job_log_items")
    pages = paginator.paginate(jobID=identifier, PaginationConfig={"PageSize": 2})
    return [item["event"] for page in pages for item in page["items"]]


def test_a_drill_of_an_extended_server(embedded: Embedded, pair: Pair) -> None:
    embedded.door("delays", {"job": 0.4})
    began = start(embedded, pair[1], isDrill=True, tags={"why": "drill"})
    assert (began["status"], began["initiatedBy"]) == ("PENDING", "START_DRILL")
    seen = []
    while "COMPLETED" not in seen:
        now = job(embedded, began["jobID"])["status"]
        seen += [now] if now not in seen else []
        time.sleep(0.02)
    assert seen == ["PENDING", "STARTED", "COMPLETED"]
    done = job(embedded, began["jobID"])
    (server,) = done["participatingServers"]
    assert (server["launchStatus"], done["tags"]) == ("LAUNCHED", {"why": "drill"})
    item = one(embedded, TARGET, pair[1])
    last = item["lifeCycle"]["lastLaunch"]
    assert (last["status"], last["initiated"]["type"]) == ("LAUNCHED", "DRILL")
    assert last["initiated"]["jobID"] == began["jobID"]
    assert item["lastLaunchResult"] == "SUCCEEDED"
    assert "lastLaunch" not in one(embedded, STAGING, pair[0])["lifeCycle"]
    instances = once(embedded, "drs", TARGET).describe_recovery_instances(
        filters={"sourceServerIDs": [pair[1]]}
    )["items"]
    (instance,) = instances
    assert instance["recoveryInstanceID"] == server["recoveryInstanceID"]
    assert instance["recoveryInstanceID"] == item["recoveryInstanceId"]
    assert (instance["isDrill"], instance["ec2InstanceState"]) == (True, "RUNNING")
    newest = snapshots(embedded, TARGET, pair[1])[-1]["timestamp"]
    moment = datetime.strptime(instance["pointInTimeSnapshotDateTime"], FORMAT)
    assert datetime.strptime(newest, FORMAT) - moment <= timedelta(minutes=10)
    assert events(embedded, began["jobID"]) == [
        "JOB_START",
        "USING_PREVIOUS_SNAPSHOT",
        "CONVERSION_START",
        "CONVERSION_END",
        "LAUNCH_START",
        "JOB_END",
    ]


def test_a_recovery_to_a_pinned_point(embedded: Embedded, pair: Pair) -> None:
    embedded.door("delays", {"job": 0})
    drs = once(embedded, "drs", TARGET)
    oldest = snapshots(embedded, TARGET, pair[1])[0]

    def pinned(snapshot: str) -> list[dict[str, str]]:
        return [{"sourceServerID": pair[1], "recoverySnapshotID": snapshot}]

    gone = pinned(f"pit-{'0' * 17}")
    assert outcome(drs.start_recovery, sourceServers=gone) == "ConflictException"
    began = drs.start_recovery(sourceServers=pinned(oldest["snapshotID"]))["job"]
    assert ended(embedded, began["jobID"])["initiatedBy"] == "START_RECOVERY"
    found = drs.describe_recovery_instances(filters={"sourceServerIDs": [pair[1]]})["items"]
    assert [i["pointInTimeSnapshotDateTime"] for i in found] == [oldest["timestamp"]]
    assert found[0]["isDrill"] is False


REFUSED = [
    ("stopped", {"state": "STOPPED"}),
    ("disconnected", {"state": "DISCONNECTED"}),
    ("in its initial sync", {"state": "INITIAL_SYNC"}),
    ("with volumes that are pending", {"volumeStatus": "PENDING"}),
    ("with volumes without attributes", {"volumeStatus": "MISSING_VOLUME_ATTRIBUTES"}),
]


@pytest.mark.parametrize("fields", [r[1] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_a_server_that_cannot_be_recovered_is_refused(
    embedded: Embedded, pair: Pair, fields: dict[str, Any]
) -> None:
    change(embedded, pair[0], **fields)
    chosen = [{"sourceServerID": pair[1]}]
    drs = once(embedded, "drs", TARGET)
    assert outcome(drs.start_recovery, sourceServers=chosen) == "ConflictException"
    assert "lastLaunch" not in one(embedded, TARGET, pair[1])["lifeCycle"]


def test_one_job_at_a_time_for_a_server(embedded: Embedded, pair: Pair) -> None:
    embedded.door("delays", {"job": 1})
    drs = once(embedded, "drs", TARGET)
    chosen = [{"sourceServerID": pair[1]}]
    began = drs.start_recovery(sourceServers=chosen)["job"]
    assert outcome(drs.start_recovery, sourceServers=chosen) == "ConflictException"
    ended(embedded, began["jobID"])
    assert outcome(drs.start_recovery, sourceServers=chosen) == "ok"
    embedded.door("delays", {"job": 0})


@pytest.mark.parametrize("chosen", [[], ["s-" + "0" * 17], ["twice", "twice"]], ids=str)
def test_servers_that_are_none_or_named_twice(
    embedded: Embedded, pair: Pair, chosen: list[str]
) -> None:
    named = [{"sourceServerID": pair[1] if each == "twice" else each} for each in chosen]
    drs = embedded.unchecked_client("drs", TARGET)
    assert outcome(drs.start_recovery, sourceServers=named) in {
        "ConflictException",
        "ValidationException",
    }


QUOTAS = [
    ("servers in a job", "L-B827C881", 1),
    ("jobs", "L-D88FAC3A", 0),
    ("servers in all jobs", "L-05AFA8C6", 1),
]


@pytest.mark.parametrize(("code", "value"), [q[1:] for q in QUOTAS], ids=[q[0] for q in QUOTAS])
def test_the_quotas_of_jobs(embedded: Embedded, key: str, code: str, value: int) -> None:
    place = {"account": TARGET, "region": REGION, "code": code}
    quotas = embedded.client("service-quotas", TARGET)
    default = quotas.get_aws_default_service_quota(ServiceCode="drs", QuotaCode=code)["Quota"]
    chosen = [{"sourceServerID": each} for each in register(embedded, 2, TARGET)]
    drs = once(embedded, "drs", TARGET)
    embedded.door("quotas", {**place, "value": value})
    try:
        refused = outcome(drs.start_recovery, sourceServers=chosen)
        assert refused == "ServiceQuotaExceededException"
    finally:
        embedded.door("quotas", {**place, "value": default["Value"]})
    assert outcome(drs.start_recovery, sourceServers=chosen) == "ok"


def test_a_launch_fails_where_the_key_does_not_let_the_target_in(
    embedded: Embedded, pair: Pair, key: str
) -> None:
    """The job is COMPLETED all the same: only its servers say that they failed."""
    embedded.door("delays", {"job": 0})
    kms = embedded.client("kms", STAGING)
    put = {"KeyId": key, "PolicyName": "default"}
    kms.put_key_policy(**put, Policy=key_policy(caller=STAGING))
    try:
        began = start(embedded, pair[1])
        done = ended(embedded, began["jobID"])
    finally:
        kms.put_key_policy(**put, Policy=key_policy())
    assert [each["launchStatus"] for each in done["participatingServers"]] == ["FAILED"]
    assert one(embedded, TARGET, pair[1])["lifeCycle"]["lastLaunch"]["status"] == "FAILED"
    log = once(embedded, "drs", TARGET).describe_job_log_items(jobID=began["jobID"])["items"]
    failed = next(item for item in log if item["event"] == "LAUNCH_FAILED")
    assert key in failed["eventData"]["rawError"]
    found = once(embedded, "drs", TARGET).describe_recovery_instances(
        filters={"sourceServerIDs": [pair[1]]}
    )["items"]
    assert found == []


def test_jobs_in_pages_and_by_their_day(embedded: Embedded, key: str) -> None:
    account = STAGING
    drs = once(embedded, "drs", account)
    made = {
        drs.start_recovery(sourceServers=[{"sourceServerID": each}])["job"]["jobID"]
        for each in register(embedded, 5)
    }
    paginator = drs.get_paginator("describe_jobs")
    pages = paginator.paginate(PaginationConfig={"PageSize": 2})
    found = [item for page in pages for item in page["items"]]
    assert made <= {item["jobID"] for item in found}
    assert len({item["jobID"] for item in found}) == len(found)
    year = {"fromDate": "2100-01-01T00:00:00Z"}
    assert drs.describe_jobs(filters=year)["items"] == []
    assert outcome(drs.describe_job_log_items, jobID=f"drsjob-{'0' * 17}") == "ValidationException"
    assert drs.list_launch_actions(resourceId=register(embedded, 1)[0])["items"] == []
