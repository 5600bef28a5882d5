"""The command line as a person runs it: exit statuses, messages, and nothing half-written."""

import json
import os
import re
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import (
    REGION,
    ROOT,
    STAGING,
    TARGET,
    Embedded,
    Stage,
    Validator,
    run_validator,
)
from tests.docs.tour import missing
from tests.emulator.test_aws_cli import Cli
from tests.emulator.test_drs import initialise
from tests.emulator.test_drs import template as console_template
from validator.quotas import REPLICATING_SERVERS, TOTAL_SERVERS

pytestmark = pytest.mark.slow
TFVARS = Path("terraform/envs/staging/estate.auto.tfvars")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def report(checkout: Path, command: str = "plan") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(
        (checkout / "build/staging" / command / "report.json").read_text()
    )
    return loaded


def test_bootstrap_says_what_is_missing(called: Validator, running: Embedded) -> None:
    assert called("bootstrap", "staging", "--dry-run").returncode == 1


BAD_VALUES = [
    ("a misspelt key", "recovery_region", "recovery_regoin", 2, "recovery_regoin"),
    ("an id of 11 digits", f'"{STAGING}"', '"44445555666"', 1, "12 digits"),
    ("one id twice", f'"{STAGING}"', f'"{TARGET}"', 1, TARGET),
    ("half a file", "target = {", "target = ", 2, "estate.auto.tfvars"),
    ("another env", '"staging"', '"prod"', 2, "prod"),
]


@pytest.mark.parametrize(
    ("old", "new", "status", "said"), [b[1:] for b in BAD_VALUES], ids=[b[0] for b in BAD_VALUES]
)
def test_bad_values(
    checkout: Path, called: Validator, old: str, new: str, status: int, said: str
) -> None:
    edit(checkout / TFVARS, old, new)
    done = called("plan", "staging")
    assert done.returncode == status
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_no_values(checkout: Path, called: Validator) -> None:
    (checkout / TFVARS).unlink()
    done = called("plan", "staging")
    assert done.returncode == 2
    assert "missing" in done.stderr


def test_no_terraform(checkout: Path, called: Validator, running: Embedded) -> None:
    done = called("plan", "staging", PATH="/nowhere")
    assert done.returncode == 2
    assert "no `terraform` on PATH" in done.stderr
    assert not (checkout / "build/staging/plan/report.json").exists()


def test_a_failing_terraform_leaves_no_old_report(
    checkout: Path, called: Validator, running: Embedded
) -> None:
    stale = checkout / "build/staging/plan/report.json"
    stale.parent.mkdir(parents=True)
    stale.write_text('{"verdict": "holds"}')
    with (checkout / "terraform/envs/staging/checks.tf").open("a") as file:
        file.write("this is no HCL")
    done = called("plan", "staging")
    assert done.returncode == 2
    assert not stale.exists()


def test_an_env_that_is_not_there(called: Validator) -> None:
    done = called("plan", "nowhere")
    assert done.returncode == 2
    assert "dev, prod, staging" in done.stderr


def test_bad_usage(validator: Validator) -> None:
    assert validator("plan").returncode == 2
    assert validator("frobnicate").returncode == 2


