"""Validation of output schemas: limits, contradictions, and keywords of other dialects."""

from __future__ import annotations

from collections.abc import Iterator

from common.errors import FieldError
from workflows.definitions.definition import WorkflowDefinition
from workflows.json_schema.contradictions import contradiction_errors
from workflows.json_schema.foreign_keywords import keyword_errors
from workflows.json_schema.graph import SchemaGraph
from workflows.json_schema.limits import PatternTime, graph_errors, text_errors


def schema_limit_errors(definition: WorkflowDefinition) -> Iterator[FieldError]:
    """Yield schemas that exceed the limits: validators would take too long on them, or crash the process."""
    patterns = PatternTime()
    for index, step in enumerate(definition.steps):
        where = ("steps", index, "output_schema")
        if found := list(text_errors(step.output_schema, *where)):
            yield from found
        else:
            yield from graph_errors(SchemaGraph(step.output_schema), patterns, *where)


def schema_meaning_errors(definition: WorkflowDefinition) -> Iterator[FieldError]:
    """Yield contradictions, and keywords that only other dialects support."""
    for index, step in enumerate(definition.steps):
        graph = SchemaGraph(step.output_schema)
        yield from keyword_errors(graph, "steps", index, "output_schema")
        yield from contradiction_errors(graph, "steps", index, "output_schema")
