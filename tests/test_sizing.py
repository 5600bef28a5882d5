"""Every server has one account or a reason, no account is past its cap, and what is placed stays."""

import math
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from agent_deployer import fleet
from hypothesis import given, settings
from hypothesis import strategies as st

from validator import sizing
from validator.findings import Outcome
from validator.model import Part, Unknown
from validator.quotas import DISKS_PER_SERVER, GIB_PER_DISK, REPLICATING_SERVERS, SNAPSHOTS
from validator.sizing import Place, Range, Server, Sizing, Wish, size

TARGET = Place("target", Part.TARGET)
BLIND = Unknown("not given")


def counted(number: int, volumes: int = 3) -> list[Server]:
    return [Server(None, "", disks=(8,) * volumes)] * number


def server(
    number: int,
    disks: tuple[int | Unknown, ...] = (8,),
    placed: str | None = None,
    dr_wave: str | None = "wave-1",
    **tags: str,
) -> Server:
    if dr_wave is not None:
        tags["dr_wave"] = dr_wave
    return Server(
        f"i-{number:017x}",
        f"servers.csv:{number + 2}",
        disks=disks,
        placed=placed,
        tags=tuple((name.replace("_", ":"), value) for name, value in tags.items()),
    )


def shares(sized: Sizing) -> list[int]:
    return [len(each.servers) for each in sized.accounts]


def outcomes(sized: Sizing, name: str) -> dict[str, Outcome]:
    return {each.subject: each.outcome for each in sized.findings if each.invariant == name}


@pytest.mark.parametrize(
    ("number", "wish", "expected"),
    [
        pytest.param(1, Wish(), [1], id="one server needs no staging account"),
        pytest.param(300, Wish(), [300], id="the target alone, to its last place"),
        pytest.param(301, Wish(), [300, 1], id="one more needs an account"),
        pytest.param(300, Wish(headroom=30), [270, 30], id="headroom is kept free"),
        pytest.param(3950, Wish(), [300] * 13 + [50], id="3,950 servers take 14 accounts"),
        pytest.param(4000, Wish(), [300] * 13 + [100], id="4,000 take the target and 13"),
        pytest.param(
            4000,
            Wish(target_servers=0),
            [0] + [300] * 13 + [100],
            id="4,000 of none in the target take 14",
        ),
    ],
)
def test_a_count(number: int, wish: Wish, expected: list[int]) -> None:
    sized = size(counted(number), [TARGET], wish)
    assert shares(sized) == expected
    assert sized.to_order == len(expected) - 1
    assert sized.outcome is Outcome.HOLDS


def test_what_is_past_the_targets_total_is_told() -> None:
    sized = size(counted(4001), [TARGET], Wish())
    assert (len(sized.misfits), sized.target_total) == (1, 4000)
    assert {each.reason for each in sized.misfits} == {"target-total"}
    assert sized.outcome is Outcome.VIOLATED


def test_what_is_not_known_is_no_zero() -> None:
    sized = size([Server(f"i-{1:017x}", "servers.csv:2")], [TARGET], Wish())
    filled = sized.accounts[0]
    assert filled.volumes == Range(1, None)
    assert filled.snapshots == Range(37, None)
    assert filled.storage == Range(0, None)
    assert sized.outcome is Outcome.UNKNOWN
    assert f"i-{1:017x}" in sized.findings[3].messages[0].text


@pytest.mark.parametrize(
    ("disks", "outcome"),
    [
        pytest.param((8, 8), Outcome.HOLDS, id="known"),
        pytest.param(BLIND, Outcome.UNKNOWN, id="no disk is known"),
        pytest.param((8, BLIND), Outcome.UNKNOWN, id="one size is not known"),
        pytest.param((BLIND, 16 * 1024 + 1), Outcome.VIOLATED, id="one of them is too large"),
        pytest.param((BLIND,) * 61, Outcome.VIOLATED, id="too many, of whatever size"),
    ],
)
def test_disks_that_are_not_known_may_be_too_large(
    disks: tuple[int | Unknown, ...] | Unknown, outcome: Outcome
) -> None:
    one = replace(server(1), disks=disks)
    sized = size([one, server(2)], [TARGET], Wish())
    assert set(outcomes(sized, "server-fits-an-account").values()) == {outcome}
    if outcome is not Outcome.HOLDS:
        finding = next(f for f in sized.findings if f.invariant == "server-fits-an-account")
        assert (one.shown in finding.messages[0].text, finding.messages[0].where) == (
            True,
            one.where,
        )


