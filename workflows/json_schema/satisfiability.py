"""Whether any document can fulfil a schema, as far as that can be decided cheaply.

A schema counts as possible once what it needs is possible; what never comes to be so is impossible. So a field that is
required in itself, over and over, is found as well: such a document would have no end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workflows.json_schema.graph import Part, SchemaGraph
from workflows.json_schema.types import numbers_of, types_of, types_of_value


class Satisfiability:
    """Which parts of a schema are possible."""

    def __init__(self, graph: SchemaGraph) -> None:
        self._graph = graph
        self._possible: set[Part] = set()
        users = graph.users()
        changed = set(graph.parts.values())
        while changed:
            found = {part for part in changed if part not in self._possible and self._is_possible(part)}
            self._possible |= found
            changed = {user for part in found for user in users[part] if user not in self._possible}

    def impossible(self) -> Part | None:
        """Return the innermost part because of which no document can fulfil the schema; None when one can."""
        part = self._graph.root
        if part in self._possible:
            return None
        seen = {part}
        while (cause := next((each for each in self._needs(part) if each not in self._possible), None)) is not None:
            if cause in seen:
                return cause
            seen.add(cause)
            part = cause
        return part

    def _is_possible(self, part: Part) -> bool:
        if isinstance(part.schema, bool):
            return part.schema
        if any(each not in self._possible for each in self._always(part)):
            return False
        for keyword in ("anyOf", "oneOf"):
            ways = part.keywords.get(keyword)
            if isinstance(ways, list) and ways and not any(self._has(part, keyword, at) for at in range(len(ways))):
                return False
        return any(self._type_is_possible(part, kind) for kind in self._types(part))

    def _has(self, part: Part, *names: str | int) -> bool:
        """Whether the part there is possible; what is no schema is left to others."""
        found = self._graph.at(part, *names)
        return found is None or found in self._possible

    def _always(self, part: Part) -> Iterator[Part]:
        """Yield what holds for every value that fulfils a part."""
        yield from part.referred
        combined = part.keywords.get("allOf")
        for at in range(len(combined) if isinstance(combined, list) else 0):
            if (found := self._graph.at(part, "allOf", at)) is not None:
                yield found

    def _types(self, part: Part) -> frozenset[str]:
        """Return the types that a value of a part may be of."""
        said, kinds = part.keywords, types_of(part.keywords)
        values = said.get("enum")
        if isinstance(values, list):
            kinds &= frozenset().union(*map(types_of_value, values))
        if "const" in said:
            kinds &= types_of_value(said["const"])
        return kinds

    def _type_is_possible(self, part: Part, kind: str) -> bool:
        if kind == "object":
            return all(self._name_is_possible(part, name) for name in _required(part))
        if kind == "array":
            return all(each in self._possible for each in self._items(part))
        return True

    def _name_is_possible(self, part: Part, name: str) -> bool:
        """Whether a property may be there."""
        properties = part.keywords.get("properties")
        if isinstance(properties, dict) and name in properties:
            return self._has(part, "properties", name)
        if part.keywords.get("patternProperties"):
            return True  # a pattern may fit, and is not tried
        return self._has(part, "additionalProperties")

    def _items(self, part: Part) -> Iterator[Part]:
        """Yield the schemas of the items that have to be there."""
        least = numbers_of(part.keywords, "minItems") or 0
        contained = numbers_of(part.keywords, "minContains")
        first = part.keywords.get("prefixItems", part.keywords.get("items"))
        count = len(first) if isinstance(first, list) else 0
        keyword = "prefixItems" if "prefixItems" in part.keywords else "items"
        for at in range(int(min(count, least))):
            if (found := self._graph.at(part, keyword, at)) is not None:
                yield found
        rest = self._graph.at(part, "items") if not isinstance(part.keywords.get("items"), list) else None
        if least > count and rest is not None:
            yield rest
        if (found := self._graph.at(part, "contains")) is not None and contained != 0:
            yield found

    def _needs(self, part: Part) -> Iterator[Part]:
        """Yield what a part may be impossible for."""
        yield from self._always(part)
        kinds = self._types(part)
        for name in _required(part) if kinds == {"object"} else ():
            if not self._name_is_possible(part, name):
                found = self._graph.at(part, "properties", name) or self._graph.at(part, "additionalProperties")
                yield from () if found is None else (found,)
        if kinds == {"array"}:
            yield from self._items(part)


def _required(part: Part) -> list[str]:
    names: Any = part.keywords.get("required")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
