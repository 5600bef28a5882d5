"""What the installer of the DRS agent does on an instance: it registers a source server, or says why not.

A script is read, not run: variables that it sets are known, conditions are not, and the first command
that runs the installer counts. What is left unclear in that command fails the install.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from moto.iam.models import iam_backends

from validator.emulator import instances
from validator.emulator.authorization import allows
from validator.emulator.documents import DRS_INSTALL, Step, drs_regions
from validator.emulator.drs import door, drs_backends
from validator.emulator.drs.exceptions import DrsError
from validator.emulator.drs.models import (
    REPLICATING,
    UNPROTECTED,
    DrsBackend,
    Server,
    delays,
    quota_exceeded,
)

OUTCOMES = ("success", "failed", "hang", "unregistered")
_EC2_POLICY = "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryEc2InstancePolicy"
_INSTALLERS = {"aws-replication-installer-init", "awsreplicationwindowsinstaller.exe"}
_WITH_VALUE = {
    "--account-id",
    "--aws-access-key-id",
    "--aws-secret-access-key",
    "--aws-session-token",
    "--devices",
    "--endpoint",
    "--proxy-address",
    "--region",
    "--s3-endpoint",
}
_FLAGS = {
    "--dualstack",
    "--exclude-instance-store-volumes",
    "--force-volumes",
    "--install-as-recovery-instance",
    "--no-prompt",
}
_BEFORE = re.compile(r"sudo|-E|exec|nohup|then|else|do|if|!|\w+=.*")
"""What may stand before the program of a command."""

_outcomes: dict[tuple[str, str], dict[str | None, tuple[str, str | None]]] = {}
"""How installs end that a door ordered so, by place and instance; None stands for every other one."""


@dataclass(frozen=True, slots=True)
class Install:
    """What the installer is told."""

    region: str
    account_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended on an instance."""

    code: int
    output: str = ""
    error: str = ""


def order(
    account_id: str, region: str, ids: list[str] | None, outcome: str, output: str | None = None
) -> int:
    """Decides how later installs on these instances end; returns on how many. Raises ValueError."""
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}")
    known = instances.known(account_id, region, ids)
    place = _outcomes.setdefault((account_id, region), {})
    if ids is None:
        place.clear()
    place |= dict.fromkeys(ids if ids is not None else [None], (outcome, output))
    return len(known)


def ordered(account_id: str, region: str, instance_id: str) -> tuple[str, str | None]:
    """How an install on an instance is to end, and with which output."""
    place = _outcomes.get((account_id, region), {})
    return place.get(instance_id) or place.get(None) or ("success", None)


def requested(document: str, values: dict[str, Any], step: Step) -> Install | Result | None:
    """What a step of a document installs: nothing, an agent, or a failure if its command is wrong."""
    if document == DRS_INSTALL:
        return Install(values["Region"], tags=_tags([t for t in values["Tags"].split(",") if t]))
    try:
        for command in _commands(step.script, step.powershell):
            arguments = _arguments(command)
            if arguments is not None:
                return _install(arguments)
    except ValueError as error:
        return Result(2, error=f"usage: the installer cannot begin: {error}")
    return None


def _commands(script: str, powershell: bool) -> Iterator[list[str]]:
    """The simple commands of a script, in words, with the variables that it set so far."""
    known: dict[str, str] = {}

    def value(found: "re.Match[str]") -> str:
        return known.get(found[1] or found[2], found[0])

    for line in script.replace("`\n" if powershell else "\\\n", " ").splitlines():
        filled = re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, line)
        setting = re.match(r"\s*\$(\w+)\s*=" if powershell else r"\s*(?:export )?(\w+)=", line)
        lexer = shlex.shlex(filled, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        if powershell:
            lexer.escape = ""
        try:
            words = [word for word in lexer if word != "export"]
        except ValueError:
            if any(each in line.lower() for each in _INSTALLERS):
                raise
            continue
        if powershell and words[2:3] == ["Join-Path"] and len(words) == 5:
            words[2:] = ["\\".join(words[3:])]
        if setting and len(words) == (3 if powershell else 1):
            known[setting[1]] = words[-1].removeprefix(f"{setting[1]}=")
            continue
        command: list[str] = []
        for word in [*words, ";"]:
            if word and set(word) <= set(";&|"):
                yield command
                command = []
            else:
                command.append(word)


def _arguments(command: list[str]) -> list[str] | None:
    """The arguments that a command gives the installer, None if it does not run it."""
    names = [re.split(r"[\\/]", word)[-1].lower() for word in command]
    at = next((n for n, name in enumerate(names) if name in _INSTALLERS), None)
    if at is None:
        return None
    rest = command[at + 1 :]
    if "-ArgumentList" in rest:  # Start-Process gets all of them as one word
        rest = " ".join(rest[rest.index("-ArgumentList") + 1 :][:1]).split()
    runs = all(_BEFORE.fullmatch(word) for word in command[:at])
    return rest if runs or any(word.startswith("--region") for word in rest) else None


def _install(arguments: list[str]) -> Install:
    """What the installer's arguments mean; raises ValueError if they are wrong."""
    given: dict[str, list[str]] = {}
    name = ""
    for word in arguments:
        if "$" in word:
            raise ValueError(f"the embedded AWS cannot tell what {word} stands for")
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            if name not in _WITH_VALUE | _FLAGS | {"--tags"}:
                raise ValueError(f"unrecognized arguments: {name}")
            given[name] = [value] if equals else []
        elif name == "--tags" or (name in _WITH_VALUE and not given[name]):
            given[name].append(word)
        else:
            raise ValueError(f"unrecognized arguments: {word}")
    for each in _WITH_VALUE & set(given):
        if not given[each] or not given[each][0]:
            raise ValueError(f"argument {each}: expected one argument")
    if "--region" not in given:
        raise ValueError("the following arguments are required: --region")
    if given["--region"][0] not in drs_regions():
        raise ValueError(f"argument --region: DRS is not in {given['--region'][0]}")
    if "--no-prompt" not in given:
        raise ValueError("it asks which disks to replicate, and nobody answers: no --no-prompt")
    account = given.get("--account-id", [None])[0]
    if account is not None and not re.fullmatch(r"\d{12}", account):
        raise ValueError(f"argument --account-id: {account} is no account id")
    tags = [tag for tag in given.get("--tags", []) if tag]
    if not all(re.fullmatch(r"[^=]+=.+", tag) for tag in tags):
        raise ValueError(f"argument --tags: not KEY=VALUE: {tags}")
    return Install(given["--region"][0], account, _tags(tags))


def _tags(pairs: list[str]) -> dict[str, str]:
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}


