"""Writes docs/mutation.md: every mutant, the invariant that must notice it, and how many it noticed.

`python -m tests.docs.mutation` judges all of them, which takes minutes; the tests compare.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conftest import ROOT, planned
from tests.docs.pages import PAGES
from tests.mutants import HARMLESS, HARMLESS_PLANNED, MUTANTS, PLANNED, Mutant, Planned
from tests.mutation import applied, judge_all, judge_plans, killed
from validator.invariants import INVARIANTS

FILE = PAGES.parent / "mutation.md"
ALL: tuple[Mutant | Planned, ...] = (*MUTANTS, *PLANNED)
_FAMILY = {each.name: each.family for each in INVARIANTS}


def page(kills: Mapping[str, bool]) -> str:
    """The page, from whether each mutant was noticed."""
    families = list(dict.fromkeys(_FAMILY[each.name] for each in INVARIANTS))
    by_family = {f: [m for m in ALL if _FAMILY[m.invariant] == f] for f in families}
    tables = [
        f"## {family.capitalize()}\n\n{_table(mutants, kills)}"
        for family, mutants in by_family.items()
        if mutants
    ]
    counts = [
        f"| {family} | {_counted(mutants, kills)} |"
        for family, mutants in by_family.items()
        if mutants
    ]
    harmless = len(HARMLESS) + len(HARMLESS_PLANNED)
    return (
        "\n\n".join(
            [
                "# Mutation",
                "<!-- generated: make mutants -->",
                "A mutant is a good env with one thing broken: an edit of its code, or a change in its "
                "plan. It counts as killed if the one invariant that is named for it finds it, with the "
                "outcome that is named; what other invariants say of it does not count. "
                f"{harmless} harmless edits and changes are judged beside them, and no invariant finds "
                "anything in those.",
                "\n".join(
                    [
                        "| Family | Mutants | Killed | Rate |",
                        "|---|--:|--:|--:|",
                        *counts,
                        f"| **all** | {_counted(ALL, kills)} |",
                    ]
                ),
                "Invariants that only the accounts as they are can break have no mutants here.",
                *tables,
            ]
        )
        + "\n"
    )


def _counted(mutants: Sequence[Mutant | Planned], kills: Mapping[str, bool]) -> str:
    count = sum(kills[each.name] for each in mutants)
    return f"{len(mutants)} | {count} | {100 * count / len(mutants):.1f} %"


def _table(mutants: Sequence[Mutant | Planned], kills: Mapping[str, bool]) -> str:
    rows = [
        f"| {each.name.replace('*', chr(92) + '*')} | `{each.invariant}` | {each.outcome} "
        f"| {'killed' if kills[each.name] else '**survived**'} |"
        for each in mutants
    ]
    return "\n".join(["| Mutant | Invariant | Outcome | |", "|---|---|---|---|", *rows])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder)
        shutil.copytree(ROOT / "terraform", checkout / "terraform")
        planned(checkout)
        document = json.loads((checkout / "plan.json").read_text())
        verdicts = [*judge_all(MUTANTS), *judge_plans(applied(document), PLANNED)]
    results = {each.name: killed(each, v) for each, v in zip(ALL, verdicts, strict=True)}
    FILE.write_text(page(results))
    print(f"{sum(results.values())} of {len(results)} mutants killed.")
