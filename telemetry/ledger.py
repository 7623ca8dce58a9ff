"""The ledger's one way in."""

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
from telemetry.models import CallStatus, ModelCall


class StaleCall(Exception):
    """Somebody else settled the call meanwhile."""


@dataclass(frozen=True, kw_only=True)  # without slots, as all of it is written at once
class CallRecord:
    """One row of the ledger; (execution_id, step_id, attempt, kind, ordinal) is its identity."""

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
    billing: Mapping[str, JsonValue] = field(default_factory=dict)  # the terms that the provider bills it on
    cost_usd: Decimal | None = None
    estimated_cost_usd: Decimal | None = None
    reserved_tokens: int = 0
    latency_ms: int | None = None
    error: str = ""
    finished_at: datetime | None = None
    dry_run: bool = False
    tags: tuple[str, ...] = ()  # of the execution, each once


_IDENTITY = ("execution_id", "step_id", "attempt", "kind", "ordinal")
_FIXED = (
    *_IDENTITY,
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
    """Which row a call is, and in which version."""

    row_id: UUID
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCall(CallRow):
    """What the ledger knows of a call, without the reply itself."""

    replied: bool
    record: CallRecord  # `reply`, `billing` and `tags` are left out


_SETTLED = tuple(name for name in _FIELDS if name not in _FIXED)
_KNOWN = tuple(name for name in _FIELDS if name not in {"reply", "billing", "tags"})
_LOAD = f"""
SELECT call.id, call.version, call.reply IS NOT NULL, {", ".join(f"call.{name}" for name in _KNOWN)}
FROM telemetry_modelcall AS call"""  # noqa: S608 - the names are those of the class above
_LOAD_STEPS = f"""{_LOAD}
JOIN unnest(%s::uuid[], %s::text[]) AS wanted(execution_id, step_id) USING (execution_id, step_id)
ORDER BY call.started_at, call.id"""
_UNCHANGED = """
SELECT 1 FROM json_to_recordset(%s::json) AS v(execution_id uuid, step_id text, total bigint)
WHERE v.total = (SELECT coalesce(sum(call.version), 0) FROM telemetry_modelcall AS call WHERE """
_EXECUTIONS_UNCHANGED = f"{_UNCHANGED} call.execution_id = v.execution_id)"
_STEPS_UNCHANGED = f"{_UNCHANGED} call.execution_id = v.execution_id AND call.step_id = v.step_id)"
#: What is asked for all calls of executions (parameter: their ids), to be given to `known`.
OF_EXECUTIONS = f"{_LOAD} WHERE call.execution_id = ANY(%s) ORDER BY call.started_at, call.id"


def known_of_steps(steps: Collection[tuple[UUID, str]]) -> bulk.Answer[list[KnownCall]]:
    """Ask what is known of the calls of steps, named by execution and step id, oldest first."""
    wanted = [[execution_id for execution_id, _ in steps], [step_id for _, step_id in steps]]
    return bulk.Answer(bulk.execute(_LOAD_STEPS, wanted) if steps else None, known)


def known(rows: Iterable[tuple[Any, ...]]) -> list[KnownCall]:
    """Return the calls that were found."""
    return [
        KnownCall(
            row_id=row_id,
            version=version,
            replied=replied,
            record=CallRecord(**dict(zip(_KNOWN, values, strict=True))),
        )
        for row_id, version, replied, *values in rows
    ]


def new_row() -> CallRow:
    """Return the row of a call that nobody knows yet."""
    return CallRow(row_id=uuid7(), version=1)


def insert_writes(calls: Sequence[tuple[CallRow, CallRecord]]) -> Iterator[bulk.Write]:
    """Yield the write of new calls; nothing if there are none."""
    rows = [{"id": row.row_id, "version": row.version, **vars(call)} for row, call in calls]
    yield from bulk.insertion(ModelCall, rows)


def version_checks(sums: Mapping[tuple[UUID, str | None], int]) -> Iterator[bulk.Write]:
    """Yield looks at the calls of steps, or of executions (None): whether their versions add up to these sums."""
    stale = StaleCall("somebody else has booked a call")
    for statement, is_whole in ((_STEPS_UNCHANGED, False), (_EXECUTIONS_UNCHANGED, True)):
        rows = [
            {"execution_id": execution_id, "step_id": step_id, "total": total}
            for (execution_id, step_id), total in sums.items()
            if (step_id is None) is is_whole
        ]
        if rows:
            yield bulk.Write(statement, bulk.as_text(rows), count=len(rows), error=stale, reads=True)


def update_writes(calls: Sequence[tuple[CallRow, CallRecord]]) -> Iterator[bulk.Write]:
    """Yield the write of what became of calls over what was known of them; `StaleCall` where somebody was quicker."""
    rows = [{"id": known.row_id, "version": known.version + 1, **_settled(vars(call))} for known, call in calls]
    stale = StaleCall("a call was settled by somebody else")
    expected = [known.version for known, _ in calls]
    yield from bulk.replacement(ModelCall, rows, key=("id",), expected=expected, error=stale)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepliedCall:
    """What a call with a reply and a count has used and cost."""

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
ORDER BY started_at, id LIMIT %s"""  # noqa: S608 - the names are those of the class above


def replied(*, after: tuple[datetime, UUID], until: datetime, limit: int, to_change: bool = False) -> list[RepliedCall]:
    """Return calls whose usage is known, by time and id, the next ones after a place; `to_change` locks them."""
    statement = f"{_LOAD_REPLIED} FOR UPDATE" if to_change else _LOAD_REPLIED
    rows = bulk.execute(statement, [*after, until, limit])
    return [_replied(row_id, dict(zip(_REPLIED, values, strict=True))) for row_id, *values in rows]


def _replied(row_id: UUID, values: dict[str, Any]) -> RepliedCall:
    """Return a call, whose column of JSON comes as text."""
    return RepliedCall(row_id=row_id, **{**values, "billing": json.loads(values["billing"])})


def reprice(costs: Sequence[tuple[RepliedCall, Decimal]]) -> None:
    """Write over what calls cost.

    Raises:
        StaleCall: somebody else has changed one of them since it was read.
    """
    rows = [
        {"id": call.row_id, "version": call.version + 1, "cost_usd": cost, "estimated_cost_usd": None}
        for call, cost in costs
    ]
    stale = StaleCall("a call was changed by somebody else")
    bulk.update(ModelCall, rows, key=("id",), expected=[call.version for call, _ in costs], error=stale)


def _settled(values: Mapping[str, object]) -> dict[str, object]:
    return {name: values[name] for name in _SETTLED}


def discard_pending(execution_id: UUID, *, now: datetime) -> None:
    """Note that nobody waits for an execution's calls under way any more; what they cost is not known."""
    rows = ModelCall.objects.filter(execution_id=execution_id, status=CallStatus.PENDING)
    rows.update(status=CallStatus.DISCARDED, finished_at=now, version=F("version") + 1)


def calls_of(execution_id: UUID, step_id: str) -> list[CallRecord]:
    """Return a step's calls, oldest first."""
    rows = ModelCall.objects.filter(execution_id=execution_id, step_id=step_id).order_by("started_at", "id")
    return [CallRecord(**{**{name: getattr(row, name) for name in _FIELDS}, "tags": tuple(row.tags)}) for row in rows]
