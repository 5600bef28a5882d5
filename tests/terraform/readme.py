"""Writes each module's README.md: its purpose, inputs and outputs, from the module's own code.

`python -m tests.terraform.readme` writes all; the tests compare.
"""

import re
from pathlib import Path

import hcl2
from hcl2.utils import SerializationOptions

MODULES = Path(__file__).parents[2] / "terraform" / "modules"
_OPTIONS = SerializationOptions(
    strip_string_quotes=True, explicit_blocks=False, with_comments=False
)
_START, _END = "<!-- generated: make docs -->", "<!-- end of generated -->"


def readme(module: Path) -> str:
    """The README of a module: what stands in it by hand, with its tables made anew."""
    file = module / "README.md"
    text = file.read_text() if file.exists() else f"# {module.name}\n\n{_START}\n{_END}\n"
    before, _, rest = text.partition(_START)
    _, _, after = rest.partition(_END)
    return f"{before}{_START}\n{_tables(module)}{_END}{after}"


def _tables(module: Path) -> str:
    lines = ["", "| Input | Type | Default | |", "|---|---|---|---|"]
    for name, body in _blocks(module / "variables.tf", "variable"):
        kind = " ".join(re.sub(r"^\$\{(.*)\}$", r"\1", str(body["type"]), flags=re.S).split())
        default = f"`{str(body['default']).lower()}`" if "default" in body else "required"
        lines.append(f"| `{name}` | `{kind}` | {default} | {body['description']} |")
    lines += ["", "| Output | |", "|---|---|"]
    for name, body in _blocks(module / "outputs.tf", "output"):
        lines.append(f"| `{name}` | {body['description']} |")
    return "\n".join([*lines, "", ""])


def _blocks(file: Path, kind: str) -> list[tuple[str, dict[str, object]]]:
    document = hcl2.loads(file.read_text(), serialization_options=_OPTIONS)
    return [(name, body) for block in document.get(kind, []) for name, body in block.items()]


if __name__ == "__main__":
    for each in sorted(MODULES.iterdir()):
        (each / "README.md").write_text(readme(each))
