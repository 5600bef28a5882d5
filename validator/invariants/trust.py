"""Invariants on the roles by which one account of the estate lets another one, or DRS, act in it."""

import re
from collections.abc import Iterator

from validator import policy
from validator.findings import Message
from validator.invariants import hcl
from validator.invariants.engine import Unseen, invariant, need
from validator.model import VERIFIER_ROLE, Account, Estate, Pair, Role, Unknown
from validator.policy import Outcome, Policy, Request, Statement, Values

DRS = "drs.amazonaws.com"
STAGING_ACTIONS = ("sts:AssumeRole", "sts:SetSourceIdentity")
STAGING_POLICY = "service-role/AWSElasticDisasterRecoveryStagingAccountPolicy_v2"
"""What AWS attaches to the staging role, after `arn:<partition>:iam::aws:policy/`."""

VERIFIER, DEPLOYER, AGENT = VERIFIER_ROLE, "DRSOrchestrationRole", "DRSAgentInstallRole"
"""The roles by which an account is verified and agents are deployed in it, before `-<env>`."""

AGENT_POLICIES = (
    "AmazonSSMManagedInstanceCore",
    "service-role/AWSElasticDisasterRecoveryEc2InstancePolicy",
)
"""What an instance needs to be sent the agent's installer, and its agent to register."""

FOR_MANY = {"states.amazonaws.com", "vpc-flow-logs.amazonaws.com"}
"""Services that act for whoever asks them, and say for which account and resource."""

ADMINISTRATORS = {"AdministratorAccess", "IAMFullAccess", "PowerUserAccess"}
"""AWS-managed policies with which a role can do what it likes, or let itself do it."""

SHELLS = {"AWS-RunDocument", "AWS-RunPowerShellScript", "AWS-RunRemoteScript", "AWS-RunShellScript"}
"""AWS's SSM documents that run whatever their caller writes."""

_STRANGER = "000000000000"
"""An account id that AWS gives to nobody."""

_AGENT_ROLE = re.compile(r"DRSCrossAccountAgent(Authorized)?Role_[0-9]{12}")
_EXACT = re.compile(r"arn:[^:*?$]+:(iam|sts)::[0-9]{12}:(role|user|assumed-role)/[^*?$]+")
_ROOT = re.compile(r"arn:[^:*?$]+:iam::[0-9]{12}:root")
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}")
_DOCUMENT = re.compile(r"arn:[^:]+:ssm:[^:]*:[^:]*:document/([^*?]+)")
_INSTANCE = re.compile(r"arn:[^:]+:(ec2:[^:]*:[^:]*:instance|ssm:[^:]*:[^:]*:managed-instance)/.+")


def role_named(account: Account, name: str) -> Role | None:
    """The account's role with that name, None if there is none; raises Unseen if it may be hidden."""
    hidden: Unknown | None = None
    for role in need(account.roles):
        if isinstance(role.role_name, Unknown):
            hidden = role.role_name
        elif role.role_name == name:
            return role
    need(hidden)
    return None


def staging_role_name(pair: Pair) -> str:
    """The name by which DRS of the target finds its role in the staging account."""
    return f"DRSStagingAccountRole_{pair.target.id}"


def _context(target_id: str, estate: Estate) -> dict[str, Values]:
    """The condition keys of a request that DRS makes for a source server of the target."""
    partition, region = policy.partition(estate.recovery_region), estate.recovery_region
    return {
        "sts:SourceIdentity": (target_id,),
        "aws:SourceAccount": (target_id,),
        "aws:SourceArn": (f"arn:{partition}:drs:{region}:{target_id}:source-server/s-0",),
    }


def _drs_may(document: Policy, action: str, context: dict[str, Values], where: str) -> bool:
    """True if the trust policy lets DRS do `action` with these condition keys, and no others."""
    request = Request(
        principal=DRS,
        action=action,
        resource=None,
        context=context,
        absent=frozenset(
            {
                "aws:SourceAccount",
                "aws:SourceArn",
                "sts:ExternalId",
                "sts:SourceIdentity",
            }
        ),
    )
    decision = policy.evaluate(document, request)
    if decision.outcome is Outcome.UNKNOWN:
        raise Unseen(f"{where}: {decision.reason}")
    return decision.outcome is Outcome.ALLOWED


