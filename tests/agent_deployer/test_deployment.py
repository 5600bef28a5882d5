"""Deployments from an operator's machine, on the embedded AWS: what is sent, and what is recorded."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from agent_deployer.errors import CallError

from tests.agent_deployer.estates import RECOVERY, SOURCE, Fleet, fleet
from tests.conftest import Embedded
from validator.errors import AccountError, UsageError
from validator.operations.deploy import BusyError, Selection
from validator.quotas import REPLICATING_SERVERS

pytestmark = pytest.mark.slow

Json = dict[str, Any]
FAST = Selection(poll_seconds=1)


@pytest.fixture(scope="module", autouse=True)
def quick(embedded: Embedded) -> None:
    embedded.door("delays", {"install": 0.3, "initial-sync": 0.5})


def silent(_: Json) -> None:
    pass


def deployed(
    found: Fleet, selection: Selection = FAST, **more: Any
) -> tuple[Json, dict[str, Json]]:
    """How a deployment ended, and what became of each instance."""
    estate = found.estate()
    payload = {**estate.payload(selection), **more}
    ended = estate.direct(payload, None, silent)
    return estate.status(ended["deployment_id"])


@pytest.fixture
def faults(embedded: Embedded) -> Iterator[Any]:
    """Puts a fault in force, as long as the test lasts."""
    yield lambda **fault: embedded.door("faults", fault)
    embedded.door("faults", method="DELETE")


def statuses(instances: dict[str, Json]) -> Counter[str]:
    return Counter(state.get("refusal") or state["status"] for state in instances.values())


def test_waves_come_in_the_order_of_their_numbers(embedded: Embedded) -> None:
    found = fleet(embedded)
    ids = {
        wave: found.run(account, 3, tags={"dr:wave": wave})
        for account in (found.target, found.staging)
        for wave in (f"wave-10{account[-1]}", f"wave-2{account[-1]}")
    }
    estate, seen = found.estate(), []
    ended = estate.direct(estate.payload(FAST), None, lambda now: seen.append(now.get("waves", {})))
    assert ended["status"] == "succeeded"
    first, *_, last = sorted(ids, key=lambda wave: int(wave.rpartition("-")[2]))
    begun = [waves for waves in seen if waves and set(waves[last]) != {"planned"}]
    assert begun
    assert all(set(waves[first]) == {"replicating"} for waves in begun)
    for account in (found.target, found.staging):
        assert len(found.replicating(account)) == 6
        assert found.replicating(account) == found.sent(account)


def test_source_servers_have_the_tags_that_recovery_goes_by(embedded: Embedded) -> None:
    found = fleet(embedded)
    (instance,) = found.run(found.target, 1, tags={"dr:wave": "wave-7", "dr:priority": "4"})
    deployed(found)
    (server,) = embedded.client("drs", found.target).describe_source_servers()["items"]
    assert server["sourceProperties"]["identificationHints"]["awsInstanceID"] == instance
    assert server["tags"] == {"dr:enabled": "true", "dr:wave": "wave-7", "dr:priority": "4"}


def test_310_instances_in_one_account(embedded: Embedded) -> None:
    found = fleet(embedded)
    ids = found.run(found.target, 310)
    progress, instances = deployed(found)
    assert statuses(instances) == {"replicating": 300, "no-capacity": 10}
    assert progress["status"] == "incomplete"
    assert len(found.replicating(found.target)) == 300
    refused = {each for each, state in instances.items() if state["status"] == "refused"}
    assert refused < set(ids)
    assert refused.isdisjoint(found.sent(found.target))
    assert all("quota of 300" in instances[each]["detail"] for each in refused)


def test_two_deployments_at_once_never_pass_the_quota(embedded: Embedded) -> None:
    found = fleet(embedded)
    place = {"account": found.target, "region": RECOVERY, "code": REPLICATING_SERVERS.code}
    embedded.door("quotas", {**place, "value": 90})
    halves = [found.run(found.target, 60) for _ in range(2)]
    ended: list[dict[str, Json]] = []

    def deploy(ids: list[str]) -> None:
        _, instances = deployed(found, Selection(poll_seconds=1, instances=tuple(ids)))
        ended.append(instances)

    threads = [threading.Thread(target=deploy, args=(ids,)) for ids in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = statuses(ended[0]) + statuses(ended[1])
    assert total == {"replicating": 90, "no-capacity": 30}
    recorded = {k for half in ended for k, v in half.items() if v["status"] == "replicating"}
    assert sorted(recorded) == found.replicating(found.target) == found.sent(found.target)


def test_the_same_again_sends_nothing(embedded: Embedded) -> None:
    found = fleet(embedded)
    found.run(found.target, 4)
    estate = found.estate()
    payload = estate.payload(FAST)
    first = estate.direct(payload, "the-first", silent)
    sent = found.sent(found.target)
    assert estate.direct(payload, "the-first", silent) == first
    progress, instances = deployed(found)
    assert progress["status"] == "succeeded"
    assert statuses(instances) == {"already-replicating": 4}
    assert found.sent(found.target) == sent
    with pytest.raises(UsageError, match="taken by another request"):
        estate.direct({**payload, "waves": ["wave-1"]}, "the-first", silent)


def broken(found: Fleet) -> dict[str, str]:
    """One instance for each refusal, by the refusal's name."""
    ec2 = found.client("ec2", found.target)
    iam = embedded_iam(found)
    one: Callable[..., str] = lambda **more: found.run(found.target, 1, **more)[0]  # noqa: E731
    ids = {
        "not-running": one(),
        "no-instance-profile": one(profile=None),
        "bad-tag": one(tags={"dr:wave": "first"}),
        "ssm-offline": one(),
        "profile-lacks-policies": one(profile="OnlySsm"),
        "too-many-disks": one(disks=[1] * 61),
        "disk-too-large": one(disks=[16385]),
    }
    ec2.stop_instances(InstanceIds=[ids["not-running"]])
    iam.detach_role_policy(
        RoleName="OnlySsm",
        PolicyArn="arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryEc2InstancePolicy",
    )
    ping = {"account": found.target, "region": SOURCE, "status": "ConnectionLost"}
    found.embedded.door("instances/ping", {**ping, "ids": [ids["ssm-offline"]]})
    return ids


