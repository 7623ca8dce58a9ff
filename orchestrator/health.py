"""Health endpoints: liveness and readiness."""

from __future__ import annotations

import logging

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from common.database.connections import giving_back
from common.database.server import database_now
from executions.selectors import executions
from orchestrator.legacy_database import NAME, is_legacy

logger = logging.getLogger(__name__)


async def healthz(_request: HttpRequest) -> JsonResponse:
    """Report that the process is alive."""
    return JsonResponse({"status": "ok"})


async def readyz(_request: HttpRequest) -> JsonResponse:
    """Report whether new executions can run: database, migrations, a worker."""
    checks = await sync_to_async(giving_back(_checks))()
    ready = all(state == "ok" for state in checks.values())
    body = {"status": "ok" if ready else "not ready", "checks": checks}
    return JsonResponse(body, status=200 if ready else 503)


def _checks() -> dict[str, str]:
    try:
        if is_legacy(connection):
            return {"database": "ok", "migrations": NAME, "worker": "unknown"}
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        heartbeat = None if pending else executions.newest_heartbeat()
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_read_only')::boolean")
            is_read_only = cursor.fetchone()[0]
    except DatabaseError as error:
        logger.warning("The database does not answer the readiness check: %s", error)
        return {"database": "unreachable", "migrations": "unknown", "worker": "unknown"}
    is_silent = heartbeat is None or (database_now() - heartbeat).total_seconds() > settings.WORKER_SILENT_SECONDS
    return {
        "database": "read-only" if is_read_only else "ok",
        "migrations": f"{len(pending)} to apply" if pending else "ok",
        "worker": "no worker is running" if is_silent else "ok",
    }