def _trust_statement(pair: Pair, estate: Estate) -> str:
    partition = policy.partition(estate.recovery_region)
    return hcl.statement(
        "DrsActsForTheTarget",
        STAGING_ACTIONS,
        ("Service", DRS),
        [
            ("StringLike", "sts:SourceIdentity", pair.target.id),
            ("StringLike", "aws:SourceAccount", pair.target.id),
            ("ArnLike", "aws:SourceArn", f"arn:{partition}:drs:*:*:source-server/*"),
        ],
        resources=False,
    )


@invariant(Pair)
def staging_account_trusts_its_target(pair: Pair, estate: Estate) -> Iterator[Message]:
    """A staging account has the role by which DRS extends and recovers its servers for the target.

    DRS of the target finds the role by its name and path alone, sets its own account id as source
    identity, and does everything in the staging account through the role's managed policy. Without
    the role the staging account is not there for the target; with half of it servers are listed,
    and turn to EXTENSION_ERROR or fail to launch.

    Remedy: Make DRSStagingAccountRole_<target> with module staging-trust.
    """
    name = staging_role_name(pair)
    role = role_named(pair.staging, name)
    if role is None:
        staging = hcl.label(pair.staging.name)
        arguments = {
            "source": '"../../modules/staging-trust"',
            "providers": f"{{ aws = aws.{staging} }}",
            "target_account_id": hcl.quoted(pair.target.id),
        }
        yield Message(
            f"{pair.staging.name} has no role {name}.",
            pair.staging.where,
            hcl.block("module", [f"{staging}_trust"], arguments),
        )
        return
    if need(role.path) != "/service-role/":
        fix = hcl.arguments({"path": '"/service-role/"'})
        yield Message(f"{name} has path {role.path}, not /service-role/.", role.where, fix)
    attached = f"arn:{policy.partition(estate.recovery_region)}:iam::aws:policy/{STAGING_POLICY}"
    if attached not in need(role.managed_policies):
        arguments = {"role": hcl.quoted(name), "policy_arn": hcl.quoted(attached)}
        yield Message(
            f"{name} lacks the managed policy {attached}.",
            role.where,
            hcl.block("resource", ["aws_iam_role_policy_attachment", "staging"], arguments),
        )
    document = policy.parse(need(role.trust))
    context = _context(pair.target.id, estate)
    refused = [a for a in STAGING_ACTIONS if not _drs_may(document, a, context, role.where)]
    if refused:
        yield Message(
            f"{name} does not let DRS {' and '.join(refused)} for {pair.target.id}.",
            role.where,
            _trust_statement(pair, estate),
        )


@invariant(Pair)
def staging_role_is_for_its_target_only(pair: Pair, estate: Estate) -> Iterator[Message]:
    """The staging role lets DRS act for a source server of its target, and for nothing else.

    DRS is one principal for all of AWS's customers. Without all three conditions, on the source
    identity, the source account and the source ARN, the DRS of any account could be made to read
    this account's servers.

    Remedy: Give the trust policy the three conditions that module staging-trust writes.
    """
    name = staging_role_name(pair)
    role = role_named(pair.staging, name)
    if role is None:
        raise Unseen(f"{pair.staging.name} has no role {name}")
    document = policy.parse(need(role.trust))
    for statement in document.statements:
        for kind, value in statement.principals:
            if statement.allow and (kind, value) != ("Service", DRS):
                yield Message(
                    f"{name}: {statement.name} lets {kind} {value} assume it.", role.where
                )
        if statement.allow and statement.not_principal:
            yield Message(f"{name}: {statement.name} lets everyone but a few in.", role.where)
    own = _context(pair.target.id, estate)
    foreign: dict[str, Values] = {
        "sts:SourceIdentity": (_STRANGER,),
        "aws:SourceAccount": (_STRANGER,),
        "aws:SourceArn": (own["aws:SourceArn"][0].replace(":source-server/", ":job/"),),
    }
    for key, values in foreign.items():
        without = {name: value for name, value in own.items() if name != key}
        if any(
            _drs_may(document, action, context, role.where)
            for action in STAGING_ACTIONS
            for context in (without, without | {key: values})
        ):
            yield Message(
                f"{name} lets DRS in whatever {key} is.", role.where, _trust_statement(pair, estate)
            )


