"""How many calls a deployment onto 600 instances makes, beside the least and beside one by one.

Run: .venv/bin/python -m benchmarks.deploy

The calls are counted by the embedded AWS that they are made to. How often a deployment looks at what
goes on depends on how long agents take to install, so commands are counted apart from looks. It writes
what it prints to docs/benchmarks.md.
"""

import math
from collections import Counter

from benchmarks.check import PAGE, Row, machine, written
from tests.agent_deployer.estates import Fleet, fleet
from tests.conftest import ORCHESTRATION, Embedded
from validator.operations.deploy import Selection
from validator.quotas import REPLICATING_SERVERS
from validator.tools import emulator

EACH = REPLICATING_SERVERS.value
BATCH, INVENTORY, SERVERS = 50, 50, 200
"""What one call takes: instance ids of a command, instances of the inventory, source servers."""

POLL_SECONDS = 5
MARKS = "<!-- generated: benchmarks/deploy.py -->", "<!-- end of generated: deploy -->"


def deployed(found: Fleet) -> tuple[Counter[str], int]:
    """The calls of a deployment, by operation, and how many commands its waves need at least."""
    for account in (found.target, found.staging):
        found.run(account, EACH)
    found.embedded.door("calls", method="DELETE")
    estate = found.estate()
    payload = estate.payload(Selection(poll_seconds=POLL_SECONDS))
    ended = estate.direct(payload, None, lambda _: None)
    if ended["counts"] != {"replicating": 2 * EACH}:
        raise RuntimeError(f"The deployment ended with {ended['counts']}.")
    calls = Counter(found.embedded.door("calls", method="DELETE"))
    _, states = estate.status(ended["deployment_id"])
    groups = Counter((each["account"], each["wave"]) for each in states.values())
    return calls, sum(math.ceil(count / BATCH) for count in groups.values())


def main() -> None:
    """Counts everything, prints it and writes the page."""
    on = machine()
    with emulator.started(ORCHESTRATION) as one:
        found = fleet(Embedded(one.url))
        found.embedded.door("delays", {"install": 3.0, "initial-sync": 3.0})
        calls, commands = deployed(found)
    servers = 2 * EACH
    sent = calls["ssm SendCommand"]
    table = sum(count for call, count in calls.items() if call.startswith("dynamodb"))
    # What any way must at least ask: every instance once, every command's end, every server.
    asked = 2 * (math.ceil(EACH / INVENTORY) + math.ceil(EACH / SERVERS) + 2)
    least = asked + 2 * commands + 2 * math.ceil(EACH / SERVERS)
    by_one = 3 * servers
    rows: list[Row] = [
        (f"commands for {servers} instances in three waves", f"{sent}", ""),
        ("the least that SSM takes them in", f"{commands}", "at most 2 times"),
        ("one `send-command` for each instance", f"{servers}", ""),
        ("all calls to EC2, SSM, IAM, DRS and quotas", f"{calls.total() - table}", ""),
        ("the least: ask of each once, send, look once, confirm", f"{least}", "at most 4 times"),
        ("one by one: send, look once, confirm", f"{by_one}", ""),
        ("calls to the table of deployments", f"{table}", ""),
    ]
    for row in rows:
        print("{:56} {:>8}  {}".format(*row))
    PAGE.write_text(written(rows, on, MARKS))


if __name__ == "__main__":
    main()
