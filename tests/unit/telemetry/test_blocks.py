"""A range is made up of sealed blocks and raw parts without gaps; days are those of the time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.time import time_zones
from telemetry.rollups.blocks import Level, Parts, Run, Span, ceil, days_of, decompose, end_of, floor, starts

START = datetime(2026, 1, 1, tzinfo=UTC)
moments = st.timedeltas(timedelta(), timedelta(days=120)).map(lambda passed: START + passed)
quarters = moments.map(lambda moment: floor(moment, Level.QUARTER))


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}+00:00")


def span(start: str, until: str) -> Span:
    return Span(at(start), at(until))


@pytest.mark.parametrize(
    ("level", "start", "following"),
    [
        (Level.QUARTER, "02-28T23:45", "03-01T00:00"),
        (Level.HOUR, "02-28T23:00", "03-01T00:00"),
        (Level.DAY, "02-28T00:00", "03-01T00:00"),
        (Level.MONTH, "02-01T00:00", "03-01T00:00"),
    ],
)
def test_a_block_holds_its_first_moment_and_not_its_last(level: Level, start: str, following: str) -> None:
    assert floor(at("02-28T23:59"), level) == floor(at(start), level) == ceil(at(start), level) == at(start)
    assert end_of(at(start), level) == ceil(at("02-28T23:59"), level) == at(following)
    assert list(starts(level, at(start), at(following))) == [at(start)]


def test_a_range_takes_the_longest_blocks_and_the_rest_raw() -> None:
    sealed = {level: Span(START, floor(at("04-02T05:20"), level)) for level in Level}
    found = decompose(span("01-30T22:50", "04-02T05:21"), sealed, [at("02-10T10:15")])
    assert found == Parts(
        runs=[
            Run(Level.MONTH, span("03-01T00:00", "04-01T00:00")),
            Run(Level.DAY, span("01-31T00:00", "02-10T00:00")),
            Run(Level.DAY, span("02-11T00:00", "03-01T00:00")),
            Run(Level.DAY, span("04-01T00:00", "04-02T00:00")),
            Run(Level.HOUR, span("01-30T23:00", "01-31T00:00")),
            Run(Level.HOUR, span("02-10T00:00", "02-10T10:00")),
            Run(Level.HOUR, span("02-10T11:00", "02-11T00:00")),
            Run(Level.HOUR, span("04-02T00:00", "04-02T05:00")),
            Run(Level.QUARTER, span("02-10T10:00", "02-10T10:15")),
            Run(Level.QUARTER, span("02-10T10:30", "02-10T11:00")),
            Run(Level.QUARTER, span("04-02T05:00", "04-02T05:15")),
        ],
        raw=[
            span("01-30T22:50", "01-30T23:00"),
            span("02-10T10:15", "02-10T10:30"),
            span("04-02T05:15", "04-02T05:21"),
        ],
    )


@given(
    start=moments,
    until=moments,
    sealed_until=quarters,
    changed=st.lists(quarters, max_size=6, unique=True).map(sorted),
    levels=st.sets(st.sampled_from(Level)),
)
def test_the_parts_are_the_range(
    start: datetime, until: datetime, sealed_until: datetime, changed: list[datetime], levels: set[Level]
) -> None:
    sealed = {level: Span(START, floor(sealed_until, level)) for level in levels}
    found = decompose(Span(start, until), sealed, changed)
    spans = sorted([*(run.span for run in found.runs), *found.raw], key=lambda each: each.start)
    assert all(each.start < each.until for each in spans)
    if start < until:
        assert [each.until for each in spans[:-1]] == [each.start for each in spans[1:]]
        assert (spans[0].start, spans[-1].until) == (start, until)
    else:
        assert not spans
    for run in found.runs:
        assert run.span.until <= sealed[run.level].until
        assert floor(run.span.start, run.level) == run.span.start
        assert floor(run.span.until, run.level) == run.span.until
        assert not [each for each in changed if run.span.start <= each < run.span.until]


@given(start=moments, hours=st.integers(1, 24 * 40), zone=st.sampled_from(sorted(time_zones())))
@example(at("03-28T10:00"), 48, "Europe/Berlin")
@example(datetime(2010, 11, 6, tzinfo=UTC), 72, "America/St_Johns")  # the clocks went back at 00:01
@example(datetime(2011, 12, 29, tzinfo=UTC), 72, "Pacific/Apia")  # without 30 December
@example(datetime(2018, 11, 3, tzinfo=UTC), 48, "America/Sao_Paulo")  # the clocks went forward at midnight
@example(datetime(1971, 12, 30, tzinfo=UTC), 24 * 9, "Africa/Monrovia")  # -00:44:30 until 7 January 1972
def test_each_moment_is_in_the_day_of_its_local_date(start: datetime, hours: int, zone: str) -> None:
    tz = ZoneInfo(zone)
    whole = Span(start, start + timedelta(hours=hours))
    days = days_of(whole, tz)
    parts = sorted((each.start, each.until, day) for day, spans in days.items() for each in spans)
    assert (parts[0][0], parts[-1][1]) == (whole.start, whole.until)
    assert [until for _, until, _ in parts[:-1]] == [begin for begin, _, _ in parts[1:]]
    for begin, until, day in parts:
        for moment in (begin, begin + (until - begin) / 2, until - timedelta(microseconds=1)):
            assert moment.astimezone(tz).date() == day
    assert all(earlier.until < later.start for spans in days.values() for earlier, later in pairwise(spans))


def test_a_date_that_comes_twice_has_two_parts() -> None:
    spans = days_of(
        Span(datetime(2010, 11, 7, tzinfo=UTC), datetime(2010, 11, 9, tzinfo=UTC)), ZoneInfo("America/St_Johns")
    )
    assert [len(parts) for parts in spans.values()] == [2, 2, 1]
