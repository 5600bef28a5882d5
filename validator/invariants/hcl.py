"""The smallest HCL that mends what an invariant found, as text to paste."""

import json
from collections.abc import Iterable

Condition = tuple[str, str, str]
"""Operator, condition key and its one value."""


def statement(
    sid: str,
    actions: Iterable[str],
    principal: tuple[str, str],
    conditions: Iterable[Condition],
    *,
    resources: bool = True,
) -> str:
    """A statement for an aws_iam_policy_document; one of a trust policy has no resources."""
    kind, identifier = principal
    arguments = {"sid": quoted(sid), "actions": _listed(actions)}
    if resources:
        arguments["resources"] = '["*"]'
    blocks = [
        _block("principals", {"type": quoted(kind), "identifiers": _listed([identifier])}),
        *(condition(*each) for each in conditions),
    ]
    return _block("statement", arguments, blocks)


def condition(test: str, variable: str, value: str) -> str:
    """A condition of such a statement."""
    return _block(
        "condition",
        {"test": quoted(test), "variable": quoted(variable), "values": _listed([value])},
    )


def block(kind: str, labels: Iterable[str], arguments: dict[str, str]) -> str:
    """A block with labels and with arguments that are HCL already."""
    return _block(" ".join([kind, *(quoted(label) for label in labels)]), arguments)


def arguments(values: dict[str, str]) -> str:
    """Arguments that are HCL already, one a line, aligned as `terraform fmt` does."""
    width = max(map(len, values))
    return "\n".join(f"{name:<{width}} = {value}" for name, value in values.items())


def quoted(text: str) -> str:
    """The text as an HCL string that stands for itself."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


def label(name: str) -> str:
    """An account's name as the envs write it in HCL."""
    return name.replace("-", "_")


def _listed(values: Iterable[str]) -> str:
    return f"[{', '.join(quoted(value) for value in values)}]"


def _block(head: str, values: dict[str, str], blocks: Iterable[str] = ()) -> str:
    body = "\n\n".join([arguments(values), *blocks])
    indented = "\n".join(f"  {line}" if line else line for line in body.split("\n"))
    return f"{head} {{\n{indented}\n}}"
