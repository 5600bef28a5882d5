"""SSM documents of the Command kind: those that AWS owns, and what one runs with given parameters."""

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import botocore.session
from moto.core.exceptions import JsonRESTError

Json = dict[str, Any]

DRS_INSTALL = "AWSDisasterRecovery-InstallDRAgentOnInstance"
EXECUTION_SECONDS = 3600
"""How long a step may run that says nothing else."""

_KEY, _VALUE = "[a-zA-Z_0-9.:+/@-]{1,50}", "[a-zA-Z_0-9.:+/@ -]{1,50}"
_TAGS = f"^$|^{_KEY}={_VALUE}(,{_KEY}={_VALUE}){{0,20}}$"
_NAMED = re.compile(r"\{\{\s*([\w.:-]+)\s*\}\}")
_SHELL, _POWERSHELL = "aws:runShellScript", "aws:runPowerShellScript"
_PLATFORMS = {_SHELL: ("Linux", "MacOS"), _POWERSHELL: ("Windows",)}
_EVERY_PLATFORM = ("Windows", "Linux", "MacOS")


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it runs on one instance."""

    name: str
    action: str
    script: str
    seconds: float
    """How long it may run."""

    @property
    def powershell(self) -> bool:
        """True if PowerShell runs its script."""
        return self.action == _POWERSHELL


def _script_document(name: str, action: str) -> Json:
    return {
        "schemaVersion": "2.2",
        "description": "Runs commands that the caller gives.",
        "parameters": {
            "commands": {"type": "StringList", "description": "Commands to run."},
            "workingDirectory": {"type": "String", "default": "", "description": "Where to run."},
            "executionTimeout": {
                "type": "String",
                "default": str(EXECUTION_SECONDS),
                "description": "Seconds that the commands may take.",
                "allowedPattern": "^[1-9][0-9]{0,5}$",
            },
        },
        "mainSteps": [
            {
                "action": action,
                "name": name,
                "inputs": {
                    "runCommand": "{{ commands }}",
                    "workingDirectory": "{{ workingDirectory }}",
                    "timeoutSeconds": "{{ executionTimeout }}",
                },
            }
        ],
    }


@functools.cache
def drs_regions() -> list[str]:
    """The Regions that DRS is in."""
    return sorted(botocore.session.get_session().get_available_regions("drs"))


def _install_document() -> Json:
    lines = {
        "Windows": (_POWERSHELL, r".\AwsReplicationWindowsInstaller.exe"),
        "Linux": (_SHELL, "sudo ./aws-replication-installer-init"),
    }
    return {
        "schemaVersion": "2.2",
        "description": "Installs the AWS Replication Agent of Elastic Disaster Recovery.",
        "parameters": {
            "Region": {
                "type": "String",
                "description": "The AWS Region to replicate into.",
                "allowedValues": drs_regions(),
            },
            "Tags": {
                "type": "String",
                "default": "",
                "description": "Tags of a new source server: KEY=VALUE[,KEY=VALUE...].",
                "allowedPattern": _TAGS,
            },
        },
        "mainSteps": [
            {
                "action": action,
                "name": f"InstallOn{platform}",
                "precondition": {"StringEquals": ["platformType", platform]},
                "inputs": {
                    "timeoutSeconds": str(EXECUTION_SECONDS),
                    "runCommand": [
                        f"{installer} --no-prompt --region {{{{ Region }}}} --tags {{{{ Tags }}}}"
                    ],
                },
            }
            for platform, (action, installer) in lines.items()
        ],
    }


@functools.cache
def owned() -> dict[str, Json]:
    """The documents that AWS owns, which every account and Region has."""
    return {
        DRS_INSTALL: _install_document(),
        "AWS-RunPowerShellScript": _script_document("runPowerShellScript", _POWERSHELL),
        "AWS-RunShellScript": _script_document("runShellScript", _SHELL),
    }


def platforms(content: Json) -> list[str]:
    """The platforms that a Command document has steps for."""
    found = {each for step in content["mainSteps"] for each in _step_platforms(step)}
    return [each for each in _EVERY_PLATFORM if each in found]


def refusal(content: Json) -> str | None:
    """Why SSM, or this emulator of it, would not take a Command document; None if it would."""
    parameters, steps = content.get("parameters", {}), content.get("mainSteps")
    if not isinstance(parameters, dict) or not isinstance(steps, list) or not steps:
        return "A Command document needs mainSteps, and parameters by name."
    for name, parameter in parameters.items():
        if not isinstance(parameter, dict) or parameter.get("type") not in {"String", "StringList"}:
            return f"Parameter {name}: the embedded AWS knows the types String and StringList."
    for step in steps:
        if not isinstance(step, dict) or not {"action", "name", "inputs"} <= set(step):
            return "Every step needs action, name and inputs."
        condition = step.get("precondition", {"StringEquals": ["platformType", "Linux"]})
        if condition not in [{"StringEquals": ["platformType", p]} for p in _EVERY_PLATFORM]:
            return f"Step {step['name']}: the embedded AWS knows preconditions of platformType."
    named = set(_NAMED.findall(json.dumps(steps)))
    # What belongs to SSM itself has a colon: {{ ssm:parameter }}, {{ global:REGION }}.
    undefined = {name for name in named if ":" not in name} - set(parameters)
    if undefined:
        return f"Undefined parameters: {', '.join(sorted(undefined))}"
    return None


def values(content: Json, given: Any) -> Json:
    """The value of every parameter of a document; raises JsonRESTError InvalidParameters."""
    if not isinstance(given, dict):
        raise JsonRESTError("InvalidParameters", "Parameters must be lists of values by name.")
    parameters: Json = content.get("parameters", {})
    problems = [f"{name} is not a parameter" for name in sorted(set(given) - set(parameters))]
    found: Json = {}
    for name, parameter in parameters.items():
        if name not in given and "default" not in parameter:
            problems.append(f"{name} is required")
        elif name not in given:
            found[name] = parameter["default"]
        else:
            problems += _problems(name, parameter, given[name])
            one = parameter["type"] == "String" and isinstance(given[name], list) and given[name]
            found[name] = given[name][0] if one else given[name]
    if problems:
        raise JsonRESTError(
            "InvalidParameters",
            "You must specify values for all required parameters of the document, and can only "
            f"supply values to parameters defined in the document: {'; '.join(problems)}",
        )
    return found


def _problems(name: str, parameter: Json, given: Any) -> Iterator[str]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        yield f"{name} must be a list of strings"
        return
    if parameter["type"] == "String" and len(given) != 1:
        yield f"{name} takes one value, not {len(given)}"
    for each in given:
        if "allowedValues" in parameter and each not in parameter["allowedValues"]:
            yield f"{name} may not be {each!r}"
        if not re.search(parameter.get("allowedPattern", ""), each):
            yield f"{name} does not match {parameter['allowedPattern']}: {each!r}"


def steps(content: Json, chosen: Json, platform: str) -> list[Step]:
    """The steps that run on a platform, with the values of the parameters in them."""
    found = []
    for step in content["mainSteps"]:
        if platform not in _step_platforms(step):
            continue
        inputs = {key: _filled(value, chosen) for key, value in step["inputs"].items()}
        lines = inputs.get("runCommand", [])
        seconds = str(inputs.get("timeoutSeconds", EXECUTION_SECONDS))
        found.append(
            Step(
                name=step["name"],
                action=step["action"],
                script="\n".join(lines) if isinstance(lines, list) else str(lines),
                seconds=float(seconds) if seconds.isdigit() else EXECUTION_SECONDS,
            )
        )
    return found


def _step_platforms(step: Json) -> tuple[str, ...]:
    usual = _PLATFORMS.get(step["action"], _EVERY_PLATFORM)
    wanted = step.get("precondition")
    return usual if wanted is None else tuple(set(usual) & {wanted["StringEquals"][1]})


def _filled(value: Any, chosen: Json) -> Any:
    """A value of a document with the parameters in it, which may stand for a whole list."""
    if isinstance(value, list):
        filled = [_filled(each, chosen) for each in value]
        return [e for each in filled for e in (each if isinstance(each, list) else [each])]
    if not isinstance(value, str):
        return value
    whole = _NAMED.fullmatch(value.strip())
    if whole and isinstance(chosen.get(whole[1]), list):
        return list(chosen[whole[1]])

    def text(found: "re.Match[str]") -> str:
        named = chosen.get(found[1], found[0])
        return named if isinstance(named, str) else json.dumps(named)

    return _NAMED.sub(text, value)
