"""The page in a real Chromium: filters, keyboard, themes, print, and what a screen reader needs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests import browser as chromium
from tests.reports import runs
from tests.reports.html import runs as pages
from validator.reports import combined
from validator.reports.html import to_html

pytestmark = pytest.mark.slow
WIDE, NARROW = 1280, 390


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.opened() as opened:
        yield opened


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages on the disk: as people open them."""
    folder = tmp_path_factory.mktemp("pages")
    large = pages.large()
    fewer = tuple(each for number, each in enumerate(large.verdict.findings) if number % 400 == 0)
    small = runs.run(base=runs.base(), before=runs.base())
    written = {
        "small": to_html(small),
        "accounts": to_html(replace(large, verdict=replace(large.verdict, findings=(*runs.FINDINGS, *fewer)))),
        "large": to_html(large),
        "several": combined("html", [to_html(small), to_html(replace(small, env="prod"))]),
    }  # fmt: skip
    for name, html in written.items():
        (folder / f"{name}.html").write_text(html)
    return {name: folder / f"{name}.html" for name in written}


@contextmanager
def shown(browser: Browser, file: Path, *, width: int = WIDE, **settings: Any) -> Iterator[Page]:
    """The page in a window of its own, which must neither complain nor ask anything of the network."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
    page = context.new_page()
    page.set_default_timeout(20_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url))
    page.goto(file.as_uri())
    try:
        yield page
        assert said == [file.as_uri()]
    finally:
        context.close()


@pytest.fixture
def small(browser: Browser, files: dict[str, Path]) -> Iterator[Page]:
    with shown(browser, files["small"]) as page:
        yield page


def found(page: Page) -> list[str]:
    """The subjects of the findings that are not filtered away."""
    return page.locator(
        "details.group:not([hidden]) ul.found > li:not([hidden]) > b"
    ).all_text_contents()


def groups(page: Page) -> list[str]:
    return page.locator("details.group:visible > summary > code").all_inner_texts()


def count(page: Page) -> Any:
    return page.locator(".controls output")


def test_an_outcome_is_filtered(small: Page) -> None:
    expect(count(small)).to_have_text("9 findings")
    small.get_by_role("checkbox", name="holds").uncheck()
    small.get_by_role("checkbox", name="unknown").uncheck()
    small.get_by_role("checkbox", name="waived").uncheck()
    expect(count(small)).to_have_text("4 of 9 findings")
    assert "replication-key-rotates" not in groups(small)
    assert len(groups(small)) == 4
    small.get_by_role("button", name="Show all").click()
    expect(count(small)).to_have_text("9 findings")


def test_words_are_searched_in_all_that_a_finding_says(small: Page) -> None:
    search = small.get_by_role("searchbox", name="Search")
    search.fill("KMS:CreateGrant")
    expect(count(small)).to_have_text("1 of 9 findings")
    assert groups(small) == ["target-can-use-replication-key"]
    expect(small.get_by_text("The target may not kms:CreateGrant.")).to_be_visible()
    search.fill("nothing that stands there")
    expect(count(small)).to_have_text("0 of 9 findings")
    search.fill("storage DR-12")
    expect(count(small)).to_have_text("1 of 9 findings")
    expect(small.locator("details.group:visible")).to_have_attribute("open", "")


def test_an_invariant_and_an_account_are_chosen(small: Page) -> None:
    small.get_by_role("combobox", name="Invariant").select_option("account-replicates-within-quota")
    expect(count(small)).to_have_text("2 of 9 findings")
    small.get_by_role("combobox", name="Account").select_option("staging-1")
    expect(count(small)).to_have_text("1 of 9 findings")
    assert found(small) == ["staging-1"]


def test_all_are_opened_and_folded(small: Page) -> None:
    fold = small.get_by_role("button", name="Open all")
    fold.click()
    assert small.locator("details.group:not([open])").count() == 0
    small.get_by_role("button", name="Fold all").click()
    assert small.locator("details.group[open]").count() == 0


def test_the_count_is_told_to_those_who_do_not_see_it(small: Page) -> None:
    expect(small.get_by_role("status")).to_have_count(1)
    assert count(small).get_attribute("aria-live") == "polite"


def test_the_keyboard_reaches_everything(small: Page) -> None:
    small.keyboard.press("Tab")
    expect(small.get_by_role("link", name="Skip to the report")).to_be_focused()
    small.keyboard.press("Enter")
    expect(small.locator("main")).to_be_focused()
    box = small.get_by_role("checkbox", name="violated")
    box.focus()
    small.keyboard.press("Space")
    expect(count(small)).to_have_text("5 of 9 findings")
    summary = small.locator("details.group:visible > summary").last
    summary.focus()
    assert small.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    small.keyboard.press("Enter")
    expect(small.locator("details.group:visible").last).to_have_attribute("open", "")
    small.get_by_role("searchbox").focus()
    small.keyboard.type("rotates")
    small.keyboard.press("Enter")  # does not send the form anywhere
    expect(count(small)).to_have_text("1 of 9 findings")


@pytest.mark.parametrize(("scheme", "other"), [("light", "dark"), ("dark", "light")])
def test_the_colours_follow_the_system_and_are_switched(
    browser: Browser, files: dict[str, Path], scheme: Any, other: str
) -> None:
    with shown(browser, files["small"], color_scheme=scheme) as page:
        assert brightness(page) == scheme
        page.get_by_role("button", name=f"{other.capitalize()} colours").click()
        assert brightness(page) == other
        page.get_by_role("button", name=f"{scheme.capitalize()} colours").click()
        assert brightness(page) == scheme


def brightness(page: Page) -> str:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return "light" if "246" in colour else "dark" if "17," in colour else colour


def test_a_print_shows_what_is_folded(browser: Browser, files: dict[str, Path]) -> None:
    with shown(browser, files["small"], color_scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        folded = page.locator("details.group:not([open])")
        assert folded.count() > 0
        for row in folded.locator("ul.found > li").all():
            assert row.is_visible()
        assert not page.locator(".top").is_visible()
        assert not page.get_by_role("searchbox").is_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"  # fmt: skip
        was = folded.count()
        assert page.pdf().startswith(b"%PDF")
        assert page.locator("details.group:not([open])").count() == was


def test_everything_is_there_without_scripts(browser: Browser, files: dict[str, Path]) -> None:
    with shown(browser, files["small"], java_script_enabled=False) as page:
        expect(page.locator("form.controls")).to_be_hidden()
        expect(page.locator(".theme")).to_be_hidden()
        assert len(found(page)) == 9
        page.locator("details.group:not([open]) > summary").first.click()
        expect(page.locator("svg.picture")).to_be_visible()


def test_a_script_that_came_in_with_a_name_does_not_run(
    browser: Browser, files: dict[str, Path], tmp_path: Path
) -> None:
    """Were one name not escaped, the policy of the page would still hold."""
    smuggled = (
        "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"
        "<b id=b style='color: rgb(1, 2, 3)'>b</b><svg onload='window.ran = 1'></svg>"
    )
    html = files["small"].read_text()
    marked = html.replace("The target may not kms:Decrypt.", smuggled)
    assert marked != html
    file = tmp_path / "smuggled.html"
    file.write_text(marked)
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(file.as_uri())
    try:
        assert page.evaluate("window.ran") is None
        assert page.evaluate("getComputedStyle(document.getElementById('b')).color") != "rgb(1, 2, 3)"  # fmt: skip
        assert len([each for each in refused if "Content Security Policy" in each]) >= 4
        expect(count(page)).to_have_text("9 findings")
    finally:
        page.close()


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("small", WIDE, "light"),
        ("small", NARROW, "dark"),
        ("accounts", WIDE, "dark"),
        ("accounts", NARROW, "light"),
        ("several", WIDE, "light"),
    ],
)
def test_no_rule_of_accessibility_is_broken(
    browser: Browser, files: dict[str, Path], name: str, width: int, scheme: Any
) -> None:
    with shown(browser, files[name], width=width, color_scheme=scheme) as page:
        for fold in page.locator("button[name=fold]").all():
            fold.click()
        result = Axe().run(page)
        assert result.violations_count == 0, result.generate_report()
        wide = page.evaluate("document.scrollingElement.scrollWidth")
        assert wide <= width, f"the page is {wide} pixels wide"


def test_each_report_of_a_page_is_filtered_by_itself(
    browser: Browser, files: dict[str, Path]
) -> None:
    with shown(browser, files["several"]) as page:
        first, second = page.locator("article").all()
        first.get_by_role("searchbox").fill("rotates")
        expect(first.locator("output")).to_have_text("1 of 9 findings")
        expect(second.locator("output")).to_have_text("9 findings")
        page.get_by_role("link", name="plan prod", exact=False).click()
        expect(second.get_by_role("heading", level=1)).to_be_in_viewport()


def test_thousands_of_findings_are_filtered_at_once(
    browser: Browser, files: dict[str, Path]
) -> None:
    """Generous bounds, on a machine that does other things: it is a fraction of a second (docs/reports.md)."""
    with shown(browser, files["large"]) as page:
        assert (
            page.evaluate("performance.timing.domComplete - performance.timing.fetchStart") < 5000
        )
        began = time.monotonic()
        page.get_by_role("searchbox").fill("web-3996")
        expect(count(page)).to_have_text("1 of 4,009 findings")
        expect(page.get_by_text("web-3996 of it lags")).to_be_visible()
        page.get_by_role("searchbox").fill("")
        expect(count(page)).to_have_text("4,009 findings")
        page.get_by_role("button", name="Open all").click()
        page.get_by_role("combobox", name="Account").select_option("staging-3")
        expect(count(page)).to_have_text("308 of 4,009 findings")
        assert time.monotonic() - began < 10
