"""Invariants on the KMS keys that encrypt staging disks and snapshots, judged by meaning."""

from collections.abc import Iterator

from validator import policy
from validator.invariants.engine import Broken, invariant, need
from validator.model import Account, Estate, Key, Pair, Part, Unknown
from validator.policy import Outcome, Policy, Request, Statement

REENCRYPT = ("kms:ReEncryptFrom", "kms:ReEncryptTo")
"""The two actions behind `kms:ReEncrypt*`, the ones AWS documents for sharing with a target."""

USED_BY_EBS = (
    *REENCRYPT,
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
)


def replication_key(account: Account) -> Key:
    """The key that the account's replication template encrypts with, as far as the view sees it.

    Raises Unseen where there is no single answer: no template, no key in it, or a key elsewhere.
    """
    templates = need(account.templates)
    if len(templates) != 1:
        need(_unknown(f"{account.name} has {len(templates)} replication templates, not one"))
    name = need(templates[0].key)
    if name is None:
        need(_unknown(f"{templates[0].where} names no key"))
    found = [key for key in need(account.keys) if key.name == name]
    if len(found) != 1:
        need(_unknown(f"the key {name} of {templates[0].where} is not among the account's keys"))
    return found[0]


def _unknown(reason: str) -> Unknown:
    return Unknown(reason)


@invariant(Pair)
def staging_account_owns_its_replication_key(pair: Pair, estate: Estate) -> Iterator[Broken]:
    """The replication key of a staging account is its own, in the recovery Region, and enabled.

    The snapshots of a staging account are shared from there, and a KMS key works in one Region
    only. With the account's default key (ebsEncryption DEFAULT) AWS refuses to extend its servers;
    with a key that is disabled or lies in another Region, the staging disks cannot be made.

    Remedy: Set ebs_encryption to CUSTOM with a customer-managed key of the staging account in the
    recovery Region (module replication-key).
    """
    templates = need(pair.staging.templates)
    for template in templates:
        encryption = need(template.ebs_encryption)
        if encryption != "CUSTOM":
            yield Broken(
                f"{pair.staging.name} encrypts with {encryption}, not CUSTOM: AWS refuses to "
                "extend its servers.",
                template.where,
            )
            return
        if need(template.region) != estate.recovery_region:
            yield Broken(
                f"The template of {pair.staging.name} is in {template.region}, not in the "
                f"recovery Region {estate.recovery_region}.",
                template.where,
            )
    key = replication_key(pair.staging)
    if need(key.account_id) != pair.staging.id:
        yield Broken(f"The key belongs to {key.account_id}, not {pair.staging.id}.", key.where)
    if need(key.region) != estate.recovery_region:
        yield Broken(
            f"The key is in {key.region}, not in the recovery Region {estate.recovery_region}.",
            key.where,
        )
    if not need(key.enabled):
        yield Broken("The key is disabled.", key.where)


@invariant(Pair)
def staging_role_can_share_snapshots(pair: Pair, estate: Estate) -> Iterator[Broken]:
    """The replication key lets the staging role re-encrypt through EC2, by naming that role.

    At launch DRS shares a converted snapshot as DRSStagingAccountRole_<target>. That role's managed
    policy holds no KMS action, so delegation to the account's root does not help it: without a
    statement that names it, ModifySnapshotAttribute fails with AuthFailure, and nothing launches.

    Remedy: Allow kms:ReEncrypt* to the staging role, with kms:CallerAccount the staging account and
    kms:ViaService ec2.<recovery Region>.amazonaws.com (module replication-key does).
    """
    role = (
        f"arn:aws:iam::{pair.staging.id}:role/service-role/DRSStagingAccountRole_{pair.target.id}"
    )
    key = replication_key(pair.staging)
    document = policy.parse(need(key.policy))
    for action in REENCRYPT:
        decision = policy.evaluate(document, _request(role, pair.staging.id, action, key, estate))
        if decision.outcome is Outcome.UNKNOWN:
            need(_unknown(f"{key.where}: {decision.reason}"))
        if decision.outcome is not Outcome.ALLOWED:
            yield Broken(f"{role} may not {action} through EC2: {decision.reason}", key.where)


@invariant(Pair)
def target_can_use_the_replication_key(pair: Pair, estate: Estate) -> Iterator[Broken]:
    """The replication key lets the target account re-encrypt through EC2.

    The target copies each shared snapshot under a key of its own, and reads it with the staging
    account's key. A key policy of another account decides that alone; without the statement every
    launch of an extended server fails.

    Remedy: Allow kms:ReEncrypt* to the target's root, with kms:CallerAccount the target account and
    kms:ViaService ec2.<recovery Region>.amazonaws.com (module replication-key does).
    """
    root = f"arn:aws:iam::{pair.target.id}:root"
    key = replication_key(pair.staging)
    document = policy.parse(need(key.policy))
    for action in REENCRYPT:
        decision = policy.evaluate(document, _request(root, pair.target.id, action, key, estate))
        if decision.outcome is Outcome.UNKNOWN:
            need(_unknown(f"{key.where}: {decision.reason}"))
        if decision.outcome not in {Outcome.ALLOWED, Outcome.ALLOWED_FOR_ACCOUNT}:
            yield Broken(
                f"Account {pair.target.id} may not {action} through EC2: {decision.reason}",
                key.where,
            )
