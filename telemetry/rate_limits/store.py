"""Permits for calls to rate-limited models, shared by all workers through the database.

Every decision is made under one advisory lock, with the clock of the database. Models without a limit need no permits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from common.ttl_cache import TtlCache
from telemetry.models import CallTurn, ModelLimit
from telemetry.rate_limits.scheduler import WINDOW, QueuedCall, RateLimit, estimate_wait, grant

SILENCE_LIMIT = timedelta(seconds=30)  # after this time without a report, a process and its calls count as lost
FRESH_SECONDS = 2.0  # max delay until a process applies a new limit
_LOCK = 5_201_877_310  # key of the advisory lock


def _load() -> tuple[RateLimit, ...]:
    return tuple(
        RateLimit(
            name=f"{row.provider}:{row.model}",
            requests=row.requests_per_minute,
            tokens=row.tokens_per_minute,
            at_once=row.calls_at_once,
        )
        for row in ModelLimit.objects.order_by("id")
    )


LIMITS: TtlCache[tuple[RateLimit, ...]] = TtlCache(_load, empty=(), ttl_seconds=FRESH_SECONDS)


def is_limited(model: str) -> bool:
    """Return whether calls of this `provider:model` need a permit. Does not query the database."""
    return any(limit.applies_to(model) for limit in LIMITS.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitRequest:
    """A call that needs a permit."""

    id: UUID
    model: str
    scope_id: UUID
    tokens: int  # estimated max


@transaction.atomic
def synchronize(
    *,
    requests: Sequence[PermitRequest] = (),
    active: Collection[UUID] = (),
    ended: Sequence[tuple[UUID, int | None]] = (),
) -> set[UUID]:
    """Report the calls of this process, and return the active calls that have a permit.

    Args:
        requests: New calls.
        active: Calls of this process that are queued or in progress, including the new ones.
        ended: Calls that have ended or left the queue, with the tokens that they used; None: the requested tokens.
    """
    now = _lock()
    CallTurn.objects.bulk_create(
        [
            CallTurn(
                id=each.id, model=each.model, scope_id=each.scope_id, tokens=each.tokens, asked_at=now, seen_at=now
            )
            for each in requests
        ],
        ignore_conflicts=True,  # a repeated report, after the result of the first one was lost
    )
    for identity, tokens in ended:
        used = {} if tokens is None else {"tokens": tokens}
        CallTurn.objects.filter(id=identity).update(ended_at=now, **used)
    CallTurn.objects.filter(id__in=list(active)).update(seen_at=now)
    CallTurn.objects.filter(
        Q(granted_at=None) & (Q(ended_at__isnull=False) | Q(seen_at__lt=now - SILENCE_LIMIT))
        | Q(granted_at__lt=now - WINDOW) & (Q(ended_at__isnull=False) | Q(seen_at__lt=now - SILENCE_LIMIT))
    ).delete()
    permits = grant(LIMITS.get(), _queued_calls(now), now=now)
    CallTurn.objects.filter(id__in=permits).update(granted_at=now)
    return set(CallTurn.objects.filter(id__in=list(active), granted_at__isnull=False).values_list("id", flat=True))


def _lock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
        return found


def _queued_calls(now: datetime) -> list[QueuedCall]:
    return [
        QueuedCall(
            id=row.id,
            model=row.model,
            scope_id=row.scope_id,
            tokens=row.tokens,
            asked_at=row.asked_at,
            granted_at=row.granted_at,
            ended=row.ended_at is not None or row.seen_at < now - SILENCE_LIMIT,
        )
        for row in CallTurn.objects.all()
    ]


def estimated_wait(call: PermitRequest) -> float:
    """Estimate the seconds until a call gets its permit."""
    queued = CallTurn.objects.filter(granted_at=None, ended_at=None).exclude(id=call.id)
    ahead = [row.tokens for row in queued if row.model == call.model]
    recent = CallTurn.objects.filter(model=call.model, granted_at__isnull=False).values_list("tokens", flat=True)
    return estimate_wait(LIMITS.value, call.model, calls_ahead=len(ahead), tokens_ahead=sum(ahead) + sum(recent) // 2)
