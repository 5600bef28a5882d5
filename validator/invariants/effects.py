"""Invariants on what a plan does to an estate that already replicates."""

from collections.abc import Iterator

from validator.findings import Message
from validator.invariants.engine import Unseen, invariant, need
from validator.model import Account, Change, Estate, Role, Unknown, View

PLANNED: tuple[View, ...] = ("plan",)

TEMPLATE = "aws_drs_replication_configuration_template"
ROLE = "aws_iam_role"
KEYS = ("aws_kms_key", "aws_kms_external_key", "aws_kms_replica_key")
TABLE = "aws_dynamodb_table"
ATTACHMENTS = (
    "aws_iam_role_policy_attachment",
    "aws_iam_role_policy_attachments_exclusive",
    "aws_iam_policy_attachment",
)

ACTIONS = frozenset({"no-op", "create", "read", "update", "delete", "forget"})
"""Every action that Terraform's plan format has; anything else is not understood."""

SILENT = (("no-op",), ("read",), ("create",))
"""What touches nothing that is there."""

_SEED = (
    "It seeds new servers only; those that replicate keep their settings until each is changed, "
)


def changes(estate: Estate, *types: str) -> Iterator[Change]:
    """The changes of these types (all without any) that touch something which is there.

    Raises Unseen at the end if one of them was not understood.
    """
    odd: list[str] = []
    for change in estate.changes:
        if (types and change.type not in types) or change.actions in SILENT:
            continue
        if not change.actions or not set(change.actions) <= ACTIONS:
            odd.append(f"the plan does {'/'.join(change.actions) or 'nothing'} to {change.address}")
        elif "update" in change.actions and not change.changed:
            odd.append(f"the plan updates {change.address} and does not show what")
        else:
            yield change
    if odd:
        raise Unseen("; ".join(odd))


def _replaced(change: Change) -> bool:
    return "create" in change.actions


def _touched(change: Change, estate: Estate) -> str:
    """How many declared servers a change touches, as a sentence.

    A staging account's own are what its changes touch; whatever else touches every server, since
    all of them are recovered through the target.
    """
    own = [each for each in estate.staging if each.name == change.account]
    accounts: tuple[Account, ...] = tuple(own) or estate.protected
    numbers = [account.planned for account in accounts]
    hidden = [number.reason for number in numbers if isinstance(number, Unknown)]
    if hidden:
        return f"How many declared servers it touches is not known: {hidden[0]}."
    return f"It touches {sum(n for n in numbers if isinstance(n, int))} declared servers."


def _place(change: Change) -> str:
    if isinstance(change.account, Unknown):
        return f"an account that the plan does not show ({change.account.reason})"
    return change.account


def _message(change: Change, text: str, estate: Estate) -> Message:
    return Message(f"{text} {_touched(change, estate)}", change.address)


@invariant(Estate, views=PLANNED)
def changes_stay_within_the_estate(estate: Estate, _: Estate) -> Iterator[Message]:
    """The plan changes nothing outside the estate's accounts, and does nothing that is not understood.

    A change in a foreign account is a provider gone astray. What a change does to servers that
    replicate can be told only of one that is understood: a word that Terraform will invent, or an
    account known after apply, may be the one that cuts.

    Remedy: Give the resource a provider of an account of the estate; use a Terraform that the
    validator knows.
    """
    names = {account.name for account in estate.accounts}
    hidden: Unknown | None = None
    for change in changes(estate):
        if isinstance(change.account, Unknown):
            hidden = change.account
        elif change.account not in names:
            yield Message(f"{change.address} is in account {change.account}.", change.address)
    need(hidden)


@invariant(Estate, views=PLANNED)
def no_server_is_resynchronised(estate: Estate, _: Estate) -> Iterator[Message]:
    """The plan puts no server on another key or another encryption.

    A server whose encryption or key changes starts its initial sync again: for hours or days it has
    no new point in time. A template itself only seeds new servers, but from then on old and new
    servers differ, and each old one must be changed, which resynchronises it.

    Remedy: Keep the key and the encryption, or plan the resynchronisation wave by wave and accept
    the effect by name.
    """
    for change in changes(estate, TEMPLATE, *KEYS):
        if change.type in KEYS:
            if _replaced(change):
                text = (
                    f"{change.address} in {_place(change)} is replaced by another key. Each server "
                    "that is moved to the new key is resynchronised in full."
                )
                yield _message(change, text, estate)
            continue
        moved = {"ebs_encryption", "ebs_encryption_key_arn"} & set(change.changed)
        if _replaced(change) or moved:
            what = " and ".join(sorted(moved)) or "the whole template"
            text = (
                f"{change.address} in {_place(change)} changes {what}. {_SEED}"
                "which then resynchronises it in full."
            )
            yield _message(change, text, estate)


