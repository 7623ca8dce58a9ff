"""Steps that run once for each item of a collection: how that is said, and what can be wrong with it."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from common.limits import limits
from workflows.budget import MOST
from workflows.collections import has_key, items_at
from workflows.faults import Fault, pointer
from workflows.subschemas import Undecided

if TYPE_CHECKING:
    from workflows.definition import StepDefinition, WorkflowDefinition

MAX_DEPTH = 3  # collections within collections

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63)]
#: The collections that a step goes over, outermost first, each as (document, items); () for a step that runs once.
Chain = tuple[tuple[str, str], ...]


class ForEach(BaseModel):
    """The collection over which a step runs: once for each item, in a scope of the item's own."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    document: Slug = Field(description="Type of the document that holds the collection; a step makes it.")
    items: str = Field(
        pattern=r"^(/([^/~]|~[01])+)+$", max_length=200, description="JSON Pointer to the array in that document."
    )
    key: str = Field(
        min_length=1, max_length=63, description="Field of an item that names it for good: a slug, at most 40 long."
    )
    scope_type: Slug = Field(description="Kind of scope that each item gets, such as `epic`.")
    on_item_failure: Literal["fail", "skip"] = Field(
        default="fail", description="fail: the execution fails with the item; skip: it goes on without it."
    )
    limit: int = Field(
        strict=True,
        default=1_000,
        ge=1,
        le=MOST,
        description="Most items that the collection may have; MAX_COLLECTION_ITEMS bounds it.",
    )

    @property
    def most_items(self) -> int:
        """Most items that the collection may have on this server."""
        return min(self.limit, limits().collection_items)


def loops_of(definition: WorkflowDefinition, step: StepDefinition) -> tuple[ForEach, ...]:
    """Return how a step goes over its collections, outermost first; one that nobody makes ends the search."""
    loops: tuple[ForEach, ...] = ()
    seen: set[str] = set()
    each: StepDefinition | None = step
    while each is not None and each.for_each is not None and each.id not in seen:  # a cycle is a fault of its own
        seen.add(each.id)
        loops = (each.for_each, *loops)
        each = definition.producers.get(each.for_each.document)
    return loops


def limit_faults(definition: WorkflowDefinition) -> Iterator[Fault]:
    """Yield the limits of collections that are written down, and above what the server allows."""
    most = limits().collection_items
    for index, step in enumerate(definition.steps):
        over = step.for_each
        if over is not None and "limit" in over.model_fields_set and over.limit > most:
            detail = f"The server allows {most:,} items (MAX_COLLECTION_ITEMS)."
            yield Fault(pointer=pointer("steps", index, "for_each", "limit"), code="less_than_equal", detail=detail)


def iteration_faults(definition: WorkflowDefinition, *, unreadable: Container[str]) -> Iterator[Fault]:
    """Yield what is wrong with collections, and with inputs that a step cannot see from its scope.

    `unreadable` are the types of documents whose schemas have faults of their own.
    """
    for index, step in enumerate(definition.steps):
        if step.for_each is not None and step.for_each.document not in unreadable:
            yield from _collection_faults(definition, step.for_each, pointer("steps", index, "for_each"))
        for number, kind in enumerate(step.inputs):
            if (producer := definition.producers.get(kind)) is not None and producer.id != step.id:
                theirs, ours = definition.chains[producer.id], definition.chains[step.id]
                if ours[: len(theirs)] != theirs:
                    yield Fault(
                        pointer=pointer("steps", index, "inputs", number),
                        code="out_of_scope",
                        detail=f"There are many {kind!r}, one for each item of another collection than this step's.",
                    )
        if len(definition.chains[step.id]) > MAX_DEPTH:
            detail = f"Collections may lie within each other at most {MAX_DEPTH} deep."
            yield Fault(pointer=pointer("steps", index, "for_each"), code="too_deep", detail=detail)
    yield from _mismatches(definition)


def _collection_faults(definition: WorkflowDefinition, over: ForEach, where: str) -> Iterator[Fault]:
    producer = definition.producers.get(over.document)
    if producer is None:
        detail = f"No step makes a {over.document!r}, so there is nothing to go over."
        yield Fault(pointer=f"{where}/document", code="unknown_collection", detail=detail)
        return
    try:
        ways = items_at(producer.output_schema, over.items)
        keyed = any(has_key(way, over.key) for way in ways)
    except Undecided:
        return  # what is produced is looked at then
    if not ways:
        detail = f"The schema of {over.document!r} has no array of objects at {over.items}."
        yield Fault(pointer=f"{where}/items", code="not_a_collection", detail=detail)
    elif not keyed:
        detail = f"The items at {over.items} have no required string {over.key!r}."
        yield Fault(pointer=f"{where}/key", code="unusable_key", detail=detail)


def _mismatches(definition: WorkflowDefinition) -> Iterator[Fault]:
    """Yield where two steps describe the same collection differently: they could not share its scopes."""
    first: dict[tuple[str, str], ForEach] = {}
    for index, step in enumerate(definition.steps):
        if (over := step.for_each) is None:
            continue
        known = first.setdefault((over.document, over.items), over)
        for name in ("key", "scope_type", "limit"):
            if getattr(known, name) != getattr(over, name):
                yield Fault(
                    pointer=pointer("steps", index, "for_each", name),
                    code="collection_mismatch",
                    detail=f"Another step goes over the same items with the {name} {getattr(known, name)!r}.",
                )
