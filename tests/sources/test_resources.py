"""An estate is made of resources, and what is not certain about one of them is unknown where it matters."""

from pathlib import Path
from typing import Any

import pytest

from tests.sources import trees
from validator.model import Account, Unknown

ANY = object()
"""Stands for an Unknown with any reason."""

KEY = 'resource "aws_kms_key" "key" {\n  policy = "own"\n}\n'
ALIAS = 'resource "aws_kms_alias" "alias" {\n  name          = "alias/a"\n  target_key_id = aws_kms_key.key.key_id\n}\n'
ROLE = 'resource "aws_iam_role" "role" {\n  name               = "r"\n  assume_role_policy = "trust"\n}\n'
GROUP = 'resource "aws_security_group" "group" {\n  name = "g"\n'
MANAGED = "arn:aws:iam::aws:policy/P"


def resource(type_: str, label: str, /, **attributes: str) -> str:
    body = "".join(f"  {key} = {value}\n" for key, value in attributes.items())
    return f'resource "{type_}" "{label}" {{\n{body}}}\n'


def attached(arn: str, role: str = "aws_iam_role.role.name", name: str = "a") -> str:
    return resource("aws_iam_role_policy_attachment", name, role=role, policy_arn=arn)


def policy(type_: str, **more: str) -> str:
    return resource(type_, "p", policy='"permission"', **more)


FUNCTION = resource(
    "aws_lambda_function",
    "f",
    function_name='"drs-agent-deployer-dev"',
    role="aws_iam_role.role.arn",
)
TABLE = 'resource "aws_dynamodb_table" "t" {\n  name = "drs-agent-deployments-dev"\n'
RECOVERY = "  point_in_time_recovery {{\n    enabled = {}\n  }}\n}}\n"

