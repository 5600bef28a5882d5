"""The code view knows what Terraform would have, says unknown of everything else, and never raises more than SourceError."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sources import trees
from tests.sources.trees import STAGING, TARGET
from validator.errors import SourceError
from validator.model import Unknown

ROLE = f"arn:aws:iam::{TARGET}:role"

MORE = """
locals {
  text     = "text"
  list     = ["a", "b"]
  map      = { k = "v" }
  nothing  = null
  bad      = tonumber("x")
  policy   = jsonencode({ a = tonumber("x") })
  computed = terraform_data.computed.id
  mixed    = { known = "k", computed = terraform_data.computed.id }
  one      = local.two
  two      = local.one
  escaped  = "$${aws:username}"
}
variable "unset" {
  type    = string
  default = null
}
variable "typed" {
  type    = map(object({ count = number, name = optional(string, "named") }))
  default = { a = { count = "5" } }
}
resource "terraform_data" "computed" {
  input = "given"
}
resource "aws_iam_role" "plain" {
  name               = "plain"
  assume_role_policy = "{}"
}
resource "aws_iam_role" "path" {
  name = local.text
  path = "/a/${local.text}/"
}
resource "aws_iam_role" "prefixed" {
  name_prefix = "p-"
}
resource "aws_iam_role" "nameless" {
}
resource "aws_iam_role" "null_name" {
  name = null
}
resource "aws_iam_role" "bad_path" {
  name = "n"
  path = "a"
}
resource "aws_iam_role" "elsewhere" {
  provider = aws.nowhere
  name     = "n"
}
provider "aws" {
  alias               = "odd"
  region              = "moon-1"
  allowed_account_ids = ["111122223333"]
}
provider "aws" {
  alias               = "no_region"
  allowed_account_ids = ["111122223333"]
}
provider "aws" {
  alias               = "china"
  region              = "cn-north-1"
  allowed_account_ids = ["111122223333"]
}
resource "aws_iam_role" "odd" {
  provider = aws.odd
  name     = "n"
}
resource "aws_iam_role" "no_region" {
  provider = aws.no_region
  name     = "n"
}
resource "aws_iam_role" "china" {
  provider = aws.china
  name     = "n"
}
resource "aws_iam_role" "staging" {
  provider = aws.staging
  name     = "n"
}
resource "aws_security_group" "group" {
  name        = "5"
  description = "what"
  tags        = { a = 1 }
}
data "aws_region" "current" {
}
data "aws_caller_identity" "current" {
}
data "aws_iam_policy_document" "document" {
  statement {
    actions = ["kms:*"]
  }
}
module "m" {
  source = "./m"
  given  = "given"
  number = "7"
  list   = toset(["b", "a"])
}
module "many" {
  source   = "./m"
  for_each = { x = "ex", y = "why" }
  given    = each.value
  number   = 1
  list     = [each.key]
}
module "aws_region" {
  source = "./m"
  given  = "g"
  number = 1
  list   = []
}
"""
MODULE = """
variable "given" {
  type = string
}
variable "number" {
  type = number
}
variable "list" {
  type = list(string)
}
variable "id" {
  default = "id"
}
variable "name" {
  default = "name"
}
output "given" {
  value = "not the argument"
}
output "number" {
  value = var.number + 1
}
output "raised" {
  value = var.number + 1
}
output "id" {
  value = "an id"
}
output "of_id" {
  value = var.id
}
output "of_name" {
  value = var.name
}
output "out" {
  value = "out-${var.given}"
}
output "list" {
  value = var.list
}
output "sorted" {
  value = var.list
}
output "computed" {
  value = terraform_data.inner.id
}
output "x" {
  value = "named like a key"
}
output "arn" {
  value = terraform_data.inner.id
}
resource "terraform_data" "inner" {
}
"""

KNOWN: dict[str, tuple[str, Any]] = {
    "a literal": ('"a"', "a"),
    "a whole number as a float": ("1.0", 1),
    "the largest number that JSON holds": ("9007199254740992", 9007199254740992),
    "null": ("null", None),
    "a declared value": ("var.target.account_id", TARGET),
    "a declared value by a computed index": (
        'var.staging_accounts[join("-", ["staging", "1"])].account_id',
        STAGING,
    ),
    "a template": ('"${local.text}-${var.recovery_region}"', "text-us-west-2"),
    "a default that the type converts": ('"${var.typed["a"].count}"', 5),
    "an optional attribute": ('var.typed["a"].name', "named"),
    "an escaped template": ('"$${aws:username}"', "${aws:username}"),
    "an escaped template beside a real one": ('"$${x}-${local.text}"', "${x}-text"),
    "a heredoc": ("<<-EOT\n    a ${local.text}\n    EOT\n", "a text\n"),
    "a for expression that shadows a local's name": (
        "[for text in local.list : upper(text)]",
        ["A", "B"],
    ),
    "a for expression that shadows a resource type": (
        '[for aws_kms_key in ["a"] : aws_kms_key]',
        ["a"],
    ),
    "try of what is there": ('try(local.map.k, "d")', "v"),
    "try of what is not there": ('try(local.map.nothing, "d")', "d"),
    "can of what is there": ("can(local.map.k)", True),
    "an element of a value that is computed in part": (
        "[for k in keys({ a = 1 }) : k]",
        ["a"],
    ),
    "an output": ("module.m.out", "out-given"),
    "an output of a repeated module": ('module.many["y"].out', "out-why"),
    "an output that the module's variable converts": ("module.m.sorted", ["a", "b"]),
    "an attribute that the code sets": ("aws_security_group.group.description", "what"),
    "the input of a terraform_data": ("terraform_data.computed.input", "given"),
    "a role's ARN": ("aws_iam_role.plain.arn", f"{ROLE}/plain"),
    "a role's ARN in JSON": (
        "jsonencode({ Principal = { AWS = [aws_iam_role.plain.arn] } })",
        json.dumps({"Principal": {"AWS": [f"{ROLE}/plain"]}}, separators=(",", ":")),
    ),
    "a role's ARN in a template": ('"${aws_iam_role.plain.arn}:x"', f"{ROLE}/plain:x"),
    "a role's ARN through a for expression": (
        "{ for k, v in { a = aws_iam_role.plain.arn } : k => v }",
        {"a": f"{ROLE}/plain"},
    ),
    "a role's ARN with path and name from locals": ("aws_iam_role.path.arn", f"{ROLE}/a/text/text"),
    "a role's ARN in another account": (
        "aws_iam_role.staging.arn",
        f"arn:aws:iam::{STAGING}:role/n",
    ),
    "a role's ARN in another partition": (
        "aws_iam_role.china.arn",
        f"arn:aws-cn:iam::{TARGET}:role/n",
    ),
    "a role's name": ("aws_iam_role.plain.name", "plain"),
    "a policy document": (
        "data.aws_iam_policy_document.document.json",
        json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["kms:*"]}]}
        ),
    ),
}

UNKNOWN = {
    "a computed attribute, which has an invented id": "terraform_data.computed.id",
    "an invented id in a template": '"x-${terraform_data.computed.id}"',
    "an invented id in a function": "md5(terraform_data.computed.id)",
    "an invented id through a local": "upper(local.computed)",
    "an invented id in a condition": 'terraform_data.computed.id == "x" ? 1 : 2',
    "an invented id that is counted": "length(terraform_data.computed.id)",
    "an invented id that try accepts": 'try(terraform_data.computed.id, "d")',
    "an invented id that can accepts": "can(terraform_data.computed.id)",
    "part of a value that is computed": "local.mixed.known",
    "the other arm of a condition is computed": "true ? local.text : local.computed",
    "a computed index": "local.list[length(local.computed)]",
    "a computed attribute of a resource that is not read": "aws_vpc.missing.id",
    "a variable that is not declared": "var.misspelt",
    "a variable that is not declared, in try": 'try(var.misspelt, "d")',
    "a local that is not declared, in try": 'try(local.misspelt, "d")',
    "a local that is null, in try": 'try(local.nothing, "d")',
    "a variable that is null": "var.unset",
    "a variable that is null, in JSON": "jsonencode({ a = var.unset })",
    "a function that fails": 'tonumber("x")',
    "a function that fails in a list": '[tonumber("x"), 1]',
    "a function that fails in JSON": 'jsonencode({ a = tonumber("x") })',
    "a function that fails in JSON in a local": "local.policy",
    "a function that fails in a template": '"a-${tonumber("x")}"',
    "a function that fails in a heredoc": '<<EOT\na ${tonumber("x")}\nEOT\n',
    "a function that fails beside an escaped template": '"$${x}-${tonumber("x")}"',
    "a local that fails beside an escaped template": '"$${x}-${local.bad}"',
    "a local that fails in a list beside an escaped template": '["$${x}", "${local.bad}"]',
    "a function of the provider": 'provider::aws::arn_build("aws", "iam", "", "1", "role/x")',
    "a function that reads a file": 'file("main.tf")',
    "a function that renders a file": 'templatefile("main.tf", {})',
    "a function of the time": "timestamp()",
    "a function that makes up": "uuid()",
    "a function that does not exist": 'can(misspelt("x"))',
    "a template directive": '"%{ if true }a%{ endif }"',
    "a template directive in a heredoc": "<<EOT\n%{ if true }a%{ endif }\nEOT\n",
    "a template inside an escaped one": '"$${${data.aws_region.current.name}}"',
    "a number that JSON does not hold": "9007199254740993",
    "a null in a function that takes it otherwise": 'try(contains(["a"], var.unset), "d")',
    "a null in format, which Terraform does not know": 'format("%s", var.unset)',
    "an optional attribute in format": 'format("%s", var.typed["a"].name)',
    "a local that is null, among elements": "[local.nothing.x] == [1, 2]",
    "a number that tfparse cuts": "9223372036854775808",
    "a negative number that tfparse cuts": "-9223372036854775809",
    "a number in a list that tfparse cuts": "[1e30]",
    "a placeholder": "data.aws_region.current.name",
    "a placeholder in a template": '"kms.${data.aws_region.current.name}.amazonaws.com"',
    "the account that Terraform runs in": "data.aws_caller_identity.current.account_id",
    "the folder": "path.module",
    "the workspace": "terraform.workspace",
    "locals that refer to each other": "local.one",
    "an expression that refers to its own resource": "aws_kms_key.subject.subject",
    "each where nothing repeats": "each.key",
    "each as a whole where nothing repeats": "jsonencode(each)",
    "count where nothing repeats": "count.index",
    "a module as a whole": "module.m",
    "an output that is not declared": "module.m.misspelt",
    "an output that is not declared, in try": 'try(module.m.misspelt, "d")',
    "an output that is computed": "module.m.computed",
    "an output that is computed, of a repeated module": 'module.many["x"].arn',
    "an output named like an argument": "module.m.given",
    "an output named like an argument, of another type": "module.m.number",
    "an output named id": "substr(module.m.id, 0, 4)",
    "a variable named id that is not given": "substr(module.m.of_id, 0, 2)",
    "a variable named name in a module named like a data source": "module.aws_region.of_name",
    "a module that is not declared": "module.misspelt.out",
    "a role as a whole": "aws_iam_role.plain",
    "a role's id, which looks like its ARN": "aws_iam_role.plain.id",
    "a role's unique id": "aws_iam_role.plain.unique_id",
    "the ARN of a role with a name prefix": "aws_iam_role.prefixed.arn",
    "the ARN of a role without a name": "aws_iam_role.nameless.arn",
    "the ARN of a role whose name is null": "aws_iam_role.null_name.arn",
    "the name of a role that is null": 'coalesce(aws_iam_role.null_name.name, "d")',
    "the ARN of a role with a path that is none": "aws_iam_role.bad_path.arn",
    "the ARN of a role whose provider is not known": "aws_iam_role.elsewhere.arn",
    "the ARN of a role in a Region of no partition": "aws_iam_role.odd.arn",
    "the ARN of a role without a Region": "aws_iam_role.no_region.arn",
    "a role's ARN that is taken apart": 'split("-", aws_iam_role.plain.arn)[0]',
    "a role's ARN that is cut": "substr(aws_iam_role.plain.arn, 0, 3)",
    "a role's ARN that is hashed": "md5(aws_iam_role.plain.arn)",
    "a role's ARN that is counted": "length(aws_iam_role.plain.arn)",
    "a role's ARN that is compared": 'aws_iam_role.plain.arn == "x" ? 1 : 2',
    "a role's ARN as a key": "{ (aws_iam_role.plain.arn) = 1 }",
    "a role's ARN as a key made by for": "{ for arn in [aws_iam_role.plain.arn] : arn => 1 }",
    "a role's ARN that is filtered": '[for arn in [aws_iam_role.plain.arn] : 1 if arn != "x"]',
    "a role's ARN that is sorted": "toset([aws_iam_role.plain.arn, aws_iam_role.path.arn])",
    "a role's ARN in capitals": "upper(aws_iam_role.plain.arn)",
    "a policy document that is replaced in": (
        'replace(data.aws_iam_policy_document.document.json, "-", "")'
    ),
    "a policy document in a template": '"${data.aws_iam_policy_document.document.json}\\n"',
    "a policy document in JSON": "jsonencode([data.aws_iam_policy_document.document.json])",
    "an attribute that the provider may convert": "aws_security_group.group.name",
    "a map that the provider may convert": "aws_security_group.group.tags",
    "a policy that the provider may write anew": "aws_iam_role.plain.assume_role_policy",
    "an escaped template from elsewhere": "local.escaped",
}


@pytest.mark.parametrize(("expression", "expected"), KNOWN.values(), ids=KNOWN)
def test_a_value_is_known_as_terraform_has_it(
    tmp_path: Path, expression: str, expected: Any
) -> None:
    found = trees.value(tmp_path, expression, MORE, **{"m/m.tf": MODULE})
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("expression", UNKNOWN.values(), ids=UNKNOWN)
def test_any_other_value_is_unknown_with_a_reason(tmp_path: Path, expression: str) -> None:
    found = trees.value(tmp_path, expression, MORE, **{"m/m.tf": MODULE})
    assert isinstance(found, Unknown)
    assert found.reason.startswith("aws_kms_key.subject.subject is not known from the code: ")


KEY = 'resource "aws_kms_key" "key" {'
MANY = 'resource "aws_kms_key" "many" {'
LEAF = {"m/m.tf": KEY + "\n}\n"}
FLAG = {"flag/m.tf": 'output "flag" {\n  value = true\n}\noutput "list" {\n  value = ["x"]\n}\n'}
INPUT = {"n/n.tf": 'variable "list" {\n}\n' + KEY + "\n  for_each = toset(var.list)\n}\n"}
CALL = 'module "flag" {\n  source = "./flag"\n}\n'

COMPLETE: dict[str, tuple[dict[str, str], list[str]]] = {
    "one": ({"main.tf": KEY + "\n}\n"}, ["aws_kms_key.key"]),
    "count is zero": ({"main.tf": MANY + "\n  count = 0\n}\n"}, []),
    "count is two": (
        {"main.tf": MANY + "\n  count = 1 + 1\n}\n"},
        ["aws_kms_key.many[0]", "aws_kms_key.many[1]"],
    ),
    "count is zero by a condition": (
        {"main.tf": MANY + '\n  count = var.target.account_id == "" ? 1 : 0\n}\n'},
        [],
    ),
    "for_each over a map": (
        {"main.tf": MANY + '\n  for_each = { "a.b" = 1 }\n}\n'},
        ['aws_kms_key.many["a.b"]'],
    ),
    "for_each over nothing": ({"main.tf": MANY + "\n  for_each = toset([])\n}\n"}, []),
    "for_each over nothing that a filter leaves": (
        {
            "main.tf": MANY
            + "\n  for_each = { for k, v in var.staging_accounts : k => v if v.servers > 5 }\n}\n"
        },
        [],
    ),
    "a module with for_each": (
        {
            "main.tf": 'module "m" {\n  source   = "./m"\n  for_each = toset(["x"])\n}\n',
            **LEAF,
        },
        ['module.m["x"].aws_kms_key.key'],
    ),
    "a module with count zero": (
        {"main.tf": 'module "m" {\n  source = "./m"\n  count  = 0\n}\n', **LEAF},
        [],
    ),
    "modules in modules": (
        {
            "main.tf": 'module "o" {\n  source = "./o"\n  count  = 2\n}\n',
            "o/o.tf": 'module "m" {\n  source = "../m"\n}\n',
            **LEAF,
        },
        ["module.o[0].module.m.aws_kms_key.key", "module.o[1].module.m.aws_kms_key.key"],
    ),
}

INCOMPLETE: dict[str, tuple[dict[str, str], str]] = {
    "count is not known": (
        {"main.tf": MANY + "\n  count = length(terraform_data.x.id)\n}\n"},
        "aws_kms_key",
    ),
    "count is not known and comes out as one": (
        {"main.tf": MANY + '\n  count = terraform_data.x.id == "" ? 0 : 1\n}\n'},
        "aws_kms_key",
    ),
    "count is an output, which tfparse takes for one": (
        {"main.tf": CALL + MANY + "\n  count = module.flag.flag ? 2 : 0\n}\n", **FLAG},
        "aws_kms_key",
    ),
    "count is text, which tfparse takes for one": (
        {"main.tf": MANY + '\n  count = "2"\n}\n'},
        "aws_kms_key",
    ),
    "a module that tfparse does not understand": (
        {
            "main.tf": 'module "m" {\n  source = "./m"\n}\n',
            "m/m.tf": KEY + "\n}\nmisspelt {\n}\n",
        },
        "aws_kms_key",
    ),
    "for_each is not known": (
        {"main.tf": MANY + "\n  for_each = terraform_data.x.output\n}\n"},
        "aws_kms_key",
    ),
    "for_each is an output with a fallback, which tfparse takes": (
        {
            "main.tf": CALL + MANY + '\n  for_each = toset(try(module.flag.list, ["y"]))\n}\n',
            **FLAG,
        },
        "aws_kms_key",
    ),
    "for_each has a null, which tfparse leaves out": (
        {"main.tf": MANY + '\n  for_each = { a = null, b = "x" }\n}\n'},
        "aws_kms_key",
    ),
    "for_each has only a null": (
        {"main.tf": MANY + "\n  for_each = { a = null }\n}\n"},
        "aws_kms_key",
    ),
    "for_each fails": (
        {"main.tf": MANY + '\n  for_each = toset([tonumber("x")])\n}\n'},
        "aws_kms_key",
    ),
    "for_each of a module is not known": (
        {
            "main.tf": 'module "m" {\n  source   = "./m"\n  for_each = terraform_data.x.output\n}\n',
            **LEAF,
        },
        "*",
    ),
    "for_each in a module depends on another module": (
        {
            "main.tf": CALL + 'module "n" {\n  source = "./n"\n  list = module.flag.list\n}\n',
            **FLAG,
            **INPUT,
        },
        "aws_kms_key",
    ),
    "a module from a registry": (
        {"main.tf": 'module "m" {\n  source  = "a/b/aws"\n  version = "1.0.0"\n}\n'},
        "*",
    ),
    "a module from a registry that is downloaded": (
        {
            "main.tf": 'module "m" {\n  source  = "a/b/aws"\n}\n',
            ".terraform/modules/modules.json": json.dumps(
                {
                    "Modules": [
                        {"Key": "", "Source": "", "Dir": "."},
                        {
                            "Key": "m",
                            "Source": "registry.terraform.io/a/b/aws",
                            "Version": "1.0.0",
                            "Dir": ".terraform/modules/m",
                        },
                    ]
                }
            ),
            ".terraform/modules/m/m.tf": KEY + "\n}\n",
        },
        "*",
    ),
    "a module from git": (
        {"main.tf": 'module "m" {\n  source = "git::https://example.com/m.git"\n}\n'},
        "*",
    ),
    "a module without a source": ({"main.tf": 'module "m" {\n}\n'}, "*"),
}


@pytest.mark.parametrize(("files", "addresses"), COMPLETE.values(), ids=COMPLETE)
def test_every_resource_is_seen(
    tmp_path: Path, files: dict[str, str], addresses: list[str]
) -> None:
    found = trees.resources(tmp_path, files)
    assert [each.address for each in found.seen] == addresses
    assert dict(found.missed) == {}


@pytest.mark.parametrize(("files", "missed"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_a_resource_that_may_be_missing_makes_its_type_unknown(
    tmp_path: Path, files: dict[str, str], missed: str
) -> None:
    found = trees.resources(tmp_path, files)
    assert set(found.missed) == {missed}
    assert found.missed[missed].reason.startswith(str(tmp_path))


def test_a_missing_module_makes_every_kind_unknown_in_every_account(tmp_path: Path) -> None:
    found = trees.estate(tmp_path, {"main.tf": 'module "target_m" {\n  source = "a/b/aws"\n}\n'})
    for account in found.accounts:
        for kind in (account.keys, account.roles, account.templates, account.security_groups):
            assert isinstance(kind, Unknown)
    (placement,) = (each for each in found.placements if not isinstance(found.placements, Unknown))
    assert isinstance(placement.account_id, Unknown)


EACH: dict[str, tuple[str, Any]] = {
    "each of a map": ("for_each = { a = var.recovery_region }\n  v = each.value", "us-west-2"),
    "each of a set": ('for_each = toset(["a"])\n  v = "${each.key}${each.value}"', "aa"),
    "count": ("count = 1\n  v = count.index", 0),
    "each of what is computed in part": (
        'for_each = { a = terraform_data.x.id }\n  v = "${each.key}"',
        Unknown,
    ),
    "each of a role's ARN": (
        "for_each = { a = aws_iam_role.r.arn }\n  v = jsonencode([each.value])",
        f'["{ROLE}/r"]',
    ),
    "each of a role's ARN that is looked into": (
        "for_each = { a = aws_iam_role.r.arn }\n  v = md5(each.value)",
        Unknown,
    ),
    "each of an output with a fallback": (
        'for_each = { a = try(module.flag.list[0], "y") }\n  v = each.value',
        Unknown,
    ),
    "each where count repeats": ("count = 1\n  v = each.key", Unknown),
}


@pytest.mark.parametrize(("body", "expected"), EACH.values(), ids=EACH)
def test_each_is_what_repeats_the_resource(tmp_path: Path, body: str, expected: Any) -> None:
    role = 'resource "aws_iam_role" "r" {\n  name = "r"\n}\n'
    main = f"{CALL}{role}{MANY}\n  {body}\n}}\n"
    found = trees.resources(tmp_path, {"main.tf": main, **FLAG})
    (value,) = (each.value("v") for each in found.of_type("aws_kms_key"))
    assert value == expected if expected is not Unknown else isinstance(value, Unknown)


def statement(body: str) -> str:
    return f'data "aws_iam_policy_document" "d" {{\n{body}\n}}\n'


BLOCKS = """
locals {
  none    = []
  some    = ["a", "b"]
  nothing = null
  roles   = [aws_iam_role.r.arn]
  tests   = { StringEquals = "x", StringLike = "y" }
}
variable "filled" {
  default = [{ tests = ["1"] }, { tests = [] }]
}
variable "spoilt" {
  default = [{ tests = ["1"] }, {}]
}
"""


def allow(*conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"Effect": "Allow", **more, "Action": ["a:b"]}
    merged = {test: tested for each in conditions for test, tested in each.items()}
    return found | ({"Condition": merged} if conditions else {})


def dynamic(name: str, for_each: str, content: str, more: str = "") -> str:
    return f'dynamic "{name}" {{\nfor_each = {for_each}\n{more}\ncontent {{\n{content}\n}}\n}}\n'


CONDITION = 'test = "StringEquals"\nvariable = "v"\nvalues = [condition.value]'
ACTIONS = 'actions = ["a:b"]\n'

DOCUMENTS: dict[str, tuple[str, list[dict[str, Any]] | type[Unknown]]] = {
    "plain": (f"statement {{\n{ACTIONS}}}", [allow()]),
    "two": (
        f'statement {{\nsid = "a"\n{ACTIONS}}}\nstatement {{\nsid = "b"\n{ACTIONS}}}',
        [allow(Sid="a"), allow(Sid="b")],
    ),
    "one for each": (
        dynamic("statement", "local.some", f"sid = statement.value\n{ACTIONS}"),
        [allow(Sid="a"), allow(Sid="b")],
    ),
    "one for each, by another name": (
        dynamic("statement", "local.some", f"sid = it.value\n{ACTIONS}", "iterator = it"),
        [allow(Sid="a"), allow(Sid="b")],
    ),
    "one for each of a for expression": (
        dynamic("statement", "[for s in local.some : s]", f"sid = statement.value\n{ACTIONS}"),
        [allow(Sid="a"), allow(Sid="b")],
    ),
    "one for each of a filter": (
        dynamic(
            "statement",
            '[for s in local.some : s if s != "a"]',
            f"sid = statement.value\n{ACTIONS}",
        ),
        [allow(Sid="b")],
    ),
    "after others": (
        f'statement {{\nsid = "x"\n{ACTIONS}}}\n'
        + dynamic("statement", "local.some", f"sid = statement.value\n{ACTIONS}"),
        [allow(Sid="x"), allow(Sid="a"), allow(Sid="b")],
    ),
    "before others, where tfparse drops the last": (
        dynamic("statement", "local.some", f"sid = statement.value\n{ACTIONS}")
        + f'statement {{\nsid = "y"\n{ACTIONS}}}\n',
        Unknown,
    ),
    "one before others, which tfparse drops": (
        dynamic("statement", '["a"]', f"sid = statement.value\n{ACTIONS}")
        + f'statement {{\nsid = "y"\n{ACTIONS}}}\n',
        Unknown,
    ),
    "a condition for each before another, which tfparse drops": (
        dynamic(
            "statement",
            '["a"]',
            ACTIONS
            + dynamic("condition", "local.some", CONDITION)
            + 'condition {\ntest = "Bool"\nvariable = "v"\nvalues = [true]\n}',
        ),
        Unknown,
    ),
    "for_each is empty": (dynamic("statement", "[]", ACTIONS), []),
    "for_each is an empty local": (dynamic("statement", "local.none", ACTIONS), []),
    "for_each is empty by a condition": (
        dynamic("statement", 'var.target.account_id == "" ? [1] : []', ACTIONS),
        [],
    ),
    "conditions in a statement for each": (
        dynamic(
            "statement",
            "var.filled",
            "sid = statement.key\n"
            + ACTIONS
            + dynamic("condition", "statement.value.tests", CONDITION),
        ),
        [allow({"StringEquals": {"v": ["1"]}}, Sid="0"), allow(Sid="1")],
    ),
    "a condition for each in a plain statement, which tfparse does not write": (
        f"statement {{\n{ACTIONS}" + dynamic("condition", "local.some", CONDITION) + "}",
        Unknown,
    ),
    "a condition for each of none in a plain statement": (
        f"statement {{\n{ACTIONS}" + dynamic("condition", "local.none", CONDITION) + "}",
        [allow()],
    ),
    "conditions fail in one statement of two": (
        dynamic(
            "statement",
            "var.spoilt",
            ACTIONS + dynamic("condition", "statement.value.tests", CONDITION),
        ),
        Unknown,
    ),
    "for_each has a null, which tfparse leaves out": (
        dynamic("statement", '[null, "a"]', ACTIONS),
        Unknown,
    ),
    "for_each is not known": (dynamic("statement", "terraform_data.x.output", ACTIONS), Unknown),
    "for_each is not known, with a fallback": (
        dynamic("statement", "try(terraform_data.x.output, [])", ACTIONS),
        Unknown,
    ),
    "for_each is an output, with a fallback": (
        dynamic("statement", "try(module.flag.list, [])", ACTIONS),
        Unknown,
    ),
    "for_each fails": (dynamic("statement", 'tonumber("x")', ACTIONS), Unknown),
    "for_each is null": (dynamic("statement", "local.nothing", ACTIONS), Unknown),
    "for_each is too much to follow": (
        dynamic("statement", 'split(",", "a,b")', ACTIONS),
        Unknown,
    ),
    "the iterator as a whole is computed": (
        dynamic("statement", "[terraform_data.x.id]", "actions = keys(statement)"),
        Unknown,
    ),
    "the content is missing": ('dynamic "statement" {\nfor_each = ["a"]\n}', Unknown),
    "an attribute is computed": ("statement {\nactions = [terraform_data.x.id]\n}", Unknown),
    "an attribute has null in it": ("statement {\nactions = [local.nothing]\n}", Unknown),
    "an attribute is null": (f"statement {{\nsid = null\neffect = null\n{ACTIONS}}}", [allow()]),
    "an attribute that is not read": (f"statement {{\nunread = true\n{ACTIONS}}}", Unknown),
    "a block that is not read": (f"statement {{\n{ACTIONS}unread {{\n}}\n}}", Unknown),
    "another policy is merged": ('source_policy_documents = ["{}"]', Unknown),
    "another policy is merged over it": ('override_policy_documents = ["{}"]', Unknown),
    "another policy is merged, the old way": ('source_json = "{}"', Unknown),
    "another policy is merged over it, the old way": ('override_json = "{}"', Unknown),
    "no other policy is merged": ("source_policy_documents = null", []),
    "one sid twice, which the provider refuses": (
        f'statement {{\nsid = "a"\n{ACTIONS}}}\n' * 2,
        Unknown,
    ),
    "policy variables": (
        'statement {\nactions = ["a:b"]\nresources = ["arn:&{aws:username}"]\n}',
        [allow(Resource=["arn:${aws:username}"])],
    ),
    "numbers and booleans in a condition are text": (
        dynamic(
            "statement",
            '["a"]',
            f'{ACTIONS}condition {{\ntest = "Bool"\nvariable = "v"\nvalues = [true, 5]\n}}',
        ),
        [allow({"Bool": {"v": ["true", "5"]}})],
    ),
    "a role that the code makes": (
        f'statement {{\n{ACTIONS}principals {{\ntype = "AWS"\nidentifiers = [aws_iam_role.r.arn]\n}}\n}}',
        [allow(Principal={"AWS": [f"{ROLE}/r"]})],
    ),
    "a role that the code makes, for each": (
        dynamic(
            "statement",
            "local.roles",
            f'{ACTIONS}principals {{\ntype = "AWS"\nidentifiers = [statement.value]\n}}',
        ),
        [allow(Principal={"AWS": [f"{ROLE}/r"]})],
    ),
    "everybody": (
        f'statement {{\n{ACTIONS}principals {{\ntype = "*"\nidentifiers = ["*"]\n}}\n}}',
        [allow(Principal="*")],
    ),
}


@pytest.mark.parametrize(("body", "expected"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_policy_document_is_whole_or_unknown(
    tmp_path: Path, body: str, expected: list[dict[str, Any]] | type[Unknown]
) -> None:
    role = 'resource "aws_iam_role" "r" {\n  name = "r"\n}\n'
    found = trees.value(
        tmp_path,
        "data.aws_iam_policy_document.d.json",
        BLOCKS + CALL + role + statement(body),
        **FLAG,
    )
    if isinstance(expected, type):
        assert isinstance(found, Unknown), found
    else:
        assert not isinstance(found, Unknown), found
        assert json.loads(found).get("Statement", []) == expected


PASSED = """
module "outer" {
  source    = "./outer"
  providers = { aws.given = aws.staging }
}
"""
OUTER = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", configuration_aliases = [aws.given] }
  }
}
module "inner" {
  source    = "../inner"
  providers = { aws = aws.given }
}
"""
WIRED: dict[str, tuple[dict[str, str], str, str | type[Unknown]]] = {
    "the root's own": ({"main.tf": KEY + "\n}\n"}, "aws_kms_key.key", TARGET),
    "the root's own alias": (
        {"main.tf": KEY + "\n  provider = aws.staging\n}\n"},
        "aws_kms_key.key",
        STAGING,
    ),
    "an alias that is not configured": (
        {"main.tf": KEY + "\n  provider = aws.nowhere\n}\n"},
        "aws_kms_key.key",
        Unknown,
    ),
    "inherited": (
        {"main.tf": 'module "m" {\n  source = "./m"\n}\n', **LEAF},
        "module.m.aws_kms_key.key",
        TARGET,
    ),
    "passed": (
        {
            "main.tf": 'module "m" {\n  source = "./m"\n  providers = { aws = aws.staging }\n}\n',
            **LEAF,
        },
        "module.m.aws_kms_key.key",
        STAGING,
    ),
    "passed through two levels under other names": (
        {"main.tf": PASSED, "outer/o.tf": OUTER, "inner/i.tf": KEY + "\n}\n"},
        "module.outer.module.inner.aws_kms_key.key",
        STAGING,
    ),
    "an alias that is not passed": (
        {
            "main.tf": 'module "m" {\n  source = "./m"\n}\n',
            "m/m.tf": KEY + "\n  provider = aws.given\n}\n",
        },
        "module.m.aws_kms_key.key",
        Unknown,
    ),
    "another alias is passed": (
        {
            "main.tf": 'module "m" {\n  source = "./m"\n  providers = { aws.x = aws.staging }\n}\n',
            **LEAF,
        },
        "module.m.aws_kms_key.key",
        Unknown,
    ),
    "a module with a provider of its own": (
        {
            "main.tf": 'module "m" {\n  source = "./m"\n}\n',
            "m/m.tf": 'provider "aws" {\n  allowed_account_ids = ["1"]\n}\n' + KEY + "\n}\n",
        },
        "module.m.aws_kms_key.key",
        Unknown,
    ),
    "two accounts are allowed": (
        {
            "main.tf": f'provider "aws" {{\n  alias = "two"\n  allowed_account_ids = ["{TARGET}", "{STAGING}"]\n}}\n'
            + KEY
            + "\n  provider = aws.two\n}\n"
        },
        "aws_kms_key.key",
        Unknown,
    ),
    "no account is named": (
        {"main.tf": 'provider "aws" {\n  alias = "any"\n}\n' + KEY + "\n  provider = aws.any\n}\n"},
        "aws_kms_key.key",
        Unknown,
    ),
    "the account is computed": (
        {
            "main.tf": 'provider "aws" {\n  alias = "c"\n  allowed_account_ids = [terraform_data.x.id]\n}\n'
            + KEY
            + "\n  provider = aws.c\n}\n"
        },
        "aws_kms_key.key",
        Unknown,
    ),
    "two configurations have one name": (
        {"main.tf": 'provider "aws" {\n}\n' + KEY + "\n}\n"},
        "aws_kms_key.key",
        Unknown,
    ),
}


