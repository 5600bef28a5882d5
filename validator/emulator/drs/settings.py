"""Initialisation, templates and the settings of one server; what AWS refuses of them."""

from operator import itemgetter

from moto.iam.models import iam_backends

from validator.emulator.drs.exceptions import ValidationException
from validator.emulator.drs.models import (
    LAUNCH_TEMPLATES,
    DrsBackend,
    Json,
    drs_backends,
    not_found,
    page,
    quota_exceeded,
)

REPLICATION_FIELDS = (
    "associateDefaultSecurityGroup",
    "autoReplicateNewDisks",
    "bandwidthThrottling",
    "createPublicIP",
    "dataPlaneRouting",
    "defaultLargeStagingDiskType",
    "ebsEncryption",
    "ebsEncryptionKeyArn",
    "internetProtocol",
    "pitPolicy",
    "replicationServerInstanceType",
    "replicationServersSecurityGroupsIDs",
    "stagingAreaSubnetId",
    "stagingAreaTags",
    "useDedicatedReplicationServer",
)
LAUNCH_DEFAULTS: Json = {
    "copyPrivateIp": False,
    "copyTags": True,
    "launchDisposition": "STARTED",
    "licensing": {"osByol": False},
    "targetInstanceTypeRightSizingMethod": "BASIC",
}
SERVER_LAUNCH_FIELDS = (
    *LAUNCH_DEFAULTS,
    "launchIntoInstanceProperties",
    "postLaunchEnabled",
    "recoveryMode",
)
_TEMPLATE_LAUNCH_FIELDS = (
    *LAUNCH_DEFAULTS,
    "exportBucketArn",
    "launchIntoSourceInstance",
    "postLaunchEnabled",
    "recoveryMode",
)


def initialise(backend: DrsBackend, _: Json) -> Json:
    """InitializeService: the service roles come first, the linked role it makes itself."""
    iam = iam_backends[backend.account_id]["aws"]
    needed = ["Agent", "ConversionServer", "Failback", "RecoveryInstance", "ReplicationServer"]
    names = {role.name for role in iam.roles.values()}
    missing = [
        f"AWSElasticDisasterRecovery{each}Role"
        for each in needed
        if f"AWSElasticDisasterRecovery{each}Role" not in names
    ]
    if missing:
        raise ValidationException(f"Missing service roles: {', '.join(missing)}")
    if "AWSServiceRoleForElasticDisasterRecovery" not in names:
        iam.create_service_linked_role("drs.amazonaws.com", "", "")
    backend.initialised = True
    return {}


def _check_template(settings: Json) -> None:
    if settings.get("ebsEncryption") == "CUSTOM" and not settings.get("ebsEncryptionKeyArn"):
        raise ValidationException("ebsEncryption CUSTOM needs ebsEncryptionKeyArn")
    rules = [
        (rule.get("units"), rule.get("interval"), rule.get("retentionDuration"))
        for rule in settings.get("pitPolicy", [])
    ]
    legal = (
        len(rules) == 3
        and {("MINUTE", 10, 60), ("HOUR", 1, 24)} <= set(rules)
        and any(u == "DAY" and i == 1 and 1 <= r <= 365 for u, i, r in rules)
    )
    if not legal:
        raise ValidationException(
            "pitPolicy must hold exactly: MINUTE 10/60, HOUR 1/24 and DAY 1/1..365"
        )


def _template(backend: DrsBackend, identifier: str) -> Json:
    if identifier not in backend.templates:
        raise not_found(
            "ReplicationConfigurationTemplate", "Replication configuration template", identifier
        )
    return backend.templates[identifier]


def create_template(backend: DrsBackend, params: Json) -> Json:
    """CreateReplicationConfigurationTemplate: one for an account and Region."""
    if backend.templates:
        raise quota_exceeded("ReplicationConfigurationTemplates", 1)
    settings = {"associateDefaultSecurityGroup": False, "createPublicIP": False}
    settings |= {key: params[key] for key in REPLICATION_FIELDS if params.get(key) is not None}
    _check_template(settings)
    identifier = backend.new_id("rct")
    arn = backend.arn("replication-configuration-template", identifier)
    backend.templates[identifier] = {
        **settings,
        "replicationConfigurationTemplateID": identifier,
        "arn": arn,
    }
    backend.tags[arn] = dict(params.get("tags") or {})
    return backend.tagged(backend.templates[identifier])


def describe_templates(backend: DrsBackend, params: Json) -> Json:
    """DescribeReplicationConfigurationTemplates."""
    wanted = params.get("replicationConfigurationTemplateIDs") or list(backend.templates)
    items = [backend.tagged(_template(backend, identifier)) for identifier in sorted(wanted)]
    shown, more = page(items, params, itemgetter("arn"))
    return {"items": shown, **more}


def update_template(backend: DrsBackend, params: Json) -> Json:
    """UpdateReplicationConfigurationTemplate: what is not named stays."""
    template = _template(backend, params["replicationConfigurationTemplateID"])
    changed = template | {k: params[k] for k in REPLICATION_FIELDS if params.get(k) is not None}
    _check_template(changed)
    template.update(changed)
    return backend.tagged(template)


