"""The difference of two versions of a document, as a list of changes for people and programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from pydantic import JsonValue

from common.json_pointer import pointer
from documents.comparison.alignment import Budget
from documents.comparison.edits import ArrayEdit, Edit, ItemEdit, ObjectEdit, Replaced, find_edits
from documents.comparison.labels import Schema, SchemaView, item_label
from documents.comparison.matching import Context
from documents.comparison.values import ABSENT, MaybeValue, child
from documents.comparison.words import Run, compare_texts


class ChangeKind(StrEnum):
    """What happened to a value."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Change:
    """One change. An item that moved and changed has a `moved` change, and further ones for what changed in it."""

    kind: ChangeKind
    pointer: str | None  # in the later version; None: it is not there
    pointer_before: str | None  # in the earlier version; None: it is not there
    labels: tuple[str, ...]  # the names of the place for people, from the outermost; none for the whole document
    before: MaybeValue  # ABSENT for what was added
    after: MaybeValue  # ABSENT for what was removed
    words: tuple[Run, ...] = ()  # of two texts
    index_before: int | None = None  # position of an item that moved
    index: int | None = None  # position of an item that moved
    view: SchemaView = field(default_factory=SchemaView.of, repr=False, compare=False)

    def as_json(self) -> dict[str, JsonValue]:
        """Return the change as JSON. `before` and `after` are left out where there is no value, and for a move."""
        told: dict[str, JsonValue] = {
            "kind": self.kind.value,
            "pointer": self.pointer,
            "pointer_before": self.pointer_before,
            "labels": list(self.labels),
        }
        if self.kind is ChangeKind.MOVED:
            return told | {"index_before": self.index_before, "index": self.index}
        if self.before is not ABSENT:
            told["before"] = self.before
        if self.after is not ABSENT:
            told["after"] = self.after
        if self.words:
            told["words"] = [{"op": run.op, "text": run.text} for run in self.words]
        return told


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs between two versions, in reading order; nothing if they are equal as JSON."""

    changes: tuple[Change, ...]

    @property
    def counts(self) -> dict[str, int]:
        """The number of changes by kind; every kind is there."""
        found = Counter(change.kind for change in self.changes)
        return {kind.value: found[kind] for kind in ChangeKind}

    def as_json(self) -> list[JsonValue]:
        """Return the changes as JSON."""
        return [change.as_json() for change in self.changes]


def compare(
    before: MaybeValue,
    after: MaybeValue,
    *,
    schema: Schema | None = None,
    schema_before: Schema | None = None,
    context: Context | None = None,
) -> Difference:
    """Return the difference of two versions of a document. ABSENT stands for a document that does not exist.

    Numbers are equal by their value, so 1 equals 1.0; true does not equal 1, and null is not a missing field. The order
    of fields is no difference. A list or object with more than 1,000 changes counts as one change. So does each that
    differs after some 1,500 changes of the document. Then the difference is less detailed, and still complete.

    Args:
        before: The earlier version.
        after: The later version.
        schema: The schema of the later version; it gives the order of fields, their titles, and keys of items.
        schema_before: The schema of the earlier version, for what the other one does not know.
        context: What several comparisons share: together they take the time of one.
    """
    view, context = SchemaView.of(schema, schema_before), context or Context()
    edit = find_edits(before, after, view, context=context)
    return Difference(tuple(_changes(edit, _Place(before, after, view), context.budget)))


class _Place(NamedTuple):
    """A place in both versions, with its values."""

    before: MaybeValue
    after: MaybeValue
    view: SchemaView
    pointer: str | None = ""
    pointer_before: str | None = ""
    labels: tuple[str, ...] = ()

    def field(self, name: str) -> _Place:
        before, after = child(self.before, name), child(self.after, name)
        return _Place(
            before,
            after,
            self.view.child(name),
            _below(self.pointer, name, after),
            _below(self.pointer_before, name, before),
            (*self.labels, self.view.label(name)),
        )

    def item(self, index_before: int | None, index: int | None) -> _Place:
        before = ABSENT if index_before is None else child(self.before, str(index_before))
        after = ABSENT if index is None else child(self.after, str(index))
        number = (index if index is not None else index_before or 0) + 1
        return _Place(
            before,
            after,
            self.view.item(index),
            _below(self.pointer, index, after),
            _below(self.pointer_before, index_before, before),
            (*self.labels, item_label(after if before is ABSENT else before if after is ABSENT else after, number)),
        )


def _below(start: str | None, part: str | int | None, value: MaybeValue) -> str | None:
    return None if start is None or part is None or value is ABSENT else start + pointer(part)


def _changes(edit: Edit | None, place: _Place, budget: Budget) -> Iterator[Change]:
    match edit:
        case Replaced():
            yield _replaced(place, budget)
        case ObjectEdit(fields):
            for name, inner in fields:
                yield from _changes(inner, place.field(name), budget)
        case ArrayEdit(items):
            for item in items:
                inside = place.item(item.before, item.after)
                if item.has_moved:
                    yield _moved(item, inside)
                yield from _changes(item.edit, inside, budget)


def _replaced(place: _Place, budget: Budget) -> Change:
    before, after = place.before, place.after
    kind = ChangeKind.CHANGED
    if before is ABSENT or after is ABSENT:
        kind = ChangeKind.ADDED if before is ABSENT else ChangeKind.REMOVED
    return Change(
        kind=kind,
        pointer=None if after is ABSENT else place.pointer,
        pointer_before=None if before is ABSENT else place.pointer_before,
        labels=place.labels,
        before=before,
        after=after,
        words=compare_texts(before, after, budget) if isinstance(before, str) and isinstance(after, str) else (),
        view=place.view,
    )


def _moved(item: ItemEdit, place: _Place) -> Change:
    return Change(
        kind=ChangeKind.MOVED,
        pointer=place.pointer,
        pointer_before=place.pointer_before,
        labels=place.labels,
        before=place.before,
        after=place.after,
        index_before=item.before,
        index=item.after,
        view=place.view,
    )
