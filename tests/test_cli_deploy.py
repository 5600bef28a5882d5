"""`deploy` as a person runs it: from an operator's machine, on an embedded AWS."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent_deployer.estates import RECOVERY, SOURCE, make_table
from tests.conftest import (
    ORCHESTRATION,
    ROOT,
    STAGING,
    TARGET,
    Embedded,
    Validator,
    use,
)
from tests.emulator.test_drs import initialise, template
from validator import handover
from validator.model import Part
from validator.sizing import Place, Server, Wish, size

pytestmark = pytest.mark.slow
TFVARS = Path("terraform/envs/staging/estate.auto.tfvars")
FAST = ("--poll-seconds", "1")


@pytest.fixture
def estate(running: Embedded) -> Iterator[Embedded]:
    """DRS in both accounts of env `staging`, and the table."""
    for account in (TARGET, STAGING):
        initialise(running, account).create_replication_configuration_template(**template())
    make_table(running, ORCHESTRATION, "drs-agent-deployments-staging")
    running.door("delays", {"install": 0.3, "initial-sync": 0.5})
    yield running


def run(estate: Embedded, account: str, count: int, **more: Any) -> list[str]:
    body = {"account": account, "region": SOURCE, "count": count, **more}
    return list(estate.door("instances", body)["instanceIDs"])


def report(checkout: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((checkout / "build/staging/deploy/report.json").read_text())
    return loaded


def payload(account: str, ids: list[str]) -> dict[str, Any]:
    """What `size` leaves for an account's instances."""
    own = [Server(each, "", account=account, disks=(8,)) for each in ids]
    places = [Place("target", Part.TARGET, TARGET), Place("staging-1", Part.STAGING, STAGING)]
    found, _ = handover.payloads(size(own, places, Wish()), SOURCE, RECOVERY)
    (made,) = found.values()
    return made


