"""HTML from plain data: whatever is not HTML already is escaped, so that no name can become markup."""

import html
from collections.abc import Iterable, Sequence

from validator.reports.document import one_line, visible

_VOID = frozenset({"input", "meta"})


class Html(str):
    """Text that is HTML already; every other text is escaped where it enters a tag."""

    __slots__ = ()


_ICONS = {"holds": "✓", "violated": "✕", "unknown": "?", "waived": "~"}


def escaped(text: str) -> Html:
    """The text as HTML for content and attributes; what shows nothing is written as its code."""
    return text if isinstance(text, Html) else Html(html.escape(visible(text)))


def joined(parts: Iterable[str]) -> Html:
    """The parts one after the other, those escaped that are not HTML."""
    return Html("".join(map(escaped, parts)))


def tag(name: str, /, *content: str, **attributes: str | int | bool | None) -> Html:
    """An element; of an attribute's name `_` is `-`, and one at the end is left out.

    An attribute that is None or False is left out, one that is True stands without a value.
    """
    said = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escaped(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )  # fmt: skip
    if name in _VOID:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{joined(content)}</{name}>")


def shown(number: int | None) -> str:
    """The number with its thousands apart, `unknown` for None, which is never shown as 0."""
    return "unknown" if number is None else f"{number:,}"


def counted_as(number: int, noun: str) -> str:
    """The number with its noun, such as `1 job` or `2,000 servers`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def between(lower: int, upper: int) -> str:
    """A number that is known, or its bounds where it is not."""
    return shown(lower) if lower == upper else f"{shown(lower)} to {shown(upper)}"


def clipped(text: str, most: int) -> str:
    """The text in one line, or its beginning and an ellipsis."""
    text = one_line(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def mark(state: str | None) -> Html:
    """An outcome, or `waived`, as an icon and a word; None was not judged."""
    return tag(
        "span",
        tag("span", _ICONS.get(state or "", "·"), class_="icon", aria_hidden="true"),
        state or "not judged",
        class_=f"mark {state or 'none'}",
    )


def prose(text: str) -> Html:
    """A paragraph that keeps the text's own lines."""
    return tag("p", text, class_="prose")


def items(texts: Iterable[str]) -> Html:
    """A list; nothing where there is nothing to list."""
    listed = [tag("li", text) for text in texts]
    return tag("ul", *listed) if listed else Html()


def folded(summary: str, *content: str, opened: bool = False) -> Html:
    """Content under a summary that opens it."""
    return tag("details", tag("summary", summary), *content, open=opened)


def table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: frozenset[int] = frozenset(),
) -> Html:
    """A table whose first column names its rows; `numbers` are the columns to be set right.

    It scrolls by itself where the page is narrow.
    """
    head = [
        tag("th", each, scope="col", class_="number" if at in numbers else None)
        for at, each in enumerate(columns)
    ]
    body = [
        tag(
            "tr",
            tag("th", first, scope="row"),
            *(
                tag("td", each, class_="number" if at in numbers else None)
                for at, each in enumerate(others, 1)
            ),
        )
        for first, *others in rows
    ]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag("thead", tag("tr", *head)),
            tag("tbody", *body),
        ),
        class_="wide",
        tabindex=0,
        role="group",
        aria_label=caption,
    )


BAR = 160
"""Width of a bar, in its own units."""


def bar(
    value: int | None,
    most: int | None,
    *,
    label: str,
    kept: int = 0,
    aim: int | None = None,
) -> Html:
    """`value` against `most` as a bar with its label as text.

    `kept` of `most` are to stay free, which a line shows; `aim` is a second value, as a notch. What is
    unknown has a dashed frame and no filling; what is past `most` fills the bar in its own colour.
    """
    return tag(
        "svg",
        *bar_shapes(0, 1, BAR, 10, value, most, kept=kept, aim=aim),
        class_="bar",
        viewBox=f"0 0 {BAR} 12",
        width=BAR,
        height=12,
        role="img",
        aria_label=label,
    )


def bar_shapes(
    x: int,
    y: int,
    width: int,
    height: int,
    value: int | None,
    most: int | None,
    *,
    kept: int = 0,
    aim: int | None = None,
) -> list[Html]:
    """The shapes of a bar, to stand in a picture; see `bar`."""

    def at(number: int) -> int:
        assert most is not None
        return x + round(width * min(1.0, max(0.0, number / most))) if most > 0 else x

    if value is None or most is None:
        return [tag("rect", x=x, y=y, width=width, height=height, rx=2, class_="track blind")]
    shapes = [tag("rect", x=x, y=y, width=width, height=height, rx=2, class_="track")]
    if value > 0:
        full = value > most
        filled = width if full else max(2, at(value) - x)
        kind = "over" if full else "tight" if value > most - kept else "fill"
        shapes.append(tag("rect", x=x, y=y, width=filled, height=height, rx=2, class_=kind))
    for number, kind in ((most - kept if kept else None, "kept"), (aim, "aim")):
        if number is not None and 0 <= number <= most:
            place = at(number)
            shapes.append(tag("line", x1=place, x2=place, y1=y - 1, y2=y + height + 1, class_=kind))
    return shapes


def measured(value: int | None, most: int | None) -> str:
    """A number against its quota, in words that say what the bar shows."""
    if value is None or most is None:
        return f"{shown(value)} of {shown(most)}"
    return f"{shown(value)} of {shown(most)}" + (
        f", {value - most} too many" if value > most else ""
    )
