"""What is written is what was meant, and nothing else is touched."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from validator.errors import SourceError
from validator.sources import writing
from validator.tools import terraform

ESTATE = """\
# What is declared.
name = "x" # the name

target = {
  "odd key" = [1, 2]
  servers   = 3
}
accounts = {}
short    = { a = 1 }
"""


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        pytest.param(("name",), "y", '"x"', '"y"', id="a text"),
        pytest.param(("target", "servers"), 40, "= 3", "= 40", id="a number in an object"),
        pytest.param(("target", "odd key"), [], "[1, 2]", "[]", id="a key in quotes"),
        pytest.param(
            ("target", "new"), True, "= 3\n", "= 3\nnew = true\n", id="a key that is not there yet"
        ),
        pytest.param(
            ("accounts", "a-1"),
            {},
            "accounts = {}",
            "accounts = {\na-1 = {}\n}",
            id="the first key",
        ),
        pytest.param(
            ("short", "b"), 2, "{ a = 1 }", "{ a = 1\nb = 2\n}", id="an object on one line"
        ),
        pytest.param(
            ("name",), '"${a}%{b}\n', '"x"', '"\\"$${a}%%{b}\\n"', id="text that is no template"
        ),
    ],
)
def test_a_value_is_put_in_place(path: tuple[str, ...], value: object, old: str, new: str) -> None:
    assert writing.assigned(ESTATE, path, value) == ESTATE.replace(old, new, 1)


def test_a_new_name_comes_last() -> None:
    assert writing.assigned(ESTATE, ("more",), 1) == f"{ESTATE}\nmore = 1\n"
    assert writing.assigned("", ("more",), 1) == "more = 1\n"


@pytest.mark.parametrize("path", [("name", "x"), ("none", "x"), ("target", "none", "x")], ids=str)
def test_nothing_is_put_where_no_object_is(path: tuple[str, ...]) -> None:
    with pytest.raises(SourceError, match="is no object"):
        writing.assigned(ESTATE, path, 1)


def test_what_is_removed_takes_its_lines() -> None:
    assert writing.removed(ESTATE, ("target", "servers")) == ESTATE.replace("  servers   = 3\n", "")
    target = ESTATE[ESTATE.index("target") : ESTATE.index("accounts")]
    assert writing.removed(ESTATE, ("target",)) == ESTATE.replace(target, "")


@pytest.mark.parametrize("path", [("short", "a"), ("name",), ("none",)], ids=str)
def test_what_shares_its_line_is_not_removed(path: tuple[str, ...]) -> None:
    with pytest.raises(SourceError, match="by hand"):
        writing.removed(ESTATE, path)


def test_names_are_renamed_where_they_are_names() -> None:
    text = """\
# staging-1 and staging_1 in a comment
module "staging_1_trust" {
  source    = "../staging_1x"
  providers = { aws = aws.staging_1 }
  id        = "arn:${var.accounts["staging-1"].id}:${module.staging_10_trust.id}"
}
"""
    renamed = """\
# staging-1 and staging_1 in a comment
module "staging_2_trust" {
  source    = "../staging_1x"
  providers = { aws = aws.staging_2 }
  id        = "arn:${var.accounts["staging-2"].id}:${module.staging_10_trust.id}"
}
"""
    assert writing.renamed(text, {"staging-1": "staging-2", "staging_1": "staging_2"}) == renamed


@pytest.mark.slow
def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    texts = ["é\t\\", '"q"', "${x}", '"${a}%{b}\n', "$${x}", "%%{x}", "a$", "\x7f\u2028"]
    value = {"a b": texts, "c": {"d": -1, "e": False, "f": 1.5}}
    file = tmp_path / "x.tfvars"
    text = writing.assigned("", ("x",), value)
    file.write_text(terraform.formatted({file.name: text}, os.environ)[file.name])
    (tmp_path / "main.tf").write_text('variable "x" {}\noutput "x" { value = jsonencode(var.x) }\n')
    command = ["terraform", f"-chdir={tmp_path}", "plan", f"-var-file={file}", "-out=plan"]
    subprocess.run(command, capture_output=True, check=True)
    command = ["terraform", f"-chdir={tmp_path}", "show", "-json", "plan"]
    plan = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert json.loads(plan["planned_values"]["outputs"]["x"]["value"]) == value
