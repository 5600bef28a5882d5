"""The reports on several runs as one document of the same format."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from typing import Any

from validator.reports.html import combined_html


def combined_json(reports: Sequence[str]) -> str:
    """An array of the reports."""
    return json.dumps([json.loads(each) for each in reports], indent=2, ensure_ascii=False) + "\n"


def combined_sarif(reports: Sequence[str]) -> str:
    """One log with a run for each report."""
    logs: list[dict[str, Any]] = [json.loads(each) for each in reports]
    whole = {**logs[0], "runs": [run for log in logs for run in log["runs"]]}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def combined_junit(reports: Sequence[str]) -> str:
    """The test suites of all reports, with their sums."""
    roots = [ET.fromstring(each.partition("?>")[2]) for each in reports]
    whole = ET.Element("testsuites", {"name": ", ".join(root.get("name", "") for root in roots)})
    for count in ("tests", "failures", "errors", "skipped"):
        whole.set(count, str(sum(int(root.get(count, "0")) for root in roots)))
    whole.extend(suite for root in roots for suite in root)
    ET.indent(whole)
    return ET.tostring(whole, encoding="unicode", xml_declaration=True) + "\n"


def combined_text(reports: Sequence[str]) -> str:
    """One report after the other."""
    return "\n".join(reports)


COMBINED: dict[str, Callable[[Sequence[str]], str]] = {
    "json": combined_json,
    "sarif": combined_sarif,
    "junit": combined_junit,
    "html": combined_html,
}
"""How the formats that are one document are joined; the others stand one after the other."""
