"""What is wrong with the collections that the steps of a definition go over."""

from __future__ import annotations

from collections.abc import Container, Iterator

from common.limits import limits
from workflows.definitions.definition import WorkflowDefinition
from workflows.definitions.for_each import MAX_DEPTH, ForEach
from workflows.errors import Fault, pointer
from workflows.json_schema.collections import has_key, items_at
from workflows.json_schema.subschemas import Undecided


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
                theirs, ours = definition.for_each_chain[producer.id], definition.for_each_chain[step.id]
                if ours[: len(theirs)] != theirs:
                    yield Fault(
                        pointer=pointer("steps", index, "inputs", number),
                        code="out_of_scope",
                        detail=f"There are many {kind!r}, one for each item of another collection than this step's.",
                    )
        if len(definition.for_each_chain[step.id]) > MAX_DEPTH:
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