@invariant(Estate, views=PLANNED)
def no_replication_is_disconnected(estate: Estate, _: Estate) -> Iterator[Message]:
    """The plan changes no point-in-time policy.

    A changed point-in-time policy disconnects the replication server, and replication lags until it
    is back. A template itself only seeds new servers, but each old one that is brought in line with
    it is disconnected.

    Remedy: Keep the policy, or change it in a quiet hour and accept the effect by name.
    """
    for change in changes(estate, TEMPLATE):
        if _replaced(change) or "pit_policy" in change.changed:
            text = (
                f"{change.address} in {_place(change)} changes the point-in-time policy. {_SEED}"
                "which then disconnects its replication."
            )
            yield _message(change, text, estate)


@invariant(Estate, views=PLANNED)
def no_key_is_destroyed(estate: Estate, _: Estate) -> Iterator[Message]:
    """The plan destroys or replaces no KMS key.

    Every staging disk and snapshot is readable with its key only. Once the deletion window is over
    they are lost, and no server that they belong to can be recovered.

    Remedy: Keep the key until no point in time is encrypted with it; take it out of the state with a
    removed block instead.
    """
    for change in changes(estate, *KEYS):
        if "delete" in change.actions:
            yield _message(change, f"{change.address} in {_place(change)} is destroyed.", estate)


@invariant(Estate, views=PLANNED)
def no_role_is_destroyed(estate: Estate, _: Estate) -> Iterator[Message]:
    """The plan destroys or replaces no IAM role.

    A role that is made again has another unique id: key and trust policies that named the old one
    keep that id, which then matches nobody, until they are written again.

    Remedy: Rename with a moved block, and keep the role's name and path.
    """
    for change in changes(estate, ROLE):
        if "delete" in change.actions:
            yield _message(change, f"{change.address} in {_place(change)} is destroyed.", estate)


@invariant(Estate, views=PLANNED)
def no_table_is_destroyed(estate: Estate, _: Estate) -> Iterator[Message]:
    """The plan destroys or replaces no DynamoDB table.

    The agent deployer's tracking table says which instance has an agent and which is under way.
    Without it every instance is deployed to again, and what failed is forgotten.

    Remedy: Keep the table's name and keys; move it in the state with a moved block.
    """
    for change in changes(estate, TABLE):
        if "delete" in change.actions:
            yield _message(change, f"{change.address} in {_place(change)} is destroyed.", estate)


@invariant(Estate, views=PLANNED)
def no_trust_is_cut(estate: Estate, _: Estate) -> Iterator[Message]:
    """The plan takes no staging role away, nor changes whom it trusts, nor detaches a policy.

    The role DRSStagingAccountRole_<target> is the whole record that a staging account trusts its
    target. Without it, even for the moment of a replacement, extended servers turn to
    EXTENSION_ERROR and cannot be launched.

    Remedy: Change the role in a quiet hour and accept the effect by name.
    """
    elsewhere = {estate.target.name, estate.orchestration.name}
    for change in changes(estate, ROLE, *ATTACHMENTS):
        if change.account in elsewhere:
            continue
        if change.type in ATTACHMENTS:
            if {"delete", "update"} & set(change.actions):
                text = (
                    f"{change.address} in {_place(change)} detaches a policy, which may be that of "
                    "the staging role."
                )
                yield _message(change, text, estate)
        elif "delete" in change.actions or "assume_role_policy" in change.changed:
            name = _role_name(change, estate)
            if name is None or name.startswith("DRSStagingAccountRole_"):
                done = "is destroyed" if "delete" in change.actions else "trusts otherwise"
                what = name or "which may be a staging role"
                text = f"{change.address} in {_place(change)} ({what}) {done}."
                yield _message(change, text, estate)


def _role_name(change: Change, estate: Estate) -> str | None:
    """What the changed role is called before and after, None where the plan does not show it."""
    if not change.changed or "name" in change.changed:
        return None
    for account in estate.accounts:
        roles: tuple[Role, ...] = () if isinstance(account.roles, Unknown) else account.roles
        for role in roles:
            # Beside the code, a role stands at its file and line, with the address after it.
            here = role.where == change.address or role.where.endswith(f" ({change.address})")
            if here and isinstance(role.role_name, str):
                return role.role_name
    return None


INVARIANTS = (
    changes_stay_within_the_estate,
    no_server_is_resynchronised,
    no_replication_is_disconnected,
    no_key_is_destroyed,
    no_role_is_destroyed,
    no_table_is_destroyed,
    no_trust_is_cut,
)
