"""The JSON report: every run is as the published schema says, and the schema is no empty promise."""

import copy
import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from tests.reports import golden, runs
from validator.reports import REPORTS, Run, file_name
from validator.reports.document import SCHEMA_VERSION

NAME = "report.schema.json"
SCHEMA = json.loads(resources.files("validator.reports").joinpath(NAME).read_text())
VALIDATOR = jsonschema.Draft202012Validator(
    SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)
GOLDEN: dict[str, Any] = json.loads((golden.FOLDER / file_name("json")).read_text())


def test_the_schema_is_one_and_has_the_version_of_the_report() -> None:
    VALIDATOR.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"]["const"] == SCHEMA_VERSION
    assert SCHEMA["$id"].endswith(f":{SCHEMA_VERSION}")


def test_the_schema_is_in_the_wheel() -> None:
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert NAME in settings["tool"]["setuptools"]["package-data"]["validator.reports"]


def test_the_example_is_as_the_schema_says() -> None:
    VALIDATOR.validate(GOLDEN)


@settings(deadline=None)
@given(run=runs.anything())
def test_whatever_a_run_holds_its_json_is_as_the_schema_says(run: Run) -> None:
    data = json.loads(REPORTS["json"](run))
    VALIDATOR.validate(data)
    assert sum(data["counts"].values()) == len(data["findings"])


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to each object of a document."""
    if isinstance(value, list):
        return [each for n, item in enumerate(value) for each in _paths(item, (*path, n))]
    if not isinstance(value, dict):
        return []
    return [path, *(each for key in value for each in _paths(value[key], (*path, key)))]


def test_no_part_of_a_report_may_be_missing_or_more_than_the_schema_says() -> None:
    for path in _paths(GOLDEN):
        if path[:1] == ("changes",):
            continue  # its keys are account names
        for key in [*_at(GOLDEN, path), None]:
            changed = copy.deepcopy(GOLDEN)
            if key is None:
                _at(changed, path)["more"] = 1
            else:
                del _at(changed, path)[key]
            assert not VALIDATOR.is_valid(changed), (path, key)


@pytest.mark.parametrize("outcome", ["fine", None, "HOLDS"])
def test_an_outcome_is_one_of_three(outcome: object) -> None:
    changed = copy.deepcopy(GOLDEN)
    changed["findings"][0]["outcome"] = outcome
    assert not VALIDATOR.is_valid(changed)


def test_what_is_waived_says_so_with_its_days() -> None:
    waived = [each["waived"] for each in GOLDEN["findings"] if each["waived"]]
    assert [(each["expires"], each["days_left"]) for each in waived] == [
        ("2026-12-03", 9),
        (None, None),
    ]


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        value = value[part]
    return value
