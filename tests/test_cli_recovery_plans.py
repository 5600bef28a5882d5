"""`recovery-plans` as a person runs it, on an embedded AWS."""

import json
from pathlib import Path

import pytest

from tests.conftest import REGION, TARGET, Embedded, Validator
from tests.emulator.test_drs import initialise, template

pytestmark = pytest.mark.slow


def test_from_a_dry_run_to_plans_that_stand(
    running: Embedded, checkout: Path, called: Validator
) -> None:
    """The emulator's servers have the tags of their tier, and none of another wave than three."""
    drs = initialise(running, TARGET)
    drs.create_replication_configuration_template(**template())
    running.door("source-servers", {"account": TARGET, "region": REGION, "count": 6})
    left = called("recovery-plans", "staging", "--dry-run")
    assert left.returncode == 1, left.stderr
    assert left.stdout.count("it has no tag dr:wave") == 6
    assert "none to write" in left.stdout
    for number, server in enumerate(drs.describe_source_servers(filters={})["items"]):
        tags = {"dr:wave": f"wave-{1 + number % 2}", "dr:priority": str(1 + number % 3)}
        drs.tag_resource(resourceArn=server["arn"], tags=tags)
    written = called("recovery-plans", "staging", "--format", "json")
    assert written.returncode == 0, written.stderr
    document = json.loads(written.stdout)
    assert [each["name"] for each in document["plans"]] == [
        "staging wave-1 01",
        "staging wave-2 01",
    ]
    kept = (checkout / "build/staging/recovery-plans/report.json").read_text()
    assert json.loads(kept) == document
    again = called("recovery-plans", "staging")
    assert again.returncode == 0
    assert "wave-1: 3 servers, 1 plans with 3 steps (1 as it is)" in again.stdout
    asked = called("recovery-plans", "staging", "--wait-minutes", "500")
    assert asked.returncode == 2 and "1 to 120 minutes" in asked.stderr
    assert not (checkout / "build/staging/recovery-plans/report.json").exists()
