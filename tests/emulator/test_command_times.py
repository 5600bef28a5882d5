"""Run Command over time, on a clock that only the test moves."""

import itertools
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import ORCHESTRATION
from validator.emulator import agents, commands, instances, moto_patches
from validator.emulator.drs import models

pytestmark = pytest.mark.slow

REGION = "us-east-1"
INSTALL = models.delays["install"]
FOREVER = 3600
"""Seconds that AWS's document gives an installer."""

_accounts = itertools.count(300000000001)
_beginnings = itertools.count(1e9, 1e6)
"""When a test begins: later than all that one before left open."""


@pytest.fixture(scope="session")
def patched() -> None:
    """moto with what the embedded AWS puts into it, in this process."""
    moto_patches.install(ORCHESTRATION)


class Account:
    """An account with instances, whose time stands still between two calls."""

    def __init__(self, count: int, clock: Callable[[float], None]) -> None:
        self.id, self.wait = str(next(_accounts)), clock
        self.ids = instances.run(self.id, REGION, count)

    def call(self, method: str, **params: Any) -> Any:
        commands.settle()
        request = SimpleNamespace(body=json.dumps(params), current_account=self.id, region=REGION)
        return json.loads(commands.OPERATIONS[method](request))

    def send(self, **params: Any) -> str:
        sent = {
            "DocumentName": "AWS-RunShellScript",
            "InstanceIds": self.ids,
            "Parameters": {"commands": ["true"]},
        }
        return str(self.call("send_command", **(sent | params))["Command"]["CommandId"])

    def install(self, **params: Any) -> str:
        document = "AWSDisasterRecovery-InstallDRAgentOnInstance"
        return self.send(DocumentName=document, Parameters={"Region": ["us-west-2"]}, **params)

    def command(self, identifier: str) -> dict[str, Any]:
        (found,) = self.call("list_commands", CommandId=identifier)["Commands"]
        return dict(found)

    def states(self, identifier: str) -> list[str]:
        """The detailed states of the invocations, in the order of the instances."""
        found = self.call("list_command_invocations", CommandId=identifier)["CommandInvocations"]
        by_id = {each["InstanceId"]: each for each in found}
        for each in found:
            assert each["Status"] in STATUS_OF.get(each["StatusDetails"], {each["StatusDetails"]})
        return [by_id[each]["StatusDetails"] for each in self.ids]

    def order(self, outcome: str, *ids: str) -> None:
        agents.order(self.id, REGION, list(ids) or None, outcome)

    def ping(self, status: str, *ids: str) -> None:
        commands.settle()
        instances.ping(self.id, REGION, list(ids), status)


STATUS_OF = {
    "Delayed": {"Pending"},
    "DeliveryTimedOut": {"TimedOut"},
    "ExecutionTimedOut": {"TimedOut"},
    "Terminated": {"Cancelled"},
}


