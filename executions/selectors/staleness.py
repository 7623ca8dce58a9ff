"""Which documents are stale, and why: what they were made from, and what people have decided about them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, Sum

from documents import dependencies
from documents import repository as documents
from documents.dependencies import Dependencies, Producer
from documents.staleness import Reason, find_stale
from executions import models
from executions.engine.domain.acceptance import AcceptanceDecision
from executions.engine.domain.execution import StepOutcome, is_accepted, slug_of
from executions.engine.domain.states import ACTIVE, ExecutionStatus, StepStatus


def reasons_of(document_id: UUID) -> tuple[Reason, ...]:
    """Return why a document is stale; () if it is current. Permissions are not checked."""
    return _stale(dependencies.above([document_id])).get(document_id, ())


def maker_of(document_id: UUID, version: int) -> models.ExecutionStep | None:
    """Return the step that made a version of a document, or the one that people have edited since.

    It is joined with its execution and the execution's scope. None: there is none, or its execution was erased, and
    with it the brief. Permissions are not checked.
    """
    made = documents.last_made(document_id, version)
    if made is None:
        return None
    rows = models.ExecutionStep.objects.select_related("execution__scope", "execution__workflow_version")
    rows = rows.defer("execution__workflow_version__definition")
    return rows.filter(execution_id=made[1], step_id=made[2], execution__erased_at=None).first()


def open_makers(maker: models.ExecutionStep, *, limit: int) -> list[models.Execution]:
    """Return open executions of the workflow and scope of a step that have this step, newest first.

    Those whose items are not known yet may have it. Dry runs do not count. Permissions are not checked.
    """
    there = models.ExecutionStep.objects.filter(execution=OuterRef("pk"))
    slug = slug_of(maker.step_id)
    has_it = Exists(there.filter(step_id=maker.step_id))
    may_have_it = has_it if slug == maker.step_id else has_it | ~Exists(there.filter(step_id__startswith=f"{slug}@"))
    rows = models.Execution.objects.filter(
        may_have_it,
        workflow_id=maker.execution.workflow_id,
        scope_id=maker.execution.scope_id,
        script__isnull=True,
        status__in=[each.value for each in ACTIVE],
    )
    return list(rows.order_by("-created_at", "-id")[:limit])


def stale_in(root_id: UUID) -> set[UUID]:
    """Return the stale documents of a root scope and the scopes below it."""
    return set(_stale(dependencies.within(root_id)))


def stale_among(document_ids: Collection[UUID]) -> set[UUID]:
    """Return the stale documents among these."""
    return _stale(dependencies.above(document_ids)).keys() & set(document_ids)


def root_states(root_ids: Collection[UUID], *, since: datetime) -> dict[UUID, tuple[int, ...]]:
    """Return numbers for each root scope that differ if anything changed on which staleness depends.

    Executions count that have changed since then.
    """
    changed = models.Execution.objects.filter(_changed(since), scope_id__in=root_ids).order_by("scope_id")
    counted = changed.values("scope_id").annotate(number=Count("id"), versions=Sum("version"))
    executions = {
        key: (number, versions) for key, number, versions in counted.values_list("scope_id", "number", "versions")
    }
    return {key: (*state, *executions.get(key, ())) for key, state in dependencies.root_states(root_ids).items()}


def roots_to_refresh(*, since: datetime) -> set[UUID]:
    """Return the root scopes of executions changed since then with an unaccepted document, or with a stale one.

    A decision makes a document current, and the row can have been locked then.
    """
    changed = models.Execution.objects.filter(_changed(since))
    steps = models.ExecutionStep.objects.filter(execution__in=changed, document_id__isnull=False)
    unaccepted = steps.exclude(status=StepStatus.COMPLETED.value).values_list("execution__scope_id", flat=True)
    roots = set(changed.order_by().values_list("scope_id", flat=True).distinct())
    return set(unaccepted.distinct()) | dependencies.roots_with_stale_documents(roots)


def _changed(since: datetime) -> Q:
    """Return what selects executions changed since then: open ones and ended ones, each by an index."""
    working = Q(status__in=[ExecutionStatus.PENDING.value, ExecutionStatus.RUNNING.value])
    ended = Q(finished_at__gte=since, pruned=False)
    return ((working | Q(status=ExecutionStatus.WAITING.value)) & Q(updated_at__gte=since)) | ended


def _stale(found: Dependencies) -> dict[UUID, tuple[Reason, ...]]:
    return find_stale(found.heads.values(), found.hashes, unaccepted=_unaccepted(found.producers))


def _unaccepted(producers: Mapping[UUID, Producer]) -> set[UUID]:
    """Return the documents whose step has ended without it, or has not ended."""
    executions = {each.execution_id for each in producers.values()}
    steps = models.ExecutionStep.objects.filter(execution_id__in=executions, document_id__in=producers.keys())
    left = steps.exclude(status=StepStatus.COMPLETED.value)  # a document of a completed step is never unaccepted
    found: set[UUID] = set()
    for row in left.only("execution_id", "step_id", "document_id", "document_version", "status", "decisions"):
        producer = None if row.document_id is None else producers[row.document_id]
        if producer is None or (row.execution_id, row.step_id) != (producer.execution_id, producer.step_id):
            continue
        decisions = tuple(map(AcceptanceDecision.model_validate, row.decisions))
        maker = StepOutcome(status=StepStatus(row.status), document_version=row.document_version, decisions=decisions)
        if row.document_id is not None and is_accepted(maker, producer.versions) is False:
            found.add(row.document_id)
    return found