def install(account_id: str, region: str, instance: Any, wanted: Install, moment: float) -> Result:
    """Installs an agent at a moment of the monotonic clock; the result says what became of it."""
    into = wanted.account_id or account_id
    begun = "The installation of the AWS Replication Agent has started.\n"
    refused = _credentials_problem(account_id, region, instance.id, into)
    if refused is not None:
        return Result(1, begun + "Installation failed.", refused)
    backend: DrsBackend = drs_backends[into][wanted.region]
    machine = replace(instances.machine(account_id, region, instance), tags={})
    try:
        with backend.lock:
            if not backend.initialised:
                return Result(
                    1,
                    begun + "Installation failed.",
                    "UninitializedAccountException: the installation failed due to the account "
                    f"{into} not being initialized in {wanted.region}.",
                )
            server = _registered(backend, instance.id)
            if server is None:
                (identifier,) = door.register(
                    backend,
                    [machine],
                    state="INITIATING",
                    sync_seconds=delays["initial-sync"],
                    since=moment,
                    tags=wanted.tags,
                )
                server = backend.servers[identifier]
            else:
                _reconnect(backend, server, moment)
            count, quota = backend.replicating(), backend.quota(REPLICATING)
    except DrsError as error:
        said = f"An error occurred ({error.code}) when registering the agent: {error.message}"
        return Result(1, begun + "Installation failed.", said)
    return Result(
        0,
        f"{begun}All disks for replication were successfully identified.\n"
        f"The following is the source server ID: {server.id}.\n"
        f"Active source servers: {count} of a quota of {quota:.0f}.\n"
        "The AWS Replication Agent was successfully installed.",
    )


def _registered(backend: DrsBackend, instance_id: str) -> Server | None:
    for server in backend.servers.values():
        hints = server.properties["identificationHints"]
        if server.staged is None and hints.get("awsInstanceID") == instance_id:
            return server
    return None


def _reconnect(backend: DrsBackend, server: Server, moment: float) -> None:
    """An agent that is installed again is the same server; one that did not replicate begins anew."""
    if server.state not in UNPROTECTED:
        return
    if backend.replicating() + 1 > (quota := backend.quota(REPLICATING)):
        raise quota_exceeded(REPLICATING, quota)
    server.become("INITIATING")
    server.sync = (moment, delays["initial-sync"])


def _credentials_problem(account_id: str, region: str, instance_id: str, into: str) -> str | None:
    """Why the instance's profile cannot register an agent in an account, None if it can."""
    profile = instances.profile_roles(account_id, region, instance_id)
    if not any(_EC2_POLICY in role.managed_policies for role in profile):
        return (
            f"AccessDeniedException: the instance profile of {instance_id} has no role with "
            f"{_EC2_POLICY}."
        )
    if into == account_id:
        return None
    authorized = _service_role(account_id, f"DRSCrossAccountAgentAuthorizedRole_{into}")
    agent = _service_role(into, f"DRSCrossAccountAgentRole_{account_id}")
    arns = [
        f"arn:aws:iam::{account_id}:role/service-role/DRSCrossAccountAgentAuthorizedRole_{into}",
        f"arn:aws:iam::{into}:role/service-role/DRSCrossAccountAgentRole_{account_id}",
    ]
    denied = "AccessDenied: not authorized to perform: sts:AssumeRole on resource: "
    if authorized is None:
        return denied + arns[0]
    if agent is None or not allows(
        agent.assume_role_policy_document,
        principal=arns[0],
        action="sts:AssumeRole",
        context={"aws:PrincipalArn": arns[0], "aws:PrincipalAccount": account_id},
    ):
        return denied + arns[1]
    if _EC2_POLICY not in agent.managed_policies:
        return f"AccessDeniedException: {arns[1]} lacks {_EC2_POLICY}."
    return None


def _service_role(account_id: str, name: str) -> Any:
    roles = list(iam_backends[account_id]["aws"].roles.values())
    return next((r for r in roles if (r.name, r.path) == (name, "/service-role/")), None)
