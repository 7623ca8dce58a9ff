"""What differs between two JSON values, as a tree along their structure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeAlias

from pydantic import JsonValue

from documents.comparison.labels import SchemaView
from documents.comparison.matching import MAX_CHANGES, Context, Pair, TooManyChanges, match_items, unmoved
from documents.comparison.values import ABSENT, MAX_DEPTH, MaybeValue


@dataclass(frozen=True, slots=True)
class Replaced:
    """A value in place of another one; ABSENT before if it was added, ABSENT after if it was removed."""

    before: MaybeValue
    after: MaybeValue


@dataclass(frozen=True, slots=True)
class ObjectEdit:
    """An object that has other fields: the edits of those that differ, in reading order."""

    fields: tuple[tuple[str, Edit], ...]


@dataclass(frozen=True, slots=True)
class ItemEdit:
    """An item of a list that differs or moved. `edit` is None if it only moved."""

    before: int | None  # its index; None: it was added
    after: int | None  # its index; None: it was removed
    has_moved: bool
    edit: Edit | None


@dataclass(frozen=True, slots=True)
class ArrayEdit:
    """A list that has other items: the edits of those that differ, in reading order, and which items are the same."""

    items: tuple[ItemEdit, ...]
    pairs: tuple[Pair, ...]  # index before, index after; ordered by the second


Edit: TypeAlias = Replaced | ObjectEdit | ArrayEdit


def find_edits(before: MaybeValue, after: MaybeValue, view: SchemaView, *, context: Context) -> Edit | None:
    """Return what differs between two values; None if they are equal as JSON.

    A list or object is replaced as a whole if it has too many edits, if others had too many before it, or if it lies
    too deep.
    """
    if before is ABSENT or after is ABSENT:
        return None if before is after else Replaced(before, after)
    return _Comparison(context).edit(before, after, view)


class _Comparison:
    """The comparison of two documents. Its recursion is as deep as `MAX_DEPTH`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._depth = 0

    def edit(self, before: JsonValue, after: JsonValue, view: SchemaView) -> Edit | None:
        if not self._differ(before, after):
            return None
        found: Edit | None = None
        if self._depth < MAX_DEPTH and self._context.parts_left > 0:
            self._depth += 1
            if isinstance(before, dict) and isinstance(after, dict):
                found = self._object(before, after, view)
            elif isinstance(before, list) and isinstance(after, list):
                found = self._array(before, after, view)
            self._depth -= 1
        self._context.parts_left -= 1
        return found or Replaced(before, after)

    def _differ(self, before: JsonValue, after: JsonValue) -> bool:
        # The key of the whole document is asked for first; from then on, all that is compared has one.
        return self._context.keys.key(before) != self._context.keys.key(after)

    def _object(self, before: dict[str, JsonValue], after: dict[str, JsonValue], view: SchemaView) -> ObjectEdit | None:
        names = before.keys() ^ after.keys()
        names |= {name for name in before.keys() & after.keys() if self._differ(before[name], after[name])}
        if len(names) > MAX_CHANGES:
            return None
        fields: list[tuple[str, Edit]] = []
        for name in view.in_order(names):
            edit: Edit | None
            if name in before and name in after:
                edit = self.edit(before[name], after[name], view.child(name))
            else:
                edit = Replaced(before.get(name, ABSENT), after.get(name, ABSENT))
                self._context.parts_left -= 1
            if edit is not None:
                fields.append((name, edit))
        return ObjectEdit(tuple(fields))

    def _array(self, before: list[JsonValue], after: list[JsonValue], view: SchemaView) -> ArrayEdit | None:
        try:
            pairs = match_items(before, after, view, context=self._context)
        except TooManyChanges:
            return None
        fixed = unmoved(pairs)
        key = self._context.keys.key
        to_tell = [(i, j) for i, j in pairs if key(before[i]) != key(after[j]) or (i, j) not in fixed]
        if len(to_tell) + len(before) + len(after) - 2 * len(pairs) > MAX_CHANGES:
            return None
        items: list[tuple[tuple[int, ...], ItemEdit]] = []
        for i, j in to_tell:
            edit = self.edit(before[i], after[j], view.item(j))
            items.append(((j, 1), ItemEdit(i, j, (i, j) not in fixed, edit)))
        items += [
            ((j, 1), ItemEdit(None, j, False, Replaced(ABSENT, after[j])))
            for j in sorted(set(range(len(after))) - {j for _, j in pairs})
        ]
        starts, places = [i for i, _ in sorted(fixed)], [*sorted(j for _, j in fixed), len(after)]
        items += [
            ((places[bisect_left(starts, i)], 0, i), ItemEdit(i, None, False, Replaced(before[i], ABSENT)))
            for i in sorted(set(range(len(before))) - {i for i, _ in pairs})
        ]
        self._context.parts_left -= len(before) + len(after) - 2 * len(pairs)
        return ArrayEdit(tuple(edit for _, edit in sorted(items, key=itemgetter(0))), tuple(pairs))
