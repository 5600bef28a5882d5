"""Evaluates folders of Terraform code with tfparse, in a process of its own.

`python -m validator.sources.evaluate` reads one JSON list `[FOLDER, FILE]` a line and answers each
with one line of JSON. The evaluator is a Go library: whatever it does to its process (a panic, a
loop without end, a word on stderr, all the memory) must not happen to ours. The process is kept for
the next folder, since starting it takes longer than an answer. Only this file knows tfparse.
"""

import atexit
import contextlib
import json
import os
import resource
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from validator.errors import SourceError

SECONDS = 60.0
_MEMORY = 4 * 1024**3
"""Bytes of data that the evaluator may hold."""

Evaluated = dict[str, list[dict[str, Any]]]

_ANSWERS = 100
"""Answers after which a process is replaced: the evaluator never gives its memory back."""

_idle: "list[tuple[subprocess.Popen[bytes], int]]" = []
"""The processes that wait for a folder, with the answers that each has given."""
# A forked process must not talk to its parent's evaluator: their answers would mix.
os.register_at_fork(after_in_child=_idle.clear)


@contextlib.contextmanager
def begun(directory: Path, variables: str) -> Iterator[Callable[[], Evaluated]]:
    """Begins to evaluate the code in a folder with one file of variables.

    The function that it yields waits for the end and returns what tfparse makes of the code. It
    raises SourceError if tfparse refuses the code, dies over it, or does not come to an end.
    """
    process, answers = _idle.pop() if _idle else (_start(), 0)
    answered = False

    def finished() -> Evaluated:
        nonlocal answered
        answer = _answer(process, directory)
        answered = True
        if "refused" in answer:
            raise SourceError(f"{directory}: cannot be evaluated: {answer['refused']}.")
        found = answer.get("found")
        if not isinstance(found, dict) or not found:
            raise SourceError(f"{directory}: there is no Terraform code in it.")
        return found

    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died; its end of output will say so
            process.stdin.write(json.dumps([str(directory), variables]).encode() + b"\n")
            process.stdin.flush()
        yield finished
    finally:
        if answered and answers + 1 < _ANSWERS:
            _idle.append((process, answers + 1))
        else:
            _stop(process)


def _start() -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "validator.sources.evaluate"]
    pipe = subprocess.PIPE
    # Its garbage is collected less often: it lives for a few answers only, within _MEMORY.
    environment = {**os.environ, "GOGC": "400"}
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment
    )


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.communicate()


@atexit.register
def _stop_all() -> None:
    while _idle:
        _stop(_idle.pop()[0])


def _answer(process: "subprocess.Popen[bytes]", directory: Path) -> dict[str, Any]:
    assert process.stdout is not None
    line = _line(process.stdout, directory)
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise SourceError(
            f"{directory}: the evaluator died over it. To see why: "
            f"echo '{json.dumps([str(directory), 'estate.auto.tfvars'])}' | "
            "python -m validator.sources.evaluate"
        )
    return answer


def _line(stream: IO[bytes], directory: Path) -> bytes:
    """The next line, as far as there is one; raises SourceError after SECONDS."""
    until, found = time.monotonic() + SECONDS, bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while not found.endswith(b"\n"):
            if not selector.select(until - time.monotonic()):
                raise SourceError(
                    f"{directory}: not evaluated within {SECONDS:.0f} seconds; refusing to go on."
                )
            read = stream.read1(1 << 20)  # type: ignore[attr-defined]
            if not read:
                break
            found += read
    return bytes(found)


def main() -> int:
    """Answers every line of stdin, until it ends."""
    import tfparse  # takes a moment that the parent need not spend

    with contextlib.suppress(OSError, ValueError):  # not every system keeps this limit
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    for line in sys.stdin:
        directory, variables = json.loads(line)
        try:
            found = tfparse.load_from_path(
                directory, vars_paths=[variables], stop_on_hcl_error=True
            )
            answer = {"found": found}
        except tfparse.ParseError as error:
            answer = {"refused": str(error)}
        print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
