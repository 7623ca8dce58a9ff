"""Merges two versions that were made from the same earlier one."""

from __future__ import annotations

from dataclasses import dataclass, field

from documents.comparison.values import ABSENT, MAX_DEPTH, MaybeValue, is_equal, pointer


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


def _merge(
    base: MaybeValue, mine: MaybeValue, theirs: MaybeValue, *, path: tuple[str | int, ...], merged: Merged
) -> MaybeValue:
    if is_equal(theirs, base) or is_equal(mine, theirs):
        return mine
    if is_equal(mine, base):
        return theirs
    if len(path) < MAX_DEPTH:
        if isinstance(base, dict) and isinstance(mine, dict) and isinstance(theirs, dict):
            found = {}
            for name in [*mine, *(each for each in theirs if each not in mine)]:
                values = (each.get(name, ABSENT) for each in (base, mine, theirs))
                inner = _merge(*values, path=(*path, name), merged=merged)
                if inner is not ABSENT:
                    found[name] = inner
            return found
        if isinstance(base, list) and isinstance(mine, list) and isinstance(theirs, list):
            if len(base) == len(mine) == len(theirs):
                return [
                    _merge(*values, path=(*path, index), merged=merged)
                    for index, values in enumerate(zip(base, mine, theirs, strict=True))
                ]
    merged.conflicts.append(pointer(*path))
    return mine
