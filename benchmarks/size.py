"""How long `size` takes for 4,000 servers: a count, and an inventory.

Run: .venv/bin/python -m benchmarks.size

Every figure is of whole processes, taken in turn in one run, after one run that is not counted. It
writes what it prints to docs/benchmarks.md.
"""

import shutil
import tempfile
from pathlib import Path

from benchmarks.check import PAGE, ROOT, VALIDATOR, Row, machine, side_by_side, written

SERVERS = 4000
RUNS = 5
MARKS = "<!-- generated: benchmarks/size.py -->", "<!-- end of generated: size -->"


def inventory(servers: int) -> str:
    """An inventory of so many servers in waves that each go in one round."""
    rows = (
        f"i-{n:017x},web-{n},888899990000,us-east-1,30;100;200,4,linux,wave-{n // 500 + 1},{n % 3 + 1}"
        for n in range(servers)
    )
    header = "instance_id,name,account,region,disks,vcpu,platform,dr:wave,dr:priority"
    return "\n".join((header, *rows)) + "\n"


def main() -> None:
    """Measures everything, prints it and writes the page."""
    on = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "terraform", folder / "terraform")
        (folder / "servers.csv").write_text(inventory(SERVERS))
        common = [VALIDATOR, "size", "--headroom", "0"]
        count, listed = side_by_side(
            folder,
            [
                [*common, "--servers", str(SERVERS), "--volumes", "3"],
                [*common, "--inventory", "servers.csv"],
            ],
            RUNS,
        )
    rows: list[Row] = [
        (f"`validator size` of {SERVERS:,} servers", f"{count:.2f} s", "at most 2 s"),
        (f"`validator size` of an inventory of {SERVERS:,}", f"{listed:.2f} s", "at most 2 s"),
    ]
    for row in rows:
        print("{:56} {:>8}  {}".format(*row))
    PAGE.write_text(written(rows, on, MARKS))


if __name__ == "__main__":
    main()
