"""Troubleshooting as ordered questions over the findings of a verification, each ending in a cause.

The first question that an invariant answers with "no" is the cause: what stands after it cannot be
right before it is.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from validator.findings import Finding, Outcome
from validator.model import Estate, known


@dataclass(frozen=True, slots=True)
class Symptom:
    """What somebody sees, and the invariants that explain it, in the order in which they matter."""

    text: str
    invariants: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a symptom shows: the first finding that does not hold, or None where all of them do.

    `passed` are the invariants that were asked before it and hold.
    """

    symptom: Symptom
    passed: tuple[str, ...]
    finding: Finding | None


@dataclass(frozen=True, slots=True)
class FieldError:
    """A message that AWS gives in the field, with what is behind it."""

    pattern: str
    cause: str
    remedy: str


SYMPTOMS = (
    Symptom(
        "Extended source servers are not visible in the target",
        (
            "drs-is-initialised",
            "staging-account-trusts-its-target",
            "staging-role-is-for-its-target-only",
            "template-is-in-the-recovery-region",
            "staging-template-encrypts-custom",
            "staging-account-owns-its-replication-key",
            "key-is-enabled",
            "staging-role-can-share-snapshots",
            "target-can-use-the-replication-key",
            "target-holds-every-server",
            "no-server-is-kept-from-extension",
            "every-staging-server-is-extended",
            "extensions-are-healthy",
            "no-extension-is-orphaned",
        ),
        "There is no switch that makes servers visible: each is extended by a call of its own.",
    ),
    Symptom(
        "The target cannot exceed 300 source servers",
        (
            "account-replicates-within-quota",
            "declared-servers-fit-the-estate",
            "target-holds-every-server",
            "every-staging-server-is-extended",
        ),
        "300 is the quota of servers that replicate into one account and Region; AWS does not raise "
        "it. Extended servers replicate elsewhere and count only against the target's total quota.",
    ),
    Symptom(
        "Recovery instances do not launch from servers of a staging account",
        (
            "extensions-are-healthy",
            "staging-account-trusts-its-target",
            "key-is-enabled",
            "staging-role-can-share-snapshots",
            "target-can-use-the-replication-key",
            "replication-is-continuous",
            "points-in-time-are-recent",
            "launch-settings-are-as-declared",
            "wave-fits-the-job-quotas",
            "servers-are-drilled",
        ),
        "Operators who start a recovery also need kms:ReEncrypt* on the staging account's key in "
        "their own identity policy; no view of the estate shows it.",
    ),
)

FIELD_ERRORS = (
    FieldError(
        r"default EBS encryption key",
        "The server's disks are encrypted with the account's default key, which cannot be shared.",
        "Set the server's encryption to CUSTOM with the replication key; its initial "
        "synchronisation starts again.",
    ),
    FieldError(
        r"ModifySnapshotAttribute|[Nn]ot authorized to use key",
        "The key's policy does not let the staging role, or the target, use it through EC2.",
        "Add the two statements that module replication-key writes.",
    ),
    FieldError(
        r"UninitializedAccount",
        "DRS was never initialised in that account and Region.",
        "Run `validator bootstrap`.",
    ),
    FieldError(
        r"does not trust|no role DRSStagingAccountRole",
        "The staging account has no role that DRS of the target may assume.",
        "Make DRSStagingAccountRole_<target> with module staging-trust.",
    ),
    FieldError(
        r"sts AssumeRole was refused",
        "The caller may not assume the role by which the account is read, so nothing of it is known.",
        "Let that role's trust policy name the caller, or log in as somebody whom it names.",
    ),
    FieldError(
        r"staging source server was not found",
        "The server was deleted in its staging account; the extension stayed behind.",
        "Run `validator extend --prune`.",
    ),
    FieldError(
        r"AGENT_NOT_SEEN",
        "DRS does not hear from the agent: it was stopped or removed, or TCP 443 to DRS is closed.",
        "Start the agent's service, or open 443 from the instance to the DRS endpoint.",
    ),
    FieldError(
        r"SNAPSHOTS_FAILURE",
        "DRS cannot make snapshots: the EBS snapshot quota is reached, or the key cannot be used.",
        "Read the snapshot quota (L-309BACF6) and the state and policy of the replication key.",
    ),
    FieldError(
        r"NOT_CONVERGING|UNSTABLE_NETWORK",
        "Data changes faster than it is replicated, or the connection to port 1500 breaks.",
        "Give bandwidth or a larger replication server; look at the staging area's flow log.",
    ),
    FieldError(
        r"FAILED_TO_(CREATE|ATTACH)_STAGING_DISKS",
        "The staging disks cannot be made: the key is disabled, dying or in another Region.",
        "Enable the replication key, and encrypt with it in the recovery Region.",
    ),
    FieldError(
        r"FAILED_TO_(BOOT|PAIR|AUTHENTICATE|DOWNLOAD|LAUNCH|CONNECT|START|CREATE_SECURITY)",
        "The replication server cannot reach DRS, EC2 or S3, or the agent cannot reach it.",
        "Give the staging subnet its endpoints on 443, and open 1500 from the source servers.",
    ),
)


def diagnose(findings: Iterable[Finding], servers: tuple[str, ...] = ()) -> tuple[Cause, ...]:
    """The cause of each symptom; with `servers`, findings of other servers are left out.

    `servers` are ARNs, ids or hostnames, or parts of them that a finding's subject or text holds.
    """
    kept = [each for each in findings if not servers or _about(each, servers)]
    return tuple(_cause(symptom, kept) for symptom in SYMPTOMS)


def unknown(estate: Estate, servers: Iterable[str]) -> tuple[str, ...]:
    """Those of the ARNs, ids or hostnames that no account which could be read shows."""
    shown = [
        f"{server.arn} {server.hostname}"
        for account in estate.protected
        for server in known(account.servers)
    ]
    return tuple(name for name in servers if not any(name in each for each in shown))


def field_errors(findings: Iterable[Finding]) -> tuple[tuple[str, FieldError], ...]:
    """Each message of AWS among the findings that is known from the field, with what is behind it."""
    explained: dict[str, FieldError] = {}
    for finding in findings:
        if finding.outcome is Outcome.HOLDS:
            continue
        for message in finding.messages:
            for error in FIELD_ERRORS:
                if re.search(error.pattern, message.text):
                    explained.setdefault(message.text, error)
                    break
    return tuple(explained.items())


def _about(finding: Finding, servers: tuple[str, ...]) -> bool:
    """True unless the finding is of another server: what concerns an account concerns its servers."""
    if ":source-server/" not in finding.subject:
        return True
    text = finding.subject + " ".join(message.text for message in finding.messages)
    return any(server in text for server in servers)


def _cause(symptom: Symptom, findings: list[Finding]) -> Cause:
    passed: list[str] = []
    for name in symptom.invariants:
        of_name = [each for each in findings if each.invariant == name]
        bad = next(
            (
                each
                for outcome in (Outcome.VIOLATED, Outcome.UNKNOWN)
                for each in of_name
                if each.outcome is outcome
            ),
            None,
        )
        if bad is not None:
            return Cause(symptom, tuple(passed), bad)
        if of_name:
            passed.append(name)
    return Cause(symptom, tuple(passed), None)
