"""Payloads: what is taken, and that nothing hostile is; the published schema says the same."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from agent_deployer import request
from agent_deployer.errors import RequestError
from agent_deployer.request import Part
from agent_deployer.settings import Settings

from tests.conftest import ROOT

TARGET, STAGING = "111122223333", "444455556666"
SETTINGS = Settings(
    account_id="777788889999",
    environment="dev",
    external_ids={
        TARGET: f"drs-orchestration-dev-{TARGET}",
        STAGING: f"drs-orchestration-dev-{STAGING}",
    },
    recovery_region="us-west-2",
    source_region="us-east-1",
    target_account_id=TARGET,
)
SCHEMA = json.loads(Path(request.__file__).with_name("payload.schema.json").read_text())
Payload = dict[str, Any]


def role(account: str) -> str:
    return f"arn:aws:iam::{account}:role/DRSOrchestrationRole-dev"


def same_account(**more: Any) -> Payload:
    return {
        "source_account_id": TARGET,
        "staging_account_id": TARGET,
        "source_region": "us-east-1",
        "target_region": "us-west-2",
        "source_role_arn": role(TARGET),
        "staging_role_arn": role(TARGET),
        "external_id": f"drs-orchestration-dev-{TARGET}",
        "deployment_pattern": "same-account",
        **more,
    }


def extended(**more: Any) -> Payload:
    return {
        "source_account_id": STAGING,
        "staging_account_id": STAGING,
        "target_account_id": TARGET,
        "source_region": "us-east-1",
        "target_region": "us-west-2",
        "source_role_arn": role(STAGING),
        "staging_role_arn": role(STAGING),
        "external_id": f"drs-orchestration-dev-{STAGING}",
        "deployment_pattern": "extended-source-servers",
        "extended_source_server_config": {
            "target_account_id": TARGET,
            "shared_kms_key_arn": f"arn:aws:kms:us-west-2:{TARGET}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        },
        **more,
    }


def combined(*deployments: Any, **more: Any) -> Payload:
    return {"deployment_pattern": "combined", "deployments": list(deployments), **more}


def without(payload: Payload, *names: str) -> Payload:
    return {k: v for k, v in payload.items() if k not in names}


IN_TARGET = Part(TARGET, "us-east-1", TARGET)
IN_STAGING = Part(STAGING, "us-east-1", STAGING)
TAKEN = [
    ("instances of the target", same_account(), (IN_TARGET,)),
    ("instances of a staging account", extended(), (IN_STAGING,)),
    ("both", combined(same_account(), extended()), (IN_TARGET, IN_STAGING)),
    ("roles left to the deployer", without(same_account(), "source_role_arn", "staging_role_arn", "external_id"), (IN_TARGET,)),
    ("no key named", extended(extended_source_server_config={"target_account_id": TARGET}), (IN_STAGING,)),
    ("into another account", extended(source_account_id=TARGET, source_role_arn=role(TARGET), external_id=SETTINGS.external_ids[TARGET]), (Part(TARGET, "us-east-1", STAGING),)),
]  # fmt: skip


@pytest.mark.parametrize(("payload", "parts"), [t[1:] for t in TAKEN], ids=[t[0] for t in TAKEN])
def test_a_payload_that_is_taken(payload: Payload, parts: tuple[Part, ...]) -> None:
    jsonschema.validate(payload, SCHEMA)
    assert request.parse(payload, SETTINGS).parts == parts


def test_options_narrow_and_pace_it() -> None:
    options = {
        "deployment_id": "first",
        "waves": ["wave-2", "wave-1"],
        "selectors": {"instance_ids": ["i-0123456789abcdef0"] * 2, "tags": {"team": "a"}},
        "concurrency": {"max_concurrency": "25%", "max_errors": "0"},
        "confirm_seconds": 60,
        "poll_seconds": 5,
        "retry_failed": True,
        "dry_run": True,
    }
    payload = same_account(**options)
    jsonschema.validate(payload, SCHEMA)
    found = request.parse(payload, SETTINGS)
    assert (found.deployment_id, found.waves) == ("first", ("wave-2", "wave-1"))
    assert (found.instance_ids, found.tags) == (("i-0123456789abcdef0",), {"team": "a"})
    assert (found.max_concurrency, found.max_errors) == ("25%", "0")
    assert (found.confirm_seconds, found.poll_seconds) == (60, 5)
    assert found.retry_failed
    assert found.dry_run


STRANGER = "999999999999"
BY_SCHEMA = [
    ("no object", ["same-account"], "must be an object"),
    ("nothing", None, "must be an object"),
    ("a text", "same-account", "must be an object"),
    ("no pattern", without(same_account(), "deployment_pattern"), "deployment_pattern must be one of"),
    ("unknown pattern", same_account(deployment_pattern="everything"), "deployment_pattern must be one of"),
    ("pattern of another type", same_account(deployment_pattern=["same-account"]), "deployment_pattern must be one of"),
    ("account id too short", same_account(source_account_id="11112222333"), "source_account_id must match"),
    ("account id as a number", same_account(source_account_id=111122223333), "source_account_id must be of type string"),
    ("path for an account", same_account(source_account_id="../../etc/passwd"), "source_account_id must match"),
    ("path for a Region", same_account(source_region="us-east-1/../../x"), "source_region must match"),
    ("Region with a line end", same_account(target_region="us-west-2\n"), "target_region must match"),
    ("endpoint for a Region", same_account(source_region="evil.example.com#"), "source_region must match"),
    ("path for a name", same_account(deployment_id="../x"), "deployment_id must match"),
    ("key of the table for a name", same_account(deployment_id="a#capacity"), "deployment_id must match"),
    ("unknown member", same_account(role="arn"), "which is not known"),
    ("unknown member deep down", extended(extended_source_server_config={"target_account_id": TARGET, "x": 1}), "which is not known"),
    ("flag as a text", same_account(dry_run="false"), "dry_run must be of type boolean"),
    ("flag as a number", same_account(retry_failed=1), "retry_failed must be of type boolean"),
    ("number as a flag", same_account(poll_seconds=True), "poll_seconds must be of type integer"),
    ("number too small", same_account(poll_seconds=0), "poll_seconds must be from 1"),
    ("number too large", same_account(poll_seconds=10**9), "poll_seconds must be from 1"),
    ("not a wave", same_account(waves=["wave-0"]), "waves"),
    ("no waves", same_account(waves=[]), "waves"),
    ("not an instance", same_account(selectors={"instance_ids": ["i-x"]}), "instance_ids"),
    ("too many instances", same_account(selectors={"instance_ids": [f"i-{n:017x}" for n in range(4001)]}), "from 1 to 4000"),
    ("a tag's value as a pattern", same_account(selectors={"tags": {"team": "*"}}), "tags"),
    ("concurrency of none", same_account(concurrency={"max_concurrency": "0"}), "max_concurrency"),
    ("errors below none", same_account(concurrency={"max_errors": "-1"}), "max_errors"),
    ("nothing combined", combined(), "from 1 to 100"),
    ("combined in combined", combined(combined(same_account())), "deployment_pattern must be one of"),
    ("combined with a pattern of another type", combined(same_account(deployment_pattern=["same-account"])), "deployment_pattern must be one of"),
    ("name too long for a command's comment", same_account(deployment_id="a" * 61), "deployment_id must match"),
    ("combined with a text", combined("same-account"), "deployment_pattern must be one of"),
    ("no config of the extension's target", extended(extended_source_server_config={}), "lacks target_account_id"),
    ("alias for a key", extended(extended_source_server_config={"target_account_id": TARGET, "shared_kms_key_arn": "alias/x"}), "shared_kms_key_arn must match"),
    ("target missing", without(extended(), "target_account_id"), "lacks target_account_id"),
]  # fmt: skip
BY_ESTATE = [
    ("account of nobody", same_account(source_account_id=STRANGER), f"source_account_id {STRANGER}: is no account"),
    ("into an account of nobody", extended(staging_account_id=STRANGER), f"staging_account_id {STRANGER}: is no account"),
    ("role of another account", same_account(source_role_arn=role(STAGING)), "no other is ever assumed"),
    ("role of a stranger", same_account(staging_role_arn=role(STRANGER)), "no other is ever assumed"),
    ("another role of the account", same_account(source_role_arn=f"arn:aws:iam::{TARGET}:role/Admin"), "no other is ever assumed"),
    ("external id of another account", same_account(external_id=SETTINGS.external_ids[STAGING]), "external_id: is not the one"),
    ("Region of another estate", same_account(target_region="eu-west-1"), "env dev has us-west-2"),
    ("source Region of another estate", same_account(source_region="eu-west-1"), "env dev has us-east-1"),
    ("same account into another", same_account(staging_account_id=STAGING, staging_role_arn=role(STAGING)), "cannot replicate into"),
    ("another target", extended(target_account_id=STAGING), "the target of env dev is"),
    ("another target in the config", extended(extended_source_server_config={"target_account_id": STAGING}), "the target of env dev is"),
    ("extended from the target", extended(staging_account_id=TARGET, staging_role_arn=role(TARGET)), "into which nothing is extended"),
    ("key of another account", extended(extended_source_server_config={"target_account_id": TARGET, "shared_kms_key_arn": f"arn:aws:kms:us-west-2:{STAGING}:key/1"}), "the shared key is the target's"),
    ("one account twice", combined(same_account(), same_account()), "about the same account"),
    ("an option in one of several", combined(same_account(waves=["wave-1"])), "stands beside"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("payload", "message"), [r[1:] for r in BY_SCHEMA], ids=[r[0] for r in BY_SCHEMA]
)
def test_a_payload_that_the_schema_refuses(payload: object, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        request.parse(payload, SETTINGS)
    # Python's $ ends before a line end, and JSON Schema's does not.
    if not isinstance(payload, dict) or "\n" not in str(payload.get("target_region")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(payload, SCHEMA)


@pytest.mark.parametrize(
    ("payload", "message"), [r[1:] for r in BY_ESTATE], ids=[r[0] for r in BY_ESTATE]
)
def test_a_payload_that_the_estate_refuses(payload: Payload, message: str) -> None:
    jsonschema.validate(payload, SCHEMA)
    with pytest.raises(RequestError, match=message):
        request.parse(payload, SETTINGS)


def test_a_payload_of_ten_megabytes() -> None:
    with pytest.raises(RequestError, match="the most"):
        request.parse(same_account(external_id="x" * 10_000_000), SETTINGS)


def test_a_payload_that_is_no_json() -> None:
    nested: Payload = {}
    nested["self"] = nested
    half_a_character = same_account(selectors={"tags": {"team": "\ud800"}})
    for payload in (nested, half_a_character):
        with pytest.raises(RequestError, match="no JSON"):
            request.parse(payload, SETTINGS)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_is_published_with_the_module() -> None:
    readme = (ROOT / "terraform/modules/agent-deployer/README.md").read_text()
    assert "payload.schema.json" in readme
