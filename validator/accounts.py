"""The only way into an AWS account: clients by assumed role, and calls whose failure is never silence.

Every error of boto3 becomes an AccountError that names account, Region and operation. No caller
sees boto3, so none can take a refusal for an empty answer. boto3 itself is imported by the first
client, since commands that need no AWS must not wait for it.
"""

import copy
import functools
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from validator.errors import AccountError

Client = Any
Json = dict[str, Any]

ATTEMPTS = 6
_CONFIG: Json = {
    "connect_timeout": 5,
    "read_timeout": 60,
    "max_pool_connections": 32,
    "user_agent_extra": "drs-estate-validator",
}
_SESSION_NAME = "drs-estate-validator"
_EXPIRED = {"ExpiredToken", "ExpiredTokenException"}
_SKEWED = {
    "InvalidSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
_MOST_SKEW = timedelta(minutes=4)
"""AWS refuses a request whose time is five minutes off; the Date header may be a little old."""
_THROTTLED = {"RequestLimitExceeded", "SlowDown", "TooManyRequestsException"}


class CallError(AccountError):
    """AWS answered a call with an error.

    `code` is AWS's own, `status` the HTTP status, `retry_after` the seconds that AWS asks to wait
    (`retryAfterSeconds`), None where it asks for none.
    """

    def __init__(
        self, message: str, code: str, status: int = 400, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.retry_after = retry_after

    @property
    def throttled(self) -> bool:
        """True if AWS did nothing but ask for fewer calls."""
        return self.status == 429 or "Throttl" in self.code or self.code in _THROTTLED


class NoAnswerError(AccountError):
    """No answer came that could be read: the call may or may not have taken effect."""


def uncertain(error: AccountError) -> bool:
    """True if the call may have taken effect in spite of the error."""
    return isinstance(error, NoAnswerError) or (
        isinstance(error, CallError) and error.status >= 500 and not error.throttled
    )


class Opener:
    """Opens the accounts of an estate: each by assuming one role in it."""

    def __init__(
        self, role_name: str, environment: Mapping[str, str], external_ids: Mapping[str, str]
    ) -> None:
        self._role_name = role_name
        self._environment = environment
        self._external_ids = external_ids
        self._session = functools.cache(lambda: _session(environment))

    def open(self, account_id: str, region: str) -> "Opened":
        """A session in an account; raises AccountError if the role cannot be assumed."""
        sts = _client(self._session(), "sts", region, self._environment, ATTEMPTS)
        sts._validator_account = account_id  # the one that is to be entered
        arn = f"arn:aws:iam::{account_id}:role/{self._role_name}"
        params = {"RoleArn": arn, "RoleSessionName": _SESSION_NAME}
        if account_id in self._external_ids:
            params["ExternalId"] = self._external_ids[account_id]
        assumed = _Assumed(lambda: call(sts, "assume_role", **params)["Credentials"])
        return Opened(account_id, region, self._environment, assumed)


class Opened:
    """One account and Region, with the credentials of the assumed role."""

    def __init__(
        self, account_id: str, region: str, environment: Mapping[str, str], assumed: "_Assumed"
    ) -> None:
        self.account_id = account_id
        self.region = region
        self._environment = environment
        self._assumed = assumed
        self._session = _session(environment, assumed)

    def client(
        self, service: str, *, region: str | None = None, attempts: int = ATTEMPTS
    ) -> Client:
        """A client of one AWS service in this account, in its Region unless another is named.

        With `attempts=1` every failure reaches the caller, who then decides whether to repeat.
        """
        where = region or self.region
        made = _client(self._session, service, where, self._environment, attempts)
        made._validator_account = self.account_id
        self._assumed.watch(made)
        return made


class _Assumed:
    """Credentials of an assumed role, assumed again before they end or when AWS calls them expired.

    botocore renews what is about to end, under a lock. Where AWS says "expired" before that (a
    revoked session, a clock that is off), the clock that botocore reads jumps, and it renews.
    """

    def __init__(self, assume: Callable[[], Json]) -> None:
        from botocore.credentials import RefreshableCredentials

        self._assume = assume
        self._expired: set[str] = set()
        first = self._granted()
        self.credentials = RefreshableCredentials(
            first["access_key"],
            first["secret_key"],
            first["token"],
            datetime.fromisoformat(first["expiry_time"]),
            self._granted,
            "assume-role",
            time_fetcher=self._now,
        )

    def watch(self, client: Client) -> None:
        """Repeats each call of a client once with new credentials, if AWS calls the old expired."""
        service = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register_last("request-created", self._signed)
        # botocore takes the first answer of any handler, and its own says no.
        client.meta.events.register_first(f"needs-retry.{service}", self._refused)

    def _granted(self) -> Json:
        granted = self._assume()
        self._key = granted["AccessKeyId"]
        return {
            "access_key": granted["AccessKeyId"],
            "secret_key": granted["SecretAccessKey"],
            "token": granted["SessionToken"],
            "expiry_time": granted["Expiration"].isoformat(),
        }

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=self._key in self._expired)

    @staticmethod
    def _signed(request: Any, **_: Any) -> None:
        found = re.search(r"Credential=([^/]+)/", str(request.headers.get("Authorization", "")))
        request.context["validator_key"] = found[1] if found else ""

    def _refused(self, response: Any, request_dict: Json, **_: Any) -> float | None:
        context = request_dict["context"]
        code = response[1].get("Error", {}).get("Code") if response else None
        if code not in _EXPIRED or "validator_renewed" in context:
            return None
        context["validator_renewed"] = True
        self._expired.add(context["validator_key"])
        return 0.0


def opener(
    role_name: str, environment: Mapping[str, str], external_ids: Mapping[str, str] | None = None
) -> Opener:
    """Opens accounts with the caller that `environment` names, by the role `role_name`.

    `external_ids` holds the external id that the role demands, by account id.
    """
    return Opener(role_name, environment, external_ids or {})


def caller(environment: Mapping[str, str]) -> str | None:
    """The account id of the caller, None where no credentials are configured.

    Raises AccountError for credentials that are there and do not work: that is never "none".
    """
    from botocore.exceptions import BotoCoreError

    try:
        if _session(environment).get_credentials() is None:
            return None
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
        sts = client("sts", region or "us-east-1", environment)
    except BotoCoreError as error:
        raise AccountError(f"The AWS credentials cannot be used: {error}.") from error
    return str(call(sts, "get_caller_identity")["Account"])


def assumed(
    role_arn: str, region: str, environment: Mapping[str, str], external_id: str
) -> dict[str, str]:
    """`environment` with the credentials of a role, for an hour; raises AccountError if refused."""
    granted = call(
        client("sts", region, environment),
        "assume_role",
        RoleArn=role_arn,
        RoleSessionName=_SESSION_NAME,
        ExternalId=external_id,
    )["Credentials"]
    return {
        **environment,
        "AWS_ACCESS_KEY_ID": granted["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": granted["SecretAccessKey"],
        "AWS_SESSION_TOKEN": granted["SessionToken"],
    }


def client(service: str, region: str, environment: Mapping[str, str]) -> Client:
    """A client of one service, with the credentials and endpoint that `environment` names."""
    return _client(_session(environment), service, region, environment, ATTEMPTS)


def _client(
    session: Any, service: str, region: str, environment: Mapping[str, str], attempts: int
) -> Client:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    endpoint = environment.get("AWS_ENDPOINT_URL")
    # "standard" waits between attempts with jitter. A given User-Agent is not put together anew for
    # every call.
    settings = _CONFIG | {
        "retries": {"mode": "standard", "total_max_attempts": attempts},
        "user_agent": f"Boto3/{boto3.__version__}",
    }
    if endpoint is not None:
        settings |= {"proxies": {}, "s3": {"addressing_style": "path"}}
    try:
        with _LOADING:
            return session.client(
                service, region_name=region, endpoint_url=endpoint, config=Config(**settings)
            )
    except (BotoCoreError, ValueError) as error:
        raise AccountError(f"No client of {service} in {region!r}: {error}.") from error


_LOADING = threading.Lock()
"""Accounts are opened at once: without it each would parse the same large models for itself."""


@functools.cache
def _loader() -> Any:
    """botocore's files, read once: a session of its own would read them again for every client.

    So are the models and the classes made of them, of which EC2's has 700 methods: once for all
    sessions that read by this loader, whose handlers of events are the same.
    """
    import botocore.loaders
    from botocore.client import ClientCreator

    loader = botocore.loaders.create_loader()
    for name in ("_load_service_model", "_create_client_class"):
        setattr(ClientCreator, name, _once(getattr(ClientCreator, name), loader))
    return loader


def _once(make: Callable[..., Any], loader: Any) -> Callable[..., Any]:
    """`make` of a creator of clients, done once for each service where it reads by this loader."""
    made: dict[str, Any] = {}

    @functools.wraps(make)
    def once(creator: Any, service: str, *args: Any, **kwargs: Any) -> Any:
        if creator._loader is not loader:
            return make(creator, service, *args, **kwargs)
        if service not in made:
            made[service] = make(creator, service, *args, **kwargs)
        return made[service]

    return once


@functools.cache
def _hooks() -> Any:
    """botocore's own handlers of events, to copy: for each session anew they would take longest."""
    import botocore.hooks
    import botocore.session

    hooks = botocore.hooks.HierarchicalEmitter()
    botocore.session.Session(event_hooks=hooks)
    return hooks


def _session(environment: Mapping[str, str], assumed: _Assumed | None = None) -> Any:
    import boto3
    import botocore.session

    if environment.get("AWS_CONFIG_FILE") != os.devnull:
        # A machine without an instance role must not wait for one.
        os.environ.setdefault("AWS_METADATA_SERVICE_TIMEOUT", "1")
        os.environ.setdefault("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "1")
    hooks = copy.copy(_hooks())
    core = botocore.session.Session(event_hooks=hooks, include_builtin_handlers=False)
    core.register_component("data_loader", _loader())
    if "AWS_ACCESS_KEY_ID" in environment:
        # Explicit keys: neither a profile nor a config file of this machine may mix in.
        core.set_config_variable("profile", None)
        if "AWS_ENDPOINT_URL" in environment:
            for name in ("config_file", "credentials_file"):
                core.set_config_variable(name, os.devnull)
            core.session_var_map["profile"] = (None, None, None, None)
    if assumed is not None:
        core.register_component("credential_provider", _Given(assumed.credentials))
    elif "AWS_ACCESS_KEY_ID" in environment:
        core.set_credentials(
            environment["AWS_ACCESS_KEY_ID"],
            environment.get("AWS_SECRET_ACCESS_KEY", ""),
            environment.get("AWS_SESSION_TOKEN"),
        )
    return boto3.Session(botocore_session=core)


class _Given:
    """Stands where botocore looks for credentials, and has them."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Any:
        """The credentials."""
        return self._credentials


def call(client: Client, operation: str, **params: Any) -> Json:
    """One call's answer; raises CallError for AWS's refusal, AccountError for anything else."""
    with _errors(client, operation):
        answer: Json = getattr(client, operation)(**params)
        return answer


def pages(client: Client, operation: str, key: str, **params: Any) -> Iterator[Any]:
    """Every item of a paginated operation, through empty pages, to the last; raises like `call`."""
    with _errors(client, operation):
        for page in client.get_paginator(operation).paginate(**params):
            if key not in page:
                raise AccountError(f"{where(client, operation)} gave a page without {key}.")
            yield from page[key]


@contextmanager
def _errors(client: Client, operation: str) -> Iterator[None]:
    """Turns every error of botocore into an AccountError that says where it happened."""
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        raise _refused(client, operation, error) from error
    except (ConnectionError, HTTPClientError, ResponseParserError) as error:
        raise NoAnswerError(f"{where(client, operation)} got no answer: {error}") from error
    except BotoCoreError as error:
        raise AccountError(f"{where(client, operation)} failed: {error}") from error


def _refused(client: Client, operation: str, error: Any) -> CallError:
    detail = error.response.get("Error", {})
    code = str(detail.get("Code", "Unknown"))
    http = error.response.get("ResponseMetadata", {})
    headers = http.get("HTTPHeaders", {})
    return CallError(
        f"{where(client, operation)} was refused: {code}: "
        f"{detail.get('Message', 'no message')}{_skew(code, headers)}",
        code,
        int(http.get("HTTPStatusCode", 400)),
        _seconds(error.response.get("retryAfterSeconds", headers.get("retry-after"))),
    )


def _seconds(text: object) -> float | None:
    try:
        return max(0.0, float(str(text)))
    except ValueError:
        return None


def _skew(code: str, headers: Mapping[str, str]) -> str:
    """What to do about a clock that is off, where that is why AWS refused; botocore does not adapt."""
    from email.utils import parsedate_to_datetime

    try:
        off = datetime.now(UTC) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return ""
    if code not in _SKEWED or abs(off) < _MOST_SKEW:
        return ""
    minutes = round(abs(off).total_seconds() / 60)
    ahead = "ahead of" if off > timedelta() else "behind"
    return f". This machine's clock is {minutes} minutes {ahead} AWS's: set it."


def where(client: Client, operation: str) -> str:
    """The account, Region, service and operation of a call, as messages begin."""
    account = getattr(client, "_validator_account", None)
    place = f"Account {account}, " if account else ""
    name = client.meta.method_to_api_mapping.get(operation, operation)
    return f"{place}{client.meta.region_name}: {client.meta.service_model.service_name} {name}"
