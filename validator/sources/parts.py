"""A large root module evaluated in parts, each with some of its module calls.

NOTE: the evaluator stops after 32 evaluations of module calls in one folder (maxContextIterations in
Trivy's evaluator, which tfparse is made of), and the calls that are left show no resources. An env with
three staging accounts has more. So a larger one is evaluated as several copies of the folder, each with
the module calls of the other parts blanked out, line for line.
"""

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from validator.sources import evaluate, hcl
from validator.sources.evaluate import Evaluated
from validator.sources.hcl import Block

AT_ONCE = 26
"""Module calls that are evaluated together, with some room for those that are evaluated twice."""

_CALL = re.compile(r"""^\s*module\s*["']?[\w-]""", re.MULTILINE)
_Place = tuple[str, int, int]
"""A module call by its name, and where its text begins and ends."""
_LEVELS = 3
"""Folders above an env that its code may refer to: `terraform/envs`, `terraform`, the checkout."""


@contextlib.contextmanager
def begun(directory: Path, variables: str) -> Iterator[Callable[[], Evaluated]]:
    """As `evaluate.begun`, for a folder with any number of module calls."""
    files = sorted(directory.glob("*.tf"))
    if sum(len(_CALL.findall(hcl.text(file))) for file in files) <= AT_ONCE:
        with evaluate.begun(directory, variables) as finished:
            yield finished
        return
    first, *others = _parts({file: hcl.block(file) for file in files})
    every = first.union(*others)
    texts = {file.name: _placed(file) for file in files}
    with part_begun(directory, _without(texts, every - first), variables) as finished:

        def joined() -> Evaluated:
            found = _own(finished(), first, root=True)
            for part in others:
                left = _without(texts, every - part)
                with part_begun(directory, left, variables) as finished_part:
                    for kind, items in _own(finished_part(), part, root=False).items():
                        found.setdefault(kind, []).extend(items)
            return found

        yield joined


@contextlib.contextmanager
def part_begun(
    directory: Path, texts: Mapping[str, str], variables: str
) -> Iterator[Callable[[], Evaluated]]:
    """As `evaluate.begun`, for a folder whose Terraform files hold other texts, given by their names."""
    with tempfile.TemporaryDirectory() as folder:
        copy = _copied(directory, Path(folder), texts)
        with evaluate.begun(copy, variables) as finished:
            yield finished


def _parts(files: dict[Path, Block]) -> list[frozenset[str]]:
    """The names of the module calls, part by part: calls that refer to each other stay together.

    In the first are those that the root itself refers to.
    """
    calls = {
        each.labels[0]: _called(each)
        for file in files.values()
        for each in file.of_type("module")
        if each.labels
    }
    groups = {name: frozenset([name]) for name in calls}
    for name, others in calls.items():
        together = groups[name].union(*(groups[each] for each in others if each in calls))
        groups |= dict.fromkeys(together, together)
    root = frozenset(
        name
        for file in files.values()
        for each in file.blocks
        if each.type != "module"
        for name in _called(each)
    )
    first = frozenset[str]().union(*(groups[name] for name in root if name in calls))
    parts = [first]
    for group in dict.fromkeys(groups[name] for name in sorted(calls)):
        if group <= first:
            continue
        if len(parts[-1]) + len(group) > AT_ONCE:
            parts.append(group)
        else:
            parts[-1] |= group
    return parts


def _called(block: Block) -> set[str]:
    """The module calls that a block refers to."""
    found = {
        reference[1]
        for each in block.attributes.values()
        for reference in each.references
        if reference[0] == "module" and len(reference) > 1
    }
    return found.union(*(_called(each) for each in block.blocks))


def _own(found: Evaluated, part: frozenset[str], *, root: bool) -> Evaluated:
    """What a part shows of its own module calls and, if asked for, of the root."""
    kept: Evaluated = {}
    for kind, items in found.items():
        for item in items:
            path = str(item["__tfmeta"]["path"])
            call = path.removeprefix("module.").split(".")[0].split("[")[0]
            if call in part if path.startswith("module.") else root:
                kept.setdefault(kind, []).append(item)
    return kept


def _placed(file: Path) -> tuple[str, list[_Place]]:
    """The text of a file, and where its module calls stand in it."""
    text = hcl.text(file)
    nodes = hcl.subtrees(hcl.body(hcl.tree_of(file, text)), "block")
    return text, [
        (words[1], node.meta.start_pos, node.meta.end_pos)
        for node in nodes
        if (words := hcl.words(node))[0] == "module" and len(words) > 1
    ]


def _without(
    texts: Mapping[str, tuple[str, list[_Place]]], calls: frozenset[str]
) -> dict[str, str]:
    """The texts with some module calls blanked out."""
    found = {}
    for name, (text, places) in texts.items():
        for called, start, end in places:
            if called in calls:
                text = text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]
        found[name] = text
    return found


def _copied(directory: Path, folder: Path, texts: Mapping[str, str]) -> Path:
    """A copy of a root module among links to what stands around it, with these Terraform files."""
    real, beside = directory.resolve(), []
    for each in [real, *real.parents][:_LEVELS]:
        beside.append((each.name, each.parent))
    copy = folder.joinpath(*(name for name, _ in reversed(beside)))
    copy.mkdir(parents=True)
    at = copy
    for name, parent in beside:
        at = at.parent
        for entry in parent.iterdir():
            if entry.name != name:
                (at / entry.name).symlink_to(entry)
    for name, text in texts.items():
        (copy / name).write_text(text)
    for entry in real.iterdir():
        if entry.suffix != ".tf":
            (copy / entry.name).symlink_to(entry)
    return copy
