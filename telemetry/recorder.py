"""The ledger's one way in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import F
from pydantic import JsonValue

from telemetry.models import CallStatus, ModelCall

#: What a call may still become. A late reply of a discarded call fills in its cost and stays discarded.
_SETTLES_TO: dict[str, frozenset[str]] = {
    CallStatus.PENDING: frozenset({CallStatus.COMMITTED, CallStatus.DISCARDED, CallStatus.FAILED, CallStatus.UNKNOWN}),
    CallStatus.UNKNOWN: frozenset({CallStatus.DISCARDED}),
    CallStatus.DISCARDED: frozenset({CallStatus.DISCARDED}),
    CallStatus.COMMITTED: frozenset(),
    CallStatus.FAILED: frozenset(),
}


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
    latency_ms: int | None = None
    error: str = ""
    finished_at: datetime | None = None


_IDENTITY = ("execution_id", "step_id", "attempt", "kind", "ordinal")
_FIXED = (*_IDENTITY, "workflow_id", "scope_id", "user_id", "requested_model", "request_hash", "started_at")
_FIELDS = tuple(CallRecord.__dataclass_fields__)


@transaction.atomic
def record(call: CallRecord) -> bool:
    """Announce a new call, or settle a known one; return whether the ledger took it.

    False: the row has been settled already, and stays as it is.
    """
    identity = {name: getattr(call, name) for name in _IDENTITY}
    # Locked: a reply that meets a cancel must be booked as what the call is by then, and not be lost.
    rows = ModelCall.objects.select_for_update()
    row, created = rows.get_or_create(**identity, defaults={name: getattr(call, name) for name in _FIELDS})
    if created:
        return True
    if row.reply is not None or call.status not in _SETTLES_TO[row.status]:
        return False
    settle(row.id, expected=row.version, call=call)
    return True


def settle(row_id: UUID, *, expected: int, call: CallRecord) -> None:
    """Write what became of a call over version `expected` of its row.

    Raises:
        StaleCall: the row has another version.
    """
    values = {name: getattr(call, name) for name in _FIELDS if name not in _FIXED}
    rows = ModelCall.objects.filter(id=row_id, version=expected)
    if rows.update(**values, version=expected + 1) != 1:
        raise StaleCall(row_id)


def discard_pending(execution_id: UUID, *, now: datetime) -> None:
    """Note that nobody waits for an execution's calls under way any more; what they cost is not known."""
    rows = ModelCall.objects.filter(execution_id=execution_id, status=CallStatus.PENDING)
    rows.update(status=CallStatus.DISCARDED, finished_at=now, version=F("version") + 1)


def calls_of(execution_id: UUID, step_id: str) -> list[CallRecord]:
    """Return a step's calls, oldest first."""
    rows = ModelCall.objects.filter(execution_id=execution_id, step_id=step_id).order_by("started_at", "id")
    return [CallRecord(**{name: getattr(row, name) for name in _FIELDS}) for row in rows]