@invariant(Estate)
def accounts_have_their_roles(estate: Estate, _: Estate) -> Iterator[Message]:
    """Every account has the env's verifier role, and one that replicates those for agents as well.

    They are found by name: `verify` by DRSVerifierRole, the agent deployer by DRSOrchestrationRole,
    instances by DRSAgentInstallRole, each with the env's name after it. Where one is missing or is
    called otherwise, the account is not verified, no agent is installed there, or none registers.

    Remedy: Call modules verifier-role, orchestration-role and agent-instance-profile for the account.
    """
    unseen: Unseen | None = None
    for account in estate.accounts:
        names = (VERIFIER,) if account is estate.orchestration else (VERIFIER, DEPLOYER, AGENT)
        for name in names:
            try:
                for text in _lacking(account, name, estate):
                    yield Message(text, account.where)
            except Unseen as blind:
                unseen = blind
    if unseen is not None:
        raise unseen


def _lacking(account: Account, name: str, estate: Estate) -> Iterator[str]:
    """What a role that the account is verified or deployed to by lacks."""
    called = f"{name}-{estate.env}"
    role = role_named(account, called)
    if role is None:
        yield f"{account.name} has no role {called}."
    elif name == AGENT:
        prefix = f"arn:{policy.partition(estate.recovery_region)}:iam::aws:policy/"
        for each in AGENT_POLICIES:
            if f"{prefix}{each}" not in need(role.managed_policies):
                yield f"{called} of {account.name} lacks the managed policy {each}."
    elif need(role.path) != "/":
        yield f"{called} of {account.name} has path {role.path}, so its ARN is another."


@invariant(Estate)
def external_ids_differ_between_accounts(estate: Estate, _: Estate) -> Iterator[Message]:
    """No two accounts of the estate demand the same external id.

    An external id tells for which account its caller acts. Where two accounts share one, a caller
    who is given the role of the wrong account is served by it all the same.

    Remedy: Declare an external id of its own for each account in estate.auto.tfvars.
    """
    first: dict[str, Account] = {}
    for account in estate.accounts:
        for role in need(account.roles):
            for statement in _allowing(need(role.trust)):
                for each in policy.bound(statement, "sts:ExternalId") or ():
                    other = first.setdefault(each, account)
                    if other is not account:
                        yield Message(
                            f"{role.name} demands the external id of {other.name}.", role.where
                        )


@invariant(Role)
def services_act_for_the_estate_only(role: Role, estate: Estate) -> Iterator[Message]:
    """A service that acts for many accounts may assume a role on behalf of the estate's only.

    VPC's flow logs are one principal for all of AWS's customers, as are state machines. Without
    aws:SourceAccount, or the exact aws:SourceArn, it can be told by another account to act with this
    role. The staging role, which DRS assumes, has invariants of its own.

    Remedy: Give the statement StringEquals aws:SourceAccount with the role's own account.
    """
    ids = {account.id for account in estate.accounts}
    for statement in _allowing(need(role.trust)):
        served = [v for kind, v in statement.principals if kind == "Service" and v in FOR_MANY]
        arns = policy.bound(statement, "aws:SourceArn") or ()
        accounts = policy.bound(statement, "aws:SourceAccount") or [*map(policy.account_of, arns)]
        if served and (not accounts or not set(accounts) <= ids):
            yield Message(
                f"{role.name}: {statement.name} lets {', '.join(served)} in for any account.",
                role.where,
                hcl.condition("StringEquals", "aws:SourceAccount", need(role.account_id)),
            )


@invariant(Role)
def role_trusts_one_exact_principal(role: Role, _: Estate) -> Iterator[Message]:
    """A role that an AWS principal may assume may be assumed by one exact principal.

    The account's root as principal is everybody there whose own policies allow it: in the
    orchestration account that is every administrator and every function. A wildcard is everybody.

    Remedy: Name the one role, or its account's root with ArnEquals aws:PrincipalArn of that role.
    """
    exact: set[str] = set()
    for statement in _allowing(need(role.trust)):
        if statement.not_principal:
            yield Message(f"{role.name}: {statement.name} trusts everyone but a few.", role.where)
        pinned = policy.bound(statement, "aws:PrincipalArn")
        for kind, value in statement.principals:
            if kind != "AWS":
                continue
            account = policy.account_of(value)
            if _EXACT.fullmatch(value):
                exact.add(value)
            elif (value != account and not _ROOT.fullmatch(value)) or not pinned:
                yield Message(
                    f"{role.name}: {statement.name} trusts {value}, which is no one principal.",
                    role.where,
                )
            elif all(_EXACT.fullmatch(p) and policy.account_of(p) == account for p in pinned):
                exact |= set(pinned)
            else:
                yield Message(
                    f"{role.name}: {statement.name} trusts {', '.join(pinned)} of {account}, "
                    "which is no one principal.",
                    role.where,
                )
    if len(exact) > 1:
        yield Message(
            f"{role.name} trusts {len(exact)} principals: {', '.join(sorted(exact))}.", role.where
        )


