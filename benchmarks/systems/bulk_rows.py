"""Hundreds of thousands of executions: copies of one real execution, inserted by SQL."""

from __future__ import annotations

from uuid import UUID

from django.db import connection

from benchmarks.systems import workload

PREFIX = "00000000-0000-7000-8000-"

_ID = f"('{PREFIX}' || lpad(number::text, 12, '0'))::uuid"
_EXECUTIONS = f"""
INSERT INTO executions_execution SELECT (jsonb_populate_record(one, jsonb_build_object('id', {_ID}))).*
FROM executions_execution AS one, generate_series(0, %s) AS number WHERE one.id = %s
"""
_CHILDREN = """
INSERT INTO {table} ({columns}) SELECT {values}
FROM {table} AS one, generate_series(0, %s) AS number WHERE one.execution_id = %s
"""
_CHILD_COLUMNS = """
SELECT column_name FROM information_schema.columns WHERE table_name = %s AND table_schema = 'public'
"""
_HEADS = f"""
INSERT INTO documents_document (
  id, scope_id, root_id, type, title, status, version, last_version, execution_id, created_at, updated_at
)
SELECT {_ID}, one.scope_id, one.scope_id, 'd' || number, 'T', 'current', 1, 1, {_ID}, now(), now()
FROM executions_execution AS one, generate_series(0, %s) AS number WHERE one.id = %s
"""
_SCOPES = f"""
INSERT INTO access_scope SELECT (jsonb_populate_record(one, jsonb_build_object('id', {_ID}, 'key', 'p' || number))).*
FROM access_scope AS one, generate_series(0, %s) AS number
WHERE one.id = (SELECT scope_id FROM executions_execution WHERE id = %s)
"""
_OWN_SCOPES = "UPDATE executions_execution SET scope_id = id WHERE id::text LIKE %s"
_FEEDS = f"INSERT INTO executions_feed (scope_id, last) SELECT {_ID}, 1 FROM generate_series(0, %s) AS number"
_FIRST_CALLS = f"""
INSERT INTO telemetry_modelcall (id, execution_id, step_id, attempt, kind, ordinal, workflow_id, scope_id, status,
  version, requested_model, request_hash, provider, model, provider_request_id, input_tokens, cache_read_input_tokens,
  cache_write_input_tokens, output_tokens, reasoning_tokens, reserved_tokens, error, started_at)
SELECT ('00000000-0000-7000-8002-' || lpad((number * %s)::text, 12, '0'))::uuid, {_ID}, 's0', 1, 'generate', 1, 'line',
  {_ID}, 'pending', 1, 'openai:writer', repeat('0', 64), '', '', '', 0, 0, 0, 0, 0, 5000, '', now()
FROM generate_series(0, %s) AS number
"""
_SCHEMA = "INSERT INTO documents_schema (hash, content) VALUES ('0', '{}')"


def id_of(number: int) -> UUID:
    """Return the id of a copy."""
    return UUID(f"{PREFIX}{number:012}")


def copy_execution(execution_id: UUID, count: int, *, tables: tuple[str, ...] = ()) -> None:
    """Copy an execution, with its rows in other tables; the copies are numbered from 0."""
    with connection.cursor() as cursor:
        cursor.execute(_EXECUTIONS, [count - 1, execution_id])
        for table in tables:
            cursor.execute(_CHILD_COLUMNS, [table])
            columns = {name: f"one.{name}" for (name,) in cursor.fetchall()}
            columns["execution_id"] = _ID
            if table == "executions_executionevent":
                columns["scope_id"] = _ID  # a feed per copy, which keeps the numbers of the original
            if table in {"telemetry_modelcall", "executions_inboxentry"}:
                columns["id"] = "gen_random_uuid()"
            else:
                del columns["id"]
            names, values = ", ".join(columns), ", ".join(columns.values())
            cursor.execute(_CHILDREN.format(table=table, columns=names, values=values), [count - 1, execution_id])


def create_full_rows(count: int, steps: int) -> UUID:
    """Create executions with a running first step, in separate scopes; return the original execution."""
    pattern = workload.start(workload.publish(steps), "pattern")
    copy_execution(pattern, count, tables=("executions_executionstep",))
    with connection.cursor() as cursor:
        cursor.execute(_SCOPES, [count - 1, pattern])
        cursor.execute(_OWN_SCOPES, [f"{PREFIX}%"])
        cursor.execute(_FEEDS, [count - 1])
        cursor.execute(_FIRST_CALLS, [steps, count - 1])
        cursor.execute(_SCHEMA)
    return pattern


def create_minimal_rows(count: int) -> UUID:
    """Create executions with one document each, without other rows; return the original execution."""
    pattern = workload.start(workload.publish(1), "pattern")
    copy_execution(pattern, count)
    with connection.cursor() as cursor:
        cursor.execute(_HEADS, [count - 1, pattern])
        cursor.execute(_SCHEMA)
    return pattern
