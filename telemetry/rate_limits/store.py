"""Turns of calls to limited models, shared by all workers: who waits, who is under way, who was within a minute.

Every decision is made under one advisory lock, by the clock of the database. Calls of models without a limit are no
business of it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from telemetry.models import CallTurn, ModelLimit
from telemetry.rate_limits.scheduler import WINDOW, QueuedCall, Rule, grant, seconds_until

SILENT = timedelta(seconds=30)  # a process that has not been heard of for longer is gone, and its calls with it
_LOCK = 5_201_877_310  # key of the advisory lock


@dataclass(slots=True)
class _Known:
    """The limits, as this process knows them."""

    rules: tuple[Rule, ...] = ()
    read_at: float = field(default=float("-inf"))  # on the monotonic clock


_known = _Known()


def is_fresh(*, seconds: float) -> bool:
    """Whether the limits were read no longer ago."""
    return time.monotonic() - _known.read_at < seconds


def refresh(*, older_than_seconds: float = 0.0) -> None:
    """Read the limits anew, unless they were read no longer ago. Looks into the database."""
    if not is_fresh(seconds=older_than_seconds):
        now = time.monotonic()
        _known.rules, _known.read_at = _rules(), now


def forget() -> None:
    """Know of no limits, until the next `refresh`."""
    _known.rules, _known.read_at = (), float("-inf")


def is_limited(model: str) -> bool:
    """Whether calls of this `provider:model` have to wait for their turn. Does not look into the database."""
    return any(rule.holds_for(model) for rule in _known.rules)


def _rules() -> tuple[Rule, ...]:
    return tuple(
        Rule(
            name=f"{row.provider}:{row.model}",
            requests=row.requests_per_minute,
            tokens=row.tokens_per_minute,
            at_once=row.calls_at_once,
        )
        for row in ModelLimit.objects.order_by("id")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitRequest:
    """A call that wants its turn."""

    id: UUID
    model: str
    scope_id: UUID
    tokens: int  # that it takes at most, as far as one can tell


@transaction.atomic
def tell(
    *, asked: Sequence[PermitRequest] = (), held: Collection[UUID] = (), ended: Sequence[tuple[UUID, int | None]] = ()
) -> set[UUID]:
    """Say what has happened in this process; return those of `held` whose turn it is, or was.

    Args:
        asked: Calls that are new.
        held: Calls of this process that wait or are under way, the new ones among them.
        ended: Calls that are over, or wait no more, with the tokens that they used; None: as many as were taken.
    """
    now = _locked()
    CallTurn.objects.bulk_create(
        [
            CallTurn(
                id=each.id, model=each.model, scope_id=each.scope_id, tokens=each.tokens, asked_at=now, seen_at=now
            )
            for each in asked
        ],
        ignore_conflicts=True,  # it was told before, and whether that was stored was not known
    )
    for identity, tokens in ended:
        used = {} if tokens is None else {"tokens": tokens}
        CallTurn.objects.filter(id=identity).update(ended_at=now, **used)
    CallTurn.objects.filter(id__in=list(held)).update(seen_at=now)
    CallTurn.objects.filter(
        Q(granted_at=None) & (Q(ended_at__isnull=False) | Q(seen_at__lt=now - SILENT))
        | Q(granted_at__lt=now - WINDOW) & (Q(ended_at__isnull=False) | Q(seen_at__lt=now - SILENT))
    ).delete()
    refresh(older_than_seconds=2.0)
    turns = grant(_known.rules, _places(now), now=now)
    CallTurn.objects.filter(id__in=turns).update(granted_at=now)
    return set(CallTurn.objects.filter(id__in=list(held), granted_at__isnull=False).values_list("id", flat=True))


def _locked() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
        return found


def _places(now: datetime) -> list[QueuedCall]:
    return [
        QueuedCall(
            id=row.id,
            model=row.model,
            scope_id=row.scope_id,
            tokens=row.tokens,
            asked_at=row.asked_at,
            granted_at=row.granted_at,
            ended=row.ended_at is not None or row.seen_at < now - SILENT,
        )
        for row in CallTurn.objects.all()
    ]


def seconds_to_wait(call: PermitRequest) -> float:
    """Return in how many seconds, at a guess, a call has its turn."""
    waiting = CallTurn.objects.filter(granted_at=None, ended_at=None).exclude(id=call.id)
    ahead = [row.tokens for row in waiting if row.model == call.model]
    recent = CallTurn.objects.filter(model=call.model, granted_at__isnull=False).values_list("tokens", flat=True)
    return seconds_until(_known.rules, call.model, ahead=len(ahead), tokens_ahead=sum(ahead) + sum(recent) // 2)
