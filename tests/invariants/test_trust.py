"""The invariants on trust: the documented roles hold, and every change that matters is noticed."""

from dataclasses import replace
from typing import Any

import pytest

from tests.invariants.complete import (
    AGENT_POLICIES,
    DEPLOYER,
    HOLDS,
    ORCHESTRATION,
    SOURCE_REGION,
    STAGING,
    STAGING_POLICY,
    STAGING_ROLE,
    TARGET,
    UNKNOWN,
    UNSEEN,
    VIOLATED,
    Case,
    assumes,
    complete,
    deployer_trust,
    document,
    edited,
    external_id,
    messages,
    outcome,
    permissions,
    root,
    trust_statement,
    with_agent,
    with_deployer,
    with_estate,
    with_function_role,
    with_staging,
    with_staging_role,
    with_verifier,
)
from validator.model import Estate

Json = dict[str, Any]

COMPLETE, ONLY = "staging-account-trusts-its-target", "staging-role-is-for-its-target-only"
EXACT, EXTERNAL = "role-trusts-one-exact-principal", "role-demands-an-external-id"
ADMITS, ACTIONS = "role-admits-only-the-estate", "role-names-its-actions"
ATTACHES = "role-attaches-no-administrator-policy"
ROLES, DIFFER = "accounts-have-their-roles", "external-ids-differ-between-accounts"
SERVES = "services-act-for-the-estate-only"
SEND, PASS = "send-command-is-bounded", "pass-role-is-bounded"
ASSUME = "assume-role-is-bounded"

STRANGER = "arn:aws:iam::999999999999:role/r"
TIGHT = f"arn:aws:drs:*:{TARGET}:source-server/*"
ID = "Condition.StringEquals.sts:ExternalId"
PINNED = "Condition.ArnEquals.aws:PrincipalArn"
INSTANCES = f"arn:aws:ec2:{SOURCE_REGION}:{STAGING}:instance/*"


def trusting(*statements: Json) -> Estate:
    """The staging role with these statements in its trust policy."""
    return with_staging_role(trust=document(*statements))


def change(path: str, to: Any = None) -> Estate:
    """The staging role's trust policy with one place changed."""
    return trusting(*edited(lambda: [trust_statement()], 0, path, to))


def condition(operator: str, key: str, to: Any = None) -> Estate:
    statement = trust_statement()
    del statement["Condition"][operator][key]
    if to is not None:
        statement["Condition"][operator][key] = to
    return trusting(statement)


def deployed_by(*statements: Json) -> Estate:
    """The orchestration role with these statements in its trust policy."""
    return with_deployer(trust=document(*statements))


def deployer(path: str, to: Any = None) -> Estate:
    return deployed_by(*edited(lambda: [deployer_trust()], 0, path, to))


def named(principal: str, **conditions: Any) -> Json:
    """A trust statement for one principal, with an external id."""
    equals = {"sts:ExternalId": "12e5d8cd", **conditions}
    return {
        **deployer_trust(),
        "Principal": {"AWS": principal},
        "Condition": {"StringEquals": equals},
    }


def may(number: int, path: str, to: Any = None) -> Estate:
    """The orchestration role's permissions with one place of one statement changed."""
    return with_deployer(permissions=(document(*edited(permissions, number, path, to)),))


def may_also(**statement: Any) -> Estate:
    more = {"Sid": "More", "Effect": "Allow", "Resource": "*", **statement}
    return with_deployer(permissions=(document(*permissions()), document(more)))


def without_action(number: int, **more: Any) -> Estate:
    statements = permissions()
    del statements[number]["Action"]
    statements[number] |= more
    return with_deployer(permissions=(document(*statements),))


def may_not_on(number: int, resource: str) -> Estate:
    statements = permissions()
    del statements[number]["Resource"]
    statements[number]["NotResource"] = resource
    return with_deployer(permissions=(document(*statements),))


BUT_DRS = {
    "Effect": "Allow",
    "NotPrincipal": {"Service": "drs.amazonaws.com"},
    "Action": "sts:AssumeRole",
}

