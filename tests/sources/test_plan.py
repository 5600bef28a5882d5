"""The plan view reads a real plan, and no damage to that plan ever makes it look better."""

import copy
import random
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, STAGING, Stage
from validator.errors import ValidatorError
from validator.findings import Outcome
from validator.invariants import INVARIANTS, judge
from validator.model import Estate, Unknown, known
from validator.sources import plan, tfvars
from validator.sources.tfvars import Declared

pytestmark = pytest.mark.slow
Json = dict[str, Any]


@pytest.fixture(scope="module")
def planned(planned_stage: Stage) -> tuple[Json, Declared]:
    """The plan of env staging as Terraform shows it, with the declared values."""
    return planned_stage.document(), tfvars.read(ROOT / "terraform/envs/staging")


def read(planned: tuple[Json, Declared], document: object) -> Estate:
    estate = plan.read(document, planned[1], "staging")
    return plan.beside(estate, replace(estate, view="code"))


def outcome(estate: Estate) -> Outcome:
    return judge(estate, INVARIANTS).outcome


def change(document: Json, address: str) -> Json:
    (found,) = [each for each in document["resource_changes"] if each["address"] == address]
    return dict(found)


def test_the_whole_plan(planned: tuple[Json, Declared]) -> None:
    estate = read(planned, planned[0])
    assert outcome(estate) is Outcome.HOLDS
    (staging,) = estate.staging
    assert not isinstance(staging.keys, Unknown)
    (key,) = staging.keys
    assert (key.account_id, key.region, key.enabled) == (STAGING, "us-west-2", True)
    assert isinstance(key.policy, str)
    assert isinstance(staging.servers, Unknown)
    assert {each.account for each in estate.changes} == {"target", "staging-1", "orchestration"}


BROKEN = [
    ("nothing", lambda d: None),
    ("a list", lambda d: []),
    ("an empty object", lambda d: {}),
    ("another format", lambda d: d | {"format_version": "2.0"}),
    ("no changes", lambda d: {k: v for k, v in d.items() if k != "resource_changes"}),
    ("no configuration", lambda d: d | {"configuration": None}),
    ("an errored plan", lambda d: d | {"errored": True}),
    ("half a plan", lambda d: d | {"complete": False}),
    ("a change that is no object", lambda d: d | {"resource_changes": [None]}),
    ("a change without actions", lambda d: d | {"resource_changes": [{"change": {}}]}),
    (
        "another env",
        lambda d: d | {"variables": d["variables"] | {"environment": {"value": "prod"}}},
    ),
    (
        "other values",
        lambda d: d | {"variables": d["variables"] | {"recovery_region": {"value": "eu-west-1"}}},
    ),
]


