"""The stream of an inbox: the counts at once and when they change, and no query while nothing changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from access.user import User
from executions.db_threads import in_thread
from executions.engine.domain.execution import Execution
from executions.progress import inbox_watch
from executions.progress.hub import StreamHub
from executions.progress.inbox_watch import InboxWatch
from executions.selectors import inbox
from tests.factories import reports
from tests.factories.streams import make_user
from tests.integration.streams.client import Answer, Browser
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def browser(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Browser]:
    """A client of this process's streams."""
    monkeypatch.setattr(inbox_watch, "PAUSE_SECONDS", 0.01)
    streams = StreamHub()
    yield Browser(streams)
    await streams.close()


@pytest.fixture
def ann() -> tuple[User, str]:
    """A user with a scope, and a token of hers."""
    reports.publish(gated=True)
    return make_user("ann")


async def counts(answer: Answer) -> dict[str, Any]:
    """Return the next counts."""
    known = len(answer.text)
    while "data: " not in answer.text[known:] or not answer.text.endswith("\n\n"):
        await answer.read()
    *_, line = (each for each in answer.text[known:].splitlines() if each.startswith("data: "))
    message: dict[str, Any] = json.loads(line.removeprefix("data: "))
    assert message["event_type"] == "inbox_counts"
    return {kind: count for kind, count in message["data"].items() if count}


def ask(user: User, key: str = "p") -> Execution:
    return reports.ask(reports.start(user, key=key))


def hand_in(user: User) -> Execution:
    return reports.hand_in(reports.start(user, key="p"))


@contextmanager
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Yield the users whose counts are read from now on."""
    found: list[int] = []
    read = inbox.state_of

    def counted(user_id: int, now: Any, limits: Any) -> inbox.InboxState:
        found.append(user_id)
        return read(user_id, now, limits)

    monkeypatch.setattr(inbox, "state_of", counted)
    yield found


@contextmanager
def changes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[set[UUID]]]:
    """Yield the root scopes of the notifications that come from now on."""
    found: list[set[UUID]] = []
    hear = InboxWatch.hear

    def heard(watch: InboxWatch, root_ids: Collection[UUID]) -> None:
        found.append(set(root_ids))
        hear(watch, root_ids)

    monkeypatch.setattr(InboxWatch, "hear", heard)
    yield found


async def test_counts_come_at_once_and_when_they_change(browser: Browser, ann: tuple[User, str]) -> None:
    user, token = ann
    await in_thread(reports.start, user, "p")
    async with browser.get("inbox", token=token) as answer:
        assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
        assert await counts(answer) == {}
        asking = await in_thread(ask, user)
        assert await counts(answer) == {"question": 1}
        await in_thread(hand_in, user)
        assert await counts(answer) == {"question": 1, "acceptance": 1}
        await in_thread(reports.cancel, user, asking.id)
        assert await counts(answer) == {"acceptance": 1}
        assert "id:" not in answer.text


async def test_it_reads_nothing_while_nothing_changes(
    browser: Browser, ann: tuple[User, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    user, token = ann
    await in_thread(reports.start, user, "p")
    other, _ = await in_thread(make_user, "ben")
    async with browser.get("inbox", token=token) as answer:
        assert await counts(answer) == {}
        await in_thread(ask, user, "p")
        assert await counts(answer) == {"question": 1}
        with reads(monkeypatch) as found, changes(monkeypatch) as heard:
            await in_thread(reports.start, user, "p")  # nothing waits in it
            await in_thread(ask, other, "q")  # in another inbox
            asking = await in_thread(ask, user, "p")
            assert await counts(answer) == {"question": 2}
            own = [roots for roots in heard if asking.scope.id in roots]
            assert set(found) == {user.pk}
            assert len(found) <= len(own)  # a transition of one's own may be heard of after the one before was read


async def test_a_scope_that_is_new_to_the_user_counts(browser: Browser, ann: tuple[User, str], settings: Any) -> None:
    settings.STREAM_KEEPALIVE_SECONDS = 0.1
    async with browser.get("inbox", token=ann[1]) as answer:
        assert await counts(answer) == {}
        await in_thread(ask, ann[0], "new")
        assert await counts(answer) == {"question": 1}


async def test_it_needs_a_credential_and_ends_with_the_server(browser: Browser, ann: tuple[User, str]) -> None:
    async with browser.get("inbox") as answer:
        assert answer.status == 401
    async with browser.get("inbox", token=ann[1], method="POST") as answer:
        assert answer.status == 405
    async with browser.get("inbox", token=ann[1]) as answer:
        assert await counts(answer) == {}
        browser.streams.end()
        async with asyncio.timeout(HANG_SECONDS):
            await answer.rest()
