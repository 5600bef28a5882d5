"""The agent deployer of a plan, made on an embedded AWS with no apply: its roles, function, machine and table.

Everything is what the plan says it will be. What Terraform knows after the apply only, the ARNs of
roles and logs, is put together from names.
"""

import functools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agent_deployer.estates import RECOVERY, SOURCE, Fleet, make_table
from tests.conftest import Embedded
from tests.emulator.test_drs import initialise, template
from validator import packaging, project
from validator.sources import tfvars
from validator.sources.tfvars import Declared

Json = dict[str, Any]

MODULES = (
    "_agent_deployer",
    "_agent_instance_profile",
    "_cross_account_agent_document",
    "_cross_account_agent_roles",
    "_orchestration_role",
)
"""How the modules are called that deploying agents takes, after the account's name."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource that a plan makes in an account."""

    account: str
    module: str
    kind: str
    name: str
    values: Json


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """What a function answers that has raised an error."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Planned(Fleet):
    """A fleet with the deployer of a plan."""

    resources: tuple[Resource, ...]

    def of(self, kind: str, module: str = "", name: str = "") -> list[Resource]:
        """The resources of a kind, of modules whose name ends so, and of a name."""
        return [
            each
            for each in self.resources
            if each.kind == kind and each.module.endswith(module) and name in {"", each.name}
        ]

    def one(self, kind: str, module: str = "", name: str = "") -> Resource:
        (found,) = self.of(kind, module, name)
        return found

    @property
    def function(self) -> str:
        return str(self.one("aws_lambda_function").values["function_name"])

    @property
    def machine(self) -> str:
        name = self.one("aws_sfn_state_machine").values["name"]
        return f"arn:aws:states:{RECOVERY}:{self.home}:stateMachine:{name}"

    @property
    def settings(self) -> Json:
        """The function's own."""
        (environment,) = self.one("aws_lambda_function").values["environment"]
        return dict(json.loads(environment["variables"]["SETTINGS"]))

    def client(self, service: str, account: str, region: str = SOURCE) -> Any:
        return _client(self.embedded, service, account, region)

    def run(self, account: str, count: int, **more: Any) -> list[str]:
        """Runs instances with the planned instance profile, tagged and of the first wave."""
        profiles = [each for each in self.of("aws_iam_instance_profile") if each.account == account]
        first = {"dr:wave": "wave-1", "dr:priority": "1"}
        tags = first | more.pop("tags", {})
        more = {"profile": profiles[0].values["name"], "tags": tags, **more}
        return Fleet.run(self, account, count, **more)

    def payload(self, **more: Any) -> Json:
        """For every account, at the pace of tests."""
        parts = [part(self.settings, account) for account in self.settings["external_ids"]]
        combined = {"deployment_pattern": "combined", "deployments": parts}
        return {**combined, "poll_seconds": 1, **more}

    def invoke(self, payload: object) -> Json:
        """The function's answer; raises Refusal."""
        given = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        answer = self.client("lambda", self.home, RECOVERY).invoke(
            FunctionName=self.function, Payload=given
        )
        said = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise Refusal(said["errorType"], said["errorMessage"])
        return dict(said)

    def ended(self, execution: str, meanwhile: Callable[[], None] = lambda: None) -> Json:
        """An execution, once it has ended."""
        states, until = self.client("stepfunctions", self.home, RECOVERY), time.monotonic() + 120
        while (seen := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < until, f"{execution} did not end"
            meanwhile()
            time.sleep(0.25)
        return dict(seen)

    def deployed(self, payload: Json | None = None) -> Json:
        """The execution that a payload started, once it has ended."""
        answer = self.invoke(self.payload() if payload is None else payload)
        return self.ended(answer["execution_arn"])

    def direct(self, text: str, **name: str) -> Json:
        """An execution that somebody starts without the function, once it has ended."""
        states = self.client("stepfunctions", self.home, RECOVERY)
        began = states.start_execution(stateMachineArn=self.machine, input=text, **name)
        return self.ended(began["executionArn"])

    def sent_to(self, ids: list[str]) -> list[str]:
        """Those of the instances that commands were sent to, each as often as it was."""
        sent = [*self.sent(self.target), *self.sent(self.staging)]
        return sorted(each for each in sent if each in ids)

    def records(self) -> list[Json]:
        """The deployments of the table, as they are stored."""
        items = self.client("dynamodb", self.home, RECOVERY).scan(TableName=self.table)["Items"]
        return [each for each in items if each["part"]["S"] == "deployment"]

    def unfinished(self) -> list[str]:
        """The names of deployments that have not ended."""
        ended = {"cancelled", "failed", "incomplete", "succeeded"}
        return [each["id"]["S"] for each in self.records() if each["status"]["S"] not in ended]

    @property
    def table(self) -> str:
        return str(self.one("aws_dynamodb_table").values["name"])

    def calls(self) -> Json:
        """How often each operation was called so far."""
        return dict(self.embedded.door("calls", method="GET"))

    def kill(self, service: str, operation: str, nth: int = 1) -> None:
        """Has the function killed after its nth call of an operation from now."""
        after = {"service": service, "operation": operation, "nth": nth}
        place = {"account": self.home, "region": RECOVERY, "function": self.function}
        self.embedded.door("functions/kill", {**place, "after": after})

    @contextmanager
    def fault(self, **fault: Any) -> Iterator[None]:
        """A fault that is in force as long as the context lives."""
        self.embedded.door("faults", fault)
        try:
            yield
        finally:
            self.embedded.door("faults", method="DELETE")

    def clear(self) -> None:
        """Takes away instances, servers and records: the next test begins with none."""
        self.embedded.door("faults", method="DELETE")
        for account in (self.target, self.staging):
            drs = self.client("drs", account, RECOVERY)
            pages = drs.get_paginator("describe_source_servers").paginate()
            ids = [item["sourceServerID"] for page in pages for item in page["items"]]
            place = {"account": account, "region": RECOVERY, "ids": ids}
            self.embedded.door("source-servers/vanish", place)
            ec2 = self.client("ec2", account)
            running = [{"Name": "instance-state-name", "Values": ["running", "stopped"]}]
            pages = ec2.get_paginator("describe_instances").paginate(Filters=running)
            found = [i for page in pages for r in page["Reservations"] for i in r["Instances"]]
            if found:
                ec2.terminate_instances(InstanceIds=[each["InstanceId"] for each in found])
        dynamodb = self.client("dynamodb", self.home, RECOVERY)
        for item in dynamodb.scan(TableName=self.table)["Items"]:
            key = {name: item[name] for name in ("id", "part")}
            dynamodb.delete_item(TableName=self.table, Key=key)


@functools.cache
def _client(embedded: Embedded, service: str, account: str, region: str) -> Any:
    return embedded.client(service, account, region)


def part(settings: Json, source: str, into: str | None = None) -> Json:
    """A payload for the instances of one account, into that account unless another is named."""
    target, into = settings["target_account_id"], into or source
    known = {
        "source_account_id": source,
        "source_region": settings["source_region"],
        "staging_account_id": into,
        "target_region": settings["recovery_region"],
    }
    if into == target:
        return {"deployment_pattern": "same-account", **known}
    return {
        "deployment_pattern": "extended-source-servers", "target_account_id": target, **known
    }  # fmt: skip


def package(declared: Declared, checkout: Path) -> bytes:
    """The function's package, as `plan` builds it."""
    env = project.find(tfvars.text(declared, "environment"), checkout)
    env.package_file("agent-deployer").parent.mkdir(parents=True, exist_ok=True)
    packaging.build(env, declared)
    return env.package_file("agent-deployer").read_bytes()


def made(embedded: Embedded, plan: Json, declared: Declared, code: bytes) -> Planned:
    """The deployer of a plan, and DRS ready in target and staging account; IAM is enforced."""
    embedded.door("iam-enforcement", {"on": True})
    embedded.door("delays", {"install": 0.2, "initial-sync": 0.3})
    target, (staging,), home = tfvars.accounts(declared)
    accounts = {"target": target.id, staging.name.replace("-", "_"): staging.id}
    accounts["orchestration"] = home.id
    found = Planned(
        embedded,
        declared,
        target.id,
        staging.id,
        home.id,
        tuple(_resources(plan["planned_values"]["root_module"], accounts)),
    )
    for account in (target.id, staging.id):
        drs = initialise(embedded, account)
        drs.create_replication_configuration_template(**template())
    _make_roles(found)
    _make_function(found, code)
    for document in found.of("aws_ssm_document"):
        values = document.values
        found.client("ssm", document.account, SOURCE).create_document(
            Name=values["name"],
            Content=values["content"],
            DocumentType=values["document_type"],
            DocumentFormat=values["document_format"],
        )
    return found


def _resources(module: Json, accounts: dict[str, str]) -> Iterator[Resource]:
    for child in module.get("child_modules", ()):
        name = child["address"].removeprefix("module.")
        account = next((id_ for key, id_ in accounts.items() if name.startswith(key)), None)
        if account is None or not name.endswith(MODULES):
            continue
        for each in child["resources"]:
            if each["mode"] == "managed":
                yield Resource(account, name, each["type"], each["name"], each["values"])


def _make_roles(found: Planned) -> None:
    for role in found.of("aws_iam_role"):
        make_role(found, role)
    for profile in found.of("aws_iam_instance_profile"):
        iam, name = found.client("iam", profile.account), profile.values["name"]
        iam.create_instance_profile(InstanceProfileName=name, Path=profile.values["path"])
        iam.add_role_to_instance_profile(
            InstanceProfileName=name, RoleName=profile.values["role"]
        )  # fmt: skip


def make_role(found: Planned, role: Resource) -> None:
    """Makes a planned role, with its policies."""
    iam, name = found.client("iam", role.account), role.values["name"]
    iam.create_role(
        RoleName=name,
        Path=role.values["path"],
        AssumeRolePolicyDocument=role.values["assume_role_policy"],
    )
    for policy in _of_role(found, role, "aws_iam_role_policy"):
        put_policy(found, policy, policy.values["policy"])
    for attached in _of_role(found, role, "aws_iam_role_policy_attachment"):
        iam.attach_role_policy(RoleName=name, PolicyArn=attached.values["policy_arn"])


def take_role_away(found: Planned, role: Resource) -> None:
    """Deletes a planned role, with its policies."""
    iam, name = found.client("iam", role.account), role.values["name"]
    for policy in _of_role(found, role, "aws_iam_role_policy"):
        iam.delete_role_policy(RoleName=name, PolicyName=policy.values["name"])
    for attached in _of_role(found, role, "aws_iam_role_policy_attachment"):
        iam.detach_role_policy(RoleName=name, PolicyArn=attached.values["policy_arn"])
    iam.delete_role(RoleName=name)


def _of_role(found: Planned, role: Resource, kind: str) -> list[Resource]:
    name, account = role.values["name"], role.account
    return [
        each for each in found.of(kind) if (each.values["role"], each.account) == (name, account)
    ]


def put_policy(found: Planned, policy: Resource, document: str) -> None:
    """Gives a role its planned policy, or what a test makes of it."""
    found.client("iam", policy.account).put_role_policy(
        RoleName=policy.values["role"],
        PolicyName=policy.values["name"],
        PolicyDocument=document,
    )


def _role_arn(found: Planned, name: str) -> str:
    role = found.one("aws_iam_role", "_agent_deployer", name).values
    return f"arn:aws:iam::{found.home}:role{role['path']}{role['name']}"


def _make_function(found: Planned, code: bytes) -> None:
    def client(service: str) -> Any:
        return found.client(service, found.home, RECOVERY)

    make_table(found.embedded, found.home, found.table)
    for group in found.of("aws_cloudwatch_log_group"):
        client("logs").create_log_group(logGroupName=group.values["name"])
    queue = found.one("aws_sqs_queue").values
    client("sqs").create_queue(QueueName=queue["name"])
    values = found.one("aws_lambda_function").values
    client("lambda").create_function(
        FunctionName=values["function_name"],
        Architectures=values["architectures"],
        Code={"ZipFile": code},
        Environment={"Variables": values["environment"][0]["variables"]},
        Handler=values["handler"],
        MemorySize=values["memory_size"],
        Role=_role_arn(found, "function"),
        Runtime=values["runtime"],
        Timeout=values["timeout"],
    )
    client("lambda").put_function_concurrency(
        FunctionName=values["function_name"],
        ReservedConcurrentExecutions=values["reserved_concurrent_executions"],
    )
    configure_events(found)
    make_machine(found)


def configure_events(found: Planned) -> None:
    """Tells the function's failures to its queue."""
    queue = found.one("aws_sqs_queue").values["name"]
    values = found.one("aws_lambda_function_event_invoke_config").values
    destination = f"arn:aws:sqs:{RECOVERY}:{found.home}:{queue}"
    found.client("lambda", found.home, RECOVERY).put_function_event_invoke_config(
        FunctionName=values["function_name"],
        MaximumEventAgeInSeconds=values["maximum_event_age_in_seconds"],
        MaximumRetryAttempts=values["maximum_retry_attempts"],
        DestinationConfig={"OnFailure": {"Destination": destination}},
    )


def make_machine(found: Planned, retries: int | None = None) -> None:
    """Makes the state machine, or changes it: as planned, with shorter waits and so many retries."""
    values = found.one("aws_sfn_state_machine").values
    definition = json.loads(values["definition"])
    for state in definition["States"].values():
        if state["Type"] == "Wait":
            del state["SecondsPath"]
            state["Seconds"] = 1
        for retry in state.get("Retry", ()):
            retry |= {"BackoffRate": 1, "IntervalSeconds": 1}
            if retries is not None:
                retry["MaxAttempts"] = retries
    (logging,) = values["logging_configuration"]
    group = found.one("aws_cloudwatch_log_group", name="machine").values["name"]
    arn = f"arn:aws:logs:{RECOVERY}:{found.home}:log-group:{group}:*"
    states = found.client("stepfunctions", found.home, RECOVERY)
    same = {
        "definition": json.dumps(definition),
        "loggingConfiguration": {
            "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}],
            "includeExecutionData": logging["include_execution_data"],
            "level": logging["level"],
        },
        "roleArn": _role_arn(found, "machine"),
    }
    if any(
        each["name"] == values["name"] for each in states.list_state_machines()["stateMachines"]
    ):
        states.update_state_machine(stateMachineArn=found.machine, **same)
    else:
        states.create_state_machine(name=values["name"], type=values["type"], **same)
