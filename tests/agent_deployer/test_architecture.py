"""The architecture document's three deployments in its own accounts, and instances that replicate elsewhere."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent_deployer.estates import RECOVERY
from tests.agent_deployer.planned import (
    Planned,
    made,
    make_role,
    package,
    part,
    take_role_away,
)
from tests.conftest import ORCHESTRATION, ROOT, STAGING, TARGET, Embedded
from tests.provider import copy_terraform
from validator.sources import tfvars
from validator.tools import terraform

pytestmark = pytest.mark.slow

Json = dict[str, Any]
WAVES = ("wave-1", "wave-2", "wave-3")

STATE_HERE = """
terraform {
  backend "local" {}
}
"""
CROSSING = """
module "target_cross_account_agent_roles" {
  source    = "../../modules/cross-account-agent-roles"
  providers = { aws = aws.target }

  account_id      = var.target.account_id
  peer_account_id = var.staging_accounts["staging-1"].account_id
}

module "staging_1_cross_account_agent_roles" {
  source    = "../../modules/cross-account-agent-roles"
  providers = { aws = aws.staging_1 }

  account_id      = var.staging_accounts["staging-1"].account_id
  peer_account_id = var.target.account_id
}

module "target_cross_account_agent_document" {
  source    = "../../modules/cross-account-agent-document"
  providers = { aws = aws.target_source }

  environment      = var.environment
  into_account_ids = [var.staging_accounts["staging-1"].account_id]
  recovery_region  = var.recovery_region
}
"""
TARGETS = (
    "orchestration_agent_deployer",
    "staging_1_agent_instance_profile",
    "staging_1_cross_account_agent_roles",
    "staging_1_orchestration_role",
    "target_agent_instance_profile",
    "target_cross_account_agent_document",
    "target_cross_account_agent_roles",
    "target_orchestration_role",
)


def described(checkout: Path) -> Path:
    """Env `dev` with the document's accounts and external ids, and the modules that cross accounts."""
    env = checkout / "terraform/envs/dev"
    file = env / tfvars.FILE_NAME
    declared = tfvars.read(env)
    target, (staging,), _ = tfvars.accounts(declared)
    text = file.read_text().replace(target.id, TARGET).replace(staging.id, STAGING)
    for account in (TARGET, STAGING):
        text = re.sub(
            rf'("{account}"\n +external_id +=) "[^"]+"',
            rf'\1 "drs-orchestration-dev-{account}"',
            text,
        )
    file.write_text(text)
    (env / "state_override.tf").write_text(STATE_HERE)
    (env / "crossing.tf").write_text(CROSSING)
    return env


def planned(embedded: Embedded, env: Path, folder: Path) -> Json:
    """The plan of what deploys agents in an env."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
        **embedded.environment(ORCHESTRATION),
        "AWS_REGION": RECOVERY,
    }
    working = terraform.WorkingDirectory(env, folder / "data", environment, folder)
    working.init(backend_config={}, on_event=lambda _: None)
    targets = [f"-target=module.{name}" for name in TARGETS]
    done = subprocess.run(
        ["terraform", "plan", "-input=false", f"-out={folder / 'plan'}", *targets],
        cwd=env, env=working._environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    shown = working.show(folder / "plan")
    assert isinstance(shown, dict)
    return shown


@pytest.fixture(scope="module")
def document(embedded: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Planned:
    """The deployer of the document's estate."""
    checkout = tmp_path_factory.mktemp("document")
    copy_terraform(checkout)
    env = described(checkout)
    declared = tfvars.read(env)
    code = package(declared, checkout)
    plan = planned(embedded, env, checkout / "build")
    return made(embedded, plan, declared, code)


@pytest.fixture
def deployer(document: Planned) -> Iterator[Planned]:
    yield document
    document.clear()


def same_account(_: Planned) -> Json:
    """Pattern 1 as it stands."""
    return dict(
        json.loads(
            """{
  "source_account_id": "111122223333",
  "staging_account_id": "111122223333",
  "source_region": "us-east-1",
  "target_region": "us-west-2",
  "source_role_arn": "arn:aws:iam::111122223333:role/DRSOrchestrationRole-dev",
  "staging_role_arn": "arn:aws:iam::111122223333:role/DRSOrchestrationRole-dev",
  "external_id": "drs-orchestration-dev-111122223333",
  "deployment_pattern": "same-account"
}"""
        )
    )


