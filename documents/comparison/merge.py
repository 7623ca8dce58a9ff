"""Merges two versions that were made from the same earlier one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from pydantic import JsonValue

from documents.comparison.values import ABSENT, MAX_DEPTH, MaybeValue, is_equal, pointer

_Path: TypeAlias = tuple[str | int, ...]
_Three: TypeAlias = tuple[MaybeValue, MaybeValue, MaybeValue]  # base, mine, theirs


@dataclass(slots=True)
class Merged:
    """The merged content, and the places that both have changed, where it has the value of the first one."""

    content: MaybeValue = ABSENT
    conflicts: list[str] = field(default_factory=list)


def merge(base: MaybeValue, mine: MaybeValue, theirs: MaybeValue) -> Merged:
    """Return what has the changes from `base` of both. Where both changed the same value, `mine` counts.

    Members of objects are merged one by one. So are the items of lists of the same length; other lists that both have
    changed are one value.
    """
    merged = Merged()
    merged.content = _merge(base, mine, theirs, path=(), merged=merged)
    return merged


def _merge(base: MaybeValue, mine: MaybeValue, theirs: MaybeValue, *, path: _Path, merged: Merged) -> MaybeValue:
    if is_equal(theirs, base) or is_equal(mine, theirs):
        return mine
    if is_equal(mine, base):
        return theirs
    values = (base, mine, theirs)
    if len(path) < MAX_DEPTH and all(isinstance(each, dict) for each in values):
        return _merge_objects(values, path=path, merged=merged)
    if len(path) < MAX_DEPTH and all(isinstance(each, list) for each in values) and len(set(map(_length, values))) == 1:
        return _merge_items(values, path=path, merged=merged)
    merged.conflicts.append(pointer(*path))
    return mine


def _length(value: MaybeValue) -> int:
    return len(value) if isinstance(value, list) else 0


def _merge_objects(values: _Three, *, path: _Path, merged: Merged) -> JsonValue:
    base, mine, theirs = (each if isinstance(each, dict) else {} for each in values)
    found: dict[str, JsonValue] = {}
    for name in [*mine, *(each for each in theirs if each not in mine)]:
        inner = _merge(
            base.get(name, ABSENT),
            mine.get(name, ABSENT),
            theirs.get(name, ABSENT),
            path=(*path, name),
            merged=merged,
        )
        if inner is not ABSENT:
            found[name] = inner
    return found


def _merge_items(values: _Three, *, path: _Path, merged: Merged) -> JsonValue:
    items = zip(*(each if isinstance(each, list) else [] for each in values), strict=True)
    found = [_merge(*each, path=(*path, index), merged=merged) for index, each in enumerate(items)]
    return [each for each in found if each is not ABSENT]  # an item is never absent
