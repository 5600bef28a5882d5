"""The command line: one function a command, and the exit status of each.

0: every invariant holds. 1: one is violated. 2: no verdict (something unknown, a tool that failed,
access denied, bad usage). This is the only module that knows every part. What only some commands
need is imported where they need it, so that `check` starts at once.
"""

import argparse
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from validator import project, waivers
from validator.errors import AccountError, ToolError, UsageError, ValidatorError
from validator.findings import EXIT_STATUS, Finding, Outcome, Verdict
from validator.invariants import INVARIANTS, judge
from validator.invariants import accounts as account_invariants
from validator.model import Estate, Unknown
from validator.project import Env
from validator.reports import REPORTS, Run, combined, file_name
from validator.sources import code, tfvars
from validator.sources.tfvars import Declared

if TYPE_CHECKING:
    from validator import accounts
    from validator.cloud import Cloud
    from validator.operations import deploy, extend
    from validator.reports.progress import Progress
    from validator.tools import terraform

NO_VERDICT = 2

_Reported = tuple[Run, Mapping[str, str]]
"""A run, and its report in every format."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status; every error becomes status 2 and one message."""
    try:
        arguments = _parser().parse_args(argv)
        with _terminated_as_interrupt():
            status: int = arguments.run(arguments)
            sys.stdout.flush()
            return status
    except ValidatorError as error:
        _say(f"error: {error}")
    except KeyboardInterrupt:
        _say("Interrupted: there is no verdict.")
    except BrokenPipeError:
        _abandon_stdout()
    except OSError as error:
        _abandon_stdout()
        _say(
            f"error: {error.filename or 'the output'}: {error.strerror or error}. Is the disk full, or "
            "the folder not writable? There is no verdict."
        )
    except Exception as error:
        if os.environ.get("VALIDATOR_TRACEBACK"):
            raise
        _say(
            f"error: {type(error).__name__}: {error}. This is a defect of the validator: there is "
            "no verdict. VALIDATOR_TRACEBACK=1 shows where it is."
        )
    return NO_VERDICT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="validator",
        description="Plans, proves, applies and verifies an estate of AWS Elastic Disaster "
        "Recovery that is spread over several accounts.",
        epilog="Exit status: 0 all hold, 1 violated, 2 no verdict.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> Any:
        made = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        made.set_defaults(run=run)
        return made

    check = command("check", _check, "judge the code, with no credentials, provider or network")
    check.add_argument("env", nargs="*", help="envs, folders under terraform/envs")
    check.add_argument("--all", action="store_true", help="every env of the checkout")
    check.add_argument("--base", metavar="REVISION", help="compare with a revision of git")
    check.add_argument("--checkov", action="store_true", help="have checkov read the code too")
    _add_report_options(check)
    _add_explain(check)

    plan = command("plan", _plan, "plan with Terraform, and judge the plan")
    plan.add_argument("env", help="the env, a folder under terraform/envs")
    plan.add_argument("--skip-checkov", action="store_true", help="do not run checkov on the plan")
    _add_report_options(plan)
    _add_explain(plan)
    _add_accept(plan)

    gate = command("gate", _gate, "all that a pull request must pass, for every env or those named")
    gate.add_argument("env", nargs="*", help="envs, folders under terraform/envs; all by default")
    gate.add_argument("--base", metavar="REVISION", help="compare with a revision of git")
    _add_report_options(gate)
    _add_accept(gate)

    bootstrap = command(
        "bootstrap", _bootstrap, "make what must exist before Terraform: DRS roles, DRS itself"
    )
    bootstrap.add_argument("env", help="the env, a folder under terraform/envs")
    bootstrap.add_argument(
        "--dry-run", action="store_true", help="say what is missing and make nothing"
    )

    apply = command(
        "apply", _apply, "bootstrap, then apply exactly the saved plan if its verdict holds"
    )
    apply.add_argument("env", help="the env, a folder under terraform/envs")
    apply.add_argument(
        "--skip-checkov", action="store_true", help="where a plan must be made first"
    )
    _add_report_options(apply)
    _add_accept(apply)

    deploy = command("deploy", _deploy, "deploy agents onto tagged instances, wave by wave")
    _add_deploy_options(deploy)

    extend = command("extend", _extend, "extend every extensible source server into the target")
    extend.add_argument("env", help="the env, a folder under terraform/envs")
    extend.add_argument("--account", action="append", default=[], help="only this staging account")
    extend.add_argument("--wave", help="only servers whose tag dr:wave is this")
    extend.add_argument(
        "--tag", action="append", default=[], metavar="KEY=VALUE", help="only servers so tagged"
    )
    extend.add_argument("--limit", type=int, help="at most so many servers")
    extend.add_argument(
        "--prune", action="store_true", help="delete extensions whose staging server is gone"
    )
    extend.add_argument(
        "--dry-run", action="store_true", help="say what would be done and do nothing"
    )

    verify = command("verify", _verify, "judge the accounts as they are")
    verify.add_argument("env", help="the env, a folder under terraform/envs")
    verify.add_argument(
        "--deep", action="store_true", help="read of every server what AWS gives one by one"
    )
    verify.add_argument(
        "--wait",
        metavar="DURATION",
        type=_duration,
        help="read again, for at most so long (90s, 10m, 2h), until it holds or nothing moves",
    )
    verify.add_argument(
        "--verifier-role",
        action="store_true",
        help="read by the estate's verifier roles, as verifier_principal_arn, and by no other",
    )
    _add_report_options(verify)

    demo = command(
        "demo", _demo, "the whole life of an estate on an embedded AWS, breakages and all"
    )
    demo.add_argument("env", help="the env, a folder under terraform/envs")

    package = command("package", _package, "build the packages of the modules' functions")
    package.add_argument("env", help="the env, a folder under terraform/envs")

    diagnose = command("diagnose", _diagnose, "find the cause of what is wrong in the accounts")
    diagnose.add_argument("env", help="the env, a folder under terraform/envs")
    diagnose.add_argument("server", nargs="*", help="ARN, id or hostname of a server")

    explain = command("explain", _explain, "say what an invariant promises, why, and the remedy")
    explain.add_argument("invariant", help="its name")

    emulator = command("emulator", _emulator, "serve the embedded AWS until stopped")
    emulator.add_argument("--port", type=int, default=0, help="port, 0 for a free one")
    emulator.add_argument(
        "--management-account", default="777788889999", help="account that the admin roles trust"
    )
    command("invariants", _invariants, "list the invariants")
    return parser


