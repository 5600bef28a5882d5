"""Extended source servers: what DRS of the target needs in the staging account, and what it refuses."""

import time
from operator import itemgetter

from moto.iam.models import iam_backends
from moto.kms.models import kms_backends

from validator.emulator.authorization import allows
from validator.emulator.drs.exceptions import AccessDeniedException, ValidationException
from validator.emulator.drs.models import (
    TOTAL,
    DrsBackend,
    Json,
    Server,
    delays,
    drs_backends,
    not_found,
    now,
    page,
    quota_exceeded,
)
from validator.emulator.drs.settings import launch_settings

STAGING_POLICY = (
    "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryStagingAccountPolicy_v2"
)
_DEFAULT_KEY = "The source server cannot be extended if it has the default EBS encryption key."

Problems = dict[tuple[str, ...], str | None]
"""What was found for one account and encryption, so that a page decides it once."""


def problem(target: DrsBackend, server: Server, known: Problems) -> str | None:
    """Why DRS of the target cannot use the staging server of an extension, None if it can."""
    staged = server.staged
    assert staged is not None
    staging = drs_backends[server.staging_account][target.region_name]
    if staging.servers.get(staged.id) is not staged:
        return "The staging source server was not found."
    settings = staged.replication
    decided_by = (
        server.staging_account,
        str(settings.get("ebsEncryption")),
        str(settings.get("ebsEncryptionKeyArn")),
    )
    if decided_by not in known:
        known[decided_by] = _problem(target, staging, settings)
    return known[decided_by]


def trust_problem(target: DrsBackend, staging: DrsBackend) -> str | None:
    """Why DRS of the target cannot act in the staging account at all, None if it can."""
    name = f"DRSStagingAccountRole_{target.account_id}"
    roles = list(iam_backends[staging.account_id]["aws"].roles.values())
    role = next((r for r in roles if r.name == name), None)
    if role is None or role.path != "/service-role/":
        return f"Account {staging.account_id} does not trust {target.account_id}: no role {name}."
    context = {
        "sts:SourceIdentity": target.account_id,
        "aws:SourceAccount": target.account_id,
        "aws:SourceArn": target.arn("source-server", "s-00000000000000000"),
    }
    for action in ("sts:AssumeRole", "sts:SetSourceIdentity"):
        trust = role.assume_role_policy_document
        if not allows(trust, principal="drs.amazonaws.com", action=action, context=context):
            return f"The trust policy of {role.arn} does not let DRS {action}."
    if STAGING_POLICY not in role.managed_policies:
        return f"{role.arn} lacks the managed policy {STAGING_POLICY}."
    return None


def _problem(target: DrsBackend, staging: DrsBackend, settings: Json) -> str | None:
    refused = trust_problem(target, staging)
    if refused is not None:
        return refused
    if settings.get("ebsEncryption") != "CUSTOM":
        return _DEFAULT_KEY
    role = f"arn:aws:iam::{staging.account_id}:role/service-role/DRSStagingAccountRole_{target.account_id}"
    return _key_problem(target, staging, role, str(settings["ebsEncryptionKeyArn"]))


def _key_problem(
    target: DrsBackend, staging: DrsBackend, role_arn: str, key_arn: str
) -> str | None:
    region = staging.region_name
    parts = key_arn.split(":")
    if len(parts) != 6 or parts[3] != region:
        return f"The key {key_arn} is not in {region}."
    key = kms_backends[parts[4]][region].keys.get(parts[5].removeprefix("key/"))
    if key is None or not key.enabled or key.key_state != "Enabled" or key.key_manager == "AWS":
        return f"The key {key_arn} is not an enabled customer-managed key."
    via = {"kms:ViaService": f"ec2.{region}.amazonaws.com"}
    root = f"arn:aws:iam::{target.account_id}:root"
    for principal, account, by_name in (
        (role_arn, staging.account_id, True),
        (root, target.account_id, False),
    ):
        for action in ("kms:ReEncryptFrom", "kms:ReEncryptTo"):
            if not allows(
                key.policy,
                principal=principal,
                action=action,
                resource=key_arn,
                context=via | {"kms:CallerAccount": account},
                by_name=by_name,
            ):
                return f"{principal} is not authorized to use key {key_arn} ({action})."
    return None


