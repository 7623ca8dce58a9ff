"""Open streams end when access ends or at their maximum age; their number per user is limited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone
from knox.models import AuthToken

from access.models import ScopeRole
from access.user import User
from executions.db_threads import in_thread
from tests.factories.executions import outage
from tests.factories.streams import (
    ASKED,
    COMPLETE,
    SKIPPED,
    STARTED,
    append,
    happen,
    make_execution,
    make_user,
    prepared,
)
from tests.integration.streams.client import Answer, Browser, ids
from tests.integration.streams.test_tickets import log_in, make_ticket
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def quick(settings: Any) -> None:
    """Who may see is asked again ten times a second."""
    settings.STREAM_RECHECK_SECONDS = 0.1


@asynccontextmanager
async def opened(browser: Browser, execution_id: UUID, token: str) -> AsyncIterator[dict[str, Answer]]:
    """Open a stream with each kind of credential, and read what there is."""
    key = await in_thread(log_in)
    session_ticket = await in_thread(make_ticket, execution_id, token=None, session_key=key)
    asked: dict[str, dict[str, Any]] = {
        "header": {"token": token},
        "ticket": {"query": f"ticket={await in_thread(make_ticket, execution_id)}"},
        "cookie": {"headers": {"Cookie": f"sessionid={key}"}},
        "ticket of a session": {"query": f"ticket={session_ticket}"},
    }
    async with AsyncExitStack() as stack:
        answers = {
            name: await stack.enter_async_context(browser.get(execution_id, **how)) for name, how in asked.items()
        }
        for name, answer in answers.items():
            assert answer.status == 200, name
            assert len(await answer.events(1)) == 1
        yield answers


def revoke() -> None:
    AuthToken.objects.all().delete()


def expire() -> None:
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))


def log_out() -> None:
    Session.objects.all().delete()


def change_the_password() -> None:
    user = User.objects.get(username="alice")
    user.set_password("a long passphrase")
    user.save(update_fields=["password"])


def deactivate() -> None:
    User.objects.update(is_active=False)


def take_the_role() -> None:
    ScopeRole.objects.all().delete()


ALL = {"header", "ticket", "cookie", "ticket of a session"}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("change", "fall"),
    [
        (revoke, {"header", "ticket"}),
        (expire, {"header", "ticket"}),
        (log_out, {"cookie", "ticket of a session"}),
        (change_the_password, ALL),
        (deactivate, ALL),
        (take_the_role, ALL),
    ],
)
async def test_a_stream_ends_cleanly_when_what_it_rests_on_falls_and_the_others_go_on(
    browser: Browser, change: Callable[[], None], fall: set[str]
) -> None:
    execution_id, token = await prepared(STARTED)
    async with opened(browser, execution_id, token) as answers:
        await in_thread(change)
        for name in fall:
            assert ids(await answers[name].rest()) == ["1"], name
            await answers[name].task
        await browser.streams.limits.recheck()
        await happen(execution_id, SKIPPED, COMPLETE)
        for name in ALL - fall:
            assert ids(await answers[name].rest()) == ["1", "2", "3"], name


@pytest.mark.usefixtures("quick")
async def test_a_client_that_comes_back_is_told_why(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED)
    for change, status in ((take_the_role, 404), (revoke, 401)):
        async with browser.get(execution_id, token=token) as answer:
            await answer.events(1) if answer.status == 200 else await answer.rest()
            await in_thread(change)
            await answer.rest()
        async with browser.get(execution_id, token=token, headers={"Last-Event-ID": "1"}) as answer:
            await answer.rest()
            assert answer.status == status


async def test_an_outage_of_the_database_ends_no_stream(
    browser: Browser, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    execution_id, token = await prepared(STARTED)
    async with browser.get(execution_id, token=token) as answer:
        await answer.events(1)
        with outage():
            async with asyncio.timeout(HANG_SECONDS):
                while "are rechecked later" not in caplog.text:
                    await asyncio.sleep(0.05)
        await happen(execution_id, SKIPPED)
        assert ids(await until_event(answer, "step_skipped")) == ["1", "2"]
        await in_thread(revoke)
        await answer.rest()


async def until_event(answer: Answer, name: str) -> str:
    """Return what has come once there is such an event; reading goes on over lines that keep alive."""
    while f"event: {name}\n" not in answer.text:
        assert not answer.ended, answer.text
        await answer.read()
    return answer.text


async def test_streams_end_when_access_cannot_be_checked(
    browser: Browser, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    execution_id, token = await prepared(STARTED)

    def rename(table: str, to: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO {to}")

    async with browser.get(execution_id, token=token) as answer:
        await answer.events(1)
        await in_thread(rename, "access_scoperole", "somewhere_else")
        try:
            assert ids(await answer.rest()) == ["1"]
        finally:
            await in_thread(rename, "somewhere_else", "access_scoperole")
    assert "recheck of permissions failed" in caplog.text
    async with browser.get(execution_id, token=token) as answer:
        await answer.events(1)
        await in_thread(take_the_role)
        await answer.rest()  # another client opens the stream


async def test_a_stream_that_is_too_old_ends_between_two_events_and_the_next_one_goes_on(
    browser: Browser, settings: Any
) -> None:
    settings.STREAM_MAX_AGE_SECONDS = 0.3
    execution_id, token = await prepared(STARTED, ASKED)
    loop = asyncio.get_running_loop()
    async with browser.get(execution_id, token=token) as answer:
        began = loop.time()
        assert ids(await answer.rest()) == ["1", "2"]
        assert 0.2 < loop.time() - began < HANG_SECONDS
    await happen(execution_id, SKIPPED, COMPLETE)
    async with browser.get(execution_id, token=token, headers={"Last-Event-ID": "2"}) as answer:
        assert ids(await answer.rest()) == ["3", "4"]


async def test_the_streams_of_a_user_are_limited_and_a_place_is_free_at_once(
    browser: Browser, restrict: Callable[..., None]
) -> None:
    restrict(streams_per_user=2)
    execution_id, token = await prepared(STARTED)
    other_id, other = await in_thread(another_owner)

    async def refused() -> bool:
        async with browser.get(execution_id, token=token) as answer:
            if answer.status == 429:
                await answer.rest()
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["retry-after"] == "10"
                assert answer.json()["code"] == "too-many-streams"
            return answer.status == 429

    async with browser.get(execution_id, token=token) as first:
        await first.events(1)
        async with browser.get(execution_id, token=token) as second:
            await second.events(1)
            assert await refused()
            async with browser.get(other_id, token=other) as answer:
                assert answer.status == 200
        assert not await refused()  # one has left
        async with browser.get(execution_id, token=token):
            assert await refused()
            await happen(execution_id, COMPLETE)
            await first.rest()
    assert not await refused()  # all have ended


def another_owner() -> tuple[UUID, str]:
    """Return another user's execution, with that user's token."""
    owner, token = make_user("bob")
    execution_id = make_execution(owner)
    append(execution_id, STARTED)
    return execution_id, token


async def test_where_nothing_follows_no_place_is_needed(browser: Browser, restrict: Callable[..., None]) -> None:
    restrict(streams_per_user=1)
    execution_id, token = await prepared(STARTED)
    done_id = await in_thread(finished)
    async with (
        browser.get(execution_id, token=token),
        browser.get(done_id, token=token, query="last_event_id=1") as end,
    ):
        assert end.status == 204


def finished() -> UUID:
    """Return an execution of Alice's that has ended with its first event."""
    execution_id = make_execution(User.objects.get(username="alice"))
    append(execution_id, COMPLETE)
    return execution_id
