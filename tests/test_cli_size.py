"""`size` on the command line: its status, its files, and what it writes into an env."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ORCHESTRATION, ROOT, STAGING, TARGET
from validator.cli import main
from validator.sources import tfvars


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that the command runs in."""
    shutil.copytree(ROOT / "terraform", tmp_path / "terraform")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def inventory(here: Path, numbers: range, account: str = TARGET, **cells: str) -> str:
    names = ["instance_id", "account", "region", "disks", "dr:wave", "dr:priority", *cells]
    rows = [
        [f"i-{n:017x}", account, "us-east-1", "8;100", f"wave-{n // 400 + 1}", "1", *cells.values()]
        for n in numbers
    ]
    (here / "servers.csv").write_text("\n".join(",".join(row) for row in [names, *rows]) + "\n")
    return "servers.csv"


def report(here: Path, *env: str) -> Any:
    return json.loads(here.joinpath("build", *env, "size", "report.json").read_text())


def test_a_count(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size", "--servers", "3950", "--volumes", "3", "--headroom", "0"]) == 0
    assert "3950 servers in 14 accounts" in capsys.readouterr().out
    assert report(here)["staging_accounts"] == {"needed": 13, "at_hand": 0, "to_order": 13}


def test_by_default_a_tenth_is_kept_free(here: Path) -> None:
    assert main(["size", "--servers", "271", "--volumes", "3"]) == 0
    assert [each["servers"] for each in report(here)["accounts"]] == [270, 1]


def test_a_count_without_volumes_has_no_verdict(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["size", "--servers", "10"]) == 2
    assert "snapshots-fit-the-quota" in capsys.readouterr().out


def test_an_inventory_as_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = inventory(here, range(310))
    arguments = ["--target", TARGET, "--staging", STAGING, "--headroom", "0", "--format", "json"]
    assert main(["size", "--inventory", file, *arguments]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == report(here)
    assert [(each["id"], each["part"]) for each in shown["accounts"]] == [
        (TARGET, "target"),
        (STAGING, "staging"),
    ]
    assert [len(each["instance_ids"]) for each in shown["accounts"]] == [300, 10]


def test_more_than_fits_is_status_1(here: Path) -> None:
    assert main(["size", "--servers", "4001", "--volumes", "1"]) == 1
    assert report(here)["not_fitting"][0]["servers"] == 1


def test_an_earlier_report_does_not_pass_for_one_that_failed(here: Path) -> None:
    assert main(["size", "--servers", "1", "--volumes", "1"]) == 0
    (here / "servers.csv").write_text("instance_id\n")
    assert main(["size", "--inventory", "servers.csv"]) == 2
    assert not (here / "build/size/report.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--servers", "1", "--write"], "--write needs an env", id="nothing to write"),
        pytest.param(
            ["--inventory", "x", "--volumes", "1"], "--volumes goes with", id="volumes twice"
        ),
        pytest.param(
            ["--servers", "1", "--apart", "t"], "a count has no tags", id="tags of a count"
        ),
        pytest.param(
            ["--servers", "1", "--instances"], "a count names none", id="instances of a count"
        ),
        pytest.param(
            ["prod", "--servers", "1", "--target", TARGET], "has its target", id="two targets"
        ),
        pytest.param(
            ["--servers", "1", "--target", TARGET, "--staging", TARGET], "twice", id="an id twice"
        ),
        pytest.param(
            ["prod", "--servers", "899"], "declares 900 already", id="fewer than declared"
        ),
        pytest.param(
            ["staging", "--servers", "600", "--staging", ORCHESTRATION],
            "is the orchestration account of env staging",
            id="another account of the env",
        ),
        pytest.param(
            ["staging", "--servers", "600", "--staging", TARGET],
            "is the target account of env staging",
            id="the env's target",
        ),
        pytest.param(
            ["prod", "--servers", "999", "--fewer"], "--fewer goes", id="fewer of a count"
        ),
        pytest.param(["--inventory", "x", "--fewer"], "--fewer goes", id="fewer of no env"),
        pytest.param(["nowhere", "--servers", "1"], "no env 'nowhere'", id="no such env"),
        pytest.param(["--inventory", "none.csv"], "cannot be read", id="no such file"),
    ],
)
def test_what_is_no_question(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["size", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--servers", "0"],
        ["--servers", "-1"],
        ["--servers", "1" * 9],
        ["--servers", "1", "--headroom", "100"],
        ["--servers", "1", "--staging", "1"],
        ["--servers", "1", "--inventory", "x"],
    ],
    ids=lambda each: " ".join(each) or "nothing",
)  # fmt: skip
def test_what_is_no_number(here: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["size", *arguments])
    assert ended.value.code == 2


