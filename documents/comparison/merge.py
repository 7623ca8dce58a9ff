"""Merges two versions that were made from the same earlier one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from pydantic import JsonValue

from common.json_pointer import pointer
from documents.comparison.labels import Schema, SchemaView
from documents.comparison.matching import key_name
from documents.comparison.values import ABSENT, MAX_DEPTH, MaybeValue, is_equal

_Key: TypeAlias = str | int | float


@dataclass(slots=True)
class Merged:
    """The merged content, and the places that both have changed, where it has the value of the first one."""

    content: MaybeValue = ABSENT
    conflicts: list[str] = field(default_factory=list)

    def note(self, inner: Merged, name: str | int) -> None:
        """Add the conflicts of a part."""
        self.conflicts += [pointer(name) + each for each in inner.conflicts]


class _Three(NamedTuple):
    """The values of one place."""

    base: MaybeValue
    mine: MaybeValue
    theirs: MaybeValue


def merge(base: MaybeValue, mine: MaybeValue, theirs: MaybeValue, *, schema: Schema | None = None) -> Merged:
    """Return what has the changes from `base` of both. Where both changed the same value, `mine` counts.

    Members of objects are merged one by one. So are the items of lists in which every item has a key (`x-key`, an id, a
    name): by their keys, unless both changed their order. Other lists are merged if both changed different stretches.
    Else the list is one value.
    """
    return _merge(_Three(base, mine, theirs), SchemaView.of(schema), depth=0)


def _merge(values: _Three, view: SchemaView, *, depth: int) -> Merged:
    base, mine, theirs = values
    if is_equal(theirs, base) or is_equal(mine, theirs):
        return Merged(mine)
    if is_equal(mine, base):
        return Merged(theirs)
    found: Merged | None = None
    if depth < MAX_DEPTH and isinstance(base, dict) and isinstance(mine, dict) and isinstance(theirs, dict):
        found = _merge_objects(base, mine, theirs, view=view, depth=depth)
    elif depth < MAX_DEPTH and isinstance(base, list) and isinstance(mine, list) and isinstance(theirs, list):
        found = _merge_lists(base, mine, theirs, view=view, depth=depth)
    return found or Merged(mine, [""])


def _merge_objects(
    base: dict[str, JsonValue],
    mine: dict[str, JsonValue],
    theirs: dict[str, JsonValue],
    *,
    view: SchemaView,
    depth: int,
) -> Merged:
    content: dict[str, JsonValue] = {}
    merged = Merged(content)
    for name in dict.fromkeys([*mine, *theirs]):
        values = _Three(*(each.get(name, ABSENT) for each in (base, mine, theirs)))
        inner = _merge(values, view.child(name), depth=depth + 1)
        merged.note(inner, name)
        if inner.content is not ABSENT:
            content[name] = inner.content
    return merged


def _merge_lists(
    base: list[JsonValue], mine: list[JsonValue], theirs: list[JsonValue], *, view: SchemaView, depth: int
) -> Merged | None:
    """Return the merged list; None if it is one value that both have changed."""
    name = key_name(view, base, mine, theirs)
    if name is None:
        return _merge_stretches(base, mine, theirs)
    maps = [_by_key(items, name) for items in (base, mine, theirs)]
    order = _merged_order(*maps)
    if order is None:
        return None
    content: list[JsonValue] = []
    merged = Merged(content)
    for key in order:
        inner = _merge(_Three(*(each.get(key, ABSENT) for each in maps)), view.item(), depth=depth + 1)
        if inner.content is not ABSENT:
            merged.note(inner, len(content))
            content.append(inner.content)
        elif inner.conflicts:  # what one removed, and the other changed
            merged.conflicts += [""] * ("" not in merged.conflicts)
    return merged


def _by_key(items: list[JsonValue], name: str) -> dict[_Key, JsonValue]:
    found: dict[_Key, JsonValue] = {}
    for item in items:
        key = item[name] if isinstance(item, dict) else None
        if isinstance(key, str | int | float):
            found[key] = item
    return found


def _merged_order(base: Iterable[_Key], mine: Iterable[_Key], theirs: Iterable[_Key]) -> list[_Key] | None:
    """Return the keys of all lists in their merged order; None if the two have moved items in different ways."""
    common = {*base} & {*mine} & {*theirs}
    before, moved, moved_by_them = ([key for key in each if key in common] for each in (base, mine, theirs))
    if moved_by_them in (before, moved):
        return _inserted([*mine], [*theirs])
    return _inserted([*theirs], [*mine]) if moved == before else None


def _inserted(order: list[_Key], other: list[_Key]) -> list[_Key]:
    """Return an order with what the other one has beside it, each key after the one that it follows there."""
    following: dict[_Key | None, list[_Key]] = {}
    known, last = {*order}, None
    for key in other:
        if key in known:
            last = key
        else:
            following.setdefault(last, []).append(key)
    return [*following.get(None, ()), *(each for key in order for each in (key, *following.get(key, ())))]


class _Stretch(NamedTuple):
    """What a version has in place of a stretch of the base's items."""

    start: int
    end: int
    items: list[JsonValue]


def _merge_stretches(base: list[JsonValue], mine: list[JsonValue], theirs: list[JsonValue]) -> Merged | None:
    """Return the list with the changes of both; None if they changed the same items, or added at the same place."""
    first, last = sorted((_changed(base, mine), _changed(base, theirs)), key=lambda each: (each.start, each.end))
    if last.start < first.end or last.start == first.start == first.end == last.end:
        return None
    return Merged([*base[: first.start], *first.items, *base[first.end : last.start], *last.items, *base[last.end :]])


def _changed(base: list[JsonValue], items: list[JsonValue]) -> _Stretch:
    """Return the shortest stretch that holds all changes."""
    shorter = min(len(base), len(items))
    start = next((i for i in range(shorter) if not is_equal(base[i], items[i])), shorter)
    left = shorter - start
    kept = next((i for i in range(left) if not is_equal(base[-1 - i], items[-1 - i])), left)
    return _Stretch(start, len(base) - kept, items[start : len(items) - kept])
