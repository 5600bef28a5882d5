"""Reading live accounts: no server lost, none twice, no false `holds`, and no call too many."""

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.check import VALIDATOR
from benchmarks.verify import checkout
from tests.conftest import STAGING, TARGET, Embedded
from tests.operations.estates import (
    SECOND,
    STAGING_ACCOUNTS,
    Made,
    applied,
    replication_template,
)
from validator.findings import Outcome
from validator.invariants import INVARIANTS, judge
from validator.model import Account, Estate, Unknown
from validator.operations.extend import extend
from validator.quotas import REPLICATING_SERVERS, TOTAL_SERVERS
from validator.reconciliation import totals
from validator.sources import live

pytestmark = pytest.mark.slow

PAGE = 200
"""Servers on a page of DescribeSourceServers."""
PER_ACCOUNT, TOTAL = REPLICATING_SERVERS.value, TOTAL_SERVERS.value
MEMORY = 250 * 2**20


@pytest.fixture(autouse=True)
def no_faults_left(embedded: Embedded) -> Iterator[None]:
    yield
    embedded.door("faults", method="DELETE")


def read(made: Made, *, deep: bool = False) -> Estate:
    return live.read(made.declared, "staging", made.opener, deep=deep)


def of(account: Account) -> list[str]:
    """The ARNs of an account's servers, in one order."""
    assert not isinstance(account.servers, Unknown)
    return sorted(server.arn for server in account.servers)


@pytest.fixture(scope="module")
def imperfect(embedded: Embedded) -> Made:
    """An estate, two of its accounts of two pages, with a server of most standings: the truth under every fault."""
    made = applied(embedded, staging=2)
    kept = made.register(PAGE + 9)
    made.register(10, SECOND)
    extend(made.declared, made.opener, launch=None, dry_run=False)
    made.register(3)  # missing
    place = {"account": STAGING, "region": made.region}
    ids = [arn.rsplit("/", 1)[1] for arn in kept]
    embedded.door("source-servers/state", {**place, "ids": ids[:2], "state": "DISCONNECTED"})
    embedded.door("source-servers/state", {**place, "ids": ids[2:4], "state": "STALLED"})
    embedded.door("source-servers/state", {**place, "ids": ids[4:5], "lag": 86400})
    return made


@pytest.fixture(scope="module")
def truth(imperfect: Made) -> Estate:
    return read(imperfect)


SAME: list[tuple[str, dict[str, Any]]] = [
    ("a third of calls is throttled", {"kind": "throttle", "every": 3}),
    ("a third of DRS's calls fails", {"kind": "error500", "service": "drs", "every": 3}),
    ("calls go unanswered", {"kind": "drop", "every": 7}),
    ("AWS is slow", {"kind": "slow", "service": "drs", "every": 9, "seconds": 0.5}),
    ("credentials expire", {"kind": "expire", "account": STAGING, "after": 6, "times": 1}),
    ("pages without items", {"kind": "empty-page", "service": "drs", "every": 2}),
    ("roles on pages without items", {"kind": "empty-page", "service": "iam", "every": 2}),
    ("keys on pages without items", {"kind": "empty-page", "service": "kms", "every": 2}),
]


@pytest.mark.parametrize("fault", [each[1] for each in SAME], ids=[each[0] for each in SAME])
def test_what_passes_by_itself_changes_nothing(
    imperfect: Made, truth: Estate, fault: dict[str, Any]
) -> None:
    imperfect.embedded.door("faults", fault)
    found = read(imperfect)
    assert [of(each) for each in found.protected] == [of(each) for each in truth.protected]
    assert said(found) == said(truth)


def said(estate: Estate) -> dict[tuple[str, str], Outcome]:
    return {(f.invariant, f.subject): f.outcome for f in judge(estate, INVARIANTS).findings}


