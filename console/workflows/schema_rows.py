"""A JSON Schema as rows for people: the fields of a document, with type and description."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from typing import Any

from django.utils.translation import gettext

_MAX_ROWS = 150
_MAX_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Row:
    """A field."""

    depth: int
    name: str
    type: str
    is_required: bool
    description: str


def rows_of(schema: Any) -> list[Row]:
    """Return the fields of a schema, at most 150. What is referred to is named, and not followed."""
    return list(islice(_rows(schema, 0), _MAX_ROWS))


def _rows(schema: Any, depth: int) -> Iterator[Row]:
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return
    properties = schema.get("properties")
    required = schema.get("required")
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        told = inner if isinstance(inner, dict) else {}
        is_required = isinstance(required, list) and name in required
        yield Row(depth, name, _type(told), is_required, str(told.get("description") or told.get("title") or ""))
        yield from _rows(told, depth + 1)
        yield from _rows(told.get("items"), depth + 1)


def _type(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(schema.get("enum"), list):
        return gettext("one of %(values)s") % {"values": ", ".join(str(each) for each in schema["enum"][:12])}
    if kind == "array":
        items = schema.get("items")
        if isinstance(items, dict) and items.get("type"):
            return gettext("list of %(type)s") % {"type": _type(items)}
        return gettext("list")
    if isinstance(kind, list) and kind:
        return reduce(lambda some, more: gettext("%(some)s or %(more)s") % {"some": some, "more": more}, map(str, kind))
    return str(kind or schema.get("$ref") or gettext("any value"))