AGENT_ROLE = {
    "role_name": f"DRSCrossAccountAgentRole_{ORCHESTRATION}",
    "path": "/service-role/",
    "trust": document(
        {**deployer_trust(), "Condition": {"ArnEquals": {"aws:PrincipalArn": DEPLOYER}}}
    ),
}


def flow_log(**statement: Any) -> Estate:
    """The agents' role as one that VPC's flow logs assume."""
    service = {"Effect": "Allow", "Principal": {"Service": "vpc-flow-logs.amazonaws.com"}}
    return with_agent(trust=document({**service, "Action": "sts:AssumeRole", **statement}))


def source(operator: str, *accounts: str) -> Estate:
    return flow_log(Condition={operator: {"aws:SourceAccount": accounts}})


def becomes(**changes: Any) -> Estate:
    """The function's role with the statement by which it assumes a role changed; None takes away."""
    statement = {k: v for k, v in {**assumes(), **changes}.items() if v is not None}
    return with_function_role(permissions=(document(statement),))


def goes_on(role: str) -> Estate:
    """A role of DRS's agents that goes on to a role of the target, for which there is no external id."""
    may = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Resource": f"arn:aws:iam::{TARGET}:role/{role}",
    }
    return with_deployer(
        role_name=f"DRSCrossAccountAgentAuthorizedRole_{TARGET}",
        path="/service-role/",
        permissions=(document(may),),
    )


MACHINE = f"arn:aws:states:{SOURCE_REGION}:{STAGING}:stateMachine:m"


def of(operator: str, arn: str) -> Estate:
    return flow_log(Condition={operator: {"aws:SourceArn": arn}})


