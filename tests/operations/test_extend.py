"""Extending source servers on an embedded AWS: each once, none lost, every other one named."""

import itertools
import json
import multiprocessing
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import STAGING, TARGET, Embedded
from tests.operations.estates import (
    ROLE,
    SECOND,
    SOURCE_REGION,
    Made,
    applied,
    in_region,
    replication_template,
)
from tests.operations.proxy import Answer, altered, between, refused
from validator.errors import AccountError, UsageError
from validator.model import LaunchSettings
from validator.operations.extend import Extending, Result, Selection, extend
from validator.operations.launch import differences
from validator.quotas import TOTAL_SERVERS

pytestmark = pytest.mark.slow

LAUNCH = LaunchSettings(
    copy_private_ip=True,
    copy_tags=True,
    disposition="STOPPED",
    licensing_byol=True,
    right_sizing="NONE",
)


@pytest.fixture(autouse=True)
def no_faults_left(embedded: Embedded) -> Any:
    yield
    embedded.door("faults", method="DELETE")


def run(made: Made, **options: Any) -> Extending:
    return extend(made.declared, made.opener, **{"launch": None, "dry_run": False, **options})


def counts(result: Extending) -> dict[Result, int]:
    return {r: n for r in Result if (n := len(result.of(r)))}


def test_extends_all_of_two_accounts_and_then_none(embedded: Embedded) -> None:
    made = applied(embedded, staging=2)
    arns = {*made.register(300), *made.register(40, SECOND)}
    made.tag(sorted(arns)[:1], {"dr:wave": "wave-1", "team": "a"})
    seen: list[tuple[str, int, int]] = []
    first = run(made, launch=LAUNCH, on_progress=lambda *each: seen.append(each))
    extensions = made.extensions()
    assert set(extensions) == arns
    assert first.complete and counts(first) == {Result.EXTENDED: 340}
    assert first.total == 340 and first.shortfall == 0
    assert seen[-1] == ("extending", 340, 340)
    for account in (STAGING, SECOND):
        for staged in made.listed(account):
            assert extensions[staged["arn"]]["tags"] == staged["tags"]
    assert extensions[min(arns)]["tags"]["dr:wave"] == "wave-1"
    drs = made.drs(TARGET)
    for extension in extensions.values():
        shown = drs.get_launch_configuration(sourceServerID=extension["sourceServerID"])
        assert not differences(LAUNCH, shown)

    created = made.calls("CreateExtendedSourceServer")
    again = run(made, launch=LAUNCH)
    assert again.complete and counts(again) == {Result.ALREADY: 340}
    assert made.calls("CreateExtendedSourceServer") == created
    assert not any(step.changed for step in again.steps)
    kept = ("sourceServerID", "tags", "stagingArea")
    for arn, extension in made.extensions().items():
        assert {k: extension[k] for k in kept} == {k: extensions[arn][k] for k in kept}


def test_a_dry_run_lists_and_changes_nothing(embedded: Embedded) -> None:
    made = applied(embedded)
    arns = made.register(12)
    result = run(made, dry_run=True, launch=LAUNCH)
    assert {server.arn for server in result.of(Result.WOULD_EXTEND)} == set(arns)
    assert [step.changed for step in result.steps] == [True] and result.total == 0
    assert made.listed(TARGET) == []
    assert made.drs(TARGET).describe_launch_configuration_templates()["items"] == []
    assert run(made).of(Result.EXTENDED)


NARROWED = [
    ("a wave", Selection(wave="wave-2"), {0, 1, 2, 3}),
    ("a tag", Selection(tags=(("tier", "db"),)), {2, 3, 4, 5}),
    ("a wave and a tag, both", Selection(wave="wave-2", tags=(("tier", "db"),)), {2, 3}),
    ("an account by name", Selection(accounts=("staging-2",)), {8, 9}),
    ("an account by id", Selection(accounts=(SECOND,)), {8, 9}),
]


