"""All writes to the ledger of calls, and the reads that writers need."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F
from pydantic import JsonValue
from uuid_utils.compat import uuid7

from common.database import bulk
from common.errors import StaleWrite
from telemetry.models import CallStatus, ModelCall


class StaleCall(StaleWrite):
    """Another writer has changed the call since it was read."""


@dataclass(frozen=True, kw_only=True)  # no slots: `vars` must work
class CallRecord:
    """A row of the ledger. (execution_id, step_id, attempt, kind, ordinal) is its key."""

    execution_id: UUID
    step_id: str
    attempt: int
    kind: str
    ordinal: int
    workflow_id: str
    scope_id: UUID
    user_id: int | None
    status: str
    requested_model: str
    request_hash: str
    started_at: datetime
    provider: str = ""
    model: str = ""
    provider_request_id: str = ""
    reply: JsonValue = None
    input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    billing: Mapping[str, JsonValue] = field(default_factory=dict)  # see `price_list.Billing`
    cost_usd: Decimal | None = None
    estimated_cost_usd: Decimal | None = None
    reserved_tokens: int = 0
    latency_ms: int | None = None
    error: str = ""
    finished_at: datetime | None = None
    dry_run: bool = False
    tags: tuple[str, ...] = ()  # of the execution, without duplicates
    erased_at: datetime | None = None  # when the texts of reply and error were erased


_KEY = ("execution_id", "step_id", "attempt", "kind", "ordinal")
_IMMUTABLE = (
    *_KEY,
    "workflow_id",
    "scope_id",
    "user_id",
    "requested_model",
    "request_hash",
    "started_at",
    "dry_run",
    "tags",
)
_FIELDS = tuple(CallRecord.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """Id and version of a call's row, and when its texts were erased; a later reply is stored without its own then."""

    row_id: UUID
    version: int
    erased_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCall(CallRow):
    """A stored call, without its reply."""

    has_reply: bool
    record: CallRecord  # without `reply`, `billing` and `tags`


_MUTABLE = tuple(name for name in _FIELDS if name not in _IMMUTABLE)
_LOADED = tuple(name for name in _FIELDS if name not in {"reply", "billing", "tags"})
_LOAD = f"""
SELECT call.id, call.version, call.reply IS NOT NULL, {", ".join(f"call.{name}" for name in _LOADED)}
FROM telemetry_modelcall AS call"""  # noqa: S608 - the names are fields of the class above
_LOAD_STEPS = f"""{_LOAD}
JOIN unnest(%s::uuid[], %s::text[]) AS wanted(execution_id, step_id) USING (execution_id, step_id)
ORDER BY call.started_at, call.id"""
_UNCHANGED = """
SELECT 1 FROM json_to_recordset(%s::json) AS v(execution_id uuid, step_id text, total bigint)
WHERE v.total = (SELECT coalesce(sum(call.version), 0) FROM telemetry_modelcall AS call WHERE """
_EXECUTIONS_UNCHANGED = f"{_UNCHANGED} call.execution_id = v.execution_id)"
_STEPS_UNCHANGED = f"{_UNCHANGED} call.execution_id = v.execution_id AND call.step_id = v.step_id)"
#: Query for all calls of executions (parameter: their ids); pass its rows to `known_calls`.
SELECT_CALLS_OF_EXECUTIONS = f"{_LOAD} WHERE call.execution_id = ANY(%s) ORDER BY call.started_at, call.id"


def known_calls_of_steps(steps: Collection[tuple[UUID, str]]) -> bulk.LazyResult[list[KnownCall]]:
    """Query the calls of steps, given by execution id and step id, oldest first."""
    wanted = [[execution_id for execution_id, _ in steps], [step_id for _, step_id in steps]]
    return bulk.LazyResult(bulk.execute(_LOAD_STEPS, wanted) if steps else None, known_calls)


def known_calls(rows: Iterable[tuple[Any, ...]]) -> list[KnownCall]:
    """Convert rows to calls."""
    return [
        KnownCall(
            row_id=row_id,
            version=version,
            has_reply=has_reply,
            record=CallRecord(**dict(zip(_LOADED, values, strict=True))),
        )
        for row_id, version, has_reply, *values in rows
    ]


def new_row() -> CallRow:
    """Return id and version for the row of a new call."""
    return CallRow(row_id=uuid7(), version=1)


def insert_writes(calls: Sequence[tuple[CallRow, CallRecord]]) -> Iterator[bulk.Write]:
    """Yield the write that inserts calls; nothing if there are no calls."""
    rows = [{"id": row.row_id, "version": row.version, **vars(call)} for row, call in calls]
    yield from bulk.insertion(ModelCall, rows)


def version_checks(sums: Mapping[tuple[UUID, str | None], int]) -> Iterator[bulk.Write]:
    """Yield checks that the versions of the calls of a step, or of an execution (None), add up to a sum."""
    stale = StaleCall("another writer has added or changed a call")
    for statement, is_whole in ((_STEPS_UNCHANGED, False), (_EXECUTIONS_UNCHANGED, True)):
        rows = [
            {"execution_id": execution_id, "step_id": step_id, "total": total}
            for (execution_id, step_id), total in sums.items()
            if (step_id is None) is is_whole
        ]
        if rows:
            yield bulk.Write(statement, bulk.to_json_text(rows), count=len(rows), error=stale, reads=True)


