"""The pages on the invariants say what the invariants' own docstrings say."""

import pytest

from tests.docs import pages
from tests.docs.pages import PAGES, families, page
from tests.mutants import example
from validator.invariants import INVARIANTS


@pytest.mark.parametrize("family", families())
def test_page_is_current(family: str) -> None:
    assert (PAGES / f"{family}.md").read_text() == page(family), "run: make docs"


def test_every_family_has_a_page_and_no_page_is_left_over() -> None:
    assert {file.stem for file in PAGES.glob("*.md")} == set(families()), "run: make docs"


@pytest.mark.parametrize(
    "invariant",
    [each for each in INVARIANTS if example(each.name) is None],
    ids=lambda each: each.name,
)
def test_an_example_by_hand_is_kept(
    invariant: pages.Invariant, monkeypatch: pytest.MonkeyPatch, tmp_path: pages.Path
) -> None:
    mark = f"<!-- end of example: {invariant.name} -->"
    made = page(invariant.family).replace(mark, f"kept by hand\n{mark}")
    (tmp_path / f"{invariant.family}.md").write_text(made)
    monkeypatch.setattr(pages, "PAGES", tmp_path)
    assert page(invariant.family) == made
