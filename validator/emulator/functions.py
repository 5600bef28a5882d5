"""Lambda functions that really run: their zip in processes of their own, as their execution role.

A process is kept for the next event, and replaced when the code, the settings or the role change. All
end with the emulator, however it ends.
"""

import base64
import copy
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from shutil import rmtree
from typing import Any

import moto.core.responses
from moto.awslambda.exceptions import InvalidParameterValueException, LambdaClientError
from moto.awslambda.models import LambdaBackend, LambdaFunction, LambdaStorage, lambda_backends
from moto.awslambda.responses import LambdaResponse
from moto.dynamodb.responses import DynamoHandler
from moto.logs.models import logs_backends

from validator.emulator import roles, runtime
from validator.emulator.calls import Call, Json

CONCURRENT = 64
"""How many functions run at once, in all accounts: each holds a thread of the server."""

_SERVICE = "lambda.amazonaws.com"
_SYNC_BYTES = 6_291_456
_EVENT_BYTES = 1_048_576
_ANSWER_BYTES = 6_291_556
_START_SECONDS = 60.0
_END_SECONDS = 2.0
_TAIL_BYTES = 4096
_RETRY_SECONDS = 0.1
_BUSY_SECONDS = 0.5
_KEPT = ("DeadLetterConfig", "LoggingConfig")
"""Settings that moto forgets, and that a function is described with."""
_FOLDER = re.compile(r"[^A-Za-z0-9-]")

Permits = Callable[[str, str, str, str], bool]
"""Whether a role may do something to a resource in a Region."""


class Throttled(LambdaClientError):
    """As many invocations run as may."""

    code = 429

    def __init__(self) -> None:
        super().__init__("TooManyRequestsException", "Rate Exceeded.")


class _TooLarge(LambdaClientError):
    code = 413


class _Denied(LambdaClientError):
    code = 403


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an invocation came to."""

    payload: bytes
    failed: bool
    log: str
    request: str


class _Process:
    """One process of a function, and the session of its role."""

    def __init__(self, function: Any, fingerprint: Json, folder: Path) -> None:
        self.fingerprint = fingerprint
        self.function = function.function_name
        self.session = roles.session(function.role, function.function_name, function.region)
        self.group = _log_group(function)
        made = datetime.now(UTC)
        self.stream = f"{made:%Y/%m/%d}/[{function.version}]{uuid.uuid4().hex}"
        self.ready = False
        self._ending = threading.Lock()
        self._read = 0
        self._rest = b""
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._socket, theirs = socket.socketpair()
        began = time.monotonic()
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", runtime.__file__, str(theirs.fileno()), str(_folder())],
                env=_environment(function, self, folder),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
            )
        self.init_seconds: float | None = None
        self._began = began

    def start(self, timeout: float) -> bytes | None:
        """Waits until the handler is imported; returns what went wrong, b"" if it died, else None."""
        line = self._line(time.monotonic() + max(timeout, _START_SECONDS))
        self.init_seconds = time.monotonic() - self._began
        if line is None:
            raise TimeoutError
        self.ready = line[:1] == b"+"
        return None if self.ready else line[1:]

    def answer(self, invocation: Json, timeout: float) -> bytes:
        """The line that answers an event, b"" if the process died; raises TimeoutError."""
        with suppress(OSError):  # what is dead has no answer, as the next line sees
            self._socket.sendall(json.dumps(invocation).encode() + b"\n")
        line = self._line(time.monotonic() + timeout)
        if line is None:
            raise TimeoutError
        return line

    def _line(self, deadline: float) -> bytes | None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        parts = [self._rest]
        while b"\n" not in parts[-1]:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                return None
            try:
                part = self._socket.recv(1 << 20)
            except OSError:
                part = b""
            if not part:
                return b""
            parts.append(part)
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line

    def output(self) -> str:
        """What was printed since this was asked last."""
        size = os.fstat(self._output.fileno()).st_size
        text = os.pread(self._output.fileno(), size - self._read, self._read)
        self._read = size
        return text.decode("utf-8", "replace")

    def alive(self) -> bool:
        """True if it still runs; one that ended stays a zombie, so that its number is nobody else's."""
        with self._ending:  # whoever kills it takes the zombie away as well
            if self._popen.returncode is not None:
                return False
            ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self._popen.pid, ended) is None

    def kill(self) -> None:
        """Ends the process and all that it started."""
        with self._ending:
            if self._popen.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(self._popen.pid, signal.SIGKILL)
                self._popen.wait()

    def close(self) -> None:
        """Ends it for good."""
        self.kill()
        self._socket.close()
        self._output.close()

    def end(self) -> str:
        """How the process came to its end, in Lambda's words."""
        deadline = time.monotonic() + _END_SECONDS
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        self.kill()
        status = self._popen.returncode
        if status == 0:
            return "Runtime exited without providing a reason"
        if status == -signal.SIGKILL:
            return "Runtime exited with error: signal: killed"
        how = f"exit status {status}" if status > 0 else f"signal: {signal.strsignal(-status)}"
        return f"Runtime exited with error: {how}"


