"""Which AWS a command acts on: never the real one by accident, and never none in silence."""

import pytest

from tests.conftest import ORCHESTRATION, TARGET, Embedded, Validator

pytestmark = pytest.mark.slow

NO_METADATA = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null"}


def test_another_word_is_refused(called: Validator) -> None:
    done = called("verify", "staging", CLOUD="azure")
    assert done.returncode == 2
    assert "must be 'aws' or 'embedded'" in done.stderr


def test_aws_without_credentials_is_refused(called: Validator) -> None:
    done = called("verify", "staging", CLOUD="aws", HOME="/nonexistent", **NO_METADATA)
    assert done.returncode == 2
    assert "no AWS credentials were found" in done.stderr


def test_a_profile_that_is_not_there_is_an_error_and_not_the_embedded_aws(
    called: Validator,
) -> None:
    done = called("verify", "staging", CLOUD="", AWS_PROFILE="nobody", **NO_METADATA)
    assert done.returncode == 2
    assert "nobody" in done.stderr


def test_credentials_of_another_account_stop_everything(
    called: Validator, embedded: Embedded
) -> None:
    stranger = embedded.environment("999999999999")
    for command in ("plan", "apply", "bootstrap", "verify"):
        done = called(command, "staging", CLOUD="", **stranger, **NO_METADATA)
        assert done.returncode == 2
        assert "999999999999, which is not of this estate" in done.stderr
    seen = embedded.door("calls", method="GET")
    assert {name.split(" ")[0] for name in seen} <= {"sts"}


def test_credentials_of_the_estate_act_on_the_real_aws(
    called: Validator, embedded: Embedded
) -> None:
    caller = embedded.environment(ORCHESTRATION)
    done = called("verify", "staging", CLOUD="", **caller, **NO_METADATA)
    assert f"AWS as account {ORCHESTRATION}" in done.stdout
    assert "UninitializedAccountException" in done.stdout
    assert done.returncode == 1  # there is no staging role
    assert TARGET in done.stdout
