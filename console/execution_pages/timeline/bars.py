"""What a step did when, and the bars that show it: from its times and the calls to models, without a database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby, pairwise


class Kind(StrEnum):
    """What a stretch of time went by with."""

    #: All that it needs is there, and no worker has begun it or goes on with it.
    QUEUE = "queue"
    WRITING = "writing"
    REVIEW = "review"
    #: It waits for answers, a decision or a higher budget.
    PEOPLE = "people"
    PROVIDER = "provider"
    #: It has begun, and is neither written nor reviewed. Only of many items together.
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True)
class CallTimes:
    """One call to a model."""

    attempt: int
    start: datetime
    end: datetime | None  # None: it is under way
    is_review: bool
    has_failed: bool  # so that the next one may have waited for the provider
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """The times of a step."""

    ready: datetime | None  # when all that it needs was there; None: it is not yet
    started: datetime | None
    finished: datetime | None
    asked: Sequence[Span] = ()  # rounds of questions that are closed
    decided: Sequence[datetime] = ()  # decisions about its document
    waits_since: datetime | None = None  # for people, now
    stopped_undecided: bool = False  # it ended while its document waited for a decision
    is_deferred: bool = False  # it waits for a provider now
    calls: Sequence[CallTimes] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a step's time."""

    kind: Kind
    start: datetime
    end: datetime
    attempt: int | None = None  # a call's; None: it is no call
    model: str = ""  # a call's

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Stretches in the life of an execution that explain gaps in its steps."""

    now: datetime
    over: Sequence[Span] = ()  # it had ended, before a retry
    short: Sequence[Span] = ()  # it waited for a higher budget


_INSTANT = 0.05  # seconds between two calls that no wait explains


def segments_of(step: StepTimes, course: Course) -> list[Segment]:
    """Return what a step did when, in order and without overlaps."""
    known = [*_calls(step, course.now), *_people(step, course.now)]
    begin = min(filter(None, (step.ready, step.started, *(each.start for each in known))), default=None)
    if begin is None:
        return []
    end = step.finished or course.now
    found: list[Segment] = []
    at = begin
    for each in sorted(known, key=lambda one: (one.start, one.end)):
        found += _gap(step, Span(at, each.start), course)
        start, stop = max(each.start, at), min(each.end, max(end, each.start))
        if stop > start or each.start >= at:
            found.append(Segment(each.kind, start, max(stop, start), each.attempt, each.model))
        at = max(at, stop)
    last = _gap(step, Span(at, end), course, is_last=step.finished is None)
    has_ended = step.finished is not None and bool(found)
    return [*found, *(each for each in last if not (has_ended and each.kind is Kind.QUEUE))]


def _calls(step: StepTimes, now: datetime) -> Iterator[Segment]:
    for call in step.calls:
        kind = Kind.REVIEW if call.is_review else Kind.WRITING
        yield Segment(kind, call.start, max(call.end or step.finished or now, call.start), call.attempt, call.model)


def _people(step: StepTimes, now: datetime) -> Iterator[Segment]:
    for span in step.asked:
        yield Segment(Kind.PEOPLE, span.start, span.end)
    earlier: datetime | None = None
    for moment in sorted(step.decided):
        before = [earlier, step.started, *(each.end for each in step.calls if each.end and each.end <= moment)]
        yield Segment(Kind.PEOPLE, max(filter(None, before), default=moment), moment)
        earlier = moment
    if step.waits_since is not None:
        yield Segment(Kind.PEOPLE, step.waits_since, max(now, step.waits_since))
    elif step.stopped_undecided and step.finished is not None:
        ends = [earlier, *(each.end for each in step.calls if each.end)]
        yield Segment(Kind.PEOPLE, max(filter(None, ends), default=step.finished), step.finished)


def _gap(step: StepTimes, gap: Span, course: Course, *, is_last: bool = False) -> Iterator[Segment]:
    """Yield what a step waited for where neither a call nor a person accounts for the time."""
    for part in _without(gap, course.over):
        if part.seconds < _INSTANT:
            continue
        earlier = [each for each in step.calls if each.end is not None and each.end <= part.start]
        after_failure = bool(earlier) and max(earlier, key=lambda each: (each.end, each.attempt)).has_failed
        if any(each.start < part.end and each.end > part.start for each in course.short):
            yield Segment(Kind.PEOPLE, part.start, part.end)
        elif after_failure or (is_last and step.is_deferred):
            yield Segment(Kind.PROVIDER, part.start, part.end)
        else:
            yield Segment(Kind.QUEUE, part.start, part.end)


def _without(whole: Span, others: Sequence[Span]) -> Iterator[Span]:
    """Yield the parts of a span that lie outside all others."""
    at = whole.start
    for each in sorted(others, key=lambda one: one.start):
        if each.start > at and min(each.start, whole.end) > at:
            yield Span(at, min(each.start, whole.end))
        at = max(at, each.end)
    if whole.end > at:
        yield Span(at, whole.end)


def seconds_by_kind(segments: Iterable[Segment]) -> dict[Kind, float]:
    """Return the sum of each kind of time, in the order of the kinds."""
    sums: dict[Kind, float] = defaultdict(float)
    for each in segments:
        sums[each.kind] += each.seconds
    return {kind: sums[kind] for kind in Kind if sums[kind] > 0}


# --- to scale ---------------------------------------------------------------------------------------------------------

_STEPS = tuple(
    timedelta(seconds=each)
    for each in (
        *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800),
        *(3_600, 7_200, 10_800, 21_600, 43_200),
        *(86_400 * days for days in (1, 2, 7, 14, 28, 91, 182, 364)),
    )
)
_MAX_TICKS = 5
_EDGE = 9.0  # percent on each side, where a label has no room


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of the scale, and its place in percent."""

    at: str
    text: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The time from left to right; places are in percent."""

    begin: datetime
    end: datetime

    def place(self, moment: datetime) -> float:
        """Return the place of a moment."""
        whole = (self.end - self.begin).total_seconds()
        return min(max((moment - self.begin).total_seconds() / whole * 100, 0.0), 100.0) if whole > 0 else 0.0

    def ticks(self, zone: datetime, *, day: Callable[[datetime], str]) -> list[Tick]:
        """Return round times of day, or days, in the time zone of a moment; `day` returns the label of a day."""
        whole = self.end - self.begin
        step = next((each for each in _STEPS if whole <= each * _MAX_TICKS), _STEPS[-1])
        shape = "%H:%M:%S" if step < timedelta(minutes=1) else "%H:%M"
        local = self.begin.astimezone(zone.tzinfo)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        first = midnight + step * -(-(local - midnight) // step)
        found = []
        for number in range(_MAX_TICKS + 1):
            moment = first + step * number
            if _EDGE <= (place := self.place(moment)) <= 100 - _EDGE and moment <= self.end:
                found.append(Tick(number_of(place), f"{moment:{shape}}" if step < timedelta(days=1) else day(moment)))
        return found


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle: places and widths in percent, heights in pixels."""

    kind: Kind
    x: str
    width: str
    y: str
    height: str
    segment: Segment | None = None  # None: of many items together


