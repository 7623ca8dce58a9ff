"""The content of a document as HTML for a page: class names only, no styles, every text escaped.

Names, titles and order come from the schema. An anchor is the JSON pointer with dots: `/epics/0` is `epics.0`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

_MAX_COLUMNS = 6
_MAX_CELL = 240  # characters
_MAX_LEVEL = 6
_LEAST_HEADINGS = 3  # of a contents list
_LOWEST_LISTED = 3  # level of headings in it
_EMPTY = "—"


@dataclass(frozen=True, slots=True)
class RenderedDocument:
    """A document as HTML: its text, and its contents list, which is empty if there are few headings."""

    body: SafeString
    contents: SafeString

    def __str__(self) -> str:
        return self.body


def render_document(content: Any, schema: Any, *, title: str) -> RenderedDocument:
    """Return a document as HTML. `title` stands above it; a field `title` with the same text is left out."""
    writer = _Writer(schema if isinstance(schema, dict) else {})
    if isinstance(content, dict) and content.get("title") == title:
        content = {name: value for name, value in content.items() if name != "title"}
    body = "".join(writer.value(content, writer.root, _Place()))
    shown = [each for each in writer.headings if each[0] <= _LOWEST_LISTED]
    listed = "".join(
        f'<li{" class=lower" if level == _LOWEST_LISTED else ""}><a href="#{anchor}" dir="auto">{text}</a></li>'
        for level, text, anchor in shown
    )
    is_long = len(shown) >= _LEAST_HEADINGS
    contents = f'<nav class="doc-contents" aria-label="Contents"><ul>{listed}</ul></nav>' if is_long else ""
    return RenderedDocument(mark_safe(f'<div class="doc-content">{body}</div>'), mark_safe(contents))  # noqa: S308 - escaped below


class _Place(NamedTuple):
    """The path of a value, and the level of a heading there."""

    path: tuple[str, ...] = ()
    level: int = 2

    def below(self, name: str) -> _Place:
        return _Place((*self.path, name), min(self.level + 1, _MAX_LEVEL))


@dataclass(slots=True)
class _Writer:
    root: Mapping[str, Any]
    headings: list[tuple[int, str, str]] = field(default_factory=list)

    def value(self, value: Any, schema: Mapping[str, Any], place: _Place) -> Iterator[str]:
        """Yield a value as blocks."""
        schema = self._resolved(schema)
        if isinstance(value, dict):
            yield from self._object(value, schema, place)
        elif isinstance(value, list):
            yield from self._list(value, schema, place)
        else:
            yield from (f'<p dir="auto">{_text(each)}</p>' for each in _paragraphs(value))

    def _object(self, value: Mapping[str, Any], schema: Mapping[str, Any], place: _Place) -> Iterator[str]:
        known: Mapping[str, Any] = schema.get("properties") or {}
        names = [name for name in known if name in value] + [name for name in value if name not in known]
        short = [name for name in names if _is_short(value[name]) and place.path]
        if short:
            yield '<dl class="doc-fields">'
            for name in short:
                yield f'<dt dir="auto">{self._label(known, name)}</dt><dd dir="auto">{_text(value[name])}</dd>'
            yield "</dl>"
        for name in names:
            if name not in short:
                yield self._heading(self._label(known, name), place.below(name))
                yield from self.value(value[name], known.get(name) or {}, place.below(name))

    def _list(self, items: list[Any], schema: Mapping[str, Any], place: _Place) -> Iterator[str]:
        of_items = self._resolved(schema.get("items") or {})
        if not items:
            yield f"<p>{_EMPTY}</p>"
        elif columns := _columns(items, of_items):
            yield from self._table(items, of_items, columns)
        elif all(not isinstance(each, dict | list) for each in items):
            yield "".join(["<ul>", *(f'<li dir="auto">{_text(each)}</li>' for each in items), "</ul>"])
        else:
            for index, each in enumerate(items):
                yield self._heading(_name_of(each, index), place.below(str(index)))
                yield from self.value(_unnamed(each), of_items, place.below(str(index)))

    def _table(self, rows: list[Any], schema: Mapping[str, Any], columns: list[str]) -> Iterator[str]:
        known = schema.get("properties") or {}
        heads = "".join(f'<th scope="col" dir="auto">{self._label(known, each)}</th>' for each in columns)
        yield '<div class="doc-table" role="group" aria-label="Table" tabindex="0"><table>'
        yield f"<thead><tr>{heads}</tr></thead>"
        for row in rows:
            yield "".join(["<tr>", *(f'<td dir="auto">{_text(row.get(each))}</td>' for each in columns), "</tr>"])
        yield "</table></div>"

    def _heading(self, text: str, place: _Place) -> str:
        anchor = ".".join(map(_as_name, place.path))
        level = place.level - 1
        self.headings.append((level, text, anchor))
        return f'<h{level} id="{anchor}" dir="auto">{text}</h{level}>'

    def _label(self, known: Mapping[str, Any], name: str) -> str:
        title = self._resolved(known.get(name) or {}).get("title")
        return escape(title or name.replace("_", " ").replace("-", " ").capitalize())

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        """Return a subschema, with a reference within the schema followed once."""
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        place: Any = self.root
        for part in reference[2:].split("/") if isinstance(reference, str) and reference.startswith("#/") else ():
            place = place.get(part, {}) if isinstance(place, dict) else {}
        return place if reference and isinstance(place, dict) else schema


def _as_name(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"~{ord(found.group()):x}~", part)


def _columns(rows: list[Any], schema: Mapping[str, Any]) -> list[str]:
    """Return the columns of a list that is shown as a table; none for other lists."""
    if not all(isinstance(row, dict) and all(_is_cell(value) for value in row.values()) for row in rows):
        return []
    known = schema.get("properties") or {}
    names = list(
        dict.fromkeys([*(name for name in known if any(name in row for row in rows)), *(n for r in rows for n in r)])
    )
    return names if len(names) <= _MAX_COLUMNS else []


def _is_cell(value: Any) -> bool:
    if isinstance(value, list):
        return all(not isinstance(each, dict | list) for each in value) and len(_text(value)) <= _MAX_CELL
    return not isinstance(value, dict) and len(str(value)) <= _MAX_CELL


def _is_short(value: Any) -> bool:
    return not isinstance(value, dict | list) and len(str(value)) <= 100 and "\n" not in str(value)


def _paragraphs(value: Any) -> list[Any]:
    return re.split(r"\n\s*\n", value.strip()) if isinstance(value, str) and value.strip() else [value]


def _name_of(item: Any, index: int) -> str:
    """Return the heading of an item: its title, else its number."""
    named = (
        next((item[name] for name in ("title", "name", "id") if name in item), None) if isinstance(item, dict) else None
    )
    return escape(named if isinstance(named, str) and named else f"{index + 1}")


def _unnamed(item: Any) -> Any:
    """Return an item without the field that is its heading."""
    name = next((name for name in ("title", "name", "id") if name in item), None) if isinstance(item, dict) else None
    return {key: value for key, value in item.items() if key != name} if name else item


def _text(value: Any) -> str:
    """Return a scalar, or a list of scalars, as escaped text."""
    if value is None or value == "" or value == []:
        return _EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return escape(str(value)).replace("\n", "<br>")
