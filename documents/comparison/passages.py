"""Passages of documents: where a commented passage is in a later version, and what changed outside of passages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from pydantic import JsonValue

from common.json_pointer import pointer
from documents.comparison.alignment import Budget
from documents.comparison.edits import ArrayEdit, Edit, ObjectEdit, Replaced, find_edits
from documents.comparison.labels import Schema, SchemaView
from documents.comparison.matching import Context
from documents.comparison.quotes import Range, context_of, find_quote, find_similar
from documents.comparison.values import ABSENT, MaybeValue, Parts, child, is_equal, parts_of, resolve, texts_of
from documents.comparison.words import tokens

MIN_UNIQUE = 12  # characters of a quote that is looked for in other texts of the document
_SIMILAR = 0.6  # of 1: from this similarity on, a passage was edited in its text
_SIMILAR_ELSEWHERE = 0.75  # the same in another text
_MAX_TEXTS = 3  # other texts in which a similar passage is looked for
_STEPS = 100_000  # the budget for one passage


@dataclass(frozen=True, slots=True)
class Anchor:
    """A passage of one version: a value, or a quote within a text. `prefix` and `suffix` stand around the quote."""

    pointer: str
    quote: str = ""  # empty: the whole value
    prefix: str = ""
    suffix: str = ""
    start: int = 0  # about where the quote begins, in characters; it decides between equal surroundings


class Found(StrEnum):
    """How a passage was found in a later version."""

    SAME = "same"  # at its place
    MOVED = "moved"  # in its item of a list, which is at another place
    ELSEWHERE = "elsewhere"  # in another text
    EDITED = "edited"  # its words are other ones


@dataclass(frozen=True, slots=True)
class Location:
    """Where a passage is in a later version. Without a quote, `start` and `end` are 0."""

    pointer: str
    found: Found
    quote: str = ""  # as it reads now
    start: int = 0  # in characters of the text
    end: int = 0


def anchor_of(document: JsonValue, place: str, quote: str = "", *, near: int = 0) -> Anchor | None:
    """Return the anchor of a passage, with its surroundings; None if the document has no such passage.

    Args:
        document: The version that has the passage.
        place: The pointer of its value.
        quote: A quote within a text; empty for the whole value.
        near: About where the quote begins, if the text has it more than once.

    Raises:
        InvalidPointer: the place is no JSON Pointer.
    """
    value = resolve(document, parts_of(place))
    if not quote:
        return None if value is ABSENT else Anchor(place)
    found = find_quote(value, quote, near=near) if isinstance(value, str) else None
    if found is None or not isinstance(value, str):
        return None
    prefix, suffix = context_of(value, found)
    return Anchor(place, quote, prefix, suffix, found.start)


def locate(anchor: Anchor, before: JsonValue, after: JsonValue, *, schema: Schema | None = None) -> Location | None:
    """Return where a passage of one version is in a later one; None if it is lost.

    For many passages of the same versions, use one `PassageFinder`.
    """
    return PassageFinder(before, after, schema=schema).locate(anchor)


class PassageFinder:
    """Finds passages of one version in a later one. The same input gives the same result, in bounded time."""

    def __init__(self, before: JsonValue, after: JsonValue, *, schema: Schema | None = None) -> None:
        self._before, self._after = before, after
        self._edit = find_edits(before, after, SchemaView.of(schema), context=Context())

    def locate(self, anchor: Anchor) -> Location | None:
        """Return where a passage is in the later version; None if it is lost.

        A quote is looked for in its text first, also if its item of a list moved; then in any other text, if it is at
        least `MIN_UNIQUE` characters long and unique. Then an edited passage counts that is similar enough: in its
        text, or in another one if the quote is nowhere.

        Raises:
            InvalidPointer: the pointer of the anchor is no JSON Pointer.
        """
        parts = parts_of(anchor.pointer)
        followed = _follow(self._edit, parts)
        if not anchor.quote:
            if followed is None or resolve(self._after, followed) is ABSENT:
                return None
            return Location(pointer(*followed), Found.SAME if followed == parts else Found.MOVED)
        followed = parts if followed is None else followed
        passage = _Passage.of(anchor, resolve(self._before, parts))
        text = resolve(self._after, followed)
        start = passage.find_in(text) if isinstance(text, str) else None
        if start is not None:
            return _location(Found.SAME if followed == parts else Found.MOVED, followed, start, quote=anchor.quote)
        having = [place for place, other in self._texts.items() if anchor.quote in other]
        return self._unique(passage, having) or self._similar(passage, followed, is_elsewhere=bool(having))

    @cached_property
    def _texts(self) -> dict[Parts, str]:
        return dict(texts_of(self._after))

    @cached_property
    def _words(self) -> dict[Parts, frozenset[str]]:
        return {parts: _words(text) for parts, text in self._texts.items()}

    def _unique(self, passage: _Passage, having: list[Parts]) -> Location | None:
        if len(passage.quote) < MIN_UNIQUE or len(having) != 1:
            return None
        text = self._texts[having[0]]
        start = text.find(passage.quote)
        if text.find(passage.quote, start + 1) >= 0:
            return None
        return _location(Found.ELSEWHERE, having[0], start, quote=passage.quote)

    def _similar(self, passage: _Passage, followed: Parts, *, is_elsewhere: bool) -> Location | None:
        """Return an edited passage: in its text, or in another one unless the quote itself is elsewhere."""
        budget = Budget(_STEPS)
        others = [] if is_elsewhere else self._candidates(passage, followed)
        for parts, least in [(followed, _SIMILAR), *((each, _SIMILAR_ELSEWHERE) for each in others)]:
            text = resolve(self._after, parts)
            found = passage.find_similar_in(text, budget) if isinstance(text, str) else None
            if found is not None and isinstance(text, str) and found[1] >= least:
                start, end = found[0]
                return _location(Found.EDITED, parts, start, quote=text[start:end])
        return None

    def _candidates(self, passage: _Passage, followed: Parts) -> list[Parts]:
        """Return the other texts that have most words of the quote, the best one first."""
        if len(passage.quote) < MIN_UNIQUE:
            return []
        words = _words(passage.quote)
        shares = {parts: len(words & others) / max(len(words), 1) for parts, others in self._words.items()}
        enough = [parts for parts, share in shares.items() if share >= _SIMILAR_ELSEWHERE and parts != followed]
        return sorted(enough, key=lambda parts: -shares[parts])[:_MAX_TEXTS]


@dataclass(frozen=True, slots=True)
class _Passage:
    """A quote with the text that it was taken from."""

    text: str
    place: Range
    prefix: str
    suffix: str

    @classmethod
    def of(cls, anchor: Anchor, value: MaybeValue) -> _Passage:
        """Return the passage; its surroundings stand for the text if that has no such quote."""
        text = value if isinstance(value, str) else ""
        place = find_quote(text, anchor.quote, anchor.prefix, suffix=anchor.suffix, near=anchor.start)
        if place is None:
            text = anchor.prefix + anchor.quote + anchor.suffix
            place = Range(len(anchor.prefix), len(anchor.prefix) + len(anchor.quote))
        prefix, suffix = context_of(text, place)
        return cls(text, place, anchor.prefix or prefix, anchor.suffix or suffix)

    @property
    def quote(self) -> str:
        return self.text[self.place.start : self.place.end]

    def find_in(self, text: str) -> int | None:
        found = find_quote(text, self.quote, self.prefix, suffix=self.suffix, near=self.place.start)
        return None if found is None else found.start

    def find_similar_in(self, text: str, budget: Budget) -> tuple[Range, float] | None:
        return find_similar(self.text, self.place, text, budget=budget)


def _location(found: Found, parts: Parts, start: int, *, quote: str) -> Location:
    return Location(pointer(*parts), found, quote, start, start + len(quote))


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in tokens(text.lower()) if not word.isspace())


def _follow(edit: Edit | None, parts: Parts) -> Parts | None:
    """Return the path in the later version of a path in the earlier one; None if what it leads to was removed."""
    followed: Parts = ()
    for number, part in enumerate(parts):
        match edit:
            case Replaced(after=value):
                rest = parts[number:]
                return None if resolve(value, rest) is ABSENT else (*followed, *rest)
            case ObjectEdit(fields):
                edit = next((inner for name, inner in fields if name == part), None)
            case ArrayEdit(items, pairs):
                index = next((j for i, j in pairs if str(i) == part), None)
                if index is None:
                    return None
                edit = next((item.edit for item in items if item.after == index), None)
                part = str(index)
        followed = (*followed, part)
    return None if isinstance(edit, Replaced) and edit.after is ABSENT else followed


# --- what changed outside of passages ---------------------------------------------------------------------------------


class _Permit:
    """Which passages may change at a value and within it."""

    def __init__(self) -> None:
        self.is_whole = False
        self.quotes: list[Anchor] = []
        self._within: dict[str, _Permit] = {}

    def add(self, anchor: Anchor) -> None:
        permit = self
        for part in parts_of(anchor.pointer):
            permit = permit._within.setdefault(part, _Permit())
        if anchor.quote:
            permit.quotes.append(anchor)
        else:
            permit.is_whole = True

    def within(self, part: str) -> _Permit:
        return self._within.get(part, _NO_PERMIT)


_NO_PERMIT = _Permit()


def unchanged_elsewhere(before: JsonValue, after: JsonValue, passages: Iterable[Anchor]) -> list[str]:
    """Return the pointers of all places outside of the passages that differ; an empty list if there are no others.

    A passage without a quote allows any value at its place, or none. A passage with a quote allows other text in place
    of the quote; the text before and after it has to stay to the letter. A quote without surroundings is meant wherever
    its text has it; a quote that its text does not have allows nothing. Values elsewhere have to be equal as JSON.
    Items of a list stay in their order, and none may be added.
    The pointers lead into `after`; those of missing values say where the value was.

    Raises:
        InvalidPointer: the pointer of a passage is no JSON Pointer.
    """
    permit = _Permit()
    for passage in passages:
        permit.add(passage)
    return [pointer(*parts) for parts in _differing(before, after, permit)]


def _differing(before: MaybeValue, after: MaybeValue, permit: _Permit, *, path: Parts = ()) -> Iterator[Parts]:
    if permit.is_whole:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            yield from _differing(child(before, name), child(after, name), permit.within(name), path=(*path, name))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _differing_items(before, after, permit, path=path)
    elif isinstance(before, str) and isinstance(after, str):
        if before != after and not _fits(after, _kept(before, permit.quotes)):
            yield path
    elif not is_equal(before, after):
        yield path


def _differing_items(
    before: list[JsonValue], after: list[JsonValue], permit: _Permit, *, path: Parts = ()
) -> Iterator[Parts]:
    permits = [permit.within(str(index)) for index in range(len(before))]
    passages, missing = sum(each.is_whole for each in permits), len(before) - len(after)
    if not 0 <= missing <= passages:
        yield path
        return
    place = 0
    for index, (item, inner) in enumerate(zip(before, permits, strict=True)):
        if inner.is_whole:
            following = (
                each for each, other in zip(before[index:], permits[index:], strict=True) if not other.is_whole
            )
            is_gone = missing > 0 and place < len(after) and is_equal(next(following, ABSENT), after[place])
            was_removed = is_gone or missing == passages
            passages -= 1
            missing -= was_removed
            place += not was_removed
        else:
            yield from _differing(item, after[place], inner, path=(*path, str(place)))
            place += 1


def _kept(text: str, quotes: Sequence[Anchor]) -> list[str]:
    """Return the pieces of a text that stand before, between and after the quotes."""
    pieces, start = list[str](), 0
    for place in sorted(place for each in quotes for place in _places(text, each)):
        if place.start >= start or not pieces:
            pieces.append(text[start : place.start])
        start = max(start, place.end)
    return [*pieces, text[start:]]


def _places(text: str, passage: Anchor) -> list[Range]:
    """Return where a quote stands: once by its surroundings, and wherever it stands if nothing tells which is meant."""
    if passage.prefix or passage.suffix or passage.start:
        found = find_quote(text, passage.quote, passage.prefix, suffix=passage.suffix, near=passage.start)
        return [] if found is None else [found]
    return [Range(*each.span()) for each in re.finditer(re.escape(passage.quote), text)]


def _fits(text: str, pieces: Sequence[str]) -> bool:
    """Return whether a text begins with the first piece, ends with the last, and has the others between in order."""
    if len(pieces) == 1:
        return text == pieces[0]
    first, *middle, last = pieces
    start, end = len(first), len(text) - len(last)
    if start > end or not text.startswith(first) or not text.endswith(last):
        return False
    for piece in middle:
        start = text.find(piece, start, end)
        if start < 0:
            return False
        start += len(piece)
    return True