def test_a_deployment_from_its_plan_to_its_removal(
    estate: Embedded, checkout: Path, called: Validator
) -> None:
    ids = [*run(estate, TARGET, 3), *run(estate, STAGING, 2)]
    planned = called("deploy", "staging", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "5 instances in" in planned.stdout
    assert "0 are left out" in planned.stdout
    drs = estate.client("drs", TARGET)
    assert drs.describe_source_servers()["items"] == []
    done = called("deploy", "staging", *FAST, "--id", "first")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Deployment first: succeeded (every instance replicates)." in done.stdout
    assert report(checkout)["counts"] == {"replicating": 5}
    assert set(report(checkout)["instances"]) == set(ids)
    shown = called("deploy", "staging", "--status", "first", "--format", "json")
    assert shown.returncode == 0
    assert json.loads(shown.stdout) == report(checkout)
    again = called("deploy", "staging", *FAST)
    assert again.returncode == 0
    assert report(checkout)["counts"] == {"already": 5}
    assert not any(each in again.stdout for each in ids)
    (checkout / "payload.json").write_text(json.dumps(payload(STAGING, ids[3:])))
    planned = called("deploy", "staging", "--dry-run", "--payload", "payload.json")
    assert planned.returncode == 0
    assert "0 are left out, 2 replicate already" in planned.stdout
    listed = called("deploy", "staging", "--rollback", "first")
    assert listed.stdout.count("would be removed") == 5
    assert len(drs.describe_source_servers()["items"]) == 3
    removed = called("deploy", "staging", "--rollback", "first", "--remove")
    assert removed.stdout.count("\nremoved:") + removed.stdout.startswith("removed:") == 5
    assert drs.describe_source_servers()["items"] == []


def test_what_does_not_replicate_is_status_1_and_named(estate: Embedded, called: Validator) -> None:
    good, bad = run(estate, TARGET, 2)
    order = {"account": TARGET, "region": SOURCE, "ids": [bad], "outcome": "failed"}
    estate.door("installs", {**order, "output": "Error: no kernel headers"})
    done = called("deploy", "staging", *FAST, "--max-errors", "1")
    assert done.returncode == 1
    assert f"failed: {bad}" in done.stdout
    assert "no kernel headers" in done.stdout
    assert good not in done.stdout
    planned = called("deploy", "staging", "--dry-run")
    assert planned.returncode == 1
    assert f"refused: {bad}: failed-before" in planned.stdout
    estate.door("installs", {**order, "outcome": "success"})
    assert called("deploy", "staging", *FAST, "--retry-failed").returncode == 0


BAD_USAGE = [
    ("unknown account", ("--account", "nowhere"), "no target or staging account"),
    ("not a wave", ("--wave", "first"), "waves"),
    ("not an instance", ("--instance", "i-x"), "instance_ids"),
    ("no errors below none", ("--max-errors=-1",), "max_errors"),
    ("no name with a path", ("--id", "../x"), "deployment_id"),
    ("no such deployment", ("--status", "nothing"), "There is no deployment nothing"),
    ("nothing to resume", ("--resume", "nothing"), "There is no deployment nothing"),
    ("nothing to cancel", ("--cancel", "nothing"), "There is no deployment nothing"),
    ("nothing to roll back", ("--rollback", "nothing"), "There is no deployment nothing"),
    ("remove without a rollback", ("--remove",), "--rollback"),
    ("tags beside a question", ("--status", "one", "--tag"), "--tag: of a new deployment"),
    ("a dry run of an end", ("--cancel", "one", "--dry-run"), "--dry-run: of a new deployment"),
    ("waves of an old deployment", ("--resume", "one", "--wave", "wave-1"), "--wave: of a new"),
    ("what failed, of an end", ("--cancel", "one", "--retry-failed"), "--retry-failed: of a new"),
    ("machines' format of a list", ("--rollback", "one", "--format", "json"), "--format json"),
    ("no such payload", ("--payload", "none.json"), "none.json: cannot be read"),
    (
        "a payload that is no JSON",
        ("--payload", "terraform/envs/staging/backend.hcl"),
        "is no JSON",
    ),
    ("a folder for a payload", ("--payload", "terraform"), "terraform: cannot be read"),
    (
        "a wave beside a payload",
        ("--payload", "x", "--wave", "wave-1"),
        "--wave: stands in the payload",
    ),
    (
        "a payload of an end",
        ("--cancel", "one", "--payload", "x"),
        "--payload: of a new deployment",
    ),
    ("no tagged instance", (), "nothing to deploy onto"),
]


@pytest.fixture(scope="module")
def empty(embedded: Embedded) -> Embedded:
    """An estate that has no instances."""
    for account in (TARGET, STAGING):
        initialise(embedded, account).create_replication_configuration_template(**template())
    make_table(embedded, ORCHESTRATION, "drs-agent-deployments-staging")
    return embedded


@pytest.mark.parametrize(
    ("arguments", "said"), [b[1:] for b in BAD_USAGE], ids=[b[0] for b in BAD_USAGE]
)
def test_bad_usage(
    empty: Embedded, checkout: Path, called: Validator, arguments: tuple[str, ...], said: str
) -> None:
    use(checkout, empty)
    done = called("deploy", "staging", *arguments)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_table(running: Embedded, called: Validator) -> None:
    for account in (TARGET, STAGING):
        initialise(running, account)
    run(running, TARGET, 1)
    done = called("deploy", "staging")
    assert done.returncode == 2
    assert "apply the env first" in done.stderr


def test_without_the_deployer(estate: Embedded, called: Validator) -> None:
    run(estate, TARGET, 1)
    done = called("deploy", "staging", "--via", "lambda")
    assert done.returncode == 2
    assert "drs-agent-deployer-staging" in done.stderr


def selectors(checkout: Path, text: str, *, net: str = "20") -> None:
    file = checkout / TFVARS
    (old,) = re.findall(rf' +staging_area_cidr = "10.240.{net}.0/24"', file.read_text())
    file.write_text(file.read_text().replace(old, f"{old}\n  selectors = {{ {text} }}"))


def tags(estate: Embedded, instance: str, account: str = TARGET) -> dict[str, str]:
    ec2 = estate.client("ec2", account, SOURCE)
    found = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [instance]}])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def test_tags_by_a_selector_and_then_deployed(
    estate: Embedded, checkout: Path, called: Validator
) -> None:
    selectors(checkout, 'web = { priority = "2", tags = { Tier = "web" }, wave = "wave-3" }')
    bare = {"dr:enabled": "false", "dr:wave": "", "dr:priority": ""}
    (web,) = run(estate, TARGET, 1, tags={**bare, "Tier": "web"})
    (other,) = run(estate, TARGET, 1, tags={**bare, "Tier": "app"})
    planned = called("deploy", "staging", "--tag", "--dry-run")
    assert "1 instances would be tagged" in planned.stderr
    assert tags(estate, web)["dr:enabled"] == "false"
    done = called("deploy", "staging", "--tag", *FAST)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {k: v for k, v in tags(estate, web).items() if k.startswith("dr:")} == {
        "dr:account-type": "target",
        "dr:enabled": "true",
        "dr:priority": "2",
        "dr:recovery-strategy": "drs",
        "dr:target-region": RECOVERY,
        "dr:wave": "wave-3",
    }
    assert tags(estate, other)["dr:enabled"] == "false"
    again = called("deploy", "staging", "--tag", *FAST)
    assert "instances tagged" not in again.stderr


