"""What the code view knows, Terraform's own plan knows too, and it is the same."""

import json
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import provider
from tests.sources import trees
from validator.model import Unknown
from validator.sources import code, known, tfvars
from validator.sources.resources import READ
from validator.tools import terraform

pytestmark = pytest.mark.slow

COMPUTED = "computed only after apply"

MORE = """
locals {
  text    = "Text-1"
  accent  = "é\\u00e0 \\"q\\""
  number  = 7
  list    = ["b", "a", "b", "c d"]
  map     = { k = "v", "a.b" = "w", n = var.recovery_region }
  deep    = { one = { two = ["x", { three = "y" }] } }
  nothing = null
  holes   = { empty = null, full = "f" }
  late    = terraform_data.computed.id
  mixed   = { k = "v", late = terraform_data.computed.id }
  chain   = "${local.chain_2}!"
  chain_2 = "${local.chain_3}?"
  chain_3 = module.m.out
}
variable "converted" {
  type    = object({ text = string, list = list(string), flag = bool, more = optional(number, 3) })
  default = { text = 5, list = [1, true], flag = "true" }
}
variable "ids" {
  type    = set(string)
  default = ["z", "y", "z"]
}
variable "unset" {
  type    = string
  default = null
}
resource "terraform_data" "computed" {
  input = "input"
}
resource "terraform_data" "many" {
  for_each = toset(["q", "r"])
  input    = "in-${each.key}-${module.m.out}"
}
module "m" {
  source = "./m"
  given  = "given"
  number = "7"
  ids    = ["b", "a", "b"]
}
module "many" {
  source   = "./m"
  for_each = { x = "ex", y = "why" }
  given    = each.value
  number   = length(each.key)
  ids      = [each.key, each.value]
}
module "after" {
  source = "./m"
  given  = module.m.out
  number = module.many["x"].sum
  ids    = values(module.many)[*].out
}
module "late" {
  source = "./m"
  given  = terraform_data.computed.id
  number = 1
  ids    = []
}
"""
MODULE = """
variable "given" {
  type = string
}
variable "number" {
  type = number
}
variable "ids" {
  type = set(string)
}
variable "name" {
  default = "name"
}
variable "id" {
  default = "id"
}
locals {
  joined = join("/", [var.name, var.given])
}
output "out" {
  value = "out ${local.joined}"
}
output "given" {
  value = "${var.given}?"
}
output "id" {
  value = "${var.id}!"
}
output "sum" {
  value = var.number + 1
}
output "ids" {
  value = sort(var.ids)
}
output "each" {
  value = { for id in var.ids : id => upper(id) }
}
"""
HERE = Path(__file__).parent


