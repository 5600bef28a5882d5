"""The Terraform code: its own tests pass, its form is one, its README tells the truth."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.provider import attached, unlinked
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


def file_of(name: str) -> str:
    return f"{name.replace('-', '_')}.tftest.hcl"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What Terraform says of the tests of all modules.

    One process runs them, as tests of a root module of their own: to read what the provider knows takes
    Terraform longer than all tests do.
    """
    folder = tmp_path_factory.mktemp("terraform")
    root = folder / "root"
    shutil.copytree(MODULES, root, ignore=shutil.ignore_patterns("tests"))
    for file in (".terraform.lock.hcl", "versions.tf"):
        shutil.copy(ENVS / "staging" / file, root)
    (root / "tests").mkdir()
    for name in NAMES:
        (file_of_tests,) = (MODULES / name / "tests").iterdir()
        assert file_of_tests.name == file_of(name)
        module = f'  module {{\n    source = "./{name}"\n  }}\n'
        text = re.sub(r'^run ".*" {\n', rf"\g<0>{module}", file_of_tests.read_text(), flags=re.M)
        (root / "tests" / file_of_tests.name).write_text(text)
    # With the provider that a user has, as the envs lock it.
    working = terraform.WorkingDirectory(root, folder / "data", unlinked(), folder / "build")
    environment = dict(working._environment)
    terraform_in(root, environment, "init", "-input=false", "-backend=false")
    with attached(root, folder / "data", environment) as more:
        done = subprocess.run(
            ["terraform", "test", "-no-color"],
            cwd=root,
            env=environment | more,
            capture_output=True,
            text=True,
        )
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_terraform_test(name: str, said: str) -> None:
    file = f"tests/{file_of(name)}"
    runs = re.findall(r'^run "(.*)"', (MODULES / name / file).read_text(), re.M)
    begin, end = (re.escape(f"{file}... {word}") for word in ("in progress", "pass"))
    ran = re.search(rf"^{begin}\n(.*?)^{end}$", said, re.S | re.M)
    assert ran, said
    assert re.findall(r'^  run "(.*)"\.\.\. pass$', ran[1], re.M) == runs


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
