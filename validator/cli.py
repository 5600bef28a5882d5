"""The command line: one function a command, and the exit status of each.

0: every invariant holds. 1: one is violated. 2: no verdict (something unknown, a tool that failed,
access denied, bad usage). This is the only module that knows every part.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from validator import accounts, cloud, project
from validator.cloud import Cloud
from validator.errors import UsageError, ValidatorError
from validator.findings import EXIT_STATUS, Outcome
from validator.invariants import INVARIANTS, judge
from validator.invariants import accounts as account_invariants
from validator.model import Estate
from validator.operations import bootstrap, state_bucket
from validator.project import Env
from validator.reports import REPORTS, Run
from validator.reports.progress import Progress
from validator.reports.text import to_text
from validator.sources import live, tfvars
from validator.sources import plan as plan_source
from validator.sources.tfvars import Declared
from validator.tools import terraform

NO_VERDICT = 2


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
    for name, run, text in (
        ("plan", _plan, "plan with Terraform, and judge the plan"),
        ("bootstrap", _bootstrap, "make what must exist before Terraform: DRS roles, DRS itself"),
        ("apply", _apply, "bootstrap, then apply exactly the saved plan if its verdict holds"),
        ("verify", _verify, "judge the accounts as they are"),
    ):
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.add_argument("env", help="the env, a folder under terraform/envs")
        command.set_defaults(run=run)
        if name == "bootstrap":
            command.add_argument(
                "--dry-run", action="store_true", help="say what is missing and make nothing"
            )
            continue
        command.add_argument("--format", choices=REPORTS, default="text", help="report format")
        command.add_argument("--output", type=Path, help="write the report there, not to stdout")
    emulator = commands.add_parser("emulator", help="serve the embedded AWS until stopped")
    emulator.add_argument("--port", type=int, default=0, help="port, 0 for a free one")
    emulator.add_argument(
        "--management-account", default="777788889999", help="account that the admin roles trust"
    )
    emulator.set_defaults(run=_emulator)
    listing = commands.add_parser("invariants", help="list the invariants")
    listing.set_defaults(run=_invariants)
    return parser


def _plan(arguments: argparse.Namespace) -> int:
    """`plan`: status of the verdict on what Terraform would make."""
    env, declared = _env(arguments.env)
    refused = _refused(env, declared, arguments)
    if refused is not None:
        return refused
    with cloud.opened(os.environ.get("CLOUD"), _account_ids(declared), env.root) as aws:
        return _planned(env, declared, aws, arguments)


def _planned(env: Env, declared: Declared, aws: Cloud, arguments: argparse.Namespace) -> int:
    env.forget("plan")
    with Progress(f"plan {env.name}") as progress:
        document = _terraform_plan(env, declared, aws, progress)
    estate = plan_source.read(document, declared, env.name)
    run = Run("plan", env.name, aws.label, estate, judge(estate, INVARIANTS))
    env.save_plan(run.verdict.outcome, aws.identity)
    return _report(env, run, arguments)


def _terraform_plan(env: Env, declared: Declared, aws: Cloud, progress: Progress) -> object:
    """The plan as decoded JSON; the plan itself is saved for `apply`."""
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
    progress.step("terraform plan")
    at.plan(env.plan_file, on_event=progress.event)
    progress.step("reading the plan")
    return at.show(env.plan_file)


def _terraform(env: Env, aws: Cloud) -> terraform.WorkingDirectory:
    return terraform.WorkingDirectory(
        directory=env.directory,
        data_directory=env.build("terraform"),
        environment=aws.environment,
        build=env.root / "build",
    )


def _apply(arguments: argparse.Namespace) -> int:
    """`apply`: status 0 if the saved plan held and was applied whole."""
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
            status = _planned(env, declared, aws, arguments)
            saved = env.saved_plan()
            if status != 0 or saved is None:
                return status
        _check_saved(env, saved, aws)
        with Progress(f"apply {env.name}") as progress:
            _bootstrapped(declared, aws, progress, dry_run=False)
            progress.step("terraform apply")
            try:
                _terraform(env, aws).apply(env.plan_file, on_event=progress.event)
            finally:
                # However it ended, the state is no longer the one that was planned on.
                env.forget("plan")
        print(f"Applied the plan of env {env.name} on {aws.label}.")
        return 0


def _is_of_a_gone_emulator(saved: project.SavedPlan, aws: Cloud) -> bool:
    """True if nothing can ever apply the saved plan: its AWS ended with the command that made it."""
    return (
        aws.embedded is not None
        and saved.cloud.startswith("embedded ")
        and saved.cloud != aws.identity
    )


def _check_saved(env: Env, saved: project.SavedPlan, aws: Cloud) -> None:
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
    env, declared = _env(arguments.env)
    with (
        cloud.opened(os.environ.get("CLOUD"), _account_ids(declared), env.root) as aws,
        Progress(f"bootstrap {env.name}") as progress,
    ):
        return _bootstrapped(declared, aws, progress, dry_run=arguments.dry_run)


def _bootstrapped(declared: Declared, aws: Cloud, progress: Progress, *, dry_run: bool) -> int:
    steps = bootstrap.bootstrap(
        declared, _opener(declared, aws), on_step=progress.step, dry_run=dry_run
    )
    missing = 0
    for step in steps:
        missing += step.changed
        _say(f"  {step.account}: {step.text}")
    return 1 if dry_run and missing else 0


def _opener(declared: Declared, aws: Cloud) -> accounts.Opener:
    return accounts.opener(tfvars.text(declared, "access_role_name"), aws.environment)


def _verify(arguments: argparse.Namespace) -> int:
    """`verify`: status of the verdict on the accounts as they are."""
    env, declared = _env(arguments.env)
    env.forget("verify")
    with cloud.opened(os.environ.get("CLOUD"), _account_ids(declared), env.root) as aws:
        with Progress(f"verify {env.name}") as progress:
            progress.step("reading the accounts")
            estate = live.read(declared, env.name, _opener(declared, aws))
        run = Run("verify", env.name, aws.label, estate, judge(estate, INVARIANTS))
        return _report(env, run, arguments)


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
    declared = tfvars.read(env.directory)
    if tfvars.text(declared, "environment") != name:
        raise UsageError(
            f"{declared.where('environment')}: declares environment "
            f"{tfvars.text(declared, 'environment')!r} in the folder of env {name!r}."
        )
    return env, declared


def _refused(env: Env, declared: Declared, arguments: argparse.Namespace) -> int | None:
    """The status of a report on account ids that no Terraform run should see, None if they hold."""
    target, staging, orchestration = tfvars.accounts(declared)
    estate = Estate(
        env=env.name,
        view="code",
        source_region=tfvars.text(declared, "source_region"),
        recovery_region=tfvars.text(declared, "recovery_region"),
        target=target,
        staging=staging,
        orchestration=orchestration,
        where=str(declared.file),
    )
    verdict = judge(estate, account_invariants.INVARIANTS)
    if verdict.outcome is Outcome.HOLDS:
        return None
    env.forget("plan")
    note = "Terraform was not run: the declared accounts must be right first."
    run = Run("plan", env.name, "no AWS", estate, verdict, (note,))
    return _report(env, run, arguments)


def _account_ids(declared: Declared) -> tuple[str, ...]:
    """Every account id of the estate, the orchestration account's last."""
    target, staging, orchestration = tfvars.accounts(declared)
    return tuple(account.id for account in (target, *staging, orchestration))


def _report(env: Env, run: Run, arguments: argparse.Namespace) -> int:
    """Writes every report under build/, shows the one asked for, and returns the exit status."""
    folder = env.build(run.command)
    written = {name: report(run) for name, report in REPORTS.items()}
    try:
        for name, content in written.items():
            project.write(folder / f"report.{'txt' if name == 'text' else name}", content)
        if arguments.output is not None:
            project.write(arguments.output, written[arguments.format])
    except BaseException:
        # What was not reported whole is not there: no report, and no plan to apply.
        env.forget(run.command)
        raise
    if arguments.output is None and arguments.format == "text" and sys.stdout.isatty():
        sys.stdout.write(to_text(run, colour=True, width=os.get_terminal_size().columns))
    elif arguments.output is None:
        sys.stdout.write(written[arguments.format])
    return EXIT_STATUS[run.verdict.outcome]


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
