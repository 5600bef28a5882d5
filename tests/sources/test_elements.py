"""A simple expression has the elements that Terraform would repeat a block over; any other is refused."""

from pathlib import Path
from typing import Any

import pytest

from validator.sources import elements, hcl

NAMED: dict[str, Any] = {
    "list": ["b", "a", "b"],
    "map": {"y": 1, "x": {"deep": ["d"]}},
    "empty": [],
    "true": True,
    "text": "b",
    "null": None,
}

VALUES: dict[str, tuple[str, Any]] = {
    "a list": ('["a", 1, true, null]', ["a", 1, True, None]),
    "an object": ('{ a = 1, "b" = 2, (local.text == "b" ? "c" : "d") = 3 }', {"a": 1, "b": 2, "c": 3}),
    "a name": ("local.list", ["b", "a", "b"]),
    "steps into it": ('local.map["x"].deep[0]', "d"),
    "a choice": ("local.true ? local.list : []", ["b", "a", "b"]),
    "the other choice": ('local.text == "a" ? local.list : []', []),
    "equal": ("local.list == local.list", True),
    "null is null": ("local.null == null", True),
    "nothing else is": ("local.text != null", True),
    "less": ("1 < 2", True),
    "and, which does not look further": ("!local.true && local.missing", False),
    "or": ("local.true || local.missing", True),
    "a set": ("toset(local.list)", ["a", "b"]),
    "a list of a set": ("tolist(toset(local.list))", ["a", "b"]),
    "keys": ("keys(local.map)", ["x", "y"]),
    "values in the order of keys": ("values(local.map)", [{"deep": ["d"]}, 1]),
    "length": ("length(local.map)", 2),
    "concat": ("concat(local.list, local.empty)", ["b", "a", "b"]),
    "merge": ("merge(local.map, { y = 2 })", {"x": {"deep": ["d"]}, "y": 2}),
    "contains": ('contains(local.list, "a")', True),
    "for": ("[for x in local.list : { n = x }]", [{"n": "b"}, {"n": "a"}, {"n": "b"}]),
    "for with index": ("[for i, x in local.list : i]", [0, 1, 2]),
    "for with if": ('[for x in local.list : x if x != "b"]', ["a"]),
    "for over a map": ("[for k, v in local.map : k]", ["x", "y"]),
    "for that makes a map": ("{ for x in toset(local.list) : x => 1 }", {"a": 1, "b": 1}),
    "for in for": ("[for x in local.list : [for y in local.list : y if y == x]]", [["b", "b"], ["a"], ["b", "b"]]),
}  # fmt: skip

OPAQUE = {
    "a name that is not known": "local.missing",
    "a step that is not there": "local.map.z",
    "a template": '"${local.text}"',
    "an escaped template": '"$${a}"',
    "an escape": '"a\\n"',
    "a float": "1.5",
    "another function": 'split(",", "a,b")',
    "arguments spread out": "concat([local.list]...)",
    "a splat": "local.list[*]",
    "a computed index": "local.list[length(local.empty)]",
    "values of two types compared": "local.text == 1 ? [1] : [2]",
    "a condition that is no truth": "local.text ? 1 : 2",
    "for over text": "[for x in local.text : x]",
    "for that groups": "{ for x in local.list : x => x... }",
    "for with a key that is no text": "{ for x in local.list : 1 => x }",
    "a set of numbers": "toset([1])",
    "a sum": "1 + 1",
}


def evaluated(folder: Path, text: str) -> Any:
    file = folder / "a.tf"
    file.write_text(f"a = {text}\n")

    def lookup(reference: hcl.Reference) -> Any:
        return elements.steps(NAMED, reference[1:])

    return elements.value(hcl.block(file).attributes["a"].node, lookup)


@pytest.mark.parametrize(("text", "expected"), VALUES.values(), ids=VALUES)
def test_a_simple_expression_has_a_value(tmp_path: Path, text: str, expected: Any) -> None:
    assert evaluated(tmp_path, text) == expected


@pytest.mark.parametrize("text", OPAQUE.values(), ids=OPAQUE)
def test_any_other_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(elements.Opaque):
        evaluated(tmp_path, text)


def test_elements_have_keys_in_terraforms_order() -> None:
    assert elements.pairs({"b": 1, "a": 2}) == [("a", 2), ("b", 1)]
    assert elements.pairs(["b", "a"]) == [(0, "b"), (1, "a")]
    with pytest.raises(elements.Opaque):
        elements.pairs("ab")
