"""Streams with a filter of event types, and streams of pruned logs."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from executions import models
from executions.db_threads import in_thread
from executions.persistence import retention
from tests.factories.streams import ASKED, COMPLETE, SKIPPED, STARTED, append, happen, prepared
from tests.integration.streams.client import Browser, ids, parsed

pytestmark = pytest.mark.django_db(transaction=True)


async def seen(browser: Browser, execution_id: UUID, token: str, query: str) -> tuple[int, list[tuple[str, str]]]:
    """Return the status of a stream, and its events by name and id."""
    async with browser.get(execution_id, token=token, query=query) as answer:
        text = await answer.rest()
        return answer.status, [(event["event"], event["id"]) for event in parsed(text)]


@pytest.mark.parametrize(
    ("query", "events"),
    [
        ("types=step_skipped,complete", [("step_skipped", "3"), ("complete", "5")]),
        ("types=step_skipped&types=complete", [("step_skipped", "3"), ("complete", "5")]),
        ("types=step_skipped", [("step_skipped", "3")]),
        ("types=clarification_needed,step_delta&last_event_id=2", [("clarification_needed", "4")]),
        ("types=complete&last_event_id=3", [("complete", "5")]),
    ],
)
async def test_only_the_types_asked_for_are_sent_and_their_ids_stay(
    browser: Browser, query: str, events: list[tuple[str, str]]
) -> None:
    execution_id, token = await prepared(STARTED, ASKED, SKIPPED, ASKED, COMPLETE)
    assert await seen(browser, execution_id, token, query) == (200, events)


async def test_a_filtered_stream_ends_live_and_a_returning_client_is_told_to_stop(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED)
    async with browser.get(execution_id, token=token, query="types=step_skipped") as answer:
        await happen(execution_id, SKIPPED, ASKED)
        assert [event["id"] for event in await answer.events(1)] == ["2"]
        await happen(execution_id, COMPLETE)
        assert ids(await answer.rest()) == ["2"]
    assert await seen(browser, execution_id, token, "types=step_skipped&last_event_id=2") == (204, [])
    assert await seen(browser, execution_id, token, "types=step_failed") == (204, [])
    assert await seen(browser, execution_id, token, "types=step_skipped&last_event_id=1") == (
        200,
        [("step_skipped", "2")],
    )


@pytest.mark.parametrize(
    ("types", "pointer"), [("complete,done", "/types/1"), ("Complete", "/types/0"), ("", "/types")]
)
async def test_types_that_do_not_exist_are_refused_by_name(browser: Browser, types: str, pointer: str) -> None:
    execution_id, token = await prepared(STARTED)
    async with browser.get(execution_id, token=token, query=f"types={types}") as answer:
        await answer.rest()
        assert answer.status == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        assert types.rpartition(",")[2] in answer.json()["errors"][0]["detail"]


async def test_an_event_of_a_newer_version_breaks_no_stream(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED)

    def store() -> None:
        models.ExecutionEvent.objects.filter(execution_id=execution_id).update(event_type="step_dreamt")
        append(execution_id, COMPLETE)

    await in_thread(store)
    assert await seen(browser, execution_id, token, "") == (200, [("step_dreamt", "1"), ("complete", "2")])


async def pruned(*, all_of_it: bool = False) -> tuple[UUID, str]:
    """Return an execution of five events whose log was pruned, and its owner's token."""
    execution_id, token = await prepared(STARTED, ASKED, SKIPPED, ASKED, COMPLETE)

    def prune() -> None:
        past = timezone.now() - timedelta(days=2)
        models.Execution.objects.filter(id=execution_id).update(finished_at=past)
        assert retention.prune(before=past + timedelta(days=1), limit=1) == 1
        if all_of_it:
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM executions_executionevent")
                cursor.execute("UPDATE executions_execution SET oldest_sequence = last_sequence + 1")

    await in_thread(prune)
    return execution_id, token


@pytest.mark.parametrize(
    ("query", "status", "events"),
    [
        ("", 200, [("stream-reset", "4"), ("complete", "5")]),
        ("last_event_id=3", 200, [("stream-reset", "4"), ("complete", "5")]),
        ("last_event_id=4", 200, [("complete", "5")]),
        ("last_event_id=5", 204, []),
        ("types=step_skipped", 200, [("stream-reset", "4")]),
        ("types=step_skipped&last_event_id=4", 204, []),
    ],
)
async def test_a_stream_says_first_what_was_pruned(
    browser: Browser, query: str, status: int, events: list[tuple[str, str]]
) -> None:
    assert await seen(browser, *await pruned(), query) == (status, events)


async def test_a_stream_names_the_oldest_event_there_is_and_the_one_asked_for(browser: Browser) -> None:
    execution_id, token = await pruned()
    async with browser.get(execution_id, token=token, query="last_event_id=2") as answer:
        assert parsed(await answer.rest())[0] == {
            "id": "4",
            "event": "stream-reset",
            "event_type": "stream-reset",
            "execution_id": str(execution_id),
            "data": {"oldest": 5, "asked": 2},
        }


async def test_where_nothing_is_left_a_stream_says_so_and_ends(browser: Browser) -> None:
    execution_id, token = await pruned(all_of_it=True)
    assert await seen(browser, execution_id, token, "last_event_id=2") == (200, [("stream-reset", "5")])
    assert await seen(browser, execution_id, token, "last_event_id=5") == (204, [])
