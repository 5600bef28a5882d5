"""The page on reports names every format, and the file that a run leaves in it."""

import re

from tests.docs.pages import PAGES
from validator.reports import REPORTS, file_name

PAGE = (PAGES.parent / "reports.md").read_text()


def test_every_format_has_its_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([\w.]+)` \|", PAGE, re.MULTILINE)
    assert rows == [(each, file_name(each)) for each in REPORTS]