@pytest.mark.parametrize(("files", "address", "account"), WIRED.values(), ids=WIRED)
def test_a_resource_stands_in_the_account_of_its_provider(
    tmp_path: Path, files: dict[str, str], address: str, account: str | type[Unknown]
) -> None:
    found = trees.at(trees.resources(tmp_path, files), address).account_id
    assert found == account if isinstance(account, str) else isinstance(found, Unknown)


def test_a_provider_of_a_module_makes_the_providers_unknown(tmp_path: Path) -> None:
    files = {
        "main.tf": 'module "m" {\n  source = "./m"\n}\n',
        "m/m.tf": 'provider "aws" {\n}\n',
    }
    assert isinstance(trees.estate(tmp_path, files).providers, Unknown)


ASSUMED: dict[str, tuple[str, str | None | type[Unknown]]] = {
    "none": ("", None),
    "a role": (
        f'assume_role {{\n  role_arn = "arn:aws:iam::{STAGING}:role/r"\n}}',
        STAGING,
    ),
    "a role by a token": (
        f'assume_role_with_web_identity {{\n  role_arn = "arn:aws:iam::{STAGING}:role/r"\n}}',
        STAGING,
    ),
    "a role in a dynamic block": (
        dynamic("assume_role", '["r"]', f'role_arn = "arn:aws:iam::{STAGING}:role/r"'),
        STAGING,
    ),
    "a role that is computed": ("assume_role {\n  role_arn = terraform_data.x.id\n}", Unknown),
    "two roles": (
        f'assume_role {{\n  role_arn = "arn:aws:iam::{STAGING}:role/r"\n}}\n' * 2,
        Unknown,
    ),
    "no ARN": ('assume_role {\n  role_arn = "r"\n}', Unknown),
}


