"""The evaluator's process may refuse, die or never end: the next folder is evaluated all the same."""

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.sources import trees
from validator.errors import SourceError
from validator.sources import evaluate, tfvars

KEY = 'resource "aws_kms_key" "key" {\n  policy = var.target.account_id\n}\n'
FATAL = 'resource "aws_kms_key" "k" {\n  dynamic "b" {\n    for_each = "text"\n    content {\n    }\n  }\n}\n'


@pytest.fixture(autouse=True)
def _no_process() -> None:
    evaluate._stop_all()


def evaluated(directory: Path) -> list[str]:
    with evaluate.begun(directory, tfvars.FILE_NAME) as finished:
        return [each["policy"] for each in finished()["aws_kms_key"]]


def test_one_process_answers_again(tmp_path: Path) -> None:
    env = trees.write(tmp_path, {"main.tf": KEY})
    assert evaluated(env) == [trees.TARGET]
    ((process, answers),) = evaluate._idle
    assert evaluated(env) == [trees.TARGET]
    assert evaluate._idle == [(process, answers + 1)]


def test_a_process_is_replaced_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "_ANSWERS", 1)
    env = trees.write(tmp_path, {"main.tf": KEY})
    assert evaluated(env) == [trees.TARGET]
    assert evaluate._idle == []


@pytest.mark.parametrize(
    ("main", "reason"),
    [
        ("resource {\n}\n", "cannot be evaluated"),
        (FATAL, "died over it"),
    ],
    ids=["refused", "dead"],
)
def test_a_folder_that_fails_is_an_error_and_the_next_is_not(
    tmp_path: Path, main: str, reason: str
) -> None:
    with pytest.raises(SourceError, match=reason):
        evaluated(trees.write(tmp_path / "a", {"main.tf": main}))
    assert evaluated(trees.write(tmp_path / "b", {"main.tf": KEY})) == [trees.TARGET]


def test_a_process_that_was_killed_is_an_error(tmp_path: Path) -> None:
    env = trees.write(tmp_path, {"main.tf": KEY})
    assert evaluated(env) == [trees.TARGET]
    ((process, _),) = evaluate._idle
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(SourceError, match="died over it"):
        evaluated(env)
    assert evaluated(env) == [trees.TARGET]


def test_an_answer_that_is_not_waited_for_is_nobody_elses(tmp_path: Path) -> None:
    one = trees.write(tmp_path / "one", {"main.tf": KEY.replace("target", "orchestration")})
    with pytest.raises(KeyError), evaluate.begun(one, tfvars.FILE_NAME):
        raise KeyError
    assert evaluated(trees.write(tmp_path / "two", {"main.tf": KEY})) == [trees.TARGET]


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no Terraform code"):
        evaluated(tmp_path)


def test_folders_are_evaluated_at_once(tmp_path: Path) -> None:
    wanted = {
        trees.write(tmp_path / part, {"main.tf": KEY.replace("target", part)}): [account]
        for part, account in (("target", trees.TARGET), ("orchestration", trees.ORCHESTRATION))
    }
    with ThreadPoolExecutor(2) as pool:
        assert dict(zip(wanted, pool.map(evaluated, wanted), strict=True)) == wanted


def test_a_forked_process_starts_one_of_its_own(tmp_path: Path) -> None:
    env = trees.write(tmp_path, {"main.tf": KEY})
    assert evaluated(env) == [trees.TARGET]
    (before,) = evaluate._idle
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(forked, (env,)) != before[0].pid
    assert evaluated(env) == [trees.TARGET]


def forked(env: Path) -> int:
    """The id of the process that evaluates for a fork."""
    assert evaluated(env) == [trees.TARGET]
    ((process, _),) = evaluate._idle
    return process.pid
