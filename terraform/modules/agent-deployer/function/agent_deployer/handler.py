"""The function: a payload starts a deployment, and the state machine makes its steps."""

import json
import os
from contextlib import suppress
from typing import Any

import boto3
from botocore.config import Config

from agent_deployer import request, settings
from agent_deployer.aws import Aws, Connect, Json
from agent_deployer.deployment import Deployer, new_id
from agent_deployer.errors import RequestError
from agent_deployer.settings import Settings

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 5},
    user_agent_extra="drs-agent-deployer",
)
_STEPS = {"abandon": ("failure",), "advance": (), "plan": ("payload",)}
"""What each step is given, beside the deployment and its execution."""

_ONCE = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
"""For SSM's SendCommand, which is not idempotent: a call that may have worked is looked for first."""


def handler(event: object, context: Any) -> Json:
    """Answers one invocation; every error is raised, so that no failure is an answer.

    `{"step": ...}` comes from the state machine; anything else is a payload, as people send it.
    """
    known = settings.parse(os.environ["SETTINGS"])
    if not isinstance(event, dict):
        raise RequestError("The payload must be an object.")
    if "step" in event:
        answer = _step(event, known)
        print(json.dumps({"step": event["step"], **answer}))
        return answer
    return _begin(event, known)


def _step(event: Json, known: Settings) -> Json:
    """One step of an execution, which alone works on the deployment of its name."""
    step = event["step"]
    if not isinstance(step, str) or step not in _STEPS:
        raise RequestError(f"There is no step {step!r:.60}.")
    if set(event) != (members := {"deployment_id", "execution", "step", *_STEPS[step]}):
        raise RequestError(f"A step {step} has {', '.join(sorted(members))}, and nothing else.")
    deployment_id = request.named(event["deployment_id"])
    if event["execution"] != known.execution_arn(deployment_id):
        raise RequestError(f"execution: only {known.execution_arn(deployment_id)} makes this step.")
    deployer = Deployer(Aws(_connect(known)), known, event["execution"])
    if step == "plan":
        return deployer.start(event["payload"], deployment_id)
    if step == "advance":
        return deployer.advance(deployment_id)
    return deployer.abandon(deployment_id, _told(event["failure"]))


def _told(failure: Any) -> str:
    """An error of a step as people read it: Lambda tells a function's own as JSON, with its stack."""
    if not isinstance(failure, dict) or "Error" not in failure:
        raise RequestError("failure: must have Error and Cause, as Step Functions gives them.")
    cause = failure.get("Cause", "no cause told")
    with suppress(KeyError, TypeError, ValueError):
        cause = json.loads(cause)["errorMessage"]
    return f"{failure['Error']}: {cause}"[:2000]


def _begin(payload: Json, known: Settings) -> Json:
    """Starts an execution for a payload, or says what it would do if it is a dry run."""
    asked = request.parse(payload, known)
    connect = _connect(known)
    if asked.dry_run:
        made = Deployer(Aws(connect), known, "dry run").dry_run(payload)
        return {"dry_run": True, "batches": list(made.batches), "refused": made.refused}
    deployment_id = asked.deployment_id or new_id()
    states = Aws(connect)
    answer = states.call(
        ("stepfunctions", known.account_id, known.recovery_region),
        "start_execution",
        stateMachineArn=known.state_machine_arn,
        name=deployment_id,
        input=json.dumps(payload),
    )
    return {"deployment_id": deployment_id, "execution_arn": answer["executionArn"]}


def _connect(known: Settings) -> Connect:
    """Clients by the function's own role at home, and by the orchestration role elsewhere."""
    granted: dict[str, dict[str, str]] = {}

    def connect(service: str, account_id: str, region: str, again: bool) -> Any:
        if service in {"dynamodb", "stepfunctions"}:
            return boto3.client(service, region_name=region, config=_CONFIG)
        if account_id not in granted:
            granted[account_id] = _assumed(known, account_id)
        config = _CONFIG if again else _ONCE
        # Of one session, which reads AWS's models once: they are most of what a step costs.
        return boto3.client(service, region_name=region, config=config, **granted[account_id])

    return connect


def _assumed(known: Settings, account_id: str) -> dict[str, str]:
    """Credentials of an account's orchestration role, as boto3 takes them."""
    sts = Aws(lambda *_: boto3.client("sts", region_name=known.recovery_region, config=_CONFIG))
    given = sts.call(
        ("sts", account_id, known.recovery_region),
        "assume_role",
        RoleArn=known.role_arn(account_id),
        RoleSessionName="drs-agent-deployer",
        ExternalId=known.external_ids[account_id],
    )["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }
