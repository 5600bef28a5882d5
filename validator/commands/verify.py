"""`verify`: the accounts judged as they are."""

import argparse
import os
import time
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from validator import history, project, waivers
from validator.commands import Commands, envs, judging, reporting
from validator.findings import Verdict
from validator.model import Estate
from validator.project import Env
from validator.reports import Run
from validator.sources.tfvars import Declared

if TYPE_CHECKING:
    from validator.cloud import Cloud


def register(command: Commands) -> None:
    """Adds the command."""
    verify = command("verify", _verify, "judge the accounts as they are")
    verify.add_argument("env", help="the env, a folder under terraform/envs")
    verify.add_argument(
        "--deep", action="store_true", help="read of every server what AWS gives one by one"
    )
    again = verify.add_mutually_exclusive_group()
    again.add_argument(
        "--wait",
        metavar="DURATION",
        type=_duration,
        help="read again, for at most so long (90s, 10m, 2h), until it holds or nothing moves",
    )
    again.add_argument(
        "--watch",
        metavar="SECONDS",
        type=_interval,
        nargs="?",
        const=30,
        help="show the estate, read again every 30 or so many seconds, until Ctrl-C",
    )
    verify.add_argument(
        "--verifier-role",
        action="store_true",
        help="read by the estate's verifier roles, as verifier_principal_arn, and by no other",
    )
    reporting.add_report_options(verify)


def _verify(arguments: argparse.Namespace) -> int:
    """`verify`: status of the verdict on the accounts as they are."""
    from validator import cloud
    from validator.reports.watching import Watching, watch

    env = project.find(arguments.env, Path.cwd())
    before = reporting.begun(env, "verify")
    declared = envs.read(env)
    screen = Watching(f"verify {env.name}", arguments.watch or 0)
    try:
        with cloud.opened(os.environ.get("CLOUD"), envs.account_ids(declared), env.root) as aws:

            def read() -> Run:
                estate, verdict, notes = verified(env, declared, aws, arguments)
                return Run(
                    "verify",
                    env.name,
                    aws.label,
                    estate,
                    verdict,
                    notes=(*notes, *waivers.warnings(verdict, date.today())),
                    root=env.root,
                    before=before,
                    identity=aws.identity,
                )

            if arguments.watch is None:
                return _reported(env, read(), aws, arguments)
            with screen:
                watch(read, screen, lambda: time.sleep(arguments.watch))
    except KeyboardInterrupt:
        # An embedded AWS that dies interrupts too, and is an error by the time it comes to here.
        if isinstance(screen.last, Run):
            return _reported(env, screen.last, aws, arguments)
        raise screen.last or KeyboardInterrupt from None


def _reported(env: Env, run: Run, aws: "Cloud", arguments: argparse.Namespace) -> int:
    """The status of the report on a run, which is kept in the env's history."""
    status = reporting.report([reporting.rendered(run)], arguments)
    read_at = run.estate.read_at
    if isinstance(read_at, datetime):
        history.kept(env, history.verified(run.document, aws.identity, read_at))
    return status


def verified(
    env: Env, declared: Declared, aws: "Cloud", arguments: argparse.Namespace
) -> tuple[Estate, Verdict, tuple[str, ...]]:
    """The estate as it is, its verdict, and what there is to say of the wait for it."""
    from validator.convergence import Watch
    from validator.reports.progress import Progress
    from validator.sources import live

    if arguments.verifier_role:
        opener = live.verifier(declared, live.as_principal(declared, aws.environment))
    else:
        opener = envs.opener(declared, aws)
    with Progress(f"verify {env.name}", quiet=arguments.watch is not None) as progress:
        progress.step("reading the accounts")
        watch = Watch(arguments.wait)
        while True:
            estate = live.read(declared, env.name, opener, deep=arguments.deep)
            verdict = judging.judged(env, estate)
            pause = watch.seen(estate, verdict)
            if pause is None:
                break
            progress.step(watch.progress)
            time.sleep(pause)
    how = "of all servers (--deep)" if arguments.deep else "of servers not extended yet"
    read = f"Settings that AWS gives server by server were read {how}."
    return estate, verdict, (read, *watch.notes)


def _interval(text: str) -> int:
    """Seconds between two readings, at least ten: each one asks every account a lot."""
    from validator.reports.watching import LEAST

    if not text.isdecimal() or not LEAST <= int(text) <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r}: must be {LEAST} to 86400 seconds")
    return int(text)


def _duration(text: str) -> float:
    """A length of time such as 90s, 10m or 2h, in seconds; raises ValueError."""
    number, unit = text[:-1], text[-1:]
    if unit not in {"s", "m", "h"} or not number.isdigit() or not int(number):
        raise argparse.ArgumentTypeError(f"{text!r}: must be such as 90s, 10m or 2h")
    return float(number) * {"s": 1, "m": 60, "h": 3600}[unit]
