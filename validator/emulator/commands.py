"""SSM Run Command: what AWS refuses of a command, and how its invocations go on.

Nothing runs in the background. Whatever is asked of the embedded AWS first settles what is due by then,
in the order in which it was due: so no call sees an instance or an account ahead of its commands.
"""

import heapq
import itertools
import json
import math
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.session import get_session
from moto.core.exceptions import JsonRESTError
from moto.ssm.models import ssm_backends

from validator.emulator import agents, documents, instances
from validator.emulator.drs.exceptions import DrsError
from validator.emulator.drs.models import delays
from validator.emulator.drs.responses import check

Json = dict[str, Any]
Place = tuple[str, str]
"""Account and Region."""

_DELIVERY_SECONDS, _CONCURRENCY, _ERRORS = 3600, "50", "0"
_ERRORS_OF_COMMAND = {"Failed", "ExecutionTimedOut"}
_ECHOED = (
    "CloudWatchOutputConfig",
    "Comment",
    "MaxConcurrency",
    "MaxErrors",
    "NotificationConfig",
    "OutputS3BucketName",
    "OutputS3KeyPrefix",
    "OutputS3Region",
    "Parameters",
    "Targets",
)
_EPOCH = time.time() - time.monotonic()
_model = get_session().get_service_model("ssm")


@dataclass(slots=True, eq=False)
class Invocation:
    """A command on one instance."""

    number: int
    instance_id: str
    host: str
    steps: list[documents.Step]
    status: str = "Pending"
    details: str = "Pending"
    began: float | None = None
    ended: float | None = None
    result: agents.Result | None = None
    """How it ends; None while that is not decided."""
    plan: tuple[agents.Install | agents.Result | None, str, str | None] | None = None
    """What it installs, how a door wants that to end, and with which output."""

    @property
    def over(self) -> bool:
        """True if nothing will change any more."""
        return self.status not in {"Pending", "InProgress"}

    def end(self, moment: float, status: str, details: str | None = None) -> None:
        """Ends it at a moment."""
        self.status, self.details, self.ended = status, details or status, moment


@dataclass(slots=True, eq=False)
class Command:
    """A command that was sent."""

    id: str
    number: int
    place: Place
    document: str
    values: Json
    """The document's parameters, defaults included."""
    request: Json
    sent: float
    seconds: int
    """How long an invocation waits for its instance."""
    invocations: list[Invocation] = field(default_factory=list)
    concurrency: int = 0
    errors_allowed: int = 0
    cancelled: bool = False
    """True if it was cancelled as a whole."""

    def count(self, *details: str) -> int:
        """How many invocations have one of these detailed states."""
        return sum(each.details in details for each in self.invocations)

    def status(self) -> tuple[str, str]:
        """The status and the detailed status that its invocations amount to."""
        if not self.invocations:
            return "Success", "NoInstancesInTag"
        details = {each.details for each in self.invocations}
        if not all(each.over for each in self.invocations):
            started = any(each.status != "Pending" for each in self.invocations)
            return ("InProgress",) * 2 if started else ("Pending",) * 2
        if self.cancelled:
            return "Cancelled", "Cancelled"
        if self.count(*_ERRORS_OF_COMMAND) > self.errors_allowed:
            only_late = "Failed" not in details
            return ("TimedOut", "ExecutionTimedOut") if only_late else ("Failed", "Failed")
        if details == {"Success"}:
            return "Success", "Success"
        if self.count("DeliveryTimedOut") > self.errors_allowed:
            return "TimedOut", "DeliveryTimedOut"
        return "Failed", "Incomplete"


_lock = threading.RLock()
_commands: dict[Place, dict[str, Command]] = {}
_delayed: set[Command] = set()
"""Commands with invocations whose turn has come and whose instance is not reached."""
_due: list[tuple[float, int, Command, Invocation | None]] = []
"""When an invocation ends, or without one when a command's deliveries expire; the earliest first."""
_numbers = itertools.count(1)


def settle() -> None:
    """Does what was due by now, in its order."""
    moment = time.monotonic()
    if not _delayed and not any(due[0] <= moment for due in _due[:1]):
        return
    with _lock:
        reached: dict[Place, Json] = {}
        while _due and _due[0][0] <= moment:
            at, _, command, invocation = heapq.heappop(_due)
            online = _online(command, reached)
            if invocation is None:
                _expire(command, at)
            elif invocation.status == "InProgress":
                _finish(command, invocation, at, online)
            _start(command, at, online)
        for command in list(_delayed):
            _start(command, moment, _online(command, reached))