def _add_report_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=REPORTS, default="text", help="report format")
    parser.add_argument("--output", type=Path, help="write the report there, not to stdout")


def _add_deploy_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("env", help="the env, a folder under terraform/envs")
    parser.add_argument(
        "--via",
        choices=("direct", "lambda"),
        default="direct",
        help="from here, or through the estate's own deployer",
    )
    parser.add_argument("--account", action="append", default=[], help="only this account")
    parser.add_argument("--wave", action="append", default=[], help="only this wave")
    parser.add_argument("--instance", action="append", default=[], help="only this instance")
    parser.add_argument(
        "--max-concurrency", metavar="N", help="agents that a command installs at once, or N%%"
    )
    parser.add_argument("--max-errors", metavar="N", help="failures that a wave may have, or N%%")
    parser.add_argument(
        "--poll-seconds", type=int, metavar="N", help="seconds between two looks at what goes on"
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="also what failed before is tried again"
    )
    parser.add_argument(
        "--tag", action="store_true", help="first tag what the env's selectors find"
    )
    parser.add_argument("--id", help="the deployment's name; the same never deploys twice")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done and do nothing"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--status", metavar="ID", help="say how a deployment stands")
    which.add_argument("--resume", metavar="ID", help="go on with a deployment")
    which.add_argument("--cancel", metavar="ID", help="end a deployment")
    which.add_argument("--rollback", metavar="ID", help="list what a deployment brought")
    parser.add_argument("--remove", action="store_true", help="with --rollback: remove it")
    parser.add_argument("--format", choices=("json", "text"), default="text", help="report format")


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--explain", action="store_true", help="show for each finding where its values come from"
    )
    parser.set_defaults(explain=False)


def _add_accept(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--accept",
        metavar="EFFECT",
        # What is no effect at all is refused before Terraform runs.
        choices=[each.name for each in INVARIANTS if each.family == waivers.EFFECTS],
        action="append",
        default=[],
        help="let an effect of this plan pass, by the name of its invariant",
    )


def _check(arguments: argparse.Namespace) -> int:
    """`check`: status of the verdict on what the code declares."""
    # Hardly anything here is a cycle, and looking for cycles takes a tenth of the time.
    gc.disable()
    try:
        return _each(
            _chosen(arguments, "check"),
            lambda env: _checked(env, arguments),
            arguments,
            at_once=1 if arguments.checkov else os.cpu_count() or 1,
        )
    finally:
        gc.enable()


def _chosen(arguments: argparse.Namespace, command: str) -> tuple[Env, ...]:
    """The envs that the arguments name, or every one; raises UsageError."""
    root = project.find_root(Path.cwd())
    if command == "check" and arguments.all == bool(arguments.env):
        raise UsageError("Name the envs to check, or say --all.")
    if arguments.env:
        return tuple(project.find(name, root) for name in dict.fromkeys(arguments.env))
    envs = project.envs(root)
    if not envs:
        raise UsageError(f"{root}/terraform/envs: there is no env to judge.")
    return envs


def _checked(env: Env, arguments: argparse.Namespace) -> Run:
    """The run of `check` over one env."""
    env.forget("check")
    declared = _declared(env)
    estate = code.read(env.directory, declared, env.name)
    more: tuple[Finding, ...] = ()
    if arguments.checkov:
        more = _scan_code(env)
    verdict = _verdict(env, estate, more)
    return Run(
        "check",
        env.name,
        "no AWS",
        estate,
        verdict,
        notes=_notes(verdict, env, declared, arguments),
        root=env.root,
        base=_base(env, arguments.base, with_checkov=arguments.checkov),
    )


