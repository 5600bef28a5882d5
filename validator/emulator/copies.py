"""Copies of a whole embedded AWS: each a fork of its process, with all that it holds.

A copy serves at a port of its own and ends with its original, or when it is told to. Only the thread
that forks goes on in a copy, so the fork waits for a moment in which no call is being answered; all
other threads, their locks and what is served stay behind.
"""

import gc
import json
import os
import signal
import socket
import stat
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from validator.emulator.calls import Json

Announce = Callable[[Json], None]

_PATIENCE_SECONDS = 30.0
_QUIET_SECONDS = 0.5


class NoCopy(Exception):
    """A copy could not be made."""


class Gate:
    """Lets calls be answered together, and something be done while none is."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._inside = 0
        self._closed = False
        self._one = threading.Lock()

    @contextmanager
    def together(self) -> Iterator[None]:
        """One of many."""
        with self._change:
            self._change.wait_for(lambda: not self._closed)
            self._inside += 1
        try:
            yield
        finally:
            with self._change:
                self._inside -= 1
                self._change.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The only one; raises NoCopy if there is no such moment for half a minute."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with self._one:
            while not self._close():
                if time.monotonic() > deadline:
                    raise NoCopy("at no moment is this embedded AWS without a call to answer")
                time.sleep(0.01)
            try:
                yield
            finally:
                self._open()

    def _close(self) -> bool:
        """Keeps new calls out; False, and open again, if those inside do not end soon.

        A call may be waiting for another one that it makes itself, which is kept out.
        """
        with self._change:
            self._closed = True
            quiet = self._change.wait_for(lambda: self._inside == 0, _QUIET_SECONDS)
        if not quiet:
            self._open()
        return quiet

    def _open(self) -> None:
        with self._change:
            self._closed = False
            self._change.notify_all()


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy as its original sees it: a process, and a line that is cut when the original ends."""

    pid: int
    line: socket.socket
    reaper: threading.Thread


class Copies:
    """The copies of one embedded AWS that still serve."""

    def __init__(self, gate: Gate, serve: Callable[[Announce], None]) -> None:
        """`serve` is called in the copy: it serves at a port of its own, and announces where."""
        self._gate = gate
        self._serve = serve
        self._copies: dict[str, _Copy] = {}

    def make(self) -> Json:
        """Where a new copy serves, with its id and process; raises NoCopy."""
        here, there = socket.socketpair()
        with self._gate.alone():
            pid = os.fork()
            if pid == 0:
                _live(there, self._serve)
        there.close()
        ready = _said(here)
        # Waits for the process, so that it is none any more when it has ended.
        reaper = threading.Thread(target=os.waitpid, args=(pid, 0), daemon=True)
        reaper.start()
        if ready is None:
            os.kill(pid, signal.SIGKILL)
            here.close()
            raise NoCopy("the copy did not start; what went wrong is on the original's stderr")
        self._copies[ready["id"]] = _Copy(pid, here, reaper)
        return {**ready, "pid": pid}

    def end(self, identity: str) -> Json:
        """Ends a copy, which is gone on return; raises KeyError for one that is not known."""
        copy = self._copies.pop(identity)
        copy.line.close()
        copy.reaper.join()
        return {}


def _said(line: socket.socket) -> Json | None:
    line.settimeout(_PATIENCE_SECONDS)
    try:
        with line.makefile("rb") as stream:
            ready: Json = json.loads(stream.readline())
            return ready
    except (OSError, ValueError):
        return None


def _live(line: socket.socket, serve: Callable[[Announce], None]) -> NoReturn:
    """The life of a copy, from the fork to its end."""
    try:
        _let_go(line.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        gc.freeze()  # what both hold is not copied by looking for garbage in it
        threading.Thread(target=_end_with, args=(line,), daemon=True).start()
        serve(lambda ready: line.sendall(json.dumps(ready).encode() + b"\n"))
    except Exception:  # nothing may return from here into the original's code
        traceback.print_exc()
    finally:
        os._exit(1)


def _let_go(kept: int) -> None:
    """Puts /dev/null in the place of all sockets and pipes but one, and stderr: they are the original's.

    The numbers stay taken, for objects that nobody uses any more still close them.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for number in [int(each.name) for each in Path("/dev/fd").iterdir()]:
        try:
            kind = os.fstat(number).st_mode
        except OSError:  # the listing itself
            continue
        if number not in {2, kept, null} and not stat.S_ISREG(kind):
            os.dup2(null, number, inheritable=number < 3)


def _end_with(line: socket.socket) -> None:
    """Ends this process when the other end of the line is closed, or gone with its process."""
    line.recv(1)
    os._exit(0)
