"""A root module that is evaluated in parts reads like one that is evaluated whole."""

import shutil
from pathlib import Path

import pytest

from tests import evaluation
from tests.conftest import ROOT
from tests.mutants import ENV, MUTANTS, TERRAFORM
from tests.mutation import copied
from validator.errors import SourceError
from validator.model import Estate
from validator.sources import code, evaluate, parts, tfvars

ENVS = ROOT / "terraform" / "envs"

CHILD = 'variable "of" { default = "" }\noutput "of" { value = var.of }\nresource "x" "y" { of = var.of }\n'


def folder(tmp_path: Path, text: str) -> Path:
    env = tmp_path / "terraform" / "envs" / "one"
    env.mkdir(parents=True)
    (tmp_path / "terraform" / "modules").mkdir()
    (tmp_path / "terraform" / "modules" / "main.tf").write_text(CHILD)
    (env / "main.tf").write_text(text)
    (env / "x.tfvars").write_text("")
    return env


def call(name: str, of: str = '"it"') -> str:
    return f'module "{name}" {{\n  source = "../../modules"\n  of     = {of}\n}}\n'


def seen(env: Path) -> dict[str, object]:
    with parts.begun(env, "x.tfvars") as finished:
        found = finished()
    return {item["__tfmeta"]["path"]: item.get("of") for item in found["x"]}


def test_the_evaluator_alone_leaves_some_out(tmp_path: Path) -> None:
    """If this fails the evaluator is mended, and parts are needed no more."""
    env = folder(tmp_path, "".join(call(f"m{n}") for n in range(40)))
    with evaluate.begun(env, "x.tfvars") as finished:
        assert len(finished()["x"]) < 40


def test_no_call_is_left_out(tmp_path: Path) -> None:
    names = [f"m{n}" for n in range(3 * parts.AT_ONCE)]
    env = folder(tmp_path, "".join(call(name) for name in names))
    assert seen(env) == {f"module.{name}.x.y": "it" for name in names}


def test_calls_that_refer_to_each_other_stay_together(tmp_path: Path) -> None:
    others = [call(f"m{n}") for n in range(parts.AT_ONCE)]
    env = folder(
        tmp_path,
        call("a") + "".join(others) + call("z", "module.a.of") + call("y", '"${module.z.of}!"'),
    )
    found = seen(env)
    assert len(found) == parts.AT_ONCE + 3
    assert (found["module.z.x.y"], found["module.y.x.y"]) == ("it", "it!")


def test_what_the_root_refers_to_is_known_there(tmp_path: Path) -> None:
    names = [f"m{n}" for n in range(2 * parts.AT_ONCE)]
    text = "".join(call(name) for name in names)
    env = folder(tmp_path, f'{text}resource "x" "own" {{\n  of = module.{names[-1]}.of\n}}\n')
    found = seen(env)
    assert found["x.own"] == "it"
    assert len(found) == len(names) + 1


@pytest.mark.parametrize("env", ["dev", "prod"])
def test_a_real_env_reads_the_same(env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tfvars.read(ENVS / env)
    whole = code.read(ENVS / env, declared, env)
    monkeypatch.setattr(parts, "AT_ONCE", 8)
    assert code.read(ENVS / env, declared, env) == whole


@pytest.mark.slow
def test_what_tests_remember_reads_the_same(tmp_path: Path) -> None:
    """An env is known, then edited: in a module, in a call of one, or in a value."""
    terraform = copied(tmp_path / "terraform")
    env = terraform / "envs" / ENV

    def read() -> Estate:
        return code.read(env, tfvars.read(env), ENV)

    with evaluation.remembering():
        whole = read()
    for mutant in MUTANTS[:: len(MUTANTS) // 12]:
        mutant.apply(terraform)
        with evaluation.remembering():
            remembered = read()
        assert remembered == read() != whole, mutant.name
        shutil.copytree(TERRAFORM / "modules", terraform / "modules", dirs_exist_ok=True)
        shutil.copytree(TERRAFORM / "envs" / ENV, env, dirs_exist_ok=True)


def test_lines_stay_where_they_were(tmp_path: Path) -> None:
    names = [f"m{n}" for n in range(2 * parts.AT_ONCE)]
    env = folder(tmp_path, "".join(call(name) for name in names))
    with parts.begun(env, "x.tfvars") as finished:
        lines = {i["__tfmeta"]["path"]: i["__tfmeta"]["line_start"] for i in finished()["module"]}
    assert lines == {f"module.{name}": 1 + 4 * n for n, name in enumerate(names)}


def test_broken_code_is_refused_as_ever(tmp_path: Path) -> None:
    env = folder(tmp_path, "".join(call(f"m{n}") for n in range(2 * parts.AT_ONCE)))
    (env / "broken.tf").write_text("locals {")
    with pytest.raises(SourceError, match=r"broken\.tf"):
        seen(env)


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = folder(tmp_path, "".join(call(f"m{n}") for n in range(2 * parts.AT_ONCE)))
    before = sorted(tmp_path.rglob("*"))
    beside = tmp_path.parent / "elsewhere"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(beside))
    seen(env)
    assert sorted(tmp_path.rglob("*")) == before
    assert not list(beside.iterdir())
