"""`extend`: every extensible source server extended into the target."""

import argparse
import os
from typing import TYPE_CHECKING

from validator.commands import Commands, envs, reporting
from validator.errors import UsageError
from validator.model import Unknown
from validator.project import Env
from validator.sources import tfvars
from validator.sources.tfvars import Declared

if TYPE_CHECKING:
    from validator.cloud import Cloud
    from validator.operations import extend


def register(command: Commands) -> None:
    """Adds the command."""
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


def _extend(arguments: argparse.Namespace) -> int:
    """`extend`: status 0 if every selected server is extended, or in a dry run would be."""
    from validator import cloud
    from validator.operations.extend import Selection
    from validator.reports.extending import to_text as shown

    env, declared = envs.find(arguments.env)
    tags = []
    for each in arguments.tag:
        key, equals, value = each.partition("=")
        if not key or not equals:
            raise UsageError(f"--tag {each}: must be KEY=VALUE.")
        tags.append((key, value))
    selection = Selection(tuple(arguments.account), arguments.wave, tuple(tags), arguments.limit)
    with cloud.opened(os.environ.get("CLOUD"), envs.account_ids(declared), env.root) as aws:
        done = extended(env, declared, aws, selection, arguments)
    heading = f"extend {env.name} on {aws.label}"
    print(f"{heading}\n\n{shown(done)}{heading}")
    if done.complete:
        return 0
    return reporting.NO_VERDICT if done.refusals or done.interrupted else 1


def extended(
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
            envs.opener(declared, aws),
            launch=None if isinstance(settings, Unknown) else settings,
            selection=selection,
            dry_run=arguments.dry_run,
            prune=arguments.prune,
            on_progress=progress.count,
        )
