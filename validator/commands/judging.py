"""How an estate that a view has read comes to its verdict: invariants, other tools, waivers."""

import argparse
import os
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from validator import project, waivers
from validator.commands import envs, reporting
from validator.errors import ValidatorError
from validator.findings import Finding, Outcome, Verdict
from validator.invariants import INVARIANTS, judge
from validator.invariants import accounts as account_invariants
from validator.model import Estate, Unknown
from validator.project import Env
from validator.reports import Run
from validator.sources import code, tfvars
from validator.sources.tfvars import Declared


def add_explain(parser: argparse.ArgumentParser) -> None:
    """Adds --explain."""
    parser.add_argument(
        "--explain", action="store_true", help="show for each finding where its values come from"
    )
    parser.set_defaults(explain=False)


def add_accept(parser: argparse.ArgumentParser) -> None:
    """Adds --accept."""
    parser.add_argument(
        "--accept",
        metavar="EFFECT",
        # What is no effect at all is refused before Terraform runs.
        choices=[each.name for each in INVARIANTS if each.family == waivers.EFFECTS],
        action="append",
        default=[],
        help="let an effect of this plan pass, by the name of its invariant",
    )


def judged(
    env: Env,
    estate: Estate,
    more: Iterable[Finding] = (),
    accepted: Sequence[str] = (),
) -> Verdict:
    """The verdict on an estate with other tools' findings, accepted effects and the env's waivers."""
    verdict = Verdict((*judge(estate, INVARIANTS).findings, *more))
    verdict = waivers.accept(verdict, accepted)
    known = {each.name for each in INVARIANTS}
    read = waivers.read(env.directory / waivers.FILE_NAME, date.today(), known)
    return waivers.apply(verdict, read, estate.view)


def account_verdict(env: Env, declared: Declared) -> Verdict:
    """The verdict on the declared account ids alone, which no Terraform run should see wrong."""
    estate = tfvars.estate(declared, env.name, "code", lambda account: account)
    return judge(estate, account_invariants.DECLARED)


def refused(
    env: Env,
    declared: Declared,
    verdict: Verdict,
    arguments: argparse.Namespace,
    before: dict[str, Any] | Unknown,
) -> int:
    """The status of a report on account ids that no Terraform run should see.

    `before` is as of `planned`.
    """
    estate = tfvars.estate(declared, env.name, "code", lambda account: account)
    note = "Terraform was not run: the declared accounts must be right first."
    run = Run(
        "plan", env.name, "no AWS", estate, verdict, notes=(note,), root=env.root, before=before
    )
    return reporting.report([reporting.rendered(run)], arguments)


def notes_on(
    verdict: Verdict, env: Env, declared: Declared, arguments: argparse.Namespace
) -> tuple[str, ...]:
    """What the report says besides the findings: waivers that end soon, and evidence if asked for."""
    evidence: list[str] = []
    if arguments.explain:
        wanted = [f for f in verdict.findings if f.outcome is not Outcome.HOLDS]
        trace = code.tracer(env.directory, declared)
        for finding in wanted:
            lines = [line for each in finding.messages for line in trace(each.where)]
            if lines:
                steps = "\n".join(f"  {line}" for line in dict.fromkeys(lines))
                evidence.append(f"{finding.invariant}: {finding.subject} comes from\n{steps}")
    return (*waivers.warnings(verdict, date.today()), *evidence)


def base_report(
    env: Env, revision: str | None, *, with_checkov: bool
) -> dict[str, Any] | Unknown | None:
    """The report on the env's code in another revision, or why there is none."""
    if revision is None:
        return None
    from validator.reports.document import document
    from validator.tools import git

    try:
        with git.checkout(env.root, revision, "terraform") as folder:
            before = project.find(env.name, folder)
            estate = code.read(before.directory, envs.read(before), env.name)
            verdict = judged(before, estate, scan_code(before) if with_checkov else ())
            return document(Run("check", env.name, "no AWS", estate, verdict, root=folder))
    except ValidatorError as error:
        return Unknown(str(error))


def scan_code(env: Env) -> tuple[Finding, ...]:
    """What checkov says of the code."""
    from validator.tools import checkov

    return checkov.scan_code(env.directory, env.root, os.environ)
