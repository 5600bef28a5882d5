"""IAM enforcement: what a role's own policies and, for KMS, the key's policy let a call do.

Off until the control door switches it on, and only for credentials of assumed roles: an account's
root is free. A call is judged by the resources that it names, for the services of `_RESOURCES`, and by
the condition keys of `_context`, others being absent. What is not understood is refused.
"""

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.sts.models import sts_backends

from validator.emulator.authorization import decision
from validator.emulator.calls import Call

_FREE = {("sts", "GetCallerIdentity")}
_PREFIXES = {"monitoring": "cloudwatch"}
"""How IAM's actions begin, where that is not the service's name in signatures."""
_ACTIONS = {("lambda", "Invoke"): "InvokeFunction"}
"""IAM's actions that have another name than the operation."""


class Enforcement:
    """Whether IAM is enforced, and what it refuses."""

    def __init__(self) -> None:
        self.on = False

    def refusal(self, call: Call, account_id: str) -> str | None:
        """AWS's words if the caller may not make this call, None if it may."""
        if (call.service, call.operation) in _FREE:
            return None
        session = _session(call.access_key, account_id)
        if session is None:
            return None
        role = _role(account_id, session.role_arn)
        for action, resource in _demands(call, account_id):
            if role is None or not _allowed(call, role, session, action, resource):
                return (
                    f"User: {session.arn} is not authorized to perform: {action} on resource: "
                    f"{resource} because no identity-based policy allows the {action} action"
                )
        return None

    def permits(self, role_arn: str, action: str, resource: str, region: str) -> bool:
        """Whether a role may do what a service does as it, outside of any call."""
        if not self.on:
            return True
        account_id = role_arn.split(":")[4]
        role = _role(account_id, role_arn)
        service, operation = action.split(":")
        call = Call(service, operation, region, "", False, {})
        session = SimpleNamespace(account_id=account_id, role_arn=role_arn, policy=None)
        return role is not None and _allowed(call, role, session, action, resource)


def _role(account_id: str, arn: str) -> Any:
    roles = list(iam_backends[account_id]["aws"].roles.values())
    return next((each for each in roles if each.arn == arn), None)


def _session(access_key: str, account_id: str) -> Any:
    """The assumed role that an access key belongs to, None for an account's root."""
    sessions = list(sts_backends[account_id]["aws"].assumed_roles)
    return next((each for each in sessions if each.access_key_id == access_key), None)


def _context(call: Call, session: Any, resource: str) -> dict[str, str]:
    context = {
        "aws:PrincipalAccount": session.account_id,
        "aws:PrincipalArn": session.role_arn,
        "aws:RequestedRegion": call.region,
    }
    if call.operation == "AssumeRole" and "ExternalId" in (params := call.params()):
        context["sts:ExternalId"] = str(params["ExternalId"])
    if call.operation == "PutMetricData":
        context["cloudwatch:namespace"] = str(call.params().get("Namespace", ""))
    for key, value in _tags(call, resource).items():
        context[f"aws:ResourceTag/{key}"] = value
        context[f"{call.service}:resourceTag/{key}"] = value
    return context


def _tags(call: Call, resource: str) -> dict[str, str]:
    """The tags of an EC2 instance, or of what else EC2 tags."""
    arn = re.fullmatch(r"arn:aws:ec2:([^:]+):(\d{12}):[^/]+/(.+)", resource)
    if arn is None:
        return {}
    return dict(ec2_backends[arn[2]][arn[1]].tags.get(arn[3], {}))


def _document(policy: Any) -> str:
    """A managed policy as its default version has it."""
    documents = {each.version_id: each.document for each in policy.versions}
    return str(documents[policy.default_version_id])


