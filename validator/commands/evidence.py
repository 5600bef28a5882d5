"""`evidence`: one archive with what was proved of an env, and the proof that one is unchanged."""

import argparse
import json
import os
import re
import sys
from datetime import date
from pathlib import Path

from validator import project, records
from validator.commands import Commands, reporting
from validator.errors import SourceError, ToolError, UsageError
from validator.findings import EXIT_STATUS, Outcome

_FILE = "evidence.zip"


def register(command: Commands) -> None:
    """Adds the command."""
    evidence = command(
        "evidence", _evidence, "one archive with what was proved of an env, or the check of one"
    )
    evidence.add_argument("env", nargs="?", help="the env, a folder under terraform/envs")
    evidence.add_argument("--check", metavar="FILE", type=Path, help="prove an archive unchanged")
    evidence.add_argument(
        "--manifest-hash", metavar="SHA256", help="what was printed when the archive was made"
    )
    evidence.add_argument(
        "--output", metavar="FILE", type=Path, help="write the archive there, not under build/"
    )
    evidence.add_argument(
        "--days",
        metavar="N",
        type=_days,
        help="take what plan and verify read in the accounts for N days, not 30, to be so",
    )
    evidence.add_argument(
        "--embedded",
        action="store_true",
        help="let what holds on the embedded AWS count, which proves nothing of real accounts",
    )
    evidence.add_argument(
        "--format", choices=("text", "json"), default="text", help="format of what is printed"
    )


def _evidence(arguments: argparse.Namespace) -> int:
    """`evidence`: status of the outcome, or 0 if the archive to check is unchanged."""
    if (arguments.env is None) == (arguments.check is None):
        raise UsageError("Name the env to make evidence of, or the archive to --check.")
    if arguments.check is not None:
        if arguments.output is not None:
            raise UsageError("--output is for evidence that is made, not for --check.")
        if arguments.days is not None or arguments.embedded:
            raise UsageError(
                "--days and --embedded are for evidence that is made, not for --check."
            )
        return _check(arguments)
    if arguments.manifest_hash is not None:
        raise UsageError("--manifest-hash goes with --check.")
    return _make(arguments)


def _make(arguments: argparse.Namespace) -> int:
    from validator import evidence
    from validator.reports.evidence import to_text
    from validator.tools import checkov, git, terraform

    env = project.find(arguments.env, Path.cwd())
    env.forget("evidence")
    tools: dict[str, str | None] = {
        "checkov": checkov.installed_version(os.environ),
        "provider": terraform.locked_version(env.directory),
    }
    try:
        tools["terraform"] = terraform.version(os.environ)
    except ToolError as error:
        reporting.say(f"{error}")
        tools["terraform"] = None
    found = evidence.collect(
        env,
        date.today(),
        tools,
        git.state(env.root),
        days=records.DAYS if arguments.days is None else arguments.days,
        embedded=arguments.embedded,
    )
    archive, manifest_hash = evidence.packed(found.members)
    file = arguments.output or env.build("evidence") / _FILE
    project.write(file, archive)
    if arguments.format == "json":
        _print({"file": str(file), "manifest_sha256": manifest_hash, "summary": found.summary})
    else:
        sys.stdout.write(to_text(found.summary, str(file), manifest_hash))
    return EXIT_STATUS[found.outcome]


def _check(arguments: argparse.Namespace) -> int:
    from validator import evidence
    from validator.reports.evidence import checked_to_text

    given = arguments.manifest_hash
    if given is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", given):
        raise UsageError("--manifest-hash must be a SHA-256: 64 digits of 0-9 and a-f.")
    file: Path = arguments.check
    if not file.is_file():
        raise SourceError(f"{file}: is no file. Name the archive to check.")
    with file.open("rb") as stream:
        content = stream.read(evidence.LARGEST + 1)
    checked = evidence.check(content, str(file), given and given.lower())
    if arguments.format == "json":
        _print(
            {
                "file": str(file),
                "manifest_sha256": checked.manifest_hash,
                "summary": checked.summary,
                "problems": list(checked.problems),
                "known_manifest": given is not None,
            }
        )
    else:
        sys.stdout.write(
            checked_to_text(
                checked.summary,
                str(file),
                checked.manifest_hash,
                checked.problems,
                given is not None,
            )
        )
    return EXIT_STATUS[Outcome.VIOLATED if checked.problems else Outcome.HOLDS]


def _days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: must be 0 to 9999 days")
    return int(text)


def _print(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")