@pytest.mark.parametrize("broken", [b[1] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_what_is_no_whole_plan_is_refused(planned: tuple[Json, Declared], broken: Any) -> None:
    with pytest.raises(ValidatorError):
        read(planned, broken(copy.deepcopy(planned[0])))


def test_a_plan_without_its_changes_does_not_hold(planned: tuple[Json, Declared]) -> None:
    document = planned[0] | {"resource_changes": []}
    assert outcome(read(planned, document)) is not Outcome.HOLDS


def test_a_resource_that_cannot_be_placed_blinds_every_account(
    planned: tuple[Json, Declared],
) -> None:
    document = copy.deepcopy(planned[0])
    for provider in document["configuration"]["provider_config"].values():
        provider.get("expressions", {}).pop("allowed_account_ids", None)
    estate = read(planned, document)
    assert all(isinstance(account.keys, Unknown) for account in estate.accounts)
    assert outcome(estate) is Outcome.VIOLATED
    assert not isinstance(estate.providers, Unknown)
    assert {each.allowed for each in estate.providers} == {()}


def test_a_provider_is_no_better_known_than_from_the_code(
    planned: tuple[Json, Declared],
) -> None:
    estate = read(planned, planned[0])
    assert not isinstance(estate.providers, Unknown)
    unseen = Unknown("it is computed")
    for name in ("allowed", "region"):
        blind = tuple(replace(each, **{name: unseen}) for each in estate.providers)
        found = plan.beside(estate, replace(estate, view="code", providers=blind))
        assert not isinstance(found.providers, Unknown)
        assert {getattr(each, name) for each in found.providers} == {unseen}
    assert plan.beside(estate, replace(estate, view="code")).providers == estate.providers


def test_a_policy_that_belongs_to_no_known_key_blinds_every_key(
    planned: tuple[Json, Declared],
) -> None:
    document = copy.deepcopy(planned[0])
    (key,) = [
        c
        for c in document["resource_changes"]
        if c["type"] == "aws_kms_key" and "staging_1" in c["address"]
    ]
    stray = copy.deepcopy(key) | {
        "type": "aws_kms_key_policy",
        "address": "aws_kms_key_policy.stray",
        "change": {
            "actions": ["create"],
            "after": {"policy": key["change"]["after"]["policy"], "key_id": "some-key"},
            "after_unknown": {},
        },
    }
    document["resource_changes"].append(stray)
    assert outcome(read(planned, document)) is Outcome.UNKNOWN


def places(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every node of a decoded JSON document."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield (*at, key)
            yield from places(value, (*at, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield (*at, index)
            yield from places(value, (*at, index))


def protection(estate: Estate) -> list[Any]:
    """What the verdict on keys rests on."""
    return [
        [(k.account_id, k.region, k.policy, k.enabled) for k in known(account.keys)]
        + [
            (
                t.account_id,
                t.ebs_encryption,
                [k.policy for k in known(account.keys) if k.name == t.key],
            )
            for t in known(account.templates)
        ]
        for account in estate.staging
    ]


def damaged(document: Json, path: tuple[Any, ...], value: object) -> Json:
    """A copy of the document in which one node is another value, or gone (`...`)."""
    copied = dict(document)
    node: Any = copied
    for step in path[:-1]:
        node[step] = copy.copy(node[step])
        node = node[step]
    if value is ...:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return copied


def test_no_damage_makes_a_plan_look_better(planned: tuple[Json, Declared]) -> None:
    """A damaged plan is refused, or holds only if the key that protects the servers is unharmed."""
    document = {
        name: planned[0][name]
        for name in ("format_version", "variables", "resource_changes", "configuration")
    }
    whole = read(planned, document)
    chance = random.Random(20261124)
    every = list(places(document))
    assert outcome(whole) is Outcome.HOLDS
    same = held = 0
    for path in chance.sample(every, 900):
        value = chance.choice([..., None, [], {}, "", 7, True, "x" * 9])
        try:
            estate = read(planned, damaged(document, path, value))
            if estate == whole:
                same += 1
                continue
            verdict = outcome(estate)
        except ValidatorError:
            continue
        if verdict is Outcome.HOLDS:
            held += 1
            assert protection(estate) == protection(whole), path
    assert same and held  # most nodes say nothing of keys


def test_the_plan_of_this_test_is_terraforms_own(planned: tuple[Json, Declared]) -> None:
    version = subprocess.run(
        ["terraform", "version"], capture_output=True, text=True, check=True
    ).stdout
    assert planned[0]["terraform_version"] in version
    assert Path(planned[1].file).name == "estate.auto.tfvars"


def extra(document: Json, type_: str, actions: list[str]) -> Json:
    """The plan with one more resource change, of a type that stands beside keys and roles."""
    like = next(c for c in document["resource_changes"] if c["type"] == "aws_kms_key")
    one = {
        **like,
        "address": f"{type_}.extra",
        "type": type_,
        "name": "extra",
        "change": {**like["change"], "actions": actions},
    }
    one.pop("module_address", None)
    return document | {"resource_changes": [*document["resource_changes"], one]}


BESIDE = [
    ("a replica key", "aws_kms_replica_key", ["create"]),
    ("a key of imported material", "aws_kms_external_key", ["create"]),
    ("a key's policy that is taken away", "aws_kms_key_policy", ["delete"]),
    ("a role's policies set elsewhere", "aws_iam_role_policies_exclusive", ["create"]),
    ("a role's attachments set elsewhere", "aws_iam_role_policy_attachments_exclusive", ["create"]),
]


@pytest.mark.parametrize(("type_", "actions"), [b[1:] for b in BESIDE], ids=[b[0] for b in BESIDE])
def test_what_is_not_read_hides_what_it_may_change(
    planned: tuple[Json, Declared], type_: str, actions: list[str]
) -> None:
    estate = read(planned, extra(planned[0], type_, actions))
    kind = "keys" if "kms" in type_ else "roles"
    hidden = "policy" if type_ == "aws_kms_key_policy" else "permissions"
    for account in estate.accounts:
        found = getattr(account, kind)
        assert isinstance(found, Unknown) or all(
            isinstance(getattr(each, hidden), Unknown) for each in found
        )
