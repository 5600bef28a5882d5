"""The only way into an AWS account: clients by assumed role, and calls whose failure is never silence.

Every error of boto3 becomes an AccountError that names account, Region and operation. No caller
sees boto3, so none can take a refusal for an empty answer.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from validator.errors import AccountError

Client = Any
Json = dict[str, Any]

_CONFIG: Json = {
    "connect_timeout": 5,
    "read_timeout": 60,
    "retries": {"mode": "standard", "total_max_attempts": 6},
    "max_pool_connections": 32,
    "user_agent_extra": "drs-estate-validator",
}


class CallError(AccountError):
    """AWS answered a call with an error; `code` is AWS's own."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Opener:
    """Opens the accounts of an estate: each by assuming one role in it."""

    def __init__(self, role_name: str, environment: Mapping[str, str]) -> None:
        self._role_name = role_name
        self._environment = environment

    def open(self, account_id: str, region: str, external_id: str | None = None) -> "Opened":
        """A session in an account; raises AccountError if the role cannot be assumed."""
        sts = client("sts", region, self._environment)
        arn = f"arn:aws:iam::{account_id}:role/{self._role_name}"
        params = {"RoleArn": arn, "RoleSessionName": "drs-estate-validator"}
        if external_id is not None:
            params["ExternalId"] = external_id
        granted = call(sts, "assume_role", **params)["Credentials"]
        environment = {
            **self._environment,
            "AWS_ACCESS_KEY_ID": granted["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": granted["SecretAccessKey"],
            "AWS_SESSION_TOKEN": granted["SessionToken"],
        }
        return Opened(account_id, region, environment)


class Opened:
    """One account and Region, with the credentials of the assumed role."""

    def __init__(self, account_id: str, region: str, environment: Mapping[str, str]) -> None:
        self.account_id = account_id
        self.region = region
        self._environment = environment

    def client(self, service: str) -> Client:
        """A client of one AWS service in this account and Region."""
        made = client(service, self.region, self._environment)
        made._validator_account = self.account_id
        return made


def opener(role_name: str, environment: Mapping[str, str]) -> Opener:
    """Opens accounts with the caller that `environment` names, by the role `role_name`."""
    return Opener(role_name, environment)


def caller(environment: Mapping[str, str]) -> str | None:
    """The account id of the caller, None where no credentials are configured.

    Raises AccountError for credentials that are there and do not work: that is never "none".
    """
    try:
        if _session(environment).get_credentials() is None:
            return None
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
        sts = client("sts", region or "us-east-1", environment)
    except BotoCoreError as error:
        raise AccountError(f"The AWS credentials cannot be used: {error}.") from error
    return str(call(sts, "get_caller_identity")["Account"])


def client(service: str, region: str, environment: Mapping[str, str]) -> Client:
    """A client of one service, with the credentials and endpoint that `environment` names."""
    endpoint = environment.get("AWS_ENDPOINT_URL")
    settings = dict(_CONFIG)
    if endpoint is not None:
        settings |= {"proxies": {}, "s3": {"addressing_style": "path"}}
    try:
        return _session(environment).client(
            service, region_name=region, endpoint_url=endpoint, config=Config(**settings)
        )
    except (BotoCoreError, ValueError) as error:
        raise AccountError(f"No client of {service} in {region!r}: {error}.") from error


def _session(environment: Mapping[str, str]) -> boto3.Session:
    if environment.get("AWS_CONFIG_FILE") != os.devnull:
        # A machine without an instance role must not wait for one.
        os.environ.setdefault("AWS_METADATA_SERVICE_TIMEOUT", "1")
        os.environ.setdefault("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "1")
    core = botocore.session.Session()
    if "AWS_ACCESS_KEY_ID" in environment:
        # Explicit keys: neither a profile nor a config file of this machine may mix in.
        core.set_config_variable("profile", None)
        if "AWS_ENDPOINT_URL" in environment:
            for name in ("config_file", "credentials_file"):
                core.set_config_variable(name, os.devnull)
            core.session_var_map["profile"] = (None, None, None, None)
        core.set_credentials(
            environment["AWS_ACCESS_KEY_ID"],
            environment.get("AWS_SECRET_ACCESS_KEY", ""),
            environment.get("AWS_SESSION_TOKEN"),
        )
    return boto3.Session(botocore_session=core)


def call(client: Client, operation: str, **params: Any) -> Json:
    """One call's answer; raises CallError for AWS's refusal, AccountError for anything else."""
    try:
        answer: Json = getattr(client, operation)(**params)
        return answer
    except ClientError as error:
        raise _refused(client, operation, error) from error
    except BotoCoreError as error:
        raise AccountError(f"{_where(client, operation)} failed: {error}") from error


def pages(client: Client, operation: str, key: str, **params: Any) -> Iterator[Any]:
    """Every item of a paginated operation, through empty pages, to the last; raises like `call`."""
    try:
        for page in client.get_paginator(operation).paginate(**params):
            if key not in page:
                raise AccountError(f"{_where(client, operation)} gave a page without {key}.")
            yield from page[key]
    except ClientError as error:
        raise _refused(client, operation, error) from error
    except BotoCoreError as error:
        raise AccountError(f"{_where(client, operation)} failed: {error}") from error


def _refused(client: Client, operation: str, error: ClientError) -> CallError:
    detail = error.response.get("Error", {})
    code = str(detail.get("Code", "Unknown"))
    return CallError(
        f"{_where(client, operation)} was refused: {code}: {detail.get('Message', 'no message')}",
        code,
    )


def _where(client: Client, operation: str) -> str:
    account = getattr(client, "_validator_account", None)
    place = f"Account {account}, " if account else ""
    name = client.meta.method_to_api_mapping.get(operation, operation)
    return f"{place}{client.meta.region_name}: {client.meta.service_model.service_name} {name}"
