"""Concurrent bulk actions on the same executions."""

from __future__ import annotations

from collections import Counter
from functools import partial
from uuid import UUID

import pytest
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from access.user import User
from executions import models
from executions.engine.domain.errors import IllegalTransition
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus
from executions.services import bulk_actions
from executions.services.bulk_actions import BulkAction, Outcome
from tests.factories.executions import cancel, empty_the_queue, start, together

MANY = 12


def act(user: User, action: BulkAction, ids: list[UUID]) -> dict[UUID, Outcome]:
    return bulk_actions.act_on_many(user=user, action=action, execution_ids=ids, now=timezone.now())


@pytest.mark.parametrize("turned", [False, True])
def test_requests_for_the_same_executions_cancel_each_once_and_none_deadlocks(ann: User, turned: bool) -> None:
    ids = [start(ann, scope=f"p{number % 2}").id for number in range(MANY)]
    others = ids[::-1] if turned else ids
    results = together(
        partial(act, ann, BulkAction.CANCEL, ids),
        partial(act, ann, BulkAction.CANCEL, others),
        lambda: [cancel(ann, each) for each in others],
    )
    assert not [each for each in results if isinstance(each, Exception)]
    ended = models.ExecutionEvent.objects.filter(event_type="complete").values_list("execution_id", flat=True)
    assert Counter(ended) == Counter(ids)


def test_of_two_who_retry_many_at_once_each_is_retried_by_one(ann: User) -> None:
    ids = [start(ann).id for _ in range(MANY)]
    act(ann, BulkAction.CANCEL, ids)
    empty_the_queue()
    first, second = together(partial(act, ann, BulkAction.RETRY, ids), partial(act, ann, BulkAction.RETRY, ids[::-1]))
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    for each in ids:
        assert {type(first[each]), type(second[each])} == {Execution, IllegalTransition}
    assert Counter(UUID(job.lock) for job in ProcrastinateJob.objects.all()) == Counter(ids)
    assert set(models.Execution.objects.values_list("status", flat=True)) == {ExecutionStatus.RUNNING.value}
