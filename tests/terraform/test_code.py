"""The Terraform code: its own tests pass, its form is one, its README tells the truth."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.terraform.readme import MODULES, readme
from validator.tools import terraform

NAMES = sorted(each.name for each in MODULES.iterdir() if each.is_dir())
ENVS = ROOT / "terraform" / "envs"


def terraform_in(folder: Path, environment: dict[str, str], *command: str) -> str:
    """What a command of Terraform says in a folder, where it must succeed."""
    done = subprocess.run(
        ["terraform", *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_of(name: str, folder: Path) -> Path:
    """A copy of a module, with the envs' lock."""
    copy = folder / name
    shutil.copytree(MODULES / name, copy)
    shutil.copy(ENVS / "staging" / ".terraform.lock.hcl", copy)
    return copy


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of Terraform after an init, which is the same for all: no module calls another."""
    folder = tmp_path_factory.mktemp("initialised")
    working = terraform.WorkingDirectory(
        ENVS / "staging", folder / "data", {"GOGC": "300", **os.environ}, folder / "build"
    )
    environment = dict(working._environment)
    copy = copy_of(NAMES[0], folder)
    terraform_in(copy, environment, "init", "-input=false", "-backend=false")
    return environment


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_terraform_test(name: str, tmp_path: Path, initialised: dict[str, str]) -> None:
    said = terraform_in(copy_of(name, tmp_path), initialised, "test")
    passed = re.search(r"(\d+) passed, 0 failed", said)
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