@invariant(Role)
def role_demands_an_external_id(role: Role, _: Estate) -> Iterator[Message]:
    """A role that an AWS principal may assume demands one external id.

    The agent deployer acts in many accounts for whoever calls it. Without an external id that
    belongs to one account, a caller who names another account's role is served with it. Roles that
    DRS's own agents assume are left out: the agents present none.

    Remedy: Give the statement StringEquals sts:ExternalId with one value of its account.
    """
    if _is_of_agents(role):
        return
    for statement in _allowing(need(role.trust)):
        names_aws = statement.not_principal or any(k == "AWS" for k, _ in statement.principals)
        if not names_aws or not policy.grants(statement, "sts:AssumeRole"):
            continue
        ids = policy.bound(statement, "sts:ExternalId")
        if ids is None or len(ids) != 1 or not _EXTERNAL_ID.fullmatch(ids[0]):
            yield Message(
                f"{role.name}: {statement.name} demands no one external id of 2 to 1,224 "
                "characters.",
                role.where,
                hcl.condition("StringEquals", "sts:ExternalId", "<the account's external id>"),
            )


@invariant(Role)
def role_admits_only_the_estate(role: Role, estate: Estate) -> Iterator[Message]:
    """No role may be assumed by anybody outside the estate's accounts, but AWS's services.

    Whoever assumes the orchestration role installs agents, and whoever assumes the verifier role
    reads every server's name and address. A federated provider lets in whom it likes.

    Remedy: Name a role of an account of the estate; where an outsider is meant, a waiver says so.
    """
    ids = {account.id for account in estate.accounts}
    own = policy.partition(estate.recovery_region)
    for statement in _allowing(need(role.trust)):
        if statement.not_principal:
            yield Message(f"{role.name}: {statement.name} trusts everyone but a few.", role.where)
            continue
        for kind, value in statement.principals:
            inside = policy.account_of(value) in ids and policy.partition_of(value) in {None, own}
            if kind != "Service" and not (kind == "AWS" and inside):
                yield Message(f"{role.name}: {statement.name} trusts {kind} {value}.", role.where)


@invariant(Role)
def role_names_its_actions(role: Role, _: Estate) -> Iterator[Message]:
    """No role is allowed everything, nor every action of a service.

    With iam:* or kms:* a role lets itself do the rest, and a service gets new actions every month
    that nobody has read. NotAction allows whatever it does not name.

    Remedy: List the actions that the role needs.
    """
    for statement in _permissions(role):
        if statement.not_action:
            yield Message(f"{role.name}: {statement.name} uses NotAction.", role.where)
            continue
        for action in statement.actions:
            service, _colon, name = action.partition(":")
            if not name.strip("*?") or "*" in service or "?" in service:
                yield Message(f"{role.name}: {statement.name} allows {action}.", role.where)


@invariant(Role)
def role_attaches_no_administrator_policy(role: Role, _: Estate) -> Iterator[Message]:
    """No role has AWS's administrator, power user or IAM policy attached.

    With AdministratorAccess or PowerUserAccess a role that is there to deploy agents or to read can
    do anything in the account; with IAMFullAccess it can give itself the rest.

    Remedy: Attach what the role needs, or write it as an inline policy.
    """
    for arn in need(role.managed_policies):
        if ":iam::aws:" in arn and arn.rsplit("/", 1)[-1] in ADMINISTRATORS:
            yield Message(f"{role.name} attaches {arn}.", role.where)