def _online(command: Command, reached: dict[Place, Json]) -> Json:
    if command.place not in reached:
        reached[command.place] = instances.online(*command.place)
    return reached[command.place]


def _plan_end(command: Command, invocation: Invocation | None, at: float) -> None:
    heapq.heappush(_due, (at, next(_numbers), command, invocation))


def _start(command: Command, at: float, online: Json) -> None:
    """Begins as many invocations as may run at once; those that are not reached wait."""
    free = command.concurrency - sum(i.status == "InProgress" for i in command.invocations)
    delayed = False
    for invocation in command.invocations:
        if invocation.status != "Pending" or free <= 0:
            continue
        if invocation.instance_id not in online:
            invocation.details, delayed = "Delayed", True
            continue
        _begin(command, invocation, at)
        free -= invocation.status == "InProgress"
    (_delayed.add if delayed else _delayed.discard)(command)


def _begin(command: Command, invocation: Invocation, at: float) -> None:
    if not invocation.steps:
        invocation.end(at, "Failed", "InvalidPlatform")
        return
    invocation.status = invocation.details = "InProgress"
    invocation.began = at
    wanted = None
    for step in invocation.steps:
        wanted = wanted or agents.requested(command.document, command.values, step)
    outcome, output = agents.ordered(*command.place, invocation.instance_id)
    invocation.plan = (wanted, outcome, output)
    hangs = outcome == "hang" and isinstance(wanted, agents.Install)
    seconds = math.inf if hangs else delays["install"]
    _plan_end(command, invocation, at + min(seconds, _limit(invocation)))


def _limit(invocation: Invocation) -> float:
    return max(
        (step.seconds for step in invocation.steps), default=float(documents.EXECUTION_SECONDS)
    )


def _finish(command: Command, invocation: Invocation, at: float, online: Json) -> None:
    """Ends an invocation whose time is over."""
    assert invocation.began is not None
    until = invocation.began + _limit(invocation)
    if at >= until:
        invocation.result = agents.Result(-1)
        invocation.end(at, "TimedOut", "ExecutionTimedOut")
    elif invocation.instance_id not in online:
        # Its agent cannot say how it ended, so that SSM waits as long as the step may take.
        _plan_end(command, invocation, until)
        return
    else:
        invocation.result = _result(command, invocation, at, online[invocation.instance_id])
        invocation.end(at, "Failed" if invocation.result.code else "Success")
    if command.count(*_ERRORS_OF_COMMAND) > command.errors_allowed:
        for each in command.invocations:
            if each.status == "Pending":
                each.end(at, "Cancelled", "Terminated")


def _result(command: Command, invocation: Invocation, at: float, instance: Any) -> agents.Result:
    assert invocation.plan is not None
    wanted, outcome, output = invocation.plan
    if wanted is None:
        return agents.Result(0)
    if isinstance(wanted, agents.Result):
        return wanted
    if outcome == "failed":
        return agents.Result(1, "Installation failed.", output or "The installer failed.")
    if outcome == "unregistered":
        return agents.Result(0, output or "The AWS Replication Agent was successfully installed.")
    done = agents.install(*command.place, instance, wanted, at)
    return done if output is None or done.code else agents.Result(0, output)


def _expire(command: Command, at: float) -> None:
    for invocation in command.invocations:
        if invocation.status == "Pending":
            invocation.end(at, "TimedOut", "DeliveryTimedOut")


def _refuse(code: str, message: str) -> JsonRESTError:
    return JsonRESTError(code, message)