ONE_OF: dict[str, tuple[str, str, str, Any]] = {
    # the code, the kind, the field, what it is
    "a key's own policy": (KEY, "keys", "policy", "own"),
    "a key without a policy, which AWS gives one": (
        resource("aws_kms_key", "key"), "keys", "policy", ANY,
    ),
    "a key whose policy is null": (
        resource("aws_kms_key", "key", policy="null"), "keys", "policy", ANY,
    ),
    "a key whose policy stands apart": (
        KEY + resource("aws_kms_key_policy", "p", key_id="aws_kms_key.key.id", policy='"apart"'),
        "keys", "policy", "apart",
    ),
    "a key whose policy stands apart twice": (
        KEY + "".join(
            resource("aws_kms_key_policy", n, key_id="aws_kms_key.key.id", policy='"apart"') for n in "ab"
        ),
        "keys", "policy", ANY,
    ),
    "a policy apart that may be any key's": (
        KEY + resource("aws_kms_key_policy", "p", key_id="terraform_data.x.id", policy='"apart"'),
        "keys", "policy", ANY,
    ),
    "policies apart that may be missing": (
        KEY + resource("aws_kms_key_policy", "p", for_each="terraform_data.x.output", policy='"a"', key_id="aws_kms_key.key.id"),
        "keys", "policy", ANY,
    ),
    "a grant passes the key on": (
        KEY + resource("aws_kms_grant", "g", key_id="aws_kms_key.key.key_id"), "keys", "policy", ANY,
    ),
    "a grant passes some key on": (
        KEY + resource("aws_kms_grant", "g", key_id="terraform_data.x.id"), "keys", "policy", ANY,
    ),
    "a key without alias": (KEY, "keys", "aliases", ()),
    "a key's alias": (KEY + ALIAS, "keys", "aliases", ("alias/a",)),
    "an alias of some key": (
        KEY + resource("aws_kms_alias", "a", name='"alias/a"', target_key_id="terraform_data.x.id"),
        "keys", "aliases", ANY,
    ),
    "an alias with a name that AWS makes up": (
        KEY + resource("aws_kms_alias", "a", name_prefix='"alias/a"', target_key_id="aws_kms_key.key.id"),
        "keys", "aliases", ANY,
    ),
    "a key is enabled unless it says otherwise": (KEY, "keys", "enabled", True),
    "a key that is disabled": (resource("aws_kms_key", "key", is_enabled="false"), "keys", "enabled", False),
    "a key that may be disabled": (
        resource("aws_kms_key", "key", is_enabled="terraform_data.x.output"), "keys", "enabled", ANY,
    ),
    "a key that may be rotated": (
        resource("aws_kms_key", "key", enable_key_rotation='"yes"'), "keys", "rotated", ANY,
    ),
    "a key is not rotated unless it says so": (KEY, "keys", "rotated", False),
    "a key waits 30 days unless it says otherwise": (KEY, "keys", "deletion_window", 30),
    "a key's days as text": (
        resource("aws_kms_key", "key", deletion_window_in_days='"7"'), "keys", "deletion_window", 7,
    ),
    "a key's days in part": (
        resource("aws_kms_key", "key", deletion_window_in_days="7.5"), "keys", "deletion_window", ANY,
    ),
    "a key in another Region by itself": (
        resource("aws_kms_key", "key", region='"eu-west-1"'), "keys", "region", "eu-west-1",
    ),
    "a role's trust": (ROLE, "roles", "trust", "trust"),
    "a role without trust": (resource("aws_iam_role", "role", name='"r"'), "roles", "trust", ANY),
    "a role with a name that AWS makes up": (
        resource("aws_iam_role", "role", name_prefix='"r"'), "roles", "role_name", ANY,
    ),
    "a role's path unless it says otherwise": (ROLE, "roles", "path", "/"),
    "a role without permissions": (ROLE, "roles", "permissions", ()),
    "a role's managed policies": (ROLE + attached(f'"{MANAGED}"'), "roles", "managed_policies", (MANAGED,)),
    "AWS's policies are no permissions to read": (ROLE + attached(f'"{MANAGED}"'), "roles", "permissions", ()),
    "a policy of somebody else is": (
        ROLE + attached('"arn:aws:iam::111122223333:policy/x"'), "roles", "permissions", ANY,
    ),
    "a role's policy inside it": (
        ROLE + policy("aws_iam_role_policy", role="aws_iam_role.role.id"), "roles", "permissions", ("permission",),
    ),
    "a role's policy beside it": (
        ROLE + policy("aws_iam_policy") + attached("aws_iam_policy.p.arn"), "roles", "permissions", ("permission",),
    ),
    "a role's policy that is not known": (
        ROLE + resource("aws_iam_role_policy", "p", role="aws_iam_role.role.id", policy="terraform_data.x.id"),
        "roles", "permissions", ANY,
    ),
    "a policy inside some role": (
        ROLE + policy("aws_iam_role_policy", role="terraform_data.x.id"), "roles", "permissions", ANY,
    ),
    "a policy attached to some role": (
        ROLE + attached(f'"{MANAGED}"', role="terraform_data.x.id"), "roles", "managed_policies", ANY,
    ),
    "a policy attached to a role by its name alone": (
        ROLE + attached(f'"{MANAGED}"', role='"r"'), "roles", "managed_policies", ANY,
    ),
    "some policy attached to a role": (ROLE + attached("terraform_data.x.id"), "roles", "managed_policies", ANY),
    "attachments that may be missing": (
        ROLE + resource("aws_iam_role_policy_attachment", "a", for_each="terraform_data.x.output"),
        "roles", "permissions", ANY,
    ),
    "a policy attached to several": (
        ROLE + resource("aws_iam_policy_attachment", "a", roles='["r"]'), "roles", "permissions", ANY,
    ),
    "several policies attached to one": (
        ROLE + resource("aws_iam_role_policy_attachments_exclusive", "a", role_name='"r"'), "roles", "managed_policies", ANY,
    ),
    "a policy in the role itself": (
        ROLE.replace("}\n", "  inline_policy {\n  }\n}\n"), "roles", "permissions", ANY,
    ),
    "a function's name": (FUNCTION, "workers", "worker_name", "drs-agent-deployer-dev"),
    "a function's role by name": (ROLE + FUNCTION, "workers", "role", "role r of target"),
    "a function's role as text": (
        FUNCTION.replace("aws_iam_role.role.arn", '"arn:x"'), "workers", "role", ANY,
    ),
    "a function with a name that AWS makes up": (
        resource("aws_lambda_function", "f", role="aws_iam_role.role.arn"), "workers", "worker_name", ANY,
    ),
    "a state machine's role by name": (
        ROLE + resource("aws_sfn_state_machine", "m", name='"drs-agent-deployer-dev"', role_arn="aws_iam_role.role.arn"),
        "workers", "role", "role r of target",
    ),
    "a table without point-in-time recovery": (TABLE + "}\n", "tables", "recoverable", False),
    "a table with point-in-time recovery": (TABLE + RECOVERY.format("true"), "tables", "recoverable", True),
    "a table with point-in-time recovery turned off": (
        TABLE + RECOVERY.format("false"), "tables", "recoverable", False,
    ),
    "a table whose point-in-time recovery is not known": (
        TABLE + RECOVERY.format("terraform_data.x.output"), "tables", "recoverable", ANY,
    ),
    "a table with several point-in-time recoveries": (
        TABLE + '  dynamic "point_in_time_recovery" {\n    for_each = terraform_data.x.output\n    content {\n      enabled = true\n    }\n  }\n}\n',
        "tables", "recoverable", ANY,
    ),
    "a table that anybody may delete": (TABLE + "}\n", "tables", "protected", False),
    "a table that may be protected": (
        TABLE + "  deletion_protection_enabled = terraform_data.x.output\n}\n", "tables", "protected", ANY,
    ),
    "managed policies in the role itself": (
        ROLE.replace("}\n", "  managed_policy_arns = []\n}\n"), "roles", "managed_policies", ANY,
    ),
}  # fmt: skip


