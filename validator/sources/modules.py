"""The module calls of an env as a tree, with the blocks of each module and what may not stand there."""

import functools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from validator.errors import SourceError
from validator.sources import hcl
from validator.sources.hcl import Block, Expression

_DEEPEST = 32
"""How many modules are followed into each other."""
_MOST = 5_000
"""How many module calls an env may have."""
_NAME = re.compile(r"[^\W\d][\w-]*")
_NAMED_ONCE = frozenset(["data", "ephemeral", "module", "output", "resource", "variable"])
"""Types of block of which Terraform takes each name once."""
_NAMED = _NAMED_ONCE | {"check", "provider"}
"""Types of block whose labels are names."""


@dataclass(frozen=True, eq=False)
class Module:
    """One module call, or the root: its blocks and where it was called from.

    `address` has no indices. `children` are the calls of local modules by their name; other calls
    have no code here.
    """

    address: str
    directory: Path
    blocks: tuple[tuple[Path, Block], ...]
    parent: "Module | None" = None
    call: Block | None = None
    children: dict[str, "Module"] = field(default_factory=dict)

    @functools.cached_property
    def locals(self) -> Mapping[str, Expression]:
        """The local values by name."""
        found: dict[str, Expression] = {}
        for _, block in self.blocks:
            if block.type == "locals":
                found |= block.attributes
        return found

    @functools.cached_property
    def named(self) -> Mapping[tuple[str, ...], tuple[Path, Block]]:
        """Each block that has labels, with its file, by its type and labels."""
        return {(b.type, *b.labels): (file, b) for file, b in self.blocks if b.labels}

    def get(self, *name: str) -> Block | None:
        """The block of a type and labels, None if there is none."""
        found = self.named.get(name)
        return found[1] if found else None

    def of_type(self, type_: str) -> Iterator[tuple[Path, Block]]:
        """The blocks of one type, each with its file."""
        return ((file, block) for file, block in self.blocks if block.type == type_)

    def static(self, *name: str) -> str:
        """An address in this module, without indices."""
        return ".".join(filter(None, (self.address, *name)))

    def every(self) -> Iterator["Module"]:
        """The module, and every one under it."""
        yield self
        for child in self.children.values():
            yield from child.every()


def load(directory: Path) -> Module:
    """The root module in a folder, with all that it calls.

    Raises SourceError for code that is missing, broken, or calls itself, for a name that is given
    twice, and for files that Terraform and this view would read differently.
    """
    return _load("", directory, None, None, (), [0])


def _load(
    address: str,
    directory: Path,
    parent: Module | None,
    call: Block | None,
    callers: tuple[Path, ...],
    count: list[int],
) -> Module:
    real = directory.resolve()
    count[0] += 1
    if real in callers or len(callers) > _DEEPEST:
        raise SourceError(f"{directory}: this module calls itself.")
    if count[0] > _MOST:
        raise SourceError(f"{directory}: the env has more than {_MOST} module calls.")
    if not directory.is_dir():
        raise SourceError(f"{directory}: module {address or 'root'} is missing.")
    files = _files(directory)
    if not files:
        raise SourceError(f"{directory}: there is no Terraform code in it.")
    blocks = tuple((file, block) for file in files for block in hcl.block(file).blocks)
    _refuse_names(blocks)
    module = Module(address, directory, blocks, parent, call)
    for _, block in module.of_type("module"):
        source = block.attributes.get("source")
        if not block.labels or source is None:
            continue
        path = source.text.strip('"')
        if path.startswith(("./", "../")):
            name = block.labels[0]
            module.children[name] = _load(
                module.static("module", name),
                Path(os.path.normpath(directory / path)),
                module,
                block,
                (*callers, real),
                count,
            )
    return module


def _files(directory: Path) -> list[Path]:
    """The files of code in a folder; raises SourceError for one that would be read differently."""
    found = []
    try:
        listed = sorted(directory.iterdir())
    except OSError as error:
        raise SourceError(f"{directory}: cannot be read: {error.strerror or error}.") from error
    for file in listed:
        name = file.name
        odd = None
        if name.endswith((".tf.json", ".tofu", ".tofu.json")):
            odd = "only Terraform's own syntax (*.tf) is read"
        elif name == "override.tf" or name.endswith("_override.tf"):
            odd = "override files are not read"
        elif name.endswith(".tf") and name.startswith("."):
            odd = "Terraform ignores a file whose name begins with a dot"
        if odd is not None:
            raise SourceError(f"{file}: {odd}. Move what it declares into an ordinary *.tf file.")
        if name.endswith(".tf"):
            found.append(file)
    return found


def _refuse_names(blocks: tuple[tuple[Path, Block], ...]) -> None:
    """Raises SourceError for a block or local value whose name is none, or is given twice."""
    places: dict[tuple[str, ...], str] = {}
    for file, block in blocks:
        names: list[tuple[tuple[str, ...], int]] = []
        odd = next((label for label in block.labels if not _NAME.fullmatch(label)), None)
        if odd is not None and block.type in _NAMED:
            raise SourceError(
                f"{file}:{block.line}: {odd!r} is no name. Terraform refuses this: a name has "
                "letters, digits, underscores and dashes."
            )
        if block.type in _NAMED_ONCE:
            names.append(((block.type, *block.labels), block.line))
        elif block.type == "locals":
            names += [(("local", name), each.line) for name, each in block.attributes.items()]
        for name, line in names:
            if name in places:
                raise SourceError(
                    f"{file}:{line}: {'.'.join(name)} is declared again; first in {places[name]}. "
                    "Terraform refuses this: remove one of them."
                )
            places[name] = f"{file}:{line}"
