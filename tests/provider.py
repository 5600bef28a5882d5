"""Terraform's AWS provider at less cost: not read whole by every command, or in one process for all steps."""

import base64
import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from validator.tools import terraform
from validator.tools.terraform import WorkingDirectory

_MIRROR, _BEFORE = "TF_PROVIDER_MIRROR", "TF_PROVIDER_MIRROR_BEFORE"
_TERRAFORM = Path(__file__).parents[1] / "terraform"
_LOCK = _TERRAFORM / "envs/staging/.terraform.lock.hcl"
_PROGRAMS = "registry.terraform.io/hashicorp/aws/{}/*/terraform-provider-aws*"
_SCRIPT = """\
#!/usr/bin/env bash
# By the name that it was started by: tests look for what is left of a checkout.
exec -a "$0" {} "$@"
"""


def link(folder: Path) -> None:
    """From now on Terraform finds, in `folder`, scripts that start what this machine's mirror has.

    It reads a whole provider at every command, to compare it with the lock file: of this one 700 MB.
    Nothing changes where no mirror has it unpacked, or where there is no bash.
    """
    real = terraform.mirror(_LOCK.parent, os.environ) if shutil.which("bash") else None
    programs = _programs(real) if real is not None else []
    for program in programs:
        script = folder / program.relative_to(str(real))
        script.parent.mkdir(parents=True)
        script.write_text(_SCRIPT.format(shlex.quote(str(program))))
        script.chmod(0o755)
    if programs:
        os.environ[_BEFORE] = os.environ.get(_MIRROR, "")
        os.environ[_MIRROR] = str(folder)


def unlinked() -> dict[str, str]:
    """The environment in which Terraform finds the provider that a user has."""
    environment = dict(os.environ)
    if _BEFORE in environment:
        environment[_MIRROR] = environment.pop(_BEFORE)
    return environment


def _programs(mirror: Path) -> list[Path]:
    return sorted(mirror.glob(_PROGRAMS.format(terraform.locked_version(_LOCK.parent))))


def copy_terraform(folder: Path) -> None:
    """Copies terraform/ into a folder; the lock files of its envs there accept a linked provider too."""
    shutil.copytree(_TERRAFORM, folder / "terraform")
    for env in (folder / "terraform/envs").iterdir():
        copy_lock(env)


def copy_lock(directory: Path) -> None:
    """Copies the envs' lock file; in the copy it accepts a linked provider too."""
    linked = _programs(Path(os.environ[_MIRROR])) if _BEFORE in os.environ else []
    own = {_hash(each) for each in linked}
    more = "".join(f'    "{each}",\n' for each in sorted(own))
    text = _LOCK.read_text().replace("  hashes = [\n", f"  hashes = [\n{more}", 1)
    (directory / _LOCK.name).write_text(text)


def _hash(program: Path) -> str:
    """Terraform's `h1` of the package that is this file alone (golang.org/x/mod/sumdb/dirhash)."""
    line = f"{hashlib.sha256(program.read_bytes()).hexdigest()}  {program.name}\n"
    return f"h1:{base64.b64encode(hashlib.sha256(line.encode()).digest()).decode()}"


@contextmanager
def attached(root: Path, data: Path, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """What lets Terraform, in `root`, talk to the one provider that its `init` has put into `data`.

    A process can be given one configuration only, always the same one: mocks give it none.
    """
    (provider,) = data.glob("providers/*/hashicorp/aws/*/*/terraform-provider-aws*")
    # Else it logs every step.
    quiet = {f"TF_LOG_{each}": "ERROR" for each in ("PROVIDER", "SDK", "SDK_MUX", "SDK_PROTO")}
    with subprocess.Popen(
        [provider, "-debug"],
        cwd=root,
        env={**environment, **quiet},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            found = (re.search("TF_REATTACH_PROVIDERS='(.*)'", line) for line in process.stdout)
            yield {"TF_REATTACH_PROVIDERS": next(filter(None, found))[1]}
        finally:
            process.terminate()


@contextmanager
def initialised(root: Path, environment: Mapping[str, str]) -> Iterator[WorkingDirectory]:
    """A root module with one configuration of the provider, in which Terraform talks to one process of it."""
    copy_lock(root)
    place = (root / "data", environment, root / "build")
    WorkingDirectory(root, *place).init(backend_config={}, on_event=lambda _: None)
    with attached(root, root / "data", environment) as more:
        yield WorkingDirectory(root, root / "data", {**environment, **more}, root / "build")
