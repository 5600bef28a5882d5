"""`recovery-plans`: AWS's own recovery plans, written from the tags of the target's servers."""

import argparse
import os
import sys

from validator import project
from validator.commands import Commands, envs, reporting


def register(command: Commands) -> None:
    """Adds the command."""
    made = command(
        "recovery-plans", _recovery_plans, "write AWS's recovery plans, and start none of them"
    )
    made.add_argument("env", help="the env, a folder under terraform/envs")
    made.add_argument(
        "--wait-minutes",
        type=int,
        default=0,
        metavar="N",
        help="minutes to wait between two priorities of a plan",
    )
    made.add_argument(
        "--optional-from",
        metavar="PRIORITY",
        help="from this priority on, a server that fails does not stop its plan",
    )
    made.add_argument(
        "--prune", action="store_true", help="delete plans of this env that are not wanted any more"
    )
    made.add_argument(
        "--dry-run", action="store_true", help="say what would be done and do nothing"
    )
    made.add_argument("--format", choices=("json", "text"), default="text", help="report format")


def _recovery_plans(arguments: argparse.Namespace) -> int:
    """`recovery-plans`: status 0 if every server stands in a plan that could start now."""
    from validator import cloud
    from validator.operations import recovery_plans
    from validator.operations.recovery_plans import Order
    from validator.reports.progress import Progress
    from validator.reports.recovery_planning import to_json, to_text

    env, declared = envs.find(arguments.env)
    env.forget("recovery-plans")
    order = Order(arguments.wait_minutes, arguments.optional_from)
    with (
        cloud.opened(os.environ.get("CLOUD"), envs.account_ids(declared), env.root) as aws,
        Progress(f"recovery-plans {env.name}") as progress,
    ):
        done = recovery_plans.write(
            declared,
            envs.opener(declared, aws),
            order,
            dry_run=arguments.dry_run,
            prune=arguments.prune,
            on_progress=progress.count,
        )
    heading = f"recovery-plans {env.name} on {aws.label}{' (dry run)' if done.dry_run else ''}"
    document = to_json(done, env.name, aws.label)
    project.write(env.build("recovery-plans") / "report.json", document)
    text = f"{heading}\n\n{to_text(done)}{heading}\n"
    sys.stdout.write(document if arguments.format == "json" else text)
    if done.complete:
        return 0
    return reporting.NO_VERDICT if done.failed else 1
