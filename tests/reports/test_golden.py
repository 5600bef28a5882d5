"""Every format has a golden file, which is what it writes of the example run, and nothing leaks."""

import pytest
from hypothesis import given, settings

from tests.reports import golden, runs
from validator.findings import Message
from validator.reports import REPORTS, Run, file_name
from validator.reports.document import document

MEND = "Stale golden file: run `.venv/bin/python -m tests.reports.golden`, and read the difference."


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_as_its_golden_file(name: str) -> None:
    file = golden.FOLDER / file_name(name)
    assert file.exists(), MEND
    assert golden.content(name) == file.read_text(), MEND


def test_no_golden_file_is_of_a_format_that_is_gone() -> None:
    assert {file.name for file in golden.FOLDER.iterdir()} == {
        file_name(name) for name in REPORTS
    }, MEND


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_does_not_say_where_the_checkout_lies(name: str) -> None:
    assert str(runs.ROOT) not in REPORTS[name](runs.run(base=runs.base()))


@pytest.mark.parametrize("name", REPORTS)
def test_a_place_outside_the_checkout_loses_its_folders(name: str) -> None:
    assert "/srv" not in REPORTS[name](runs.run(root=None))
    assert "/srv" not in REPORTS[name](runs.run(root=runs.ROOT / "elsewhere"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("in /srv/checkout/a/main.tf: no", "in a/main.tf: no"),
        ("'/srv/checkout' is no folder", "'.' is no folder"),
        ("/srv/checkout/", "."),
        ("/srv/checkout-2/main.tf", "/srv/checkout-2/main.tf"),
        ("arn:aws:iam::1:role/srv/checkout/x", "arn:aws:iam::1:role/srv/checkout/x"),
    ],
)
def test_the_path_of_the_checkout_is_taken_out_of_texts_and_nothing_else(
    text: str, shown: str
) -> None:
    finding = runs.found("a", "keys", "b", "violated", Message(text, "x"))
    (told,) = document(runs.run(findings=(finding,)))["findings"]
    assert told["messages"][0]["text"] == shown


@settings(deadline=None)
@given(run=runs.anything())
def test_whatever_a_run_holds_every_report_is_text_that_ends(run: Run) -> None:
    for report in REPORTS.values():
        text = report(run)
        assert text.encode().decode() == text
        assert text.endswith("\n")
        assert report(run) == text


@settings(deadline=None)
@given(run=runs.anything())
def test_whatever_a_run_holds_no_report_for_people_steers_a_terminal(run: Run) -> None:
    for name in ("text", "junit", "markdown", "html"):
        assert not set("\x1b\x00\r\u202e\ufffe") & set(REPORTS[name](run))