def embedded_iam(found: Fleet) -> Any:
    return found.embedded.client("iam", found.target)


def test_every_refusal_is_named_and_nothing_is_sent(embedded: Embedded) -> None:
    found = fleet(embedded)
    ids = broken(found)
    (good,) = found.run(found.target, 1)
    ids["replicates-elsewhere"] = found.run(found.staging, 1)[0]
    agents = {"account": found.target, "region": "us-west-2"}
    where = {"account": found.staging, "region": SOURCE, "ids": [ids["replicates-elsewhere"]]}
    embedded.door("source-servers", {**agents, "instances": where})
    ids["not-found"] = "i-0123456789abcdef0"
    untagged = found.run(found.target, 1, tags={"dr:enabled": "false"})[0]
    named = Selection(poll_seconds=1, instances=(good, untagged, *ids.values()))
    progress, instances = deployed(found, named)
    for refusal, instance in {**ids, "not-tagged": untagged}.items():
        if refusal == "no-instance-profile":
            # SSM reaches no instance without one.
            refusal = "ssm-offline"
        assert instances[instance]["refusal"] == refusal
    assert instances[good]["status"] == "replicating"
    assert progress["status"] == "incomplete"
    assert found.sent(found.target) == [good]
    assert found.sent(found.staging) == []


def test_what_failed_is_tried_again_only_when_asked(embedded: Embedded) -> None:
    found = fleet(embedded)
    good, bad = found.run(found.target, 2, tags={"dr:wave": "wave-1", "dr:priority": "1"})
    found.outcome(found.target, [bad], "failed", output="Error: no space left on device")
    half = Selection(poll_seconds=1, max_errors="50%")
    progress, instances = deployed(found, half)
    assert progress["status"] == "incomplete"
    assert "no space left on device" in instances[bad]["reason"]
    found.outcome(found.target, [bad], "success")
    _, again = deployed(found)
    assert statuses(again) == {"already-replicating": 1, "failed-before": 1}
    assert found.sent(found.target) == sorted([good, bad])
    progress, retried = deployed(found, Selection(poll_seconds=1, retry_failed=True))
    assert progress["status"] == "succeeded"
    assert retried[bad]["status"] == "replicating"


