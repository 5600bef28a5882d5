"""State machines that really run, on moto's interpreter, each task with a session of the machine's role."""

import datetime
import json
import logging
import secrets
from collections.abc import Iterator
from typing import Any

import moto.stepfunctions.responses as responses
from botocore.exceptions import BotoCoreError, ClientError
from moto.core.config import default_user_config
from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.stepfunctions.exceptions import (
    ExecutionDoesNotExist,
    InvalidExecutionInput,
    ValidationException,
)
from moto.stepfunctions.models import StateMachine, StepFunctionBackend

from validator.emulator import roles
from validator.emulator.calls import Json
from validator.emulator.functions import Permits

_SERVICE = "states.amazonaws.com"
_LOGGING = (
    "CreateLogDelivery",
    "DeleteLogDelivery",
    "DescribeLogGroups",
    "DescribeResourcePolicies",
    "GetLogDelivery",
    "ListLogDeliveries",
    "PutResourcePolicy",
    "UpdateLogDelivery",
)
"""What the role of a machine needs so that Step Functions can log."""
_LAMBDA_NAMES = {"AccessDeniedException": "AWSLambdaException"}
"""Refusals of Lambda that Step Functions knows by another name: its SDK has no class for them."""
_EVENTS = 25_000
_INPUT_CHARACTERS = 262_144
_TERMINAL = {"Succeed", "Fail"}

_permits: list[Permits] = []


class _Denied(AWSError):
    TYPE = "AccessDeniedException"
    STATUS = 400


class _InvalidDefinition(AWSError):
    TYPE = "InvalidDefinition"
    STATUS = 400


def install(permits: Permits) -> None:
    """Lets moto run state machines; `permits` is IAM enforcement, if it is on.

    The interpreter is loaded when the first call needs it.
    """
    _permits[:] = [permits]
    # An execution that fails says so itself; its interpreter would print how it was built, too.
    logging.getLogger("moto.stepfunctions").setLevel(logging.CRITICAL)
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    get_backend = responses.get_backend
    loaded: list[bool] = []

    def backend(account: str, region: str) -> Any:
        if not loaded:
            _load()
            loaded.append(True)
        return get_backend(account, region)

    responses.get_backend = backend
    response: Any = responses.StepFunctionResponse
    response.validate_state_machine_definition = _validate
    response.describe_execution = _describe
    response.get_execution_history = _history
    response.list_state_machine_versions = _versions
    response.stop_execution = _stop


def problems(definition: str) -> list[str]:
    """What is wrong with a definition: what the interpreter cannot read, and states that lead nowhere."""
    from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

    try:
        document = json.loads(definition)
        if not isinstance(document, dict):
            return ["the definition is no JSON object"]
        if "JSONata" in {document.get("QueryLanguage"), *_values(document, "QueryLanguage")}:
            return ["the embedded AWS reads JSONPath only, not JSONata"]
        AmazonStateLanguageParser.parse(definition)
        return list(_astray(document, ""))
    except Exception as error:  # the interpreter raises whatever it comes upon
        return [f"{type(error).__name__}: {error}"]


