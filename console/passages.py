"""Passages that a person has selected on a page, as places of the document: a pointer, and a quote of its text.

The page shows texts as Markdown. So a quote of the page is looked for without the marks of Markdown, and is returned as
the document has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from common.json_pointer import pointer
from documents.comparison.labels import SchemaView, item_label
from documents.comparison.values import ABSENT, INDEX, parts_of, resolve, texts_of

MAX_QUOTE = 10_000  # characters
MAX_PLACES = 300  # of one document that are offered
_MARKS = frozenset("*_`~")
_ESCAPED = re.compile("~(10[0-9a-f]{4}|[0-9a-f]{1,5})~")  # a code point
_MAX_LABELS = 4
_STEP = " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} "


@dataclass(frozen=True, slots=True)
class Passage:
    """A value, or a quote within a text. `start` is the place of the quote in its text."""

    pointer: str
    quote: str = ""
    start: int = 0


def find_passage(content: Any, *, near: str, quote: str) -> Passage:
    """Return the passage that was selected after a heading of the page.

    The text with the quote is looked for below the heading, then after it, then before it. Without such a text the
    passage is the whole value below the heading.

    Args:
        content: The content of the document.
        near: The anchor of the heading before the passage; empty if there is none.
        quote: The selected text.
    """
    place = _place_of(content, near)
    wanted = _plain(quote[:MAX_QUOTE])[0].strip()
    if wanted:
        texts = [*texts_of(content)]
        first = next((i for i, (parts, _) in enumerate(texts) if parts[: len(place)] == place), 0)
        for parts, text in [*texts[first:], *texts[:first]]:
            found = _found(text, wanted)
            if found:
                return Passage(pointer(*parts), text[found[0] : found[1]], found[0])
    return Passage(pointer(*place))


def places(content: Any, schema: Any) -> list[tuple[str, str]]:
    """Return the places of a document for a list of choices: pointer and label, in order."""
    found = [("", gettext("The whole document"))]
    waiting: list[tuple[Any, SchemaView, tuple[str, ...], tuple[str, ...]]] = [(content, SchemaView.of(schema), (), ())]
    while waiting and len(found) < MAX_PLACES:
        value, view, parts, labels = waiting.pop()
        if parts:
            found.append((pointer(*parts), _STEP.join(labels)))
        below = []
        if isinstance(value, dict):
            below = [(value[name], view.child(name), name, view.label(name)) for name in view.in_order({*value})]
        elif isinstance(value, list):
            below = [(each, view.item(i), str(i), item_label(each, i + 1)) for i, each in enumerate(value)]
        waiting += [(each, inner, (*parts, name), (*labels, label)) for each, inner, name, label in reversed(below)]
    return found


def label_of(content: Any, schema: Any, place: str) -> str:
    """Return what people call a place; empty for the whole document. The content may have another value there."""
    view, labels, value = SchemaView.of(schema), [], content
    for part in parts_of(place):
        parent, value = value, resolve(value, (part,))
        is_item = isinstance(parent, list) and INDEX.fullmatch(part)
        labels.append(item_label(value, int(part) + 1) if is_item else view.label(part))
        view = view.child(part)
    return _STEP.join(labels[-_MAX_LABELS:])


def _place_of(content: Any, anchor: str) -> tuple[str, ...]:
    """Return the path of an anchor of the page, as far as the content has it."""
    parts = tuple(_ESCAPED.sub(lambda code: chr(int(code[1], 16)), part) for part in anchor.split(".") if part)
    while parts and resolve(content, parts) is ABSENT:
        parts = parts[:-1]
    return parts


def _found(text: str, wanted: str) -> tuple[int, int] | None:
    plain, indices = _plain(text)
    start = plain.find(wanted)
    return None if start < 0 else (indices[start], indices[start + len(wanted) - 1] + 1)


def _plain(text: str) -> tuple[str, list[int]]:
    """Return a text without marks and with single spaces, and the index of each of its characters in the text."""
    characters: list[str] = []
    indices: list[int] = []
    for index, character in enumerate(text):
        if character in _MARKS:
            continue
        shown = " " if character.isspace() else character
        if shown != " " or (characters and characters[-1] != " "):
            characters.append(shown)
            indices.append(index)
    return "".join(characters), indices
