"""The invariants that one resource can break by itself, as checkov checks of the same names.

They judge with the validator's own policy evaluator, which needs nothing but Python. They are for
the plan, where policies are rendered: over HCL a policy that an `aws_iam_policy_document` writes is
a reference that checkov does not follow, and so fails as unknown.

Three ways in which checkov would turn what is not known into a pass, and what is done about each:
it drops a result of CheckResult.UNKNOWN without a trace, so unknown is FAILED here, with a detail
that says so; of a run in which a check raises it reports zeros with status 0, so nothing may raise;
and a check that cannot be imported is a line of its log, so that ends checkov.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck

try:
    from validator import policy
    from validator.policy import Outcome, Policy, Request, Statement
except ImportError as error:
    # checkov drops the text of an exit, so it is written first.
    print(f"The DRS checks need the package drs-estate-validator: {error}.", file=sys.stderr)
    sys.exit(2)

Conf = dict[str, list[Any]]
Judge = Callable[[Conf], Iterator[str]]

STAGING_ROLE = "DRSStagingAccountRole_"
_DRS = "drs.amazonaws.com"
_STRANGER = "000000000000"
_ADMINISTRATION = ("kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:DescribeKey")
_EC2 = re.compile(r"ec2\.[a-z0-9-]+\.amazonaws\.com")
_RULES = ((True, 10, "MINUTE", 60), (True, 1, "HOUR", 24))
_REFERENCE = re.compile(r"\$\{|(?<![\w.-])(?:var|local|data|module|each|count|self|aws_\w+)\.\w")


class _UnseenError(Exception):
    """What a check needs cannot be seen; the text ends the sentence "unknown: ..."."""


class _Check(BaseResourceCheck):
    """A check that passes only where its judge looked at everything and had nothing to say."""

    def __init__(self, name: str, promise: str, resources: tuple[str, ...], judge: Judge) -> None:
        super().__init__(promise, name, (CheckCategories.IAM,), resources)
        self._judge = judge

    def scan_resource_conf(self, conf: Conf) -> CheckResult:
        """FAILED with one detail for each way in which it is broken or cannot be known."""
        try:
            self.details = list(self._judge(conf))
        except Exception as error:  # the module's docstring says why
            self.details = [f"unknown: {error}"]
        return CheckResult.FAILED if self.details else CheckResult.PASSED


def other_accounts_use_the_key_through_ec2_only(conf: Conf) -> Iterator[str]:
    """Every statement for another account is bound to that caller and to EC2 of one Region."""
    document = _policy(conf, "policy")
    owner = _owner(document)
    for statement, others in _for_others(document, owner):
        callers = policy.bound(statement, "kms:CallerAccount")
        if callers is None or not set(callers) <= others - {"*"}:
            yield f"{statement.name} is not bound to its account by kms:CallerAccount"
        services = policy.bound(statement, "kms:ViaService")
        if services is None or len(services) != 1 or not _EC2.fullmatch(services[0]):
            yield f"{statement.name} is not bound to EC2 by kms:ViaService"


def grants_are_for_aws_resources_only(conf: Conf) -> Iterator[str]:
    """Another account may create grants only for AWS resources."""
    document = _policy(conf, "policy")
    for statement, _ in _for_others(document, _owner(document)):
        granted = policy.grants(statement, "kms:CreateGrant")
        if granted and policy.bound(statement, "kms:GrantIsForAWSResource") != ("true",):
            yield f"{statement.name} lets another account create any grant"


def owner_keeps_administration(conf: Conf) -> Iterator[str]:
    """One account can administer the key: change its policy, schedule its deletion, describe it."""
    document = _policy(conf, "policy")
    owner = _owner(document)
    for action in _ADMINISTRATION:
        if not _administers(document, owner, action):
            yield f"account {owner} may not {action}"


def staging_role_is_for_its_target_only(conf: Conf) -> Iterator[str]:
    """A staging role lets DRS act for the target that its name ends in, and for nobody else."""
    if not conf.get("name") and conf.get("name_prefix"):
        return  # IAM makes the name up, and DRS would not find it
    name = _text(conf, "name")
    if not name.startswith(STAGING_ROLE):
        return
    target = name.removeprefix(STAGING_ROLE)
    if not re.fullmatch(r"[0-9]{12}", target):
        raise _UnseenError(f"the name {name} does not end in an account id")
    if _text(conf, "path") != "/service-role/":
        yield f"the path of {name} is not /service-role/, where DRS looks for it"
    document = _policy(conf, "assume_role_policy")
    for action in ("sts:AssumeRole", "sts:SetSourceIdentity"):
        if not _drs_may(document, action, target, target, "source-server/s-0"):
            yield f"DRS may not {action} for {target}"
        for identity, account, resource, key in (
            (_STRANGER, target, "source-server/s-0", "sts:SourceIdentity"),
            (target, _STRANGER, "source-server/s-0", "aws:SourceAccount"),
            (target, target, "job/drsjob-0", "aws:SourceArn"),
        ):
            if _drs_may(document, action, identity, account, resource):
                yield f"{action} is not bound by {key}"
    for statement in document.statements:
        if statement.allow and (
            statement.not_principal or set(statement.principals) != {("Service", _DRS)}
        ):
            yield f"{statement.name} lets others than DRS assume the role"


def staging_template_encrypts_custom(conf: Conf) -> Iterator[str]:
    """A replication template encrypts with a key of its own: servers under the default are not extended.

    One resource does not say which account it is for, so a target's template must do so as well.
    """
    encryption = _text(conf, "ebs_encryption")
    if encryption != "CUSTOM":
        yield f"ebs_encryption is {encryption}, not CUSTOM"


def point_in_time_policy_is_legal(conf: Conf) -> Iterator[str]:
    """A replication template has the three point-in-time rules that DRS takes; only the days differ."""
    rules = [_rule(each) for each in conf.get("pit_policy") or () if each]
    days = [retention for enabled, interval, units, retention in rules if units == "DAY"]
    legal = (*_RULES, *((True, 1, "DAY", each) for each in days if 1 <= each <= 365))
    if len(rules) != 3 or sorted(rules, key=str) != sorted(legal, key=str):
        yield (
            "the rules must be 10 MINUTE kept 60, 1 HOUR kept 24 and 1 DAY kept 1 to 365, enabled; "
            f"they are {', '.join(f'{i} {u} kept {r}' for _, i, u, r in rules) or 'none'}"
        )


def _policy(conf: Conf, argument: str) -> Policy:
    """The policy that an argument holds, with nothing in it that checkov left unresolved."""
    value = (conf.get(argument) or [None])[0]
    if value is None:
        raise _UnseenError(f"{argument} is known only after the apply, or stands elsewhere")
    text = value if isinstance(value, str) else json.dumps(_plain(value))
    if reference := _REFERENCE.search(text):
        named = re.split(r'[" ,}\]]', text[reference.start() :])[0]
        raise _UnseenError(f"{argument} refers to {named}, which checkov does not resolve")
    return policy.parse(text)


def _plain(value: Any) -> Any:
    """The value without the marks that checkov puts into it."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if not k.startswith("__")}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _text(conf: Conf, argument: str) -> str:
    value = (conf.get(argument) or [None])[0]
    if not isinstance(value, str) or _REFERENCE.search(value):
        raise _UnseenError(f"{argument} is {value or 'not to be seen'}")
    return value


