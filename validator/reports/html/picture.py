"""The estate as a picture: servers flow from the source Region through staging accounts into the target."""

from collections.abc import Mapping, Sequence
from typing import Any

from validator.reports.html.elements import (
    Html,
    bar_shapes,
    between,
    clipped,
    counted_as,
    shown,
    tag,
)

Row = Mapping[str, Any]
"""An account as `report.schema.json` has it (`$defs/account`); numbers that are not known are None."""

_WIDTH = 960
_STEP, _BOX, _HIGH = 50, 42, 132
_TOP = 34
_SOURCE = (0, 150)
_STAGING = (330, 290)
_TARGET = (728, 212)
_FRAME = (300, 659)
_FULL = 300
"""Servers whose flow is drawn at its broadest."""


def picture(
    rows: Sequence[Row],
    *,
    source_region: str,
    recovery_region: str,
    live: bool,
    headroom: int | None,
    in_target: tuple[int, int] | None,
    total_quota: int | None,
    extended: Mapping[str, int | None] | None = None,
) -> Html:
    """The accounts of an estate as one drawing, for any number of staging accounts.

    `rows` are the accounts that servers replicate into, one of them the target (`part`). A row's bar is
    what replicates into it in a live view, else what is planned, against its quota; the line in it keeps
    `headroom` free. `in_target` are the bounds of all servers that the target holds or will hold.
    `extended` are the servers that the target has as extensions, by account id: an id that is not in it
    is unknown, and None for the whole says that all of them are to be extended.
    """
    staging = [row for row in rows if row["part"] != "target"]
    target = next((row for row in rows if row["part"] == "target"), None)
    lane = _TOP + max(len(staging) * _STEP, _HIGH + 8)
    first = (_TOP + lane - max(1, len(staging)) * _STEP) // 2
    rows_at = [first + at * _STEP for at in range(len(staging))]
    height = lane + 62
    middle = _TOP + (lane - _TOP) // 2
    top = middle - _HIGH // 2
    shapes = [
        _frame(recovery_region, height),
        *(
            _flow(_SOURCE[0] + _SOURCE[1], middle, _STAGING[0], y + _BOX // 2, _value(row, live))
            for y, row in zip(rows_at, staging, strict=True)
        ),
        *(
            _flow(
                _STAGING[0] + _STAGING[1],
                y + _BOX // 2,
                _TARGET[0],
                middle,
                _value(row, live) if extended is None else extended.get(row["id"]),
            )
            for y, row in zip(rows_at, staging, strict=True)
        ),
        *_source(source_region, middle, _total([_value(row, live) for row in rows])),
        *(
            part
            for y, row in zip(rows_at, staging, strict=True)
            for part in _staging(y, row, live, headroom, extended)
        ),
    ]
    if not staging:
        x = _STAGING[0] + _STAGING[1] // 2
        shapes.append(_words(x, middle + 5, "no staging account", "quiet middle"))
    if target is not None:
        shapes += _direct(middle, lane, top + _HIGH, _value(target, live))
        shapes += _target(top, target, live, headroom, in_target, total_quota)
    told = _told(staging, target, source_region, recovery_region, live)
    drawing = tag(
        "svg",
        *shapes,
        class_="picture",
        viewBox=f"0 0 {_WIDTH} {height}",
        role="img",
        aria_label=told,
    )
    return tag(
        "div",
        tag("figure", drawing, _legend(live, headroom)),
        class_="wide",
        tabindex=0,
        role="group",
        aria_label="The estate as a picture",
    )


def _told(
    staging: Sequence[Row], target: Row | None, source: str, recovery: str, live: bool
) -> str:
    into = "the target account" if target is None else f"the target account {target['account']}"
    verb = "replicate" if live else "are planned to replicate"
    accounts = counted_as(len(staging), "staging account")
    return (
        f"Servers of {source} {verb} into {accounts} in {recovery}, to be extended into {into}. "
        "The table of the capacity has every number of this picture."
    )


def _value(row: Row, live: bool) -> int | None:
    value: int | None = row["replicating"] if live else row["planned"]
    return value


def _total(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _frame(region: str, height: int) -> Html:
    x, width = _FRAME
    return tag(
        "g",
        tag("rect", x=x, y=1, width=width, height=height - 2, rx=10, class_="region"),
        _words(x + 16, 22, f"recovery Region {clipped(region, 40)}", "quiet"),
    )


def _source(region: str, middle: int, servers: int | None) -> list[Html]:
    x, width = _SOURCE
    return [
        tag("rect", x=x + 1, y=middle - 44, width=width - 1, height=88, rx=10, class_="box outer"),
        _words(x + 16, middle - 20, "source Region", "quiet"),
        _words(x + 16, middle, clipped(region, 17), "name"),
        _words(x + 16, middle + 26, f"{shown(servers)} servers", "number"),
    ]


def _staging(
    y: int,
    row: Row,
    live: bool,
    headroom: int | None,
    extended: Mapping[str, int | None] | None,
) -> list[Html]:
    x, width = _STAGING
    inner = width - (24 if extended is None else 138)
    said = "" if extended is None else f"{shown(extended.get(row['id']))} extended"
    return [
        tag("rect", x=x, y=y, width=width, height=_BOX, rx=7, class_="box"),
        _words(x + 12, y + 18, clipped(row["account"], 20), "name"),
        _words(x + width - 12, y + 18, _counted(row, live), "number end"),
        _words(x + width - 12, y + 35, said, "quiet end") if said else Html(),
        *bar_shapes(x + 12, y + 27, inner, 7, _value(row, live), row["quota"],
                    kept=headroom or 0, aim=row["planned"] if live else None),
    ]  # fmt: skip


def _target(
    top: int,
    row: Row,
    live: bool,
    headroom: int | None,
    in_target: tuple[int, int] | None,
    total_quota: int | None,
) -> list[Html]:
    x, width = _TARGET
    inner = width - 28
    holds = None if in_target is None else in_target[1]
    said = "unknown" if in_target is None else between(*in_target)
    return [
        tag("rect", x=x, y=top, width=width, height=_HIGH, rx=10, class_="box outer"),
        _words(x + 14, top + 22, "target account", "quiet"),
        _words(x + 14, top + 42, clipped(row["account"], 23), "name"),
        _words(x + 14, top + 66, "own", "quiet"),
        _words(x + width - 14, top + 66, _counted(row, live), "number end"),
        *bar_shapes(x + 14, top + 73, inner, 7, _value(row, live), row["quota"],
                    kept=headroom or 0, aim=row["planned"] if live else None),
        _words(x + 14, top + 102, "in all", "quiet"),
        _words(x + width - 14, top + 102, f"{said} / {shown(total_quota)}", "number end"),
        *bar_shapes(x + 14, top + 109, inner, 7, holds, total_quota),
    ]  # fmt: skip


def _counted(row: Row, live: bool) -> str:
    value, quota = _value(row, live), row["quota"]
    said = f"{shown(value)} / {shown(quota)}"
    if value is not None and quota is not None and value > quota:
        return f"{said}, {value - quota} too many"
    return said


def _flow(x1: int, y1: int, x2: int, y2: int, servers: int | None) -> Html:
    bend = (x1 + x2) // 2
    return _path(f"M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}", servers)


def _direct(middle: int, lane: int, bottom: int, servers: int | None) -> list[Html]:
    """The way of the target's own servers, below all staging accounts."""
    x1, x2 = _SOURCE[0] + _SOURCE[1] // 2, _TARGET[0] + _TARGET[1] // 2
    y = max(lane, bottom) + 26
    way = f"M{x1} {middle + 44}V{y - 16}Q{x1} {y} {x1 + 16} {y}H{x2 - 16}Q{x2} {y} {x2} {y - 16}V{bottom}"
    said = f"{shown(servers)} straight into the target"
    return [
        _path(way, servers),
        _words(_STAGING[0] + _STAGING[1] // 2, y - 12, said, "quiet middle"),
    ]


def _path(way: str, servers: int | None) -> Html:
    if servers is None:
        return tag("path", d=way, class_="flow blind", stroke_width=2)
    width = 0 if servers <= 0 else round(1.5 + 8 * min(1.0, servers / _FULL), 1)
    return tag("path", d=way, class_="flow", stroke_width=str(width))


def _words(x: int, y: int, text: str, kind: str) -> Html:
    return tag("text", text, x=x, y=y, class_=kind)


def _legend(live: bool, headroom: int | None) -> Html:
    said = "A bar is what replicates" if live else "A bar is what is planned to replicate"
    parts = [f"{said}, against the account's quota."]
    if live:
        parts.append("The notch is what was declared.")
    if headroom:
        parts.append(f"The line keeps {headroom} of each quota free, as declared.")
    parts.append("Dashed is what is not known.")
    return tag("figcaption", " ".join(parts))
