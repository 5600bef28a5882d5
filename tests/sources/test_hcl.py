"""Every reference of an expression is found, with what is done with it, however it is written."""

from pathlib import Path

import pytest

from validator.errors import SourceError
from validator.sources import hcl

REFERENCES: dict[str, tuple[str, set[str], set[str]]] = {
    "none": ('"text"', set(), set()),
    "a variable": ("var.a.b", {"var.a.b"}, set()),
    "an index by text": ('var.a["b.c"].d', {"var.a.b.c.d"}, set()),
    "an index by number": ("var.a[0]", {"var.a.0"}, set()),
    "an index that is computed": ("var.a[local.b].c", {"var.a.*.c", "local.b"}, {"local.b"}),
    "a splat": ("var.a[*].b", {"var.a.*.b"}, set()),
    "the old splat": ("var.a.*.b", {"var.a.*.b"}, set()),
    "a template": ('"x-${var.a}-${local.b}"', {"var.a", "local.b"}, set()),
    "a heredoc": ("<<-EOT\n  ${var.a} ${upper(local.b)}\n  EOT\n", {"var.a", "local.b"}, {"local.b"}),
    "a heredoc with braces": (
        '<<EOT\n{"a": "${lookup({ k = var.a }, "k")}"}\nEOT\n',
        {"var.a"},
        {"var.a"},
    ),
    "an escaped template": ('"$${var.a}"', set(), set()),
    "an escaped template in a heredoc": ("<<EOT\n$${var.a}\nEOT\n", set(), set()),
    "a template directive": ('"%{ if var.a }x%{ endif }"', {"var.a"}, set()),
    "a list": ("[var.a, [local.b]]", {"var.a", "local.b"}, set()),
    "an object": ("{ a = var.a, b = { c = local.b } }", {"var.a", "local.b"}, set()),
    "a key that is computed": ('{ (var.a) = 1, "${local.b}" = 2 }', {"var.a", "local.b"}, {"var.a", "local.b"}),
    "a key that is a word": ("{ var = 1, each = 2, for_each = 3, true = 4 }", set(), set()),
    "a choice": ("var.a ? local.b : each.value", {"var.a", "local.b", "each.value"}, {"var.a"}),
    "a comparison": ("var.a == local.b", {"var.a", "local.b"}, {"var.a", "local.b"}),
    "a sum": ("1 + var.a", {"var.a"}, {"var.a"}),
    "a negation": ("!var.a", {"var.a"}, {"var.a"}),
    "parentheses": ("(var.a)", {"var.a"}, set()),
    "a function that passes on": ("concat(var.a, [local.b])", {"var.a", "local.b"}, set()),
    "a function that looks into": ("length(concat(var.a))", {"var.a"}, {"var.a"}),
    "a function of a provider": ("provider::aws::arn_parse(var.a)", {"var.a"}, {"var.a"}),
    "a for": ("[for x in var.a : x]", {"var.a"}, set()),
    "a for that looks into what it takes": ("[for x in var.a : x == 1]", {"var.a"}, {"var.a"}),
    "a for that filters": ("[for x in var.a : 1 if x.b]", {"var.a"}, {"var.a"}),
    "a for that makes keys": ("{ for x in var.a : x => 1 }", {"var.a"}, {"var.a"}),
    "a for that keeps keys": ("{ for k, v in var.a : k => v }", {"var.a"}, set()),
    "a for in a for": (
        "[for x in var.a : [for y in x.b : y == local.c]]",
        {"var.a", "local.c"},
        {"var.a", "local.c"},
    ),
    "a for whose name is a resource's type": (
        "[for aws_x in aws_x.y : aws_x.z]",
        {"aws_x.y"},
        set(),
    ),
    "a for whose name is a scope's": (
        "[for var in local.a : var.b]",
        {"local.a", "var.b"},
        set(),
    ),
    "a name after its for": ("[[for x in [] : x], x.y]", {"x.y"}, set()),
    "a name alone": ("jsonencode(each)", {"each"}, set()),
    "an index of what is no reference": ("[var.a, local.b][local.c]", {"var.a", "local.b", "local.c"}, {"local.c"}),
    "an attribute of a choice": ("(var.a ? local.b : local.c).d", {"var.a", "local.b", "local.c"}, {"var.a"}),
    "over several lines": ("[\n  var.a, # var.x\n  local.b,\n]", {"var.a", "local.b"}, set()),
}  # fmt: skip


