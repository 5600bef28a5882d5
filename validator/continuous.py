"""The function of module `continuous-verification`: verifies one env, and tells when its verdict changes.

It stands in a package with the env's declared values (`packaging.py` makes it) and is the `main` of
that package: whatever goes wrong becomes the verdict `unknown`, is told and measured, and is raised
again, so that Lambda counts the run as failed. A last verdict that is lost or spoilt is a change.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from validator import accounts, waivers
from validator.accounts import CallError
from validator.findings import EXIT_STATUS, Finding, Outcome, Verdict
from validator.invariants import INVARIANTS, judge
from validator.model import Estate, Unknown
from validator.reconciliation import Standing, reconcile, totals
from validator.sources import live
from validator.sources.declared import Declared, text, unpacked

FOLDER = "estate"
"""The folder of the package that holds what belongs to the env."""

DECLARED = f"{FOLDER}/declared.json"
WAIVERS = f"{FOLDER}/{waivers.FILE_NAME}"

SHOWN = 40
"""Findings that one message names, of three sentences each: a topic takes 256 KiB."""

_ROOT = Path(__file__).parents[1]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """What was last told: the outcome, and a digest of all findings that do not hold."""

    outcome: Outcome
    digest: str


class _Doors:
    """What a run may write to: metrics, the topic, and the last verdict."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Raises KeyError for a setting of the function that is missing."""
        self._namespace = environment["METRIC_NAMESPACE"]
        self._topic = environment["TOPIC_ARN"]
        self._name = environment["VERDICT_NAME"]
        self._env = self._name.rsplit("/", 1)[-1]
        self._region = environment["AWS_REGION"]
        self._environment = environment

    def measure(self, metrics: Iterator[tuple[str, float, Mapping[str, str]]]) -> None:
        """Puts metrics, each with its name, value and dimensions."""
        data = [
            {
                "MetricName": name,
                "Value": value,
                "Unit": "Count" if name != "Verdict" else "None",
                "Dimensions": [
                    {"Name": key, "Value": each}
                    for key, each in {"Environment": self._env, **dimensions}.items()
                ],
            }
            for name, value, dimensions in metrics
        ]
        accounts.call(
            self._client("cloudwatch"),
            "put_metric_data",
            Namespace=self._namespace,
            MetricData=data,
        )

    def tell(self, outcome: Outcome, message: str) -> None:
        """Publishes a message, with its outcome in the subject."""
        accounts.call(
            self._client("sns"),
            "publish",
            TopicArn=self._topic,
            Subject=f"DRS estate {self._env}: {outcome}",
            Message=message,
        )

    def last(self) -> Told | None:
        """What was last told, None where nothing readable says so; raises if it may not be read."""
        try:
            answer = accounts.call(self._client("ssm"), "get_parameter", Name=self._name)
            kept = json.loads(answer["Parameter"]["Value"])
            return Told(Outcome(kept["outcome"]), str(kept["digest"]))
        except CallError as error:
            if error.code != "ParameterNotFound":
                raise
            return None
        except (ValueError, KeyError, TypeError):
            return None

    def keep(self, told: Told) -> None:
        """Keeps what was told, for the next run."""
        value = json.dumps({"outcome": told.outcome, "digest": told.digest})
        accounts.call(
            self._client("ssm"),
            "put_parameter",
            Name=self._name,
            Value=value,
            Type="String",
            Overwrite=True,
        )

    def _client(self, service: str) -> Any:
        return accounts.client(service, self._region, self._environment)


def handler(_event: object, _context: object) -> Json:
    """One run, as Lambda calls it: the outcome, and whether it was told; raises whatever failed."""
    doors = _Doors(os.environ)
    try:
        return _run(doors, os.environ)
    except Exception as error:
        _failed(doors, error)
        raise


def _run(doors: _Doors, environment: Mapping[str, str]) -> Json:
    declared = unpacked((_ROOT / DECLARED).read_text(encoding="utf-8"))
    estate, verdict = verified(declared, environment, _ROOT / WAIVERS)
    print(message := _message(estate.env, verdict, None))
    doors.measure(_metrics(estate, verdict))
    last, now = doors.last(), Told(verdict.outcome, _digest(verdict))
    if now != last:
        # Told before it is kept: a run that dies in between tells twice, never not at all.
        message = _message(estate.env, verdict, last)
        doors.tell(verdict.outcome, message)
        doors.keep(now)
    doors.measure(iter([("Completed", 1, {})]))
    return {"verdict": verdict.outcome, "told": now != last}