@pytest.fixture(scope="module")
def tagged(embedded: Embedded) -> tuple[Made, list[str]]:
    """An estate of ten servers: 0-3 are of wave-2, 2-5 of tier db, 8-9 of the second account."""
    made = applied(embedded, staging=2)
    arns = [*made.register(8), *made.register(2, SECOND)]
    made.tag(arns[:4], {"dr:wave": "wave-2"})
    made.tag(arns[2:6], {"tier": "db"})
    return made, arns


@pytest.mark.parametrize(
    ("selection", "wanted"), [n[1:] for n in NARROWED], ids=[n[0] for n in NARROWED]
)
def test_a_selection_narrows(
    tagged: tuple[Made, list[str]], selection: Selection, wanted: set[int]
) -> None:
    made, arns = tagged
    result = run(made, dry_run=True, selection=selection)
    assert {arns.index(server.arn) for server in result.of(Result.WOULD_EXTEND)} == wanted
    assert len(result.servers) == len(wanted) and result.complete


@pytest.mark.parametrize(
    "selection",
    [Selection(wave="wave-9"), Selection(accounts=("staging-9",)), Selection(limit=0)],
    ids=["an unknown wave", "an unknown account", "a limit of none"],
)
def test_a_selection_that_cannot_be_meant(
    tagged: tuple[Made, list[str]], selection: Selection
) -> None:
    with pytest.raises(UsageError):
        run(tagged[0], selection=selection)


def test_a_selection_of_nothing_is_not_complete(tagged: tuple[Made, list[str]]) -> None:
    assert not run(tagged[0], selection=Selection(tags=(("tier", "none"),))).complete


def test_a_limit_extends_so_many_and_the_next_run_goes_on(embedded: Embedded) -> None:
    made = applied(embedded)
    arns = made.register(9)
    encrypt_by_default(made, arns[:2])
    first = run(made, selection=Selection(limit=4))
    assert counts(first)[Result.EXTENDED] == 4 == len(made.extensions())
    second = run(made, selection=Selection(limit=4))
    assert counts(second)[Result.EXTENDED] == 3 and second.beyond_limit == 0
    assert first.beyond_limit + len(first.of(Result.BLOCKED)) == 5


def encrypt_by_default(made: Made, arns: list[str]) -> None:
    for arn in arns:
        made.drs(STAGING).update_replication_configuration(
            sourceServerID=arn.rsplit("/", 1)[1], ebsEncryption="DEFAULT"
        )


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "for real"])
def test_the_quota_falls_short_by_exactly_so_many(embedded: Embedded, dry_run: bool) -> None:
    made = applied(embedded)
    made.register(30)
    quota = {"account": TARGET, "region": made.region, "code": TOTAL_SERVERS.code, "value": 23}
    embedded.door("quotas", quota)
    before = made.calls("CreateExtendedSourceServer")
    result = run(made, dry_run=dry_run)
    assert made.calls("CreateExtendedSourceServer") - before == (0 if dry_run else 23)
    assert (result.quota, result.shortfall) == (23, 7)
    assert len(result.of(Result.NO_ROOM)) == 7 and not result.complete
    assert len(result.of(Result.WOULD_EXTEND if dry_run else Result.EXTENDED)) == 23
    assert len(made.listed(TARGET)) == result.total == (0 if dry_run else 23)


def test_a_quota_that_cannot_be_read_stops_all(embedded: Embedded) -> None:
    made = applied(embedded)
    made.register(1)
    embedded.door("faults", {"kind": "deny", "service": "servicequotas"})
    with pytest.raises(AccountError, match="GetServiceQuota"):
        run(made)
    assert made.listed(TARGET) == []


