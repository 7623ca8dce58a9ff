"""What files of documents show beside the content: who accepted a version, and the look that its workflow gives it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from common.time import format_rfc3339
from documents import selectors as documents
from documents.downloads import Look
from executions.engine.domain.acceptance import AcceptanceDecision
from workflows import repository as workflows
from workflows.definitions.definition import WorkflowDefinition


def accepted(decisions: Iterable[AcceptanceDecision], version: int) -> list[str]:
    """Return the lines of a footer about who accepted a version."""
    return [
        f"Accepted by {each.decided_by}, {format_rfc3339(each.decided_at)}"
        for each in decisions
        if each.accepted == version
    ]


def look_of(row: Any, name: str) -> Look:
    """Return the look of a document version in a format, by the workflow version that made it.

    An edit has the look of what was edited. Without a workflow that is published here there is none.
    """
    made_by = documents.workflow_of(row)
    if made_by is None or workflows.version_row_id(*made_by) is None:
        return Look()
    definition = workflows.get_definition(*made_by)
    return Look(template=template_of(definition, row.document.type), house=house_of(definition, name))


def template_of(definition: WorkflowDefinition, type: str) -> str | None:
    """Return the template of a type of document; None if the workflow has none."""
    step = definition.producers.get(type)
    return None if step is None else step.render


def house_of(definition: WorkflowDefinition, name: str) -> bytes | None:
    """Return the house file of a workflow if the format uses one."""
    return workflows.house_file(definition.house) if name == "docx" and definition.house is not None else None
