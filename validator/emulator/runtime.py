"""What a Lambda function's process runs: it imports the handler, then answers event after event.

It is run by its path and in isolation, so it imports nothing of this package. A line of JSON comes in
for each event, and a line goes out: `+` and the handler's answer, or `-` and its error.
"""

import importlib
import json
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

Handler = Callable[[Any, Any], Any]


class Failure(Exception):
    """The handler cannot be had, in Lambda's words."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Context:
    """What a handler is told about its invocation."""

    def __init__(self, invocation: dict[str, Any]) -> None:
        self.aws_request_id: str = invocation["id"]
        self.client_context = None
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.identity = None
        self.invoked_function_arn: str = invocation["arn"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self._deadline: float = invocation["deadline"]

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is ended."""
        return max(0, int((self._deadline - time.time()) * 1000))


class _Format(logging.Formatter):
    request = ""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        at = f"{stamp}.{int(record.msecs):03d}Z"
        text = f"[{record.levelname}]\t{at}\t{self.request}\t{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def handler() -> Handler:
    """The handler that the environment names; raises Failure."""
    named = os.environ["_HANDLER"]
    module, dot, name = named.rpartition(".")
    if not dot:
        raise Failure("Runtime.MalformedHandlerName", f"Bad handler '{named}'")
    try:
        found = importlib.import_module(module.replace("/", "."))
    except ImportError as error:
        raise Failure(
            "Runtime.ImportModuleError", f"Unable to import module '{module}': {error}"
        ) from error
    except SyntaxError as error:
        raise Failure(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module}': {error}"
        ) from error
    try:
        answer: Handler = getattr(found, name)
    except AttributeError as error:
        raise Failure(
            "Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module}'"
        ) from error
    return answer


def main(descriptor: int, folder: str) -> None:
    """Answers until the other end of the socket is closed."""
    watch = threading.Thread(target=_watch, args=(os.getppid(), folder), daemon=True)
    watch.start()
    form = _Format()
    log = logging.StreamHandler(sys.stdout)
    log.setFormatter(form)
    logging.getLogger().addHandler(log)
    root = os.environ["LAMBDA_TASK_ROOT"]
    sys.path[0:0] = [root]
    os.chdir(root)
    with socket.socket(fileno=descriptor) as other, other.makefile("rb") as lines:
        try:
            handle = handler()
        except Failure as failure:
            other.sendall(_error(failure.kind, str(failure), None, ""))
            return
        except Exception as error:
            other.sendall(_error(type(error).__name__, str(error), error.__traceback__, ""))
            return
        other.sendall(b"+\n")
        for line in lines:
            invocation = json.loads(line)
            form.request = invocation["id"]
            answer = _answer(handle, invocation)
            sys.stdout.flush()
            sys.stderr.flush()
            other.sendall(answer)
    watch.join()  # the server is gone, or about to kill this process


def _answer(handle: Handler, invocation: dict[str, Any]) -> bytes:
    try:
        answer = handle(invocation["event"], Context(invocation))
    except Exception as error:
        print(f"[ERROR] {traceback.format_exc()}", end="")
        kind = type(error).__name__
        return _error(kind, str(error), error.__traceback__, invocation["id"])
    try:
        return b"+" + json.dumps(answer, ensure_ascii=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        said = f"Unable to marshal response: {error}"
        return _error("Runtime.MarshalError", said, None, invocation["id"])


def _error(kind: str, message: str, trace: TracebackType | None, request: str) -> bytes:
    own = (frame for frame in traceback.extract_tb(trace) if frame.filename != __file__)
    answer = {
        "errorMessage": message,
        "errorType": kind,
        "requestId": request,
        "stackTrace": traceback.format_list(list(own)),
    }
    return b"-" + json.dumps(answer).encode() + b"\n"


def _watch(parent: int, folder: str) -> None:
    """Ends this process and all that it started when the server is gone, and removes its files."""
    while os.getppid() == parent:
        time.sleep(0.3)
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
