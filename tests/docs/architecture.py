"""Draws docs/architecture.svg, and writes the table of docs/architecture.md, from the code's imports.

`python -m tests.docs.architecture` writes both; the tests compare. The layers and the libraries are
those that tests/test_layers.py holds the code to.
"""

import ast
from html import escape

from tests.conftest import ROOT
from tests.test_layers import FILES, LAYERS, ONLY, PACKAGE, imported, layer

PICTURE = ROOT / "docs" / "architecture.svg"
FILE = ROOT / "docs" / "architecture.md"
START, END = "<!-- generated: make docs -->", "<!-- end of generated -->"
ALONE = "emulator"
"""The package that no layer has: it imports nothing of the others, and is run as a program."""
KNOWN_BY_MANY = {"errors", "model", "findings"}
KNOWS_ALL = {"cli", "commands"}
"""Their imports would hide all others, and say nothing: the page says it in a sentence."""

_WIDTH, _BOX, _ROW, _SPACE, _GAP, _EDGE = 720, (140, 46), 4, (32, 40), 12, 14
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; text-anchor: middle; }
  .library { font-size: 10px; fill: #57606a; }
  .card { fill: #ffffff; } .band { fill: #eef1f6; } .box { fill: #ffffff; stroke: #4051b5; }
  .import { fill: none; stroke: #4051b5; stroke-opacity: .7; stroke-width: 1.2; } .head { fill: #4051b5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .library { fill: #a5b0bd; }
    .card { fill: #161b22; } .band { fill: #21262f; } .box { fill: #0d1117; stroke: #9fa8da; }
    .import { stroke: #9fa8da; } .head { fill: #9fa8da; }
  }
"""


def imports() -> dict[str, set[str]]:
    """What each part of the package imports of the others."""
    found: dict[str, set[str]] = {}
    for file in FILES:
        own = file.parts[0].removesuffix(".py")
        names = {name.split(".")[1] for name in imported(file) if name.startswith("validator.")}
        found.setdefault(own, set()).update(
            each for each in names if each != own and not each.startswith("__")
        )
    return {part: others for part, others in found.items() if not part.startswith("__")}


def picture() -> str:
    """The picture: a band for each layer, highest first, and an arrow for each import."""
    known, where = imports(), {}
    rows, drawn, top = _rows(known), [], _EDGE
    for bands in rows:
        height = len(bands) * (_BOX[1] + _SPACE[1]) - _SPACE[1] + 2 * _GAP
        drawn.append(
            f'<rect class="band" x="{_EDGE}" y="{top}" width="{_WIDTH - 2 * _EDGE}" '
            f'height="{height}" rx="8"/>'
        )
        for number, parts in enumerate(bands):
            free = _WIDTH - len(parts) * (_BOX[0] + _SPACE[0]) + _SPACE[0]
            for place, part in enumerate(parts):
                x = free // 2 + place * (_BOX[0] + _SPACE[0])
                where[part] = (x, top + _GAP + number * (_BOX[1] + _SPACE[1]))
        top += height + 3 * _GAP
    arrows = [
        _arrow(where[part], where[other])
        for part in sorted(known.keys() - KNOWS_ALL)
        for other in sorted(known[part] - KNOWN_BY_MANY)
    ]
    boxes = [_box(part, *where[part]) for part in where]
    height = top - 3 * _GAP + _EDGE
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
            'aria-labelledby="title">',
            '<title id="title">The parts of the validator in layers; imports point down.</title>',
            f"<style>{_STYLE}</style>",
            '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
            'orient="auto"><path class="head" d="M0 0 8 4 0 8z"/></marker>',
            f'<rect class="card" width="{_WIDTH}" height="{height}" rx="12"/>',
            *drawn,
            *arrows,
            *boxes,
            "</svg>\n",
        ]
    )


def page() -> str:
    """The page, with its table made anew."""
    before, _, rest = FILE.read_text().partition(START)
    after = rest.partition(END)[2]
    return f"{before}{START}\n\n{_table()}\n\n{END}{after}"


def libraries(part: str) -> list[str]:
    """The libraries that are known in a part and nowhere else."""
    return sorted(
        name
        for name, files in ONLY.items()
        if any(each.split("/")[0].removesuffix(".py") == part for each in files)
    )


def _table() -> str:
    known = imports()
    rows = [
        f"| [`{part}`]({_path(part)}) | {_about(part)} | {', '.join(sorted(known[part]))} "
        f"| {', '.join(libraries(part))} |"
        for parts in [*reversed(LAYERS), {ALONE}]
        for part in sorted(parts)
        if not part.startswith("__")
    ]
    return "\n".join(["| Part | Is | Imports | Only here |", "|---|---|---|---|", *rows])


def _path(part: str) -> str:
    return f"../validator/{part}.py" if _is_file(part) else f"../validator/{part}/__init__.py"


def _about(part: str) -> str:
    file = PACKAGE / (f"{part}.py" if _is_file(part) else f"{part}/__init__.py")
    return (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]


def _is_file(part: str) -> bool:
    return (PACKAGE / f"{part}.py").is_file()


def _rows(known: dict[str, set[str]]) -> list[list[list[str]]]:
    """The parts by layer, highest first, each near what it imports, at most so many in a row."""
    place: dict[str, float] = {}
    made = []
    for number, parts in enumerate(LAYERS):
        shown = [part for part in parts if not part.startswith("__")]
        below = {
            part: [place[o] for o in sorted(known[part]) if layer(o) < number] for part in shown
        }
        mean = {part: sum(at) / len(at) if at else 0.0 for part, at in below.items()}
        ordered = sorted(shown, key=lambda part: (mean[part], part))
        place |= {part: (n + 1) / (len(ordered) + 1) for n, part in enumerate(ordered)}
        if ordered:
            count = -(-len(ordered) // _ROW)
            each = -(-len(ordered) // count)
            made.append([ordered[n : n + each] for n in range(0, len(ordered), each)])
    return [*reversed(made), [[ALONE]]]


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """An arrow from an importer to what it imports: down, or below both where they are level."""
    x, y = start[0] + _BOX[0] // 2, start[1] + _BOX[1]
    if end[1] > y:
        to_x, to_y = end[0] + _BOX[0] // 2, end[1]
        bend = (to_y - y) // 2
        curve = f"M{x} {y}C{x} {y + bend} {to_x} {to_y - bend} {to_x} {to_y}"
    else:
        to_x, to_y = end[0] + _BOX[0] // 2 + (12 if start[0] > end[0] else -12), end[1] + _BOX[1]
        curve = f"M{x} {y}C{x} {y + 2 * _GAP} {to_x} {to_y + 2 * _GAP} {to_x} {to_y}"
    return f'<path class="import" marker-end="url(#head)" d="{curve}"/>'


def _box(part: str, x: int, y: int) -> str:
    lines = [part, *_lines(libraries(part))]
    first = y + _BOX[1] / 2 + 4 - 6 * (len(lines) - 1)
    texts = [
        f'<text class="{"library" if n else "part"}" x="{x + _BOX[0] // 2}" '
        f'y="{first + 13 * n:g}">{escape(line)}</text>'
        for n, line in enumerate(lines)
    ]
    box = f'<rect class="box" x="{x}" y="{y}" width="{_BOX[0]}" height="{_BOX[1]}" rx="6"/>'
    return "".join([box, *texts])


def _lines(names: list[str]) -> list[str]:
    """Names in lines that a box is wide enough for."""
    lines: list[str] = []
    for name in names:
        if lines and len(lines[-1]) + len(name) < 22:
            lines[-1] += f", {name}"
        else:
            lines.append(name)
    return lines


if __name__ == "__main__":
    PICTURE.write_text(picture())
    FILE.write_text(page())
