"""The prerequisites of an estate as a list that people tick off, each with the invariants that prove it.

The list is the one that the product was asked for (docs/seed-map.md); where AWS has no such setting,
the item is proved by what the setting was to achieve.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from validator.findings import Finding, Outcome
from validator.model import Account, Estate, Part


@dataclass(frozen=True, slots=True)
class Item:
    """One prerequisite of the accounts that play a part, and the invariants that prove it.

    `everywhere` says that
    findings on any account decide it, and not those on its own account alone.
    """

    part: Part
    text: str
    invariants: tuple[str, ...]
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Ticked:
    """An item in one account: its outcome, None where nothing of it was judged, and the evidence."""

    account: str
    item: Item
    outcome: Outcome | None
    evidence: tuple[str, ...]


ITEMS = (
    Item(
        Part.TARGET,
        "DRS is initialised in the source Region, for failback",
        ("drs-is-initialised-for-failback",),
    ),
    Item(Part.TARGET, "DRS is initialised in the recovery Region", ("drs-is-initialised",)),
    Item(
        Part.TARGET,
        "Source servers of the staging accounts are extended",
        ("every-staging-server-is-extended", "extensions-are-healthy"),
        everywhere=True,
    ),
    Item(
        Part.TARGET,
        "The EBS encryption keys exist",
        ("replication-key-is-customer-managed", "key-is-enabled"),
        everywhere=True,
    ),
    Item(
        Part.TARGET,
        "The key policies let both sides through",
        (
            "staging-role-can-share-snapshots",
            "target-can-use-the-replication-key",
            "staging-account-can-use-the-shared-key",
        ),
        everywhere=True,
    ),
    Item(Part.TARGET, "The orchestration role exists", ("accounts-have-their-roles",)),
    Item(
        Part.TARGET,
        "EC2 instances are tagged for DR",
        ("tagged-instances-are-protected", "protected-instances-are-tagged"),
    ),
    Item(Part.STAGING, "DRS is initialised in the recovery Region", ("drs-is-initialised",)),
    Item(
        Part.STAGING,
        "The target is a trusted account",
        ("staging-account-trusts-its-target", "staging-role-is-for-its-target-only"),
    ),
    Item(Part.STAGING, "The orchestration role exists", ("accounts-have-their-roles",)),
    Item(
        Part.STAGING,
        "EC2 instances are tagged for DR",
        ("tagged-instances-are-protected", "protected-instances-are-tagged"),
    ),
    Item(
        Part.STAGING,
        "The replication template lets servers be extended into the target",
        ("staging-template-encrypts-custom", "staging-account-owns-its-replication-key"),
    ),
    Item(
        Part.ORCHESTRATION, "The agent deployer's function exists", ("agent-deployer-is-deployed",)
    ),
    Item(
        Part.ORCHESTRATION,
        "The roles in target and staging accounts let the orchestration account in",
        ("role-trusts-one-exact-principal", "role-demands-an-external-id"),
        everywhere=True,
    ),
    Item(
        Part.ORCHESTRATION, "The table that tracks deployments exists", ("deployments-are-tracked",)
    ),
)


def ticked(estate: Estate, findings: tuple[Finding, ...]) -> tuple[Ticked, ...]:
    """Each item for each account of its part, in the list's order within the account."""
    return tuple(
        _ticked(account, item, estate, findings)
        for account in estate.accounts
        for item in ITEMS
        if item.part is account.part
    )


def _ticked(account: Account, item: Item, estate: Estate, findings: tuple[Finding, ...]) -> Ticked:
    of_item = [
        finding
        for finding in findings
        if finding.invariant in item.invariants
        and (item.everywhere or _concerns(finding, account, estate))
    ]
    outcomes = {finding.counted for finding in of_item}
    worst = next(
        (o for o in (Outcome.VIOLATED, Outcome.UNKNOWN, Outcome.HOLDS) if o in outcomes), None
    )
    return Ticked(account.name, item, worst, tuple(_evidence(of_item)))


def _concerns(finding: Finding, account: Account, estate: Estate) -> bool:
    """True unless the finding names another account only: a doubt counts against every account."""
    named = [
        each
        for each in estate.accounts
        if each.name in _words(finding.subject) or each.id in finding.subject
    ]
    return not named or account in named


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _evidence(findings: list[Finding]) -> Iterator[str]:
    """What was looked at where it holds, what was said where it does not; at most three of each."""
    for outcome in (Outcome.VIOLATED, Outcome.UNKNOWN, Outcome.HOLDS):
        said = [
            f"{finding.invariant}: "
            + (finding.messages[0].text if finding.messages else f"{finding.subject} holds")
            for finding in findings
            if finding.outcome is outcome
        ]
        yield from said[:3]
        if len(said) > 3:
            yield f"and {len(said) - 3} more {outcome.value}"
