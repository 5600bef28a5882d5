"""Takes the README's picture of a report again: `python -m tests.docs.picture`."""

import os
from pathlib import Path

from tests import browser
from validator.cli import main

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "report.png"
LARGEST = 150_000
"""Bytes that the picture may have."""

_WIDTH, _HEIGHT = 1160, 900


def taken(report: Path) -> bytes:
    """The upper part of a page as PNG, as a window of a common size shows it."""
    with browser.opened() as chromium:
        page = chromium.new_page(
            viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme="light"
        )
        page.goto(report.as_uri())
        return page.screenshot()


if __name__ == "__main__":
    os.chdir(ROOT)
    os.environ["CLOUD"] = "embedded"
    main(["plan", "staging", "--skip-checkov", "--output", os.devnull])
    PICTURE.write_bytes(taken(ROOT / "build" / "staging" / "plan" / "report.html"))
