"""A deployment, step by step: each step does a little, records it, and may be made again.

No step waits. Whoever drives it (the state machine, or `validator deploy`) waits between steps, and
makes a step again that was cut off. What was sent is known by the record that is written before the
command is sent, and by the command's comment: nothing is sent twice, and nothing is lost.
"""

import re
import time
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agent_deployer import capacity, planner, request, servers
from agent_deployer.aws import Aws, Json
from agent_deployer.errors import BusyError, CallError, DeployerError, RequestError, TransientError
from agent_deployer.records import KEPT_SECONDS, Records, deployment_key, name
from agent_deployer.request import Request
from agent_deployer.settings import Settings

STEP_SECONDS = 300
"""How long a step may take: the function's time limit."""

_SENDING_SECONDS = 60.0
"""For how long a step begins to send commands; the next step sends the rest."""

_DELIVERY_SECONDS = 600
_LONGEST_COMMAND = _DELIVERY_SECONDS + 3600 + STEP_SECONDS
"""Seconds in which every command has come to its end, by its delivery's and its document's time limits."""

_LATEST_SEND = capacity.RESERVED_SECONDS - _LONGEST_COMMAND
"""Seconds after its reservation at which a batch is reserved again before it is sent."""

ENDED = ("succeeded", "incomplete", "cancelled", "failed")
"""How a deployment ends: all replicates; something does not; on request; an error stopped it."""

_FINAL = {"replicating", "failed", "stopped", "cancelled", "refused"}
_AGAIN = {"stopped", "cancelled", "refused"}
_UNDER_WAY = {"Pending", "InProgress", "Delayed", "Cancelling"}
_NEVER_RAN = {"DeliveryTimedOut", "Terminated", "Undeliverable"}
_LONGEST_REASON = 300
_LONGEST_POLL = 300
_INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,17}")
_TRIES = 20


