"""Roles that services of AWS assume: their sessions, and clients that call this server with them."""

import os
import secrets
import threading
from typing import Any

import botocore.session
from botocore.config import Config
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from validator.emulator.authorization import allows

_SESSION_SECONDS = 12 * 3600
_lock = threading.Lock()
_clients: dict[tuple[str, str, str, str], tuple[Any, Any]] = {}
_botocore: list[Any] = []


def trusted(role_arn: str, service: str, source_arn: str) -> Any:
    """The role of this ARN if its trust lets a service assume it for a resource, else None."""
    account = role_arn.split(":")[4]
    roles = list(iam_backends[account]["aws"].roles.values())
    role = next((each for each in roles if each.arn == role_arn), None)
    if role is None or not allows(
        role.assume_role_policy_document,
        principal=service,
        action="sts:AssumeRole",
        context={"aws:SourceAccount": source_arn.split(":")[4], "aws:SourceArn": source_arn},
    ):
        return None
    return role


def session(role_arn: str, name: str, region: str) -> Any:
    """A new session of a role, as the service that assumed it gets from STS."""
    backend = sts_backends[role_arn.split(":")[4]]["aws"]
    return backend.assume_role(
        region_name=region,
        role_session_name=name[:64],
        role_arn=role_arn,
        policy="",
        duration=_SESSION_SECONDS,
        external_id="",
    )


def keys(assumed: Any) -> dict[str, str]:
    """The credentials of a session, as botocore takes them."""
    return {
        "aws_access_key_id": assumed.access_key_id,
        "aws_secret_access_key": assumed.secret_access_key,
        "aws_session_token": assumed.session_token,
    }


def client(service: str, region: str, role: Any, caller: str) -> Any:
    """A client that calls this server once with a session of a role, kept as long as the role is.

    `caller` tells the sessions of one role apart.
    """
    with _lock:
        place = (service, region, role.arn, caller)
        known = _clients.get(place)
        if known is not None and known[0] is role:
            return known[1]
        if not _botocore:
            _botocore.append(botocore.session.Session())
        made = _botocore[0].create_client(
            service,
            region_name=region,
            endpoint_url=url(),
            config=Config(
                max_pool_connections=128,
                parameter_validation=False,
                proxies={},
                read_timeout=16 * 60,  # a function may take fifteen minutes
                retries={"mode": "standard", "total_max_attempts": 1},
            ),
            **keys(session(role.arn, secrets.token_hex(16), region)),
        )
        _clients[place] = (role, made)
        return made


def url() -> str:
    """Where this server serves."""
    return f"http://127.0.0.1:{os.environ['MOTO_PORT']}"


def _forget() -> None:
    """Connections and locks belong to one process."""
    global _lock
    _lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=_forget)
