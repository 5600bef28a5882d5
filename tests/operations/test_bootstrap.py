"""Bootstrap on an embedded AWS: safe to repeat, and whole again after a denied call."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ORCHESTRATION, ROOT, TARGET, Embedded
from validator import accounts
from validator.errors import AccountError
from validator.operations.bootstrap import SERVICE_ROLES, bootstrap
from validator.sources import tfvars
from validator.sources.tfvars import Declared

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def declared() -> Declared:
    return tfvars.read(ROOT / "terraform/envs/staging")


def run(declared: Declared, embedded: Embedded, *, dry_run: bool = False) -> list[str]:
    """What bootstrap changed, or would."""
    opener = accounts.opener(
        tfvars.text(declared, "access_role_name"), embedded.environment(ORCHESTRATION)
    )
    steps = bootstrap(declared, opener, on_step=lambda _: None, dry_run=dry_run)
    return [f"{step.account}: {step.text}" for step in steps if step.changed]


def roles(embedded: Embedded) -> dict[str, Any]:
    pages = embedded.client("iam", TARGET).get_paginator("list_roles").paginate()
    return {role["RoleName"]: role for page in pages for role in page["Roles"]}


def test_bootstrap_from_nothing_to_whole(declared: Declared, embedded: Embedded) -> None:
    before = roles(embedded)
    planned = run(declared, embedded, dry_run=True)
    assert roles(embedded) == before
    assert len(planned) == 2 * (len(SERVICE_ROLES) + 2)  # the linked role, and DRS itself

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
