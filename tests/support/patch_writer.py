"""Makes a JSON Patch (RFC 6902) of the difference of two documents: what a difference holds is enough to edit."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from common.json_pointer import pointer
from documents.comparison.edits import ArrayEdit, Edit, ObjectEdit, Replaced, find_edits
from documents.comparison.labels import Schema, SchemaView
from documents.comparison.matching import Context
from documents.comparison.values import ABSENT, MaybeValue, child

_MAX_SEARCHES = 1_000_000  # items that are looked through to find the places of moved ones

Operation = dict[str, JsonValue]


def make_patch(before: JsonValue, after: JsonValue, *, schema: Schema | None = None) -> list[Operation]:
    """Return operations that make `after` of `before`. Their values are parts of `after`, not copies.

    Items that moved are moved, not added again.
    """
    return list(_operations(find_edits(before, after, SchemaView.of(schema), context=Context()), after, ""))


def _operations(edit: Edit | None, after: MaybeValue, path: str) -> Iterator[Operation]:
    """Yield the operations for the value at `path`, which is still as it was when they apply."""
    match edit:
        case Replaced(before, value):
            if value is ABSENT:
                yield {"op": "remove", "path": path}
            else:
                yield {"op": "add" if before is ABSENT else "replace", "path": path, "value": value}
        case ObjectEdit(fields):
            for name, inner in fields:
                yield from _operations(inner, child(after, name), path + pointer(name))
        case ArrayEdit():
            yield from _of_list(edit, after, path)


def _of_list(edit: ArrayEdit, after: MaybeValue, path: str) -> Iterator[Operation]:
    """Yield the changes within items, by their old index; then removals from the end, moves, and additions."""
    moved = {item.before for item in edit.items if item.has_moved}
    if len(moved) * len(edit.pairs) > _MAX_SEARCHES and after is not ABSENT:
        yield {"op": "replace", "path": path, "value": after}
        return
    for item in edit.items:
        if item.before is not None and item.after is not None:
            yield from _operations(item.edit, child(after, str(item.after)), path + pointer(item.before))
    removed = [item.before for item in edit.items if item.before is not None and item.after is None]
    for index in sorted(removed, reverse=True):
        yield {"op": "remove", "path": path + pointer(index)}
    yield from _moves(edit, moved, path)
    for item in edit.items:
        if item.before is None and item.after is not None:
            yield from _operations(item.edit, child(after, str(item.after)), path + pointer(item.after))


def _moves(edit: ArrayEdit, moved: set[int | None], path: str) -> Iterator[Operation]:
    """Yield a move for each item that moved: to the place behind the item that precedes it in the new list."""
    target = [index for index, _ in edit.pairs]
    current = sorted(target)
    for number, index in enumerate(target):
        if index in moved:
            place = current.index(index)
            del current[place]
            new = current.index(target[number - 1]) + 1 if number else 0
            current.insert(new, index)
            if place != new:
                yield {"op": "move", "from": path + pointer(place), "path": path + pointer(new)}
