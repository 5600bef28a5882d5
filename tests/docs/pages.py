"""Writes docs/invariants: a page for each family of invariants, from their own docstrings.

`python -m tests.docs.pages` writes all; the tests compare. An invariant that code can break has its
example from the mutants; what stands between the example marks of another is kept.
"""

import difflib
import re
import sys
from pathlib import Path

from tests.mutants import ENV, Mutant, example, text
from validator.findings import EXIT_STATUS, Outcome
from validator.invariants import INVARIANTS, Invariant

PAGES = Path(__file__).parents[2] / "docs" / "invariants"

INTRODUCTION = "<!-- generated: make docs; only what stands between example marks is kept -->"


def page(family: str) -> str:
    """The page of a family, with the examples that stand in it now."""
    file = PAGES / f"{family}.md"
    old = file.read_text() if file.exists() else ""
    invariants = [each for each in INVARIANTS if each.family == family]
    about = sys.modules[invariants[0].rule.__module__].__doc__ or ""
    head = [f"# {family.capitalize()}", INTRODUCTION, about.strip()]
    return "\n\n".join([*head, *(_section(each, old) for each in invariants)]) + "\n"


def families() -> list[str]:
    """Every family, in the order of the invariants."""
    return list(dict.fromkeys(each.family for each in INVARIANTS))


def _section(each: Invariant, old: str) -> str:
    start, end = f"<!-- example: {each.name} -->", f"<!-- end of example: {each.name} -->"
    found = re.search(f"{re.escape(start)}\n(.*?){re.escape(end)}", old, re.S)
    mutant = example(each.name)
    kept = _example(mutant) if mutant else found[1] if found else ""
    return "\n\n".join(
        [
            f"## {each.name}",
            f"**{_plain(each.promise)}**",
            _plain(each.why),
            f"Remedy: {_plain(each.remedy)}",
            f"Views: {', '.join(each.views)}.",
            f"{start}\n{kept}{end}",
        ]
    )


def _example(mutant: Mutant) -> str:
    """A mutant as a difference, with the status that `check` ends with."""
    before = text(mutant.file)
    after = before.replace(mutant.before, mutant.after, 1)
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="")
    shown = "\n".join(line.rstrip() for line in lines if not line.startswith(("---", "+++", "@@")))
    status = EXIT_STATUS[Outcome(mutant.outcome)]
    return (
        f"Broken in `terraform/{mutant.file}`:\n\n```diff\n{shown}\n```\n\n"
        f"`validator check {ENV}` then ends with status {status} ({mutant.outcome}).\n"
    )


def _plain(words: str) -> str:
    """The text with what Markdown would read as its own marked as text."""
    return re.sub(r"([<>*_`\[\]])", r"\\\1", words)


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for stale in PAGES.glob("*.md"):
        if stale.stem not in families():
            stale.unlink()
    for name in families():
        (PAGES / f"{name}.md").write_text(page(name))
