"""What Procrastinate calls."""

from __future__ import annotations

import logging
from uuid import UUID

from procrastinate import JobContext
from procrastinate.contrib.django import app

from executions import services
from executions.engine.errors import Unavailable
from executions.jobs import ADVANCE, QUEUE

logger = logging.getLogger(__name__)


@app.task(name=ADVANCE, queue=QUEUE, pass_context=True)
async def advance(context: JobContext, *, execution_id: str, **_from_newer_code: object) -> None:
    """Carry an execution on."""
    try:
        await services.advance_execution(execution_id=UUID(execution_id), runner=context.worker_name or "worker")
    except Unavailable:
        logger.warning("the database went away under %s; the sweep will find it", execution_id)
