"""Several runs as one document: each format stays what its reader expects."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from tests.reports import runs
from tests.reports.test_sarif import VALIDATOR
from validator.reports import REPORTS, combined

ONE = runs.run()
TWO = replace(ONE, env="prod")


def both(name: str) -> str:
    return combined(name, [REPORTS[name](ONE), REPORTS[name](TWO)])


@pytest.mark.parametrize("name", REPORTS)
def test_one_run_is_its_own_report(name: str) -> None:
    assert combined(name, [REPORTS[name](ONE)]) == REPORTS[name](ONE)


@pytest.mark.parametrize("name", REPORTS)
def test_no_run_is_lost(name: str) -> None:
    whole = both(name)
    assert "prod" in whole and "staging" in whole


def test_sarif_is_one_valid_log() -> None:
    log = json.loads(both("sarif"))
    VALIDATOR.validate(log)
    assert [run["properties"]["env"] for run in log["runs"]] == ["staging", "prod"]


def test_junit_adds_up() -> None:
    root = ET.fromstring(both("junit").partition("?>")[2])
    single = ET.fromstring(REPORTS["junit"](ONE).partition("?>")[2])
    for count in ("tests", "failures", "errors", "skipped"):
        assert int(root.get(count, "")) == 2 * int(single.get(count, ""))
    assert len(root.findall(".//testcase")) == int(root.get("tests", ""))


def test_json_is_a_list_of_reports() -> None:
    assert [run["env"] for run in json.loads(both("json"))] == ["staging", "prod"]
