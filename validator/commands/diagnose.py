"""`diagnose`: the cause of what is wrong in the accounts."""

import argparse
import os

from validator.commands import Commands, envs, reporting
from validator.errors import UsageError
from validator.findings import EXIT_STATUS, Outcome
from validator.invariants import INVARIANTS, judge


def register(command: Commands) -> None:
    """Adds the command."""
    diagnose = command("diagnose", _diagnose, "find the cause of what is wrong in the accounts")
    diagnose.add_argument("env", help="the env, a folder under terraform/envs")
    diagnose.add_argument("server", nargs="*", help="ARN, id or hostname of a server")


def _diagnose(arguments: argparse.Namespace) -> int:
    """`diagnose`: status 1 if a cause was found, 2 if something could not be known, else 0."""
    from validator import cloud, diagnosis
    from validator.reports.progress import Progress
    from validator.sources import live

    env, declared = envs.find(arguments.env)
    with cloud.opened(os.environ.get("CLOUD"), envs.account_ids(declared), env.root) as aws:
        with Progress(f"diagnose {env.name}") as progress:
            progress.step("reading the accounts")
            estate = live.read(declared, env.name, envs.opener(declared, aws), deep=True)
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
    return reporting.NO_VERDICT if unsure else 0
