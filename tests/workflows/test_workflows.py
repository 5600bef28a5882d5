"""The workflows: linted, pinned, with no right that they do not need, and every step a make target."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from validator.sources import tfvars

FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
BIN = ROOT / ".venv" / "bin"
ACTIONLINT = (BIN / "actionlint", "-shellcheck=", "-pyflakes=")
ZIZMOR = (BIN / "zizmor", "--offline", "--quiet")


def parsed(file: Path) -> dict[str, Any]:
    document = yaml.safe_load(file.read_text())
    document["on"] = document.pop(True)  # YAML 1.1 reads the key `on` so
    assert isinstance(document, dict)
    return document


JOBS = {
    f"{file.stem} {name}": (parsed(file), job)
    for file in FILES
    for name, job in parsed(file)["jobs"].items()
}
STEPS = {
    f"{name} {number}": step
    for name, (_, job) in JOBS.items()
    for number, step in enumerate(job["steps"], 1)
}
RUNS = {name: step["run"] for name, step in STEPS.items() if "run" in step}
USES = {name: step for name, step in STEPS.items() if "uses" in step}
BAD = """
on: pull_request_target
jobs:
  build:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v6
        with:
          ref: ${{ github.event.pull_request.head.sha }}
      - run: echo ${{ github.event.pull_request.title }}
"""


def lint(linter: tuple[Any, ...], *files: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*map(str, linter), *map(str, files)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("linter", [ACTIONLINT, ZIZMOR], ids=["actionlint", "zizmor"])
def test_linted(linter: tuple[Any, ...]) -> None:
    done = lint(linter, *FILES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("linter", [ACTIONLINT, ZIZMOR], ids=["actionlint", "zizmor"])
def test_the_linters_see_what_is_wrong(linter: tuple[Any, ...], tmp_path: Path) -> None:
    file = tmp_path / "bad.yml"
    file.write_text(BAD)
    assert lint(linter, file).returncode != 0


@pytest.mark.parametrize("name", RUNS)
def test_every_run_is_one_make_target_that_exists(name: str) -> None:
    assert re.fullmatch(r"make [a-z-]+", RUNS[name])
    done = subprocess.run(
        [*RUNS[name].split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Nothing to be done" not in done.stdout


@pytest.mark.parametrize("name", USES)
def test_every_action_is_pinned_by_commit_with_its_version(name: str) -> None:
    uses = USES[name]["uses"]
    assert re.fullmatch(r"[\w-]+(/[\w-]+)+@[0-9a-f]{40}", uses)
    lines = [line for file in FILES for line in file.read_text().splitlines() if uses in line]
    assert all(re.search(r"# v\d+\.\d+\.\d+$", line) for line in lines)


def test_an_action_has_one_version() -> None:
    pins = {step["uses"] for step in USES.values()}
    assert len({pin.split("@")[0] for pin in pins}) == len(pins)


@pytest.mark.parametrize(
    "name", [name for name, step in USES.items() if "/checkout@" in step["uses"]]
)
def test_a_checkout_leaves_no_token_behind(name: str) -> None:
    assert USES[name]["with"]["persist-credentials"] is False


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_right_unless_a_job_takes_it_and_no_secret(file: Path) -> None:
    document = parsed(file)
    assert document["permissions"] == {}
    assert "pull_request_target" not in document["on"]
    assert "secrets." not in file.read_text()
    assert all(job["timeout-minutes"] <= 30 for job in document["jobs"].values())


@pytest.mark.parametrize("name", JOBS)
def test_what_runs_code_cannot_write_and_what_writes_runs_no_code(name: str) -> None:
    document, job = JOBS[name]
    rights = {right for right, level in job["permissions"].items() if level == "write"}
    runs = any("run" in step or "/checkout@" in step.get("uses", "") for step in job["steps"])
    if runs:
        assert rights <= {"id-token"}
    if "id-token" in rights:
        assert re.search(r"vars\.AWS_[A-Z]+_ROLE != ''", job["if"])
        if "pull_request" in document["on"]:
            ours = "github.event.pull_request.head.repo.full_name == github.repository"
            assert ours in job["if"]
        else:
            assert "github.ref == 'refs/heads/main'" in job["if"]


def test_aws_is_reached_from_two_jobs_only() -> None:
    clouds = {name: job.get("env", {}).get("CLOUD") for name, (_, job) in JOBS.items() if any("run" in s for s in job["steps"])}  # fmt: skip
    assert [name for name, cloud in clouds.items() if cloud != "embedded"] == [
        "gate plan-on-aws",
        "verify verify",
    ]


def test_aws_is_planned_for_every_env() -> None:
    matrix = JOBS["gate plan-on-aws"][1]["strategy"]["matrix"]["env"]
    assert matrix == sorted(each.name for each in (ROOT / "terraform" / "envs").iterdir())


def test_every_enabled_env_is_verified_daily_by_the_verifier_roles() -> None:
    document, job = JOBS["verify verify"]
    (schedule,) = document["on"]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* \*", schedule["cron"])
    assert "workflow_dispatch" in document["on"]
    envs = {
        name: tfvars.read(ROOT / "terraform/envs" / name).values
        for name in job["strategy"]["matrix"]["env"]
    }
    enabled = [
        each.name
        for each in sorted((ROOT / "terraform/envs").iterdir())
        if tfvars.read(each).values["continuous_verification"]["enabled"]
    ]
    assert list(envs) == enabled
    # One role of the workflow, which each env lets in.
    assert (
        len({each["continuous_verification"]["workflow_role_arn"] for each in envs.values()}) == 1
    )
    assert job["env"]["ARGS"] == "--verifier-role"
    assert "continue-on-error" not in (FOLDER / "verify.yml").read_text()
    (upload,) = [step for step in job["steps"] if "/upload-artifact@" in step.get("uses", "")]
    assert upload["with"]["path"] == "build/${{ matrix.env }}/verify/"
    assert upload["if"] == "${{ !cancelled() }}"


def test_the_comment_follows_the_gate() -> None:
    gate, comment = parsed(FOLDER / "gate.yml"), parsed(FOLDER / "gate-comment.yml")
    assert comment["on"]["workflow_run"]["workflows"] == [gate["name"]]
    names = [
        step["with"]["name"]
        for name, step in USES.items()
        if "-artifact@" in step["uses"] and name.startswith("gate")
    ]
    assert len(names) == 3
    assert len(set(names)) == 1


def test_the_site_is_built_for_every_pull_request_and_kept_where_it_is_built() -> None:
    document, job = JOBS["docs site"]
    assert "pull_request" in document["on"]
    build, upload = job["steps"][-2:]
    assert build["run"] == "make docs-site"
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["site_dir"]
    assert upload["with"]["path"] == f"{site}/"
    assert upload["with"]["if-no-files-found"] == "error"


def test_other_repositories_are_offered_a_command_that_exists() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    program, command, *options = hook["entry"].split()
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert program in scripts
    assert hook["language"] == "python"
    assert not hook["pass_filenames"]
    assert re.match(hook["files"], "terraform/envs/dev/estate.auto.tfvars")
    done = subprocess.run([BIN / program, command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(option in done.stdout.split() for option in options)
