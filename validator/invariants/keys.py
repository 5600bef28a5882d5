"""Invariants on the KMS keys that encrypt staging disks and snapshots, judged by meaning."""

from collections.abc import Iterator

from validator import policy
from validator.findings import Message
from validator.invariants import hcl
from validator.invariants.engine import Unseen, invariant, need
from validator.invariants.replication import template_of
from validator.model import Account, Estate, Key, Pair, Unknown
from validator.policy import Decision, Outcome, Policy, Request, Statement

REENCRYPT = ("kms:ReEncryptFrom", "kms:ReEncryptTo")
"""The two actions behind `kms:ReEncrypt*`, the ones AWS documents for sharing with a target."""

EBS_USE = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    *REENCRYPT,
)
"""What EBS does with the key of another account, besides making grants."""

GRANT = "kms:CreateGrant"

ADMINISTRATION = ("kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:DescribeKey")
"""What an account must still be able to do to its own key, or nobody can repair its policy."""

SHARED_ALIAS = "alias/drs-shared-ebs-key"
"""The alias of the key that the target owns and every staging account may use."""

SHORTEST_WINDOW = 14
"""Days that a key scheduled for deletion must wait: see `key_deletion_can_be_noticed`."""


def replication_key(account: Account) -> Key:
    """The key that the account's replication template encrypts with, as far as the view sees it.

    Raises Unseen where there is no single answer: no template, no key in it, or a key elsewhere.
    """
    template = template_of(account)
    name = need(template.key)
    if name is None:
        raise Unseen(f"{template.where} names no key")
    found = [key for key in need(account.keys) if key.name == name]
    if len(found) != 1:
        raise Unseen(f"the key {name} of {template.where} is not among the account's keys")
    return found[0]


def _owner(name: str | None, estate: Estate) -> Account | None:
    """The account in which the view sees the key of that name, None where it sees none."""
    for account in estate.accounts:
        if not isinstance(account.keys, Unknown) and any(k.name == name for k in account.keys):
            return account
    return None


def staging_role_arn(pair: Pair, estate: Estate) -> str:
    """The ARN of the role by which DRS acts in the staging account for the target."""
    return (
        f"arn:{policy.partition(estate.recovery_region)}:iam::{pair.staging.id}"
        f":role/service-role/DRSStagingAccountRole_{pair.target.id}"
    )


def _root(account_id: str, region: str) -> str:
    return f"arn:{policy.partition(region)}:iam::{account_id}:root"


def _document(key: Key) -> Policy:
    """The key's policy; raises Unseen for a statement that KMS refuses or gives no effect."""
    document = policy.parse(need(key.policy))
    for statement in document.statements:
        if not statement.resources:
            raise Unseen(f"{statement.name} of {key.name} has no Resource, so KMS ignores it")
        if not statement.principals and not statement.not_principal:
            raise Unseen(f"{statement.name} of {key.name} has no Principal, which KMS refuses")
    return document


def _arn(key: Key) -> str:
    """The key's ARN, with an id that stands for any where the view cannot have one."""
    if key.where.startswith("arn:"):
        return key.where
    region = need(key.region)
    return f"arn:{policy.partition(region)}:kms:{region}:{need(key.account_id)}:key/{policy.UNSEEN}"


def _refused(
    key: Key, principal: str, actions: tuple[str, ...], estate: Estate
) -> tuple[dict[str, Decision], Unseen | None]:
    """The actions that the key's policy refuses to `principal` when EC2 acts for it, and why.

    With them, what to raise once they are told: there may be actions that cannot be decided.
    """
    account = policy.account_of(principal) or ""
    context = {
        "kms:CallerAccount": (account,),
        "kms:ViaService": (_ec2(estate.recovery_region),),
        "aws:PrincipalAccount": (account,),
    }
    if not principal.endswith(":root"):  # which principal of an account asks is not known
        context["aws:PrincipalArn"] = (principal,)
    document = _document(key)
    refused: dict[str, Decision] = {}
    undecided = []
    for action in actions:
        granted = {"kms:GrantIsForAWSResource": ("true",)} if action == GRANT else {}
        request = Request(
            principal=principal,
            action=action,
            resource=_arn(key),
            context=context | granted,
            absent=frozenset() if granted else frozenset({"kms:GrantIsForAWSResource"}),
        )
        decision = policy.evaluate(document, request)
        if decision.outcome is Outcome.UNKNOWN:
            undecided.append(f"{action}: {decision.reason}")
        elif decision.outcome is not Outcome.ALLOWED:
            refused[action] = decision
    reason = f"what {key.name} lets {principal} do ({'; '.join(undecided)})"
    return refused, Unseen(reason) if undecided else None


