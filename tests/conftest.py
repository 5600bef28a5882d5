"""What several tests share: an embedded AWS, and a checkout of their own."""

import contextlib
import fcntl
import functools
import gc
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests import provider
from validator import accounts, cli
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
        self._client = functools.cache(self._made)

    def environment(self, account_id: str) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": account_id,
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_ENDPOINT_URL": self.url,
        }

    def client(self, service: str, account_id: str, region: str = REGION) -> Any:
        """The client of a service in an account, made once."""
        return self._client(service, account_id, region)

    def _made(self, service: str, account_id: str, region: str) -> Any:
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


_of_the_run = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """What takes much of a short run: collecting garbage, and Terraform's reading of its provider."""
    os.environ.setdefault("GOGC", "300")
    gc.set_threshold(100_000, 50, 100)
    if not hasattr(config, "workerinput"):
        folder = _of_the_run.enter_context(tempfile.TemporaryDirectory(prefix="provider-"))
        provider.link(Path(folder))


def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are processors: Terraform's AWS provider and agents sleep much of the time."""
    return (os.cpu_count() or 1) + 2


_LONGEST = (
    "test_mutants.py",
    "agent_deployer/test_function.py",
    "test_demo.py",
    "agent_deployer/test_deployment.py",
    "test_cli_gate.py",
    "agent_deployer/test_permissions.py",
    "test_continuous.py",
    "agent_deployer/test_architecture.py",
)
"""Files that compute, each before one that waits for what it has started."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no worker is left alone with it at the end."""
    first = {ROOT / "tests" / name: place for place, name in enumerate(_LONGEST)}

    def turn(item: pytest.Item) -> tuple[bool, int]:
        return item.get_closest_marker("slow") is None, first.get(item.path, len(first))

    items.sort(key=turn)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """The tests and what they start hear Ctrl-C and a hang-up, even in the background or under nohup."""
    for number, heard in [
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ]:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, heard)


_shared: dict[str, str] = {}

_FIRST_CALLS = {
    "cloudwatch": "describe_alarms",
    "dynamodb": "list_tables",
    "ec2": "describe_instances",
    "events": "list_rules",
    "iam": "list_roles",
    "kms": "list_keys",
    "lambda": "list_functions",
    "logs": "describe_log_groups",
    "s3": "list_buckets",
    "sns": "list_topics",
    "sqs": "list_queues",
    "ssm": "describe_instance_information",
    "stepfunctions": "list_state_machines",
    "sts": "get_caller_identity",
}


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """All workers of a run copy one embedded AWS, which lives as long as the process above them.

    It has read what services need at their first call, two seconds' worth: its copies need not.
    """
    if not _shared:
        running = Embedded(_of_the_run.enter_context(emulator.started(ORCHESTRATION)).url)
        for service, operation in _FIRST_CALLS.items():
            getattr(running.client(service, "999999999999"), operation)()  # no test's account
        _shared["untouched"] = running.url
    node.workerinput |= _shared


def pytest_unconfigure() -> None:
    """Nothing of a run stays."""
    _of_the_run.close()


@pytest.fixture(scope="session")
def untouched(request: pytest.FixtureRequest) -> Iterator[Embedded]:
    """The embedded AWS of this run: to copy, which takes a tenth of a second, and not to touch."""
    given = getattr(request.config, "workerinput", {}).get("untouched")
    if given is not None:
        yield Embedded(given)
        return
    with emulator.started(ORCHESTRATION) as running:
        yield Embedded(running.url)


@contextmanager
def copied(original: Embedded) -> Iterator[Embedded]:
    """A copy of an embedded AWS, as long as the context lives."""
    made = original.door("fork")
    try:
        yield Embedded(made["url"])
    finally:
        original.door("fork", {"id": made["id"]}, method="DELETE")


@pytest.fixture(scope="module")
def embedded(untouched: Embedded) -> Iterator[Embedded]:
    """An embedded AWS for the tests of one module."""
    with copied(untouched) as embedded:
        yield embedded


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the Terraform code that a test may change."""
    provider.copy_terraform(tmp_path)
    return tmp_path


def run_validator(
    checkout: Path, *arguments: str, timeout: float = 300, **more: str
) -> "subprocess.CompletedProcess[str]":
    """Runs the command line in a checkout on an embedded AWS, with no AWS credentials around.

    Plans leave checkov out, which takes longer than they do: tests of it call `validator gate`.
    """
    arguments = _without_checkov(arguments)
    kept = ("PATH", "HOME", "TF_PROVIDER_MIRROR", "LANG", "GOGC")
    environment = {k: v for k, v in os.environ.items() if k in kept}
    return subprocess.run(
        [str(ROOT / ".venv/bin/validator"), *arguments],
        cwd=checkout,
        env={**environment, "CLOUD": "embedded", **more},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def _without_checkov(arguments: tuple[str, ...]) -> tuple[str, ...]:
    if arguments[:1] in {("plan",), ("apply",)} and len(arguments) > 1:
        return (*arguments, "--skip-checkov")
    return arguments


Validator = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def validator(checkout: Path) -> Validator:
    """`run_validator` in this test's checkout."""
    return functools.partial(run_validator, checkout)


