"""What the map of what was asked names is there: every file, every module, every test."""

import ast
import re

import pytest

from tests.conftest import ROOT
from tests.docs.pages import PAGES

PAGE = (PAGES.parent / "seed-map.md").read_text()
NAMED = sorted(
    set(re.findall(r"`((?:terraform|validator|tests|docs|\.github)/[^`\s]*)`", PAGE))
    | {f"docs/{name}" for name in re.findall(r"\]\(([^)]+)\)", PAGE)}
)


@pytest.mark.parametrize("named", NAMED)
def test_what_is_named_is_there(named: str) -> None:
    path, _, test = named.partition("::")
    assert list(ROOT.glob(path)), path
    if path.startswith("tests/"):
        tree = ast.parse((ROOT / path).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert test in functions, named


def test_every_row_of_a_step_has_a_test() -> None:
    steps = re.findall(r"^\| [45][AB]?, .*$", PAGE, re.MULTILINE)
    assert {row[2] for row in steps} == {"4", "5"}
    for row in steps:
        assert re.search(r"`tests/[^`]+::test_|\.tftest\.hcl`", row.split("|")[3]), row


def test_nothing_is_left_unbuilt() -> None:
    assert "not built" not in PAGE.lower()
