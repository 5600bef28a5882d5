"""`check` of one env and of fifty, beside checkov on the same code, in one run.

Run: PYTHONPATH=. .venv/bin/python benchmarks/check.py (after `make .venv-checkov/ready`)
"""

import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
VALIDATOR, CHECKOV = ROOT / ".venv/bin/validator", ROOT / ".venv-checkov/bin/checkov"
RUNS, MANY = 5, 50


def timed(command: list[str], cwd: Path, accepted: tuple[int, ...]) -> float:
    """The seconds that a whole process takes; fails unless its exit status is an accepted one."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode in accepted, done.stdout[-2000:] + done.stderr[-2000:]
    return time.perf_counter() - started


def paired(ours: list[str], theirs: list[str], cwd: Path, runs: int) -> tuple[float, float]:
    """The medians of both commands, run in turn, after a run of each that does not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(runs + 1):
        for kept, command in zip(times, (ours, theirs), strict=True):
            # checkov's own status is 1 where a check fails.
            seconds = timed(command, cwd, (0,) if command is ours else (0, 1))
            if number:
                kept.append(seconds)
    return statistics.median(times[0]), statistics.median(times[1])


def many(root: Path) -> None:
    """Lays out fifty envs: env staging with other names, account ids and numbers."""
    shutil.copytree(ROOT / "terraform/modules", root / "terraform/modules")
    for number in range(MANY):
        folder = root / "terraform/envs" / f"env-{number}"
        shutil.copytree(ROOT / "terraform/envs/staging", folder)
        file = folder / "estate.auto.tfvars"
        text = file.read_text().replace('"staging"', f'"env-{number}"')
        for account in ("111122223333", "444455556666"):
            text = text.replace(account, f"{int(account) + number:012d}")
        file.write_text(re.sub(r"(servers +=) 300", rf"\1 {300 - number}", text))
        waves = re.sub(r"(wave-1 +=) 200", rf"\1 {200 - 2 * number}", file.read_text())
        file.write_text(waves)


def show(what: str, ours: float, theirs: float) -> None:
    """Prints one line of figures."""
    print(
        f"{what:10} validator {ours:6.2f} s   checkov {theirs:7.2f} s   {theirs / ours:5.1f} times"
    )


def main() -> None:
    """Times one env, then fifty."""
    checkov = [str(CHECKOV), "--skip-download", "--quiet", "--compact", "-d"]
    one = paired(
        [str(VALIDATOR), "check", "staging"], [*checkov, "terraform/envs/staging"], ROOT, RUNS
    )
    show("one env", *one)
    with tempfile.TemporaryDirectory() as made:
        many(Path(made))
        fifty = paired(
            [str(VALIDATOR), "check", "--all"], [*checkov, "terraform/envs"], Path(made), 1
        )
    show("fifty envs", *fifty)


if __name__ == "__main__":
    main()
