"""What is wrong with the output schemas of a definition: too much for a validator, or not what their author means."""

from __future__ import annotations

from collections.abc import Iterator

from workflows.definitions.definition import WorkflowDefinition
from workflows.errors import Fault
from workflows.json_schema.contradictions import contradiction_faults
from workflows.json_schema.foreign_keywords import keyword_faults
from workflows.json_schema.graph import SchemaGraph
from workflows.json_schema.limits import PatternTime, graph_faults, text_faults


def schema_limit_faults(definition: WorkflowDefinition) -> Iterator[Fault]:
    """Yield the schemas that no validator may be given: they would take too long, or end the process."""
    patterns = PatternTime()
    for index, step in enumerate(definition.steps):
        where = ("steps", index, "output_schema")
        if found := list(text_faults(step.output_schema, *where)):
            yield from found
        else:
            yield from graph_faults(SchemaGraph(step.output_schema), patterns, *where)


def schema_meaning_faults(definition: WorkflowDefinition) -> Iterator[Fault]:
    """Yield what contradicts itself, and what means something in another dialect alone."""
    for index, step in enumerate(definition.steps):
        graph = SchemaGraph(step.output_schema)
        yield from keyword_faults(graph, "steps", index, "output_schema")
        yield from contradiction_faults(graph, "steps", index, "output_schema")
