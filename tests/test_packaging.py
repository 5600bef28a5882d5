"""The packages of the functions: the same bytes each time, and nothing in them that need not be."""

import importlib.metadata
import os
import shutil
import time
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from validator import continuous, packaging
from validator.errors import ToolError
from validator.project import Env
from validator.sources import declared as declarations
from validator.sources import tfvars

NAMES = sorted(each.name for each in (ROOT / "terraform/envs").iterdir())


VERIFIES, DEPLOYS = "continuous-verification", "agent-deployer"


def built(root: Path, name: str, module: str = VERIFIES) -> Path:
    env = Env(root, name)
    env.build("plan")
    made = {file.stem: file for file in packaging.build(env, tfvars.read(env.directory))}
    assert set(made) == {VERIFIES, DEPLOYS}
    assert made[module] == env.package_file(module)
    return made[module]


@pytest.mark.parametrize("module", [VERIFIES, DEPLOYS])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_bytes(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, name: str, module: str
) -> None:
    elsewhere = tmp_path_factory.mktemp("a checkout elsewhere")
    shutil.copytree(ROOT / "terraform", elsewhere / "terraform")
    for file in elsewhere.rglob("*"):
        os.utime(file, (0, 0))
    first = built(checkout, name, module)
    time.sleep(2.1)  # a zip keeps times to two seconds
    before = os.umask(0o077)
    try:
        again = built(elsewhere, name, module)
    finally:
        os.umask(before)
    assert first.read_bytes() == again.read_bytes()
    assert packaging.sha256(first) == packaging.sha256(again)


def test_another_value_gives_another_package(checkout: Path) -> None:
    before = packaging.sha256(built(checkout, "staging"))
    file = checkout / "terraform/envs/staging/estate.auto.tfvars"
    file.write_text(
        file.read_text().replace("drill_days             = 180", "drill_days             = 90")
    )
    assert packaging.sha256(built(checkout, "staging")) != before


def test_it_holds_what_the_function_needs_and_no_more(checkout: Path) -> None:
    (checkout / "terraform/envs/staging/waivers.yaml").write_text("[]\n")
    with zipfile.ZipFile(built(checkout, "staging")) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.read(continuous.WAIVERS) == b"[]\n"
        declared = declarations.unpacked(archive.read(continuous.DECLARED).decode())
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"estate", "validator", "yaml"}
    assert not [name for name in names if Path(name).suffix in {".pyc", ".so", ".tf", ".tfvars"}]
    assert not [
        name
        for name in names
        if name.startswith(("validator/emulator", "validator/operations", "validator/tools"))
    ]
    read = tfvars.read(checkout / "terraform/envs/staging")
    assert declared.values == read.values
    assert list(declared.values) == list(read.values)
    assert declared.lines == read.lines
    assert declared.where("target", "servers").startswith(
        "terraform/envs/staging/estate.auto.tfvars:"
    )


def test_the_agent_deployer_is_its_source_and_no_more(checkout: Path) -> None:
    source = checkout / "terraform/modules/agent-deployer/function"
    # What running it here leaves behind.
    (source / "agent_deployer/__pycache__").mkdir(exist_ok=True)
    (source / "agent_deployer/__pycache__/handler.cpython-313.pyc").write_bytes(b"")
    with zipfile.ZipFile(built(checkout, "staging", DEPLOYS)) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
        assert {name: archive.read(name) for name in names} == {
            file.relative_to(source).as_posix(): file.read_bytes()
            for file in source.rglob("*")
            if file.suffix in {".json", ".py"}
        }
    assert {"agent_deployer/handler.py", "agent_deployer/payload.schema.json"} <= set(names)


def test_a_changed_source_gives_another_package(checkout: Path) -> None:
    before = packaging.sha256(built(checkout, "staging", DEPLOYS))
    file = checkout / "terraform/modules/agent-deployer/function/agent_deployer/errors.py"
    file.write_text(file.read_text() + "\n")
    assert packaging.sha256(built(checkout, "staging", DEPLOYS)) != before


def test_a_function_without_source_is_refused(checkout: Path) -> None:
    shutil.rmtree(checkout / "terraform/modules/agent-deployer/function")
    with pytest.raises(ToolError, match="source of the module's function is not there"):
        built(checkout, "staging", DEPLOYS)


def test_a_library_that_was_changed_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = importlib.metadata.files("pyyaml")
    assert real is not None
    spoilt = [each for each in real if each.name == "loader.py"]
    (tmp_path / "loader.py").write_text("print('not what was installed')\n")
    monkeypatch.setattr(type(spoilt[0]), "locate", lambda _: tmp_path / "loader.py")
    with pytest.raises(ToolError, match=r"loader\.py is not what was installed"):
        packaging._library("yaml")


def test_a_compiled_library_is_refused() -> None:
    with pytest.raises(ToolError, match="is compiled"):
        packaging._library("regex")
    assert not [name for name in packaging._library("yaml") if name.endswith(".so")]


def test_an_unreadable_declaration_is_no_estate() -> None:
    for text in ("", "{}", '{"file": "a", "values": 1, "lines": []}', "[]"):
        with pytest.raises(declarations.SourceError, match="Make the package again"):
            declarations.unpacked(text)
