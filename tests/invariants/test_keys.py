"""The invariants on keys: the modules' policies hold, and every change that matters is noticed."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hcl2
import pytest
from hcl2.utils import SerializationOptions

from tests.estates import REGION
from tests.invariants.complete import (
    AWS_RESOURCES_ONLY,
    HOLDS,
    ORCHESTRATION,
    STAGING,
    STAGING_ROLE,
    TARGET,
    UNKNOWN,
    UNSEEN,
    VIA,
    VIOLATED,
    Case,
    bounded,
    complete,
    document,
    edited,
    messages,
    outcome,
    replication_key_statements,
    root,
    shared_key_statements,
    with_key,
    with_shared_key,
    with_staging,
    with_target,
    with_template,
)
from validator.model import Estate

Json = dict[str, Any]
Make = Callable[[], list[Json]]

OWNS, MANAGED = "staging-account-owns-its-replication-key", "replication-key-is-customer-managed"
ENABLED, ROTATED = "key-is-enabled", "key-material-is-rotated"
DELETION, SHARES = "key-deletion-can-be-noticed", "staging-role-can-share-snapshots"
ROLE_EC2 = "staging-role-uses-the-key-through-ec2-only"
TARGET_CAN, SHARED = "target-can-use-the-replication-key", "staging-account-can-use-the-shared-key"
ADMITS, NAMES = "key-admits-only-the-estate", "key-names-every-principal"
OTHERS, GRANTS = "other-accounts-use-the-key-through-ec2-only", "grants-are-for-aws-resources-only"
ADMIN = "owner-keeps-administration"

ROLE = f"arn:aws:iam::{STAGING}:role/service-role/{STAGING_ROLE}"
STRANGER = "arn:aws:iam::999999999999:root"
CALLER, SERVICE = (
    "Condition.StringEquals.kms:CallerAccount",
    "Condition.StringEquals.kms:ViaService",
)
DRS = f"drs.{REGION}.amazonaws.com"
ORGANIZATION = {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}


def key(*statements: Json) -> Estate:
    return with_key(policy=document(*statements))


def change(number: int, path: str, to: Any = None) -> Estate:
    """The replication key's policy with one place of one statement changed."""
    return key(*edited(replication_key_statements, number, path, to))


def without(number: int) -> Estate:
    return key(*(s for n, s in enumerate(replication_key_statements()) if n != number))


def plus(**statement: Any) -> Estate:
    """The replication key's policy with a statement more."""
    more = {"Sid": "More", "Effect": "Allow", "Resource": "*", "Action": "kms:Decrypt", **statement}
    return key(*replication_key_statements(), {k: v for k, v in more.items() if v is not None})


def plus_bounded(*args: Any, **more: Any) -> Estate:
    return key(*replication_key_statements(), bounded("More", *args, **more))


def share(number: int, path: str, to: Any = None) -> Estate:
    return with_shared_key(policy=document(*edited(shared_key_statements, number, path, to)))


def share_without(number: int) -> Estate:
    statements = [s for n, s in enumerate(shared_key_statements()) if n != number]
    return with_shared_key(policy=document(*statements))


def deny(**more: Any) -> Json:
    return {"Effect": "Deny", "Principal": "*", "Action": "kms:ReEncryptTo", **more}


def real_id(**more: Any) -> Estate:
    """The live key, with its ARN, and a Deny on that ARN or another."""
    statement = {"Sid": "D", "Effect": "Deny", "Principal": "*", "Action": "kms:*", **more}
    text = document(*replication_key_statements(), statement)
    return with_key(policy=text, where=f"arn:aws:kms:{REGION}:{STAGING}:key/1")