def test_a_wave_over_its_errors_stops_the_deployment(embedded: Embedded) -> None:
    found = fleet(embedded)
    first = found.run(found.target, 10, tags={"dr:wave": "wave-1", "dr:priority": "1"})
    later = found.run(found.target, 5, tags={"dr:wave": "wave-2", "dr:priority": "1"})
    found.outcome(found.target, first[:4], "failed")
    strict = Selection(poll_seconds=1, max_errors="1", max_concurrency="2")
    progress, instances = deployed(found, strict)
    assert progress["status"] == "incomplete"
    assert {instances[each]["status"] for each in later} == {"stopped"}
    assert set(found.sent(found.target)).isdisjoint(later)
    counted = statuses({each: instances[each] for each in first})
    assert counted["failed"] >= 2
    assert counted["stopped"] > 0
    # Mended and resumed, it comes to its end.
    found.outcome(found.target, first[:4], "success")
    estate = found.estate()
    ended = estate.resume(progress["deployment_id"], silent, retry_failed=True)
    assert ended["status"] == "succeeded"
    assert found.replicating(found.target) == sorted([*first, *later])


def test_an_agent_that_does_not_register_has_failed(embedded: Embedded) -> None:
    found = fleet(embedded)
    (instance,) = found.run(found.target, 1)
    found.outcome(found.target, [instance], "unregistered")
    progress, instances = deployed(found, confirm_seconds=1)
    assert progress["status"] == "incomplete"
    assert instances[instance]["status"] == "failed"
    assert "no source server shows" in instances[instance]["reason"]


def test_an_instance_that_goes_offline_before_its_command_is_sent(embedded: Embedded) -> None:
    found = fleet(embedded)
    wave = {"dr:wave": "wave-1", "dr:priority": "1"}
    first = found.run(found.target, 2, tags=wave)
    gone, stays = found.run(found.target, 2, tags={**wave, "dr:wave": "wave-2"})

    def strike(now: Json) -> None:
        if now.get("waves", {}).get("wave-2") == {"planned": 2}:
            ping = {"account": found.target, "region": SOURCE, "status": "ConnectionLost"}
            embedded.door("instances/ping", {**ping, "ids": [gone]})

    estate = found.estate()
    ended = estate.direct(estate.payload(Selection(poll_seconds=1)), None, strike)
    _, instances = estate.status(ended["deployment_id"])
    assert ended["status"] == "incomplete"
    assert instances[gone]["status"] == "failed"
    assert "ssm-offline" in instances[gone]["reason"]
    assert found.sent(found.target) == sorted([*first, stays])


def test_an_instance_that_is_stopped_and_still_shows_as_online(embedded: Embedded) -> None:
    found = fleet(embedded)
    wave = {"dr:wave": "wave-1", "dr:priority": "1"}
    first = found.run(found.target, 1, tags=wave)
    gone, stays = found.run(found.target, 2, tags={**wave, "dr:wave": "wave-2"})
    deployer = found.estate()._deployer

    def refuse(place: tuple[str, str, str], operation: str, **params: Any) -> Json:
        if operation == "send_command" and gone in params["InstanceIds"]:
            raise CallError(f"Instances [[{gone}]] not in a valid state", "InvalidInstanceId")
        return call(place, operation, **params)

    call, deployer._aws.once = deployer._aws.once, refuse  # type: ignore[method-assign]
    deployer.start(found.estate().payload(FAST), "stopped")
    while deployer.advance("stopped")["status"] == "running":
        time.sleep(0.3)
    _, instances = found.estate().status("stopped")
    assert instances[gone]["status"] == "failed"
    assert found.sent(found.target) == sorted([*first, stays])


