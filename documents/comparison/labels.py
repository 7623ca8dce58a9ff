"""What JSON Schemas say about the parts of a document: order of fields, titles, and the key of items."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, TypeAlias

from documents.comparison.values import ABSENT, INDEX, InvalidPointer, MaybeValue, parts_of, resolve

Schema: TypeAlias = Mapping[str, Any]
_Part: TypeAlias = tuple[Schema, Schema]  # a whole schema, and one of its subschemas

#: Names of fields that tell items of a list apart, the best one first.
KEY_NAMES = ("id", "key", "slug", "name", "title")
#: Names of fields that tell people which item it is.
_LABEL_NAMES = ("title", "name", "label", "heading", "id", "key", "slug")
_MAX_PARTS = 64  # subschemas that apply to one value
_MAX_LABEL = 80  # characters


class SchemaView:
    """The subschemas that apply to one place of a document. Schemas may be invalid: what is not understood is left out.

    References within a schema are followed; alternatives (`anyOf`, `oneOf`, `then`, `else`) count as if all applied.
    """

    def __init__(self, parts: list[_Part]) -> None:
        self._parts = list(_expanded(parts))
        self._children: dict[str, SchemaView] = {}
        self._items: SchemaView | None = None

    @classmethod
    def of(cls, *schemas: Schema | None) -> SchemaView:
        """Return the view of whole documents; what the first schema says goes before what the next one says."""
        return cls([(schema, schema) for schema in schemas if isinstance(schema, Mapping)])

    @cached_property
    def title(self) -> str:
        """The title; empty without one."""
        titles = (part.get("title") for _, part in self._parts)
        return next((" ".join(title.split()) for title in titles if isinstance(title, str) and title.strip()), "")

    @cached_property
    def key(self) -> str | None:
        """The name of the field that tells the items of this list apart, if the schema names one (`x-key`)."""
        return self.own_key or self.item().own_key

    @cached_property
    def own_key(self) -> str | None:
        """The value of `x-key` here."""
        return next((part["x-key"] for _, part in self._parts if isinstance(part.get("x-key"), str)), None)

    @cached_property
    def _ranks(self) -> dict[str, int]:
        names = (name for _, part in self._parts for name in _mapping(part.get("properties")))
        return {name: rank for rank, name in enumerate(dict.fromkeys(names))}

    def in_order(self, names: set[str]) -> list[str]:
        """Return the names in reading order: as the schema has them, then the others by name."""
        return sorted(names, key=lambda name: (self._ranks.get(name, len(self._ranks)), name))

    def child(self, part: str) -> SchemaView:
        """Return the view of a field, or of an item if the part is an index and no field."""
        if part not in self._ranks and self.is_list and INDEX.fullmatch(part):
            return self.item(int(part))
        if part not in self._children:
            self._children[part] = SchemaView(list(self._fields(part)))
        return self._children[part]

    @cached_property
    def is_list(self) -> bool:
        """Whether the place has a list, as far as the schema says."""
        return any("items" in part or "prefixItems" in part for _, part in self._parts)

    def item(self, index: int | None = None) -> SchemaView:
        """Return the view of an item of this list."""
        first = [(root, part["prefixItems"]) for root, part in self._parts if isinstance(part.get("prefixItems"), list)]
        if index is not None and any(index < len(each) for _, each in first):
            return SchemaView([(root, each[index]) for root, each in first if index < len(each)])
        if self._items is None:
            self._items = SchemaView([(root, part["items"]) for root, part in self._parts if "items" in part])
        return self._items

    def label(self, name: str) -> str:
        """Return what people call a field: the schema's title, or its name as words."""
        return _shortened(self.child(name).title or _as_words(name))

    def _fields(self, name: str) -> Iterator[_Part]:
        for root, part in self._parts:
            fields = _mapping(part.get("properties"))
            if name in fields:
                yield root, fields[name]
            elif "additionalProperties" in part:
                yield root, part["additionalProperties"]


def item_label(item: MaybeValue, number: int) -> str:
    """Return what people call an item of a list: its title or name, or its number."""
    if isinstance(item, dict):
        for name in _LABEL_NAMES:
            value = item.get(name)
            if isinstance(value, str) and value.strip():
                return _shortened(value)
    return f"Item {number:,}"


def _shortened(text: str) -> str:
    text = " ".join(text[: 4 * _MAX_LABEL].split())
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1].rstrip()}…"


def _as_words(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name[: 4 * _MAX_LABEL]).replace("_", " ").replace("-", " ").split()
    if not words:
        return name or "(no name)"
    rest = [word if word.isupper() else word[:1].lower() + word[1:] for word in words[1:]]
    return " ".join([words[0][:1].upper() + words[0][1:], *rest])


def _expanded(parts: list[_Part]) -> Iterator[_Part]:
    """Yield the subschemas that apply in place, each once, references and alternatives before what follows them."""
    seen: set[int] = set()
    waiting: list[tuple[Schema, object]] = [*reversed(parts)]
    while waiting and len(seen) < _MAX_PARTS:
        root, part = waiting.pop()
        if not isinstance(part, Mapping) or id(part) in seen:
            continue
        seen.add(id(part))
        yield root, part
        waiting += [(root, each) for each in reversed(list(_in_place(root, part)))]


def _in_place(root: Schema, part: Schema) -> Iterator[Any]:
    if isinstance(part.get("$ref"), str):
        yield _referred(root, part["$ref"])
    for name in ("allOf", "anyOf", "oneOf"):
        if isinstance(part.get(name), list):
            yield from part[name]
    for name in ("then", "else"):
        yield part.get(name)


def _referred(root: Schema, reference: str) -> object:
    """Return the subschema that a reference within the schema means; ABSENT for others."""
    if not reference.startswith("#"):
        return ABSENT
    try:
        return resolve(dict(root), parts_of(reference[1:]))
    except InvalidPointer:
        return ABSENT


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
