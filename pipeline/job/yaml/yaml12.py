"""A YAML file as nodes that know where they were written.

The tree is built here from libyaml's events, not by a loader: scalars follow the core rules of YAML 1.2, every node
keeps its line and column, and what would hurt is refused while it streams past (an alias bomb, deep nesting, tags that
make objects, duplicate keys) before anything is made of it. PyYAML's own composer would overflow the C stack on deep
nesting.
"""

import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]

from pipeline.job.diagnostics.diagnostic import Diagnostics, dotted
from pipeline.job.yaml import syntax
from pipeline.job.yaml.scalars import Scalar, read_scalar
from pipeline.job.yaml.syntax import DEEPEST, TOO_DEEP, BadYaml
from pipeline.model import Place

MOST_COPIES = 100_000
"""Nodes that aliases and merge keys may add to what is written."""

_COMMENT = re.compile(r"[ \t]+(#[^\r\n]*)")
_PREFIX = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    {None, "!", *(_PREFIX + name for name in ("str", "int", "float", "bool", "null", "seq", "map"))}
)


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment behind a text without quotes, on its line.

    Attributes:
        at: Line and column of its #, counted from 1.
        text: What it says, the # included.
    """

    at: tuple[int, int]
    text: str


@dataclass(slots=True)
class Node:
    """One node: a scalar, a list of nodes, or the key and the value of each key.

    Attributes:
        line: Counted from 1.
        column: Counted from 1.
        size: Nodes in it, itself and what aliases repeat included.
        merged: Names that a merge key brought and the mapping's own may override.
        comment: What follows a scalar without quotes on its line.
    """

    value: "str | Scalar | list[Node] | dict[str, tuple[Node, Node]] | None"
    line: int
    column: int
    size: int = 1
    merged: frozenset[str] = frozenset()
    comment: Comment | None = None

    def plain(self) -> Any:
        """The same as lists, dicts and scalars."""
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        if isinstance(self.value, dict):
            return {key: node.plain() for key, (_, node) in self.value.items()}
        return self.value


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A part of a YAML file, or the whole: a `Source` of places.

    Attributes:
        file: The file's name as errors show it.
        root: The whole file's node.
        base: The path to this part.
    """

    file: str
    root: Node
    base: tuple[str | int, ...] = ()

    def at(self, *path: str | int) -> "YamlDocument":
        """A part of this part."""
        return YamlDocument(self.file, self.root, (*self.base, *path))

    def place(self, *path: str | int) -> Place:
        """Where the value at this path was written; its nearest surroundings where it was not."""
        return self._place(path, of_key=False)

    def key_place(self, *path: str | int) -> Place:
        """Where the key itself was written, the last of this path."""
        return self._place(path, of_key=True)

    def name(self, *path: str | int) -> str:
        """The path as an error shows it."""
        return dotted(*self.base, *path)

    def _place(self, path: tuple[str | int, ...], *, of_key: bool) -> Place:
        key = node = self.root
        for part in (*self.base, *path):
            if isinstance(node.value, dict) and part in node.value:
                key, node = node.value[str(part)]
            elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
                key = node = node.value[part]
            else:
                break
        found = key if of_key else node
        return Place(self.file, found.line, found.column)


