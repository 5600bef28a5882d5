"""Source servers that look like a company's own: the same seed gives the same server."""

import hashlib
import random
from typing import Any

GIB = 2**30

_ROLES = ("app", "web", "api", "db", "cache", "queue", "batch", "file", "auth", "report", "mail")
_SYSTEMS = (
    ("Amazon Linux release 2023.6.20250218 (Amazon Linux)", False),
    ("Red Hat Enterprise Linux release 8.10 (Ootpa)", False),
    ("Red Hat Enterprise Linux release 9.4 (Plow)", False),
    ("Ubuntu 22.04.4 LTS", False),
    ("SUSE Linux Enterprise Server 15 SP5", False),
    ("Microsoft Windows Server 2019 Datacenter 10.0.17763 SP 0.0", True),
    ("Microsoft Windows Server 2022 Datacenter 10.0.20348 SP 0.0", True),
)
_SIZES = (
    ("t3.medium", 2, 4),
    ("m5.large", 2, 8),
    ("m5.xlarge", 4, 16),
    ("c5.2xlarge", 8, 16),
    ("r5.xlarge", 4, 32),
    ("m5.2xlarge", 8, 32),
    ("r5.2xlarge", 8, 64),
    ("m5.4xlarge", 16, 64),
)
_BOOT_DISK_GIB = (30, 40, 50, 80, 100, 120)
_DATA_DISK_GIB = (50, 100, 200, 250, 500, 750, 1024, 2048)
_CPU = "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz"


def hex17(*seed: object) -> str:
    """Seventeen hexadecimal digits, as AWS puts after `s-`, `i-` or `rct-`; same seed, same digits."""
    return hashlib.sha256("/".join(map(str, seed)).encode()).hexdigest()[:17]


def hostname(seed: str, number: int, prefix: str | None) -> str:
    """A short host name, with the prefix if one is asked for."""
    if prefix is not None:
        return f"{prefix}-{number:04d}"
    return f"{random.Random(f'{seed}/name').choice(_ROLES)}-prd-{number:04d}"


def source_properties(seed: str, name: str, instance_id: str, updated: str) -> dict[str, Any]:
    """The `sourceProperties` of one server: one to five disks of 30 GiB to 2 TiB, and the rest to fit."""
    dice = random.Random(seed)
    system, is_windows = dice.choice(_SYSTEMS)
    instance_type, cores, memory_gib = dice.choice(_SIZES)
    sizes = [dice.choice(_BOOT_DISK_GIB)]
    sizes += [dice.choice(_DATA_DISK_GIB) for _ in range(dice.choice((0, 0, 1, 1, 2, 3, 4)))]
    address = f"10.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(4, 255)}"
    mac = ":".join(f"{byte:02x}" for byte in (0x0A, *dice.randbytes(5)))
    return {
        "lastUpdatedDateTime": updated,
        "recommendedInstanceType": instance_type,
        "identificationHints": {
            "fqdn": f"{name}.corp.example.com",
            "hostname": name,
            "awsInstanceID": instance_id,
        },
        "networkInterfaces": [{"macAddress": mac, "ips": [address], "isPrimary": True}],
        "disks": [
            {
                "deviceName": f"c:{index}" if is_windows else f"/dev/nvme{index}n1",
                "bytes": size * GIB,
            }
            for index, size in enumerate(sizes)
        ],
        "cpus": [{"cores": cores, "modelName": _CPU}],
        "ramBytes": memory_gib * GIB,
        "os": {"fullString": system},
        "supportsNitroInstances": True,
        "architecture": "x86_64",
    }