class Expressions:
    """Random expressions of a type, of which Terraform accepts each."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.names = 0

    def one(self, *makers: Callable[[], str]) -> str:
        return self.random.choice(makers)()

    def pick(self, *texts: str) -> str:
        return self.random.choice(texts)

    def of(self, depth: int) -> str:
        return self.one(
            *(
                lambda make=make: make(depth)
                for make in (self.text, self.number, self.truth, self.list, self.map, self.any)
            )
        )  # type: ignore[misc]

    def any(self, depth: int) -> str:
        return self.pick(
            "local.deep", "local.deep.one.two", "local.holes", "local.mixed", "local.nothing",
            "var.converted", "var.ids", "var.unset", "var.staging_accounts", "module.many",
            "terraform_data.many", "[local.nothing, 1]", "{ a = null }",
        )  # fmt: skip

    def text(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(
                '"a"', '""', '"B c"', '"$${x}"', '"%%{y}"', '"\\u00e9\\t\\"q\\""', "local.text",
                "local.accent", "local.chain", "local.late", "var.recovery_region", "var.unset",
                "var.target.account_id", 'var.staging_accounts["staging-1"].account_id',
                "var.converted.text", "module.m.out", 'module.many["x"].out', "module.m.given",
                "module.m.id", "module.after.out", "module.late.out", "local.mixed.k",
                "local.mixed.late", "local.holes.full", "local.holes.empty",
                "terraform_data.computed.id", "terraform_data.computed.input",
                'terraform_data.many["q"].input', "terraform_data.computed.output",
                'local.map["a.b"]', "local.deep.one.two[1].three", "local.nothing",
            )  # fmt: skip
        less = depth - 1
        return self.one(
            lambda: f'"{self.part(less)}-{self.part(less)}"',
            lambda: f"({self.truth(less)} ? {self.text(less)} : {self.text(less)})",
            lambda: (
                f"{self.pick('upper', 'lower', 'trimspace', 'md5', 'base64encode', 'strrev', 'title', 'chomp', 'sha1', 'nonsensitive')}({self.text(less)})"
            ),
            lambda: (
                f"replace({self.text(less)}, {self.pick(chr(34) + 'a' + chr(34), chr(34) + '/[a-c]+/' + chr(34))}, {self.text(less)})"
            ),
            lambda: f"substr({self.text(less)}, 0, {self.pick('0', '2', '-1')})",
            lambda: f"join({self.pick(chr(34) + ',' + chr(34), 'local.text')}, {self.list(less)})",
            lambda: f'format("%s:%s", {self.text(less)}, {self.number(less)})',
            lambda: f"jsonencode({self.of(less)})",
            lambda: f"tostring({self.one(lambda: self.number(less), lambda: self.truth(less))})",
            lambda: f'element(concat({self.list(less)}, ["e"]), {self.pick("0", "1", "7")})',
            lambda: f'lookup({self.map(less)}, {self.text(0)}, "d")',
            lambda: f'try({self.text(less)}, "t")',
            lambda: f"try(tonumber({self.text(less)}), {self.text(less)})",
            lambda: f'try(local.map[{self.text(less)}], "no")',
            lambda: f'coalesce({self.text(less)}, "c")',
            lambda: (
                f"{self.pick('trim', 'trimprefix', 'trimsuffix')}({self.text(less)}, {self.text(0)})"
            ),
            lambda: f"indent(2, {self.text(less)})",
            lambda: f"one(slice({self.list(less)}, 0, 1))",
            lambda: f'regex("[a-z]+", {self.text(less)})',
            lambda: f"jsondecode(jsonencode({{ a = {self.text(less)} }})).a",
            lambda: (
                f"cidrsubnet({self.pick(chr(34) + '10.0.0.0/8' + chr(34), self.text(less))}, 8, {self.number(0)})"
            ),
        )

    def part(self, depth: int) -> str:
        return self.one(lambda: "lit", lambda: f"${{{self.plain(depth)}}}")

    def plain(self, depth: int) -> str:
        return f'coalesce({self.text(depth)}, "p")'

    def whole(self, depth: int) -> str:
        """An expression that Terraform need not accept, or a heredoc."""
        if self.random.random() < 0.1:
            one, other = (f'${{try({self.plain(depth)}, "failed")}}' for _ in range(2))
            return f"<<-EOT\n    x {one}\n      y $${{z}} {other}\n    EOT\n"
        return f'try({self.of(depth)}, "failed")'

    def number(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(
                "0", "1", "2.5", "1e3", "local.number", "var.target.servers", "module.m.sum",
                'module.many["y"].sum', "module.after.sum", "var.converted.more",
                "9223372036854775807", "12345678901234567890", "0.1",
            )  # fmt: skip
        less = depth - 1
        return self.one(
            lambda: (
                f"length({self.one(lambda: self.list(less), lambda: self.map(less), lambda: self.text(less))})"
            ),
            lambda: f"({self.number(less)} {self.pick('+', '-', '*')} {self.number(less)})",
            lambda: f"{self.pick('max', 'min')}({self.number(less)}, {self.number(less)})",
            lambda: f"{self.pick('floor', 'ceil', 'abs', 'signum')}({self.number(less)})",
            lambda: f"({self.truth(less)} ? {self.number(less)} : {self.number(less)})",
            lambda: f"sum([{self.number(less)}, 1])",
            lambda: f"index({self.list(less)}, {self.text(less)})",
            lambda: f"parseint({self.text(less)}, 16)",
            lambda: f"pow({self.number(less)}, 2)",
            lambda: f"({self.number(less)} {self.pick('/', '%')} 3)",
        )

    def truth(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(
                "true", "false", "var.converted.flag", "local.nothing == null",
                "var.unset != null", 'terraform_data.computed.id == "x"',
            )  # fmt: skip
        less = depth - 1
        return self.one(
            lambda: f"({self.text(less)} {self.pick('==', '!=')} {self.text(less)})",
            lambda: (
                f"({self.number(less)} {self.pick('<', '>', '<=', '>=', '==')} {self.number(less)})"
            ),
            # Before Terraform 1.12, what fails on the right side fails the whole.
            lambda: (
                f"(try({self.truth(less)}, true) {self.pick('&&', '||')} try({self.truth(less)}, false))"
            ),
            lambda: f"!({self.truth(less)})",
            lambda: f"contains({self.list(less)}, {self.text(less)})",
            lambda: f"can(tonumber({self.text(less)}))",
            lambda: f"can({self.text(less)})",
            lambda: f"startswith({self.plain(less)}, {self.plain(less)})",
            lambda: f"{self.pick('alltrue', 'anytrue')}([{self.truth(less)}])",
            lambda: f"{self.pick('endswith', 'strcontains')}({self.text(less)}, {self.text(less)})",
            lambda: f"({self.list(less)} == {self.list(less)})",
        )

    def list(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(
                "[]", '["a", "b"]', "local.list", "keys(local.map)", "var.converted.list",
                "module.m.ids", 'module.many["x"].ids', "module.after.ids", "tolist(var.ids)",
                "[for a in var.staging_accounts : a.account_id]", "values(module.many)[*].out",
                "[local.late]", "keys(local.mixed)", "[for k, r in terraform_data.many : r.input]",
            )  # fmt: skip
        less = depth - 1
        name = self.name()
        return self.one(
            lambda: f"[{self.text(less)}, {self.text(less)}]",
            lambda: f"concat({self.list(less)}, {self.list(less)})",
            lambda: f'[for {name} in {self.list(less)} : "${{{name}}}{self.part(less)}"]',
            lambda: f"[for {name} in {self.list(less)} : {name} if {name} != {self.text(less)}]",
            lambda: f"[for k, {name} in {self.map(less)} : k]",
            lambda: (
                f"{self.pick('distinct', 'sort', 'reverse', 'compact', 'flatten')}({self.list(less)})"
            ),
            lambda: f"keys({self.map(less)})",
            lambda: f"values({self.map(less)})",
            lambda: f'split("-", {self.text(less)})',
            lambda: f"tolist(toset({self.list(less)}))",
            lambda: f"({self.truth(less)} ? {self.list(less)} : [])",
            lambda: f'regexall("[a-z]", {self.text(less)})',
            lambda: f'formatlist("%s-%s", {self.list(less)}, {self.text(less)})',
            lambda: (
                f"tolist({self.pick('setunion', 'setintersection', 'setsubtract')}({self.list(less)}, {self.list(less)}))"
            ),
            lambda: f"slice({self.list(less)}, 0, {self.number(0)})",
            lambda: f"chunklist({self.list(less)}, 2)[0]",
            lambda: f"coalescelist({self.list(less)}, {self.list(less)})",
            lambda: f"[for p in setproduct({self.list(less)}, {self.list(less)}) : p[1]]",
            lambda: f"({self.list(less)})[*]",
            lambda: f"[for n in range({self.number(0)}) : tostring(n)]",
        )

    def map(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(
                "{}", '{ a = "b" }', "local.map", "module.m.each", "module.after.each",
                "local.mixed", "{ for k, a in var.staging_accounts : k => a.account_id }",
                "{ for k, m in module.many : k => m.out }", "tomap({ x = local.late })",
            )  # fmt: skip
        less = depth - 1
        name = self.name()
        return self.one(
            lambda: f"{{ a = {self.text(less)}, (local.text) = {self.text(less)} }}",
            lambda: f"merge({self.map(less)}, {self.map(less)})",
            lambda: f"{{ for {name} in distinct({self.list(less)}) : {name} => upper({name}) }}",
            lambda: f"{{ for k, {name} in {self.map(less)} : k => {name} if k != {self.text(0)} }}",
            lambda: f"{{ for k, v in transpose({{ a = {self.list(less)} }}) : k => v[0] }}",
            lambda: f'zipmap(["x", "y"], [{self.text(less)}, {self.text(less)}])',
        )

    def name(self) -> str:
        self.names += 1
        return self.pick("x", "text", "local_map", "terraform_data", f"n{self.names}")


def plan(working: terraform.WorkingDirectory, file: Path) -> dict[str, Any]:
    """The values of the outputs in Terraform's plan; COMPUTED for what is not known in it."""
    working.plan(file, on_event=lambda _: None)
    shown: Any = working.show(file)
    return {
        name: filled(each.get("after"), each["after_unknown"])
        for name, each in shown["output_changes"].items()
    }


