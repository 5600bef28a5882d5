"""The command line: one function a command, and the exit status of each.

0: every invariant holds. 1: one is violated. 2: no verdict (something unknown, a tool that failed,
access denied, bad usage). This is the only module that knows every part.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from validator import apply, cloud, plan, verify
from validator.errors import UsageError, ValidatorError
from validator.findings import EXIT_STATUS, Outcome
from validator.invariants import INVARIANTS
from validator.project import Project
from validator.reports import REPORTS, Run
from validator.reports.text import to_text

NO_VERDICT = 2

Command = Callable[[argparse.Namespace, Project], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status; every error becomes status 2 and one message."""
    arguments = _parser().parse_args(argv)
    try:
        with _terminated_as_interrupt():
            return int(arguments.run(arguments))
    except ValidatorError as error:
        _say(f"error: {error}")
    except KeyboardInterrupt:
        _say("Interrupted; there is no verdict.")
    except BrokenPipeError:
        # The reader of stdout went away; what it did not read it cannot have judged.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if os.environ.get("VALIDATOR_TRACEBACK"):
            raise
        _say(
            f"error: {type(error).__name__}: {error}. This is a defect of the validator; "
            "VALIDATOR_TRACEBACK=1 shows where. There is no verdict."
        )
    return NO_VERDICT
