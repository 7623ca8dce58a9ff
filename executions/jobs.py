"""Work for the workers, enqueued by name on the caller's own transaction: all or nothing."""

from __future__ import annotations

from uuid import UUID

from procrastinate.contrib.django import app
from procrastinate.exceptions import ConnectorException
from psycopg import InterfaceError, OperationalError

from executions.engine.errors import Unavailable

ADVANCE = "executions.advance"
QUEUE = "executions"


def enqueue_advance(execution_id: UUID) -> None:
    """Have a worker carry the execution on. A superfluous job costs a worker one look.

    The lock keeps two workers from the same execution; it does not fence (a paused worker wakes up), the epoch does.

    Raises:
        Unavailable: the connection was lost.
    """
    identity = str(execution_id)
    job = app.configure_task(ADVANCE, queue=QUEUE, lock=identity, allow_unknown=True)
    try:
        job.defer(execution_id=identity)
    except ConnectorException as error:
        if isinstance(error.__cause__, OperationalError | InterfaceError):
            raise Unavailable("The database cannot be reached.") from error
        raise
