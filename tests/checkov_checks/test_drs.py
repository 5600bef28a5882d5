"""The custom checks in the real checkov, over a plan of our own modules and over plans broken from it."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import provider
from tests.conftest import ROOT
from tests.terraform.readme import MODULES
from validator.tools import checkov

pytestmark = pytest.mark.slow

CHECKS = ROOT / "validator" / "checkov_checks"
TARGET, STAGING = "111122223333", "444455556666"
CODE = f"""
provider "aws" {{
  access_key                  = "none"
  secret_key                  = "none"
  region                      = "us-west-2"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}}
module "key" {{
  source             = "{MODULES}/replication-key"
  account_id         = "{STAGING}"
  full_ebs_access    = true
  region             = "us-west-2"
  staging_role_ids   = {{}}
  target_account_ids = ["{TARGET}"]
}}
module "trust" {{
  source            = "{MODULES}/staging-trust"
  target_account_id = "{TARGET}"
}}
module "template" {{
  source             = "{MODULES}/replication-template"
  key_arn            = "arn:aws:kms:us-west-2:{STAGING}:key/11111111-2222-3333-4444-555555555555"
  point_in_time_days = 7
  security_group_id  = "sg-0123456789abcdef0"
  staging_area_tags  = {{}}
  subnet_id          = "subnet-0123456789abcdef0"
}}
"""

Values = dict[str, Any]
Break = Callable[[Values], object]


def key(change: Callable[[list[Values]], object]) -> Break:
    """Changes the statements of the key's policy."""
    return lambda plan: _policy(plan, "aws_kms_key", "policy", change)


def trust(change: Callable[[list[Values]], object]) -> Break:
    """Changes the statements of the staging role's trust policy."""
    return lambda plan: _policy(plan, "aws_iam_role", "assume_role_policy", change)


def role(**arguments: Any) -> Break:
    return lambda plan: [values.update(arguments) for values in _values(plan, "aws_iam_role")]


def template(change: Callable[[Values], object]) -> Break:
    return lambda plan: [
        change(values) for values in _values(plan, "aws_drs_replication_configuration_template")
    ]


def without(sid: str, key: str) -> Callable[[list[Values]], object]:
    """Takes one condition from a statement."""

    def change(statements: list[Values]) -> None:
        conditions = next(s for s in statements if s["Sid"].startswith(sid))["Condition"]
        assert [operator for operator in conditions.values() if operator.pop(key, None)]

    return change


def _policy(plan: Values, kind: str, name: str, change: Callable[[list[Values]], object]) -> None:
    for values in _values(plan, kind):
        document = json.loads(values[name])
        change(document["Statement"])
        values[name] = json.dumps(document)


def _values(plan: Values, kind: str) -> list[Values]:
    """The resource's values in both places of a plan."""
    modules = plan["planned_values"]["root_module"]["child_modules"]
    planned = [r["values"] for module in modules for r in module["resources"] if r["type"] == kind]
    changed = [r["change"]["after"] for r in plan["resource_changes"] if r["type"] == kind]
    assert len(planned) == len(changed) == 1
    return planned + changed


EC2_ONLY = "other-accounts-use-the-key-through-ec2-only"
GRANTS = "grants-are-for-aws-resources-only"
OWNER = "owner-keeps-administration"
STAGING_ROLE = "staging-role-is-for-its-target-only"
CUSTOM = "staging-template-encrypts-custom"
POINTS = "point-in-time-policy-is-legal"
ALL = {EC2_ONLY, GRANTS, OWNER, STAGING_ROLE, CUSTOM, POINTS}

