"""The elements that a simple expression repeats a block over.

tfparse does not show why a block that it left out is missing: because nothing was to be repeated, or
because it could not tell. What is written plainly enough is evaluated here a second time.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from validator.sources import hcl
from validator.sources.hcl import Node, Reference

Lookup = Callable[[Reference], Any]
Names = Mapping[str, Any]


class Opaque(Exception):
    """An expression is not simple enough to be evaluated here."""


def value(node: Node, lookup: Lookup, names: Names | None = None) -> Any:
    """The value of an expression as plain data; raises Opaque.

    `lookup` gives the value of a reference, `names` are those that a `for` or dynamic block binds.
    """
    node, names = hcl.inner(node), names or {}
    match str(node.data):
        case "literal_value":
            return {"true": True, "false": False, "null": None}[str(node.children[0])]
        case "int_lit":
            return int(str(node.children[0]))
        case "string":
            text = hcl.literal(node)
            if text is None or "\\" in text or "$" in text or "%" in text:
                raise Opaque
            return text
        case "identifier":
            return _reached(names, (str(node.children[0]),))
        case "tuple":
            return [value(each, lookup, names) for each in hcl.parts(node)]
        case "object":
            elements = hcl.subtrees(node, "object_elem")
            return dict(_element(each, lookup, names) for each in elements)
        case "conditional":
            condition, one, other = hcl.parts(node)
            return value(one if _truth(condition, lookup, names) else other, lookup, names)
        case "binary_op":
            return _compared(node, lookup, names)
        case "unary_op" if str(node.children[0]) == "!":
            return not _truth(hcl.parts(node)[-1], lookup, names)
        case "for_tuple_expr":
            return [found for _, found in _each(node, lookup, names)]
        case "for_object_expr" if not any(str(c) == "..." for c in node.children):
            return dict(_each(node, lookup, names))
        case "function_call":
            return _called(node, lookup, names)
        case _:
            pass
    reference = hcl.reference(node)
    if reference is None:
        raise Opaque
    return _reached(names, reference) if reference[0] in names else lookup(reference)


def pairs(collection: Any) -> list[tuple[Any, Any]]:
    """The keys and values of a collection in Terraform's order; raises Opaque for anything else."""
    if isinstance(collection, dict):
        return sorted(collection.items())
    if isinstance(collection, list):
        return list(enumerate(collection))
    raise Opaque


def _reached(names: Names, reference: Reference) -> Any:
    if reference[0] not in names:
        raise Opaque
    return steps(names[reference[0]], reference[1:])


def steps(found: Any, taken: Reference) -> Any:
    """What stands in a value after these steps; raises Opaque."""
    for step in taken:
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            raise Opaque
    return found


def _element(element: Node, lookup: Lookup, names: Names) -> tuple[str, Any]:
    key, made = hcl.parts(element)[0], hcl.parts(element)[-1]
    name = hcl.key(key)
    found = value(hcl.parts(key)[0], lookup, names) if name is None else name
    if not isinstance(found, str):
        raise Opaque
    return found, value(made, lookup, names)


def _truth(node: Node, lookup: Lookup, names: Names) -> bool:
    found = value(node, lookup, names)
    if not isinstance(found, bool):
        raise Opaque
    return found


def _compared(node: Node, lookup: Lookup, names: Names) -> Any:
    left, term = hcl.parts(node)[:2]
    operator, right = (hcl.parts(term)[0], hcl.parts(term)[-1])
    word = str(operator.children[0])
    if word == "&&":
        return _truth(left, lookup, names) and _truth(right, lookup, names)
    if word == "||":
        return _truth(left, lookup, names) or _truth(right, lookup, names)
    one, other = value(left, lookup, names), value(right, lookup, names)
    if word in {"==", "!="} and (one is None or other is None or type(one) is type(other)):
        return (one == other) is (word == "==")
    if type(one) is int and type(other) is int and word in {"<", ">", "<=", ">="}:
        return {"<": one < other, ">": one > other, "<=": one <= other, ">=": one >= other}[word]
    raise Opaque


def _each(node: Node, lookup: Lookup, names: Names) -> Iterator[tuple[Any, Any]]:
    """The key, None in a tuple, and the value of each round of a `for` expression."""
    intro, *results = hcl.parts(node)
    condition = results.pop() if results[-1].data == "for_cond" else None
    bound = [str(n.children[0]) for n in hcl.subtrees(intro, "identifier")]
    for key, found in pairs(value(hcl.parts(intro)[-1], lookup, names)):
        within = {**names, bound[-1]: found} | ({bound[0]: key} if len(bound) > 1 else {})
        if condition and not _truth(hcl.parts(condition)[-1], lookup, within):
            continue
        made = [value(each, lookup, within) for each in results]
        if len(made) == 2 and not isinstance(made[0], str):
            raise Opaque
        yield (made[0] if len(made) == 2 else None), made[-1]


def _called(node: Node, lookup: Lookup, names: Names) -> Any:
    arguments = [n for a in hcl.subtrees(node, "arguments") for n in hcl.parts(a)]
    if any(str(c) == "..." for a in hcl.subtrees(node, "arguments") for c in a.children):
        raise Opaque
    given = [value(each, lookup, names) for each in arguments]
    first = given[0] if given else None
    match hcl.name(node):
        case "tolist" | "tomap" if len(given) == 1:
            return first
        case "toset" if isinstance(first, list) and all(isinstance(e, str) for e in first):
            return sorted(set(first))
        case "keys" if isinstance(first, dict):
            return sorted(first)
        case "values" if isinstance(first, dict):
            return [found for _, found in pairs(first)]
        case "length" if isinstance(first, (dict, list)):
            return len(first)
        case "concat" if all(isinstance(each, list) for each in given):
            return [found for each in given for found in each]
        case "merge" if all(isinstance(each, dict) for each in given):
            return {name: found for each in given for name, found in each.items()}
        case "contains" if len(given) == 2 and isinstance(first, list):
            if all(isinstance(each, str) for each in (*first, given[1])):
                return given[1] in first
    raise Opaque
