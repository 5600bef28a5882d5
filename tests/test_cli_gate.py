"""`check`, `gate` and `explain` as a person runs them: what a pull request must pass."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Embedded, Validator
from tests.test_cli import TFVARS, edit

pytestmark = pytest.mark.slow

CHECKED = [
    ("good", "", "", 0, "holds"),
    ("301 servers", "servers           = 300", "servers           = 301", 1, "the quota is 300"),
    ("an unknown key policy", '${var.account_id}:root"]', '${var.account_id}:root", terraform_data.roles.id]', 2, "terraform_data.roles.id"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "status", "said"), [c[1:] for c in CHECKED], ids=[c[0] for c in CHECKED]
)
def test_check(
    checkout: Path, called: Validator, old: str, new: str, status: int, said: str
) -> None:
    """The code alone, with neither Terraform on PATH nor an AWS."""
    file = checkout / TFVARS
    if "terraform_data" in new:
        file = checkout / "terraform/modules/replication-key/policy.tf"
    if old:
        edit(file, old, new)
    done = called("check", "staging", PATH="/nowhere")
    assert done.returncode == status, done.stdout + done.stderr
    assert said in done.stdout
    assert str(checkout) not in done.stdout


def test_check_all_goes_on_after_an_env_that_cannot_be_read(
    checkout: Path, called: Validator
) -> None:
    (checkout / TFVARS).write_text("target = {")
    done = called("check", "--all", "--format", "json")
    assert done.returncode == 2
    assert "env staging" in done.stderr
    assert {run["env"] for run in json.loads(done.stdout)} == {"dev", "prod"}


def test_check_needs_envs_or_all(called: Validator) -> None:
    assert called("check").returncode == 2
    assert called("check", "--all", "dev").returncode == 2


def committed(checkout: Path) -> None:
    """The checkout as a repository with one commit."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "base"]):
        subprocess.run([*git, *command], cwd=checkout, check=True)


def test_check_compares_with_a_revision(checkout: Path, called: Validator) -> None:
    committed(checkout)
    text = re.sub(r"(servers +=) 300", r"\1 305", (checkout / TFVARS).read_text(), count=1)
    (checkout / TFVARS).write_text(text)
    done = called("check", "staging", "--base", "HEAD", "--format", "markdown")
    assert done.returncode == 1, done.stderr
    assert "300 → 305 of 300" in done.stdout
    missing = called("check", "staging", "--base", "nowhere", "--format", "markdown")
    assert missing.returncode == 1
    assert "Could not be compared" in missing.stdout


def test_explain_leads_from_the_declared_value_to_the_resource(
    checkout: Path, called: Validator
) -> None:
    edit(checkout / "terraform/modules/replication-key/key.tf", "enable_key_rotation     = true", "enable_key_rotation     = false")  # fmt: skip
    done = called("check", "staging", "--explain")
    assert done.returncode == 1
    chain = done.stdout[done.stdout.index("comes from") :]
    steps = ("staging_accounts.staging-1.account_id", "var.account_id", "aws_iam_policy_document.this", "aws_kms_key.this: policy")  # fmt: skip
    assert all(step in chain for step in steps)
    assert [chain.index(step) for step in steps] == sorted(chain.index(step) for step in steps)


def test_explain_an_invariant(called: Validator) -> None:
    done = called("explain", "no-key-is-destroyed")
    assert done.returncode == 0
    assert "Remedy:" in done.stdout
    assert called("explain", "nonsense").returncode == 2


def test_the_gate(checkout: Path, called: Validator, running: Embedded) -> None:
    """One env of each kind: one that is planned, and one whose accounts no Terraform may see."""
    shutil.rmtree(checkout / "terraform/envs/prod")
    committed(checkout)
    edit(checkout / TFVARS, "servers           = 300", "servers           = 305")
    dev = checkout / "terraform/envs/dev"
    edit(dev / "versions.tf", "  required_version", "     required_version")
    edit(dev / "estate.auto.tfvars", '"222233334444"', '"22223333444"')
    done = called("gate", "dev", "staging", "--base", "HEAD")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "terraform/envs/dev/versions.tf is not formatted" in done.stdout
    gate = checkout / "build/gate"
    assert {each.name for each in gate.iterdir()} == {"report.txt", "report.json", "report.sarif", "report.junit.xml", "report.md", "report.html"}  # fmt: skip
    comment = (gate / "report.md").read_text()
    assert "300 → 305 of 300" in comment
    assert "Could not be compared" not in comment
    new = comment[comment.index("New findings", comment.index("305 of 300")) :]
    assert "account-replicates-within-quota" in new[: new.index("Waivers")]
    assert "CKV" not in new[: new.index("Waivers")]
    runs = json.loads((gate / "report.json").read_text())
    assert [run["env"] for run in runs] == ["dev", "staging"]
    refused, planned = ({finding["family"] for finding in run["findings"]} for run in runs)
    assert {"checkov", "effects", "agreement", "terraform", "keys"} <= planned
    assert "accounts" in refused and not {"checkov", "effects"} & refused
    # Our own code and plan hold for checkov, or argue.
    found = [finding for finding in runs[1]["findings"] if finding["family"] == "checkov"]
    waived = [finding["waived"]["reason"] for finding in found if finding["waived"]]
    assert waived and all(len(reason.split()) > 10 for reason in waived)
    assert all(finding["outcome"] == "holds" or finding["waived"] for finding in found)
    assert all(finding["where"].startswith("terraform/") for finding in found if finding["waived"])


def test_the_gate_names_what_terraform_does_not_accept(
    checkout: Path, called: Validator, running: Embedded
) -> None:
    key = checkout / "terraform/modules/replication-key/key.tf"
    edit(key, "enable_key_rotation     = true", 'enable_key_rotation     = "often"')
    done = called("gate", "dev", "--format", "json")
    assert done.returncode == 1, done.stdout + done.stderr
    run = json.loads(done.stdout)
    (found,) = [each for each in run["findings"] if each["invariant"] == "code-is-valid"]
    assert found["outcome"] == "violated"
    assert all("enable_key_rotation" in each["text"] for each in found["messages"])
