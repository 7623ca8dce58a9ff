"""Whose turn it is to ask a model that may be asked so often, for so much, or by so few at once. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

WINDOW = timedelta(minutes=1)
#: Who has waited for longer is overtaken by nobody: what is small would keep what is large out for ever.
PATIENCE = timedelta(seconds=30)
_LEAST_SECONDS = 10.0  # that a call is sent away for


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A limit of one or several models; None: as much as anybody likes. A `*` in the name stands for any characters."""

    name: str  # provider:model
    requests: int | None = None  # in a minute
    tokens: int | None = None  # in a minute
    at_once: int | None = None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(".*".join(map(re.escape, self.name.split("*"))), re.DOTALL | re.IGNORECASE)

    def holds_for(self, model: str) -> bool:
        """Whether calls of this `provider:model` are limited by it."""
        return self._pattern.fullmatch(model) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedCall:
    """A call that waits for its turn, has it, or had it."""

    id: UUID
    model: str
    scope_id: UUID
    tokens: int
    asked_at: datetime
    granted_at: datetime | None = None
    ended: bool = False


@dataclass(slots=True)
class _Used:
    requests: int = 0
    tokens: int = 0
    at_once: int = 0

    def take(self, place: QueuedCall, *, recent: bool) -> None:
        if recent:
            self.requests += 1
            self.tokens += place.tokens
        self.at_once += not place.ended

    def has_room(self, rule: Rule, place: QueuedCall) -> bool:
        # What alone is more than a minute's tokens may go when nothing else has gone.
        tokens = rule.tokens is None or not self.tokens or self.tokens + place.tokens <= rule.tokens
        requests = rule.requests is None or self.requests < rule.requests
        return tokens and requests and (rule.at_once is None or self.at_once < rule.at_once)


def grant(rules: Sequence[Rule], places: Iterable[QueuedCall], *, now: datetime) -> list[UUID]:
    """Return the waiting places whose turn has come, those that come first first.

    Turns go round among scopes: next is the scope that had the fewest in the last minute, and in it who asked first.

    Args:
        rules: All limits.
        places: Those that wait, and those that had their turn in the last minute or still have it.
        now: The present moment.
    """
    used, turns = [_Used() for _ in rules], Counter[UUID]()
    waiting: dict[UUID, list[QueuedCall]] = defaultdict(list)
    for place in sorted(places, key=lambda each: (each.asked_at, each.id)):
        if place.granted_at is None:
            waiting[place.scope_id].append(place)
            continue
        recent = now - place.granted_at < WINDOW
        turns[place.scope_id] += recent
        for rule, use in zip(rules, used, strict=True):
            if rule.holds_for(place.model):
                use.take(place, recent=recent)
    return list(_in_turn(rules, used, waiting=waiting, turns=turns, now=now))


def _in_turn(
    rules: Sequence[Rule],
    used: Sequence[_Used],
    *,
    waiting: dict[UUID, list[QueuedCall]],
    turns: Counter[UUID],
    now: datetime,
) -> Iterable[UUID]:
    closed: set[int] = set()  # limits whose room is kept for somebody who has waited for long
    for place in _in_line(waiting, turns, now=now):
        mine = [at for at, rule in enumerate(rules) if rule.holds_for(place.model)]
        if closed.isdisjoint(mine) and all(used[at].has_room(rules[at], place) for at in mine):
            turns[place.scope_id] += 1
            for at in mine:
                used[at].take(place, recent=True)
            yield place.id
        elif now - place.asked_at > PATIENCE:
            closed.update(mine)


def _in_line(waiting: dict[UUID, list[QueuedCall]], turns: Counter[UUID], *, now: datetime) -> Iterable[QueuedCall]:
    """Yield those who wait: first who has waited for long, then scope by scope; `turns` may grow meanwhile."""
    late = [place for places in waiting.values() for place in places if now - place.asked_at > PATIENCE]
    yield from sorted(late, key=lambda each: (each.asked_at, each.id))
    left = {scope: [place for place in places if place not in late] for scope, places in waiting.items()}
    while left := {scope: places for scope, places in left.items() if places}:
        scope_id = min(left, key=lambda each: (turns[each], left[each][0].asked_at, each))
        yield left[scope_id].pop(0)


def seconds_until(rules: Sequence[Rule], model: str, *, ahead: int, tokens_ahead: int) -> float:
    """Return in how many seconds, at a guess, a call has its turn that so much waits before.

    Args:
        rules: All limits.
        model: `provider:model` of the call.
        ahead: Calls that come before it.
        tokens_ahead: What they take.
    """
    waits = [_LEAST_SECONDS]
    for rule in rules:
        if rule.holds_for(model):
            waits += [60 * (ahead + 1) / rule.requests] if rule.requests else []
            waits += [60 * tokens_ahead / rule.tokens] if rule.tokens else []
    return min(max(waits), 60.0)
