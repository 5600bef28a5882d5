"""The checklist: every item is decided by invariants that judge live accounts, account by account."""

from dataclasses import replace

import pytest

from tests.invariants.complete import (
    STAGING,
    TARGET,
    UNSEEN,
    complete,
    with_orchestration,
    with_staging,
    with_target,
)
from validator.checklist import ITEMS, Item, Ticked, ticked
from validator.findings import Outcome
from validator.invariants import INVARIANTS, judge
from validator.model import Estate, Part

LIVE = {each.name for each in INVARIANTS if "live" in each.views}


def list_of(estate: Estate) -> dict[tuple[str, str], Ticked]:
    found = ticked(estate, judge(estate, INVARIANTS).findings)
    return {(each.account, each.item.text): each for each in found}


def outcomes(estate: Estate) -> dict[tuple[str, str], Outcome | None]:
    return {place: each.outcome for place, each in list_of(estate).items()}


def test_it_has_the_items_that_were_asked_for() -> None:
    counts = {part: sum(item.part is part for item in ITEMS) for part in Part}
    assert counts == {Part.TARGET: 7, Part.STAGING: 5, Part.ORCHESTRATION: 3}


@pytest.mark.parametrize("item", ITEMS, ids=[f"{i.part}: {i.text}" for i in ITEMS])
def test_an_item_names_invariants_that_judge_live_accounts(item: Item) -> None:
    assert item.invariants and set(item.invariants) <= LIVE


def test_all_is_ticked_on_an_estate_that_holds() -> None:
    for place, each in list_of(complete("live")).items():
        assert each.outcome is Outcome.HOLDS, place
        assert each.evidence, place


BROKEN = [
    ("DRS is not initialised", with_staging("live", initialised=False), ("staging-1", "DRS is initialised in the recovery Region")),
    ("no failback", with_target("live", initialised_at_source=False), ("target", "DRS is initialised in the source Region, for failback")),
    ("no extension", with_target("live", servers=()), ("target", "Source servers of the staging accounts are extended")),
    ("a key of the staging account is off", with_staging("live", keys=(replace(complete("live").staging[0].keys[0], enabled=False),)), ("target", "The EBS encryption keys exist")),
    ("a key's policy is not readable", with_staging("live", keys=(replace(complete("live").staging[0].keys[0], policy=UNSEEN),)), ("target", "The key policies let both sides through")),
    ("no roles", with_staging("live", roles=()), ("staging-1", "The target is a trusted account")),
    ("no tags", with_staging("live", instances=()), ("staging-1", "EC2 instances are tagged for DR")),
    ("no table", with_orchestration("live", tables=()), ("orchestration", "The table that tracks deployments exists")),
    ("a function that is not readable", with_orchestration("live", workers=UNSEEN), ("orchestration", "The agent deployer's function exists")),
    ("no template", with_staging("live", templates=()), ("staging-1", "The replication template lets servers be extended into the target")),
]  # fmt: skip


@pytest.mark.parametrize(("estate", "place"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_what_is_missing_is_not_ticked(estate: Estate, place: tuple[str, str]) -> None:
    found = list_of(estate)[place]
    assert found.outcome is not Outcome.HOLDS
    assert found.evidence


def test_what_cannot_be_read_is_not_ticked() -> None:
    staging = complete("live").staging[0]
    blind = with_staging(
        "live",
        **dict.fromkeys(
            ("keys", "roles", "templates", "servers", "instances", "initialised"), UNSEEN
        ),
    )
    for (account, text), outcome in outcomes(blind).items():
        if account == staging.name and outcome is not None:
            assert outcome is Outcome.UNKNOWN, text


def test_one_account_does_not_answer_for_another() -> None:
    found = outcomes(with_staging("live", initialised=False))
    text = "DRS is initialised in the recovery Region"
    assert found["staging-1", text] is Outcome.VIOLATED
    assert found["target", text] is Outcome.HOLDS


def test_an_account_whose_name_begins_like_another_is_another() -> None:
    whole = complete("live")
    twin = replace(whole.staging[0], name="staging-11", id="5" * 12, initialised=False)
    found = outcomes(replace(whole, staging=(*whole.staging, twin)))
    text = "DRS is initialised in the recovery Region"
    assert found["staging-11", text] is Outcome.VIOLATED
    assert found["staging-1", text] is Outcome.HOLDS
    assert {STAGING, TARGET} == {account.id for account in whole.protected}
