"""The report for machines: stable JSON."""

import json

from validator.reports.document import Run, document


def to_json(run: Run) -> str:
    """The run as indented JSON with a final line end."""
    return json.dumps(document(run), indent=2, ensure_ascii=False) + "\n"
