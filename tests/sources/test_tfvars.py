"""The declared estate: read strictly, so that nothing Terraform would drop is believed."""

from pathlib import Path

import pytest

from validator.errors import SourceError
from validator.model import Part
from validator.sources import hcl, tfvars

VARIABLES = """
variable "environment" {
  description = "The environment."
  type        = string
}
variable "target" {
  type = object({
    account_id = string
    servers    = number
    instances  = optional(map(object({ wave = string })), {})
  })
}
variable "staging_accounts" {
  type = map(object({ account_id = string, servers = number }))
}
variable "orchestration" {
  type = object({ account_id = string })
}
variable "cidrs" {
  type = list(string)
}
"""
GOOD = """\
environment = "staging"
target = {
  account_id = "111122223333"
  servers    = 300 # a comment
}
staging_accounts = {
  staging-1 = { account_id = "444455556666", servers = 299 }
}
orchestration = { account_id = "777788889999" }
cidrs = ["10.0.0.0/8", "192.0.2.0/24"]
"""


def env(folder: Path, content: str | bytes, variables: str = VARIABLES) -> Path:
    (folder / "variables.tf").write_text(variables)
    data = content.encode() if isinstance(content, str) else content
    (folder / tfvars.FILE_NAME).write_bytes(data)
    return folder


def test_accounts_come_back_with_the_line_of_each_number(tmp_path: Path) -> None:
    declared = tfvars.read(env(tmp_path, GOOD))
    target, staging, orchestration = tfvars.accounts(declared)
    assert (target.id, target.planned, target.part) == ("111122223333", 300, Part.TARGET)
    assert [(each.name, each.planned) for each in staging] == [("staging-1", 299)]
    assert (orchestration.id, orchestration.planned) == ("777788889999", 0)
    assert target.where == f"{tmp_path / tfvars.FILE_NAME}:4"
    assert staging[0].where == f"{tmp_path / tfvars.FILE_NAME}:7"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbf" + GOOD.encode(), id="byte-order-mark"),
        pytest.param(GOOD.replace("\n", "\r\n"), id="crlf"),
        pytest.param(GOOD.rstrip("\n"), id="no-final-line-end"),
    ],
)
def test_files_of_other_editors_read_the_same(tmp_path: Path, content: str | bytes) -> None:
    assert tfvars.read(env(tmp_path, content)).values["target"]["servers"] == 300


REFUSED = [
    pytest.param("", "missing", id="empty"),
    pytest.param(GOOD.replace("servers    =", "server ="), "'server' is not a key", id="misspelt"),
    pytest.param(GOOD.replace("cidrs", "cidr"), "'cidr' is not a variable", id="misspelt-top"),
    pytest.param(
        GOOD.replace("  servers    = 300 # a comment\n", ""), "lacks 'servers'", id="lack"
    ),
    pytest.param(GOOD.replace('"111122223333"', "111122223333"), "in quotes", id="id-as-number"),
    pytest.param(GOOD.replace("300", '"300"'), "must be a number", id="number-as-text"),
    pytest.param(GOOD.replace("300", "true"), "must be a number", id="number-as-bool"),
    pytest.param(GOOD.replace("300", "299.5"), "whole number", id="half-a-server"),
    pytest.param(GOOD.replace("300", "-1"), "whole number", id="negative"),
    pytest.param(GOOD.replace("300", "150 + 150"), "literal", id="expression"),
    pytest.param(GOOD.replace("300", "null"), "literal", id="null"),
    pytest.param(GOOD.replace('"staging"', '"${var.x}"'), "plain text", id="interpolation"),
    pytest.param(GOOD + 'cidrs = ["10.0.0.0/8"]\n', "declared twice", id="variable-twice"),
    pytest.param(
        GOOD.replace("servers    = 300", "servers = 300\n  servers = 1"), "twice", id="key-twice"
    ),
    pytest.param(GOOD + 'block "x" {}\n', "name = value", id="a-block"),
    pytest.param(GOOD + "target = {", "not valid HCL", id="cut-short"),
    pytest.param(b"\xff\xfe\x00", "UTF-8", id="not-text"),
    pytest.param("x = " + "[" * 3000 + "]" * 3000 + "\n", "", id="deep"),
    pytest.param("# " + "x" * hcl.TOO_LARGE, "larger", id="huge"),
]


@pytest.mark.parametrize(("content", "message"), REFUSED)
def test_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(SourceError, match=r"estate\.auto\.tfvars") as caught:
        tfvars.accounts(tfvars.read(env(tmp_path, content)))
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "variables.tf").write_text(VARIABLES)
    with pytest.raises(SourceError, match=r"estate\.auto\.tfvars: missing"):
        tfvars.read(tmp_path)


def test_a_variable_without_a_type_is_refused(tmp_path: Path) -> None:
    variables = VARIABLES.replace("type = list(string)", "")
    with pytest.raises(SourceError, match="one type"):
        tfvars.read(env(tmp_path, GOOD, variables))
