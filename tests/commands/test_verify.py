"""`verify --watch` as a person runs it: read again until Ctrl-C, which ends it with the last verdict."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, Embedded, copied, use
from validator.cli import main


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--watch", "9"], "must be 10 to 86400 seconds"),
        (["--watch", "1e9"], "must be 10 to 86400 seconds"),
        (["--watch", "-30"], "expected"),
        (["--watch", "999999999"], "must be 10 to 86400 seconds"),
        (["--watch", "--wait", "10m"], "not allowed with argument"),
    ],
    ids=["too often", "no number", "negative", "never again", "waiting too"],
)
def test_a_watch_that_makes_no_sense_is_refused(
    capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", "staging", *options])
    assert ended.value.code == 2
    if said != "expected":
        assert said in capsys.readouterr().err


def watching(checkout: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [str(ROOT / ".venv/bin/validator"), "verify", "staging", "--watch", "10", "--format", "json"],
        cwd=checkout, env={**os.environ, "CLOUD": "embedded"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def until(process: "subprocess.Popen[str]", words: str) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"never said {words}")


@pytest.mark.slow
def test_ctrl_c_ends_a_watch_with_the_last_verdict(checkout: Path, running: Embedded) -> None:
    process = watching(checkout)
    line = until(process, " violated, ")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    report = json.loads(out)
    assert f" {report['verdict']}: " in line
    assert process.returncode == {"holds": 0, "violated": 1, "unknown": 2}[report["verdict"]]
    assert "Traceback" not in err
    assert json.loads((checkout / "build/staging/verify/report.json").read_text()) == report


@pytest.mark.slow
def test_a_watch_whose_aws_is_gone_ends_without_a_verdict(
    checkout: Path, untouched: Embedded
) -> None:
    with copied(untouched) as embedded:
        use(checkout, embedded)
        process = watching(checkout)
        until(process, " violated, ")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == "" and "died" in err
    assert not (checkout / "build/staging/verify/report.json").exists()
