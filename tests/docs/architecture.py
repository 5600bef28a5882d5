"""Draws docs/architecture.svg, and writes the table of docs/architecture.md, from the code's imports.

`python -m tests.docs.architecture` writes both; the tests compare. The layers and the libraries are
those that tests/test_layers.py holds the code to.
"""

import ast
import textwrap
from html import escape

from tests.conftest import ROOT
from tests.test_layers import FILES, LAYERS, ONLY, PACKAGE, imported

PICTURE = ROOT / "docs" / "architecture.svg"
FILE = ROOT / "docs" / "architecture.md"
START, END = "<!-- generated: make docs -->", "<!-- end of generated -->"
ALONE = "emulator"
"""The package that no layer has: it imports nothing of the others, and is run as a program."""
KNOWN_BY_MANY = {"errors", "model", "findings"}
KNOWS_ALL = {"commands"}
"""Of no use to list what it imports: nearly all that there is."""

_WIDTH, _BOX, _ROW, _GAP, _LINE = 720, 158, 4, 14, 13
_STYLE = """
  text { font: 10px system-ui, sans-serif; fill: #57606a; text-anchor: middle; }
  .part { font-size: 13px; font-weight: 600; fill: #1f2328; } .library { fill: #3949ab; }
  .card { fill: #ffffff; } .band { fill: #eef1f6; } .box { fill: #ffffff; stroke: #9fa8da; }
  @media (prefers-color-scheme: dark) {
    text { fill: #a5b0bd; } .part { fill: #e6edf3; } .library { fill: #b3bcf0; }
    .card { fill: #161b22; } .band { fill: #21262f; } .box { fill: #0d1117; stroke: #5c6bc0; }
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
    """The picture: a band for each layer, highest first; each part with what it imports below it."""
    known, drawn, top = imports(), [], _GAP
    for layer in _layers():
        boxes, y = [], top + _GAP
        for row in (layer[n : n + _ROW] for n in range(0, len(layer), _ROW)):
            lines = {part: _lines(part, known[part]) for part in row}
            height = 10 + _LINE * max(map(len, lines.values()))
            x = (_WIDTH - len(row) * (_BOX + _GAP) + _GAP) // 2
            for part in row:
                boxes.append(_box(x, y, height, lines[part]))
                x += _BOX + _GAP
            y += height + _GAP
        drawn.append(
            f'<rect class="band" x="{_GAP}" y="{top}" width="{_WIDTH - 2 * _GAP}" '
            f'height="{y - top}" rx="8"/>'
        )
        drawn += boxes
        top = y + _GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" role="img" '
            'aria-labelledby="title">',
            '<title id="title">The parts of the validator in layers; imports point down.</title>',
            f"<style>{_STYLE}</style>",
            f'<rect class="card" width="{_WIDTH}" height="{top}" rx="12"/>',
            *drawn,
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


def _layers() -> list[list[str]]:
    """The parts by layer, highest first; what no layer has comes last."""
    parts = [sorted(each for each in layer if not each.startswith("__")) for layer in LAYERS]
    return [*filter(None, reversed(parts)), [ALONE]]


def _lines(part: str, known: set[str]) -> list[tuple[str, str]]:
    """What a box says, line by line, each with its class."""
    below = ["every part"] if part in KNOWS_ALL else sorted(known - KNOWN_BY_MANY)
    return [
        ("part", part),
        *(("imports", line) for line in _wrapped(below)),
        *(("library", line) for line in _wrapped(libraries(part))),
    ]


def _wrapped(names: list[str]) -> list[str]:
    """Names in lines that a box is wide enough for."""
    return textwrap.wrap(", ".join(names), _BOX // 6)


def _box(x: int, y: int, height: int, lines: list[tuple[str, str]]) -> str:
    first = y + (height - _LINE * len(lines)) // 2 + 10
    texts = [
        f'<text class="{kind}" x="{x + _BOX // 2}" y="{first + _LINE * n}">{escape(line)}</text>'
        for n, (kind, line) in enumerate(lines)
    ]
    box = f'<rect class="box" x="{x}" y="{y}" width="{_BOX}" height="{height}" rx="6"/>'
    return "".join([box, *texts])


if __name__ == "__main__":
    PICTURE.write_text(picture())
    FILE.write_text(page())
