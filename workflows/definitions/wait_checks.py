"""Checks of who acts on a step that waits for people, and until when."""

from __future__ import annotations

from collections.abc import Iterator

from common.errors import FieldError
from common.json_pointer import pointer
from workflows.definitions.definition import StepDefinition, WorkflowDefinition


def wait_errors(definition: WorkflowDefinition) -> Iterator[FieldError]:
    """Yield the faults of assignees, approvers and due dates."""
    for index, step in enumerate(definition.steps):
        for place, code, detail in (*_assignee_faults(step), *_approver_faults(step), *_due_faults(step)):
            yield FieldError(pointer=pointer("steps", index, *place), code=code, detail=detail)


Fault = tuple[tuple[str | int, ...], str, str]


def _assignee_faults(step: StepDefinition) -> Iterator[Fault]:
    for number, name in enumerate(step.assignees):
        if name in step.assignees[:number]:
            yield ("assignees", number), "duplicate_assignee", f"Duplicate {name!r}."


def _approver_faults(step: StepDefinition) -> Iterator[Fault]:
    if step.approvers is None:
        return
    if step.decision is None:
        detail = "Approvers decide about a document: add an acceptance to the step."
        yield ("approvers",), "nothing_to_accept", detail
    required, available = step.approvers.required, len(set(step.assignees))
    if required == "all" and not available:
        yield ("approvers", "required"), "no_assignees", "Expected a number, because the step has no assignees."
    elif isinstance(required, int) and 0 < available < required:
        detail = f"The step has {available} assignees: they cannot give {required} votes."
        yield ("approvers", "required"), "too_few_assignees", detail


def _due_faults(step: StepDefinition) -> Iterator[Fault]:
    if step.remind_seconds_before is None:
        return
    if step.due_seconds is None:
        yield ("remind_seconds_before",), "no_due_date", "A reminder needs a due date: add due_seconds to the step."
    elif step.remind_seconds_before >= step.due_seconds:
        detail = f"Expected less than due_seconds, which is {step.due_seconds:g}."
        yield ("remind_seconds_before",), "reminder_too_early", detail