@pytest.mark.parametrize(("body", "account"), ASSUMED.values(), ids=ASSUMED)
def test_a_provider_assumes_a_role_of_one_account(
    tmp_path: Path, body: str, account: str | None | type[Unknown]
) -> None:
    files = {"main.tf": f'provider "aws" {{\n  alias = "subject"\n{body}\n}}\n'}
    found = trees.estate(tmp_path, files)
    assert not isinstance(found.providers, Unknown)
    (subject,) = (each for each in found.providers if each.name == "aws.subject")
    role = subject.role_account_id
    assert isinstance(role, Unknown) if isinstance(account, type) else role == account


ALLOWED: dict[str, tuple[str, tuple[str, ...] | type[Unknown]]] = {
    "one": (f'allowed_account_ids = ["{STAGING}"]', (STAGING,)),
    "not set": ("", ()),
    "set to null": ("allowed_account_ids = null", ()),
    "set to none": ("allowed_account_ids = []", ()),
    "computed": ("allowed_account_ids = terraform_data.x.output", Unknown),
    "one that is computed": (
        f'allowed_account_ids = ["{STAGING}", terraform_data.x.id]',
        Unknown,
    ),
    "no list": (f'allowed_account_ids = "{STAGING}"', Unknown),
}


@pytest.mark.parametrize(("body", "allowed"), ALLOWED.values(), ids=ALLOWED)
def test_a_provider_names_the_accounts_that_it_may_act_in(
    tmp_path: Path, body: str, allowed: tuple[str, ...] | type[Unknown]
) -> None:
    files = {"main.tf": f'provider "aws" {{\n  alias = "subject"\n  {body}\n}}\n'}
    found = trees.estate(tmp_path, files).providers
    assert not isinstance(found, Unknown)
    (subject,) = (each for each in found if each.name == "aws.subject")
    if isinstance(allowed, tuple):
        assert subject.allowed == allowed
    else:
        assert isinstance(subject.allowed, Unknown)