def filled(value: Any, unknown: Any) -> Any:
    """A planned value with COMPUTED where it is not known."""
    if unknown is True:
        return COMPUTED
    if isinstance(unknown, dict):
        value = value or {}
        return {k: filled(value.get(k), unknown.get(k, False)) for k in {*value, *unknown}}
    if isinstance(unknown, list):
        return [
            filled(v, u)
            for v, u in zip([*(value or []), *[None] * len(unknown)], unknown, strict=False)
        ]
    return value


def seen(directory: Path, main: str) -> dict[str, Any]:
    """The values of the subjects in the code view."""
    (directory / "main.tf").write_text(main)
    found = code.resources(known.Code(directory, tfvars.read(directory)), READ)
    return {each.address.split(".")[1]: each.value("subject") for each in found.seen}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def outputs(expressions: Sequence[str]) -> str:
    return "".join(
        f'output "o{i}" {{\n  value = {each}\n}}\n' for i, each in enumerate(expressions)
    )


def subjects(expressions: Sequence[str]) -> str:
    return "".join(
        f'resource "aws_kms_key" "o{i}" {{\n  subject = {each}\n}}\n'
        for i, each in enumerate(expressions)
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_a_known_value_is_terraforms(tmp_path: Path, seed: int) -> None:
    make = Expressions(seed)
    expressions = [make.whole(n % 4) for n in range(400)]
    env = trees.write(tmp_path, {"m/m.tf": MODULE, "providers.tf": ""})
    (env / "main.tf").write_text(MORE + outputs(expressions))
    working = terraform.WorkingDirectory(env, tmp_path / "data", os.environ, tmp_path)
    working.init(backend_config={}, on_event=lambda _: None)
    planned = plan(working, tmp_path / "plan")
    found = seen(env, MORE + subjects(expressions))
    wrong = {
        expressions[int(name[1:])]: (planned.get(name), value)
        for name, value in found.items()
        if not isinstance(value, Unknown) and not same(planned.get(name), value)
    }
    assert wrong == {}
    assert len(found) == len(expressions)
    assert sum(not isinstance(value, Unknown) for value in found.values()) > len(found) / 3


PROVIDER = """
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}
provider "aws" {
  region                      = "us-west-2"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}
locals {
  accounts = ["111122223333", "444455556666"]
  none     = []
  tests    = { StringEquals = ["a", "b"], Bool = [true], NumericLessThan = [5] }
}
variable "audiences" {
  default = [{ sid = "One", services = ["ec2", "drs"] }, { sid = "Two", services = [] }]
}
"""


class Documents:
    """Random blocks of an aws_iam_policy_document."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def of(self) -> str:
        parts = [self.statement(f"S{i}") for i in range(self.random.randint(0, 3))]
        for number in range(self.random.randint(0, 2)):
            parts.append(self.repeated(f"D{number}"))
        if self.maybe():
            parts.insert(0, self.random.choice(['version = "2012-10-17"', 'policy_id = "p"']))
        if self.maybe():
            self.random.shuffle(parts)
        return "\n".join(parts)

    def maybe(self) -> bool:
        return self.random.random() < 0.3

    def statement(self, sid: str, value: str = '"v"') -> str:
        return f"statement {{\n{self.body(sid, value)}\n}}"

    def repeated(self, sid: str) -> str:
        over, value = self.random.choice(
            [
                ("local.accounts", "it.value"),
                ("local.none", "it.value"),
                ("[for a in local.accounts : a if a != local.accounts[0]]", "it.value"),
                ("{ a = local.accounts[1], b = var.audiences[0].sid }", "it.value"),
                ("toset(local.accounts)", "it.key"),
                ("var.audiences", "it.value.sid"),
            ]
        )
        body = self.body(f"{sid}${{it.key}}", value)
        if over == "var.audiences" and self.maybe():
            body += (
                '\ndynamic "condition" {\nfor_each = it.value.services\ncontent {\n'
                'test = "StringLike"\nvariable = "svc:${condition.key}"\nvalues = [condition.value]\n}\n}'
            )
        elif self.maybe():
            body += (
                '\ndynamic "condition" {\nfor_each = local.tests\ncontent {\n'
                'test = condition.key\nvariable = "v"\nvalues = condition.value\n}\n}'
            )
        return (
            f'dynamic "statement" {{\nfor_each = {over}\niterator = it\ncontent {{\n{body}\n}}\n}}'
        )

    def body(self, sid: str, value: str) -> str:
        choose = self.random.choice
        lines = [f'sid = "{sid}"'] if "$" in sid or not self.maybe() else []
        lines += (
            [f"effect = {choose(['null', chr(34) + 'Deny' + chr(34)])}"] if self.maybe() else []
        )
        lines.append(f'{choose(["actions", "not_actions"])} = ["kms:*", "a:b", "a:&{{x}}"]')
        lines.append(
            f'{choose(["resources", "not_resources"])} = [{choose(["*", "arn:&{aws:username}"])!r}, "r-${{{value}}}"]'.replace(
                "'", '"'
            )
        )
        for kind in self.random.sample(["AWS", "Service", "AWS", "*"], self.random.randint(0, 2)):
            who = '["*"]' if kind == "*" else choose([f"[{value}]", '["b", "&{a}"]', "[]", '["*"]'])
            block = choose(["principals", "principals", "not_principals"])
            lines.append(f'{block} {{\ntype = "{kind}"\nidentifiers = {who}\n}}')
        for _ in range(self.random.randint(0, 2)):
            test, variable = choose(["StringEquals", "Bool"]), choose(["v", "&{w}", "aws:x"])
            values = choose([f"[{value}]", "[true]", '["a", "&{b}"]', "[5, 6]"])
            lines.append(
                f'condition {{\ntest = "{test}"\nvariable = "{variable}"\nvalues = {values}\n}}'
            )
        return "\n".join(lines)


def canonical(policy: Any) -> Any:
    if isinstance(policy, dict):
        return {key: canonical(each) for key, each in sorted(policy.items())}
    if isinstance(policy, list):
        members = [json.loads(each) for each in sorted({json.dumps(canonical(e)) for e in policy})]
        return members[0] if len(members) == 1 else members
    return policy


def test_a_known_policy_is_the_providers(tmp_path: Path) -> None:
    make = Documents(1)
    bodies = [make.of() for _ in range(250)]
    documents = "".join(
        f'data "aws_iam_policy_document" "d{i}" {{\n{body}\n}}\n' for i, body in enumerate(bodies)
    )
    written = [f"data.aws_iam_policy_document.d{i}.json" for i in range(len(bodies))]
    env = trees.write(tmp_path, {"providers.tf": ""})
    (env / "main.tf").write_text(PROVIDER + documents + outputs(written))
    with provider.initialised(env, os.environ) as working:
        planned = plan(working, tmp_path / "plan")
    found = seen(env, PROVIDER + documents + subjects(written))
    wrong = {
        bodies[int(name[1:])]: (planned[name], value)
        for name, value in found.items()
        if not isinstance(value, Unknown)
        and canonical(json.loads(planned[name])) != canonical(json.loads(value))
    }
    assert wrong == {}
    assert len(found) == len(bodies)
    assert sum(not isinstance(value, Unknown) for value in found.values()) > len(found) / 3
