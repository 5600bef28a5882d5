"""Every mutant is noticed by the invariant that is named for it, and nothing else is made up."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Stage, run_validator
from tests.docs import mutation as docs
from tests.mutants import (
    ENV,
    HARMLESS,
    HARMLESS_PLANNED,
    MUTANTS,
    PLACED,
    PLANNED,
    TERRAFORM,
    TFVARS,
    Mutant,
    Planned,
    calls,
    condition_blocks,
    example,
    text,
)
from tests.mutation import applied, copied, judge_all, judge_plans, killed, verdict
from validator.findings import EXIT_STATUS, Outcome, Verdict
from validator.invariants import INVARIANTS

pytestmark = pytest.mark.slow
EXAMPLES = [each for each in map(example, (i.name for i in INVARIANTS)) if each is not None]
# What the function of continuous-verification may write to, and who may write to the topics and the
# queue, no invariant speaks of: tests/test_continuous.py and the modules' own tests hold them.
WRITES = {
    "modules/agent-deployer/alarms.tf",
    *(
        f"modules/continuous-verification/{name}.tf"
        for name in ("permissions", "schedule", "topics")
    ),
}
ENV_FILES = sorted(str(f.relative_to(TERRAFORM)) for f in TERRAFORM.glob(f"envs/{ENV}/*.tf"))
CALLED = {
    name for file in ENV_FILES for name in re.findall(r'"../../modules/([\w-]+)"', text(file))
}
POLICIES = sorted(
    {
        str(file.relative_to(TERRAFORM))
        for name in CALLED
        for file in TERRAFORM.glob(f"modules/{name}/*.tf")
    }
    - WRITES
)


@pytest.fixture(scope="module")
def found() -> dict[str, Verdict]:
    """The verdict on each mutant and each harmless edit of the code."""
    names = [*(each.name for each in MUTANTS), *HARMLESS]
    return dict(zip(names, judge_all([*MUTANTS, *HARMLESS.values()]), strict=True))


@pytest.fixture(scope="module")
def planned(planned_stage: Stage) -> dict[str, Verdict]:
    """The verdict on each change of a plan."""
    document = applied(planned_stage.document())
    changes = (*PLANNED, *HARMLESS_PLANNED)
    verdicts = judge_plans(document, changes)
    return dict(zip([each.name for each in changes], verdicts, strict=True))


def broken(of: Verdict) -> list[tuple[Any, ...]]:
    return [
        (f.invariant, f.subject, f.messages) for f in of.findings if f.outcome is not Outcome.HOLDS
    ]


@pytest.mark.parametrize("env", sorted(each.name for each in (TERRAFORM / "envs").iterdir()))
def test_a_good_env_has_no_finding(env: str) -> None:
    judged = verdict(TERRAFORM / "envs" / env, env)
    assert judged.findings and not broken(judged)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_a_mutant_is_killed(mutant: Mutant, found: dict[str, Verdict]) -> None:
    assert killed(mutant, found[mutant.name]), broken(found[mutant.name])


@pytest.mark.parametrize("mutant", PLANNED, ids=lambda each: each.name)
def test_a_planned_mutant_is_killed(mutant: Planned, planned: dict[str, Verdict]) -> None:
    assert killed(mutant, planned[mutant.name]), broken(planned[mutant.name])


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_edit_has_no_finding(name: str, found: dict[str, Verdict]) -> None:
    assert found[name].findings and not broken(found[name])


@pytest.mark.parametrize("change", HARMLESS_PLANNED, ids=lambda each: each.name)
def test_a_harmless_change_has_no_finding(change: Planned, planned: dict[str, Verdict]) -> None:
    assert planned[change.name].findings and not broken(planned[change.name])


def test_the_page_is_current(found: dict[str, Verdict], planned: dict[str, Verdict]) -> None:
    verdicts = found | planned
    kills = {each.name: killed(each, verdicts[each.name]) for each in docs.ALL}
    assert docs.FILE.read_text() == docs.page(kills), "run: make mutants"


# The status that a page on an invariant promises for its example.


@pytest.mark.parametrize("mutant", EXAMPLES, ids=lambda each: each.invariant)
def test_an_example_ends_as_promised(mutant: Mutant, found: dict[str, Verdict]) -> None:
    assert found[mutant.name].outcome is Outcome(mutant.outcome)


@pytest.mark.parametrize("outcome", ["violated", "unknown"])
def test_the_command_ends_a_mutant_with_its_status(
    outcome: str, found: dict[str, Verdict], tmp_path: Path
) -> None:
    mutant = next(
        each
        for each in MUTANTS
        if each.outcome == outcome and found[each.name].outcome is Outcome(outcome)
    )
    mutant.apply(copied(tmp_path / "terraform"))
    done = run_validator(tmp_path, "check", ENV)
    assert done.returncode == EXIT_STATUS[Outcome(outcome)]
    assert mutant.invariant in done.stdout


# What must have a mutant.


def test_every_invariant_of_code_or_plan_has_a_mutant() -> None:
    wanted = {each.name for each in INVARIANTS if set(each.views) & {"code", "plan"}}
    assert {each.invariant for each in docs.ALL} == wanted


def test_no_two_mutants_are_called_the_same() -> None:
    names = [*(each.name for each in (*docs.ALL, *HARMLESS_PLANNED)), *HARMLESS]
    assert sorted(names) == sorted(set(names))


def test_every_condition_is_left_out() -> None:
    kept = {
        (file, piece): text(file).count(piece)
        for file in POLICIES
        for piece in condition_blocks(text(file))
    }
    dropped: dict[tuple[str, str], set[int]] = {}
    for mutant in MUTANTS:
        at = text(mutant.file).find(mutant.before)
        for piece in condition_blocks(mutant.before):
            if mutant.after == mutant.before.replace(f"\n{piece}", "", 1):
                place = at + mutant.before.find(piece)
                dropped.setdefault((mutant.file, piece), set()).add(place)
    assert {each: len(places) for each, places in dropped.items()} == kept


def test_every_principal_is_swapped_twice_at_least() -> None:
    for file in POLICIES:
        for place in re.finditer(r"identifiers = .*", text(file)):
            swaps = [m for m in MUTANTS if m.file == file and changed_at(m, place)]
            assert len(swaps) >= 2, f"{file}: {place[0]}"


def test_every_number_is_changed() -> None:
    for place in re.finditer(r"^ *[\w-]+ += \d+$", text(TFVARS), re.M):
        found = any(m.file == TFVARS and changed_at(m, place) for m in MUTANTS)
        # How long ago a drill may be is judged of the accounts as they are.
        assert found is not place[0].startswith("drill_days"), place[0]


def test_every_role_of_the_estate_is_renamed() -> None:
    for file in POLICIES:
        for place in re.finditer(r'^  name +=.*"DRS.*$', text(file), re.M):
            assert any(m.file == file and changed_at(m, place) for m in MUTANTS), place[0]


def test_every_provider_is_unguarded() -> None:
    for file in ENV_FILES:
        for place in re.finditer(r"^ +allowed_account_ids.*$", text(file), re.M):
            assert any(m.file == file and changed_at(m, place) for m in MUTANTS), place[0]


def test_every_module_call_is_given_another_provider_and_left_out() -> None:
    placed, gone = set(), set()
    every = {(file, name): call for file in ENV_FILES for name, call in calls(file).items()}
    for (file, name), call in every.items():
        mine = [m for m in MUTANTS if m.file == file and m.before == call]
        placed |= {name for m in mine if m.invariant == PLACED and "providers" in changed_line(m)}
        gone |= {name for m in mine if not m.after}
    names = {name for _, name in every}
    assert placed == names
    # Tags are on instances that are not Terraform's: the verification of the accounts sees them. An
    # estate that is not verified continuously, or that nobody sees, is an estate all the same.
    unneeded = ("_continuous_verification", "_dashboards", "_instance_tags")
    assert names - gone == {name for name in names if name.endswith(unneeded)}


def changed_at(mutant: Mutant, place: "re.Match[str]") -> bool:
    """True if the mutant changes the line at a place of its file."""
    before = text(mutant.file)
    start = before.find(mutant.before)
    if start >= place.end() or start + len(mutant.before) <= place.start():
        return False
    after = before.replace(mutant.before, mutant.after, 1)
    return lines(after).count(place[0].strip()) < lines(before).count(place[0].strip())


def lines(of: str) -> list[str]:
    return [line.strip() for line in of.splitlines()]


def changed_line(mutant: Mutant) -> str:
    """The lines that a mutant takes away."""
    after = mutant.after.splitlines()
    return "\n".join(line for line in mutant.before.splitlines() if line not in after)
