"""Deploys DRS agents onto tagged instances: from here, or through the estate's own deployer.

Both ways make the same records with the same code, which is the source of module `agent-deployer`.
From here SSM is called with the caller's access role; through the deployer nothing but its function is.
"""

import functools
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from agent_deployer import errors, servers
from agent_deployer.aws import Aws
from agent_deployer.deployment import ENDED, Deployer, instances, new_id
from agent_deployer.fleet import PRIORITY, VALUES, WAVE
from agent_deployer.planner import Plan
from agent_deployer.settings import Settings

from validator.accounts import CallError, Opened, Opener, call, pages
from validator.errors import AccountError, UsageError
from validator.model import AGENT_DEPLOYER, Account, Part
from validator.sources import tfvars
from validator.sources.tfvars import Declared

Json = dict[str, Any]
OnProgress = Callable[[Json], None]
"""Is told how the deployment stands, after each step."""

_TRIES = 6
_LONGEST_WAIT = 30.0
_TAGGED_AT_ONCE = 500
_DEAD = {"ABORTED", "FAILED", "SUCCEEDED", "TIMED_OUT"}


class BusyError(AccountError):
    """Somebody else works on the deployment."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What of an estate is deployed, and how; nothing narrowed is everything.

    `accounts` are names or ids. `max_concurrency` and `max_errors` are numbers or percentages, as the
    payload has them.
    """

    accounts: tuple[str, ...] = ()
    waves: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    max_concurrency: str | None = None
    max_errors: str | None = None
    poll_seconds: int | None = None
    retry_failed: bool = False


