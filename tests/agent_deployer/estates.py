"""Estates that agents are deployed onto: accounts with DRS, tagged instances, and the table."""

import itertools
from dataclasses import dataclass, replace
from typing import Any

from tests.conftest import ROOT, Embedded
from tests.emulator.test_drs import initialise, template
from validator import accounts
from validator.operations import deploy
from validator.sources import tfvars
from validator.sources.tfvars import Declared

RECOVERY, SOURCE = "us-west-2", "us-east-1"
_ids = (f"{number:012d}" for number in itertools.count(600000000001))


@dataclass(frozen=True, slots=True)
class Fleet:
    """An estate of one target and one staging account of its own, with an orchestration account."""

    embedded: Embedded
    declared: Declared
    target: str
    staging: str
    home: str

    def estate(self) -> deploy.Deployments:
        """The estate, as one operator sees it."""
        environment = self.embedded.environment("777788889999")
        opener = accounts.opener("OrganizationAccountAccessRole", environment)
        return deploy.Deployments(self.declared, opener)

    def client(self, service: str, account: str, region: str = SOURCE) -> Any:
        return self.embedded.client(service, account, region)

    def run(self, account: str, count: int, **more: Any) -> list[str]:
        """Runs tagged instances in an account, and returns their ids."""
        body = {"account": account, "region": SOURCE, "count": count, **more}
        return list(self.embedded.door("instances", body)["instanceIDs"])

    def outcome(self, account: str, ids: list[str], outcome: str, **more: Any) -> None:
        """Says how installs on these instances end."""
        body = {"account": account, "region": SOURCE, "ids": ids, "outcome": outcome, **more}
        self.embedded.door("installs", body)

    def replicating(self, account: str) -> list[str]:
        """The instances whose servers replicate into an account."""
        drs = self.embedded.client("drs", account, RECOVERY)
        pages = drs.get_paginator("describe_source_servers").paginate()
        found = [item for page in pages for item in page["items"]]
        return sorted(i["sourceProperties"]["identificationHints"]["awsInstanceID"] for i in found)

    def sent(self, account: str) -> list[str]:
        """The instances that commands were sent to, each as often as it was."""
        ssm = self.embedded.client("ssm", account, SOURCE)
        pages = ssm.get_paginator("list_command_invocations").paginate()
        return sorted(i["InstanceId"] for page in pages for i in page["CommandInvocations"])


def fleet(embedded: Embedded, *, initialised: bool = True) -> Fleet:
    """A fleet in accounts that no other test uses."""
    target, staging, home = next(_ids), next(_ids), next(_ids)
    declared = tfvars.read(ROOT / "terraform/envs/staging")
    values = {
        **declared.values,
        "target": {**declared.values["target"], "account_id": target},
        "orchestration": {**declared.values["orchestration"], "account_id": home},
        "staging_accounts": {
            "staging-1": {
                **declared.values["staging_accounts"]["staging-1"],
                "account_id": staging,
            }
        },
    }
    for account in (target, staging) if initialised else ():
        drs = initialise(embedded, account)
        drs.create_replication_configuration_template(**template())
    found = Fleet(embedded, replace(declared, values=values), target, staging, home)
    make_table(embedded, home, found.estate().settings.table)
    return found


def make_table(embedded: Embedded, account: str, name: str) -> None:
    """The table of deployments, with the keys that the module gives it."""
    keys = [("id", "HASH"), ("part", "RANGE")]
    embedded.client("dynamodb", account, RECOVERY).create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
        BillingMode="PAY_PER_REQUEST",
    )