def delete_template(backend: DrsBackend, params: Json) -> Json:
    """DeleteReplicationConfigurationTemplate."""
    identifier = params["replicationConfigurationTemplateID"]
    backend.tags.pop(_template(backend, identifier)["arn"], None)
    del backend.templates[identifier]
    return {}


def create_launch_template(backend: DrsBackend, params: Json) -> Json:
    """CreateLaunchConfigurationTemplate: one for an account and Region."""
    if backend.launch_templates:
        raise quota_exceeded(LAUNCH_TEMPLATES, 1)
    identifier = backend.new_id("lct")
    arn = backend.arn("launch-configuration-template", identifier)
    settings = {k: params[k] for k in _TEMPLATE_LAUNCH_FIELDS if params.get(k) is not None}
    item = {
        **LAUNCH_DEFAULTS,
        **settings,
        "launchConfigurationTemplateID": identifier,
        "arn": arn,
    }
    backend.launch_templates[identifier] = item
    backend.tags[arn] = dict(params.get("tags") or {})
    return {"launchConfigurationTemplate": backend.tagged(item)}


def _launch_template(backend: DrsBackend, identifier: str) -> Json:
    if identifier not in backend.launch_templates:
        raise not_found("LaunchConfigurationTemplate", "Launch configuration template", identifier)
    return backend.launch_templates[identifier]


def describe_launch_templates(backend: DrsBackend, params: Json) -> Json:
    """DescribeLaunchConfigurationTemplates."""
    wanted = params.get("launchConfigurationTemplateIDs") or list(backend.launch_templates)
    items = [backend.tagged(_launch_template(backend, each)) for each in sorted(wanted)]
    shown, more = page(items, params, itemgetter("arn"))
    return {"items": shown, **more}


def update_launch_template(backend: DrsBackend, params: Json) -> Json:
    """UpdateLaunchConfigurationTemplate: what is not named stays."""
    item = _launch_template(backend, params["launchConfigurationTemplateID"])
    item.update({k: params[k] for k in _TEMPLATE_LAUNCH_FIELDS if params.get(k) is not None})
    return {"launchConfigurationTemplate": backend.tagged(item)}


def delete_launch_template(backend: DrsBackend, params: Json) -> Json:
    """DeleteLaunchConfigurationTemplate."""
    item = _launch_template(backend, params["launchConfigurationTemplateID"])
    backend.tags.pop(item["arn"], None)
    del backend.launch_templates[item["launchConfigurationTemplateID"]]
    return {}


def launch_settings(backend: DrsBackend) -> Json:
    """The launch settings that a server gets which is new here: the template's, where there is one."""
    template: Json = next(iter(backend.launch_templates.values()), LAUNCH_DEFAULTS)
    return {key: template[key] for key in SERVER_LAUNCH_FIELDS if key in template}


def replication_settings(backend: DrsBackend) -> Json:
    """The replication settings that a new server gets; raises ValidationException without a template."""
    if not backend.templates:
        raise ValidationException("There is no replication configuration template.")
    template = next(iter(backend.templates.values()))
    return {key: template[key] for key in REPLICATION_FIELDS if key in template}


def get_replication(backend: DrsBackend, params: Json) -> Json:
    """GetReplicationConfiguration; of an extended server, it is read in the staging account."""
    server = backend.server(params["sourceServerID"])
    owner = server
    if server.staged is not None:
        staging = drs_backends[server.staging_account][backend.region_name]
        owner = staging.server(server.staged.id)
    return {**owner.replication, "sourceServerID": server.id}


def update_replication(backend: DrsBackend, params: Json) -> Json:
    """UpdateReplicationConfiguration: only where the server replicates."""
    server = backend.server(params["sourceServerID"])
    if server.staged is not None:
        raise ValidationException("An extended source server is configured in its staging account")
    changes = {k: params[k] for k in REPLICATION_FIELDS if params.get(k) is not None}
    _check_template(server.replication | changes)
    server.replication = server.replication | changes
    return {**server.replication, "sourceServerID": server.id}


def get_launch(backend: DrsBackend, params: Json) -> Json:
    """GetLaunchConfiguration: each account's own, also of an extended server."""
    server = backend.server(params["sourceServerID"])
    return {
        **server.launch,
        "ec2LaunchTemplateID": f"lt-{server.id.removeprefix('s-')}",
        "name": server.properties["identificationHints"]["hostname"],
        "sourceServerID": server.id,
    }


def update_launch(backend: DrsBackend, params: Json) -> Json:
    """UpdateLaunchConfiguration: what is not named stays."""
    server = backend.server(params["sourceServerID"])
    changes = {k: params[k] for k in SERVER_LAUNCH_FIELDS if params.get(k) is not None}
    server.launch = server.launch | changes
    return get_launch(backend, params)


def launch_actions(backend: DrsBackend, params: Json) -> Json:
    """ListLaunchActions: of a server or template that is there, none."""
    identifier = params["resourceId"]
    if identifier not in backend.servers and identifier not in backend.launch_templates:
        raise not_found("LaunchAction", "Resource", identifier)
    return {"items": []}
