"""What `plan` does beside Terraform."""

import pytest

from tests.conftest import ROOT
from tests.tools.test_checkov import Fake, fake
from tests.tools.test_terraform import group_exists, wait_for
from validator import project
from validator.commands import plan

__all__ = ["fake"]


@pytest.mark.parametrize("error", [plan.NotPlanned, KeyboardInterrupt])
def test_what_ends_a_plan_ends_checkov(
    fake: Fake, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", fake.environment["PATH"])
    pid, survived = fake.folder / "pid", fake.folder / "survived"
    fake.script(f"echo $$ > {pid}; sleep 15; touch {survived}")
    env = project.find("staging", ROOT)
    with pytest.raises(error), plan._scanned(env, skip=False):
        wait_for(lambda: pid.exists() and pid.read_text().strip())
        raise error
    assert not survived.exists()
    wait_for(lambda: not group_exists(int(pid.read_text())))
