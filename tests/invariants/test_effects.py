"""The invariants on what a plan does: nothing that cuts, destroys or resynchronises is silent."""

from dataclasses import replace
from typing import Any

import pytest

from tests.invariants.complete import (
    HOLDS,
    STAGING_ROLE,
    UNKNOWN,
    UNSEEN,
    VIOLATED,
    Case,
    complete,
    messages,
    outcome,
    with_deployer,
    with_estate,
    with_staging_role,
)
from validator.invariants import INVARIANTS
from validator.model import Change, Estate

WITHIN, RESYNCHRONISED = "changes-stay-within-the-estate", "no-server-is-resynchronised"
DISCONNECTED, TRUST = "no-replication-is-disconnected", "no-trust-is-cut"
KEY, ROLE, TABLE = "no-key-is-destroyed", "no-role-is-destroyed", "no-table-is-destroyed"

TEMPLATE_TYPE = "aws_drs_replication_configuration_template"
ROLE_ADDRESS = f"module.staging-1.aws_iam_role.{STAGING_ROLE}"
OTHER_ROLE_ADDRESS = "module.staging-1.aws_iam_role.DRSOrchestrationRole-staging"
REPLACED = (("delete", "create"), ("create", "delete"))


def planned(
    kind: str, *actions: str, changed: tuple[str, ...] = (), address: str = "", account: Any = ""
) -> Estate:
    """The complete estate with one change planned, in the staging account unless said otherwise."""
    place = address or f"{kind}.this"
    return with_estate(changes=(Change(place, kind, account or "staging-1", actions, changed),))


def updated(kind: str, *changed: str, **more: Any) -> Estate:
    return planned(kind, "update", changed=changed, **more)


def silent(invariant: str, kind: str) -> list[Case]:
    return [
        Case(invariant, f"{action} of {kind}", planned(kind, action), HOLDS)
        for action in ("no-op", "read", "create", "forget")
    ]


def not_understood(invariant: str, kind: str) -> list[Case]:
    return [
        Case(invariant, f"an action not known of {kind}", planned(kind, "vanish"), UNKNOWN),
        Case(invariant, f"no action of {kind}", planned(kind), UNKNOWN),
        Case(invariant, f"an update of {kind} that shows nothing", planned(kind, "update"), UNKNOWN),
        Case(invariant, f"one known action of two of {kind}", planned(kind, "delete", "vanish"), UNKNOWN),
    ]  # fmt: skip


def destroyed(invariant: str, kind: str) -> list[Case]:
    return [
        Case(invariant, "no change", complete(), HOLDS),
        *silent(invariant, kind),
        *not_understood(invariant, kind),
        Case(invariant, "updated", updated(kind, "tags"), HOLDS),
        Case(invariant, "destroyed", planned(kind, "delete"), VIOLATED),
        *(Case(invariant, "/".join(both), planned(kind, *both), VIOLATED) for both in REPLACED),
        Case(invariant, "in an account not seen", planned(kind, "delete", account=UNSEEN), VIOLATED),
        Case(invariant, "something else destroyed", planned("aws_lambda_function", "delete"), HOLDS),
    ]  # fmt: skip