CASES = [
    Case(COMPLETE, "the documented role", complete(), HOLDS),
    Case(COMPLETE, "an ARN of the target only", condition("ArnLike", "aws:SourceArn", TIGHT), HOLDS),
    Case(COMPLETE, "no role", with_staging(roles=()), VIOLATED),
    Case(COMPLETE, "renamed", with_staging_role(role_name=f"DRSStagingAccountRole_{STAGING}"), VIOLATED),
    Case(COMPLETE, "another path", with_staging_role(path="/"), VIOLATED),
    Case(COMPLETE, "no managed policy", with_staging_role(managed_policies=()), VIOLATED),
    Case(COMPLETE, "the first version of the policy", with_staging_role(managed_policies=(STAGING_POLICY[:-3],)), VIOLATED),
    Case(COMPLETE, "the policy of another partition", with_staging_role(managed_policies=(STAGING_POLICY.replace(":aws:iam", ":aws-cn:iam"),)), VIOLATED),
    Case(COMPLETE, "another service", change("Principal", {"Service": "ec2.amazonaws.com"}), VIOLATED),
    Case(COMPLETE, "DRS as an AWS principal", change("Principal", {"AWS": "drs.amazonaws.com"}), VIOLATED),
    Case(COMPLETE, "the target itself", change("Principal", {"AWS": root(TARGET)}), VIOLATED),
    Case(COMPLETE, "no source identity set", change("Action", "sts:AssumeRole"), VIOLATED),
    Case(COMPLETE, "only the identity set", change("Action", "sts:SetSourceIdentity"), VIOLATED),
    Case(COMPLETE, "the identity of another target", condition("StringLike", "sts:SourceIdentity", STAGING), VIOLATED),
    Case(COMPLETE, "the account of another target", condition("StringLike", "aws:SourceAccount", STAGING), VIOLATED),
    Case(COMPLETE, "an ARN of another kind", condition("ArnLike", "aws:SourceArn", "arn:aws:ec2:*:*:instance/*"), VIOLATED),
    Case(COMPLETE, "an ARN of another Region", condition("ArnLike", "aws:SourceArn", "arn:aws:drs:us-east-1:*:source-server/*"), VIOLATED),
    Case(COMPLETE, "an external id that DRS does not have", change("Condition.StringEquals", {"sts:ExternalId": "abc"}), VIOLATED),
    Case(COMPLETE, "a deny", trusting(trust_statement(), trust_statement() | {"Effect": "Deny"}), VIOLATED),
    Case(COMPLETE, "a deny outside an organization", trusting(trust_statement(), {"Effect": "Deny", "Principal": "*", "Action": "sts:*", "Condition": {"StringNotEquals": {"aws:SourceOrgID": "o-1"}}}), UNKNOWN),
    Case(COMPLETE, "a deny outside the principal's organization", trusting(trust_statement(), {"Effect": "Deny", "Principal": "*", "Action": "sts:*", "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}}), UNKNOWN),
    Case(COMPLETE, "a Resource, which IAM refuses", change("Resource", "*"), UNKNOWN),
    Case(COMPLETE, "a name not seen", with_staging_role(role_name=UNSEEN), UNKNOWN),
    Case(COMPLETE, "a path not seen", with_staging_role(path=UNSEEN), UNKNOWN),
    Case(COMPLETE, "a trust policy not seen", with_staging_role(trust=UNSEEN), UNKNOWN),
    Case(COMPLETE, "a trust policy that is no JSON", with_staging_role(trust="{"), UNKNOWN),
    Case(COMPLETE, "managed policies not seen", with_staging_role(managed_policies=UNSEEN), UNKNOWN),
    Case(COMPLETE, "roles not seen", with_staging(roles=UNSEEN), UNKNOWN),
    Case(ONLY, "the documented role", complete(), HOLDS),
    Case(ONLY, "an ARN of the target only", condition("ArnLike", "aws:SourceArn", TIGHT), HOLDS),
    Case(ONLY, "no conditions at all", change("Condition"), VIOLATED),
    Case(ONLY, "only the ARN bounded", change("Condition.StringLike"), VIOLATED),
    Case(ONLY, "no source identity", condition("StringLike", "sts:SourceIdentity"), VIOLATED),
    Case(ONLY, "no source account", condition("StringLike", "aws:SourceAccount"), VIOLATED),
    Case(ONLY, "no source ARN", condition("ArnLike", "aws:SourceArn"), VIOLATED),
    Case(ONLY, "any source identity", condition("StringLike", "sts:SourceIdentity", "*"), VIOLATED),
    Case(ONLY, "any source account", condition("StringLike", "aws:SourceAccount", "*"), VIOLATED),
    Case(ONLY, "any source ARN", condition("ArnLike", "aws:SourceArn", "arn:aws:drs:*:*:*"), VIOLATED),
    Case(ONLY, "conditions only where the keys exist", trusting({**trust_statement(), "Condition": {"StringLikeIfExists": {"sts:SourceIdentity": TARGET, "aws:SourceAccount": TARGET}, "ArnLike": {"aws:SourceArn": TIGHT}}}), VIOLATED),
    Case(ONLY, "the three conditions on one action only", trusting(trust_statement() | {"Action": "sts:AssumeRole"}, {k: v for k, v in trust_statement().items() if k != "Condition"} | {"Action": "sts:SetSourceIdentity"}), VIOLATED),
    Case(ONLY, "everyone besides", trusting(trust_statement(), trust_statement() | {"Principal": "*"}), VIOLATED),
    Case(ONLY, "an account besides", trusting(trust_statement(), trust_statement() | {"Principal": {"AWS": TARGET}}), VIOLATED),
    Case(ONLY, "another service besides", change("Principal", {"Service": ["drs.amazonaws.com", "ec2.amazonaws.com"]}), VIOLATED),
    Case(ONLY, "everyone but a few", trusting(trust_statement(), {"Effect": "Allow", "NotPrincipal": {"AWS": TARGET}, "Action": "sts:AssumeRole"}), VIOLATED),
    Case(ONLY, "everyone but DRS", trusting(trust_statement(), BUT_DRS), VIOLATED),
    Case(ONLY, "a deny for everyone but DRS", trusting(trust_statement(), BUT_DRS | {"Effect": "Deny"}), HOLDS),
    Case(ONLY, "a deny for an account", trusting(trust_statement(), named(STRANGER) | {"Effect": "Deny"}), HOLDS),
    Case(ONLY, "an operator not known", trusting({**trust_statement(), "Condition": {"StringAlmost": {"aws:SourceAccount": TARGET}}}), UNKNOWN),
    Case(ONLY, "no role", with_staging(roles=()), UNKNOWN),
    Case(ONLY, "a trust policy not seen", with_staging_role(trust=UNSEEN), UNKNOWN),
    Case(EXACT, "the account's root with one ARN", complete(), HOLDS),
    Case(EXACT, "the role itself", deployed_by(named(DEPLOYER)), HOLDS),
    Case(EXACT, "a bare account id with one ARN", deployer("Principal.AWS", ORCHESTRATION), HOLDS),
    Case(EXACT, "the ARN by StringEquals", deployed_by(named(root(ORCHESTRATION), **{"aws:PrincipalArn": DEPLOYER})), HOLDS),
    Case(EXACT, "the account's root alone", deployer("Condition.ArnEquals"), VIOLATED),
    Case(EXACT, "a bare account id alone", deployed_by(named(ORCHESTRATION)), VIOLATED),
    Case(EXACT, "a wildcard in the ARN", deployer(PINNED, f"arn:aws:iam::{ORCHESTRATION}:role/*"), VIOLATED),
    Case(EXACT, "the root as the ARN", deployer(PINNED, root(ORCHESTRATION)), VIOLATED),
    Case(EXACT, "the ARN of another account", deployer(PINNED, f"arn:aws:iam::{TARGET}:role/r"), VIOLATED),
    Case(EXACT, "two ARNs", deployer(PINNED, [DEPLOYER, f"{DEPLOYER}-2"]), VIOLATED),
    Case(EXACT, "no ARN", deployer(PINNED, []), VIOLATED),
    Case(EXACT, "a second statement", deployed_by(deployer_trust(), named(f"{DEPLOYER}-2")), VIOLATED),
    Case(EXACT, "two roles", deployed_by({**named(DEPLOYER), "Principal": {"AWS": [DEPLOYER, f"{DEPLOYER}-2"]}}), VIOLATED),
    Case(EXACT, "any role", deployed_by(named(f"arn:aws:iam::{ORCHESTRATION}:role/*")), VIOLATED),
    Case(EXACT, "everyone", deployer("Principal", "*"), VIOLATED),
    Case(EXACT, "everyone but one", deployed_by({"Effect": "Allow", "NotPrincipal": {"AWS": TARGET}, "Action": "sts:AssumeRole"}), VIOLATED),
    Case(EXACT, "everyone but a service", deployed_by(BUT_DRS), VIOLATED),
    Case(EXACT, "only where the key exists", deployer("Condition", {"ArnEqualsIfExists": {"aws:PrincipalArn": DEPLOYER}, "StringEquals": {"sts:ExternalId": "abc"}}), VIOLATED),
    Case(EXACT, "a trust policy not seen", with_deployer(trust=UNSEEN), UNKNOWN),
    Case(EXACT, "roles not seen", with_staging(roles=UNSEEN), UNKNOWN),
    Case(EXTERNAL, "one external id", complete(), HOLDS),
    Case(EXTERNAL, "two characters", deployer(ID, "ab"), HOLDS),
    Case(EXTERNAL, "one character", deployer(ID, "a"), VIOLATED),
    Case(EXTERNAL, "1,225 characters", deployer(ID, "a" * 1225), VIOLATED),
    Case(EXTERNAL, "none", deployer("Condition.StringEquals"), VIOLATED),
    Case(EXTERNAL, "no value", deployer(ID, []), VIOLATED),
    Case(EXTERNAL, "two", deployer(ID, ["12e5d8cd", "f56d60c5"]), VIOLATED),
    Case(EXTERNAL, "a wildcard beside it", deployer("Condition.StringLike", {"sts:ExternalId": "*"}), HOLDS),
    Case(EXTERNAL, "a wildcard alone", deployer("Condition", {"StringLike": {"sts:ExternalId": "drs-*"}}), VIOLATED),
    Case(EXTERNAL, "only where the key exists", deployer("Condition", {"StringEqualsIfExists": {"sts:ExternalId": "12e5d8cd"}}), VIOLATED),
    Case(EXTERNAL, "a variable", deployer(ID, "${aws:userid}"), VIOLATED),
    Case(EXTERNAL, "a second statement without", deployed_by(deployer_trust(), {**named(DEPLOYER), "Condition": {}}), VIOLATED),
    Case(EXTERNAL, "a second statement that only tags", deployed_by(deployer_trust(), {**named(DEPLOYER), "Action": "sts:TagSession", "Condition": {}}), HOLDS),
    Case(EXTERNAL, "a role that DRS's agents assume", with_deployer(**AGENT_ROLE), HOLDS),
    Case(EXTERNAL, "everyone but a service", deployed_by(BUT_DRS), VIOLATED),
    Case(EXTERNAL, "another name on its path", with_deployer(**{**AGENT_ROLE, "role_name": "drs"}), VIOLATED),
    Case(EXTERNAL, "its name on another path", with_deployer(**{**AGENT_ROLE, "path": "/"}), VIOLATED),
    Case(EXTERNAL, "everyone but one", deployed_by({"Effect": "Allow", "NotPrincipal": {"AWS": TARGET}, "Action": "sts:AssumeRole"}), VIOLATED),
    Case(EXTERNAL, "a trust policy not seen", with_deployer(trust=UNSEEN), UNKNOWN),
    Case(ADMITS, "roles of the estate and DRS", complete(), HOLDS),
    Case(ADMITS, "a bare account id of the estate", deployer("Principal.AWS", ORCHESTRATION), HOLDS),
    Case(ADMITS, "a stranger denied", deployed_by(deployer_trust(), {**named(STRANGER), "Effect": "Deny"}), HOLDS),
    Case(ADMITS, "a stranger", deployed_by(named(STRANGER)), VIOLATED),
    Case(ADMITS, "an account of another partition", deployed_by(named(DEPLOYER.replace(":aws:", ":aws-cn:"))), VIOLATED),
    Case(ADMITS, "everyone", deployer("Principal", "*"), VIOLATED),
    Case(ADMITS, "a federated provider", deployer("Principal", {"Federated": "token.actions.githubusercontent.com"}), VIOLATED),
    Case(ADMITS, "a federated provider of the account", deployer("Principal", {"Federated": f"arn:aws:iam::{STAGING}:saml-provider/x"}), VIOLATED),
    Case(ADMITS, "a deleted principal", deployer("Principal", {"AWS": "AROAEXAMPLEEXAMPLE"}), VIOLATED),
    Case(ADMITS, "everyone but one", deployed_by({"Effect": "Allow", "NotPrincipal": {"AWS": TARGET}, "Action": "sts:AssumeRole"}), VIOLATED),
    Case(ADMITS, "a trust policy not seen", with_deployer(trust=UNSEEN), UNKNOWN),
    Case(ACTIONS, "named actions", complete(), HOLDS),
    Case(ACTIONS, "the actions of one kind", may_also(Action="drs:Describe*"), HOLDS),
    Case(ACTIONS, "everything denied", may_also(Effect="Deny", Action="*"), HOLDS),
    Case(ACTIONS, "everything", may_also(Action="*"), VIOLATED),
    Case(ACTIONS, "everything, spelled out", may_also(Action="*:*"), VIOLATED),
    Case(ACTIONS, "a whole service", may_also(Action=["drs:DescribeJobs", "iam:*"]), VIOLATED),
    Case(ACTIONS, "a whole service on one resource", may_also(Action="kms:?*", Resource="arn:aws:kms:us-west-2:444455556666:key/1"), VIOLATED),
    Case(ACTIONS, "every service's reads", may_also(Action="*:Get*"), VIOLATED),
    Case(ACTIONS, "the reads of services that look alike", may_also(Action="ia?:GetRole"), VIOLATED),
    Case(ACTIONS, "all but some", without_action(0, NotAction="iam:CreateUser"), VIOLATED),
    Case(ACTIONS, "permissions not seen", with_deployer(permissions=UNSEEN), UNKNOWN),
    Case(ACTIONS, "permissions that are no JSON", with_deployer(permissions=("{",)), UNKNOWN),
    Case(ATTACHES, "what it needs", complete(), HOLDS),
    Case(ATTACHES, "a policy of the account's own", with_deployer(managed_policies=(f"arn:aws:iam::{STAGING}:policy/AdministratorAccess",)), HOLDS),
    *(
        Case(ATTACHES, name, with_deployer(managed_policies=(STAGING_POLICY, f"arn:aws:iam::aws:policy/{name}")), VIOLATED)
        for name in ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess")
    ),
    Case(ATTACHES, "managed policies not seen", with_deployer(managed_policies=UNSEEN), UNKNOWN),
    Case(ROLES, "each role that its account needs", complete(), HOLDS),
    Case(ROLES, "an agent role in a path", with_agent(path="/drs/"), HOLDS),
    Case(ROLES, "no role", with_staging(roles=()), VIOLATED),
    Case(ROLES, "a verifier role by another name", with_verifier(role_name="DRSVerifierRole"), VIOLATED),
    Case(ROLES, "a verifier role of another env", with_verifier(role_name="DRSVerifierRole-prod"), VIOLATED),
    Case(ROLES, "a verifier role in a path", with_verifier(path="/drs/"), VIOLATED),
    Case(ROLES, "an orchestration role by another name", with_deployer(role_name="drs-deployer"), VIOLATED),
    Case(ROLES, "an orchestration role in a path", with_deployer(path="/drs/"), VIOLATED),
    Case(ROLES, "an agent role by another name", with_agent(role_name="DRSAgentRole-staging"), VIOLATED),
    Case(ROLES, "an agent role that SSM does not manage", with_agent(managed_policies=AGENT_POLICIES[1:]), VIOLATED),
    Case(ROLES, "an agent role that may not register", with_agent(managed_policies=AGENT_POLICIES[:1]), VIOLATED),
    Case(ROLES, "an agent role with another partition's policies", with_agent(managed_policies=tuple(p.replace(":aws:iam", ":aws-cn:iam") for p in AGENT_POLICIES)), VIOLATED),
    Case(ROLES, "no role in one account, and another not seen", with_estate(orchestration=replace(complete().orchestration, roles=()), staging=(replace(complete().staging[0], roles=UNSEEN),)), VIOLATED),
    Case(ROLES, "a role whose name is not seen", with_verifier(role_name=UNSEEN), UNKNOWN),
    Case(ROLES, "a path that is not seen", with_deployer(path=UNSEEN), UNKNOWN),
    Case(ROLES, "attachments that are not seen", with_agent(managed_policies=UNSEEN), UNKNOWN),
    Case(ROLES, "roles that are not seen", with_staging(roles=UNSEEN), UNKNOWN),
    Case(DIFFER, "one for each account", complete(), HOLDS),
    Case(DIFFER, "no external id, which another invariant wants", deployer(ID), HOLDS),
    Case(DIFFER, "two in one account", deployer(ID, "another-of-the-account"), HOLDS),
    Case(DIFFER, "the target's in a staging account", deployer(ID, external_id(TARGET)), VIOLATED),
    Case(DIFFER, "the orchestration account's beside its own", deployer(ID, [external_id(STAGING), external_id(ORCHESTRATION)]), VIOLATED),
    Case(DIFFER, "trust that is not seen", with_verifier(trust=UNSEEN), UNKNOWN),
    Case(DIFFER, "roles that are not seen", with_staging(roles=UNSEEN), UNKNOWN),
    Case(SERVES, "no such service", complete(), HOLDS),
    Case(SERVES, "for the role's own account", source("StringEquals", STAGING), HOLDS),
    Case(SERVES, "for one resource of the account", of("ArnEquals", MACHINE), HOLDS),
    Case(SERVES, "for a resource of a stranger", of("ArnEquals", MACHINE.replace(STAGING, "9" * 12)), VIOLATED),
    Case(SERVES, "for resources of any account", of("ArnLike", MACHINE.replace(STAGING, "*")), VIOLATED),
    Case(SERVES, "for two accounts of the estate", source("StringEquals", STAGING, TARGET), HOLDS),
    Case(SERVES, "denied", flow_log(Effect="Deny"), HOLDS),
    Case(SERVES, "for any account", flow_log(), VIOLATED),
    Case(SERVES, "for a stranger", source("StringEquals", "999999999999"), VIOLATED),
    Case(SERVES, "for a stranger too", source("StringEquals", STAGING, "999999999999"), VIOLATED),
    Case(SERVES, "for any account by wildcard", source("StringLike", "*"), VIOLATED),
    Case(SERVES, "where the account is given", source("StringEqualsIfExists", STAGING), VIOLATED),
    Case(SERVES, "trust that is not seen", with_agent(trust=UNSEEN), UNKNOWN),
    Case(SEND, "one document, tagged instances", complete(), HOLDS),
    Case(SEND, "no command at all", with_deployer(permissions=()), HOLDS),
    Case(SEND, "a document of its own", may(1, "Resource", f"arn:aws:ssm:{SOURCE_REGION}:{STAGING}:document/drs-install"), HOLDS),
    Case(SEND, "any document", may(1, "Resource", f"arn:aws:ssm:{SOURCE_REGION}::document/*"), VIOLATED),
    *(
        Case(SEND, f"{name}, which is any command", may(1, "Resource", f"arn:aws:ssm:{SOURCE_REGION}::document/{name}"), VIOLATED)
        for name in ("AWS-RunDocument", "AWS-RunPowerShellScript", "AWS-RunRemoteScript", "AWS-RunShellScript")
    ),
    Case(SEND, "a document by variable", may(1, "Resource", "arn:aws:ssm:us-east-1::document/${aws:PrincipalTag/document}"), VIOLATED),
    Case(SEND, "anything", may(1, "Resource", "*"), VIOLATED),
    Case(SEND, "anything that is tagged", may(2, "Resource", "*"), VIOLATED),
    Case(SEND, "any instance", may(2, "Condition"), VIOLATED),
    Case(SEND, "another tag", may(2, "Condition", {"StringEquals": {"ssm:resourceTag/Name": "true"}}), VIOLATED),
    Case(SEND, "another value", may(2, "Condition", {"StringEquals": {"ssm:resourceTag/dr:enabled": "false"}}), VIOLATED),
    Case(SEND, "the tag or another value", may(2, "Condition", {"StringEquals": {"ssm:resourceTag/dr:enabled": ["true", "false"]}}), VIOLATED),
    Case(SEND, "the tag like anything", may(2, "Condition", {"StringLike": {"ssm:resourceTag/dr:enabled": "*"}}), VIOLATED),
    Case(SEND, "the tag where it exists", may(2, "Condition", {"StringEqualsIfExists": {"ssm:resourceTag/dr:enabled": "true"}}), VIOLATED),
    Case(SEND, "a second statement without the tag", may_also(Action="ssm:SendCommand", Resource=[INSTANCES]), VIOLATED),
    Case(SEND, "all but some resources", may_not_on(2, INSTANCES), VIOLATED),
    Case(SEND, "within a wider action", may_also(Action="ssm:Send*"), VIOLATED),
    Case(SEND, "not named by NotAction", without_action(0, NotAction="iam:*"), VIOLATED),
    Case(SEND, "no Resource", may(1, "Resource"), UNKNOWN),
    Case(SEND, "permissions not seen", with_deployer(permissions=UNSEEN), UNKNOWN),
    Case(PASS, "named roles to one service", complete(), HOLDS),
    Case(PASS, "the roles of one path", may(3, "Resource", f"arn:aws:iam::{STAGING}:role/drs/*"), HOLDS),
    Case(PASS, "any role", may(3, "Resource", "*"), VIOLATED),
    Case(PASS, "any role of the account", may(3, "Resource", f"arn:aws:iam::{STAGING}:role/*"), VIOLATED),
    Case(PASS, "any role, by variable", may(3, "Resource", "arn:aws:iam::${aws:PrincipalAccount}:role/*"), VIOLATED),
    Case(PASS, "any role beside a named one", may(3, "Resource", [f"arn:aws:iam::{STAGING}:role/drs-*", "arn:aws:iam::*:role/*"]), VIOLATED),
    Case(PASS, "all roles but some", may_not_on(3, "arn:aws:iam::*:role/admin"), VIOLATED),
    Case(PASS, "any service", may(3, "Condition"), VIOLATED),
    Case(PASS, "a wildcard service", may(3, "Condition", {"StringLike": {"iam:PassedToService": "*.amazonaws.com"}}), VIOLATED),
    Case(PASS, "within a wider action", may_also(Action="iam:*"), VIOLATED),
    Case(PASS, "permissions not seen", with_deployer(permissions=UNSEEN), UNKNOWN),
    Case(ASSUME, "a statement for each orchestration role", complete(), HOLDS),
    Case(ASSUME, "any role", becomes(Resource="*"), VIOLATED),
    Case(ASSUME, "any role of an account", becomes(Resource=f"arn:aws:iam::{STAGING}:role/*"), VIOLATED),
    Case(ASSUME, "that role of any account", becomes(Resource="arn:aws:iam::*:role/DRSOrchestrationRole-staging"), VIOLATED),
    Case(ASSUME, "a role by variable", becomes(Resource="arn:aws:iam::${aws:PrincipalAccount}:role/r"), VIOLATED),
    Case(ASSUME, "a stranger's role", becomes(Resource=STRANGER), VIOLATED),
    Case(ASSUME, "a user", becomes(Resource=f"arn:aws:iam::{STAGING}:user/u"), VIOLATED),
    Case(ASSUME, "within a wider action", becomes(Action="sts:*", Resource="*"), VIOLATED),
    Case(ASSUME, "no external id", becomes(Condition=None), VIOLATED),
    Case(ASSUME, "two external ids", becomes(Condition={"StringEquals": {"sts:ExternalId": ["12e5d8cd", "cbc7b75b"]}}), VIOLATED),
    Case(ASSUME, "all roles but one", becomes(Resource=None, NotResource=STRANGER), VIOLATED),
    Case(ASSUME, "what agents go on to", goes_on("service-role/DRSCrossAccountAgentRole_444455556666"), HOLDS),
    Case(ASSUME, "agents that go on to any role", goes_on("*"), VIOLATED),
    Case(ASSUME, "permissions not seen", with_function_role(permissions=UNSEEN), UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    assert outcome(case.invariant, case.estate) is case.outcome


def test_each_condition_that_is_missing_is_named() -> None:
    texts = [message.text for message in messages(ONLY, change("Condition"))]
    for key in ("sts:SourceIdentity", "aws:SourceAccount", "aws:SourceArn"):
        assert any(key in text for text in texts)


def test_a_missing_role_comes_with_the_module_that_makes_it() -> None:
    (message,) = messages(COMPLETE, with_staging(roles=()))
    assert message.fix is not None
    for part in ('module "staging_1_trust"', "modules/staging-trust", f'"{TARGET}"'):
        assert part in message.fix


def test_what_is_missing_from_the_role_comes_as_hcl() -> None:
    (message,) = messages(COMPLETE, with_staging_role(managed_policies=()))
    assert message.fix is not None
    assert STAGING_POLICY in message.fix and STAGING_ROLE in message.fix
