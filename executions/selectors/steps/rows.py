"""Rows of steps of one execution: those that run once, and the items of a collection. Permissions are not checked."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet
from django.db.models.functions import Substr

from documents import selectors as documents
from executions import models

#: The order of the items of a step.
ITEM_ORDER = ("item_order", "id")
#: The order of the steps with documents: that of the definition, then that of the items.
DOCUMENT_ORDER = ("position", "item_order", "id")
_HEAVY = ("decisions", "depends_on")


def named_steps(execution_id: UUID, step_ids: Collection[str]) -> QuerySet[models.ExecutionStep]:
    """Return the steps of these ids, annotated with the titles of their documents: `title`."""
    rows = models.ExecutionStep.objects.filter(execution_id=execution_id, step_id__in=list(step_ids))
    return rows.annotate(title=documents.title_of(OuterRef("document_id"), OuterRef("document_version"))).defer(*_HEAVY)


def items_of(
    execution_id: UUID, slug: str, *, status: Collection[str] = (), query: str = ""
) -> QuerySet[models.ExecutionStep]:
    """Return the items of a step, those of some statuses, and those whose key or label contains a text."""
    rows = models.ExecutionStep.objects.filter(execution_id=execution_id, step_id__startswith=f"{slug}@")
    if status:
        rows = rows.filter(status__in=list(status))
    if query:
        rows = rows.annotate(keys=Substr("step_id", len(slug) + 2))
        rows = rows.filter(Q(label__icontains=query) | Q(keys__icontains=query))
    return rows.defer(*_HEAVY, "rounds", "input_versions", "violations")


def with_documents(execution_id: UUID) -> QuerySet[models.ExecutionStep]:
    """Return the steps that have a document."""
    rows = models.ExecutionStep.objects.filter(execution_id=execution_id, document_id__isnull=False)
    return rows.defer("rounds", "wait", "depends_on", "input_versions", "violations")
