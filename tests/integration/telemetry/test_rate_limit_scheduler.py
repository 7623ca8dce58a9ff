"""The permit scheduler: limits are never exceeded, scopes take turns, and no request starves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from telemetry.rate_limits.scheduler import NO_OVERTAKING_AFTER, WINDOW, QueuedCall, RateLimit, estimate_wait, grant

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B = UUID(int=1), UUID(int=2)


def place(scope: UUID = A, *, asked: float = 0.0, tokens: int = 100, model: str = "openai:gpt-5") -> QueuedCall:
    """Return a call that has been waiting for so many seconds."""
    return QueuedCall(id=uuid7(), model=model, scope_id=scope, tokens=tokens, asked_at=NOW - timedelta(seconds=asked))


def had(before: float, *, scope: UUID = A, tokens: int = 100, ended: bool = True) -> QueuedCall:
    """Return a call that got its turn so many seconds ago."""
    moment = NOW - timedelta(seconds=before)
    return replace(place(scope, tokens=tokens), asked_at=moment, granted_at=moment, ended=ended)


def let_in(rule: RateLimit, *places: QueuedCall) -> list[int]:
    """Return which of the places have their turn, by number."""
    turns = grant([rule], places, now=NOW)
    return [[each.id for each in places].index(identity) for identity in turns]


def test_so_many_have_their_turn_in_a_minute() -> None:
    rule = RateLimit(name="openai:*", requests=3)
    assert let_in(rule, had(59), had(61), place(asked=2), place(asked=1), place()) == [2, 3]


def test_so_many_are_under_way_at_once_however_long_they_take() -> None:
    rule = RateLimit(name="openai:*", at_once=2)
    assert let_in(rule, had(600, ended=False), had(1), place(asked=2), place(asked=1)) == [2]


def test_so_many_tokens_go_in_a_minute_and_what_is_more_than_that_goes_alone() -> None:
    rule = RateLimit(name="openai:*", tokens=1000)
    assert let_in(rule, had(30, tokens=500), place(tokens=400, asked=1), place(tokens=200)) == [1]
    assert let_in(rule, place(tokens=5000)) == [0]
    assert let_in(rule, had(30), place(tokens=5000)) == []


def test_turns_go_round_among_scopes() -> None:
    rule = RateLimit(name="openai:*", requests=4)
    waiting = [place(A, asked=20 - number) for number in range(10)]
    assert let_in(rule, *waiting, place(B, asked=1)) == [0, 10, 1, 2]
    assert let_in(rule, had(5, scope=A), had(4, scope=A), *waiting, place(B)) == [12, 2]


def test_a_request_that_has_waited_long_is_not_overtaken() -> None:
    rule = RateLimit(name="openai:*", tokens=1000)
    large, small = place(A, tokens=900, asked=20), place(B, tokens=100)
    assert let_in(rule, had(30, tokens=500), large, small) == [2]
    late = replace(large, asked_at=NOW - NO_OVERTAKING_AFTER - timedelta(seconds=1))
    assert let_in(rule, had(30, tokens=500), late, small) == []


def test_every_limit_that_fits_holds_and_others_do_not() -> None:
    rules = [
        RateLimit(name="openai:*", requests=5),
        RateLimit(name="openai:GPT-5", requests=1),
        RateLimit(name="google:*", requests=1),
    ]
    places = [place(), place(), place(model="openai:o9")]
    assert grant(rules, places, now=NOW) == [places[0].id, places[2].id]


@pytest.mark.parametrize(
    ("ahead", "tokens", "min_seconds", "max_seconds"),
    [(0, 0, 10, 10), (30, 0, 31, 31), (1000, 0, 60, 60), (0, 500, 30, 30)],
)
def test_how_long_it_takes_is_guessed_within_a_minute(
    ahead: int, tokens: int, min_seconds: int, max_seconds: int
) -> None:
    rule = RateLimit(name="*", requests=60, tokens=1000)
    assert min_seconds <= estimate_wait([rule], "openai:gpt-5", calls_ahead=ahead, tokens_ahead=tokens) <= max_seconds


calls = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 200), st.integers(1, 400), st.integers(0, 100)), min_size=1, max_size=40
)


@given(calls, st.integers(1, 5), st.integers(100, 2000), st.integers(1, 4))
def test_no_limit_is_passed_and_everybody_has_a_turn_in_the_end(
    calls: list[tuple[int, int, int, int]], requests: int, tokens: int, at_once: int
) -> None:
    rule = RateLimit(name="*", requests=requests, tokens=tokens, at_once=at_once)
    lasting = {}
    places = {}
    for scope, asked, size, seconds in calls:
        each = replace(place(UUID(int=scope), tokens=size), asked_at=NOW + timedelta(seconds=asked))
        places[each.id], lasting[each.id] = each, timedelta(seconds=seconds)
    for second in range(0, 100 * 60 * len(calls), 5):
        now = NOW + timedelta(seconds=second)
        for identity, each in places.items():
            if each.granted_at is not None and now - each.granted_at >= lasting[identity]:
                places[identity] = replace(each, ended=True)
        for identity in grant([rule], [each for each in places.values() if each.asked_at <= now], now=now):
            places[identity] = replace(places[identity], granted_at=now)
        mine = [each for each in places.values() if each.granted_at is not None]
        recent = [each for each in mine if now - each.granted_at < WINDOW]  # type: ignore[operator]
        assert len(recent) <= requests
        assert sum(not each.ended for each in mine) <= at_once
        assert sum(each.tokens for each in recent) <= tokens or len(recent) == 1
        if len(mine) == len(places):
            return
    raise AssertionError("a request starved")
