"""Invariants on the KMS keys that encrypt staging disks and snapshots, judged by meaning."""

from collections.abc import Iterator

from validator import policy
from validator.findings import Message
from validator.invariants.engine import Unseen, invariant, need
from validator.model import Account, Estate, Key, Pair
from validator.policy import Decision, Outcome, Policy, Request, Statement

REENCRYPT = ("kms:ReEncryptFrom", "kms:ReEncryptTo")
"""The two actions behind `kms:ReEncrypt*`, the ones AWS documents for sharing with a target."""

ADMINISTRATION = ("kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:DescribeKey")
"""What an account must still be able to do to its own key, or nobody can repair its policy."""

_ABSENT = frozenset({"aws:PrincipalOrgID", "kms:GrantIsForAWSResource"})


def replication_key(account: Account) -> Key:
    """The key that the account's replication template encrypts with, as far as the view sees it.

    Raises Unseen where there is no single answer: no template, no key in it, or a key elsewhere.
    """
    templates = need(account.templates)
    if len(templates) != 1:
        raise Unseen(f"{account.name} has {len(templates)} replication templates, not one")
    name = need(templates[0].key)
    if name is None:
        raise Unseen(f"{templates[0].where} names no key")
    found = [key for key in need(account.keys) if key.name == name]
    if len(found) != 1:
        raise Unseen(f"the key {name} of {templates[0].where} is not among the account's keys")
    return found[0]


def _through_ec2(
    document: Policy, key: Key, principal: str, action: str, estate: Estate
) -> Decision:
    """What the policy says to `principal` when EC2 acts for it; raises Unseen if that is not known."""
    account = policy.account_of(principal) or ""
    request = Request(
        principal=principal,
        action=action,
        resource=f"arn:aws:kms:{need(key.region)}:{need(key.account_id)}:key/any",
        context={
            "kms:CallerAccount": (account,),
            "kms:ViaService": (f"ec2.{estate.recovery_region}.amazonaws.com",),
            "aws:PrincipalArn": (principal,),
            "aws:PrincipalAccount": (account,),
        },
        absent=_ABSENT,
    )
    decision = policy.evaluate(document, request)
    if decision.outcome is Outcome.UNKNOWN:
        raise Unseen(f"{key.where}: {decision.reason}")
    return decision


@invariant(Pair)
def staging_account_owns_its_replication_key(pair: Pair, estate: Estate) -> Iterator[Message]:
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
            yield Message(
                f"{pair.staging.name} encrypts with {encryption}, not CUSTOM: AWS refuses to "
                "extend its servers.",
                template.where,
            )
            return
        if need(template.region) != estate.recovery_region:
            yield Message(
                f"The template of {pair.staging.name} is in {template.region}, not in the "
                f"recovery Region {estate.recovery_region}.",
                template.where,
            )
    key = replication_key(pair.staging)
    if need(key.account_id) != pair.staging.id:
        yield Message(f"The key belongs to {key.account_id}, not {pair.staging.id}.", key.where)
    if need(key.region) != estate.recovery_region:
        yield Message(
            f"The key is in {key.region}, not in the recovery Region {estate.recovery_region}.",
            key.where,
        )
    if not need(key.enabled):
        yield Message("The key is disabled.", key.where)


@invariant(Pair)
def staging_role_can_share_snapshots(pair: Pair, estate: Estate) -> Iterator[Message]:
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
        decision = _through_ec2(document, key, role, action, estate)
        if decision.outcome is not Outcome.ALLOWED:
            yield Message(f"{role} may not {action} through EC2: {decision.reason}", key.where)


@invariant(Pair)
def target_can_use_the_replication_key(pair: Pair, estate: Estate) -> Iterator[Message]:
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
        decision = _through_ec2(document, key, root, action, estate)
        if decision.outcome not in {Outcome.ALLOWED, Outcome.ALLOWED_FOR_ACCOUNT}:
            yield Message(
                f"Account {pair.target.id} may not {action} through EC2: {decision.reason}",
                key.where,
            )


@invariant(Key)
def key_admits_only_the_estate(key: Key, estate: Estate) -> Iterator[Message]:
    """No statement of a key's policy allows anybody outside the estate's accounts.

    A key that decrypts for a stranger gives away every disk that it encrypts. A wildcard principal
    is everyone in AWS unless a condition names the callers; NotPrincipal with Allow is everyone but
    a few; an AWS service acts for whoever asks it.

    Remedy: Name the estate's accounts or roles as principals, one statement for each.
    """
    ids = {account.id for account in estate.accounts}
    for statement in policy.parse(need(key.policy)).statements:
        if not statement.allow:
            continue
        if statement.not_principal:
            yield Message(f"{statement.name} allows everyone but those it names.", key.where)
            continue
        callers = policy.bound(statement, "kms:CallerAccount")
        for kind, value in statement.principals:
            if kind != "AWS":
                yield Message(f"{statement.name} allows the {kind} {value}.", key.where)
            elif policy.account_of(value) not in ids and not (
                value == "*" and callers and set(callers) <= ids
            ):
                yield Message(f"{statement.name} allows {value}, outside the estate.", key.where)


