"""What mkdocs needs to be told to build the site of docs/: its hook, which mkdocs.yml names.

A page's link to `../validator/quotas.py` works on GitHub as it stands. The site has a page made of each
file that is so linked, under `repository/`, and needs no address of a repository. It also lists the
pages of a folder that has no index of its own. mkdocs loads this file alone, in .venv-docs.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS, ELSEWHERE = "docs", "repository"
_PROMISE = re.compile(r"^## ([a-z0-9-]+)\n\n\*\*(.+)\*\*$", re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)(#[^)\s]*)?(?=\))")


def on_config(config: Any) -> Any:
    """Puts every page of a folder that the nav names into the nav."""
    config.nav = _expanded(config.nav)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the lists of folders, and a page for each file outside docs/ that a page links to."""
    from mkdocs.structure.files import File

    for folder in sorted(each.name for each in (ROOT / DOCS).iterdir() if each.is_dir()):
        if files.get_file_from_path(f"{folder}/index.md") is None:
            made = File.generated(config, f"{folder}/index.md", content=index(folder))
            files.append(made)
    todo = [(each.src_uri, each.content_string) for each in files.documentation_pages()]
    while todo:
        for uri in sorted(linked(*todo.pop())):
            if uri.startswith(f"{ELSEWHERE}/") and files.get_file_from_path(uri) is None:
                files.append(File.generated(config, uri, content=page(uri)))
                todo.append((uri, page(uri)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """The page with its links as the site needs them."""
    return _LINK.sub(lambda found: _target(page.file.src_uri, found), markdown)


def linked(uri: str, markdown: str) -> set[str]:
    """What a page of the site links to, as paths in the site."""
    targets = {_target(uri, found).split("#")[0] for found in _LINK.finditer(markdown)}
    return {posixpath.normpath(posixpath.join(posixpath.dirname(uri), each)) for each in targets}


def page(uri: str) -> str:
    """The page of a file outside docs/: itself if it is Markdown, else its text as code."""
    path = source(uri)
    text = (ROOT / path).read_text()
    if path.endswith(".md"):
        return text
    kind = path.rpartition(".")[2] if "." in path else "text"
    fence = "`" * 8
    return f"# {path}\n\n{fence} {kind}\n{text.rstrip()}\n{fence}\n"


def index(folder: str) -> str:
    """The list of a folder's pages by their headings, and of the sections that begin with a promise."""
    rows = []
    for each in sorted((ROOT / DOCS / folder).glob("*.md")):
        rows.append(f"- [{_heading(each)}]({each.name})")
        for name, promise in _PROMISE.findall(each.read_text()):
            rows.append(f"    - [{name}]({each.name}#{name}): {promise}")
    return "\n".join([f"# {folder.capitalize()}", "", *rows, ""])


def source(uri: str) -> str:
    """The path in the repository of a page of the site."""
    if not uri.startswith(f"{ELSEWHERE}/"):
        return f"{DOCS}/{uri}"
    path = uri.removeprefix(f"{ELSEWHERE}/")
    return path if (ROOT / path).is_file() else path.removesuffix(".md")


def _target(uri: str, found: "re.Match[str]") -> str:
    """A link of a page as the site needs it; one that leads nowhere stays, and mkdocs refuses it."""
    link, anchor = found[1], found[2] or ""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source(uri)), link))
    if path == DOCS or path.startswith(f"{DOCS}/"):
        there = path.removeprefix(DOCS).removeprefix("/")
        if (ROOT / path).is_dir():
            there = posixpath.join(there, "index.md")
    else:
        if (ROOT / path).is_dir():
            path = f"{path}/README.md"
        if path.startswith("../") or not (ROOT / path).is_file():
            return found[0]
        there = f"{ELSEWHERE}/{path}" if path.endswith(".md") else f"{ELSEWHERE}/{path}.md"
        if not path.endswith(".md"):
            anchor = ""
    return posixpath.relpath(there, posixpath.dirname(uri) or ".") + anchor


def _expanded(nav: Any) -> Any:
    if isinstance(nav, list):
        return [_expanded(each) for each in nav]
    if isinstance(nav, dict):
        return {title: _expanded(entry) for title, entry in nav.items()}
    if not nav.endswith("/"):
        return nav
    return [
        f"{nav}index.md",
        *(f"{nav}{each.name}" for each in sorted((ROOT / DOCS / nav).glob("*.md"))),
    ]


def _heading(file: Path) -> str:
    return file.read_text().partition("\n")[0].removeprefix("# ")