def _ec2(region: str) -> str:
    return f"ec2.{region}.amazonaws.com"


def _through_ec2(account_id: str, region: str) -> list[hcl.Condition]:
    """The two conditions of every statement for EC2 on behalf of an account."""
    return [
        ("StringEquals", "kms:CallerAccount", account_id),
        ("StringEquals", "kms:ViaService", _ec2(region)),
    ]


def _paste(sid: str, principal: str, refused: dict[str, Decision], estate: Estate) -> str | None:
    """The smallest statement that allows what was refused; None where a Deny would win over it."""
    if any(each.outcome is Outcome.DENIED for each in refused.values()):
        return None
    account = policy.account_of(principal) or ""
    conditions = _through_ec2(account, estate.recovery_region)
    actions = [action for action in refused if action != GRANT]
    if set(REENCRYPT) <= set(actions):
        actions = sorted({*actions, "kms:ReEncrypt*"} - set(REENCRYPT))
    statements = []
    if actions:
        statements.append(hcl.statement(sid, actions, ("AWS", principal), conditions))
    if GRANT in refused:
        # kms:GrantIsForAWSResource exists for grants only, so CreateGrant stands alone.
        alone = [("Bool", "kms:GrantIsForAWSResource", "true"), *conditions]
        statements.append(hcl.statement(f"{sid}Grants", [GRANT], ("AWS", principal), alone))
    return "\n\n".join(statements)


def _because(refused: dict[str, Decision]) -> str:
    return "; ".join(f"{action}: {decision.reason}" for action, decision in refused.items())


@invariant(Pair)
def staging_account_owns_its_replication_key(pair: Pair, estate: Estate) -> Iterator[Message]:
    """The replication key of a staging account is its own, and in the recovery Region.

    The snapshots of a staging account are shared from there, and a KMS key works in one Region
    only. With a key of another account each staging disk hangs on that account's policy, which AWS
    documents no sharing for; with a key of another Region the staging disks cannot be made.

    Remedy: Encrypt with a key of the staging account in the recovery Region (module replication-key).
    """
    template = template_of(pair.staging)
    name = need(template.key)
    owner = _owner(name, estate)
    if owner is not None and owner.id != pair.staging.id:
        yield Message(
            f"{pair.staging.name} encrypts with {name}, a key of {owner.name}.", template.where
        )
        return
    key = replication_key(pair.staging)
    if need(key.account_id) != pair.staging.id:
        yield Message(f"The key belongs to {key.account_id}, not {pair.staging.id}.", key.where)
    if need(key.region) != estate.recovery_region:
        yield Message(
            f"The key is in {key.region}, not in the recovery Region {estate.recovery_region}.",
            key.where,
        )


@invariant(Pair)
def replication_key_is_customer_managed(pair: Pair, estate: Estate) -> Iterator[Message]:
    """A staging account encrypts with a customer-managed key, never with AWS's own aws/ebs.

    The policy of an AWS-managed key cannot be changed, and snapshots under it cannot be shared: no
    server of the account can be extended, ever, without a new initial sync.

    Remedy: Make a key with module replication-key, and name it in the template.
    """
    template = template_of(pair.staging)
    name = need(template.key)
    module = f"module.{hcl.label(pair.staging.name)}_replication_key.arn"
    fix = hcl.arguments({"ebs_encryption": '"CUSTOM"', "ebs_encryption_key_arn": module})
    if name is None:
        yield Message(f"{template.name} names no key.", template.where, fix)
    elif "alias/aws/" in name:
        yield Message(f"{template.name} names {name}, which AWS manages.", template.where, fix)
    elif _owner(name, estate) is None:
        replication_key(pair.staging)  # says why no key of that name is seen


