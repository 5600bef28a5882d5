"""What `size` reports is as its schema says, and shows no control character of an inventory."""

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema
from hypothesis import given, settings

from tests.test_sizing import PLACES, TARGET, inventories, server
from validator import handover
from validator.model import Part
from validator.quotas import VCPUS
from validator.reports import sizing as reports
from validator.reports.sizing import SCHEMA_VERSION, Sized
from validator.sizing import Place, Server, Wish, size

SCHEMA = json.loads(resources.files("validator.reports").joinpath("size.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def sized(servers: list[Server], places: list[Place], wish: Wish) -> Sized:
    made = size(servers, places, wish)
    return Sized("prod", "servers.csv", made, handover.values(made))


def document(*arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reports.to_json(sized(*arguments)))
    return found


def test_the_schema_is_one_and_has_the_version_of_the_report() -> None:
    VALIDATOR.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"]["const"] == SCHEMA_VERSION
    assert SCHEMA["$id"].endswith(f":{SCHEMA_VERSION}")


@settings(deadline=None, max_examples=40)
@given(inventories())
def test_whatever_is_sized_its_report_is_as_the_schema_says(made: Any) -> None:
    data = document(*made)
    VALIDATOR.validate(data)
    ids = [id_ for each in data["accounts"] for id_ in each["instance_ids"]]
    ids += [id_ for each in data["not_fitting"] for id_ in each["instance_ids"]]
    assert sorted(ids) == [each.id for each in made[0]]
    assert data["servers"]["total"] == len(made[0])


def test_no_part_may_be_missing_or_more() -> None:
    data = document([server(1)], [TARGET], Wish())
    for name in data:
        less = {key: value for key, value in data.items() if key != name}
        assert not VALIDATOR.is_valid(less), name
    assert not VALIDATOR.is_valid({**data, "more": 1})


def test_the_text_says_what_does_not_fit_and_what_is_not_known() -> None:
    odd = Server("i-1\x1b[2J", "servers.csv:2", disks=(8,) * 61)
    text = reports.to_text(sized([odd, Server("i-2", "servers.csv:3")], list(PLACES), Wish()))
    assert "\x1b" not in text
    assert "servers.csv:2: i-1\\u001b[2J does not fit: it has 61 disks" in text
    assert "The disks of i-2 are not given." in text
    assert "≥37" in text
    assert text.endswith("Verdict: violated (not everything fits)\n")


def test_a_name_is_no_markup() -> None:
    place = Place("[red]", Part.STAGING, "1" * 12)
    assert "[red]" in reports.to_text(sized([server(1)], [TARGET, place], Wish()))


def test_no_number_is_cut_where_accounts_have_ids_and_disks_are_large() -> None:
    own = Place("target", Part.TARGET, "1" * 12)
    staging = Place("staging-13", Part.STAGING, "2" * 12)
    servers = [server(n, (2000,) * 9) for n in range(500)]
    text = reports.to_text(sized(servers, [own, staging], Wish()))
    assert "5400000" in text.splitlines()[5] and "99900" in text.splitlines()[5]
    assert "…" not in text


def test_the_text_of_thousands_is_short() -> None:
    servers = [server(n, (8,) * 61) for n in range(4000)]
    text = reports.to_text(sized(servers, [TARGET], Wish()))
    assert "... and 3980 more, all in report.json" in text
    assert len(text.splitlines()) < 60


def test_an_outcome_and_the_statement_are_two_words() -> None:
    text = reports.to_text(sized([server(1, disks=(8,) * 61)], list(PLACES), Wish()))
    assert "\nviolated server-fits-an-account: " in text


def test_the_vcpus_of_the_recovered_servers_are_told_and_never_less_than_they_are() -> None:
    four, six = replace(server(1), vcpus=4), replace(server(2), vcpus=6)
    blind, misfit = server(3), replace(server(4, disks=(8,) * 61), vcpus=100)
    whole = sized([four, six, misfit], list(PLACES), Wish())
    assert reports.document(whole)["recovery_vcpus"] == {
        "lower": 10,
        "upper": 10,
        "quota": VCPUS.value,
    }
    assert "The recovered servers take 10 vCPUs in the target." in reports.to_text(whole)
    part = sized([four, blind], list(PLACES), Wish())
    assert reports.document(part)["recovery_vcpus"]["upper"] is None
    assert "take ≥4 vCPUs" in reports.to_text(part)
    assert "take unknown vCPUs" in reports.to_text(sized([blind], list(PLACES), Wish()))
