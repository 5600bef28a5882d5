"""A whole estate on which every invariant holds, and the ways in which a case changes it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from tests.estates import (
    LAUNCH_SETTINGS,
    REGION,
    account,
    estate,
    extended,
    replication_template,
    server,
)
from validator.findings import Message, Outcome
from validator.invariants import INVARIANTS, judge
from validator.model import (
    Account,
    Estate,
    Extension,
    Ingress,
    Instance,
    Key,
    Part,
    Placement,
    Provider,
    Role,
    SecurityGroup,
    Table,
    Unknown,
    View,
    Wave,
    Worker,
)

TARGET, STAGING, ORCHESTRATION = "111122223333", "444455556666", "777788889999"
SOURCE_REGION = "us-east-1"
STAGING_ROLE = f"DRSStagingAccountRole_{TARGET}"
STAGING_POLICY = (
    "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryStagingAccountPolicy_v2"
)
VIA = {"kms:ViaService": f"ec2.{REGION}.amazonaws.com"}
UNSEEN = Unknown("it is known only after apply")
HOLDS, VIOLATED, UNKNOWN = Outcome.HOLDS, Outcome.VIOLATED, Outcome.UNKNOWN
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One invariant on one estate: what it must say there, and in `why` what is special about it."""

    invariant: str
    why: str
    estate: Estate
    outcome: Outcome

    def __str__(self) -> str:
        return f"{self.invariant}: {self.why}".replace(" ", "-")


BY_NAME = {each.name: each for each in INVARIANTS}


def outcome(invariant: str, of: Estate) -> Outcome:
    """What one invariant says of an estate."""
    return judge(of, [BY_NAME[invariant]]).outcome


def messages(invariant: str, of: Estate) -> list[Message]:
    """Everything that one invariant finds wrong with an estate."""
    return [each for f in judge(of, [BY_NAME[invariant]]).findings for each in f.messages]


def root(account_id: str) -> str:
    return f"arn:aws:iam::{account_id}:root"


def document(*statements: Json) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def administration(account_id: str) -> Json:
    return {
        "Sid": "Admin",
        "Effect": "Allow",
        "Principal": {"AWS": root(account_id)},
        "Action": "kms:*",
        "Resource": "*",
    }


def bounded(sid: str, principal: str, action: Any, caller: str, **more: Any) -> Json:
    """A statement of a key policy that is bound to its caller's account and to EC2."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": action,
        "Resource": "*",
        "Condition": {"StringEquals": {**VIA, "kms:CallerAccount": caller}, **more},
    }


AWS_RESOURCES_ONLY = {"kms:GrantIsForAWSResource": "true"}
EBS_USE = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncrypt*",
]


def replication_key_statements() -> list[Json]:
    """Administration, the staging role, the target, and the target's grants."""
    role = f"arn:aws:iam::{STAGING}:role/service-role/{STAGING_ROLE}"
    target = root(TARGET)
    return [
        administration(STAGING),
        bounded("Role", role, "kms:ReEncrypt*", STAGING),
        bounded("Target", target, "kms:ReEncrypt*", TARGET),
        bounded("Grant", target, "kms:CreateGrant", TARGET, Bool=AWS_RESOURCES_ONLY),
    ]


def shared_key_statements() -> list[Json]:
    """Administration, the staging account's use, and its grants."""
    staging = root(STAGING)
    return [
        administration(TARGET),
        bounded("Uses", staging, EBS_USE, STAGING),
        bounded("Grants", staging, "kms:CreateGrant", STAGING, Bool=AWS_RESOURCES_ONLY),
    ]


