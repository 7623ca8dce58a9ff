"""What Procrastinate calls."""

from __future__ import annotations

from uuid import UUID

from procrastinate import JobContext
from procrastinate.contrib.django import app

from executions import services
from executions.jobs import ADVANCE, QUEUE


@app.task(name=ADVANCE, queue=QUEUE, pass_context=True)
async def advance(context: JobContext, *, execution_id: str, **_more: object) -> None:
    """Carry an execution on."""
    await services.advance_execution(execution_id=UUID(execution_id), runner=context.worker_name or "worker")
