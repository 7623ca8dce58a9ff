"""Revises a version that a person has read: it changes the commented passages, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby, islice

import jsonschema_rs
from pydantic import JsonValue

from common.json_pointer import pointer
from documents.comparison.passages import Anchor, unchanged_elsewhere
from documents.comparison.quotes import find_quote
from documents.comparison.values import (
    ABSENT,
    MaybeValue,
    Parts,
    copy_of,
    is_equal,
    kind_of,
    parts_of,
    resolve,
    texts_of,
)
from executions.engine.domain.acceptance import PassageComment, Revision
from executions.llm.rehearsal.document_generator import DocumentGenerator
from executions.llm.rehearsal.strings import KEYS
from executions.llm.rehearsal.unwritable import Unwritable
from workflows.json_schema.validation import JsonSchema, validator_of

_MAX_REMARK = 200  # characters of a remark that a text repeats
_MAX_TRIES = 40  # generated values per passage
_MAX_TEXTS = 20  # texts within a commented object or list that are tried
_MIN_FITTED = 20  # characters; a shorter text has no room for a remark
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")


def revise(revision: Revision, generator: DocumentGenerator, *, schema: JsonSchema) -> JsonValue | None:
    """Return the version with every commented passage changed; a text repeats the remark about it.

    A remark about the whole document changes one of its texts. A passage stays if no other value is valid there.
    None: the version is not valid against the schema.
    """
    validator = validator_of(schema)
    content = copy_of(dict(revision.content))
    if not validator.is_valid(content):
        return None
    for place, group in groupby(_comments(revision), key=lambda each: each.pointer):
        content = _changed(content, parts_of(place), list(group), generator=generator, validator=validator)
    return content


def _comments(revision: Revision) -> list[PassageComment]:
    """Return the remarks by pointer, the inner ones first. The general one is the last, if it may change anything."""
    request = revision.request
    general = [PassageComment(pointer="", text=request.comment)] if request.comment else []
    comments = [*request.comments, *([] if request.only_commented else general)]
    return sorted(comments, key=lambda each: (-len(parts_of(each.pointer)), each.pointer))


def _changed(
    content: JsonValue,
    parts: Parts,
    comments: Sequence[PassageComment],
    *,
    generator: DocumentGenerator,
    validator: jsonschema_rs.Validator,
) -> JsonValue:
    """Return the document with another value at a place, the first that is valid; else the document as it is."""
    value = resolve(content, parts)
    if value is ABSENT:
        return content
    passages = [Anchor("", each.quote) for each in comments]
    try:
        for candidate in _candidates(content, parts, comments, generator=generator):
            if is_equal(candidate, value) or unchanged_elsewhere(value, candidate, passages):
                continue
            changed = _replaced(content, parts, candidate)
            if validator.is_valid(changed):
                return changed
    except Unwritable:  # the generator has no further value
        pass
    return content


def _candidates(
    content: JsonValue, parts: Parts, comments: Sequence[PassageComment], *, generator: DocumentGenerator
) -> Iterator[JsonValue]:
    """Yield other values for a place; some may be invalid."""
    value, remark = resolve(content, parts), " ".join(each.text for each in comments)
    if isinstance(value, str):
        yield from _texts(value, comments, is_key=parts[-1:] != () and parts[-1] in KEYS)
    elif isinstance(value, dict | list):
        for inner in _prose_first(value):
            is_key = inner[-1:] != () and inner[-1] in KEYS
            text = str(resolve(value, inner))
            for changed in _variants(text, remark, is_key=is_key):
                yield _replaced(value, inner, changed)
    elif kind_of(value) == "scalar":
        yield from _numbers(remark)
    generated = list(islice(generator.values_at(parts, content), _MAX_TRIES))
    yield from sorted(generated, key=lambda each: str(each).lower() not in remark.lower())  # a named option comes first


def _texts(text: str, comments: Sequence[PassageComment], *, is_key: bool) -> Iterator[str]:
    """Yield a text with its quotes changed; without quotes, all of it."""
    if not all(each.quote for each in comments):
        yield from _variants(text, " ".join(each.text for each in comments), is_key=is_key)
        return
    found = [(place, each.text) for each in comments if (place := find_quote(text, each.quote)) is not None]
    pieces: list[tuple[str, Iterator[str]]] = []  # the text before each quote, and what may stand in its place
    end = 0
    for place, remark in sorted(found):
        if place.start >= end:
            quote = text[place.start : place.end]
            pieces.append((text[end : place.start], _variants(quote, remark, is_key=is_key)))
            end = place.end
    for changed in zip(*(variants for _, variants in pieces), strict=False):
        yield "".join(before + piece for (before, _), piece in zip(pieces, changed, strict=True)) + text[end:]


def _variants(text: str, remark: str, *, is_key: bool) -> Iterator[str]:
    """Yield a text that repeats the remark, then one of the same length, then one without the remark."""
    if is_key:
        yield f"{text}-2"
    note = re.sub(r"\s+", " ", remark.replace("#", " ")).strip()  # a remark is no citation, as `brief.pdf#page=7` is
    note = note if len(note) <= _MAX_REMARK else f"{note[: _MAX_REMARK - 1]}…"
    yield f"{text} [as asked: {note}]"
    room = len(text) // 2
    if len(text) >= _MIN_FITTED:
        short = f"[{note}]" if len(note) + 2 <= room else f"[{note[: room - 3]}…]"
        yield f"{text[: len(text) - len(short) - 2]}… {short}"
    yield note[: len(text)].strip()
    yield f"{text}-2"


def _prose_first(value: JsonValue) -> list[Parts]:
    """Return the paths of texts within a value: sentences first, then titles, then words."""
    texts = list(islice(texts_of(value), 100 * _MAX_TEXTS))
    order = sorted(texts, key=lambda each: 2 if " " not in each[1] else each[0][-1:] == ("title",))
    return [parts for parts, _ in order[:_MAX_TEXTS]]


def _numbers(remark: str) -> Iterator[JsonValue]:
    """Yield the numbers that the remark names."""
    for found in _NUMBER.findall(remark[:_MAX_REMARK]):
        plain = found.replace(",", "")
        if plain.count(".") <= 1:
            yield float(plain) if "." in plain else int(plain)


def _replaced(value: MaybeValue, parts: Parts, new: JsonValue) -> JsonValue:
    """Return a copy of a value with another one at a path; what the copy does not change, it shares."""
    if not parts:
        return new
    part, rest = parts[0], parts[1:]
    if isinstance(value, list):
        index = int(part)
        return [*value[:index], _replaced(value[index], rest, new), *value[index + 1 :]]
    if isinstance(value, dict):
        return {**value, part: _replaced(value[part], rest, new)}
    raise LookupError(pointer(*parts))
