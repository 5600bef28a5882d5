"""The embedded AWS through the AWS CLI, as the architecture document's reader would use it."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ORCHESTRATION, REGION, ROOT, STAGING, TARGET, Embedded
from tests.emulator.test_drs import ROLE, ROLE_POLICY, initialise, key_policy, template, trust

pytestmark = pytest.mark.slow

OWN, STAGED, EXTENDED = 7, 250, 3  # more staged servers than one page holds
STRANGER = "222222222222"
DATA = str(ROOT / ".venv/lib/python{}.{}/site-packages/awscli/data".format(*sys.version_info))


class Cli:
    """The `aws` program in a home without settings, pointed at the embedded AWS.

    It is called within this process, for an interpreter that imports it takes longer than it does.
    """

    def __init__(self, embedded: Embedded, home: Path) -> None:
        self.embedded, self.home = embedded, home

    def run(self, account: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with (
            pytest.MonkeyPatch.context() as environment,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            given = {"AWS_DATA_PATH": DATA, "HOME": str(self.home), "NO_PROXY": "*"}
            for name, value in (given | self.embedded.environment(account)).items():
                environment.setenv(name, value)
            environment.setattr(sys, "argv", ["aws", "--region", REGION, *arguments])
            from awscli import clidriver

            status = clidriver.main()
        said = (each.buffer.getvalue().decode() for each in (out, err))  # type: ignore[attr-defined]
        return subprocess.CompletedProcess(arguments, status, *said)

    def answer(self, account: str, *arguments: str) -> Any:
        """The answer of one operation."""
        done = self.run(account, *arguments, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    def drs(self, account: str, *arguments: str) -> Any:
        """The answer of one operation of DRS."""
        return self.answer(account, "drs", *arguments)

    def refused(self, account: str, *arguments: str) -> str:
        """The refusal of one operation of DRS."""
        done = self.run(account, "drs", *arguments)
        assert done.returncode != 0
        assert done.stdout == ""
        return done.stderr

    def described(self, *filters: str) -> list[dict[str, Any]]:
        """What the target's describe-source-servers lists."""
        answer = self.drs(TARGET, "describe-source-servers", *filters)
        return list(answer["items"])


