"""The page on `verify` names every standing that a server can have."""

import re

from tests.docs.pages import PAGES
from validator.checklist import ITEMS
from validator.reconciliation import Standing

PAGE = (PAGES.parent / "verify.md").read_text()


def test_every_standing_is_explained() -> None:
    rows = re.findall(r"^\| ([a-z ]+) \|", PAGE, re.MULTILINE)
    assert rows == [standing.value for standing in Standing]


def test_the_checklist_is_as_long_as_the_page_says() -> None:
    assert f"the {len(ITEMS)} prerequisites" in PAGE