@pytest.fixture
def account(patched: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Account]:
    now = [next(_beginnings)]
    monkeypatch.setattr(commands, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def wait(seconds: float) -> None:
        now[0] += seconds

    return lambda count: Account(count, wait)


Make = Callable[[int], Account]


def counts(command: dict[str, Any]) -> tuple[int, int, int]:
    return command["TargetCount"], command["CompletedCount"], command["ErrorCount"]


def state(command: dict[str, Any]) -> tuple[str, str]:
    return command["Status"], command["StatusDetails"]


@pytest.mark.parametrize(
    ("allowed", "running"),
    [("1", 1), ("3", 3), ("50%", 2), ("10%", 1), (None, 4)],
    ids=["one", "a number", "per cent", "less than one", "fifty if nothing is said"],
)
def test_no_more_run_at_once_than_may(account: Make, allowed: str | None, running: int) -> None:
    a = account(4)
    sent = a.send(**({} if allowed is None else {"MaxConcurrency": allowed}))
    done = 0
    while done < 4:
        at_once = min(running, 4 - done)
        expected = ["Success"] * done + ["InProgress"] * at_once
        assert a.states(sent) == expected + ["Pending"] * (4 - len(expected))
        assert state(a.command(sent)) == ("InProgress", "InProgress")
        assert counts(a.command(sent)) == (4, done, 0)
        a.wait(INSTALL)
        done += at_once
    assert a.states(sent) == ["Success"] * 4
    assert state(a.command(sent)) == ("Success", "Success")


def test_time_goes_on_though_nobody_looks(account: Make) -> None:
    a = account(3)
    sent = a.send(MaxConcurrency="1")
    a.wait(10 * INSTALL)
    listed = a.call("list_command_invocations", CommandId=sent, Details=True)
    plugins = [each["CommandPlugins"][0] for each in listed["CommandInvocations"]]
    plugins.sort(key=lambda each: each["ResponseStartDateTime"])
    begun = [
        each["ResponseStartDateTime"] - plugins[0]["ResponseStartDateTime"] for each in plugins
    ]
    taken = [each["ResponseFinishDateTime"] - each["ResponseStartDateTime"] for each in plugins]
    assert begun == pytest.approx([0, INSTALL, 2 * INSTALL])
    assert taken == pytest.approx([INSTALL] * 3)


ERRORS = [
    ("none is allowed", None, "fssss", "FTTTT", ("Failed", "Failed")),
    ("one is allowed, and one comes", "1", "fssss", "FSSSS", ("Failed", "Incomplete")),
    ("one is allowed, and two come", "1", "fsfss", "FSFTT", ("Failed", "Failed")),
    ("a fifth is allowed", "20%", "ffsss", "FFTTT", ("Failed", "Failed")),
    ("less than one is allowed", "10%", "fssss", "FTTTT", ("Failed", "Failed")),
    ("all may fail", "100%", "fffff", "FFFFF", ("Failed", "Incomplete")),
    ("a hanging one is an error", None, "hssss", "XTTTT", ("TimedOut", "ExecutionTimedOut")),
    ("the last one fails", None, "ssssf", "SSSSF", ("Failed", "Failed")),
]
LETTERS = {"F": "Failed", "S": "Success", "T": "Terminated", "X": "ExecutionTimedOut"}


@pytest.mark.parametrize(
    ("allowed", "outcomes", "ends", "whole"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS]
)
def test_more_errors_than_may_end_a_command(
    account: Make, allowed: str | None, outcomes: str, ends: str, whole: tuple[str, str]
) -> None:
    a = account(5)
    for identifier, outcome in zip(a.ids, outcomes, strict=True):
        kinds = {"f": "failed", "h": "hang", "s": "unregistered"}
        a.order(kinds[outcome], identifier)
    more = {} if allowed is None else {"MaxErrors": allowed}
    sent = a.install(MaxConcurrency="1", **more, TimeoutSeconds=2 * FOREVER)
    a.wait(FOREVER + 5 * INSTALL)
    assert a.states(sent) == [LETTERS[each] for each in ends]
    assert state(a.command(sent)) == whole
    assert counts(a.command(sent)) == (5, 5, ends.count("F") + ends.count("X"))


def test_what_runs_when_the_errors_are_too_many_may_end(account: Make) -> None:
    a = account(4)
    a.order("failed", a.ids[0])
    a.order("hang", a.ids[1])
    sent = a.install(MaxConcurrency="2")
    a.wait(INSTALL)
    assert a.states(sent) == ["Failed", "InProgress", "Terminated", "Terminated"]
    assert state(a.command(sent)) == ("InProgress", "InProgress")


def test_a_hanging_install_ends_with_its_document_s_time(account: Make) -> None:
    a = account(1)
    a.order("hang")
    sent = a.install()
    a.wait(FOREVER - 1)
    assert a.states(sent) == ["InProgress"]
    a.wait(1)
    assert a.states(sent) == ["ExecutionTimedOut"]
    invocation = {"CommandId": sent, "InstanceId": a.ids[0]}
    assert a.call("get_command_invocation", **invocation)["ResponseCode"] == -1
    a.order("unregistered")
    again = a.install()
    a.wait(INSTALL)
    assert a.states(again) == ["Success"]


def test_who_is_offline_when_its_turn_comes_waits(account: Make) -> None:
    a = account(3)
    sent = a.send(MaxConcurrency="1", TimeoutSeconds=30)
    a.ping("ConnectionLost", *a.ids[1:])
    a.wait(INSTALL)
    assert a.states(sent) == ["Success", "Delayed", "Delayed"]
    assert state(a.command(sent)) == ("InProgress", "InProgress")
    a.ping("Online", a.ids[2])
    assert a.states(sent) == ["Success", "Delayed", "InProgress"]
    a.wait(29)
    assert a.states(sent) == ["Success", "DeliveryTimedOut", "Success"]
    assert state(a.command(sent)) == ("TimedOut", "DeliveryTimedOut")
    assert counts(a.command(sent)) == (3, 3, 0)
    assert a.command(sent)["DeliveryTimedOutCount"] == 1


def test_a_late_delivery_is_no_error_that_was_not_allowed(account: Make) -> None:
    a = account(2)
    sent = a.send(MaxConcurrency="1", MaxErrors="1", TimeoutSeconds=30)
    a.ping("ConnectionLost", a.ids[1])
    a.wait(30)
    assert a.states(sent) == ["Success", "DeliveryTimedOut"]
    assert state(a.command(sent)) == ("Failed", "Incomplete")


def test_who_goes_offline_while_it_runs_is_heard_of_no_more(account: Make) -> None:
    a = account(2)
    sent = a.install()
    a.order("unregistered")
    again = a.install()
    a.ping("ConnectionLost", a.ids[0])
    a.wait(2 * INSTALL)
    assert a.states(again) == ["InProgress", "Success"]
    a.wait(FOREVER)
    assert a.states(again) == ["ExecutionTimedOut", "Success"]
    assert a.states(sent) == ["ExecutionTimedOut", "Failed"]  # DRS is not initialised there


def test_who_waits_longer_than_its_turn_takes_is_not_sent_to(account: Make) -> None:
    a = account(2)
    a.order("hang", a.ids[0])
    sent = a.install(MaxConcurrency="1", TimeoutSeconds=60)
    a.wait(60)
    assert a.states(sent) == ["InProgress", "DeliveryTimedOut"]


def test_a_command_is_cancelled(account: Make) -> None:
    a = account(3)
    sent = a.send(MaxConcurrency="1")
    a.wait(INSTALL)
    assert a.states(sent) == ["Success", "InProgress", "Pending"]
    a.call("cancel_command", CommandId=sent)
    assert a.states(sent) == ["Success", "Cancelled", "Cancelled"]
    assert state(a.command(sent)) == ("Cancelled", "Cancelled")
    a.wait(10 * INSTALL)
    assert a.states(sent) == ["Success", "Cancelled", "Cancelled"]


def test_some_instances_of_a_command_are_cancelled(account: Make) -> None:
    a = account(3)
    sent = a.send(MaxConcurrency="1")
    a.call("cancel_command", CommandId=sent, InstanceIds=a.ids[:1])
    assert a.states(sent) == ["Cancelled", "InProgress", "Pending"]
    a.wait(2 * INSTALL)
    assert a.states(sent) == ["Cancelled", "Success", "Success"]
    assert state(a.command(sent)) == ("Failed", "Incomplete")