@invariant(Role)
def send_command_is_bounded(role: Role, _: Estate) -> Iterator[Message]:
    """A role sends commands with a named document, to instances tagged dr:enabled only.

    ssm:SendCommand runs as root. Without the document's ARN the role runs any script; without the
    tag it runs the agent's installer, which starts replication and its costs, on any instance.

    Remedy: Two statements: one for the document's ARN, one for instances with StringEquals
    ssm:resourceTag/dr:enabled true.
    """
    for statement in _permissions(role):
        if not policy.grants(statement, "ssm:SendCommand"):
            continue
        if statement.not_resource:
            yield Message(f"{role.name}: {statement.name} uses NotResource.", role.where)
            continue
        tagged = policy.bound(statement, "ssm:resourceTag/dr:enabled") == ("true",)
        for resource in map(_widened, statement.resources):
            if found := _DOCUMENT.fullmatch(resource):
                if found[1] in SHELLS:
                    yield Message(
                        f"{role.name}: {statement.name} sends {found[1]}, which runs any command.",
                        role.where,
                    )
            elif not _INSTANCE.fullmatch(resource):
                yield Message(
                    f"{role.name}: {statement.name} sends commands with {resource}.", role.where
                )
            elif not tagged:
                yield Message(
                    f"{role.name}: {statement.name} sends commands to {resource}, tagged or not.",
                    role.where,
                    hcl.condition("StringEquals", "ssm:resourceTag/dr:enabled", "true"),
                )


@invariant(Role)
def pass_role_is_bounded(role: Role, estate: Estate) -> Iterator[Message]:
    """A role passes named roles to named services only.

    iam:PassRole on any role hands the strongest role of the account to whatever the caller can
    start: an instance or a function with it does what the caller may not.

    Remedy: Name the role's ARN as resource, and add StringEquals iam:PassedToService.
    """
    account = need(role.account_id)
    anyone = f"arn:{policy.partition(estate.recovery_region)}:iam::{account}:role/{policy.UNSEEN}"
    for statement in _permissions(role):
        if not policy.grants(statement, "iam:PassRole"):
            continue
        unbounded = any(policy.matches(_widened(each), anyone) for each in statement.resources)
        if unbounded or statement.not_resource:
            yield Message(f"{role.name}: {statement.name} passes any role.", role.where)
        if not policy.bound(statement, "iam:PassedToService"):
            yield Message(
                f"{role.name}: {statement.name} passes a role to any service.", role.where
            )


@invariant(Role)
def assume_role_is_bounded(role: Role, estate: Estate) -> Iterator[Message]:
    """A role assumes named roles of the estate only, and presents one external id to each.

    The agent deployer takes payloads. A function that may assume any role can be made to become the
    administrator of an account that trusts its own; one that may present any external id can be made
    to act for the wrong account. Roles by which DRS's own agents go on to the peer present none.

    Remedy: A statement for each role: its ARN as resource, and StringEquals sts:ExternalId.
    """
    ids = {account.id for account in estate.accounts}
    for statement in _permissions(role):
        if not policy.grants(statement, "sts:AssumeRole"):
            continue
        for each in map(_widened, statement.resources):
            exact = _EXACT.fullmatch(each) and ":role/" in each and policy.account_of(each) in ids
            if not exact or statement.not_resource:
                yield Message(
                    f"{role.name}: {statement.name} assumes {each}, which is no one role of the estate.",
                    role.where,
                )
        if not _is_of_agents(role) and len(policy.bound(statement, "sts:ExternalId") or ()) != 1:
            yield Message(
                f"{role.name}: {statement.name} presents no one external id.",
                role.where,
                hcl.condition("StringEquals", "sts:ExternalId", "<the account's external id>"),
            )


def _is_of_agents(role: Role) -> bool:
    """True if it is one of the roles by which DRS's agents replicate into another account."""
    named = _AGENT_ROLE.fullmatch(need(role.role_name))
    return need(role.path) == "/service-role/" and named is not None


def _allowing(trust: str) -> Iterator[Statement]:
    """The statements of a trust policy that let somebody in."""
    return (each for each in policy.parse(trust).statements if each.allow)


def _permissions(role: Role) -> Iterator[Statement]:
    """The statements by which a role's own policies allow something."""
    for text in need(role.permissions):
        for statement in policy.parse(text).statements:
            if statement.allow:
                if not statement.resources:
                    raise Unseen(f"{statement.name} of {role.name} has no Resource")
                yield statement


def _widened(resource: str) -> str:
    """The resource with a wildcard for each policy variable, which may stand for anything."""
    return re.sub(r"\$\{[^}]*\}", "*", resource)


INVARIANTS = (
    staging_account_trusts_its_target,
    staging_role_is_for_its_target_only,
    accounts_have_their_roles,
    external_ids_differ_between_accounts,
    services_act_for_the_estate_only,
    role_trusts_one_exact_principal,
    role_demands_an_external_id,
    role_admits_only_the_estate,
    role_names_its_actions,
    role_attaches_no_administrator_policy,
    send_command_is_bounded,
    pass_role_is_bounded,
    assume_role_is_bounded,
)
