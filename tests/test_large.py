"""An inventory of 3,950 servers becomes an estate of 14 accounts, and is recoverable from one of them.

Every step is a command as a person runs it, on one embedded AWS: `make test-large`.
"""

import csv
import json
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ORCHESTRATION, Embedded, Validator
from validator.quotas import REPLICATING_SERVERS, SERVERS_IN_ALL_JOBS

pytestmark = [pytest.mark.slow, pytest.mark.large]

SERVERS = 3950
TARGET = "400000000000"
STAGING = [f"5000000000{number:02}" for number in range(1, 14)]
SOURCE = "us-east-1"
MINUTES = 20


def wave(number: int) -> str:
    return f"wave-{1 + number // SERVERS_IN_ALL_JOBS.value}"


def priority(number: int) -> str:
    return str(1 + number % 3)


def inventory(file: Path, accounts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Writes the inventory, and returns its rows by instance id; the first server recovers first.

    `accounts` are those that the servers run in, by instance id.
    """
    rows = [
        {
            "instance_id": f"i-{number:017x}",
            "account": accounts.get(f"i-{number:017x}", ""),
            "name": f"server-{number:04}",
            "region": SOURCE,
            "disks": "30;100" if number % 2 else "30;200;200",
            "vcpu": str(2 + 2 * (number % 4)),
            "platform": "linux",
            "dr:wave": wave(number),
            "dr:priority": priority(number),
        }
        for number in range(SERVERS)
    ]
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        # The order of an inventory says nothing.
        writer.writerows(rows[::-1])
    return {row["instance_id"]: row for row in rows}


def test_beyond_six_hundred(
    running: Embedded, checkout: Path, validator: Validator, tmp_path: Path
) -> None:
    began, took = time.monotonic(), {}

    def done(step: str, *arguments: str) -> str:
        start = time.monotonic()
        finished = validator(*arguments, timeout=900)
        took[step] = round(time.monotonic() - start)
        assert finished.returncode == 0, f"{arguments}: {finished.stdout[-3000:]}{finished.stderr}"
        return str(finished.stdout)

    def report(command: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(
            (checkout / "build/big" / command / "report.json").read_text()
        )
        return loaded

    # An inventory that does not say where its servers run is given accounts, and they move there.
    inventory(tmp_path / "servers.csv", {})
    asked = ("--inventory", str(tmp_path / "servers.csv"), "--headroom", "0")
    accounts = [word for each in STAGING for word in ("--staging", each)]
    at_hand = ("--target", TARGET, *accounts)
    sized = json.loads(done("size", "size", *asked, *at_hand, "--format", "json"))
    assert len(sized["accounts"]) == 1 + len(STAGING)
    homes = {id_: each["id"] for each in sized["accounts"] for id_ in each["instance_ids"]}

    # An inventory becomes an estate.
    rows = inventory(tmp_path / "servers.csv", homes)
    new = ("--like", "staging", "--target", TARGET, "--orchestration", ORCHESTRATION, *accounts)
    done("new-env", "new-env", "big", *new, "--servers", str(SERVERS))
    done("size --write", "size", "big", *asked, "--write")
    placed = {each["id"]: each["instance_ids"] for each in report("size")["accounts"]}
    assert sorted(placed) == [TARGET, *STAGING]
    assert {id_: account for account, ids in placed.items() for id_ in ids} == homes
    assert Counter(i for ids in placed.values() for i in ids) == Counter(list(rows))
    assert all(len(ids) <= REPLICATING_SERVERS.value for ids in placed.values())

    # It is gated, planned and applied.
    done("gate", "gate", "big")
    done("plan", "plan", "big")
    done("apply", "apply", "big")

    # Its instances run, with the tags of the inventory: EC2 gives them ids of its own.
    for account, ids in placed.items():
        for (in_wave, of_priority), count in Counter(
            (rows[each]["dr:wave"], rows[each]["dr:priority"]) for each in ids
        ).items():
            body = {"account": account, "region": SOURCE, "count": count}
            tags = {"dr:wave": in_wave, "dr:priority": of_priority}
            running.door("instances", {**body, "profile": "DRSAgentInstallRole-big", "tags": tags})

    # Agents, extensions, recovery plans, and the proof.
    deployed = done("deploy", "deploy", "big", "--poll-seconds", "2")
    assert "succeeded (every instance replicates)" in deployed
    extended = done("extend", "extend", "big")
    assert f"The target holds {SERVERS} of 4000 source servers." in extended
    planned = done("recovery-plans", "recovery-plans", "big")
    assert f"{SERVERS} servers in 40 plans." in planned
    shown = done("verify", "verify", "big")
    assert f"Recoverable from the target: {SERVERS}, of {SERVERS}" in shown
    assert "A full recovery takes 40 jobs in 8 rounds." in shown
    assert report("verify")["verdict"] == "holds"
    page = (checkout / "build/big/verify/report.html").read_text()
    assert all(account in page for account in placed)

    minutes = (time.monotonic() - began) / 60
    print(f"\n{minutes:.1f} minutes; seconds: {took}")
    assert minutes < MINUTES
