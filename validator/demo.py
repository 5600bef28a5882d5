"""The whole life of an estate in one run: planned, applied, protected, extended, broken, mended."""

from collections.abc import Callable
from dataclasses import dataclass

from validator.errors import ToolError, UsageError
from validator.findings import Outcome
from validator.model import Unknown
from validator.operations import demo as stagecraft
from validator.operations.demo import BREAKAGES, Breakage, Stage
from validator.reconciliation import totals
from validator.reports import Run
from validator.reports.brief import new, to_brief


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands that the demo runs, each on the embedded AWS; each raises what it raises."""

    plan: Callable[[], Run]
    apply: Callable[[], None]
    deploy: Callable[[], str]
    extend: Callable[[], str]
    verify: Callable[[], Run]


def demo(stage: Stage, commands: Commands, say: Callable[[str], None]) -> None:
    """Runs it, and says what it does.

    Raises ToolError as soon as a step does not come out as promised, UsageError for an estate
    without a staging account.
    """
    env = stage.env
    if len(stage.accounts) < 2:
        raise UsageError(f"Env {env} has no staging account, so there is nothing to extend.")
    say(f"Plan: validator plan {env}")
    _held(commands.plan(), say)
    say(f"\nApply: validator apply {env}")
    commands.apply()
    say("\nInstances, tagged for DR")
    for account in stage.accounts:
        count = stagecraft.run(stage, account)
        say(f"  {account.name} ({account.id}): {count} run in {stage.source_region}")
    say(f"\nDeploy: validator deploy {env} --via lambda")
    say(commands.deploy())
    say(f"\nExtend: validator extend {env}")
    say(commands.extend())
    say(f"Verify: validator verify {env}")
    run = _held(commands.verify(), say)
    recoverable = _recoverable(run)
    for breakage in BREAKAGES:
        say(f"\nBreak: {breakage.title}")
        breakage.strike(stage)
        run = _found(breakage, run, commands.verify(), say)
    say(f"\nMend: validator plan {env}, validator apply {env}")
    _held(commands.plan(), say)
    commands.apply()
    for breakage in BREAKAGES:
        if breakage.mend is not None:
            breakage.mend(stage)
    say(f"\nVerify: validator verify {env}")
    mended = _recoverable(_held(commands.verify(), say))
    if mended != recoverable:
        raise ToolError(f"{recoverable} servers were recoverable; after mending it is {mended}.")
    say(
        f"\n{recoverable} source servers are recoverable from the target; "
        f"{len(BREAKAGES)} breakages were found, named and mended."
    )


def _held(run: Run, say: Callable[[str], None]) -> Run:
    say(to_brief(run))
    if run.verdict.outcome is not Outcome.HOLDS:
        raise ToolError(f"{run.command} should have held; its verdict is {run.verdict.outcome}.")
    return run


def _found(breakage: Breakage, before: Run, after: Run, say: Callable[[str], None]) -> Run:
    """The run after a breakage, which must name what was not wrong before."""
    say(to_brief(after, before))
    wrong = {each.invariant for each in new(after, before) if each.outcome is Outcome.VIOLATED}
    if breakage.invariant not in wrong:
        raise ToolError(f"{breakage.title}: {breakage.invariant} did not notice.")
    return after


def _recoverable(run: Run) -> int:
    """How many servers can be recovered from the target: all that are declared, or ToolError."""
    protected = totals(run.estate).protected
    planned = [account.planned for account in run.estate.protected]
    declared = sum(each for each in planned if not isinstance(each, Unknown))
    if not protected.lower == protected.upper == declared:
        raise ToolError(
            f"{declared} servers are declared, and {protected.lower} to {protected.upper} are "
            "recoverable."
        )
    return declared
