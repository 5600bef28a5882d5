"""The deployer of env `staging` as its plan has it, on the embedded AWS of a module."""

import shutil
from collections.abc import Iterator

import pytest

from tests.agent_deployer.planned import Planned, made, package
from tests.conftest import ROOT, Embedded, Stage
from validator.sources import tfvars


@pytest.fixture(scope="module")
def staging(
    embedded: Embedded, planned_stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> Planned:
    """The deployer of env `staging`, with DRS ready in its accounts and IAM enforced."""
    checkout = tmp_path_factory.mktemp("packaged")
    shutil.copytree(ROOT / "terraform", checkout / "terraform")
    declared = tfvars.read(checkout / "terraform/envs/staging")
    return made(embedded, planned_stage.document(), declared, package(declared, checkout))


@pytest.fixture
def deployer(staging: Planned) -> Iterator[Planned]:
    """The deployer of env `staging`, with no instance, server or record of an earlier test."""
    yield staging
    staging.clear()