def test_what_cannot_be_extended_is_named_and_not_tried(
    embedded: Embedded, request: pytest.FixtureRequest
) -> None:
    made = applied(embedded)
    arns = made.register(4)
    encrypt_by_default(made, arns[:1])
    request.addfinalizer(lambda: leave_other_region(embedded))
    elsewhere = other_region(embedded)
    before = made.calls("CreateExtendedSourceServer")
    result = run(made)
    reasons = {server.arn: server.reason for server in result.of(Result.BLOCKED)}
    assert set(reasons) == {arns[0], *elsewhere}
    assert "ebsEncryption DEFAULT" in reasons[arns[0]]
    assert all(SOURCE_REGION in reasons[arn] for arn in elsewhere)
    assert set(made.extensions()) == set(arns[1:]) and not result.complete
    assert made.calls("CreateExtendedSourceServer") - before == 3


def other_region(embedded: Embedded) -> list[str]:
    """A server of the same staging account that replicates into the source Region by mistake."""
    drs = embedded.client("drs", STAGING, SOURCE_REGION)
    drs.initialize_service()
    drs.create_replication_configuration_template(**replication_template(ebsEncryption="DEFAULT"))
    embedded.door("source-servers", {"account": STAGING, "region": SOURCE_REGION, "count": 1})
    return [item["arn"] for item in drs.describe_source_servers()["items"]]


def leave_other_region(embedded: Embedded) -> None:
    drs = embedded.client("drs", STAGING, SOURCE_REGION)
    for item in drs.describe_source_servers()["items"]:
        drs.disconnect_source_server(sourceServerID=item["sourceServerID"])
        drs.delete_source_server(sourceServerID=item["sourceServerID"])


def with_status(status: str) -> Callable[[Any], Any]:
    def change(answer: Any) -> Any:
        for item in answer["items"][:1]:
            item["dataReplicationInfo"]["replicatedDisks"][-1]["volumeStatus"] = status
        return answer

    return change


@pytest.mark.parametrize(
    "status",
    [
        "CONTAINS_MARKETPLACE_PRODUCT_CODES",
        "MISSING_VOLUME_ATTRIBUTES_AND_PRECHECK_UNAVAILABLE",
    ],
)
def test_marketplace_restrictions_are_named(
    tagged: tuple[Made, list[str]], embedded: Embedded, status: str
) -> None:
    made, arns = tagged
    with between(embedded.url, altered("DescribeSourceServers", with_status(status))) as url:
        result = run(made.through(url), dry_run=True)
    (blocked, *_) = result.of(Result.BLOCKED)
    assert blocked.arn in arns and status in blocked.reason and not result.complete


def test_a_replicating_server_that_aws_does_not_offer_is_named(
    tagged: tuple[Made, list[str]], embedded: Embedded
) -> None:
    made, arns = tagged
    hide = altered("ListExtensibleSourceServers", lambda a: {**a, "items": a["items"][1:]})
    with between(embedded.url, hide) as url:
        result = run(made.through(url), dry_run=True, selection=Selection(accounts=("staging-1",)))
    (blocked,) = result.of(Result.BLOCKED)
    assert blocked.arn == min(arns[:8]) and not result.complete


FAULTS = [
    ("throttled", {"kind": "throttle", "every": 3}),
    ("500s", {"kind": "error500", "every": 3}),
    (
        "an empty page of servers",
        {"kind": "empty-page", "service": "drs", "operation": "DescribeSourceServers", "every": 2},
    ),
    (
        "an empty page of offers",
        {
            "kind": "empty-page",
            "service": "drs",
            "operation": "ListExtensibleSourceServers",
            "every": 2,
        },
    ),
]


