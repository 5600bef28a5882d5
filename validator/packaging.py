"""The packages of the modules' functions.

That of `continuous-verification` is the validator with one env's declared values, that of
`agent-deployer` is the source in the module.

The same input gives the same bytes on every machine: names are sorted, times and modes are fixed, and
nothing is compressed, since compressors differ. It holds no compiled code, so it runs on every
platform, and it is made from what is installed, so that nothing is downloaded.
"""

import ast
import base64
import hashlib
import io
import sys
import zipfile
from importlib import metadata
from pathlib import Path

from validator import continuous, project
from validator.errors import ToolError
from validator.project import Env
from validator.sources import declared as declarations
from validator.sources import tfvars
from validator.sources.tfvars import Declared

_ENTRY = "validator.continuous"
_RUNTIME = {"boto3", "botocore"}
"""What Lambda's own Python has."""

_OPTIONAL = {"yaml"}
"""Packages that have compiled code and do without it."""

_COMPILED = {".so", ".pyd", ".dylib"}
_PACKAGE = Path(__file__).parent


def build(env: Env, declared: Declared) -> tuple[Path, ...]:
    """Makes the env's packages, and returns their files.

    Raises ToolError if an installed file is not what its package's own record says, or is compiled.
    """
    packages = {
        "agent-deployer": _source(env.root / "terraform/modules/agent-deployer/function"),
        "continuous-verification": _files(env, declared),
    }
    made = []
    for module, files in packages.items():
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
            for name, data in sorted(files.items()):
                entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                entry.create_system = 3  # Unix, so that the mode counts
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, data)
        project.write(env.package_file(module), content.getvalue())
        made.append(env.package_file(module))
    return tuple(made)


def _source(folder: Path) -> dict[str, bytes]:
    """The files of a function whose source stands in its module, by their names there."""
    files = [each for kind in ("*.py", "*.json") for each in folder.rglob(kind)]
    if not files:
        raise ToolError(f"{folder}: the source of the module's function is not there.")
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in files}


def sha256(package: Path) -> str:
    """The SHA-256 of a package in base64, as Lambda and Terraform write it."""
    return base64.b64encode(hashlib.sha256(package.read_bytes()).digest()).decode()


def _files(env: Env, declared: Declared) -> dict[str, bytes]:
    """Everything in the package, by its name there."""
    where = env.directory.relative_to(env.root)
    found = {
        continuous.DECLARED: declarations.packed(
            declared, f"{where.as_posix()}/{tfvars.FILE_NAME}"
        ).encode()
    }
    waivers = env.directory / Path(continuous.WAIVERS).name
    if waivers.is_file():
        found[continuous.WAIVERS] = waivers.read_bytes()
    modules, libraries = _needed()
    for module in modules:
        found[module.relative_to(_PACKAGE.parent).as_posix()] = module.read_bytes()
    for library in sorted(libraries - _RUNTIME):
        found |= _library(library)
    return found


def _needed() -> tuple[set[Path], set[str]]:
    """The validator's own files that the function imports, and the libraries that those import."""
    modules: set[Path] = set()
    libraries: set[str] = set()
    todo = [_ENTRY]
    while todo:
        name = todo.pop()
        if name.partition(".")[0] != "validator":
            libraries |= {name.partition(".")[0]} - sys.stdlib_module_names
            continue
        file = _file(name)
        if file is None or file in modules:
            continue
        modules.add(file)
        todo += _imports(file)
        todo.append(name.rpartition(".")[0] or "validator")
    return modules, libraries


def _file(module: str) -> Path | None:
    """The file of a module of the validator, None if the name is no module's."""
    path = _PACKAGE.joinpath(*module.split(".")[1:])
    for file in (path / "__init__.py", path.with_suffix(".py")):
        if file.is_file():
            return file
    return None


def _imports(file: Path) -> list[str]:
    """Every name that a file imports, wherever in it."""
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _library(name: str) -> dict[str, bytes]:
    """The files of an installed library, with its licence, by their names in the package."""
    owners = metadata.packages_distributions().get(name, [])
    if len(owners) != 1:
        raise ToolError(f"{name} is installed {len(owners)} times. Remove .venv and run again.")
    found = {}
    for file in metadata.files(owners[0]) or []:
        licence = ".dist-info" in file.parts[0] and "licenses" in file.parts
        if file.suffix == ".pyc" or not (file.parts[0] == name or licence):
            continue
        if file.suffix in _COMPILED:
            if name not in _OPTIONAL:
                raise ToolError(f"{file} is compiled, so it does not run on Lambda's platform.")
            continue
        data = Path(str(file.locate())).read_bytes()
        if file.hash is None or file.hash.value != _recorded(file.hash.mode, data):
            raise ToolError(
                f"{file.locate()} is not what was installed. Remove .venv and run again."
            )
        found[file.as_posix()] = data
    return found


def _recorded(algorithm: str, data: bytes) -> str:
    """The digest of a file as a wheel's record writes it."""
    digest = hashlib.new(algorithm, data).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