HEIGHT = 22  # of a row
_THIN = 12  # height of what is not work


def bars_of(segments: Iterable[Segment], scale: Scale) -> list[Bar]:
    """Return the bars of one step. What is no work is thinner."""
    found = []
    for each in segments:
        x = scale.place(each.start)
        tall = HEIGHT if each.kind in {Kind.WRITING, Kind.REVIEW} else _THIN
        size = {"y": number_of((HEIGHT - tall) / 2), "height": number_of(tall)}
        width = scale.place(each.end) - x
        found.append(Bar(each.kind, number_of(x), number_of(width), segment=each, **size))
    return found


BUCKETS = 120


@dataclass(frozen=True, slots=True)
class Run:
    """So many items that did the same from one bucket of the scale to another one, both included."""

    kind: Kind
    first: int  # from 0
    last: int
    number: int


def runs_of(segments: Iterable[Segment], scale: Scale) -> list[Run]:
    """Return segments as runs through the buckets of a scale."""
    places = ((each.kind, bucket(scale, each.start), bucket(scale, each.end)) for each in segments)
    return [Run(kind, first, max(first, last - 1), 1) for kind, first, last in places]


def bucket(scale: Scale, moment: datetime) -> int:
    """Return the bucket of a moment."""
    return min(int(scale.place(moment) / 100 * BUCKETS), BUCKETS - 1)


def stacked(runs: Iterable[Run]) -> list[Bar]:
    """Return what items did together: in each bucket the kinds stand on each other, as high as there are items."""
    counts = counts_of(runs)
    highest = max((sum(column.values()) for column in counts), default=0)
    found = []
    for _, columns in groupby(enumerate(counts), key=lambda each: tuple(sorted(each[1].items()))):
        same = list(columns)
        number, column = same[0]
        x, width = number / BUCKETS * 100, len(same) / BUCKETS * 100
        base = float(HEIGHT)
        for kind in Kind:
            if items := column.get(kind, 0):
                tall = items / highest * HEIGHT
                base -= tall
                found.append(Bar(kind, number_of(x), number_of(width), number_of(base), number_of(tall)))
    return found


def counts_of(runs: Iterable[Run]) -> list[dict[Kind, int]]:
    """Return how many items did what in each bucket."""
    changes: list[dict[Kind, int]] = [defaultdict(int) for _ in range(BUCKETS + 1)]
    for run in runs:
        changes[run.first][run.kind] += run.number
        changes[run.last + 1][run.kind] -= run.number
    sums: dict[Kind, int] = defaultdict(int)
    found = []
    for change in changes[:BUCKETS]:
        for kind, number in change.items():
            sums[kind] += number
        found.append({kind: number for kind, number in sums.items() if number > 0})
    return found


def with_waits(open_runs: Sequence[Run], worked: Sequence[Run]) -> list[Run]:
    """Return the runs of work, and of what had begun and was not worked on."""
    begun, busy = counts_of(open_runs), counts_of(worked)
    waits = [max(sum(all_.values()) - sum(some.values()), 0) for all_, some in zip(begun, busy, strict=True)]
    return [*worked, *(Run(Kind.OPEN, number, number, items) for number, items in enumerate(waits) if items)]


def spans_between(events: Iterable[tuple[datetime, bool]], *, until: datetime) -> list[Span]:
    """Return the spans from a beginning (True) to the next end (False); an open one ends at `until`."""
    turns = [next(same) for _, same in groupby(sorted(events), key=lambda each: each[1])]
    closed = [*turns, (until, False)] if turns and turns[-1][1] else turns
    return [Span(one, other) for (one, begins), (other, _) in pairwise(closed) if begins]


def number_of(value: float) -> str:
    """Return a number for an attribute, in any language of the page."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
