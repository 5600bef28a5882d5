"""`invariants` and `explain`: what is promised, why, and the remedy."""

import argparse

from validator.commands import Commands
from validator.errors import UsageError
from validator.invariants import INVARIANTS


def register(command: Commands) -> None:
    """Adds the command."""
    command("invariants", _invariants, "list the invariants")
    explain = command("explain", _explain, "say what an invariant promises, why, and the remedy")
    explain.add_argument("invariant", help="its name")


def _invariants(_: argparse.Namespace) -> int:
    """`invariants`: lists name and promise of each."""
    for each in INVARIANTS:
        print(f"{each.family}/{each.name}\n    {each.promise}")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    """`explain`: the promise, the reason and the remedy of one invariant."""
    found = [each for each in INVARIANTS if each.name == arguments.invariant]
    if not found:
        raise UsageError(
            f"There is no invariant {arguments.invariant!r}; `validator invariants` lists them."
        )
    (each,) = found
    print(f"{each.family}/{each.name}\n\n{each.promise}\n\n{each.why}\n\nRemedy: {each.remedy}")
    print(f"\nViews: {', '.join(each.views)}. Page: docs/invariants/{each.family}.md#{each.name}")
    return 0
