"""The page on agents says what the agent deployer does."""

import argparse
import re

from agent_deployer import deployment, fleet, planner, records, request

from tests.docs.pages import PAGES
from validator import cli

PAGE = (PAGES.parent / "agents.md").read_text()


def section(heading: str) -> str:
    """What stands under a heading."""
    return PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]


def rows(of: str) -> dict[str, str]:
    """The rows of a table by what stands in their first cell as code."""
    return dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", of, re.MULTILINE))


def test_every_refusal_is_explained() -> None:
    assert rows(section("What is refused")) == fleet.REFUSALS


def test_every_end_is_explained() -> None:
    names = re.findall(r"^\| `(\w+)`", section("Records").rpartition("ends |")[2], re.MULTILINE)
    assert sorted(names) == sorted(deployment.ENDED)


def test_its_numbers_are_those_of_the_code() -> None:
    asked = request.Request(())
    for said in (
        f"at most {planner.LARGEST_BATCH} instances",
        f"at once ({asked.max_concurrency})",
        f"within {asked.confirm_seconds // 60} minutes",
        f"of the wave ({asked.max_errors})",
        f"go {records.KEPT_SECONDS // 86400} days after",
    ):
        assert said in PAGE, said


def test_its_options_are_those_of_the_command() -> None:
    (commands,) = [
        action
        for action in cli._parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    known = set(commands.choices["deploy"]._option_string_actions)
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    foreign = {"--function-name", "--cli-binary-format"}  # of the AWS CLI, beside --payload
    assert said - known == foreign
    unsaid = {"--help", "--format", "--account", "--wave", "--poll-seconds"}
    assert known - said - unsaid == {"-h"}
