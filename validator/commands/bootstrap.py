"""`bootstrap`: what must exist before Terraform, and what Terraform cannot own."""

import argparse
import os
from typing import TYPE_CHECKING

from validator.commands import Commands, envs, plan, reporting
from validator.errors import AccountError
from validator.model import Unknown
from validator.project import Env
from validator.sources import code, tfvars
from validator.sources.tfvars import Declared

if TYPE_CHECKING:
    from validator.cloud import Cloud
    from validator.reports.progress import Progress


def register(command: Commands) -> None:
    """Adds the command."""
    bootstrap = command(
        "bootstrap", _bootstrap, "make what must exist before Terraform: DRS roles, DRS itself"
    )
    bootstrap.add_argument("env", help="the env, a folder under terraform/envs")
    bootstrap.add_argument(
        "--dry-run", action="store_true", help="say what is missing and make nothing"
    )


def _bootstrap(arguments: argparse.Namespace) -> int:
    """`bootstrap`: status 0 if all that it makes is there, 1 if a dry run found something missing."""
    from validator import cloud
    from validator.reports.progress import Progress

    env, declared = envs.find(arguments.env)
    with (
        cloud.opened(os.environ.get("CLOUD"), envs.account_ids(declared), env.root) as aws,
        Progress(f"bootstrap {env.name}") as progress,
    ):
        status = bootstrapped(declared, aws, progress, dry_run=arguments.dry_run)
        imported = adopted(env, declared, aws, progress, dry_run=arguments.dry_run)
        for line in imported:
            reporting.say(f"  {line}")
        if imported and not arguments.dry_run:
            # A plan that was made before would make what is there now.
            env.forget("plan")
        return 1 if imported and arguments.dry_run else status


def adopted(
    env: Env, declared: Declared, aws: "Cloud", progress: "Progress", *, dry_run: bool
) -> tuple[str, ...]:
    """Imports each account's replication configuration template into Terraform's state.

    It is a singleton, and Terraform cannot make a second. Returns what was imported, or in a dry
    run would be.
    """
    from validator.operations import bootstrap

    opener, region = envs.opener(declared, aws), tfvars.text(declared, "recovery_region")
    target, staging, _ = tfvars.accounts(declared)
    found = {
        each: bootstrap.existing_template(opener, each.id, region) for each in (target, *staging)
    }
    if not any(found.values()):
        return ()
    addresses = code.template_addresses(env.directory, declared)
    at = plan.initialised(env, aws, progress)
    known = at.addresses()
    done = []
    for account, id_ in found.items():
        address = addresses.get(account.id)
        if id_ is None or address is None or address in known:
            continue
        if not dry_run:
            progress.step(f"importing {id_} of {account.name}")
            at.adopt(address, id_)
        imported = "would be imported" if dry_run else "imported"
        done.append(
            f"{account.name}: replication configuration template {id_} {imported} as {address}"
        )
    return tuple(done)


def bootstrapped(declared: Declared, aws: "Cloud", progress: "Progress", *, dry_run: bool) -> int:
    """Makes what is missing; returns 1 if a dry run found something, and raises if a step failed."""
    from validator.operations import bootstrap

    settings = tfvars.launch_settings(declared)
    steps = bootstrap.bootstrap(
        declared,
        envs.opener(declared, aws),
        on_step=progress.step,
        dry_run=dry_run,
        launch=None if isinstance(settings, Unknown) else settings,
    )
    for step in steps:
        reporting.say(f"  {step.account}: {step.text}")
    if failed := [step for step in steps if step.failed]:
        raise AccountError(f"{len(failed)} steps of the bootstrap failed; each is named above.")
    return 1 if dry_run and any(step.changed for step in steps) else 0
