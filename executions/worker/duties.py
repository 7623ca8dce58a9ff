"""Periodic duties of workers.

They wake due executions, resume budget-blocked ones, act on deadlines, index documents, roll up calls, correct the
inbox, finish erasing, and prune what is old.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction

from common.database.server import database_now
from common.errors import NotFound
from documents.files.storage import UNUSED_RETENTION, delete_unused
from documents.search.index import index_documents, is_any_waiting
from executions.db_threads import in_thread
from executions.engine.domain.errors import NotWaiting
from executions.engine.runtime.cancellation import shield_until_done
from executions.engine.transitions import backoff, budgets, clarification, core
from executions.persistence import erasure, inbox_entries, repositories, retention
from executions.persistence.notifier import announce_inbox
from executions.queue.jobs import enqueue_advance
from executions.selectors.inbox import FAILURE_DAYS
from executions.services.erasure import executions as erasing
from executions.services.erasure.retention import erase_next_due
from executions.services.locking import store_decision
from executions.worker import recovery
from telemetry import spending
from telemetry.rollups.seal import seal

INDEX_DELAY_SECONDS = 30.0  # that a busy worker lets documents wait for the text index
PRUNE_BATCH_SIZE = 100  # executions whose logs are pruned, or files that are deleted, in one transaction


def resume_deferred_steps(*, now: datetime) -> int:
    """Continue the executions with due deferred steps; return their number.

    Raises:
        DatabaseUnavailable: the connection was lost; earlier executions have been stored.
    """
    return sum(_apply(execution_id, backoff.resume_deferred, now) for execution_id in recovery.due_executions(now=now))


def act_on_deadlines(*, now: datetime) -> int:
    """Apply deadlines of questions, and tell of due dates; return the number of executions.

    Raises:
        DatabaseUnavailable: the connection was lost; earlier executions have been stored.
    """
    return sum(
        _apply(execution_id, clarification.pass_time, now) for execution_id in recovery.overdue_executions(now=now)
    )


@transaction.atomic
def _apply(execution_id: UUID, how: Callable[..., core.Change], now: datetime) -> bool:
    try:
        stored = store_decision(execution_id, lambda execution, context: how(execution, context=context), now)
    except (NotWaiting, NotFound):
        return False  # another worker or a person was faster, or the execution has ended
    if not core.is_idle(stored):
        enqueue_advance(execution_id)
    return True


async def prune_events(*, now: datetime) -> int:
    """Prune the logs of executions that ended more than `EVENT_RETENTION_DAYS` ago; return their number.

    An execution that can still continue keeps its log. All others keep their last event.

    Raises:
        DatabaseUnavailable: the database cannot be reached; earlier logs have been pruned.
    """
    if not settings.EVENT_RETENTION_DAYS:
        return 0
    before, pruned = now - timedelta(days=settings.EVENT_RETENTION_DAYS), 0
    while batch := await in_thread(retention.prune, before=before, limit=PRUNE_BATCH_SIZE):
        pruned += batch
    return pruned


def prune_failures(*, now: datetime) -> int:
    """Remove failures from the inbox after `FAILURE_DAYS`; return their number.

    Raises:
        DatabaseUnavailable: the connection was lost; earlier entries have been removed.
    """
    before, removed = now - timedelta(days=FAILURE_DAYS), 0
    while batch := inbox_entries.prune_failures(before=before, limit=PRUNE_BATCH_SIZE):
        removed += batch
    return removed


def correct_inbox() -> int:
    """Remove entries of the inbox that are left over, and add missing ones; return their number.

    Processes of an earlier release leave them while a new release starts.

    Raises:
        DatabaseUnavailable: the connection was lost; earlier entries have been corrected.
    """
    corrected, last = 0, UUID(int=0)
    while wrong := inbox_entries.wrong(after=last, limit=PRUNE_BATCH_SIZE):
        corrected += _correct_entries(wrong)
        last = wrong[-1]
    return corrected


@transaction.atomic
def _correct_entries(execution_ids: list[UUID]) -> int:
    locked = repositories.lock_all(execution_ids, known={})
    transaction.on_commit(partial(announce_inbox, *{each.scope.id for each in locked.values()}))
    return inbox_entries.correct(locked)


async def erase_old(*, now: datetime) -> int:
    """Erase the executions that are older than their scope or workflow keeps them; return their number.

    Raises:
        DatabaseUnavailable: the database cannot be reached; earlier executions have been erased.
    """
    erased = 0
    for policy in await in_thread(retention.policies):
        while await shield_until_done(in_thread(erase_next_due, policy, now=now)):  # a worker that stops waits for one
            erased += 1
    return erased


async def finish_erasures() -> int:
    """Erase what is left of executions whose erasing was stopped; return their number.

    Raises:
        DatabaseUnavailable: the database cannot be reached; earlier parts have been erased.
    """
    finished, last = 0, UUID(int=0)
    while left := await in_thread(erasure.unfinished, after=last, limit=PRUNE_BATCH_SIZE):
        for execution_id in left:
            while await shield_until_done(in_thread(erasing.erase_next, execution_id, now=database_now())):
                pass
        finished, last = finished + len(left), left[-1]
    return finished


def prune_files(*, now: datetime) -> int:
    """Delete the files that were not used within a day of their upload; return their number.

    Raises:
        DatabaseUnavailable: the connection was lost; earlier files have been deleted.
    """
    before, deleted = now - UNUSED_RETENTION, 0
    while batch := delete_unused(before=before, limit=PRUNE_BATCH_SIZE):
        deleted += batch
    return deleted


async def index_new_documents(*, is_busy: Callable[[], bool]) -> None:
    """Index the documents that the text index lacks; while this worker is busy, only one batch.

    A document that was written more than `INDEX_DELAY_SECONDS` ago ends this restraint.

    Raises:
        DatabaseUnavailable: the database cannot be reached; earlier batches have been indexed.
    """
    while await in_thread(index_documents):
        late = database_now() - timedelta(seconds=INDEX_DELAY_SECONDS)
        if is_busy() and not await in_thread(is_any_waiting, before=late):
            return


async def roll_up_calls() -> None:
    """Seal the blocks of calls that have ended, and renew changed ones, in batches.

    Raises:
        DatabaseUnavailable: the database cannot be reached; earlier batches have been stored.
    """
    while await shield_until_done(in_thread(seal)):  # a worker that stops waits for the batch
        pass


def resume_budget_blocked(*, now: datetime) -> int:
    """Continue the executions whose scope budget now permits their next call; return their number.

    Reasons: a new month, a higher budget or none, or calls that used less than was reserved for them.

    Raises:
        DatabaseUnavailable: the connection was lost; earlier executions have been stored.
    """
    released, rooms = 0, dict[UUID, Decimal | None]()
    for execution_id, scope_id, required_usd in recovery.blocked_by_scope_month():
        if scope_id not in rooms:
            rooms[scope_id] = spending.remaining_budget(scope_id, now=now)
        room = rooms[scope_id]
        if room is not None:
            if required_usd is None or required_usd > room:
                continue
            rooms[scope_id] = room - required_usd
        released += _release(execution_id, now)
    return released


@transaction.atomic
def _release(execution_id: UUID, now: datetime) -> bool:
    try:
        store_decision(
            execution_id, lambda execution, context: budgets.resume_scope_blocked(execution, context=context), now
        )
    except (NotWaiting, NotFound):
        return False  # another worker was quicker, or it has ended
    enqueue_advance(execution_id)
    return True