def account(tmp_path: Path, code: str) -> Account:
    return trees.estate(tmp_path, {"main.tf": code}).target


@pytest.mark.parametrize(("code", "kind", "field", "expected"), ONE_OF.values(), ids=ONE_OF)
def test_a_field_is_known_or_unknown(
    tmp_path: Path, code: str, kind: str, field: str, expected: Any
) -> None:
    (found,) = getattr(account(tmp_path, code), kind)
    value = getattr(found, field)
    assert isinstance(value, Unknown) if expected is ANY else value == expected


TEMPLATE = """
resource "aws_drs_replication_configuration_template" "t" {
  ebs_encryption                          = "CUSTOM"
  ebs_encryption_key_arn                  = aws_kms_key.key.arn
  data_plane_routing                      = "PRIVATE_IP"
  create_public_ip                        = false
  associate_default_security_group        = false
  replication_servers_security_groups_ids = [aws_security_group.group.id]
  pit_policy {
    units              = "DAY"
    interval           = 1
    retention_duration = 7
  }
}
"""
WHOLE = KEY + ALIAS + GROUP + "}\n" + TEMPLATE

CHANGED: dict[str, tuple[str, str, str, Any]] = {
    # what is replaced, by what, the field, what it is then
    "its key by name": ("", "", "key", "alias/a of target"),
    "its security groups by name": ("", "", "security_groups", ("security group g of target",)),
    "a key's ARN as text": ("aws_kms_key.key.arn", '"arn:x"', "key", "arn:x"),
    "no key": ("ebs_encryption_key_arn ", "unread", "key", None),
    "a null key": ("aws_kms_key.key.arn", "null", "key", None),
    "some key": ("aws_kms_key.key.arn", "terraform_data.x.id", "key", ANY),
    "some security group": ("[aws_security_group.group.id]", "terraform_data.x.output", "security_groups", ANY),
    "some security group among others": (
        "[aws_security_group.group.id]", "[aws_security_group.group.id, terraform_data.x.id]", "security_groups", ANY,
    ),
    "a security group of another": ("[aws_security_group.group.id]", '["sg-1"]', "security_groups", ANY),
    "no security group by a choice that is not known": (
        "[aws_security_group.group.id]", 'terraform_data.x.id == "" ? [aws_security_group.group.id] : []', "security_groups", ANY,
    ),
    "encryption that is not known": ('"CUSTOM"', "terraform_data.x.id", "ebs_encryption", ANY),
    "no routing": ("data_plane_routing ", "unread", "data_plane_routing", ANY),
    "no word on public addresses": ("create_public_ip ", "unread", "public_ip", ANY),
    "no point-in-time policy": ("pit_policy {", "unread {", "point_in_time", ANY),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "field", "expected"), CHANGED.values(), ids=CHANGED)
def test_a_replication_template_is_known_or_unknown(
    tmp_path: Path, old: str, new: str, field: str, expected: Any
) -> None:
    templates = account(tmp_path, WHOLE.replace(old, new) if old else WHOLE).templates
    assert not isinstance(templates, Unknown)
    (found,) = templates
    value = getattr(found, field)
    assert isinstance(value, Unknown) if expected is ANY else value == expected


def test_a_rule_that_may_be_disabled_is_unknown(tmp_path: Path) -> None:
    code = WHOLE.replace("interval           = 1", 'interval = "x"\n    enabled = "x"')
    templates = account(tmp_path, code).templates
    assert not isinstance(templates, Unknown)
    rules = templates[0].point_in_time
    assert not isinstance(rules, Unknown)
    assert isinstance(rules[0].enabled, Unknown) and isinstance(rules[0].interval, Unknown)
    assert (rules[0].units, rules[0].retention) == ("DAY", 7)


