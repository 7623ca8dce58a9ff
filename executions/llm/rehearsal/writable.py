"""Checks when a workflow is loaded whether the rehearsal can generate its documents."""

from __future__ import annotations

from collections.abc import Iterator

from common.errors import FieldError
from common.json_pointer import pointer
from executions.llm.rehearsal.document_generator import DocumentGenerator
from executions.llm.rehearsal.extraction import Facts
from executions.llm.rehearsal.unwritable import Unwritable
from workflows.definitions.definition import WorkflowDefinition


def unwritable(definition: WorkflowDefinition) -> Iterator[FieldError]:
    """Yield the schema parts for which the rehearsal finds no value; real models may find one."""
    for index, step in enumerate(definition.steps):
        try:
            DocumentGenerator(Facts(()), root=step.output_schema, document_type=step.produces).write()
        except Unwritable as error:
            where = pointer("steps", index, "output_schema") + error.pointer
            yield FieldError(pointer=where, code="unwritable", detail=str(error))