@pytest.mark.parametrize("fault", [f[1] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_no_fault_loses_or_doubles_a_server(embedded: Embedded, fault: dict[str, Any]) -> None:
    made = applied(embedded)
    arns = made.register(24)
    embedded.door("faults", fault)
    result = run(made)
    embedded.door("faults", method="DELETE")
    assert result.complete and counts(result) == {Result.EXTENDED: 24}
    assert set(made.extensions()) == set(arns)


def test_an_answer_that_was_lost_is_not_asked_for_again(embedded: Embedded) -> None:
    made = applied(embedded)
    made.register(24)
    turn = itertools.count()
    lose = altered("CreateExtendedSourceServer", lambda a: None if next(turn) % 3 == 0 else a)
    before = made.calls("CreateExtendedSourceServer")
    with between(embedded.url, lose) as url:
        result = run(made.through(url))
    assert result.complete and counts(result) == {Result.EXTENDED: 24}
    assert made.calls("CreateExtendedSourceServer") - before == len(made.extensions()) == 24


def test_an_account_that_cannot_be_opened_stops_alone(embedded: Embedded) -> None:
    made = applied(embedded, staging=2)
    arns = made.register(3)
    made.register(2, SECOND)
    iam = embedded.client("iam", SECOND)
    trust = iam.get_role(RoleName=ROLE)["Role"]["AssumeRolePolicyDocument"]
    denied = {**trust, "Statement": [{**s, "Effect": "Deny"} for s in trust["Statement"]]}
    iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(denied))
    try:
        result = run(made)
    finally:
        iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(trust))
    (refusal,) = result.refusals
    assert refusal.account == "staging-2" and "AssumeRole" in refusal.message
    assert set(made.extensions()) == set(arns) and not result.complete


def test_an_account_that_is_not_initialised_stops_alone(embedded: Embedded) -> None:
    made = in_region(embedded, applied(embedded).region, staging=2)
    arns = made.register(2)
    result = run(made)
    (refusal,) = result.refusals
    assert refusal.account == "staging-2" and SECOND in refusal.message
    assert set(made.extensions()) == set(arns) and not result.complete


REFUSED = {
    "AccessDeniedException": 403,
    "ConflictException": 409,
    "ResourceNotFoundException": 404,
    "ValidationException": 400,
}


def test_refused_servers_are_named_and_the_rest_goes_on(embedded: Embedded) -> None:
    made = applied(embedded)
    arns = made.register(8)
    codes = dict(zip(arns, REFUSED, strict=False))

    def meddle(called: str, asked: Any, forward: Callable[[], Answer]) -> Answer:
        code = codes.get(asked.get("sourceServerArn", ""))
        return (REFUSED[code], {"code": code, "message": "not this one"}) if code else forward()

    with between(embedded.url, meddle) as url:
        result = run(made.through(url))
    failed = {server.arn: server.reason for server in result.of(Result.FAILED)}
    assert set(failed) == set(codes) and not result.complete
    assert all(codes[arn] in reason and "not this one" in reason for arn, reason in failed.items())
    assert set(made.extensions()) == set(arns) - set(codes)


ACCOUNT_WIDE = [
    ("the target", "CreateExtendedSourceServer"),
    ("the staging account", "GetReplicationConfiguration"),
]


@pytest.mark.parametrize(
    "operation", [a[1] for a in ACCOUNT_WIDE], ids=[a[0] for a in ACCOUNT_WIDE]
)
def test_a_refusal_that_is_of_no_single_server_is_said_once(
    embedded: Embedded, operation: str
) -> None:
    made = applied(embedded)
    made.register(40)
    meddle = refused(operation, 400, "UninitializedAccountException")
    with between(embedded.url, meddle) as url:
        result = run(made.through(url))
    (refusal,) = result.refusals
    assert refusal.account == "staging-1" and operation in refusal.message
    assert counts(result) == {Result.NOT_TRIED: 40} and not result.complete


def test_a_quota_met_only_by_the_call_stops_all(embedded: Embedded) -> None:
    made = applied(embedded)
    made.register(40)
    meddle = refused("CreateExtendedSourceServer", 402, "ServiceQuotaExceededException")
    with between(embedded.url, meddle) as url:
        result = run(made.through(url))
    assert counts(result) == {Result.NO_ROOM: 40} and result.shortfall == 40
    assert not result.complete


def test_what_aws_does_not_list_afterwards_is_not_called_extended(embedded: Embedded) -> None:
    made = applied(embedded)
    made.register(3)
    meddle = altered("DescribeSourceServers", without_extensions)
    with between(embedded.url, meddle) as url:
        result = run(made.through(url))
    assert counts(result) == {Result.FAILED: 3} and not result.complete