CASES = [
    Case(OWNS, "its own key", complete(), HOLDS),
    Case(OWNS, "a key that names another account", with_key(account_id=TARGET), VIOLATED),
    Case(OWNS, "the key of the target", with_template(key="alias/drs-shared-ebs-key of target"), VIOLATED),
    Case(OWNS, "a key of another Region", with_key(region="us-east-1"), VIOLATED),
    Case(OWNS, "no key named", with_template(key=None), UNKNOWN),
    Case(OWNS, "a key out of sight", with_template(key="other"), UNKNOWN),
    Case(OWNS, "a Region out of sight", with_key(region=UNSEEN), UNKNOWN),
    Case(OWNS, "no template", with_staging(templates=()), UNKNOWN),
    Case(MANAGED, "a customer-managed key", complete(), HOLDS),
    Case(MANAGED, "no key named", with_template(key=None), VIOLATED),
    Case(MANAGED, "the account's aws/ebs", with_template(key=f"arn:aws:kms:{REGION}:{STAGING}:alias/aws/ebs"), VIOLATED),
    Case(MANAGED, "aws/ebs by name", with_template(key="alias/aws/ebs of staging-1"), VIOLATED),
    Case(MANAGED, "a key out of sight may be AWS's", with_template(key=f"arn:aws:kms:{REGION}:{STAGING}:key/1"), UNKNOWN),
    Case(MANAGED, "no template", with_staging(templates=()), UNKNOWN),
    Case(ENABLED, "enabled", complete(), HOLDS),
    Case(ENABLED, "the replication key disabled", with_key(enabled=False), VIOLATED),
    Case(ENABLED, "the shared key disabled", with_shared_key(enabled=False), VIOLATED),
    Case(ENABLED, "not seen", with_key(enabled=UNSEEN), UNKNOWN),
    Case(ENABLED, "one account's keys not seen", with_target(keys=UNSEEN), UNKNOWN),
    Case(ENABLED, "what is seen is told beside what is not", replace(with_key(enabled=False), target=replace(complete().target, keys=UNSEEN)), VIOLATED),
    Case(ROTATED, "rotated", complete(), HOLDS),
    Case(ROTATED, "not rotated", with_key(rotated=False), VIOLATED),
    Case(ROTATED, "not seen", with_key(rotated=UNSEEN), UNKNOWN),
    Case(DELETION, "30 days", complete(), HOLDS),
    Case(DELETION, "14 days", with_key(deletion_window=14), HOLDS),
    Case(DELETION, "13 days", with_key(deletion_window=13), VIOLATED),
    Case(DELETION, "31 days do not exist", with_key(deletion_window=31), VIOLATED),
    Case(DELETION, "a view that has none", with_key(deletion_window=None), HOLDS),
    Case(DELETION, "not seen", with_key(deletion_window=UNSEEN), UNKNOWN),
    Case(SHARES, "the documented statement", complete(), HOLDS),
    Case(SHARES, "both actions by name", change(1, "Action", ["kms:ReEncryptFrom", "kms:ReEncryptTo"]), HOLDS),
    Case(SHARES, "mixed-case condition keys", change(1, "Condition", {"StringEquals": {"KMS:viaservice": VIA["kms:ViaService"], "kms:calleraccount": STAGING}}), HOLDS),
    Case(SHARES, "one of several principals", change(1, "Principal.AWS", [root(ORCHESTRATION), ROLE]), HOLDS),
    Case(SHARES, "the role's ARN as condition", change(1, "Condition.ArnEquals", {"aws:PrincipalArn": ROLE}), HOLDS),
    Case(SHARES, "another ARN as condition", change(1, "Condition.ArnEquals", {"aws:PrincipalArn": f"{ROLE}0"}), VIOLATED),
    Case(SHARES, "no statement for the role", without(1), VIOLATED),
    Case(SHARES, "its account's root instead", change(1, "Principal.AWS", root(STAGING)), VIOLATED),
    Case(SHARES, "its bare account id instead", change(1, "Principal.AWS", STAGING), VIOLATED),
    Case(SHARES, "a role of another path", change(1, "Principal.AWS", ROLE.replace("service-role/", "")), VIOLATED),
    Case(SHARES, "a role of another partition", change(1, "Principal.AWS", ROLE.replace(":aws:", ":aws-cn:")), VIOLATED),
    Case(SHARES, "a role for another target", change(1, "Principal.AWS", ROLE.replace(TARGET, ORCHESTRATION)), VIOLATED),
    Case(SHARES, "the principal swapped for DRS", change(1, "Principal", {"Service": "drs.amazonaws.com"}), VIOLATED),
    Case(SHARES, "a federated principal", change(1, "Principal", {"Federated": ROLE}), VIOLATED),
    Case(SHARES, "only one of the two actions", change(1, "Action", "kms:ReEncryptFrom"), VIOLATED),
    Case(SHARES, "only the other one", change(1, "Action", "kms:ReEncryptTo"), VIOLATED),
    Case(SHARES, "through DRS", change(1, SERVICE, DRS), VIOLATED),
    Case(SHARES, "in the source Region", change(1, SERVICE, "ec2.us-east-1.amazonaws.com"), VIOLATED),
    Case(SHARES, "for another caller", change(1, CALLER, TARGET), VIOLATED),
    Case(SHARES, "allow turned into deny", change(1, "Effect", "Deny"), VIOLATED),
    Case(SHARES, "a deny for everyone", plus(**deny()), VIOLATED),
    Case(SHARES, "a deny for its account", plus(**deny(Principal={"AWS": STAGING})), VIOLATED),
    Case(SHARES, "a deny that spares others", plus(**deny(Principal=None, NotPrincipal={"AWS": root(TARGET)})), VIOLATED),
    Case(SHARES, "a deny that spares the role", plus(**deny(Principal=None, NotPrincipal={"AWS": [ROLE]})), HOLDS),
    Case(SHARES, "a deny that spares the role's account", plus(**deny(Principal=None, NotPrincipal={"AWS": root(STAGING)})), UNKNOWN),
    Case(SHARES, "a deny outside the organization", plus(**deny(Condition={"StringNotEquals": ORGANIZATION["StringEquals"]})), UNKNOWN),
    Case(SHARES, "a deny under an operator not known", plus(**deny(Condition={"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}})), UNKNOWN),
    Case(SHARES, "a deny of one session", plus(**deny(Principal={"AWS": f"arn:aws:sts::{STAGING}:assumed-role/{STAGING_ROLE}/drs"})), UNKNOWN),
    Case(SHARES, "a deny for a canonical user", plus(**deny(Principal={"CanonicalUser": "a" * 64})), UNKNOWN),
    Case(SHARES, "a deny on a key that may be this one", plus(**deny(Resource=f"arn:aws:kms:{REGION}:{STAGING}:key/1")), UNKNOWN),
    Case(SHARES, "a deny on this very key", real_id(Resource=f"arn:aws:kms:{REGION}:{STAGING}:key/1"), VIOLATED),
    Case(SHARES, "a deny on another key", real_id(Resource=f"arn:aws:kms:{REGION}:{STAGING}:key/2"), HOLDS),
    Case(SHARES, "an organization as condition", change(1, "Condition", ORGANIZATION), UNKNOWN),
    Case(SHARES, "no value to equal", change(1, CALLER, []), UNKNOWN),
    Case(SHARES, "no Resource", change(1, "Resource"), UNKNOWN),
    Case(SHARES, "no Principal", change(1, "Principal"), UNKNOWN),
    Case(SHARES, "a policy that is no JSON", with_key(policy="{"), UNKNOWN),
    Case(SHARES, "a policy not seen", with_key(policy=UNSEEN), UNKNOWN),
    Case(SHARES, "no key in sight", with_staging(keys=()), UNKNOWN),
    Case(ROLE_EC2, "both conditions", complete(), HOLDS),
    Case(ROLE_EC2, "StringLike without a wildcard", change(1, "Condition", {"StringLike": {**VIA, "kms:CallerAccount": STAGING}}), HOLDS),
    Case(ROLE_EC2, "no CallerAccount", change(1, CALLER), VIOLATED),
    Case(ROLE_EC2, "no ViaService", change(1, SERVICE), VIOLATED),
    Case(ROLE_EC2, "no condition", change(1, "Condition"), VIOLATED),
    Case(ROLE_EC2, "another caller", change(1, CALLER, TARGET), VIOLATED),
    Case(ROLE_EC2, "any service", change(1, "Condition", {"StringLike": {"kms:ViaService": "*", "kms:CallerAccount": STAGING}}), VIOLATED),
    Case(ROLE_EC2, "ViaService IfExists", change(1, "Condition", {"StringEqualsIfExists": VIA, "StringEquals": {"kms:CallerAccount": STAGING}}), VIOLATED),
    Case(ROLE_EC2, "a policy not seen", with_key(policy=UNSEEN), UNKNOWN),
    Case(TARGET_CAN, "the documented statement", complete(), HOLDS),
    Case(TARGET_CAN, "its bare account id", change(2, "Principal.AWS", TARGET), HOLDS),
    Case(TARGET_CAN, "NotAction of another", key(*edited(lambda: edited(replication_key_statements, 2, "Action"), 2, "NotAction", "kms:Decrypt")), HOLDS),
    Case(TARGET_CAN, "no statement for the target", without(2), VIOLATED),
    Case(TARGET_CAN, "another account", change(2, "Principal.AWS", root(ORCHESTRATION)), VIOLATED),
    Case(TARGET_CAN, "the target of another partition", change(2, "Principal.AWS", f"arn:aws-cn:iam::{TARGET}:root"), VIOLATED),
    Case(TARGET_CAN, "a federated principal", change(2, "Principal", {"Federated": root(TARGET)}), VIOLATED),
    Case(TARGET_CAN, "only one of the two actions", change(2, "Action", "kms:ReEncryptTo"), VIOLATED),
    Case(TARGET_CAN, "through DRS", change(2, SERVICE, DRS), VIOLATED),
    Case(TARGET_CAN, "a deny that takes it away", plus(**deny(Principal={"AWS": root(TARGET)})), VIOLATED),
    Case(TARGET_CAN, "a deny for all but the staging account", plus(**deny(Principal=None, NotPrincipal={"AWS": root(STAGING)})), VIOLATED),
    Case(TARGET_CAN, "a canonical user", change(2, "Principal", {"CanonicalUser": "a" * 64}), UNKNOWN),
    Case(TARGET_CAN, "one of its principals only", change(2, "Condition.ArnEquals", {"aws:PrincipalArn": f"arn:aws:iam::{TARGET}:role/r"}), UNKNOWN),
    Case(TARGET_CAN, "a policy variable", change(2, CALLER, "${aws:PrincipalAccount}"), UNKNOWN),
    Case(TARGET_CAN, "a policy not seen", with_key(policy=UNSEEN), UNKNOWN),
    Case(SHARED, "the whole EBS set", complete(), HOLDS),
    Case(SHARED, "no shared key", with_target(keys=()), VIOLATED),
    Case(SHARED, "another alias", with_shared_key(aliases=("alias/other",)), VIOLATED),
    Case(SHARED, "in the source Region", with_shared_key(region="us-east-1"), VIOLATED),
    Case(SHARED, "no use", share_without(1), VIOLATED),
    Case(SHARED, "no grants", share_without(2), VIOLATED),
    *(
        Case(SHARED, f"without {action}", share(1, "Action", [a for a in ("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*") if a != action]), VIOLATED)
        for action in ("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*")
    ),
    Case(SHARED, "through DRS", share(1, SERVICE, DRS), VIOLATED),
    Case(SHARED, "grants through DRS", share(2, SERVICE, DRS), VIOLATED),
    Case(SHARED, "another staging account", share(1, "Principal.AWS", root(ORCHESTRATION)), VIOLATED),
    Case(SHARED, "grants in one statement with the rest", with_shared_key(policy=document(shared_key_statements()[0], bounded("All", root(STAGING), "kms:*", STAGING, Bool=AWS_RESOURCES_ONLY))), VIOLATED),
    Case(SHARED, "aliases not seen", with_shared_key(aliases=UNSEEN), UNKNOWN),
    Case(SHARED, "a policy not seen", with_shared_key(policy=UNSEEN), UNKNOWN),
    Case(SHARED, "keys not seen", with_target(keys=UNSEEN), UNKNOWN),
    Case(ADMITS, "the estate only", complete(), HOLDS),
    Case(ADMITS, "a role of the estate", plus_bounded(f"arn:aws:iam::{ORCHESTRATION}:role/r", "kms:Decrypt", ORCHESTRATION), HOLDS),
    Case(ADMITS, "a stranger denied", plus(Effect="Deny", Principal={"AWS": STRANGER}), HOLDS),
    Case(ADMITS, "a stranger", plus(Principal={"AWS": STRANGER}), VIOLATED),
    Case(ADMITS, "a stranger's bare account id", plus(Principal={"AWS": "999999999999"}), VIOLATED),
    Case(ADMITS, "a stranger's role, bounded", plus_bounded("arn:aws:iam::999999999999:role/r", "kms:Decrypt", "999999999999"), VIOLATED),
    Case(ADMITS, "a stranger beside the target", change(2, "Principal.AWS", [root(TARGET), STRANGER]), VIOLATED),
    Case(ADMITS, "an account of another partition", plus(Principal={"AWS": f"arn:aws-cn:iam::{TARGET}:root"}), VIOLATED),
    Case(ADMITS, "everyone", plus(Principal="*"), VIOLATED),
    Case(ADMITS, "everyone as AWS", plus(Principal={"AWS": ["*", root(TARGET)]}), VIOLATED),
    Case(ADMITS, "any account's root", plus(Principal={"AWS": "arn:aws:iam::*:root"}), VIOLATED),
    Case(ADMITS, "everyone who calls for a stranger", plus_bounded("*", "kms:Decrypt", "999999999999"), VIOLATED),
    Case(ADMITS, "a deleted principal", plus(Principal={"AWS": "AROAEXAMPLEEXAMPLE"}), VIOLATED),
    Case(ADMITS, "a service", plus(Principal={"Service": "s3.amazonaws.com"}), VIOLATED),
    Case(ADMITS, "a federated provider", plus(Principal={"Federated": "accounts.google.com"}), VIOLATED),
    Case(ADMITS, "a canonical user", plus(Principal={"CanonicalUser": "a" * 64}), VIOLATED),
    Case(ADMITS, "everyone but one", plus(NotPrincipal={"AWS": STRANGER}), VIOLATED),
    Case(ADMITS, "a policy not seen", with_key(policy=UNSEEN), UNKNOWN),
    Case(NAMES, "every principal", complete(), HOLDS),
    Case(NAMES, "a deny for everyone", plus(Effect="Deny", Principal="*"), HOLDS),
    Case(NAMES, "everyone who calls for the target", plus_bounded("*", "kms:Decrypt", TARGET), VIOLATED),
    Case(NAMES, "everyone as AWS", plus_bounded(["*"], "kms:Decrypt", TARGET), VIOLATED),
    Case(NAMES, "any role of an account", plus_bounded(f"arn:aws:iam::{TARGET}:role/*", "kms:Decrypt", TARGET), VIOLATED),
    Case(NAMES, "everyone but one", plus(NotPrincipal={"AWS": STRANGER}), VIOLATED),
    Case(NAMES, "a policy not seen", with_key(policy=UNSEEN), UNKNOWN),
    Case(OTHERS, "both conditions", complete(), HOLDS),
    Case(OTHERS, "a deny needs no condition", plus(Effect="Deny", Principal={"AWS": root(TARGET)}), HOLDS),
    Case(OTHERS, "its own account needs no condition", plus(Principal={"AWS": f"arn:aws:iam::{STAGING}:role/r"}), HOLDS),
    Case(OTHERS, "mixed-case condition keys", change(2, "Condition", {"StringEquals": {"KMS:viaservice": VIA["kms:ViaService"], "kms:calleraccount": TARGET}}), HOLDS),
    Case(OTHERS, "no CallerAccount", change(2, CALLER), VIOLATED),
    Case(OTHERS, "no ViaService", change(2, SERVICE), VIOLATED),
    Case(OTHERS, "no condition", change(2, "Condition"), VIOLATED),
    Case(OTHERS, "CallerAccount IfExists bounds nothing", change(2, "Condition", {"StringEqualsIfExists": {**VIA, "kms:CallerAccount": TARGET}}), VIOLATED),
    Case(OTHERS, "ForAllValues bounds nothing", change(2, "Condition", {"ForAllValues:StringEquals": {**VIA, "kms:CallerAccount": TARGET}}), VIOLATED),
    Case(OTHERS, "a negated operator bounds nothing", change(2, "Condition", {"StringNotEquals": {**VIA, "kms:CallerAccount": TARGET}}), VIOLATED),
    Case(OTHERS, "a wildcard caller", change(2, "Condition", {"StringLike": {**VIA, "kms:CallerAccount": "*"}}), VIOLATED),
    Case(OTHERS, "a wildcard service", change(2, "Condition", {"StringLike": {"kms:ViaService": "ec2.*.amazonaws.com", "kms:CallerAccount": TARGET}}), VIOLATED),
    Case(OTHERS, "no value for the caller", change(2, CALLER, []), VIOLATED),
    Case(OTHERS, "no value for the service", change(2, SERVICE, []), VIOLATED),
    Case(OTHERS, "another caller", change(2, CALLER, ORCHESTRATION), VIOLATED),
    Case(OTHERS, "two callers", change(2, CALLER, [TARGET, ORCHESTRATION]), VIOLATED),
    Case(OTHERS, "EC2 or anything else", change(2, SERVICE, [*VIA.values(), "s3.us-west-2.amazonaws.com"]), VIOLATED),
    Case(OTHERS, "EC2 in another Region", change(2, SERVICE, "ec2.us-east-1.amazonaws.com"), VIOLATED),
    Case(OTHERS, "through DRS", change(2, SERVICE, DRS), VIOLATED),
    Case(OTHERS, "a bare account id", plus(Principal={"AWS": TARGET}), VIOLATED),
    Case(OTHERS, "a role of the estate", plus(Principal={"AWS": f"arn:aws:iam::{TARGET}:role/r"}), VIOLATED),
    Case(OTHERS, "everyone", plus(Principal={"AWS": ["*"]}), VIOLATED),
    Case(OTHERS, "everyone but one", plus(NotPrincipal={"AWS": STRANGER}), VIOLATED),
    Case(OTHERS, "the shared key's use", share(1, SERVICE), VIOLATED),
    Case(OTHERS, "the shared key's grants", share(2, CALLER), VIOLATED),
    Case(OTHERS, "a key moved to another Region", with_key(region="us-east-1"), VIOLATED),
    Case(OTHERS, "an owner not seen", with_key(account_id=UNSEEN), UNKNOWN),
    Case(OTHERS, "a policy not seen", with_key(policy=UNSEEN), UNKNOWN),
    Case(GRANTS, "for AWS resources", complete(), HOLDS),
    Case(GRANTS, "true as JSON has it", change(3, "Condition.Bool", {"kms:GrantIsForAWSResource": True}), HOLDS),
    Case(GRANTS, "true in another case", change(3, "Condition.Bool", {"KMS:grantisforawsresource": "True"}), HOLDS),
    Case(GRANTS, "NotAction that leaves grants out", plus(Principal={"AWS": root(TARGET)}, Action=None, NotAction=["kms:Create*"]), HOLDS),
    Case(GRANTS, "any grant", change(3, "Condition.Bool"), VIOLATED),
    Case(GRANTS, "grants for others than AWS", change(3, "Condition.Bool", {"kms:GrantIsForAWSResource": "false"}), VIOLATED),
    Case(GRANTS, "true or false", change(3, "Condition.Bool", {"kms:GrantIsForAWSResource": ["true", "false"]}), VIOLATED),
    Case(GRANTS, "only if the key exists", change(3, "Condition", {"StringEquals": {**VIA, "kms:CallerAccount": TARGET}, "BoolIfExists": AWS_RESOURCES_ONLY}), VIOLATED),
    Case(GRANTS, "every action is a grant too", change(2, "Action", "kms:*"), VIOLATED),
    Case(GRANTS, "NotAction is a grant too", key(*edited(lambda: edited(replication_key_statements, 2, "Action"), 2, "NotAction", "kms:Decrypt")), VIOLATED),
    Case(GRANTS, "the shared key's grants", share(2, "Condition.Bool"), VIOLATED),
    Case(GRANTS, "a policy not seen", with_key(policy=UNSEEN), UNKNOWN),
    Case(ADMIN, "the owner's root", complete(), HOLDS),
    Case(ADMIN, "its bare account id", change(0, "Principal.AWS", STAGING), HOLDS),
    Case(ADMIN, "no statement for it", without(0), VIOLATED),
    Case(ADMIN, "another account's root", change(0, "Principal.AWS", root(TARGET)), VIOLATED),
    Case(ADMIN, "its root in another partition", change(0, "Principal.AWS", f"arn:aws-cn:iam::{STAGING}:root"), VIOLATED),
    Case(ADMIN, "one role only", change(0, "Principal.AWS", f"arn:aws:iam::{STAGING}:role/admin"), VIOLATED),
    Case(ADMIN, "without PutKeyPolicy", change(0, "Action", ["kms:Describe*", "kms:ScheduleKeyDeletion"]), VIOLATED),
    Case(ADMIN, "without ScheduleKeyDeletion", change(0, "Action", ["kms:Describe*", "kms:Put*"]), VIOLATED),
    Case(ADMIN, "through EC2 only", change(0, "Condition", {"StringEquals": VIA}), VIOLATED),
    Case(ADMIN, "a deny for everyone", plus(Effect="Deny", Principal="*", Action="kms:Put*"), VIOLATED),
    Case(ADMIN, "from one address", change(0, "Condition", {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), UNKNOWN),
    Case(ADMIN, "a policy not seen", with_key(policy=UNSEEN), UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    assert outcome(case.invariant, case.estate) is case.outcome


def test_a_service_that_never_calls_has_a_sentence_of_its_own() -> None:
    texts = [message.text for message in messages(OTHERS, change(2, SERVICE, DRS))]
    assert any("never applies" in text and DRS in text for text in texts)


OPTIONS = SerializationOptions(strip_string_quotes=True, explicit_blocks=False, with_comments=False)


def pasted(fix: str) -> list[Json]:
    """The statements that the HCL of a fix writes, as JSON."""
    blocks = hcl2.loads(fix + "\n", serialization_options=OPTIONS)["statement"]
    return [
        {
            "Sid": block["sid"],
            "Effect": "Allow",
            "Principal": {p["type"]: p["identifiers"] for p in block["principals"]},
            "Action": block["actions"],
            "Resource": block["resources"],
            "Condition": {
                test: {
                    c["variable"]: c["values"]
                    for c in block.get("condition", [])
                    if c["test"] == test
                }
                for test in {c["test"] for c in block.get("condition", [])}
            },
        }
        for block in blocks
    ]


MENDED = [
    (case, fix)
    for case in CASES
    if case.outcome is VIOLATED and case.invariant in {SHARES, TARGET_CAN, ADMIN, SHARED}
    for fix in {message.fix for message in messages(case.invariant, case.estate)}
    if fix is not None
]


@pytest.mark.parametrize(("case", "fix"), MENDED, ids=[str(case) for case, _ in MENDED])
def test_the_statement_to_paste_mends_what_is_missing(case: Case, fix: str) -> None:
    of_target = case.invariant == SHARED
    account = case.estate.target if of_target else case.estate.staging[0]
    (before,) = account.keys  # type: ignore[misc]
    statements = json.loads(before.policy)["Statement"]  # type: ignore[arg-type]
    assert all(each["Action"] for each in pasted(fix))
    mended = (with_shared_key if of_target else with_key)(
        policy=document(*statements, *pasted(fix)), where=before.where
    )
    assert outcome(case.invariant, mended) is HOLDS


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.outcome is VIOLATED and case.invariant in {SHARES, TARGET_CAN}],
    ids=str,
)
def test_there_is_nothing_to_paste_only_where_a_deny_would_win(case: Case) -> None:
    for message in messages(case.invariant, case.estate):
        assert (message.fix is None) == ("denies it" in message.text)


def test_the_statement_to_paste_is_the_smallest() -> None:
    (message,) = messages(SHARES, change(1, "Action", "kms:ReEncryptFrom"))
    assert message.fix is not None
    (statement,) = pasted(message.fix)
    assert statement["Action"] == ["kms:ReEncryptTo"]
    (message,) = messages(SHARES, without(1))
    assert message.fix is not None
    expected = replication_key_statements()[1]
    (statement,) = pasted(message.fix)
    assert statement["Action"] == [expected["Action"]]
    assert statement["Condition"] == {
        "StringEquals": {
            key: [value] for key, value in expected["Condition"]["StringEquals"].items()
        }
    }
