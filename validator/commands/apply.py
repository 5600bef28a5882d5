"""`apply`: exactly the saved plan, bootstrapped and applied if its verdict holds."""

import argparse
import os
from typing import TYPE_CHECKING, Any

from validator import project
from validator.commands import Commands, bootstrap, envs, judging, plan, reporting
from validator.errors import UsageError
from validator.findings import Outcome
from validator.model import Unknown
from validator.project import Env
from validator.sources.tfvars import Declared

if TYPE_CHECKING:
    from validator.cloud import Cloud


def register(command: Commands) -> None:
    """Adds the command."""
    apply = command(
        "apply", _apply, "bootstrap, then apply exactly the saved plan if its verdict holds"
    )
    apply.add_argument("env", help="the env, a folder under terraform/envs")
    apply.add_argument(
        "--skip-checkov", action="store_true", help="where a plan must be made first"
    )
    reporting.add_report_options(apply)
    judging.add_accept(apply)


def _apply(arguments: argparse.Namespace) -> int:
    """`apply`: status 0 if the saved plan held and was applied whole."""
    from validator import cloud

    arguments.explain = False
    env, declared = envs.find(arguments.env)
    accounts = judging.account_verdict(env, declared)
    if accounts.outcome is not Outcome.HOLDS:
        before = _begun(env, declared)
        return judging.refused(env, declared, accounts, arguments, before)
    with cloud.opened(os.environ.get("CLOUD"), envs.account_ids(declared), env.root) as aws:
        saved = env.saved_plan()
        if saved is not None and _is_of_a_gone_emulator(saved, aws):
            reporting.say("The saved plan was made on an embedded AWS that is gone.")
            saved = None
        if saved is None:
            reporting.say(f"There is no saved plan of env {env.name}; making one.")
            before = _begun(env, declared)
            status = reporting.report(
                [reporting.rendered(plan.planned(env, declared, aws, arguments, before))],
                arguments,
            )
            saved = env.saved_plan()
            if status != 0 or saved is None:
                return status
        _check_saved(env, saved, aws)
        applied(env, declared, aws)
        print(f"Applied the plan of env {env.name} on {aws.label}.")
        return 0


def applied(env: Env, declared: Declared, aws: "Cloud") -> None:
    """Bootstraps, and applies the saved plan, which was judged and may be applied."""
    from validator.reports.progress import Progress

    with Progress(f"apply {env.name}") as progress:
        progress.step("looking for templates that Terraform does not know")
        if bootstrap.adopted(env, declared, aws, progress, dry_run=True):
            raise UsageError(
                "An account has a replication configuration template that is not in Terraform's "
                "state, and can have only one. Run "
                f"`validator bootstrap {env.name}`, which imports it, and plan again."
            )
        bootstrap.bootstrapped(declared, aws, progress, dry_run=False)
        progress.step("terraform apply")
        try:
            plan.working_directory(env, aws).apply(env.plan_file, on_event=progress.event)
        finally:
            # However it ended, the state is no longer the one that was planned on.
            env.forget("plan")


def _begun(env: Env, declared: Declared) -> dict[str, Any] | Unknown:
    """As `reporting.begun` of `plan`, for what was `declared` before there was need of a plan.

    Raises UsageError if the env declares something else by now.
    """
    before = reporting.begun(env, "plan")
    if envs.read(env) != declared:
        raise UsageError(f"{declared.file}: was changed while this ran. Run it again.")
    return before


def _is_of_a_gone_emulator(saved: project.SavedPlan, aws: "Cloud") -> bool:
    """True if nothing can ever apply the saved plan: its AWS ended with the command that made it."""
    return (
        aws.embedded is not None
        and saved.cloud.startswith("embedded ")
        and saved.cloud != aws.identity
    )


def _check_saved(env: Env, saved: project.SavedPlan, aws: "Cloud") -> None:
    """Raises UsageError unless the saved plan may be applied, as it is, on this AWS."""
    again = f"Run `validator plan {env.name}` and read its report first."
    if saved.env != env.name:
        raise UsageError(f"{env.plan_file}: is a plan of env {saved.env}. {again}")
    if saved.verdict != Outcome.HOLDS:
        raise UsageError(f"{env.plan_file}: its verdict is {saved.verdict}, not holds. {again}")
    if saved.cloud != aws.identity:
        raise UsageError(
            f"{env.plan_file}: was made on {saved.cloud}, and this is {aws.identity}. {again}"
        )
    if saved.code_digest != env.code_digest():
        raise UsageError(f"{env.plan_file}: the Terraform code has changed since. {again}")
