"""What a JSON Schema says about one value to its readers: title, description, order of names, and labels of values.

A view follows references within the schema, `allOf`, conditions, and the first branch of `oneOf` or `anyOf` that fits.
Whether a branch fits is read from types, constants, required names and closed objects, not from a full validation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

_MAX_PARTS = 50  # subschemas that describe one value
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
#: A name that was written for programs: words in lower case, with `_` or `-` between them, or a camel's humps.
_IDENTIFIER = re.compile(r"[a-z][a-z0-9]*(?:[A-Z_-][A-Za-z0-9]*)*", re.ASCII)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def humanize(name: str) -> str:
    """Return a name as a label: `pays_off_after` is `Pays off after`. A name that is no identifier stays as it is."""
    if not _IDENTIFIER.fullmatch(name):
        return name
    words = [word if word.isupper() else word.lower() for word in re.split("[_-]+", _HUMP.sub("_", name)) if word]
    label = " ".join(words)
    return label[:1].upper() + label[1:]


def resolve(root: Any, reference: str) -> Any:
    """Return the subschema of a reference within a schema; None if there is none."""
    if reference == "#":
        return root
    if not reference.startswith("#/"):
        return _anchored(root, reference.removeprefix("#"))
    place = root
    for part in reference[2:].split("/"):
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(place, list) and name.isdecimal() and int(name) < len(place):
            place = place[int(name)]
        else:
            place = place.get(name) if isinstance(place, dict) else None
    return place


def _anchored(root: Any, name: str) -> Any:
    for keyword in ("$defs", "definitions"):
        definitions = root.get(keyword) if isinstance(root, dict) else None
        for each in definitions.values() if isinstance(definitions, dict) else ():
            if isinstance(each, dict) and each.get("$anchor") == name:
                return each
    return None


@dataclass(frozen=True)
class SchemaView:
    """The subschemas that describe one value."""

    root: Any
    parts: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, schema: Any, value: Any) -> SchemaView:
        """Return the view of a whole schema, for its document."""
        return cls(schema).onto([schema], value)

    def onto(self, schemas: list[Any], value: Any) -> SchemaView:
        """Return the view of a value that some subschemas describe."""
        found: list[dict[str, Any]] = []
        waiting = list(reversed(schemas))
        while waiting and len(found) < _MAX_PARTS:
            schema = waiting.pop()
            if isinstance(schema, dict) and not any(schema is each for each in found):
                found.append(schema)
                waiting += reversed(list(self._applied(schema, value)))
        return SchemaView(self.root, tuple(found))

    def _applied(self, schema: dict[str, Any], value: Any) -> Iterator[Any]:
        """Yield the subschemas that describe the same value."""
        if isinstance(schema.get("$ref"), str):
            yield resolve(self.root, schema["$ref"])
        if isinstance(schema.get("allOf"), list):
            yield from schema["allOf"]
        for keyword in ("oneOf", "anyOf"):
            branches = schema.get(keyword)
            if isinstance(branches, list):
                yield from [each for each in branches if self._fits(each, value)][:1]
        if "if" in schema:
            yield schema.get("then" if self._fits(schema["if"], value) else "else")

    def _fits(self, schema: Any, value: Any, depth: int = 0) -> bool:
        """Return whether a value looks as if it was written for a subschema."""
        if not isinstance(schema, dict):
            return schema is not False
        if depth > 8:  # a schema that refers to itself
            return True
        if isinstance(schema.get("$ref"), str) and not self._fits(resolve(self.root, schema["$ref"]), value, depth + 1):
            return False
        if not _is_of_type(schema.get("type"), value) or not _is_listed(schema, value):
            return False
        if isinstance(value, dict):
            return self._fits_object(schema, value, depth)
        return all(self._fits(each, value, depth + 1) for each in _listed(schema, "allOf"))

    def _fits_object(self, schema: dict[str, Any], value: dict[str, Any], depth: int) -> bool:
        named = schema.get("properties")
        properties = named if isinstance(named, dict) else {}
        if any(name not in value for name in _listed(schema, "required")):
            return False
        is_closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
        if is_closed and any(name not in properties for name in value):
            return False
        return all(self._fits(properties[name], value[name], depth + 1) for name in value if name in properties)

    # --- what it says -------------------------------------------------------------------------------------------------

    def first(self, keyword: str) -> Any:
        """Return the first value of a keyword; None if there is none."""
        return next((part[keyword] for part in self.parts if keyword in part), None)

    @property
    def title(self) -> str:
        """The title; empty if there is none. The title of a constant names the constant."""
        found = next((part["title"] for part in self.parts if "title" in part and "const" not in part), None)
        return found if isinstance(found, str) else ""

    @property
    def description(self) -> str:
        """The description; empty if there is none."""
        found = self.first("description")
        return found if isinstance(found, str) else ""

    @property
    def is_plain_text(self) -> bool:
        """Whether a text is a value and no Markdown: one of a list, of a pattern, or of a format such as a date."""
        return any(self.first(keyword) is not None for keyword in ("enum", "const", "format", "pattern"))

    def names(self, value: dict[str, Any]) -> list[str]:
        """Return the names of an object in the order of the schema, then the ones that it does not know."""
        known: dict[str, None] = {}
        for part in self.parts:
            properties = part.get("properties")
            known |= dict.fromkeys(properties) if isinstance(properties, dict) else {}
        return [name for name in known if name in value] + [name for name in value if name not in known]

    def member(self, name: str, value: Any) -> SchemaView:
        """Return the view of a member of an object."""
        found: list[Any] = []
        for part in self.parts:
            properties = part.get("properties")
            if isinstance(properties, dict) and name in properties:
                found.append(properties[name])
            elif isinstance(part.get("additionalProperties"), dict):
                found.append(part["additionalProperties"])
        return self.onto(found, value)

    def item(self, index: int, value: Any) -> SchemaView:
        """Return the view of an item of a list."""
        found: list[Any] = []
        for part in self.parts:
            first = part.get("prefixItems")
            if isinstance(first, list) and index < len(first):
                found.append(first[index])
            else:
                found.append(part.get("items"))
        return self.onto(found, value)

    def label_of_value(self, value: str) -> str:
        """Return the label of a value of an enumeration: the title of its constant, else the value in words."""
        for part in self.parts:
            if part.get("const") == value and isinstance(part.get("title"), str):
                return str(part["title"])
        is_word = self.first("enum") is not None or self.first("const") is not None
        return value.replace("_", " ") if is_word and re.fullmatch("[a-z]+(_[a-z]+)+", value) else value


def _listed(schema: dict[str, Any], keyword: str) -> list[Any]:
    found = schema.get(keyword)
    return found if isinstance(found, list) else []


def _is_of_type(kind: Any, value: Any) -> bool:
    kinds = kind if isinstance(kind, list) else [kind]
    if kind is None or not all(isinstance(each, str) for each in kinds):
        return True
    if isinstance(value, bool):
        return "boolean" in kinds
    return any(isinstance(value, _TYPES.get(each, (object,))) for each in kinds)


def _is_listed(schema: dict[str, Any], value: Any) -> bool:
    if "const" in schema and schema["const"] != value:
        return False
    return "enum" not in schema or value in _listed(schema, "enum")
