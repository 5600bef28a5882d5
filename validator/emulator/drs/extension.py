"""Whether a server of one account may be extended into another, decided from IAM and KMS as they stand.

Read from moto's own backends and decided by the emulator's own evaluator, so that a mistake in the
validator's evaluator does not hide here too.

Not honoured: a trust policy that names single source servers in `aws:SourceArn` (the pair of
accounts is judged once for all its servers), service control policies and KMS grants.
"""

import re
from dataclasses import dataclass
from typing import Any

from moto.backends import get_backend

from validator.emulator.drs.exceptions import AccessDenied, DRSError, Validation

STAGING_POLICY = "AWSElasticDisasterRecoveryStagingAccountPolicy_v2"
_ROLE_PATH = "/service-role/"
_ANY_SERVER = "s-00000000000000000"
_KEY_ARN = re.compile(
    r"arn:(?P<partition>[^:]+):kms:(?P<region>[^:]+):(?P<account>\d{12}):key/(?P<id>[\w-]+)"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """The two accounts of an extension, both in one Region."""

    staging: str
    target: str
    region: str
    partition: str

    @property
    def role_name(self) -> str:
        """The name of the role by which the staging account trusts the target."""
        return f"DRSStagingAccountRole_{self.target}"

    @property
    def role_arn(self) -> str:
        """The ARN that the role has where it is made as AWS makes it."""
        return f"arn:{self.partition}:iam::{self.staging}:role{_ROLE_PATH}{self.role_name}"


def trust_problem(pair: Pair) -> DRSError | None:
    """Why DRS may not act in the staging account for the target; None if it may."""
    role = _role(pair)
    if role is None:
        return AccessDenied(
            f"Account {pair.target} is not a trusted account of {pair.staging}: "
            f"the role {pair.role_arn} does not exist."
        )
    source = f"arn:{pair.partition}:drs:{pair.region}:{pair.target}:source-server/{_ANY_SERVER}"
    context: dict[str, str | list[str]] = {
        "sts:SourceIdentity": pair.target,
        "aws:SourceAccount": pair.target,
        "aws:SourceArn": source,
    }
    for action in ("sts:AssumeRole", "sts:SetSourceIdentity"):
        if not _allows(
            role.assume_role_policy_document,
            principal="drs.amazonaws.com",
            action=action,
            resource=pair.role_arn,
            context=context,
        ):
            return AccessDenied(
                f"The trust policy of {pair.role_arn} does not let drs.amazonaws.com "
                f"call {action} for account {pair.target}."
            )
    policy_arn = f"arn:{pair.partition}:iam::aws:policy/service-role/{STAGING_POLICY}"
    if policy_arn not in {policy.arn for policy in list(role.managed_policies.values())}:
        return AccessDenied(f"The policy {policy_arn} is not attached to {pair.role_arn}.")
    return None


def encryption_problem(pair: Pair, encryption: str, key_arn: str | None) -> DRSError | None:
    """Why disks so encrypted cannot be shared from the staging account with the target.

    `NONE` is refused like `DEFAULT`: AWS documents custom encryption as the requirement, and whether
    it takes unencrypted servers is not known.
    """
    if encryption != "CUSTOM" or not key_arn:
        word = "the default EBS encryption key" if encryption == "DEFAULT" else "no EBS encryption"
        return Validation(
            f"The source server cannot be extended if it has {word}. "
            "Set its EBS encryption to CUSTOM with a customer managed key."
        )
    match = _KEY_ARN.fullmatch(key_arn)
    if match is None:
        return Validation(f"The EBS encryption key {key_arn} is not the ARN of a KMS key.")
    if (match["partition"], match["region"]) != (pair.partition, pair.region):
        return Validation(f"The EBS encryption key {key_arn} is not in the Region {pair.region}.")
    key = _key(match["account"], match["region"], match["id"])
    if key is None:
        return Validation(f"The EBS encryption key {key_arn} does not exist.")
    if _is_aws_managed(key):
        return Validation(
            f"The EBS encryption key {key_arn} is managed by AWS and cannot be shared: "
            "the source server cannot be extended if it has the default EBS encryption key."
        )
    if not key.enabled or key.key_state != "Enabled":
        return Validation(f"The EBS encryption key {key_arn} is {key.key_state}, not Enabled.")
    if (key.key_usage, key.key_spec) != ("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"):
        return Validation(f"The EBS encryption key {key_arn} is not a symmetric encryption key.")
    return _key_policy_problem(pair, key)


def _key_policy_problem(pair: Pair, key: Any) -> DRSError | None:
    root = f"arn:{pair.partition}:iam::{pair.target}:root"
    # The role's own policy has no KMS action, so delegation to its account does not help it.
    callers = ((pair.role_arn, pair.staging, True), (root, pair.target, False))
    for principal, account, by_name in callers:
        context: dict[str, str | list[str]] = {
            "kms:CallerAccount": account,
            "kms:ViaService": f"ec2.{pair.region}.amazonaws.com",
            "aws:PrincipalAccount": account,
            "aws:PrincipalArn": principal,
        }
        for action in ("kms:ReEncryptFrom", "kms:ReEncryptTo"):
            if not _allows(
                key.policy,
                principal=principal,
                action=action,
                resource=key.arn,
                context=context,
                principal_account=account,
                owner_account=key.account_id,
                by_name=by_name,
            ):
                return AccessDenied(
                    f"Not authorized to use key {key.arn}: its policy does not let {principal} "
                    f"call {action} through ec2.{pair.region}.amazonaws.com."
                )
    return None


def _allows(document: dict[str, Any] | str, **request: Any) -> bool:
    # NOTE: imported late, since moto imports this package while the emulator is still starting.
    from validator.emulator.authorization import allows

    return allows(document, **request)


def _role(pair: Pair) -> Any | None:
    """The staging role, if it stands under the path that AWS demands."""
    backend = get_backend("iam")[pair.staging][pair.partition]
    for role in list(backend.roles.values()):
        if role.name == pair.role_name and role.path == _ROLE_PATH:
            return role
    return None


def _key(account_id: str, region: str, key_id: str) -> Any | None:
    regions = get_backend("kms")[account_id]
    return regions[region].keys.get(key_id) if region in regions else None


def _is_aws_managed(key: Any) -> bool:
    return key.key_manager != "CUSTOMER" or any(
        str(name).startswith("alias/aws/") for name in list(key.aliases)
    )
