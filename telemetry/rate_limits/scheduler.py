"""Fair scheduling of calls to rate-limited models. Pure: no database, no clock."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

WINDOW = timedelta(minutes=1)
#: After this long a call may not be overtaken; otherwise small calls starve large ones.
NO_OVERTAKING_AFTER = timedelta(seconds=30)
_MIN_WAIT_SECONDS = 10.0  # of an estimate


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """A limit of one or several models; None: no limit. A `*` in the name matches any characters."""

    name: str  # provider:model
    requests: int | None = None  # per minute
    tokens: int | None = None  # per minute
    at_once: int | None = None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(".*".join(map(re.escape, self.name.split("*"))), re.DOTALL | re.IGNORECASE)

    def applies_to(self, model: str) -> bool:
        """Return whether the limit applies to calls of this `provider:model`."""
        return self._pattern.fullmatch(model) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedCall:
    """A call that is queued, in progress, or ended."""

    id: UUID
    model: str
    scope_id: UUID
    tokens: int
    asked_at: datetime
    granted_at: datetime | None = None
    ended: bool = False


@dataclass(slots=True)
class _Usage:
    requests: int = 0
    tokens: int = 0
    at_once: int = 0

    def add(self, call: QueuedCall, *, recent: bool) -> None:
        if recent:
            self.requests += 1
            self.tokens += call.tokens
        self.at_once += not call.ended

    def has_room(self, limit: RateLimit, call: QueuedCall) -> bool:
        # A call with more tokens than the limit may run if no other call ran within the last minute.
        tokens = limit.tokens is None or not self.tokens or self.tokens + call.tokens <= limit.tokens
        requests = limit.requests is None or self.requests < limit.requests
        return tokens and requests and (limit.at_once is None or self.at_once < limit.at_once)


def grant(limits: Sequence[RateLimit], calls: Iterable[QueuedCall], *, now: datetime) -> list[UUID]:
    """Return the queued calls that get a permit now, in order.

    The next call comes from the scope with the fewest permits in the last minute. Within a scope calls are first come,
    first served.

    Args:
        limits: All limits.
        calls: Queued calls, calls in progress, and calls that got their permit within the last minute.
        now: The current time.
    """
    usages, permits = [_Usage() for _ in limits], Counter[UUID]()
    queued: dict[UUID, list[QueuedCall]] = defaultdict(list)
    for call in sorted(calls, key=lambda each: (each.asked_at, each.id)):
        if call.granted_at is None:
            queued[call.scope_id].append(call)
            continue
        recent = now - call.granted_at < WINDOW
        permits[call.scope_id] += recent
        for limit, usage in zip(limits, usages, strict=True):
            if limit.applies_to(call.model):
                usage.add(call, recent=recent)
    return list(_grant_in_order(limits, usages, queued=queued, permits=permits, now=now))


def _grant_in_order(
    limits: Sequence[RateLimit],
    usages: Sequence[_Usage],
    *,
    queued: dict[UUID, list[QueuedCall]],
    permits: Counter[UUID],
    now: datetime,
) -> Iterable[UUID]:
    closed: set[int] = set()  # limits reserved for a call that may not be overtaken
    for call in _queue_order(queued, permits, now=now):
        applicable = [index for index, limit in enumerate(limits) if limit.applies_to(call.model)]
        if closed.isdisjoint(applicable) and all(usages[index].has_room(limits[index], call) for index in applicable):
            permits[call.scope_id] += 1
            for index in applicable:
                usages[index].add(call, recent=True)
            yield call.id
        elif now - call.asked_at > NO_OVERTAKING_AFTER:
            closed.update(applicable)


def _queue_order(
    queued: dict[UUID, list[QueuedCall]], permits: Counter[UUID], *, now: datetime
) -> Iterable[QueuedCall]:
    """Yield the queued calls: first late calls, then scope by scope. The caller updates `permits` in between."""
    late = [call for calls in queued.values() for call in calls if now - call.asked_at > NO_OVERTAKING_AFTER]
    yield from sorted(late, key=lambda each: (each.asked_at, each.id))
    left = {scope: [call for call in calls if call not in late] for scope, calls in queued.items()}
    while left := {scope: calls for scope, calls in left.items() if calls}:
        scope_id = min(left, key=lambda each: (permits[each], left[each][0].asked_at, each))
        yield left[scope_id].pop(0)


def estimate_wait(limits: Sequence[RateLimit], model: str, *, calls_ahead: int, tokens_ahead: int) -> float:
    """Estimate the seconds until a call gets its permit.

    Args:
        limits: All limits.
        model: `provider:model` of the call.
        calls_ahead: Number of calls ahead of it.
        tokens_ahead: Tokens of the calls ahead.
    """
    waits = [_MIN_WAIT_SECONDS]
    for limit in limits:
        if limit.applies_to(model):
            waits += [60 * (calls_ahead + 1) / limit.requests] if limit.requests else []
            waits += [60 * tokens_ahead / limit.tokens] if limit.tokens else []
    return min(max(waits), 60.0)
