"""The benchmarks measure what they say, and their page can be written again."""

from pathlib import Path

import pytest

from benchmarks import check, deploy, size, verify
from tests.conftest import Embedded, call_validator
from tests.operations.estates import STAGING_ACCOUNTS, fresh
from validator import sizing
from validator.findings import Outcome
from validator.model import Part
from validator.sizing import Place, Wish
from validator.sources import inventory, tfvars


@pytest.mark.slow
def test_the_envs_that_are_measured_hold(tmp_path: Path) -> None:
    check.estates(tmp_path, 3)
    done = call_validator(tmp_path, "check", "--all")
    assert done.returncode == 0, done.stdout
    assert all(f"env-{number:02}" in done.stdout for number in (1, 2, 3))


@pytest.mark.parametrize(
    "marks",
    [check.MARKS, deploy.MARKS, size.MARKS, verify.MARKS],
    ids=["check", "deploy", "size", "verify"],
)
def test_the_page_keeps_what_stands_around_the_figures(marks: tuple[str, str]) -> None:
    page = check.PAGE.read_text()
    once = check.written([("one", "1 s", "at most 2 s")], "a machine", marks)
    before, after = page.split(marks[0])[0], page.split(marks[0])[1].split(marks[1])[1]
    assert once.startswith(before) and once.endswith(after)
    assert "| one | 1 s | at most 2 s |" in once


def test_the_page_names_the_commands() -> None:
    assert f"benchmarks/{Path(check.__file__).name}" in check.PAGE.read_text()
    for module in (deploy, size, verify):
        assert f"python -m {module.__name__}" in check.PAGE.read_text()


def test_the_inventory_that_is_sized_is_one(tmp_path: Path) -> None:
    (tmp_path / "servers.csv").write_text(size.inventory(1001))
    servers = inventory.read([tmp_path / "servers.csv"])
    assert sizing.size(servers, [Place("target", Part.TARGET)], Wish()).outcome is Outcome.HOLDS


def test_the_estate_that_is_verified_is_declared(tmp_path: Path) -> None:
    made = fresh(Embedded("http://127.0.0.1:1"), staging=len(STAGING_ACCOUNTS))
    folder = verify.checkout(tmp_path, made)
    declared = tfvars.read(folder / "terraform/envs/staging")
    _, staging, _ = tfvars.accounts(declared)
    assert tuple(account.id for account in staging) == STAGING_ACCOUNTS
    assert tfvars.text(declared, "recovery_region") == made.region