CASES = [
    Case(WITHIN, "no change", complete(), HOLDS),
    Case(WITHIN, "a change of a known account", planned("aws_lambda_function", "delete"), HOLDS),
    Case(WITHIN, "a new resource", planned("aws_lambda_function", "create", account=UNSEEN), HOLDS),
    Case(WITHIN, "a change in an account not seen", planned("aws_lambda_function", "delete", account=UNSEEN), UNKNOWN),
    Case(WITHIN, "a change in an account of no estate", planned("aws_lambda_function", "delete", account="999999999999"), VIOLATED),
    *not_understood(WITHIN, "aws_lambda_function"),
    *destroyed(KEY, "aws_kms_key"),
    Case(KEY, "a replica destroyed", planned("aws_kms_replica_key", "delete"), VIOLATED),
    *destroyed(ROLE, "aws_iam_role"),
    *destroyed(TABLE, "aws_dynamodb_table"),
    Case(RESYNCHRONISED, "no change", complete(), HOLDS),
    *silent(RESYNCHRONISED, TEMPLATE_TYPE),
    *not_understood(RESYNCHRONISED, TEMPLATE_TYPE),
    *not_understood(RESYNCHRONISED, "aws_kms_key"),
    Case(RESYNCHRONISED, "a template deleted seeds nobody", planned(TEMPLATE_TYPE, "delete"), HOLDS),
    Case(RESYNCHRONISED, "another attribute", updated(TEMPLATE_TYPE, "bandwidth_throttling"), HOLDS),
    Case(RESYNCHRONISED, "another policy of a key", updated("aws_kms_key", "policy"), HOLDS),
    Case(RESYNCHRONISED, "another key", updated(TEMPLATE_TYPE, "ebs_encryption_key_arn"), VIOLATED),
    Case(RESYNCHRONISED, "another encryption", updated(TEMPLATE_TYPE, "ebs_encryption"), VIOLATED),
    Case(RESYNCHRONISED, "one of several attributes", updated(TEMPLATE_TYPE, "tags", "ebs_encryption"), VIOLATED),
    *(Case(RESYNCHRONISED, f"template {'/'.join(both)}", planned(TEMPLATE_TYPE, *both), VIOLATED) for both in REPLACED),
    *(Case(RESYNCHRONISED, f"key {'/'.join(both)}", planned("aws_kms_key", *both), VIOLATED) for both in REPLACED),
    Case(RESYNCHRONISED, "a key replaced and left behind", planned("aws_kms_key", "create", "forget"), VIOLATED),
    Case(RESYNCHRONISED, "in an account not seen", updated(TEMPLATE_TYPE, "ebs_encryption", account=UNSEEN), VIOLATED),
    Case(DISCONNECTED, "no change", complete(), HOLDS),
    *silent(DISCONNECTED, TEMPLATE_TYPE),
    *not_understood(DISCONNECTED, TEMPLATE_TYPE),
    Case(DISCONNECTED, "another attribute", updated(TEMPLATE_TYPE, "ebs_encryption"), HOLDS),
    Case(DISCONNECTED, "another policy", updated(TEMPLATE_TYPE, "pit_policy"), VIOLATED),
    *(Case(DISCONNECTED, "/".join(both), planned(TEMPLATE_TYPE, *both), VIOLATED) for both in REPLACED),
    Case(DISCONNECTED, "in an account not seen", updated(TEMPLATE_TYPE, "pit_policy", account=UNSEEN), VIOLATED),
    Case(TRUST, "no change", complete(), HOLDS),
    *silent(TRUST, "aws_iam_role"),
    *not_understood(TRUST, "aws_iam_role"),
    *not_understood(TRUST, "aws_iam_role_policy_attachment"),
    Case(TRUST, "another description", updated("aws_iam_role", "description", address=ROLE_ADDRESS), HOLDS),
    Case(TRUST, "the trust of another role", updated("aws_iam_role", "assume_role_policy", address=OTHER_ROLE_ADDRESS), HOLDS),
    Case(TRUST, "the trust of another role, beside its code", replace(with_deployer(where=f"role.tf:1 ({OTHER_ROLE_ADDRESS})"), changes=updated("aws_iam_role", "assume_role_policy", address=OTHER_ROLE_ADDRESS).changes), HOLDS),
    Case(TRUST, "the trust of the staging role, beside its code", replace(with_staging_role(where=f"role.tf:1 ({ROLE_ADDRESS})"), changes=updated("aws_iam_role", "assume_role_policy", address=ROLE_ADDRESS).changes), VIOLATED),
    Case(TRUST, "a role of the target", planned("aws_iam_role", "delete", account="target"), HOLDS),
    Case(TRUST, "a role of the orchestration account", planned("aws_iam_role", "delete", account="orchestration"), HOLDS),
    Case(TRUST, "a key policy is no trust", updated("aws_kms_key", "policy"), HOLDS),
    Case(TRUST, "a policy attached", planned("aws_iam_role_policy_attachment", "create"), HOLDS),
    Case(TRUST, "the trust of the staging role", updated("aws_iam_role", "assume_role_policy", address=ROLE_ADDRESS), VIOLATED),
    Case(TRUST, "the trust of a role not seen", updated("aws_iam_role", "assume_role_policy"), VIOLATED),
    Case(TRUST, "a role destroyed", planned("aws_iam_role", "delete"), VIOLATED),
    *(Case(TRUST, "/".join(both), planned("aws_iam_role", *both, changed=("tags",), address=ROLE_ADDRESS), VIOLATED) for both in REPLACED),
    Case(TRUST, "another role replaced", planned("aws_iam_role", "delete", "create", changed=("path",), address=OTHER_ROLE_ADDRESS), HOLDS),
    Case(TRUST, "a role that had another name", planned("aws_iam_role", "delete", "create", changed=("name",), address=OTHER_ROLE_ADDRESS), VIOLATED),
    Case(TRUST, "a role replaced without a word of what changed", planned("aws_iam_role", "delete", "create", address=OTHER_ROLE_ADDRESS), VIOLATED),
    Case(TRUST, "a role whose name is not seen", replace(with_deployer(role_name=UNSEEN), changes=updated("aws_iam_role", "assume_role_policy", address=OTHER_ROLE_ADDRESS).changes), VIOLATED),
    Case(TRUST, "an attachment left behind", planned("aws_iam_role_policy_attachment", "create", "forget"), HOLDS),
    Case(TRUST, "a policy detached", planned("aws_iam_role_policy_attachment", "delete"), VIOLATED),
    Case(TRUST, "a policy attached anew", planned("aws_iam_role_policy_attachment", "delete", "create"), VIOLATED),
    Case(TRUST, "a list of policies changed", updated("aws_iam_role_policy_attachments_exclusive", "policy_arns"), VIOLATED),
    Case(TRUST, "in an account not seen", planned("aws_iam_role", "delete", account=UNSEEN), VIOLATED),
    Case(TRUST, "in an account of no estate", planned("aws_iam_role", "delete", account="999999999999"), VIOLATED),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    assert outcome(case.invariant, case.estate) is case.outcome


TOUCHED = [
    ("staging-1", "It touches 300 declared servers."),
    ("target", "It touches 600 declared servers."),
    ("orchestration", "It touches 600 declared servers."),
    ("999999999999", "It touches 600 declared servers."),
    (UNSEEN, "It touches 600 declared servers."),
]


@pytest.mark.parametrize(("account", "sentence"), TOUCHED, ids=[str(t[0])[:20] for t in TOUCHED])
def test_the_finding_says_how_many_servers_it_touches(account: Any, sentence: str) -> None:
    (message,) = messages(KEY, planned("aws_kms_key", "delete", account=account))
    assert sentence in message.text
    assert message.where == "aws_kms_key.this"


def test_a_number_that_is_not_known_stays_violated_and_says_so() -> None:
    whole = planned("aws_kms_key", "delete")
    blind = replace(whole, staging=(replace(whole.staging[0], planned=UNSEEN),))
    assert outcome(KEY, blind) is VIOLATED
    assert UNSEEN.reason in messages(KEY, blind)[0].text


SENTENCES = [
    (KEY, planned("aws_kms_key", "delete", account=UNSEEN), f"does not show ({UNSEEN.reason})"),
    (RESYNCHRONISED, planned("aws_kms_key", "create", "delete"), "replaced by another key"),
    (RESYNCHRONISED, planned(TEMPLATE_TYPE, "create", "delete"), "the whole template"),
    (RESYNCHRONISED, updated(TEMPLATE_TYPE, "tags", "ebs_encryption"), "changes ebs_encryption."),
    (TRUST, planned("aws_iam_role", "delete"), "(which may be a staging role) is destroyed"),
    (TRUST, updated("aws_iam_role", "assume_role_policy", address=ROLE_ADDRESS), f"({STAGING_ROLE}) trusts otherwise"),
    (KEY, planned("aws_kms_key", "vanish"), "vanish to aws_kms_key.this"),
    (KEY, planned("aws_kms_key"), "nothing to aws_kms_key.this"),
]  # fmt: skip


@pytest.mark.parametrize(("invariant", "of", "part"), SENTENCES, ids=[s[2] for s in SENTENCES])
def test_the_finding_says_what_is_done(invariant: str, of: Estate, part: str) -> None:
    (message,) = messages(invariant, of)
    assert part in message.text


@pytest.mark.parametrize("invariant", [RESYNCHRONISED, DISCONNECTED])
def test_a_template_is_said_to_seed_new_servers_only(invariant: str) -> None:
    changed = updated(TEMPLATE_TYPE, "ebs_encryption", "pit_policy")
    (message,) = messages(invariant, changed)
    assert "seeds new servers only" in message.text


def test_effects_are_judged_of_plans_alone() -> None:
    assert {each.views for each in INVARIANTS if each.family == "effects"} == {("plan",)}