@pytest.fixture(scope="module")
def cli(embedded: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    return Cli(embedded, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def estate(cli: Cli) -> list[str]:
    """OWN servers in the target, STAGED in the staging account, EXTENDED of them extended: their ARNs."""
    embedded = cli.embedded
    embedded.door("key-policy-delay", {"seconds": 0})
    iam, kms = embedded.client("iam", STAGING), embedded.client("kms", STAGING)
    iam.create_role(RoleName=ROLE, Path="/service-role/", AssumeRolePolicyDocument=trust())
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=ROLE_POLICY)
    key = kms.create_key(Policy=key_policy())["KeyMetadata"]["Arn"]
    custom = template(ebsEncryption="CUSTOM", ebsEncryptionKeyArn=key)
    made = {}
    for account, count in ((TARGET, OWN), (STAGING, STAGED)):
        initialise(embedded, account).create_replication_configuration_template(**custom)
        place = {"account": account, "region": REGION, "count": count}
        made[account] = embedded.door("source-servers", place)["sourceServerIDs"]
    arns = [f"arn:aws:drs:{REGION}:{STAGING}:source-server/{each}" for each in made[STAGING]]
    for arn in arns[:EXTENDED]:
        answer = cli.drs(TARGET, "create-extended-source-server", "--source-server-arn", arn)
        area = answer["sourceServer"]["stagingArea"]
        assert (area["stagingSourceServerArn"], area["status"]) == (arn, "EXTENDED")
    return arns


def test_initialize_service(cli: Cli) -> None:
    account = "232323232323"
    assert "UninitializedAccountException" in cli.refused(account, "describe-source-servers")
    assert "Missing service roles" in cli.refused(account, "initialize-service")
    initialise(cli.embedded, account)
    assert cli.drs(account, "initialize-service") is None
    assert cli.drs(account, "describe-source-servers") == {"items": []}


def test_describe_every_server(cli: Cli, estate: list[str]) -> None:
    seen = cli.described()
    assert len({each["sourceServerID"] for each in seen}) == len(seen) == OWN + EXTENDED
    assert len(cli.drs(STAGING, "describe-source-servers")["items"]) == STAGED


def test_the_architecture_documents_counts(cli: Cli, estate: list[str]) -> None:
    """Its own filter and queries: what is extended from the staging account, and the rest."""
    filters = ["--filters", json.dumps({"stagingAccountIDs": [STAGING]})]
    assert cli.drs(TARGET, "describe-source-servers", *filters, "--query", "length(items)") == (
        EXTENDED
    )
    extended = cli.described(*filters)
    assert {each["stagingArea"]["stagingSourceServerArn"] for each in extended} == set(
        estate[:EXTENDED]
    )
    rows = cli.drs(
        TARGET, "describe-source-servers", "--query",
        "items[].[sourceServerID,arn,tags.Name,lifeCycle.state]",
    )  # fmt: skip
    assert len(rows) == OWN + EXTENDED
    assert cli.described("--filters", json.dumps({"stagingAccountIDs": [STRANGER]})) == []


def test_one_server_by_id_and_by_hardware(cli: Cli, estate: list[str]) -> None:
    one, other, *_ = cli.described()
    ids = [one["sourceServerID"], other["sourceServerID"]]

    def found(**filters: Any) -> list[str]:
        seen = cli.described("--filters", json.dumps(filters))
        return [each["sourceServerID"] for each in seen]

    assert found(sourceServerIDs=ids) == ids
    hardware = one["sourceProperties"]["identificationHints"]["vmWareUuid"]
    assert found(hardwareId=hardware) == ids[:1]
    assert found(hardwareId="i-0") == []


def test_what_is_left_to_extend(cli: Cli, estate: list[str]) -> None:
    asked = ["list-extensible-source-servers", "--staging-account-id", STAGING]
    assert {each["arn"] for each in cli.drs(TARGET, *asked)["items"]} == set(estate[EXTENDED:])
    assert cli.drs(TARGET, "list-staging-accounts") == {"accounts": [{"accountID": STAGING}]}


def test_refusals_reach_the_person(cli: Cli, estate: list[str]) -> None:
    again = cli.refused(TARGET, "create-extended-source-server", "--source-server-arn", estate[0])
    assert "(ValidationException)" in again
    assert "already extended" in again
    stranger = ["list-extensible-source-servers", "--staging-account-id", STRANGER]
    assert "(AccessDeniedException)" in cli.refused(TARGET, *stranger)


def test_a_launch_configuration_as_the_architecture_document_sets_it(
    cli: Cli, estate: list[str]
) -> None:
    server = ["--source-server-id", cli.described()[0]["sourceServerID"]]
    cli.drs(
        TARGET, "update-launch-configuration", *server,
        "--target-instance-type-right-sizing-method", "IN_AWS",
    )  # fmt: skip
    seen = cli.drs(TARGET, "get-launch-configuration", *server)
    assert seen["targetInstanceTypeRightSizingMethod"] == "IN_AWS"


def test_the_lines_that_the_emulator_prints_are_enough(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "validator.emulator"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            printed = [process.stdout.readline().strip() for _ in range(6)]
            exports = [line for line in printed if line.startswith("export ")]
            script = "\n".join([*exports, "exec aws sts get-caller-identity --query Account"])
            done = subprocess.run(
                ["sh", "-c", script],
                env={"HOME": str(tmp_path), "PATH": f"{ROOT}/.venv/bin:/usr/bin:/bin"},
                capture_output=True,
                text=True,
                timeout=60,
            )
        finally:
            process.terminate()
    assert json.loads(done.stdout) == ORCHESTRATION, done.stderr
