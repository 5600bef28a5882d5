"""`verify`: the accounts judged as they are."""

import argparse
import os
import time
from datetime import date, datetime
from typing import TYPE_CHECKING

from validator import history, waivers
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
    reporting.add_report_options(verify)


def _verify(arguments: argparse.Namespace) -> int:
    """`verify`: status of the verdict on the accounts as they are."""
    from validator import cloud

    env, declared = envs.find(arguments.env)
    before = reporting.begun(env, "verify")
    with cloud.opened(os.environ.get("CLOUD"), envs.account_ids(declared), env.root) as aws:
        estate, verdict, notes = verified(env, declared, aws, arguments)
        notes = (*notes, *waivers.warnings(verdict, date.today()))
        run = Run(
            "verify", env.name, aws.label, estate, verdict,
            notes=notes, root=env.root, before=before,
        )  # fmt: skip
        status = reporting.report([reporting.rendered(run)], arguments)
        if isinstance(estate.read_at, datetime):
            history.kept(env, history.verified(run.document, aws.identity, estate.read_at))
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
    with Progress(f"verify {env.name}") as progress:
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


def _duration(text: str) -> float:
    """A length of time such as 90s, 10m or 2h, in seconds; raises ValueError."""
    number, unit = text[:-1], text[-1:]
    if unit not in {"s", "m", "h"} or not number.isdigit() or not int(number):
        raise argparse.ArgumentTypeError(f"{text!r}: must be such as 90s, 10m or 2h")
    return float(number) * {"s": 1, "m": 60, "h": 3600}[unit]