def read(text: str, file: str, mistakes: Diagnostics) -> YamlDocument:
    """The nodes of a YAML text. Duplicate keys and unknown tags go to `mistakes`, for the rest can still be read.

    Raises:
        BadYaml: It can't be read on: its syntax, nesting too deep, an alias bomb, or not exactly one document.
    """
    try:
        return YamlDocument(file, _Composer(text, file, mistakes).document())
    except yaml.reader.ReaderError as error:
        before = text[: text.find(chr(error.character))] if isinstance(error.character, int) else ""
        place = Place(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise BadYaml(place, f"character {error.character:#04x} can't be in YAML", "remove it") from None
    except yaml.MarkedYAMLError as error:
        raise syntax.diagnosed(error, text, file) from None


def _position(event: yaml.Event) -> tuple[int, int]:
    """Line and column, counted from 1."""
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


class _Composer:
    """Builds the tree from the parser's events, without recursion."""

    def __init__(self, text: str, file: str, mistakes: Diagnostics) -> None:
        self._parser = CParser(text)
        self._text = text
        self._file = file
        self._mistakes = mistakes
        self._anchors: dict[str, Node | None] = {}
        self._copies = 0
        # The containers that are open: each node, its anchor, and the key that waits for its value.
        self._open: list[tuple[Node, str | None]] = []
        self._keys: list[Node | None] = []

    def document(self) -> Node:
        """The file's one document.

        Raises:
            BadYaml: There is none, or more than one, or it holds what a job may not.
        """
        root: Node | None = None
        while (event := self._parser.get_event()) is not None:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise BadYaml(
                    self._at(event), "a second document begins here", "keep one job in a file; remove the ---"
                )
            if isinstance(event, yaml.ScalarEvent):
                done = self._scalar(event)
            elif isinstance(event, yaml.AliasEvent):
                done = self._alias(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._begin(event)
                continue
            elif isinstance(event, yaml.CollectionEndEvent):
                done = self._end()
            else:
                continue
            if not self._open:
                root = done
            else:
                self._put(done)
        if root is None:
            raise BadYaml(Place(self._file), "the file is empty", "write at least `prompts:` and a list of prompts")
        return root

    def _at(self, event: yaml.Event) -> Place:
        return Place(self._file, *_position(event))

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        self._check_tag(event)
        plain = event.implicit[0] or event.tag not in (None, "!", _PREFIX + "str")
        value = read_scalar(event.value) if plain else event.value
        node = Node(value, *_position(event), comment=self._comment(event) if event.implicit[0] else None)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _comment(self, event: yaml.ScalarEvent) -> Comment | None:
        """The comment that ends a scalar without quotes, if one does."""
        end = event.end_mark
        if end is None or self._text[end.index : end.index + 1] not in (" ", "\t"):
            return None
        found = _COMMENT.match(self._text, end.index)
        return (
            Comment((end.line + 1, end.column + found.start(1) - end.index + 1), found[1].rstrip()) if found else None
        )

    def _alias(self, event: yaml.AliasEvent) -> Node:
        if event.anchor not in self._anchors:
            raise BadYaml(self._at(event), f"*{event.anchor} has no anchor before it", f"write &{event.anchor} first")
        node = self._anchors[event.anchor]
        if node is None:
            raise BadYaml(self._at(event), f"*{event.anchor} stands inside what it repeats", "write it out")
        self._copied(node.size, event)
        # The same node at another place: an error in it names where it is repeated.
        return Node(node.value, *_position(event), node.size, comment=node.comment)

    def _copied(self, nodes: int, event: yaml.Event | None = None) -> None:
        self._copies += nodes
        if self._copies > MOST_COPIES:
            place = self._at(event) if event else Place(self._file)
            raise BadYaml(place, f"aliases repeat more than {MOST_COPIES} nodes", "write out what is needed")

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        self._check_tag(event)
        if len(self._open) >= DEEPEST:
            raise BadYaml(self._at(event), *TOO_DEEP)
        mapping = isinstance(event, yaml.MappingStartEvent)
        node = Node({} if mapping else [], *_position(event))
        if event.anchor:
            self._anchors[event.anchor] = None
        self._open.append((node, event.anchor))
        self._keys.append(None)

    def _end(self) -> Node:
        node, anchor = self._open.pop()
        self._keys.pop()
        if anchor:
            self._anchors[anchor] = node
        return node

    def _put(self, node: Node) -> None:
        """Put a finished node into the container around it."""
        parent, _ = self._open[-1]
        parent.size += node.size
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif (key := self._keys[-1]) is None:
            if isinstance(node.value, list | dict):
                raise BadYaml(Place(self._file, node.line, node.column), "a key is a list or a mapping", "write a word")
            self._keys[-1] = node
        else:
            self._keys[-1] = None
            self._pair(parent, key, node)

    def _pair(self, parent: Node, key: Node, node: Node) -> None:
        assert isinstance(parent.value, dict)
        name = key.value.text if isinstance(key.value, Scalar) else str(key.value or "")
        if name == "<<":
            self._merge(parent, node)
            return
        if name in parent.value and name not in parent.merged:
            first = parent.value[name][0]
            place = Place(self._file, key.line, key.column)
            message = f"{name!r} is written twice: on line {first.line} and on line {key.line}"
            self._mistakes.add(place, message, "keep one of the two")
        parent.merged -= {name}
        parent.value[name] = (key, node)

    def _merge(self, parent: Node, node: Node) -> None:
        """Put in what `<<` brings; the mapping's own keys, and the first of several mappings, win."""
        assert isinstance(parent.value, dict)
        for source in node.value if isinstance(node.value, list) else [node]:
            if not isinstance(source.value, dict):
                place = Place(self._file, source.line, source.column)
                self._mistakes.add(place, "<< merges something that is no mapping", "write << : *name_of_a_mapping")
                continue
            self._copied(source.size)
            parent.size += source.size
            for name, pair in source.value.items():
                if name not in parent.value:
                    parent.value[name] = pair
                    parent.merged |= {name}

    def _check_tag(self, event: yaml.NodeEvent) -> None:
        tag = getattr(event, "tag", None)
        if tag not in _PLAIN_TAGS:
            name = str(tag).replace(_PREFIX, "!!")
            self._mistakes.add(self._at(event), f"the tag {name} has no meaning in a job", "remove it")
