"""Every fault that the control door orders, as clients of AWS see it."""

import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError

from tests.conftest import ORCHESTRATION, REGION, STAGING, TARGET, Embedded
from tests.emulator.clients import (
    assume,
    faults,
    once,
    outcome,
    register,
    server_arn,
    trusting,
)
from validator.accounts import opener

pytestmark = pytest.mark.slow

ADMIN = f"arn:aws:iam::{STAGING}:role/OrganizationAccountAccessRole"
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "drs": ("describe_source_servers", {}),
    "ec2": ("describe_instances", {}),
    "iam": ("list_roles", {}),
    "kms": ("list_keys", {}),
    "s3": ("list_buckets", {}),
    "service-quotas": ("list_service_quotas", {"ServiceCode": "drs"}),
    "ssm": ("describe_instance_information", {}),
    "sts": ("get_caller_identity", {}),
}
CODES: dict[str, dict[str, tuple[str, int]]] = {
    "deny": {
        "drs": ("AccessDeniedException", 403),
        "ec2": ("UnauthorizedOperation", 403),
        "iam": ("AccessDenied", 403),
        "kms": ("AccessDeniedException", 400),
        "s3": ("AccessDenied", 403),
        "service-quotas": ("AccessDeniedException", 400),
        "ssm": ("AccessDeniedException", 400),
        "sts": ("AccessDenied", 403),
    },
    "error500": {
        "drs": ("InternalServerException", 500),
        "ec2": ("InternalError", 500),
        "iam": ("ServiceFailure", 500),
        "kms": ("KMSInternalException", 500),
        "s3": ("InternalError", 500),
        "service-quotas": ("ServiceException", 500),
        "ssm": ("InternalServerError", 500),
    },
    "expire": {
        "drs": ("ExpiredTokenException", 403),
        "ec2": ("RequestExpired", 400),
        "iam": ("ExpiredToken", 403),
        "kms": ("ExpiredTokenException", 400),
        "s3": ("ExpiredToken", 400),
        "service-quotas": ("ExpiredTokenException", 400),
        "ssm": ("ExpiredTokenException", 400),
        "sts": ("ExpiredToken", 403),
    },
    "skew": {
        "drs": ("InvalidSignatureException", 403),
        "ec2": ("RequestExpired", 400),
        "iam": ("SignatureDoesNotMatch", 403),
        "kms": ("InvalidSignatureException", 403),
        "s3": ("RequestTimeTooSkewed", 403),
        "sts": ("SignatureDoesNotMatch", 403),
    },
    "throttle": {
        "drs": ("ThrottlingException", 429),
        "ec2": ("RequestLimitExceeded", 503),
        "iam": ("Throttling", 400),
        "kms": ("ThrottlingException", 400),
        "s3": ("SlowDown", 503),
        "service-quotas": ("TooManyRequestsException", 400),
        "ssm": ("ThrottlingException", 400),
        "sts": ("Throttling", 400),
    },
}
ROWS = [(k, s, *answer) for k, answers in CODES.items() for s, answer in answers.items()]


@pytest.fixture(scope="module")
def ids(embedded: Embedded) -> list[str]:
    """Servers in the staging account, in the order in which they are read."""
    trusting(embedded)
    return sorted(register(embedded, 7))


@pytest.mark.parametrize(
    ("kind", "service", "code", "status"), ROWS, ids=[f"{r[0]}-{r[1]}" for r in ROWS]
)
def test_each_service_refuses_in_its_own_words(
    embedded: Embedded, ids: list[str], kind: str, service: str, code: str, status: int
) -> None:
    keys = assume(embedded, ADMIN)
    operation, params = CALLS[service]
    call = getattr(once(embedded, service, STAGING, keys), operation)
    with faults(embedded, {"kind": kind}), pytest.raises(ClientError) as caught:
        call(**params)
    answer = caught.value.response
    assert answer["Error"]["Code"] == code
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
    assert outcome(call, **params) == "ok"


@pytest.mark.parametrize(
    ("kind", "told"), [("throttle", "7"), ("error500", 7), ("deny", None)], ids=str
)
def test_drs_says_how_long_to_wait(embedded: Embedded, kind: str, told: object) -> None:
    fault = {"kind": kind, **({"retryAfterSeconds": 7} if told else {})}
    with faults(embedded, fault), pytest.raises(ClientError) as caught:
        once(embedded, "drs", STAGING).describe_source_servers()
    # The model binds the member to the header Retry-After, once as text and once as a number.
    assert caught.value.response.get("retryAfterSeconds") == told


