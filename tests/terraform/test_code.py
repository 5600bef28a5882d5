"""The Terraform code: its own tests pass, its form is one, its README tells the truth."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.terraform.readme import MODULES, readme
from validator.tools import terraform

NAMES = sorted(each.name for each in MODULES.iterdir() if each.is_dir())
ENVS = ROOT / "terraform" / "envs"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_terraform_test(name: str, tmp_path: Path) -> None:
    # Module code is read in place; what Terraform keeps goes to a folder of the test.
    environment = dict(os.environ)
    working = terraform.WorkingDirectory(
        ENVS / "staging", tmp_path / "data", environment, tmp_path / "build"
    )
    child = {**working._environment, "TF_DATA_DIR": str(tmp_path / "data")}
    lock = tmp_path / "module"
    subprocess.run(["cp", "-r", str(MODULES / name), str(lock)], check=True)
    subprocess.run(["cp", str(ENVS / "staging" / ".terraform.lock.hcl"), str(lock)], check=True)
    for command in (["init", "-input=false", "-backend=false"], ["test"]):
        done = subprocess.run(
            ["terraform", *command], cwd=lock, env=child, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed, 0 failed", done.stdout)
    assert passed and int(passed[1]) > 0


@pytest.mark.parametrize("name", NAMES)
def test_readme_is_current(name: str) -> None:
    assert (MODULES / name / "README.md").read_text() == readme(MODULES / name), "run `make docs`"


def test_every_input_and_output_is_described() -> None:
    for file in MODULES.glob("*/*.tf"):
        blocks = re.findall(
            r'^(?:variable|output) "(\w+)" \{\n(.*?)^\}', file.read_text(), re.S | re.M
        )
        for name, body in blocks:
            assert "description =" in re.sub(r" +", " ", body), f"{file}: {name}"


@pytest.mark.parametrize(
    "file",
    ["target.tf", "orchestration.tf", "checks.tf", "variables.tf", "versions.tf", "staging-1.tf"],
)
def test_envs_differ_only_in_what_they_declare(file: str) -> None:
    contents = {(env / file).read_text() for env in ENVS.iterdir()}
    assert len(contents) == 1


def test_the_lock_holds_every_platform() -> None:
    locks = {(env / ".terraform.lock.hcl").read_text() for env in ENVS.iterdir()}
    assert len(locks) == 1
    assert locks.pop().count('"zh:') >= 10  # one archive of the release for each platform
