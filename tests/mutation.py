"""Judges mutants: in copies of the env's code, and in copies of its plan."""

import copy
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests import evaluation
from tests.mutants import AT_LOST, ENV, TERRAFORM, Edit, Mutant, Planned, text
from validator.findings import Outcome, Verdict
from validator.invariants import INVARIANTS, judge
from validator.sources import code, plan, tfvars

Json = dict[str, Any]


def verdict(directory: Path, env: str) -> Verdict:
    """The verdict on the code of an env."""
    return judge(code.read(directory, tfvars.read(directory), env), INVARIANTS)


def copied(folder: Path) -> Path:
    """A copy of the mutants' env and its modules in a folder: the copy of terraform/."""
    for part in (f"envs/{ENV}", "modules"):
        shutil.copytree(
            TERRAFORM / part, folder / part, ignore=shutil.ignore_patterns(".terraform")
        )
    return folder


def judge_all(mutants: Sequence[Mutant | Edit]) -> list[Verdict]:
    """The verdict on the code of each mutant, judged by two processes at once."""
    # NOTE: processes of their own: a fork would share the pipe to the evaluator with its parent.
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(2, get_context("spawn"), evaluation.remember) as pool,
    ):
        return list(pool.map(partial(_judged, Path(folder)), mutants, chunksize=4))


def _judged(folder: Path, mutant: Mutant | Edit) -> Verdict:
    """The verdict on a mutant, made and unmade in this process's copy of the code."""
    own = folder / str(os.getpid())
    if not own.exists():
        copied(own)
    try:
        mutant.apply(own)
        evaluation.expect(one_part=_is_of_one_module(mutant))
        return verdict(own / "envs" / ENV, ENV)
    finally:
        edits = [mutant, mutant.given] if isinstance(mutant, Mutant) else [mutant]
        for edit in filter(None, edits):
            shutil.copyfile(TERRAFORM / edit.file, own / edit.file)


def _is_of_one_module(edit: Mutant | Edit) -> bool:
    """True for an edit of a module or of a module call."""
    if edit.file.startswith("modules/"):
        return True
    above, _, _ = text(edit.file).partition(edit.before)
    first, _, _ = edit.before.lstrip("\n").partition("\n")
    *_, opened = re.findall(r"^\w.*", f"{above}{first}", re.MULTILINE)
    return opened.startswith("module ")


def killed(mutant: Mutant | Planned, found: Verdict) -> bool:
    """True if the mutant's invariant finds something in it, with the expected outcome."""
    wanted = Outcome(mutant.outcome)
    return any(f.invariant == mutant.invariant and f.outcome is wanted for f in found.findings)


def applied(document: Json) -> Json:
    """The plan of the env, as if all that it makes were there already."""
    document = copy.deepcopy(document)
    for each in document["resource_changes"]:
        if each["mode"] == "managed":
            each["change"] |= {"actions": ["no-op"], "before": each["change"]["after"]}
    return document


def judge_plans(document: Json, changes: Sequence[Planned]) -> list[Verdict]:
    """The verdict on the plan of an applied env with each of the changes in it."""
    directory = TERRAFORM / "envs" / ENV
    declared = tfvars.read(directory)
    written = code.read(directory, declared, ENV)
    return [
        judge(plan.beside(plan.read(_changed(document, each), declared, ENV), written), INVARIANTS)
        for each in changes
    ]


def _changed(document: Json, planned: Planned) -> Json:
    """A copy of the plan with one resource changed."""
    copied = copy.deepcopy(document)
    changes = copied["resource_changes"]
    if planned.address == AT_LOST:
        changes.append(_table(changes[0]))
    (found,) = [each for each in changes if each["address"] == planned.address]
    change = found["change"]
    change["actions"] = list(planned.actions)
    change["before"] = change["before"] | dict(planned.other)
    if planned.actions == ("no-op",):
        change["after"] = change["before"]
    else:
        change["after_unknown"] = {}
    if planned.actions == ("delete",):
        change["after"] = None
    return copied


def _table(like: Mapping[str, Any]) -> Json:
    """The change of a DynamoDB table that stands in the root module and in no known account."""
    return {
        **like,
        "address": AT_LOST,
        "change": {"before": {"name": "lost"}, "after": {"name": "lost"}},
        "mode": "managed",
        "module_address": "",
        "name": "lost",
        "type": "aws_dynamodb_table",
    }
