"""Graph of the subschemas of a schema: applicators, children and references.

Nothing is validated: values that are not schemas are ignored, and references may be unresolvable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin

from common.json_pointer import pointer
from workflows.errors import parts_of

_INDEX = re.compile(r"[0-9]{1,8}")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class _Keywords(NamedTuple):
    """Keywords with schemas as values: a single schema, a list, or a mapping by name."""

    single: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    by_name: tuple[str, ...] = ()


_IN_PLACE = _Keywords(
    ("not", "if", "then", "else"), ("allOf", "anyOf", "oneOf"), by_name=("dependentSchemas", "dependencies")
)
_WITHIN = _Keywords(
    (
        "items",
        "additionalItems",
        "additionalProperties",
        "contains",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
    ),
    ("prefixItems", "items"),
    ("properties", "patternProperties"),
)
_DEFINITIONS = _Keywords(by_name=("$defs", "definitions"))
#: Dialects that ignore keywords beside `$ref`.
_LONE_REFERENCES = ("draft-03", "draft-04", "draft-06", "draft-07")


@dataclass(slots=True, eq=False)
class SchemaNode:
    """A subschema; `pointer` (RFC 6901) is its place in the whole schema."""

    pointer: str
    schema: Any
    base: str
    has_lone_reference: bool = False
    in_place: list[SchemaNode] = field(default_factory=list)  # apply to the same value, such as `allOf`
    within: list[SchemaNode] = field(default_factory=list)  # apply to children of the value, such as `properties`
    referred: list[SchemaNode] = field(default_factory=list)  # targets of references

    @property
    def keywords(self) -> Mapping[str, Any]:
        """The effective keywords; none for a boolean schema."""
        if self.has_lone_reference:
            return {"$ref": self.schema["$ref"]}
        return self.schema if isinstance(self.schema, dict) else {}

    @property
    def leads_to(self) -> list[SchemaNode]:
        """All nodes that this node uses."""
        return [*self.in_place, *self.referred, *self.within]


class SchemaGraph:
    """All subschemas of a schema, by pointer."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        dialect = schema.get("$schema")
        self.dialect = dialect if isinstance(dialect, str) else ""
        self._lone = any(name in self.dialect for name in _LONE_REFERENCES)
        self._whole = schema
        self._resources: dict[str, SchemaNode] = {}
        self._anchors: dict[str, SchemaNode] = {}
        self.parts: dict[str, SchemaNode] = {}
        self.root = self._add("", dict(schema), "")
        for node in list(self.parts.values()):  # resolving references may add nodes
            self._refer(node)

    @property
    def is_latest(self) -> bool:
        """Whether the dialect is 2020-12."""
        return not self.dialect or "2020-12" in self.dialect

    def at(self, node: SchemaNode, *names: str | int) -> SchemaNode | None:
        """Return the node below another one."""
        return self.parts.get(node.pointer + pointer(*names))

    def users(self) -> dict[SchemaNode, list[SchemaNode]]:
        """Return for each node the nodes that use it."""
        users: dict[SchemaNode, list[SchemaNode]] = {node: [] for node in self.parts.values()}
        for node in self.parts.values():
            for each in node.leads_to:
                users[each].append(node)
        return users

    def components(self) -> dict[SchemaNode, int]:
        """Return the number of each node's strongly connected component (Kosaraju's algorithm)."""
        order: dict[SchemaNode, None] = {}
        seen: set[SchemaNode] = set()
        for start in self.parts.values():
            stack = [] if start in seen else [(start, iter(start.leads_to))]
            seen.add(start)
            while stack:
                node, following = stack[-1]
                inner = next((each for each in following if each not in seen), None)
                if inner is None:
                    order[node] = None
                    stack.pop()
                else:
                    seen.add(inner)
                    stack.append((inner, iter(inner.leads_to)))
        users, numbers = self.users(), dict[SchemaNode, int]()
        for number, start in enumerate(reversed(order)):
            queue = [start]
            while queue:
                node = queue.pop()
                if node not in numbers:
                    numbers[node] = number
                    queue += users[node]
        return numbers

    def _add(self, where: str, schema: Any, base: str) -> SchemaNode:
        """Add a schema with all its subschemas, without recursion."""
        first = self._part(where, schema, base)
        queue = [first]
        while queue:
            node = queue.pop()
            for kind, names, inner in self._inside(node):
                made = self._part(node.pointer + pointer(*names), inner, node.base)
                queue.append(made)
                if kind is not None:
                    (node.in_place if kind else node.within).append(made)
        return first

    def _part(self, where: str, schema: Any, base: str) -> SchemaNode:
        node = self.parts[where] = SchemaNode(where, schema, base)
        node.has_lone_reference = self._lone and "$ref" in node.keywords
        keywords = node.keywords
        if isinstance(keywords.get("$id"), str):
            node.base = _join(base, keywords["$id"])
            self._resources.setdefault(node.base.removesuffix("#"), node)
        if not where:
            self._resources.setdefault("", node)
        for name in ("$anchor", "$dynamicAnchor"):
            if isinstance(keywords.get(name), str):
                self._anchors.setdefault(f"{node.base.partition('#')[0]}#{keywords[name]}", node)
        return node

    def _inside(self, node: SchemaNode) -> Iterator[tuple[bool | None, tuple[str | int, ...], Any]]:
        """Yield (applies in place, path, schema) for each child of a node; None: a definition that does not apply."""
        for counts, keywords in ((True, _IN_PLACE), (False, _WITHIN), (None, _DEFINITIONS)):
            for names, inner in _schemas_in(node.keywords, keywords):
                yield counts, names, inner

    def _refer(self, node: SchemaNode) -> None:
        for name in _REFERENCES:
            reference = node.keywords.get(name)
            if isinstance(reference, str) and (target := self._target(node, reference)) is not None:
                node.referred.append(target)

    def _target(self, node: SchemaNode, reference: str) -> SchemaNode | None:
        base, _, fragment = reference.partition("#")
        try:
            where = _join(node.base, base) if base else node.base
            fragment = unquote(fragment, errors="strict")
        except ValueError:
            return None
        resource = self._resources.get(where.partition("#")[0])
        if resource is None:
            return None
        if fragment and not fragment.startswith("/"):
            return self._anchors.get(f"{where.partition('#')[0]}#{fragment}")
        whole = resource.pointer + fragment
        return self.parts.get(whole) or self._at_unknown_keyword(whole, resource.base)

    def _at_unknown_keyword(self, where: str, base: str) -> SchemaNode | None:
        """Return the node at a place that is not the value of a known keyword; None if there is no schema."""
        found: Any = self._whole
        for name in parts_of(where):
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and _INDEX.fullmatch(name) and int(name) < len(found):
                found = found[int(name)]
            else:
                return None
        if not isinstance(found, dict | bool):
            return None
        before = set(self.parts)
        node = self._add(where, found, base)
        for name in self.parts.keys() - before:
            self._refer(self.parts[name])
        return node


def _schemas_in(schema: Mapping[str, Any], keywords: _Keywords) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield the paths and the schemas of keywords."""
    for keyword in keywords.single:
        if isinstance(schema.get(keyword), dict | bool):
            yield (keyword,), schema[keyword]
    for keyword in keywords.lists:
        if isinstance(schema.get(keyword), list):
            yield from (
                ((keyword, at), each) for at, each in enumerate(schema[keyword]) if isinstance(each, dict | bool)
            )
    for keyword in keywords.by_name:
        if isinstance(schema.get(keyword), dict):
            yield from (((keyword, at), each) for at, each in schema[keyword].items() if isinstance(each, dict | bool))


def _join(base: str, reference: str) -> str:
    try:
        return urljoin(base, reference) or reference
    except ValueError:
        return reference