def test_a_provider_under_another_name_is_seen(tmp_path: Path) -> None:
    required = (
        'terraform {\n  required_providers {\n    other = { source = "hashicorp/aws" }\n  }\n}\n'
    )
    found = trees.estate(tmp_path, {"main.tf": required + 'provider "other" {\n}\n'})
    assert not isinstance(found.providers, Unknown)
    assert [each.name for each in found.providers] == ["other", "aws", "aws.staging"]


LINKS: dict[str, tuple[str, str | type[Unknown]]] = {
    "its ARN": ("aws_kms_key.one.arn", "aws_kms_key.one"),
    "an attribute that tfparse does not make up": ("aws_kms_key.one.key_id", "aws_kms_key.one"),
    "through a local": ("local.arn", "aws_kms_key.one"),
    "an instance": ('aws_kms_key.many["a"].arn', 'aws_kms_key.many["a"]'),
    "a known choice": ("true ? aws_kms_key.one.arn : aws_kms_key.two.arn", "aws_kms_key.one"),
    "a choice that is not known": (
        'terraform_data.x.id == "" ? aws_kms_key.one.arn : aws_kms_key.two.arn',
        Unknown,
    ),
    "a choice by what an ARN looks like": (
        'aws_kms_key.one.arn == "" ? aws_kms_key.one.arn : aws_kms_key.two.arn',
        Unknown,
    ),
    "an instance that is not named": ("values(aws_kms_key.many)[0].key_id", Unknown),
    "a literal": ('"arn:aws:kms:us-west-2:1:key/x"', Unknown),
    "another type": ("aws_kms_alias.other.target_key_arn", Unknown),
    "a resource that is not there": ("aws_kms_key.missing.arn", Unknown),
}