def trust_statement() -> Json:
    """The one statement of a staging role's trust policy, as AWS documents it."""
    return {
        "Sid": "Drs",
        "Effect": "Allow",
        "Principal": {"Service": "drs.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
        "Condition": {
            "StringLike": {"sts:SourceIdentity": TARGET, "aws:SourceAccount": TARGET},
            "ArnLike": {"aws:SourceArn": "arn:aws:drs:*:*:source-server/*"},
        },
    }


DEPLOYER = f"arn:aws:iam::{ORCHESTRATION}:role/drs-agent-deployer-staging"


def external_id(account_id: str) -> str:
    """The external id of an account's roles, which no other account has."""
    return f"12e5d8cd-17d4-{account_id}"


def deployer_trust(account_id: str = STAGING) -> Json:
    """The one statement of an orchestration or verifier role's trust policy in an account."""
    return {
        "Sid": "One",
        "Effect": "Allow",
        "Principal": {"AWS": root(ORCHESTRATION)},
        "Action": "sts:AssumeRole",
        "Condition": {
            "ArnEquals": {"aws:PrincipalArn": DEPLOYER},
            "StringEquals": {"sts:ExternalId": external_id(account_id)},
        },
    }


def permissions() -> list[Json]:
    """What an orchestration role may do: read, send, and pass one role on to one service."""
    install = "document/AWSDisasterRecovery-InstallDRAgentOnInstance"
    return [
        {"Sid": "Read", "Effect": "Allow", "Action": "drs:DescribeSourceServers", "Resource": "*"},
        {
            "Sid": "Document",
            "Effect": "Allow",
            "Action": "ssm:SendCommand",
            "Resource": f"arn:aws:ssm:{SOURCE_REGION}::{install}",
        },
        {
            "Sid": "Instances",
            "Effect": "Allow",
            "Action": "ssm:SendCommand",
            "Resource": f"arn:aws:ec2:{SOURCE_REGION}:{STAGING}:instance/*",
            "Condition": {"StringEquals": {"ssm:resourceTag/dr:enabled": "true"}},
        },
        {
            "Sid": "Pass",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": f"arn:aws:iam::{STAGING}:role/drs-*",
            "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        },
    ]


def make_role(owner: Account, name: str, path: str, trust: str, **more: Any) -> Role:
    return Role(
        name=f"{name} of {owner.name}",
        where=f"module.{owner.name}.aws_iam_role.{name}",
        account_id=owner.id,
        role_name=name,
        path=path,
        trust=trust,
        managed_policies=more.get("managed_policies", ()),
        permissions=more.get("permissions", ()),
    )


def make_key(owner: Account, alias: str, statements: list[Json]) -> Key:
    return Key(
        name=f"{alias} of {owner.name}",
        where=f"module.{owner.name}.aws_kms_key.this",
        account_id=owner.id,
        region=REGION,
        aliases=(alias,),
        policy=document(*statements),
        enabled=True,
        rotated=True,
        deletion_window=30,
    )


AGENT_POLICIES = tuple(
    f"arn:aws:iam::aws:policy/{name}"
    for name in (
        "AmazonSSMManagedInstanceCore",
        "service-role/AWSElasticDisasterRecoveryEc2InstancePolicy",
    )
)


def make_verifier(owner: Account) -> Role:
    return make_role(owner, "DRSVerifierRole-staging", "/", document(deployer_trust(owner.id)))


def make_deployer(owner: Account) -> Role:
    return make_role(
        owner,
        "DRSOrchestrationRole-staging",
        "/",
        document(deployer_trust(owner.id)),
        permissions=(document(*permissions()),),
    )


def assumes(account_id: str = STAGING) -> Json:
    """The statement by which the agent deployer's function becomes an orchestration role."""
    return {
        "Sid": "Deploy",
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Resource": f"arn:aws:iam::{account_id}:role/DRSOrchestrationRole-staging",
        "Condition": {"StringEquals": {"sts:ExternalId": external_id(account_id)}},
    }


def make_function_role(owner: Account) -> Role:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
    return make_role(
        owner,
        "drs-agent-deployer-staging",
        "/",
        document({**trust, "Action": "sts:AssumeRole"}),
        permissions=(document(assumes(TARGET), assumes(STAGING)),),
    )


def make_worker(kind: Literal["function", "state machine"], role: str) -> Worker:
    name = "drs-agent-deployer-staging"
    where = f"module.agent_deployer.{kind}"
    return Worker(f"{kind} {name}", where, ORCHESTRATION, REGION, kind, name, role)


def make_table() -> Table:
    name = "drs-agent-deployments-staging"
    return Table(
        f"table {name}", "module.agent_deployer.table", ORCHESTRATION, REGION, name, True, True
    )


def make_agent(owner: Account) -> Role:
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}
    return make_role(
        owner,
        "DRSAgentInstallRole-staging",
        "/",
        document({**trust, "Action": "sts:AssumeRole"}),
        managed_policies=AGENT_POLICIES,
    )


def _protected(bare: Account, key: Key, roles: tuple[Role, ...]) -> Account:
    private = Ingress("tcp", 1500, 1500, "10.0.0.0/8")
    template = replace(replication_template(bare.id, key.name), where=f"template of {bare.name}")
    group = SecurityGroup("group", f"group of {bare.name}", bare.id, REGION, (private,))
    return replace(bare, keys=(key,), roles=roles, templates=(template,), security_groups=(group,))


def complete(view: View = "plan") -> Estate:
    """An estate of 600 declared servers (in the live view two, all extended) without a fault."""
    planned = 1 if view == "live" else 300
    bare_target = account("target", Part.TARGET, TARGET, planned)
    bare_staging = account("staging-1", Part.STAGING, STAGING, planned)
    trust = make_role(
        bare_staging,
        STAGING_ROLE,
        "/service-role/",
        document(trust_statement()),
        managed_policies=(STAGING_POLICY,),
    )
    target = _protected(
        bare_target,
        make_key(bare_target, "alias/drs-shared-ebs-key", shared_key_statements()),
        (make_deployer(bare_target), make_verifier(bare_target), make_agent(bare_target)),
    )
    staging = _protected(
        bare_staging,
        make_key(bare_staging, "alias/drs-replication-key", replication_key_statements()),
        (
            trust,
            make_deployer(bare_staging),
            make_verifier(bare_staging),
            make_agent(bare_staging),
        ),
    )
    bare = estate(view=view, target=target, staging=(staging,))
    home = bare.orchestration
    runs_as = make_function_role(home)
    whole = replace(
        bare,
        orchestration=replace(
            home,
            roles=(make_verifier(home), runs_as),
            workers=(
                make_worker("function", runs_as.name),
                make_worker("state machine", f"{runs_as.role_name}-states of {home.name}"),
            ),
            tables=(make_table(),),
        ),
        providers=tuple(
            Provider(f"aws.{each.name}", f"{each.name}.tf:1", REGION, (each.id,), each.id)
            for each in (target, staging)
        ),
        placements=(Placement("module.key", "staging-1.tf:9", STAGING, STAGING),),
    )
    if view != "live":
        return replace(whole, code=replace(whole, view="code")) if view == "plan" else whole
    one = server(STAGING, 1)
    return replace(
        whole,
        target=replace(
            target,
            servers=(server(TARGET, 9), extended(TARGET, one)),
            instances=(instance(TARGET, 9),),
            initialised=True,
            initialised_at_source=True,
            launch_settings=LAUNCH_SETTINGS,
            extended_from=(STAGING,),
        ),
        staging=(
            replace(
                staging,
                servers=(one,),
                instances=(instance(STAGING, 1),),
                initialised=True,
                extensible=(),
            ),
        ),
        waves=(Wave("wave-1", "estate.auto.tfvars:40", 2),),
    )


def instance(account_id: str, number: int) -> Instance:
    """The tagged instance that `server(account_id, number)` replicates from."""
    identifier = f"i-{number:017x}"
    arn = f"arn:aws:ec2:{SOURCE_REGION}:{account_id}:instance/{identifier}"
    return Instance(identifier, arn, account_id, "running", (("dr:enabled", "true"),))


# How a case changes the estate: each gives a new one.


def with_estate(view: View = "plan", **changes: Any) -> Estate:
    return replace(complete(view), **changes)


def with_target(view: View = "plan", **changes: Any) -> Estate:
    whole = complete(view)
    return replace(whole, target=replace(whole.target, **changes))


def with_staging(view: View = "plan", **changes: Any) -> Estate:
    whole = complete(view)
    return replace(whole, staging=(replace(whole.staging[0], **changes),))


def with_orchestration(view: View = "plan", **changes: Any) -> Estate:
    whole = complete(view)
    return replace(whole, orchestration=replace(whole.orchestration, **changes))


def with_key(**changes: Any) -> Estate:
    """The staging account's replication key, changed."""
    (key,) = complete().staging[0].keys  # type: ignore[misc]
    return with_staging(keys=(replace(key, **changes),))


def with_shared_key(**changes: Any) -> Estate:
    (key,) = complete().target.keys  # type: ignore[misc]
    return with_target(keys=(replace(key, **changes),))


def with_template(**changes: Any) -> Estate:
    """The staging account's template, changed."""
    (template,) = complete().staging[0].templates  # type: ignore[misc]
    return with_staging(templates=(replace(template, **changes),))


def with_group(*ingress: Ingress, **changes: Any) -> Estate:
    """The staging account's security group, with these ways in besides its own."""
    (group,) = complete().staging[0].security_groups  # type: ignore[misc]
    wider = replace(group, ingress=(*group.ingress, *ingress))  # type: ignore[misc]
    return with_staging(security_groups=(replace(wider, **changes),))


def _with_role(number: int, **changes: Any) -> Estate:
    roles = list(complete().staging[0].roles)  # type: ignore[arg-type]
    roles[number] = replace(roles[number], **changes)
    return with_staging(roles=tuple(roles))


def with_staging_role(**changes: Any) -> Estate:
    return _with_role(0, **changes)


def with_deployer(**changes: Any) -> Estate:
    return _with_role(1, **changes)


def with_agent(**changes: Any) -> Estate:
    return _with_role(3, **changes)


def with_verifier(**changes: Any) -> Estate:
    """The orchestration account's verifier role, changed."""
    role, *others = complete().orchestration.roles  # type: ignore[misc]
    return with_orchestration(roles=(replace(role, **changes), *others))


def with_function_role(**changes: Any) -> Estate:
    """The role of the agent deployer's function, changed."""
    *others, role = complete().orchestration.roles  # type: ignore[misc]
    return with_orchestration(roles=(*others, replace(role, **changes)))


def with_function(**changes: Any) -> Estate:
    """The agent deployer's function, changed."""
    function, *others = complete().orchestration.workers  # type: ignore[misc]
    return with_orchestration(workers=(replace(function, **changes), *others))


def with_table(**changes: Any) -> Estate:
    return with_orchestration(tables=(replace(make_table(), **changes),))


def edited(make: Callable[[], list[Json]], number: int, path: str, to: Any = None) -> list[Json]:
    """The statements with one place changed: `path` has dots between its steps, None takes it away."""
    statements = make()
    place: Any = statements[number]
    *steps, last = path.split(".")
    for step in steps:
        place = place[step]
    if to is None:
        del place[last]
    else:
        place[last] = to
    return statements


def live(mine: tuple[Any, ...], theirs: tuple[Any, ...], planned: int) -> Estate:
    """The live estate with these servers in the target and in the staging account."""
    own = sum(each.extension is Extension.NOT_EXTENDED for each in mine)
    whole = complete("live")
    return replace(
        whole,
        target=replace(whole.target, servers=mine, planned=own),
        staging=(replace(whole.staging[0], servers=theirs, planned=planned),),
        waves=(Wave("wave-1", "estate.auto.tfvars:40", own + planned),),
    )
