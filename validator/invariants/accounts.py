"""Invariants on the accounts themselves, and on what Terraform may do in which."""

import re
from collections.abc import Iterator

from validator import policy
from validator.findings import Message
from validator.invariants.engine import invariant, need
from validator.model import Account, Estate, Key, Placement, Provider, Role, View
from validator.policy import Policy

BEFORE_APPLY: tuple[View, ...] = ("code", "plan")
"""Accounts as they are show neither providers nor module calls."""

_ACCOUNT_ID = re.compile(r"[0-9]{12}")
_ANY_PARTITION = re.compile(r"arn:[^:]*[*?][^:]*:")


@invariant(Estate)
def account_ids_are_well_formed(estate: Estate, _: Estate) -> Iterator[Message]:
    """Every account id is a string of exactly 12 digits.

    An id that lost its leading zero, or has a digit too many, names another account or none: role
    ARNs, trust policies and key policies built from it are accepted by Terraform and refused, or
    worse granted to a stranger, by AWS.

    Remedy: Write the id as a quoted string of 12 digits in estate.auto.tfvars.
    """
    for account in estate.accounts:
        if not _ACCOUNT_ID.fullmatch(account.id):
            yield Message(
                f"{account.name} has account id {account.id!r}, which is not 12 digits.",
                account.where,
            )


@invariant(Estate)
def account_ids_are_distinct(estate: Estate, _: Estate) -> Iterator[Message]:
    """No account plays two parts: target, staging and orchestration accounts all differ.

    The replicating quota holds per account and Region. Two staging accounts with one id share one
    quota, so the estate would hold half of what is declared; a staging account that is the target
    cannot extend servers into itself.

    Remedy: Give each account its own id in estate.auto.tfvars.
    """
    first: dict[str, Account] = {}
    for account in estate.accounts:
        other = first.setdefault(account.id, account)
        if other is not account:
            yield Message(
                f"{account.name} has the account id {account.id} of {other.name}.", account.where
            )


@invariant(Provider, views=BEFORE_APPLY)
def provider_is_held_to_one_account(provider: Provider, estate: Estate) -> Iterator[Message]:
    """Every provider may act in exactly one account, and that one belongs to the estate.

    Credentials of the wrong account are the ordinary mistake. Without allowed_account_ids
    Terraform builds one account's keys and roles in another, where nothing finds them; with two
    ids it may still choose the wrong one.

    Remedy: Give the provider allowed_account_ids with the one account that it is for.
    """
    allowed = need(provider.allowed)
    if len(allowed) != 1:
        count = f"{len(allowed)} accounts: {', '.join(allowed)}" if allowed else "any account"
        yield Message(f"{provider.name} may act in {count}.", provider.where)
    names = {account.id: account.name for account in estate.accounts}
    for each in allowed:
        if each not in names:
            yield Message(
                f"{provider.name} may act in {each}, which is no account of the estate.",
                provider.where,
            )


@invariant(Provider, views=BEFORE_APPLY)
def provider_assumes_a_role_of_its_account(provider: Provider, _: Estate) -> Iterator[Message]:
    """The role that a provider assumes stands in the account that it may act in.

    A provider whose role is in one account and whose allowed_account_ids name another refuses every
    call: the plan fails, and only after all the other accounts were asked.

    Remedy: Build role_arn and allowed_account_ids from the same account id.
    """
    role = need(provider.role_account_id)
    if role is not None and role not in need(provider.allowed):
        yield Message(
            f"{provider.name} assumes a role of {role} and may act in "
            f"{', '.join(need(provider.allowed)) or 'no named account'}.",
            provider.where,
        )