def list_extensible(backend: DrsBackend, params: Json) -> Json:
    """ListExtensibleSourceServers: what replicates there and shows no extension here yet."""
    account = params["stagingAccountID"]
    staging = drs_backends[account][backend.region_name]
    name = f"DRSStagingAccountRole_{backend.account_id}"
    if not any(role.name == name for role in list(iam_backends[account]["aws"].roles.values())):
        raise AccessDeniedException(
            f"Account {account} does not trust {backend.account_id}: no role {name}."
        )
    moment = time.monotonic()
    taken = {s.staged.arn for s in backend.servers.values() if s.staged and s.visible <= moment}
    items = [
        {
            "arn": server.arn,
            "hostname": server.properties["identificationHints"]["hostname"],
            "tags": dict(staging.tags.get(server.arn, {})),
        }
        for server in list(staging.servers.values())  # its own requests go on meanwhile
        if server.staged is None and server.arn not in taken
    ]
    shown, more = page(items, params, itemgetter("arn"))
    return {"items": shown, **more}


def extend(backend: DrsBackend, params: Json) -> Server:
    """The extension of a staging account's server, made as CreateExtendedSourceServer makes it."""
    arn = params["sourceServerArn"]
    _, _, _, region, account, resource = arn.split(":", 5)
    if region != backend.region_name:
        raise ValidationException(f"{arn} is not in {backend.region_name}")
    if account == backend.account_id:
        raise ValidationException(f"{arn} is in this account")
    staging = drs_backends[account][region]
    staged = staging.servers.get(resource.removeprefix("source-server/"))
    if staged is None:
        raise not_found("SourceServer", "Source server", arn)
    if staged.staged is not None:
        raise ValidationException(f"{arn} is an extended source server itself")
    if any(server.staged is staged for server in backend.servers.values()):
        raise ValidationException(f"{arn} is already extended")
    identifier = backend.new_id("s")
    server = Server(
        id=identifier,
        arn=backend.arn("source-server", identifier),
        properties=staged.properties,
        origin=staged.origin,
        launch=launch_settings(backend),
        replication={},
        staging_account=account,
        added=now(),
        staged=staged,
        visible=time.monotonic() + delays["extension"],
    )
    refused = problem(backend, server, {})
    if refused == _DEFAULT_KEY:
        raise ValidationException(refused)
    if refused is not None:
        raise AccessDeniedException(refused)
    _check_marketplace(staging, staged)
    quota = backend.quota(TOTAL)
    if len(backend.servers) >= quota:
        raise quota_exceeded(TOTAL, quota)
    backend.tags[server.arn] = dict(params.get("tags") or {})
    backend.add_servers([server])
    return server


def _check_marketplace(staging: DrsBackend, staged: Server) -> None:
    if not staged.volume_status.startswith("CONTAINS_MARKETPLACE"):
        return
    needed = f"DRSCrossAccountReplicationRole_{staging.account_id}"
    owner = staged.origin[0] or staging.account_id
    roles = list(iam_backends[owner]["aws"].roles.values())
    if not any(role.name == needed for role in roles):
        raise ValidationException(
            f"{staged.arn} contains volumes with marketplace product codes, and its account "
            f"{owner} has no role {needed}"
        )


def staging_accounts(backend: DrsBackend, params: Json) -> Json:
    """ListStagingAccounts: only those that servers are extended from already."""
    ids = {s.staging_account for s in backend.servers.values() if s.staged is not None}
    items = [{"accountID": account} for account in sorted(ids)]
    shown, more = page(items, params, itemgetter("accountID"))
    return {"accounts": shown, **more}
