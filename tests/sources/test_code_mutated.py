"""Whatever is done to an env's code: it is read or refused, and what is taken away is missed."""

import dataclasses
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import evaluation
from tests.conftest import ROOT
from validator.errors import ValidatorError
from validator.model import Estate
from validator.sources import code, hcl, tfvars
from validator.sources.resources import READ

pytestmark = pytest.mark.slow
TERRAFORM = ROOT / "terraform"
ENV = Path("envs/staging")
SHOWN = frozenset(["condition", "ingress", "pit_policy", "principals", "statement"])
"""Nested blocks that an estate shows."""

MORE = [
    (
        ENV / "staging-1.tf",
        "  target_account_ids = [var.target.account_id]\n",
        "  full_ebs_access    = true",
    )
]
"""What makes the env use all of its modules."""
ELSEWHERE = frozenset(["alarms", "undelivered"])
"""Policy documents of a topic and a queue, which no estate shows; their module's own tests read them."""
UNUSED = ["aws_lambda_function.this", "aws_vpc_security_group_ingress_rule.endpoints"]
"""What no estate shows: the function that verifies, and what no replication server uses."""


@pytest.fixture(scope="module", autouse=True)
def remembering() -> Iterator[None]:
    with evaluation.remembering():
        yield


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the Terraform code; each test leaves it as it was."""
    folder = tmp_path_factory.mktemp("tree") / "terraform"
    shutil.copytree(TERRAFORM, folder)
    for name, line, more in MORE:
        file = folder / name
        text = file.read_text()
        assert text.count(line) == 1
        file.write_text(text.replace(line, f"{line}{more}\n"))
    return folder


def read(tree: Path) -> Estate | None:
    """The estate of the env, None if it is refused."""
    try:
        return code.read(tree / ENV, tfvars.read(tree / ENV), "staging")
    except ValidatorError:
        return None


def files(tree: Path) -> list[Path]:
    own = sorted((tree / ENV).glob("*.tf"))
    called = "".join(file.read_text() for file in own)
    modules = (folder for folder in (tree / "modules").iterdir() if f'/{folder.name}"' in called)
    used = sorted(file for folder in modules for file in folder.glob("*.tf"))
    return [*own, tree / ENV / tfvars.FILE_NAME, *used]


def facts(value: Any) -> Any:
    """The estate as plain data without places, which move when a line goes."""
    if dataclasses.is_dataclass(value):
        named = ((each.name, getattr(value, each.name)) for each in dataclasses.fields(value))
        return {name: facts(each) for name, each in named if name != "where"}
    return [facts(each) for each in value] if isinstance(value, tuple) else value


def blocks(block: hcl.Block, outer: str = "") -> Iterator[hcl.Block]:
    """The blocks whose absence an estate must show."""
    for each in block.blocks:
        name = each.labels[0] if each.labels else ""
        shown = (
            each.type == "module"
            or (each.type == "resource" and name in READ)
            or (
                each.type == "data"
                and name == "aws_iam_policy_document"
                and each.labels[1] not in ELSEWHERE
            )
        )
        within = shown and each.type != "module" if not outer else True
        if shown or (outer and (each.type in SHOWN or (each.type == "dynamic" and name in SHOWN))):
            yield each
        if within:
            yield from blocks(each, "inside")


def without(text: str, block: hcl.Block) -> str:
    """The text without a block, whose closing brace stands as far in as its first line."""
    lines = text.splitlines(keepends=True)
    first = lines[block.line - 1]
    indent = first[: len(first) - len(first.lstrip())]
    end = block.line - 1
    if not first.rstrip().endswith("}"):
        end = next(i for i in range(block.line, len(lines)) if lines[i].rstrip() == f"{indent}}}")
    return "".join(lines[: block.line - 1] + lines[end + 1 :])


def removable(tree: Path) -> Iterator[tuple[Path, hcl.Block]]:
    for file in files(tree):
        if file.suffix == ".tf":
            yield from ((file, block) for block in blocks(hcl.block(file)))


def test_nothing_is_taken_away_unseen(tree: Path) -> None:
    whole = facts(read(tree))
    assert whole is not None
    unseen = []
    removed = list(removable(tree))
    for file, block in removed:
        text = file.read_text()
        file.write_text(without(text, block))
        try:
            if facts(read(tree)) == whole:
                unseen.append(".".join(block.labels) or f"{file}:{block.line} {block.type}")
        finally:
            file.write_text(text)
    assert unseen == UNUSED
    assert len(removed) > len(UNUSED)


def mutated(content: bytes, number: random.Random) -> bytes:
    lines = content.splitlines(keepends=True) or [b""]
    at, other = number.randrange(len(lines)), number.randrange(len(lines))
    words = content.split(b" ")
    match number.randrange(9):
        case 0:
            lines.pop(at)
            return b"".join(lines)
        case 1:
            lines[at], lines[other] = lines[other], lines[at]
            return b"".join(lines)
        case 2:
            return content[: number.randrange(len(content) + 1)]
        case 3:
            one, two = number.randrange(len(words)), number.randrange(len(words))
            words[one], words[two] = words[two], words[one]
            return b" ".join(words)
        case 4:
            place = number.randrange(len(content) + 1)
            return content[:place] + number.randbytes(3) + content[place:]
        case 5:
            place = number.randrange(len(content) + 1)
            odd = [b"${", b"}", b'"', b"null", b"[", b"<<EOT\n", b"each.value", b"\r", b"module.x"]
            return content[:place] + number.choice(odd) + content[place:]
        case 6:
            lines.insert(other, lines[at])
            return b"".join(lines)
        case 7:
            return content.replace(b"var.", number.choice([b"local.", b"each.", b"module."]))
        case _:
            quoted = content.split(b'"')
            quoted[number.randrange(len(quoted))] = number.choice(
                [b"", b"${x.y}", b"../../modules"]
            )
            return b'"'.join(quoted)


@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32), times=st.integers(1, 3))
def test_code_is_read_or_refused(tree: Path, seed: int, times: int) -> None:
    number = random.Random(seed)
    chosen = number.choice(files(tree))
    content = chosen.read_bytes()
    changed = content
    for _ in range(times):
        changed = mutated(changed, number)
    chosen.write_bytes(changed)
    try:
        found = read(tree)  # anything but a ValidatorError fails the test
        assert found is None or isinstance(found, Estate)
    finally:
        chosen.write_bytes(content)
