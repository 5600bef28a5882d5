"""`check`: the code judged, with no credentials, provider or network."""

import argparse
import gc
import os

from validator.commands import Commands, envs, judging, reporting
from validator.findings import Finding
from validator.project import Env
from validator.reports import Run
from validator.sources import code


def register(command: Commands) -> None:
    """Adds the command."""
    check = command("check", _check, "judge the code, with no credentials, provider or network")
    check.add_argument("env", nargs="*", help="envs, folders under terraform/envs")
    check.add_argument("--all", action="store_true", help="every env of the checkout")
    check.add_argument("--base", metavar="REVISION", help="compare with a revision of git")
    check.add_argument("--checkov", action="store_true", help="have checkov read the code too")
    reporting.add_report_options(check)
    judging.add_explain(check)


def _check(arguments: argparse.Namespace) -> int:
    """`check`: status of the verdict on what the code declares."""
    # Hardly anything here is a cycle, and looking for cycles takes a tenth of the time.
    gc.disable()
    try:
        return reporting.judge_each(
            envs.chosen(arguments, "check"),
            lambda env: _checked(env, arguments),
            arguments,
            at_once=1 if arguments.checkov else os.cpu_count() or 1,
        )
    finally:
        gc.enable()


def _checked(env: Env, arguments: argparse.Namespace) -> Run:
    """The run of `check` over one env."""
    before = reporting.begun(env, "check")
    declared = envs.read(env)
    estate = code.read(env.directory, declared, env.name)
    more: tuple[Finding, ...] = ()
    if arguments.checkov:
        more = judging.scan_code(env)
    verdict = judging.judged(env, estate, more)
    return Run(
        "check",
        env.name,
        "no AWS",
        estate,
        verdict,
        notes=judging.notes_on(verdict, env, declared, arguments),
        root=env.root,
        base=judging.base_report(env, arguments.base, with_checkov=arguments.checkov),
        before=before,
    )
