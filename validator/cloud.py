"""Which AWS a command acts on: the real one, or the embedded AWS for the length of the command."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from validator import accounts
from validator.errors import AccountError, UsageError
from validator.tools import emulator

_OTHER_CREDENTIALS = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_SECURITY_TOKEN")


@dataclass(frozen=True, slots=True)
class Cloud:
    """An AWS to act on.

    `label` stands in reports; `identity` tells two embedded AWSs apart; `environment` is what
    child processes and boto3 need to reach it; `embedded` is its URL, None on the real AWS.
    """

    label: str
    identity: str
    environment: Mapping[str, str]
    embedded: str | None


@contextmanager
def opened(choice: str | None, account_ids: tuple[str, ...], root: Path) -> Iterator[Cloud]:
    """The AWS that `choice` (the variable CLOUD) asks for.

    "embedded", "aws", or None: AWS where credentials resolve at once, else embedded. The last of
    `account_ids` is the orchestration account, the caller on the embedded AWS. Raises UsageError
    for another choice, AccountError if the caller of the real AWS is not of the estate.
    """
    if choice not in {None, "", "aws", "embedded"}:
        raise UsageError(f"CLOUD={choice}: must be 'aws' or 'embedded', or not be set.")
    caller = None if choice == "embedded" else accounts.caller(os.environ)
    if choice == "aws" and caller is None:
        raise AccountError(
            "CLOUD=aws, but no AWS credentials were found. Log in, or set CLOUD=embedded."
        )
    if caller is not None:
        if caller not in account_ids:
            raise AccountError(
                f"The AWS credentials belong to account {caller}, which is not of this estate "
                f"({', '.join(account_ids)}). Nothing was run."
            )
        yield Cloud(f"AWS as account {caller}", "aws", dict(os.environ), None)
        return
    with _emulator(account_ids[-1], root) as (running, origin), emulator.watched(running):
        yield _cloud(running, origin, account_ids[-1])


@contextmanager
def embedded(account_ids: tuple[str, ...]) -> Iterator[Cloud]:
    """An embedded AWS of its own, empty, that lives as long as the block."""
    with emulator.started(account_ids[-1]) as running, emulator.watched(running):
        yield _cloud(running, "started for this command", account_ids[-1])


def _cloud(running: emulator.Emulator, origin: str, account_id: str) -> Cloud:
    return Cloud(
        f"the embedded AWS ({origin})",
        f"embedded {running.id}",
        _embedded_environment(running.url, account_id),
        running.url,
    )


@contextmanager
def _emulator(management_account: str, root: Path) -> Iterator[tuple[emulator.Emulator, str]]:
    running = emulator.serving(root / "build" / "emulator.json")
    if running is not None:
        yield running, f"serving at {running.url}"
        return
    with emulator.started(management_account) as started:
        yield started, "started for this command"


def _embedded_environment(url: str, account_id: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _OTHER_CREDENTIALS and not name.startswith("AWS_ENDPOINT_URL")
    }
    no_proxy = ",".join(filter(None, (os.environ.get("NO_PROXY", ""), "127.0.0.1", "localhost")))
    return kept | {
        "AWS_ACCESS_KEY_ID": account_id,
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_ENDPOINT_URL": url,
        "AWS_EC2_METADATA_DISABLED": "true",
        # The provider's own 25 attempts would outlast an embedded AWS that has died.
        "AWS_MAX_ATTEMPTS": "4",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }
