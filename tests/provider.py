"""One process of Terraform's AWS provider, where Terraform would start one for each step that it takes."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from validator.tools.terraform import WorkingDirectory


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
    place = (root / "data", environment, root / "build")
    WorkingDirectory(root, *place).init(backend_config={}, on_event=lambda _: None)
    with attached(root, root / "data", environment) as more:
        yield WorkingDirectory(root, root / "data", {**environment, **more}, root / "build")
