"""What a step did when: each moment of it is accounted for once; and the bars that show it to scale."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest

from console.execution_pages.timeline.bars import (
    BUCKETS,
    HEIGHT,
    CallTimes,
    Course,
    Kind,
    Run,
    Scale,
    Segment,
    Span,
    StepTimes,
    bars_of,
    counts_of,
    runs_of,
    seconds_by_kind,
    segments_of,
    spans_between,
    stacked,
    with_waits,
)

BEGIN = datetime(2026, 11, 30, 12, 23, tzinfo=UTC)


def at(second: float) -> datetime:
    return BEGIN + timedelta(seconds=second)


def day(moment: datetime) -> str:
    return f"day {moment.day}"


def call(start: float, end: float | None, *, attempt: int = 1, review: bool = False, failed: bool = False) -> CallTimes:
    ended = None if end is None else at(end)
    return CallTimes(attempt, at(start), ended, is_review=review, has_failed=failed)


def told(step: StepTimes, *, now: float = 100, over: tuple[Span, ...] = (), short: tuple[Span, ...] = ()) -> list[str]:
    """Return the segments of a step as `kind from-to`; only before a retry is there a gap."""
    segments = segments_of(step, Course(now=at(now), over=over, short=short))
    for one, other in pairwise(segments):
        assert one.end <= other.start
    return [f"{each.kind} {(each.start - BEGIN).seconds}-{(each.end - BEGIN).seconds}" for each in segments]


DONE = StepTimes(ready=at(0), started=at(2), finished=at(12), calls=[call(2, 12)])


def test_a_step_is_queued_then_written() -> None:
    assert told(DONE) == ["queue 0-2", "writing 2-12"]


def test_a_step_that_is_under_way_lasts_until_now() -> None:
    assert told(replace(DONE, finished=None, calls=[call(2, None)]), now=30) == ["queue 0-2", "writing 2-30"]


def test_a_step_that_is_ready_waits_in_the_queue_and_one_that_is_not_does_nothing() -> None:
    assert told(StepTimes(ready=at(5), started=None, finished=None), now=9) == ["queue 5-9"]
    assert told(StepTimes(ready=None, started=None, finished=None)) == []


def test_reviews_and_attempts_are_segments_of_their_own() -> None:
    calls = [call(2, 5), call(5, 7, review=True), call(7, 12, attempt=2)]
    segments = segments_of(replace(DONE, calls=calls), Course(now=at(100)))
    assert [(each.kind, each.attempt) for each in segments] == [
        (Kind.QUEUE, None),
        (Kind.WRITING, 1),
        (Kind.REVIEW, 1),
        (Kind.WRITING, 2),
    ]


def test_answered_questions_were_a_wait_for_people_and_then_for_a_worker() -> None:
    step = replace(DONE, calls=[call(2, 4), call(9, 12, attempt=2)], asked=[Span(at(4), at(8))])
    assert told(step) == ["queue 0-2", "writing 2-4", "people 4-8", "queue 8-9", "writing 9-12"]


def test_open_questions_wait_until_now() -> None:
    step = replace(DONE, finished=None, calls=[call(2, 4)], waits_since=at(4))
    assert told(step, now=60) == ["queue 0-2", "writing 2-4", "people 4-60"]


def test_decisions_end_waits_that_begin_with_the_last_call() -> None:
    step = replace(DONE, finished=at(30), calls=[call(2, 10), call(15, 20, attempt=2)], decided=[at(14), at(30)])
    assert told(step) == [
        *("queue 0-2", "writing 2-10", "people 10-14"),
        *("queue 14-15", "writing 15-20", "people 20-30"),
    ]


def test_two_decisions_without_a_call_in_between_follow_each_other() -> None:
    step = replace(DONE, finished=at(30), decided=[at(20), at(30)])
    assert told(step) == ["queue 0-2", "writing 2-12", "people 12-20", "people 20-30"]


def test_a_step_that_was_cancelled_while_it_waited_for_a_decision() -> None:
    assert told(replace(DONE, finished=at(40), stopped_undecided=True)) == [
        *("queue 0-2", "writing 2-12"),
        "people 12-40",
    ]


def test_after_a_failed_call_the_next_one_waited_for_the_provider() -> None:
    step = replace(DONE, calls=[call(2, 3, failed=True), call(8, 12)])
    assert told(step) == ["queue 0-2", "writing 2-3", "provider 3-8", "writing 8-12"]


def test_a_deferred_step_waits_for_the_provider_now() -> None:
    step = replace(DONE, finished=None, calls=[call(2, 3)], is_deferred=True)
    assert told(step, now=20) == ["queue 0-2", "writing 2-3", "provider 3-20"]


def test_a_wait_for_a_higher_budget_is_a_wait_for_people() -> None:
    step = replace(DONE, calls=[call(2, 3), call(8, 12)])
    assert told(step, short=(Span(at(3), at(7)),)) == ["queue 0-2", "writing 2-3", "people 3-8", "writing 8-12"]


def test_between_the_end_of_an_execution_and_its_retry_nothing_goes_by() -> None:
    step = replace(DONE, finished=at(60), calls=[call(2, 5), call(55, 60, attempt=2)])
    assert told(step, over=(Span(at(5), at(50)),)) == ["queue 0-2", "writing 2-5", "queue 50-55", "writing 55-60"]


def test_a_step_without_a_call_took_no_time() -> None:
    assert told(StepTimes(ready=at(3), started=at(3), finished=at(3))) == []


def test_sums_of_kinds() -> None:
    step = replace(DONE, calls=[call(2, 5), call(5, 7, review=True), call(7, 12, attempt=2)])
    sums = seconds_by_kind(segments_of(step, Course(now=at(100))))
    assert sums == {Kind.QUEUE: 2, Kind.WRITING: 8, Kind.REVIEW: 2}


def test_a_wait_lasts_from_its_beginning_to_the_next_end() -> None:
    events = [(at(1), True), (at(2), True), (at(5), False), (at(6), False), (at(9), True)]
    assert spans_between(events, until=at(20)) == [Span(at(1), at(5)), Span(at(9), at(20))]
    assert spans_between([], until=at(20)) == []


# --- to scale ---------------------------------------------------------------------------------------------------------


def test_bars_are_to_scale_and_work_is_higher_than_waiting() -> None:
    bars = bars_of(segments_of(DONE, Course(now=at(100))), Scale(at(0), at(40)))
    assert [(each.x, each.width) for each in bars] == [("0", "5"), ("5", "25")]
    assert float(bars[0].height) < float(bars[1].height) == HEIGHT


def test_a_scale_without_length_has_all_at_its_beginning() -> None:
    assert Scale(at(0), at(0)).place(at(5)) == 0
    assert Scale(at(0), at(0)).ticks(BEGIN, day=day) == []


@pytest.mark.parametrize(
    ("length", "labels"),
    [
        (45, ["12:23:10", "12:23:20", "12:23:30", "12:23:40"]),
        (600, ["12:24", "12:26", "12:28", "12:30", "12:32"]),
        (86_400 * 4, ["day 1", "day 2", "day 3", "day 4"]),
    ],
)
def test_labels_are_round_times(length: int, labels: list[str]) -> None:
    assert [each.text for each in Scale(at(0), at(length)).ticks(BEGIN, day=day)] == labels


def test_labels_are_in_the_time_zone_of_the_reader() -> None:
    tallinn = BEGIN.astimezone(timezone(timedelta(hours=2)))
    assert Scale(at(0), at(3_600 * 20)).ticks(tallinn, day=day)[0].text == "18:00"
    assert all(0 < float(each.at) < 100 for each in Scale(at(0), at(3_600 * 20)).ticks(tallinn, day=day))


def test_items_stand_on_each_other() -> None:
    scale = Scale(at(0), at(BUCKETS))
    segments = [Segment(Kind.WRITING, at(0), at(60)), Segment(Kind.WRITING, at(30), at(90))]
    counts = counts_of(runs_of(segments, scale))
    assert [counts[number].get(Kind.WRITING, 0) for number in (0, 29, 30, 59, 60, 89, 90)] == [1, 1, 2, 2, 1, 1, 0]
    bars = stacked(runs_of(segments, scale))
    assert [(each.x, each.width, each.height) for each in bars] == [
        ("0", "25", "11"),
        ("25", "25", "22"),
        ("50", "25", "11"),
    ]
    assert all(float(each.y) + float(each.height) == HEIGHT for each in bars)


def test_a_short_segment_is_seen() -> None:
    [bar] = stacked(runs_of([Segment(Kind.WRITING, at(0), at(0.01))], Scale(at(0), at(1_000))))
    assert float(bar.width) > 0


def test_what_has_begun_and_is_not_worked_on_waits() -> None:
    runs = with_waits([Run(Kind.OPEN, 0, 9, 3)], [Run(Kind.WRITING, 0, 4, 2)])
    counts = counts_of(runs)
    assert (counts[0], counts[5]) == ({Kind.WRITING: 2, Kind.OPEN: 1}, {Kind.OPEN: 3})


def test_a_thousand_items_are_as_many_bars_as_there_are_changes() -> None:
    assert len(stacked([Run(Kind.WRITING, 0, BUCKETS - 1, 3_000)])) == 1