def _send(place: Place, params: Json) -> Json:
    account_id, region = place
    document, content = _document(place, params)
    values = documents.values(content, params.get("Parameters", {}))
    found = _addressed(place, params)
    supported = documents.platforms(content)
    kinds = {each.id: instances.platform_type(each) for each in found}
    odd = [key for key, kind in kinds.items() if kind not in supported]
    if odd and "InstanceIds" in params:
        raise _refuse(
            "UnsupportedPlatformType",
            f"The document {document} has nothing for the platform of {', '.join(odd)}.",
        )
    by_kind = {kind: documents.steps(content, values, kind) for kind in sorted(set(kinds.values()))}
    with _lock:
        moment = time.monotonic()
        command = Command(
            id=str(uuid.uuid4()),
            number=next(_numbers),
            place=place,
            document=document,
            values=values,
            request=params,
            sent=moment,
            seconds=params.get("TimeoutSeconds", _DELIVERY_SECONDS),
        )
        command.invocations = [
            Invocation(
                number=next(_numbers),
                instance_id=instance.id,
                host=instance.private_dns_name,
                steps=by_kind[kinds[instance.id]],
            )
            for instance in found
        ]
        count = len(found)
        command.concurrency = max(
            1, math.floor(_share(params.get("MaxConcurrency", _CONCURRENCY), count))
        )
        command.errors_allowed = math.floor(_share(params.get("MaxErrors", _ERRORS), count))
        answer = _shown(command)
        if "Targets" in params:
            # SSM looks for the targets when it has answered.
            answer |= {"TargetCount": 0, "Status": "Pending", "StatusDetails": "Pending"}
        _commands.setdefault(place, {})[command.id] = command
        _plan_end(command, None, moment + command.seconds)
        _start(command, moment, instances.online(account_id, region))
    return {"Command": answer}


def _share(value: str, count: int) -> float:
    """A number as it stands, or so many per cent of a count."""
    return count * int(value[:-1]) / 100 if value.endswith("%") else int(value)


def _document(place: Place, params: Json) -> tuple[str, Json]:
    """The name and content of the document that a command names; raises JsonRESTError."""
    (account_id, region), named = place, params["DocumentName"]
    owner, name = account_id, named
    if named.startswith("arn:"):
        parts = named.split(":", 5)
        if len(parts) != 6 or parts[3] != region or not parts[5].startswith("document/"):
            raise _refuse("InvalidDocument", f"There is no document {named}.")
        owner, name = parts[4] or account_id, parts[5].removeprefix("document/")
    kept = ssm_backends[owner][region]._documents.get(name)
    shared = kept is not None and {account_id, "all"} & set(kept.permissions)
    if kept is None or (owner != account_id and not shared):
        raise _refuse("InvalidDocument", f"Document with name {named} does not exist.")
    version = params.get("DocumentVersion", "$DEFAULT")
    found = kept.find(None if version == "$DEFAULT" else version, strict=False)
    if found is None:
        raise _refuse("InvalidDocumentVersion", f"Document {named} has no version {version}.")
    if found.document_type != "Command" or found.schema_version != "2.2":
        raise _refuse("InvalidDocument", f"{named} is not a Command document of schema 2.2.")
    if params.get("DocumentHash", found.hash) != found.hash:
        raise _refuse("InvalidDocument", f"The content of {named} has another hash.")
    return name, found.content_json


def _addressed(place: Place, params: Json) -> list[Any]:
    """The instances that a command is for; raises JsonRESTError if one is named and not reached."""
    ids, targets = params.get("InstanceIds", []), params.get("Targets", [])
    if bool(ids) is bool(targets):
        raise _refuse("ValidationException", "Specify either InstanceIds or Targets.")
    if len(set(ids)) < len(ids):
        raise _refuse("DuplicateInstanceId", "An instance id is there twice.")
    managed, online = instances.managed(*place), instances.online(*place)
    chosen = set(managed)
    named = list(ids)
    for target in targets:
        key, values = target.get("Key", ""), target.get("Values", [])
        if key == "InstanceIds":
            named += values
        elif key.startswith("tag:"):
            tag = key.removeprefix("tag:")
            chosen = {k for k in chosen if instances.has_tag(managed[k], tag, values)}
        else:
            raise _refuse("ValidationException", f"The embedded AWS has no target key {key}.")
    missing = [each for each in named if each not in online]
    if missing:
        raise _refuse(
            "InvalidInstanceId",
            f"Instances [[{', '.join(missing)}]] not in a valid state for account {place[0]}",
        )
    if named:
        chosen &= set(named)
    return [managed[each] for each in (named or managed) if each in chosen]


