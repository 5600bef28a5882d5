"""Evaluates an env part by part, and no part twice: for tests that read hundreds of copies of one env.

Most of them change one module or one module call, and the evaluator takes most of the time of a reading.
"""

import contextlib
import os
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from validator.sources import evaluate, parts
from validator.sources.evaluate import Evaluated

_SIZE = 4
"""Module calls in a part: with fewer, what all parts share is evaluated too often."""
_WHOLE = parts.AT_ONCE
_BLANK = re.compile(r"^ +$", re.MULTILINE)
_begun, _part_begun = evaluate.begun, parts.part_begun
_known: dict[frozenset[tuple[str, str]], bytes] = {}
"""What the evaluator makes of code, by the names and contents of its files."""


def remember() -> None:
    """From now on this process reads envs so."""
    parts.AT_ONCE, evaluate.begun, parts.part_begun = _SIZE, _remembered, _part_remembered


def expect(*, one_part: bool) -> None:
    """Whether the next env differs in one part from a known one; else it is evaluated as a whole."""
    parts.AT_ONCE = _SIZE if one_part else _WHOLE


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """Envs are read so as long as the context lives."""
    before = parts.AT_ONCE, evaluate.begun, parts.part_begun
    remember()
    try:
        yield
    finally:
        parts.AT_ONCE, evaluate.begun, parts.part_begun = before


@contextlib.contextmanager
def _remembered(directory: Path, variables: str) -> Iterator[Callable[[], Evaluated]]:
    """As `evaluate.begun`, which is asked only for code that is not known yet."""
    with _asked_once(_files(directory), _begun(directory, variables)) as finished:
        yield finished


@contextlib.contextmanager
def _part_remembered(
    directory: Path, texts: Mapping[str, str], variables: str
) -> Iterator[Callable[[], Evaluated]]:
    """As `parts.part_begun`, which writes no copy of a part that is known."""
    # Of a call that stands in another part, only how many lines it has is left.
    own = {name: _BLANK.sub("", text) for name, text in texts.items()}
    with _asked_once(_files(directory, own), _part_begun(directory, texts, variables)) as finished:
        yield finished


@contextlib.contextmanager
def _asked_once(
    files: Iterator[tuple[str, str]],
    begun: contextlib.AbstractContextManager[Callable[[], Evaluated]],
) -> Iterator[Callable[[], Evaluated]]:
    key = frozenset(files)
    if key not in _known:
        with begun as finished:
            _known[key] = pickle.dumps(finished())
    yield lambda: pickle.loads(_known[key])


def _files(directory: Path, other: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """The name and content of each file that tests change, in a root module and in what it calls.

    The files in `other` have other contents.
    """
    called = set()
    for name, content in {**dict(_within(directory)), **(other or {})}.items():
        called |= set(re.findall(r'source += "(\.[^"]+)"', content))
        yield name, content
    for source in called:
        folder = directory / source
        if folder.is_dir():
            for name, content in _within(folder):
                yield f"{source} {name}", content


def _within(folder: Path) -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((".tf", ".tfvars")):
                # Tests spoil files: whatever bytes they hold.
                yield entry.name, os.fsdecode(Path(entry.path).read_bytes())
