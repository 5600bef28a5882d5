"""One estate as HCL, as plan JSON and in the embedded AWS reads as the same estate three times."""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from tests.conftest import ORCHESTRATION, Stage
from validator import accounts
from validator.findings import Outcome
from validator.invariants import INVARIANTS, judge
from validator.model import Estate, Unknown
from validator.sources import code, live, plan, tfvars

pytestmark = pytest.mark.slow
ENV = "staging"
LIVE_ALONE = {
    "servers",
    "instances",
    "initialised",
    "initialised_at_source",
    "launch_settings",
    "extensible",
    "extended_from",
    "quotas",
    "read_at",
}
BLIND: dict[str, set[str]] = {
    "code": {"changes", *LIVE_ALONE},
    "plan": {"changes", *LIVE_ALONE},
    "live": {"changes", "deletion_window", "providers", "placements", *LIVE_ALONE},
}
"""What a view does not see, or sees alone."""


@pytest.fixture(scope="module")
def seen(planned_stage: Stage, applied_stage: Stage) -> dict[str, Estate]:
    """Env staging by each view: its code, a plan before anything exists, one after it, and live."""
    directory = applied_stage.checkout / "terraform/envs" / ENV
    declared = tfvars.read(directory)
    opener = accounts.opener(
        tfvars.text(declared, "access_role_name"), applied_stage.embedded.environment(ORCHESTRATION)
    )
    return {
        "code": code.read(directory, declared, ENV),
        "a first plan": plan.read(planned_stage.document(), declared, ENV),
        "a second plan": plan.read(applied_stage.document(), declared, ENV),
        "live": live.read(declared, ENV, opener),
    }


def comparable(value: Any, blind: set[str]) -> Any:
    """The estate as plain data, without places, and with policies as JSON in one form."""
    if is_dataclass(value):
        return {
            each.name: comparable(getattr(value, each.name), blind)
            for each in fields(value)
            if each.name not in {"where", "view", *blind}
        }
    if isinstance(value, tuple):
        return sorted((comparable(each, blind) for each in value), key=repr)
    if isinstance(value, str) and value.startswith("{"):
        return canonical(json.loads(value))
    return value


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path, so that a difference can be read."""
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in items:
            yield from flat(each, f"{path}/{key}")
    else:
        yield path, value


def canonical(policy: Any) -> Any:
    if isinstance(policy, dict):
        return {key: canonical(each) for key, each in sorted(policy.items())}
    if isinstance(policy, list):
        members = sorted((canonical(each) for each in policy), key=repr)
        return members[0] if len(members) == 1 else members
    return policy


@pytest.mark.parametrize("other", ["a first plan", "a second plan", "live"])
def test_every_view_reads_the_same_estate(seen: dict[str, Estate], other: str) -> None:
    blind = BLIND["live"] if other == "live" else BLIND["plan"]
    left, right = (dict(flat(comparable(seen[each], blind))) for each in ("code", other))
    assert {
        k: (left.get(k), right.get(k)) for k in {*left, *right} if left.get(k) != right.get(k)
    } == {}


def test_nothing_of_it_is_unknown(seen: dict[str, Estate]) -> None:
    for name, estate in seen.items():
        blind = BLIND["live" if name == "live" else "code"]
        assert "Unknown" not in repr(comparable(estate, blind)).replace(
            repr(Unknown("this view does not read providers")), ""
        ), name


def test_every_invariant_has_one_outcome(seen: dict[str, Estate]) -> None:
    outcomes: dict[str, dict[str, Outcome]] = {}
    for name, estate in seen.items():
        for finding in judge(replace(estate), INVARIANTS).findings:
            key = f"{finding.invariant} {finding.subject}"
            outcomes.setdefault(key, {})[name] = finding.outcome
    server_side = {each.name for each in INVARIANTS if each.views == ("live",)}
    differing = {
        key: by_view
        for key, by_view in outcomes.items()
        if len(set(by_view.values())) > 1 and key.split(" ")[0] not in server_side
    }
    assert not differing