def expression(folder: Path, text: str) -> hcl.Expression:
    file = folder / "a.tf"
    file.write_text(f"a = {text}\n")
    return hcl.block(file).attributes["a"]


@pytest.mark.parametrize(("text", "references", "judged"), REFERENCES.values(), ids=REFERENCES)
def test_references_are_found(
    tmp_path: Path, text: str, references: set[str], judged: set[str]
) -> None:
    found = expression(tmp_path, text)
    assert {".".join(each) for each in found.references} == references
    assert {".".join(each) for each in found.judged} == judged


FUNCTIONS = {
    "one in another": ("upper(lower(var.a))", {"upper", "lower"}),
    "in a for": ("[for x in keys(var.a) : upper(x) if can(x)]", {"keys", "upper", "can"}),
    "in a template": ('"${upper(var.a)}"', {"upper"}),
    "in a heredoc": ("<<EOT\n${upper(var.a)}\nEOT\n", {"upper"}),
    "of a provider": ("provider::aws::arn_parse(1)", {"provider::aws::arn_parse"}),
    "a directive": ('"%{ for x in var.a }${x}%{ endfor }"', {hcl.DIRECTIVE}),
    "a directive in a heredoc": ("<<EOT\n%{ if true }a%{ endif }\nEOT\n", {hcl.DIRECTIVE}),
    "an escaped directive": ('"%%{ if true }"', set()),
    "a template within an escaped one": ('"$${a ${var.a}}"', {hcl.DIRECTIVE}),
    "a heredoc that is not understood": ("<<EOT\n${ ( }\nEOT\n", {hcl.DIRECTIVE}),
}


@pytest.mark.parametrize(("text", "functions"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_are_found(tmp_path: Path, text: str, functions: set[str]) -> None:
    assert expression(tmp_path, text).functions == functions


BARE = {
    "a reference": ('module.m["k"].arn', ("module", "m", "k", "arn")),
    "in parentheses": ("(var.a)", ("var", "a")),
    "a splat": ("var.a[*].b", None),
    "a computed index": ("var.a[var.b]", None),
    "a template": ('"${var.a}"', None),
    "a function": ("try(var.a)", None),
    "a choice": ("true ? var.a : var.b", None),
}


@pytest.mark.parametrize(("text", "bare"), BARE.values(), ids=BARE)
def test_a_bare_reference_is_one(tmp_path: Path, text: str, bare: tuple[str, ...] | None) -> None:
    assert expression(tmp_path, text).bare == bare


def test_blocks_keep_their_order_labels_and_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.tf"
    file.write_text('# c\na "b" c {\n  d = 1\n  e {\n  }\n  f "g" {\n    h = 2\n  }\n}\n')
    (found,) = hcl.block(file).blocks
    assert (found.type, found.labels, found.line) == ("a", ("b", "c"), 2)
    assert {name: (each.text, each.line) for name, each in found.attributes.items()} == {
        "d": ("1", 3)
    }
    assert [(each.type, each.labels, each.line) for each in found.blocks] == [
        ("e", (), 4),
        ("f", ("g",), 6),
    ]


WIRING = {
    "one": ("{ aws = aws.a }", {"aws": "aws.a"}),
    "two": ("{\n  aws = aws\n  aws.b = aws.c\n}", {"aws": "aws", "aws.b": "aws.c"}),
    "none": ("{}", {}),
}


@pytest.mark.parametrize(("text", "wiring"), WIRING.values(), ids=WIRING)
def test_a_mapping_of_references_is_read(tmp_path: Path, text: str, wiring: dict[str, str]) -> None:
    assert hcl.mapping(expression(tmp_path, text)) == wiring


BROKEN = {
    "unfinished": b"a = [",
    "no HCL": b"<xml/>",
    "no text": b"\xff\xff",
    "too deep": b"a = " + b"[" * 5000 + b"]" * 5000,
    "too large": b"#" * (hcl.TOO_LARGE + 1),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_read_is_an_error_with_its_place(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.tf"
    file.write_bytes(content)
    with pytest.raises(SourceError, match=str(file)):
        hcl.block(file)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    for name in ("missing.tf", ".", "link.tf"):
        (tmp_path / "link.tf").unlink(missing_ok=True)
        (tmp_path / "link.tf").symlink_to(tmp_path / "nothing")
        with pytest.raises(SourceError):
            hcl.block(tmp_path / name)
