"""The page of `size`: every server under its account, nothing that is not known shown as 0, no name as markup."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings

from tests.reports.html.parsed import Node, parse
from tests.reports.html.test_html import NAMES, check_shut, part, titles
from tests.reports.test_sizing import sized
from tests.test_sizing import PLACES, TARGET, counted, inventories, server
from validator.model import Part
from validator.reports.document import visible
from validator.reports.html.sizing import to_html
from validator.sizing import Place, Server, Wish


def page(servers: list[Server], places: list[Place], wish: Wish) -> Node:
    return parse(to_html(sized(servers, places, wish)))


def test_every_server_stands_under_its_account() -> None:
    top = page([server(n, dr_wave=f"wave-{n % 2 + 1}") for n in range(310)], [TARGET], Wish())
    servers = part(top, "servers")
    groups = servers.all("details", class_="group")
    assert [each.attributes["data-invariant"] for each in groups] == ["target", "staging-1"]
    assert [each.one("span", class_="count").text for each in groups] == ["300", "10"]
    ids = [each.text for each in servers.all("b")]
    assert sorted(ids) == [server(n).id for n in range(310)]
    assert servers.one("form").attributes["data-noun"] == "servers"
    waves = [each.text for each in servers.all("select")[1].all("option")]
    assert waves == ["all", "wave-1", "wave-2"]
    assert len(servers.all("li", data_of="1")) == 155


def test_the_head_says_the_verdict_and_the_accounts_to_order() -> None:
    top = page(counted(3950), [TARGET], Wish())
    assert "holds" in top.one("h1").text
    assert "13 staging accounts needed, 13 to order" in top.text
    assert "Where each server goes" not in titles(top)


def test_what_does_not_fit_is_listed_with_its_reason() -> None:
    top = page([server(1, (8,) * 61), server(2)], [TARGET], Wish())
    assert "violated" in top.one("h1").text
    (row,) = part(top, "misfits").one("tbody").all("tr")
    assert "too-many-disks" in row.text and str(server(1).id) in row.text


def test_what_is_not_known_is_no_0() -> None:
    top = page([Server("i-1", "", tags=(("dr:wave", "wave-1"),))], [TARGET], Wish())
    assert "unknown" in top.one("h1").text
    (row,) = part(top, "needs").one("tbody").all("tr")
    cells = [each.text for each in row.all("td")]
    assert cells[:3] == ["at least 1", "unknown", "at least 37 of 100,000"]
    assert row.one("rect").attributes["class"] == "track blind"


def test_quotas_and_ranges_are_those_of_the_env() -> None:
    places = [replace(TARGET, addresses=256), *PLACES[1:]]
    top = page([server(1)], places, Wish(headroom=30))
    assert "8 of 256" in part(top, "needs").text
    assert "keeps 30 of its quota free" in part(top, "capacity").text


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_is_shown_and_never_is_markup(name: str) -> None:
    hostile = Server(
        name, name, name, name, name, (8,), 4, (("dr:wave", name), ("dr:priority", name))
    )
    report = sized(
        [hostile, server(2, dr_wave="wave-1")], [TARGET, Place(name, Part.STAGING, name)], Wish()
    )
    report = replace(report, env=name, source=name, notes=(name,), values={name: name}, source_region=name, recovery_region=name)  # fmt: skip
    top = parse(to_html(report))
    check_shut(top)
    assert visible(name) in [each.text for each in part(top, "servers").all("b")]
    assert visible(name).strip() in part(top, "notes").text


@settings(deadline=None, max_examples=30)
@given(inventories())
def test_whatever_is_sized_the_page_is_well_formed_and_shut(
    made: tuple[list[Server], list[Place], Wish],
) -> None:
    top = page(*made)
    check_shut(top)
    ids = (
        re.findall(r"i-[0-9a-f]{17}", part(top, "servers").text)
        if "Where each server goes" in titles(top)
        else []
    )
    assert len(set(ids)) == len(ids)