class _Pool:
    """The processes that wait for an event or answer one, and the orders to kill them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.idle: dict[str, list[_Process]] = {}
        self.running: Counter[str] = Counter()
        self.owners: dict[str, _Process] = {}
        self.orders: dict[tuple[str, str, str], Json] = {}

    def take(self, function: Any) -> _Process:
        """A process for one event; raises Throttled, or what AWS says of a role it cannot assume."""
        role = roles.trusted(function.role, _SERVICE, _arn(function))
        if role is None:
            raise _Denied("AccessDeniedException", _ROLE)
        fingerprint = _fingerprint(function) | {"RoleId": role.id}
        stale = []
        try:
            with self.lock:
                limit = function.reserved_concurrency
                own = f"{function.account_id}:{function.region}:{function.function_name}"
                if self.running.total() >= CONCURRENT or (
                    limit is not None and self.running[own] >= int(limit)
                ):
                    raise Throttled
                waiting = self.idle.setdefault(own, [])
                while waiting:
                    process = waiting.pop()
                    if process.fingerprint == fingerprint and process.alive():
                        self.running[own] += 1
                        return process
                    stale.append(process)
                if sum(map(len, self.idle.values())) + self.running.total() >= CONCURRENT:
                    stale += next(each for each in self.idle.values() if each)[:1]
                    for each in self.idle.values():
                        each[:] = [process for process in each if process not in stale]
                self.running[own] += 1
        finally:
            for process in stale:
                self.drop(process)
        try:
            process = _Process(function, fingerprint, _code(function))
        except BaseException:
            self.done(function)
            raise
        with self.lock:
            self.owners[process.session.access_key_id] = process
        return process

    def done(self, function: Any, process: _Process | None = None) -> None:
        """An event is answered; the process, if it is given, waits for the next."""
        own = f"{function.account_id}:{function.region}:{function.function_name}"
        with self.lock:
            self.running[own] -= 1
            if process is not None:
                self.idle.setdefault(own, []).append(process)

    def drop(self, process: _Process) -> None:
        """Ends a process."""
        process.close()
        with self.lock:
            owned = [key for key, owner in self.owners.items() if owner is process]
            for key in owned:
                del self.owners[key]

    def forget(self, function: Any) -> None:
        """Ends the processes of a function that is gone."""
        own = f"{function.account_id}:{function.region}:{function.function_name}"
        with self.lock:
            gone = self.idle.pop(own, [])
        for process in gone:
            self.drop(process)


_ROLE = "The role defined for the function cannot be assumed by Lambda."
_pool = _Pool()
_base: list[Path] = []
_files = threading.Lock()
_tables = threading.RLock()
_permits: list[Permits] = []


def install(permits: Permits) -> None:
    """Puts the running of functions into moto; `permits` is IAM enforcement, if it is on."""
    _permits[:] = [permits]
    function: Any = LambdaFunction
    function._invoke_lambda = _invoke_lambda
    function.invoke = _invoke_by_event
    function.get_configuration = _configuration(function.get_configuration)
    function.update_configuration = _updated(function.update_configuration)
    function.__init__ = _made(function.__init__)
    function._set_function_code = _unzips(function._set_function_code)
    storage: Any = LambdaStorage
    storage.put_function = _put(storage.put_function)
    backend: Any = LambdaBackend
    backend.delete_function = _deleted(backend.delete_function)
    backend.put_function_event_invoke_config = _configured(backend.put_function_event_invoke_config)
    backend.update_function_event_invoke_config = backend.put_function_event_invoke_config
    response: Any = LambdaResponse
    response.invoke = _invoke
    core: Any = moto.core.responses
    core.gen_amzn_requestid_long = _request_id
    # moto looks at a condition and writes in two steps, and a server has many threads.
    handler: Any = DynamoHandler
    handler.call_action = _one_by_one(handler.call_action)


def end() -> None:
    """Ends every process and removes what they ran from."""
    with _pool.lock:
        processes = {id(p): p for each in _pool.idle.values() for p in each}
        processes |= {id(process): process for process in _pool.owners.values()}
    for process in processes.values():
        process.kill()
    for folder in _base:
        rmtree(folder, ignore_errors=True)


def kill_after(body: Json) -> Json:
    """Orders the end of a function's process, once a call of it is made and before it has the answer.

    Calls with credentials that the function got from AssumeRole are its own. Raises KeyError or
    ValueError for an order that says nothing known.
    """
    place = (str(body["account"]), str(body["region"]), str(body["function"]))
    after = body["after"]
    unknown = set(after) - {"nth", "operation", "service"} | set(body) - {
        "account", "after", "function", "region",
    }  # fmt: skip
    if unknown:
        raise ValueError(f"unknown: {sorted(unknown)}")
    if place[2] not in lambda_backends[place[0]][place[1]]._lambdas._functions:
        raise ValueError(f"no function {place[2]} of {place[0]} in {place[1]}")
    nth = after.get("nth", 1)
    if type(nth) is not int or nth < 1:
        raise ValueError("nth must be a whole number of at least 1")
    order = {"left": nth, "operation": str(after["operation"]), "service": str(after["service"])}
    with _pool.lock:
        _pool.orders[place] = order
    return {}


def answered(call: Call, content: bytes) -> None:
    """Kills the function that made a call, if that is ordered; to be told before it has the answer."""
    with _pool.lock:
        process = _pool.owners.get(call.access_key)
        if process is None:
            return
        if call.operation == "AssumeRole":
            found = re.search(rb"<AccessKeyId>(\w+)</AccessKeyId>", content)
            if found is not None:
                _pool.owners[found[1].decode()] = process
        place = (process.fingerprint["Account"], process.fingerprint["Region"], process.function)
        order = _pool.orders.get(place)
        if order is None or (order["service"], order["operation"]) != (
            call.service,
            call.operation,
        ):
            return
        order["left"] -= 1
        if order["left"] > 0:
            return
        del _pool.orders[place]
    process.kill()


def run(function: Any, event: Any) -> Outcome:
    """Lets a function answer an event; raises Throttled, or what AWS says of it."""
    if not str(function.run_time).startswith("python") or function.package_type != "Zip":
        what = function.run_time or function.package_type
        said = f"The embedded AWS runs Python functions from zips, not {what}."
        raise LambdaClientError("NotBuiltException", said)
    if function.layers:
        raise LambdaClientError("NotBuiltException", "The embedded AWS runs no layers.")
    request = str(uuid.uuid4())
    timeout = float(function.timeout)
    process = _pool.take(function)
    kept: _Process | None = None
    began = time.monotonic()
    try:
        try:
            failure = None if process.ready else process.start(timeout)
            began = time.monotonic()
            if failure is not None:
                line = b"-" + failure
            else:
                invocation = {
                    "arn": _arn(function),
                    "deadline": time.time() + timeout,
                    "event": event,
                    "id": request,
                }
                line = process.answer(invocation, timeout)
        except TimeoutError:
            process.kill()
            said = f"RequestId: {request} Error: Task timed out after {timeout:.2f} seconds"
            payload = _error("Sandbox.Timedout", said)
            failed = True
        else:
            payload, failed = line[1:], line[:1] != b"+"
            if not payload:
                payload = _error(
                    "Runtime.ExitError", f"RequestId: {request} Error: {process.end()}"
                )
            elif process.ready:
                kept = process
            if len(payload) > _ANSWER_BYTES:
                said = f"Response payload size exceeded maximum allowed payload size ({_ANSWER_BYTES} bytes)."
                payload, failed = _error("Function.ResponseSizeTooLarge", said), True
        seconds = time.monotonic() - began
        log = _log(function, process, request, seconds, payload if failed else b"")
        return Outcome(payload, failed, log, request)
    finally:
        if kept is None:
            _pool.drop(process)
        _pool.done(function, kept)


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def _arn(function: Any) -> str:
    return (
        f"arn:aws:lambda:{function.region}:{function.account_id}:function:{function.function_name}"
    )


def _log_group(function: Any) -> str:
    named = function.kept.get("LoggingConfig", {}).get("LogGroup")
    return str(named or f"/aws/lambda/{function.function_name}")


def _fingerprint(function: Any) -> Json:
    """All that a process is started with; another one must be started where it differs."""
    return {
        "Account": function.account_id,
        "Code": function.code_sha_256,
        "Environment": dict(function.environment_vars),
        "Handler": function.handler,
        "LogGroup": _log_group(function),
        "MemorySize": function.memory_size,
        "Region": function.region,
        "Role": function.role,
        "Version": str(function.version),
    }


def _environment(function: Any, process: _Process, folder: Path) -> dict[str, str]:
    session = process.session
    return {
        "LANG": "C.UTF-8",
        "PATH": os.environ.get("PATH", os.defpath),
        "TZ": ":UTC",
        **{str(name): str(value) for name, value in function.environment_vars.items()},
        "AWS_ACCESS_KEY_ID": session.access_key_id,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": roles.url(),
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
        "AWS_LAMBDA_LOG_GROUP_NAME": process.group,
        "AWS_LAMBDA_LOG_STREAM_NAME": process.stream,
        "AWS_REGION": function.region,
        "AWS_SECRET_ACCESS_KEY": session.secret_access_key,
        "AWS_SESSION_TOKEN": session.session_token,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "LAMBDA_TASK_ROOT": str(folder),
        "_HANDLER": str(function.handler),
    }


def _folder() -> Path:
    if not _base:
        _base.append(Path(tempfile.mkdtemp(prefix="emulator-functions-")))
    return _base[0]


def _code(function: Any) -> Path:
    """The folder that holds a function's files, unpacked once."""
    with _files:
        folder = _folder() / _FOLDER.sub("_", f"{function.code_digest}")
        if not folder.exists():
            unpacked = folder.with_suffix(".new")
            with zipfile.ZipFile(BytesIO(function.code_bytes)) as package:
                package.extractall(unpacked)
            unpacked.rename(folder)
        return folder