def update_writes(calls: Sequence[tuple[CallRow, CallRecord]]) -> Iterator[bulk.Write]:
    """Yield the write that updates calls; it raises `StaleCall` if another writer has changed a call."""
    rows = [{"id": row.row_id, "version": row.version + 1, **_mutable(vars(call))} for row, call in calls]
    stale = StaleCall("another writer has changed a call")
    expected = [row.version for row, _ in calls]
    yield from bulk.replacement(ModelCall, rows, key=("id",), expected=expected, error=stale)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepliedCall:
    """Usage and cost of a call with a reply and a token count."""

    row_id: UUID
    version: int
    started_at: datetime
    requested_model: str
    provider: str
    model: str
    input_tokens: int
    cache_read_input_tokens: int
    cache_write_input_tokens: int
    output_tokens: int
    billing: Mapping[str, JsonValue]
    cost_usd: Decimal | None


_REPLIED = tuple(name for name in RepliedCall.__dataclass_fields__ if name != "row_id")
_LOAD_REPLIED = f"""
SELECT id, {", ".join(_REPLIED)} FROM telemetry_modelcall
WHERE reply IS NOT NULL AND reserved_tokens = 0 AND (started_at, id) > (%s, %s) AND started_at < %s
ORDER BY started_at, id LIMIT %s"""  # noqa: S608 - the names are fields of the class above


def replied_calls(
    *, after: tuple[datetime, UUID], until: datetime, limit: int, to_change: bool = False
) -> list[RepliedCall]:
    """Return the next calls with known usage after a (time, id), in this order; `to_change` locks them."""
    statement = f"{_LOAD_REPLIED} FOR UPDATE" if to_change else _LOAD_REPLIED
    rows = bulk.execute(statement, [*after, until, limit])
    return [_replied(row_id, dict(zip(_REPLIED, values, strict=True))) for row_id, *values in rows]


def _replied(row_id: UUID, values: dict[str, Any]) -> RepliedCall:
    """Convert a row, whose JSON column is text."""
    return RepliedCall(row_id=row_id, **{**values, "billing": json.loads(values["billing"])})


def reprice(costs: Sequence[tuple[RepliedCall, Decimal]]) -> None:
    """Update the costs of calls.

    Raises:
        StaleCall: another writer has changed a call since it was read.
    """
    rows = [
        {"id": call.row_id, "version": call.version + 1, "cost_usd": cost, "estimated_cost_usd": None}
        for call, cost in costs
    ]
    stale = StaleCall("another writer has changed a call")
    bulk.update(ModelCall, rows, key=("id",), expected=[call.version for call, _ in costs], error=stale)


def _mutable(values: Mapping[str, object]) -> dict[str, object]:
    return {name: values[name] for name in _MUTABLE}


#: A reply has the form of others, without its texts: what it used and cost stays. No column of a sum changes.
#: MATERIALIZED: as a subquery, the choice could be made again for each row, and would have no limit.
_ERASE = """
WITH chosen AS MATERIALIZED (
  SELECT id FROM telemetry_modelcall
  WHERE execution_id = %s AND erased_at IS NULL AND (%s::text[] IS NULL OR step_id = ANY(%s::text[]))
  ORDER BY id LIMIT %s FOR UPDATE
)
UPDATE telemetry_modelcall AS call SET version = call.version + 1, erased_at = %s, error = '',
  reply = CASE WHEN reply IS NOT NULL THEN json_build_object(
    'provider', provider, 'model', model, 'tool_calls', '[]'::json, 'text', '', 'finish_reason', 'stop',
    'usage', json_build_object(
      'input_tokens', input_tokens, 'cache_read_input_tokens', cache_read_input_tokens,
      'cache_write_input_tokens', cache_write_input_tokens, 'output_tokens', output_tokens,
      'reasoning_tokens', reasoning_tokens
    ),
    'usage_known', reserved_tokens = 0, 'provider_request_id', provider_request_id,
    'latency_ms', coalesce(latency_ms, 0), 'raw', NULL
  ) END
FROM chosen WHERE call.id = chosen.id
"""
_RETAG = """
UPDATE telemetry_modelcall AS call SET tags = given.tags::jsonb, version = call.version + 1
FROM json_to_recordset(%s::json) AS given (execution_id uuid, tags text)
WHERE call.execution_id = given.execution_id AND call.tags <> given.tags::jsonb
"""


def erase_texts(execution_id: UUID, *, limit: int, now: datetime, step_ids: Collection[str] | None = None) -> int:
    """Erase what models replied, and errors, in the next calls of an execution; return their number.

    A late reply to one of these calls is decided again, on the new row.

    Args:
        execution_id: The execution.
        limit: The greatest number of calls.
        now: The present moment.
        step_ids: Only calls of these steps; None: of all.
    """
    wanted = None if step_ids is None else list(step_ids)
    return bulk.execute(_ERASE, [execution_id, wanted, wanted, limit, now]).rowcount


def retag(tags: Mapping[UUID, Sequence[str]]) -> None:
    """Store other tags in the calls of executions. The blocks of their time are computed again."""
    rows = [{"execution_id": str(key), "tags": json.dumps(list(dict.fromkeys(each)))} for key, each in tags.items()]
    if rows:
        bulk.execute(_RETAG, [json.dumps(rows)])


def discard_pending(execution_id: UUID, *, now: datetime) -> None:
    """Mark the pending calls of an execution as discarded: their replies will be ignored, their costs are unknown."""
    rows = ModelCall.objects.filter(execution_id=execution_id, status=CallStatus.PENDING)
    rows.update(status=CallStatus.DISCARDED, finished_at=now, version=F("version") + 1)


def calls_of(execution_id: UUID, step_id: str) -> list[CallRecord]:
    """Return a step's calls, oldest first."""
    rows = ModelCall.objects.filter(execution_id=execution_id, step_id=step_id).order_by("started_at", "id")
    return [CallRecord(**{**{name: getattr(row, name) for name in _FIELDS}, "tags": tuple(row.tags)}) for row in rows]