def test_few_of_those_that_are_not_known_are_named() -> None:
    sized = size([server(n, (BLIND,)) for n in range(3950)], [TARGET], Wish())
    text = sized.findings[0].messages[0].text
    assert (sized.findings[0].outcome, "and 3945 more" in text) == (Outcome.UNKNOWN, True)
    assert len(text) < 400


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param({}, {"every server": Outcome.HOLDS}, id="both given"),
        pytest.param({"account": None}, {"account-not-given": Outcome.UNKNOWN}, id="no account"),
        pytest.param({"region": None}, {"region-not-given": Outcome.UNKNOWN}, id="no Region"),
        pytest.param(
            {"account": None, "placed": "target"},
            {"every server": Outcome.HOLDS},
            id="no account, and nothing to deploy",
        ),
    ],
)
def test_a_server_of_an_env_says_where_it_runs(
    one: dict[str, Any], expected: dict[str, Outcome]
) -> None:
    where: dict[str, Any] = {"account": "1" * 12, "region": "us-east-1"}
    servers = [replace(server(1), **where), replace(server(2), **{**where, **one})]
    sized = size(servers, [TARGET], Wish(source_region="us-east-1"))
    assert outcomes(sized, "server-says-where-it-runs") == expected
    found = [each for each in sized.findings if each.invariant == "server-says-where-it-runs"]
    assert all(servers[1].shown in each.messages[0].text for each in found if each.messages)
    assert outcomes(size(servers, [TARGET], Wish()), "server-says-where-it-runs") == {}


@pytest.mark.parametrize("quota", [REPLICATING_SERVERS, SNAPSHOTS], ids=lambda each: each.code)
def test_an_account_whose_quota_is_not_known_is_given_nothing(quota: sizing.Quota) -> None:
    place = Place("target", Part.TARGET, quotas=((quota.code, BLIND),))
    sized = size(counted(10), [place], Wish())
    assert shares(sized) == [0, 10]
    assert sized.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("one", "wish", "reason"),
    [
        pytest.param(server(1, (8,) * 61), Wish(), "too-many-disks", id="61 disks"),
        pytest.param(server(1, (8,) * 60), Wish(), None, id="60 disks"),
        pytest.param(server(1, (16 * 1024 + 1,)), Wish(), "disk-too-large", id="more than 16 TiB"),
        pytest.param(server(1, (16 * 1024,)), Wish(), None, id="16 TiB"),
        pytest.param(
            server(1, placed="nobody"), Wish(), "replicates-elsewhere", id="a strange account"
        ),
        pytest.param(
            server(1, (8,) * 60),
            Wish(days=1637),
            "too-many-snapshots",
            id="snapshots of one server",
        ),
        pytest.param(
            replace(server(1), region="eu-west-1"),
            Wish(source_region="us-east-1"),
            "other-region",
            id="another Region",
        ),
    ],
)
def test_a_server_that_fits_nowhere(one: Server, wish: Wish, reason: str | None) -> None:
    sized = size([one], [TARGET], wish)
    assert [each.reason for each in sized.misfits] == ([] if reason is None else [reason])
    assert sized.outcome is (Outcome.HOLDS if reason is None else Outcome.VIOLATED)
    if reason:
        assert one.shown in next(f for f in sized.findings if f.subject == reason).messages[0].text


def test_snapshots_open_an_account_before_servers_do() -> None:
    volumes = 10
    most = SNAPSHOTS.value // (37 * volumes)
    sized = size([server(n, (8,) * volumes) for n in range(most + 1)], [TARGET], Wish())
    assert shares(sized) == [most, 1]
    assert sized.outcome is Outcome.HOLDS