@invariant(Key)
def other_accounts_use_the_key_through_ec2_only(key: Key, estate: Estate) -> Iterator[Message]:
    """Every statement for another account is bound to that caller and to EC2 in the key's Region.

    EC2 is the service that copies and decrypts snapshots for DRS. Without kms:CallerAccount and
    kms:ViaService, whoever holds KMS permissions in the other account can use the key directly, on
    any ciphertext. A ViaService of DRS never matches: DRS makes no such call, so the key looks
    bounded and every launch fails.

    Remedy: Give the statement StringEquals conditions on kms:CallerAccount (that account) and
    kms:ViaService (ec2.<recovery Region>.amazonaws.com).
    """
    owner = need(key.account_id)
    through = f"ec2.{need(key.region)}.amazonaws.com"
    for statement in policy.parse(need(key.policy)).statements:
        others = _others(statement, owner)
        if not statement.allow or not others:
            continue
        callers = policy.bound(statement, "kms:CallerAccount")
        if callers is None or not set(callers) <= (others - {"*"}):
            yield Message(
                f"{statement.name} lets {_listed(others)} in without kms:CallerAccount "
                "bound to that account.",
                key.where,
            )
        services = policy.bound(statement, "kms:ViaService")
        if services is None or set(services) != {through}:
            yield Message(
                f"{statement.name} lets {_listed(others)} in without kms:ViaService "
                f"bound to {through}.",
                key.where,
            )


@invariant(Key)
def grants_are_for_aws_resources_only(key: Key, _: Estate) -> Iterator[Message]:
    """Another account may create grants only for AWS resources.

    A grant hands the key on to any principal that its maker names, past the key policy. With
    kms:GrantIsForAWSResource it can only be made by a service such as EBS for a resource of the
    caller's own.

    Remedy: Put kms:CreateGrant into a statement of its own with Bool kms:GrantIsForAWSResource true.
    """
    owner = need(key.account_id)
    for statement in policy.parse(need(key.policy)).statements:
        if not statement.allow or not _others(statement, owner):
            continue
        if not policy.grants(statement, "kms:CreateGrant"):
            continue
        if policy.bound(statement, "kms:GrantIsForAWSResource") != ("true",):
            yield Message(
                f"{statement.name} lets {_listed(_others(statement, owner))} create any grant.",
                key.where,
            )


@invariant(Key)
def owner_keeps_administration(key: Key, _: Estate) -> Iterator[Message]:
    """The account that owns a key can still change its policy.

    A key policy that leaves its owner out cannot be repaired by anyone but AWS Support, and the
    account's IAM policies for the key have no effect: neither DRS nor EBS can use it there.

    Remedy: Allow kms:* to the root of the key's own account.
    """
    owner = need(key.account_id)
    root = f"arn:aws:iam::{owner}:root"
    document = policy.parse(need(key.policy))
    for action in ADMINISTRATION:
        request = Request(
            principal=root,
            action=action,
            resource=f"arn:aws:kms:{need(key.region)}:{owner}:key/any",
            context={
                "kms:CallerAccount": (owner,),
                "aws:PrincipalArn": (root,),
                "aws:PrincipalAccount": (owner,),
            },
            absent=_ABSENT | {"kms:ViaService", "kms:BypassPolicyLockoutSafetyCheck"},
        )
        decision = policy.evaluate(document, request)
        if decision.outcome is Outcome.UNKNOWN:
            raise Unseen(f"{key.where}: {decision.reason}")
        if decision.outcome not in {Outcome.ALLOWED, Outcome.ALLOWED_FOR_ACCOUNT}:
            yield Message(f"{root} may not {action}: {decision.reason}", key.where)


def _others(statement: Statement, owner: str) -> set[str]:
    """The accounts besides the owner that a statement names; "*" for everyone."""
    if statement.not_principal:
        return {"*"}
    accounts = {
        "*" if value == "*" else policy.account_of(value) or value
        for kind, value in statement.principals
        if kind == "AWS"
    }
    return accounts - {owner}


def _listed(accounts: set[str]) -> str:
    return ", ".join("everyone" if each == "*" else each for each in sorted(accounts))


INVARIANTS = (
    staging_account_owns_its_replication_key,
    staging_role_can_share_snapshots,
    target_can_use_the_replication_key,
    key_admits_only_the_estate,
    other_accounts_use_the_key_through_ec2_only,
    grants_are_for_aws_resources_only,
    owner_keeps_administration,
)