def _rule(raw: Any) -> tuple[bool, int, str, int]:
    values = [
        (raw.get(key) or [None])[0]
        for key in ("enabled", "interval", "units", "retention_duration")
    ]
    enabled, interval, units, retention = (True if values[0] is None else values[0], *values[1:])
    if not (isinstance(enabled, bool) and isinstance(units, str)):
        raise _UnseenError(f"a point-in-time rule is {values}")
    if not (type(interval) is int and type(retention) is int):
        raise _UnseenError(f"a point-in-time rule is {values}")
    return enabled, interval, units, retention


def _owner(document: Policy) -> str:
    """The one account that may change the policy: a resource does not say whose it is."""
    named = {
        account
        for statement in document.statements
        for kind, value in statement.principals
        if kind == "AWS" and (account := policy.account_of(value))
    }
    owners = [each for each in sorted(named) if _administers(document, each, "kms:PutKeyPolicy")]
    if len(owners) != 1:
        raise _UnseenError(f"{len(owners)} accounts may change the key's policy, not one")
    return owners[0]


def _administers(document: Policy, account: str, action: str) -> bool:
    root = f"arn:aws:iam::{account}:root"
    request = Request(
        principal=root,
        action=action,
        resource=f"arn:aws:kms:us-east-1:{account}:key/any",
        context={
            "kms:CallerAccount": (account,),
            "aws:PrincipalArn": (root,),
            "aws:PrincipalAccount": (account,),
        },
        absent=frozenset(
            {
                "aws:PrincipalOrgID",
                "kms:BypassPolicyLockoutSafetyCheck",
                "kms:GrantIsForAWSResource",
                "kms:ViaService",
            }
        ),
    )
    return _decided(document, request) in {Outcome.ALLOWED, Outcome.ALLOWED_FOR_ACCOUNT}


def _drs_may(document: Policy, action: str, identity: str, account: str, resource: str) -> bool:
    request = Request(
        principal=_DRS,
        action=action,
        resource=None,
        context={
            "sts:SourceIdentity": (identity,),
            "aws:SourceAccount": (account,),
            "aws:SourceArn": (f"arn:aws:drs:us-east-1:{account}:{resource}",),
        },
        absent=frozenset({"sts:ExternalId", "aws:PrincipalOrgID"}),
    )
    return _decided(document, request) is Outcome.ALLOWED


def _decided(document: Policy, request: Request) -> Outcome:
    decision = policy.evaluate(document, request)
    if decision.outcome is Outcome.UNKNOWN:
        raise _UnseenError(decision.reason)
    return decision.outcome


def _for_others(document: Policy, owner: str) -> Iterator[tuple[Statement, set[str]]]:
    """Each statement that allows accounts besides the owner, with those; "*" is everyone."""
    for statement in document.statements:
        accounts = {
            "*" if statement.not_principal or value == "*" else policy.account_of(value) or value
            for kind, value in statement.principals
            if kind == "AWS" or statement.not_principal
        } - {owner}
        if statement.allow and accounts:
            yield statement, accounts


_KEYS = ("aws_kms_key", "aws_kms_key_policy")
_TEMPLATES = ("aws_drs_replication_configuration_template",)
CHECKS = tuple(
    _Check(
        judge.__name__.replace("_", "-"), (judge.__doc__ or "").splitlines()[0], resources, judge
    )
    for resources, judge in (
        (_KEYS, other_accounts_use_the_key_through_ec2_only),
        (_KEYS, grants_are_for_aws_resources_only),
        (_KEYS, owner_keeps_administration),
        (("aws_iam_role",), staging_role_is_for_its_target_only),
        (_TEMPLATES, staging_template_encrypts_custom),
        (_TEMPLATES, point_in_time_policy_is_legal),
    )
)
