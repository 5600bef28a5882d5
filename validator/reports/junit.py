"""The report as JUnit XML: a test suite for each family, a test case for each finding."""

import xml.etree.ElementTree as ET
from typing import Any

from validator.findings import Outcome
from validator.reports.document import Run, document, one_line, visible, waived_in_words

Json = dict[str, Any]

_KINDS = {Outcome.HOLDS: None, Outcome.VIOLATED: "failure", Outcome.UNKNOWN: "error"}
_NOTHING = {"outcome": Outcome.UNKNOWN, "waived": None}


def to_junit(run: Run) -> str:
    """The run as JUnit XML: violated fails, unknown is an error, waived is skipped."""
    data = document(run)
    families: dict[str, list[Json]] = {}
    for finding in data["findings"]:
        families.setdefault(finding["family"], []).append(finding)
    name = one_line(f"{data['command']} {data['env']} on {data['cloud']}")
    root = ET.Element("testsuites", _attributes(name, data["findings"]))
    for family, findings in families.items():
        suite = ET.SubElement(root, "testsuite", _attributes(one_line(family), findings))
        for finding in findings:
            _add_case(suite, finding, data["env"])
    if not families:
        # Without this, a run that judged nothing would read as one that passed.
        suite = ET.SubElement(root, "testsuite", _attributes("verdict", [_NOTHING]))
        case = ET.SubElement(suite, "testcase", classname=one_line(data["env"]), name="verdict")
        ET.SubElement(case, "error", type=Outcome.UNKNOWN, message="No invariant was judged.")
    if data["notes"]:
        ET.SubElement(root[0], "system-out").text = visible("\n".join(data["notes"]))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ET.Element, finding: Json, env: str) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=one_line(f"{env}.{finding['family']}"),
        name=one_line(f"{finding['invariant']}: {finding['subject']}"),
    )
    kind = _kind(finding)
    if kind is None:
        return
    attributes = {"type": finding["outcome"]} if kind != "skipped" else {}
    first = finding["messages"][0]["text"] if finding["messages"] else finding["outcome"]
    message = first if finding["waived"] is None else waived_in_words(finding["waived"])
    body = [
        *(f"{each['where']}: {each['text']}" for each in finding["messages"]),
        f"where: {finding['where']}",
        f"why: {finding['why']}",
        f"remedy: {finding['remedy']}",
    ]
    element = ET.SubElement(case, kind, {"message": one_line(message), **attributes})
    element.text = visible("\n".join(body))


def _kind(finding: Json) -> str | None:
    """The element that says how the test case ended, None for one that passed."""
    if finding["waived"] is not None:
        return "skipped"
    return _KINDS[finding["outcome"]]


def _attributes(name: str, findings: list[Json]) -> dict[str, str]:
    kinds = [_kind(finding) for finding in findings]
    return {
        "name": name,
        "tests": str(len(kinds)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "skipped": str(kinds.count("skipped")),
    }