def _values(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, dict):
        if isinstance(value.get(name), str):
            yield value[name]
        for each in value.values():
            yield from _values(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from _values(each, name)


def _astray(machine: Json, path: str) -> Iterator[str]:
    """The transitions to states that are not there, and the states that none leads to."""
    states = machine["States"]
    reached = {machine["StartAt"]}
    for name, state in states.items():
        where = f"{path}/States/{name}"
        targets = {state[key] for key in ("Default", "Next") if key in state}
        targets |= {each["Next"] for each in state.get("Choices", []) + state.get("Catch", [])}
        reached |= targets
        ends = state.get("End") is True or state["Type"] in _TERMINAL
        if state["Type"] != "Choice" and ends == ("Next" in state):
            yield f"{where} must have either Next or End"
        for target in sorted(targets - set(states)):
            yield f"MISSING_TRANSITION_TARGET: {where} leads to {target}, which is no state"
        inner = [*state.get("Branches", []), state.get("ItemProcessor"), state.get("Iterator")]
        for each in filter(None, inner):
            yield from _astray(each, where)
    for name in sorted(set(states) - reached):
        yield f"{path}/States/{name} is not reached"
    if machine["StartAt"] not in states:
        yield f"MISSING_TRANSITION_TARGET: {path}/StartAt is no state"


def _load() -> None:
    """Puts roles, AWS's error names and orderly ends into the interpreter."""
    import moto.stepfunctions.parser.asl.utils.boto_client as boto_client

    # Before the tasks take their own reference to it.
    boto_client.boto_client_for = _client

    from moto.stepfunctions.parser.api import HistoryEventType
    from moto.stepfunctions.parser.asl.component.common.error_name import (
        custom_error_name,
        failure_event,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
        state_task_service_lambda,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import (
        StateTaskLambda,
    )
    from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
    from moto.stepfunctions.parser.backend.execution import (
        BaseExecutionWorkerCommunication,
        Execution,
    )
    from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
    from moto.stepfunctions.parser.models import StepFunctionsParserBackend

    def failure(kind: str, detail: str, original: Any) -> Any:
        def from_error(self: Any, env: Any, ex: Exception) -> Any:
            if not isinstance(ex, ClientError | BotoCoreError):
                return original(self, env, ex)
            error, cause = _refusal(ex)
            told: Json = {"error": error, "cause": cause}
            if detail == "taskFailedEventDetails":
                told |= {"resource": "invoke", "resourceType": "lambda"}
            details: Any = {detail: told}
            name = custom_error_name.CustomErrorName(error)
            return failure_event.FailureEvent(env, name, HistoryEventType(kind), details)

        return from_error

    service: Any = state_task_service_lambda.StateTaskServiceLambda
    service._from_error = failure("TaskFailed", "taskFailedEventDetails", service._from_error)
    plain: Any = StateTaskLambda
    plain._from_error = failure(
        "LambdaFunctionFailed", "lambdaFunctionFailedEventDetails", plain._from_error
    )
    communication: Any = BaseExecutionWorkerCommunication
    communication._reflect_execution_status = _reflected
    execution: Any = Execution
    execution.stop = _stopped
    worker: Any = ExecutionWorker
    worker._execution_logic = _ending(worker._execution_logic)
    manager: Any = EventManager
    manager.add_event = _limited(manager.add_event)
    backend: Any = StepFunctionsParserBackend
    backend._validate_definition = staticmethod(_check_definition)
    backend.create_state_machine = _created(backend.create_state_machine)
    backend.update_state_machine = _changed(backend.update_state_machine)
    backend.start_execution = _named(backend.start_execution)


def _client(region: str, service: str, state_credentials: Any = None) -> Any:
    """The client of a task: a session of the role that runs it."""
    from moto.stepfunctions.parser.models import stepfunctions_parser_backends

    arn = state_credentials.role_arn
    account = arn.split(":")[4]
    # A role may be of several machines, and its trust may name one.
    machines = stepfunctions_parser_backends[account][region].state_machines
    sources = [each.arn for each in list(machines) if each.roleArn == arn]
    trusted = (roles.trusted(arn, _SERVICE, source) for source in sources)
    role = next((each for each in trusted if each is not None), None)
    if role is None:
        said = f"{_SERVICE} is not authorized to assume the provided role {arn}"
        error = {"Error": {"Code": "AccessDeniedException", "Message": said}}
        raise ClientError({**error, "ResponseMetadata": {"HTTPStatusCode": 403}}, "AssumeRole")
    return roles.client(service, region, role, _SERVICE)


def _refusal(error: Any) -> tuple[str, str]:
    """How Step Functions names what Lambda refused, and what it says of it."""
    if isinstance(error, BotoCoreError):
        return "Lambda.SdkClientException", str(error)
    code = error.response["Error"]["Code"]
    meta = error.response["ResponseMetadata"]
    details = (
        f"Service: AWSLambda; Status Code: {meta['HTTPStatusCode']}; Error Code: {code}; "
        f"Request ID: {meta.get('RequestId', '')}; Proxy: null"
    )
    name = f"Lambda.{_LAMBDA_NAMES.get(code, code)}"
    return name, f"{error.response['Error']['Message']} ({details})"


def _reflected(self: Any) -> None:
    """Says how an execution ended; last of all that it did, since who reads that reads the rest."""
    from moto.stepfunctions.parser.asl.eval import program_state

    execution = self.execution
    state = execution.exec_worker.env.program_state()
    if execution.exec_status.value != "RUNNING":
        return  # stopped
    execution.stop_date = datetime.datetime.now(tz=datetime.UTC)
    status = "FAILED"
    if isinstance(state, program_state.ProgramEnded):
        execution.output = json.dumps(execution.exec_worker.env.states.get_input())
        status = "SUCCEEDED"
    elif isinstance(state, program_state.ProgramError):
        told: Json = dict(state.error or {})
        execution.error, execution.cause = told.get("error"), told.get("cause")
    elif isinstance(state, program_state.ProgramTimedOut):
        status = "TIMED_OUT"
    execution.exec_status = type(execution.exec_status)(status)


def _stopped(self: Any, stop_date: Any, error: str | None, cause: str | None) -> None:
    """Ends an execution at once; a task that runs goes on, and nobody waits for it."""
    if self.exec_status.value != "RUNNING":
        return
    self.stop_date, self.error, self.cause = stop_date, error, cause
    self.exec_status = type(self.exec_status)("ABORTED")
    if self.exec_worker.env is not None:
        self.exec_worker.stop(stop_date=stop_date, cause=cause, error=error)


def _ending(original: Any) -> Any:
    def execution_logic(self: Any) -> None:
        """An execution whose interpreter broke has failed; it does not run for ever."""
        try:
            original(self)
        except Exception as error:
            execution = self._execution_communication.execution
            if execution.exec_status.value != "RUNNING":
                return
            execution.error, execution.cause = "States.Runtime", f"{type(error).__name__}: {error}"
            execution.stop_date = datetime.datetime.now(tz=datetime.UTC)
            execution.exec_status = type(execution.exec_status)("FAILED")

    return execution_logic


def _limited(original: Any) -> Any:
    def add_event(self: Any, context: Any, event_type: Any, *args: Any, **kwargs: Any) -> Any:
        if len(self._history_event_list) >= _EVENTS and not event_type.value.startswith(
            "Execution"
        ):
            raise RuntimeError(f"the execution reached the maximum of {_EVENTS} history events")
        return original(self, context, event_type, *args, **kwargs)

    return add_event


def _check_definition(definition: str) -> None:
    if wrong := problems(definition):
        said = "; ".join(wrong)
        raise _InvalidDefinition(f"Invalid State Machine Definition: {said}")


def _check_role(account: str, region: str, name: str, role_arn: str, logging: Json | None) -> None:
    source = f"arn:aws:states:{region}:{account}:stateMachine:{name}"
    if role_arn.split(":")[4:5] != [account] or not roles.trusted(role_arn, _SERVICE, source):
        raise _Denied(
            "Neither the global service principal states.amazonaws.com, nor the regional one is "
            f"authorized to assume the provided role: {role_arn}"
        )
    if (logging or {}).get("level", "OFF") == "OFF":
        return
    missing = [op for op in _LOGGING if not _permits[0](role_arn, f"logs:{op}", "*", region)]
    if missing:
        raise _Denied(
            "The state machine IAM Role is not authorized to access the Log Destination: "
            f"it lacks {', '.join(f'logs:{each}' for each in missing)}"
        )


def _created(original: Any) -> Any:
    def create_state_machine(self: Any, **params: Any) -> Any:
        role = params["roleArn"]
        self._validate_role_arn(role)
        logging = params.get("loggingConfiguration")
        _check_role(self.account_id, self.region_name, params["name"], role, logging)
        return original(self, **params)

    return create_state_machine


def _changed(original: Any) -> Any:
    def update_state_machine(self: Any, arn: str, **more: Any) -> Any:
        machine = self.describe_state_machine(arn)
        role = more.get("role_arn") or machine.roleArn
        logging = more.get("logging_configuration") or machine.loggingConfiguration
        _check_role(self.account_id, self.region_name, machine.name, role, logging)
        return original(self, arn, **more)

    return update_state_machine


def _named(original: Any) -> Any:
    def start_execution(self: Any, arn: str, name: str | None, execution_input: str) -> Any:
        if name:
            self._validate_name(name)
        if len(execution_input) > _INPUT_CHARACTERS:
            raise ValidationException(
                "1 validation error detected: Value at 'input' failed to satisfy constraint: "
                f"Member must have length less than or equal to {_INPUT_CHARACTERS}"
            )
        try:
            json.loads(execution_input)
        except ValueError as error:
            said = f"Invalid State Machine Execution Input: '{error}'"
            raise InvalidExecutionInput(said) from error
        return original(self, arn, name or secrets.token_hex(16), execution_input)

    return start_execution


def _validate(self: Any) -> ActionResult:
    """ValidateStateMachineDefinition, which Terraform's AWS provider calls while it plans."""
    backend: StepFunctionBackend = self.stepfunction_backend  # which loads the interpreter
    del backend
    diagnostics = [
        {"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": said}
        for said in problems(self._get_param("definition"))
    ]
    result = "FAIL" if diagnostics else "OK"
    return ActionResult({"result": result, "diagnostics": diagnostics, "truncated": False})


def _execution(self: Any) -> Any:
    arn = self._get_param("executionArn")
    machines: list[StateMachine] = self.stepfunction_backend.state_machines
    found = next((e for each in machines for e in each.executions if e.execution_arn == arn), None)
    if found is None:
        raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{arn}'")
    return found


def _describe(self: Any) -> ActionResult:
    """DescribeExecution."""
    execution = _execution(self)
    status = execution.status
    answer: Json = {
        "executionArn": execution.execution_arn,
        "input": execution.execution_input,
        "inputDetails": {"included": True},
        "name": execution.name,
        "startDate": execution.start_date,
        "stateMachineArn": execution.state_machine_arn,
        "status": status,
    }
    if status != "RUNNING":
        answer["stopDate"] = execution.stop_date
    if status == "SUCCEEDED":
        answer |= {"output": execution.output, "outputDetails": {"included": True}}
    known = {"error": execution.error, "cause": execution.cause}
    return ActionResult(answer | {name: said for name, said in known.items() if said is not None})


def _stop(self: Any) -> ActionResult:
    """StopExecution."""
    execution = _execution(self)
    now = datetime.datetime.now(tz=datetime.UTC)
    execution.stop(stop_date=now, error=self._get_param("error"), cause=self._get_param("cause"))
    return ActionResult({"stopDate": execution.stop_date})


def _history(self: Any) -> ActionResult:
    """GetExecutionHistory, in pages and from either end."""
    events = _execution(self).to_history_output()["events"]
    if self._get_param("reverseOrder"):
        events = events[::-1]
    first, size = int(self._get_param("nextToken") or 0), int(self._get_param("maxResults") or 100)
    answer: Json = {"events": events[first : first + size]}
    if len(events) > first + size:
        answer["nextToken"] = str(first + size)
    return ActionResult(answer)


def _versions(self: Any) -> ActionResult:
    """ListStateMachineVersions, the newest first."""
    machine = self.stepfunction_backend.describe_state_machine(self._get_param("stateMachineArn"))
    versions = [
        {"stateMachineVersionArn": each.arn, "creationDate": each.creation_date}
        for each in reversed(machine.versions.values())
    ]
    return ActionResult({"stateMachineVersions": versions})