class Deployments:
    """The deployments of one estate; every error of AWS is an AccountError."""

    def __init__(self, declared: Declared, opener: Opener) -> None:
        self._declared = declared
        self._opener = opener
        target, staging, orchestration = tfvars.accounts(declared)
        self._accounts = (target, *staging)
        self._orchestration = orchestration
        self._opened: dict[str, Opened] = {}
        self.settings = Settings(
            account_id=orchestration.id,
            environment=tfvars.text(declared, "environment"),
            external_ids=dict(_external_ids(declared)),
            recovery_region=tfvars.text(declared, "recovery_region"),
            source_region=tfvars.text(declared, "source_region"),
            target_account_id=target.id,
        )
        self._aws = Aws(self._connect)
        self._deployer = Deployer(
            self._aws, self.settings, f"validator deploy {uuid.uuid4().hex[:8]}"
        )

    def payload(self, selection: Selection) -> Json:
        """The payload that deploys what is selected; raises UsageError for an unknown account."""
        deployments = [self._payload(each) for each in self.chosen(selection)]
        narrowed: Json = {"deployment_pattern": "combined", "deployments": deployments}
        if selection.waves:
            narrowed["waves"] = list(selection.waves)
        if selection.instances:
            narrowed["selectors"] = {"instance_ids": list(selection.instances)}
        limits = {
            "max_concurrency": selection.max_concurrency,
            "max_errors": selection.max_errors,
        }
        if concurrency := {k: v for k, v in limits.items() if v is not None}:
            narrowed["concurrency"] = concurrency
        if selection.poll_seconds is not None:
            narrowed["poll_seconds"] = selection.poll_seconds
        if selection.retry_failed:
            narrowed["retry_failed"] = True
        return narrowed

    def chosen(self, selection: Selection) -> tuple[Account, ...]:
        """The accounts that are selected; raises UsageError."""
        known = {name: each for each in self._accounts for name in (each.name, each.id)}
        if strangers := [each for each in selection.accounts if each not in known]:
            raise UsageError(
                f"{', '.join(strangers)}: no target or staging account of this env "
                f"({', '.join(each.name for each in self._accounts)})."
            )
        wanted = {known[each].id for each in selection.accounts}
        return tuple(each for each in self._accounts if not wanted or each.id in wanted)

    def dry_run(self, payload: Json) -> Plan:
        """What a payload would do now."""
        with _explained():
            return self._deployer.dry_run(payload)

    @staticmethod
    def complete(plan: Plan) -> bool:
        """True if every instance that a plan leaves out replicates already."""
        return all(each["status"] == "already" for each in plan.refused.values())

    def direct(self, payload: Json, deployment_id: str | None, on_progress: OnProgress) -> Json:
        """Deploys from here, and returns how it ended."""
        name = deployment_id or new_id()
        named = {**payload, "deployment_id": name}
        on_progress({"deployment_id": name, "status": "planning", "counts": {}})
        return self._drive(name, on_progress, lambda: self._deployer.start(named, name))

    def resume(self, deployment_id: str, on_progress: OnProgress, *, retry_failed: bool) -> Json:
        """Goes on with a deployment from here, and returns how it ended."""
        deployer = self._deployer
        return self._drive(
            deployment_id,
            on_progress,
            lambda: deployer.resume(deployment_id, retry_failed=retry_failed),
        )

    def cancel(self, deployment_id: str, on_progress: OnProgress) -> Json:
        """Ends a deployment: nothing more is sent, and what was sent is called back."""
        with _explained():
            progress = self._deployer.cancel(deployment_id)
        while progress["status"] not in ENDED:
            on_progress(progress)
            try:
                look = functools.partial(self._deployer.progress, deployment_id)
                return self._drive(deployment_id, on_progress, look)
            except BusyError:
                # Whoever works on it has been told.
                time.sleep(progress["wait_seconds"])
            progress, _ = self.status(deployment_id)
        return progress

    def status(self, deployment_id: str) -> tuple[Json, dict[str, Json]]:
        """How a deployment stands, and what became of each instance."""
        with _explained():
            progress = self._deployer.progress(deployment_id)
            return progress, instances(self._deployer.parts(deployment_id))

    def via_function(
        self, payload: Json, deployment_id: str | None, on_progress: OnProgress
    ) -> Json:
        """Deploys through the estate's deployer, follows it, and returns how it ended."""
        if deployment_id is not None:
            payload = {**payload, "deployment_id": deployment_id}
        lambda_ = self._home().client("lambda", attempts=1)
        answer = call(
            lambda_,
            "invoke",
            FunctionName=f"{AGENT_DEPLOYER}-{self.settings.environment}",
            Payload=json.dumps(payload).encode(),
        )
        said = _said(answer["Payload"].read())
        if "FunctionError" in answer:
            kind, message = said.get("errorType"), said.get("errorMessage")
            if kind == "RequestError":
                raise UsageError(f"The agent deployer refused the payload: {message}")
            raise AccountError(f"The agent deployer failed: {kind}: {message}")
        if not {"deployment_id", "execution_arn"} <= set(said):
            raise AccountError(
                f"The agent deployer answered {said!r:.200}, which names no deployment: nothing is "
                "known of what it did."
            )
        return self._follow(said["deployment_id"], said["execution_arn"], on_progress)

    def _follow(self, deployment_id: str, execution: str, on_progress: OnProgress) -> Json:
        """Looks at an execution until it ends."""
        states = self._home().client("stepfunctions")
        while True:
            seen = call(states, "describe_execution", executionArn=execution)
            progress: Json = {"status": "planning", "wait_seconds": 1, "counts": {}}
            try:
                with _explained():
                    progress = self._deployer.progress(deployment_id)
            except UsageError:
                # It is not recorded yet, or was refused before it was.
                progress["deployment_id"] = deployment_id
            if progress["status"] in ENDED:
                return progress
            if seen["status"] in _DEAD:
                raise AccountError(
                    f"Execution {execution} ended as {seen['status']} and left the deployment "
                    f"{progress['status']}: {seen.get('error', 'no error')}: "
                    f"{seen.get('cause', 'no cause told')} Go on with --resume {deployment_id}."
                )
            on_progress(progress)
            time.sleep(progress["wait_seconds"])

    def _drive(
        self, deployment_id: str, on_progress: OnProgress, begin: Callable[[], Json]
    ) -> Json:
        """Makes steps of a deployment until it ends; what fails for good ends it."""
        step, failures = begin, 0
        with _explained():
            try:
                while True:
                    try:
                        progress = step()
                    except errors.TransientError:
                        failures += 1
                        if failures == _TRIES:
                            raise
                        time.sleep(min(_LONGEST_WAIT, 2.0**failures))
                        continue
                    if progress["status"] in ENDED:
                        return progress
                    failures = 0
                    on_progress(progress)
                    if step is not begin:
                        time.sleep(progress["wait_seconds"])
                    step = functools.partial(self._deployer.advance, deployment_id)
            except (errors.BusyError, errors.TransientError, errors.RequestError):
                raise
            except errors.DeployerError as error:
                # It may not even be recorded; what is raised is why.
                with suppress(errors.DeployerError):
                    self._deployer.abandon(deployment_id, str(error))
                raise
            finally:
                # However it ended, somebody else may go on with it.
                with suppress(errors.DeployerError):
                    self._deployer.let_go(deployment_id)

    def _home(self) -> Opened:
        return self._open(self._orchestration.id)

    def _open(self, account_id: str) -> Opened:
        if account_id not in self._opened:
            self._opened[account_id] = self._opener.open(account_id, self.settings.recovery_region)
        return self._opened[account_id]

    def _connect(self, service: str, account_id: str, region: str, again: bool) -> Any:
        opened = self._open(account_id)
        # SSM's SendCommand is not idempotent: a call that may have worked is looked for first.
        if not again:
            return opened.client(service, region=region, attempts=1)
        return opened.client(service, region=region)

    def _payload(self, account: Account) -> Json:
        known = self.settings
        common = {
            "source_account_id": account.id,
            "source_region": known.source_region,
            "staging_account_id": account.id,
            "target_region": known.recovery_region,
        }
        if account.part is Part.TARGET:
            return {"deployment_pattern": "same-account", **common}
        return {
            "deployment_pattern": "extended-source-servers",
            "target_account_id": known.target_account_id,
            **common,
        }

    def tag(self, selection: Selection, *, dry_run: bool) -> Iterator[str]:
        """Tags what the selectors of the selected accounts find, and says of each what was done.

        Instances that the env lists by id are Terraform's. Raises UsageError for a value that means
        nothing, or for an instance that two selectors tag otherwise.
        """
        wanted = {each: self._wanted(each) for each in self.chosen(selection)}
        for account, instances_ in wanted.items():
            ec2 = self._open(account.id).client("ec2", region=self.settings.source_region)
            lacking: dict[tuple[tuple[str, str], ...], list[str]] = {}
            for instance_id, (has, tags) in sorted(instances_.items()):
                if missing := tuple((k, v) for k, v in tags.items() if has.get(k) != v):
                    lacking.setdefault(missing, []).append(instance_id)
            for tags_, ids in lacking.items():
                for start in range(0, len(ids), _TAGGED_AT_ONCE):
                    some = ids[start : start + _TAGGED_AT_ONCE]
                    if not dry_run:
                        call(
                            ec2,
                            "create_tags",
                            Resources=some,
                            Tags=[{"Key": key, "Value": value} for key, value in tags_],
                        )
                    done = "would be tagged" if dry_run else "tagged"
                    values = ", ".join(f"{key}={value}" for key, value in tags_)
                    yield f"{account.name}: {len(some)} instances {done} {values}"
            yield f"{account.name}: {len(instances_)} instances are found by its selectors"

    def _wanted(self, account: Account) -> dict[str, tuple[Mapping[str, str], Mapping[str, str]]]:
        """The tags that each instance of an account has, and those that its selector gives it."""
        path, value = _declared(self._declared, account)
        found: dict[str, tuple[Mapping[str, str], Mapping[str, str]]] = {}
        by: dict[str, str] = {}
        ec2 = None
        for name, selector in value.get("selectors", {}).items():
            where = self._declared.where(*path, "selectors", name)
            tags = {**self._common(account), **_checked(selector, where)}
            ec2 = ec2 or self._open(account.id).client("ec2", region=self.settings.source_region)
            filters = [
                {"Name": f"tag:{key}", "Values": [text]} for key, text in selector["tags"].items()
            ]
            states = {"Name": "instance-state-name", "Values": ["pending", "running", "stopped"]}
            for reservation in pages(
                ec2, "describe_instances", "Reservations", Filters=[*filters, states]
            ):
                for each in reservation["Instances"]:
                    instance_id = each["InstanceId"]
                    if instance_id in value["instances"]:
                        continue
                    if instance_id in found and found[instance_id][1] != tags:
                        raise UsageError(
                            f"{where}: {instance_id} is found by {by[instance_id]} too, which gives "
                            "it another wave or priority. Narrow one of them."
                        )
                    has = {tag["Key"]: tag["Value"] for tag in each.get("Tags", ())}
                    found[instance_id], by[instance_id] = (has, tags), name
        return found

    def _common(self, account: Account) -> dict[str, str]:
        """The tags of every instance of an account, as module `instance-tags` has them."""
        tags = {
            "dr:account-type": "target" if account.part is Part.TARGET else "staging",
            "dr:enabled": "true",
            "dr:recovery-strategy": "drs",
            "dr:target-region": self.settings.recovery_region,
        }
        if account.part is not Part.TARGET:
            tags["dr:target-account"] = self.settings.target_account_id
        return tags

    def rollback(self, deployment_id: str, *, remove: bool) -> Iterator[tuple[bool, str]]:
        """The source servers that a deployment brought, each removed if `remove`.

        Says of each what was done, and whether it is as asked. A server that is extended stays: its
        extension would break. So does one of an instance that was sent an agent and never confirmed:
        somebody must look where it came from. Raises AccountError.
        """
        _, states = self.status(deployment_id)
        yield from self._unconfirmed(states)
        brought = {k: v for k, v in states.items() if "source_server_id" in v}
        extended = self._extended() if remove else set()
        for instance_id, state in sorted(brought.items()):
            server, into = state["source_server_id"], state["into"]
            what = f"{server} in account {into}, of instance {instance_id}"
            if not remove:
                yield True, f"would be removed: {what}"
                continue
            arn = f"arn:aws:drs:{self.settings.recovery_region}:{into}:source-server/{server}"
            if arn in extended:
                yield False, f"kept: {what} is extended; delete its extension in the target first"
                continue
            drs = self._open(into).client("drs")
            try:
                call(drs, "disconnect_source_server", sourceServerID=server)
                call(drs, "delete_source_server", sourceServerID=server)
                yield True, f"removed: {what}"
            except CallError as error:
                if error.code != "ResourceNotFoundException":
                    raise
                yield True, f"gone already: {what}"

    def _unconfirmed(self, states: dict[str, Json]) -> Iterator[tuple[bool, str]]:
        """The servers of instances that were sent an agent, and whose server was not confirmed."""
        sent = {
            instance_id: state["into"]
            for instance_id, state in states.items()
            if "command_id" in state and "source_server_id" not in state
        }
        with _explained():
            accounts = {
                into: servers.read(self._aws, into, self.settings.recovery_region)
                for into in set(sent.values())
            }
        for instance_id, into in sorted(sent.items()):
            server = accounts[into].servers.get(instance_id)
            if server is not None:
                yield (
                    False,
                    f"kept: {server.id} in account {into}, of instance {instance_id}, was not "
                    "confirmed by this deployment; look at it",
                )

    def _extended(self) -> set[str]:
        """The ARNs of staging accounts' servers that are extended into the target."""
        drs = self._open(self.settings.target_account_id).client("drs")
        found = pages(drs, "describe_source_servers", "items", filters={})
        return {(each.get("stagingArea") or {}).get("stagingSourceServerArn", "") for each in found}