LASTING: list[tuple[str, dict[str, Any]]] = [
    ("one account is denied", {"kind": "deny", "account": SECOND}),
    ("DRS of the target is denied", {"kind": "deny", "account": TARGET, "service": "drs"}),
    ("no role can be assumed", {"kind": "deny", "operation": "AssumeRole"}),
    ("every call to DRS fails", {"kind": "error500", "service": "drs"}),
    ("servers are always throttled", {"kind": "throttle", "operation": "DescribeSourceServers", "account": STAGING}),
    ("the clock is off", {"kind": "skew", "hours": 2}),
    ("the second page is denied", {"kind": "deny", "operation": "DescribeSourceServers", "after": 1}),
    ("IAM is denied", {"kind": "deny", "service": "iam"}),
    ("KMS is denied", {"kind": "deny", "service": "kms"}),
    ("EC2 is denied", {"kind": "deny", "service": "ec2"}),
    ("quotas are denied", {"kind": "deny", "service": "servicequotas"}),
    ("functions are denied", {"kind": "deny", "service": "lambda"}),
    ("tables are denied", {"kind": "deny", "service": "dynamodb"}),
]  # fmt: skip


@pytest.mark.parametrize("fault", [each[1] for each in LASTING], ids=[each[0] for each in LASTING])
def test_what_cannot_be_read_is_never_fine(
    imperfect: Made, truth: Estate, fault: dict[str, Any]
) -> None:
    imperfect.embedded.door("faults", fault)
    found = read(imperfect)
    known = said(truth)
    for account, true in zip(found.protected, truth.protected, strict=True):
        # All of an account's servers, or none and a reason.
        assert isinstance(account.servers, Unknown) or of(account) == of(true)
    outcomes = said(found)
    false = {k for k, v in outcomes.items() if v is Outcome.HOLDS and known.get(k) is not v}
    assert not false
    assert Outcome.UNKNOWN in outcomes.values()
    bounds, exact = totals(found), totals(truth)
    for seen, true in ((bounds.protected, exact.protected), (bounds.in_target, exact.in_target)):
        assert seen.lower <= true.lower <= true.upper <= seen.upper


def test_a_server_that_vanishes_between_two_pages_takes_no_other_with_it(
    embedded: Embedded,
) -> None:
    made = applied(embedded)
    registered = made.register(2 * PAGE - 150)
    gone = made.listed(STAGING)[0]
    embedded.door(
        "faults",
        {
            "kind": "vanish",
            "operation": "DescribeSourceServers",
            "account": STAGING,
            "ids": [gone["sourceServerID"]],
        },
    )
    (account,) = read(made).staging
    assert not isinstance(account.servers, Unknown)
    found = Counter(server.arn for server in account.servers)
    assert set(registered) - {gone["arn"]} <= set(found) <= set(registered)
    assert set(found.values()) == {1}


def counted(embedded: Embedded, act: Callable[[], Any]) -> Counter[str]:
    """How often each operation is called meanwhile."""
    before = Counter(embedded.door("calls", method="GET"))
    act()
    return Counter(embedded.door("calls", method="GET")) - before


def test_the_largest_estate_is_read_in_pages_and_a_constant_for_each_account(
    embedded: Embedded, tmp_path: Path
) -> None:
    made = applied(embedded, staging=len(STAGING_ACCOUNTS))
    made.drs(TARGET).create_replication_configuration_template(
        **replication_template(ebsEncryption="DEFAULT")
    )
    empty = counted(embedded, lambda: read(made))
    own = TOTAL - PER_ACCOUNT * len(STAGING_ACCOUNTS)
    made.register(own, TARGET)
    for account in STAGING_ACCOUNTS:
        made.register(PER_ACCOUNT, account)
    made.extend_all()
    estates: list[Estate] = []
    full = counted(embedded, lambda: estates.append(read(made)))

    pages = [math.ceil(TOTAL / PAGE), *[math.ceil(PER_ACCOUNT / PAGE)] * len(STAGING_ACCOUNTS)]
    more = sum(pages) - len(pages)
    assert full - empty == Counter({"drs DescribeSourceServers": more})
    assert not empty - full

    (estate,) = estates
    assert totals(estate).protected.known == totals(estate).in_target.known == TOTAL
    folder = checkout(tmp_path / "large", made)
    assert memory_of_a_verification(folder) < MEMORY
    report = json.loads((folder / "build/staging/verify/report.json").read_text())
    assert report["servers"]["protected"] == {"lower": TOTAL, "upper": TOTAL}


MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def memory_of_a_verification(folder: Path) -> int:
    """Bytes that `validator verify` of a checkout holds at most.

    A small process starts and measures it: to a child, Linux counts what its parent held.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-c", MEASURED, VALIDATOR, "verify", "staging"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "CLOUD": "embedded"},
        capture_output=True,
        text=True,
    )
    return int(done.stdout) * 1024
