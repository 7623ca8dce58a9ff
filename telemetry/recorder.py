"""The ledger's one way in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import F
from pydantic import JsonValue
from uuid_utils.compat import uuid7

from access import multirow
from telemetry.models import CallStatus, ModelCall


class StaleCall(Exception):
    """Somebody else settled the call meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
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
class KnownCall:
    """What the ledger knows of a call, without the reply itself."""

    row_id: UUID
    version: int
    replied: bool
    record: CallRecord  # `reply` and `tags` are left out


_SETTLED = tuple(name for name in _FIELDS if name not in _FIXED)
_KNOWN = tuple(name for name in _FIELDS if name not in {"reply", "tags"})
_LOAD = f"""
SELECT call.id, call.version, call.reply IS NOT NULL, {", ".join(f"call.{name}" for name in _KNOWN)}
FROM telemetry_modelcall AS call"""  # noqa: S608 - the names are those of the class above
_LOAD_STEPS = f"""{_LOAD}
JOIN unnest(%s::uuid[], %s::text[]) AS wanted(execution_id, step_id) USING (execution_id, step_id)
ORDER BY call.started_at, call.id"""


def known_of_steps(steps: Collection[tuple[UUID, str]]) -> list[KnownCall]:
    """Return what is known of the calls of steps, named by execution and step id, oldest first."""
    return _known(_LOAD_STEPS, [[execution_id for execution_id, _ in steps], [step_id for _, step_id in steps]])


def _known(statement: str, parameters: Sequence[object]) -> list[KnownCall]:
    return [
        KnownCall(
            row_id=row_id,
            version=version,
            replied=replied,
            record=CallRecord(**dict(zip(_KNOWN, values, strict=True))),
        )
        for row_id, version, replied, *values in multirow.execute(statement, parameters)
    ]


def announce(calls: Sequence[CallRecord]) -> None:
    """Write new calls. Whoever does so holds the lock of their executions."""
    multirow.insert(ModelCall, [{"id": uuid7(), "version": 1, **_values(call, _FIELDS)} for call in calls])


def settle(calls: Sequence[tuple[KnownCall, CallRecord]]) -> None:
    """Write what became of calls over what was known of them.

    Raises:
        StaleCall: somebody else has settled one of them.
    """
    rows = [{"id": known.row_id, "version": known.version + 1, **_values(call, _SETTLED)} for known, call in calls]
    stale = StaleCall("a call was settled by somebody else")
    expected = [known.version for known, _ in calls]
    multirow.update(ModelCall, rows, key=("id",), expected=expected, otherwise=stale)


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
    cost_usd: Decimal | None


_REPLIED = tuple(name for name in RepliedCall.__dataclass_fields__ if name != "row_id")
_LOAD_REPLIED = f"""
SELECT id, {", ".join(_REPLIED)} FROM telemetry_modelcall
WHERE reply IS NOT NULL AND reserved_tokens = 0 AND (started_at, id) > (%s, %s) AND started_at < %s
ORDER BY started_at, id LIMIT %s"""  # noqa: S608 - the names are those of the class above


def replied(*, after: tuple[datetime, UUID], until: datetime, limit: int, to_change: bool = False) -> list[RepliedCall]:
    """Return calls whose usage is known, by time and id, the next ones after a place; `to_change` locks them."""
    statement = f"{_LOAD_REPLIED} FOR UPDATE" if to_change else _LOAD_REPLIED
    rows = multirow.execute(statement, [*after, until, limit])
    return [RepliedCall(row_id=row_id, **dict(zip(_REPLIED, values, strict=True))) for row_id, *values in rows]


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
    multirow.update(ModelCall, rows, key=("id",), expected=[call.version for call, _ in costs], otherwise=stale)


def _values(call: CallRecord, names: Sequence[str]) -> dict[str, object]:
    return {name: getattr(call, name) for name in names}


def discard_pending(execution_id: UUID, *, now: datetime) -> None:
    """Note that nobody waits for an execution's calls under way any more; what they cost is not known."""
    rows = ModelCall.objects.filter(execution_id=execution_id, status=CallStatus.PENDING)
    rows.update(status=CallStatus.DISCARDED, finished_at=now, version=F("version") + 1)


def calls_of(execution_id: UUID, step_id: str) -> list[CallRecord]:
    """Return a step's calls, oldest first."""
    rows = ModelCall.objects.filter(execution_id=execution_id, step_id=step_id).order_by("started_at", "id")
    return [CallRecord(**{**{name: getattr(row, name) for name in _FIELDS}, "tags": tuple(row.tags)}) for row in rows]