class Deployer:
    """Deployments of one estate, as one worker sees them."""

    def __init__(self, aws: Aws, settings: Settings, owner: str) -> None:
        self._aws = aws
        self._settings = settings
        self._owner = owner
        self._records = Records(aws, settings)

    def dry_run(self, payload: Json) -> planner.Plan:
        """What a payload would do now."""
        asked = request.parse(payload, self._settings)
        return planner.plan(self._aws, self._records, self._settings, asked)

    def start(self, payload: Json, deployment_id: str) -> Json:
        """Plans and records a deployment, once; the same again changes nothing. Its progress."""
        request.named(deployment_id)
        asked = request.parse(payload, self._settings)
        if asked.dry_run:
            raise RequestError("dry_run: nothing is deployed; invoke the function with it.")
        if asked.deployment_id not in {None, deployment_id}:
            raise RequestError(f"deployment_id: this is deployment {deployment_id}.")
        told = _without_external_ids(payload)
        key = deployment_key(deployment_id)
        deployment = self._records.get(key, "deployment")
        if deployment is not None and deployment["payload"] != told:
            raise RequestError(f"The name {deployment_id} was taken by another request.")
        if deployment is not None and deployment["status"] != "planning":
            return self.progress(deployment_id)
        deployment = deployment or {
            "id": key,
            "part": "deployment",
            "payload": told,
            "started": int(time.time()),
            "status": "planning",
            "parts": [],
            "round": 0,
        }
        return self._plan(deployment, asked)

    def resume(self, deployment_id: str, *, retry_failed: bool) -> Json:
        """Goes on with a deployment: what was stopped, cancelled or refused is planned once more.

        So is what failed, with `retry_failed`. Raises BusyError while somebody works on it.
        """
        parts = self.parts(deployment_id)
        deployment = parts["deployment"]
        asked = request.parse(deployment["payload"], self._settings)
        if deployment["round"] == 0:
            return self._plan({**deployment, "status": "planning"}, asked)
        wanted = _AGAIN | ({"failed"} if retry_failed else set())
        ids = tuple(
            instance_id
            for instance_id, state in instances(parts).items()
            if state["status"] in wanted
        )
        deployment["resumed"] = int(time.time())
        deployment.pop("cancel", None)
        deployment.pop("error", None)
        deployment.pop("expires", None)
        if not ids:
            deployment["status"] = "running"
            self._take(deployment, asked)
            return self.progress(deployment_id)
        return self._plan(deployment, replace(asked, instance_ids=ids, retry_failed=retry_failed))

    def cancel(self, deployment_id: str) -> Json:
        """Asks that a deployment sends no more and calls back what is under way. Its progress."""
        for _ in range(_TRIES):
            deployment = self.parts(deployment_id)["deployment"]
            if deployment["status"] in ENDED or deployment.get("cancel"):
                break
            deployment["cancel"] = True
            if self._records.put(deployment):
                break
        return self.progress(deployment_id)

    def abandon(self, deployment_id: str, error: str) -> Json:
        """Ends a deployment of ours that an error has stopped, and records the error. Its progress.

        Raises BusyError for somebody else's: what stopped us does not stop them.
        """
        parts = self.parts(deployment_id)
        deployment = parts["deployment"]
        if deployment["status"] not in ENDED:
            if deployment["owner"] != self._owner:
                raise BusyError(
                    f"Deployment {deployment_id} is worked on by {deployment['owner']}."
                )
            self._end(parts, "failed", error)
        return _progress(parts)

    def progress(self, deployment_id: str) -> Json:
        """How a deployment stands: status, counts by state and wave, seconds to wait."""
        return _progress(self.parts(deployment_id))

    def parts(self, deployment_id: str) -> dict[str, Json]:
        """Every record of a deployment; raises RequestError if there is none."""
        parts = self._records.parts(deployment_key(deployment_id))
        if "deployment" not in parts:
            raise RequestError(f"There is no deployment {deployment_id}.")
        return parts

    def let_go(self, deployment_id: str) -> None:
        """Lets somebody else work on a deployment at once."""
        deployment = self.parts(deployment_id)["deployment"]
        if deployment.get("owner") == self._owner:
            deployment["owned_until"] = 0
            self._records.put(deployment)

    def advance(self, deployment_id: str) -> Json:
        """One step of a deployment; its progress. Raises CallError, BusyError."""
        parts = self.parts(deployment_id)
        deployment = parts["deployment"]
        if deployment["status"] in ENDED:
            return _progress(parts)
        if deployment["status"] == "planning":
            raise DeployerError(f"Deployment {deployment_id} was never planned to the end.")
        asked = request.parse(deployment["payload"], self._settings)
        self._take(deployment, asked)
        # Failures of an earlier round are no failures of this one.
        batches = [
            each
            for each in _batches(parts)
            if each["round"] == deployment["round"] or each["status"] != "done"
        ]
        if deployment.get("cancel"):
            self._call_back(batches)
        deadline = time.monotonic() + _SENDING_SECONDS
        for wave in dict.fromkeys(batch["wave"] for batch in batches):
            members = [batch for batch in batches if batch["wave"] == wave]
            if all(batch["status"] == "done" for batch in members):
                if _spent(members, asked):
                    self._stop(batches, wave, asked)
                continue
            self._look(members, asked, deployment)
            if _spent(members, asked):
                self._stop(batches, wave, asked)
            self._send(members, asked, deployment, deadline)
            if not all(batch["status"] == "done" for batch in members):
                break
        if all(batch["status"] == "done" for batch in batches):
            self._finish(parts)
        return _progress(parts)

    def _take(self, deployment: Json, asked: Request) -> None:
        self._records.take(deployment, self._owner, STEP_SECONDS + asked.poll_seconds)

    def _plan(self, deployment: Json, asked: Request) -> Json:
        """Plans a round of a deployment and records it; what fails for good ends the deployment."""
        self._take(deployment, asked)
        try:
            made = planner.plan(self._aws, self._records, self._settings, asked)
        except TransientError:
            raise
        except DeployerError as error:
            if deployment["status"] == "planning":
                self._end({"deployment": deployment}, "failed", str(error))
            raise
        key, turn = deployment["id"], deployment["round"] + 1
        new = [
            *planner.refused_records(made.refused),
            *({**batch, "part": f"batch#{n:04d}"} for n, batch in enumerate(made.batches, 1)),
        ]
        for record in new:
            record |= {"id": key, "part": f"round#{turn:03d}#{record['part']}", "round": turn}
        self._records.put_all(new)
        # Only what is named here counts: a planning that was cut off may have left others.
        deployment["parts"] += [record["part"] for record in new]
        deployment |= {"round": turn, "status": "running"}
        self._written(deployment)
        return self.progress(name(deployment))

    def _written(self, record: Json) -> None:
        if not self._records.put(record):
            what = f"{record['id']}, {record['part']}"
            # Made again, the step sees who it was: one who cancelled it, or one who works on it.
            raise TransientError(f"{what}: somebody has just changed it.", "Contention")

    def _look(self, batches: list[Json], asked: Request, deployment: Json) -> None:
        """Looks at what is under way in a wave, in SSM and in DRS, and records what came of it."""
        now = int(time.time())
        before = {batch["part"]: repr(batch) for batch in batches}
        for batch in batches:
            if batch["status"] == "sending":
                self._look_for_command(batch, now)
            if batch["status"] == "sent":
                self._look_at_command(batch, now)
        for into in {batch["into"] for batch in batches}:
            self._confirm([each for each in batches if each["into"] == into], into, asked, now)
        changed = [batch for batch in batches if repr(batch) != before[batch["part"]]]
        self._settle(changed, name(deployment))

    def _look_for_command(self, batch: Json, now: int) -> None:
        """Finds the command that a step sent which did not live to record it.

        Where there is none and no step can be about to send it any more, the batch is planned again.
        """
        ssm = ("ssm", batch["account"], batch["region"])
        since = datetime.fromtimestamp(batch["sending_at"], UTC) - timedelta(minutes=5)
        after = {"key": "InvokedAfter", "value": since.strftime("%Y-%m-%dT%H:%M:%SZ")}
        for command in self._aws.pages(ssm, "list_commands", "Commands", Filters=[after]):
            if command.get("Comment") == _comment(batch):
                batch |= {"status": "sent", "command_id": command["CommandId"]}
                for state in _in_state(batch, "planned"):
                    state["status"] = "sent"
                return
        if now > batch["sending_at"] + STEP_SECONDS + 60:
            batch["status"] = "planned"

    def _look_at_command(self, batch: Json, now: int) -> None:
        ssm = ("ssm", batch["account"], batch["region"])
        for seen in self._aws.pages(
            ssm,
            "list_command_invocations",
            "CommandInvocations",
            CommandId=batch["command_id"],
            Details=True,
        ):
            state = batch["instances"].get(seen["InstanceId"])
            if state is None or state["status"] != "sent" or seen["Status"] in _UNDER_WAY:
                continue
            details = str(seen.get("StatusDetails", seen["Status"])).replace(" ", "")
            if seen["Status"] == "Success":
                state |= {"status": "installed", "installed_at": now}
            elif details == "Terminated":
                state |= {"status": "stopped", "reason": "SSM stopped the command: too many errors"}
            elif seen["Status"] == "Cancelled":
                state |= {"status": "cancelled", "reason": details, "may_register": True}
            else:
                # A command that ran out of its time may still end by itself.
                may = seen["Status"] == "TimedOut" and details not in _NEVER_RAN
                state |= {"status": "failed", "reason": _reason(details, seen), "may_register": may}
        if now > batch["sending_at"] + _LONGEST_COMMAND:
            for state in _in_state(batch, "sent"):
                reason = f"SSM told of no end within {_LONGEST_COMMAND} s"
                state |= {"status": "failed", "reason": reason, "may_register": True}

    def _confirm(self, batches: list[Json], into: str, asked: Request, now: int) -> None:
        """Confirms in DRS that installed agents registered, in this account, and synchronise."""
        waiting = [
            (instance_id, state)
            for batch in batches
            for instance_id, state in batch["instances"].items()
            if state["status"] == "installed"
        ]
        if not waiting:
            return
        account = servers.read(self._aws, into, self._settings.recovery_region)
        others: dict[str, servers.Account] = {}
        for instance_id, state in waiting:
            server = account.servers.get(instance_id)
            late = now - state["installed_at"] > asked.confirm_seconds
            if server is not None and server.replicating:
                state["source_server_id"] = server.id
                if server.synchronising:
                    state["status"] = "replicating"
                elif server.error or late:
                    reason = server.error or f"still {server.state} after {asked.confirm_seconds} s"
                    state |= {"status": "failed", "reason": reason}
            elif late:
                state |= {"status": "failed", "reason": self._astray(instance_id, into, others)}

    def _astray(self, instance_id: str, into: str, others: dict[str, servers.Account]) -> str:
        """Where the server of an installed agent is, if not where it should be.

        `others` are the other accounts, each read when it is first asked for.
        """
        for account_id in self._settings.external_ids:
            if account_id != into:
                if account_id not in others:
                    region = self._settings.recovery_region
                    others[account_id] = servers.read(self._aws, account_id, region)
                server = others[account_id].servers.get(instance_id)
                if server is not None and server.replicating:
                    return f"it registered in account {account_id} as {server.id}, not in {into}"
        return f"SSM says that it is installed, but no source server shows in account {into}"

    def _settle(self, batches: list[Json], deployment_id: str) -> None:
        """Records what became of batches, after ending the reservations of what is final.

        In this order: a step that is cut off between the two looks at the same again.
        """
        for into in {batch["into"] for batch in batches}:
            states = {k: v for b in batches if b["into"] == into for k, v in b["instances"].items()}
            done = [
                instance_id
                for instance_id, state in states.items()
                if state["status"] in _FINAL and not state.get("may_register")
            ]
            failed = {k: v["reason"] for k, v in states.items() if v["status"] == "failed"}
            capacity.release(self._records, self._settings, into, deployment_id, done, failed)
        for batch in batches:
            if all(each["status"] in _FINAL for each in batch["instances"].values()):
                batch["status"] = "done"
            self._written(batch)

    def _stop(self, batches: list[Json], wave: str, asked: Request) -> None:
        """Sends nothing more of this wave, which has spent its errors, and of those after it."""
        reason = f"{wave} had more failures than max_errors ({asked.max_errors}) lets it"
        for batch in batches:
            if batch["status"] == "planned":
                for state in _in_state(batch, "planned"):
                    state |= {"status": "stopped", "reason": reason}
                self._settle([batch], name(batch))

    def _call_back(self, batches: list[Json]) -> None:
        """Cancels what was sent, and sends nothing more."""
        for batch in batches:
            if batch["status"] == "planned":
                for state in _in_state(batch, "planned"):
                    state["status"] = "cancelled"
                self._settle([batch], name(batch))
            elif batch["status"] == "sent" and not batch.get("called_back"):
                ssm = ("ssm", batch["account"], batch["region"])
                self._aws.call(ssm, "cancel_command", CommandId=batch["command_id"])
                batch["called_back"] = True
                self._written(batch)

    def _send(self, batches: list[Json], asked: Request, deployment: Json, deadline: float) -> None:
        """Reserves room for the planned batches of a wave, and sends them."""
        ready = [batch for batch in batches if batch["status"] == "planned"]
        for into in dict.fromkeys(batch["into"] for batch in ready):
            self._reserve([batch for batch in ready if batch["into"] == into], into, deployment)
        for batch in ready:
            if batch["status"] != "planned" or time.monotonic() > deadline:
                continue
            failed = sum(_failed(each) for each in batches)
            left = max(0, _budget(batches, asked) - failed)
            self._send_one(batch, asked, left)

    def _reserve(self, batches: list[Json], into: str, deployment: Json) -> None:
        """Reserves room for batches; instances without room are refused, and not sent."""
        now = int(time.time())
        due = [each for each in batches if each.get("reserved_at", 0) + _LATEST_SEND < now]
        wanted = [
            instance_id
            for batch in due
            for instance_id, state in batch["instances"].items()
            if state["status"] == "planned"
        ]
        if not wanted:
            return
        refused = capacity.reserve(
            self._aws, self._records, self._settings, into, name(deployment), wanted
        )
        for batch in due:
            batch["reserved_at"] = now
            for instance_id in refused.keys() & batch["instances"].keys():
                refusal, detail = refused[instance_id]
                batch["instances"][instance_id] |= {
                    "status": "refused", "refusal": refusal, "detail": detail
                }  # fmt: skip
            # What is sent is written when it is.
            if all(each["status"] in _FINAL for each in batch["instances"].values()):
                batch["status"] = "done"
                self._written(batch)

    def _send_one(self, batch: Json, asked: Request, max_errors: int) -> None:
        """Sends a batch's command. The record that says so comes before it, and its id after it."""
        ssm = ("ssm", batch["account"], batch["region"])
        batch |= {"status": "sending", "sending_at": int(time.time())}
        self._written(batch)
        while ids := [k for k, v in batch["instances"].items() if v["status"] == "planned"]:
            try:
                answer = self._aws.once(
                    ssm,
                    "send_command",
                    DocumentName=batch["document"],
                    InstanceIds=ids,
                    Parameters=batch["parameters"],
                    Comment=_comment(batch),
                    MaxConcurrency=asked.max_concurrency,
                    MaxErrors=str(max_errors),
                    TimeoutSeconds=_DELIVERY_SECONDS,
                )
            except CallError as error:
                if error.code == "InvalidInstanceId" and self._went_offline(batch, ids, error):
                    continue
                if not error.uncertain:
                    # Nothing was sent.
                    batch["status"] = "planned"
                    self._written(batch)
                raise
            for instance_id in ids:
                batch["instances"][instance_id]["status"] = "sent"
            batch |= {"status": "sent", "command_id": answer["Command"]["CommandId"]}
            self._written(batch)
            return
        self._settle([batch], name(batch))

    def _went_offline(self, batch: Json, ids: list[str], error: CallError) -> bool:
        """Fails those instances that SSM does not reach any more; False if it names none.

        SSM refuses what does not run any more by name, and may still show it as online for minutes.
        """
        ssm = ("ssm", batch["account"], batch["region"])
        found = self._aws.pages(
            ssm,
            "describe_instance_information",
            "InstanceInformationList",
            Filters=[{"Key": "InstanceIds", "Values": ids}],
        )
        online = {each["InstanceId"] for each in found if each.get("PingStatus") == "Online"}
        gone = set(ids) & ({*ids} - online | set(_INSTANCE_ID.findall(str(error))))
        for instance_id in gone:
            reason = "ssm-offline: SSM did not reach it when its command was to be sent"
            batch["instances"][instance_id] |= {"status": "failed", "reason": reason}
        return bool(gone)

    def _finish(self, parts: dict[str, Json]) -> None:
        deployment, states = parts["deployment"], instances(parts)
        fine = bool(states) and all(
            state["status"] in {"already", "replicating"} for state in states.values()
        )
        status = "cancelled" if deployment.get("cancel") else "succeeded" if fine else "incomplete"
        self._end(parts, status)

    def _end(self, parts: dict[str, Json], status: str, error: str | None = None) -> None:
        """Records how a deployment ended; its records go some time after."""
        now = int(time.time())
        others = _named(parts)
        for each in others:
            each["expires"] = now + KEPT_SECONDS
        self._records.put_all(others)
        for _ in range(_TRIES):
            deployment = parts["deployment"]
            deployment |= {"status": status, "ended": now, "owned_until": 0}
            deployment["expires"] = now + KEPT_SECONDS
            if error is not None:
                deployment["error"] = error
            if self._records.put(deployment):
                return
            # Somebody has asked for its end in the meantime.
            parts["deployment"] = self.parts(name(deployment))["deployment"]
            if parts["deployment"].get("owner") != deployment.get("owner"):
                break
        raise BusyError(f"Deployment {name(deployment)} is worked on by somebody else.")