def _log(function: Any, process: _Process, request: str, seconds: float, failure: bytes) -> str:
    """Writes what an invocation printed into the function's log, as far as its role may."""
    milliseconds = seconds * 1000
    report = (
        f"REPORT RequestId: {request}\tDuration: {milliseconds:.2f} ms\t"
        f"Billed Duration: {int(milliseconds) + 1} ms\tMemory Size: {function.memory_size} MB\t"
        f"Max Memory Used: {function.memory_size} MB"
    )
    if process.init_seconds is not None:
        report += f"\tInit Duration: {process.init_seconds * 1000:.2f} ms"
        process.init_seconds = None
    lines = [
        f"START RequestId: {request} Version: {function.version}",
        *process.output().splitlines(),
        *([failure.decode("utf-8", "replace")] if failure else []),
        f"END RequestId: {request}",
        report,
    ]
    _write(function, process, lines)
    return "\n".join(lines) + "\n"


def _write(function: Any, process: _Process, lines: list[str]) -> None:
    backend = logs_backends[function.account_id][function.region]
    group = f"arn:aws:logs:{function.region}:{function.account_id}:log-group:{process.group}"
    stream = f"{group}:log-stream:{process.stream}"

    def may(operation: str, resource: str) -> bool:
        return _permits[0](function.role, f"logs:{operation}", resource, function.region)

    if process.group not in backend.groups and not may("CreateLogGroup", f"{group}:log-stream:"):
        return
    if not may("CreateLogStream", stream) or not may("PutLogEvents", stream):
        return
    now = int(time.time() * 1000)
    backend.ensure_log_group(process.group)
    backend.ensure_log_stream(process.group, process.stream)
    events = [{"timestamp": now, "message": line} for line in lines]
    backend.put_log_events(process.group, process.stream, events)


