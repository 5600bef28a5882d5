"""Findings and the verdict that they add up to."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What a finding says of its subject; the values are those of every report."""

    HOLDS = "holds"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


EXIT_STATUS = {Outcome.HOLDS: 0, Outcome.VIOLATED: 1, Outcome.UNKNOWN: 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant, one subject, one outcome.

    `messages` is empty when it holds; `where` is a file and line, an address or an ARN.
    """

    invariant: str
    subject: str
    where: str
    outcome: Outcome
    messages: tuple[str, ...]
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings of one run."""

    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> Outcome:
        """Violated if any finding is, else unknown if any is or there is none, else holds."""
        outcomes = {finding.outcome for finding in self.findings}
        if Outcome.VIOLATED in outcomes:
            return Outcome.VIOLATED
        if Outcome.UNKNOWN in outcomes or not outcomes:
            return Outcome.UNKNOWN
        return Outcome.HOLDS

    def count(self, outcome: Outcome) -> int:
        """The number of findings with this outcome."""
        return sum(finding.outcome is outcome for finding in self.findings)
