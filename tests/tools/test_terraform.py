"""Terraform run as a child: found, too old, failing, saying nothing, interrupted."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from validator.errors import SourceError, ToolError
from validator.tools import terraform

VERSION = 'if [ "$1" = version ]; then echo \'{"terraform_version": "%s"}\'; exit 0; fi\n'


def fake(folder: Path, script: str, version: str = "1.11.4") -> Mapping[str, str]:
    """An environment whose only `terraform` is a shell script."""
    binary = folder / "bin" / "terraform"
    binary.parent.mkdir(exist_ok=True)
    binary.write_text("#!/bin/sh\n" + VERSION % version + script)
    binary.chmod(0o755)
    return {"PATH": f"{binary.parent}:{os.environ['PATH']}", "HOME": str(folder)}


def at(folder: Path, script: str, version: str = "1.11.4") -> terraform.WorkingDirectory:
    return terraform.WorkingDirectory(
        folder, folder / "data", fake(folder, script, version), folder / "build"
    )


def ignore(_: Mapping[str, Any]) -> None:
    pass


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no `terraform` on PATH"):
        terraform.executable({"PATH": str(tmp_path)})


@pytest.mark.parametrize("version", ["1.9.8", "0.15.0", "nonsense", ""])
def test_too_old_or_unclear(tmp_path: Path, version: str) -> None:
    with pytest.raises(ToolError, match=r"1\.10 or newer"):
        at(tmp_path, "", version)


@pytest.mark.parametrize("version", ["1.10.0", "1.15.5", "2.0.0-beta1"])
def test_new_enough(tmp_path: Path, version: str) -> None:
    at(tmp_path, "", version)


def test_a_failure_carries_the_diagnostic(tmp_path: Path) -> None:
    event = (
        '{"@level":"error","@message":"Error: x","type":"diagnostic","diagnostic":{"summary":"Bad",'
        '"detail":"very","range":{"filename":"a.tf","start":{"line":3}}}}'
    )
    with pytest.raises(ToolError, match=r"Bad: very \(a\.tf:3\)"):
        at(tmp_path, f"echo '{event}'; exit 1").plan(tmp_path / "p", on_event=ignore)


def test_a_failure_without_a_word(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="it said nothing"):
        at(tmp_path, "exit 3").plan(tmp_path / "p", on_event=ignore)


def test_offline_without_a_mirror_says_what_to_do(tmp_path: Path) -> None:
    event = '{"@level":"error","@message":"Error: Failed to query available provider packages"}'
    with pytest.raises(ToolError, match="TF_PROVIDER_MIRROR"):
        at(tmp_path, f"echo '{event}'; exit 1").init(backend_config={}, on_event=ignore)


@pytest.mark.parametrize("output", ["", "{", "<html>", "Error"])
def test_a_plan_that_is_no_json(tmp_path: Path, output: str) -> None:
    with pytest.raises(SourceError):
        at(tmp_path, f"printf '{output}'").show(tmp_path / "p")


def test_options_as_terraform_takes_them(tmp_path: Path) -> None:
    at(tmp_path, f'echo "$@" >> {tmp_path}/seen').init(
        backend_config={"bucket": "b", "use_path_style": True}, on_event=ignore
    )
    seen = (tmp_path / "seen").read_text().split()
    assert seen[0] == "init"
    assert {
        "-json",
        "-input=false",
        "-lockfile=readonly",
        "-reconfigure",
        "-backend-config=bucket=b",
        "-backend-config=use_path_style=true",
    } == set(seen[1:])


def test_the_users_own_terraform_settings_stay_out(tmp_path: Path) -> None:
    environment = {
        **fake(tmp_path, f"env > {tmp_path}/env"),
        "TF_CLI_ARGS_plan": "-destroy",
        "TF_CLI_CONFIG_FILE": "/nowhere",
        "TF_VAR_environment": "other",
        "TF_WORKSPACE": "other",
    }
    terraform.WorkingDirectory(tmp_path, tmp_path / "d", environment, tmp_path / "build").plan(
        tmp_path / "p", on_event=ignore
    )
    seen = (tmp_path / "env").read_text()
    assert "TF_CLI_ARGS" not in seen
    assert "TF_VAR_" not in seen
    assert "TF_WORKSPACE" not in seen
    assert f"TF_CLI_CONFIG_FILE={tmp_path}/build/terraform.rc" in seen


def test_a_mirror_without_the_provider_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="TF_PROVIDER_MIRROR"):
        terraform.mirror(tmp_path, {"TF_PROVIDER_MIRROR": str(tmp_path)})


def test_interrupting_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its child takes no interrupt, so it is killed once it has had its time."""
    monkeypatch.setattr(terraform, "_STOP_SECONDS_OTHERWISE", 1.0)
    working = at(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 300 & wait")

    def interrupt() -> None:
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        working.plan(tmp_path / "p", on_event=ignore)
    group = int((tmp_path / "pid").read_text())
    wait_for(lambda: not group_exists(group))


def test_an_interrupted_apply_says_all_it_has_to_say_and_saves(tmp_path: Path) -> None:
    """More than a pipe holds: with nobody reading, it would wait until it is killed."""
    working = at(
        tmp_path,
        f"trap 'head -c 500000 /dev/zero; touch {tmp_path}/saved; exit 1' INT\n"
        f"touch {tmp_path}/began\nwhile :; do sleep 0.1; done",
    )

    def interrupt() -> None:
        wait_for((tmp_path / "began").exists)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        working.apply(tmp_path / "plan", on_event=ignore)
    assert (tmp_path / "saved").exists()
    assert time.monotonic() - started < 60


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    listed = subprocess.run(["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True)
    return any(not line.strip().startswith("Z") for line in listed.stdout.splitlines())


def test_the_module_says_whether_terraform_is_usable(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "validator.tools.terraform"]
    good = {**os.environ, **fake(tmp_path, "")}
    assert subprocess.run(command, env=good).returncode == 0
    assert subprocess.run(command, env={**good, "PATH": "/nowhere"}).returncode == 1