def _invoke_lambda(self: Any, event: Any = None) -> tuple[str, bool, str]:
    """What moto's event sources call."""
    outcome = run(self, {} if event is None else event)
    return outcome.payload.decode(), outcome.failed, outcome.log


def _invoke_by_event(self: Any, body: str, request_headers: Any, response_headers: Any) -> bytes:
    """What moto's SNS, EventBridge and the like call: nobody waits for the answer."""
    _in_background(self, json.loads(body) if body else {})
    return b""


def _invoke(self: Any) -> Any:
    """Invoke, as LambdaResponse answers it."""
    name = self.path.split("/functions/", 1)[1].rsplit("/invocations", 1)[0]
    name = re.sub("%3[aA]", ":", name)
    arn = re.match(r"arn:aws:lambda:([^:]+):(\d{12}):function:", name)
    if arn is not None and (arn[1], arn[2]) != (self.region, self.current_account):
        said = f"The embedded AWS invokes no function of another account or Region: {name}"
        raise _Denied("AccessDeniedException", said)
    qualifier = self.querystring.get("Qualifier", [None])[0]
    function = self.backend.get_function(name, qualifier)
    kind = self.headers.get("X-Amz-Invocation-Type", "RequestResponse")
    raw = self.body.encode() if isinstance(self.body, str) else self.body or b""
    limit = _EVENT_BYTES if kind == "Event" else _SYNC_BYTES
    if len(raw) > limit:
        said = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        raise _TooLarge("RequestEntityTooLargeException", said)
    try:
        event = json.loads(raw or b"{}")
    except ValueError as error:
        said = f"Could not parse request body into json: {error}"
        raise LambdaClientError("InvalidRequestContentException", said) from error
    headers = {"content-type": "application/json", "x-amz-executed-version": str(function.version)}
    if kind == "DryRun":
        return 204, headers | {"status": "204"}, ""
    if kind == "Event":
        _in_background(function, event)
        return 202, headers | {"status": "202", "x-amzn-requestid": str(uuid.uuid4())}, ""
    outcome = run(function, event)
    headers["x-amzn-requestid"] = outcome.request
    if outcome.failed:
        headers["x-amz-function-error"] = "Unhandled"
    if self.headers.get("X-Amz-Log-Type") == "Tail":
        tail = outcome.log.encode()[-_TAIL_BYTES:]
        headers["x-amz-log-result"] = base64.b64encode(tail).decode()
    return 200, headers, outcome.payload


