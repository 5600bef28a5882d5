"""The checkout's layout: saved plans are trusted only while nothing has changed."""

import os
import shutil
from pathlib import Path

import pytest

from validator import project
from validator.errors import SourceError, UsageError


@pytest.fixture
def env(tmp_path: Path) -> project.Env:
    (tmp_path / "terraform" / "envs" / "staging").mkdir(parents=True)
    (tmp_path / "terraform" / "modules" / "key").mkdir(parents=True)
    (tmp_path / "terraform" / "modules" / "key" / "main.tf").write_text("# a module\n")
    return project.find("staging", tmp_path)


def test_an_unknown_env_names_those_there_are(env: project.Env) -> None:
    with pytest.raises(UsageError, match="there are: staging"):
        project.find("stagging", env.root)


@pytest.mark.parametrize("name", ["../staging", "", ".", "staging/"])
def test_a_path_is_not_an_env(env: project.Env, name: str) -> None:
    with pytest.raises(UsageError):
        project.find(name, env.root)


def test_outside_a_checkout_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="inside a checkout"):
        project.find("staging", tmp_path)


def test_a_saved_plan_comes_back(env: project.Env) -> None:
    env.plan_file.write_bytes(b"plan")
    env.save_plan("holds", "embedded 1", env.inputs())
    saved = env.saved_plan()
    assert saved is not None
    assert (saved.env, saved.verdict, saved.cloud) == ("staging", "holds", "embedded 1")
    assert saved.code_digest == env.code_digest()


def test_none_is_saved_at_first(env: project.Env) -> None:
    assert env.saved_plan() is None


def test_a_changed_plan_is_refused(env: project.Env) -> None:
    env.plan_file.write_bytes(b"plan")
    env.save_plan("holds", "embedded 1", env.inputs())
    env.plan_file.write_bytes(b"another")
    with pytest.raises(SourceError, match="was changed"):
        env.saved_plan()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"env": 1}'])
def test_a_spoilt_record_is_refused(env: project.Env, content: str) -> None:
    env.plan_file.write_bytes(b"plan")
    env.save_plan("holds", "embedded 1", env.inputs())
    (env.build("plan") / "saved.json").write_text(content)
    with pytest.raises(SourceError, match="cannot be read"):
        env.saved_plan()


def test_a_changed_module_changes_the_digest(env: project.Env) -> None:
    before = env.code_digest()
    (env.root / "terraform" / "modules" / "key" / "main.tf").write_text("# another\n")
    assert env.code_digest() != before


COUNTS = [
    "terraform/envs/staging/.h.auto.tfvars",
    "terraform/envs/staging/.h.auto.tfvars.json",
    "terraform/envs/staging/.terraform.lock.hcl",
    "terraform/envs/staging/waivers.yaml",
    "terraform/modules/key/.policy.json",
    "terraform/modules/key/.templates/user-data.sh",
    "terraform/modules/key/function/handler.py",
]
"""What Terraform loads, what its functions may read, and what the verdict hangs on."""


@pytest.mark.parametrize("file", COUNTS)
def test_whatever_terraform_may_read_counts_in_evidence_and_for_a_saved_plan(
    env: project.Env, file: str
) -> None:
    before = env.code_digest()
    (env.root / file).parent.mkdir(exist_ok=True)
    (env.root / file).write_text("{}")
    assert file in env.inputs()
    assert env.code_digest() != before


@pytest.mark.parametrize("name", [".key.tf.swp", ".#key.tf", "__pycache__/a.pyc", ".terraform/x"])
def test_what_editors_and_programs_leave_does_not(env: project.Env, name: str) -> None:
    before = env.inputs(), env.code_digest()
    file = env.root / "terraform/modules/key" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("x")
    assert (env.inputs(), env.code_digest()) == before


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_empty(
    env: project.Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "key":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root, as in a container, may list any folder
    with pytest.raises(PermissionError, match="modules/key"):
        env.inputs()
    with pytest.raises(PermissionError, match="modules/key"):
        env.code_digest()


def test_an_env_needs_no_modules(env: project.Env) -> None:
    shutil.rmtree(env.root / "terraform" / "modules")
    assert env.inputs() == {}


def test_an_edit_while_terraform_planned_is_one_that_apply_sees(env: project.Env) -> None:
    """The plan is of the inputs as they were read, whatever they are by the time that it is saved."""
    (env.directory / "target.tf").write_text("# the target\n")
    inputs = env.inputs()
    (env.directory / "target.tf").write_text("# another\n")
    env.plan_file.write_bytes(b"plan")
    env.save_plan("holds", "embedded 1", inputs)
    saved = env.saved_plan()
    assert saved is not None and saved.code_digest != env.code_digest()


def test_the_lock_file_that_terraform_wrote_before_it_planned_is_no_edit(env: project.Env) -> None:
    (env.directory / "target.tf").write_text("# the target\n")
    inputs = env.inputs()
    (env.directory / ".terraform.lock.hcl").write_text("# hashes\n")
    env.plan_file.write_bytes(b"plan")
    env.save_plan("holds", "embedded 1", inputs)
    saved = env.saved_plan()
    assert saved is not None and saved.code_digest == env.code_digest()


def test_forget_leaves_nothing_of_an_earlier_run(env: project.Env) -> None:
    env.plan_file.write_bytes(b"plan")
    env.save_plan("holds", "embedded 1", env.inputs())
    env.forget("plan")
    assert list(env.build("plan").iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    project.write(file, "old")
    with pytest.raises(UnicodeEncodeError):
        project.write(file, "\ud800")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


ON_GITHUB = {
    "GITHUB_SERVER_URL": "https://git.example",
    "GITHUB_REPOSITORY": "team/estate",
    "GITHUB_SHA": "0123abc",
}


def test_the_pages_have_an_address_where_the_checkout_has_one(env: project.Env) -> None:
    assert project.pages(env.root, ON_GITHUB) is None  # another repository's checkout has none
    (env.root / project.PAGES).mkdir(parents=True)
    found = project.pages(env.root, ON_GITHUB)
    assert found == "https://git.example/team/estate/blob/0123abc/docs/invariants"
    for name in ON_GITHUB:
        assert project.pages(env.root, {**ON_GITHUB, name: ""}) is None


def test_a_pipe_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    """As root, `--output /dev/null` would otherwise leave the machine without one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        project.write(pipe, "report")
        assert os.read(reader, 100) == b"report"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
