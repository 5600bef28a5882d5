"""Mutants: good envs with one thing broken, each with the invariant that must notice.

A mutant is one edit of env `staging` or of a module that it calls, or one change in its plan.
`tests/mutation.py` judges them.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from validator.invariants.keys import SHORTEST_WINDOW
from validator.quotas import (
    POINTS_BESIDES_DAYS,
    REPLICATING_SERVERS,
    SERVERS_IN_ALL_JOBS,
    SNAPSHOTS,
    TOTAL_SERVERS,
    TRUSTED_ACCOUNTS,
)

ROOT = Path(__file__).parents[1]
TERRAFORM = ROOT / "terraform"
ENV = "staging"
TARGET, STAGING, ORCHESTRATION = "111122223333", "444455556666", "777788889999"
STRANGER = "210987654321"

PLACED = "resources-land-in-their-declared-account"
HELD = "provider-is-held-to-one-account"
ASSUMES = "provider-assumes-a-role-of-its-account"
ROLES = "accounts-have-their-roles"
DEPLOYED, TRACKED = "agent-deployer-is-deployed", "deployments-are-tracked"
ASSUMED = "assume-role-is-bounded"

TFVARS = f"envs/{ENV}/estate.auto.tfvars"
TARGET_TF, STAGING_TF, ORCHESTRATION_TF = (
    f"envs/{ENV}/{name}.tf" for name in ("target", "staging-1", "orchestration")
)
KEY, KEY_POLICY = "modules/replication-key/key.tf", "modules/replication-key/policy.tf"
SHARED, SHARED_POLICY = "modules/shared-key/key.tf", "modules/shared-key/policy.tf"
TRUST = "modules/staging-trust/role.tf"
TEMPLATE = "modules/replication-template/template.tf"
SERVERS = "modules/staging-area/replication_servers.tf"
FLOW_LOG = "modules/staging-area/flow_log.tf"
AGENT = "modules/agent-instance-profile/role.tf"
DEPLOYER, DEPLOYER_MAY = (f"modules/orchestration-role/{n}.tf" for n in ("role", "permissions"))
CONTINUOUS = "modules/continuous-verification/role.tf"
FUNCTION, FUNCTION_MAY, FUNCTION_ROLE, MACHINE, TABLE = (
    f"modules/agent-deployer/{n}.tf"
    for n in ("function", "permissions", "role", "machine", "table")
)
VERIFIER, VERIFIER_MAY = (f"modules/verifier-role/{n}.tf" for n in ("role", "permissions"))


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement of text in a file under terraform/, where it stands first."""

    file: str
    before: str
    after: str

    def apply(self, terraform: Path) -> None:
        """Makes the edit in a copy of terraform/; raises ValueError if the text is not there."""
        file = terraform / self.file
        text = file.read_text()
        if self.before not in text or self.before == self.after:
            raise ValueError(f"{self.file} does not hold what is to be replaced: {self.before}")
        file.write_text(text.replace(self.before, self.after, 1))


@dataclass(frozen=True, slots=True)
class Mutant:
    """An edit that breaks a good env, with the invariant and the outcome that it must have.

    `given` is an edit that a good env may have as well; it is made first.
    """

    name: str
    invariant: str
    file: str
    before: str
    after: str
    outcome: str = "violated"
    given: Edit | None = None

    def apply(self, terraform: Path) -> None:
        """Makes the mutant of a copy of terraform/."""
        if self.given is not None:
            self.given.apply(terraform)
        Edit(self.file, self.before, self.after).apply(terraform)


@functools.cache
def text(file: str) -> str:
    """The text of a file under terraform/."""
    return (TERRAFORM / file).read_text()


def block(file: str, line: str) -> str:
    """The block around the first line that holds `line`, by its indentation."""
    lines = text(file).splitlines(keepends=True)
    (at, *_) = [number for number, each in enumerate(lines) if line in each]
    first = next(n for n in range(at, -1, -1) if re.match(r"\s*[a-z].*\{$", lines[n]))
    indent = re.match(r"\s*", lines[first])
    assert indent is not None
    last = next(n for n in range(first, len(lines)) if lines[n] == f"{indent[0]}}}\n")
    return "".join(lines[first : last + 1])


def statement(file: str, sid: str) -> str:
    """The statement of a policy whose sid begins so."""
    found = next(each for each in text(file).splitlines() if re.search(rf'sid +=\s"{sid}', each))
    return block(file, found)


def changed(
    name: str,
    invariant: str,
    file: str,
    around: str,
    old: str,
    new: str,
    outcome: str = "violated",
    given: Edit | None = None,
) -> Mutant:
    """A mutant with `new` for `old` in a piece of a file, such as a statement or a module call."""
    if old not in around:
        raise ValueError(f"{file}: {old!r} does not stand in: {around}")
    return Mutant(name, invariant, file, around, around.replace(old, new, 1), outcome, given)


def module(file: str) -> str:
    """What a mutant of a file is called after: its module, or the env's file."""
    parts = file.split("/")
    return parts[1] if parts[0] == "modules" else Path(file).stem.removesuffix(".auto")


# Conditions: each of every key, trust and permission policy is left out.

FULL = Edit(
    STAGING_TF,
    "  staging_role_ids   =",
    "  full_ebs_access    = true\n  staging_role_ids   =",
)
"""The opt-in statements of the replication key."""

CONDITIONS = [
    (KEY_POLICY, "StagingRoleShares", "kms:CallerAccount", "staging-role-uses-the-key-through-ec2-only"),
    (KEY_POLICY, "StagingRoleShares", "kms:ViaService", "staging-role-uses-the-key-through-ec2-only"),
    (KEY_POLICY, "TargetUses", "kms:CallerAccount", "other-accounts-use-the-key-through-ec2-only"),
    (KEY_POLICY, "TargetUses", "kms:ViaService", "other-accounts-use-the-key-through-ec2-only"),
    (KEY_POLICY, "TargetReads", "kms:CallerAccount", "other-accounts-use-the-key-through-ec2-only"),
    (KEY_POLICY, "TargetReads", "kms:ViaService", "other-accounts-use-the-key-through-ec2-only"),
    (KEY_POLICY, "TargetGrants", "kms:GrantIsForAWSResource", "grants-are-for-aws-resources-only"),
    (KEY_POLICY, "TargetGrants", "kms:CallerAccount", "other-accounts-use-the-key-through-ec2-only"),
    (KEY_POLICY, "TargetGrants", "kms:ViaService", "other-accounts-use-the-key-through-ec2-only"),
    (SHARED_POLICY, "StagingUses", "kms:CallerAccount", "other-accounts-use-the-key-through-ec2-only"),
    (SHARED_POLICY, "StagingUses", "kms:ViaService", "other-accounts-use-the-key-through-ec2-only"),
    (SHARED_POLICY, "StagingGrants", "kms:GrantIsForAWSResource", "grants-are-for-aws-resources-only"),
    (SHARED_POLICY, "StagingGrants", "kms:CallerAccount", "other-accounts-use-the-key-through-ec2-only"),
    (SHARED_POLICY, "StagingGrants", "kms:ViaService", "other-accounts-use-the-key-through-ec2-only"),
    (TRUST, "DrsActsForTheTarget", "sts:SourceIdentity", "staging-role-is-for-its-target-only"),
    (TRUST, "DrsActsForTheTarget", "aws:SourceAccount", "staging-role-is-for-its-target-only"),
    (TRUST, "DrsActsForTheTarget", "aws:SourceArn", "staging-role-is-for-its-target-only"),
    (DEPLOYER, "OnePrincipal", "aws:PrincipalArn", "role-trusts-one-exact-principal"),
    (DEPLOYER, "OnePrincipal", "sts:ExternalId", "role-demands-an-external-id"),
    (DEPLOYER_MAY, "SendToTaggedInstances", "ssm:resourceTag/dr:enabled", "send-command-is-bounded"),
    (VERIFIER, "OnePrincipal", "aws:PrincipalArn", "role-trusts-one-exact-principal"),
    (VERIFIER, "OnePrincipal", "sts:ExternalId", "role-demands-an-external-id"),
    (CONTINUOUS, "WorkflowWithExternalId", "aws:PrincipalArn", "role-trusts-one-exact-principal"),
    (CONTINUOUS, "WorkflowWithExternalId", "sts:ExternalId", "role-demands-an-external-id"),
    (FLOW_LOG, "FlowLogsOfThisAccount", "aws:SourceAccount", "services-act-for-the-estate-only"),
    (FUNCTION_MAY, "Deploy", "sts:ExternalId", ASSUMED),
    (FUNCTION_ROLE, "StateMachine", "aws:SourceArn", "services-act-for-the-estate-only"),
]  # fmt: skip