def test_what_is_placed_stays_even_past_the_headroom() -> None:
    staging = Place("staging-1", Part.STAGING, "2" * 12)
    servers = [server(n, placed="2" * 12) for n in range(280)] + [server(999)]
    sized = size(servers, [TARGET, staging], Wish(headroom=30))
    assert shares(sized) == [1, 280]
    assert outcomes(sized, "declared-headroom-is-kept")["staging-1"] is Outcome.VIOLATED


def test_a_server_goes_into_its_own_account_if_that_has_room() -> None:
    staging = Place("staging-1", Part.STAGING, "2" * 12)
    own = Server("i-1", "", account="2" * 12, disks=(8,))
    sized = size([own, server(2)], [TARGET, staging], Wish())
    assert [[each.id for each in filled.servers] for filled in sized.accounts] == [
        [server(2).id],
        ["i-1"],
    ]


def test_groups_stay_together() -> None:
    groups = [server(n, dr_cluster=f"c{n % 3}") for n in range(600)]
    sized = size(groups, [TARGET], Wish(together="dr:cluster"))
    for filled in sized.accounts:
        values = Counter(each.tag("dr:cluster") for each in filled.servers)
        assert set(values.values()) <= {200}
    assert shares(sized) == [200, 200, 200]
    assert outcomes(sized, "groups-stay-together") == {"dr:cluster": Outcome.HOLDS}


def test_a_group_larger_than_an_account_is_told_whole() -> None:
    sized = size(
        [server(n, dr_cluster="c") for n in range(301)], [TARGET], Wish(together="dr:cluster")
    )
    assert {each.reason for each in sized.misfits} == {"group-too-large"}
    assert len(sized.misfits) == 301


def test_a_group_follows_those_of_it_that_are_placed() -> None:
    staging = Place("staging-1", Part.STAGING, "2" * 12)
    servers = [server(1, placed="staging-1", dr_cluster="c"), server(2, dr_cluster="c")]
    sized = size(servers, [TARGET, staging], Wish(together="dr:cluster"))
    assert shares(sized) == [0, 2]


def test_a_group_that_is_torn_already_is_told() -> None:
    staging = Place("staging-1", Part.STAGING, "2" * 12)
    servers = [
        server(1, placed="staging-1", dr_cluster="c"),
        server(2, placed="target", dr_cluster="c"),
    ]
    sized = size(servers, [TARGET, staging], Wish(together="dr:cluster"))
    assert outcomes(sized, "groups-stay-together") == {"dr:cluster=c": Outcome.VIOLATED}


@pytest.mark.parametrize(
    "number", [2, 500, 601], ids=["a pair", "a wave", "more than two accounts"]
)
def test_groups_are_spread(number: int) -> None:
    sized = size(
        [server(n, dr_wave="wave-1") for n in range(number)], [TARGET], Wish(apart="dr:wave")
    )
    assert max(shares(sized)) - min(shares(sized)) <= 1
    assert len(shares(sized)) == max(2, math.ceil(number / 300))
    assert set(outcomes(sized, "groups-are-spread").values()) == {Outcome.HOLDS}


def test_a_group_that_is_placed_in_one_account_is_not_spread() -> None:
    staging = Place("staging-1", Part.STAGING, "2" * 12)
    servers = [server(n, placed="target", dr_node="c") for n in range(2)]
    sized = size(servers, [TARGET, staging], Wish(apart="dr:node"))
    assert outcomes(sized, "groups-are-spread") == {"dr:node=c": Outcome.VIOLATED}


@pytest.mark.parametrize(
    ("sizes", "rounds", "outcome"),
    [
        pytest.param([500], [1], Outcome.HOLDS, id="as many as go at once"),
        pytest.param([501, 10], [2, 1], Outcome.VIOLATED, id="one more breaks the wave"),
    ],
)
def test_waves(sizes: list[int], rounds: list[int], outcome: Outcome) -> None:
    servers = [
        server(1000 * n + m, dr_wave=f"wave-{n}")
        for n, number in enumerate(sizes, 1)
        for m in range(number)
    ]
    sized = size(servers, [TARGET], Wish())
    assert [each.needs.rounds for each in sized.waves if each.needs] == rounds
    assert outcomes(sized, "wave-fits-the-job-quotas")["wave-1"] is outcome


