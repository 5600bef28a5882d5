"""Commands that are cut off: by a signal, or by an embedded AWS that dies under them."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ORCHESTRATION, ROOT, Embedded, Stage, Validator
from validator.sources import tfvars

pytestmark = pytest.mark.slow


def begun(checkout: Path, command: str, *options: str, until: str) -> "subprocess.Popen[str]":
    """A command on env staging that runs, and has just said `until`."""
    process = subprocess.Popen(
        [str(ROOT / ".venv/bin/validator"), command, "staging", *options], cwd=checkout,
        env={**os.environ, "CLOUD": "embedded"}, stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if until in line:
            return process
    raise AssertionError(f"never said {until}")


def ended(process: "subprocess.Popen[str]", checkout: Path) -> str:
    """What the command said to its end, which is status 2 and leaves no process."""
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(timeout=200) == 2
    assert "Traceback" not in said
    deadline = time.monotonic() + 20
    listing = ["ps", "-eo", "args"]
    while str(checkout) in subprocess.run(listing, capture_output=True, text=True).stdout:
        assert time.monotonic() < deadline, "an orphan still runs"
        time.sleep(0.2)
    return said


MOMENTS = [
    ("planning, with checkov beside it", signal.SIGINT, (), "terraform plan"),
    ("initialising", signal.SIGHUP, ("--skip-checkov",), "terraform init"),
]


@pytest.mark.parametrize(
    ("number", "options", "step"), [m[1:] for m in MOMENTS], ids=[m[0] for m in MOMENTS]
)
def test_an_interrupted_plan_leaves_nothing_behind(
    checkout: Path, number: int, options: tuple[str, ...], step: str
) -> None:
    process = begun(checkout, "plan", *options, until=step)
    process.send_signal(number)
    assert ended(process, checkout).count("Interrupted") == 1
    assert not list((checkout / "build/staging/plan").glob("*report*"))


def test_an_embedded_aws_that_dies_during_apply(checkout: Path, planned_stage: Stage) -> None:
    with planned_stage.copied(checkout) as embedded:
        process = begun(checkout, "apply", until="Creation complete")
    assert ended(process, checkout).count(f"The embedded AWS at {embedded.url} died") == 1
    assert list((checkout / "build/staging/plan").iterdir()) == []


def test_an_apply_that_is_interrupted_saves_its_state(
    checkout: Path, called: Validator, planned_here: Embedded
) -> None:
    whole = to_create(checkout)
    process = begun(checkout, "apply", until="Creation complete")
    process.send_signal(signal.SIGTERM)
    assert ended(process, checkout).count("Interrupted") == 1

    backend = tfvars.literals(checkout / "terraform/envs/staging/backend.hcl")
    s3 = planned_here.client("s3", ORCHESTRATION, backend["region"])
    (only,) = s3.list_objects_v2(Bucket=backend["bucket"])["Contents"]  # and no lock
    assert only["Key"] == backend["key"]
    state = json.load(s3.get_object(Bucket=backend["bucket"], Key=backend["key"])["Body"])
    made = [each for each in state["resources"] if each["mode"] == "managed"]
    assert made
    assert list((checkout / "build/staging/plan").iterdir()) == []  # it was made on another state
    again = called("plan", "staging")
    # What was being made at that moment is tainted, and a key that is replaced is an effect.
    bad = {f["family"] for f in report(checkout)["findings"] if f["outcome"] != "holds"}
    assert again.returncode == (1 if bad else 0), again.stderr
    assert bad <= {"effects"}, again.stdout
    assert 0 < to_create(checkout) < whole


def to_create(checkout: Path) -> int:
    """How many resources the last plan of env staging creates."""
    return sum(int(change.get("create", 0)) for change in report(checkout)["changes"].values())


def report(checkout: Path) -> Any:
    """The report on the last plan of env staging."""
    return json.loads((checkout / "build/staging/plan/report.json").read_text())