@pytest.mark.parametrize("option", ["together", "apart"])
def test_a_tag_that_no_server_has(
    here: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    file = inventory(here, range(3))
    assert main(["size", "--inventory", file, f"--{option}", "dr:wvae"]) == 2
    assert "no server of the inventory has this tag" in capsys.readouterr().err


def test_an_env_needs_more_accounts(here: Path) -> None:
    assert main(["size", "staging", "--servers", "601"]) == 1
    found = report(here, "staging")
    assert found["staging_accounts"] == {"needed": 2, "at_hand": 1, "to_order": 1}
    assert [each["kept"] for each in found["accounts"]] == [300, 300, 0]
    violated = [each["name"] for each in found["findings"] if each["outcome"] == "violated"]
    assert "staging-accounts-suffice" in violated


@pytest.mark.slow
def test_an_env_is_written_and_the_payloads_left(here: Path) -> None:
    file = inventory(here, range(500))
    assert main(["size", "staging", "--inventory", file, "--fewer", "--write"]) == 0
    assert "staging-1 gets 200 servers; 300 are declared" in report(here, "staging")["notes"][0]
    values = tfvars.read(here / "terraform/envs/staging").values
    assert (values["target"]["servers"], values["staging_accounts"]["staging-1"]["servers"]) == (
        300,
        200,
    )
    assert values["recovery_waves"] == {"wave-1": 400, "wave-2": 100}
    assert values["volumes_per_server"] == 2
    assert values["target"]["account_id"] == TARGET
    written = report(here, "staging")["payloads"]
    assert written == [
        "build/staging/size/payload-target.json",
        "build/staging/size/payload-staging-1.json",
    ]
    ids = [json.loads((here / each).read_text())["selectors"]["instance_ids"] for each in written]
    assert [len(each) for each in ids] == [300, 200]
    assert main(["check", "staging"]) == 0
    again = (here / "terraform/envs/staging/estate.auto.tfvars").read_text()
    assert main(["size", "staging", "--inventory", file, "--write"]) == 0
    assert (here / "terraform/envs/staging/estate.auto.tfvars").read_text() == again


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(["--servers", "601"], 1, "not everything fits", id="accounts are lacking"),
        pytest.param(
            ["--servers", "601", "--staging", "123123123123"],
            2,
            "add-staging-account staging 123123123123",
            id="an account at hand",
        ),
    ],
)
def test_nothing_is_written_that_does_not_fit(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, said: str
) -> None:
    file = here / "terraform/envs/staging/estate.auto.tfvars"
    before = file.read_text()
    assert main(["size", "staging", *arguments, "--write"]) == status
    assert said in capsys.readouterr().err
    assert file.read_text() == before