def test_instances_of_a_staging_account_say_whose_they_are(
    estate: Embedded, checkout: Path, called: Validator
) -> None:
    web = 'web = { priority = "1", tags = { Tier = "web" }, wave = "wave-1" }'
    selectors(checkout, web, net="21")
    (instance,) = run(estate, STAGING, 1, tags={"dr:enabled": "false", "Tier": "web"})
    assert called("deploy", "staging", "--tag", *FAST).returncode == 0
    found = tags(estate, instance, STAGING)
    assert (found["dr:account-type"], found["dr:target-account"]) == ("staging", TARGET)


BAD_SELECTORS = [
    ("a wave of nothing", '"wave-0"', '"1"', 'Tier = "web"', "must be such as wave-1"),
    ("a priority of nothing", '"wave-1"', '"10"', 'Tier = "web"', "from 1 to 9"),
    ("every instance", '"wave-1"', '"1"', "", "would find every instance"),
]


@pytest.mark.parametrize(
    ("wave", "priority", "wanted", "said"),
    [b[1:] for b in BAD_SELECTORS],
    ids=[b[0] for b in BAD_SELECTORS],
)
def test_a_bad_selector_tags_nothing(
    running: Embedded,
    checkout: Path,
    called: Validator,
    wave: str,
    priority: str,
    wanted: str,
    said: str,
) -> None:
    (instance,) = run(running, TARGET, 1, tags={"Tier": "web"})
    before = tags(running, instance)
    selectors(checkout, f"web = {{ priority = {priority}, tags = {{ {wanted} }}, wave = {wave} }}")
    done = called("deploy", "staging", "--tag")
    assert done.returncode == 2
    assert said in done.stderr
    assert "estate.auto.tfvars:" in done.stderr
    assert tags(running, instance) == before


def test_two_selectors_that_disagree_tag_nothing(
    running: Embedded, checkout: Path, called: Validator
) -> None:
    (instance,) = run(running, TARGET, 1, tags={"Tier": "web", "Team": "a"})
    before = tags(running, instance)
    selectors(
        checkout,
        'a = { priority = "1", tags = { Team = "a" }, wave = "wave-1" }, '
        'web = { priority = "2", tags = { Tier = "web" }, wave = "wave-1" }',
    )
    done = called("deploy", "staging", "--tag")
    assert done.returncode == 2
    assert instance in done.stderr
    assert tags(running, instance) == before


def test_an_interrupted_deployment_is_resumed(
    estate: Embedded, checkout: Path, called: Validator
) -> None:
    ids = run(estate, TARGET, 4)
    estate.door("delays", {"install": 3.0})
    command = [str(ROOT / ".venv/bin/validator"), "deploy", "staging", *FAST, "--id", "cut-off"]
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME"}}
    process = subprocess.Popen(
        command, cwd=checkout, env={**kept, "CLOUD": "embedded"}, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "sent" in line:
            process.send_signal(signal.SIGINT)
            break
    assert process.wait(60) == 2
    estate.door("delays", {"install": 0.3})
    time.sleep(1)
    resumed = called("deploy", "staging", "--resume", "cut-off")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    ssm = estate.client("ssm", TARGET, SOURCE)
    sent = ssm.list_command_invocations()["CommandInvocations"]
    assert sorted(each["InstanceId"] for each in sent) == sorted(ids)
