"""What people and clients do with executions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from pydantic import JsonValue
from uuid_utils.compat import uuid7

from access.selectors import Role
from access.services import claim_root_scope
from documents import selectors as documents_read
from executions import journal, retention, sweep
from executions.budgeting import with_limits
from executions.engine import asking, changes, parking, reopening
from executions.engine.dry_run import Script
from executions.engine.errors import (
    NotFound,
    NotWaiting,
    Occupied,
    Unavailable,
)
from executions.engine.execution import Brief, Execution, ScopeRef, Step
from executions.engine.planner import new_execution
from executions.engine.runner import ExecutionRunner
from executions.engine.states import ExecutionStatus
from executions.engine.values import replace
from executions.holding import apply, hold
from executions.jobs import enqueue_advance
from executions.running import supervise, watched
from executions.starting import ground, published, require_all
from executions.threads import in_thread, patiently
from executions.wiring import ports
from telemetry import prices, turns

PRUNED_AT_ONCE = 100  # executions whose logs are pruned in one transaction
PRICES_SECONDS = 30.0  # that a run may not know of a price which somebody has set; a worker looks more often

logger = logging.getLogger(__name__)


@transaction.atomic
def start_execution(
    *,
    user: User,
    workflow_id: str,
    scope_type: str,
    scope_id: str,
    input: Brief | None = None,
    workflow_version: int | None = None,
    tags: Sequence[str] = (),
    budget: Mapping[str, Any] | None = None,
    script: Script | None = None,
    now: datetime,
) -> Execution:
    """Accept an execution, with a `script` a dry run: its rows, its first event and its job are stored together.

    Raises:
        NotFound: there is no such workflow or version.
        ScopeForbidden: the scope belongs to somebody else.
        BudgetExceeded: the scope has spent what it may spend this month.
        UnpricedModel: a step's model has no known price, and REQUIRE_PRICED is on.
        Invalid: a brief is missing or not taken, a document that it starts from is missing, or a model's provider.
    """
    there = ground(user, (workflow_id, workflow_version), scope_type=scope_type, scope_key=scope_id, now=now)
    wanted = published(workflow_id, workflow_version, versions=there.versions)
    scope = claim_root_scope(user=user, scope_type=scope_type, scope_key=scope_id, there=there.scopes)
    require_all(wanted.definition, scope.id, rooms=there.rooms, brief=input, script=script, now=now)
    execution = new_execution(
        wanted.definition,
        execution_id=uuid7(),
        workflow_version=wanted.version,
        scope=ScopeRef(id=scope.id, type=scope.type, key=scope.key),
        brief=input,
        script=script,
        now=now,
    )
    execution = replace(execution, requested_by=user.pk, requested_by_name=user.get_username(), tags=tuple(tags))
    execution = replace(execution, budget=with_limits(wanted.definition.budget, budget))
    stored = journal.create(changes.create(execution), version_id=wanted.row_id)
    enqueue_advance(stored.id)
    return stored


@transaction.atomic
def submit_clarification(
    *,
    user: User,
    execution_id: UUID,
    step_id: str,
    answers: Mapping[str, JsonValue],
    now: datetime,
    expected_versions: Collection[int] | None = None,
) -> Execution:
    """Answer a step's open questions, and let the execution go on. The same answers again change nothing.

    Raises:
        NotFound: there is no such execution or step, or none that the user may see.
        Forbidden: the user's role does not reach.
        InvalidAnswers: some answers do not fit; the questions stay open.
        NotWaiting: nothing is asked, or somebody else has answered already.
        VersionConflict: the present version is none of `expected_versions`.
    """
    current = hold(user, execution_id, Role.REVIEWER, expected_versions=expected_versions)
    step = current.steps.get(step_id)
    if step is not None and asking.is_answered_so(step, answers):
        return current

    def decide(execution: Execution, context: changes.Context) -> changes.Change:
        return asking.answer(execution, step_id, answers, answered_by=user.get_username(), context=context)

    stored = apply(execution_id, decide, now)
    enqueue_advance(execution_id)
    return stored


@transaction.atomic
def cancel_execution(
    *, user: User, execution_id: UUID, now: datetime, expected_versions: Collection[int] | None = None
) -> Execution:
    """Stop an execution. One that is cancelled already stays as it is.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
        Forbidden: the user's role does not reach.
        IllegalTransition: it has ended otherwise.
        VersionConflict: the present version is none of `expected_versions`.
    """
    current = hold(user, execution_id, Role.OPERATOR, expected_versions=expected_versions)
    if current.status is ExecutionStatus.CANCELLED:
        return current
    return apply(execution_id, lambda execution, context: changes.cancel(execution, context=context), now)


@transaction.atomic
def retry_execution(
    *,
    user: User,
    execution_id: UUID,
    from_step: str | None = None,
    now: datetime,
    expected_versions: Collection[int] | None = None,
) -> Execution:
    """Let a failed or cancelled execution go on, from its failed steps or from an earlier one.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
        Forbidden: the user's role does not reach.
        IllegalTransition: it has neither failed nor been cancelled.
        Invalid: it has no such step.
        VersionConflict: the present version is none of `expected_versions`.
    """
    held = hold(user, execution_id, Role.OPERATOR, expected_versions=expected_versions)
    titles = titles_of(step for step in held.steps.values() if reopening.undecided(step))

    def decide(execution: Execution, context: changes.Context) -> changes.Change:
        name = user.get_username()
        return reopening.retry(execution, from_step=from_step, requested_by=name, titles=titles, context=context)

    stored = apply(execution_id, decide, now)
    enqueue_advance(execution_id)
    return stored


def titles_of(steps: Iterable[Step]) -> dict[UUID, str]:
    """Return the titles of the documents that steps have made, by the documents' ids."""
    pairs = ((step.document_id, step.document_version) for step in steps)
    found = documents_read.titles((each, number) for each, number in pairs if each is not None and number is not None)
    return {document_id: title for (document_id, _), title in found.items()}