def _allowed(call: Call, role: Any, session: Any, action: str, resource: str) -> bool:
    context = _context(call, session, resource)

    def own(document: Any) -> str | None:
        return decision(document, action=action, resource=resource, context=context)

    documents = [*role.policies.values(), *map(_document, role.managed_policies.values())]
    said = {own(document) for document in documents}
    limits = [session.policy] if session.policy else []
    if role.permissions_boundary_arn:
        known = iam_backends[session.account_id]["aws"].managed_policies
        boundary = known.get(role.permissions_boundary_arn)
        limits.append(_document(boundary) if boundary is not None else "")
    if "Deny" in said or any(own(limit) != "Allow" for limit in limits):
        return False
    if call.service != "kms" or resource == "*":
        return "Allow" in said
    key = kms_backends[resource.split(":")[4]][call.region].keys.get(resource.split("/")[-1])
    if key is None:
        return "Allow" in said  # KMS itself says that there is no such key

    def keys(by_name: bool) -> bool:
        said_by_key = decision(
            key.policy,
            principal=session.role_arn,
            action=action,
            resource=resource,
            context=context | {"kms:CallerAccount": session.account_id},
            by_name=by_name,
        )
        return said_by_key == "Allow"

    # Named by the key's policy, a role of the key's account needs no policy of its own.
    named = keys(True) and session.account_id == resource.split(":")[4]
    return named or ("Allow" in said and keys(False))


def _demands(call: Call, account_id: str) -> list[tuple[str, str]]:
    """The actions that a call needs, each with the resource it needs it on."""
    if call.service == "dynamodb" and call.operation.startswith("Transact"):
        return _transaction(call, account_id) or [(f"dynamodb:{call.operation}", "*")]
    operation = _ACTIONS.get((call.service, call.operation), call.operation)
    action = f"{_PREFIXES.get(call.service, call.service)}:{operation}"
    named = _RESOURCES.get(call.service)
    found = named(call, account_id) if named is not None else []
    return [(action, resource) for resource in found or ["*"]]


_DRS_IDS = {
    "jobID": "job",
    "launchConfigurationTemplateID": "launch-configuration-template",
    "replicationConfigurationTemplateID": "replication-configuration-template",
    "sourceServerID": "source-server",
}


def _drs(call: Call, account_id: str) -> list[str]:
    params = call.params()

    def arn(kind: str, identifier: Any) -> str:
        return f"arn:aws:drs:{call.region}:{account_id}:{kind}/{identifier}"

    found = [arn(kind, params[name]) for name, kind in _DRS_IDS.items() if name in params]
    for name in ("recoveryPlanArn", "recoveryPlanStepArn", "sourceServerArn"):
        if name in params:
            found.append(str(params[name]))
    if "resourceId" in params:
        is_server = str(params["resourceId"]).startswith("s-")
        kind = "source-server" if is_server else "launch-configuration-template"
        found.append(arn(kind, params["resourceId"]))
    servers = params.get("sourceServers")
    for each in servers if isinstance(servers, list) else []:
        found.append(arn("source-server", each["sourceServerID"]))
    path = unquote(str(call.environ["PATH_INFO"]))
    if path.startswith("/tags/"):
        found.append(path.removeprefix("/tags/"))
    return found


def _kms(call: Call, account_id: str) -> list[str]:
    named = call.params().get("KeyId")
    if not isinstance(named, str) or call.operation == "ListAliases":
        return []
    arn = re.fullmatch(r"arn:aws:kms:[^:]+:(\d{12}):(?:key/)?(.+)", named)
    owner, name = (arn[1], arn[2]) if arn else (account_id, named)
    if name.startswith("alias/"):
        aliases = kms_backends[owner][call.region].list_aliases(None)
        name = {each.alias_name: each.target_key_id for each in aliases}.get(name, name)
    return [f"arn:aws:kms:{call.region}:{owner}:key/{name}"]


def _iam(call: Call, account_id: str) -> list[str]:
    params = call.params()
    if call.operation == "CreateRole":
        return [f"arn:aws:iam::{account_id}:role{params.get('Path', '/')}{params['RoleName']}"]
    if "RoleName" in params:
        roles = list(iam_backends[account_id]["aws"].roles.values())
        name = params["RoleName"]
        arns = [role.arn for role in roles if role.name == name]
        return arns or [f"arn:aws:iam::{account_id}:role/{name}"]
    if "InstanceProfileName" in params:
        name = params["InstanceProfileName"]
        profile = iam_backends[account_id]["aws"].instance_profiles.get(name)
        return [
            profile.arn
            if profile is not None
            else f"arn:aws:iam::{account_id}:instance-profile/{name}"
        ]
    return [params["PolicyArn"]] if "PolicyArn" in params else []