PATTERNS = [
    ("every call", {}, "xxxxxxxxx"),
    ("each third", {"every": 3}, "..x..x..x"),
    ("after four", {"after": 4}, "....xxxxx"),
    ("two only", {"times": 2}, "xx......."),
    ("all of these", {"after": 2, "every": 2, "times": 2}, "...x.x..."),
]


@pytest.mark.parametrize(("limits", "hit"), [p[1:] for p in PATTERNS], ids=[p[0] for p in PATTERNS])
def test_which_calls_a_fault_hits(embedded: Embedded, limits: dict[str, int], hit: str) -> None:
    kms = once(embedded, "kms", STAGING)
    with faults(embedded, {"kind": "deny", **limits}):
        seen = ["." if outcome(kms.list_keys) == "ok" else "x" for _ in hit]
    assert "".join(seen) == hit


ELSEWHERE = [
    ("another service", {"service": "drs"}),
    ("another operation", {"operation": "ListAliases"}),
    ("another account", {"account": TARGET}),
]


@pytest.mark.parametrize("where", [e[1] for e in ELSEWHERE], ids=[e[0] for e in ELSEWHERE])
def test_a_fault_leaves_all_other_calls_alone(embedded: Embedded, where: dict[str, str]) -> None:
    kms = once(embedded, "kms", STAGING)
    with faults(embedded, {"kind": "deny", **where}):
        assert outcome(kms.list_keys) == "ok"
    here = {"service": "kms", "operation": "ListKeys", "account": STAGING}
    with faults(embedded, {"kind": "deny", **here}):
        assert outcome(kms.list_keys) == "AccessDeniedException"


def test_an_account_that_is_denied_cannot_be_entered_either(embedded: Embedded) -> None:
    enter = {"RoleArn": ADMIN, "RoleSessionName": "session"}
    sts = once(embedded, "sts", ORCHESTRATION)
    with faults(embedded, {"kind": "deny", "account": STAGING}):
        assert outcome(sts.assume_role, **enter) == "AccessDenied"
        assert outcome(once(embedded, "kms", STAGING).list_keys) == "AccessDeniedException"
        assert outcome(sts.get_caller_identity) == "ok"
    assert outcome(sts.assume_role, **enter) == "ok"


def test_credentials_that_expired_stay_so_and_new_ones_work(embedded: Embedded) -> None:
    old, other = assume(embedded, ADMIN), assume(embedded, ADMIN)
    kms = once(embedded, "kms", STAGING, old)
    with faults(embedded, {"kind": "expire", "account": STAGING, "times": 1}):
        for call in (kms.list_keys, kms.list_keys, kms.list_aliases):
            assert outcome(call) == "ExpiredTokenException"
        assert outcome(once(embedded, "iam", STAGING, old).list_roles) == "ExpiredToken"
        assert outcome(once(embedded, "kms", STAGING, other).list_keys) == "ok"
        assert outcome(once(embedded, "kms", STAGING, assume(embedded, ADMIN)).list_keys) == "ok"
    assert outcome(kms.list_keys) == "ok"


def test_a_clock_that_is_off(embedded: Embedded) -> None:
    kms = once(embedded, "kms", STAGING)
    for hours, said in ((1, "now earlier than"), (-1, "still later than")):
        fault = {"kind": "skew", "hours": hours}
        with faults(embedded, fault), pytest.raises(ClientError, match=said):
            kms.list_keys()
    with faults(embedded, {"kind": "skew", "hours": 0.05}):  # less than AWS forgives
        assert outcome(kms.list_keys) == "ok"


def test_a_connection_that_is_dropped(embedded: Embedded, ids: list[str]) -> None:
    with faults(embedded, {"kind": "drop", "service": "drs"}), pytest.raises(HTTPClientError):
        once(embedded, "drs", STAGING).describe_source_servers()
    with faults(embedded, {"kind": "drop", "service": "drs", "every": 2}):
        assert read(embedded.client("drs", STAGING), 2) == ids


def test_a_slow_call_holds_up_no_other(embedded: Embedded) -> None:
    slow = {"kind": "slow", "service": "kms", "account": STAGING, "seconds": 2}
    with faults(embedded, slow), ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        waiting = pool.submit(once(embedded, "kms", STAGING).list_keys)
        once(embedded, "kms", TARGET).list_keys()
        assert not waiting.done()
        waiting.result()
        assert time.monotonic() - began >= 2


def test_a_server_that_vanishes_between_pages(embedded: Embedded) -> None:
    account = TARGET
    made = sorted(register(embedded, 7, account))
    gone = [made[0], made[5]]
    fault = {
        "kind": "vanish",
        "service": "drs",
        "operation": "DescribeSourceServers",
        "account": account,
        "after": 1,
        "ids": gone,
    }
    drs = once(embedded, "drs", account)
    with faults(embedded, fault):
        assert read(drs, 2) == [each for each in made if each != made[5]]
        assert read(drs, 2) == [each for each in made if each not in gone]


