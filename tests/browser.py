"""Chromium for the tests of pages: `python -m tests.browser` puts one on a machine that has none."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

NAMES = (
    "chromium-headless-shell",  # takes half the time of the others, which open no window either
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSING = (
    "There is no Chromium for the tests of report.html. Install `chromium-headless-shell` (as root, "
    "with apt: `apt-get install chromium-headless-shell`), or let "
    "`.venv/bin/playwright install --with-deps chromium` fetch one, and run make again."
)


@contextmanager
def opened() -> Iterator[Browser]:
    """A headless browser; raises RuntimeError, with what to do, where the machine has none."""
    with sync_playwright() as playwright:
        path = found(playwright)
        if path is None:
            raise RuntimeError(MISSING)
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def found(playwright: Playwright | None = None) -> str | None:
    """The path of a browser that starts, None if there is none: the machine's, else Playwright's own."""
    for name in NAMES:
        path = shutil.which(name)
        if path and _starts(path):
            return path
    if playwright is not None:
        path = playwright.chromium.executable_path
        return path if Path(path).exists() and _starts(path) else None
    with sync_playwright() as own:
        return found(own)


def _starts(path: str) -> bool:
    """True if it is the browser, and not a stub that tells how to install one."""
    done = subprocess.run([path, "--version"], capture_output=True, check=False)
    return done.returncode == 0 and b"Chrom" in done.stdout


def provide(
    run: Callable[[Sequence[str]], bool], look: Callable[[], str | None] = found, root: bool = True
) -> str | None:
    """The path of a browser, after what it takes to have one; None if nothing gave one."""
    path = look()
    if path is None and root and shutil.which("apt-get"):
        run(["apt-get", "update"])
        run(["apt-get", "install", "-y", "--no-install-recommends", NAMES[0], "fonts-liberation"])
        path = look()
    if path is None:
        deps = ["--with-deps"] if root else []
        run([sys.executable, "-m", "playwright", "install", *deps, "chromium"])
        path = look()
    return path


def _run(command: Sequence[str]) -> bool:
    """Runs a command that says what it does on stderr alone; True if it succeeded."""
    print(f"No Chromium for the tests: {' '.join(command)} ...", file=sys.stderr)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        sys.stderr.buffer.write(done.stdout[-2000:])
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(None if provide(_run, root=os.geteuid() == 0) else MISSING)
