"""What several tests share: an embedded AWS, and a checkout of their own."""

import fcntl
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from validator import accounts, project
from validator.tools import emulator, terraform

ROOT = Path(__file__).parents[1]
TARGET, STAGING, ORCHESTRATION = "111122223333", "444455556666", "777788889999"
REGION = "us-west-2"


def models_own_answer(operation_model: Any, response_dict: dict[str, Any], **_: object) -> None:
    """Fails if an answer of DRS holds what botocore's model does not, which botocore would drop."""
    if response_dict["status_code"] < 300 and operation_model.output_shape is not None:
        fits(
            operation_model.output_shape,
            json.loads(response_dict["body"] or "{}"),
            operation_model.name,
        )


def fits(shape: Any, value: Any, where: str) -> None:
    if shape.type_name == "structure":
        assert isinstance(value, dict), where
        assert set(value) <= set(shape.members), f"{where}: {set(value) - set(shape.members)}"
        assert set(shape.required_members) <= set(value), where
        for name, member in value.items():
            fits(shape.members[name], member, f"{where}.{name}")
    elif shape.type_name == "list":
        for item in value:
            fits(shape.member, item, f"{where}[]")
    elif shape.type_name == "map":
        for item in value.values():
            fits(shape.value, item, f"{where}{{}}")
    else:
        kinds = {"string": str, "boolean": bool, "integer": int, "long": int}
        kinds |= {"double": float, "timestamp": float}
        assert isinstance(value, kinds[shape.type_name]), f"{where}: {value!r}"
        limits, size = shape.metadata, len(value) if isinstance(value, str) else value
        enum = getattr(shape, "enum", [])
        assert not enum or value in enum, f"{where}: {value!r}"
        assert limits.get("min", size) <= size <= limits.get("max", size), f"{where}: {value!r}"
        # Python knows no classes of Unicode.
        if "\\p{" not in limits.get("pattern", r"\p{"):
            assert re.fullmatch(limits["pattern"], value), f"{where}: {value!r}"


class Embedded:
    """A running embedded AWS, seen as its clients and its control door."""

    def __init__(self, url: str) -> None:
        self.url = url

    def environment(self, account_id: str) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": account_id,
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_ENDPOINT_URL": self.url,
        }

    def client(self, service: str, account_id: str, region: str = REGION) -> Any:
        made = accounts.client(service, region, self.environment(account_id))
        if service == "drs":
            made.meta.events.register("before-parse.drs.*", models_own_answer)
        return made

    def unchecked_client(self, service: str, account_id: str, region: str = REGION) -> Any:
        """A client that sends what botocore itself would refuse."""
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=account_id,
            aws_secret_access_key="any",
            config=Config(parameter_validation=False, proxies={}),
        )

    def door(self, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        request = urllib.request.Request(
            f"{self.url}/_emulator/{path}", data=json.dumps(body or {}).encode(), method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: Terraform's AWS provider sleeps much of the time."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Ctrl-C is heard by the tests and what they start, even where a shell runs them in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def embedded() -> Iterator[Embedded]:
    """An embedded AWS for the tests of one module."""
    with emulator.started(ORCHESTRATION) as running:
        yield Embedded(running.url)


def plan_document(folder: Path) -> Any:
    """The plan of env staging as Terraform shows it, made in a copy of the code in `folder`."""
    shutil.copytree(ROOT / "terraform", folder / "terraform")
    done = run_validator(folder, "plan", "staging")
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    env = project.find("staging", folder)
    return terraform.WorkingDirectory(
        env.directory, env.build("terraform"), dict(os.environ), folder / "build"
    ).show(env.plan_file)


@pytest.fixture(scope="session")
def planned_once(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`plan_document`, made once for all processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    file = shared / "planned.json"
    with (shared / "planned.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            made = json.dumps(plan_document(tmp_path_factory.mktemp("planned")))
            file.write_text(made)
    return json.loads(file.read_text())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the Terraform code that a test may change."""
    shutil.copytree(ROOT / "terraform", tmp_path / "terraform")
    return tmp_path


def run_validator(
    checkout: Path, *arguments: str, **more: str
) -> "subprocess.CompletedProcess[str]":
    """Runs the command line in a checkout on an embedded AWS, with no AWS credentials around.

    Plans leave checkov out, which takes longer than they do: tests of it call `validator gate`.
    """
    if arguments[:1] in {("plan",), ("apply",)} and len(arguments) > 1:
        arguments = (*arguments, "--skip-checkov")
    kept = ("PATH", "HOME", "TF_PROVIDER_MIRROR", "LANG")
    environment = {k: v for k, v in os.environ.items() if k in kept}
    # Terraform and its providers spend a fifth of their time on collecting garbage of short runs.
    return subprocess.run(
        [str(ROOT / ".venv/bin/validator"), *arguments],
        cwd=checkout,
        env={**environment, "CLOUD": "embedded", "GOGC": "300", **more},
        capture_output=True,
        text=True,
        timeout=300,
    )


Validator = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def validator(checkout: Path) -> Validator:
    """`run_validator` in this test's checkout."""
    return functools.partial(run_validator, checkout)


@contextmanager
def serving(checkout: Path) -> Iterator[Embedded]:
    """An embedded AWS that a checkout's commands use as long as the context lives."""
    with emulator.started(ORCHESTRATION) as started:
        (checkout / "build").mkdir(exist_ok=True)
        (checkout / "build/emulator.json").write_text(json.dumps({"url": started.url}))
        yield Embedded(started.url)


@pytest.fixture
def running(checkout: Path) -> Iterator[Embedded]:
    """An embedded AWS for this test's checkout."""
    with serving(checkout) as embedded:
        yield embedded
