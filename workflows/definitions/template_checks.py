"""Checks of the templates of documents against the schemas of their steps."""

from __future__ import annotations

from collections.abc import Iterator

from common.errors import FieldError
from common.json_pointer import pointer
from documents.rendering.content.template import check
from workflows.definitions.definition import WorkflowDefinition
from workflows.errors import FieldErrorInText


def template_errors(definition: WorkflowDefinition) -> Iterator[FieldError]:
    """Yield the faults of templates: unknown tags, and pointers to what a document of the step cannot have."""
    for index, step in enumerate(definition.steps):
        for error in () if step.render is None else check(step.render, step.output_schema):
            yield FieldErrorInText(
                pointer=pointer("steps", index, "render"),
                code="invalid_template",
                detail=error.detail,
                line=error.line or None,
            )