def rule(**attributes: str) -> str:
    group = {"security_group_id": "aws_security_group.group.id"}
    return resource("aws_vpc_security_group_ingress_rule", "r", **{**group, **attributes})


TCP = {"ip_protocol": '"tcp"', "from_port": "1500", "to_port": "1500"}
INGRESS: dict[str, tuple[str, Any]] = {
    "none": ("}\n", ()),
    "one": (
        "}\n" + rule(**TCP, cidr_ipv4='"10.0.0.0/8"'),
        (("tcp", 1500, 1500, "10.0.0.0/8"),),
    ),
    "inside": (
        '  ingress {\n    protocol = "tcp"\n    from_port = 1\n    to_port = 2\n    cidr_blocks = ["a", "b"]\n  }\n}\n',
        (("tcp", 1, 2, "a"), ("tcp", 1, 2, "b")),
    ),
    "every protocol has no ports": (
        "}\n" + rule(ip_protocol='"-1"', cidr_ipv4='"a"'),
        (("-1", None, None, "a"),),
    ),
    "a group": (
        "}\n" + rule(**TCP, referenced_security_group_id="aws_security_group.group.id"),
        (("tcp", 1500, 1500, "security group"),),
    ),
    "perhaps itself": (
        '  ingress {\n    protocol = "-1"\n    self = terraform_data.x.output\n  }\n}\n',
        ANY,
    ),
    "of some group": ("}\n" + rule(**{**TCP, "security_group_id": "terraform_data.x.id"}), ANY),
    "rules that may be missing": ("}\n" + rule(count="length(terraform_data.x.id)"), ANY),
    "inside, not known": ("  ingress = terraform_data.x.output\n}\n", ANY),
}


@pytest.mark.parametrize(("code", "expected"), INGRESS.values(), ids=INGRESS)
def test_ingress_is_known_or_unknown(tmp_path: Path, code: str, expected: Any) -> None:
    groups = account(tmp_path, WHOLE.replace(GROUP + "}\n", GROUP + code)).security_groups
    assert not isinstance(groups, Unknown)
    (found,) = groups
    if expected is ANY:
        assert "Unknown" in repr(found.ingress)
    else:
        assert not isinstance(found.ingress, Unknown)
        ways = ((e.protocol, e.from_port, e.to_port, e.source) for e in found.ingress)
        assert tuple(ways) == expected


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("aws.nowhere", "is not known"),
        ("aws.foreign", "not declared in the estate"),
    ],
    ids=["no provider", "an account of somebody else"],
)
def test_a_resource_without_a_place_makes_its_kind_unknown_everywhere(
    tmp_path: Path, provider: str, words: str
) -> None:
    foreign = 'provider "aws" {\n  alias = "foreign"\n  allowed_account_ids = ["999999999999"]\n}\n'
    code = foreign + KEY + resource("aws_kms_key", "lost", provider=provider)
    found = trees.estate(tmp_path, {"main.tf": code})
    for each in found.accounts:
        assert isinstance(each.keys, Unknown) and words in each.keys.reason
        assert each.roles == ()


def test_two_resources_of_one_name_keep_their_addresses(tmp_path: Path) -> None:
    code = ROLE + ROLE.replace('"role"', '"other"')
    roles = account(tmp_path, code).roles
    assert not isinstance(roles, Unknown)
    assert [each.name for each in roles] == ["aws_iam_role.other", "aws_iam_role.role"]


@pytest.mark.parametrize("kind", ["workers", "tables"])
def test_what_is_not_the_agent_deployers_is_left_out(tmp_path: Path, kind: str) -> None:
    code = resource("aws_lambda_function", "f", function_name='"drs-verify-dev"')
    code += resource("aws_dynamodb_table", "t", name='"orders"')
    assert getattr(account(tmp_path, code), kind) == ()


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("aws_lambda_function", "workers"),
        ("aws_sfn_state_machine", "workers"),
        ("aws_dynamodb_table", "tables"),
    ],
)
def test_one_that_may_be_missing_is_unknown(tmp_path: Path, type_: str, kind: str) -> None:
    code = resource(type_, "x", count="length(terraform_data.x.id)")
    assert isinstance(getattr(account(tmp_path, code), kind), Unknown)
