"""`package`: what the modules' functions run."""

import argparse

from validator.commands import Commands, envs


def register(command: Commands) -> None:
    """Adds the command."""
    package = command("package", _package, "build the packages of the modules' functions")
    package.add_argument("env", help="the env, a folder under terraform/envs")


def _package(arguments: argparse.Namespace) -> int:
    """`package`: builds what the modules' functions run, as `plan` does by itself."""
    from validator import packaging

    env, declared = envs.find(arguments.env)
    for file in packaging.build(env, declared):
        print(f"{file}\n{packaging.sha256(file)}")
    return 0