@invariant(Key)
def key_is_enabled(key: Key, _: Estate) -> Iterator[str]:
    """Every key is enabled.

    With a disabled key no staging disk can be made or attached, no snapshot shared, and nothing
    launched: replication goes on until the next disk, and then stops.

    Remedy: Set is_enabled to true, or enable the key in KMS.
    """
    if not need(key.enabled):
        yield f"{key.name} is disabled."


@invariant(Key)
def key_material_is_rotated(key: Key, _: Estate) -> Iterator[Message]:
    """KMS rotates the material of every key each year.

    Staging disks live as long as the server that they copy. Without rotation one secret protects
    all of them for all that time; with it, old data stays readable and new data gets a new secret.

    Remedy: Set enable_key_rotation to true.
    """
    if not need(key.rotated):
        fix = hcl.arguments({"enable_key_rotation": "true"})
        yield Message(f"{key.name} is not rotated.", key.where, fix)


@invariant(Key)
def key_deletion_can_be_noticed(key: Key, _: Estate) -> Iterator[Message]:
    """A key that is scheduled for deletion waits at least 14 days, which AWS allows up to 30.

    Nothing else than the waiting stands between a mistaken deletion and the loss of every disk and
    point in time. AWS's shortest wait of 7 days passes in one holiday; in 14 days somebody meets
    the first staging disk that cannot be made, and cancels.

    Remedy: Set deletion_window_in_days to 30.
    """
    window = need(key.deletion_window)
    if window is not None and not SHORTEST_WINDOW <= window <= 30:
        fix = hcl.arguments({"deletion_window_in_days": "30"})
        yield Message(f"{key.name} would be gone after {window} days.", key.where, fix)


@invariant(Pair)
def staging_role_can_share_snapshots(pair: Pair, estate: Estate) -> Iterator[Message]:
    """The replication key lets the staging role re-encrypt through EC2, by naming that role.

    At launch DRS shares a converted snapshot as DRSStagingAccountRole_<target>. That role's managed
    policy holds no KMS action, so delegation to the account's root does not help it: without a
    statement that names it, ModifySnapshotAttribute fails with AuthFailure, and nothing launches.

    Remedy: Allow kms:ReEncrypt* to the staging role, with kms:CallerAccount the staging account and
    kms:ViaService ec2.<recovery Region>.amazonaws.com (module replication-key does).
    """
    role = staging_role_arn(pair, estate)
    key = replication_key(pair.staging)
    refused, unseen = _refused(key, role, REENCRYPT, estate)
    if refused:
        fix = _paste(f"StagingRoleShares{pair.target.id}", role, refused, estate)
        yield Message(f"{role} may not share through EC2: {_because(refused)}.", key.where, fix)
    if unseen:
        raise unseen


@invariant(Pair)
def staging_role_uses_the_key_through_ec2_only(pair: Pair, estate: Estate) -> Iterator[Message]:
    """Every statement that names the staging role is bound to its account and to EC2.

    The role is for DRS, and DRS reaches the key through EC2. A statement without the two conditions
    lets whoever gets hold of the role use the key directly, on any ciphertext; one that is bound to
    a service of DRS never applies, since DRS makes no call to KMS itself.

    Remedy: Give the statement StringEquals conditions on kms:CallerAccount (the staging account)
    and kms:ViaService (ec2.<recovery Region>.amazonaws.com).
    """
    role = staging_role_arn(pair, estate)
    key = replication_key(pair.staging)
    for statement in _document(key).statements:
        if statement.allow and ("AWS", role) in statement.principals:
            yield from _unbound(statement, {pair.staging.id}, key, estate.recovery_region)


@invariant(Pair)
def target_can_use_the_replication_key(pair: Pair, estate: Estate) -> Iterator[Message]:
    """The replication key lets the target account re-encrypt through EC2.

    The target copies each shared snapshot under a key of its own, and reads it with the staging
    account's key. A key policy of another account decides that alone; without the statement every
    launch of an extended server fails.

    Remedy: Allow kms:ReEncrypt* to the target's root, with kms:CallerAccount the target account and
    kms:ViaService ec2.<recovery Region>.amazonaws.com (module replication-key does).
    """
    root = _root(pair.target.id, estate.recovery_region)
    key = replication_key(pair.staging)
    refused, unseen = _refused(key, root, REENCRYPT, estate)
    if refused:
        fix = _paste(f"TargetUses{pair.target.id}", root, refused, estate)
        yield Message(
            f"Account {pair.target.id} may not use the key through EC2: {_because(refused)}.",
            key.where,
            fix,
        )
    if unseen:
        raise unseen