def read(drs: Any, size: int) -> list[str]:
    pages = drs.get_paginator("describe_source_servers").paginate(
        PaginationConfig={"PageSize": size}
    )
    return [server["sourceServerID"] for page in pages for server in page["items"]]


PAGED = [
    ("drs", "describe_source_servers", {}, 2),
    ("drs", "list_extensible_source_servers", {"stagingAccountID": STAGING}, 2),
    ("drs", "list_staging_accounts", {}, 1),
    ("ec2", "describe_instances", {}, 5),
    ("iam", "list_roles", {}, 2),
    ("kms", "list_keys", {}, 1),
    ("service-quotas", "list_service_quotas", {"ServiceCode": "drs"}, 5),
    ("ssm", "describe_instance_information", {}, 5),
]


@pytest.fixture(scope="module")
def listed(embedded: Embedded, ids: list[str]) -> None:
    """Something for every listing of the target account."""
    drs = embedded.client("drs", TARGET)
    drs.create_extended_source_server(sourceServerArn=server_arn(ids[0]))
    register(embedded, 3, TARGET)
    embedded.client("kms", TARGET).create_key()
    embedded.door("instances", {"account": TARGET, "region": REGION, "count": 12})


@pytest.mark.parametrize(
    ("service", "operation", "params", "size"), PAGED, ids=[f"{p[0]}-{p[1]}" for p in PAGED]
)
def test_an_empty_page_with_a_token_loses_nothing(
    embedded: Embedded,
    listed: None,
    service: str,
    operation: str,
    params: dict[str, Any],
    size: int,
) -> None:
    paginator = once(embedded, service, TARGET).get_paginator(operation)

    def pages() -> list[list[Any]]:
        found = paginator.paginate(**params, PaginationConfig={"PageSize": size})
        return [paginator.result_keys[0].search(page) or [] for page in found]

    def keys(pages: list[list[Any]]) -> list[str]:
        """What does not change from one reading to the next."""
        names = ("sourceServerID", "arn", "InstanceId", "Instances", "RoleName", "accountID")
        named = (*names, "KeyId", "QuotaCode")
        return [str(next(i[n] for n in named if n in i)) for page in pages for i in page]

    whole = pages()
    assert all(whole)
    name = "servicequotas" if service == "service-quotas" else service
    with faults(embedded, {"kind": "empty-page", "service": name, "every": 2, "after": 1}):
        broken = pages()
    with faults(embedded, {"kind": "empty-page", "service": name, "times": 1}):
        first = pages()
    assert first[0] == [] == next(each for each in first if not each)
    assert keys(first) == keys(broken) == keys(whole)


def test_a_reader_that_renews_its_credentials_loses_no_server(
    embedded: Embedded, ids: list[str]
) -> None:
    opened = opener("OrganizationAccountAccessRole", embedded.environment(ORCHESTRATION))
    drs = opened.open(STAGING, REGION).client("drs")
    fault = {"kind": "expire", "service": "drs", "account": STAGING, "after": 1, "times": 1}
    with faults(embedded, fault):
        assert read(drs, 2) == ids


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "kind must be one of"),
    ({"kind": "flood"}, "kind must be one of"),
    ({"kind": ["deny"]}, "kind must be one of"),
    ({"kind": "deny", "servise": "drs"}, "not ['servise']"),
    ({"kind": "deny", "seconds": 1}, "not ['seconds']"),
    ({"kind": "deny", "every": 0}, "every must be a whole number"),
    ({"kind": "deny", "after": "2"}, "after must be a whole number"),
    ({"kind": "deny", "times": True}, "times must be a whole number"),
    ({"kind": "slow", "seconds": "long"}, "seconds must be a number"),
    ({"kind": "deny", "account": 444455556666}, "account must be text"),
    ({"kind": "slow", "seconds": -1}, "seconds must not be negative"),
    ({"kind": "vanish"}, "needs ids"),
    ({"kind": "vanish", "ids": "s-1"}, "needs ids"),
    ({"kind": "empty-page", "service": "s3"}, "needs a service"),
    ({"kind": "empty-page"}, "needs a service"),
]


@pytest.mark.parametrize(("fault", "said"), WRONG, ids=str)
def test_a_fault_that_says_nothing_known_is_refused(
    embedded: Embedded, fault: dict[str, Any], said: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        embedded.door("faults", fault)
    assert said in caught.value.read().decode()
    assert outcome(once(embedded, "kms", STAGING).list_keys) == "ok"
