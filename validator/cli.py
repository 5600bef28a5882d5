"""The command line: every command under one parser, and the exit status of each.

0: every invariant holds. 1: one is violated. 2: no verdict (something unknown, a tool that failed,
access denied, bad usage).
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from validator.commands import (
    apply,
    authoring,
    bootstrap,
    check,
    demo,
    deploy,
    diagnose,
    emulator,
    evidence,
    extend,
    forecast,
    gate,
    invariants,
    package,
    plan,
    recovery_plans,
    reporting,
    size,
    verify,
)
from validator.errors import ValidatorError

_COMMANDS = (
    check,
    plan,
    gate,
    bootstrap,
    apply,
    deploy,
    extend,
    recovery_plans,
    verify,
    diagnose,
    evidence,
    demo,
    package,
    size,
    forecast,
    authoring,
    emulator,
    invariants,
)
"""In the order in which the help lists them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status; every error becomes status 2 and one message."""
    try:
        arguments = _parser().parse_args(argv)
        with _terminated_as_interrupt():
            status: int = arguments.run(arguments)
            sys.stdout.flush()
            return status
    except ValidatorError as error:
        reporting.say(f"error: {error}")
    except KeyboardInterrupt:
        reporting.say("Interrupted: there is no verdict.")
    except BrokenPipeError:
        _abandon_stdout()
    except OSError as error:
        _abandon_stdout()
        reporting.say(
            f"error: {error.filename or 'the output'}: {error.strerror or error}. Is the disk full, or "
            "the folder not writable? There is no verdict."
        )
    except Exception as error:
        if os.environ.get("VALIDATOR_TRACEBACK"):
            raise
        reporting.say(
            f"error: {type(error).__name__}: {error}. This is a defect of the validator: there is "
            "no verdict. VALIDATOR_TRACEBACK=1 shows where it is."
        )
    return reporting.NO_VERDICT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="validator",
        description="Plans, proves, applies and verifies an estate of AWS Elastic Disaster "
        "Recovery that is spread over several accounts.",
        epilog="Exit status: 0 all hold, 1 violated, 2 no verdict.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> Any:
        made = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        made.set_defaults(run=run)
        return made

    for each in _COMMANDS:
        each.register(command)
    return parser


def _abandon_stdout() -> None:
    """What cannot be written to stdout does not fail a second time at exit, with another status."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt: children end, and nothing half-written stays."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    # One that is ignored, as under nohup, stays ignored.
    caught = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]
    for number in caught:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)