def new_id() -> str:
    """A name for a deployment that nobody named."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"


def instances(parts: dict[str, Json]) -> dict[str, Json]:
    """What became of each instance of a deployment, by instance id; its last round counts.

    Each has `account`, `wave` and `status`, and where they exist `reason`, `refusal`, `detail`,
    `command_id` and `source_server_id`.
    """
    found: dict[str, Json] = {}
    for record in _named(parts):
        for instance_id, state in record["instances"].items():
            if "document" not in record:
                found[instance_id] = state
                continue
            found[instance_id] = {
                "account": record["account"],
                "into": record["into"],
                "wave": record["wave"],
                **({"command_id": record["command_id"]} if "command_id" in record else {}),
                **state,
            }
    return found


def _named(parts: dict[str, Json]) -> list[Json]:
    """The records that a deployment names, by round; raises DeployerError if one is missing."""
    deployment = parts["deployment"]
    if missing := [each for each in deployment["parts"] if each not in parts]:
        raise DeployerError(
            f"Deployment {name(deployment)} lacks its records {', '.join(missing)}: what was sent is "
            "not known."
        )
    return [parts[each] for each in deployment["parts"]]


def _batches(parts: dict[str, Json]) -> list[Json]:
    """The batches of a deployment, in the order in which they are sent."""
    return [each for each in _named(parts) if "document" in each]


def _without_external_ids(payload: Json) -> Json:
    kept = {k: v for k, v in payload.items() if k != "external_id"}
    if isinstance(kept.get("deployments"), list):
        kept["deployments"] = [_without_external_ids(each) for each in kept["deployments"]]
    return kept


def _progress(parts: dict[str, Json]) -> Json:
    deployment = parts["deployment"]
    states = instances(parts)
    counts: dict[str, Counter[str]] = {}
    for state in states.values():
        counts.setdefault(state.get("wave", ""), Counter())[state["status"]] += 1
    total = Counter(state["status"] for state in states.values())
    failed = [
        {"instance": instance_id, "reason": state["reason"]}
        for instance_id, state in states.items()
        if state["status"] == "failed"
    ]
    progress: dict[str, Any] = {
        "deployment_id": name(deployment),
        "status": deployment["status"],
        "counts": dict(total),
        "waves": {wave: dict(count) for wave, count in counts.items() if wave},
        "errors": failed[-5:],
        "wait_seconds": _wait_seconds(deployment),
    }
    if "error" in deployment:
        progress["error"] = deployment["error"]
    return progress


def _wait_seconds(deployment: Json) -> int:
    """Seconds until the next step: more the longer it lasts, since an execution's history is limited."""
    asked: int = deployment["payload"].get("poll_seconds", request.POLL_SECONDS)
    lasted = int(time.time()) - int(deployment.get("resumed") or deployment["started"])
    return max(asked, min(_LONGEST_POLL, lasted // 120))


def _comment(batch: Json) -> str:
    """What tells a batch's command from all others."""
    return f"drs-agent-deployer {name(batch)} {batch['part']}"


def _in_state(batch: Json, status: str) -> list[Json]:
    return [each for each in batch["instances"].values() if each["status"] == status]


def _failed(batch: Json) -> int:
    return len(_in_state(batch, "failed"))


def _budget(batches: list[Json], asked: Request) -> int:
    """How many failures a wave may have."""
    if not asked.max_errors.endswith("%"):
        return int(asked.max_errors)
    return sum(len(each["instances"]) for each in batches) * int(asked.max_errors[:-1]) // 100


def _spent(batches: list[Json], asked: Request) -> bool:
    return sum(_failed(each) for each in batches) > _budget(batches, asked)


def _reason(details: str, seen: Json) -> str:
    """Why a command failed: SSM's status, and the last of what it wrote."""
    outputs = [str(plugin.get("Output") or "") for plugin in seen.get("CommandPlugins", ())]
    said = " ".join(" ".join(outputs).split())
    return f"{details}: {said[-_LONGEST_REASON:]}" if said else details
