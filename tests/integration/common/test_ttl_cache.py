"""A cached value that is loaded again after its time to live."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common import ttl_cache
from common.ttl_cache import TtlCache


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(ttl_cache, "time", clock)
    return clock


def cache_of(values: Iterator[int]) -> TtlCache[int]:
    return TtlCache(lambda: next(values), empty=0, ttl_seconds=2.0)


def test_a_value_is_loaded_when_it_is_older_than_its_time_to_live(clock: Clock) -> None:
    cache = cache_of(iter((1, 2)))
    assert (cache.value, cache.is_fresh()) == (0, False)
    assert cache.get() == 1
    clock.now += 1.9
    assert (cache.is_fresh(), cache.get()) == (True, 1)
    clock.now += 0.1
    assert (cache.value, cache.is_fresh(), cache.get()) == (1, False, 2)


def test_callers_may_ask_for_another_age(clock: Clock) -> None:
    cache = cache_of(iter((1, 2)))
    cache.load()
    clock.now += 20
    assert cache.get(max_age=30) == 1
    assert cache.get(max_age=10) == 2


def test_a_cleared_cache_is_empty_and_loads_again(clock: Clock) -> None:
    cache = cache_of(iter((1, 2)))
    cache.load()
    cache.clear()
    assert (cache.value, cache.get()) == (0, 2)


def test_a_load_that_fails_keeps_the_value_and_its_age(clock: Clock) -> None:
    cache = cache_of(iter((1,)))
    cache.load()
    clock.now += 5
    with pytest.raises(StopIteration):
        cache.get()
    assert (cache.value, cache.is_fresh(), cache.is_fresh(max_age=6)) == (1, False, True)
