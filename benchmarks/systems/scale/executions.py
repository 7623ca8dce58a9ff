"""Executions of a year: copies of one that has ended and of one that waits for an answer.

All have their steps. The newest have their events, documents and versions, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.db import connection
from django.utils import timezone

from benchmarks.systems import transitions, workload
from benchmarks.systems.waiting import ask
from executions.engine.domain.states import FailureCode
from executions.engine.ports import Transition
from executions.persistence.journal import journal

STEPS = 5  # calls of an execution
WORKFLOWS, SCOPES = 50, 1_000
BIG_SCOPE = 17  # number of the scope with 1.5 % of the executions; the others share the rest evenly
IN_BIG_SCOPE = (0, 59, 98)  # of 200: one of the workflow with a definition, one that failed, one that waits
FULL = 20_000  # newest executions with events and documents
BATCH = 20_000  # executions in one statement
RARE = 10  # executions with the rare tag

ID = "('00000000-0000-7000-8000-' || lpad(number::text, 12, '0'))::uuid"
SCOPE = (
    f"('00000000-0000-7000-8003-' || lpad((CASE WHEN number % 200 IN {IN_BIG_SCOPE} THEN {{big_scope}} ELSE "
    "number % {scopes} END)::text, 12, '0'))::uuid"
)
BEGIN = "now() - interval '1 year' + number * (interval '1 year' / {executions})"
WORKFLOW = "CASE number % {workflows} WHEN 0 THEN 'line' ELSE 'w' || number % {workflows} END"
IS_DRY = "number % 40 = 13"
IS_WAITING = "number % 100 = 98"
_DOCUMENT = "('00000000-0000-7000-8001-' || lpad((number * {steps} + one.position)::text, 12, '0'))::uuid"

_EXECUTIONS = f"""
INSERT INTO executions_execution SELECT (jsonb_populate_record(one, jsonb_build_object(
  'id', {ID}, 'scope_id', {SCOPE}, 'workflow_id', {WORKFLOW}, 'created_at', {BEGIN},
  'updated_at', {BEGIN}, 'started_at', {BEGIN} + interval '1 second',
  'finished_at', CASE WHEN NOT {IS_WAITING} THEN
    {BEGIN} + number * 7919 % 1800 * interval '1 second' + interval '2 minutes' END,
  'status', CASE WHEN {IS_WAITING} THEN 'waiting' WHEN number % 20 = 19 THEN 'failed' ELSE 'completed' END,
  'failure_code', CASE WHEN number % 20 = 19 THEN '{FailureCode.MODEL_REFUSED.value}' ELSE '' END,
  'script', CASE WHEN {IS_DRY} THEN '{{{{}}}}'::jsonb END,
  'tags', CASE WHEN number % ({{executions}} / {RARE}) = 5 THEN '["rare", "pilot"]'::jsonb
    WHEN number % 3 = 0 THEN '["pilot"]' ELSE '[]' END
))).*
FROM executions_execution AS one, generate_series({{first}}, {{last}}) AS number
WHERE one.id = CASE WHEN {IS_WAITING} THEN '{{asking}}'::uuid ELSE '{{ended}}' END
"""
_TAGS = """
INSERT INTO executions_executiontag (tag, created_at, execution_id)
SELECT tag, created_at, id FROM executions_execution, jsonb_array_elements_text(tags) AS tag ON CONFLICT DO NOTHING
"""
#: One execution of ten waits once.
_WAITS = f"""
INSERT INTO executions_executionevent (
  execution_id, sequence, scope_id, scope_sequence, event_type, data, timestamp
)
SELECT {ID}, 1000 + nth, {ID}, 1000 + nth,
  CASE nth WHEN 1 THEN 'execution_waiting' ELSE 'execution_resumed' END,
  CASE nth WHEN 1 THEN json_build_object('waiting_on', json_build_array('clarification'), 'resume_at', NULL)
    ELSE '{{{{}}}}' END,
  {BEGIN} + nth * interval '30 seconds'
FROM generate_series(0, {{executions}} - 1, 10) AS number, generate_series(1, 2) AS nth
"""
_INBOX = f"""
INSERT INTO executions_inboxentry SELECT (jsonb_populate_record(one, jsonb_build_object(
  'id', gen_random_uuid(), 'execution_id', {ID}, 'root_id', {SCOPE}, 'workflow_id', {WORKFLOW}, 'dry_run', {IS_DRY},
  'since', {BEGIN}, 'kind', CASE WHEN {IS_WAITING} THEN 'question' ELSE 'failure' END,
  'step_id', CASE WHEN {IS_WAITING} THEN one.step_id ELSE '' END
))).*
FROM executions_inboxentry AS one, generate_series(0, {{executions}} - 1) AS number
WHERE one.execution_id = '{{asking}}'
  AND ({IS_WAITING} OR number % 20 = 19 AND {BEGIN} > now() - interval '14 days')
