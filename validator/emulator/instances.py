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
_TYPES = {
    "arm64": ("m6g.large", "r6g.large"),
    "x86_64": ("m6i.large", "m6i.xlarge", "r6i.large", "c6i.xlarge"),
}
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

PINGS = ("Online", "ConnectionLost")

_lost: dict[tuple[str, str], set[str]] = {}
"""Instances that SSM has lost the connection to, by account and Region; the control door decides."""


def run(
    account_id: str,
    region: str,
    count: int,
    *,
    tags: dict[str, str] | None = None,
    platform: str = "linux",
    profile: str | None = PROFILE,
    prefix: str | None = None,
    type: str | None = None,
    architecture: str = "x86_64",
    disks: list[int] | None = None,
) -> list[str]:
    """Runs instances with tags of their tier, wave and priority, and returns their ids.

    `tags` replaces or adds; each is a reservation of its own, so that pages are cut between them.
    `disks` are GiB, the first one is the root's.
    """
    if platform not in _PLATFORMS:
        raise ValueError(f"platform must be one of {sorted(_PLATFORMS)}")
    if architecture not in _TYPES or (platform, architecture) == ("windows", "arm64"):
        raise ValueError(f"architecture must be one of {sorted(_TYPES)}; Windows has no arm64")
    if disks is not None and not (disks and all(isinstance(d, int) for d in disks)):
        raise ValueError(f"disks must be a list of GiB, not {disks!r}")
    backend = ec2_backends[account_id][region]
    arn = _profile(account_id, profile) if profile is not None else None
    first = sum(1 for _ in _instances(backend)) + 1
    image = _image(backend, platform, architecture)
    types = (type,) if type is not None else _TYPES[architecture]
    mappings = {"block_device_mappings": _mappings(image, disks)} if disks is not None else {}
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
            image.id,
            1,
            None,
            [],
            instance_type=types[number % len(types)],
            is_instance_type_default=True,
            placement=f"{region}{'abc'[number % 3]}",
            tags={"instance": own | (tags or {})},
            **mappings,
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
    return [
        machine(account_id, region, running[each]) for each in (running if ids is None else ids)
    ]


def machine(account_id: str, region: str, instance: Any) -> Machine:
    """An instance as its agent sees it."""
    tags = _tags(instance)
    _, name, version = _platform(instance)
    return Machine(
        id=instance.id,
        hostname=instance.private_dns_name,
        account_id=account_id,
        region=region,
        zone=instance.availability_zone,
        tags={k: v for k, v in tags.items() if k == "Name" or k.startswith("dr:")},
        system=f"{name} {version}",
        architecture=instance.architecture,
        disks=tuple((name, disk.size) for name, disk in instance.get_block_device_mapping),
    )


def known(account_id: str, region: str, ids: list[str] | None) -> list[str]:
    """The ids named, or those of all instances; raises ValueError if one is none."""
    found = [instance.id for instance in _instances(ec2_backends[account_id][region])]
    if missing := set(ids or ()) - set(found):
        raise ValueError(f"no instance of {account_id} in {region}: {sorted(missing)}")
    return found if ids is None else ids


def ping(account_id: str, region: str, ids: list[str], status: str) -> int:
    """Decides whether SSM reaches instances; returns of how many. Raises ValueError."""
    if status not in PINGS:
        raise ValueError(f"status must be one of {', '.join(PINGS)}")
    named = set(known(account_id, region, ids))
    lost = _lost.get((account_id, region), set())
    _lost[account_id, region] = lost - named if status == "Online" else lost | named
    return len(named)


def profile_roles(account_id: str, region: str, instance_id: str) -> list[Any]:
    """The roles of an instance's profile, if it has one."""
    associations = ec2_backends[account_id][region].iam_instance_profile_associations
    found = associations.get(instance_id)
    return list(found.iam_instance_profile.roles) if found is not None else []


def managed(account_id: str, region: str) -> dict[str, Any]:
    """The instances in SSM's inventory: those that run with a profile whose role may speak to SSM."""
    backend = ec2_backends[account_id][region]
    return {
        i.id: i
        for i in _instances(backend)
        if _runs(i)
        and any(_SSM in role.managed_policies for role in profile_roles(account_id, region, i.id))
    }


def online(account_id: str, region: str) -> dict[str, Any]:
    """The managed instances that SSM reaches at this moment."""
    lost = _lost.get((account_id, region), set())
    return {key: i for key, i in managed(account_id, region).items() if key not in lost}


def platform_type(instance: Any) -> str:
    """Linux or Windows, as SSM writes it."""
    return _platform(instance)[0]


def has_tag(instance: Any, key: str, values: list[str]) -> bool:
    """True if an instance's tag of this key has one of the values."""
    return _tags(instance).get(key) in values


def _instances(backend: Any) -> Iterator[Any]:
    for reservation in list(backend.reservations.values()):
        yield from list(reservation.instances)


def _tags(instance: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in instance.get_tags()}


def _platform(instance: Any) -> tuple[str, str, str]:
    return _PLATFORMS["windows" if instance.platform == "windows" else "linux"]


def _runs(instance: Any) -> bool:
    return bool(instance.state == "running")


def _image(backend: Any, platform: str, architecture: str) -> Any:
    wanted = "windows" if platform == "windows" else None
    images = (each for each in backend.amis.values() if each.architecture == architecture)
    return next(each for each in images if (each.platform or None) == wanted)


def _mappings(image: Any, disks: list[int]) -> list[Json]:
    devices = [image.root_device_name, *(f"/dev/sd{chr(98 + n)}" for n in range(len(disks) - 1))]
    return [
        {"DeviceName": device, "Ebs": {"VolumeSize": gib, "DeleteOnTermination": True}}
        for device, gib in zip(devices, disks, strict=True)
    ]


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
    place = (self.current_account, self.region)
    found, reached = managed(*place), online(*place)
    items = [_information(i, "Online" if i.id in reached else PINGS[1]) for i in found.values()]
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


def _information(instance: Any, status: str) -> Json:
    kind, name, version = _platform(instance)
    return {
        "AgentVersion": "3.3.2299.0",
        "AssociationStatus": "Success",
        "ComputerName": instance.private_dns_name,
        "InstanceId": instance.id,
        "IPAddress": instance.private_ip,
        "IsLatestVersion": True,
        "LastPingDateTime": time.time() - _LAST_PING_SECONDS,
        "PingStatus": status,
        "PlatformName": name,
        "PlatformType": kind,
        "PlatformVersion": version,
        "ResourceType": "EC2Instance",
    }


def _matches(item: Json, instance: Any, key: str, values: list[str]) -> bool:
    if key.startswith("tag:"):
        return has_tag(instance, key.removeprefix("tag:"), values)
    if key == "tag-key":
        return bool(set(values) & set(_tags(instance)))
    return item[_FILTERS[key]] in values
