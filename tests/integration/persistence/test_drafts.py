"""Drafts in the database: chunks in a table on which no other data depends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from access.user import User
from common.database.parameters import connection_parameters
from executions.db_threads import in_thread
from executions.engine.domain.calls import CallKey
from executions.engine.domain.states import CallKind
from executions.models import StepDraft
from executions.persistence import drafts
from executions.persistence.drafts import CHANNEL, DraftWriter
from tests.factories.executions import begin, claim, start
from tests.support.waiting import HANG_SECONDS


def _key(execution_id: UUID | None = None, ordinal: int = 1) -> CallKey:
    return CallKey(
        execution_id=execution_id or uuid7(), step_id="one", attempt=1, kind=CallKind.GENERATE, ordinal=ordinal
    )


def _pieces() -> list[tuple[int, str]]:
    return list(StepDraft.objects.order_by("id").values_list("offset", "text"))


async def _until(holds: Callable[[list[tuple[int, str]]], bool]) -> list[tuple[int, str]]:
    async with asyncio.timeout(HANG_SECONDS):
        while not holds(found := await in_thread(_pieces)):
            await asyncio.sleep(0.01)
    return found


async def test_what_comes_within_a_pause_is_one_piece_and_the_next_one_follows_it() -> None:
    draft = DraftWriter().begin(_key())
    for text in ("Once ", "upon ", "a time"):
        draft.add(text)
    assert await _until(bool) == [(0, "Once upon a time")]
    draft.add(", now")
    assert await _until(lambda found: len(found) > 1) == [(0, "Once upon a time"), (16, ", now")]
    draft.end()
    assert await _until(lambda found: not found) == []


async def test_a_call_that_is_over_at_once_is_never_written() -> None:
    book = DraftWriter()
    quick, slow = book.begin(_key()), book.begin(_key())
    quick.add("Done.")
    quick.end()
    slow.add("Wait.")
    assert await _until(bool) == [(0, "Wait.")]
    slow.end()
    await _until(lambda found: not found)


async def test_listeners_are_notified_of_executions_with_new_draft_text() -> None:
    first, second = _key(), _key()
    async with await psycopg.AsyncConnection.connect(**connection_parameters(), autocommit=True) as listening:
        await listening.execute(f"LISTEN {CHANNEL}".encode())
        book = DraftWriter()
        written = [book.begin(first), book.begin(second), book.begin(replace(first, step_id="two"))]
        for draft in written:
            draft.add("x")
        told = [each async for each in listening.notifies(timeout=HANG_SECONDS, stop_after=1)]
    assert {UUID(text) for text in told[0].payload.split(",")} == {first.execution_id, second.execution_id}
    assert len(await in_thread(_pieces)) == 3
    for draft in written:
        draft.end()
    await _until(lambda found: not found)


async def test_what_no_database_keeps_is_replaced_and_counts_as_much() -> None:
    draft = DraftWriter().begin(_key())
    draft.add("a\x00\ud800b")
    await _until(bool)
    draft.add("c")
    assert await _until(lambda found: len(found) > 1) == [(0, "a\ufffd\ufffdb"), (4, "c")]
    draft.end()
    await _until(lambda found: not found)


async def test_the_stored_draft_text_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "MAX_CHARACTERS", 10)
    draft = DraftWriter().begin(_key())
    draft.add("0123456789")
    await _until(bool)
    draft.add("more")
    other = DraftWriter().begin(_key())
    other.add("x")
    assert await _until(lambda found: len(found) > 1) == [(0, "0123456789"), (0, "x")]
    for each in (draft, other):
        each.end()
    other.add("y")


def test_recovery_deletes_drafts_without_a_working_step(ann: User) -> None:
    begun = begin(claim(start(ann).id))
    mine, stale = _key(begun.id), _key(start(ann, scope="q").id)
    for key in (mine, replace(mine, attempt=7), stale):
        draft = DraftWriter().begin(key)
        draft._text = "x"
        drafts.store([(draft, "x")], [])
    drafts.remove_abandoned()
    assert [(row.execution_id, row.attempt) for row in StepDraft.objects.all()] == [(begun.id, 1)]


def test_the_table_is_not_logged() -> None:

    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'executions_stepdraft'")
        assert cursor.fetchone() == ("u",)


async def test_after_a_crash_that_emptied_the_table_the_text_is_written_from_its_beginning() -> None:
    draft = DraftWriter().begin(_key())
    draft.add("Once ")
    await _until(bool)
    await in_thread(StepDraft.objects.all().delete)
    draft.add("upon ")
    assert await _until(bool) == [(0, "Once upon ")]
    draft.add("a time")
    assert await _until(lambda found: len(found) > 1) == [(0, "Once upon "), (10, "a time")]
    draft.end()
    await _until(lambda found: not found)


async def test_a_call_of_which_nothing_is_heard_costs_nothing() -> None:
    DraftWriter().begin(_key()).end()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "drafts"]


async def test_a_call_that_ends_while_its_text_is_lost_is_not_written_once_more() -> None:
    draft = DraftWriter().begin(_key(ordinal=2))
    assert draft.has_news
    draft.add("Once ")
    draft.mark_stored("Once ")
    draft.end()
    draft.mark_lost()
    assert not draft.has_news


async def test_a_second_try_says_that_it_has_begun_and_its_first_piece_is_seen_as_new() -> None:
    draft = DraftWriter().begin(_key(ordinal=2))
    assert await _until(bool) == [(0, "")]
    first = await in_thread(StepDraft.objects.get)
    draft.add("Then ")
    assert await _until(lambda found: found[0][1] != "") == [(0, "Then ")]
    assert (await in_thread(StepDraft.objects.get)).pk > first.pk
    draft.end()
    await _until(lambda found: not found)
