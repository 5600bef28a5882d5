"""`demo`: the whole life of an estate on an embedded AWS."""

import argparse
import os
import time
from types import ModuleType
from typing import TYPE_CHECKING

from validator.commands import Commands, apply, envs, extend, plan, reporting, verify
from validator.commands.deploy import teller
from validator.errors import ToolError, UsageError
from validator.project import Env
from validator.reports import Run
from validator.sources.tfvars import Declared

if TYPE_CHECKING:
    from validator.cloud import Cloud


def register(command: Commands) -> None:
    """Adds the command."""
    demo = command(
        "demo", _demo, "the whole life of an estate on an embedded AWS, breakages and all"
    )
    demo.add_argument("env", help="the env, a folder under terraform/envs")


def _demo(arguments: argparse.Namespace) -> int:
    """`demo`: status 0 if the whole life of the estate went as promised."""
    from validator import cloud, demo
    from validator.operations.demo import Stage
    from validator.operations.extend import Selection
    from validator.reports.extending import to_text as shown

    if os.environ.get("CLOUD") == "aws":
        raise UsageError("demo breaks what it makes: it runs on the embedded AWS only.")
    env, declared = envs.find(arguments.env)
    started = time.monotonic()
    with cloud.embedded(envs.account_ids(declared)) as aws:
        assert aws.embedded is not None

        def verified() -> Run:
            estate, verdict, notes = verify.verified(env, declared, aws, _options(verify, env))
            return Run(
                "verify",
                env.name,
                aws.label,
                estate,
                verdict,
                notes,
                env.root,
                identity=aws.identity,
            )

        commands = demo.Commands(
            plan=lambda: plan.planned(
                env,
                declared,
                aws,
                _options(plan, env, "--skip-checkov"),
                reporting.begun(env, "plan"),
            ),
            apply=lambda: apply.applied(env, declared, aws),
            deploy=lambda: _deployed_in_demo(env, declared, aws),
            extend=lambda: shown(
                extend.extended(env, declared, aws, Selection(), _options(extend, env))
            ),
            verify=verified,
        )
        demo.demo(Stage(aws.embedded, declared, envs.opener(declared, aws)), commands, _tell)
    print(f"demo {env.name}: {time.monotonic() - started:.0f} s")
    return 0


def _options(command: ModuleType, env: Env, *given: str) -> argparse.Namespace:
    """The options of another command, as its own parser reads them."""
    parser = argparse.ArgumentParser()
    command.register(lambda *_: parser)
    return parser.parse_args([env.name, *given])


def _deployed_in_demo(env: Env, declared: Declared, aws: "Cloud") -> str:
    """Deploys through the estate's own deployer; raises ToolError unless every instance replicates."""
    from validator.operations import deploy
    from validator.reports.deploying import to_text as shown
    from validator.reports.progress import Progress

    deployments = deploy.Deployments(declared, envs.opener(declared, aws))
    payload = deployments.payload(deploy.Selection(poll_seconds=1))
    with Progress(f"deploy {env.name}") as progress:
        deployment = deployments.via_function(payload, None, teller(progress))
    ended, instances = deployments.status(deployment["deployment_id"])
    if ended["status"] != "succeeded":
        raise ToolError(f"The deployment ended {ended['status']}:\n{shown(ended, instances)}")
    return shown(ended, instances)


def _tell(text: str) -> None:
    print(text, flush=True)