@pytest.mark.parametrize(("expression", "address"), LINKS.values(), ids=LINKS)
def test_a_link_leads_to_one_resource(
    tmp_path: Path, expression: str, address: str | type[Unknown]
) -> None:
    main = f"""
locals {{
  arn = aws_kms_key.one.arn
}}
resource "aws_kms_key" "one" {{
}}
resource "aws_kms_key" "two" {{
}}
resource "aws_kms_key" "many" {{
  for_each = toset(["a", "b"])
}}
resource "aws_kms_alias" "subject" {{
  target_key_id = {expression}
}}
"""
    found = trees.at(trees.resources(tmp_path, {"main.tf": main}), "aws_kms_alias.subject")
    links = found.linked("target_key_id", "aws_kms_key")
    assert isinstance(links, Unknown) if isinstance(address, type) else links == (address,)


@pytest.mark.parametrize("ignored", ["[policy]", "all", "[description, policy]"])
def test_what_terraform_leaves_as_it_is_is_unknown(tmp_path: Path, ignored: str) -> None:
    body = f'policy = "p"\nlifecycle {{\n  ignore_changes = {ignored}\n}}\n'
    found = trees.resources(tmp_path, {"main.tf": KEY + f"\n{body}}}\n"}).seen[0]
    assert isinstance(found.value("policy"), Unknown)