"""
_COLUMNS = """
SELECT column_name FROM information_schema.columns WHERE table_name = %s AND table_schema = 'public'
"""
#: Rows of an execution, copied for others: {columns} and {values} are filled in for each table.
_ROWS = f"""
INSERT INTO {{table}} ({{columns}}) SELECT {{values}}
FROM {{table}} AS one, generate_series({{first}}, {{last}}) AS number
WHERE one.execution_id = CASE WHEN {IS_WAITING} THEN '{{asking}}'::uuid ELSE '{{ended}}' END
"""
_HEADS = f"""
INSERT INTO documents_document SELECT (jsonb_populate_record(head, jsonb_build_object(
  'id', {_DOCUMENT}, 'scope_id', {SCOPE}, 'root_id', {SCOPE}, 'type', head.type || '-' || number,
  'workflow_id', {WORKFLOW}, 'execution_id', {ID}, 'created_at', {BEGIN}, 'updated_at', {BEGIN},
  'search', to_tsvector('simple', head.title), 'search_language', 'simple'
))).*
FROM executions_executionstep AS one JOIN documents_document AS head ON head.id = one.document_id,
  generate_series({{newest}}, {{executions}} - 1) AS number
WHERE one.execution_id = '{{ended}}' AND NOT {IS_WAITING}
"""
_VERSIONS = f"""
INSERT INTO documents_documentversion ({{columns}}) SELECT {{values}}
FROM executions_executionstep AS one JOIN documents_documentversion AS version ON version.document_id = one.document_id,
  generate_series({{newest}}, {{executions}} - 1) AS number
WHERE one.execution_id = '{{ended}}' AND NOT {IS_WAITING}
"""


def fill(values: Mapping[str, int]) -> None:
    """Create the executions with their rows in other tables."""
    user = workload.publish(STEPS)
    ended, asking = workload.start(user, "ended"), workload.start(user, "asking")
    _finish(ended)
    _ask(asking)
    newest = max(values["executions"] - FULL, 0)
    given = {**values, "ended": ended, "asking": asking, "newest": newest}
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        for first in range(0, values["executions"], BATCH):
            part = {**given, "first": first, "last": min(first + BATCH, values["executions"]) - 1}
            cursor.execute(_EXECUTIONS.format(**part))
            has_documents = f"CASE WHEN number >= {newest} THEN {_DOCUMENT} ELSE one.document_id END"
            _copy(_ROWS, "executions_executionstep", part, execution_id=ID, document_id=has_documents)
        newest_rows = {**given, "first": newest, "last": values["executions"] - 1}
        _copy(_ROWS, "executions_executionevent", newest_rows, execution_id=ID, scope_id=ID)
        for statement in (_TAGS, _WAITS, _INBOX, _HEADS):
            cursor.execute(statement.format(**given))
        own = {"document_id": _DOCUMENT, "execution_id": ID, "created_at": BEGIN}
        _copy(_VERSIONS, "documents_documentversion", given, row="version", **own)
        cursor.execute("SET session_replication_role = origin")


def _copy(statement: str, table: str, values: Mapping[str, object], *, row: str = "one", **changed: str) -> None:
    """Copy rows of a table, with new values of some columns and new numbers."""
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS, [table])
        columns = {name: f"{row}.{name}" for (name,) in cursor.fetchall() if name != "id"}
        columns |= {name: expression.format(**values) for name, expression in changed.items()}
        names, copied = ", ".join(columns), ", ".join(columns.values())
        cursor.execute(statement.format(**values, table=table, columns=names, values=copied))


def _finish(execution_id: UUID) -> None:
    """Run the transitions of an execution to its end."""
    for transition in transitions.transitions_of(execution_id, STEPS):
        journal.apply(transition, now=timezone.now())


def _ask(execution_id: UUID) -> None:
    """Let an execution wait for an answer."""
    begin, *_ = transitions.transitions_of(execution_id, STEPS)
    for transition in (begin, Transition(execution_id=execution_id, fencing_token=begin.fencing_token, decide=ask)):
        journal.apply(transition, now=timezone.now())
