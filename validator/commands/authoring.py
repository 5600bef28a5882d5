"""`new-env`, `add-staging-account`, `remove-staging-account`: the code of an estate, written and judged."""

import argparse
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from validator import authoring, project, quotas
from validator.authoring import Files, NewAccount, NewEnv
from validator.commands import Commands, envs, judging, reporting
from validator.errors import UsageError, ValidatorError
from validator.findings import EXIT_STATUS, Finding, Outcome, Verdict
from validator.model import Extension, Unknown
from validator.project import Env
from validator.reports import Run
from validator.reports.text import to_text
from validator.sources import code


def register(command: Commands) -> None:
    """Adds the commands."""
    new = command("new-env", _new_env, "write a new env after one that is there")
    new.add_argument("env", help="the name of the new env")
    new.add_argument(
        "--like", metavar="ENV", required=True, help="the env that it is written after"
    )
    new.add_argument("--target", metavar="ID", required=True, help="its target account")
    new.add_argument(
        "--orchestration", metavar="ID", help="its orchestration account, by default that of --like"
    )
    new.add_argument(
        "--staging", metavar="ID", action="append", default=[], help="a staging account; repeat it"
    )
    new.add_argument(
        "--servers", metavar="N", type=int, required=True, help="servers, spread over its accounts"
    )
    new.add_argument("--source-region", metavar="REGION", help="where its servers run")
    new.add_argument("--recovery-region", metavar="REGION", help="where they recover")

    add = command("add-staging-account", _add, "write one more staging account into an env")
    add.add_argument("env", help="the env, a folder under terraform/envs")
    add.add_argument("account", metavar="ID", help="the account's id")
    add.add_argument("--name", help="its name in the env, by default the next staging-N")
    add.add_argument("--cidr", help="its staging area's range, by default the next that is free")
    add.add_argument("--servers", type=int, default=0, help="servers that are to replicate there")
    add.add_argument("--wave", help="the wave that recovers them")

    remove = command(
        "remove-staging-account", _remove, "say what goes with a staging account, then remove it"
    )
    remove.add_argument("env", help="the env, a folder under terraform/envs")
    remove.add_argument("account", metavar="NAME", help="the account's name in the env")
    remove.add_argument("--yes", action="store_true", help="remove it, where nothing is lost")


def _new_env(arguments: argparse.Namespace) -> int:
    """`new-env`: status 0 if the env is written, and its code holds."""
    like, declared = envs.find(arguments.like)
    name = arguments.env
    orchestration = arguments.orchestration or str(declared.values["orchestration"]["account_id"])
    wanted = NewEnv(
        name,
        arguments.target,
        orchestration,
        tuple(arguments.staging),
        arguments.servers,
        quotas.SERVERS_IN_ALL_JOBS.value,
        arguments.source_region,
        arguments.recovery_region,
    )
    if any(each.name == name for each in project.envs(like.root)):
        return _is_there(Env(like.root, name), wanted)
    files = authoring.new_env(like, declared, wanted, _ranges_of_others(like, but=None))
    env = Env(like.root, name)
    if status := kept(env, files, new=True):
        return status
    print(
        f"Env {name} is written, after env {like.name}. Its state goes into the bucket that "
        f"{env.directory / authoring.BACKEND} names. Next: validator plan {name}"
    )
    return 0


def _is_there(env: Env, wanted: NewEnv) -> int:
    """The status of writing an env that is there: 0 if it is the one that is asked for."""
    declared = envs.read(env)
    ids = envs.account_ids(declared)
    if ids != (wanted.target, *wanted.staging, wanted.orchestration):
        raise UsageError(
            f"{env.directory}: exists already, with other accounts. Choose another name, or use "
            "add-staging-account."
        )
    print(f"Env {env.name} is there already, with these accounts. Nothing was changed.")
    return 0


