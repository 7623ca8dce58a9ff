"""Fills the tables with executions of a year and five calls of each, and seals their blocks: python -m … CALLS."""

from __future__ import annotations

import sys
import time
from uuid import UUID

from django.db import connection

from access.services import ensure_user
from benchmarks import report
from benchmarks.systems import workload
from common.database.connections import without_time_limit
from telemetry.rollups.seal import seal

STEPS = 5  # calls of an execution
WORKFLOWS, SCOPES, USERS, MODELS = 50, 1_000, 20, 5
FEW_SCOPES = 1  # that the user `few` sees

_ID = "('00000000-0000-7000-8000-' || lpad(number::text, 12, '0'))::uuid"
_SCOPE = "('00000000-0000-7000-8003-' || lpad((number % {scopes})::text, 12, '0'))::uuid"
_BEGIN = "now() - interval '1 year' + number * (interval '1 year' / {executions})"
_WORKFLOW = "CASE number % {workflows} WHEN 0 THEN 'line' ELSE 'w' || number % {workflows} END"
_SCOPES = f"""
INSERT INTO access_scope (id, type, key, created_at)
SELECT {_SCOPE}, 'project', 'p' || number, now() FROM generate_series(0, {{scopes}} - 1) AS number;
INSERT INTO access_scoperole (scope_id, user_id, role, created_at)
SELECT id, {{few}}, 'viewer', now() FROM access_scope WHERE type = 'project' ORDER BY id OFFSET 17 LIMIT {{few_scopes}}
"""
_EXECUTIONS = f"""
INSERT INTO executions_execution SELECT (jsonb_populate_record(one, jsonb_build_object(
  'id', {_ID}, 'scope_id', {_SCOPE}, 'workflow_id', {_WORKFLOW}, 'created_at', {_BEGIN},
  'updated_at', {_BEGIN}, 'started_at', {_BEGIN} + interval '1 second',
  'finished_at', {_BEGIN} + number * 7919 % 1800 * interval '1 second' + interval '2 minutes',
  'status', CASE WHEN number % 20 = 19 THEN 'failed' ELSE 'completed' END
))).*
FROM executions_execution AS one, generate_series(0, {{executions}} - 1) AS number WHERE one.id = '{{pattern}}'
"""
#: One execution of ten waits once.
_EVENTS = f"""
INSERT INTO executions_executionevent (
  execution_id, sequence, scope_id, scope_sequence, event_type, data, timestamp
)
SELECT {_ID}, nth, {_ID}, nth, CASE nth WHEN 1 THEN 'execution_waiting' ELSE 'execution_resumed' END, '{{{{}}}}',
  {_BEGIN} + nth * interval '30 seconds'
FROM generate_series(0, {{executions}} - 1, 10) AS number, generate_series(1, 2) AS nth
"""
_CALLS = f"""
INSERT INTO telemetry_modelcall (
  id, execution_id, step_id, attempt, kind, ordinal, workflow_id, scope_id, user_id, status, version, requested_model,
  request_hash, provider, model, provider_request_id, reply, tags, input_tokens, cache_read_input_tokens,
  cache_write_input_tokens, output_tokens, reasoning_tokens, cost_usd, latency_ms, error, started_at, finished_at
)
SELECT gen_random_uuid(), {_ID}, 's' || nth, 1, CASE (number + nth) % 20 WHEN 0 THEN 'remediate' ELSE 'generate' END,
  1, {_WORKFLOW}, {_SCOPE}, {{first_user}} + number % {{users}}, 'committed', 2,
  'openai:m' || (number + nth) % {{models}}, repeat('0', 64), 'openai', 'm' || (number + nth) % {{models}}, '',
  '{{{{"text": "Done."}}}}',
  CASE WHEN number % 3 = 0 THEN '["pilot"]'::jsonb ELSE '[]'::jsonb END,
  1000 + number % 977, 10, 0, 500 + number % 499, 5, 0.0012345678 + number % 101 * 0.0000000001, 2000 + number % 997,
  '', {_BEGIN} + nth * interval '20 seconds', {_BEGIN} + nth * interval '20 seconds' + interval '5 seconds'
FROM generate_series({{first}}, {{last}}) AS number, generate_series(0, {{steps}} - 1) AS nth
"""
_BATCH = 20_000  # executions


def fill(calls: int) -> None:
    """Create scopes, users, executions and calls."""
    ensure_user(name="all", superuser=True)
    few = ensure_user(name="few")
    users = [ensure_user(name=f"person{number}") for number in range(USERS)]
    pattern = workload.start(workload.publish(1), "pattern")
    values: dict[str, int | UUID] = {
        **{"executions": calls // STEPS, "steps": STEPS, "pattern": pattern, "few": few.pk, "few_scopes": FEW_SCOPES},
        **{"workflows": WORKFLOWS, "scopes": SCOPES, "users": USERS, "models": MODELS, "first_user": users[0].pk},
    }
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        for statement in (_SCOPES, _EXECUTIONS, _EVENTS):
            cursor.execute(statement.format(**values))
        for first in range(0, calls // STEPS, _BATCH):
            last = min(first + _BATCH, calls // STEPS) - 1
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
