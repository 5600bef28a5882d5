"""`python -m validator.emulator`: serves the embedded AWS until a signal ends it."""

import argparse
import gc
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from validator.emulator import functions
from validator.emulator.server import Application, make_server

_GARBAGE = (100_000, 50, 100)
"""New objects between two looks for garbage: what the accounts hold is looked through each time."""

HELP = """\
The embedded AWS serves at {url} (Ctrl-C stops it). To point the AWS CLI at it:

  export AWS_ENDPOINT_URL={url} AWS_REGION=us-west-2 AWS_DEFAULT_REGION=us-west-2
  export AWS_ACCESS_KEY_ID={account} AWS_SECRET_ACCESS_KEY=any

A 12-digit access key acts as root of that account. Control door: {url}/_emulator/
"""


def main() -> int:
    """Serves; returns 0 after SIGINT or SIGTERM, 2 if the port cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m validator.emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--management-account", default="777788889999")
    parser.add_argument(
        "--announce", type=Path, help="file that says where it serves, while it does"
    )
    parser.add_argument("--json", action="store_true", help="announce as one line of JSON")
    parser.add_argument("--exit-with-parent", action="store_true")
    arguments = parser.parse_args()
    gc.set_threshold(*_GARBAGE)
    application = Application(arguments.management_account)
    try:
        server, url = make_server(arguments.port, application)
    except OSError as error:
        print(f"error: port {arguments.port}: {error.strerror or error}", file=sys.stderr)
        return 2
    ready = json.dumps({"url": url, "pid": os.getpid(), "id": application.id})
    if arguments.announce is not None:
        arguments.announce.parent.mkdir(parents=True, exist_ok=True)
        arguments.announce.write_text(ready)
    if arguments.exit_with_parent:
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()

    def stop(_: int, __: FrameType | None) -> None:
        if arguments.announce is not None:
            arguments.announce.unlink(missing_ok=True)
        functions.end()
        # Requests in flight belong to nobody any more; a slow one must not hold the end up.
        os._exit(0)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    print(
        ready if arguments.json else HELP.format(url=url, account=arguments.management_account),
        flush=True,
    )
    server.serve()
    return 0


def _watch(parent: int) -> None:
    """Ends the process when its parent is gone, so that no orphan keeps serving."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


if __name__ == "__main__":
    raise SystemExit(main())