def _text(moment: float) -> str:
    """A moment of the monotonic clock as SSM writes it where it writes text."""
    return datetime.fromtimestamp(moment + _EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _shown(command: Command) -> Json:
    status, details = command.status()
    request = command.request
    limit = max((_limit(each) for each in command.invocations), default=0.0)
    return {
        "CommandId": command.id,
        "CompletedCount": sum(each.over for each in command.invocations),
        "DeliveryTimedOutCount": command.count("DeliveryTimedOut"),
        "DocumentName": command.document,
        "DocumentVersion": request.get("DocumentVersion", "$DEFAULT"),
        "ErrorCount": command.count(*_ERRORS_OF_COMMAND),
        "ExpiresAfter": command.sent + _EPOCH + command.seconds + limit,
        "InstanceIds": request.get("InstanceIds", []),
        "RequestedDateTime": command.sent + _EPOCH,
        "ServiceRole": request.get("ServiceRoleArn", ""),
        "Status": status,
        "StatusDetails": details,
        "TargetCount": len(command.invocations),
        "TimeoutSeconds": command.seconds,
        "Comment": "",
        "MaxConcurrency": _CONCURRENCY,
        "MaxErrors": _ERRORS,
        "Parameters": {},
        "Targets": [],
    } | {name: request[name] for name in _ECHOED if name in request}


def _output(invocation: Invocation) -> Json:
    """The plugin of an invocation that has begun, as a list of invocations has it."""
    assert invocation.began is not None
    result = invocation.result or agents.Result(-1)
    error = f"\n----------ERROR-------\n{result.error}" if result.error else ""
    ended = (
        {} if invocation.ended is None else {"ResponseFinishDateTime": invocation.ended + _EPOCH}
    )
    return {
        "Name": invocation.steps[0].name,
        "Output": f"{result.output}{error}"[:2500],
        "ResponseCode": result.code,
        "ResponseStartDateTime": invocation.began + _EPOCH,
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        **ended,
    }


def _listed(command: Command, invocation: Invocation, *, plugins: bool) -> Json:
    started = plugins and invocation.began is not None
    return {
        "CommandId": command.id,
        "CommandPlugins": [_output(invocation)] if started else [],
        "Comment": command.request.get("Comment", ""),
        "DocumentName": command.document,
        "DocumentVersion": command.request.get("DocumentVersion", "$DEFAULT"),
        "InstanceId": invocation.instance_id,
        "InstanceName": invocation.host,
        "RequestedDateTime": command.sent + _EPOCH,
        "ServiceRole": command.request.get("ServiceRoleArn", ""),
        "StandardErrorUrl": "",
        "StandardOutputUrl": "",
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "TraceOutput": "",
    }


def _get_invocation(place: Place, params: Json) -> Json:
    command = _commands.get(place, {}).get(params["CommandId"])
    found = (
        [i for i in command.invocations if i.instance_id == params["InstanceId"]] if command else []
    )
    if command is None or not found:
        raise _refuse(
            "InvocationDoesNotExist",
            f"Command {params['CommandId']} has no invocation on {params['InstanceId']}.",
        )
    (invocation,) = found
    plugin = {"PluginName": invocation.steps[0].name} if invocation.steps else {}
    if params.get("PluginName") not in {None, *plugin.values()}:
        raise _refuse("InvalidPluginName", f"There is no plugin {params['PluginName']}.")
    result = invocation.result or agents.Result(-1)
    times: Json = {}
    if invocation.began is not None:
        times["ExecutionStartDateTime"] = _text(invocation.began)
    if invocation.began is not None and invocation.ended is not None:
        times["ExecutionEndDateTime"] = _text(invocation.ended)
        times["ExecutionElapsedTime"] = f"PT{invocation.ended - invocation.began:.3f}S"
    return {
        "CommandId": command.id,
        "Comment": command.request.get("Comment", ""),
        "DocumentName": command.document,
        "DocumentVersion": command.request.get("DocumentVersion", "$DEFAULT"),
        "InstanceId": invocation.instance_id,
        "ResponseCode": result.code,
        "StandardErrorContent": result.error[:8000],
        "StandardErrorUrl": "",
        "StandardOutputContent": result.output[:24000],
        "StandardOutputUrl": "",
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        **plugin,
        **times,
    }


def _cancel(place: Place, params: Json) -> Json:
    command = _one(place, params["CommandId"])
    ids = params.get("InstanceIds", [])
    if odd := set(ids) - {each.instance_id for each in command.invocations}:
        raise _refuse("InvalidInstanceId", f"The command is not for {', '.join(sorted(odd))}.")
    moment = time.monotonic()
    for invocation in command.invocations:
        if not invocation.over and (not ids or invocation.instance_id in ids):
            invocation.end(moment, "Cancelled")
            command.cancelled = command.cancelled or not ids
    _start(command, moment, instances.online(*place))
    return {}


def _one(place: Place, identifier: str) -> Command:
    if identifier not in _commands.get(place, {}):
        raise _refuse("InvalidCommandId", f"There is no command {identifier}.")
    return _commands[place][identifier]


def _chosen(place: Place, params: Json) -> list[Command]:
    """The commands that an id and the filters leave, but for those of their states."""
    if "CommandId" in params:
        found = [_one(place, params["CommandId"])]
    else:
        found = list(_commands.get(place, {}).values())
    for key, value in _filters(params):
        if key == "DocumentName":
            found = [each for each in found if each.document == value]
        elif key in {"InvokedAfter", "InvokedBefore"}:
            moment, after = _moment(value), key == "InvokedAfter"
            found = [each for each in found if (each.sent + _EPOCH >= moment) is after]
    return found


def _filters(params: Json) -> list[tuple[str, str]]:
    return [(each["key"], each["value"]) for each in params.get("Filters", [])]


def _moment(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise _refuse("ValidationException", f"{text} is not a timestamp") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _list(place: Place, params: Json) -> Json:
    found = _chosen(place, params)
    if "InstanceId" in params:
        named = params["InstanceId"]
        found = [c for c in found if any(i.instance_id == named for i in c.invocations)]
    for key, value in _filters(params):
        if key == "Status":
            found = [each for each in found if value in each.status()]
        elif key == "ExecutionStage":
            complete = value == "Complete"
            found = [c for c in found if all(i.over for i in c.invocations) is complete]
    items = sorted(found, key=lambda each: each.number, reverse=True)
    page, more = _page(items, params)
    return {"Commands": [_shown(each) for each in page], **more}


def _list_invocations(place: Place, params: Json) -> Json:
    wanted = [value for key, value in _filters(params) if key == "Status"]
    if any(key == "ExecutionStage" for key, _ in _filters(params)):
        raise _refuse("InvalidFilterKey", "Invocations have no ExecutionStage.")
    found = [
        (invocation, command)
        for command in _chosen(place, params)
        for invocation in command.invocations
        if params.get("InstanceId", invocation.instance_id) == invocation.instance_id
        and all(value in (invocation.status, invocation.details) for value in wanted)
    ]
    found.sort(key=lambda each: each[0].number, reverse=True)
    commands = {invocation.number: command for invocation, command in found}
    page, more = _page([invocation for invocation, _ in found], params)
    plugins = bool(params.get("Details"))
    items = [_listed(commands[each.number], each, plugins=plugins) for each in page]
    return {"CommandInvocations": items, **more}


def _page(items: list[Any], params: Json) -> tuple[list[Any], Json]:
    """A page of items, the newest first; the token is the last item's number."""
    token, size = params.get("NextToken") or "", params.get("MaxResults", 50)
    if token and not token.isdigit():
        raise _refuse("InvalidNextToken", "The specified token isn't valid.")
    rest = [each for each in items if not token or each.number < int(token)]
    more = {"NextToken": str(rest[size - 1].number)} if len(rest) > size else {}
    return rest[:size], more


def _operation(name: str, call: Callable[[Place, Json], Json]) -> Callable[[Any], str]:
    shape = _model.operation_model(name).input_shape

    def answer(self: Any) -> str:
        asked = json.loads(self.body or "{}")
        try:
            check(shape, asked, "")
        except DrsError as error:
            raise _refuse(error.code, f"1 validation error detected: {error.message}") from error
        with _lock:
            params = {name: value for name, value in asked.items() if value is not None}
            return json.dumps(call((self.current_account, self.region), params))

    return answer


OPERATIONS: dict[str, Callable[[Any], str]] = {
    "cancel_command": _operation("CancelCommand", _cancel),
    "get_command_invocation": _operation("GetCommandInvocation", _get_invocation),
    "list_command_invocations": _operation("ListCommandInvocations", _list_invocations),
    "list_commands": _operation("ListCommands", _list),
    "send_command": _operation("SendCommand", _send),
}
"""What moto's SSM answers with, by the names of its methods."""
