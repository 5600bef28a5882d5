"""The JUnit report: well-formed whatever it holds, and only what holds passes."""

import xml.etree.ElementTree as ET

from hypothesis import given, settings

from tests.reports import runs
from validator.findings import Finding
from validator.reports import REPORTS, Run


def ended(finding: Finding) -> str:
    if finding.waived is not None:
        return "skipped"
    return {"holds": "passed", "violated": "failure", "unknown": "error"}[finding.outcome]


@settings(deadline=None)
@given(run=runs.anything())
def test_a_case_for_each_finding_that_ended_as_it_counts(run: Run) -> None:
    root = ET.fromstring(REPORTS["junit"](run))
    cases = root.findall("./testsuite/testcase")
    ends = [
        child.tag if (child := next(iter(case), None)) is not None else "passed" for case in cases
    ]
    wanted = [ended(finding) for finding in run.verdict.findings] or ["error"]
    assert sorted(ends) == sorted(wanted)
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert sum(int(suite.get(name, "")) for suite in root) == wanted.count(tag)
    assert sum(int(suite.get("tests", "")) for suite in root) == len(wanted)


def test_a_failure_says_what_where_and_what_to_do() -> None:
    root = ET.fromstring(REPORTS["junit"](runs.run()))
    (failure,) = root.findall("./testsuite[@name='capacity']/testcase/failure")
    assert failure.get("message", "").startswith("staging-1 is declared to replicate 305")
    for part in ("terraform/envs/staging/estate.auto.tfvars:24", "why: ", "remedy: Move"):
        assert part in (failure.text or "")


def test_a_skipped_case_says_who_waived_it() -> None:
    root = ET.fromstring(REPORTS["junit"](runs.run()))
    (skipped,) = root.findall("./testsuite[@name='keys']/testcase/skipped")
    for part in ("The auditor leaves", "storage team", "DR-12", "2026-12-03"):
        assert part in skipped.get("message", "")