def _request_id(headers: Json) -> str:
    """A new id for an answer, or the one that it has already, where its function was told it."""
    return str(headers.setdefault("x-amzn-requestid", str(uuid.uuid4())))


def _in_background(function: Any, event: Any) -> None:
    threading.Thread(target=_asynchronous, args=(function, event), daemon=True).start()


def _asynchronous(function: Any, event: Any) -> None:
    """Runs an event until it succeeds or its attempts are used up, and tells the destination."""
    configs = function.event_invoke_config
    config = configs[0].config if configs else {}
    oldest = time.monotonic() + config.get("MaximumEventAgeInSeconds", 21600)
    attempts = 1 + config.get("MaximumRetryAttempts", 2)
    made, condition, outcome = 0, "RetriesExhausted", None
    while made < attempts:
        try:
            outcome = run(function, event)
        except Throttled:
            # A throttled event waits, and is no attempt.
            if time.monotonic() > oldest:
                condition = "EventAgeExceeded"
                break
            time.sleep(_BUSY_SECONDS)
            continue
        except LambdaClientError as error:
            payload = _error(error.error_type, error.message)
            outcome = Outcome(payload, True, "", str(uuid.uuid4()))
        made += 1
        if not outcome.failed:
            condition = "Success"
            break
        time.sleep(_RETRY_SECONDS)
    where = "OnSuccess" if condition == "Success" else "OnFailure"
    to = config.get("DestinationConfig", {}).get(where, {}).get("Destination")
    dead = function.kept.get("DeadLetterConfig", {}).get("TargetArn")
    request = outcome.request if outcome is not None else str(uuid.uuid4())
    if to:
        _send(function, to, _record(function, event, outcome, condition, made, request))
    if dead and condition != "Success":
        _send(function, dead, json.dumps(event))


def _record(
    function: Any, event: Any, outcome: Outcome | None, condition: str, made: int, request: str
) -> str:
    record: Json = {
        "version": "1.0",
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "requestContext": {
            "requestId": request,
            "functionArn": f"{_arn(function)}:{function.version}",
            "condition": condition,
            "approximateInvokeCount": made,
        },
        "requestPayload": event,
    }
    if outcome is not None:
        record["responseContext"] = {"statusCode": 200, "executedVersion": str(function.version)}
        if outcome.failed:
            record["responseContext"]["functionError"] = "Unhandled"
        record["responsePayload"] = json.loads(outcome.payload)
    return json.dumps(record)


