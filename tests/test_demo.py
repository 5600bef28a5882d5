"""The demo: an estate's whole life as a person sees it, and that it ends where a step fails."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ROOT, Validator
from tests.docs.tour import missing
from tests.invariants.complete import complete
from validator import demo
from validator.demo import Commands
from validator.errors import ToolError, UsageError
from validator.findings import Outcome, Verdict
from validator.invariants import INVARIANTS, judge
from validator.model import Estate
from validator.operations.demo import BREAKAGES, Breakage, Stage
from validator.reports import Run
from validator.sources import tfvars

NOTICED = "extensions-are-healthy"


@pytest.mark.slow
def test_the_whole_life_of_an_estate(checkout: Path, called: Validator) -> None:
    done = called("demo", "staging")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("recoverable from the target: 600 of 600 planned") == 2
    *_, first = done.stdout.partition("Break: ")
    acts = first.split("Break: ")
    assert len(acts) == len(BREAKAGES)
    for breakage, act in zip(BREAKAGES, acts, strict=True):
        assert act.startswith(breakage.title)
        assert f"violated {breakage.invariant}" in act.split("Mend: ")[0]
    assert not missing("validator demo staging", done.stdout)


def test_the_demo_keeps_off_aws(called: Validator) -> None:
    done = called("demo", "staging", CLOUD="aws")
    assert done.returncode == 2
    assert "runs on the embedded AWS only" in done.stderr


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage on which nothing is served: servers and breakages are taken as done."""
    strike = Breakage("Something is taken away", NOTICED, lambda _: None)
    monkeypatch.setattr(demo, "BREAKAGES", (strike,))
    monkeypatch.setattr("validator.operations.demo.run", lambda *_: 1)
    declared = tfvars.read(ROOT / "terraform/envs/staging")
    return Stage("http://127.0.0.1:1", declared, None)  # type: ignore[arg-type]


def whole(*, planned: int = 1) -> Estate:
    """An estate of which one server in the target and one in the staging account are recoverable."""
    found = complete("live")
    target = replace(found.target, planned=planned, servers=found.target.servers)
    return replace(found, target=target, staging=(replace(found.staging[0], planned=1),))


def seen(estate: Estate, *wrong: str, command: str = "verify") -> Run:
    """A run in which these invariants are violated, and all others hold."""
    held = (replace(f, outcome=Outcome.HOLDS) for f in judge(estate, INVARIANTS).findings)
    findings = tuple(
        replace(each, outcome=Outcome.VIOLATED) if each.invariant in wrong else each
        for each in held
    )
    return Run(command, "staging", "the embedded AWS", estate, Verdict(findings))


def played(stage: Stage, plans: list[Run], verifications: list[Run]) -> list[str]:
    """What the demo says when its commands come out so."""
    told: list[str] = []
    planned, verified = iter(plans), iter(verifications)
    commands = Commands(
        plan=lambda: next(planned),
        apply=lambda: None,
        deploy=lambda: "deployed",
        extend=lambda: "extended",
        verify=lambda: next(verified),
    )
    demo.demo(stage, commands, told.append)
    return told


def test_what_is_found_and_mended_is_counted(stage: Stage) -> None:
    good, bad = seen(whole()), seen(whole(), NOTICED)
    told = played(stage, [good, good], [good, bad, good])
    assert "2 source servers are recoverable from the target; 1 breakages were" in told[-1]


@pytest.mark.parametrize(
    ("plans", "verifications", "message"),
    [
        ("b", "", "plan should have held; its verdict is violated"),
        ("g", "b", "verify should have held; its verdict is violated"),
        ("g", "s", "2 are recoverable"),
        ("g", "gg", f"{NOTICED} did not notice"),
        ("gg", "gbb", "verify should have held"),
        ("gg", "gbs", "2 are recoverable"),
    ],
    ids=[
        "a plan that does not hold",
        "a verification that does not hold",
        "servers that are not recoverable",
        "a breakage that is not noticed",
        "a breakage that is not mended",
        "servers that are lost in mending",
    ],
)
def test_the_demo_ends_where_it_does_not_go_as_promised(
    stage: Stage, plans: str, verifications: str, message: str
) -> None:
    makers: dict[str, Callable[[str], Run]] = {
        "g": lambda command: seen(whole(), command=command),
        "b": lambda command: seen(whole(), NOTICED, command=command),
        "s": lambda command: seen(whole(planned=2), command=command),
    }
    with pytest.raises(ToolError, match=message):
        played(
            stage,
            [makers[each]("plan") for each in plans],
            [makers[each]("verify") for each in verifications],
        )


def test_an_estate_without_staging_accounts(stage: Stage) -> None:
    alone = replace(stage.declared, values={**stage.declared.values, "staging_accounts": {}})
    with pytest.raises(UsageError, match="no staging account"):
        played(replace(stage, declared=alone), [], [])
