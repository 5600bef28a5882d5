"""The report as SARIF 2.1.0, which code scanning shows at the line that a finding is about."""

import hashlib
import json
import posixpath
import re
from typing import Any
from urllib.parse import quote

from validator.findings import EXIT_STATUS, Outcome
from validator.reports.document import Run, document, waived_in_words

Json = dict[str, Any]

_ROOT = "%SRCROOT%"
_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LINE = re.compile(r"([^:]+):([1-9][0-9]{0,8})")
_ADDRESS = re.compile(r"(.+) \((.+)\)")
"""A place in a module's code, with the address of what the module's caller made of it."""
_FILE = re.compile(r"[^:]+\.(?:tf|tfvars|yaml)")


def to_sarif(run: Run) -> str:
    """The run as SARIF: a rule for each invariant, a result for each finding that does not hold.

    A waived finding is a suppressed result. What is unknown is an error as what is violated is:
    SARIF's own kind "open" would have no level, and would be shown as harmless.
    """
    data = document(run)
    rules = _rules(data["findings"], run.docs)
    places = {rule["id"]: number for number, rule in enumerate(rules)}
    outcome = Outcome(data["verdict"])
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "DRS estate validator",
                        "version": data["validator_version"],
                        "rules": rules,
                    }
                },
                "automationDetails": {"id": f"{data['command']}/{data['env']}/"},
                "invocations": [
                    {
                        # No verdict is not a run without results: nothing may be concluded from it.
                        "executionSuccessful": outcome is not Outcome.UNKNOWN,
                        "exitCode": EXIT_STATUS[outcome],
                        "toolExecutionNotifications": [
                            {"level": "note", "message": {"text": _message(note)}}
                            for note in data["notes"]
                        ],
                    }
                ],
                "originalUriBaseIds": {
                    _ROOT: {"description": {"text": "The root of the checkout."}}
                },
                "properties": {
                    "env": data["env"],
                    "view": data["view"],
                    "cloud": data["cloud"],
                    "verdict": data["verdict"],
                },
                "results": [
                    _result(finding, places[finding["invariant"]], data)
                    for finding in data["findings"]
                    if finding["outcome"] != Outcome.HOLDS
                ],
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _rules(findings: list[Json], docs: str | None) -> list[Json]:
    """A rule for each invariant that was judged, also where it holds everywhere."""
    rules: dict[str, Json] = {}
    for finding in findings:
        name, family = finding["invariant"], finding["family"]
        if name in rules:
            continue
        page = f"docs/invariants/{family}.md#{name}"
        uri = None if docs is None else f"{docs.rstrip('/')}/{quote(family)}.md#{quote(name)}"
        why, remedy = finding["why"], finding["remedy"]
        see = f"`{page}`" if uri is None else f"[`{page}`]({uri})"
        rules[name] = {
            "id": name,
            "shortDescription": {"text": _message(name.replace("-", " "))},
            "fullDescription": {"text": _message(finding["why"])},
            "help": {
                "text": _message(f"{why}\n\nRemedy: {remedy}\n\nSee {page}."),
                "markdown": f"{_plain(why)}\n\n**Remedy:** {_plain(remedy)}\n\nSee {see}.",
            },
            "defaultConfiguration": {"level": "error"},
            "properties": {"tags": [family]},
        }
        if uri is not None:
            rules[name]["helpUri"] = uri
    return list(rules.values())


def _result(finding: Json, rule: int, data: Json) -> Json:
    texts = [
        each["text"] + (f"\n{each['fix']}" if each["fix"] else "") for each in finding["messages"]
    ]
    places = dict.fromkeys((finding["where"], *(each["where"] for each in finding["messages"])))
    locations = [_location(place, data) for place in places]
    about = f"{finding['subject']} ({finding['outcome']})"
    result = {
        "ruleId": finding["invariant"],
        "ruleIndex": rule,
        "kind": "fail",
        "level": "error",
        "message": {"text": _message("\n".join([about, *texts, f"Remedy: {finding['remedy']}"]))},
        "locations": locations[:1],
        "relatedLocations": locations[1:],
        "partialFingerprints": {"subject/v1": _fingerprint(data["env"], finding)},
        "properties": {"outcome": finding["outcome"], "subject": finding["subject"]},
    }
    if finding["waived"] is not None:
        reason = _message(waived_in_words(finding["waived"]))
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": reason}
        ]
    return result


def _location(where: str, data: Json) -> Json:
    """Where in the checkout; what stands in no file is shown at the file that declares the estate."""
    addressed = _ADDRESS.fullmatch(where)
    place, name = addressed.groups() if addressed else (where, where)
    logical: Json = {"logicalLocations": [{"fullyQualifiedName": name, "kind": "resource"}]}
    artifact = _artifact(place)
    if artifact is not None:
        return {"physicalLocation": artifact, **(logical if addressed else {})}
    artifact = _artifact(data["where"])
    return logical if artifact is None else {"physicalLocation": artifact, **logical}


def _artifact(where: str) -> Json | None:
    """The file and line that a place names, None for an address, an ARN or a file outside."""
    line = _LINE.fullmatch(where)
    if line is None and not _FILE.fullmatch(where):
        return None
    path = posixpath.normpath(line[1] if line else where)
    if path.startswith(("/", "../")):
        return None
    return {
        "artifactLocation": {"uri": quote(path), "uriBaseId": _ROOT},
        "region": {"startLine": int(line[2]) if line else 1},
    }


def _message(text: str) -> str:
    """The text as SARIF writes it: no link and no placeholder but those that SARIF's writer meant."""
    if "](" in text:
        text = re.sub(r"([\\\[\]])", r"\\\1", text)
    return _without_placeholders(text)


def _without_placeholders(text: str) -> str:
    return re.sub(r"\{([0-9]+)\}", r"{{\1}}", text)


def _plain(text: str) -> str:
    """The text with what Markdown would read as its own marked as text."""
    return re.sub(r"([\\<>*_`\[\]])", r"\\\1", _without_placeholders(text))


def _fingerprint(env: str, finding: Json) -> str:
    """The same for one invariant and subject of an env, wherever its line moves."""
    parts = "\0".join((env, finding["invariant"], finding["subject"]))
    return hashlib.sha256(parts.encode()).hexdigest()