def _conditions() -> Iterator[Mutant]:
    for file, sid, variable, invariant in CONDITIONS:
        whole = statement(file, sid)
        condition = next(c for c in condition_blocks(whole) if f'"{variable}"' in c)
        given = FULL if (file, sid) in OPTED else None
        name = f"{module(file)}: {sid} without {variable}"
        yield changed(name, invariant, file, whole, f"\n{condition}", "", given=given)


OPTED = {(KEY_POLICY, "TargetReads"), (KEY_POLICY, "TargetGrants")}
"""The statements that stand in the policy only if they are asked for."""


def condition_blocks(within: str) -> list[str]:
    """The condition blocks in a piece of HCL."""
    return re.findall(r"^ *condition \{\n.*?^ *\}\n", within, re.S | re.M)


# Principals: each is somebody else.

_ROOT = "arn:aws:iam::{}:root"
STRANGERS_ROOT = _ROOT.format(STRANGER)
PRINCIPALS = [
    (KEY_POLICY, "Administration", "*", "key-admits-only-the-estate"),
    (KEY_POLICY, "Administration", STRANGERS_ROOT, "key-admits-only-the-estate"),
    (KEY_POLICY, "Administration", _ROOT.format(TARGET), "owner-keeps-administration"),
    (KEY_POLICY, "StagingRoleShares", "*", "key-names-every-principal"),
    (KEY_POLICY, "StagingRoleShares", STRANGERS_ROOT, "key-admits-only-the-estate"),
    (KEY_POLICY, "StagingRoleShares", _ROOT.format(STAGING), "staging-role-can-share-snapshots"),
    (KEY_POLICY, "StagingRoleShares", _ROOT.format(TARGET), "staging-role-can-share-snapshots"),
    (KEY_POLICY, "TargetUses", "*", "key-names-every-principal"),
    (KEY_POLICY, "TargetUses", STRANGERS_ROOT, "key-admits-only-the-estate"),
    (KEY_POLICY, "TargetUses", _ROOT.format(STAGING), "target-can-use-the-replication-key"),
    (KEY_POLICY, "TargetReads", "*", "key-names-every-principal"),
    (KEY_POLICY, "TargetReads", STRANGERS_ROOT, "key-admits-only-the-estate"),
    (KEY_POLICY, "TargetGrants", "*", "key-names-every-principal"),
    (KEY_POLICY, "TargetGrants", STRANGERS_ROOT, "key-admits-only-the-estate"),
    (SHARED_POLICY, "Administration", "*", "key-admits-only-the-estate"),
    (SHARED_POLICY, "Administration", STRANGERS_ROOT, "key-admits-only-the-estate"),
    (SHARED_POLICY, "Administration", _ROOT.format(STAGING), "owner-keeps-administration"),
    (SHARED_POLICY, "StagingUses", "*", "key-names-every-principal"),
    (SHARED_POLICY, "StagingUses", STRANGERS_ROOT, "key-admits-only-the-estate"),
    (SHARED_POLICY, "StagingUses", _ROOT.format(TARGET), "staging-account-can-use-the-shared-key"),
    (SHARED_POLICY, "StagingGrants", "*", "key-names-every-principal"),
    (SHARED_POLICY, "StagingGrants", STRANGERS_ROOT, "key-admits-only-the-estate"),
    (SHARED_POLICY, "StagingGrants", _ROOT.format(TARGET), "staging-account-can-use-the-shared-key"),
    (TRUST, "DrsActsForTheTarget", "*", "staging-role-is-for-its-target-only"),
    (TRUST, "DrsActsForTheTarget", "ec2.amazonaws.com", "staging-account-trusts-its-target"),
    (TRUST, "DrsActsForTheTarget", _ROOT.format(TARGET), "staging-role-is-for-its-target-only"),
    (DEPLOYER, "OnePrincipal", "*", "role-trusts-one-exact-principal"),
    (DEPLOYER, "OnePrincipal", STRANGERS_ROOT, "role-admits-only-the-estate"),
    (DEPLOYER, "OnePrincipal", _ROOT.format(TARGET), "role-trusts-one-exact-principal"),
    (VERIFIER, "OnePrincipal", "*", "role-trusts-one-exact-principal"),
    (VERIFIER, "OnePrincipal", STRANGERS_ROOT, "role-admits-only-the-estate"),
    (VERIFIER, "OnePrincipal", _ROOT.format(STAGING), "role-trusts-one-exact-principal"),
    (CONTINUOUS, "Function", "*", "role-trusts-one-exact-principal"),
    (CONTINUOUS, "Function", STRANGERS_ROOT, "role-admits-only-the-estate"),
    (CONTINUOUS, "WorkflowWithExternalId", "*", "role-trusts-one-exact-principal"),
    (CONTINUOUS, "WorkflowWithExternalId", STRANGERS_ROOT, "role-admits-only-the-estate"),
    (CONTINUOUS, "WorkflowWithExternalId", _ROOT.format(TARGET), "role-trusts-one-exact-principal"),
    (AGENT, "Instances", "*", "role-trusts-one-exact-principal"),
    (AGENT, "Instances", STRANGERS_ROOT, "role-admits-only-the-estate"),
    (FUNCTION_ROLE, "Function", "*", "role-trusts-one-exact-principal"),
    (FUNCTION_ROLE, "Function", STRANGERS_ROOT, "role-admits-only-the-estate"),
    (FUNCTION_ROLE, "StateMachine", "*", "role-trusts-one-exact-principal"),
    (FUNCTION_ROLE, "StateMachine", STRANGERS_ROOT, "role-admits-only-the-estate"),
    (FLOW_LOG, "FlowLogsOfThisAccount", "*", "role-trusts-one-exact-principal"),
    (FLOW_LOG, "FlowLogsOfThisAccount", STRANGERS_ROOT, "role-admits-only-the-estate"),
]  # fmt: skip


def _principals() -> Iterator[Mutant]:
    for file, sid, principal, invariant in PRINCIPALS:
        whole = statement(file, sid)
        written = block_in(whole, "principals")
        kind = "Service" if principal.endswith(".amazonaws.com") else "AWS"
        other = re.sub(r'type( +)= "\w+"', rf'type\1= "{kind}"', written)
        other = re.sub(r"identifiers = .*", f'identifiers = ["{principal}"]', other)
        given = FULL if (file, sid) in OPTED else None
        who = "everyone" if principal == "*" else principal
        yield changed(f"{module(file)}: {sid} for {who}", invariant, file, whole, written, other, given=given)  # fmt: skip


def block_in(within: str, head: str) -> str:
    """The first block of a kind in a piece of HCL."""
    (found, *_) = re.findall(rf"^ *{head} \{{\n.*?^ *\}}\n", within, re.S | re.M)
    return str(found)


# Actions: each of a key or trust policy is left out, and each policy allows too much.

