"""Reports: a verdict as text, one function per format."""

from collections.abc import Callable, Sequence

from validator.reports import base
from validator.reports.combined import COMBINED, combined_text
from validator.reports.document import Run
from validator.reports.html import to_html
from validator.reports.json import to_json
from validator.reports.junit import to_junit
from validator.reports.markdown import to_markdown
from validator.reports.sarif import to_sarif
from validator.reports.text import to_text

Report = Callable[[Run], str]

REPORTS: dict[str, Report] = {
    "text": to_text,
    "json": to_json,
    "sarif": to_sarif,
    "junit": to_junit,
    "markdown": to_markdown,
    "html": to_html,
}
_SUFFIXES = {"text": "txt", "junit": "junit.xml", "markdown": "md"}


def file_name(name: str) -> str:
    """The name of the file that a run leaves in this format, such as report.txt."""
    return f"report.{_SUFFIXES.get(name, name)}"


def combined(name: str, reports: Sequence[str]) -> str:
    """The reports of several runs as one of the same format; a single one stays as it is."""
    return reports[0] if len(reports) == 1 else COMBINED.get(name, combined_text)(reports)


__all__ = ["REPORTS", "Report", "Run", "base", "combined", "file_name"]
