"""Envs and accounts are written like those that are there, judged first, and whole or not at all."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import REGION, ROOT, STAGING, TARGET, Embedded, Validator
from tests.test_cli import TFVARS, edit

pytestmark = pytest.mark.slow
ENVS = Path("terraform/envs")
NEW = ["--target", "100000000000", "--staging", "100000000001", "--staging", "100000000002"]


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()
    }


def test_a_new_env_differs_by_value_only(checkout: Path, called: Validator) -> None:
    arguments = ("new-env", "other", "--like", "staging", *NEW, "--servers", "700")
    done = called(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    made, prod = checkout / ENVS / "other", checkout / ENVS / "prod"
    assert {f.name for f in made.iterdir()} == {f.name for f in prod.iterdir()}
    for file in prod.iterdir():
        if file.suffix != ".tfvars" and file.name != "backend.hcl":
            assert (made / file.name).read_text() == file.read_text()
    declared = (made / "estate.auto.tfvars").read_text()
    assert "env other:" in declared
    assert "staging" not in declared.replace("staging_a", "").replace("staging-", "")
    assert 'key    = "other/terraform.tfstate"' in (made / "backend.hcl").read_text()
    assert called("check", "other").returncode == 0
    before = tree(made)
    again = called(*arguments)
    assert (again.returncode, tree(made)) == (0, before)
    assert "Nothing was changed" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([*NEW, "--servers", "0"], "protects nothing", id="no servers"),
        pytest.param(
            ["--target", "1" * 11, "--servers", "1"], "12 digits", id="an id of 11 digits"
        ),
        pytest.param(
            ["--target", "1" * 12, "--staging", "1" * 12, "--servers", "1"],
            "twice",
            id="one id twice",
        ),
    ],
)
def test_an_env_that_cannot_be(
    checkout: Path, called: Validator, arguments: list[str], said: str
) -> None:
    before = tree(checkout)
    done = called("new-env", "other", "--like", "staging", *arguments)
    assert (done.returncode, tree(checkout)) == (2, before)
    assert said in done.stderr


@pytest.mark.parametrize("name", ["../other", "Other", "o", "other env", "-other"])
def test_a_name_that_is_none(checkout: Path, called: Validator, name: str) -> None:
    before = tree(checkout)
    done = called("new-env", "--like", "staging", *NEW, "--servers", "9", "--", name)
    assert (done.returncode, tree(checkout)) == (2, before)


def test_an_env_with_more_servers_than_its_accounts_hold(checkout: Path, called: Validator) -> None:
    before = tree(checkout)
    done = called("new-env", "other", "--like", "staging", *NEW, "--servers", "901")
    assert (done.returncode, tree(checkout)) == (1, before)
    assert "301" in done.stdout
    assert "Nothing was written" in done.stderr


def test_another_env_of_that_name(checkout: Path, called: Validator) -> None:
    before = tree(checkout)
    done = called("new-env", "prod", "--like", "staging", *NEW, "--servers", "9")
    assert (done.returncode, tree(checkout)) == (2, before)
    assert "exists already" in done.stderr


def test_an_account_more_and_less(checkout: Path, called: Validator, running: Embedded) -> None:
    """What is added like the accounts that are there can be removed without a trace."""
    before = tree(checkout / "terraform")
    done = called("add-staging-account", "staging", "123123123123")
    assert done.returncode == 0, done.stdout + done.stderr
    added = checkout / ENVS / "staging/staging-2.tf"
    assert added.read_text() == (ROOT / ENVS / "prod/staging-2.tf").read_text()
    assert called("check", "staging").returncode == 0
    after = tree(checkout / "terraform")
    again = called("add-staging-account", "staging", "123123123123")
    assert (again.returncode, tree(checkout / "terraform")) == (0, after)
    other = called("add-staging-account", "staging", "123123123123", "--servers", "7")
    assert (other.returncode, tree(checkout / "terraform")) == (2, after)
    asked = called("remove-staging-account", "staging", "staging-2")
    assert (asked.returncode, tree(checkout / "terraform")) == (1, after)
    assert "0 source servers that replicate there" in asked.stdout
    gone = called("remove-staging-account", "staging", "staging-2", "--yes")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert tree(checkout / "terraform") == before


def test_an_account_with_its_servers_and_their_wave(checkout: Path, called: Validator) -> None:
    more = ["--servers", "200", "--wave", "wave-4", "--name", "more", "--cidr", "10.9.0.0/24"]
    done = called("add-staging-account", "staging", "123123123123", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    declared = (checkout / TFVARS).read_text()
    assert "wave-4 = 200" in declared
    assert '"10.9.0.0/24"' in declared
    assert 'module "more_trust"' in (checkout / ENVS / "staging/more.tf").read_text()
    subprocess.run(["terraform", "fmt", "-check", checkout / ENVS / "staging"], check=True)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param([TARGET], 2, "target account", id="the target"),
        pytest.param(["1" * 12, "--name", "target"], 2, "target", id="the target's name"),
        pytest.param(["1" * 12, "--name", "staging"], 2, "begins like", id="a name within another"),
        pytest.param(["1" * 12, "--name", "a_b"], 2, "a-z", id="a name that is none"),
        pytest.param(["1" * 12, "--cidr", "10.240.20.0/22"], 2, "overlaps", id="a range twice"),
        pytest.param(["1" * 12, "--cidr", "10.0.0.1/24"], 2, "no IPv4 range", id="no range"),
        pytest.param(["1" * 12, "--cidr", "10.0.0.0/8"], 2, "/16", id="a range too large"),
        pytest.param(["1" * 12, "--servers", "9"], 2, "--wave", id="servers that nobody recovers"),
        pytest.param(["1" * 12, "--servers", "-1"], 2, "0 or more", id="fewer than none"),
        pytest.param(
            ["1" * 12, "--servers", "301", "--wave", "w"], 1, "301", id="more than an account holds"
        ),
    ],
)
def test_an_account_that_cannot_be_added(
    checkout: Path, called: Validator, arguments: list[str], status: int, said: str
) -> None:
    before = tree(checkout)
    done = called("add-staging-account", "staging", *arguments)
    assert (done.returncode, tree(checkout)) == (status, before)
    assert said in done.stdout + done.stderr


def test_a_file_that_holds_more_than_its_account(checkout: Path, called: Validator) -> None:
    file = checkout / ENVS / "staging/staging-1.tf"
    file.write_text(f"{file.read_text()}\nlocals {{\n  more = 1\n}}\n")
    before = tree(checkout)
    done = called("add-staging-account", "staging", "123123123123")
    assert (done.returncode, tree(checkout)) == (2, before)
    assert "holds more than" in done.stderr


def test_an_env_that_is_wrong_already_may_grow(checkout: Path, called: Validator) -> None:
    """What was wrong before is no reason not to add an account; what the account makes wrong is."""
    edit(checkout / TFVARS, "wave-1 = 200", "wave-1 = 199")
    assert called("check", "staging").returncode == 1
    assert called("add-staging-account", "staging", "123123123123").returncode == 0


def test_what_terraform_made_goes_first(
    checkout: Path, called: Validator, applied_here: Embedded
) -> None:
    before = tree(checkout / "terraform")
    done = called("remove-staging-account", "staging", "staging-1", "--yes")
    assert done.returncode == 1, done.stderr
    assert "-target=module.staging_1_replication_key" in done.stdout
    assert tree(checkout / "terraform") == before


@pytest.mark.parametrize("extended", [False, True], ids=["replicating", "extended"])
def test_nothing_is_removed_that_protects(
    checkout: Path, called: Validator, applied_here: Embedded, extended: bool
) -> None:
    body = {"account": STAGING, "region": REGION, "count": 3}
    applied_here.door("source-servers", body)
    if extended:
        assert called("extend", "staging").returncode == 0
    before = tree(checkout / "terraform")
    done = called("remove-staging-account", "staging", "staging-1", "--yes")
    assert done.returncode == 1, done.stderr
    assert "3 source servers that replicate there" in done.stdout
    assert f"{3 if extended else 0} extensions of them in the target" in done.stdout
    assert tree(checkout / "terraform") == before


@pytest.mark.parametrize("account", [STAGING, TARGET], ids=["its own", "the target"])
def test_what_cannot_be_seen_is_not_removed(
    checkout: Path, called: Validator, applied_here: Embedded, account: str
) -> None:
    applied_here.door(
        "faults",
        {
            "kind": "deny",
            "service": "drs",
            "operation": "DescribeSourceServers",
            "account": account,
        },
    )
    before = tree(checkout / "terraform")
    done = called("remove-staging-account", "staging", "staging-1", "--yes")
    assert done.returncode == 2, done.stdout
    assert "is not known" in done.stderr
    assert tree(checkout / "terraform") == before


def test_an_account_that_is_not_there(called: Validator, checkout: Path) -> None:
    done = called("remove-staging-account", "staging", "staging-9", "--yes")
    assert done.returncode == 2
    assert "it has: staging-1" in done.stderr