_NONE = "kms:ListAliases"
ACTIONS = [
    (KEY_POLICY, "Administration", '"kms:*"', '"kms:DescribeKey"', "owner-keeps-administration"),
    (KEY_POLICY, "Administration", '"kms:*"', '"kms:Put*", "kms:Describe*"', "owner-keeps-administration"),
    (KEY_POLICY, "StagingRoleShares", '"kms:ReEncrypt*"', '"kms:ReEncryptFrom"', "staging-role-can-share-snapshots"),
    (KEY_POLICY, "StagingRoleShares", '"kms:ReEncrypt*"', '"kms:ReEncryptTo"', "staging-role-can-share-snapshots"),
    (KEY_POLICY, "StagingRoleShares", '"kms:ReEncrypt*"', '"kms:Decrypt"', "staging-role-can-share-snapshots"),
    (KEY_POLICY, "TargetUses", '"kms:ReEncrypt*"', '"kms:ReEncryptFrom"', "target-can-use-the-replication-key"),
    (KEY_POLICY, "TargetUses", '"kms:ReEncrypt*"', '"kms:ReEncryptTo"', "target-can-use-the-replication-key"),
    (KEY_POLICY, "TargetUses", '"kms:ReEncrypt*"', '"kms:Decrypt"', "target-can-use-the-replication-key"),
    (KEY_POLICY, "TargetUses", '"kms:ReEncrypt*"', '"kms:*"', "grants-are-for-aws-resources-only"),
    (KEY_POLICY, "TargetReads", '"kms:Decrypt", ', '"kms:Decrypt", "kms:CreateGrant", ', "grants-are-for-aws-resources-only"),
    (SHARED_POLICY, "Administration", '"kms:*"', '"kms:DescribeKey"', "owner-keeps-administration"),
    (SHARED_POLICY, "StagingUses", '        "kms:Decrypt",\n', "", "staging-account-can-use-the-shared-key"),
    (SHARED_POLICY, "StagingUses", '        "kms:DescribeKey",\n', "", "staging-account-can-use-the-shared-key"),
    (SHARED_POLICY, "StagingUses", '        "kms:GenerateDataKeyWithoutPlaintext",\n', "", "staging-account-can-use-the-shared-key"),
    (SHARED_POLICY, "StagingUses", '        "kms:ReEncrypt*",\n', "", "staging-account-can-use-the-shared-key"),
    (SHARED_POLICY, "StagingUses", '"kms:ReEncrypt*"', '"kms:*"', "grants-are-for-aws-resources-only"),
    (SHARED_POLICY, "StagingGrants", '"kms:CreateGrant"', '"kms:ListGrants"', "staging-account-can-use-the-shared-key"),
    (TRUST, "DrsActsForTheTarget", '"sts:AssumeRole", ', "", "staging-account-trusts-its-target"),
    (TRUST, "DrsActsForTheTarget", ', "sts:SetSourceIdentity"', "", "staging-account-trusts-its-target"),
    (DEPLOYER_MAY, "Read", '"drs:DescribeSourceServers"', '"drs:*"', "role-names-its-actions"),
    (DEPLOYER_MAY, "Read", '"ssm:ListCommands"', '"ssm:SendCommand"', "send-command-is-bounded"),
    (DEPLOYER_MAY, "Read", '"ec2:DescribeInstances"', '"iam:PassRole"', "pass-role-is-bounded"),
    (DEPLOYER_MAY, "SendTheInstallDocument", '"ssm:SendCommand"', '"ssm:*"', "role-names-its-actions"),
    (DEPLOYER_MAY, "SendToTaggedInstances", '"ssm:SendCommand"', '"*"', "role-names-its-actions"),
    (VERIFIER_MAY, "Read", '"drs:DescribeSourceServers"', '"*"', "role-names-its-actions"),
    (VERIFIER_MAY, "ReadServers", '"drs:DescribeRecoverySnapshots"', '"drs:*"', "role-names-its-actions"),
    (VERIFIER_MAY, "ReadKeys", '"kms:DescribeKey"', '"kms:*"', "role-names-its-actions"),
    (VERIFIER_MAY, "ReadRoles", '"iam:GetRolePolicy"', '"iam:*"', "role-names-its-actions"),
    (VERIFIER_MAY, "ReadRoles", '"iam:GetRolePolicy"', '"iam:PassRole"', "pass-role-is-bounded"),
    (FLOW_LOG, "WriteTheFlowLog", '"logs:CreateLogGroup"', '"logs:*"', "role-names-its-actions"),
    (FUNCTION_MAY, "KeepRecords", '"dynamodb:GetItem"', '"dynamodb:*"', "role-names-its-actions"),
    (FUNCTION_MAY, "StartDeployments", '"states:StartExecution"', '"sts:AssumeRole"', ASSUMED),
    (FUNCTION_MAY, "Deploy", '"sts:AssumeRole"', '"sts:*"', "role-names-its-actions"),
    (FUNCTION_MAY, "MakeSteps", '"lambda:InvokeFunction"', '"lambda:*"', "role-names-its-actions"),
    (FLOW_LOG, "FindTheLogGroup", "actions   =", "not_actions =", "role-names-its-actions"),
]  # fmt: skip

# Whatever else stands in a statement.

STATEMENTS = [
    ("StagingRoleShares through DRS", KEY_POLICY, "StagingRoleShares", "ec2.${var.region}", "drs.${var.region}", "staging-role-can-share-snapshots"),
    ("TargetUses through DRS", KEY_POLICY, "TargetUses", "ec2.${var.region}", "drs.${var.region}", "target-can-use-the-replication-key"),
    ("TargetUses through EC2 of another Region", KEY_POLICY, "TargetUses", "${var.region}", "eu-west-1", "target-can-use-the-replication-key"),
    ("TargetUses through EC2 of any Region", KEY_POLICY, "TargetUses", '"ec2.${var.region}.amazonaws.com"', '"ec2.${var.region}.amazonaws.com", "ec2.eu-west-1.amazonaws.com"', "other-accounts-use-the-key-through-ec2-only"),
    ("TargetUses where the caller's account is missing", KEY_POLICY, "TargetUses", '"StringEquals"', '"StringEqualsIfExists"', "other-accounts-use-the-key-through-ec2-only"),
    ("TargetUses for another caller", KEY_POLICY, "TargetUses", "values   = [statement.value]", f'values   = ["{STRANGER}"]', "target-can-use-the-replication-key"),
    ("TargetUses denied", KEY_POLICY, "TargetUses", "      actions  ", '      effect    = "Deny"\n      actions  ', "target-can-use-the-replication-key"),
    ("StagingRoleShares for the role without its path", KEY_POLICY, "StagingRoleShares", "role/service-role/DRS", "role/DRS", "staging-role-can-share-snapshots"),
    ("StagingRoleShares for another target's role", KEY_POLICY, "StagingRoleShares", "DRSStagingAccountRole_${statement.value}", f"DRSStagingAccountRole_{STRANGER}", "staging-role-can-share-snapshots"),
    ("StagingRoleShares of another account's role", KEY_POLICY, "StagingRoleShares", "arn:aws:iam::${var.account_id}", f"arn:aws:iam::{STRANGER}", "key-admits-only-the-estate"),
    ("StagingRoleShares with a role of another partition", KEY_POLICY, "StagingRoleShares", "arn:aws:iam", "arn:aws-us-gov:iam", "key-policy-stays-in-its-partition"),
    ("TargetUses of another partition", KEY_POLICY, "TargetUses", "arn:aws:iam", "arn:aws-cn:iam", "key-policy-stays-in-its-partition"),
    ("everyone but the target", KEY_POLICY, "TargetUses", "principals {", "not_principals {", "key-names-every-principal"),
    ("StagingUses through DRS", SHARED_POLICY, "StagingUses", "ec2.${var.region}", "drs.${var.region}", "staging-account-can-use-the-shared-key"),
    ("StagingGrants for anything", SHARED_POLICY, "StagingGrants", '["true"]', '["true", "false"]', "grants-are-for-aws-resources-only"),
    ("StagingGrants for another caller", SHARED_POLICY, "StagingGrants", "values   = [statement.value]", f'values   = ["{STRANGER}"]', "staging-account-can-use-the-shared-key"),
    ("trust for any source account", TRUST, "DrsActsForTheTarget", 'variable = "aws:SourceAccount"\n      values   = [var.target_account_id]', 'variable = "aws:SourceAccount"\n      values   = ["*"]', "staging-role-is-for-its-target-only"),
    ("trust for any source identity", TRUST, "DrsActsForTheTarget", 'variable = "sts:SourceIdentity"\n      values   = [var.target_account_id]', 'variable = "sts:SourceIdentity"\n      values   = ["*"]', "staging-role-is-for-its-target-only"),
    ("trust for a stranger's source identity", TRUST, "DrsActsForTheTarget", 'variable = "sts:SourceIdentity"\n      values   = [var.target_account_id]', f'variable = "sts:SourceIdentity"\n      values   = ["{STRANGER}"]', "staging-account-trusts-its-target"),
    ("trust for any source", TRUST, "DrsActsForTheTarget", "arn:aws:drs:*:*:source-server/*", "arn:aws:drs:*:*:*", "staging-role-is-for-its-target-only"),
    ("trust for jobs", TRUST, "DrsActsForTheTarget", "source-server/*", "job/*", "staging-account-trusts-its-target"),
    ("trust of another partition", TRUST, "DrsActsForTheTarget", "arn:aws:drs", "arn:aws-us-gov:drs", "role-stays-in-its-partition"),
    ("any role of the principal's account", DEPLOYER, "OnePrincipal", "[var.trusted_principal_arn]", '["arn:aws:iam::${split(":", var.trusted_principal_arn)[4]}:role/*"]', "role-trusts-one-exact-principal"),
    ("two principals", DEPLOYER, "OnePrincipal", "[var.trusted_principal_arn]", '[var.trusted_principal_arn, "arn:aws:iam::${split(":", var.trusted_principal_arn)[4]}:role/second"]', "role-trusts-one-exact-principal"),
    ("two external ids", DEPLOYER, "OnePrincipal", "[var.external_id]", '[var.external_id, "12345678"]', "role-demands-an-external-id"),
    ("any external id", VERIFIER, "OnePrincipal", 'test     = "StringEquals"\n      variable = "sts:ExternalId"\n      values   = [var.external_id]', 'test     = "StringLike"\n      variable = "sts:ExternalId"\n      values   = ["*"]', "role-demands-an-external-id"),
    ("an external id if there is one", VERIFIER, "OnePrincipal", '"StringEquals"', '"StringEqualsIfExists"', "role-demands-an-external-id"),
    ("any document", DEPLOYER_MAY, "SendTheInstallDocument", "AWSDisasterRecovery-InstallDRAgentOnInstance", "*", "send-command-is-bounded"),
    ("a shell", DEPLOYER_MAY, "SendTheInstallDocument", "AWSDisasterRecovery-InstallDRAgentOnInstance", "AWS-RunShellScript", "send-command-is-bounded"),
    ("any resource", DEPLOYER_MAY, "SendToTaggedInstances", '["arn:aws:ec2:${var.source_region}:${var.account_id}:instance/*"]', '["*"]', "send-command-is-bounded"),
    ("instances tagged otherwise", DEPLOYER_MAY, "SendToTaggedInstances", '"true"', '"false"', "send-command-is-bounded"),
    ("any role of an account", FUNCTION_MAY, "Deploy", "role/DRSOrchestrationRole-${var.environment}", "role/*", ASSUMED),
    ("any role at all", FUNCTION_MAY, "Deploy", '["arn:aws:iam::${statement.key}:role/DRSOrchestrationRole-${var.environment}"]', '["*"]', ASSUMED),
    ("a stranger's role", FUNCTION_MAY, "Deploy", "iam::${statement.key}", f"iam::{STRANGER}", ASSUMED),
    ("any external id of a deployment", FUNCTION_MAY, "Deploy", '"StringEquals"', '"StringEqualsIfExists"', ASSUMED),
    ("a state machine of another account", FUNCTION_ROLE, "StateMachine", "[local._machine_arn]", f'["arn:aws:states:us-west-2:{STRANGER}:stateMachine:m"]', "services-act-for-the-estate-only"),
    ("flow logs of another account", FLOW_LOG, "FlowLogsOfThisAccount", "[var.account_id]", f'["{STRANGER}"]', "services-act-for-the-estate-only"),
]  # fmt: skip


