"""The way into accounts, against an AWS that misbehaves: expired, throttled, slow, silent, off in time."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest

from validator import accounts
from validator.accounts import CallError, NoAnswerError, call, opener, pages, uncertain
from validator.errors import AccountError

ACCOUNT, REGION = "111122223333", "us-west-2"
GRANTED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<Credentials><AccessKeyId>KEY{n}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
<SessionToken>token</SessionToken><Expiration>{until}</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>"""


class Fake:
    """An AWS whose DRS answers as a test says; it counts what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.lock = threading.Lock()
        self.assumed: list[dict[str, list[str]]] = []
        self.keys: list[str] = []
        self.expired: set[str] = set()
        self.lifetime = timedelta(hours=1)
        self.answers: list[tuple[int, str, dict[str, str]] | None] = []
        self.pause = 0.0

    def sts(self, asked: dict[str, list[str]]) -> tuple[int, bytes, dict[str, str]]:
        with self.lock:
            self.assumed.append(asked)
            until = (datetime.now(UTC) + self.lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
            text = GRANTED.format(n=len(self.assumed), until=until)
        return 200, text.encode(), {"Content-Type": "text/xml"}

    def drs(self, key: str) -> tuple[int, bytes, dict[str, str]] | None:
        time.sleep(self.pause)
        with self.lock:
            self.keys.append(key)
            if key in self.expired:
                return answered(403, "ExpiredTokenException")
            answer = self.answers.pop(0) if self.answers else (200, "", {})
        if answer is None:
            return None
        status, code, headers = answer
        return answered(status, code, **headers) if code else (status, b'{"items": []}', headers)


def answered(status: int, code: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    return status, json.dumps({"code": code, "message": "no"}).encode(), headers


@pytest.fixture
def fake() -> Iterator[Fake]:
    aws = Fake()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            key = self.headers["Authorization"].split("Credential=")[1].split("/")[0]
            form = self.path == "/"
            answer = aws.sts(parse_qs(body.decode())) if form else aws.drs(key)
            if answer is None:
                self.close_connection = True
                return
            status, text, headers = answer
            self.send_response_only(status)
            now = format_datetime(datetime.now(UTC), usegmt=True)
            for name, value in {"Date": now, "Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            with suppress(BrokenPipeError):  # nobody waited so long
                self.end_headers()
                self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    aws.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield aws
    server.shutdown()
    server.server_close()


def environment(fake: Fake) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "caller",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": fake.url,
    }


def opened(fake: Fake, **external_ids: str) -> accounts.Opened:
    return opener("role", environment(fake), external_ids).open(ACCOUNT, REGION)


def describe(client: Any) -> Any:
    return call(client, "describe_source_servers", filters={})


def test_importing_costs_nothing() -> None:
    code = "import sys, validator.accounts; print({'boto3', 'botocore'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_accounts_share_what_botocore_makes_of_a_service_and_nothing_else(fake: Fake) -> None:
    one, other = (opened(fake).client("drs") for _ in range(2))
    assert type(one) is type(other)
    assert one.meta.service_model is other.meta.service_model
    heard: list[str] = []
    one.meta.events.register("before-call.drs.*", lambda **_: heard.append("one"))
    describe(other)
    assert heard == []
    describe(one)
    assert heard == ["one"]
    assert type(boto3.client("drs", "us-west-2")) is not type(one)


def test_the_external_id_of_an_account_goes_to_that_account_only(fake: Fake) -> None:
    other = "444455556666"
    opens = opener("role", environment(fake), {ACCOUNT: "secret-id"})
    opens.open(ACCOUNT, REGION)
    opens.open(other, REGION)
    first, second = fake.assumed
    assert first["ExternalId"] == ["secret-id"] and "ExternalId" not in second
    assert first["RoleArn"] == [f"arn:aws:iam::{ACCOUNT}:role/role"]


def test_credentials_that_end_soon_are_renewed_before_the_call(fake: Fake) -> None:
    fake.lifetime = timedelta(seconds=2)
    drs = opened(fake).client("drs")
    fake.lifetime = timedelta(hours=1)
    describe(drs)
    describe(drs)
    assert fake.keys == ["KEY2", "KEY2"] and len(fake.assumed) == 2


@pytest.mark.parametrize("attempts", [1, accounts.ATTEMPTS], ids=["no retries", "retries"])
def test_credentials_called_expired_are_renewed_once(fake: Fake, attempts: int) -> None:
    drs = opened(fake).client("drs", attempts=attempts)
    describe(drs)
    fake.expired.add("KEY1")
    describe(drs)
    assert fake.keys == ["KEY1", "KEY1", "KEY2"] and len(fake.assumed) == 2


def test_many_threads_renew_expired_credentials_once(fake: Fake) -> None:
    at = opened(fake)
    clients = [at.client("drs") for _ in range(4)]
    fake.expired.add("KEY1")
    fake.pause = 0.05
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: describe(clients[n % 4]), range(64)))
    assert len(answers) == 64 and len(fake.assumed) == 2


def test_credentials_expired_for_good_are_an_error(fake: Fake) -> None:
    drs = opened(fake).client("drs")
    fake.expired |= {f"KEY{n}" for n in range(9)}
    with pytest.raises(CallError, match=f"{ACCOUNT}.*ExpiredTokenException"):
        describe(drs)
    assert len(fake.assumed) == 2


THROTTLED = (429, "ThrottlingException", {"Retry-After": "7"})
INTERNAL = (500, "InternalServerException", {})


def test_a_throttle_says_how_long_to_wait(fake: Fake) -> None:
    drs = opened(fake).client("drs", attempts=1)
    fake.answers = [THROTTLED]
    with pytest.raises(CallError) as caught:
        describe(drs)
    assert caught.value.throttled and caught.value.retry_after == 7
    assert not uncertain(caught.value) and len(fake.keys) == 1


@pytest.mark.parametrize(
    "refusal",
    [INTERNAL, (503, "ServiceUnavailable", {}), None],
    ids=["500", "503", "a lost answer"],
)
def test_a_call_whose_effect_is_uncertain(fake: Fake, refusal: Any) -> None:
    drs = opened(fake).client("drs", attempts=1)
    fake.answers = [refusal]
    with pytest.raises(AccountError) as caught:
        describe(drs)
    assert uncertain(caught.value) and len(fake.keys) == 1


def test_a_refusal_is_certain(fake: Fake) -> None:
    drs = opened(fake).client("drs")
    fake.answers = [(403, "AccessDeniedException", {})]
    with pytest.raises(
        CallError, match=f"{ACCOUNT}, {REGION}: drs DescribeSourceServers"
    ) as caught:
        describe(drs)
    assert not uncertain(caught.value) and not caught.value.throttled
    assert caught.value.code == "AccessDeniedException" and caught.value.retry_after is None


def test_standard_retries_outlast_faults(fake: Fake) -> None:
    fake.answers = [(429, "ThrottlingException", {}), INTERNAL, None]
    items = list(pages(opened(fake).client("drs"), "describe_source_servers", "items", filters={}))
    assert items == [] and len(fake.keys) == 4


def test_every_wait_ends(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < accounts._CONFIG["connect_timeout"] < accounts._CONFIG["read_timeout"] <= 60
    monkeypatch.setitem(accounts._CONFIG, "read_timeout", 0.2)
    drs = opened(fake).client("drs", attempts=1)
    fake.pause = 1.0
    with pytest.raises(NoAnswerError, match="DescribeSourceServers got no answer"):
        describe(drs)


def test_an_answer_that_cannot_be_read_is_never_empty(fake: Fake) -> None:
    drs = opened(fake).client("drs")
    page = (200, b"<html>", {"Content-Type": "text/html"})
    fake.drs = lambda _: page  # type: ignore[method-assign]
    with pytest.raises(AccountError, match="gave a page without items"):
        list(pages(drs, "describe_source_servers", "items", filters={}))
    fake.sts = lambda _: page  # type: ignore[method-assign]
    with pytest.raises(NoAnswerError, match="AssumeRole"):
        opened(fake)


SKEWED = [
    ("behind", timedelta(minutes=20), "20 minutes behind"),
    ("ahead", timedelta(minutes=-20), "20 minutes ahead of"),
]


@pytest.mark.parametrize(("off", "said"), [s[1:] for s in SKEWED], ids=[s[0] for s in SKEWED])
def test_a_clock_that_is_off_is_named(fake: Fake, off: timedelta, said: str) -> None:
    drs = opened(fake).client("drs")
    date = format_datetime(datetime.now(UTC) + off, usegmt=True)
    fake.answers = [(403, "InvalidSignatureException", {"Date": date})]
    with pytest.raises(CallError, match=f"clock is {said} AWS's: set it"):
        describe(drs)


def test_a_wrong_signature_is_not_blamed_on_the_clock(fake: Fake) -> None:
    drs = opened(fake).client("drs")
    fake.answers = [(403, "InvalidSignatureException", {})]
    with pytest.raises(CallError) as caught:
        describe(drs)
    assert "clock" not in str(caught.value)


def test_a_role_that_cannot_be_assumed_again_is_said_as_such(fake: Fake) -> None:
    drs = opened(fake).client("drs")
    fake.expired.add("KEY1")
    refused = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
    fake.sts = lambda _: (403, refused, {"Content-Type": "text/xml"})  # type: ignore[method-assign]
    with pytest.raises(
        AccountError, match=r"^Account \d{12}, .*sts AssumeRole was refused: AccessDenied"
    ):
        describe(drs)


def test_no_endpoint_profile_or_proxy_of_this_machine_mixes_in(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL_DRS": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1",
        "AWS_PROFILE": "nobody",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    assert describe(opened(fake).client("drs"))["items"] == []
