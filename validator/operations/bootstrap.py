"""What must exist before Terraform in each account, and what Terraform cannot own.

The DRS service roles and DRS initialised, which the console makes too; and the target's launch
configuration template, which Terraform's AWS provider has no resource for.
Source: https://docs.aws.amazon.com/drs/latest/userguide/getting-started-initializing.html
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from validator.accounts import CallError, Client, Opener, call, pages
from validator.errors import AccountError
from validator.model import Account, LaunchSettings
from validator.operations.launch import Step, settle
from validator.sources import tfvars
from validator.sources.tfvars import Declared

_POLICIES = "arn:aws:iam::aws:policy"
_LINKED_ROLE = "AWSServiceRoleForElasticDisasterRecovery"


@dataclass(frozen=True, slots=True)
class ServiceRole:
    """One role of DRS: its name, whom it trusts, and its managed policies.

    `source_identity` is the pattern of sts:SourceIdentity for roles that drs.amazonaws.com assumes.
    """

    name: str
    service: str
    policies: tuple[str, ...]
    source_identity: str | None = None

    def trust(self, account_id: str) -> str:
        """The trust policy in an account, as JSON text."""
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Principal": {"Service": self.service},
            "Action": "sts:AssumeRole",
        }
        if self.source_identity is not None:
            statement["Action"] = ["sts:AssumeRole", "sts:SetSourceIdentity"]
            statement["Condition"] = {
                "StringLike": {
                    "sts:SourceIdentity": self.source_identity,
                    "aws:SourceAccount": account_id,
                }
            }
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _role(
    kind: str, service: str, source_identity: str | None = None, *more: str, policy: str = ""
) -> ServiceRole:
    own = f"{_POLICIES}/service-role/AWSElasticDisasterRecovery{policy or kind}Policy"
    return ServiceRole(
        f"AWSElasticDisasterRecovery{kind}Role", service, (own, *more), source_identity
    )


SERVICE_ROLES = (
    _role("Agent", "drs.amazonaws.com", "s-*"),
    _role("Failback", "drs.amazonaws.com", "i-*"),
    _role("ConversionServer", "ec2.amazonaws.com"),
    _role("RecoveryInstance", "ec2.amazonaws.com"),
    _role("ReplicationServer", "ec2.amazonaws.com"),
    _role(
        "RecoveryInstanceWithLaunchActions",
        "ec2.amazonaws.com",
        None,
        f"{_POLICIES}/AmazonSSMManagedInstanceCore",
        policy="RecoveryInstance",
    ),
)


def bootstrap(
    declared: Declared,
    opener: Opener,
    *,
    on_step: Callable[[str], None],
    dry_run: bool,
    launch: LaunchSettings | None = None,
) -> list[Step]:
    """Bootstraps every account that servers replicate into; raises AccountError.

    `launch` are the declared launch settings of the target, None where none are declared. Safe to
    repeat: what is there and as declared stays as it is.
    """
    target, staging, _ = tfvars.accounts(declared)
    region = tfvars.text(declared, "recovery_region")
    steps: list[Step] = []
    for account in (target, *staging):
        on_step(f"bootstrapping {account.name} ({account.id})")
        settings = launch if account is target else None
        steps += _account(account, opener, region, settings, dry_run)
    # For the failback, which replicates the other way: AWS advises to have both sides ready.
    opened = opener.open(target.id, region)
    source_region = tfvars.text(declared, "source_region")
    drs = opened.client("drs", region=source_region)
    steps.append(_initialise(drs, target.name, source_region, dry_run))
    return steps


def existing_template(opener: Opener, account_id: str, region: str) -> str | None:
    """The id of the replication configuration template that an account already has, None if none.

    It is a singleton: where one is left from the console, Terraform must import it. Raises
    AccountError.
    """
    drs = opener.open(account_id, region).client("drs")
    try:
        found = list(pages(drs, "describe_replication_configuration_templates", "items"))
    except CallError as error:
        if error.code == "UninitializedAccountException":
            return None
        raise
    if len(found) > 1:
        raise AccountError(
            f"Account {account_id}, {region}: {len(found)} replication configuration templates, "
            "where Terraform can manage only one. Delete all but one."
        )
    return str(found[0]["replicationConfigurationTemplateID"]) if found else None


def _account(
    account: Account, opener: Opener, region: str, launch: LaunchSettings | None, dry_run: bool
) -> Iterator[Step]:
    opened = opener.open(account.id, region)
    iam, drs = opened.client("iam"), opened.client("drs")
    made = "would be made" if dry_run else "made"
    for role in SERVICE_ROLES:
        missing = _missing_policies(iam, role)
        if missing is None:
            if not dry_run:
                _create(iam, role, account.id)
            yield Step(account.name, f"role {role.name} {made}", True)
            missing = role.policies
            if dry_run:
                continue
        elif missing:
            yield Step(account.name, f"policies of role {role.name} {made}", True)
        if not dry_run:
            for policy in missing:
                call(iam, "attach_role_policy", RoleName=role.name, PolicyArn=policy)
    if not _exists(iam, _LINKED_ROLE):
        if not dry_run:
            call(iam, "create_service_linked_role", AWSServiceName="drs.amazonaws.com")
        yield Step(account.name, f"service-linked role {_LINKED_ROLE} {made}", True)
    step = _initialise(drs, account.name, region, dry_run)
    yield step
    initialised = not step.changed
    if launch is not None and (initialised or not dry_run):
        yield from settle(opened, account.name, launch, dry_run=dry_run)
    elif launch is not None:
        yield Step(account.name, "launch configuration template would be made", True)


def _initialise(drs: Client, account: str, region: str, dry_run: bool) -> Step:
    """Initialises DRS in one Region, where it is not yet; its roles must be there."""
    if _initialised(drs):
        return Step(account, f"DRS is initialised in {region}", False)
    if not dry_run:
        call(drs, "initialize_service")
    text = "would be initialised" if dry_run else "initialised"
    return Step(account, f"DRS {text} in {region}", True)


def _create(iam: Client, role: ServiceRole, account_id: str) -> None:
    try:
        call(
            iam,
            "create_role",
            RoleName=role.name,
            Path="/service-role/",
            AssumeRolePolicyDocument=role.trust(account_id),
        )
    except CallError as error:
        # The answer to a first attempt may have been lost.
        if error.code != "EntityAlreadyExists":
            raise


def _missing_policies(iam: Client, role: ServiceRole) -> tuple[str, ...] | None:
    """The role's policies that are not attached, None if there is no such role."""
    if not _exists(iam, role.name):
        return None
    answer = call(iam, "list_attached_role_policies", RoleName=role.name)
    attached = {policy["PolicyArn"] for policy in answer["AttachedPolicies"]}
    return tuple(policy for policy in role.policies if policy not in attached)


def _exists(iam: Client, role: str) -> bool:
    try:
        call(iam, "get_role", RoleName=role)
    except CallError as error:
        if error.code == "NoSuchEntity":
            return False
        raise
    return True


def _initialised(drs: Client) -> bool:
    try:
        call(drs, "describe_replication_configuration_templates", maxResults=1)
    except CallError as error:
        if error.code == "UninitializedAccountException":
            return False
        raise
    return True
