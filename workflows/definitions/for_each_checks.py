"""Validation of `for_each` declarations."""

from __future__ import annotations

from collections.abc import Container, Iterator

from common.errors import FieldError
from common.json_pointer import pointer
from common.limits import limits
from workflows.definitions.definition import WorkflowDefinition
from workflows.definitions.for_each import MAX_DEPTH, ForEach
from workflows.json_schema.collections import has_key, items_at
from workflows.json_schema.subschemas import TooManyAlternatives


def limit_errors(definition: WorkflowDefinition) -> Iterator[FieldError]:
    """Yield the explicit limits of collections that exceed the server's limit."""
    maximum = limits().collection_items
    for index, step in enumerate(definition.steps):
        over = step.for_each
        if over is not None and "limit" in over.model_fields_set and over.limit > maximum:
            detail = f"The server allows at most {maximum:,} items (MAX_COLLECTION_ITEMS)."
            yield FieldError(
                pointer=pointer("steps", index, "for_each", "limit"), code="less_than_equal", detail=detail
            )


def iteration_errors(definition: WorkflowDefinition, *, unreadable: Container[str]) -> Iterator[FieldError]:
    """Yield errors of collections, and of inputs that are not visible from a step's scope.

    `unreadable` holds the document types with invalid schemas.
    """
    for index, step in enumerate(definition.steps):
        if step.for_each is not None and step.for_each.document not in unreadable:
            yield from _collection_errors(definition, step.for_each, pointer("steps", index, "for_each"))
        for number, kind in enumerate(step.inputs):
            if (producer := definition.producers.get(kind)) is not None and producer.id != step.id:
                theirs, ours = definition.for_each_chain[producer.id], definition.for_each_chain[step.id]
                if ours[: len(theirs)] != theirs:
                    yield FieldError(
                        pointer=pointer("steps", index, "inputs", number),
                        code="out_of_scope",
                        detail=f"There is one {kind!r} per item of a collection that this step does not iterate over.",
                    )
        if len(definition.for_each_chain[step.id]) > MAX_DEPTH:
            detail = f"Collections may be nested at most {MAX_DEPTH} levels deep."
            yield FieldError(pointer=pointer("steps", index, "for_each"), code="too_deep", detail=detail)
    yield from _mismatches(definition)


def _collection_errors(definition: WorkflowDefinition, over: ForEach, where: str) -> Iterator[FieldError]:
    producer = definition.producers.get(over.document)
    if producer is None:
        detail = f"No step produces {over.document!r}, so there is nothing to iterate over."
        yield FieldError(pointer=f"{where}/document", code="unknown_collection", detail=detail)
        return
    try:
        alternatives = items_at(producer.output_schema, over.items)
        is_keyed = any(has_key(each, over.key) for each in alternatives)
    except TooManyAlternatives:
        return  # the documents are checked at run time
    if not alternatives:
        detail = f"The schema of {over.document!r} has no array of objects at {over.items}."
        yield FieldError(pointer=f"{where}/items", code="not_a_collection", detail=detail)
    elif not is_keyed:
        detail = f"The items at {over.items} have no required string {over.key!r}."
        yield FieldError(pointer=f"{where}/key", code="unusable_key", detail=detail)


def _mismatches(definition: WorkflowDefinition) -> Iterator[FieldError]:
    """Yield steps that declare the same collection differently: they could not share its scopes."""
    first: dict[tuple[str, str], ForEach] = {}
    for index, step in enumerate(definition.steps):
        if (over := step.for_each) is None:
            continue
        known = first.setdefault((over.document, over.items), over)
        for name in ("key", "scope_type", "limit"):
            if getattr(known, name) != getattr(over, name):
                yield FieldError(
                    pointer=pointer("steps", index, "for_each", name),
                    code="collection_mismatch",
                    detail=f"Another step iterates over the same items with the {name} {getattr(known, name)!r}.",
                )
