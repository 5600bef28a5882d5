"""Invariants on the accounts themselves."""

import re
from collections.abc import Iterator

from validator.findings import Message
from validator.invariants.engine import invariant
from validator.model import Account, Estate

_ACCOUNT_ID = re.compile(r"[0-9]{12}")


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


INVARIANTS = (account_ids_are_well_formed, account_ids_are_distinct)