def test_what_aws_lists_a_little_later_is_extended(embedded: Embedded) -> None:
    made = applied(embedded)
    made.register(3)
    listings = itertools.count()

    def late(answer: Any) -> Any:
        hidden = without_extensions(answer)
        return hidden if hidden["items"] != answer["items"] and next(listings) < 2 else answer

    with between(embedded.url, altered("DescribeSourceServers", late)) as url:
        result = run(made.through(url))
    assert counts(result) == {Result.EXTENDED: 3} and result.complete and result.total == 3


def without_extensions(answer: Any) -> Any:
    items = [i for i in answer["items"] if "stagingSourceServerArn" not in i["stagingArea"]]
    return {**answer, "items": items}


def test_a_server_extended_twice_is_named(embedded: Embedded) -> None:
    made = applied(embedded)
    arns = made.register(3)
    run(made)
    with between(embedded.url, altered("DescribeSourceServers", twice)) as url:
        result = run(made.through(url))
    failed = result.of(Result.FAILED)
    assert {server.arn for server in failed} == set(arns) and not result.complete
    assert all("2 times" in server.reason for server in failed)


def twice(answer: Any) -> Any:
    again = [
        {**item, "arn": f"{item['arn']}x"}
        for item in answer["items"]
        if "stagingSourceServerArn" in item["stagingArea"]
    ]
    return {**answer, "items": answer["items"] + again}


def lose_trust(made: Made) -> Callable[[], None]:
    """Makes the staging role trust nobody; returns what mends it."""
    iam, role = made.embedded.client("iam", STAGING), f"DRSStagingAccountRole_{TARGET}"
    trust = json.dumps(iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"])
    denied = trust.replace('"Allow"', '"Deny"')
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=denied)
    return lambda: iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust)


def test_an_extension_in_error_is_not_fine(embedded: Embedded) -> None:
    made = applied(embedded)
    made.register(3)
    run(made)
    mend = lose_trust(made)
    try:
        result = run(made)
    finally:
        mend()
    broken = result.of(Result.IN_ERROR)
    assert len(broken) == 3 and all(server.reason for server in broken) and not result.complete
    assert run(made).complete


def test_prune_deletes_what_is_gone_only_when_asked(embedded: Embedded) -> None:
    made = applied(embedded)
    arns = made.register(5)
    run(made)
    for arn in arns[:2]:
        gone = {"sourceServerID": arn.rsplit("/", 1)[1]}
        made.drs(STAGING).disconnect_source_server(**gone)
        made.drs(STAGING).delete_source_server(**gone)
    listed = run(made)
    assert {server.arn for server in listed.of(Result.GONE)} == set(arns[:2])
    assert not listed.complete and len(made.extensions()) == 5
    planned = run(made, prune=True, dry_run=True)
    assert {server.arn for server in planned.of(Result.WOULD_PRUNE)} == set(arns[:2])
    assert len(made.extensions()) == 5
    pruned = run(made, prune=True)
    assert counts(pruned) == {Result.PRUNED: 2, Result.ALREADY: 3}
    assert pruned.complete and pruned.total == 3
    assert set(made.extensions()) == set(arns[2:])


def test_prune_deletes_nothing_of_an_account_in_error_or_unread(embedded: Embedded) -> None:
    made = applied(embedded)
    arns = made.register(3)
    run(made)
    mend = lose_trust(made)
    try:
        planned = run(made, prune=True, dry_run=True)
        result = run(made, prune=True)
        meddle = altered("DescribeSourceServers", lambda answer: {"items": None})
        with between(embedded.url, meddle) as url, pytest.raises(AccountError):
            run(made.through(url), prune=True)
    finally:
        mend()
    assert counts(planned) == counts(result) == {Result.IN_ERROR: 3}
    assert set(made.extensions()) == set(arns)


