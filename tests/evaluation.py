"""Evaluates an env part by part, and no part twice: for tests that read hundreds of copies of one env.

Most of them change one module or one module call, and the evaluator takes most of the time of a reading.
"""

import contextlib
import os
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from validator.sources import evaluate, parts
from validator.sources.evaluate import Evaluated

_SIZE = 4
"""Module calls in a part: with fewer, what all parts share is evaluated too often."""
_WHOLE = parts.AT_ONCE
_BLANK = re.compile(rb"^ +$", re.MULTILINE)
_begun = evaluate.begun
_known: dict[frozenset[tuple[str, bytes]], bytes] = {}
"""What the evaluator makes of code, by the names and contents of its files."""


def remember() -> None:
    """From now on this process reads envs so."""
    parts.AT_ONCE, evaluate.begun = _SIZE, _remembered


def expect(*, one_part: bool) -> None:
    """Whether the next env differs in one part from a known one; else it is evaluated as a whole."""
    parts.AT_ONCE = _SIZE if one_part else _WHOLE


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """Envs are read so as long as the context lives."""
    before = parts.AT_ONCE, evaluate.begun
    remember()
    try:
        yield
    finally:
        parts.AT_ONCE, evaluate.begun = before


@contextlib.contextmanager
def _remembered(directory: Path, variables: str) -> Iterator[Callable[[], Evaluated]]:
    """As `evaluate.begun`, which is asked only for code that is not known yet."""
    files = frozenset(_files(directory))
    if files not in _known:
        with _begun(directory, variables) as finished:
            _known[files] = pickle.dumps(finished())
    yield lambda: pickle.loads(_known[files])


def _files(directory: Path) -> Iterator[tuple[str, bytes]]:
    """The name and content of each file that tests change, in a root module and in what it calls."""
    called = set()
    for name, content in _within(directory):
        called |= set(re.findall(rb'source += "(\.[^"]+)"', content))
        yield name, content
    for source in called:
        folder = directory / os.fsdecode(source)
        if folder.is_dir():
            for name, content in _within(folder):
                yield f"{source!r} {name}", content


def _within(folder: Path) -> Iterator[tuple[str, bytes]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((".tf", ".tfvars")):
                # Of a call that stands in another part, only how many lines it has is left.
                yield entry.name, _BLANK.sub(b"", Path(entry.path).read_bytes())
