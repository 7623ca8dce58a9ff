"""Checks when a workflow is loaded whether the rehearsal can generate its documents."""

from __future__ import annotations

from collections.abc import Iterator

from executions.llm.rehearsal.document_generator import DocumentGenerator
from executions.llm.rehearsal.extraction import Facts
from executions.llm.rehearsal.unwritable import Unwritable
from workflows.definitions.definition import Fault, WorkflowDefinition, pointer


def unwritable(definition: WorkflowDefinition) -> Iterator[Fault]:
    """Yield the schema parts for which the rehearsal finds no value; real models may find one."""
    for index, step in enumerate(definition.steps):
        try:
            DocumentGenerator(Facts(()), root=step.output_schema, document_type=step.produces).generate()
        except Unwritable as error:
            path = pointer("steps", index, "output_schema") + error.pointer
            yield Fault(pointer=path, code="unwritable", detail=str(error))
