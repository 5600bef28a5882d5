"""`deploy`: agents onto tagged instances, wave by wave."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from validator import project
from validator.commands import Commands, envs, reporting
from validator.errors import SourceError, UsageError
from validator.project import Env

if TYPE_CHECKING:
    from validator.operations import deploy
    from validator.reports.progress import Progress


def register(command: Commands) -> None:
    """Adds the command."""
    deploy = command("deploy", _deploy, "deploy agents onto tagged instances, wave by wave")
    _add_options(deploy)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("env", help="the env, a folder under terraform/envs")
    parser.add_argument(
        "--via",
        choices=("direct", "lambda"),
        default="direct",
        help="from here, or through the estate's own deployer",
    )
    parser.add_argument("--account", action="append", default=[], help="only this account")
    parser.add_argument("--wave", action="append", default=[], help="only this wave")
    parser.add_argument("--instance", action="append", default=[], help="only this instance")
    parser.add_argument(
        "--payload",
        metavar="FILE",
        type=Path,
        help="exactly what this payload asks for, as of size",
    )
    parser.add_argument(
        "--max-concurrency", metavar="N", help="agents that a command installs at once, or N%%"
    )
    parser.add_argument("--max-errors", metavar="N", help="failures that a wave may have, or N%%")
    parser.add_argument(
        "--poll-seconds", type=int, metavar="N", help="seconds between two looks at what goes on"
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="also what failed before is tried again"
    )
    parser.add_argument(
        "--tag", action="store_true", help="first tag what the env's selectors find"
    )
    parser.add_argument("--id", help="the deployment's name; the same never deploys twice")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done and do nothing"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--status", metavar="ID", help="say how a deployment stands")
    which.add_argument("--resume", metavar="ID", help="go on with a deployment")
    which.add_argument("--cancel", metavar="ID", help="end a deployment")
    which.add_argument("--rollback", metavar="ID", help="list what a deployment brought")
    parser.add_argument("--remove", action="store_true", help="with --rollback: remove it")
    parser.add_argument("--format", choices=("json", "text"), default="text", help="report format")


def _deploy(arguments: argparse.Namespace) -> int:
    """`deploy`: status 0 if every selected instance replicates, 1 if one does not, 2 if it is open."""
    from validator import cloud
    from validator.operations import deploy
    from validator.reports.progress import Progress

    _check_options(arguments)
    payload = None if arguments.payload is None else _payload(arguments.payload)
    env, declared = envs.find(arguments.env)
    env.forget("deploy")
    with cloud.opened(os.environ.get("CLOUD"), envs.account_ids(declared), env.root) as aws:
        deployments = deploy.Deployments(declared, envs.opener(declared, aws))
        heading = f"deploy {env.name} on {aws.label}"
        with Progress(f"deploy {env.name}") as progress:
            if arguments.rollback:
                progress.step("reading what was deployed")
                done = True
                for as_asked, line in deployments.rollback(
                    arguments.rollback, remove=arguments.remove
                ):
                    print(line, flush=True)
                    done = done and as_asked
                return 0 if done else 1
            selection = _selection(arguments)
            if arguments.tag:
                for line in deployments.tag(selection, dry_run=arguments.dry_run):
                    reporting.say(f"  {line}")
            asked = deployments.payload(selection) if payload is None else payload
            if arguments.dry_run:
                return _would_deploy(deployments, asked, heading)
            ended = _deployed(deployments, asked, arguments, progress)
        return _report(env, deployments, ended, heading, arguments)


def _check_options(arguments: argparse.Namespace) -> None:
    """Raises UsageError for options that have nothing to do with what is asked for."""
    if arguments.remove and not arguments.rollback:
        raise UsageError("--remove goes with --rollback ID.")
    named = ("status", "resume", "cancel", "rollback")
    which = next((each for each in named if getattr(arguments, each)), None)
    new = {
        "--account": arguments.account,
        "--dry-run": arguments.dry_run,
        "--id": arguments.id,
        "--instance": arguments.instance,
        "--max-concurrency": arguments.max_concurrency,
        "--max-errors": arguments.max_errors,
        "--poll-seconds": arguments.poll_seconds is not None,
        "--retry-failed": arguments.retry_failed and which != "resume",
        "--payload": arguments.payload is not None,
        "--tag": arguments.tag,
        "--via": arguments.via != "direct",
        "--wave": arguments.wave,
    }
    given = [option for option, value in new.items() if value]
    if which and given:
        raise UsageError(f"{', '.join(given)}: of a new deployment, and not of --{which}.")
    beside = [each for each in given if each not in {"--dry-run", "--id", "--payload", "--via"}]
    if arguments.payload is not None and beside:
        raise UsageError(f"{', '.join(beside)}: stands in the payload, and not beside --payload.")
    if arguments.format == "json" and (arguments.rollback or arguments.dry_run):
        raise UsageError("--format json: of a deployment, and not of --rollback or --dry-run.")


def _payload(file: Path) -> dict[str, Any]:
    """The payload in a file, which the deployer itself checks; raises SourceError for what is no object."""
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise SourceError(f"{file}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{file}: is no JSON ({error}).") from error
    if not isinstance(found, dict):
        raise SourceError(f"{file}: is no payload, which is an object.")
    return found


def _selection(arguments: argparse.Namespace) -> "deploy.Selection":
    from validator.operations.deploy import Selection

    return Selection(
        tuple(arguments.account),
        tuple(arguments.wave),
        tuple(arguments.instance),
        arguments.max_concurrency,
        arguments.max_errors,
        arguments.poll_seconds,
        arguments.retry_failed,
    )


def _deployed(
    deployments: "deploy.Deployments",
    payload: dict[str, Any],
    arguments: argparse.Namespace,
    progress: "Progress",
) -> str:
    """Does what is asked for with a deployment, and returns its id."""
    tell = teller(progress)
    if arguments.status:
        return str(arguments.status)
    if arguments.cancel:
        deployments.cancel(arguments.cancel, tell)
        return str(arguments.cancel)
    if arguments.resume:
        deployments.resume(arguments.resume, tell, retry_failed=arguments.retry_failed)
        return str(arguments.resume)
    way = deployments.via_function if arguments.via == "lambda" else deployments.direct
    name = arguments.id or payload.get("deployment_id")
    return str(way(payload, name, tell)["deployment_id"])


def teller(progress: "Progress") -> "deploy.OnProgress":
    """Shows how a deployment stands, each time that it stands otherwise."""
    from validator.reports import deploying

    told: list[str] = []

    def tell(so_far: dict[str, Any]) -> None:
        line = deploying.to_line(so_far)
        if told[-1:] != [line]:
            progress.step(line)
            told.append(line)

    return tell


def _would_deploy(deployments: "deploy.Deployments", payload: dict[str, Any], heading: str) -> int:
    """The status of a dry run: 1 if an instance would be left out that does not replicate yet."""
    from validator.reports.deploying import planned_to_text

    plan = deployments.dry_run(payload)
    print(f"{heading} (dry run)\n\n{planned_to_text(plan.batches, plan.refused)}{heading}")
    return 0 if deployments.complete(plan) else 1


def _report(
    env: Env,
    deployments: "deploy.Deployments",
    deployment_id: str,
    heading: str,
    arguments: argparse.Namespace,
) -> int:
    """Shows how a deployment stands, also under build/, and returns its status."""
    from validator.reports.deploying import to_text as shown

    progress, instances = deployments.status(deployment_id)
    document = json.dumps({**progress, "instances": instances}, indent=2, sort_keys=True) + "\n"
    project.write(env.build("deploy") / "report.json", document)
    text = f"{heading}\n\n{shown(progress, instances)}{heading}\n"
    sys.stdout.write(document if arguments.format == "json" else text)
    status = {"succeeded": 0, "incomplete": 1, "cancelled": 1}
    return status.get(progress["status"], reporting.NO_VERDICT)
