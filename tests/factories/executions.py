"""Executions in the database in a given state, and concurrent operations on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any, cast
from uuid import UUID

import psycopg
from django.db import connection, connections
from django.utils import timezone
from psycopg.sql import SQL, Identifier
from uuid_utils.compat import uuid7

from access.user import User
from common.database.parameters import connection_parameters
from executions.engine.domain.calls import Call, CallKey
from executions.engine.domain.clarification import QuestionDraft
from executions.engine.domain.execution import Brief, Document, Execution
from executions.engine.domain.states import CallKind, CallStatus
from executions.engine.ports import Transition
from executions.engine.transitions import claims, clarification, core
from executions.engine.transitions.core import Decide
from executions.persistence.journal import journal
from executions.services import executions
from orchestrator.pooled_postgresql.base import DatabaseWrapper
from tests.factories.engine import LINE, SCHEMA
from tests.support.waiting import HANG_SECONDS
from workflows import repository as workflows
from workflows.definitions.definition import ClarificationPolicy, WorkflowDefinition

DEADLINE_SECONDS = HANG_SECONDS


def start(
    user: User, definition: WorkflowDefinition = LINE, *, scope: str = "p", brief: Brief = "A brief."
) -> Execution:
    """Publish the workflow, and start it in a project of the user's."""
    workflows.clear_definitions()  # the table was emptied since
    workflows.publish(definition, now=timezone.now())
    return executions.start_execution(
        user=user, workflow_id="report", scope_type="project", scope_id=scope, input=brief, now=timezone.now()
    )


def decide(execution_id: UUID, how: Decide, *, fencing_token: int | None = None, **parts: Any) -> Execution:
    """Store a decision, as a person or as the runner with a fencing token."""
    transition = Transition(execution_id=execution_id, fencing_token=fencing_token, decide=how, **parts)
    return journal.apply(transition, now=timezone.now())


def claim(execution_id: UUID, worker: str = "a") -> Execution:
    """Let a runner take the execution."""
    return decide(
        execution_id,
        lambda execution, context: claims.claim(execution, worker=worker, max_recoveries=5, context=context),
    )


def begin(execution: Execution, step_id: str = "one") -> Execution:
    """Begin a step, its call under way."""
    return decide(
        execution.id,
        lambda now, context: core.start_step(now, step_id, model="m", input_versions=(), context=context),
        fencing_token=execution.fencing_token,
        calls=(call(execution.id, step_id),),
    )


def ask(execution_id: UUID, *, policy: ClarificationPolicy | None = None, default: str | None = None) -> Execution:
    """Bring a new execution to where it waits for an answer."""
    questions = (QuestionDraft(text="How many?", default=default),)
    begun = begin(claim(execution_id))

    def put(now: Execution, context: core.Context) -> core.Change:
        return clarification.ask(now, "one", questions=questions, policy=policy, context=context)

    return decide(begun.id, put)


def answer(user: User, execution_id: UUID, text: str) -> Execution:
    """Answer the question."""
    return executions.submit_clarification(
        user=user, execution_id=execution_id, step_id="one", answers={"one.1.1": text}, now=timezone.now()
    )


def cancel(user: User, execution_id: UUID) -> Execution:
    """Stop the execution."""
    return executions.cancel_execution(user=user, execution_id=execution_id, now=timezone.now())


def call(execution_id: UUID, step_id: str = "one") -> Call:
    """Return a call that is under way."""
    return Call(
        key=CallKey(execution_id=execution_id, step_id=step_id, attempt=1, kind=CallKind.GENERATE),
        model="scripted:writer",
        request_hash="0" * 64,
        status=CallStatus.PENDING,
        started_at=timezone.now(),
    )


def paper(execution: Execution, step_id: str = "one") -> Document:
    """Return what a step of the execution made."""
    return Document(
        id=uuid7(),
        scope_id=execution.scope.id,
        type=step_id,
        version=0,
        title="T",
        content={"title": "T", "points": ["p"]},
        schema=SCHEMA,
        execution_id=execution.id,
        step_id=step_id,
        created_at=timezone.now(),
    )


def empty_the_queue() -> None:
    """Lose every job; no table of Django's is emptied for the queue, so each test begins with this."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
        cursor.execute("DELETE FROM procrastinate_workers")


def together(*functions: Callable[[], object]) -> list[object]:
    """Call each on a connection of its own, all at once; return what each returned or raised."""
    barrier = Barrier(len(functions))

    def run(function: Callable[[], object]) -> object:
        try:
            barrier.wait(DEADLINE_SECONDS)
            return function()
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(run, functions))


def names(outcomes: list[object]) -> list[str]:
    """Return the types of outcomes, sorted."""
    return sorted(type(outcome).__name__ for outcome in outcomes)


@contextmanager
def outage() -> Iterator[None]:
    """Make the database reject all connections and close the open ones, with short timeouts for callers."""
    name, pooled = str(connection.settings_dict["NAME"]), cast(DatabaseWrapper, connection)
    for background in (False, True):
        if pool := pooled.pool_of(background=background):
            pool.timeout = 0.2
    with psycopg.connect(**{**connection_parameters(), "dbname": "postgres"}, autocommit=True) as admin:

        def allow(allowed: bool) -> None:
            admin.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(Identifier(name), SQL(str(allowed))))

        allow(False)
        try:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            yield
        finally:
            allow(True)
            pooled.close_pool()  # its patience, and what it has learnt about how long to wait