@invariant(Provider, views=BEFORE_APPLY)
def provider_acts_in_a_declared_region(provider: Provider, estate: Estate) -> Iterator[Message]:
    """Every provider acts in the source Region or in the recovery Region.

    DRS of every account lives in the recovery Region, and source servers run in the source Region.
    What is built in a third one is found by neither: a key there encrypts no staging disk.

    Remedy: Set the provider's region to var.recovery_region or var.source_region.
    """
    region = need(provider.region)
    if region not in {estate.source_region, estate.recovery_region}:
        yield Message(
            f"{provider.name} acts in {region}; the estate declares {estate.source_region} and "
            f"{estate.recovery_region}.",
            provider.where,
        )


@invariant(Placement, views=BEFORE_APPLY)
def resources_land_in_their_declared_account(placement: Placement, _: Estate) -> Iterator[Message]:
    """A module call that says which account it is for is given a provider of that account.

    One provider mixed up, and a staging account's key is made in the target with a policy for the
    staging account: Terraform is content, and the servers cannot be extended.

    Remedy: Pass the provider of the account that the module's account_id names.
    """
    declared, account = need(placement.declared_id), need(placement.account_id)
    if declared != account:
        yield Message(
            f"{placement.name} is for account {declared}, and its resources land in {account}.",
            placement.where,
        )


@invariant(Estate)
def regions_share_one_partition(estate: Estate, _: Estate) -> Iterator[Message]:
    """The source Region and the recovery Region belong to one AWS partition.

    DRS extends commercial accounts into commercial ones and GovCloud accounts into GovCloud ones.
    Accounts, roles and keys of one partition do not exist in another.

    Remedy: Declare two Regions of one partition.
    """
    source, recovery = (
        policy.partition(region) for region in (estate.source_region, estate.recovery_region)
    )
    if source != recovery:
        yield Message(
            f"{estate.source_region} is in {source}, {estate.recovery_region} in {recovery}.",
            estate.where,
        )


@invariant(Key)
def key_policy_stays_in_its_partition(key: Key, estate: Estate) -> Iterator[Message]:
    """Every ARN in a key's policy is of the partition of the recovery Region.

    A principal of another partition cannot exist there: KMS refuses the whole policy, or the
    statement never applies and the launch that needs it fails.

    Remedy: Write ARNs with the partition of the account, for example from data.aws_partition.
    """
    for arn in _foreign(policy.parse(need(key.policy)), estate):
        yield Message(f"The policy of {key.name} names {arn}.", key.where)


@invariant(Role)
def role_stays_in_its_partition(role: Role, estate: Estate) -> Iterator[Message]:
    """Every ARN that a role trusts or attaches is of the partition of the recovery Region.

    IAM refuses a trust policy or an attachment that names another partition, in the middle of an
    apply; a condition that names one never matches, and DRS cannot assume the role.

    Remedy: Write ARNs with the partition of the account, for example from data.aws_partition.
    """
    for arn in _foreign(policy.parse(need(role.trust)), estate):
        yield Message(f"The trust policy of {role.name} names {arn}.", role.where)
    for arn in need(role.managed_policies):
        if policy.partition_of(arn) != policy.partition(estate.recovery_region):
            yield Message(f"{role.name} attaches {arn}.", role.where)


def _foreign(document: Policy, estate: Estate) -> Iterator[str]:
    """The ARNs in a policy that are of another partition; one that names any partition is not."""
    own = f"arn:{policy.partition(estate.recovery_region)}:"
    for statement in document.statements:
        texts = [value for _, value in statement.principals]
        texts += statement.resources
        texts += [value for _, _, values in statement.conditions for value in values]
        for text in texts:
            named = text.startswith("arn:") and not text.startswith(own)
            if named and not _ANY_PARTITION.match(text):
                yield text


DECLARED = (account_ids_are_well_formed, account_ids_are_distinct)
"""What must hold of the declared ids before any other tool is given them."""

INVARIANTS = (
    account_ids_are_well_formed,
    account_ids_are_distinct,
    provider_is_held_to_one_account,
    provider_assumes_a_role_of_its_account,
    provider_acts_in_a_declared_region,
    resources_land_in_their_declared_account,
    regions_share_one_partition,
    key_policy_stays_in_its_partition,
    role_stays_in_its_partition,
)