def _add(arguments: argparse.Namespace) -> int:
    """`add-staging-account`: status 0 if the account is in the env, and its code is no worse."""
    env, declared = envs.find(arguments.env)
    wanted = NewAccount(
        arguments.account, arguments.name, arguments.cidr, arguments.servers, arguments.wave
    )
    name, files = authoring.with_account(
        env, declared, wanted, _ranges_of_others(env, but=env.name)
    )
    if not files:
        print(f"{wanted.id} is {name} of env {env.name} already. Nothing was changed.")
        return 0
    if status := kept(env, files):
        return status
    print(f"{wanted.id} is {name} of env {env.name}. Next: validator plan {env.name}")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    """`remove-staging-account`: status 0 once it is removed, 1 while something would be lost."""
    from validator import cloud
    from validator.commands import plan
    from validator.reports.progress import Progress
    from validator.sources import live

    env, declared = envs.find(arguments.env)
    name = arguments.account
    files = authoring.without_account(env, declared, name)
    with cloud.opened(os.environ.get("CLOUD"), envs.account_ids(declared), env.root) as aws:
        with Progress(f"remove-staging-account {env.name}") as progress:
            progress.step("reading the accounts")
            estate = live.read(declared, env.name, envs.opener(declared, aws))
            account = next(each for each in estate.staging if each.name == name)
            if isinstance(account.servers, Unknown) or isinstance(estate.target.servers, Unknown):
                raise UsageError(
                    f"What replicates in {name} ({account.id}) is not known, so what would be lost is "
                    "not: `validator verify` says why. Nothing was changed."
                )
            at = plan.initialised(env, aws, progress)
            begin = f"module.{authoring.calls_of(name)}"
            made = sorted(each for each in at.addresses() if each.startswith(begin))
        own = [each for each in account.servers if each.replicating is not False]
        extended = [
            each
            for each in estate.target.servers
            if each.extension is not Extension.NOT_EXTENDED
            and (
                isinstance(each.staging_account_id, Unknown)
                or each.staging_account_id == account.id
            )
        ]
        print(f"With {name} ({account.id}) of env {env.name} would go, on {aws.label}:")
        print(f"  {len(own)} source servers that replicate there, with all their points in time")
        print(f"  {len(extended)} extensions of them in the target, which could not be recovered")
        print(f"  {len(made)} resources that Terraform made there, its replication key among them")
        print(f"  {account.planned} declared servers, which no wave would recover")
    if own or extended:
        for server in [*own, *extended][:10]:
            print(f"    {server.shown}")
        print(
            "Nothing was changed. Install the agents for another account, then delete the extensions "
            "and the source servers."
        )
        return 1
    if made:
        # Once its provider is gone from the code, Terraform can destroy nothing there.
        targets = sorted({".".join(each.split(".")[:2]) for each in made})
        print("Nothing was changed. Destroy what Terraform made there first:")
        words = " ".join(f"-target={each}" for each in targets)
        print(f"  terraform -chdir={env.directory.relative_to(env.root)} destroy {words}")
        return 1
    if not arguments.yes:
        print("Nothing was changed. With --yes the account goes from the code.")
        return 1
    if status := kept(env, files):
        return status
    print(f"{name} is gone from env {env.name}. Next: validator plan {env.name}")
    return 0


def kept(env: Env, files: Files, *, new: bool = False) -> int:
    """Writes the files if the env's code holds with them, or is no worse than before; else says why."""
    from validator.tools import terraform

    texts = {name: text for name, text in files.items() if text is not None}
    formed: Files = {**files, **terraform.formatted(texts, os.environ)}
    with _trial(env, formed) as trial:
        run = _judged(trial, trial.root)
        wrong = _counted(run)
        # The code as it is takes as long to judge, and hardly ever matters.
        known = {_name(each) for each in _wrong(env)} if wrong and not new else set()
        worse = [each for each in wrong if _name(each) not in known]
        if worse:
            print(to_text(run))
            reporting.say(f"Nothing was written: the code of env {env.name} would not hold.")
            return EXIT_STATUS[Verdict(tuple(worse)).outcome]
    env.directory.mkdir(exist_ok=True)
    try:
        for name, text in formed.items():
            file = env.directory / name
            if text is None:
                file.unlink()
            else:
                project.write(file, text)
    except BaseException:
        if new:
            shutil.rmtree(env.directory, ignore_errors=True)
        raise
    return 0


@contextlib.contextmanager
def _trial(env: Env, files: Files) -> Iterator[Env]:
    """A copy of the env with the files as they are to become, in a checkout of its own."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Env(Path(folder), env.name)
        shutil.copytree(env.root / "terraform" / "modules", trial.root / "terraform" / "modules")
        if env.directory.exists():
            shutil.copytree(env.directory, trial.directory)
        else:
            trial.directory.mkdir(parents=True)
        for name, text in files.items():
            if text is None:
                (trial.directory / name).unlink()
            else:
                project.write(trial.directory / name, text)
        yield trial


def _judged(env: Env, root: Path) -> Run:
    declared = envs.read(env)
    estate = code.read(env.directory, declared, env.name)
    return Run("check", env.name, "no AWS", estate, judging.judged(env, estate), root=root)


def _wrong(env: Env) -> tuple[Finding, ...]:
    """What counts against the env's code as it is; nothing is known of code that cannot be read."""
    try:
        return _counted(_judged(env, env.root))
    except ValidatorError:
        return ()


def _counted(run: Run) -> tuple[Finding, ...]:
    return tuple(each for each in run.verdict.findings if each.counted is not Outcome.HOLDS)


def _name(finding: Finding) -> tuple[str, str, str]:
    return finding.invariant, finding.subject, finding.outcome.value


def _ranges_of_others(env: Env, *, but: str | None) -> tuple[str, ...]:
    """The staging areas' ranges of the checkout's other envs."""
    found = []
    for each in project.envs(env.root):
        if each.name != but:
            declared = envs.read(each)
            found += authoring.ranges(declared)
    return tuple(found)
