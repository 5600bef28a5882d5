"""Which env a command is for, what it declares, and the way into its accounts."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from validator import project
from validator.errors import UsageError
from validator.project import Env
from validator.sources import tfvars
from validator.sources.tfvars import Declared

if TYPE_CHECKING:
    from validator import accounts
    from validator.cloud import Cloud


def find(name: str) -> tuple[Env, Declared]:
    """The env and what it declares; raises if the file is another env's."""
    env = project.find(name, Path.cwd())
    return env, read(env)


def read(env: Env) -> Declared:
    """What the env declares; raises if the file is another env's."""
    declared = tfvars.read(env.directory)
    if tfvars.text(declared, "environment") != env.name:
        raise UsageError(
            f"{declared.where('environment')}: declares environment "
            f"{tfvars.text(declared, 'environment')!r} in the folder of env {env.name!r}."
        )
    return declared


def chosen(arguments: argparse.Namespace, command: str) -> tuple[Env, ...]:
    """The envs that the arguments name, or every one; raises UsageError."""
    root = project.find_root(Path.cwd())
    if command == "check" and arguments.all == bool(arguments.env):
        raise UsageError("Name the envs to check, or say --all.")
    if arguments.env:
        return tuple(project.find(name, root) for name in dict.fromkeys(arguments.env))
    every = project.envs(root)
    if not every:
        raise UsageError(f"{root}/terraform/envs: there is no env to judge.")
    return every


def account_ids(declared: Declared) -> tuple[str, ...]:
    """Every account id of the estate, the orchestration account's last."""
    target, staging, orchestration = tfvars.accounts(declared)
    return tuple(account.id for account in (target, *staging, orchestration))


def opener(declared: Declared, aws: "Cloud") -> "accounts.Opener":
    """The way into each account of the estate, by the role that Terraform assumes."""
    from validator import accounts

    return accounts.opener(tfvars.text(declared, "access_role_name"), aws.environment)
