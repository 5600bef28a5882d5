"""The page of `size` at 4,000 servers in a real Chromium: where a server goes is found by filter and search."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.reports.html.test_browser import NARROW, browser, shown
from tests.reports.test_sizing import sized
from tests.test_sizing import TARGET, server
from validator.reports.html.sizing import to_html
from validator.sizing import Wish

__all__ = ["browser"]

pytestmark = pytest.mark.slow
SERVERS = 3999


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,999 servers in 14 accounts and 8 waves, and one that fits nowhere."""
    return written(tmp_path_factory, range(SERVERS))


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same page with a tenth of the servers: no rule of axe counts them."""
    return written(tmp_path_factory, range(0, SERVERS, 10))


def written(folders: pytest.TempPathFactory, numbers: range) -> Path:
    servers = [server(n, (8, 8, 8), dr_wave=f"wave-{n // 500 + 1}") for n in numbers]
    odd = server(9999, (8,) * 61, dr_wave="wave-8")
    made = folders.mktemp("size") / "report.html"
    made.write_text(to_html(sized([*servers, odd], [TARGET], Wish())))
    return made


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    with shown(browser, file) as opened:
        yield opened


def test_a_server_is_found_by_account_wave_and_words(page: Page) -> None:
    servers = page.get_by_role("region", name="Where each server goes")
    count = servers.locator(".controls output")
    expect(count).to_have_text("3,999 servers")
    servers.get_by_role("combobox", name="Account").select_option("staging-13")
    expect(count).to_have_text("99 of 3,999 servers")
    servers.get_by_role("combobox", name="Wave").select_option("wave-1")
    expect(count).to_have_text("0 of 3,999 servers")
    servers.get_by_role("button", name="Show all").click()
    expect(count).to_have_text("3,999 servers")
    servers.get_by_role("combobox", name="Wave").select_option("wave-1")
    expect(count).to_have_text("500 of 3,999 servers")
    servers.get_by_role("button", name="Show all").click()
    servers.get_by_role("searchbox", name="Search").fill(str(server(3998).id))
    expect(count).to_have_text("1 of 3,999 servers")
    expect(servers.locator("details.group:visible > summary > code")).to_have_text("staging-13")
    expect(servers.get_by_text(str(server(3998).id))).to_be_visible()


def test_the_findings_are_filtered_by_themselves(page: Page) -> None:
    findings = page.locator("section.findings")
    findings.get_by_role("checkbox", name="holds").uncheck()
    expect(findings.locator("details.group:visible > summary > code")).to_have_text(
        "server-fits-an-account"
    )
    expect(page.locator("section.servers .controls output")).to_have_text("3,999 servers")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, short: Path, scheme: str) -> None:
    with shown(browser, short, color_scheme=scheme) as page:
        found = Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def test_nothing_is_wider_than_a_telephone(browser: Browser, file: Path) -> None:
    with shown(browser, file, width=NARROW) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
