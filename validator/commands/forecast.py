"""`forecast`: when accounts and the target will be full, from the verifications that were kept."""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from validator import forecasting, history, project
from validator.commands import Commands
from validator.errors import SourceError, UsageError
from validator.findings import EXIT_STATUS
from validator.forecasting import Forecast, Known, Question
from validator.history import Verified
from validator.model import Unknown

LEAD_DAYS = 30
ORDER_DAYS = 365


def register(command: Commands) -> None:
    """Adds the command."""
    forecast = command(
        "forecast", _forecast, "foretell when accounts are full, from earlier verifications"
    )
    forecast.add_argument("env", help="the env, a folder under terraform/envs")
    forecast.add_argument(
        "--history",
        metavar="FILE",
        type=Path,
        action="append",
        help="what verify kept elsewhere, by default build/ENV/history/verify.jsonl; repeat it",
    )
    forecast.add_argument(
        "--lead-days",
        metavar="N",
        type=_days,
        default=LEAD_DAYS,
        help=f"days that a new account takes to be ready; by default {LEAD_DAYS}",
    )
    forecast.add_argument(
        "--order-days",
        metavar="N",
        type=_days,
        default=ORDER_DAYS,
        help=f"list the accounts to order in so many days; by default {ORDER_DAYS}",
    )
    forecast.add_argument(
        "--format", choices=("json", "text"), default="text", help="report format"
    )
    forecast.add_argument("--output", type=Path, help="write the report there, not to stdout")


def _forecast(arguments: argparse.Namespace) -> int:
    """`forecast`: status 0 if no limit is near, 1 if one is, 2 if too little is known."""
    from validator.commands import envs
    from validator.reports import forecasting as reports
    from validator.sources import tfvars

    env, declared = envs.find(arguments.env)
    env.forget("forecast")
    now = _now()
    estate = tfvars.estate(declared, env.name, "code", lambda account: account)
    if isinstance(estate.headroom, Unknown):
        raise SourceError(f"{estate.headroom.reason}.")
    files = arguments.history or [history.file_of(env)]
    if arguments.history is None and not files[0].exists():
        raise UsageError(
            f"{files[0].relative_to(env.root)}: no verification was kept yet. Run "
            f"`validator verify {env.name}` daily, or name what was kept elsewhere with --history."
        )
    read = history.read(files, env.name, now)
    runs, notes = _of_one_cloud(read)
    accounts = [(each.name, each.id) for each in estate.protected]
    question = Question(
        tuple(_known(name, id_, runs) for name, id_ in accounts),
        forecasting.series({each.at: _total(each, [id_ for _, id_ in accounts]) for each in runs}),
        forecasting.series({each.at: each.in_target for each in runs}),
        runs[-1].target_quota if runs else None,
        estate.headroom,
        arguments.lead_days,
        arguments.order_days,
        len(runs),
        now,
    )
    made = forecasting.forecast(question)
    notes = (*notes, *_strangers(runs, {id_ for _, id_ in accounts}))
    folder = env.build("forecast")
    json_text = reports.to_json(made, env.name, notes)
    project.write(folder / "report.json", json_text)
    project.write(folder / "report.txt", reports.to_text(made, env.name, notes))
    _show(arguments, made, env.name, notes, json_text)
    return EXIT_STATUS[made.outcome]


def _now() -> datetime:
    return datetime.now(UTC)


def _of_one_cloud(read: Sequence[Verified]) -> tuple[Sequence[Verified], tuple[str, ...]]:
    """The verifications on the AWS that was verified last: others count other servers."""
    if not read:
        return read, ()
    cloud = read[-1].cloud
    runs = [each for each in read if each.cloud == cloud]
    if len(runs) == len(read):
        return runs, ()
    return runs, (
        f"{len(read) - len(runs)} verifications on another AWS than the newest ({cloud}) are left out.",
    )


def _known(name: str, id_: str, runs: Sequence[Verified]) -> Known:
    counts = {run.at: each.replicating for run in runs for each in run.accounts if each.id == id_}
    newest = next((each for each in runs[-1].accounts if each.id == id_), None) if runs else None
    return Known(name, id_, forecasting.series(counts), None if newest is None else newest.quota)


def _total(run: Verified, ids: Sequence[str]) -> int | None:
    """The servers of all accounts of the env; one that did not exist yet had none."""
    counts = [each.replicating for each in run.accounts if each.id in ids]
    known = [each for each in counts if each is not None]
    return sum(known) if len(known) == len(counts) else None


def _strangers(runs: Sequence[Verified], ids: set[str]) -> Iterator[str]:
    strange = sorted({each.id for run in runs for each in run.accounts} - ids)
    if strange:
        yield f"{', '.join(strange)}: verified before, and no account of the env now; left out."


def _show(
    arguments: argparse.Namespace,
    made: Forecast,
    env: str,
    notes: tuple[str, ...],
    json_text: str,
) -> None:
    from validator.reports import forecasting as reports

    if arguments.format == "json":
        text = json_text
    elif arguments.output is None and sys.stdout.isatty():
        width = os.get_terminal_size().columns
        text = reports.to_text(made, env, notes, colour=True, width=width)
    else:
        text = reports.to_text(made, env, notes)
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        project.write(arguments.output, text)


def _days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) > forecasting.HORIZON_DAYS:
        raise argparse.ArgumentTypeError(
            f"{text!r:.40}: must be days, from 0 to {forecasting.HORIZON_DAYS}"
        )
    return int(text)
