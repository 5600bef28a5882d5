"""Reports: a verdict as text, one function per format."""

from collections.abc import Callable

from validator.reports.document import Run
from validator.reports.json import to_json
from validator.reports.text import to_text

Report = Callable[[Run], str]

REPORTS: dict[str, Report] = {
    "text": to_text,
    "json": to_json,
}

__all__ = ["REPORTS", "Report", "Run"]