NEWER = """
check "answers" {
  data "aws_kms_key" "d" {
    key_id = "x"
  }
  assert {
    condition     = true
    error_message = "x"
  }
}
import {
  for_each = toset(["a"])
  to       = aws_kms_key.key
  id       = each.value
}
moved {
  from = aws_kms_key.old
  to   = aws_kms_key.key
}
removed {
  from = aws_kms_key.older
  lifecycle {
    destroy = false
  }
}
ephemeral "aws_secretsmanager_secret_version" "s" {
  secret_id = "x"
}
variable "passing" {
  type      = string
  ephemeral = true
  default   = "x"
}
terraform {
  required_version = ">= 1.10"
  cloud {
    organization = "x"
  }
}
action "aws_lambda_invoke" "a" {
  config {
    x = 1
  }
}
resource "aws_kms_key" "key" {
  policy         = "p"
  secret_wo      = ephemeral.aws_secretsmanager_secret_version.s.secret_string
  secret_version = 1
  lifecycle {
    precondition {
      condition     = self.policy != ""
      error_message = "x"
    }
    action_trigger {
      events  = [after_create]
      actions = [action.aws_lambda_invoke.a]
    }
  }
}
"""


def test_newer_syntax_is_read(tmp_path: Path) -> None:
    found = trees.resources(tmp_path, {"main.tf": NEWER})
    assert dict(found.missed) == {}
    (key,) = found.seen
    assert key.value("policy") == "p"
    assert isinstance(key.value("secret_wo"), Unknown)


