"""`gate`: all that a pull request must pass, for each env."""

import argparse
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from validator.commands import Commands, envs, judging, plan, reporting
from validator.findings import Finding, Outcome, Verdict
from validator.model import Estate, Unknown
from validator.project import Env
from validator.reports import Run
from validator.sources import code
from validator.sources.tfvars import Declared

if TYPE_CHECKING:
    from validator.cloud import Cloud


def register(command: Commands) -> None:
    """Adds the command."""
    gate = command("gate", _gate, "all that a pull request must pass, for every env or those named")
    gate.add_argument("env", nargs="*", help="envs, folders under terraform/envs; all by default")
    gate.add_argument("--base", metavar="REVISION", help="compare with a revision of git")
    reporting.add_report_options(gate)
    judging.add_accept(gate)


def _gate(arguments: argparse.Namespace) -> int:
    """`gate`: status of the verdict on each env's format, validity, code and plan."""
    arguments.skip_checkov = arguments.explain = False
    return reporting.judge_each(
        envs.chosen(arguments, "gate"), lambda env: _gated(env, arguments), arguments
    )


def _gated(env: Env, arguments: argparse.Namespace) -> Run:
    """The run of `gate` over one env, on an AWS of its own."""
    from validator import cloud

    before = reporting.begun(env, "gate")
    before_plan = reporting.begun(env, "plan")
    declared = envs.read(env)
    with cloud.opened(os.environ.get("CLOUD"), envs.account_ids(declared), env.root) as aws:
        return replace(_gated_on(aws, env, declared, arguments, before_plan), before=before)


def _gated_on(
    aws: "Cloud",
    env: Env,
    declared: Declared,
    arguments: argparse.Namespace,
    before: dict[str, Any] | Unknown,
) -> Run:
    """What the plan of an env says, and what only its code or form says."""
    estate = code.read(env.directory, declared, env.name)
    checked = judging.judged(env, estate)
    at = plan.working_directory(env, aws)
    form = at.form(env.root / "terraform")
    if judging.account_verdict(env, declared).outcome is not Outcome.HOLDS:
        findings = (*checked.findings, *form)
        return _gate_run(env, aws, estate, findings, arguments, with_checkov=False)
    try:
        planned = plan.planned(env, declared, aws, arguments, before)
    except plan.NotPlanned:
        invalid = at.invalid()
        if invalid is None:
            raise
        findings = (*checked.findings, *form, invalid)
        return _gate_run(env, aws, estate, findings, arguments, with_checkov=False)
    said = {(f.invariant, f.subject, f.outcome) for f in planned.verdict.findings}
    only_code = [
        f
        for f in checked.findings
        if (f.invariant, f.subject, f.outcome) not in said and f.counted is not Outcome.HOLDS
    ]
    findings = (*planned.verdict.findings, *only_code, *form, at.valid())
    return _gate_run(env, aws, planned.estate, findings, arguments, planned.notes)


def _gate_run(
    env: Env,
    aws: "Cloud",
    estate: Estate,
    findings: tuple[Finding, ...],
    arguments: argparse.Namespace,
    notes: tuple[str, ...] = (),
    *,
    with_checkov: bool = True,
) -> Run:
    """The run over an env, compared with its base by what both were asked."""
    return Run(
        "gate",
        env.name,
        aws.label,
        estate,
        Verdict(findings),
        notes=notes,
        root=env.root,
        base=judging.base_report(env, arguments.base, with_checkov=with_checkov),
        identity=aws.identity,
    )
