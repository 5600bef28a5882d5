"""Runs Terraform, and reads its machine-readable output as it comes. Only this file knows python-terraform.

NOTE: python-terraform composes the command line; the process is ours, because its own `cmd` neither
streams nor ends its child on Ctrl-C (docs/decisions/0001-python-terraform.md).
"""

import contextlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from python_terraform import IsFlagged, Terraform

from validator.errors import SourceError, ToolError
from validator.findings import Finding, Message, Outcome

Json = dict[str, Any]
OnEvent = Callable[[Mapping[str, Any]], None]

OLDEST = (1, 10)
"""The first Terraform whose S3 backend locks with a file."""

_PROVIDER = "registry.terraform.io/hashicorp/aws"
_STOP_SECONDS = {"apply": 600.0, "import": 60.0}
"""How long an interrupted command may take to end: an apply ends what it began, and saves its state."""
_STOP_SECONDS_OTHERWISE = 20.0
_HINTS = (
    (
        ("could not query provider registry", "failed to query available provider packages"),
        "Terraform could not reach the provider registry, and there is no local mirror of the AWS "
        "provider. Connect to the network once, or set TF_PROVIDER_MIRROR to a folder that "
        "`terraform providers mirror` made.",
    ),
    (
        ("bucket does not exist", "nosuchbucket"),
        "Create the state bucket that backend.hcl names (versioned, private), or correct its name.",
    ),
    (
        ("error acquiring the state lock",),
        "Another run holds the state; wait for it, or `terraform force-unlock` if it is dead.",
    ),
)

_FORMATTED = (
    "code-is-formatted",
    "A difference that is only form hides the one that matters from whoever reads the change.",
    "Run `make fmt`.",
)
_VALID = (
    "code-is-valid",
    "What Terraform does not accept cannot be planned or applied.",
    "Correct what the message names.",
)

logging.getLogger("python_terraform").setLevel(logging.CRITICAL)


