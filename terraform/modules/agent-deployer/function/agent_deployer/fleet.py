"""Instances that may get an agent, and the preflight: whatever would fail is refused, by name."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agent_deployer import capacity
from agent_deployer.aws import Aws, Json
from agent_deployer.capacity import Standing
from agent_deployer.request import Part, Request
from agent_deployer.servers import Account
from agent_deployer.settings import Settings

ENABLED = "dr:enabled"
WAVE, PRIORITY = "dr:wave", "dr:priority"
VALUES = {WAVE: re.compile(r"wave-([1-9][0-9]{0,3})"), PRIORITY: re.compile(r"[1-9]")}
"""What the tags must be that every instance needs."""

MOST_DISKS = 60
LARGEST_DISK = 16 * 1024
"""GiB. Source: https://docs.aws.amazon.com/drs/latest/userguide/agent-install-common-errors.html"""

_POLICIES = {
    "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    "arn:aws:iam::aws:policy/service-role/AWSElasticDisasterRecoveryEc2InstancePolicy",
}
_ARCHITECTURES = {"arm64", "x86_64"}
_PLATFORMS = {"Linux", "Windows"}
_ASKED_AT_ONCE = 100
_PAGE = {"PageSize": 500}
"""EC2 throttles first, and cuts off, who asks for everything at once."""

ALREADY = "already-replicating"
REFUSALS = {
    ALREADY: "it replicates into this account already",
    "architecture-unsupported": "DRS has no agent for its architecture",
    "bad-tag": "a dr: tag has a value that means nothing here",
    "disk-too-large": f"a disk is larger than {LARGEST_DISK // 1024} TiB",
    "drs-not-initialised": "DRS is not initialised where it is to replicate",
    "failed-before": "it failed before, and a retry was not asked for",
    "in-another-deployment": "another deployment is about to install it",
    "no-capacity": "the account that it is to replicate into has no room left",
    "no-instance-profile": "it has no instance profile",
    "not-found": "there is no such instance",
    "not-running": "it does not run",
    "not-synchronising": "it is registered in this account already, and does not synchronise",
    "not-tagged": f"its tag {ENABLED} is not true",
    "platform-unsupported": "DRS has no agent for its platform",
    "profile-lacks-policies": "its instance profile lacks a policy",
    "replicates-elsewhere": "it replicates into another account",
    "ssm-offline": "SSM does not reach it",
    "too-many-disks": f"it has more than {MOST_DISKS} disks",
}
"""Why an instance gets no agent, by name."""


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance as EC2, SSM and IAM show it. `inventory` is SSM's, None if it shows none."""

    id: str
    state: str
    architecture: str
    tags: dict[str, str]
    profile_arn: str | None
    inventory: Json | None
    disks: tuple[int, ...]
    """GiB of each."""

    @property
    def wave(self) -> str:
        """Its wave."""
        return self.tags.get(WAVE, "")


@dataclass(slots=True)
class Preflight:
    """Instances to install, in order, and the refused ones with name and detail of the refusal."""

    accepted: list[Instance] = field(default_factory=list)
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)


def wave_number(wave: str) -> int:
    """The number by which a wave is ordered."""
    found = VALUES[WAVE].fullmatch(wave)
    return int(found[1]) if found else 0


def read(aws: Aws, part: Part, request: Request) -> list[Instance]:
    """The instances of an account that the request is about; raises CallError."""
    ec2 = ("ec2", part.source_account_id, part.source_region)
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in request.tags.items()]
    if request.instance_ids:
        found = [
            each
            for ids in _portions(request.instance_ids)
            for each in _described(aws, ec2, [*filters, {"Name": "instance-id", "Values": ids}])
        ]
    else:
        found = _described(aws, ec2, [*filters, {"Name": f"tag:{ENABLED}", "Values": ["true"]}])
    if request.waves:
        found = [each for each in found if _tags(each).get(WAVE) in request.waves]
    ids = [each["InstanceId"] for each in found]
    inventory = _inventory(aws, part, request, ids)
    disks = _disks(aws, ec2, ids)
    return [
        Instance(
            id=each["InstanceId"],
            state=str(each.get("State", {}).get("Name")),
            architecture=str(each.get("Architecture")),
            tags=_tags(each),
            profile_arn=(each.get("IamInstanceProfile") or {}).get("Arn"),
            inventory=inventory.get(each["InstanceId"]),
            disks=tuple(disks.get(each["InstanceId"], ())),
        )
        for each in found
    ]


def _described(aws: Aws, ec2: tuple[str, str, str], filters: list[Json]) -> list[Json]:
    reservations = aws.pages(
        ec2, "describe_instances", "Reservations", Filters=filters, PaginationConfig=_PAGE
    )
    found = [each for reservation in reservations for each in reservation["Instances"]]
    return [each for each in found if each.get("State", {}).get("Name") != "terminated"]


def _tags(instance: Json) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}


def _portions(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _ASKED_AT_ONCE):
        yield list(ids[start : start + _ASKED_AT_ONCE])


def _inventory(aws: Aws, part: Part, request: Request, ids: list[str]) -> dict[str, Json]:
    """SSM's inventory by instance id: of all that are tagged, or of those that were named."""
    ssm = ("ssm", part.source_account_id, part.source_region)
    if request.instance_ids:
        filters = [[{"Key": "InstanceIds", "Values": some}] for some in _portions(ids)]
    else:
        filters = [[{"Key": f"tag:{ENABLED}", "Values": ["true"]}]]
    return {
        str(item["InstanceId"]): item
        for each in filters
        for item in aws.pages(
            ssm,
            "describe_instance_information",
            "InstanceInformationList",
            Filters=each,
            PaginationConfig={"PageSize": 50},
        )
    }