def _statements() -> Iterator[Mutant]:
    for file, sid, old, new, invariant in ACTIONS:
        given = FULL if (file, sid) in OPTED else None
        done = f"{_flat(new)} for {_flat(old)}" if new else f"without {_flat(old)}"
        name = f"{module(file)}: {sid} with {done}" if new else f"{module(file)}: {sid} {done}"
        yield changed(name, invariant, file, statement(file, sid), old, new, given=given)
    for name, file, sid, old, new, invariant in STATEMENTS:
        yield changed(f"{module(file)}: {name}", invariant, file, statement(file, sid), old, new)


def _flat(piece: str) -> str:
    return piece.strip(' ,"=\n').replace('"', "")


# Resources: keys, roles, templates and security groups.

FIRST, SECOND, THIRD = (block(TEMPLATE, f"rule_id            = {n}") for n in (1, 2, 3))
INGRESS = block(SERVERS, "Replicated data")
_MORE_ROLES = f"""resource "aws_iam_role" "more" {{
  for_each = toset([for number in range({TRUSTED_ACCOUNTS.value}) : format("2%011d", number)])

  name               = "DRSStagingAccountRole_${{each.key}}"
  path               = "/service-role/"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}}

# Attached by ARN"""
RESOURCES = [
    ("a key that is not rotated", KEY, "enable_key_rotation     = true", "enable_key_rotation     = false", "key-material-is-rotated"),
    ("a key that says nothing of rotation", KEY, "  enable_key_rotation     = true\n", "", "key-material-is-rotated"),
    ("a key that is gone in a week", KEY, "deletion_window_in_days = 30", "deletion_window_in_days = 7", "key-deletion-can-be-noticed"),
    ("a key that is gone a day too early", SHARED, "deletion_window_in_days = 30", f"deletion_window_in_days = {SHORTEST_WINDOW - 1}", "key-deletion-can-be-noticed"),
    ("a disabled key", KEY, "enable_key_rotation ", "is_enabled              = false\n  enable_key_rotation ", "key-is-enabled"),
    ("a shared key that is not rotated", SHARED, "enable_key_rotation     = true", "enable_key_rotation     = false", "key-material-is-rotated"),
    ("a shared key by another name", SHARED, "alias/drs-shared-ebs-key", "alias/drs-shared-key", "staging-account-can-use-the-shared-key"),
    ("a shared key without its alias", SHARED, block(SHARED, "alias/drs-shared-ebs-key"), "", "staging-account-can-use-the-shared-key"),
    ("a staging role by another name", TRUST, "DRSStagingAccountRole_${var", "DRSStagingRole_${var", "staging-account-trusts-its-target"),
    ("a staging role of another target", TRUST, "DRSStagingAccountRole_${var.target_account_id}", f"DRSStagingAccountRole_{STRANGER}", "staging-account-trusts-its-target"),
    ("a staging role without its path", TRUST, '  path               = "/service-role/"\n', "", "staging-account-trusts-its-target"),
    ("a staging role in another path", TRUST, '"/service-role/"', '"/service-roles/"', "staging-account-trusts-its-target"),
    ("a staging role without its policy", TRUST, block(TRUST, "policy_arn"), "", "staging-account-trusts-its-target"),
    ("a staging role with the older policy", TRUST, "StagingAccountPolicy_v2", "StagingAccountPolicy", "staging-account-trusts-its-target"),
    ("a staging role with another partition's policy", TRUST, "arn:aws:iam::aws:policy", "arn:aws-us-gov:iam::aws:policy", "role-stays-in-its-partition"),
    ("a staging role for administrators", TRUST, "service-role/AWSElasticDisasterRecoveryStagingAccountPolicy_v2", "AdministratorAccess", "role-attaches-no-administrator-policy"),
    ("one trusted target too many", TRUST, "# Attached by ARN", _MORE_ROLES, "staging-account-trusts-at-most-100-targets"),
    ("an orchestration role by another name", DEPLOYER, "DRSOrchestrationRole-${", "OrchestrationRole-${", ROLES),
    ("an orchestration role in another path", DEPLOYER, "  description ", '  path               = "/drs/"\n  description ', ROLES),
    ("an orchestration role of another env", DEPLOYER, "${var.environment}", "prod", ROLES),
    ("a verifier role by another name", VERIFIER, "DRSVerifierRole-${", "DRSVerifierRole_${", ROLES),
    ("an agent role by another name", AGENT, "DRSAgentInstallRole-${", "DRSAgentRole-${", ROLES),
    ("an agent role without SSM", AGENT, '    "AmazonSSMManagedInstanceCore",\n', "", ROLES),
    ("an agent role without DRS", AGENT, '    "service-role/AWSElasticDisasterRecoveryEc2InstancePolicy",\n', "", ROLES),
    ("an agent role for administrators", AGENT, '"AmazonSSMManagedInstanceCore"', '"AmazonSSMManagedInstanceCore", "PowerUserAccess"', "role-attaches-no-administrator-policy"),
    ("the account's default key", TEMPLATE, '"CUSTOM"', '"DEFAULT"', "staging-template-encrypts-custom"),
    ("no encryption", TEMPLATE, '"CUSTOM"', '"NONE"', "staging-template-encrypts-custom"),
    ("no key", TEMPLATE, "  ebs_encryption_key_arn                  = var.key_arn\n", "", "replication-key-is-customer-managed"),
    ("AWS's own key", TEMPLATE, "= var.key_arn", '= "alias/aws/ebs"', "replication-key-is-customer-managed"),
    ("a public address", TEMPLATE, "create_public_ip                        = false", "create_public_ip                        = true", "replication-stays-private"),
    ("public routing", TEMPLATE, '"PRIVATE_IP"', '"PUBLIC_IP"', "replication-stays-private"),
    ("DRS's default security group", TEMPLATE, "associate_default_security_group        = false", "associate_default_security_group        = true", "port-1500-is-closed-to-the-world"),
    ("no security group", TEMPLATE, "[var.security_group_id]", "[]", "template-security-groups-exist"),
    ("a template of another Region", TEMPLATE, "  replication_server_instance_type ", '  region                                  = "eu-west-1"\n  replication_server_instance_type ', "template-is-in-the-recovery-region"),
    ("points of ten minutes for two hours", TEMPLATE, FIRST, FIRST.replace("= 60", "= 120"), "point-in-time-policy-is-legal"),
    ("points of five minutes", TEMPLATE, FIRST, FIRST.replace("= 10", "= 5"), "point-in-time-policy-is-legal"),
    ("no points of ten minutes", TEMPLATE, FIRST, FIRST.replace("= true", "= false"), "point-in-time-policy-is-legal"),
    ("hourly points for two days", TEMPLATE, SECOND, SECOND.replace("= 24", "= 48"), "point-in-time-policy-is-legal"),
    ("hourly points left out", TEMPLATE, SECOND, "", "point-in-time-policy-is-legal"),
    ("daily points each second day", TEMPLATE, THIRD, THIRD.replace("interval           = 1", "interval           = 2"), "point-in-time-policy-is-legal"),
    ("daily points left out", TEMPLATE, THIRD, "", "points-in-time-are-kept-as-declared"),
    ("daily points for other days than declared", TEMPLATE, "var.point_in_time_days", "1", "points-in-time-are-kept-as-declared"),
    ("a second template", TEMPLATE, "# NOTE: the provider sends", block(TEMPLATE, "bandwidth_throttling").replace('"this"', '"second"') + "\n# NOTE: the provider sends", "account-has-one-template"),
    ("no template", TEMPLATE, block(TEMPLATE, "bandwidth_throttling"), "", "account-has-one-template"),
    ("port 1500 open to the world", SERVERS, "= each.value", '= "0.0.0.0/0"', "port-1500-is-closed-to-the-world"),
    ("port 1500 open to half the world", SERVERS, "= each.value", '= "128.0.0.0/1"', "port-1500-is-closed-to-the-world"),
    ("all ports open to the world over IPv6", SERVERS, "cidr_ipv4         = each.value", 'cidr_ipv6         = "::/0"', "port-1500-is-closed-to-the-world"),
    ("a rule of its own that lets the world in", SERVERS, '  vpc_id      = aws_vpc.this.id\n', '  vpc_id      = aws_vpc.this.id\n\n  ingress {\n    cidr_blocks = ["0.0.0.0/0"]\n    from_port   = 0\n    protocol    = "-1"\n    to_port     = 0\n  }\n', "port-1500-is-closed-to-the-world"),
    ("no way in", SERVERS, INGRESS, "", "agents-reach-port-1500"),
    ("a way in over UDP", SERVERS, INGRESS, INGRESS.replace('"tcp"', '"udp"'), "agents-reach-port-1500"),
    ("a way in by another port", SERVERS, INGRESS, INGRESS.replace("1500", "443"), "agents-reach-port-1500"),
    ("source servers nowhere", TFVARS, 'source_cidrs           = ["10.0.0.0/8"]', "source_cidrs           = []", "agents-reach-port-1500"),
    ("no function", FUNCTION, 'resource "aws_lambda_function" "this" {\n', 'resource "aws_lambda_function" "this" {\n  count = 0\n', DEPLOYED),
    ("a function by another name", FUNCTION, "= local._name\n", '= "deploy-agents"\n', DEPLOYED),
    ("a function with the state machine's role", FUNCTION, "aws_iam_role.function.arn", "aws_iam_role.machine.arn", DEPLOYED),
    ("a state machine by another name", MACHINE, "= local._name\n", '= "deploy-agents"\n', DEPLOYED),
    ("a role of the function by another name", FUNCTION_ROLE, "= local._name\n", '= "drs-deploy-agents"\n', DEPLOYED),
    ("no table", TABLE, 'resource "aws_dynamodb_table" "this" {\n', 'resource "aws_dynamodb_table" "this" {\n  count = 0\n', TRACKED),
    ("a table by another name", TABLE, "= local._table\n", '= "deployments"\n', TRACKED),
    ("a table that anybody may delete", TABLE, "deletion_protection_enabled = true", "deletion_protection_enabled = false", TRACKED),
    ("a table that says nothing of deletion", TABLE, "  deletion_protection_enabled = true\n", "", TRACKED),
    ("a table without point-in-time recovery", TABLE, "  point_in_time_recovery {\n    enabled = true", "  point_in_time_recovery {\n    enabled = false", TRACKED),
    ("a table that says nothing of recovery", TABLE, "  point_in_time_recovery {\n    enabled = true\n  }\n", "", TRACKED),
    ("new disks left out", TEMPLATE, "auto_replicate_new_disks                = true", "auto_replicate_new_disks                = false", "new-disks-are-replicated"),
]  # fmt: skip


