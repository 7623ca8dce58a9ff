"""Fills the tables with executions of a year and all their rows, and seals the blocks of calls: python -m … CALLS."""

from __future__ import annotations

import sys
import time

from django.db import connection

from access.services import ensure_user
from benchmarks import report
from benchmarks.systems.scale import executions
from benchmarks.systems.scale.executions import (
    BATCH,
    BEGIN,
    BIG_SCOPE,
    ID,
    IS_DRY,
    SCOPE,
    SCOPES,
    STEPS,
    WORKFLOW,
    WORKFLOWS,
)
from common.database.connections import without_time_limit
from telemetry.rollups.seal import seal

USERS, MODELS = 20, 5

_EVERY_SCOPE = """
INSERT INTO access_scope (id, type, key, created_at)
SELECT ('00000000-0000-7000-8003-' || lpad(number::text, 12, '0'))::uuid, 'project', 'p' || number, now()
FROM generate_series(0, {scopes} - 1) AS number;
INSERT INTO access_scoperole (scope_id, user_id, role, created_at)
SELECT id, {few}, 'owner', now() FROM access_scope WHERE key = 'p{big_scope}';
INSERT INTO access_scoperole (scope_id, user_id, role, created_at)
SELECT id, {many}, 'owner', now() FROM access_scope WHERE type = 'project'
"""
_CALLS = f"""
INSERT INTO telemetry_modelcall (
  id, execution_id, step_id, attempt, kind, ordinal, workflow_id, scope_id, user_id, dry_run, status, version,
  requested_model, request_hash, provider, model, provider_request_id, reply, tags, input_tokens,
  cache_read_input_tokens, cache_write_input_tokens, output_tokens, reasoning_tokens, cost_usd, latency_ms, error,
  started_at, finished_at
)
SELECT gen_random_uuid(), {ID}, 's' || nth, 1, CASE (number + nth) % 20 WHEN 0 THEN 'remediate' ELSE 'generate' END,
  1, {WORKFLOW}, {SCOPE}, {{first_user}} + number % {{users}}, {IS_DRY}, 'committed', 2,
  'openai:m' || (number + nth) % {{models}}, repeat('0', 64), 'openai', 'm' || (number + nth) % {{models}}, '',
  '{{{{"provider": "openai", "model": "m1", "text": "Done."}}}}',
  CASE WHEN number % 3 = 0 THEN '["pilot"]'::jsonb ELSE '[]'::jsonb END,
  1000 + number % 977, 10, 0, 500 + number % 499, 5, 0.0012345678 + number % 101 * 0.0000000001, 2000 + number % 997,
  '', {BEGIN} + nth * interval '20 seconds', {BEGIN} + nth * interval '20 seconds' + interval '5 seconds'
FROM generate_series({{first}}, {{last}}) AS number, generate_series(0, {{steps}} - 1) AS nth
"""


def fill(calls: int) -> None:
    """Create scopes, users, executions and calls."""
    ensure_user(name="all", superuser=True)
    few, many = ensure_user(name="few"), ensure_user(name="many")
    users = [ensure_user(name=f"person{number}") for number in range(USERS)]
    values: dict[str, int] = {
        **{"executions": calls // STEPS, "steps": STEPS, "few": few.pk, "many": many.pk, "big_scope": BIG_SCOPE},
        **{"workflows": WORKFLOWS, "scopes": SCOPES, "users": USERS, "models": MODELS, "first_user": users[0].pk},
    }
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        cursor.execute(_EVERY_SCOPE.format(**values))
        cursor.execute("SET session_replication_role = origin")
    executions.fill(values)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for first in range(0, calls // STEPS, BATCH):
            last = min(first + BATCH, calls // STEPS) - 1
            cursor.execute(_CALLS.format(**values, first=first, last=last))
        cursor.execute("SET session_replication_role = origin; SET synchronous_commit = on")
        cursor.execute("VACUUM ANALYZE")


def seal_all() -> None:
    """Seal all blocks, as a worker does."""
    began = time.monotonic()
    seal()  # remembers the time
    while seal():
        pass
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("SELECT count(*), pg_total_relation_size('telemetry_rollup') / 1048576 FROM telemetry_rollup")
        rows, size = cursor.fetchone()
        cursor.execute("SELECT pg_total_relation_size('telemetry_modelcall') / 1048576")
        [ledger] = cursor.fetchone()
    took = time.monotonic() - began
    report.say(f"sealed in {took:.0f} s: {rows:,} rows, {size:,} MiB; the ledger has {ledger:,} MiB")


if __name__ == "__main__":
    with without_time_limit():
        fill(int(sys.argv[1]))
        seal_all()
