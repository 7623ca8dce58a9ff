"""Two users act on the same entries of the inbox at once, each over a connection of their own."""

from __future__ import annotations

from functools import partial

import pytest
from django.utils import timezone

from access.services import ensure_user
from common.errors import NotFound
from executions.engine.domain.execution import Execution
from executions.models import ExecutionEvent, InboxEntry
from executions.services import executions, inbox
from executions.services.inbox import WaitingVersion
from tests.factories import reports
from tests.factories.executions import together

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 6


def test_of_two_who_dismiss_and_one_who_retries_each_entry_goes_once() -> None:
    reports.publish()
    ada = ensure_user(name="ada")
    failed = reports.fail(reports.start(ada))
    entry = InboxEntry.objects.get().id
    again = partial(executions.retry_execution, user=ada, execution_id=failed.id, now=timezone.now())
    dismiss = partial(inbox.dismiss, user=ada, entry_id=entry)
    *dismissed, retried = together(dismiss, dismiss, again)
    assert isinstance(retried, Execution)
    assert sum(isinstance(each, NotFound) for each in dismissed) >= 1
    assert not [each for each in dismissed if isinstance(each, Exception) and not isinstance(each, NotFound)]
    assert not InboxEntry.objects.exists()


def test_two_who_accept_the_same_documents_decide_each_once() -> None:
    reports.publish(gated=True)
    ada = ensure_user(name="ada")
    ids = [reports.hand_in(reports.start(ada, key=f"k{number}")).id for number in range(MANY)]
    items = [WaitingVersion(execution_id=each, step_id="research", document_version=1) for each in ids]
    accept = partial(inbox.accept_many, user=ada, now=timezone.now())
    first, second = together(partial(accept, items=items), partial(accept, items=items[::-1]))
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert all(isinstance(each, Execution) for each in (*first, *second))  # the same decision again changes nothing
    assert ExecutionEvent.objects.filter(event_type="acceptance_decided").count() == MANY
    assert not InboxEntry.objects.exists()
