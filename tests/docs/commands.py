"""Writes docs/commands.md: every command with its options, from the parser itself.

`python -m tests.docs.commands` writes it; the tests compare.
"""

import argparse
import re

from tests.conftest import ROOT
from validator import cli

FILE = ROOT / "docs" / "commands.md"

_HEAD = """# Commands

<!-- generated: make docs -->

In a checkout, `make COMMAND ENV=staging` prepares what the command needs, and runs it. Where the list has
no such target, and for options, run the command itself: `.venv/bin/validator COMMAND staging`. `make` takes
them too, as `ARGS="--explain"`.

Status **0**: all hold. **1**: something is violated. **2**: there is no verdict, because something is unknown,
a tool failed, access was denied, or the command was used wrongly. `make` turns each failure into its own 2.

The report stands on stdout, everything else on stderr. What a run reports is also kept in every format under
`build/<env>/<command>/` ([reports](reports.md)).

`CLOUD=embedded` keeps a command on the embedded AWS, `CLOUD=aws` insists on AWS. Without it, a command acts
on AWS if there are credentials, else on the embedded AWS. The first and the last line of a report say which.
`TF_PROVIDER_MIRROR` names a folder made by `terraform providers mirror`, for machines without a network."""


def page() -> str:
    """The page."""
    parsers = commands()
    help_of = {each.dest: each.help for each in _subparsers()._choices_actions}
    targets = make_targets()
    rows = [
        f"| [`{name}`](#{name}) | {f'`make {name}`' if name in targets else ''} | {help_of[name]} |"
        for name in parsers
    ]
    table = "\n".join(["| Command | Target | What it does |", "|---|---|---|", *rows])
    return "\n\n".join([_HEAD, table, *map(_section, parsers, parsers.values())]) + "\n"


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, in the order of the help."""
    return dict(_subparsers().choices)


def make_targets() -> dict[str, str]:
    """Each target of the Makefile, with what its help says."""
    found = re.findall(r"^([a-z-]+):.*## (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return dict(found)


def _subparsers() -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    (found,) = [
        each for each in cli._parser()._actions if isinstance(each, argparse._SubParsersAction)
    ]
    return found


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    actions = [each for each in parser._actions if not isinstance(each, argparse._HelpAction)]
    needed = [each for each in actions if not each.option_strings or each.required]
    usage = " ".join(["validator", name, *map(_usage, needed)])
    if len(needed) < len(actions):
        usage += " [options]"
    parts = [f"## {name}", parser.description or "", f"```text\n{usage}\n```"]
    if actions:
        rows = [f"| {_names(each)} | {_said(each)} |" for each in actions]
        parts.append("\n".join(["| | |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def _usage(action: argparse.Action) -> str:
    value = _value(action)
    if action.option_strings:
        return f"{action.option_strings[-1]} {value}"
    many = {"*": f"[{value} ...]", "+": f"{value} [{value} ...]", "?": f"[{value}]"}
    return many.get(str(action.nargs), value)


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    return action.dest.upper().replace("_", "-")


def _names(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{_value(action)}`"
    value = "" if action.nargs == 0 or action.choices else f" {_value(action)}"
    return ", ".join(f"`{each}{value}`" for each in action.option_strings)


def _said(action: argparse.Action) -> str:
    said = re.sub(r"([<>*_|])", r"\\\1", action.help or "")
    if action.choices:
        said += ": " + ", ".join(f"`{each}`" for each in action.choices)
    if action.default not in (None, False, argparse.SUPPRESS, []) and action.nargs != 0:
        said += f" (default `{action.default}`)"
    return said


if __name__ == "__main__":
    FILE.write_text(page())
