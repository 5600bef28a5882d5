"""Another commit's files, from git. Only this file runs git."""

import io
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from validator.errors import ToolError
from validator.model import Unknown

_SECONDS = 60


@contextmanager
def checkout(root: Path, revision: str, folder: str) -> Iterator[Path]:
    """A temporary folder with `folder` as it is in a revision; raises ToolError."""
    if revision.startswith("-"):
        raise ToolError(f"{revision}: is no revision of git.")
    command = ["git", "-C", str(root), "archive", "--format=zip", revision, "--", folder]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True)
    except FileNotFoundError:
        raise ToolError("There is no `git` on PATH; install it, or leave --base out.") from None
    except subprocess.TimeoutExpired:
        raise ToolError(f"`git archive {revision}` did not end in {_SECONDS} s.") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip()
        raise ToolError(f"`git archive {revision}` failed: {said}. Fetch that revision.") from error
    with tempfile.TemporaryDirectory(prefix="validator-base-") as made:
        try:
            with zipfile.ZipFile(io.BytesIO(done.stdout)) as archive:
                archive.extractall(made)
        except (zipfile.BadZipFile, OSError) as error:
            raise ToolError(f"The files of {revision} cannot be laid out: {error}.") from error
        yield Path(made)


def state(root: Path) -> tuple[str, bool] | Unknown:
    """The commit that is checked out around `root`, and whether any file differs from it."""
    said = []
    for words in (("rev-parse", "--verify", "HEAD"), ("status", "--porcelain")):
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, timeout=_SECONDS, check=True
            )
        except FileNotFoundError:
            return Unknown("there is no `git` on PATH")
        except subprocess.TimeoutExpired:
            return Unknown(f"`git {words[0]}` did not end in {_SECONDS} s")
        except subprocess.CalledProcessError as error:
            lines = error.stderr.decode("utf-8", "replace").strip().splitlines()
            return Unknown(f"`git {words[0]}` failed: {lines[0] if lines else 'it said nothing'}")
        said.append(done.stdout.decode("utf-8", "replace").strip())
    return said[0], bool(said[1])