def _each(
    envs: Sequence[Env],
    judged: Callable[[Env], Run],
    arguments: argparse.Namespace,
    *,
    at_once: int = 1,
) -> int:
    """Judges each env, some at once, reports on all in order, and returns the worst status.

    An env that cannot be judged is said, and the others are judged all the same.
    """
    reported, failed = [], False
    pool = ThreadPoolExecutor(at_once)

    def made(env: Env) -> _Reported:
        # What is rendered here is rendered while others are still evaluated.
        return _rendered(judged(env))

    try:
        # What starts programs of its own is judged in this thread, where Ctrl-C arrives.
        waiting = [
            (env, pool.submit(made, env).result if at_once > 1 else partial(made, env))
            for env in envs
        ]
        for env, finished in waiting:
            try:
                reported.append(finished())
            except ValidatorError as error:
                if len(envs) == 1:
                    raise
                _say(f"error: env {env.name}: {error}")
                failed = True
    finally:
        pool.shutdown(cancel_futures=True)
    if not reported:
        return NO_VERDICT
    status = _report(reported, arguments)
    return status if status == EXIT_STATUS[Outcome.VIOLATED] or not failed else NO_VERDICT


def _verdict(
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


def _notes(
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


def _base(env: Env, revision: str | None, *, with_checkov: bool) -> dict[str, Any] | Unknown | None:
    """The report on the env's code in another revision, or why there is none."""
    if revision is None:
        return None
    from validator.reports.document import document
    from validator.tools import git

    try:
        with git.checkout(env.root, revision, "terraform") as folder:
            before = project.find(env.name, folder)
            estate = code.read(before.directory, _declared(before), env.name)
            verdict = _verdict(before, estate, _scan_code(before) if with_checkov else ())
            return document(Run("check", env.name, "no AWS", estate, verdict, root=folder))
    except ValidatorError as error:
        return Unknown(str(error))


def _plan(arguments: argparse.Namespace) -> int:
    """`plan`: status of the verdict on what Terraform would make."""
    from validator import cloud

    env, declared = _env(arguments.env)
    refused = _refused(env, declared, arguments)
    if refused is not None:
        return refused
    with cloud.opened(os.environ.get("CLOUD"), _account_ids(declared), env.root) as aws:
        return _report([_rendered(_planned(env, declared, aws, arguments))], arguments)


def _planned(env: Env, declared: Declared, aws: "Cloud", arguments: argparse.Namespace) -> Run:
    """The run of `plan`, which is saved for `apply`."""
    from validator.reports.progress import Progress
    from validator.sources import plan as plan_source

    env.forget("plan")
    with Progress(f"plan {env.name}") as progress, ThreadPoolExecutor(1) as beside:
        # checkov reads the code while Terraform plans.
        scanned = None if arguments.skip_checkov else beside.submit(_scan_code, env)
        document = _terraform_plan(env, declared, aws, progress)
        estate = plan_source.read(document, declared, env.name)
        estate = plan_source.beside(estate, _code(env, declared))
        more: tuple[Finding, ...] = ()
        notes: tuple[str, ...] = ()
        if scanned is None:
            notes = ("checkov was not run on this plan.",)
        else:
            progress.step("checkov over the plan")
            more = _scan_plan(env, document, scanned.result())
    verdict = _verdict(env, estate, more, arguments.accept)
    notes += _notes(verdict, env, declared, arguments)
    run = Run("plan", env.name, aws.label, estate, verdict, notes=notes, root=env.root)
    env.save_plan(run.verdict.outcome, aws.identity)
    return run


def _code(env: Env, declared: Declared) -> Estate | Unknown:
    try:
        return code.read(env.directory, declared, env.name)
    except ValidatorError as error:
        return Unknown(str(error).rstrip("."))


def _scan_code(env: Env) -> tuple[Finding, ...]:
    """What checkov says of the code."""
    from validator.tools import checkov

    return checkov.scan_code(env.directory, env.root, os.environ)


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
    at = _initialised(env, aws, progress)
    progress.step("terraform plan")
    at.plan(env.plan_file, on_event=progress.event)
    progress.step("reading the plan")
    return at.show(env.plan_file)


def _initialised(env: Env, aws: "Cloud", progress: "Progress") -> "terraform.WorkingDirectory":
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
    at = _terraform(env, aws)
    progress.step("terraform init")
    at.init(backend_config=settings, on_event=progress.event)
    return at


def _terraform(env: Env, aws: "Cloud") -> "terraform.WorkingDirectory":
    from validator.tools import terraform

    return terraform.WorkingDirectory(
        directory=env.directory,
        data_directory=env.build("terraform"),
        environment=aws.environment,
        build=env.root / "build",
    )


def _gate(arguments: argparse.Namespace) -> int:
    """`gate`: status of the verdict on each env's format, validity, code and plan."""
    arguments.skip_checkov = arguments.explain = False
    return _each(_chosen(arguments, "gate"), lambda env: _gated(env, arguments), arguments)


def _gated(env: Env, arguments: argparse.Namespace) -> Run:
    """The run of `gate` over one env, on an AWS of its own."""
    from validator import cloud

    env.forget("gate")
    declared = _declared(env)
    with cloud.opened(os.environ.get("CLOUD"), _account_ids(declared), env.root) as aws:
        return _gated_on(aws, env, declared, arguments)


def _gated_on(aws: "Cloud", env: Env, declared: Declared, arguments: argparse.Namespace) -> Run:
    """What the plan of an env says, and what only its code or form says."""
    estate = code.read(env.directory, declared, env.name)
    checked = _verdict(env, estate)
    at = _terraform(env, aws)
    form = at.form(env.root / "terraform")
    if _account_verdict(env, declared).outcome is not Outcome.HOLDS:
        return _gate_run(env, aws, estate, (*checked.findings, *form), arguments)
    planned = _planned(env, declared, aws, arguments)
    said = {(f.invariant, f.subject, f.outcome) for f in planned.verdict.findings}
    only_code = [
        f
        for f in checked.findings
        if (f.invariant, f.subject, f.outcome) not in said and f.counted is not Outcome.HOLDS
    ]
    findings = (*planned.verdict.findings, *only_code, *form, *at.validity())
    return _gate_run(env, aws, planned.estate, findings, arguments, planned.notes)


def _gate_run(
    env: Env,
    aws: "Cloud",
    estate: Estate,
    findings: tuple[Finding, ...],
    arguments: argparse.Namespace,
    notes: tuple[str, ...] = (),
) -> Run:
    return Run(
        "gate",
        env.name,
        aws.label,
        estate,
        Verdict(findings),
        notes=notes,
        root=env.root,
        base=_base(env, arguments.base, with_checkov=True),
    )


def _apply(arguments: argparse.Namespace) -> int:
    """`apply`: status 0 if the saved plan held and was applied whole."""
    from validator import cloud

    arguments.explain = False
    env, declared = _env(arguments.env)
    refused = _refused(env, declared, arguments)
    if refused is not None:
        return refused
    with cloud.opened(os.environ.get("CLOUD"), _account_ids(declared), env.root) as aws:
        saved = env.saved_plan()
        if saved is not None and _is_of_a_gone_emulator(saved, aws):
            _say("The saved plan was made on an embedded AWS that is gone.")
            saved = None
        if saved is None:
            _say(f"There is no saved plan of env {env.name}; making one.")
            status = _report([_rendered(_planned(env, declared, aws, arguments))], arguments)
            saved = env.saved_plan()
            if status != 0 or saved is None:
                return status
        _check_saved(env, saved, aws)
        _applied(env, declared, aws)
        print(f"Applied the plan of env {env.name} on {aws.label}.")
        return 0


def _applied(env: Env, declared: Declared, aws: "Cloud") -> None:
    """Bootstraps, and applies the saved plan, which was judged and may be applied."""
    from validator.reports.progress import Progress

    with Progress(f"apply {env.name}") as progress:
        progress.step("looking for templates that Terraform does not know")
        if _adopted(env, declared, aws, progress, dry_run=True):
            raise UsageError(
                "An account has a replication configuration template that is not in Terraform's "
                "state, and can have only one. Run "
                f"`validator bootstrap {env.name}`, which imports it, and plan again."
            )
        _bootstrapped(declared, aws, progress, dry_run=False)
        progress.step("terraform apply")
        try:
            _terraform(env, aws).apply(env.plan_file, on_event=progress.event)
        finally:
            # However it ended, the state is no longer the one that was planned on.
            env.forget("plan")


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


def _bootstrap(arguments: argparse.Namespace) -> int:
    """`bootstrap`: status 0 if all that it makes is there, 1 if a dry run found something missing."""
    from validator import cloud
    from validator.reports.progress import Progress

    env, declared = _env(arguments.env)
    with (
        cloud.opened(os.environ.get("CLOUD"), _account_ids(declared), env.root) as aws,
        Progress(f"bootstrap {env.name}") as progress,
    ):
        status = _bootstrapped(declared, aws, progress, dry_run=arguments.dry_run)
        adopted = _adopted(env, declared, aws, progress, dry_run=arguments.dry_run)
        for line in adopted:
            _say(f"  {line}")
        if adopted and not arguments.dry_run:
            # A plan that was made before would make what is there now.
            env.forget("plan")
        return 1 if adopted and arguments.dry_run else status


def _adopted(
    env: Env, declared: Declared, aws: "Cloud", progress: "Progress", *, dry_run: bool
) -> tuple[str, ...]:
    """Imports each account's replication configuration template into Terraform's state.

    It is a singleton, and Terraform cannot make a second. Returns what was imported, or in a dry
    run would be.
    """
    from validator.operations import bootstrap

    opener, region = _opener(declared, aws), tfvars.text(declared, "recovery_region")
    target, staging, _ = tfvars.accounts(declared)
    found = {
        each: bootstrap.existing_template(opener, each.id, region) for each in (target, *staging)
    }
    if not any(found.values()):
        return ()
    addresses = code.template_addresses(env.directory, declared)
    at = _initialised(env, aws, progress)
    known = at.addresses()
    done = []
    for account, id_ in found.items():
        address = addresses.get(account.id)
        if id_ is None or address is None or address in known:
            continue
        if not dry_run:
            progress.step(f"importing {id_} of {account.name}")
            at.adopt(address, id_)
        imported = "would be imported" if dry_run else "imported"
        done.append(
            f"{account.name}: replication configuration template {id_} {imported} as {address}"
        )
    return tuple(done)


def _bootstrapped(declared: Declared, aws: "Cloud", progress: "Progress", *, dry_run: bool) -> int:
    from validator.operations import bootstrap

    settings = tfvars.launch_settings(declared)
    steps = bootstrap.bootstrap(
        declared,
        _opener(declared, aws),
        on_step=progress.step,
        dry_run=dry_run,
        launch=None if isinstance(settings, Unknown) else settings,
    )
    for step in steps:
        _say(f"  {step.account}: {step.text}")
    if failed := [step for step in steps if step.failed]:
        raise AccountError(f"{len(failed)} steps of the bootstrap failed; each is named above.")
    return 1 if dry_run and any(step.changed for step in steps) else 0


def _opener(declared: Declared, aws: "Cloud") -> "accounts.Opener":
    from validator import accounts

    return accounts.opener(tfvars.text(declared, "access_role_name"), aws.environment)


def _verify(arguments: argparse.Namespace) -> int:
    """`verify`: status of the verdict on the accounts as they are."""
    from validator import cloud

    env, declared = _env(arguments.env)
    env.forget("verify")
    with cloud.opened(os.environ.get("CLOUD"), _account_ids(declared), env.root) as aws:
        estate, verdict, notes = _verified(env, declared, aws, arguments)
        notes = (*notes, *waivers.warnings(verdict, date.today()))
        run = Run("verify", env.name, aws.label, estate, verdict, notes=notes, root=env.root)
        return _report([_rendered(run)], arguments)


def _verified(
    env: Env, declared: Declared, aws: "Cloud", arguments: argparse.Namespace
) -> tuple[Estate, Verdict, tuple[str, ...]]:
    """The estate as it is, its verdict, and what there is to say of the wait for it."""
    from validator.convergence import Watch
    from validator.reports.progress import Progress
    from validator.sources import live

    if arguments.verifier_role:
        opener = live.verifier(declared, live.as_principal(declared, aws.environment))
    else:
        opener = _opener(declared, aws)
    with Progress(f"verify {env.name}") as progress:
        progress.step("reading the accounts")
        watch = Watch(arguments.wait)
        while True:
            estate = live.read(declared, env.name, opener, deep=arguments.deep)
            verdict = _verdict(env, estate)
            pause = watch.seen(estate, verdict)
            if pause is None:
                break
            progress.step(watch.progress)
            time.sleep(pause)
    how = "of all servers (--deep)" if arguments.deep else "of servers not extended yet"
    read = f"Settings that AWS gives server by server were read {how}."
    return estate, verdict, (read, *watch.notes)


def _package(arguments: argparse.Namespace) -> int:
    """`package`: builds what the modules' functions run, as `plan` does by itself."""
    from validator import packaging

    env, declared = _env(arguments.env)
    for file in packaging.build(env, declared):
        print(f"{file}\n{packaging.sha256(file)}")
    return 0


def _duration(text: str) -> float:
    """A length of time such as 90s, 10m or 2h, in seconds; raises ValueError."""
    number, unit = text[:-1], text[-1:]
    if unit not in {"s", "m", "h"} or not number.isdigit() or not int(number):
        raise argparse.ArgumentTypeError(f"{text!r}: must be such as 90s, 10m or 2h")
    return float(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def _deploy(arguments: argparse.Namespace) -> int:
    """`deploy`: status 0 if every selected instance replicates, 1 if one does not, 2 if it is open."""
    from validator import cloud
    from validator.operations import deploy
    from validator.reports.progress import Progress

    _check_deploy_options(arguments)
    env, declared = _env(arguments.env)
    env.forget("deploy")
    with cloud.opened(os.environ.get("CLOUD"), _account_ids(declared), env.root) as aws:
        deployments = deploy.Deployments(declared, _opener(declared, aws))
        heading = f"deploy {env.name} on {aws.label}"
        with Progress(f"deploy {env.name}") as progress:
            if arguments.rollback:
                progress.step("reading what was deployed")
                done = True
                for as_asked, line in deployments.rollback(
                    arguments.rollback, remove=arguments.remove
                ):
                    print(line, flush=True)
                    done = done and as_asked
                return 0 if done else 1
            selection = _deploy_selection(arguments)
            if arguments.tag:
                for line in deployments.tag(selection, dry_run=arguments.dry_run):
                    _say(f"  {line}")
            if arguments.dry_run:
                return _would_deploy(deployments, selection, heading)
            ended = _deployed(deployments, selection, arguments, progress)
        return _deploy_report(env, deployments, ended, heading, arguments)


def _check_deploy_options(arguments: argparse.Namespace) -> None:
    """Raises UsageError for options that have nothing to do with what is asked for."""
    if arguments.remove and not arguments.rollback:
        raise UsageError("--remove goes with --rollback ID.")
    named = ("status", "resume", "cancel", "rollback")
    which = next((each for each in named if getattr(arguments, each)), None)
    new = {
        "--account": arguments.account,
        "--dry-run": arguments.dry_run,
        "--id": arguments.id,
        "--instance": arguments.instance,
        "--max-concurrency": arguments.max_concurrency,
        "--max-errors": arguments.max_errors,
        "--poll-seconds": arguments.poll_seconds is not None,
        "--retry-failed": arguments.retry_failed and which != "resume",
        "--tag": arguments.tag,
        "--via": arguments.via != "direct",
        "--wave": arguments.wave,
    }
    given = [option for option, value in new.items() if value]
    if which and given:
        raise UsageError(f"{', '.join(given)}: of a new deployment, and not of --{which}.")
    if arguments.format == "json" and (arguments.rollback or arguments.dry_run):
        raise UsageError("--format json: of a deployment, and not of --rollback or --dry-run.")


def _deploy_selection(arguments: argparse.Namespace) -> "deploy.Selection":
    from validator.operations.deploy import Selection

    return Selection(
        tuple(arguments.account),
        tuple(arguments.wave),
        tuple(arguments.instance),
        arguments.max_concurrency,
        arguments.max_errors,
        arguments.poll_seconds,
        arguments.retry_failed,
    )


def _deployed(
    deployments: "deploy.Deployments",
    selection: "deploy.Selection",
    arguments: argparse.Namespace,
    progress: "Progress",
) -> str:
    """Does what is asked for with a deployment, and returns its id."""
    tell = _teller(progress)
    if arguments.status:
        return str(arguments.status)
    if arguments.cancel:
        deployments.cancel(arguments.cancel, tell)
        return str(arguments.cancel)
    if arguments.resume:
        deployments.resume(arguments.resume, tell, retry_failed=arguments.retry_failed)
        return str(arguments.resume)
    way = deployments.via_function if arguments.via == "lambda" else deployments.direct
    return str(way(deployments.payload(selection), arguments.id, tell)["deployment_id"])


def _teller(progress: "Progress") -> "deploy.OnProgress":
    """Shows how a deployment stands, each time that it stands otherwise."""
    from validator.reports import deploying

    told: list[str] = []

    def tell(so_far: dict[str, Any]) -> None:
        line = deploying.to_line(so_far)
        if told[-1:] != [line]:
            progress.step(line)
            told.append(line)

    return tell


def _would_deploy(
    deployments: "deploy.Deployments", selection: "deploy.Selection", heading: str
) -> int:
    """The status of a dry run: 1 if an instance would be left out that does not replicate yet."""
    from validator.reports.deploying import planned_to_text

    plan = deployments.dry_run(deployments.payload(selection))
    print(f"{heading} (dry run)\n\n{planned_to_text(plan.batches, plan.refused)}{heading}")
    return 0 if deployments.complete(plan) else 1


def _deploy_report(
    env: Env,
    deployments: "deploy.Deployments",
    deployment_id: str,
    heading: str,
    arguments: argparse.Namespace,
) -> int:
    """Shows how a deployment stands, also under build/, and returns its status."""
    from validator.reports.deploying import to_text as shown

    progress, instances = deployments.status(deployment_id)
    document = json.dumps({**progress, "instances": instances}, indent=2, sort_keys=True) + "\n"
    project.write(env.build("deploy") / "report.json", document)
    text = f"{heading}\n\n{shown(progress, instances)}{heading}\n"
    sys.stdout.write(document if arguments.format == "json" else text)
    status = {"succeeded": 0, "incomplete": 1, "cancelled": 1}
    return status.get(progress["status"], NO_VERDICT)


def _extend(arguments: argparse.Namespace) -> int:
    """`extend`: status 0 if every selected server is extended, or in a dry run would be."""
    from validator import cloud
    from validator.operations.extend import Selection
    from validator.reports.extending import to_text as shown

    env, declared = _env(arguments.env)
    tags = []
    for each in arguments.tag:
        key, equals, value = each.partition("=")
        if not key or not equals:
            raise UsageError(f"--tag {each}: must be KEY=VALUE.")
        tags.append((key, value))
    selection = Selection(tuple(arguments.account), arguments.wave, tuple(tags), arguments.limit)
    with cloud.opened(os.environ.get("CLOUD"), _account_ids(declared), env.root) as aws:
        done = _extended(env, declared, aws, selection, arguments)
    heading = f"extend {env.name} on {aws.label}"
    print(f"{heading}\n\n{shown(done)}{heading}")
    if done.complete:
        return 0
    return NO_VERDICT if done.refusals or done.interrupted else 1


def _extended(
    env: Env,
    declared: Declared,
    aws: "Cloud",
    selection: "extend.Selection",
    arguments: argparse.Namespace,
) -> "extend.Extending":
    """What became of every selected server."""
    from validator.operations import extend
    from validator.reports.progress import Progress

    settings = tfvars.launch_settings(declared)
    with Progress(f"extend {env.name}") as progress:
        return extend.extend(
            declared,
            _opener(declared, aws),
            launch=None if isinstance(settings, Unknown) else settings,
            selection=selection,
            dry_run=arguments.dry_run,
            prune=arguments.prune,
            on_progress=progress.count,
        )


def _demo(arguments: argparse.Namespace) -> int:
    """`demo`: status 0 if the whole life of the estate went as promised."""
    from validator import cloud
    from validator.demo import Commands, demo
    from validator.operations.demo import Stage
    from validator.operations.extend import Selection
    from validator.reports.extending import to_text as shown

    if os.environ.get("CLOUD") == "aws":
        raise UsageError("demo breaks what it makes: it runs on the embedded AWS only.")
    env, declared = _env(arguments.env)
    options = argparse.Namespace(
        skip_checkov=True,
        accept=(),
        explain=False,
        deep=False,
        wait=None,
        verifier_role=False,
        dry_run=False,
        prune=False,
        format="text",
    )
    started = time.monotonic()
    with cloud.embedded(_account_ids(declared)) as aws:
        assert aws.embedded is not None

        def verify() -> Run:
            estate, verdict, notes = _verified(env, declared, aws, options)
            return Run("verify", env.name, aws.label, estate, verdict, notes, env.root)

        commands = Commands(
            plan=lambda: _planned(env, declared, aws, options),
            apply=lambda: _applied(env, declared, aws),
            deploy=lambda: _deployed_in_demo(env, declared, aws),
            extend=lambda: shown(_extended(env, declared, aws, Selection(), options)),
            verify=verify,
        )
        demo(Stage(aws.embedded, declared, _opener(declared, aws)), commands, _tell)
    print(f"demo {env.name}: {time.monotonic() - started:.0f} s")
    return 0


def _deployed_in_demo(env: Env, declared: Declared, aws: "Cloud") -> str:
    """Deploys through the estate's own deployer; raises ToolError unless every instance replicates."""
    from validator.operations import deploy
    from validator.reports.deploying import to_text as shown
    from validator.reports.progress import Progress

    deployments = deploy.Deployments(declared, _opener(declared, aws))
    payload = deployments.payload(deploy.Selection(poll_seconds=1))
    with Progress(f"deploy {env.name}") as progress:
        deployment = deployments.via_function(payload, None, _teller(progress))
    ended, instances = deployments.status(deployment["deployment_id"])
    if ended["status"] != "succeeded":
        raise ToolError(f"The deployment ended {ended['status']}:\n{shown(ended, instances)}")
    return shown(ended, instances)


def _tell(text: str) -> None:
    print(text, flush=True)


def _diagnose(arguments: argparse.Namespace) -> int:
    """`diagnose`: status 1 if a cause was found, 2 if something could not be known, else 0."""
    from validator import cloud, diagnosis
    from validator.reports.progress import Progress
    from validator.sources import live

    env, declared = _env(arguments.env)
    with cloud.opened(os.environ.get("CLOUD"), _account_ids(declared), env.root) as aws:
        with Progress(f"diagnose {env.name}") as progress:
            progress.step("reading the accounts")
            estate = live.read(declared, env.name, _opener(declared, aws), deep=True)
        if strangers := diagnosis.unknown(estate, tuple(arguments.server)):
            raise UsageError(
                f"No account that could be read shows {', '.join(strangers)}: there is no such server, "
                "or it is where nothing could be read. `validator verify` says which accounts were."
            )
        findings = judge(estate, INVARIANTS).findings
        causes = diagnosis.diagnose(findings, tuple(arguments.server))
        outcomes = set()
        print(f"diagnose {env.name} on {aws.label}")
        for cause in causes:
            print(f"\n{cause.symptom.text}?")
            for name in cause.passed:
                print(f"  holds     {name}")
            if cause.finding is None:
                print("  Nothing that is verified explains it.")
            else:
                found = cause.finding
                outcomes.add(found.outcome)
                print(f"  {found.outcome.value:9} {found.invariant}: {found.subject}")
                for message in found.messages[:3]:
                    print(f"    {message.text}")
                if found.outcome is Outcome.UNKNOWN:
                    print("  Cause: not known before this can be read. What comes after it waits.")
                else:
                    print(f"  Cause: {found.why}\n  Remedy: {found.remedy}")
            print(f"  {cause.symptom.note}")
        known = diagnosis.field_errors(findings)
        if known:
            print("\nErrors known from the field:")
        for text, error in known:
            print(f"  {text}\n    Cause: {error.cause}\n    Remedy: {error.remedy}")
    if Outcome.VIOLATED in outcomes:
        return EXIT_STATUS[Outcome.VIOLATED]
    # What no symptom asks for may be what could not be known.
    unsure = any(finding.outcome is Outcome.UNKNOWN for finding in findings)
    return NO_VERDICT if unsure else 0


def _explain(arguments: argparse.Namespace) -> int:
    """`explain`: the promise, the reason and the remedy of one invariant."""
    found = [each for each in INVARIANTS if each.name == arguments.invariant]
    if not found:
        raise UsageError(
            f"There is no invariant {arguments.invariant!r}; `validator invariants` lists them."
        )
    (each,) = found
    print(f"{each.family}/{each.name}\n\n{each.promise}\n\n{each.why}\n\nRemedy: {each.remedy}")
    print(f"\nViews: {', '.join(each.views)}. Page: docs/invariants/{each.family}.md#{each.name}")
    return 0


def _emulator(arguments: argparse.Namespace) -> int:
    """`emulator`: becomes the embedded AWS, which ends with a signal."""
    command = [sys.executable, "-m", "validator.emulator", "--port", str(arguments.port)]
    command += ["--management-account", arguments.management_account]
    command += ["--announce", str(project.find_root(Path.cwd()) / "build" / "emulator.json")]
    os.execv(sys.executable, command)


def _invariants(_: argparse.Namespace) -> int:
    """`invariants`: lists name and promise of each."""
    for each in INVARIANTS:
        print(f"{each.family}/{each.name}\n    {each.promise}")
    return 0


def _env(name: str) -> tuple[Env, Declared]:
    """The env and what it declares; raises if the file is another env's."""
    env = project.find(name, Path.cwd())
    return env, _declared(env)


def _declared(env: Env) -> Declared:
    """What the env declares; raises if the file is another env's."""
    declared = tfvars.read(env.directory)
    if tfvars.text(declared, "environment") != env.name:
        raise UsageError(
            f"{declared.where('environment')}: declares environment "
            f"{tfvars.text(declared, 'environment')!r} in the folder of env {env.name!r}."
        )
    return declared


def _account_verdict(env: Env, declared: Declared) -> Verdict:
    """The verdict on the declared account ids alone, which no Terraform run should see wrong."""
    estate = tfvars.estate(declared, env.name, "code", lambda account: account)
    return judge(estate, account_invariants.DECLARED)


def _refused(env: Env, declared: Declared, arguments: argparse.Namespace) -> int | None:
    """The status of a report on account ids that no Terraform run should see, None if they hold."""
    verdict = _account_verdict(env, declared)
    if verdict.outcome is Outcome.HOLDS:
        return None
    env.forget("plan")
    estate = tfvars.estate(declared, env.name, "code", lambda account: account)
    note = "Terraform was not run: the declared accounts must be right first."
    run = Run("plan", env.name, "no AWS", estate, verdict, notes=(note,), root=env.root)
    return _report([_rendered(run)], arguments)


def _account_ids(declared: Declared) -> tuple[str, ...]:
    """Every account id of the estate, the orchestration account's last."""
    target, staging, orchestration = tfvars.accounts(declared)
    return tuple(account.id for account in (target, *staging, orchestration))


def _rendered(run: Run) -> _Reported:
    """The run with its report in every format."""
    assert run.root is not None
    run = replace(run, docs=project.pages(run.root, os.environ))
    return run, {name: report(run) for name, report in REPORTS.items()}


def _report(reported: Sequence[_Reported], arguments: argparse.Namespace) -> int:
    """Writes every report under build/, shows the one asked for, and returns the worst status."""
    runs = [run for run, _ in reported]
    try:
        for run, reports in reported:
            _write(_env_of(run).build(run.command), reports)
        if runs[0].command == "gate":
            # What the workflow uploads and comments with: all envs in one.
            _write(_gate_folder(runs[0]), {name: _joined(name, reported) for name in REPORTS})
        if arguments.output is not None:
            project.write(arguments.output, _joined(arguments.format, reported))
    except BaseException:
        # What was not reported whole is not there: no report, and no plan to apply.
        for run in runs:
            _env_of(run).forget(run.command)
        raise
    if arguments.output is None and arguments.format == "text" and sys.stdout.isatty():
        from validator.reports.text import to_text

        width = os.get_terminal_size().columns
        sys.stdout.write("\n".join(to_text(run, colour=True, width=width) for run in runs))
    elif arguments.output is None:
        sys.stdout.write(_joined(arguments.format, reported))
    outcomes = {run.verdict.outcome for run in runs}
    worst = next(o for o in (Outcome.VIOLATED, Outcome.UNKNOWN, Outcome.HOLDS) if o in outcomes)
    return EXIT_STATUS[worst]


def _joined(name: str, reported: Sequence[_Reported]) -> str:
    return combined(name, [reports[name] for _, reports in reported])


def _write(folder: Path, reports: Mapping[str, str]) -> None:
    for name, content in reports.items():
        project.write(folder / file_name(name), content)


def _env_of(run: Run) -> Env:
    assert run.root is not None
    return Env(run.root, run.env)


def _gate_folder(run: Run) -> Path:
    folder = _env_of(run).root / "build" / "gate"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def _abandon_stdout() -> None:
    """What cannot be written to stdout does not fail a second time at exit, with another status."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt: children end, and nothing half-written stays."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    # One that is ignored, as under nohup, stays ignored.
    caught = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]
    for number in caught:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)