class WorkingDirectory:
    """One root module, with data and settings of its own under `build`."""

    def __init__(
        self, directory: Path, data_directory: Path, environment: Mapping[str, str], build: Path
    ) -> None:
        """`environment` is the child's whole environment; what it says of Terraform is replaced."""
        self._directory = directory
        self._terraform = Terraform(
            working_dir=str(directory), terraform_bin_path=str(executable(environment))
        )
        kept = {k: v for k, v in environment.items() if not k.startswith(("TF_CLI", "TF_VAR_"))}
        kept.pop("TF_WORKSPACE", None)
        self._environment = kept | {
            "TF_CLI_CONFIG_FILE": str(_cli_config(directory, environment, build)),
            "TF_DATA_DIR": str(data_directory),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "CHECKPOINT_DISABLE": "1",
        }

    def init(self, *, backend_config: Mapping[str, Any], on_event: OnEvent) -> None:
        """`terraform init`, with the lock file as it is; raises ToolError."""
        backend = {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in backend_config.items()
        }
        self._events(
            "init", on_event, backend_config=backend, lockfile="readonly", reconfigure=IsFlagged
        )

    def plan(self, file: Path, *, on_event: OnEvent) -> None:
        """`terraform plan`, saved in `file`; raises ToolError."""
        file.unlink(missing_ok=True)
        self._events("plan", on_event, out=str(file))

    def apply(self, file: Path, *, on_event: OnEvent) -> None:
        """`terraform apply` of a saved plan; raises ToolError."""
        self._events("apply", on_event, str(file))

    def show(self, file: Path) -> object:
        """A saved plan as decoded JSON; raises ToolError, SourceError if it is no JSON."""
        output: list[str] = []
        self._run(["show", "-json", str(file)], output.append)
        try:
            return json.loads("".join(output))
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{file}: `terraform show` gave no JSON ({error}).") from error

    def addresses(self) -> frozenset[str]:
        """The addresses of all that is in the state, empty where there is none; raises ToolError."""
        output: list[str] = []
        if self._run(["state", "list"], output.append, also=(1,)) == 1:
            said = "".join(output)
            if "No state file was found" not in said:
                raise ToolError(_explained("state list", 1, said.strip() or "it said nothing"))
            return frozenset()
        return frozenset(line.strip() for line in output)

    def adopt(self, address: str, id_: str) -> None:
        """`terraform import`: what exists under an id becomes a resource of the state.

        Raises ToolError.
        """
        self._run(["import", "-input=false", "-no-color", address, id_], lambda _: None)

    def form(self, folder: Path) -> tuple[Finding, ...]:
        """A finding on the format of all code under a folder; raises ToolError."""
        output: list[str] = []
        words = ["fmt", "-check", "-recursive", "-list=true", str(folder)]
        status = self._run(words, output.append, also=(3,))
        files = sorted(
            # Terraform names them from the folder that it runs in.
            os.path.normpath(self._directory / line.strip())
            for line in output
            if line.strip().endswith((".tf", ".tfvars", ".hcl"))
        )
        if status != 0 and not files:
            raise ToolError(_explained("fmt", status, "".join(output).strip() or "it said nothing"))
        return (
            _finding(
                _FORMATTED, folder, [Message(f"{f} is not formatted.", f"{f}:1") for f in files]
            ),
        )

    def valid(self) -> Finding:
        """The finding that Terraform accepts the code, which it has planned: a plan begins with that."""
        return _finding(_VALID, self._directory, [])

    def invalid(self) -> Finding | None:
        """A finding on what Terraform does not accept in the initialised code, None if it accepts it.

        Raises ToolError.
        """
        output: list[str] = []
        self._run(["validate", "-json"], output.append, also=(1,))
        try:
            answer = json.loads("".join(output))
            valid, diagnostics = answer["valid"], answer["diagnostics"]
            messages = [
                Message(_diagnostic({"diagnostic": each}), str(self._directory))
                for each in diagnostics
                if each.get("severity") == "error"
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ToolError(
                f"{self._directory}: `terraform validate` gave no JSON ({error})."
            ) from error
        if valid is not True and not messages:
            messages = [Message("Terraform calls the code invalid.", str(self._directory))]
        return _finding(_VALID, self._directory, messages) if messages else None

    def _events(self, command: str, on_event: OnEvent, *arguments: str, **options: Any) -> None:
        words = self._terraform.generate_cmd_string(
            command, *arguments, json=IsFlagged, input=False, **options
        )
        errors: list[str] = []

        def line(text: str) -> None:
            try:
                event = json.loads(text)
            except ValueError:
                return
            if not isinstance(event, dict):
                return
            if event.get("@level") == "error":
                errors.append(_diagnostic(event))
            on_event(event)

        self._run(words[1:], line, errors)

    def _run(
        self,
        words: list[str],
        line: Callable[[str], None],
        errors: list[str] | None = None,
        also: tuple[int, ...] = (),
    ) -> int:
        """Runs one command to its end, each line of its output as it comes; returns its status.

        Raises ToolError for a status that is neither 0 nor one of `also`.
        """
        command = [self._terraform.terraform_bin_path, *words]
        with subprocess.Popen(
            command,
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            tail: list[str] = []
            try:
                for text in process.stdout:
                    line(text)
                    if not text.startswith("{"):
                        tail = [*tail[-20:], text]
                status = process.wait()
            except BaseException:
                _stop(process, _STOP_SECONDS.get(words[0], _STOP_SECONDS_OTHERWISE))
                raise
        if status not in (0, *also):
            said = "\n".join(errors or []) or "".join(tail).strip() or "it said nothing"
            raise ToolError(_explained(words[0], status, said))
        return status


def executable(environment: Mapping[str, str]) -> Path:
    """The Terraform to run: the first on PATH; raises ToolError if it is missing or too old."""
    return _found(environment)[0]


def version(environment: Mapping[str, str]) -> str:
    """The version of the Terraform to run; raises ToolError if it is missing or too old."""
    return _found(environment)[1]


def _found(environment: Mapping[str, str]) -> tuple[Path, str]:
    found = shutil.which("terraform", path=environment.get("PATH", os.defpath))
    if found is None:
        raise ToolError(
            "There is no `terraform` on PATH. `make plan` installs one into .venv; or install "
            "Terraform 1.10 or newer."
        )
    try:
        answer = subprocess.run(
            [found, "version", "-json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={**environment, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull},
        )
        version = str(json.loads(answer.stdout)["terraform_version"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{found}: does not say its version ({error}).") from error
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise ToolError(f"{found}: is Terraform {version}; 1.10 or newer is needed.")
    return Path(found), version


def formatted(texts: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Files by name, with HCL in Terraform's own form and the others as they are; raises ToolError."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            for file, text in texts.items():
                (folder / file).write_text(text, encoding="utf-8")
            done = subprocess.run(
                [executable(environment), "fmt", "-no-color", "-list=false", name],
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=60,
                env={**environment, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull},
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ToolError(f"`terraform fmt` failed ({error}).") from error
        if done.returncode != 0:
            raise ToolError(_explained("fmt", done.returncode, done.stderr.strip()))
        return {file: (folder / file).read_text(encoding="utf-8") for file in texts}


def mirror(directory: Path, environment: Mapping[str, str]) -> Path | None:
    """A local mirror with the locked AWS provider, outside the folders that Terraform knows itself."""
    version = locked_version(directory)
    named = environment.get("TF_PROVIDER_MIRROR")
    if named:
        if not _holds(Path(named), version):
            raise ToolError(
                f"TF_PROVIDER_MIRROR={named}: holds no {_PROVIDER} {version or '(any version)'}."
            )
        return Path(named)
    home = Path(environment.get("HOME", "/nonexistent"))
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
    implied = (
        home / ".terraform.d/plugins",
        data / "terraform/plugins",
        Path("/usr/local/share/terraform/plugins"),
        Path("/usr/share/terraform/plugins"),
    )
    candidates = [
        *implied,
        *sorted(each.parent for each in Path("/opt").glob("*/registry.terraform.io")),
    ]
    return next((each for each in candidates if _holds(each, version)), None)


def locked_version(directory: Path) -> str | None:
    """The version of the AWS provider that a root module's lock file names, None if it names none."""
    try:
        text = (directory / ".terraform.lock.hcl").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(rf'provider "{re.escape(_PROVIDER)}" \{{[^}}]*?version\s*=\s*"([^"]+)"', text)
    return found[1] if found else None


def _holds(folder: Path, version: str | None) -> bool:
    place = folder / _PROVIDER
    if version is None:
        return place.is_dir()
    return (place / version).is_dir() or any(place.glob(f"*_{version}_*.zip"))


def _cli_config(directory: Path, environment: Mapping[str, str], build: Path) -> Path:
    """Terraform's own settings for our runs: a local mirror where there is one, else the registry."""
    found = mirror(directory, environment)
    text = "# Written for every run; the user's own settings stay out of it.\n"
    if found is not None:
        text += (
            "provider_installation {\n"
            f"  filesystem_mirror {{\n    path    = {json.dumps(str(found))}\n"
            f'    include = ["{_PROVIDER}"]\n  }}\n'
            f'  direct {{\n    exclude = ["{_PROVIDER}"]\n  }}\n}}\n'
        )
    build.mkdir(parents=True, exist_ok=True)
    file = build / "terraform.rc"
    file.write_text(text, encoding="utf-8")
    return file


def _finding(invariant: tuple[str, str, str], folder: Path, messages: list[Message]) -> Finding:
    name, why, remedy = invariant
    return Finding(
        invariant=name,
        family="terraform",
        subject=folder.name,
        where=messages[0].where if messages else str(folder),
        outcome=Outcome.VIOLATED if messages else Outcome.HOLDS,
        messages=tuple(messages),
        why=why,
        remedy=remedy,
    )


def _stop(process: "subprocess.Popen[str]", seconds: float) -> None:
    """Lets Terraform end as on Ctrl-C, which saves its state; a second Ctrl-C ends the whole group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    try:
        # Reads on: Terraform would wait for ever on a full pipe.
        process.communicate(timeout=seconds)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _diagnostic(event: Json) -> str:
    found = event.get("diagnostic")
    if not isinstance(found, dict):
        return str(event.get("@message", event))
    text = ": ".join(str(found[key]) for key in ("summary", "detail") if found.get(key))
    place = found.get("range")
    if isinstance(place, dict):
        text += f" ({place.get('filename')}:{(place.get('start') or {}).get('line')})"
    if found.get("address"):
        text += f" [{found['address']}]"
    return text


def _explained(command: str, status: int, said: str) -> str:
    flat = " ".join(said.lower().split())
    hints = [hint for signs, hint in _HINTS if any(sign in flat for sign in signs)]
    return "\n".join([f"`terraform {command}` failed (status {status}).", said, *hints])


def main() -> int:
    """Status 0 if PATH has a Terraform that is new enough."""
    try:
        executable(os.environ)
    except ToolError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
