"""The package of continuous-verification: the same bytes each time, and nothing in it that need not be."""

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


def built(root: Path, name: str) -> Path:
    env = Env(root, name)
    env.build("plan")
    return packaging.build(env, tfvars.read(env.directory))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_bytes(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    elsewhere = tmp_path_factory.mktemp("a checkout elsewhere")
    shutil.copytree(ROOT / "terraform", elsewhere / "terraform")
    for file in elsewhere.rglob("*"):
        os.utime(file, (0, 0))
    first = built(checkout, name)
    time.sleep(2.1)  # a zip keeps times to two seconds
    before = os.umask(0o077)
    try:
        again = built(elsewhere, name)
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
