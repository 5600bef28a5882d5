"""The document around articles: one file that needs no network and lets nothing in it run but its own."""

import base64
import functools
import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from validator.reports.html.elements import Html, joined, tag

_FOLDER = Path(__file__).parent
_ARTICLE = re.compile(r'<article id="([\w-]+)" aria-label="([^"]*)".*?</article>', re.DOTALL)
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)


def page(title: str, articles: Sequence[Html]) -> str:
    """A whole document with the articles; those of one page have names of their own.

    An article is made by `article`. Style and script stand in the page, and its policy admits those two
    by their digests and nothing else: no network, no frame, no form, no attribute that runs.
    """
    style, script = _part("page.css"), _part("page.js")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    several = [
        tag("li", tag("a", Html(found[2]), href=f"#{found[1]}"))
        for each in articles
        if (found := _ARTICLE.match(each)) and len(articles) > 1
    ]
    body = joined(
        (
            tag("a", "Skip to the report", href="#report", class_="skip"),
            tag(
                "header",
                tag("span", "DRS estate validator", class_="product"),
                tag("nav", tag("ul", *several), aria_label="Reports") if several else Html(),
                tag("button", "Dark", type="button", class_="theme", hidden=True),
                class_="top",
            ),
            tag("main", *articles, id="report", tabindex=-1),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n'
        + tag("meta", charset="utf-8")
        + tag("meta", http_equiv="Content-Security-Policy", content=Html(policy))
        + tag("meta", name="viewport", content="width=device-width, initial-scale=1")
        + tag("meta", name="color-scheme", content="light dark")
        + tag("meta", name="referrer", content="no-referrer")
        + tag("title", title)
        + f"\n<style>{style}</style>\n</head>\n<body>\n{body}\n<script>{script}</script>\n"
        + "</body>\n</html>\n"
    )


def article(title: str, head: Html, parts: Iterable[tuple[str, str, Html]], version: str) -> Html:
    """One report of a page: its head, and each part with its anchor, heading and content.

    Parts without content are left out. `version` is that of the validator.
    """
    name = anchor(title)
    there = [(at, heading, content) for at, heading, content in parts if content]
    links = [tag("li", tag("a", heading, href=f"#{name}-{at}")) for at, heading, _ in there]
    return tag(
        "article",
        head,
        tag("nav", tag("ul", *links), aria_label=f"Parts of {title}", class_="parts"),
        *(_section(name, at, heading, content, of=title) for at, heading, content in there),
        tag("p", f"DRS estate validator {version}. The same as data: report.json.", class_="foot"),
        id=name,
        aria_label=title,
    )


def anchor(text: str) -> str:
    """The text as an anchor's name: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "report"


def _section(article_name: str, name: str, title: str, *content: str, of: str) -> Html:
    """A part of an article, under a heading; `of` is the article's title, for those who do not see it."""
    return tag(
        "section",
        tag("h2", title, id=f"{article_name}-{name}"),
        *content,
        aria_label=f"{title} of {of}",
        class_=name,
    )


def combined_html(reports: Sequence[str]) -> str:
    """One page with the articles of several."""
    titles = [Html(found[1]) for each in reports if (found := _TITLE.search(each))]
    articles = [Html(found[0]) for each in reports for found in _ARTICLE.finditer(each)]
    return page(Html(" · ".join(titles)), articles)


@functools.cache
def _part(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
