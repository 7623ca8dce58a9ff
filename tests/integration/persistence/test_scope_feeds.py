"""The feed of a scope: the events of its executions, numbered in commit order."""

from __future__ import annotations

from functools import partial

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from access.user import User
from executions import models
from executions.engine.domain.execution import Execution
from executions.engine.ports import Transition
from executions.engine.transitions import core
from executions.persistence.journal.locked_batch import LockedBatch
from tests.factories.executions import begin, cancel, claim, start, together


def _feed(execution: Execution) -> list[tuple[int, str, int]]:
    rows = models.ExecutionEvent.objects.filter(scope_id=execution.scope.id).order_by("scope_sequence")
    return [(row.scope_sequence, str(row.execution_id), row.sequence) for row in rows]


def _check(execution: Execution, *, count: int) -> None:
    """Numbers have no gaps, and each execution's events are in their own order among them."""
    feed = _feed(execution)
    assert [number for number, _, _ in feed] == list(range(1, count + 1))
    for one in {identity for _, identity, _ in feed}:
        own = [sequence for _, identity, sequence in feed if identity == one]
        assert own == list(range(1, len(own) + 1))


def test_the_events_of_a_scope_are_numbered_together_and_those_of_another_apart(ann: User) -> None:
    first, second, other = start(ann), start(ann), start(ann, scope="q")
    claim(second.id)
    claim(first.id)
    assert [(number, identity) for number, identity, _ in _feed(first)] == [
        (1, str(first.id)),
        (2, str(second.id)),
        (3, str(second.id)),
        (4, str(first.id)),
    ]
    assert _feed(other) == [(1, str(other.id), 1)]


def test_a_batch_numbers_the_events_of_many_executions_in_the_order_in_which_they_were_decided(ann: User) -> None:
    ours, other = [claim(start(ann).id) for _ in range(3)], claim(start(ann, scope="q").id)

    def stop(now: Execution, context: core.Context) -> core.Change:
        return core.cancel(now, context=context)

    items = [Transition(execution_id=each.id, fencing_token=None, decide=stop) for each in (ours[2], other, ours[0])]
    LockedBatch(items, now=timezone.now(), known={}).commit()
    _check(ours[0], count=len(_feed(ours[0])))
    added = [identity for _, identity, _ in _feed(ours[0])[6:]]
    half = len(added) // 2
    assert added == [str(ours[2].id)] * half + [str(ours[0].id)] * half
    _check(other, count=len(_feed(other)))


def test_executions_of_a_scope_that_move_at_the_same_time_share_no_number_and_leave_none_out(ann: User) -> None:
    executions = [claim(start(ann).id) for _ in range(8)]
    begun = [partial(begin, each) for each in executions[:4]]
    ended = [partial(cancel, ann, each.id) for each in executions[4:]]
    outcomes = together(*begun, *ended)
    assert all(isinstance(each, Execution) for each in outcomes)
    _check(executions[0], count=models.ExecutionEvent.objects.count())


def test_what_is_rolled_back_takes_its_numbers_with_it(ann: User) -> None:
    execution = start(ann)
    with pytest.raises(RuntimeError), transaction.atomic():
        claim(execution.id)
        raise RuntimeError
    claim(execution.id)
    _check(execution, count=2)


def test_no_number_of_a_feed_is_given_twice(ann: User) -> None:
    event = models.ExecutionEvent.objects.get(execution_id=start(ann).id)
    event.pk, event.sequence = None, 2
    with pytest.raises(IntegrityError, match="event_once_per_scope_sequence"):
        event.save()
