"""Evaluates one folder of Terraform code with tfparse, as a program of its own.

`python -m validator.sources.evaluate FOLDER FILE` prints the result as JSON. The evaluator is a Go
library: whatever it does to its process (a panic, a loop without end, a word on stderr) must not
happen to ours. Only this file knows tfparse.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from validator.errors import SourceError

SECONDS = 60.0
_REFUSED = 3
"""Exit status for code that tfparse refuses, with its reason on stdout."""


def evaluated(directory: Path, variables: str) -> dict[str, list[dict[str, Any]]]:
    """What tfparse makes of the code in a folder with one file of variables.

    Raises SourceError if it refuses the code, dies over it, or does not come to an end.
    """
    command = [sys.executable, "-m", "validator.sources.evaluate", str(directory), variables]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise SourceError(
            f"{directory}: not evaluated within {SECONDS:.0f} seconds; refusing to go on."
        ) from None
    if done.returncode == _REFUSED:
        raise SourceError(f"{directory}: {done.stdout.decode('utf-8', 'replace').strip()}")
    if done.returncode != 0:
        raise SourceError(f"{directory}: the evaluator died over it (status {done.returncode}).")
    try:
        found = json.loads(done.stdout)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{directory}: the evaluator gave no JSON ({error}).") from error
    if not isinstance(found, dict) or not found:
        raise SourceError(f"{directory}: there is no Terraform code in it.")
    return found


def main(directory: str, variables: str) -> int:
    """Prints the evaluated code; status 3 and a reason if tfparse refuses it."""
    import tfparse  # takes a moment that the parent need not spend

    try:
        found = tfparse.load_from_path(directory, vars_paths=[variables], stop_on_hcl_error=True)
    except tfparse.ParseError as error:
        print(f"cannot be evaluated: {error}.")
        return _REFUSED
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
