"""`emulator`: the embedded AWS, served until stopped."""

import argparse
import os
import sys
from pathlib import Path

from validator import project
from validator.commands import Commands


def register(command: Commands) -> None:
    """Adds the command."""
    emulator = command("emulator", _emulator, "serve the embedded AWS until stopped")
    emulator.add_argument("--port", type=int, default=0, help="port, 0 for a free one")
    emulator.add_argument(
        "--management-account", default="777788889999", help="account that the admin roles trust"
    )


def _emulator(arguments: argparse.Namespace) -> int:
    """`emulator`: becomes the embedded AWS, which ends with a signal."""
    command = [sys.executable, "-m", "validator.emulator", "--port", str(arguments.port)]
    command += ["--management-account", arguments.management_account]
    command += ["--announce", str(project.find_root(Path.cwd()) / "build" / "emulator.json")]
    os.execv(sys.executable, command)