def _disks(aws: Aws, ec2: tuple[str, str, str], ids: list[str]) -> dict[str, list[int]]:
    """The sizes of each instance's disks, in GiB."""
    found: dict[str, list[int]] = {}
    for some in _portions(ids):
        filters = [{"Name": "attachment.instance-id", "Values": some}]
        for volume in aws.pages(
            ec2, "describe_volumes", "Volumes", Filters=filters, PaginationConfig=_PAGE
        ):
            for attachment in volume["Attachments"]:
                found.setdefault(attachment["InstanceId"], []).append(int(volume["Size"]))
    return found


def preflight(
    aws: Aws,
    part: Part,
    request: Request,
    settings: Settings,
    standing: Standing,
    elsewhere: dict[str, Account],
) -> Preflight:
    """Which instances get an agent, and why the others do not; raises CallError.

    `elsewhere` are the estate's other accounts, by id.
    """
    found = read(aws, part, request)
    result = Preflight()
    for missing in set(request.instance_ids) - {each.id for each in found}:
        result.refused[missing] = ("not-found", f"in account {part.source_account_id}")
    policies: dict[str, set[str]] = {}
    for instance in found:
        refusal = (
            _unfit(instance, part, settings)
            or _replicating(instance, part, request, standing, elsewhere)
            or _profile(aws, part, instance, policies)
        )
        if refusal:
            result.refused[instance.id] = refusal
        else:
            result.accepted.append(instance)
    result.accepted.sort(key=lambda each: (wave_number(each.wave), each.tags[PRIORITY], each.id))
    for instance in result.accepted[standing.free :]:
        detail = capacity.no_room(part.into_account_id, standing)
        result.refused[instance.id] = ("no-capacity", detail)
    del result.accepted[standing.free :]
    return result


def _unfit(instance: Instance, part: Part, settings: Settings) -> tuple[str, str] | None:
    if instance.tags.get(ENABLED) != "true":
        return "not-tagged", f"{ENABLED} = {instance.tags.get(ENABLED)!r}"
    if wrong := _wrong_tag(instance, part, settings):
        return "bad-tag", wrong
    if instance.state != "running":
        return "not-running", instance.state
    if instance.architecture not in _ARCHITECTURES:
        return "architecture-unsupported", instance.architecture
    seen = instance.inventory
    if seen is None or seen.get("PingStatus") != "Online":
        return "ssm-offline", "not managed" if seen is None else str(seen.get("PingStatus"))
    if seen.get("PlatformType") not in _PLATFORMS:
        return "platform-unsupported", str(seen.get("PlatformType"))
    if len(instance.disks) > MOST_DISKS:
        return "too-many-disks", f"{len(instance.disks)}"
    if max(instance.disks, default=0) > LARGEST_DISK:
        return "disk-too-large", f"{max(instance.disks)} GiB"
    return None


def _wrong_tag(instance: Instance, part: Part, settings: Settings) -> str:
    """The tag that means nothing here, or that means another account or Region."""
    tags = instance.tags
    is_target = part.source_account_id == settings.target_account_id
    expected = {
        "dr:account-type": "target" if is_target else "staging",
        "dr:recovery-strategy": "drs",
        "dr:target-account": settings.target_account_id,
        "dr:target-region": settings.recovery_region,
    }
    for key, pattern in VALUES.items():
        if not pattern.fullmatch(tags.get(key, "")):
            return f"{key} = {tags.get(key)!r}; wave-1 and 1 to 9 are such as are known"
    for key, value in expected.items():
        if tags.get(key, value) != value:
            return f"{key} = {tags[key]!r}; here it is {value!r}"
    return ""


def _replicating(
    instance: Instance,
    part: Part,
    request: Request,
    standing: Standing,
    elsewhere: dict[str, Account],
) -> tuple[str, str] | None:
    if not standing.account.initialised:
        return "drs-not-initialised", f"account {part.into_account_id}"
    server = standing.account.servers.get(instance.id)
    if server is not None and server.replicating:
        if server.synchronising:
            return ALREADY, server.id
        if instance.id in standing.reserved:
            return "in-another-deployment", standing.reserved[instance.id]
        what = f"{server.id} is {server.state or 'in no state'}"
        return "not-synchronising", f"{what}: {server.error}" if server.error else what
    for account_id, account in elsewhere.items():
        other = account.servers.get(instance.id)
        if other is not None and other.replicating:
            return "replicates-elsewhere", f"account {account_id}, {other.id}"
    if instance.id in standing.reserved:
        return "in-another-deployment", standing.reserved[instance.id]
    if instance.id in standing.failed and not request.retry_failed:
        return "failed-before", standing.failed[instance.id]
    return None


def _profile(
    aws: Aws, part: Part, instance: Instance, known: dict[str, set[str]]
) -> tuple[str, str] | None:
    """The refusal of an instance profile; what each profile allows is asked once, and kept."""
    if instance.profile_arn is None:
        return "no-instance-profile", "none"
    name = instance.profile_arn.rpartition("/")[2]
    if name not in known:
        iam = ("iam", part.source_account_id, part.source_region)
        profile = aws.call(iam, "get_instance_profile", InstanceProfileName=name)
        known[name] = {
            str(policy["PolicyArn"])
            for role in profile["InstanceProfile"]["Roles"]
            for policy in aws.pages(
                iam, "list_attached_role_policies", "AttachedPolicies", RoleName=role["RoleName"]
            )
        }
    missing = _POLICIES - known[name]
    if missing:
        return "profile-lacks-policies", f"{name}: {', '.join(sorted(missing))}"
    return None
