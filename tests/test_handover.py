"""What a sizing hands over is what the env and the agent deployer take."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.test_sizing import TARGET, server
from validator import handover
from validator.model import Part
from validator.sizing import Place, Server, Wish, size

SCHEMA = json.loads(
    Path("terraform/modules/agent-deployer/function/agent_deployer/payload.schema.json").read_text()
)
OWN = Place("target", Part.TARGET, "1" * 12)
STAGING = Place("staging-1", Part.STAGING, "2" * 12)


def made(number: int, account: str | None, **more: Any) -> Server:
    return Server(f"i-{number:017x}", "", account=account, disks=(8,), **more)


def test_values_are_those_of_the_env() -> None:
    servers = [server(1, (8, 8, 8), dr_wave="wave-1"), server(2, (8, 8), dr_wave="wave-2")]
    sized = size(servers, [TARGET, STAGING], Wish(headroom=299, days=9))
    assert handover.values(sized) == {
        "headroom": 299,
        "point_in_time_days": 9,
        "volumes_per_server": 3,
        "target": {"servers": 1},
        "staging_accounts": {"staging-1": {"servers": 1}},
        "recovery_waves": {"wave-1": 1, "wave-2": 1},
    }


def test_volumes_are_not_made_up() -> None:
    sized = size([Server("i-1", "")], [TARGET], Wish())
    assert "volumes_per_server" not in handover.values(sized)


def test_instances_are_listed_where_they_run_and_are_tagged() -> None:
    tags = (("dr:priority", "2"), ("dr:wave", "wave-1"))
    servers = [
        made(1, "2" * 12, tags=tags),
        made(2, "2" * 12),
        made(3, "2" * 12, tags=(("dr:priority", "10"), ("dr:wave", "wave-1"))),
        made(4, "9" * 12, tags=tags),
    ]
    sized = size(servers, [OWN, STAGING], Wish())
    values = handover.values(sized, {})
    assert values["target"]["instances"] == {}
    listed = values["staging_accounts"]["staging-1"]["instances"]
    assert listed == {servers[0].id: {"priority": "2", "wave": "wave-1"}}
    notes = handover.left_out(sized, {})
    assert [(each.id in note) for note in notes for each in servers if each.id] == [
        *(False, True, True, False),
        *(False, False, False, True),
    ]
    assert "dr:priority from 1 to 9" in notes[0]
    assert "in another account" in notes[1]


@pytest.mark.parametrize(
    ("account", "tags", "now", "note"),
    [
        pytest.param("2" * 12, {}, ("2", "wave-2"), "the env's are kept", id="no tags"),
        pytest.param(None, {}, ("2", "wave-2"), "the env's are kept", id="no account"),
        pytest.param(
            "2" * 12,
            {"dr:wave": "wave-1", "dr:priority": "10"},
            ("2", "wave-2"),
            "the env's are kept",
            id="a priority that is none",
        ),
        pytest.param(
            None, {"dr:wave": "wave-1", "dr:priority": "1"}, ("1", "wave-1"), None, id="other tags"
        ),
    ],
)
def test_an_instance_that_is_listed_stays_listed(
    account: str | None, tags: dict[str, str], now: tuple[str, str], note: str | None
) -> None:
    one = made(1, account, placed="staging-1", tags=tuple(tags.items()))
    gone, env = f"i-{9:017x}", {"priority": "2", "wave": "wave-2"}
    before = {"staging-1": {str(one.id): env, gone: env}}
    sized = size([one], [OWN, STAGING], Wish())
    listed = handover.values(sized, before)["staging_accounts"]["staging-1"]["instances"]
    assert listed == {one.id: {"priority": now[0], "wave": now[1]}, gone: env}
    notes = handover.left_out(sized, before)
    assert len(notes) == (0 if note is None else 1)
    assert all(str(note) in each and str(one.id) in each for each in notes)


def test_an_account_that_is_not_known_is_not_one_that_is_to_be_ordered() -> None:
    tags = (("dr:priority", "2"), ("dr:wave", "wave-1"))
    sized = size([made(1, None, tags=tags)], [Place("target", Part.TARGET)], Wish())
    assert handover.values(sized, {})["target"]["instances"] == {}
    assert "does not say which account" in handover.left_out(sized, {})[0]


def test_payloads_are_as_the_deployer_takes_them() -> None:
    servers = [made(1, "1" * 12), made(2, "2" * 12), made(3, "2" * 12, placed="2" * 12)]
    sized = size(servers, [OWN, STAGING], Wish())
    found, notes = handover.payloads(sized, "us-east-1", "us-west-2")
    for payload in found.values():
        jsonschema.validate(payload, SCHEMA)
    assert {name: each["selectors"]["instance_ids"] for name, each in found.items()} == {
        "target": [servers[0].id],
        "staging-1": [servers[1].id],
    }
    assert found["target"]["deployments"][0]["deployment_pattern"] == "same-account"
    assert found["staging-1"]["deployments"][0]["target_account_id"] == "1" * 12
    assert notes == ()


@pytest.mark.parametrize(
    ("account", "wish", "why"),
    [
        pytest.param(None, Wish(), "does not say which account", id="no account"),
        pytest.param("9" * 12, Wish(), "no account of the env", id="a strange account"),
        pytest.param("2" * 12, Wish(headroom=300), "", id="nowhere at all"),
    ],
)
def test_who_is_in_no_payload_is_told(account: str | None, wish: Wish, why: str) -> None:
    sized = size([made(1, account)], [OWN, STAGING], wish)
    found, notes = handover.payloads(sized, "us-east-1", "us-west-2")
    assert found == {}
    assert len(notes) == (1 if why else 0)
    assert all(why in each for each in notes)


def test_what_runs_in_a_staging_account_is_not_deployed_into_the_target() -> None:
    servers = [made(1, "2" * 12)]
    full = size(
        servers, [OWN, Place("staging-1", Part.STAGING, "2" * 12, (("L-C1D14A2B", 0),))], Wish()
    )
    found, notes = handover.payloads(full, "us-east-1", "us-west-2")
    assert found == {}
    assert notes == (
        f"1 servers are in no payload of deploy: they run in {'2' * 12}, and go into the target.",
    )
