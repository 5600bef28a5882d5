"""How the runs of a command are rendered, kept under build/, and shown."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from validator import project, records
from validator.errors import ValidatorError
from validator.findings import EXIT_STATUS, Outcome
from validator.model import Unknown
from validator.project import Env
from validator.reports import REPORTS, Run, base, combined, file_name
from validator.reports.text import WIDTH, draws_blocks, to_text

NO_VERDICT = 2

_Reported = tuple[Run, Mapping[str, str]]
"""A run, and its report in every format."""


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Adds --format and --output."""
    parser.add_argument("--format", choices=REPORTS, default="text", help="report format")
    parser.add_argument("--output", type=Path, help="write the report there, not to stdout")


def say(message: str) -> None:
    """Tells a person, beside the report."""
    print(message, file=sys.stderr)


def begun(env: Env, command: str) -> base.Json | Unknown:
    """What the last run of a command on an env had reported, unchecked, or why that cannot be read.

    Whatever that run left is removed, so that it cannot pass for this one's, and a record is begun of
    what is recorded.
    """
    file = env.build(command) / file_name("json")
    absent = Unknown("no report of an earlier run is there")
    earlier = base.read(file) if file.is_file() else absent
    if command in records.COMMANDS:
        records.begin(env, command)
    else:
        env.forget(command)
    return earlier


def judge_each(
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
        return rendered(judged(env))

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
                say(f"error: env {env.name}: {error}")
                failed = True
    finally:
        pool.shutdown(cancel_futures=True)
    if not reported:
        return NO_VERDICT
    status = report(reported, arguments)
    return status if status == EXIT_STATUS[Outcome.VIOLATED] or not failed else NO_VERDICT


def rendered(run: Run) -> _Reported:
    """The run with its report in every format."""
    assert run.root is not None
    run = replace(run, docs=project.pages(run.root, os.environ))
    return run, {name: report(run) for name, report in REPORTS.items()}


def report(reported: Sequence[_Reported], arguments: argparse.Namespace) -> int:
    """Writes every report under build/, shows the one asked for, and returns the worst status."""
    runs = [run for run, _ in reported]
    try:
        for run, reports in reported:
            _write(_env_of(run).build(run.command), reports)
            records.seal(_env_of(run), run.command, run.verdict.outcome, run.cloud)
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
    ascii_only = not draws_blocks(sys.stdout.encoding)
    if (
        arguments.output is None
        and arguments.format == "text"
        and (sys.stdout.isatty() or ascii_only)
    ):
        colour = sys.stdout.isatty()
        width = os.get_terminal_size().columns if colour else WIDTH
        texts = (to_text(run, colour=colour, width=width, ascii_only=ascii_only) for run in runs)
        sys.stdout.write(_encodable("\n".join(texts), sys.stdout.encoding))
    elif arguments.output is None:
        sys.stdout.write(_joined(arguments.format, reported))
    outcomes = {run.verdict.outcome for run in runs}
    worst = next(o for o in (Outcome.VIOLATED, Outcome.UNKNOWN, Outcome.HOLDS) if o in outcomes)
    return EXIT_STATUS[worst]


def _encodable(text: str, encoding: str | None) -> str:
    """The text with what the encoding lacks written as its code."""
    known = encoding or "ascii"
    return text.encode(known, "backslashreplace").decode(known)


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