def _resources() -> Iterator[Mutant]:
    for name, file, before, after, invariant in RESOURCES:
        yield Mutant(f"{module(file)}: {name}", invariant, file, before, after)


# What the code does not say: never a pass.

UNSEEN = [
    ("a way in from a prefix list", SERVERS, "cidr_ipv4         = each.value", 'prefix_list_id    = "pl-0123456789abcdef0"', "agents-reach-port-1500"),
    ("a prefix list that may hold the world", SERVERS, "cidr_ipv4         = each.value", 'prefix_list_id    = "pl-0123456789abcdef0"', "port-1500-is-closed-to-the-world"),
    ("no word on new disks", TEMPLATE, "  auto_replicate_new_disks                = true\n", "", "new-disks-are-replicated"),
    ("a key policy from another file", KEY, "data.aws_iam_policy_document.this.json", 'file("${path.module}/policy.json")', "target-can-use-the-replication-key"),
    ("a key without a policy of its own", KEY, "  policy                  = data.aws_iam_policy_document.this.json\n", "", "key-admits-only-the-estate"),
    ("a grant past the key's policy", KEY, 'resource "aws_kms_alias" "this"', f'resource "aws_kms_grant" "this" {{\n  grantee_principal = "{STRANGERS_ROOT}"\n  key_id            = aws_kms_key.this.key_id\n  operations        = ["Decrypt"]\n}}\n\nresource "aws_kms_alias" "this"', "key-admits-only-the-estate"),
    ("a policy known after apply", KEY_POLICY, "role/service-role/DRSStagingAccountRole_${statement.value}", "role/service-role/${terraform_data.roles.id}", "staging-role-can-share-snapshots"),
    ("a policy that AWS answers", KEY_POLICY, "identifiers = [\"arn:aws:iam::${statement.value}:root\"]", "identifiers = [data.aws_caller_identity.this.arn]", "target-can-use-the-replication-key"),
    ("statements for targets that nobody knows", KEY_POLICY, "for_each = var.target_account_ids", "for_each = toset([terraform_data.roles.id])", "target-can-use-the-replication-key"),
    ("keys that may not exist", KEY, 'resource "aws_kms_key" "this" {\n', 'resource "aws_kms_key" "this" {\n  count = length(terraform_data.roles.id) > 3 ? 1 : 0\n\n', "key-is-enabled"),
    ("a shared key's policy merged with another", SHARED_POLICY, 'data "aws_iam_policy_document" "this" {\n', 'data "aws_iam_policy_document" "this" {\n  source_policy_documents = [file("${path.module}/more.json")]\n\n', "staging-account-can-use-the-shared-key"),
    ("a staging role whose name AWS makes up", TRUST, 'name               = "DRSStagingAccountRole_${var.target_account_id}"', 'name_prefix        = "DRSStagingAccountRole_"', "staging-account-trusts-its-target"),
    ("a trust policy known after apply", TRUST, "assume_role_policy = data.aws_iam_policy_document.trust.json", "assume_role_policy = terraform_data.trust.output", "staging-role-is-for-its-target-only"),
    ("permissions that are not read", DEPLOYER, "policy = data.aws_iam_policy_document.permissions.json", 'policy = file("${path.module}/permissions.json")', "send-command-is-bounded"),
    ("a customer's policy that is not read", AGENT, "arn:aws:iam::aws:policy/${each.key}", f"arn:aws:iam::{TARGET}:policy/${{each.key}}", "role-names-its-actions"),
    ("an encryption that is not known", TEMPLATE, '"CUSTOM"', 'upper(terraform_data.encryption.output)', "staging-template-encrypts-custom"),
    ("a key of no resource", TEMPLATE, "= var.key_arn", f'= "arn:aws:kms:us-west-2:{STAGING}:key/1234abcd-12ab-34cd-56ef-1234567890ab"', "staging-account-owns-its-replication-key"),
    ("a security group of no resource", TEMPLATE, "[var.security_group_id]", '["sg-0123456789abcdef0"]', "template-security-groups-exist"),
    ("points in time that are not known", TEMPLATE, "= var.point_in_time_days", "= terraform_data.days.output", "points-in-time-are-kept-as-declared"),
    ("a function with a role of no resource", FUNCTION, "aws_iam_role.function.arn", "terraform_data.role.output", DEPLOYED),
    ("a table whose name is known after apply", TABLE, "= local._table\n", "= terraform_data.table.output\n", TRACKED),
    ("a recovery that is not known", TABLE, "  point_in_time_recovery {\n    enabled = true", "  point_in_time_recovery {\n    enabled = terraform_data.recovery.output", TRACKED),
    ("addresses of a prefix list", SERVERS, "cidr_ipv4         = each.value", "cidr_ipv4         = data.aws_ip_ranges.all.cidr_blocks[0]", "port-1500-is-closed-to-the-world"),
]  # fmt: skip


