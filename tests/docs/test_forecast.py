"""The page on `forecast` shows what the command prints."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES
from tests.test_cli_forecast import here, keep
from validator.cli import main

__all__ = ["here"]

PAGE = (PAGES.parent / "forecast.md").read_text()


def test_the_example(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(here, (200, 272), (200, 279), (200, 286))
    assert main(["forecast", "staging"]) == 1
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (example,) = [text for kind, text in blocks if not kind]
    assert capsys.readouterr().out.startswith(example)
