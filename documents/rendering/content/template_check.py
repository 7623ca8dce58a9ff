"""Whether a pointer of a template can lead to a value of a document, by its schema."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from documents.rendering.content.schema_view import resolve

_LISTS = ("allOf", "anyOf", "oneOf")
_SINGLE = ("then", "else")
_MAX_PLACES = 500


@dataclass(frozen=True)
class Possible:
    """What a value can be: the subschemas of all branches that may describe it. `is_any`: it can be everything."""

    schema: Any
    places: tuple[dict[str, Any], ...]
    is_any: bool = False

    @classmethod
    def root(cls, schema: Any) -> Possible:
        """Return what a whole document can be; without a schema everything."""
        return _possible(schema, [True if schema is None else schema])

    def at(self, pointer: str, item: Possible) -> Possible | None:
        """Return what the value of a pointer can be, None if the schema has no such place. This is the document."""
        found: Possible | None = self if pointer.startswith("/") else item
        for name in pointer.lstrip("/").split("/") if pointer != "." else ():
            found = found.part(name.replace("~1", "/").replace("~0", "~")) if found is not None else None
        return found

    def part(self, name: str) -> Possible | None:
        """Return what a member, or the item of a number, can be."""
        if self.is_any:
            return self
        schemas = [each for place in self.places for each in _members(place, name)]
        if name.isascii() and name.isdecimal():
            schemas += [each for place in self.places for each in _items(place)]
        return _possible(self.schema, schemas) if schemas else None

    def items(self) -> Possible | None:
        """Return what the items of a list can be; None if the value cannot be a list."""
        if self.is_any:
            return self
        schemas = [each for place in self.places for each in _items(place)]
        return _possible(self.schema, schemas) if schemas else None

    @property
    def needs_paragraph(self) -> bool:
        """Whether the value is an object, or a list of objects or lists, whatever the document says."""
        kinds = self.kinds
        if kinds != {"array"}:
            return kinds == {"object"}
        items = self.items()
        return items is not None and bool(items.kinds) and items.kinds <= {"object", "array"}

    @property
    def kinds(self) -> set[str]:
        """The types that the value can have, without null; empty if the schema does not say."""
        found = [each["type"] for each in self.places if "type" in each]
        kinds = {kind for each in found for kind in (each if isinstance(each, list) else [each])}
        return set() if self.is_any else kinds - {"null"}


def _possible(root: Any, schemas: Iterable[Any]) -> Possible:
    found: list[dict[str, Any]] = []
    waiting = list(schemas)
    is_any = any(schema is True for schema in waiting)
    while waiting and len(found) < _MAX_PLACES:
        schema = waiting.pop()
        if not isinstance(schema, dict) or any(schema is each for each in found):
            continue
        found.append(schema)
        if isinstance(schema.get("$ref"), str):
            waiting.append(resolve(root, schema["$ref"]))
        waiting += [each for name in _LISTS if isinstance(schema.get(name), list) for each in schema[name]]
        waiting += [schema[name] for name in _SINGLE if name in schema]
    is_free = not any(_says_something(schema) for schema in found)
    return Possible(root, tuple(found), is_any or is_free)


def _says_something(schema: dict[str, Any]) -> bool:
    return any(name in schema for name in ("type", "properties", "items", "prefixItems", "enum", "const"))


def _is_of(place: dict[str, Any], kind: str) -> bool:
    kinds = place.get("type", kind)
    return kind in (kinds if isinstance(kinds, list) else [kinds])


def _members(place: dict[str, Any], name: str) -> list[Any]:
    """Return the schemas of a member; a name that the schema does not list is possible where it allows others."""
    properties = place.get("properties")
    if isinstance(properties, dict) and name in properties:
        return [properties[name]]
    patterns = place.get("patternProperties")
    if isinstance(patterns, dict) and any(_matches(pattern, name) for pattern in patterns):
        return [schema for pattern, schema in patterns.items() if _matches(pattern, name)]
    others = place.get("additionalProperties", not isinstance(properties, dict) and place.get("type") == "object")
    return [others] if others is not False and _is_of(place, "object") else []


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:  # a pattern of another dialect
        return True


def _items(place: dict[str, Any]) -> list[Any]:
    first = place.get("prefixItems")
    found = [*(first if isinstance(first, list) else ()), *([place["items"]] if "items" in place else ())]
    return found or ([True] if place.get("type") == "array" else [])