def resume_parked(*, now: datetime) -> int:
    """Let the executions go on that are parked until now or earlier; return how many.

    Raises:
        Unavailable: the connection was lost; those done so far are.
    """
    return sum(_wake(execution_id, parking.resume, now) for execution_id in sweep.due(now=now))


def expire_questions(*, now: datetime) -> int:
    """Do what has to happen with questions that nobody answered in time; return in how many executions.

    Raises:
        Unavailable: the connection was lost; those done so far are.
    """
    return sum(_wake(execution_id, asking.expire, now) for execution_id in sweep.overdue(now=now))


@transaction.atomic
def _wake(execution_id: UUID, how: Callable[..., changes.Change], now: datetime) -> bool:
    try:
        stored = apply(execution_id, lambda execution, context: how(execution, context=context), now)
    except (NotWaiting, NotFound):
        return False  # another worker or a person was quicker, or it has ended
    if not stored.ended:
        enqueue_advance(execution_id)
    return True


async def advance_execution(*, execution_id: UUID, runner: str) -> None:
    """Carry an execution on until nothing in it can go on. One that has nothing to run costs one look.

    One that another worker runs is left to it: that worker sees for itself what has changed. While the database is
    away this waits. Cancelled, it goes on all the same (`running.stop` ends it). One that is gone is left.
    """
    await supervise(execution_id, lambda: _advance(execution_id, runner))


async def _know_prices_and_limits() -> None:
    for known in (prices, turns):
        if not known.is_fresh(seconds=PRICES_SECONDS):
            await patiently(known.refresh, older_than_seconds=PRICES_SECONDS)


async def _advance(execution_id: UUID, runner: str) -> None:
    """Carry an execution on; again, if the database has lost what this runner had done of it."""
    try:
        left = await _carry_on(execution_id, runner)
        while left is not None and left.status is ExecutionStatus.RUNNING and left.runner == runner:
            logger.warning("the database has lost a part of %s; it is run again from there", execution_id)
            left = await _carry_on(execution_id, runner)
    except NotFound:
        logger.warning("%s is gone; the database has lost it, or it was removed", execution_id)


async def _carry_on(execution_id: UUID, runner: str) -> Execution | None:
    """Return the execution as its runner has left it; None when another worker runs it."""
    running = ExecutionRunner(ports(), execution_id=execution_id, runner=runner)
    silent = settings.RUNNER_SILENT_SECONDS
    with watched(running, execution_id):
        try:
            await _know_prices_and_limits()
            try:
                return await running.run(take_over=False)
            except Occupied:
                if not await patiently(sweep.runs_elsewhere, execution_id, runner, silent_seconds=silent):
                    return await running.run()
            return None
        except asyncio.CancelledError:
            # This worker stops. What it handed back goes on at once elsewhere, not only after a sweep.
            try:
                await asyncio.shield(in_thread(enqueue_advance, execution_id))
            except Unavailable:
                logger.warning("the database is away; a sweep will find %s", execution_id)
            raise


async def execute_next_step(*, execution_id: UUID, runner: str) -> Execution:
    """Run the next step of an execution that can go on, here and now, and hand the execution back.

    `runner` is the name of a worker that beats: the sweep takes over from anybody else at once.

    Raises:
        NotFound: there is no such execution.
        Unavailable: the database is away.
    """
    running = ExecutionRunner(ports(), execution_id=execution_id, runner=runner)
    await _know_prices_and_limits()
    with watched(running, execution_id):
        return await running.step()


async def prune_events(*, now: datetime) -> int:
    """Prune the logs of executions that ended over `EVENT_RETENTION_DAYS` ago; return of how many.

    An execution that can go on by itself keeps its log, and every other one its last event.

    Raises:
        Unavailable: the database is away; what was pruned so far is.
    """
    if not settings.EVENT_RETENTION_DAYS:
        return 0
    before, pruned = now - timedelta(days=settings.EVENT_RETENTION_DAYS), 0
    while batch := await in_thread(retention.prune, before=before, limit=PRUNED_AT_ONCE):
        pruned += batch
    return pruned
