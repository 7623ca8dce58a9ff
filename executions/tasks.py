"""What Procrastinate calls."""

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
    """Carry an execution on."""
    await advancing.advance_execution(execution_id=UUID(execution_id), worker=context.worker_name or "worker")


@app.task(name=PRUNE, queue=QUEUE)
async def prune(**_more: object) -> None:
    """Remove what has been kept of old logs for long enough. Workers enqueue it now and then."""
    await duties.prune_events(now=database_now())