def test_tags_over_the_limit_are_named(embedded: Embedded) -> None:
    made = applied(embedded)
    (arn,) = made.register(1)
    made.tag([arn], {f"t{n:02d}": "x" for n in range(50)} | {"dr:wave": "wave-1"})
    offer = altered("ListExtensibleSourceServers", with_aws_tag)
    with between(embedded.url, offer) as url:
        result = run(made.through(url))
    (extension,) = made.extensions().values()
    assert len(extension["tags"]) == 50 and extension["tags"]["dr:wave"] == "wave-1"
    assert not any(name.startswith("aws:") for name in extension["tags"])
    assert result.complete and "t49" in result.servers[0].reason


def with_aws_tag(answer: Any) -> Any:
    for item in answer["items"]:
        item["tags"]["aws:cloudformation:stack-name"] = "x"
    return answer


def test_launch_settings_reach_servers_that_stood_under_another_template(
    embedded: Embedded,
) -> None:
    made = applied(embedded)
    made.register(4)
    run(made)
    planned = run(made, launch=LAUNCH, dry_run=True)
    result = run(made, launch=LAUNCH)
    drs = made.drs(TARGET)
    for extension in made.extensions().values():
        shown = drs.get_launch_configuration(sourceServerID=extension["sourceServerID"])
        assert not differences(LAUNCH, shown)
    assert [step.changed for step in result.steps] == [True] * 5 and result.complete
    assert [step.changed for step in planned.steps] == [True] * 5
    before = made.calls("GetLaunchConfiguration")
    assert run(made, launch=LAUNCH).complete
    assert made.calls("GetLaunchConfiguration") == before


def test_a_server_whose_launch_settings_are_refused_keeps_the_run_from_complete(
    embedded: Embedded,
) -> None:
    made = applied(embedded)
    made.register(2)
    run(made)
    meddle = refused("UpdateLaunchConfiguration", 400, "ValidationException")
    with between(embedded.url, meddle) as url:
        first = run(made.through(url), launch=LAUNCH)
        again = run(made.through(url), launch=LAUNCH)
    assert not first.complete and not again.complete
    assert run(made, launch=LAUNCH).complete


@pytest.mark.parametrize("phase", ["looking at servers", "extending"])
def test_ctrl_c_ends_what_is_in_flight_and_reports(embedded: Embedded, phase: str) -> None:
    made = applied(embedded)
    arns = made.register(60)

    def stop(at: str, done: int, _: int) -> None:
        if at == phase and done == 20:
            signal.raise_signal(signal.SIGINT)

    result = run(made, on_progress=stop)
    assert result.interrupted and not result.complete
    extended = {server.arn for server in result.of(Result.EXTENDED)}
    assert extended == set(made.extensions()) and len(extended) == result.total < 60
    assert (len(extended) >= 20) is (phase == "extending")
    assert {server.arn for server in result.of(Result.NOT_TRIED)} == set(arns) - extended
    assert run(made).complete and set(made.extensions()) == set(arns)


def test_killed_at_twenty_moments_it_ends_in_the_same_state(embedded: Embedded) -> None:
    made = applied(embedded)
    arns = made.register(120)
    made.tag(arns[::3], {"dr:wave": "wave-1"})
    seeded = random.Random(4)
    operations = ["CreateExtendedSourceServer"] * 4 + ["GetReplicationConfiguration"]
    for _ in range(20):
        operation = seeded.choice(operations)
        moment = made.calls(operation) + seeded.randint(1, 5)
        child = multiprocessing.get_context("fork").Process(target=run, args=(made,))
        child.start()
        while made.calls(operation) < moment:
            time.sleep(seeded.uniform(0, 0.01))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    done = set(made.extensions())
    assert done < set(arns)
    result = run(made)
    assert result.complete
    assert counts(result) == {Result.ALREADY: len(done), Result.EXTENDED: 120 - len(done)}
    extensions = made.extensions()
    assert set(extensions) == set(arns)
    for staged in made.listed(STAGING):
        assert extensions[staged["arn"]]["tags"] == staged["tags"]
