"""Permits in PostgreSQL: processes share one limit, and a lost process blocks no other."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from uuid_utils.compat import uuid7

from telemetry.models import CallTurn, ModelLimit
from telemetry.rate_limits import store
from telemetry.rate_limits.store import SILENCE_LIMIT, PermitRequest

pytestmark = pytest.mark.django_db


def limit(**limits: int | None) -> ModelLimit:
    """Limit a model, and let this process know."""
    row = ModelLimit(provider="openai", model="gpt-*", **limits)
    row.full_clean()
    row.save()
    store.LIMITS.load()
    return row


def asked(model: str = "openai:gpt-5", *, tokens: int = 100) -> PermitRequest:
    """Return a call that wants its turn."""
    return PermitRequest(id=uuid7(), model=model, scope_id=UUID(int=1), tokens=tokens)


def test_a_model_is_limited_by_the_name_that_fits() -> None:
    assert not store.is_limited("openai:gpt-5")
    limit(calls_at_once=1)
    assert store.is_limited("openai:gpt-5")
    assert not store.is_limited("openai:o9")
    assert not store.is_limited("azure:gpt-5")


def test_what_one_process_holds_another_waits_for() -> None:
    limit(calls_at_once=1)
    mine, theirs = asked(), asked()
    assert store.synchronize(requests=[mine], active=[mine.id]) == {mine.id}
    assert store.synchronize(requests=[theirs], active=[theirs.id]) == set()
    store.synchronize(ended=[(mine.id, 50)])
    assert store.synchronize(active=[theirs.id]) == {theirs.id}


def test_what_is_told_twice_counts_once() -> None:
    limit(calls_at_once=2)
    first, second = asked(), asked()
    for _ in range(2):
        assert store.synchronize(requests=[first], active=[first.id]) == {first.id}
    assert store.synchronize(requests=[second], active=[second.id]) == {second.id}


def test_who_waits_no_more_leaves_nothing_behind() -> None:
    limit(calls_at_once=1)
    first, second = asked(), asked()
    store.synchronize(requests=[first, second], active=[first.id, second.id])
    store.synchronize(ended=[(second.id, None)])
    assert [row.id for row in CallTurn.objects.all()] == [first.id]


def test_what_was_used_counts_in_place_of_what_was_taken() -> None:
    limit(tokens_per_minute=1000)
    first, second = asked(tokens=900), asked(tokens=900)
    assert store.synchronize(requests=[first, second], active=[first.id, second.id]) == {first.id}
    store.synchronize(active=[second.id], ended=[(first.id, 100)])
    assert store.synchronize(active=[second.id]) == {second.id}


def test_a_lost_process_blocks_no_other() -> None:
    limit(calls_at_once=1)
    lost, mine = asked(), asked()
    store.synchronize(requests=[lost], active=[lost.id])
    assert store.synchronize(requests=[mine], active=[mine.id]) == set()
    CallTurn.objects.filter(id=lost.id).update(seen_at=timezone.now() - SILENCE_LIMIT - timedelta(seconds=1))
    assert store.synchronize(active=[mine.id]) == {mine.id}


def test_what_was_more_than_a_minute_ago_is_forgotten() -> None:
    limit(requests_per_minute=1)
    old, mine = asked(), asked()
    store.synchronize(requests=[old], active=[old.id])
    store.synchronize(ended=[(old.id, 10)])
    assert store.synchronize(requests=[mine], active=[mine.id]) == set()
    CallTurn.objects.filter(id=old.id).update(granted_at=timezone.now() - timedelta(seconds=61))
    assert store.synchronize(active=[mine.id]) == {mine.id}
    assert [row.id for row in CallTurn.objects.all()] == [mine.id]


def test_a_limit_that_is_taken_away_lets_everybody_in() -> None:
    row = limit(calls_at_once=1)
    first, second = asked(), asked()
    store.synchronize(requests=[first, second], active=[first.id, second.id])
    row.delete()
    store.LIMITS.load()
    assert store.synchronize(active=[first.id, second.id]) == {first.id, second.id}


def test_a_limit_lets_something_through() -> None:
    with pytest.raises(ValidationError):
        limit(requests_per_minute=0)