@invariant(Pair)
def staging_account_can_use_the_shared_key(pair: Pair, estate: Estate) -> Iterator[Message]:
    """The target's shared key is in the recovery Region and lets each staging account use it for EBS.

    The key alias/drs-shared-ebs-key is for volumes that a staging account makes under the target's
    key. EBS then needs all of what it does with a key of its own, grants included, and the policy of
    a key of another account decides that alone.

    Remedy: Add the staging account to the shared key (module shared-key), or paste the statements.
    """
    key = _shared_key(pair.target)
    if key is None:
        yield Message(f"{pair.target.name} has no key {SHARED_ALIAS}.", pair.target.where)
        return
    if need(key.region) != estate.recovery_region:
        yield Message(
            f"The key is in {key.region}, not in the recovery Region {estate.recovery_region}.",
            key.where,
        )
    root = _root(pair.staging.id, estate.recovery_region)
    refused, unseen = _refused(key, root, (*EBS_USE, GRANT), estate)
    if refused:
        fix = _paste(f"StagingUses{pair.staging.id}", root, refused, estate)
        yield Message(
            f"Account {pair.staging.id} may not use the key through EC2: {_because(refused)}.",
            key.where,
            fix,
        )
    if unseen:
        raise unseen


def _shared_key(target: Account) -> Key | None:
    hidden: Unknown | None = None
    for key in need(target.keys):
        if isinstance(key.aliases, Unknown):
            hidden = key.aliases
        elif SHARED_ALIAS in key.aliases:
            return key
    need(hidden)
    return None


@invariant(Key)
def key_admits_only_the_estate(key: Key, estate: Estate) -> Iterator[Message]:
    """No statement of a key's policy allows anybody outside the estate's accounts.

    A key that decrypts for a stranger gives away every disk that it encrypts. A wildcard principal
    is everyone in AWS unless a condition names the callers; NotPrincipal with Allow is everyone but
    a few; an AWS service acts for whoever asks it.

    Remedy: Name the estate's accounts or roles as principals, one statement for each.
    """
    ids = {account.id for account in estate.accounts}
    own = policy.partition(need(key.region))
    for statement in _document(key).statements:
        if not statement.allow:
            continue
        if statement.not_principal:
            yield Message(f"{statement.name} allows everyone but those it names.", key.where)
            continue
        callers = policy.bound(statement, "kms:CallerAccount")
        for kind, value in statement.principals:
            if kind != "AWS":
                yield Message(f"{statement.name} allows the {kind} {value}.", key.where)
            elif value == "*":
                if not callers or not set(callers) <= ids:
                    yield Message(f"{statement.name} allows everyone.", key.where)
            elif policy.account_of(value) not in ids:
                yield Message(f"{statement.name} allows {value}, outside the estate.", key.where)
            elif policy.partition_of(value) not in {None, own}:
                yield Message(f"{statement.name} allows {value}, not of {own}.", key.where)


@invariant(Key)
def key_names_every_principal(key: Key, _: Estate) -> Iterator[Message]:
    """Every statement that allows something names its principals, without a wildcard.

    A wildcard is everyone in AWS, held back by conditions only: one condition less, in any later
    change, and the key is open. NotPrincipal allows all accounts that will ever exist.

    Remedy: Name the accounts or roles, one statement for each.
    """
    for statement in _document(key).statements:
        if statement.allow and statement.not_principal:
            yield Message(f"{statement.name} uses NotPrincipal.", key.where)
        elif statement.allow:
            for _kind, value in statement.principals:
                if "*" in value or "?" in value:
                    yield Message(f"{statement.name} names {value}.", key.where)


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
    for statement in _document(key).statements:
        others = _others(statement, owner)
        if statement.allow and others:
            yield from _unbound(statement, others, key, need(key.region))