PLAIN = KEY + '\n  policy = "p"\n}\n'
FORMS: dict[str, bytes] = {
    "with a byte-order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "with CRLF": PLAIN.replace("\n", "\r\n").encode(),
    "without a last line end": PLAIN.strip().encode(),
    "on one line": (KEY + ' policy = "p" }').encode(),
    "with every comment": b"# c\n// c\n/* c\nc */\n" + PLAIN.encode() + b"#",
    "with much text": PLAIN.encode() + b"# " + b"x" * (1024 * 1024) + b"\n",
    "with other scripts": PLAIN.encode() + 'locals {\n  a = "日本 \U0001f511"\n}\n'.encode(),
}


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_a_file_is_read_in_every_form(tmp_path: Path, content: bytes) -> None:
    found = trees.resources(tmp_path, {"main.tf": content})
    assert [each.value("policy") for each in found.seen] == ["p"]


def test_a_module_behind_a_symbolic_link_is_read(tmp_path: Path) -> None:
    env = trees.write(tmp_path, {"real/m.tf": PLAIN})
    (env / "link").symlink_to(env / "real")
    found = trees.resources(tmp_path, {"main.tf": 'module "m" {\n  source = "./link"\n}\n'})
    assert [each.value("policy") for each in found.seen] == ["p"]


