"""A page as a tree, read by Python's own parser: what stands where, and whether it ends where it began."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"input", "meta"}


@dataclass
class Node:
    name: str
    attributes: dict[str, str | None]
    children: list["Node | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(each if isinstance(each, str) else each.text for each in self.children)

    def all(self, name: str = "", **attributes: str) -> list["Node"]:
        found = []
        for each in self.children:
            if isinstance(each, Node):
                wanted = {key.rstrip("_").replace("_", "-"): v for key, v in attributes.items()}
                if name in ("", each.name) and wanted.items() <= each.attributes.items():
                    found.append(each)
                found += each.all(name, **attributes)
        return found

    def one(self, name: str = "", **attributes: str) -> "Node":
        (found,) = self.all(name, **attributes)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} says an attribute twice"
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def parse(html: str) -> Node:
    """The whole page; raises AssertionError where an element is not closed by its own end."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].name}> is not closed"
    return reader.open[0]
