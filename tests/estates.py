"""Small estates for tests: one good estate, changed by each test where it needs to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from validator.model import (
    Account,
    Estate,
    Extension,
    LaunchSettings,
    Part,
    PointInTimeRule,
    ReplicationTemplate,
    SourceServer,
    Unknown,
    View,
    Wave,
)

REGION = "us-west-2"


READ_AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
LAUNCH_SETTINGS = LaunchSettings(False, True, "STARTED", False, "BASIC")


def account(name: str, part: Part, account_id: str, planned: int | Unknown) -> Account:
    """An account with nothing in it."""
    return Account(name, part, account_id, f"estate.auto.tfvars:{name}", planned)


def estate(
    *,
    view: View = "plan",
    target: Account | None = None,
    staging: tuple[Account, ...] | None = None,
) -> Estate:
    """The seed's estate: 300 servers in the target, 300 in one staging account."""
    return Estate(
        env="staging",
        view=view,
        source_region="us-east-1",
        recovery_region=REGION,
        target=target or account("target", Part.TARGET, "111122223333", 300),
        staging=(account("staging-1", Part.STAGING, "444455556666", 300),)
        if staging is None
        else staging,
        orchestration=account("orchestration", Part.ORCHESTRATION, "777788889999", 0),
        where="estate.auto.tfvars",
        headroom=0,
        volumes_per_server=3,
        point_in_time_days=7,
        objectives=(("1", 15), ("2", 60)),
        drill_days=180,
        launch_settings=LAUNCH_SETTINGS,
        read_at=READ_AT,
        waves=tuple(Wave(f"wave-{n}", "estate.auto.tfvars:40", 200) for n in (1, 2, 3)),
    )


def server(
    account_id: str,
    number: int,
    *,
    extension: Extension | Unknown = Extension.NOT_EXTENDED,
    state: str | Unknown = "CONTINUOUS",
    staging_arn: str | None = None,
    error: str | None = None,
) -> SourceServer:
    """A source server of `account_id`; `number` makes its ARN and hostname its own."""
    return SourceServer(
        arn=f"arn:aws:drs:{REGION}:{account_id}:source-server/s-{number:017x}",
        hostname=f"web-{number}",
        extension=extension,
        staging_account_id=account_id,
        staging_arn=staging_arn,
        replication_state=state,
        error=error,
        instance_id=f"i-{number:017x}",
        origin=(account_id, "us-east-1"),
        tags=(("dr:priority", "1"),),
        lag=0,
        last_seen=READ_AT - timedelta(minutes=2),
        first_byte=READ_AT - timedelta(days=30),
        added=READ_AT - timedelta(days=30),
        volumes=("REGULAR",),
        encryption="CUSTOM",
        key=f"arn:aws:kms:{REGION}:{account_id}:key/1",
        newest_point=READ_AT - timedelta(minutes=5),
    )


def extended(
    target_id: str, staged: SourceServer, extension: Extension = Extension.EXTENDED
) -> SourceServer:
    """The extension of `staged` in the target."""
    copy = server(target_id, int(staged.arn.rsplit("-", 1)[1], 16) + 2**32, extension=extension)
    return replace(
        copy, staging_arn=staged.arn, error="no access" if "ERROR" in extension else None
    )


def replication_template(account_id: str, key: str) -> ReplicationTemplate:
    """A legal template of an account, encrypting with `key`, with the security group `group`."""
    legal = (("MINUTE", 10, 60), ("HOUR", 1, 24), ("DAY", 1, 7))
    return ReplicationTemplate(
        name=f"replication template of {account_id}",
        where="template.tf:1",
        account_id=account_id,
        region=REGION,
        ebs_encryption="CUSTOM",
        key=key,
        point_in_time=tuple(PointInTimeRule(*rule, enabled=True) for rule in legal),
        data_plane_routing="PRIVATE_IP",
        public_ip=False,
        default_security_group=False,
        security_groups=("group",),
        replicates_new_disks=True,
    )