def _send(function: Any, arn: str, text: str) -> None:
    """Sends a text to a queue or a topic, as the function's role."""
    role = roles.trusted(function.role, _SERVICE, _arn(function))
    _, _, service, region, account, name = arn.split(":", 5)
    if role is None or service not in {"sqs", "sns"}:
        return
    client = roles.client(service, region, role, _SERVICE)
    with suppress(client.exceptions.ClientError):  # it is lost then, as on AWS
        if service == "sqs":
            queue = f"{roles.url()}/{account}/{name}"
            client.send_message(QueueUrl=queue, MessageBody=text)
        else:
            client.publish(TopicArn=arn, Message=text)


def _made(original: Any) -> Any:
    def init(self: Any, account_id: str, spec: Json, *args: Any, **kwargs: Any) -> None:
        self.kept = {name: spec[name] for name in _KEPT if spec.get(name)}
        original(self, account_id, spec, *args, **kwargs)

    return init


def _unzips(original: Any) -> Any:
    def set_function_code(self: Any, updated_spec: Json) -> None:
        original(self, updated_spec)
        if self.package_type == "Zip" and not zipfile.is_zipfile(BytesIO(self.code_bytes)):
            raise InvalidParameterValueException(
                "Could not unzip uploaded file. Please check your file, then try to upload again."
            )

    return set_function_code


def _configuration(original: Any) -> Any:
    def get_configuration(self: Any, *args: Any, **kwargs: Any) -> Json:
        logging = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.function_name}"}
        kept = copy.deepcopy(self.kept)
        kept["LoggingConfig"] = logging | kept.get("LoggingConfig", {})
        return {**original(self, *args, **kwargs), **kept}

    return get_configuration


def _updated(original: Any) -> Any:
    def update(self: Any, updates: Json) -> Json:
        if "Role" in updates:
            _check_role(self, updates["Role"])
        self.kept |= {name: updates[name] for name in _KEPT if name in updates}
        if "TracingConfig" in updates:
            self.tracing_config = updates["TracingConfig"]
        if "EphemeralStorage" in updates:
            self.ephemeral_storage = updates["EphemeralStorage"]["Size"]
        answer: Json = original(self, updates)
        return answer

    return update


def _check_role(function: Any, role: str) -> None:
    if not role.startswith("arn:") or roles.trusted(role, _SERVICE, _arn(function)) is None:
        raise InvalidParameterValueException(_ROLE)


def _put(original: Any) -> Any:
    def put_function(self: Any, function: Any) -> None:
        if function.role.startswith("arn:"):  # moto refuses what is none
            _check_role(function, function.role)
        original(self, function)

    return put_function


def _deleted(original: Any) -> Any:
    def delete_function(self: Any, function_name: str, qualifier: str | None = None) -> None:
        function = self.get_function(function_name)
        original(self, function_name, qualifier)
        _pool.forget(function)

    return delete_function


_DESTINATION = {"sns": "sns:Publish", "sqs": "sqs:SendMessage"}


def _configured(original: Any) -> Any:
    def put_function_event_invoke_config(self: Any, function_name: str, config: Json) -> Json:
        function = self.get_function(function_name)
        for each in config.get("DestinationConfig", {}).values():
            arn = each.get("Destination", "")
            action = _DESTINATION.get(arn.split(":")[2]) if arn else None
            if action is not None and not _permits[0](function.role, action, arn, function.region):
                operation = action.split(":")[1]
                raise InvalidParameterValueException(
                    "The function execution role does not have permissions to call "
                    f"{operation} on {arn.split(':')[2].upper()}"
                )
        answer: Json = original(self, function_name, config)
        # moto keeps the first for ever.
        function.event_invoke_config[:] = function.event_invoke_config[-1:]
        return answer

    return put_function_event_invoke_config


def _one_by_one(original: Any) -> Any:
    def call_action(self: Any) -> Any:
        with _tables:
            return original(self)

    return call_action


def _forget() -> None:
    """Processes belong to the server that started them."""
    global _files, _pool, _tables
    _base.clear()
    _files = threading.Lock()
    _pool = _Pool()
    _tables = threading.RLock()


os.register_at_fork(after_in_child=_forget)
