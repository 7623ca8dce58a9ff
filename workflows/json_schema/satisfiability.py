"""Whether any document can satisfy a schema, as far as that can be decided cheaply.

This is a least fixed point: a schema is possible if all schemas that it needs are possible. So it also finds a field
that requires itself recursively: such a document would be infinite.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workflows.json_schema.graph import SchemaGraph, SchemaNode
from workflows.json_schema.types import numbers_of, types_of, types_of_value


class Satisfiability:
    """The possible subschemas of a schema."""

    def __init__(self, graph: SchemaGraph) -> None:
        self._graph = graph
        self._possible: set[SchemaNode] = set()
        users = graph.users()
        changed = set(graph.parts.values())
        while changed:
            found = {node for node in changed if node not in self._possible and self._is_possible(node)}
            self._possible |= found
            changed = {user for node in found for user in users[node] if user not in self._possible}

    def impossible(self) -> SchemaNode | None:
        """Return the innermost subschema that makes the schema impossible; None if it is possible."""
        node = self._graph.root
        if node in self._possible:
            return None
        seen = {node}
        while (cause := next((each for each in self._needs(node) if each not in self._possible), None)) is not None:
            if cause in seen:
                return cause
            seen.add(cause)
            node = cause
        return node

    def _is_possible(self, node: SchemaNode) -> bool:
        if isinstance(node.schema, bool):
            return node.schema
        if any(each not in self._possible for each in self._unconditional(node)):
            return False
        for keyword in ("anyOf", "oneOf"):
            ways = node.keywords.get(keyword)
            if (
                isinstance(ways, list)
                and ways
                and not any(self._may_be_possible(node, keyword, at) for at in range(len(ways)))
            ):
                return False
        return any(self._type_is_possible(node, kind) for kind in self._types(node))

    def _may_be_possible(self, node: SchemaNode, *names: str | int) -> bool:
        """Return whether a child is possible; True for values that are not schemas."""
        found = self._graph.at(node, *names)
        return found is None or found in self._possible

    def _unconditional(self, node: SchemaNode) -> Iterator[SchemaNode]:
        """Yield the schemas that every value of a node must satisfy."""
        yield from node.referred
        combined = node.keywords.get("allOf")
        for at in range(len(combined) if isinstance(combined, list) else 0):
            if (found := self._graph.at(node, "allOf", at)) is not None:
                yield found

    def _types(self, node: SchemaNode) -> frozenset[str]:
        """Return the types that a value of a node may have."""
        said, kinds = node.keywords, types_of(node.keywords)
        values = said.get("enum")
        if isinstance(values, list):
            kinds &= frozenset().union(*map(types_of_value, values))
        if "const" in said:
            kinds &= types_of_value(said["const"])
        return kinds

    def _type_is_possible(self, node: SchemaNode, kind: str) -> bool:
        if kind == "object":
            return all(self._name_is_possible(node, name) for name in _required(node))
        if kind == "array":
            return all(each in self._possible for each in self._items(node))
        return True

    def _name_is_possible(self, node: SchemaNode, name: str) -> bool:
        """Return whether a property is possible."""
        properties = node.keywords.get("properties")
        if isinstance(properties, dict) and name in properties:
            return self._may_be_possible(node, "properties", name)
        if node.keywords.get("patternProperties"):
            return True  # a pattern may match; patterns are not evaluated
        return self._may_be_possible(node, "additionalProperties")

    def _items(self, node: SchemaNode) -> Iterator[SchemaNode]:
        """Yield the schemas of the required items."""
        minimum = numbers_of(node.keywords, "minItems") or 0
        contained = numbers_of(node.keywords, "minContains")
        first = node.keywords.get("prefixItems", node.keywords.get("items"))
        count = len(first) if isinstance(first, list) else 0
        keyword = "prefixItems" if "prefixItems" in node.keywords else "items"
        for at in range(int(min(count, minimum))):
            if (found := self._graph.at(node, keyword, at)) is not None:
                yield found
        rest = self._graph.at(node, "items") if not isinstance(node.keywords.get("items"), list) else None
        if minimum > count and rest is not None:
            yield rest
        if (found := self._graph.at(node, "contains")) is not None and contained != 0:
            yield found

    def _needs(self, node: SchemaNode) -> Iterator[SchemaNode]:
        """Yield the schemas that may make a node impossible."""
        yield from self._unconditional(node)
        kinds = self._types(node)
        for name in _required(node) if kinds == {"object"} else ():
            if not self._name_is_possible(node, name):
                found = self._graph.at(node, "properties", name) or self._graph.at(node, "additionalProperties")
                yield from () if found is None else (found,)
        if kinds == {"array"}:
            yield from self._items(node)


def _required(node: SchemaNode) -> list[str]:
    names: Any = node.keywords.get("required")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