def test_waves_go_by_their_numbers() -> None:
    sized = size([server(n, dr_wave=f"wave-{n}") for n in (10, 9, 1)], [TARGET], Wish())
    assert [each.name for each in sized.waves] == ["wave-1", "wave-9", "wave-10"]


@pytest.mark.parametrize(
    ("tags", "outcome"),
    [
        pytest.param({"dr_wave": None}, Outcome.UNKNOWN, id="one in no wave"),
        pytest.param({"dr_wave": "first"}, Outcome.VIOLATED, id="one in a wave that is none"),
        pytest.param({"dr_wave": "wave-2"}, Outcome.HOLDS, id="all in waves"),
    ],
)
def test_every_server_is_in_a_wave(tags: dict[str, Any], outcome: Outcome) -> None:
    sized = size([server(1, dr_wave="wave-1"), server(2, **tags)], [TARGET], Wish())
    assert outcomes(sized, "waves-recover-every-server") == {"the estate": outcome}


@pytest.mark.parametrize("waves", [(), (("wave-1", 2),), (("wave-1", 1),)], ids=str)
def test_no_wave_is_proposed_for_servers_that_nothing_tags(
    waves: tuple[tuple[str, int], ...],
) -> None:
    servers = [server(n, dr_wave=None) for n in range(2)]
    sized = size(servers, [TARGET], Wish(waves=waves))
    assert outcomes(sized, "waves-recover-every-server") == {"the estate": Outcome.UNKNOWN}
    assert servers[0].shown in sized.findings[-1].messages[0].text
    assert (sized.waves, sized.waves_proposed, sized.notes) == ((), False, ())


@pytest.mark.parametrize(
    ("declared", "servers", "sizes", "proposed", "outcome"),
    [
        pytest.param([], 501, [251, 250], True, Outcome.HOLDS, id="none are declared"),
        pytest.param([200, 100], 300, [200, 100], False, Outcome.HOLDS, id="all are declared"),
        pytest.param([200, 100], 350, [200, 100, 50], True, Outcome.HOLDS, id="some are declared"),
        pytest.param([200, 100], 299, [200, 100], False, Outcome.VIOLATED, id="too many"),
        pytest.param([200, 0], 200, [200], False, Outcome.VIOLATED, id="a wave of none"),
        pytest.param([205, -5], 200, [205], False, Outcome.VIOLATED, id="a wave of less"),
    ],
)
def test_declared_waves_of_a_count_stay(
    declared: list[int], servers: int, sizes: list[int], proposed: bool, outcome: Outcome
) -> None:
    waves = tuple((f"wave-{n}", each) for n, each in enumerate(declared, 1))
    sized = size(counted(servers), [TARGET], Wish(waves=waves))
    assert [each.servers for each in sized.waves] == sizes
    assert (sized.waves_proposed, len(sized.notes)) == (proposed, int(proposed))
    assert outcomes(sized, "waves-recover-every-server") == {"the estate": outcome}


def test_groups_of_one_server_each_are_placed_as_fast_as_single_ones() -> None:
    """No server is asked for its group again for each group: 3,900 would be asked 3,900 times."""
    asked = 0

    class Counted(Server):
        def tag(self, key: str) -> str | None:
            nonlocal asked
            asked += 1
            return super().tag(key)

    servers = [
        Counted(f"i-{n:017x}", "", disks=(8,), tags=(("cluster", str(n)),)) for n in range(600)
    ]
    sized = size(servers, [TARGET], Wish(together="cluster"))
    assert shares(sized) == [300, 300]
    assert asked < 20 * len(servers)


def test_accounts_that_were_named_and_do_not_suffice() -> None:
    staging = Place("staging-1", Part.STAGING, "2" * 12)
    sized = size(counted(601), [TARGET, staging], Wish(accounts_named=True))
    assert outcomes(sized, "staging-accounts-suffice") == {"the estate": Outcome.VIOLATED}
    assert sized.to_order == 1