def verified(
    declared: Declared, environment: Mapping[str, str], waivers_file: Path
) -> tuple[Estate, Verdict]:
    """The estate as its accounts show it to the verifier roles, and the verdict on it."""
    opener = live.verifier(declared, environment)
    estate = live.read(declared, text(declared, "environment"), opener)
    today = datetime.now(UTC).date()
    known = {each.name for each in INVARIANTS}
    verdict = judge(estate, INVARIANTS)
    return estate, waivers.apply(verdict, waivers.read(waivers_file, today, known), estate.view)


def _failed(doors: _Doors, error: Exception) -> None:
    """Says by every way that is left that there is no verdict; ways that are closed are noted."""
    reason = f"{type(error).__name__}: {error}"
    unknown = float(EXIT_STATUS[Outcome.UNKNOWN])
    message = f"The verification failed, so the verdict is unknown.\n\n{reason}\n"
    ways: list[tuple[str, Callable[[], None]]] = [
        ("tell", lambda: doors.tell(Outcome.UNKNOWN, message[:100_000])),
        ("keep", lambda: doors.keep(Told(Outcome.UNKNOWN, "failed"))),
        ("measure", lambda: doors.measure(iter([("Verdict", unknown, {}), ("Completed", 0, {})]))),
    ]
    for name, way in ways:
        try:
            way()
        except Exception as closed:
            error.add_note(f"It could not {name} that: {type(closed).__name__}: {closed}")


def _metrics(estate: Estate, verdict: Verdict) -> Iterator[tuple[str, float, Mapping[str, str]]]:
    """The verdict, findings by outcome, and totals by account; a total not known is not measured."""
    yield "Verdict", float(EXIT_STATUS[verdict.outcome]), {}
    for outcome in Outcome:
        yield "Findings", float(verdict.count(outcome)), {"Outcome": outcome.value}
    for name, replicating in totals(estate).replicating:
        if replicating.known is not None:
            yield "Replicating", float(replicating.known), {"Account": name}
    if isinstance(estate.target.servers, Unknown):
        return
    standing = Counter((server.account, server.standing) for server in reconcile(estate))
    for account in estate.staging:
        doubtful = standing[account.name, Standing.UNKNOWN]
        if isinstance(account.servers, Unknown) or doubtful:
            continue
        missing = (Standing.MISSING, Standing.BLOCKED)
        dimension = {"Account": account.name}
        yield "Extended", float(standing[account.name, Standing.EXTENDED]), dimension
        yield "Missing", float(sum(standing[account.name, each] for each in missing)), dimension


def _not_holding(verdict: Verdict) -> list[Finding]:
    """The findings that count against the verdict, violated before unknown."""
    order = [Outcome.VIOLATED, Outcome.UNKNOWN]
    found = [finding for finding in verdict.findings if finding.counted in order]
    return sorted(found, key=lambda finding: order.index(finding.counted))


def _digest(verdict: Verdict) -> str:
    """The same for two verdicts exactly if the same findings do not hold, whatever they say."""
    broken = sorted((f.invariant, f.subject, f.counted.value) for f in _not_holding(verdict))
    return hashlib.sha256(json.dumps(broken).encode()).hexdigest()


def _message(env: str, verdict: Verdict, last: Told | None) -> str:
    """The verdict in words, with the first of the findings that do not hold."""
    before = f"; it was {last.outcome} before" if last is not None else ""
    counts = ", ".join(f"{verdict.count(outcome)} {outcome}" for outcome in Outcome)
    lines = [f"Env {env}: {verdict.outcome}{before}.", f"Findings: {counts}."]
    broken = _not_holding(verdict)
    for finding in broken[:SHOWN]:
        lines += ["", f"{finding.counted} {finding.invariant}: {finding.subject}"]
        lines += [f"  {message.text[:1000]}" for message in finding.messages[:3]]
    if len(broken) > SHOWN:
        lines += ["", f"and {len(broken) - SHOWN} more findings"]
    return "\n".join(lines) + "\n"
