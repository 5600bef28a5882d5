"""The numbers that AWS enforces, as data, each with its code, source and date.

Every quota here holds for one account in one Region. Live values from Service Quotas overlay them:
`limit` prefers what the view read in the account over the default.
"""

from dataclasses import dataclass
from datetime import date
from typing import Protocol

from validator.model import Unknown

_GENERAL_REFERENCE = "https://docs.aws.amazon.com/general/latest/gr/drs.html"


@dataclass(frozen=True, slots=True)
class Quota:
    """One AWS quota, for one account and Region.

    `code` is empty where only the documentation has the number and Service Quotas does not.
    """

    name: str
    code: str
    service: str
    value: int
    adjustable: bool
    source: str
    seen: date

    @property
    def reference(self) -> str:
        """What a reader looks the number up by: the code, else the page."""
        return self.code or self.source


REPLICATING_SERVERS = Quota(
    name="Max Total replicating source servers Per AWS Account",
    code="L-C1D14A2B",
    service="drs",
    value=300,
    adjustable=False,
    source=_GENERAL_REFERENCE,
    seen=date(2026, 11, 1),
)
TOTAL_SERVERS = Quota(
    name="Max Total source servers Per AWS Account",
    code="L-E28BE5E0",
    service="drs",
    value=4000,
    adjustable=True,
    source=_GENERAL_REFERENCE,
    seen=date(2026, 11, 1),
)
SERVERS_PER_JOB = Quota(
    name="Max source servers in a single Job",
    code="L-B827C881",
    service="drs",
    value=100,
    adjustable=False,
    source=_GENERAL_REFERENCE,
    seen=date(2026, 11, 1),
)
SERVERS_IN_ALL_JOBS = Quota(
    name="Max source servers in all Jobs",
    code="L-05AFA8C6",
    service="drs",
    value=500,
    adjustable=False,
    source=_GENERAL_REFERENCE,
    seen=date(2026, 11, 1),
)
CONCURRENT_JOBS = Quota(
    name="Concurrent jobs in progress",
    code="L-D88FAC3A",
    service="drs",
    value=20,
    adjustable=False,
    source=_GENERAL_REFERENCE,
    seen=date(2026, 11, 1),
)
SNAPSHOTS = Quota(
    name="Snapshots per Region",
    code="L-309BACF6",
    service="ebs",
    value=100_000,
    adjustable=True,
    source="https://docs.aws.amazon.com/general/latest/gr/ebs-service.html",
    seen=date(2026, 11, 1),
)
VCPUS = Quota(
    name="Running On-Demand Standard instances, in vCPUs",
    code="L-1216C47A",
    service="ec2",
    value=5,
    adjustable=True,
    source="https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html",
    seen=date(2026, 11, 28),
)
"""A new account has so few that it must ask for more before it replicates much."""
DISKS_PER_SERVER = Quota(
    name="Replicated disks of one source server",
    code="",
    service="drs",
    value=60,
    adjustable=False,
    source="https://docs.aws.amazon.com/drs/latest/APIReference/API_ReplicationConfiguration.html",
    seen=date(2026, 11, 1),
)
GIB_PER_DISK = Quota(
    name="GiB of one replicated disk",
    code="",
    service="drs",
    value=16 * 1024,
    adjustable=False,
    source="https://docs.aws.amazon.com/drs/latest/userguide/agent-install-common-errors.html",
    seen=date(2026, 11, 1),
)
TRUSTED_ACCOUNTS = Quota(
    name="Trusted accounts of one DRS account",
    code="",
    service="drs",
    value=100,
    adjustable=False,
    source="https://docs.aws.amazon.com/drs/latest/userguide/adding-trusted-account.html",
    seen=date(2026, 11, 1),
)
_RECOVERY_PLANS = "https://docs.aws.amazon.com/drs/latest/userguide/recovery-plans.html"
RECOVERY_PLANS = Quota(
    name="Recovery plans",
    code="",
    service="drs",
    value=1000,
    adjustable=False,
    source=_RECOVERY_PLANS,
    seen=date(2026, 11, 1),
)
SERVERS_PER_RECOVERY_PLAN = Quota(
    name="Source servers in a recovery plan",
    code="",
    service="drs",
    value=100,
    adjustable=False,
    source=_RECOVERY_PLANS,
    seen=date(2026, 11, 1),
)
STEPS_PER_RECOVERY_PLAN = Quota(
    name="Steps in a recovery plan",
    code="",
    service="drs",
    value=20,
    adjustable=False,
    source=_RECOVERY_PLANS,
    seen=date(2026, 11, 1),
)

QUOTAS = (
    REPLICATING_SERVERS,
    TOTAL_SERVERS,
    SERVERS_PER_JOB,
    SERVERS_IN_ALL_JOBS,
    CONCURRENT_JOBS,
    SNAPSHOTS,
)
"""The quotas that Service Quotas can tell of an account."""


POINTS_BESIDES_DAYS = 60 // 10 + 24
"""Points in time that every server keeps: one each 10 minutes for an hour, one each hour for a day."""


class HasQuotas(Protocol):
    """An account, as far as its quotas go: their codes with what was read."""

    @property
    def quotas(self) -> tuple[tuple[str, int | Unknown], ...]:
        """The values that were read, by code; none where none was."""


def limit(account: HasQuotas, quota: Quota) -> int | Unknown:
    """The quota's value in this account: as the view read it, else AWS's default."""
    if not quota.code:
        return quota.value
    return dict(account.quotas).get(quota.code, quota.value)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a recovery needs: jobs in all, and rounds of jobs that run at once."""

    jobs: int
    rounds: int


def recovery(
    servers: int,
    per_job: int = SERVERS_PER_JOB.value,
    in_all_jobs: int = SERVERS_IN_ALL_JOBS.value,
    jobs_at_once: int = CONCURRENT_JOBS.value,
) -> Recovery:
    """The fewest rounds in which so many servers can be recovered, and the jobs that takes.

    Raises ValueError where a quota lets nothing be recovered.
    """
    if min(per_job, in_all_jobs, jobs_at_once) < 1:
        raise ValueError("with a quota of 0 nothing can be recovered")
    at_once = min(in_all_jobs, per_job * jobs_at_once)
    full, rest = divmod(servers, at_once)
    return Recovery(
        jobs=full * -(-at_once // per_job) + -(-rest // per_job),
        rounds=full + (rest > 0),
    )