def test_a_staging_subnet_that_is_too_small() -> None:
    target = Place("target", Part.TARGET, addresses=16)
    sized = size([server(n, (8,) * 15) for n in range(10)], [target], Wish())
    assert outcomes(sized, "staging-subnet-has-addresses") == {"target": Outcome.VIOLATED}


def test_the_limits_are_those_of_the_agent_deployer() -> None:
    assert (DISKS_PER_SERVER.value, GIB_PER_DISK.value) == (fleet.MOST_DISKS, fleet.LARGEST_DISK)


PLACES = (
    TARGET,
    Place("staging-1", Part.STAGING, "1" * 12),
    Place("staging-2", Part.STAGING, "2" * 12),
)
_SERVERS = st.lists(
    st.builds(
        lambda disks, placed, wave, node, account: Server(
            None,
            "",
            account=account,
            disks=BLIND if disks is None else (8,) * disks,
            placed=placed,
            tags=tuple((k, v) for k, v in (("dr:wave", wave), ("node", node)) if v),
        ),
        st.sampled_from([None, 1, 3, 60, 61]),
        st.sampled_from([None, None, None, "target", "1" * 12, "staging-2", "3" * 12]),
        st.sampled_from([None, "wave-1", "wave-2", "first"]),
        st.sampled_from([None, "a", "b", "c"]),
        st.sampled_from([None, "1" * 12, "9" * 12]),
    ),
    max_size=60,
)


@st.composite
def inventories(draw: st.DrawFn) -> tuple[list[Server], list[Place], Wish]:
    """Small accounts, so that a few servers fill them."""
    import dataclasses

    found = [dataclasses.replace(each, id=f"i-{n:017x}") for n, each in enumerate(draw(_SERVERS))]
    wish = Wish(
        headroom=draw(st.sampled_from([0, 292, 297, 300])),
        days=draw(st.sampled_from([0, 7, 1000])),
        target_servers=draw(st.sampled_from([None, 0, 2])),
        together=draw(st.sampled_from([None, "node"])),
        apart=draw(st.sampled_from([None, "dr:wave"])),
    )
    return found, list(PLACES), wish


@settings(deadline=None, max_examples=60)
@given(inventories(), st.randoms(use_true_random=False))
def test_whatever_is_sized(
    made: tuple[list[Server], list[Place], Wish], luck: random.Random
) -> None:
    servers, places, wish = made
    sized = size(servers, places, wish)
    placed = {each.id: filled for filled in sized.accounts for each in filled.servers}
    misfits = {each.server.id for each in sized.misfits}
    assert placed.keys() | misfits == {each.id for each in servers}
    assert not placed.keys() & misfits
    assert len(placed) + len(misfits) == len(servers)
    for filled in sized.accounts:
        assert len(filled.servers) <= max(filled.cap, filled.kept)
        new = [each for each in filled.servers if each.placed is None]
        volumes = sum(each.volumes for each in filled.servers)
        assert not new or volumes * (30 + wish.days) <= SNAPSHOTS.value
        for each in filled.servers:
            assert each.placed in {None, filled.place.name, filled.place.id}
    shuffled = list(servers)
    luck.shuffle(shuffled)
    assert size(shuffled, places, wish) == sized
    if not servers:
        assert sized.outcome is Outcome.UNKNOWN
    if sized.misfits:
        assert sized.outcome is Outcome.VIOLATED


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 4000), st.integers(0, 290), st.integers(0, 5), st.sampled_from([None, 0, 100])
)
def test_without_constraints_the_accounts_are_as_few_as_can_be(
    number: int, headroom: int, at_hand: int, in_target: int | None
) -> None:
    places = [TARGET, *(Place(f"staging-{n + 1}", Part.STAGING) for n in range(at_hand))]
    sized = size(counted(number, 1), places, Wish(headroom=headroom, target_servers=in_target))
    cap = 300 - headroom
    own = cap if in_target is None else min(cap, in_target)
    assert sized.to_order == max(0, math.ceil((number - own - at_hand * cap) / cap))