CASES: dict[str, tuple[Break, dict[str, str]]] = {
    "the modules as they are": (lambda plan: None, {}),
    "no CallerAccount": (key(without("TargetUses", "kms:CallerAccount")), {EC2_ONLY: "TargetUses"}),
    "no ViaService": (key(without("TargetReads", "kms:ViaService")), {EC2_ONLY: "TargetReads"}),
    "a ViaService of DRS, which never matches": (
        key(lambda s: s[2]["Condition"]["StringEquals"].update({"kms:ViaService": "drs.us-west-2.amazonaws.com"})),
        {EC2_ONLY: "bound to EC2"},
    ),
    "everyone": (key(lambda s: s[2].update(Principal="*")), {EC2_ONLY: "kms:CallerAccount"}),
    "everyone but one": (
        key(lambda s: s[2].update(NotPrincipal=s[2].pop("Principal"))), {EC2_ONLY: "kms:CallerAccount"}
    ),
    "any grant": (key(without("TargetGrants", "kms:GrantIsForAWSResource")), {GRANTS: "any grant"}),
    "an owner who may only look": (
        key(lambda s: s[0].update(Action=["kms:PutKeyPolicy", "kms:DescribeKey"])), {OWNER: "ScheduleKeyDeletion"}
    ),
    "no owner: whose key it is cannot be known": (
        key(lambda s: s.pop(0)), {EC2_ONLY: "unknown", GRANTS: "unknown", OWNER: "unknown: 0 accounts"}
    ),
    "two owners": (
        key(lambda s: s[0].update(Principal={"AWS": [STAGING, TARGET]})),
        {EC2_ONLY: "unknown", GRANTS: "unknown", OWNER: "unknown: 2 accounts"},
    ),
    "a policy known only after the apply": (
        lambda plan: [v.pop("policy") for v in _values(plan, "aws_kms_key")],
        {EC2_ONLY: "unknown", GRANTS: "unknown", OWNER: "unknown: policy refers to"},
    ),
    "a policy that AWS would refuse": (
        key(lambda s: s[0].update(Effect="Maybe")), {EC2_ONLY: "unknown", GRANTS: "unknown", OWNER: "unknown"}
    ),
    "an operator that nobody knows": (
        key(lambda s: s[0].update(Condition={"NoSuchOperator": {"kms:CallerAccount": STAGING}})),
        {EC2_ONLY: "unknown", GRANTS: "unknown", OWNER: "unknown"},
    ),
    "no source identity": (trust(without("Drs", "sts:SourceIdentity")), {STAGING_ROLE: "sts:SourceIdentity"}),
    "no source account": (trust(without("Drs", "aws:SourceAccount")), {STAGING_ROLE: "aws:SourceAccount"}),
    "no source ARN": (trust(without("Drs", "aws:SourceArn")), {STAGING_ROLE: "aws:SourceArn"}),
    "one action short": (
        trust(lambda s: s[0].update(Action="sts:AssumeRole")), {STAGING_ROLE: "DRS may not sts:SetSourceIdentity"}
    ),
    "another target than the name says": (
        role(name="DRSStagingAccountRole_999988887777"), {STAGING_ROLE: "for 999988887777"}
    ),
    "a name that no target is in": (role(name="DRSStagingAccountRole_prod"), {STAGING_ROLE: "unknown"}),
    "a name known only after the apply": (role(name=None), {STAGING_ROLE: "unknown"}),
    "a path that DRS does not look at": (role(path="/"), {STAGING_ROLE: "the path"}),
    "EC2 may assume it, too": (
        trust(lambda s: s.append({"Sid": "Ec2", "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}})),
        {STAGING_ROLE: "Ec2 lets others"},
    ),
    "another role is no staging role": (
        lambda plan: [role(name="other", path="/")(plan), trust(without("Drs", "aws:SourceArn"))(plan)], {}
    ),
    "the default key": (template(lambda v: v.update(ebs_encryption="DEFAULT")), {CUSTOM: "DEFAULT"}),
    "encryption known only after the apply": (template(lambda v: v.pop("ebs_encryption")), {CUSTOM: "unknown"}),
    "no rules": (template(lambda v: v.update(pit_policy=[])), {POINTS: "none"}),
    "a rule short": (template(lambda v: v["pit_policy"].pop()), {POINTS: "10 MINUTE kept 60, 1 HOUR kept 24"}),
    "a minute rule of 7": (template(lambda v: v["pit_policy"][0].update(interval=7)), {POINTS: "7 MINUTE"}),
    "365 days are legal": (template(lambda v: v["pit_policy"][2].update(retention_duration=365)), {}),
    "366 days are not": (template(lambda v: v["pit_policy"][2].update(retention_duration=366)), {POINTS: "366"}),
    "a rule that is off": (template(lambda v: v["pit_policy"][1].update(enabled=False)), {POINTS: "enabled"}),
    "days known only after the apply": (
        template(lambda v: v["pit_policy"][2].pop("retention_duration")), {POINTS: "unknown"}
    ),
}  # fmt: skip

HCL = """
variable "who" {}
resource "aws_kms_key" "reference" {
  policy = data.aws_iam_policy_document.this.json
}
resource "aws_kms_key" "variable" {
  policy = jsonencode({ Statement = [{ Effect = "Allow", Action = "kms:*", Resource = "*", Principal = { AWS = [var.who, "arn:aws:iam::444455556666:root"] } }] })
}
resource "aws_kms_key" "skipped" {
  #checkov:skip=owner-keeps-administration: Its policy is in another state.
  policy = data.aws_iam_policy_document.this.json
}
resource "aws_kms_key" "inline" {
  policy = jsonencode({ Statement = [{ Effect = "Allow", Action = "kms:*", Resource = "*", Principal = { AWS = "arn:aws:iam::444455556666:root" } }] })
}
"""


def run(*arguments: str, path: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """The real checkov with the folder of checks, and with `path` to import from."""
    program = checkov.program(os.environ)
    assert program, "run `make .venv-checkov/ready`"
    return subprocess.run(
        [str(program), *arguments, "--external-checks-dir", str(CHECKS), "-o", "json", "--skip-download", "--compact"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(path), "HOME": "/nonexistent"},
        cwd=CHECKS,
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip


def details(results: Values, kind: str) -> dict[str, dict[str, str]]:
    """The details of each check by the file's name."""
    found: dict[str, dict[str, str]] = {}
    for record in results[f"{kind}_checks"]:
        name = Path(record["file_path"]).stem
        found.setdefault(name, {})[record["check_id"]] = "; ".join(record["details"])
    return found


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Values:
    """A real plan of the modules, which needs no account."""
    root = tmp_path_factory.mktemp("root")
    (root / "main.tf").write_text(CODE)
    with provider.initialised(root, os.environ) as working:
        working.plan(root / "plan", on_event=lambda _: None)
        shown = working.show(root / "plan")
    assert isinstance(shown, dict)
    return shown


@pytest.fixture(scope="module")
def judged(plan: Values, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one run of checkov says of code, and of the plan of every case."""
    folder = tmp_path_factory.mktemp("plans")
    for number, (change, _) in enumerate(CASES.values()):
        broken = copy.deepcopy(plan)
        change(broken)
        (folder / f"case-{number}.json").write_text(json.dumps(broken))
    (folder / "keys.tf").write_text(HCL)
    frameworks = ["terraform", "terraform_plan"]
    done = run("-d", str(folder), "--framework", *frameworks, "--check", ",".join(sorted(ALL)))
    of_code, of_plans = sorted(json.loads(done.stdout), key=lambda each: str(each["check_type"]))
    assert [of_code["check_type"], of_plans["check_type"]] == frameworks
    return of_code["results"], of_plans["results"]


@pytest.mark.parametrize("case", CASES)
def test_what_is_broken_or_unknown_fails_and_nothing_else(judged: Any, case: str) -> None:
    passed, failed = (details(judged[1], kind) for kind in ("passed", "failed"))
    file, expected = f"case-{list(CASES).index(case)}", CASES[case][1]
    assert set(failed.get(file, {})) == set(expected)
    for check, said in expected.items():
        assert said in failed[file][check]
    assert set(passed.get(file, {})) == ALL - set(expected)


def test_over_hcl_only_a_policy_written_in_full_can_pass(judged: Any) -> None:
    of_owner = {
        kind: [r for r in judged[0][f"{kind}_checks"] if r["check_id"] == OWNER]
        for kind in ("passed", "failed", "skipped")
    }
    got = {kind: {r["resource"].split(".")[1] for r in found} for kind, found in of_owner.items()}
    assert got == {
        "passed": {"inline"},
        "failed": {"reference", "variable"},
        "skipped": {"skipped"},
    }
    assert all("unknown" in r["details"][0] for r in of_owner["failed"])


def test_without_our_package_checkov_ends_instead_of_passing(tmp_path: Path) -> None:
    (tmp_path / "keys.tf").write_text(HCL)
    done = run("-d", str(tmp_path), "--framework", "terraform", path=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "need the package drs-estate-validator" in done.stderr


def test_the_environments_differ() -> None:
    program = checkov.program(os.environ)
    assert program
    assert not program.is_relative_to(sys.prefix), "checkov's hcl2 would be ours"


def test_the_docs_list_every_check(judged: Any) -> None:
    passed = details(judged[1], "passed")
    rows = (ROOT / "docs" / "checkov.md").read_text().split("| Check |")[1].split("`")[1::2]
    assert {row for row in rows if row in ALL} == set(passed["case-0"]) == ALL


def test_the_docs_command_finds_the_folder() -> None:
    text = (ROOT / "docs" / "checkov.md").read_text()
    code, rest = text.split("python -c '")[1].split("'", 1)
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert Path(printed.strip() + rest.split(")", 1)[1].split('"')[0]) == CHECKS