def _unseen() -> Iterator[Mutant]:
    for name, file, before, after, invariant in UNSEEN:
        yield Mutant(f"{module(file)}: {name}", invariant, file, before, after, "unknown")


# Numbers: each is past its boundary.

_POINTS = SNAPSHOTS.value // (REPLICATING_SERVERS.value * 3)
_VOLUMES = SNAPSHOTS.value // (REPLICATING_SERVERS.value * (POINTS_BESIDES_DAYS + 7))
_OWN = block(TFVARS, 'account_id        = "111122223333"')
_THEIRS = block(TFVARS, 'account_id        = "444455556666"')
NUMBERS = [
    ("one server too many in the target", _OWN, "= 300", f"= {REPLICATING_SERVERS.value + 1}", "account-replicates-within-quota"),
    ("one server too many in a staging account", _THEIRS, "= 300", f"= {REPLICATING_SERVERS.value + 1}", "account-replicates-within-quota"),
    ("one server too many for the estate", _THEIRS, "= 300", f"= {REPLICATING_SERVERS.value + 1}", "declared-servers-fit-the-estate"),
    ("one server too many for the target", _THEIRS, "= 300", f"= {TOTAL_SERVERS.value - REPLICATING_SERVERS.value + 1}", "target-holds-every-server"),
    ("headroom in a full account", "headroom               = 0", "= 0", "= 1", "declared-headroom-is-kept"),
    ("one day too many for the snapshots", "point_in_time_days     = 7", "= 7", f"= {_POINTS - POINTS_BESIDES_DAYS + 1}", "snapshots-fit-the-quota"),
    ("one volume too many for the snapshots", "volumes_per_server     = 3", "= 3", f"= {_VOLUMES + 1}", "snapshots-fit-the-quota"),
    ("no volumes", "volumes_per_server     = 3", "= 3", "= 0", "snapshots-fit-the-quota"),
    ("no daily points", "point_in_time_days     = 7", "= 7", "= 0", "point-in-time-policy-is-legal"),
    ("daily points for more than a year", "point_in_time_days     = 7", "= 7", "= 366", "point-in-time-policy-is-legal"),
    ("a wave past the jobs", "wave-1 = 200", "= 200", f"= {SERVERS_IN_ALL_JOBS.value + 1}", "wave-fits-the-job-quotas"),
    ("an empty wave", "wave-2 = 200", "= 200", "= 0", "wave-fits-the-job-quotas"),
    ("a server in no wave", "wave-3 = 200", "= 200", "= 199", "waves-recover-every-server"),
    ("a server in two waves", "wave-3 = 200", "= 200", "= 201", "waves-recover-every-server"),
    ("a wave left out", "  wave-3 = 200\n", "  wave-3 = 200\n", "", "waves-recover-every-server"),
]  # fmt: skip
TEXTS = [
    ("an account id of 11 digits", _OWN, "111122223333", "11112222333", "account-ids-are-well-formed"),
    ("an account id of 13 digits", _THEIRS, "444455556666", "4444555566660", "account-ids-are-well-formed"),
    ("an account id with a letter", _THEIRS, "444455556666", "44445555666O", "account-ids-are-well-formed"),
    ("one id for two accounts", _THEIRS, STAGING, TARGET, "account-ids-are-distinct"),
    ("a staging account that is the orchestration account", _THEIRS, STAGING, ORCHESTRATION, "account-ids-are-distinct"),
    ("Regions of two partitions", 'recovery_region        = "us-west-2"', "us-west-2", "us-gov-west-1", "regions-share-one-partition"),
    ("a recovery Region of another partition than the keys", 'recovery_region        = "us-west-2"', "us-west-2", "cn-north-1", "key-policy-stays-in-its-partition"),
    ("source servers all over the world", 'source_cidrs           = ["10.0.0.0/8"]', "10.0.0.0/8", "0.0.0.0/0", "port-1500-is-closed-to-the-world"),
    ("source servers in two halves of the world", 'source_cidrs           = ["10.0.0.0/8"]', '"10.0.0.0/8"', '"0.0.0.0/1", "128.0.0.0/1"', "port-1500-is-closed-to-the-world"),
    ("a verifier of everybody in an account", "verifier_principal_arn = ", "role/drs-verify-staging", "root", "role-trusts-one-exact-principal"),
    ("a verifier outside the estate", "verifier_principal_arn = ", ORCHESTRATION, STRANGER, "role-admits-only-the-estate"),
    ("one external id for two accounts", _THEIRS, "f56d60c5-54b2-56bf-994a-2c65e49d5fcc", "12e5d8cd-17d4-5ec1-9576-f768de43b3a7", "external-ids-differ-between-accounts"),
    ("an external id of everybody", _OWN, "12e5d8cd-17d4-5ec1-9576-f768de43b3a7", "*", "role-demands-an-external-id"),
]  # fmt: skip


def _declared() -> Iterator[Mutant]:
    for name, around, old, new, invariant in (*NUMBERS, *TEXTS):
        whole = next(line for line in [around, *text(TFVARS).splitlines()] if around in line and old in line)  # fmt: skip
        yield changed(f"{module(TFVARS)}: {name}", invariant, TFVARS, whole, old, new)


# Modules: each is wired to another account, Region, key or role.

ALIASES = {
    "target": TARGET,
    "target_source": TARGET,
    "staging_1": STAGING,
    "staging_1_source": STAGING,
    "orchestration": ORCHESTRATION,
}
"""The account of each provider of the env."""

REGIONAL = {
    "staging_1_replication_key": "staging-account-owns-its-replication-key",
    "staging_1_replication_template": "template-is-in-the-recovery-region",
    "staging_1_staging_area": "template-security-groups-exist",
    "target_replication_template": "template-is-in-the-recovery-region",
    "target_shared_key": "staging-account-can-use-the-shared-key",
    "target_staging_area": "template-security-groups-exist",
}
"""The calls that must stand in the recovery Region, and what notices if they do not."""

GONE = {
    "orchestration_agent_deployer": (DEPLOYED, "violated"),
    "orchestration_verifier_role": (ROLES, "violated"),
    "staging_1_agent_instance_profile": (ROLES, "violated"),
    "staging_1_orchestration_role": (ROLES, "violated"),
    "staging_1_replication_key": ("replication-key-is-customer-managed", "unknown"),
    "staging_1_replication_template": ("account-has-one-template", "violated"),
    "staging_1_staging_area": ("template-security-groups-exist", "unknown"),
    "staging_1_trust": ("staging-account-trusts-its-target", "violated"),
    "staging_1_verifier_role": (ROLES, "violated"),
    "target_agent_instance_profile": (ROLES, "violated"),
    "target_orchestration_role": (ROLES, "violated"),
    "target_replication_template": ("account-has-one-template", "violated"),
    "target_shared_key": ("staging-account-can-use-the-shared-key", "violated"),
    "target_staging_area": ("template-security-groups-exist", "unknown"),
    "target_verifier_role": (ROLES, "violated"),
}
"""What notices that a call is gone."""

