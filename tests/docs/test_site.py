"""The docs as a whole: links lead somewhere, commands exist, pages are in the site, and it builds."""

import re
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from tests.conftest import ROOT, Validator
from tests.docs import architecture, commands, hook
from tests.docs.tour import missing
from validator import cli, quotas
from validator.invariants import INVARIANTS

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
READ = [ROOT / "README.md", *PAGES, *sorted((ROOT / "terraform/modules").glob("*/README.md"))]
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
BLOCK = re.compile(r"^( *)```sh\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def links(file: Path) -> list[str]:
    """Where a page's links and pictures lead, those to elsewhere left out."""
    tokens = MarkdownIt("commonmark").enable("table").parse(file.read_text())
    found = [child.attrGet("href") or child.attrGet("src") for t in tokens for child in t.children or []]  # fmt: skip
    return [str(each) for each in found if each and not re.match(r"\w+:", str(each))]


def anchors(file: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def said() -> dict[str, str]:
    """Every line of the pages' shell examples that runs a command of ours, by where it stands."""
    found = {}
    for file in READ:
        for _, block in BLOCK.findall(file.read_text()):
            for line in re.sub(r"\\\n *", "", block).splitlines():
                if re.match(r" *(make|(\.venv/bin/)?validator) ", line):
                    found[f"{name(file)}: {line.strip()}"] = line.strip()
    return found


COMMANDS = said()


@pytest.mark.parametrize("file", READ, ids=name)
def test_links_lead_somewhere(file: Path) -> None:
    for link in links(file):
        path, _, anchor = link.partition("#")
        there = (file.parent / path).resolve() if path else file
        assert there.exists(), f"{link}: there is no {there}"
        assert there.is_relative_to(ROOT), link
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{link}: no heading of {name(there)} makes that"


def test_links_are_looked_at() -> None:
    assert sum(len(links(file)) for file in READ) > 50


@pytest.mark.parametrize("said", COMMANDS.values(), ids=COMMANDS)
def test_a_command_that_a_page_names_exists(said: str) -> None:
    program, *words = shlex.split(said, comments=True)
    if program == "make":
        targets = [word for word in words if "=" not in word and not word.startswith(".venv")]
        assert set(targets) <= set(commands.make_targets()), said
        return
    cli._parser().parse_args(words)  # what it does not know ends in SystemExit


def test_commands_are_looked_at() -> None:
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("page", ["extension", "operating"])
def test_names_are_of_something(page: str) -> None:
    known = {each.name for each in INVARIANTS} | set(commands.commands())
    known |= {each.name for each in (ROOT / "terraform/modules").iterdir()}
    foreign = {"describe-job-log-items", "update-launch-configuration"}  # of the AWS CLI
    text = re.sub(BLOCK, "", (DOCS / f"{page}.md").read_text())
    named = set(re.findall(r"`([a-z]+(?:-[a-z0-9]+)+)`", text))
    assert named
    assert named - foreign <= known


@pytest.mark.parametrize("file", READ, ids=name)
def test_paths_are_there(file: Path) -> None:
    folders = "benchmarks|docs|requirements|terraform|tests|validator"
    made = "terraform/envs/europe/"  # by the guide's own first command
    for path in re.findall(rf"`((?:{folders})/[\w./*-]+)`", file.read_text()):
        assert path.startswith(made) or list(ROOT.glob(path)), path


def test_the_quotas_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (?:servers|jobs) .+ \| ([\d,]+), (fixed|can be raised) \|", (DOCS / "extension.md").read_text(), re.MULTILINE)  # fmt: skip
    assert [(int(n.replace(",", "")), said == "can be raised") for n, said in rows] == [
        (each.value, each.adjustable)
        for each in (
            quotas.REPLICATING_SERVERS,
            quotas.TOTAL_SERVERS,
            quotas.SERVERS_PER_JOB,
            quotas.SERVERS_IN_ALL_JOBS,
            quotas.CONCURRENT_JOBS,
        )
    ]


def test_every_page_stands_in_the_nav() -> None:
    def paths(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        entries = entry.values() if isinstance(entry, dict) else entry
        return [path for each in entries for path in paths(each)]

    found = paths(hook.on_config(SimpleNamespace(nav=CONFIG["nav"])).nav)
    made = {f"{folder.name}/index.md" for folder in DOCS.iterdir() if folder.is_dir()}
    there = {str(page.relative_to(DOCS)) for page in PAGES}
    assert len(found) == len(set(found))
    assert not there - set(found), (
        "Name each under `nav` in mkdocs.yml, where a reader looks for it."
    )
    assert not set(found) - there - made, "`nav` in mkdocs.yml names pages that are not there."


def test_what_the_code_says_is_current() -> None:
    assert commands.FILE.read_text() == commands.page(), "run: make docs"
    assert architecture.FILE.read_text() == architecture.page(), "run: make docs"
    assert architecture.PICTURE.read_text() == architecture.picture(), "run: make docs"


def test_every_part_is_in_the_picture() -> None:
    drawn = set(re.findall(r'<text class="part"[^>]*>([^<]+)<', architecture.picture()))
    assert drawn == set(architecture.imports())


def test_the_tour_shows_what_check_says(called: Validator) -> None:
    assert not missing("validator check staging", called("check", "staging").stdout)


LINKS = [
    ("a page", "agents.md", "[x](verify.md#health)", "[x](verify.md#health)"),
    ("from a folder", "decisions/1.md", "[x](../agents.md)", "[x](../agents.md)"),
    ("a folder of pages", "index.md", "[x](decisions/)", "[x](decisions/index.md)"),
    (
        "a file outside",
        "agents.md",
        "[x](../validator/cli.py)",
        "[x](repository/validator/cli.py.md)",
    ),
    (
        "a line of one",
        "agents.md",
        "[x](../validator/cli.py#L3)",
        "[x](repository/validator/cli.py.md)",
    ),
    (
        "a module",
        "agents.md",
        "[x](../terraform/modules/shared-key)",
        "[x](repository/terraform/modules/shared-key/README.md)",
    ),
    ("back into docs", "repository/README.md", "[x](docs/agents.md)", "[x](../agents.md)"),
    ("elsewhere", "agents.md", "[x](https://aws.amazon.com)", "[x](https://aws.amazon.com)"),
    ("here", "agents.md", "[x](#tags)", "[x](#tags)"),
    ("nowhere", "agents.md", "[x](../validator/gone.py)", "[x](../validator/gone.py)"),
    ("out of the checkout", "agents.md", "[x](../../../etc/passwd)", "[x](../../../etc/passwd)"),
]


@pytest.mark.parametrize(("uri", "link", "there"), [row[1:] for row in LINKS], ids=[row[0] for row in LINKS])  # fmt: skip
def test_a_link_as_the_site_needs_it(uri: str, link: str, there: str) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri=uri))
    assert hook.on_page_markdown(link, page) == there


@pytest.fixture(scope="module")
def mkdocs() -> str:
    """mkdocs in its own environment, which is set up if it is not there."""
    subprocess.run(["make", ".venv-docs/ready"], cwd=ROOT, check=True, timeout=300)
    return str(ROOT / ".venv-docs/bin/mkdocs")


@pytest.mark.slow
def test_it_builds_without_a_warning(mkdocs: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "docs-site", f"ARGS=--site-dir {tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    built = {str(file.relative_to(tmp_path)): file.read_text() for file in tmp_path.rglob("*.html")}
    expected = {str(page.relative_to(DOCS).with_suffix(".html")) for page in PAGES}
    assert expected | {"decisions/index.html", "invariants/index.html"} <= set(built)
    assert "REPLICATING_SERVERS" in built["repository/validator/quotas.py.html"]
    for page, html in built.items():
        assets = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(?:https?:)?//', html)
        assert not assets, f"{page} loads something from elsewhere: {assets}"
        # GitHub needs no blank line before a table or a list; the site does.
        assert not re.search(r"<p>[^<]*\n(\||- |\d+\. )", html), page


@pytest.mark.slow
def test_a_link_that_leads_nowhere_fails_the_build(mkdocs: str, tmp_path: Path) -> None:
    bad = ["gone.md", "index.md#gone", "/index.md", "../gone.py"]
    config = {key: CONFIG[key] for key in ("site_name", "strict", "validation")}
    config |= {"hooks": [str(ROOT / "tests/docs/hook.py")], "nav": ["index.md"]}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# Here\n\n" + " ".join(f"[x]({b})" for b in bad))
    done = subprocess.run(
        [mkdocs, "build"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1, done.stderr
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    assert [link for link in bad if not any(link in line for line in warnings)] == []