def test_one_who_asks_for_the_end_during_a_step_is_heard(embedded: Embedded) -> None:
    found = fleet(embedded)
    found.run(found.target, 1)
    estate, other = found.estate(), found.estate()
    deployer = estate._deployer
    deployer.start(estate.payload(FAST), "asked")
    finish = deployer._finish
    deployer._finish = lambda parts: (other._deployer.cancel("asked"), finish(parts))[1]  # type: ignore[method-assign]
    while (progress := deployer.advance("asked"))["status"] == "running":
        time.sleep(0.3)
    assert progress["status"] == "succeeded"
    assert estate.status("asked")[0]["status"] == "succeeded"


def test_a_deployment_that_was_never_planned_is_planned_when_resumed(
    embedded: Embedded, faults: Any
) -> None:
    found = fleet(embedded)
    found.run(found.target, 1)
    estate = found.estate()
    faults(kind="deny", service="ec2", operation="DescribeVolumes")
    with pytest.raises(AccountError):
        estate.direct(estate.payload(FAST), "late", silent)
    assert estate.status("late")[0]["status"] == "failed"
    embedded.door("faults", method="DELETE")
    assert estate.resume("late", silent, retry_failed=False)["status"] == "succeeded"
    assert len(found.replicating(found.target)) == 1


def test_a_cancelled_deployment_sends_no_more(embedded: Embedded) -> None:
    found = fleet(embedded)
    first = found.run(found.target, 2, tags={"dr:wave": "wave-1", "dr:priority": "1"})
    later = found.run(found.target, 2, tags={"dr:wave": "wave-2", "dr:priority": "1"})
    found.outcome(found.target, first, "hang")
    estate, other = found.estate(), found.estate()
    ended = estate.direct(
        estate.payload(FAST), "stop-me", lambda now: cancelled(other, now["status"])
    )
    assert ended["status"] == "cancelled"
    _, instances = estate.status("stop-me")
    assert {state["status"] for state in instances.values()} == {"cancelled"}
    assert set(found.sent(found.target)).isdisjoint(later)


def cancelled(estate: Any, status: str) -> None:
    """Another operator asks for the end, and does not wait for it."""
    if status == "running":
        estate._deployer.cancel("stop-me")


def test_what_a_deployment_brought_is_removed_only_on_request(embedded: Embedded) -> None:
    found = fleet(embedded)
    found.run(found.target, 2)
    progress, instances = deployed(found)
    estate = found.estate()
    listed = list(estate.rollback(progress["deployment_id"], remove=False))
    assert [(as_asked, line.split(":")[0]) for as_asked, line in listed] == [
        (True, "would be removed")
    ] * 2
    assert found.replicating(found.target) == sorted(instances)
    removed = list(estate.rollback(progress["deployment_id"], remove=True))
    assert [line.split(":")[0] for _, line in removed] == ["removed"] * 2
    assert found.replicating(found.target) == []
    again = list(estate.rollback(progress["deployment_id"], remove=True))
    assert [line.split(":")[0] for _, line in again] == ["gone already"] * 2


def test_what_was_not_confirmed_is_named_and_not_removed(embedded: Embedded) -> None:
    found = fleet(embedded)
    (instance,) = found.run(found.target, 1)
    found.outcome(found.target, [instance], "unregistered")
    progress, _ = deployed(found, confirm_seconds=1)
    estate = found.estate()
    assert list(estate.rollback(progress["deployment_id"], remove=True)) == []
    # It comes after all, or by somebody else's hand.
    where = {"region": SOURCE, "ids": [instance]}
    body = {"account": found.target, "region": "us-west-2", "instances": where}
    embedded.door("source-servers", body)
    ((as_asked, line),) = estate.rollback(progress["deployment_id"], remove=True)
    assert not as_asked
    assert instance in line
    assert found.replicating(found.target) == [instance]


