"""A document's content and schema as blocks.

Objects are sections with fields, lists of flat objects are tables, other lists of objects are a section for each item.
Nothing of the content is left out: what nests too deeply is shown as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from documents.rendering.content import markdown_text
from documents.rendering.content.schema_view import SchemaView, humanize
from documents.rendering.content.tree import (
    EMPTY,
    MAX_LEVEL,
    Block,
    Blocks,
    CodeBlock,
    Field,
    Fields,
    Heading,
    ListBlock,
    Paragraph,
    Run,
    Runs,
    Table,
    anchor_of,
    clean,
    clean_line,
    merged,
    plain,
    text_of,
)

_NAMES_OF_ITEMS = ("title", "name", "heading", "label", "term")
_IDS_OF_ITEMS = ("id", "key", "code", "number")
_SHORT = 100  # characters of a text that can stand beside its label, or be a heading
_MAX_DEPTH = 6  # lists within lists
_MAX_COLUMNS = 6
_MAX_CELL = 240  # characters
_MAX_ROW = 420  # characters of all cells of a row, on average
_MAX_INTRO = 200
_STEP = " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} "


def is_scalar(value: Any) -> bool:
    """Return whether a JSON value is a text, a number, true, false or null."""
    return not isinstance(value, dict | list)


def scalar_text(value: Any) -> str:
    """Return a value that is no Markdown text as people read it."""
    if value is None:
        return EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value)


def scalar_runs(value: Any, view: SchemaView) -> Runs:
    """Return a scalar as the content of a paragraph; a text without characters is a dash."""
    if not isinstance(value, str):
        return plain(scalar_text(value))
    if view.is_plain_text:
        text = clean_line(view.label_of_value(value))
        href = text if view.first("format") in {"uri", "url"} and markdown_text.is_safe_link(text) else ""
        return (Run(text or EMPTY, href=href),)
    return markdown_text.inline_of(value) or plain(EMPTY)


def content_blocks(content: Any, schema: Any, *, title: str, level: int = 1, prefix: str = "") -> Blocks:
    """Return the blocks of a document, without its title.

    Args:
        content: the JSON value.
        schema: its JSON Schema, or None.
        title: the title that stands above; a field `title` with the same text is left out.
        level: the level of the highest headings.
        prefix: begins the anchors of the document.
    """
    view = SchemaView.of(schema, content)
    builder = BlockBuilder(prefix)
    if isinstance(content, dict) and _is_same_line(content.get("title"), title):
        builder.members(content, view, Place("", level), skipped=("title",))
    else:
        builder.value(content, view, Place("", level))
    return tuple(builder.blocks)


def value_blocks(value: Any, view: SchemaView, *, pointer: str, level: int, prefix: str = "") -> Blocks:
    """Return the blocks of one value within a document."""
    builder = BlockBuilder(prefix)
    builder.value(value, view, Place(pointer, level))
    return tuple(builder.blocks)


class Place:
    """Where a value stands: its pointer, the level of headings there, and labels above headings of the last level."""

    def __init__(self, pointer: str, level: int, *, path: tuple[str, ...] = (), is_nested: bool = False) -> None:
        self.pointer = pointer
        self.level = level
        self.path = path
        self.is_nested = is_nested  # within an item or a member: long texts get a label, and no heading

    def below(self, name: str | int, label: str) -> Place:
        """Return the place of a part that has a heading of its own."""
        pointer = self.at(name)
        path = (*self.path, label) if self.level >= MAX_LEVEL else ()
        return Place(pointer, min(self.level + 1, MAX_LEVEL), path=path[-3:], is_nested=True)

    def at(self, name: str | int) -> str:
        """Return the pointer of a member or an item."""
        return f"{self.pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"


class BlockBuilder:
    """Collects the blocks of one document."""

    def __init__(self, prefix: str = "") -> None:
        self.blocks: list[Block] = []
        self._prefix = prefix

    def value(self, value: Any, view: SchemaView, place: Place) -> None:
        """Add any value that stands alone."""
        if isinstance(value, dict) and value:
            self.members(value, view, place)
        elif isinstance(value, list) and value:
            self._items(value, view, place, label=view.title)
        elif isinstance(value, str) and value.strip() and not view.is_plain_text:
            self._text(value, place)
        else:
            self.blocks.append(Paragraph(scalar_runs(value or None if not is_scalar(value) else value, view)))

    # --- objects ------------------------------------------------------------------------------------------------------

    def members(self, value: dict[str, Any], view: SchemaView, place: Place, *, skipped: Sequence[str] = ()) -> None:
        """Add the members of an object; neighbours that fit beside their labels are one block of fields."""
        fields: list[Field] = []
        for name in view.names(value):
            if name in skipped:
                continue
            member, inner = value[name], view.member(name, value[name])
            label = _label(name, inner)
            runs = self._field(member, inner, place)
            if runs is not None:
                fields.append(Field(label, runs, self._anchor(place.at(name))))
                continue
            self._flush(fields)
            self._section(member, inner, (place, name, label))
        self._flush(fields)

    def _flush(self, fields: list[Field]) -> None:
        if fields:
            self.blocks.append(Fields(tuple(fields)))
            fields.clear()

    def _field(self, value: Any, view: SchemaView, place: Place) -> Runs | None:
        """Return a value that can stand beside its label; None for one that needs a place of its own."""
        if isinstance(value, dict | list):
            return _joined(value, view) if place.is_nested or not value else None
        if not isinstance(value, str) or view.is_plain_text or not value.strip():
            return scalar_runs(value, view)
        if place.is_nested:
            return _single_paragraph(value)
        return scalar_runs(value, view) if len(value) <= _SHORT and "\n" not in value.strip() else None

    def _section(self, value: Any, view: SchemaView, where: tuple[Place, str, str]) -> None:
        """Add a member of an object at a place, by its name and label; within an item texts get no heading."""
        place, name, label = where
        is_text = isinstance(value, str) or (isinstance(value, list) and all(map(is_scalar, value)))
        if place.is_nested and is_text:
            self.blocks.append(Paragraph(plain(label), role="label", anchor=self._anchor(place.at(name))))
            inner = Place(place.at(name), place.level, path=place.path, is_nested=True)
        else:
            inner = place.below(name, label)
            inner.is_nested = not isinstance(value, str)
            self._heading(label, place, inner.pointer)
            self._intro(value, view)
        if isinstance(value, list):
            self._items(value, view, inner, label=label)
        else:
            self.value(value, view, inner)

    def _intro(self, value: Any, view: SchemaView) -> None:
        """Add the description of a list or an object; descriptions of texts are instructions for their authors."""
        description = clean_line(view.description)
        if isinstance(value, dict | list) and description and len(description) <= _MAX_INTRO:
            self.blocks.append(Paragraph(plain(description), role="intro"))

    def _heading(self, text: str | Runs, place: Place, pointer: str) -> None:
        runs = plain(text) if isinstance(text, str) else text
        above = f"{_STEP.join(place.path)}{_STEP}" if place.path else ""
        self.blocks.append(Heading(place.level, ((Run(above),) if above else ()) + runs, self._anchor(pointer)))

    def _text(self, value: str, place: Place) -> None:
        self.blocks += markdown_text.blocks_of(
            value, level=place.level, anchor=self._anchor(place.pointer), headings=not place.is_nested
        )

    def _anchor(self, pointer: str) -> str:
        return anchor_of(pointer, self._prefix)

    # --- lists --------------------------------------------------------------------------------------------------------

    def _items(self, value: list[Any], view: SchemaView, place: Place, *, label: str) -> None:
        table = _table(value, view)
        if table is not None:
            self.blocks.append(table)
        elif any(isinstance(item, dict) for item in value):
            for index, item in enumerate(value):
                self._item((index, item), view, place, label=label)
        else:
            self.blocks.append(_bullets(value, view, depth=1))

    def _item(self, numbered: tuple[int, Any], view: SchemaView, place: Place, *, label: str) -> None:
        index, value = numbered
        inner = view.item(index, value)
        heading, skipped = _name_of_item(value, inner)
        title = heading or plain(f"{inner.title or label} {index + 1}".strip())
        below = place.below(index, text_of(title))
        self._heading(title, place, below.pointer)
        if isinstance(value, dict) and value:
            self.members(value, inner, below, skipped=skipped)
        else:
            self.value(value, inner, below)


def _label(name: str, view: SchemaView) -> str:
    return clean_line(view.title or humanize(name)) or EMPTY


def _is_same_line(value: Any, title: str) -> bool:
    return isinstance(value, str) and clean_line(value) == clean_line(title)


def _single_paragraph(value: str) -> Runs | None:
    """Return a Markdown text as runs if it is one paragraph."""
    found = markdown_text.blocks_of(value)
    return found[0].text if len(found) == 1 and isinstance(found[0], Paragraph) else None


def _joined(value: Any, view: SchemaView) -> Runs | None:
    """Return a short list of short texts in one line; None for other lists and objects that are not empty."""
    if not value:
        return plain(EMPTY)
    if not isinstance(value, list) or not all(map(is_scalar, value)) or len(value) > 20:
        return None
    if any(isinstance(item, str) and (re.search("[,\n]", item.strip()) or len(item) > 30) for item in value):
        return None
    runs = list_runs(value, view)
    return runs if len(text_of(runs)) <= _SHORT else None


def list_runs(value: list[Any], view: SchemaView) -> Runs:
    """Return scalars in one line, with commas."""
    runs: list[Run] = []
    for index, item in enumerate(value):
        runs += [Run(", ")] if index else []
        runs += scalar_runs(item, view.item(index, item))
    return merged(runs) or plain(EMPTY)


def _name_of_item(value: Any, view: SchemaView) -> tuple[Runs | None, tuple[str, ...]]:
    """Return the heading of an item, and the names of the members that it shows."""
    if not isinstance(value, dict):
        return None, ()
    ids = [name for name in _IDS_OF_ITEMS if isinstance(value.get(name), str | int) and _is_line(str(value[name]))]
    names = [name for name in _NAMES_OF_ITEMS if _is_line(value.get(name))]
    if not names and not ids:
        names = [name for name in view.names(value)[:1] if _is_line(value[name])]
    used = (*ids[:1], *names[:1])
    runs: Runs = ()
    for name in used:
        runs += ((Run(": "),) if runs else ()) + scalar_runs(value[name], view.member(name, value[name]))
    return runs or None, used


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= _SHORT and "\n" not in value.strip()


def _bullets(value: list[Any], view: SchemaView, depth: int) -> ListBlock:
    """Return a list of scalars and lists."""
    items: list[Blocks] = []
    for index, item in enumerate(value):
        inner = view.item(index, item)
        if isinstance(item, list) and item and depth < _MAX_DEPTH and not any(isinstance(each, dict) for each in item):
            items.append((_bullets(item, inner, depth + 1),))
        elif isinstance(item, dict | list) and item:
            items.append((CodeBlock(clean(json.dumps(item, ensure_ascii=False, indent=2)), "json"),))
        elif isinstance(item, str) and item.strip() and not inner.is_plain_text:
            items.append(markdown_text.blocks_of(item, headings=False))
        else:
            items.append((Paragraph(scalar_runs(None if isinstance(item, dict | list) else item, inner)),))
    return ListBlock(tuple(items))


def _table(value: list[Any], view: SchemaView) -> Table | None:
    """Return a list of flat objects as a table; None if it is none, or too wide to be read."""
    if not value or not all(isinstance(item, dict) for item in value):
        return None
    views = [view.item(index, item) for index, item in enumerate(value)]
    names = list(dict.fromkeys(name for item, inner in zip(value, views, strict=True) for name in inner.names(item)))
    if not 2 <= len(names) <= _MAX_COLUMNS:
        return None
    rows = [_row(item, inner, names) for item, inner in zip(value, views, strict=True)]
    complete = [row for row in rows if row is not None]
    characters = sum(len(text_of(cell)) for row in complete for cell in row)
    if len(complete) < len(rows) or characters > _MAX_ROW * len(rows):
        return None
    header = tuple(plain(_column(name, value, views)) for name in names)
    aligns = ("right" if all(map(_is_number, (item.get(name) for item in value))) else "" for name in names)
    return Table(header, tuple(complete), tuple(aligns))


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _column(name: str, value: list[Any], views: list[SchemaView]) -> str:
    member = next((inner.member(name, item[name]) for item, inner in zip(value, views, strict=True) if name in item))
    return _label(name, member)


def _row(item: dict[str, Any], view: SchemaView, names: list[str]) -> tuple[Runs, ...] | None:
    cells: list[Runs] = []
    for name in names:
        cell = _cell(item[name], view.member(name, item[name])) if name in item else plain(EMPTY)
        if cell is None:
            return None
        cells.append(cell)
    return tuple(cells)


def _cell(value: Any, view: SchemaView) -> Runs | None:
    if isinstance(value, dict | list):
        return _joined(value, view)
    if isinstance(value, str) and (len(value) > _MAX_CELL or "\n" in value.strip()):
        return None
    return scalar_runs(value, view)
