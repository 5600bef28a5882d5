"""`plan`: Terraform's plan of an env, judged and saved for `apply`."""

import argparse
import contextlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from validator import project, records
from validator.commands import Commands, envs, judging, reporting
from validator.errors import ToolError, ValidatorError
from validator.findings import Finding, Outcome
from validator.model import Estate, Unknown
from validator.project import Env
from validator.reports import Run
from validator.sources import code, tfvars
from validator.sources.tfvars import Declared

if TYPE_CHECKING:
    from validator.cloud import Cloud
    from validator.reports.progress import Progress
    from validator.tools import terraform


class NotPlanned(ToolError):
    """`terraform plan` failed in an env that `terraform init` had accepted."""


def register(command: Commands) -> None:
    """Adds the command."""
    plan = command("plan", _plan, "plan with Terraform, and judge the plan")
    plan.add_argument("env", help="the env, a folder under terraform/envs")
    plan.add_argument("--skip-checkov", action="store_true", help="do not run checkov on the plan")
    reporting.add_report_options(plan)
    judging.add_explain(plan)
    judging.add_accept(plan)


def _plan(arguments: argparse.Namespace) -> int:
    """`plan`: status of the verdict on what Terraform would make."""
    from validator import cloud

    env = project.find(arguments.env, Path.cwd())
    before = reporting.begun(env, "plan")
    declared = envs.read(env)
    accounts = judging.account_verdict(env, declared)
    if accounts.outcome is not Outcome.HOLDS:
        return judging.refused(env, declared, accounts, arguments, before)
    with cloud.opened(os.environ.get("CLOUD"), envs.account_ids(declared), env.root) as aws:
        return reporting.report(
            [reporting.rendered(planned(env, declared, aws, arguments, before))], arguments
        )


def planned(
    env: Env,
    declared: Declared,
    aws: "Cloud",
    arguments: argparse.Namespace,
    before: dict[str, Any] | Unknown,
) -> Run:
    """The run of `plan`, which is saved for `apply`.

    `before` is what `reporting.begun` gave before anything of the env was read.
    """
    from validator.reports.progress import Progress
    from validator.sources import plan as plan_source

    with (
        Progress(f"plan {env.name}") as progress,
        _scanned(env, arguments.skip_checkov) as scanned,
    ):
        document = _terraform_plan(env, declared, aws, progress)
        if isinstance(document, dict):
            told = str(document.get("terraform_version"))
            records.add_version(env, "plan", "terraform", told)
        estate = plan_source.read(document, declared, env.name)
        estate = plan_source.beside(estate, _code(env, declared))
        more: tuple[Finding, ...] = ()
        notes: tuple[str, ...] = ()
        if scanned is None:
            notes = ("checkov was not run on this plan.",)
        else:
            progress.step("checkov over the plan")
            more = _scan_plan(env, document, scanned.result())
    verdict = judging.judged(env, estate, more, arguments.accept)
    notes += judging.notes_on(verdict, env, declared, arguments)
    run = Run(
        "plan",
        env.name,
        aws.label,
        estate,
        verdict,
        notes=notes,
        root=env.root,
        before=before,
        identity=aws.identity,
    )
    env.save_plan(run.verdict.outcome, aws.identity, records.inputs(env, "plan"))
    return run


@contextlib.contextmanager
def _scanned(env: Env, skip: bool) -> Iterator["Future[tuple[Finding, ...]] | None"]:
    """What checkov will say of the code, which it reads meanwhile; ended where nobody waits for it."""
    from validator.tools import checkov

    with ThreadPoolExecutor(1) as pool:
        scanned = None if skip else pool.submit(judging.scan_code, env)
        try:
            yield scanned
        except BaseException:
            while scanned is not None and not scanned.done():
                checkov.end()  # again, for it may just have been about to start
                wait([scanned], timeout=0.1)
            raise


def _code(env: Env, declared: Declared) -> Estate | Unknown:
    try:
        return code.read(env.directory, declared, env.name)
    except ValidatorError as error:
        return Unknown(str(error).rstrip("."))


def _scan_plan(env: Env, document: object, of_code: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """What checkov says of code and plan; the plan's JSON is left without its sensitive values."""
    from validator.sources import plan as plan_source
    from validator.tools import checkov

    file = env.build("plan") / "plan.json"
    project.write(file, json.dumps(plan_source.masked(document)))
    return checkov.scan_plan(file, of_code, env.root, os.environ)


def _terraform_plan(env: Env, declared: Declared, aws: "Cloud", progress: "Progress") -> object:
    """The plan as decoded JSON; the plan itself is saved for `apply`."""
    from validator import packaging

    progress.step("building the packages")
    packaging.build(env, declared)
    at = initialised(env, aws, progress)
    progress.step("terraform plan")
    try:
        at.plan(env.plan_file, on_event=progress.event)
    except ToolError as error:
        raise NotPlanned(str(error)) from error
    progress.step("reading the plan")
    return at.show(env.plan_file)


def initialised(env: Env, aws: "Cloud", progress: "Progress") -> "terraform.WorkingDirectory":
    """The env's working directory after `terraform init`."""
    from validator import accounts
    from validator.operations import state_bucket

    backend = tfvars.literals(env.directory / "backend.hcl")
    settings = dict(backend)
    if aws.embedded is not None:
        # The embedded AWS serves every bucket under one host name.
        settings["use_path_style"] = True
        progress.step("making the state bucket on the embedded AWS")
        state_bucket.make(
            accounts.client("s3", str(backend.get("region", "")), aws.environment),
            str(backend.get("bucket", "")),
            str(backend.get("region", "")),
        )
    at = working_directory(env, aws)
    progress.step("terraform init")
    at.init(backend_config=settings, on_event=progress.event)
    return at


def working_directory(env: Env, aws: "Cloud") -> "terraform.WorkingDirectory":
    """The env as Terraform runs in it, on this AWS."""
    from validator.tools import terraform

    return terraform.WorkingDirectory(
        directory=env.directory,
        data_directory=env.build("terraform"),
        environment=aws.environment,
        build=env.root / "build",
    )
