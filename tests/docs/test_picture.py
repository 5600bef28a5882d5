"""The README's picture of a report is there, small, and a picture."""

from tests.docs.picture import LARGEST, PICTURE, ROOT

MEND = "Run `.venv/bin/python -m tests.docs.picture`, and look at docs/report.png."


def test_the_picture_is_there_and_small() -> None:
    assert PICTURE.read_bytes().startswith(b"\x89PNG"), MEND
    assert PICTURE.stat().st_size < LARGEST, MEND


def test_the_readme_shows_it() -> None:
    assert "(docs/report.png)" in (ROOT / "README.md").read_text()