def _sts(call: Call, _: str) -> list[str]:
    params = call.params()
    return [params["RoleArn"]] if "RoleArn" in params else []


def _dynamodb(call: Call, account_id: str) -> list[str]:
    params = call.params()
    named = params.get("ResourceArn") or params.get("TableName")
    if not isinstance(named, str):
        requested = params.get("RequestItems")
        tables = list(requested) if isinstance(requested, dict) else []
        return [_table(call, account_id, str(table)) for table in tables]
    table = _table(call, account_id, named)
    return [f"{table}/index/{params['IndexName']}" if "IndexName" in params else table]


def _table(call: Call, account_id: str, named: str) -> str:
    if named.startswith("arn:"):
        return named
    return f"arn:aws:dynamodb:{call.region}:{account_id}:table/{named}"


_TRANSACTIONS = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}


def _transaction(call: Call, account_id: str) -> list[tuple[str, str]]:
    """What the items of a transaction need: the transaction itself is no action of IAM."""
    items = call.params().get("TransactItems")
    return [
        (f"dynamodb:{_TRANSACTIONS.get(kind, kind)}", _table(call, account_id, each["TableName"]))
        for item in (items if isinstance(items, list) else [])
        for kind, each in item.items()
    ]


def _ec2(call: Call, account_id: str) -> list[str]:
    if call.operation not in {"CreateTags", "DeleteTags"}:
        return []
    ids = [str(v) for k, v in call.params().items() if k.startswith("ResourceId.")]
    return [
        f"arn:aws:ec2:{call.region}:{account_id}:{_EC2_KINDS.get(each.split('-')[0], '*')}/{each}"
        for each in ids
    ]


_EC2_KINDS = {
    "i": "instance",
    "lt": "launch-template",
    "sg": "security-group",
    "snap": "snapshot",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
}


def _lambda(call: Call, account_id: str) -> list[str]:
    path = unquote(str(call.environ["PATH_INFO"]))
    if "/tags/" in path:
        return [path.split("/tags/", 1)[1]]
    found = re.match(r"/[^/]+/functions/([^/]+)", path)
    named = found[1] if found else call.params().get("FunctionName")
    if not isinstance(named, str):
        return []
    arn = f"arn:aws:lambda:{call.region}:{account_id}:function:"
    qualifier = re.search(r"(?:^|&)Qualifier=([^&]+)", str(call.environ.get("QUERY_STRING", "")))
    whole = named if named.startswith("arn:") else arn + named.rsplit("function:", 1)[-1]
    return [f"{whole}:{unquote(qualifier[1])}" if qualifier else whole]


def _logs(call: Call, account_id: str) -> list[str]:
    params = call.params()
    if "resourceArn" in params:
        return [str(params["resourceArn"])]
    named = params.get("logGroupName") or params.get("logGroupIdentifier")
    if not isinstance(named, str):
        return []
    arn = f"arn:aws:logs:{call.region}:{account_id}:log-group:"
    group = named.removesuffix(":*") if named.startswith("arn:") else arn + named
    # AWS looks at a group's streams, so that a policy must end in `:*`.
    return [f"{group}:log-stream:{params.get('logStreamName', '')}"]


def _monitoring(call: Call, account_id: str) -> list[str]:
    params = call.params()
    arn = f"arn:aws:cloudwatch:{call.region}:{account_id}:alarm:"
    names = [v for k, v in params.items() if re.fullmatch(r"AlarmNames\.member\.\d+", k)]
    names += params.get("AlarmNames", [])
    names += [params["AlarmName"]] if "AlarmName" in params else []
    return [f"{arn}{name}" for name in names] or [
        str(params[name]) for name in ("ResourceARN",) if name in params
    ]