CALLS = [
    ("the key for another target", STAGING_TF, "staging_1_replication_key", "[var.target.account_id]", "[var.orchestration.account_id]", "target-can-use-the-replication-key"),
    ("the key for no target", STAGING_TF, "staging_1_replication_key", "[var.target.account_id]", "[]", "staging-role-can-share-snapshots"),
    ("the key for a stranger too", STAGING_TF, "staging_1_replication_key", "[var.target.account_id]", f'[var.target.account_id, "{STRANGER}"]', "key-admits-only-the-estate"),
    ("the key for the source Region", STAGING_TF, "staging_1_replication_key", "var.recovery_region", "var.source_region", "target-can-use-the-replication-key"),
    ("the shared key for nobody", TARGET_TF, "target_shared_key", "[for account in var.staging_accounts : account.account_id]", "[]", "staging-account-can-use-the-shared-key"),
    ("the shared key for the source Region", TARGET_TF, "target_shared_key", "var.recovery_region", "var.source_region", "staging-account-can-use-the-shared-key"),
    ("the shared key for a stranger too", TARGET_TF, "target_shared_key", "[for account in var.staging_accounts : account.account_id]", f'concat([for account in var.staging_accounts : account.account_id], ["{STRANGER}"])', "key-admits-only-the-estate"),
    ("trust in another target", STAGING_TF, "staging_1_trust", "var.target.account_id", "var.orchestration.account_id", "staging-account-trusts-its-target"),
    ("trust in itself", STAGING_TF, "staging_1_trust", "var.target.account_id", 'var.staging_accounts["staging-1"].account_id', "staging-account-trusts-its-target"),
    ("the target's key in a staging template", STAGING_TF, "staging_1_replication_template", "module.staging_1_replication_key.arn", "module.target_shared_key.arn", "staging-account-owns-its-replication-key"),
    ("AWS's key in a staging template", STAGING_TF, "staging_1_replication_template", "module.staging_1_replication_key.arn", '"alias/aws/ebs"', "replication-key-is-customer-managed"),
    ("the target's security group in a staging template", STAGING_TF, "staging_1_replication_template", "module.staging_1_staging_area.security_group_id", "module.target_staging_area.security_group_id", "template-security-groups-exist"),
    ("a staging account's security group in the target's template", TARGET_TF, "target_replication_template", "module.target_staging_area.security_group_id", "module.staging_1_staging_area.security_group_id", "template-security-groups-exist"),
    ("fewer days than declared", STAGING_TF, "staging_1_replication_template", "var.point_in_time_days", "1", "points-in-time-are-kept-as-declared"),
    ("all sources in a staging area", STAGING_TF, "staging_1_staging_area", "var.source_cidrs", '["0.0.0.0/0"]', "port-1500-is-closed-to-the-world"),
    ("an orchestration role for its account's root", STAGING_TF, "staging_1_orchestration_role", "role/drs-agent-deployer-${var.environment}", "root", "role-trusts-one-exact-principal"),
    ("an orchestration role for any deployer", STAGING_TF, "staging_1_orchestration_role", "drs-agent-deployer-${var.environment}", "drs-agent-deployer-*", "role-trusts-one-exact-principal"),
    ("an orchestration role for the verifier", TARGET_TF, "target_orchestration_role", "drs-agent-deployer-${var.environment}", "drs-verify-${var.environment}", DEPLOYED),
    ("an agent deployer of another env", ORCHESTRATION_TF, "orchestration_agent_deployer", "= var.environment", '= "prod"', DEPLOYED),
    ("records of another env", ORCHESTRATION_TF, "orchestration_agent_deployer", "= var.environment", '= "prod"', TRACKED),
    ("an agent deployer for strangers", ORCHESTRATION_TF, "orchestration_agent_deployer", "concat([var.target], values(var.staging_accounts))", f'[{{ account_id = "{STRANGER}", external_id = "12345678" }}]', ASSUMED),
    ("an orchestration role for a stranger", TARGET_TF, "target_orchestration_role", "${var.orchestration.account_id}", STRANGER, "role-admits-only-the-estate"),
    ("a verifier role for the target's external id", STAGING_TF, "staging_1_verifier_role", 'var.staging_accounts["staging-1"].external_id', "var.target.external_id", "external-ids-differ-between-accounts"),
    ("a verifier role for another env", TARGET_TF, "target_verifier_role", "var.environment", '"prod"', ROLES),
    ("a verifier role for a stranger", ORCHESTRATION_TF, "orchestration_verifier_role", "var.verifier_principal_arn", f'"arn:aws:iam::{STRANGER}:role/verifier"', "role-admits-only-the-estate"),
    ("agents of another env", STAGING_TF, "staging_1_agent_instance_profile", "var.environment", '"prod"', ROLES),
]  # fmt: skip

_SECOND_TEMPLATE = f"""{block(STAGING_TF, 'module "staging_1_replication_template"').replace("staging_1_replication_template", "staging_1_second_template")}
module "staging_1_agent_instance_profile" {{
"""
ENVS = [
    ("two templates in one account", STAGING_TF, 'module "staging_1_agent_instance_profile" {\n', _SECOND_TEMPLATE, "account-has-one-template", "violated"),
    ("a module that is not in the checkout", STAGING_TF, '"../../modules/staging-trust"', '"example.com/drs/staging-trust/aws"', "staging-account-trusts-its-target", "unknown"),
]  # fmt: skip


def calls(file: str) -> dict[str, str]:
    """The module calls of a file of the env, by name."""
    return {name: block(file, f'module "{name}"') for name in re.findall(r'^module "(\w+)"', text(file), re.M)}  # fmt: skip


def _modules() -> Iterator[Mutant]:
    for file in (TARGET_TF, STAGING_TF, ORCHESTRATION_TF):
        for name, call in calls(file).items():
            own = re.findall(r"aws = aws\.(\w+)", call)[0]
            for other, account_id in ALIASES.items():
                if account_id != ALIASES[own] and other.endswith("_source") == own.endswith("_source"):  # fmt: skip
                    yield changed(f"{name}: with the provider {other}", PLACED, file, call, f"aws.{own} ", f"aws.{other} ")  # fmt: skip
            if name in REGIONAL:
                yield changed(f"{name}: in the source Region", REGIONAL[name], file, call, f"aws.{own} ", f"aws.{own}_source ")  # fmt: skip
            if said := re.search(r" account_id +=(.*)", call):
                other = "var.orchestration.account_id" if "orchestration" not in said[1] else "var.target.account_id"  # fmt: skip
                yield changed(f"{name}: for another account", PLACED, file, call, said[0], said[0].replace(said[1], f" {other}"))  # fmt: skip
            if name in GONE:
                invariant, outcome = GONE[name]
                yield Mutant(f"{name}: left out", invariant, file, call, "", outcome)
    for name, file, call, old, new, invariant in CALLS:
        yield changed(f"{call}: {name}", invariant, file, calls(file)[call], old, new)
    for name, file, old, new, invariant, outcome in ENVS:
        yield Mutant(f"{module(file)}: {name}", invariant, file, old, new, outcome)


# Providers: each is held to no account, to two, to a stranger's, or to another Region.


def _providers() -> Iterator[Mutant]:
    for file in (TARGET_TF, STAGING_TF, ORCHESTRATION_TF):
        for alias in re.findall(r'alias +=\s"(\w+)"', text(file)):
            whole = block(file, f'= "{alias}"')
            guard = next(line for line in whole.splitlines(True) if "allowed_account_ids" in line)
            (own,) = re.findall(r"\[(.*)\]\n", guard)
            rows = [
                ("held to two accounts", HELD, f"[{own}]", f'[{own}, "{STRANGER}"]'),
                ("held to a stranger", HELD, f"[{own}]", f'["{STRANGER}"]'),
                ("with a role of a stranger", ASSUMES, f"${{{own}}}", STRANGER),
                ("in a third Region", "provider-acts-in-a-declared-region", "region              = var.", "region              = \"eu-west-1\" # "),
            ]  # fmt: skip
            # The code view knows no provider that is held to nothing.
            yield changed(f"provider {alias}: held to no account", HELD, file, whole, guard, "")  # fmt: skip
            for name, invariant, old, new in rows:
                yield changed(f"provider {alias}: {name}", invariant, file, whole, old, new)


MUTANTS: tuple[Mutant, ...] = (
    *_conditions(),
    *_principals(),
    *_statements(),
    *_resources(),
    *_unseen(),
    *_declared(),
    *_modules(),
    *_providers(),
)


# What changes nothing that an invariant speaks of, and what stands at its boundary.


def _dynamic(file: str, sid: str) -> str:
    """A dynamic statement with the line that says for what."""
    whole = statement(file, sid)
    (loop,) = re.findall(
        r'  dynamic "statement" {\n.*\n\n' + re.escape(whole) + "  }\n", text(file)
    )
    return str(loop)


def _moved(file: str, first: str, between: str, second: str) -> Edit:
    return Edit(file, f"{first}{between}{second}", f"{second}{between}{first}")


