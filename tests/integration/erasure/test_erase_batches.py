"""Erasing in parts: what a stop between two parts leaves, what others may do meanwhile, and the streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone

from access.services import ensure_user
from access.user import User
from documents.models import DocumentVersion
from executions.db_threads import in_thread
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import Erasing
from executions.models import Execution as Row
from executions.models import ExecutionEvent
from executions.persistence import erasure, repositories
from executions.services.erasure import executions as erasing
from executions.worker import duties
from telemetry import ledger
from telemetry.models import ChangedQuarter, ModelCall
from telemetry.pricing.repricing import reprice
from telemetry.rollups import cuts
from tests.factories import reports
from tests.factories.calls import answered
from tests.factories.streams import ASKED, COMPLETE, SKIPPED, STARTED, prepared
from tests.integration.streams.client import Browser
from tests.integration.streams.test_filters import seen
from tests.support.two_connections import blocked, elsewhere

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def finished(alice: User) -> Execution:
    """An execution of Alice's that has ended."""
    reports.publish()
    return reports.finish(reports.start(alice))


def begin(execution: Execution) -> None:
    with transaction.atomic():
        erasing.begin(repositories.lock(execution.id), Erasing.ALL, now=timezone.now())


def next_part(execution: Execution) -> bool:
    return erasing.erase_next(execution.id, now=timezone.now())


@contextmanager
def blocked_after(first: Callable[[], object], second: Callable[[], object]) -> Iterator[Future[object]]:
    """Do the first in an open transaction; yield when the second, elsewhere, waited for it and it was committed."""
    with ExitStack() as stack:
        with transaction.atomic():
            first()
            future = stack.enter_context(blocked(second))
        yield future


def left(execution_id: UUID) -> tuple[int, int, int]:
    """Return the versions, calls and events that are not erased."""
    return (
        DocumentVersion.objects.filter(execution_id=execution_id, erased_at=None).count(),
        ModelCall.objects.filter(execution_id=execution_id, erased_at=None).count(),
        ExecutionEvent.objects.filter(execution_id=execution_id).count(),
    )


def test_each_part_is_limited_and_ends_by_itself(finished: Execution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "BATCH_SIZE", 1)
    monkeypatch.setattr(erasure, "EVENTS", 2)
    events = finished.last_sequence
    begin(finished)
    seen_parts = [left(finished.id)]
    while next_part(finished):
        seen_parts.append(left(finished.id))
    one_by_one = [(2, 2, events), (1, 2, events), (0, 2, events), (0, 1, events), (0, 0, events)]
    assert seen_parts[:5] == one_by_one
    assert [rest for _, _, rest in seen_parts[5:]] == [*range(events - 2, 1, -2), 1]
    assert Row.objects.get(id=finished.id).erasing == ""
    assert not next_part(finished)


async def test_a_worker_goes_on_where_a_process_has_stopped(finished: Execution) -> None:
    await in_thread(begin, finished)
    assert await in_thread(next_part, finished)
    assert (await in_thread(left, finished.id))[1] > 0
    assert await duties.finish_erasures() == 1
    assert await in_thread(left, finished.id) == (0, 0, 1)
    assert await duties.finish_erasures() == 0


def test_a_repeated_request_goes_on_where_a_process_has_stopped(finished: Execution, alice: User) -> None:
    begin(finished)
    erasing.erase_execution(user=alice, execution_id=finished.id, now=timezone.now())
    assert left(finished.id) == (0, 0, 1)


def test_two_that_erase_the_same_share_the_work(finished: Execution) -> None:
    begin(finished)
    with blocked_after(lambda: next_part(finished), lambda: erasing.finish(finished.id)) as other:
        erasing.finish(finished.id)
    other.result()
    assert left(finished.id) == (0, 0, 1)


def test_others_of_the_scope_go_on_meanwhile(finished: Execution, alice: User) -> None:
    begin(finished)

    def work() -> str:
        other = reports.ask(reports.start(alice))
        return reports.cancel(alice, other.id).status

    with transaction.atomic():
        while next_part(finished):
            pass
        assert elsewhere(work) == "cancelled"


def test_an_erased_text_changes_no_sum_and_no_block(alice: User) -> None:
    execution_id = answered(alice)
    ChangedQuarter.objects.all().delete()
    ledger.erase_texts(execution_id, limit=10, now=timezone.now())
    assert ChangedQuarter.objects.count() == 0
    ModelCall.objects.update(cost_usd=1)
    assert ChangedQuarter.objects.count() == 1


def test_the_trigger_watches_all_columns_of_sums() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_trigger JOIN pg_attribute ON attrelid = tgrelid AND attnum = ANY(tgattr) "
            "WHERE tgname = 'telemetry_note_update'"
        )
        assert {name for (name,) in cursor.fetchall()} == set(cuts.COLUMNS)


def test_an_erased_call_is_repriced_like_others(alice: User) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    execution_id = answered(alice)
    before = reprice(since=since, until=timezone.now() + timedelta(days=400), dry_run=True)
    ledger.erase_texts(execution_id, limit=10, now=timezone.now())
    assert reprice(since=since, until=timezone.now() + timedelta(days=400), dry_run=True) == before
    assert before.calls == 1


@pytest.mark.parametrize(
    ("query", "status", "events"),
    [
        ("", 200, [("stream-reset", "4"), ("complete", "5")]),
        ("last_event_id=2", 200, [("stream-reset", "4"), ("complete", "5")]),
        ("last_event_id=5", 204, []),
    ],
)
async def test_a_stream_says_what_is_gone_and_ends(
    browser: Browser, query: str, status: int, events: list[tuple[str, str]]
) -> None:
    execution_id, token = await prepared(STARTED, ASKED, SKIPPED, ASKED, COMPLETE)

    def erase() -> Any:
        alice = ensure_user(name="alice")
        return erasing.erase_execution(user=alice, execution_id=execution_id, now=timezone.now())

    await in_thread(erase)
    assert await seen(browser, execution_id, token, query) == (status, events)


async def test_a_feed_goes_on_after_what_is_gone(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED, ASKED, SKIPPED, ASKED, COMPLETE)

    def erase() -> Any:
        alice = ensure_user(name="alice")
        return erasing.erase_execution(user=alice, execution_id=execution_id, now=timezone.now())

    await in_thread(erase)
    async with browser.get(f"project/{execution_id}", token=token, query="last_event_id=0") as answer:
        assert [each["event"] for each in await answer.events(2)] == ["stream-reset", "complete"]