def _external_ids(declared: Declared) -> Iterator[tuple[str, str]]:
    target, staging, _ = tfvars.accounts(declared)
    for account in (target, *staging):
        _, value = _declared(declared, account)
        yield account.id, value["external_id"]


def _declared(declared: Declared, account: Account) -> tuple[tuple[str, ...], Json]:
    """Where an account is declared, and what is declared of it."""
    if account.part is Part.TARGET:
        return ("target",), declared.values["target"]
    return ("staging_accounts", account.name), declared.values["staging_accounts"][account.name]


def _checked(selector: Json, where: str) -> dict[str, str]:
    """The tags that a selector gives; raises UsageError."""
    if not selector["tags"]:
        raise UsageError(f"{where}: a selector without tags would find every instance.")
    if not VALUES[WAVE].fullmatch(selector["wave"]):
        raise UsageError(f"{where}: wave {selector['wave']!r} must be such as wave-1.")
    if not VALUES[PRIORITY].fullmatch(selector["priority"]):
        raise UsageError(f"{where}: priority {selector['priority']!r} must be from 1 to 9.")
    return {PRIORITY: selector["priority"], WAVE: selector["wave"]}


def _said(payload: bytes) -> Json:
    """What a function answered; what is no object is an answer that names nothing."""
    try:
        said = json.loads(payload)
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {"answer": payload.decode(errors="replace")}


@contextmanager
def _explained() -> Iterator[None]:
    """Turns every error of the deployer into ours."""
    try:
        yield
    except errors.RequestError as error:
        raise UsageError(str(error)) from error
    except errors.BusyError as error:
        raise BusyError(str(error)) from error
    except errors.CallError as error:
        if error.code == "ResourceNotFoundException" and "dynamodb" in str(error):
            raise AccountError(
                f"{error} The table of deployments is made by module agent-deployer: apply the env "
                "first."
            ) from error
        raise AccountError(str(error)) from error
    except errors.DeployerError as error:
        raise AccountError(str(error)) from error
