"""Procrastinate tasks."""

from __future__ import annotations

from uuid import UUID

from procrastinate import JobContext
from procrastinate.contrib.django import app

from common.database.server import database_now
from executions.queue.jobs import ADVANCE, PRUNE, QUEUE
from executions.worker import advance as advancing
from executions.worker import duties


@app.task(name=ADVANCE, queue=QUEUE, pass_context=True)
async def advance(context: JobContext, *, execution_id: str, **_more: object) -> None:
    """Run an execution until it has ended or waits."""
    await advancing.advance_execution(execution_id=UUID(execution_id), worker=context.worker_name or "worker")


@app.task(name=PRUNE, queue=QUEUE)
async def prune(**_more: object) -> None:
    """Prune old event logs. Workers enqueue this periodically."""
    await duties.prune_events(now=database_now())