def test_only_one_works_on_a_deployment(embedded: Embedded) -> None:
    found = fleet(embedded)
    ids = found.run(found.target, 1)
    found.outcome(found.target, ids, "hang")
    estate, other = found.estate(), found.estate()
    refused: list[str] = []

    def interfere(now: Json) -> None:
        if now["status"] == "running" and not refused:
            try:
                other.resume("mine", silent, retry_failed=False)
            except BusyError as error:
                refused.append(str(error))
                estate._deployer.cancel("mine")

    estate.direct(estate.payload(FAST), "mine", interfere)
    assert "is worked on by" in refused[0]


@pytest.mark.parametrize(
    ("service", "operation", "kind"),
    [
        ("dynamodb", "PutItem", "throttle"),
        ("dynamodb", "Query", "error500"),
        ("ssm", "SendCommand", "throttle"),
        ("ssm", "ListCommandInvocations", "throttle"),
        ("drs", "DescribeSourceServers", "throttle"),
    ],
)
def test_what_passes_changes_nothing(
    embedded: Embedded, faults: Any, service: str, operation: str, kind: str
) -> None:
    found = fleet(embedded)
    ids = found.run(found.target, 6)
    faults(kind=kind, service=service, operation=operation, times=2)
    progress, _ = deployed(found)
    assert progress["status"] == "succeeded"
    assert found.sent(found.target) == sorted(ids)


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("dynamodb", "PutItem"),
        ("ssm", "SendCommand"),
        ("ssm", "DescribeInstanceInformation"),
        ("drs", "DescribeSourceServers"),
        ("ec2", "DescribeVolumes"),
        ("iam", "GetInstanceProfile"),
        ("servicequotas", "GetServiceQuota"),
    ],
)
def test_what_is_denied_ends_it_by_name(
    embedded: Embedded, faults: Any, service: str, operation: str
) -> None:
    found = fleet(embedded)
    found.run(found.target, 2)
    faults(kind="deny", service=service, operation=operation)
    with pytest.raises(AccountError, match=r"(?i)denied|not authorized|unauthorized"):
        deployed(found)
    embedded.door("faults", method="DELETE")
    assert found.replicating(found.target) == []


def test_an_answer_that_is_lost_sends_nothing_twice(embedded: Embedded, faults: Any) -> None:
    found = fleet(embedded)
    ids = found.run(found.target, 3, tags={"dr:wave": "wave-1", "dr:priority": "1"})
    faults(kind="lose", service="ssm", operation="SendCommand", times=1)
    progress, _ = deployed(found)
    assert progress["status"] == "succeeded"
    assert found.sent(found.target) == sorted(ids)


def test_accounts_without_drs(embedded: Embedded) -> None:
    found = fleet(embedded, initialised=False)
    found.run(found.target, 2)
    progress, instances = deployed(found)
    assert progress["status"] == "incomplete"
    assert statuses(instances) == {"drs-not-initialised": 2}


def test_nothing_tagged_is_no_success(embedded: Embedded) -> None:
    found = fleet(embedded)
    estate = found.estate()
    with pytest.raises(UsageError, match="nothing to deploy onto"):
        estate.direct(estate.payload(FAST), "empty", silent)
    progress, _ = estate.status("empty")
    assert progress["status"] == "failed"


def test_reservations_of_the_dead_run_out(embedded: Embedded) -> None:
    found = fleet(embedded)
    found.run(found.target, 2)
    table = found.estate().settings.table
    dynamodb = embedded.client("dynamodb", found.home)
    key = {"id": {"S": f"account#{found.target}#us-west-2"}, "part": {"S": "capacity"}}

    def reserved(until: float) -> None:
        entry = {"M": {"deployment": {"S": "dead"}, "until": {"N": str(int(until))}}}
        entries = {"M": {f"i-{n:017x}": entry for n in range(299)}}
        item = {**key, "version": {"N": "1"}, "reserved": entries}
        dynamodb.put_item(TableName=table, Item=item)

    reserved(time.time() + 60)
    _, instances = deployed(found)
    assert statuses(instances) == {"replicating": 1, "no-capacity": 1}
    reserved(time.time() - 1)
    _, instances = deployed(found)
    assert statuses(instances) == {"already-replicating": 1, "replicating": 1}
