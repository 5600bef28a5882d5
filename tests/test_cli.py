"""The command line as a person runs it: exit statuses, messages, and nothing half-written."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import ORCHESTRATION, REGION, ROOT, STAGING, TARGET, Embedded, Validator
from validator import accounts
from validator.findings import Outcome
from validator.invariants import INVARIANTS, judge
from validator.sources import live, tfvars
from validator.tools import emulator as emulator_tool

pytestmark = pytest.mark.slow
TFVARS = Path("terraform/envs/staging/estate.auto.tfvars")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def report(checkout: Path, command: str = "plan") -> dict[str, object]:
    loaded: dict[str, object] = json.loads(
        (checkout / "build/staging" / command / "report.json").read_text()
    )
    return loaded


def test_a_good_estate_holds(checkout: Path, validator: Validator) -> None:
    done = validator("plan", "staging")
    assert done.returncode == 0, done.stderr
    assert "600 protected of the estate's capacity of 600" in done.stdout
    seen = report(checkout)
    assert seen["verdict"] == "holds"
    assert {"findings", "capacity", "changes"} <= set(seen)
    # The plan's emulator is gone, and so is what it planned: bootstrap is not silent about it.
    assert validator("bootstrap", "staging", "--dry-run").returncode == 1


def test_301_servers_are_one_too_many(checkout: Path, validator: Validator) -> None:
    text = re.sub(r"(servers +=) 300", r"\1 301", (checkout / TFVARS).read_text(), count=1)
    (checkout / TFVARS).write_text(text)
    done = validator("plan", "staging")
    assert done.returncode == 1
    line = 1 + text[: text.index("301")].count("\n")
    assert f"target ({TARGET}) in {REGION} is declared to replicate 301" in done.stdout
    assert "the quota is 300" in done.stdout
    assert f"estate.auto.tfvars:{line}" in done.stdout
    refused = validator("apply", "staging")
    assert refused.returncode in {1, 2}
    assert "Applied" not in refused.stdout


def test_a_key_policy_without_caller_account(checkout: Path, validator: Validator) -> None:
    edit(
        checkout / "terraform/modules/replication-key/policy.tf",
        '      condition {\n        test     = "StringEquals"\n'
        '        variable = "kms:CallerAccount"\n        values   = [statement.value]\n      }\n',
        "",
    )
    done = validator("plan", "staging")
    assert done.returncode == 1
    assert "without kms:CallerAccount" in done.stdout


def test_a_key_policy_that_is_known_only_after_apply(checkout: Path, validator: Validator) -> None:
    edit(
        checkout / "terraform/modules/replication-key/policy.tf",
        '["arn:aws:iam::${var.account_id}:root"]',
        '["arn:aws:iam::${var.account_id}:root", terraform_data.roles.id]',
    )
    done = validator("plan", "staging")
    assert done.returncode == 2
    assert report(checkout)["verdict"] == "unknown"
    assert "module.staging_1_replication_key.terraform_data.roles.id" in done.stdout


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
    checkout: Path, validator: Validator, old: str, new: str, status: int, said: str
) -> None:
    edit(checkout / TFVARS, old, new)
    done = validator("plan", "staging")
    assert done.returncode == status
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_no_values(checkout: Path, validator: Validator) -> None:
    (checkout / TFVARS).unlink()
    done = validator("plan", "staging")
    assert done.returncode == 2
    assert "missing" in done.stderr


def test_no_terraform(checkout: Path, validator: Validator) -> None:
    done = validator("plan", "staging", PATH="/nowhere")
    assert done.returncode == 2
    assert "no `terraform` on PATH" in done.stderr
    assert not (checkout / "build/staging/plan/report.json").exists()


def test_a_failing_terraform_leaves_no_old_report(checkout: Path, validator: Validator) -> None:
    stale = checkout / "build/staging/plan/report.json"
    stale.parent.mkdir(parents=True)
    stale.write_text('{"verdict": "holds"}')
    with (checkout / "terraform/envs/staging/checks.tf").open("a") as file:
        file.write("this is no HCL")
    done = validator("plan", "staging")
    assert done.returncode == 2
    assert not stale.exists()


def test_an_env_that_is_not_there(validator: Validator) -> None:
    done = validator("plan", "nowhere")
    assert done.returncode == 2
    assert "dev, prod, staging" in done.stderr


def test_bad_usage(validator: Validator) -> None:
    assert validator("plan").returncode == 2
    assert validator("frobnicate").returncode == 2


def test_ctrl_c_leaves_nothing_behind(checkout: Path) -> None:
    command = [str(ROOT / ".venv/bin/validator"), "plan", "staging", "--skip-checkov"]
    environment = {**os.environ, "CLOUD": "embedded"}
    process = subprocess.Popen(
        command, cwd=checkout, env=environment, stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "terraform plan" in line:
            break
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 2
    assert "Interrupted" in process.stderr.read()
    assert not list((checkout / "build/staging/plan").glob("*report*"))
    deadline = time.monotonic() + 20
    while (
        str(checkout)
        in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    ):
        assert time.monotonic() < deadline, "an orphan still runs"
        time.sleep(0.2)


def test_an_embedded_aws_that_dies_half_way(checkout: Path) -> None:
    """The plan ends soon, with one message, and leaves no report."""
    with emulator_tool.started("777788889999") as running:
        (checkout / "build").mkdir()
        (checkout / "build/emulator.json").write_text(json.dumps({"url": running.url}))
        process = subprocess.Popen(
            [str(ROOT / ".venv/bin/validator"), "plan", "staging", "--skip-checkov"], cwd=checkout,
            env={**os.environ, "CLOUD": "embedded"}, stderr=subprocess.PIPE, text=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if "terraform plan" in line:
                break
    said = process.stderr.read()
    assert process.wait(timeout=120) == 2
    assert "`terraform plan` failed" in said
    assert not list((checkout / "build/staging/plan").glob("*report*"))


def assert_that_no_denied_call_holds(checkout: Path, embedded: Embedded) -> None:
    """Denies each operation that a verification calls, one after the other."""
    declared = tfvars.read(checkout / TFVARS.parent)
    opener = accounts.opener(
        tfvars.text(declared, "access_role_name"), embedded.environment(ORCHESTRATION)
    )

    def outcome() -> Outcome:
        return judge(live.read(declared, "staging", opener), INVARIANTS).outcome

    before = embedded.door("calls", method="GET")
    assert outcome() is Outcome.HOLDS
    after = embedded.door("calls", method="GET")
    called = [name.split(" ") for name in after if after[name] != before.get(name)]
    assert {"sts", "iam", "kms", "drs", "ec2", "servicequotas"} == {
        service for service, _ in called
    }
    for service, operation in called:
        embedded.door("faults", {"kind": "deny", "service": service, "operation": operation})
        assert outcome() is Outcome.UNKNOWN, f"{service} {operation} was denied"
        embedded.door("faults", method="DELETE")


def test_apply_and_verify(checkout: Path, validator: Validator) -> None:
    with emulator_tool.started("777788889999") as running:
        (checkout / "build").mkdir()
        (checkout / "build/emulator.json").write_text(json.dumps({"url": running.url}))
        embedded = Embedded(running.url)
        applied = validator("apply", "staging")
        assert applied.returncode == 0, applied.stderr
        again = validator("plan", "staging")
        assert again.returncode == 0
        assert "Terraform will change nothing" in again.stdout
        assert validator("bootstrap", "staging", "--dry-run").returncode == 0

        empty = validator("verify", "staging")
        assert empty.returncode == 1
        assert "0 source servers replicate in target; 300 are declared" in empty.stdout

        for account in (TARGET, STAGING):
            embedded.door("source-servers", {"account": account, "region": REGION, "count": 300})
        done = validator("verify", "staging")
        assert done.returncode == 1
        assert done.stdout.count(f"is not extended into {TARGET}") == 300
        assert report(checkout, "verify")["counts"] == {
            **report(checkout, "verify")["counts"],
            "unknown": 0,
        }  # type: ignore[dict-item]

        drs = embedded.client("drs", TARGET)
        servers = embedded.client("drs", STAGING).get_paginator("describe_source_servers")
        for page in servers.paginate():
            for server in page["items"]:
                drs.create_extended_source_server(sourceServerArn=server["arn"])
        whole = validator("verify", "staging")
        assert whole.returncode == 0, whole.stdout

        embedded.door("faults", {"kind": "deny", "service": "drs"})
        denied = validator("verify", "staging")
        assert denied.returncode == 2
        assert "AccessDeniedException" in denied.stdout
        embedded.door("faults", method="DELETE")
        assert_that_no_denied_call_holds(checkout, embedded)

        iam = embedded.client("iam", STAGING)
        iam.detach_role_policy(
            RoleName=f"DRSStagingAccountRole_{TARGET}",
            PolicyArn="arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryStagingAccountPolicy_v2",
        )
        broken = validator("verify", "staging")
        assert broken.returncode == 1
        assert "extensions-are-healthy" in broken.stdout


CHECKED = [
    ("good", "", "", 0, "holds"),
    ("301 servers", "servers           = 300", "servers           = 301", 1, "the quota is 300"),
    ("an unknown key policy", '${var.account_id}:root"]', '${var.account_id}:root", terraform_data.roles.id]', 2, "terraform_data.roles.id"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "status", "said"), [c[1:] for c in CHECKED], ids=[c[0] for c in CHECKED]
)
def test_check(
    checkout: Path, validator: Validator, old: str, new: str, status: int, said: str
) -> None:
    """The code alone, with neither Terraform on PATH nor an AWS."""
    file = checkout / TFVARS
    if "terraform_data" in new:
        file = checkout / "terraform/modules/replication-key/policy.tf"
    if old:
        edit(file, old, new)
    done = validator("check", "staging", PATH="/nowhere")
    assert done.returncode == status, done.stdout + done.stderr
    assert said in done.stdout
    assert str(checkout) not in done.stdout


def test_check_all_goes_on_after_an_env_that_cannot_be_read(
    checkout: Path, validator: Validator
) -> None:
    (checkout / TFVARS).write_text("target = {")
    done = validator("check", "--all", "--format", "json")
    assert done.returncode == 2
    assert "env staging" in done.stderr
    assert {run["env"] for run in json.loads(done.stdout)} == {"dev", "prod"}


def test_check_needs_envs_or_all(validator: Validator) -> None:
    assert validator("check").returncode == 2
    assert validator("check", "--all", "dev").returncode == 2


def test_check_compares_with_a_revision(checkout: Path, validator: Validator) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "base"]):
        subprocess.run([*git, *command], cwd=checkout, check=True)
    text = re.sub(r"(servers +=) 300", r"\1 305", (checkout / TFVARS).read_text(), count=1)
    (checkout / TFVARS).write_text(text)
    done = validator("check", "staging", "--base", "HEAD", "--format", "markdown")
    assert done.returncode == 1, done.stderr
    assert "300 → 305 of 300" in done.stdout
    missing = validator("check", "staging", "--base", "nowhere", "--format", "markdown")
    assert missing.returncode == 1
    assert "Could not be compared" in missing.stdout


def test_explain_leads_from_the_declared_value_to_the_resource(
    checkout: Path, validator: Validator
) -> None:
    edit(checkout / "terraform/modules/replication-key/key.tf", "enable_key_rotation     = true", "enable_key_rotation     = false")  # fmt: skip
    done = validator("check", "staging", "--explain")
    assert done.returncode == 1
    chain = done.stdout[done.stdout.index("comes from") :]
    steps = ("staging_accounts.staging-1.account_id", "var.account_id", "aws_iam_policy_document.this", "aws_kms_key.this: policy")  # fmt: skip
    assert all(step in chain for step in steps)
    assert [chain.index(step) for step in steps] == sorted(chain.index(step) for step in steps)


def test_explain_an_invariant(validator: Validator) -> None:
    done = validator("explain", "no-key-is-destroyed")
    assert done.returncode == 0
    assert "Remedy:" in done.stdout
    assert validator("explain", "nonsense").returncode == 2


def test_an_effect_is_violated_until_it_is_accepted(checkout: Path, validator: Validator) -> None:
    with emulator_tool.started("777788889999") as running:
        (checkout / "build").mkdir()
        (checkout / "build/emulator.json").write_text(json.dumps({"url": running.url}))
        assert validator("apply", "dev").returncode == 0
        key = checkout / "terraform/modules/replication-key/key.tf"
        edit(key, 'resource "aws_kms_key" "this"', 'resource "aws_kms_key" "other"')
        for file in (key, key.with_name("outputs.tf")):
            file.write_text(file.read_text().replace("aws_kms_key.this", "aws_kms_key.other"))
        refused = validator("plan", "dev")
        assert refused.returncode == 1
        assert "no-key-is-destroyed" in refused.stdout
        assert "20 declared servers" in refused.stdout
        effects = ["no-key-is-destroyed", "no-server-is-resynchronised"]
        accepted = validator("plan", "dev", *(f"--accept={each}" for each in effects))
        assert accepted.returncode == 0, accepted.stdout
        assert "accepted by name" in accepted.stdout
        assert validator("plan", "dev", "--accept", "account-ids-are-distinct").returncode == 2


def test_the_gate(checkout: Path, validator: Validator) -> None:
    """One env of each kind: one that passes with checkov, and one whose code is not formatted."""
    shutil.rmtree(checkout / "terraform/envs/prod")
    file = checkout / "terraform/envs/dev/versions.tf"
    file.write_text(file.read_text().replace("  required_version", "     required_version"))
    done = validator("gate", "dev", "staging")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "code-is-formatted" in done.stdout
    gate = checkout / "build/gate"
    assert {each.name for each in gate.iterdir()} == {"report.txt", "report.json", "report.sarif", "report.junit.xml", "report.md"}  # fmt: skip
    runs = json.loads((gate / "report.json").read_text())
    assert [run["env"] for run in runs] == ["dev", "staging"]
    families = {finding["family"] for run in runs for finding in run["findings"]}
    assert {"checkov", "effects", "agreement", "terraform", "keys"} <= families