def extended(deployer: Planned) -> Json:
    """Pattern 2 as it stands, with the id of a key."""
    key = deployer.client("kms", TARGET, RECOVERY).create_key()["KeyMetadata"]["KeyId"]
    return dict(
        json.loads(
            """{
  "source_account_id": "444455556666",
  "staging_account_id": "444455556666",
  "target_account_id": "111122223333",
  "source_region": "us-east-1",
  "target_region": "us-west-2",
  "source_role_arn": "arn:aws:iam::444455556666:role/DRSOrchestrationRole-dev",
  "staging_role_arn": "arn:aws:iam::444455556666:role/DRSOrchestrationRole-dev",
  "external_id": "drs-orchestration-dev-444455556666",
  "deployment_pattern": "extended-source-servers",
  "extended_source_server_config": {
    "target_account_id": "111122223333",
    "shared_kms_key_arn": "arn:aws:kms:us-west-2:111122223333:key/XXXXXXXX"
  }
}""".replace("XXXXXXXX", key)
        )
    )


def combined(deployer: Planned) -> Json:
    """Pattern 3, which the document has in words only."""
    both = [same_account(deployer), extended(deployer)]
    return {"deployment_pattern": "combined", "deployments": both}


def invoked(deployer: Planned, payload: Json, folder: Path) -> Json:
    """The execution that the document's own command starts, once it has ended."""
    (folder / "deployment.json").write_text(json.dumps(payload, indent=2))
    done = subprocess.run(
        [
            str(ROOT / ".venv/bin/aws"), "lambda", "invoke", "--region", RECOVERY,
            "--function-name", deployer.function,
            "--payload", "file://deployment.json", "response.json",
        ],
        cwd=folder,
        env={
            **deployer.embedded.environment(deployer.home),
            "HOME": str(folder), "PATH": "/usr/bin:/bin", "NO_PROXY": "*",
        },
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "FunctionError" not in json.loads(done.stdout)
    answer = json.loads((folder / "response.json").read_text())
    return deployer.ended(answer["execution_arn"])


def fill(deployer: Planned, account: str) -> list[str]:
    """As many instances as replicate into one account, in three waves."""
    quota = 300
    return [
        each
        for wave in WAVES
        for each in deployer.run(account, quota // len(WAVES), tags={"dr:wave": wave})
    ]


def test_one_pattern_after_the_other(deployer: Planned, tmp_path: Path) -> None:
    ids = {account: fill(deployer, account) for account in (TARGET, STAGING)}
    counts = []
    for payload in (same_account(deployer), extended(deployer)):
        ended = invoked(deployer, payload, tmp_path)
        assert ended["status"] == "SUCCEEDED", ended
        counts.append([len(deployer.replicating(account)) for account in ids])
    assert counts == [[300, 0], [300, 300]]
    for account, own in ids.items():
        assert deployer.replicating(account) == deployer.sent_to(own) == sorted(own)


def test_both_patterns_in_one(deployer: Planned, tmp_path: Path) -> None:
    ids = {account: fill(deployer, account) for account in (TARGET, STAGING)}
    ended = invoked(deployer, combined(deployer), tmp_path)
    assert ended["status"] == "SUCCEEDED", ended
    assert sum(len(own) for own in ids.values()) == 600
    for account, own in ids.items():
        assert deployer.replicating(account) == deployer.sent_to(own) == sorted(own)


def crossing(deployer: Planned) -> Json:
    """Instances of the target that replicate into the staging account."""
    return {**part(deployer.settings, TARGET, STAGING), "poll_seconds": 1}


def test_instances_that_replicate_into_another_account(deployer: Planned) -> None:
    linux = deployer.run(TARGET, 2)
    windows = deployer.run(TARGET, 1, platform="windows")
    ended = deployer.deployed(crossing(deployer))
    assert ended["status"] == "SUCCEEDED", ended
    assert deployer.replicating(STAGING) == sorted(linux + windows)
    assert deployer.replicating(TARGET) == []
    servers = deployer.client("drs", STAGING, RECOVERY).describe_source_servers()["items"]
    for server in servers:
        assert server["tags"] == {"dr:enabled": "true", "dr:priority": "1", "dr:wave": "wave-1"}


@pytest.mark.parametrize(
    ("account", "name"),
    [("target", "agent_authorized"), ("staging", "agent")],
    ids=["nobody here may go", "nobody there lets in"],
)
def test_without_a_role_the_instances_fail_by_name(
    deployer: Planned, account: str, name: str
) -> None:
    module = f"{'staging_1' if account == 'staging' else account}_cross_account_agent_roles"
    role = deployer.one("aws_iam_role", module, name)
    ids = deployer.run(TARGET, 2)
    take_role_away(deployer, role)
    try:
        ended = deployer.deployed(crossing(deployer))
    finally:
        make_role(deployer, role)
    assert (ended["status"], ended["error"]) == ("FAILED", "Incomplete")
    _, states = deployer.estate().status(ended["name"])
    assert set(states) == set(ids)
    for state in states.values():
        assert state["status"] == "failed"
        assert role.values["name"] in state["reason"]
    assert deployer.replicating(TARGET) == deployer.replicating(STAGING) == []
    resumed = deployer.estate().resume(ended["name"], lambda _: None, retry_failed=True)
    assert resumed["status"] == "succeeded"
    assert deployer.replicating(STAGING) == sorted(ids)