SPOILT = [
    ("cut short", "plan.tfplan", lambda b: b[:-100], "staging", "was changed"),
    ("empty", "plan.tfplan", lambda b: b"", "staging", "was changed"),
    ("no record", "saved.json", lambda b: b[: len(b) // 2], "staging", "cannot be read"),
    ("of another env", "saved.json", lambda b: b, "dev", "is a plan of env staging"),
    ("violated", "saved.json", lambda b: b.replace(b'"holds"', b'"violated"'), "staging", "violated"),
    ("of no verdict", "saved.json", lambda b: b.replace(b'"holds"', b'"unknown"'), "staging", "unknown"),
    ("of another AWS", "saved.json", lambda b: b.replace(b'"embedded ', b'"aws'), "staging", "was made on aws"),
]  # fmt: skip


def test_only_the_plan_that_was_judged_is_applied(
    checkout: Path, called: Validator, planned_stage: Stage, planned_here: Embedded
) -> None:
    assert not missing("validator plan staging", planned_stage.said)
    assert report(checkout)["verdict"] == "holds"
    assert {"findings", "capacity", "changes"} <= set(report(checkout))
    folder, kept = checkout / "build/staging/plan", checkout / "kept"
    shutil.copytree(folder, kept)
    before = planned_here.door("calls", method="GET")

    def refused(env: str, said: str, why: str) -> None:
        done = called("apply", env)
        assert done.returncode == 2, why
        assert said in done.stderr, why
        assert done.stdout == "", why

    for why, name, spoil, env, said in SPOILT:
        there = checkout / "build" / env / "plan"
        shutil.rmtree(there, ignore_errors=True)
        shutil.copytree(kept, there)
        (there / name).write_bytes(spoil((kept / name).read_bytes()))
        refused(env, said, why)
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)
    with (checkout / "terraform/modules/staging-trust/role.tf").open("a") as file:
        file.write("# changed\n")
    refused("staging", "code has changed", "changed code")
    assert planned_here.door("calls", method="GET") == before, "AWS was called"


def test_a_build_folder_that_cannot_be_made(checkout: Path, called: Validator) -> None:
    (checkout / "build").write_text("in the way")
    done = called("plan", "staging")
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert str(checkout / "build") in done.stderr
    assert "disk full" in done.stderr


def test_a_disk_that_fills_up_leaves_no_report(checkout: Path, running: Embedded) -> None:
    """No file may grow past 25,000 bytes: a report fails half-way, as on a full disk."""
    done = subprocess.run(
        [str(ROOT / ".venv/bin/validator"), "verify", "staging"], cwd=checkout,
        env={**os.environ, "CLOUD": "embedded", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (25_000, 25_000)),
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert "build/staging/verify/report." in done.stderr
    assert list((checkout / "build/staging/verify").iterdir()) == []


def test_an_output_that_takes_nothing(checkout: Path, running: Embedded) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [str(ROOT / ".venv/bin/validator"), "invariants"], cwd=checkout,
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    named = str(checkout / "nowhere" / "report.json")
    elsewhere = run_validator(checkout, "verify", "staging", "--output", named)
    assert elsewhere.returncode == 2
    assert f"{named}: No such file" in elsewhere.stderr


def assert_that_the_aws_cli_agrees(cli: Cli, seen: dict[str, Any]) -> None:
    """Every number of live servers and quotas in a report, counted once more by what `aws` lists."""
    listed = {
        name: cli.drs(account, "describe-source-servers")["items"]
        for name, account in (("target", TARGET), ("staging-1", STAGING))
    }
    extensions = {
        status: {
            item["stagingArea"]["stagingSourceServerArn"]
            for item in listed["target"]
            if item["stagingArea"]["status"] == status
        }
        for status in ("EXTENDED", "EXTENSION_ERROR")
    }
    own = {
        name: [item for item in items if item["stagingArea"]["status"] == "NOT_EXTENDED"]
        for name, items in listed.items()
    }
    silent = {"STOPPED", "DISCONNECTED"}
    live = {
        name: {
            item["arn"]
            for item in items
            if item["dataReplicationInfo"]["dataReplicationState"] not in silent
        }
        for name, items in own.items()
    }
    staged = live["staging-1"]
    extended, failing = extensions["EXTENDED"], extensions["EXTENSION_ERROR"]
    exact = {
        "target": len(live["target"]),
        "staging": len(extended),
        "protected": len(live["target"]) + len(extended),
        "in_target": len(listed["target"]),
    }
    servers = seen["servers"]
    assert {k: servers[k] for k in exact} == {k: bounds(n) for k, n in exact.items()}
    assert servers["replicating"] == {name: bounds(len(arns)) for name, arns in live.items()}
    assert {name: n for name, n in servers["standings"].items() if n} == {
        name: n
        for name, n in {
            "protected": len(live["target"]),
            "extended": len(staged & extended),
            "extension error": len(staged & failing),
            "missing": len(staged - extended - failing),
            "stale": sum(len(own[name]) - len(live[name]) for name in own),
        }.items()
        if n
    }
    for row in seen["capacity"]["accounts"]:
        account = row["account"]
        asked = ["service-quotas", "list-service-quotas", "--service-code", "drs"]
        quotas = cli.answer(row["id"], *asked)["Quotas"]
        values = {each["QuotaCode"]: each["Value"] for each in quotas}
        assert row["quota"] == values[REPLICATING_SERVERS.code]
        assert row["replicating"] == len(live[account])
        here = account == "target"
        assert row["extended"] == (len(extended) if here else 0)
        assert row["extension_errors"] == (len(failing) if here else 0)
        if here:
            assert seen["capacity"]["target_total_quota"] == values[TOTAL_SERVERS.code]


def bounds(number: int) -> dict[str, int]:
    return {"lower": number, "upper": number}


def test_what_a_plan_of_an_applied_estate_would_break(
    checkout: Path, called: Validator, applied_here: Embedded
) -> None:
    """Too many servers, an open key, one known only after the apply, and effects, of which one is accepted.

    Nothing is applied.
    """
    text = re.sub(r"(servers +=) 300", r"\1 301", (checkout / TFVARS).read_text(), count=1)
    (checkout / TFVARS).write_text(text)
    modules = checkout / "terraform/modules"
    edit(
        modules / "replication-key/policy.tf",
        '      condition {\n        test     = "StringEquals"\n'
        '        variable = "kms:CallerAccount"\n        values   = [statement.value]\n      }\n',
        "",
    )
    key = modules / "replication-key/key.tf"
    edit(key, 'resource "aws_kms_key" "this"', 'resource "aws_kms_key" "other"')
    for file in (key, key.with_name("outputs.tf")):
        file.write_text(file.read_text().replace("aws_kms_key.this", "aws_kms_key.other"))
    edit(
        modules / "shared-key/policy.tf",
        '["arn:aws:iam::${var.account_id}:root"]',
        '["arn:aws:iam::${var.account_id}:root", terraform_data.later.id]',
    )
    with (modules / "shared-key/key.tf").open("a") as file:
        file.write('resource "terraform_data" "later" {}\n')
    (checkout / "build/staging/plan/saved.json").unlink()
    done = called("apply", "staging", "--accept", "no-server-is-resynchronised")
    assert done.returncode == 1, done.stderr
    violated = [f for f in report(checkout)["findings"] if f["outcome"] == "violated"]
    assert {f["invariant"]: f["waived"] is not None for f in violated} == {
        "account-replicates-within-quota": False,
        "declared-headroom-is-kept": False,
        "declared-servers-fit-the-estate": False,
        "no-key-is-destroyed": False,
        "no-server-is-resynchronised": True,
        "other-accounts-use-the-key-through-ec2-only": False,
        "waves-recover-every-server": False,
    }
    unknown = [f for f in report(checkout)["findings"] if f["outcome"] == "unknown"]
    assert {"grants-are-for-aws-resources-only", "owner-keeps-administration"} <= {
        f["invariant"] for f in unknown
    }
    line = 1 + text[: text.index("301")].count("\n")
    assert f"target ({TARGET}) in {REGION} is declared to replicate 301" in done.stdout
    assert "the quota is 300" in done.stdout
    assert f"estate.auto.tfvars:{line}" in done.stdout
    assert "without kms:CallerAccount" in done.stdout
    assert "module.target_shared_key.terraform_data.later.id" in done.stdout
    assert "300 declared servers" in done.stdout
    assert "accepted by name" in done.stdout
    assert "Applied" not in done.stdout


def test_what_is_no_effect_cannot_be_accepted(called: Validator) -> None:
    done = called("plan", "staging", "--accept", "account-ids-are-distinct")
    assert done.returncode == 2
    assert "account-ids-are-distinct" in done.stderr
    assert "terraform" not in done.stderr.lower()


def test_apply_and_verify(
    checkout: Path, called: Validator, applied_stage: Stage, applied_here: Embedded
) -> None:
    cli = Cli(applied_here, checkout)
    assert "Terraform will change nothing" in applied_stage.said
    assert called("bootstrap", "staging", "--dry-run").returncode == 0

    empty = called("verify", "staging")
    assert empty.returncode == 1
    assert "0 source servers replicate in target; 300 are declared" in empty.stdout

    for account in (TARGET, STAGING):
        applied_here.door("source-servers", {"account": account, "region": REGION, "count": 300})
    done = called("verify", "staging")
    assert done.returncode == 1
    assert done.stdout.count(f"is not extended into {TARGET}") == 300
    assert report(checkout, "verify")["counts"] == {
        **report(checkout, "verify")["counts"],
        "unknown": 0,
    }  # type: ignore[dict-item]

    would = called("extend", "staging", "--dry-run")
    assert would.returncode == 0, would.stdout
    assert "staging-1: 300 would be extended" in would.stdout
    assert "The target holds 300 of 4000" in would.stdout
    extended = called("extend", "staging")
    assert extended.returncode == 0, extended.stdout + extended.stderr
    assert "staging-1: 300 extended" in extended.stdout
    again = called("extend", "staging")
    assert again.returncode == 0
    assert "staging-1: 300 already extended" in again.stdout
    assert "The target holds 600 of 4000" in again.stdout
    assert called("extend", "staging", "--limit", "0").returncode == 2
    assert called("extend", "staging", "--tag", "nonsense").returncode == 2
    whole = called("verify", "staging")
    assert whole.returncode == 0, whole.stdout
    assert_that_the_aws_cli_agrees(cli, report(checkout, "verify"))

    applied_here.door("faults", {"kind": "deny", "service": "drs"})
    denied = called("verify", "staging")
    assert denied.returncode == 2
    assert "AccessDeniedException" in denied.stdout
    applied_here.door("faults", method="DELETE")
    kept = (checkout / "build/staging/history/verify.jsonl").read_text().splitlines()
    counted = [
        (r["in_target"], [a["replicating"] for a in r["accounts"]]) for r in map(json.loads, kept)
    ]
    assert counted == [(0, [0, 0]), (300, [300, 300]), (600, [300, 300]), (None, [None, None])]

    iam = applied_here.client("iam", STAGING)
    iam.detach_role_policy(
        RoleName=f"DRSStagingAccountRole_{TARGET}",
        PolicyArn="arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryStagingAccountPolicy_v2",
    )
    place = {"account": STAGING, "region": REGION}
    (first,) = applied_here.client("drs", STAGING).describe_source_servers(maxResults=1)["items"]
    silent = {"ids": [first["sourceServerID"]], "state": "DISCONNECTED"}
    applied_here.door("source-servers/state", {**place, **silent})
    broken = called("verify", "staging")
    assert broken.returncode == 1
    assert_that_the_aws_cli_agrees(cli, report(checkout, "verify"))
    assert "extensions-are-healthy" in broken.stdout


def test_a_template_that_a_console_left_is_imported(
    checkout: Path, called: Validator, planned_here: Embedded
) -> None:
    drs = initialise(planned_here, TARGET)
    made = drs.create_replication_configuration_template(**console_template())
    refused = called("apply", "staging")
    assert refused.returncode == 2
    assert "`validator bootstrap staging`, which imports it" in refused.stderr

    would = called("bootstrap", "staging", "--dry-run")
    assert would.returncode == 1
    text = (
        f"template {made['replicationConfigurationTemplateID']} {{}} as module.target_replication"
    )
    assert text.format("would be imported") in would.stderr
    done = called("bootstrap", "staging")
    assert done.returncode == 0, done.stderr
    assert text.format("imported") in done.stderr
    again = called("bootstrap", "staging", "--dry-run")
    assert again.returncode == 0
    assert "imported" not in again.stderr
