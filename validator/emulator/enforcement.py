"""IAM enforcement: what a role's own policies and, for KMS, the key's policy let a call do.

Off until the control door switches it on, and only for credentials of assumed roles: an account's
root is free. A call is judged by the resources that it names, for the services of `_RESOURCES`, and by
the condition keys of `_context`, others being absent. What is not understood is refused.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.sts.models import sts_backends

from validator.emulator.authorization import decision
from validator.emulator.calls import Call

_FREE = {("sts", "GetCallerIdentity")}
_PREFIXES = {"monitoring": "cloudwatch"}
"""How IAM's actions begin, where that is not the service's name in signatures."""


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
        action = f"{_PREFIXES.get(call.service, call.service)}:{call.operation}"
        roles = list(iam_backends[account_id]["aws"].roles.values())
        role = next((each for each in roles if each.arn == session.role_arn), None)
        for resource in _resources(call, account_id):
            if role is None or not _allowed(call, role, session, action, resource):
                return (
                    f"User: {session.arn} is not authorized to perform: {action} on resource: "
                    f"{resource} because no identity-based policy allows the {action} action"
                )
        return None


def _session(access_key: str, account_id: str) -> Any:
    """The assumed role that an access key belongs to, None for an account's root."""
    sessions = list(sts_backends[account_id]["aws"].assumed_roles)
    return next((each for each in sessions if each.access_key_id == access_key), None)


def _context(call: Call, session: Any) -> dict[str, str]:
    context = {
        "aws:PrincipalAccount": session.account_id,
        "aws:PrincipalArn": session.role_arn,
        "aws:RequestedRegion": call.region,
    }
    if call.operation == "AssumeRole" and "ExternalId" in (params := call.params()):
        context["sts:ExternalId"] = str(params["ExternalId"])
    return context


def _document(policy: Any) -> str:
    """A managed policy as its default version has it."""
    documents = {each.version_id: each.document for each in policy.versions}
    return str(documents[policy.default_version_id])


def _allowed(call: Call, role: Any, session: Any, action: str, resource: str) -> bool:
    context = _context(call, session)

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


def _resources(call: Call, account_id: str) -> list[str]:
    named = _RESOURCES.get(call.service)
    found = named(call, account_id) if named is not None else []
    return found or ["*"]


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
    if "sourceServerArn" in params:
        found.append(str(params["sourceServerArn"]))
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
    return [params["PolicyArn"]] if "PolicyArn" in params else []


def _sts(call: Call, _: str) -> list[str]:
    params = call.params()
    return [params["RoleArn"]] if "RoleArn" in params else []


_RESOURCES: dict[str, Callable[[Call, str], list[str]]] = {
    "drs": _drs,
    "iam": _iam,
    "kms": _kms,
    "sts": _sts,
}
"""The ARNs that a call is about, by service; of other services' calls it is "*"."""
