"""Where things stand in a checkout: envs, modules, and what runs leave under `build/`."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from validator.errors import SourceError, UsageError

_LOCK = ".terraform.lock.hcl"
_NO_INPUT = re.compile(r"\.#.*|\..*\.sw[a-p]|\.DS_Store")
"""Hidden files that are an editor's or a desktop's."""

_NO_INPUTS = frozenset({"__pycache__", ".git", ".terraform"})
"""Folders of what programs make of the code: none of it is code."""


PAGES = Path("docs", "invariants")
"""Where a checkout keeps the pages on the invariants."""


def pages(root: Path, environment: Mapping[str, str]) -> str | None:
    """The web address of the checkout's own pages on the invariants, None where it is not known.

    GitHub Actions tells it; the pages of another repository's checkout are not there.
    """
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA")
    server, repository, revision = (environment.get(name) for name in names)
    if not (server and repository and revision and (root / PAGES).is_dir()):
        return None
    return f"{server}/{repository}/blob/{revision}/{PAGES.as_posix()}"


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What `plan` left for `apply`: the verdict, and enough to notice that anything changed since.

    `cloud` is the identity of the AWS that it was made on, the digests are SHA-256.
    """

    env: str
    verdict: str
    cloud: str
    plan_digest: str
    code_digest: str


@dataclass(frozen=True, slots=True)
class Env:
    """One env of a checkout."""

    root: Path
    name: str

    @property
    def directory(self) -> Path:
        """The Terraform root module, with `estate.auto.tfvars`."""
        return self.root / "terraform" / "envs" / self.name

    def build(self, command: str) -> Path:
        """The folder for what `command` leaves; it exists on return."""
        folder = self.root / "build" / self.name / command
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def plan_file(self) -> Path:
        """The saved plan, in Terraform's own format."""
        return self.build("plan") / "plan.tfplan"

    def package_file(self, module: str) -> Path:
        """The package that the function of a module runs; Terraform names it by the same path."""
        return self.root / "build" / self.name / f"{module}.zip"

    @property
    def _saved_plan_file(self) -> Path:
        return self.build("plan") / "saved.json"

    def code_digest(self, inputs: Mapping[str, str] | None = None) -> str:
        """The digest of all that the plan is made from: the inputs, and the packages made of them.

        `inputs` are those to count, where they are not those of now.
        """
        counted = self.inputs() if inputs is None else dict(sorted(inputs.items()))
        found = hashlib.sha256(json.dumps(counted).encode())
        for package in sorted((self.root / "build" / self.name).glob("*.zip")):
            found.update(hashlib.sha256(package.read_bytes()).digest())
        return found.hexdigest()

    def inputs(self) -> dict[str, str]:
        """The SHA-256 of every file of the env and of all modules, by its path in the checkout.

        Hidden files count: Terraform ignores a hidden `.tf`, but loads a hidden `.auto.tfvars`, and
        its functions read any file. Only what editors and programs leave does not. A folder that is a
        link is followed once. Raises OSError for a folder or file that cannot be read.
        """
        found: dict[str, str] = {}
        seen: set[Path] = set()
        for top in (self.directory, self.root / "terraform" / "modules"):
            # An env need not have a module; whatever else cannot be listed is an error.
            walked = os.walk(top, onerror=_raise, followlinks=True) if top.exists() else ()
            for folder, below, files in walked:
                here = Path(folder).resolve()
                if here in seen:
                    below.clear()
                    continue
                seen.add(here)
                below[:] = [each for each in below if each not in _NO_INPUTS]
                for name in files:
                    file = Path(folder, name)
                    if not _NO_INPUT.fullmatch(name) and file.is_file():
                        found[file.relative_to(self.root).as_posix()] = digest(file)
        return dict(sorted(found.items()))

    def forget(self, command: str) -> None:
        """Removes what an earlier run of `command` left, so that it cannot pass for this one's."""
        emptied(self.build(command))

    def save_plan(self, verdict: str, cloud: str, inputs: Mapping[str, str]) -> None:
        """Records the plan just made, for `apply`; `inputs` are those that the run began with.

        The lock file counts as it is by now: `terraform init` may have written it.
        """
        lock = self.directory / _LOCK
        name = lock.relative_to(self.root).as_posix()
        counted = {file: its for file, its in inputs.items() if file != name}
        if lock.is_file():
            counted[name] = digest(lock)
        code = self.code_digest(counted)
        saved = SavedPlan(self.name, verdict, cloud, digest(self.plan_file), code)
        write(self._saved_plan_file, json.dumps(asdict(saved), indent=2) + "\n")

    def saved_plan(self) -> SavedPlan | None:
        """The plan that `plan` saved, None if there is none; raises SourceError if it is spoilt."""
        if not self._saved_plan_file.exists():
            return None
        try:
            saved = SavedPlan(**json.loads(self._saved_plan_file.read_text()))
            intact = saved.plan_digest == digest(self.plan_file)
        except (OSError, ValueError, TypeError) as error:
            raise SourceError(
                f"{self._saved_plan_file}: cannot be read ({error}). Make the plan again."
            ) from error
        if not intact:
            raise SourceError(f"{self.plan_file}: was changed since. Make the plan again.")
        return saved


def envs(root: Path) -> tuple[Env, ...]:
    """Every env of a checkout, by name."""
    folders = sorted((root / "terraform" / "envs").iterdir())
    return tuple(Env(root, each.name) for each in folders if each.is_dir())


def find(name: str, start: Path) -> Env:
    """The env `name` of the checkout around `start`.

    Raises UsageError, with the envs that there are, if there is no such env.
    """
    root = find_root(start)
    names = [each.name for each in envs(root)]
    if name not in names:
        raise UsageError(f"There is no env {name!r}; there are: {', '.join(names) or 'none'}.")
    return Env(root, name)


def find_root(start: Path) -> Path:
    """The nearest folder at or above `start` that holds `terraform/envs`; raises UsageError."""
    for folder in (start, *start.parents):
        if (folder / "terraform" / "envs").is_dir():
            return folder
    raise UsageError(f"{start}: no terraform/envs here or above; run this inside a checkout.")


def emptied(folder: Path) -> None:
    """Removes the files of a folder, and leaves the folders in it."""
    for file in folder.iterdir():
        if file.is_file():
            file.unlink()


def write(file: Path, content: str | bytes) -> None:
    """Writes the whole file or nothing: a reader never sees half of it; raises OSError with its name.

    What is there and no file, such as /dev/null or a pipe, is written into and not replaced.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        if file.exists() and not file.is_file() and not file.is_dir():
            file.write_bytes(data)
            return
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error


def _raise(error: OSError) -> None:
    raise error


def digest(file: Path) -> str:
    """The SHA-256 of a file, as hexadecimal text."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