REFUSED: dict[str, tuple[dict[str, str | bytes], str]] = {
    "broken": ({"main.tf": "resource {{"}, "not valid HCL"),
    "broken in a module": (
        {"main.tf": 'module "m" {\n  source = "./m"\n}\n', "m/m.tf": "}"},
        "not valid HCL",
    ),
    "no text": ({"main.tf": b"\xff\xfe"}, "not UTF-8"),
    "a block that Terraform does not have": ({"main.tf": "misspelt {\n}\n"}, "misspelt"),
    "a resource without a name": ({"main.tf": 'resource "aws_kms_key" {\n}\n'}, "name"),
    "an attribute twice": ({"main.tf": KEY + "\n  a = 1\n  a = 2\n}\n"}, "main.tf:3.*twice"),
    "an attribute twice in a block of a module": (
        {
            "main.tf": 'module "m" {\n  source = "./m"\n}\n',
            "m/m.tf": KEY + "\n  b {\n    a = 1\n    a = 2\n  }\n}\n",
        },
        "m.tf:4.*twice",
    ),
    "a resource whose name is none": (
        {"main.tf": 'resource "aws_kms_key" "a.b" {\n}\n'},
        "is no name",
    ),
    "a resource whose type is none": ({"main.tf": 'resource "" "a" {\n}\n'}, "is no name"),
    "a module whose name is a path": ({"main.tf": 'module "../m" {\n}\n'}, "is no name"),
    "a resource twice": ({"main.tf": PLAIN * 2}, "declared again"),
    "a local twice": ({"main.tf": "locals {\n  a = 1\n}\n" * 2}, "declared again"),
    "a variable twice": ({"main.tf": 'variable "target" {\n}\n'}, "declared again"),
    "a module that is missing": (
        {"main.tf": 'module "m" {\n  source = "./missing"\n}\n'},
        "missing",
    ),
    "a module without code": (
        {"main.tf": 'module "m" {\n  source = "./m"\n}\n', "m/README.md": ""},
        "no Terraform code",
    ),
    "a module that calls itself": (
        {
            "main.tf": 'module "m" {\n  source = "./m"\n}\n',
            "m/m.tf": 'module "m" {\n  source = "../m"\n}\n',
        },
        "calls itself",
    ),
    "a module that calls the root": (
        {
            "main.tf": 'module "m" {\n  source = "./m"\n}\n',
            "m/m.tf": 'module "m" {\n  source = "../"\n}\n',
        },
        "calls itself",
    ),
    "modules without end": (
        {
            "main.tf": 'module "a" {\n  source = "./m0"\n}\n',
            **{
                f"m{i}/m.tf": "".join(
                    f'module "{name}" {{\n  source = "../m{i + 1}"\n}}\n' for name in "ab"
                )
                for i in range(20)
            },
            "m20/m.tf": PLAIN,
        },
        "more than",
    ),
    "Terraform's JSON syntax": ({"main.tf.json": "{}"}, "only Terraform's own syntax"),
    "OpenTofu's code": ({"providers.tofu": PLAIN}, "only Terraform's own syntax"),
    "an override": ({"override.tf": PLAIN}, "override"),
    "another override": ({"main_override.tf": PLAIN}, "override"),
    "an override in a module": (
        {
            "main.tf": 'module "m" {\n  source = "./m"\n}\n',
            "m/m.tf": PLAIN,
            "m/override.tf": PLAIN,
        },
        "override",
    ),
    "a file that Terraform ignores": ({".main.tf": PLAIN}, "ignores"),
    "terraform.tfvars": ({"terraform.tfvars": "headroom = 1\n"}, "its values may win"),
    "terraform.tfvars.json": ({"terraform.tfvars.json": "{}"}, "its values may win"),
    "another *.auto.tfvars": ({"z.auto.tfvars": ""}, "its values may win"),
    "another *.auto.tfvars.json": ({"a.auto.tfvars.json": "{}"}, "its values may win"),
    "brackets without end": (
        {"main.tf": "locals {\n  a = " + "[" * 1000 + "]" * 1000 + "\n}\n"},
        "nested too deeply",
    ),
    "blocks without end": (
        {"main.tf": KEY + "\n" + "b {\n" * 1500 + "}\n" * 1500 + "}\n"},
        "nested too deeply",
    ),
    "too much": ({"main.tf": b"#" * (5 * 1024 * 1024)}, "larger than"),
}


@pytest.mark.parametrize(("files", "reason"), REFUSED.values(), ids=REFUSED)
def test_code_that_cannot_be_read_is_an_error(
    tmp_path: Path, files: dict[str, str | bytes], reason: str
) -> None:
    with pytest.raises(SourceError, match=reason):
        trees.estate(tmp_path, files)


def test_an_env_without_code_is_an_error(tmp_path: Path) -> None:
    only = {"variables.tf": "", "providers.tf": ""}
    with pytest.raises(SourceError):
        trees.estate(tmp_path, only)


def test_a_count_without_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validator.sources.evaluate.SECONDS", 2.0)
    with pytest.raises(SourceError, match="evaluate"):
        trees.estate(tmp_path, {"main.tf": MANY + "\n  count = 2000000000\n}\n"})
    # The next env is not the worse for it.
    assert trees.estate(tmp_path, {"main.tf": PLAIN}).target.id == TARGET
