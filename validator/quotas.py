"""The numbers that AWS enforces, as data, each with its code, source and date.

Every quota here holds for one account in one Region. Live values from Service Quotas overlay them:
`limit` prefers what the view read in the account over the default.
"""

from dataclasses import dataclass
from datetime import date

from validator.model import Account, Unknown

_GENERAL_REFERENCE = "https://docs.aws.amazon.com/general/latest/gr/drs.html"


@dataclass(frozen=True, slots=True)
class Quota:
    """One AWS quota, for one account and Region."""

    name: str
    code: str
    service: str
    value: int
    adjustable: bool
    source: str
    seen: date


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

QUOTAS = (REPLICATING_SERVERS, TOTAL_SERVERS)


def limit(account: Account, quota: Quota) -> int | Unknown:
    """The quota's value in this account: as the view read it, else AWS's default."""
    return dict(account.quotas).get(quota.code, quota.value)