def _sns(call: Call, account_id: str) -> list[str]:
    params = call.params()
    if call.operation == "CreateTopic":
        return [f"arn:aws:sns:{call.region}:{account_id}:{params.get('Name')}"]
    named = (params.get(name) for name in ("TopicArn", "TargetArn", "ResourceArn"))
    found = next((str(each) for each in named if each), "")
    if not found and "SubscriptionArn" in params:
        found = str(params["SubscriptionArn"]).rsplit(":", 1)[0]
    return [found] if found else []


def _sqs(call: Call, account_id: str) -> list[str]:
    params = call.params()
    if "QueueUrl" in params:
        owner, name = str(params["QueueUrl"]).rstrip("/").split("/")[-2:]
        return [f"arn:aws:sqs:{call.region}:{owner}:{name}"]
    if "QueueName" in params:
        return [f"arn:aws:sqs:{call.region}:{account_id}:{params['QueueName']}"]
    return []


def _ssm(call: Call, account_id: str) -> list[str]:
    params = call.params()
    arn = f"arn:aws:ssm:{call.region}:{account_id}:"
    if call.operation == "SendCommand":
        return [
            _document_arn(call, account_id, params.get("DocumentName")),
            *_targets(call, account_id),
        ]
    if call.operation.endswith("Document") and "Name" in params:
        return [_document_arn(call, account_id, params["Name"])]
    kind, identifier = params.get("ResourceType"), params.get("ResourceId")
    if kind in {"Document", "Parameter"}:
        return [f"{arn}{kind.lower()}/{str(identifier).lstrip('/')}"]
    names = params.get("Names", []) if "Parameter" in call.operation else []
    if "Parameter" in call.operation:
        names = names + [params[key] for key in ("Name", "Path") if key in params]
    return [
        name if name.startswith("arn:") else f"{arn}parameter/{name.lstrip('/')}" for name in names
    ]


def _document_arn(call: Call, account_id: str, name: Any) -> str:
    """AWS's own documents belong to no account, and nobody else's may begin as they do."""
    if str(name).startswith("arn:"):
        return str(name)
    owner = "" if str(name).lower().startswith(("amazon", "amzn", "aws")) else account_id
    return f"arn:aws:ssm:{call.region}:{owner}:document/{name}"


def _targets(call: Call, account_id: str) -> list[str]:
    """The instances that a command is sent to; `instance/*` if it is sent to none."""
    params = call.params()
    ids = [str(each) for each in params.get("InstanceIds", [])]
    wanted: Any = params.get("Targets", [])
    named = [each for each in wanted if each["Key"].lower() == "instanceids"]
    ids += [str(value) for each in named for value in each["Values"]]
    tagged = [each for each in wanted if each not in named]
    if tagged:
        instances = [
            instance
            for reservation in list(ec2_backends[account_id][call.region].reservations.values())
            for instance in list(reservation.instances)
        ]
        tags = ec2_backends[account_id][call.region].tags
        ids += [i.id for i in instances if all(_has(tags.get(i.id, {}), wish) for wish in tagged)]
    return [f"arn:aws:ec2:{call.region}:{account_id}:instance/{each}" for each in ids or ["*"]]


def _has(tags: dict[str, str], wish: Any) -> bool:
    if wish["Key"] == "tag-key":
        return bool(set(wish["Values"]) & set(tags))
    return tags.get(wish["Key"].removeprefix("tag:")) in wish["Values"]


_STATES_ARNS = ("stateMachineArn", "executionArn", "resourceArn", "stateMachineVersionArn")


def _states(call: Call, account_id: str) -> list[str]:
    params = call.params()
    if call.operation == "CreateStateMachine":
        return [f"arn:aws:states:{call.region}:{account_id}:stateMachine:{params.get('name')}"]
    return [str(params[name]) for name in _STATES_ARNS if name in params][:1]


_RESOURCES: dict[str, Callable[[Call, str], list[str]]] = {
    "drs": _drs,
    "dynamodb": _dynamodb,
    "ec2": _ec2,
    "iam": _iam,
    "kms": _kms,
    "lambda": _lambda,
    "logs": _logs,
    "monitoring": _monitoring,
    "sns": _sns,
    "sqs": _sqs,
    "ssm": _ssm,
    "states": _states,
    "sts": _sts,
}
"""The ARNs that a call is about, by service; of other services' calls it is "*"."""
