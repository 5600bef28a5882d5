"""Findings and the verdict that they add up to."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Outcome(StrEnum):
    """What a finding says of its subject; the values are those of every report."""

    HOLDS = "holds"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


EXIT_STATUS = {Outcome.HOLDS: 0, Outcome.VIOLATED: 1, Outcome.UNKNOWN: 2}


@dataclass(frozen=True, slots=True)
class Message:
    """One way in which an invariant is broken, or why it cannot be known.

    `where` is a file and line, an address or an ARN, more exact than the subject's own. `fix` is
    the smallest HCL that mends it, where there is one. `subject` names what a finding of its own is
    made for, such as one server of an account, so that it can be waived by itself.
    """

    text: str
    where: str
    fix: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Waived:
    """Why a finding does not count: a waiver of the env, or an effect accepted by name.

    `expires` is None for what was accepted on the command line, for this run only.
    """

    reason: str
    owner: str
    ticket: str
    expires: date | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant, one subject, one outcome.

    `messages` is empty when it holds. A waived finding keeps its outcome and counts as holding.
    """

    invariant: str
    family: str
    subject: str
    where: str
    outcome: Outcome
    messages: tuple[Message, ...]
    why: str
    remedy: str
    waived: Waived | None = None

    @property
    def counted(self) -> Outcome:
        """The outcome that the verdict counts."""
        return self.outcome if self.waived is None else Outcome.HOLDS


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings of one run."""

    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> Outcome:
        """Violated if any finding is, else unknown if any is or there is none, else holds."""
        outcomes = {finding.counted for finding in self.findings}
        if Outcome.VIOLATED in outcomes:
            return Outcome.VIOLATED
        if Outcome.UNKNOWN in outcomes or not outcomes:
            return Outcome.UNKNOWN
        return Outcome.HOLDS

    def count(self, outcome: Outcome) -> int:
        """The number of findings that count with this outcome."""
        return sum(finding.counted is outcome for finding in self.findings)
