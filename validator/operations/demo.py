"""What `demo` does to an embedded AWS: instances that agents are for, and what it breaks there."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from validator.accounts import Client, Opened, Opener, call, pages
from validator.errors import AccountError, ToolError
from validator.model import Account, Unknown
from validator.sources import tfvars
from validator.sources.tfvars import Declared

ANSWER_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Stage:
    """An embedded AWS at `url`, and an estate on it."""

    url: str
    declared: Declared
    opener: Opener

    @property
    def env(self) -> str:
        """The env's name."""
        return tfvars.text(self.declared, "environment")

    @property
    def region(self) -> str:
        """The recovery Region."""
        return tfvars.text(self.declared, "recovery_region")

    @property
    def source_region(self) -> str:
        """The source Region."""
        return tfvars.text(self.declared, "source_region")

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The target and the staging accounts."""
        target, staging, _ = tfvars.accounts(self.declared)
        return (target, *staging)

    def opened(self, account: Account) -> Opened:
        """A session in an account, in the recovery Region."""
        return self.opener.open(account.id, self.region)


@dataclass(frozen=True, slots=True)
class Breakage:
    """One thing taken away, and the name of the invariant that must notice.

    Terraform mends what is its own; `mend` is for what is not.
    """

    title: str
    invariant: str
    strike: Callable[[Stage], None]
    mend: Callable[[Stage], None] | None = None


def run(stage: Stage, account: Account) -> int:
    """Runs tagged instances with the env's profile, as many as are declared; returns how many.

    Raises ToolError if the control door refuses, AccountError where the number is not known.
    """
    if isinstance(account.planned, Unknown):
        raise AccountError(f"{account.where}: {account.planned.reason}.")
    body = {
        "account": account.id,
        "region": stage.source_region,
        "count": account.planned,
        "profile": f"DRSAgentInstallRole-{stage.env}",
    }
    return len(_door(stage, "instances", body)["instanceIDs"])


def _remove_the_key_statement(stage: Stage) -> None:
    """Takes the staging role out of the first staging account's key policy."""
    target, staging, *_ = stage.accounts
    kms = stage.opened(staging).client("kms")
    key = call(kms, "describe_key", KeyId="alias/drs-replication-key")["KeyMetadata"]["KeyId"]
    policy = json.loads(call(kms, "get_key_policy", KeyId=key, PolicyName="default")["Policy"])
    kept = [each for each in policy["Statement"] if _role(target) not in json.dumps(each)]
    if len(kept) == len(policy["Statement"]):
        raise ToolError(f"The key {key} of {staging.id} has no statement for {_role(target)}.")
    changed = json.dumps({**policy, "Statement": kept})
    call(kms, "put_key_policy", KeyId=key, PolicyName="default", Policy=changed)


def _delete_the_staging_role(stage: Stage) -> None:
    """Deletes the role by which DRS acts for the target in the first staging account."""
    target, staging, *_ = stage.accounts
    iam = stage.opened(staging).client("iam")
    attached = pages(iam, "list_attached_role_policies", "AttachedPolicies", RoleName=_role(target))
    for each in list(attached):
        call(iam, "detach_role_policy", RoleName=_role(target), PolicyArn=each["PolicyArn"])
    call(iam, "delete_role", RoleName=_role(target))


def _role(target: Account) -> str:
    return f"DRSStagingAccountRole_{target.id}"


def _stop_an_agent(stage: Stage) -> None:
    """One server of the first staging account falls silent."""
    _set_state(stage, "DISCONNECTED")


def _start_the_agent(stage: Stage) -> None:
    """The server replicates again."""
    _set_state(stage, "CONTINUOUS")


def _set_state(stage: Stage, state: str) -> None:
    staging = stage.accounts[1]
    server = _first_server(stage.opened(staging).client("drs"))
    body = {"account": staging.id, "region": stage.region, "ids": [server], "state": state}
    _door(stage, "source-servers/state", body)


def _first_server(drs: Client) -> str:
    return str(
        min(each["sourceServerID"] for each in pages(drs, "describe_source_servers", "items"))
    )


BREAKAGES = (
    Breakage(
        "The staging role is taken out of the replication key's policy",
        "staging-role-can-share-snapshots",
        _remove_the_key_statement,
    ),
    Breakage(
        "The staging role is deleted",
        "staging-account-trusts-its-target",
        _delete_the_staging_role,
    ),
    Breakage(
        "An agent falls silent",
        "no-server-is-stale",
        _stop_an_agent,
        _start_the_agent,
    ),
)


def _door(stage: Stage, path: str, body: dict[str, Any]) -> Any:
    """What the control door answers; raises ToolError."""
    request = urllib.request.Request(
        f"{stage.url}/_emulator/{path}", data=json.dumps(body).encode(), method="POST"
    )
    # Whatever proxy the environment names does not know this machine's ports.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=ANSWER_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        said = error.read().decode("utf-8", "replace")
        raise ToolError(f"The control door {path} of the embedded AWS refused: {said}") from error
    except (OSError, ValueError) as error:
        raise ToolError(f"The control door {path} of the embedded AWS: {error}.") from error