def call_validator(
    checkout: Path, *arguments: str, **more: str
) -> "subprocess.CompletedProcess[str]":
    """As `run_validator`, within this process: most commands take less time than an interpreter."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        contextlib.chdir(checkout),
        pytest.MonkeyPatch.context() as environment,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name in [each for each in os.environ if each.startswith("AWS_")]:
            environment.delenv(name)
        for name, value in {"CLOUD": "embedded", **more}.items():
            environment.setenv(name, value)
        try:
            status = cli.main(_without_checkov(arguments))
        except SystemExit as ended:  # bad usage
            status = int(ended.code or 0)
    said = (each.buffer.getvalue().decode() for each in (out, err))
    return subprocess.CompletedProcess(arguments, status, *said)


@pytest.fixture
def called(checkout: Path) -> Validator:
    """`call_validator` in this test's checkout."""
    return functools.partial(call_validator, checkout)


def use(checkout: Path, embedded: Embedded) -> None:
    """From now on the commands of a checkout use this embedded AWS."""
    (checkout / "build").mkdir(exist_ok=True)
    (checkout / "build/emulator.json").write_text(json.dumps({"url": embedded.url}))


@pytest.fixture
def running(checkout: Path, untouched: Embedded) -> Iterator[Embedded]:
    """An embedded AWS for this test's checkout."""
    with copied(untouched) as embedded:
        use(checkout, embedded)
        yield embedded


@dataclass(frozen=True)
class Stage:
    """Env staging after a command, made once for a whole test run: to copy, and not to touch."""

    checkout: Path
    embedded: Embedded
    said: str
    """What the last plan of it said."""

    def document(self) -> Any:
        """The last plan of it, as Terraform shows it."""
        return json.loads((self.checkout / "plan.json").read_text())

    def fill(self, folder: Path, embedded: Embedded) -> None:
        """Makes a folder a copy of its checkout that uses another AWS, a copy of its own."""
        # Terraform's own data has the provider as a link.
        shutil.copytree(self.checkout, folder, symlinks=True, dirs_exist_ok=True)
        use(folder, embedded)
        saved = folder / "build/staging/plan/saved.json"
        cloud = f"embedded {embedded.door('health', method='GET')['id']}"
        saved.write_text(json.dumps({**json.loads(saved.read_text()), "cloud": cloud}))

    @contextmanager
    def copied(self, folder: Path) -> Iterator[Embedded]:
        """A copy of its embedded AWS, which `folder`, then a copy of its checkout, uses."""
        with copied(self.embedded) as embedded:
            self.fill(folder, embedded)
            yield embedded


def once(
    factory: pytest.TempPathFactory,
    name: str,
    original: Embedded,
    make: Callable[[Path, Embedded], str],
) -> Stage:
    """The stage that `make` makes in a folder and a copy of an AWS, once for all processes of a run.

    Nobody ends the copy: it ends with the run.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, record = shared / name, shared / f"{name}.json"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            embedded = Embedded(original.door("fork")["url"])
            record.write_text(json.dumps([embedded.url, make(folder, embedded)]))
    url, said = json.loads(record.read_text())
    return Stage(folder, Embedded(url), said)


def planned(checkout: Path) -> str:
    """What a plan of env staging says; Terraform's own words are then in plan.json."""
    show = terraform.WorkingDirectory.show

    def kept(at: terraform.WorkingDirectory, file: Path) -> object:
        document = show(at, file)
        (checkout / "plan.json").write_text(json.dumps(document))
        return document

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terraform.WorkingDirectory, "show", kept)
        done = call_validator(checkout, "plan", "staging")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def planned_stage(tmp_path_factory: pytest.TempPathFactory, untouched: Embedded) -> Stage:
    """Env staging with a saved plan, on an AWS with nothing of it but the bucket for the state."""

    def make(folder: Path, embedded: Embedded) -> str:
        provider.copy_terraform(folder)
        use(folder, embedded)
        return planned(folder)

    return once(tmp_path_factory, "planned", untouched, make)


@pytest.fixture(scope="session")
def applied_stage(tmp_path_factory: pytest.TempPathFactory, planned_stage: Stage) -> Stage:
    """Env staging as applied, with no servers yet, and a second plan of it."""

    def make(folder: Path, embedded: Embedded) -> str:
        planned_stage.fill(folder, embedded)
        done = run_validator(folder, "apply", "staging")
        assert done.returncode == 0, done.stdout + done.stderr
        return planned(folder)

    return once(tmp_path_factory, "applied", planned_stage.embedded, make)


@pytest.fixture
def planned_here(checkout: Path, planned_stage: Stage) -> Iterator[Embedded]:
    """The embedded AWS of this test's checkout, where env staging is planned."""
    with planned_stage.copied(checkout) as embedded:
        yield embedded


@pytest.fixture
def applied_here(checkout: Path, applied_stage: Stage) -> Iterator[Embedded]:
    """The embedded AWS of this test's checkout, where env staging is applied."""
    with applied_stage.copied(checkout) as embedded:
        yield embedded
