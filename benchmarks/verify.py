"""How long `verify` takes of 400 and of 4,000 servers, beside the AWS CLI's commands that count them.

Run: .venv/bin/python -m benchmarks.verify

Every figure is of whole processes, taken in turn in one run on one embedded AWS, after one run that
is not counted. It writes what it prints to docs/benchmarks.md.
"""

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.check import PAGE, ROOT, VALIDATOR, Row, machine, written
from tests.conftest import ORCHESTRATION, TARGET, Embedded
from tests.operations.estates import STAGING_ACCOUNTS, Made, applied, replication_template
from validator.quotas import REPLICATING_SERVERS, TOTAL_SERVERS
from validator.sources import tfvars
from validator.tools import emulator

AWS = str(ROOT / ".venv" / "bin" / "aws")
LARGE = REPLICATING_SERVERS.value
"""Servers in each staging account of the large estate; the small one has a tenth of all."""
RUNS = 3
MARKS = "<!-- generated: benchmarks/verify.py -->", "<!-- end of generated: verify -->"


def estate(embedded: Embedded, each: int) -> Made:
    """Thirteen staging accounts with so many servers each, all extended, and the target's own."""
    made = applied(embedded, staging=len(STAGING_ACCOUNTS))
    made.drs(TARGET).create_replication_configuration_template(
        **replication_template(ebsEncryption="DEFAULT")
    )
    share = TOTAL_SERVERS.value - LARGE * len(STAGING_ACCOUNTS)
    made.register(share * each // LARGE, TARGET)
    for account in STAGING_ACCOUNTS:
        made.register(each, account)
    made.extend_all()
    return made


def checkout(folder: Path, made: Made) -> Path:
    """A checkout whose env `staging` declares that estate, and whose commands find its AWS."""
    shutil.copytree(ROOT / "terraform", folder / "terraform")
    file = folder / "terraform" / "envs" / "staging" / tfvars.FILE_NAME
    text = file.read_text()
    text = re.sub(r'(recovery_region +=) "[^"]+"', rf'\1 "{made.region}"', text)
    block = re.search(r"  staging-1 = \{.*?\n  \}\n", text, re.DOTALL)
    assert block is not None
    blocks = [
        re.sub(r'"\d{12}"', f'"{account}"', block[0].replace("staging-1", f"staging-{number}"))
        for number, account in enumerate(STAGING_ACCOUNTS, 1)
    ]
    file.write_text(text.replace(block[0], "".join(blocks)))
    (folder / "build").mkdir()
    (folder / "build" / "emulator.json").write_text(json.dumps({"url": made.embedded.url}))
    return folder


def verification(folder: Path) -> Callable[[], None]:
    """`validator verify` of a checkout as a whole process."""

    def run() -> None:
        done = subprocess.run(
            [VALIDATOR, "verify", "staging"],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "CLOUD": "embedded"},
            capture_output=True,
            text=True,
        )
        # Violated: the estate was made without Terraform, so that its roles are missing.
        if done.returncode != 1:
            raise RuntimeError(f"verify ended with {done.returncode}: {done.stderr}")

    return run


def by_hand(made: Made) -> Callable[[], None]:
    """The AWS CLI's commands that show and count servers, for the target and every staging account."""
    listed = "items[].[sourceServerID,arn,tags.Name,lifeCycle.state]"
    commands = [["--query", listed, "--output", "table"]]
    not_extended = "length(items[?stagingArea.stagingAccountID==`" + TARGET + "`])"
    commands.append(["--query", not_extended, "--output", "text"])
    for account in STAGING_ACCOUNTS:
        filters = ["--filters", json.dumps({"stagingAccountIDs": [account]})]
        commands.append([*filters, "--query", listed, "--output", "table"])
        commands.append([*filters, "--query", "length(items)", "--output", "text"])
    environment = {**made.embedded.environment(TARGET), "PATH": "/usr/bin:/bin", "NO_PROXY": "*"}

    def run() -> None:
        for words in commands:
            command = [AWS, "drs", "describe-source-servers", "--region", made.region, *words]
            subprocess.run(command, env=environment, capture_output=True, check=True)

    return run


def in_turn(what: Sequence[tuple[str, Callable[[], None]]]) -> list[float]:
    """The median seconds of each, run in turn."""
    times: list[list[float]] = [[] for _ in what]
    for number in range(RUNS + 1):
        for (name, run), own in zip(what, times, strict=True):
            began = time.perf_counter()
            run()
            took = time.perf_counter() - began
            print(f"{took:6.2f} s  {name}", file=sys.stderr)
            if number:
                own.append(took)
    return [statistics.median(own) for own in times]


def main() -> None:
    """Measures everything, prints it and writes the page."""
    on = machine()
    with (
        emulator.started(ORCHESTRATION) as one,
        emulator.started(ORCHESTRATION) as other,
        tempfile.TemporaryDirectory() as folder,
    ):
        large, small = estate(Embedded(one.url), LARGE), estate(Embedded(other.url), LARGE // 10)
        of_large, by_cli, of_small = in_turn(
            [
                ("verify of 4,000", verification(checkout(Path(folder) / "large", large))),
                ("the AWS CLI", by_hand(large)),
                ("verify of 400", verification(checkout(Path(folder) / "small", small))),
            ]
        )
    rows: list[Row] = [
        ("`validator verify` of 4,000 servers in 14 accounts", f"{of_large:.1f} s", ""),
        ("the AWS CLI shows and counts the same servers", f"{by_cli:.1f} s", ""),
        ("ours is faster by", f"{by_cli / of_large:.1f} times", "at least 2 times"),
        ("`validator verify` of 400 servers in 14 accounts", f"{of_small:.1f} s", ""),
        ("ten times the servers take", f"{of_large / of_small:.1f} times as long", "at most 10"),
    ]
    for row in rows:
        print("{:52} {:>24}  {}".format(*row))
    PAGE.write_text(written(rows, on, MARKS))


if __name__ == "__main__":
    main()
