"""EC2 instances that agents can be installed on, and the inventory of SSM, which moto lacks."""

import json
import time
from collections.abc import Iterator
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from validator.emulator.drs.door import TIERS, Machine

Json = dict[str, Any]

PROFILE = "AWSElasticDisasterRecoveryAutomatedAgentInstallRole"
_SSM = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
_PROFILE_POLICIES = (
    _SSM,
    "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryEc2InstancePolicy",
)
_PLATFORMS = {
    "linux": ("Linux", "Amazon Linux", "2023"),
    "windows": ("Windows", "Microsoft Windows Server 2022 Datacenter", "10.0.20348"),
}
_TYPES = ("m6i.large", "m6i.xlarge", "r6i.large", "c6i.xlarge")
_PRIORITIES = ("1", "2", "3", "2", "3")
_LAST_PING_SECONDS = 30
_FILTERS = {
    "AgentVersion": "AgentVersion",
    "InstanceIds": "InstanceId",
    "PingStatus": "PingStatus",
    "PlatformTypes": "PlatformType",
    "ResourceType": "ResourceType",
}
"""What the inventory's filters look at; tags are another matter."""


def run(
    account_id: str,
    region: str,
    count: int,
    *,
    tags: dict[str, str] | None = None,
    platform: str = "linux",
    profile: str | None = PROFILE,
    prefix: str | None = None,
) -> list[str]:
    """Runs instances with tags of their tier, wave and priority, and returns their ids.

    `tags` replaces or adds; each is a reservation of its own, so that pages are cut between them.
    """
    if platform not in _PLATFORMS:
        raise ValueError(f"platform must be one of {sorted(_PLATFORMS)}")
    backend = ec2_backends[account_id][region]
    arn = _profile(account_id, profile) if profile is not None else None
    first = sum(1 for _ in _instances(backend)) + 1
    made = []
    for number in range(first, first + count):
        tier = number % len(TIERS)
        own = {
            "Name": f"{prefix or TIERS[tier]}-{number:04d}",
            "dr:enabled": "true",
            "dr:priority": _PRIORITIES[tier],
            "dr:wave": f"wave-{_PRIORITIES[tier]}",
        }
        (instance,) = backend.run_instances(
            _image(backend, platform),
            1,
            None,
            [],
            instance_type=_TYPES[number % len(_TYPES)],
            is_instance_type_default=True,
            placement=f"{region}{'abc'[number % 3]}",
            tags={"instance": own | (tags or {})},
        ).instances
        instance.platform = "windows" if platform == "windows" else None
        if arn is not None:
            backend.associate_iam_instance_profile(instance.id, iam_instance_profile_arn=arn)
        made.append(str(instance.id))
    return made


def machines(account_id: str, region: str, ids: list[str] | None) -> list[Machine]:
    """Instances as agents see them: those named, or every one that runs. Raises ValueError."""
    running = {i.id: i for i in _instances(ec2_backends[account_id][region]) if _runs(i)}
    missing = set(ids or ()) - set(running)
    if missing:
        raise ValueError(f"no running instance of {account_id} in {region}: {sorted(missing)}")
    found = []
    for identifier in ids if ids is not None else running:
        instance = running[identifier]
        tags = _tags(instance)
        _, name, version = _PLATFORMS[instance.platform or "linux"]
        found.append(
            Machine(
                id=identifier,
                hostname=instance.private_dns_name,
                account_id=account_id,
                region=region,
                zone=instance.availability_zone,
                tags={k: v for k, v in tags.items() if k == "Name" or k.startswith("dr:")},
                system=f"{name} {version}",
            )
        )
    return found


def _instances(backend: Any) -> Iterator[Any]:
    for reservation in list(backend.reservations.values()):
        yield from list(reservation.instances)


def _tags(instance: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in instance.get_tags()}


def _runs(instance: Any) -> bool:
    return bool(instance.state == "running")


def _image(backend: Any, platform: str) -> str:
    wanted = "windows" if platform == "windows" else None
    images = (each for each in backend.amis.values() if each.architecture == "x86_64")
    return str(next(each.id for each in images if (each.platform or None) == wanted))


def _profile(account_id: str, name: str) -> str:
    """The ARN of the account's instance profile of this name, which is made if it is not there."""
    iam = iam_backends[account_id]["aws"]
    if name not in iam.instance_profiles:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        if not any(role.name == name for role in iam.roles.values()):
            iam.create_role(
                role_name=name,
                assume_role_policy_document=json.dumps(
                    {"Version": "2012-10-17", "Statement": [statement]}
                ),
                path="/service-role/",
                permissions_boundary=None,
                description="",
                tags=[],
                max_session_duration="3600",
            )
            for policy in _PROFILE_POLICIES:
                iam.attach_role_policy(policy, name)
        iam.create_instance_profile(name, "/", [name])
    return str(iam.instance_profiles[name].arn)


def describe_information(self: Any) -> str:
    """DescribeInstanceInformation: what runs with a profile whose role may speak to SSM is online."""
    params = json.loads(self.body or "{}")
    backend = ec2_backends[self.current_account][self.region]
    managed = {
        association.instance.id
        for association in list(backend.iam_instance_profile_associations.values())
        if any(_SSM in role.managed_policies for role in association.iam_instance_profile.roles)
    }
    found = {i.id: i for i in _instances(backend) if _runs(i) and i.id in managed}
    items = [_information(instance) for instance in found.values()]
    filters = [(f["Key"], f["Values"]) for f in params.get("Filters", [])]
    filters += [(f["key"], f["valueSet"]) for f in params.get("InstanceInformationFilterList", [])]
    for key, values in filters:
        if key not in _FILTERS and key != "tag-key" and not key.startswith("tag:"):
            raise JsonRESTError("InvalidFilterKey", f"The filter key {key} is not valid.")
        items = [i for i in items if _matches(i, found[i["InstanceId"]], key, values)]
    items.sort(key=lambda each: str(each["InstanceId"]))
    after, size = params.get("NextToken", ""), int(params.get("MaxResults", 50))
    if not 5 <= size <= 50:
        raise JsonRESTError("ValidationException", "MaxResults must be between 5 and 50")
    rest = [each for each in items if each["InstanceId"] > after]
    page: Json = {"InstanceInformationList": rest[:size]}
    if len(rest) > size:
        page["NextToken"] = rest[size - 1]["InstanceId"]
    return json.dumps(page)


def _information(instance: Any) -> Json:
    kind, name, version = _PLATFORMS[instance.platform or "linux"]
    return {
        "AgentVersion": "3.3.2299.0",
        "AssociationStatus": "Success",
        "ComputerName": instance.private_dns_name,
        "InstanceId": instance.id,
        "IPAddress": instance.private_ip,
        "IsLatestVersion": True,
        "LastPingDateTime": time.time() - _LAST_PING_SECONDS,
        "PingStatus": "Online",
        "PlatformName": name,
        "PlatformType": kind,
        "PlatformVersion": version,
        "ResourceType": "EC2Instance",
    }


def _matches(item: Json, instance: Any, key: str, values: list[str]) -> bool:
    if key.startswith("tag:"):
        return _tags(instance).get(key.removeprefix("tag:")) in values
    if key == "tag-key":
        return bool(set(values) & set(_tags(instance)))
    return item[_FILTERS[key]] in values
