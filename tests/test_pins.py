"""The pinned packages install on every Python that pyproject.toml promises."""

import importlib.metadata
import tomllib

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.conftest import ROOT

PROMISED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
OLDEST = Version(f"{PROMISED.removeprefix('>=')}.0")


@pytest.mark.parametrize("environment", [".venv", ".venv-checkov", ".venv-docs"])
def test_no_package_needs_a_newer_python(environment: str) -> None:
    folders = map(str, (ROOT / environment).glob("lib/python*/site-packages"))
    installed = list(importlib.metadata.distributions(path=list(folders)))
    assert installed, f"{environment} is not there: run make test"
    needed = {
        each.metadata["Name"]: each.metadata["Requires-Python"]
        for each in installed
        if each.metadata["Requires-Python"] is not None
    }
    assert [n for n, s in needed.items() if OLDEST not in SpecifierSet(s, prereleases=True)] == []
