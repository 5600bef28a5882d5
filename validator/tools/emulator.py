"""The embedded AWS as a child process, or the one that is already serving.

The emulator is a program of its own, so that a crash of it is a failed call and not a crash of ours.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from validator.errors import ToolError, ValidatorError

START_SECONDS = 60.0
ANSWER_SECONDS = 5.0
WATCH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Emulator:
    """An embedded AWS that serves at `url`; `id` differs for every start of it."""

    url: str
    id: str


def serving(file: Path) -> Emulator | None:
    """The emulator that wrote `file` (`make emulator` does), if it still answers."""
    try:
        url = json.loads(file.read_text())["url"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _answering(url) if isinstance(url, str) else None


@contextmanager
def started(management_account: str) -> Iterator[Emulator]:
    """An emulator that lives as long as the context. Raises ToolError if it does not come up."""
    command = [sys.executable, "-m", "validator.emulator", "--json", "--port", "0"]
    command += ["--management-account", management_account, "--exit-with-parent"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        yield _ready(process)
    finally:
        _stop(process)


@contextmanager
def watched(running: Emulator) -> Iterator[None]:
    """Ends the block with a ToolError, and soon, when the embedded AWS dies under it.

    Terraform would go on asking for minutes. The main thread is interrupted as by Ctrl-C; a second
    time, seconds later, if it still waits for a child.
    """
    over, died = threading.Event(), threading.Event()
    message = (
        f"The embedded AWS at {running.url} died, and all that was made on it is gone with it. "
        "Run the command again."
    )

    def watch() -> None:
        while not over.wait(WATCH_SECONDS):
            if not _listens(running.url):
                for _ in range(2):
                    died.set()
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                    if over.wait(3 * WATCH_SECONDS):
                        break
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        if died.is_set():
            raise ToolError(message) from None
        raise
    except ValidatorError as error:
        if not _listens(running.url):
            raise ToolError(message) from error
        raise
    finally:
        over.set()
        thread.join()


def _listens(url: str) -> bool:
    """False if nothing is there any more; an embedded AWS that is slow to answer is there."""
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), ANSWER_SECONDS).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
    return True


def _ready(process: "subprocess.Popen[bytes]") -> Emulator:
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select(
            [process.stdout], [], [], max(0, deadline - time.monotonic())
        )
        chunk = os.read(process.stdout.fileno(), 4096) if readable else b""
        if not chunk:
            raise ToolError(
                "The embedded AWS did not start; `make emulator` shows why on the terminal."
            )
        line += chunk
    try:
        ready = json.loads(line)
        return Emulator(url=ready["url"], id=ready["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise ToolError(f"The embedded AWS said {line!r} instead of its address.") from error


def _stop(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answering(url: str) -> Emulator | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/_emulator/health", timeout=ANSWER_SECONDS) as response:
            health = json.load(response)
        return Emulator(url=url, id=health["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
