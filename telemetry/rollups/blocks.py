"""Blocks of time: how a range is made up of sealed blocks and raw parts, and which days a time zone has. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import IntEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class Level(IntEnum):
    """Length of a block, in UTC. Each block consists of blocks of the level below."""

    QUARTER = 1  # of an hour
    HOUR = 2
    DAY = 3
    MONTH = 4


QUARTER = timedelta(minutes=15)
_SHORTEST_MONTH = timedelta(days=28)
_LENGTHS = {Level.QUARTER: QUARTER, Level.HOUR: timedelta(hours=1), Level.DAY: timedelta(days=1)}


def floor(moment: datetime, level: Level) -> datetime:
    """Return the start of the block that contains a point in time."""
    moment = moment.astimezone(UTC)
    if level is Level.MONTH:
        return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return moment - (moment - _EPOCH) % _LENGTHS[level]


def end_of(start: datetime, level: Level) -> datetime:
    """Return the end of the block that starts then."""
    return floor(start + timedelta(days=31), level) if level is Level.MONTH else start + _LENGTHS[level]


def ceil(moment: datetime, level: Level) -> datetime:
    """Return the first start of a block at or after a point in time."""
    start = floor(moment, level)
    return start if start == moment else end_of(start, level)


def starts(level: Level, since: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the starts of the blocks in [since, until); `since` is the start of a block."""
    while since < until:
        yield since
        since = end_of(since, level)


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of time."""

    start: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive blocks of one level."""

    level: Level
    span: Span


@dataclass(frozen=True, slots=True)
class Parts:
    """What a range is made up of: blocks, and raw parts, for which the ledger is read."""

    runs: Sequence[Run]
    raw: Sequence[Span]


def decompose(span: Span, sealed: Mapping[Level, Span], changed: Sequence[datetime]) -> Parts:
    """Return the parts of a range: blocks that are as long as possible, and raw parts for the rest.

    Args:
        span: The range.
        sealed: The range of the sealed blocks of each level; a level that is left out is not used.
        changed: Starts of the changed quarters in ascending order. A block that contains one is not used.
    """
    runs: list[Run] = []
    gaps = [span] if span.start < span.until else []
    for level in sorted(sealed, reverse=True):
        if not gaps:
            break
        left: list[Span] = []
        blocks = sealed[level]
        shortest = _LENGTHS.get(level, _SHORTEST_MONTH)
        for gap in gaps:
            if gap.until - gap.start < shortest:
                left.append(gap)
                continue
            start, until = max(gap.start, blocks.start), min(gap.until, blocks.until)
            found = list(_clean_runs(Span(ceil(start, level), floor(until, level)), level, changed))
            runs += [Run(level, each) for each in found]
            left += _without(gap, found)
        gaps = left
    return Parts(runs, gaps)


def _clean_runs(span: Span, level: Level, changed: Sequence[datetime]) -> Iterator[Span]:
    """Yield the ranges of blocks within a range of full blocks that contain no changed quarter."""
    start, until = span.start, span.until
    for quarter in changed[bisect_left(changed, start) : bisect_left(changed, until)]:
        block = floor(quarter, level)
        if start < block:
            yield Span(start, block)
        start = max(start, end_of(block, level))
    if start < until:
        yield Span(start, until)


def _without(gap: Span, taken: Sequence[Span]) -> Iterator[Span]:
    start = gap.start
    for each in taken:
        if start < each.start:
            yield Span(start, each.start)
        start = each.until
    if start < gap.until:
        yield Span(start, gap.until)


def days_of(span: Span, tz: ZoneInfo) -> dict[date, list[Span]]:
    """Return the parts of a range by local date.

    A date has several parts if the clocks go back over midnight, as they did at 00:01 in St. John's until 2011.
    """
    found: dict[date, list[Span]] = {}
    for part, offset in _constant_offsets(span, tz):
        zone = timezone(offset)
        day = part.start.astimezone(zone).date()
        start = part.start
        while start < part.until:
            following = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
            until = min(following, part.until)
            parts = found.setdefault(day, [])
            if parts and parts[-1].until == start:
                start = parts.pop().start
            parts.append(Span(start, until))
            start, day = until, day + timedelta(days=1)
    return found


def _constant_offsets(span: Span, tz: ZoneInfo) -> Iterator[tuple[Span, timedelta]]:
    """Yield the parts of a range in which the zone's offset to UTC is the same, in order."""
    moments = [*starts(Level.DAY, span.start, span.until), span.until]
    start = span.start
    for before, after in pairwise(moments):
        offset = _offset(before, tz)
        if _offset(after, tz) != offset:
            change = _change(before, after, tz)
            if start < change:
                yield Span(start, change), offset
            start = change
    if start < span.until:
        yield Span(start, span.until), _offset(start, tz)


def _offset(moment: datetime, tz: ZoneInfo) -> timedelta:
    return moment.astimezone(tz).utcoffset() or timedelta()


def _change(before: datetime, after: datetime, tz: ZoneInfo) -> datetime:
    """Return when the offset changes between two points in time; changes are at full seconds."""
    offset = _offset(before, tz)
    low, high = 0, -(-(after - before) // _SECOND)
    base = before.replace(microsecond=0)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(base + middle * _SECOND, tz) == offset else (low, middle)
    return min(base + high * _SECOND, after)