_TRUST = condition_blocks(text(TRUST))
_WAVES = "  wave-1 = 200\n  wave-2 = 200\n  wave-3 = 200\n"
_LOG_GROUP = 'resource "aws_cloudwatch_log_group" "other" {\n  name = "/other"\n}\n'
_TAGGED = '  tags = { owner = "platform" }\n\n  depends_on'
HARMLESS: dict[str, Edit] = {
    "a comment": Edit(KEY_POLICY, "  dynamic", "  # For each target.\n  dynamic"),
    "statements in another order": _moved(KEY_POLICY, _dynamic(KEY_POLICY, "StagingRoleShares"), "\n", _dynamic(KEY_POLICY, "TargetUses")),
    "conditions in another order": _moved(TRUST, _TRUST[0], "\n", _TRUST[1]),
    "rules in another order": _moved(TEMPLATE, FIRST, "\n", SECOND),
    "ports around the one": Edit(SERVERS, INGRESS, INGRESS.replace("from_port         = 1500", "from_port         = 1024")),
    "other spaces": Edit(TEMPLATE, "ebs_encryption                          = ", "ebs_encryption="),
    "CRLF line ends": Edit(KEY, text(KEY), text(KEY).replace("\n", "\r\n")),
    "a tag": Edit(KEY, "  depends_on", _TAGGED),
    "another description": Edit(KEY, "Encrypts the DRS staging disks", "Encrypts the staging disks"),
    "an unrelated resource": Edit(KEY, "# NOTE: KMS refuses", f"{_LOG_GROUP}\n# NOTE: KMS refuses"),
    "an action more to read": Edit(VERIFIER_MAY, '"drs:DescribeSourceServers",', '"drs:DescribeSourceServers",\n      "drs:DescribeSourceNetworks",'),
    "the opt-in statements of the key": FULL,
    "an account as a bare id": Edit(SHARED_POLICY, '"arn:aws:iam::${statement.value}:root"', "statement.value"),
    "a condition by StringLike": Edit(KEY_POLICY, '"StringEquals"', '"StringLike"'),
    "an operator in other letters": Edit(DEPLOYER, '"ArnEquals"', '"arnequals"'),
    "a source ARN of the target only": Edit(TRUST, "arn:aws:drs:*:*:", "arn:aws:drs:*:${var.target_account_id}:"),
    "a policy in a local": Edit(TRUST, "data.aws_iam_policy_document.trust.json\n}", 'local._trust\n}\n\nlocals {\n  _trust = data.aws_iam_policy_document.trust.json\n}'),
    "the shortest wait for a key": Edit(KEY, "deletion_window_in_days = 30", f"deletion_window_in_days = {SHORTEST_WINDOW}"),
    "as many days as the snapshots allow": Edit(TFVARS, "point_in_time_days     = 7", f"point_in_time_days     = {_POINTS - POINTS_BESIDES_DAYS}"),
    "as many volumes as the snapshots allow": Edit(TFVARS, "volumes_per_server     = 3", f"volumes_per_server     = {_VOLUMES}"),
    "as large a wave as the jobs allow": Edit(TFVARS, _WAVES, f"  wave-1 = {SERVERS_IN_ALL_JOBS.value}\n  wave-2 = {600 - SERVERS_IN_ALL_JOBS.value}\n"),
    "one trusted target less than too many": Edit(TRUST, "# Attached by ARN", _MORE_ROLES.replace(f"range({TRUSTED_ACCOUNTS.value})", f"range({TRUSTED_ACCOUNTS.value - 1})")),
    "a private range of a /8": Edit(TFVARS, '"10.0.0.0/8"', '"10.0.0.0/8", "192.168.0.0/16"'),
}  # fmt: skip
"""Edits after which every invariant still holds, by what they do."""


# Plans: what a change does to an estate that is there already.

_AT_KEY = "module.staging_1_replication_key.aws_kms_key.this"
_AT_TEMPLATE = (
    "module.staging_1_replication_template.aws_drs_replication_configuration_template.this"
)
_AT_ROLE = "module.staging_1_trust.aws_iam_role.this"
_AT_POLICY = "module.staging_1_trust.aws_iam_role_policy_attachment.this"
_AT_DEPLOYER = "module.staging_1_orchestration_role.aws_iam_role.this"
_AT_TABLE = "module.orchestration_agent_deployer.aws_dynamodb_table.this"
AT_LOST = "aws_dynamodb_table.lost"
"""A table in no known account."""

_DAILY = {"enabled": True, "interval": 1, "retention_duration": 30, "rule_id": 3, "units": "DAY"}


@dataclass(frozen=True, slots=True)
class Planned:
    """A change in the plan of an estate that is applied already, and the invariant that must notice.

    `other` are attributes that have other values before it; for a change that is none, also after it.
    """

    name: str
    invariant: str
    address: str
    actions: tuple[str, ...]
    other: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = "violated"


REPLACED = ("delete", "create")
PLANNED: tuple[Planned, ...] = (
    Planned("plan: the key is destroyed", "no-key-is-destroyed", _AT_KEY, ("delete",)),
    Planned("plan: the key is replaced", "no-key-is-destroyed", _AT_KEY, REPLACED),
    Planned("plan: the key is replaced, the new one first", "no-server-is-resynchronised", _AT_KEY, ("create", "delete")),
    Planned("plan: the template got another key", "no-server-is-resynchronised", _AT_TEMPLATE, ("update",), {"ebs_encryption_key_arn": "alias/other"}),
    Planned("plan: the template got another encryption", "no-server-is-resynchronised", _AT_TEMPLATE, ("update",), {"ebs_encryption": "DEFAULT"}),
    Planned("plan: the template is replaced", "no-server-is-resynchronised", _AT_TEMPLATE, REPLACED),
    Planned("plan: the template keeps points for other days", "no-replication-is-disconnected", _AT_TEMPLATE, ("update",), {"pit_policy": [_DAILY]}),
    Planned("plan: the template is made again", "no-replication-is-disconnected", _AT_TEMPLATE, REPLACED),
    Planned("plan: the staging role is destroyed", "no-role-is-destroyed", _AT_ROLE, ("delete",)),
    Planned("plan: the orchestration role is replaced", "no-role-is-destroyed", _AT_DEPLOYER, REPLACED),
    Planned("plan: the staging role is made again", "no-trust-is-cut", _AT_ROLE, REPLACED),
    Planned("plan: the staging role trusts otherwise", "no-trust-is-cut", _AT_ROLE, ("update",), {"assume_role_policy": "{}"}),
    Planned("plan: the staging role loses its policy", "no-trust-is-cut", _AT_POLICY, ("delete",)),
    Planned("plan: the staging role's policy is attached again", "no-trust-is-cut", _AT_POLICY, REPLACED),
    Planned("plan: the tracking table is destroyed", "no-table-is-destroyed", _AT_TABLE, ("delete",)),
    Planned("plan: the tracking table is replaced", "no-table-is-destroyed", _AT_TABLE, REPLACED),
    Planned("plan: a word that nobody knows", "changes-stay-within-the-estate", _AT_KEY, ("vanish",), outcome="unknown"),
    Planned("plan: an update that does not show what", "no-server-is-resynchronised", _AT_TEMPLATE, ("update",), outcome="unknown"),
    Planned("plan: a change in no known account", "changes-stay-within-the-estate", AT_LOST, ("delete",), outcome="unknown"),
    Planned("plan: the key is not what the code says", "code-and-plan-agree", _AT_KEY, ("no-op",), {"enable_key_rotation": False}),
    Planned("plan: the template is not what the code says", "code-and-plan-agree", _AT_TEMPLATE, ("no-op",), {"create_public_ip": True}),
    Planned("plan: the role is not what the code says", "code-and-plan-agree", _AT_DEPLOYER, ("no-op",), {"name": "DRSOrchestrationRole"}),
)  # fmt: skip
HARMLESS_PLANNED: tuple[Planned, ...] = (
    Planned("plan: no change", "no-key-is-destroyed", _AT_KEY, ("no-op",), {}, "holds"),
    Planned("plan: a tag on the key", "no-key-is-destroyed", _AT_KEY, ("update",), {"tags": {"owner": "platform"}}, "holds"),
    Planned("plan: a tag on the staging role", "no-trust-is-cut", _AT_ROLE, ("update",), {"tags": {"owner": "platform"}}, "holds"),
    Planned("plan: tags of the staging area", "no-server-is-resynchronised", _AT_TEMPLATE, ("update",), {"staging_area_tags": {"owner": "platform"}}, "holds"),
    Planned("plan: the orchestration role trusts otherwise", "no-trust-is-cut", _AT_DEPLOYER, ("update",), {"assume_role_policy": "{}"}, "holds"),
    Planned("plan: another description of the orchestration role", "no-role-is-destroyed", _AT_DEPLOYER, ("update",), {"description": "Deploys agents."}, "holds"),
)  # fmt: skip


def example(invariant: str) -> Mutant | None:
    """The mutant that shows best how an invariant is broken, None if none breaks it in code.

    One that is violated before one that is not known, and the shortest of those.
    """
    found = [mutant for mutant in MUTANTS if mutant.invariant == invariant]
    return min(
        found,
        key=lambda each: (
            each.outcome != "violated",
            each.given is not None,
            len(each.after) + len(each.before),
        ),
        default=None,
    )
