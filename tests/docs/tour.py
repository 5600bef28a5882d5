"""What the README and the docs show of a command's output, for the tests that have that output."""

import re

from tests.conftest import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"<!-- output: ([^\n]+) -->\n\n```text\n(.*?)\n```", re.S)


def shown(command: str) -> list[str]:
    """The lines that any page shows of what this command says; blank ones are left out."""
    blocks = [
        block
        for page in PAGES
        for name, block in _BLOCK.findall(page.read_text())
        if name == command
    ]
    assert blocks, f"no page shows what `{command}` says"
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def missing(command: str, output: str) -> list[str]:
    """The lines that pages show, and that the command does not say."""
    said = {line.rstrip() for line in output.splitlines()}
    return [line for line in shown(command) if line.rstrip() not in said]
