"""The engine's one way to write, on PostgreSQL: each transition is one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from documents import repository as documents
from executions import ledger, models, repository
from executions.engine.changes import Change, Context, stamp
from executions.engine.errors import Superseded
from executions.engine.events import ProgressEvent
from executions.engine.execution import Document, Execution
from executions.engine.ports import Transition
from executions.progress.notifier import announce
from executions.threads import in_thread
from telemetry import recorder, selectors


class PostgresJournal:
    """Stores transitions."""

    async def commit(self, transition: Transition) -> Execution:
        """Store all of `transition` or nothing, and return the execution as it is now."""
        return await in_thread(apply, transition, now=timezone.now())


@transaction.atomic
def apply(change_of: Transition, *, now: datetime) -> Execution:
    """Store all of a transition or nothing, and return the execution as it is now.

    The row is locked first, and `decide` sees it as it is then; so a cancel, an answer and the transitions of parallel
    steps come one after the other, and none overwrites another.

    Raises:
        NotFound: there is no such execution.
        Superseded: the epoch is not the row's: another runner has taken over.
        EngineError: what `decide` raises; nothing is stored then.
    """
    current = repository.lock(change_of.execution_id)
    if change_of.epoch is not None and change_of.epoch != current.runner_epoch:
        raise Superseded(current.id, epoch=change_of.epoch)
    for call in change_of.calls:
        ledger.record(call, current)
    placed = None if change_of.document is None else _place(change_of.document)
    change = change_of.decide(current, _context(current, placed, now))
    return _store(change, current=current, now=now)


@transaction.atomic
def create(change: Change) -> Execution:
    """Store a new execution with its first events."""
    return _store(change, current=replace(change.execution, version=0), now=change.execution.created_at)


def _store(change: Change, *, current: Execution, now: datetime) -> Execution:
    if change.discard_pending_calls:
        recorder.discard_pending(current.id, now=now)
    stored, events = stamp(change, current=current, now=now)
    repository.save(stored, over=current)
    _append(events)
    transaction.on_commit(lambda: announce(stored.id))
    return stored


def _place(document: Document) -> Document:
    """Store the document as the next version of its head, whatever that is by now."""
    version = documents.lock_head_version(document.scope_id, document.type) + 1
    return repository.save_document(replace(document, version=version))


def _context(current: Execution, placed: Document | None, now: datetime) -> Context:
    step_id = "" if placed is None or placed.step_id is None else placed.step_id
    return Context(
        now=now,
        document=placed,
        step_totals=lambda: ledger.totals(selectors.step_totals(current.id, step_id)),
        totals=lambda: ledger.totals(selectors.execution_totals(current.id)),
    )


def _append(events: Iterable[ProgressEvent]) -> None:
    models.ExecutionEvent.objects.bulk_create(
        models.ExecutionEvent(
            execution_id=event.execution_id,
            sequence=event.sequence,
            event_type=event.event_type.value,
            step_id=event.step_id,
            data=event.data,
            timestamp=event.timestamp,
        )
        for event in events
    )
