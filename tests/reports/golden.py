"""Writes the golden files again: `python -m tests.reports.golden`."""

from pathlib import Path

from tests.reports import runs
from validator import __version__
from validator.reports import REPORTS, file_name

FOLDER = Path(__file__).parent / "golden"


def content(name: str) -> str:
    """The report of the example run, without the version of the validator."""
    text = REPORTS[name](runs.run(base=runs.base(), docs="https://git.example/docs/invariants"))
    return text.replace(__version__, "VERSION")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in REPORTS:
        (FOLDER / file_name(each)).write_text(content(each))