def _unbound(statement: Statement, accounts: set[str], key: Key, region: str) -> Iterator[Message]:
    """How a statement for these accounts is not bound to them and to EC2."""
    named = accounts - {"*"}
    callers = policy.bound(statement, "kms:CallerAccount")
    if not callers or not set(callers) <= named:
        fix = (
            hcl.condition("StringEquals", "kms:CallerAccount", *named) if len(named) == 1 else None
        )
        yield Message(
            f"{statement.name} lets {_listed(accounts)} in without kms:CallerAccount "
            "bound to that account.",
            key.where,
            fix,
        )
    through = _ec2(region)
    services = policy.bound(statement, "kms:ViaService")
    if services is not None and set(services) == {through}:
        return
    fix = hcl.condition("StringEquals", "kms:ViaService", through)
    if services and all(service.startswith("drs.") for service in services):
        text = (
            f"{statement.name} never applies: DRS makes no call to KMS, so kms:ViaService is never "
            f"{', '.join(services)}; it is {through}."
        )
    else:
        text = (
            f"{statement.name} lets {_listed(accounts)} in without kms:ViaService "
            f"bound to {through}."
        )
    yield Message(text, key.where, fix)


@invariant(Key)
def grants_are_for_aws_resources_only(key: Key, _: Estate) -> Iterator[Message]:
    """Another account may create grants only for AWS resources.

    A grant hands the key on to any principal that its maker names, past the key policy. With
    kms:GrantIsForAWSResource it can only be made by a service such as EBS for a resource of the
    caller's own.

    Remedy: Put kms:CreateGrant into a statement of its own with Bool kms:GrantIsForAWSResource true.
    """
    owner = need(key.account_id)
    for statement in _document(key).statements:
        others = _others(statement, owner)
        if not statement.allow or not others or not policy.grants(statement, GRANT):
            continue
        values = policy.bound(statement, "kms:GrantIsForAWSResource")
        if not values or {value.lower() for value in values} != {"true"}:
            yield Message(
                f"{statement.name} lets {_listed(others)} create any grant.",
                key.where,
                hcl.condition("Bool", "kms:GrantIsForAWSResource", "true"),
            )


@invariant(Key)
def owner_keeps_administration(key: Key, _: Estate) -> Iterator[Message]:
    """The account that owns a key can still change its policy.

    A key policy that leaves its owner out cannot be repaired by anyone but AWS Support, and the
    account's IAM policies for the key have no effect: neither DRS nor EBS can use it there.

    Remedy: Allow kms:* to the root of the key's own account.
    """
    owner = need(key.account_id)
    root = _root(owner, need(key.region))
    document = _document(key)
    undecided = []
    for action in ADMINISTRATION:
        request = Request(
            principal=root,
            action=action,
            resource=_arn(key),
            context={
                "kms:CallerAccount": (owner,),
                "aws:PrincipalArn": (root,),
                "aws:PrincipalAccount": (owner,),
            },
            absent=frozenset(
                {
                    "kms:BypassPolicyLockoutSafetyCheck",
                    "kms:GrantIsForAWSResource",
                    "kms:ViaService",
                }
            ),
        )
        decision = policy.evaluate(document, request)
        if decision.outcome is Outcome.UNKNOWN:
            undecided.append(f"{action}: {decision.reason}")
        elif decision.outcome is not Outcome.ALLOWED:
            denied = decision.outcome is Outcome.DENIED
            yield Message(
                f"{root} may not {action}: {decision.reason}.",
                key.where,
                None if denied else hcl.statement("Administration", ["kms:*"], ("AWS", root), ()),
            )
    if undecided:
        raise Unseen(f"what {key.name} lets its owner do ({'; '.join(undecided)})")


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
    replication_key_is_customer_managed,
    key_is_enabled,
    key_material_is_rotated,
    key_deletion_can_be_noticed,
    staging_role_can_share_snapshots,
    staging_role_uses_the_key_through_ec2_only,
    target_can_use_the_replication_key,
    staging_account_can_use_the_shared_key,
    key_admits_only_the_estate,
    key_names_every_principal,
    other_accounts_use_the_key_through_ec2_only,
    grants_are_for_aws_resources_only,
    owner_keeps_administration,
)
