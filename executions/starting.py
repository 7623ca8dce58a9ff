"""What has to hold before an execution starts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.conf import settings

from documents import repository as documents
from executions.engine.errors import BudgetExceeded, FieldError, Invalid, UnpricedModel
from executions.wiring import ports
from telemetry import prices, scope_budgets
from workflows.definition import WorkflowDefinition, pointer


def require_all(definition: WorkflowDefinition, scope_id: UUID, *, now: datetime) -> None:
    """Refuse a start that cannot lead anywhere.

    Raises:
        BudgetExceeded: the scope has spent its month, and not all models of the workflow are free.
        UnpricedModel: a step's model has no known price, and REQUIRE_PRICED is on; with pointers to the steps.
        Invalid: the scope lacks a document that the workflow starts from.
    """
    _require_room(definition, scope_id, now)
    _require_prices(definition, now)
    _require_documents(definition, scope_id)


def _require_room(definition: WorkflowDefinition, scope_id: UUID, now: datetime) -> None:
    room = scope_budgets.room(scope_id, now=now)
    if room is None or room > 0:
        return
    prices.refresh(older_than_seconds=prices.FRESH_SECONDS)
    if not all(prices.is_free(model, at=now) for _, model in _models(definition)):
        raise BudgetExceeded


def _require_prices(definition: WorkflowDefinition, now: datetime) -> None:
    if not settings.REQUIRE_PRICED:
        return
    prices.refresh(older_than_seconds=prices.FRESH_SECONDS)
    unpriced = [
        FieldError(
            pointer=pointer("steps", index),
            code="unpriced_model",
            detail=f"Step {definition.steps[index].id!r} may ask {model}, which has no known price.",
        )
        for index, model in _models(definition)
        if not prices.is_priced(model, at=now)
    ]
    if unpriced:
        raise UnpricedModel(unpriced)


def _require_documents(definition: WorkflowDefinition, scope_id: UUID) -> None:
    missing = [kind for kind in definition.scope_documents if documents.head_of(scope_id, kind) is None]
    if missing:
        detail = f"The scope needs these documents first: {', '.join(missing)}."
        error = FieldError(pointer="/scope_id", code="missing_document", detail=detail)
        raise Invalid("The workflow cannot start in this scope.", [error])


def _models(definition: WorkflowDefinition) -> list[tuple[int, str]]:
    """Return the place of each step with each `provider:model` that it may ask, each once."""
    resolve = ports().models.resolve
    return list(
        dict.fromkeys(
            (index, model)
            for index, step in enumerate(definition.steps)
            for name in step.model_names
            for model in resolve(name)
        )
    )
