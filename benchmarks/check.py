"""How long `check` takes for one env and for fifty beside checkov, and what judging adds to `plan`.

Run: .venv/bin/python benchmarks/check.py

Every figure is of whole processes, taken in turn in one run, after one run that is not counted. It
writes what it prints to docs/benchmarks.md.
"""

import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from validator import project
from validator.invariants import INVARIANTS, judge
from validator.sources import code, plan, tfvars
from validator.tools import terraform

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
ENV = "staging"
ENVS = 50
RUNS_OF_ONE, RUNS_OF_ALL = 9, 3
MARKS = "<!-- generated: benchmarks/check.py -->", "<!-- end of generated -->"
VALIDATOR = str(ROOT / ".venv" / "bin" / "validator")
CHECKOV = str(ROOT / ".venv-checkov" / "bin" / "checkov")

Row = tuple[str, str, str]
"""What was measured, what came out, and what it must be."""


def estates(folder: Path, count: int) -> None:
    """Copies of env `staging` in a checkout of its own, each with its own name, accounts and numbers."""
    source = ROOT / "terraform"
    ignored = shutil.ignore_patterns(".terraform", "tests")
    shutil.copytree(source / "modules", folder / "terraform" / "modules", ignore=ignored)
    for number in range(1, count + 1):
        name = f"env-{number:02}"
        env = folder / "terraform" / "envs" / name
        shutil.copytree(source / "envs" / ENV, env, ignore=ignored)
        for file in (env / tfvars.FILE_NAME, env / "backend.hcl"):
            file.write_text(_renamed(file.read_text(), name, number))


def _renamed(text: str, name: str, number: int) -> str:
    """The declared values of one of the copies: other accounts, external ids, numbers and waves."""
    text = text.replace(ENV, name).replace(f"{name}-1", "staging-1").replace(f"{name}_", "staging_")
    text = re.sub(r'"(\d{9})\d{3}"', lambda found: f'"{found[1]}{number:03}"', text)
    text = re.sub(r"(iam::\d{9})\d{3}", lambda found: f"{found[1]}{number:03}", text)
    text = re.sub(r'(external_id +=) "\w{8}', rf'\1 "{number:08}', text)
    text = re.sub(r"(servers +=) 300", rf"\1 {300 - number}", text)
    return text.replace("wave-1 = 200", f"wave-1 = {200 - 2 * number}")


def side_by_side(directory: Path, commands: Sequence[Sequence[str]], runs: int) -> list[float]:
    """The median seconds of each command, run in turn; raises RuntimeError if one does not succeed."""
    times: list[list[float]] = [[] for _ in commands]
    for run in range(runs + 1):
        for command, own in zip(commands, times, strict=True):
            began = time.perf_counter()
            done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
            took = time.perf_counter() - began
            if done.returncode != 0:
                raise RuntimeError(
                    f"{' '.join(command)} ended with {done.returncode}: {done.stderr}"
                )
            print(f"{took:6.2f} s  {Path(command[0]).name} {command[-1]}", file=sys.stderr)
            if run:
                own.append(took)
    return [statistics.median(own) for own in times]


def compared(folder: Path) -> list[Row]:
    """One env and fifty, ours and checkov's."""
    one = [VALIDATOR, "check", ENV]
    theirs = [CHECKOV, "--skip-download", "-d", f"terraform/envs/{ENV}"]
    ours_of_one, theirs_of_one = side_by_side(ROOT, [one, theirs], RUNS_OF_ONE)
    estates(folder, ENVS)
    every = [VALIDATOR, "check", "--all"]
    theirs = [CHECKOV, "--skip-download", "-d", "terraform/envs"]
    ours_of_all, theirs_of_all = side_by_side(folder, [every, theirs], RUNS_OF_ALL)
    return [
        ("`validator check` of one env", f"{ours_of_one:.2f} s", "at most 0.8 s"),
        ("checkov over the same env", f"{theirs_of_one:.2f} s", ""),
        ("ours is faster by", f"{theirs_of_one / ours_of_one:.1f} times", "at least 5 times"),
        (f"`validator check --all` of {ENVS} envs", f"{ours_of_all:.2f} s", "at most 6 s"),
        (f"checkov over the same {ENVS} envs", f"{theirs_of_all:.2f} s", ""),
        ("ours is faster by", f"{theirs_of_all / ours_of_all:.1f} times", "at least 10 times"),
    ]


def planned(folder: Path) -> list[Row]:
    """What judging adds to Terraform's own time in `plan`, on an embedded AWS."""
    shutil.copytree(ROOT / "terraform", folder / "terraform")
    own = _terraforms(folder)
    env = project.find(ENV, folder)
    at = terraform.WorkingDirectory(
        env.directory, env.build("terraform"), dict(os.environ), folder / "build"
    )
    document = at.show(env.plan_file)
    declared = tfvars.read(env.directory)

    def judging() -> None:
        written = code.read(env.directory, declared, ENV)
        judge(plan.beside(plan.read(document, declared, ENV), written), INVARIANTS)

    took = _median(judging, RUNS_OF_ONE)
    return [
        ("`terraform init` and `plan` of one env", f"{own:.1f} s", ""),
        ("judging that plan", f"{took:.2f} s", ""),
        ("judging is", f"{100 * took / own:.1f} % of Terraform's time", "at most 5 %"),
    ]


def _terraforms(folder: Path) -> float:
    """The seconds that Terraform takes within `plan`, from the steps that it tells."""
    told: dict[str, float] = {}
    process = subprocess.Popen(
        [VALIDATOR, "plan", ENV, "--skip-checkov"],
        cwd=folder,
        env={**os.environ, "CLOUD": "embedded"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        told.setdefault(line.strip().rpartition(": ")[2], time.perf_counter())
    if process.wait() != 0:
        raise RuntimeError(f"the plan ended with {process.returncode}")
    return told["reading the plan"] - told["terraform init"]


def _median(of: Callable[[], None], runs: int) -> float:
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        of()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def machine() -> str:
    """The processor and the versions that the figures are of."""
    processors = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", processors.read_text() if processors.exists() else "")
    model = found[1] if found else platform.machine()
    return (
        f"{os.cpu_count()} x {model}, {platform.system()}, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f} at the start"
    )


def written(rows: Sequence[Row], on: str, marks: tuple[str, str] = MARKS) -> str:
    """The page with these figures between its marks, and with what stands around them."""
    before, rest = PAGE.read_text().split(marks[0])
    after = rest.split(marks[1])[1]
    table = ["| | Median | Wanted |", "|---|--:|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    figures = f"Measured on {date.today()}: {on}.\n\n" + "\n".join(table)
    return f"{before}{marks[0]}\n\n{figures}\n\n{marks[1]}{after}"


def main() -> None:
    """Measures everything, prints it and writes the page."""
    on = machine()
    with tempfile.TemporaryDirectory() as folder:
        rows = [*compared(Path(folder) / "envs"), *planned(Path(folder) / "plan")]
    for row in rows:
        print("{:45} {:>28}  {}".format(*row))
    PAGE.write_text(written(rows, on))


if __name__ == "__main__":
    main()
