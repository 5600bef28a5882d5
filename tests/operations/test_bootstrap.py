"""Bootstrap on an embedded AWS: safe to repeat, and whole again after a denied call."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ORCHESTRATION, ROOT, STAGING, TARGET, Embedded
from tests.operations.estates import applied, fresh
from validator import accounts
from validator.errors import AccountError
from validator.model import LaunchSettings
from validator.operations.bootstrap import SERVICE_ROLES, bootstrap, existing_template
from validator.operations.launch import differences
from validator.sources import tfvars
from validator.sources.tfvars import Declared

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def declared() -> Declared:
    return tfvars.read(ROOT / "terraform/envs/staging")


LAUNCH = LaunchSettings(
    copy_private_ip=False,
    copy_tags=True,
    disposition="STOPPED",
    licensing_byol=True,
    right_sizing="BASIC",
)


def run(
    declared: Declared,
    embedded: Embedded,
    *,
    dry_run: bool = False,
    launch: LaunchSettings | None = None,
) -> list[str]:
    """What bootstrap changed, or would."""
    opener = accounts.opener(
        tfvars.text(declared, "access_role_name"), embedded.environment(ORCHESTRATION)
    )
    steps = bootstrap(declared, opener, on_step=lambda _: None, dry_run=dry_run, launch=launch)
    assert not any(step.failed for step in steps)
    return [f"{step.account}: {step.text}" for step in steps if step.changed]


def roles(embedded: Embedded) -> dict[str, Any]:
    pages = embedded.client("iam", TARGET).get_paginator("list_roles").paginate()
    return {role["RoleName"]: role for page in pages for role in page["Roles"]}


def test_bootstrap_from_nothing_to_whole(declared: Declared, embedded: Embedded) -> None:
    before = roles(embedded)
    planned = run(declared, embedded, dry_run=True)
    assert roles(embedded) == before
    assert len(planned) == 2 * (len(SERVICE_ROLES) + 2) + 1  # the linked role, and DRS itself

    embedded.door("faults", {"kind": "deny", "service": "drs", "operation": "InitializeService"})
    with pytest.raises(AccountError, match=f"{TARGET}.*InitializeService.*AccessDenied"):
        run(declared, embedded)
    embedded.door("faults", method="DELETE")

    iam = embedded.client("iam", TARGET)
    policy = SERVICE_ROLES[0].policies[0]
    iam.detach_role_policy(RoleName=SERVICE_ROLES[0].name, PolicyArn=policy)
    mended = run(declared, embedded)
    assert f"target: policies of role {SERVICE_ROLES[0].name} made" in mended
    attached = iam.list_attached_role_policies(RoleName=SERVICE_ROLES[0].name)
    assert policy in [each["PolicyArn"] for each in attached["AttachedPolicies"]]
    assert run(declared, embedded) == run(declared, embedded, dry_run=True) == []


def test_an_account_that_cannot_be_opened_is_an_error(
    declared: Declared, embedded: Embedded, tmp_path: Path
) -> None:
    stranger = accounts.opener("OrganizationAccountAccessRole", embedded.environment(TARGET))
    with pytest.raises(AccountError, match="AssumeRole"):
        bootstrap(declared, stranger, on_step=lambda _: None, dry_run=True)


def launch_templates(drs: Any) -> list[dict[str, Any]]:
    return list(drs.describe_launch_configuration_templates()["items"])


def test_the_launch_template_is_made_once_and_then_only_what_differs_changes(
    embedded: Embedded,
) -> None:
    made = fresh(embedded)
    drs = made.drs(TARGET)
    planned = run(made.declared, embedded, dry_run=True, launch=LAUNCH)
    assert "target: launch configuration template would be made" in planned
    run(made.declared, embedded, launch=LAUNCH)
    (template,) = launch_templates(drs)
    assert not differences(LAUNCH, template)
    assert launch_templates(made.drs(STAGING)) == []
    assert run(made.declared, embedded, launch=LAUNCH) == []

    changed = replace(LAUNCH, disposition="STARTED")
    text = "target: launch configuration template {}changed: launchDisposition"
    assert run(made.declared, embedded, dry_run=True, launch=changed) == [text.format("would be ")]
    assert launch_templates(drs) == [template]
    assert run(made.declared, embedded, launch=changed) == [text.format("")]
    assert launch_templates(drs) == [{**template, "launchDisposition": "STARTED"}]


def test_without_launch_settings_no_launch_template_is_touched(embedded: Embedded) -> None:
    made = fresh(embedded)
    run(made.declared, embedded)
    assert launch_templates(made.drs(TARGET)) == []


def test_the_replication_template_that_is_there_is_found(embedded: Embedded) -> None:
    made = fresh(embedded)
    assert existing_template(made.opener, STAGING, made.region) is None  # not initialised
    made = applied(embedded)
    assert existing_template(made.opener, TARGET, made.region) is None
    (template,) = made.drs(STAGING).describe_replication_configuration_templates()["items"]
    found = existing_template(made.opener, STAGING, made.region)
    assert found == template["replicationConfigurationTemplateID"]


def test_a_template_that_cannot_be_looked_for_is_an_error(embedded: Embedded) -> None:
    made = applied(embedded)
    embedded.door("faults", {"kind": "deny", "service": "drs"})
    with pytest.raises(AccountError, match="AccessDenied"):
        existing_template(made.opener, STAGING, made.region)
    embedded.door("faults", method="DELETE")