def test_instances_that_the_env_lists_stay_where_they_are(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = here / "terraform/envs/staging/estate.auto.tfvars"
    head, tail = file.read_text().split("staging-1 = {")
    listed = f'{{ i-{7:017x} = {{ priority = "1", wave = "wave-1" }} }}'
    file.write_text(
        head + "staging-1 = {" + tail.replace("instances         = {}", f"instances = {listed}", 1)
    )
    listed = ["size", "staging", "--fewer", "--inventory"]
    assert main([*listed, inventory(here, range(9))]) == 0
    accounts = report(here, "staging")["accounts"]
    assert [each["servers"] for each in accounts] == [8, 1]
    assert accounts[1]["instance_ids"] == [f"i-{7:017x}"]
    assert main([*listed, inventory(here, range(7))]) == 2
    assert (
        f"lists 1 instances that the inventory lacks (i-{7:017x} in staging-1)"
        in capsys.readouterr().err
    )
    differs = inventory(here, range(9), staging_account=TARGET)
    assert main([*listed, differs]) == 2
    assert "lists it in staging-1" in capsys.readouterr().err


def test_a_server_of_another_region_does_not_fit_the_env(here: Path) -> None:
    (here / "servers.csv").write_text(f"instance_id,region,disks\ni-{1:017x},eu-west-1,8\n")
    assert main(["size", "staging", "--inventory", "servers.csv", "--fewer"]) == 1
    assert report(here, "staging")["not_fitting"][0]["reason"] == "other-region"


@pytest.mark.parametrize("write", [[], ["--write"]], ids=["judged", "written"])
def test_an_env_does_not_shrink_unasked(
    here: Path, capsys: pytest.CaptureFixture[str], write: list[str]
) -> None:
    values = here / "terraform/envs/staging/estate.auto.tfvars"
    before = values.read_text()
    file = inventory(here, range(2))
    assert main(["size", "staging", "--inventory", file, *write]) == 2
    assert "servers.csv: holds 2 servers; env staging declares 600" in capsys.readouterr().err
    assert values.read_text() == before
    assert not (here / "build/staging/size/report.json").exists()
    assert main(["size", "staging", "--inventory", file, "--fewer"]) == 0
    assert [each["servers"] for each in report(here, "staging")["accounts"]] == [2, 0]


@pytest.mark.parametrize(
    ("lacking", "statement"),
    [
        pytest.param("account", "server-says-where-it-runs", id="no account"),
        pytest.param("region", "server-says-where-it-runs", id="no Region"),
        pytest.param("dr:wave", "waves-recover-every-server", id="no wave"),
        pytest.param("disks", "server-fits-an-account", id="no disks"),
    ],
)
def test_what_the_inventory_does_not_say_is_not_written(
    here: Path, capsys: pytest.CaptureFixture[str], lacking: str, statement: str
) -> None:
    values = here / "terraform/envs/staging/estate.auto.tfvars"
    before = values.read_text()
    rows = [line.split(",") for line in (here / inventory(here, range(600))).read_text().split()]
    column = rows[0].index(lacking)
    kept = [",".join(row[:column] + row[column + 1 :]) for row in rows]
    (here / "servers.csv").write_text("\n".join(kept) + "\n")
    assert main(["size", "staging", "--inventory", "servers.csv", "--write"]) == 2
    assert "it is not known whether everything fits" in capsys.readouterr().err
    unknown = {
        each["name"]: each["messages"]
        for each in report(here, "staging")["findings"]
        if each["outcome"] == "unknown"
    }
    assert f"i-{0:017x}" in str(unknown[statement])
    assert values.read_text() == before


def test_an_instance_that_the_env_lists_needs_nothing_but_its_disks(here: Path) -> None:
    file = here / "terraform/envs/staging/estate.auto.tfvars"
    listed = f'{{ i-{7:017x} = {{ priority = "3", wave = "wave-9" }} }}'
    file.write_text(file.read_text().replace("instances         = {}", f"instances = {listed}", 1))
    (here / "servers.csv").write_text(f"instance_id,disks\ni-{7:017x},8\n")
    arguments = ["--inventory", "servers.csv", "--fewer", "--instances"]
    assert main(["size", "staging", *arguments]) == 0
    values = json.loads((here / "build/staging/size/values.json").read_text())
    assert values["target"]["instances"] == {f"i-{7:017x}": {"priority": "3", "wave": "wave-9"}}
    assert values["recovery_waves"] == {"wave-9": 1}
