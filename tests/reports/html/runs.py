"""Runs for the tests of the page: a small plan, and a live estate of 14 accounts and 4,000 servers."""

from dataclasses import replace

from tests.estates import account, estate, extended, server
from tests.reports import runs
from validator.findings import Finding, Message
from validator.model import Estate, Part, SourceServer, Unknown, Wave, known
from validator.reports import Run

ACCOUNTS = 13
SERVERS = 4000


def large() -> Run:
    """A live estate of 13 staging accounts, one of them overfull, one denied; thousands of findings."""
    staging = tuple(
        replace(
            account(f"staging-{n}", Part.STAGING, f"{n:02}4455556666", 300),
            servers=_servers(f"{n:02}4455556666", 304 if n == 3 else 280 + n),
        )
        for n in range(1, ACCOUNTS + 1)
    )
    denied = replace(staging[6], servers=Unknown("AccessDenied on DescribeSourceServers"))
    extensions = (
        extended("111122223333", each)
        for number, of in enumerate(staging)
        for each in known(of.servers)
        if number != 4 or int(each.hostname[-2:]) < 80
    )
    target = replace(
        account("target", Part.TARGET, "111122223333", 100),
        servers=(*_servers("111122223333", 100), *extensions),
    )
    of = replace(
        estate(view="live", target=target, staging=(*staging[:6], denied, *staging[7:])),
        headroom=10,
        waves=(Wave("databases", "x.tf:1", 420), Wave("web", "x.tf:2", 900), Wave("rest", "x.tf:3", 0)),
    )  # fmt: skip
    return runs.run(of, _findings(of), notes=())


def _servers(account_id: str, count: int) -> tuple[SourceServer, ...]:
    first = 1000 * int(account_id[:2])
    return tuple(server(account_id, first + n) for n in range(count))


def _findings(of: Estate) -> tuple[Finding, ...]:
    found = list(runs.FINDINGS)
    for number in range(SERVERS):
        where = f"arn:aws:drs:us-west-2:{of.staging[number % ACCOUNTS].id}:source-server/s-{number:017x}"
        lags = Message(f"web-{number} of it lags by 4 hours; its objective is 15 minutes.", where)
        says = ("violated", lags) if number % 4 == 0 else ("holds",)
        found.append(runs.found("servers-keep-their-objective", "servers", f"web-{number} of {of.staging[number % ACCOUNTS].name}", *says))  # fmt: skip
    return tuple(found)
