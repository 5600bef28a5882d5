"""Estates on an embedded AWS, as an apply leaves them: initialised, trusted, and with servers."""

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import boto3

from tests.conftest import ORCHESTRATION, ROOT, STAGING, TARGET, Embedded
from validator import accounts
from validator.accounts import Opener
from validator.operations.bootstrap import bootstrap
from validator.sources import tfvars
from validator.sources.tfvars import Declared

ROLE = "OrganizationAccountAccessRole"
_URL = "AWS_ENDPOINT_URL"
SOURCE_REGION = "us-east-1"
SECOND = "222233334444"
"""A second staging account, `staging-2`."""
STAGING_ACCOUNTS = (STAGING, SECOND, *(f"5000000000{n:02}" for n in range(3, 14)))
"""As many as a target of 4,000 servers needs, `staging-1` to `staging-13`."""

REGIONS = [
    region
    for region in boto3.session.Session().get_available_regions("drs")
    if region != SOURCE_REGION
]
_used: dict[str, int] = {}


@dataclass(frozen=True)
class Made:
    """An estate with a recovery Region of its own, which keeps its servers apart from others'."""

    embedded: Embedded
    declared: Declared
    opener: Opener
    region: str

    def through(self, url: str) -> "Made":
        """The same estate, by another way to the same AWS."""
        there = accounts.opener(ROLE, {**self.embedded.environment(ORCHESTRATION), _URL: url})
        return replace(self, opener=there)

    def drs(self, account: str) -> Any:
        return self.embedded.client("drs", account, self.region)

    def extensions(self) -> dict[str, dict[str, Any]]:
        """The target's servers by the ARN of their staging server, each exactly once."""
        items = self.listed(TARGET)
        arns = [item["stagingArea"].get("stagingSourceServerArn", item["arn"]) for item in items]
        assert len(set(arns)) == len(arns)
        return dict(zip(arns, items, strict=True))

    def listed(self, account: str) -> list[dict[str, Any]]:
        """Every source server of an account, in AWS's order."""
        paginator = self.drs(account).get_paginator("describe_source_servers")
        pages = paginator.paginate(filters={})
        return [item for page in pages for item in page["items"]]

    def register(self, count: int, account: str = STAGING, **options: str) -> list[str]:
        """The ARNs of servers that are registered in an account, as their agents would."""
        place = {"account": account, "region": self.region}
        answer = self.embedded.door("source-servers", {**place, "count": count, **options})
        return [
            f"arn:aws:drs:{self.region}:{account}:source-server/{each}"
            for each in answer["sourceServerIDs"]
        ]

    def extend_all(self) -> None:
        """Extends every server of the staging accounts, in a moment."""
        for each in self.declared.values["staging_accounts"].values():
            body = {"account": TARGET, "region": self.region, "staging": each["account_id"]}
            self.embedded.door("source-servers/extend", body)

    def tag(self, arns: list[str], tags: dict[str, str]) -> None:
        for arn in arns:
            self.drs(arn.split(":")[4]).tag_resource(resourceArn=arn, tags=tags)

    def calls(self, operation: str) -> int:
        return int(self.embedded.door("calls", method="GET").get(f"drs {operation}", 0))


def replication_template(**changes: Any) -> dict[str, Any]:
    rules = ((10, 60, "MINUTE"), (1, 24, "HOUR"), (1, 7, "DAY"))
    return {
        "associateDefaultSecurityGroup": False,
        "bandwidthThrottling": 0,
        "createPublicIP": False,
        "dataPlaneRouting": "PRIVATE_IP",
        "defaultLargeStagingDiskType": "GP3",
        "ebsEncryption": "CUSTOM",
        "pitPolicy": [
            {"interval": i, "retentionDuration": r, "ruleID": n, "units": u}
            for n, (i, r, u) in enumerate(rules, 1)
        ],
        "replicationServerInstanceType": "t3.small",
        "replicationServersSecurityGroupsIDs": [],
        "stagingAreaSubnetId": "subnet-0123456789abcdef0",
        "stagingAreaTags": {},
        "useDedicatedReplicationServer": False,
        **changes,
    }


def fresh(embedded: Embedded, *, staging: int = 1) -> Made:
    """An estate in a Region that no other test uses, before any bootstrap."""
    _used[embedded.url] = _used.get(embedded.url, -1) + 1
    assert _used[embedded.url] < len(REGIONS), "no Region is left: let some tests share an estate"
    return in_region(embedded, REGIONS[_used[embedded.url]], staging=staging)


def in_region(embedded: Embedded, region: str, *, staging: int = 1) -> Made:
    """The estate of a Region, as it is declared."""
    read = tfvars.read(ROOT / "terraform/envs/staging")
    like = read.values["staging_accounts"]["staging-1"]
    declared = {
        f"staging-{number}": {**like, "account_id": account}
        for number, account in enumerate(STAGING_ACCOUNTS[:staging], 1)
    }
    values = {**read.values, "recovery_region": region, "staging_accounts": declared}
    opener = accounts.opener(ROLE, embedded.environment(ORCHESTRATION))
    return Made(embedded, Declared(read.file, values, read.lines), opener, region)


def applied(embedded: Embedded, *, staging: int = 1) -> Made:
    """A fresh estate as bootstrap and apply leave it, with no servers yet."""
    made = fresh(embedded, staging=staging)
    embedded.door("key-policy-delay", {"seconds": 0})
    bootstrap(made.declared, made.opener, on_step=lambda _: None, dry_run=False)
    for account in STAGING_ACCOUNTS[:staging]:
        made.drs(account).create_replication_configuration_template(
            **replication_template(ebsEncryptionKeyArn=_trust(made, account))
        )
    return made


def _trust(made: Made, account: str) -> str:
    """The staging role for the target, and the ARN of a key whose policy lets both through."""
    iam, name = made.embedded.client("iam", account), f"DRSStagingAccountRole_{TARGET}"
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "drs.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
        "Condition": {
            "StringLike": {"sts:SourceIdentity": TARGET, "aws:SourceAccount": TARGET},
            "ArnLike": {"aws:SourceArn": "arn:aws:drs:*:*:source-server/*"},
        },
    }
    with suppress(iam.exceptions.EntityAlreadyExistsException):  # by an estate of another Region
        iam.create_role(
            RoleName=name, Path="/service-role/", AssumeRolePolicyDocument=_document([trust])
        )
    policy = "service-role/AWSElasticDisasterRecoveryStagingAccountPolicy_v2"
    iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{policy}")
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    ]
    for principal, caller in (
        (f"arn:aws:iam::{account}:role/service-role/{name}", account),
        (f"arn:aws:iam::{TARGET}:root", TARGET),
    ):
        via = {"kms:CallerAccount": caller, "kms:ViaService": f"ec2.{made.region}.amazonaws.com"}
        statements.append(
            {
                "Effect": "Allow",
                "Principal": {"AWS": principal},
                "Action": "kms:ReEncrypt*",
                "Resource": "*",
                "Condition": {"StringEquals": via},
            }
        )
    kms = made.embedded.client("kms", account, made.region)
    return str(kms.create_key(Policy=_document(statements))["KeyMetadata"]["Arn"])


def _document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
