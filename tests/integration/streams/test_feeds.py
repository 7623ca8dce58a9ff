"""The feed of a scope: all events of its executions over one connection, each exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest

from access.services import claim_root_scope
from access.user import User
from executions.db_threads import in_thread
from executions.progress.hub import StreamHub
from tests.factories.streams import ASKED, COMPLETE, EDITED, SKIPPED, STARTED, append, make_execution, make_user
from tests.integration.streams.client import Browser, parsed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A client of this process's streams."""
    streams = StreamHub()
    yield Browser(streams)
    await streams.close()


@pytest.fixture
def ann() -> tuple[User, str]:
    """The owner of the scope, and a token of hers."""
    return make_user("ann")


def _two(owner: User) -> tuple[UUID, UUID]:
    """Return two executions of one scope."""
    return make_execution(owner, scope="p"), make_execution(owner, scope="p")


def _told(text: str) -> list[tuple[str, str, str]]:
    return [(event["id"], event["execution_id"], event["event_type"]) for event in parsed(text)]


async def test_all_that_was_kept_and_all_that_follows_comes_over_one_connection(
    browser: Browser, ann: tuple[User, str]
) -> None:
    user, token = ann
    first, second = await in_thread(_two, user)
    await in_thread(append, first, STARTED)
    async with browser.get("project/p", token=token, query="last_event_id=0") as answer:
        assert answer.status == 200
        assert _told(await answer.until("id: 1\n")) == [("1", str(first), "execution_started")]
        await in_thread(append, second, STARTED, ASKED)
        await in_thread(append, first, COMPLETE)
        told = _told(await answer.until("id: 4\n"))
    assert told[-3:] == [
        ("2", str(second), "execution_started"),
        ("3", str(second), "clarification_needed"),
        ("4", str(first), "complete"),
    ]


async def test_it_begins_with_now_and_says_where_that_is(browser: Browser, ann: tuple[User, str]) -> None:
    user, token = ann
    first, _ = await in_thread(_two, user)
    await in_thread(append, first, STARTED, SKIPPED)
    async with browser.get("project/p", token=token) as answer:
        assert (await answer.until("\n\n")).endswith("\nid: 2\n\n")
        await in_thread(append, first, ASKED)
        assert _told(await answer.until("id: 3\n")) == [("3", str(first), "clarification_needed")]


async def test_it_goes_on_after_the_last_one_that_the_client_has(browser: Browser, ann: tuple[User, str]) -> None:
    user, token = ann
    first, second = await in_thread(_two, user)
    for execution_id in (first, second):
        await in_thread(append, execution_id, STARTED, SKIPPED)
    async with browser.get("project/p", token=token, headers={"Last-Event-ID": "3"}) as answer:
        text = await answer.until("id: 4\n")
    assert _told(text) == [("4", str(second), "step_skipped")]
    async with browser.get("project/p", token=token, headers={"Last-Event-ID": "5"}) as answer:
        text = await answer.until("id: 4\n")  # the database has lost what this client has
        assert '"data": {"oldest": 5, "asked": 5}' in text


async def test_the_end_of_an_execution_is_not_the_end_of_its_scope(browser: Browser, ann: tuple[User, str]) -> None:
    user, token = ann
    first, second = await in_thread(_two, user)
    await in_thread(append, first, COMPLETE)
    async with browser.get("project/p", token=token, query="last_event_id=0") as answer:
        await answer.until("id: 1\n")
        await in_thread(append, second, COMPLETE)
        assert _told(await answer.until("id: 2\n"))[-1] == ("2", str(second), "complete")


async def test_other_scopes_are_not_in_it(browser: Browser, ann: tuple[User, str]) -> None:
    user, token = ann
    first, _ = await in_thread(_two, user)
    other = await in_thread(make_execution, user, scope="q")
    async with browser.get("project/p", token=token) as answer:
        await in_thread(append, other, STARTED)
        await in_thread(append, first, STARTED)
        assert _told(await answer.until("}}\n\n")) == [("1", str(first), "execution_started")]


async def test_only_these_types_are_told(browser: Browser, ann: tuple[User, str]) -> None:
    user, token = ann
    first, _ = await in_thread(_two, user)
    await in_thread(append, first, STARTED, ASKED, SKIPPED)
    query = "last_event_id=0&types=step_skipped"
    async with browser.get("project/p", token=token, query=query) as answer:
        assert _told(await answer.until("id: 3\n")) == [("3", str(first), "step_skipped")]


async def test_an_edit_that_two_logs_tell_of_is_told_once(browser: Browser, ann: tuple[User, str]) -> None:
    user, token = ann
    first, second = await in_thread(_two, user)
    await in_thread(append, first, EDITED)
    await in_thread(append, second, replace(EDITED, repeated=True))
    async with browser.get("project/p", token=token, query="last_event_id=0") as answer:
        text = await answer.until("id: 2\n")
    assert _told(text) == [("1", str(first), "document_edited")]


@pytest.mark.parametrize("scope", ["project/p", "project/none", "team/p"])
async def test_what_is_not_yours_is_not_there(browser: Browser, ann: tuple[User, str], scope: str) -> None:
    await in_thread(_two, ann[0])
    _, token = await in_thread(make_user, "eve")
    async with browser.get(scope, token=token) as answer:
        await answer.rest()
        assert (answer.status, answer.json()["detail"]) == (404, "There is no such scope.")
    async with browser.get(scope) as answer:
        assert answer.status == 401


async def test_a_key_may_hold_a_slash(browser: Browser, ann: tuple[User, str]) -> None:
    user, token = ann
    await in_thread(claim_root_scope, user=user, scope_type="project", scope_key="a/b")
    async with browser.get("project/a/b", token=token) as answer:
        assert answer.status == 200


async def test_two_followers_of_a_scope_get_the_same(browser: Browser, ann: tuple[User, str]) -> None:
    user, token = ann
    first, second = await in_thread(_two, user)
    async with browser.get("project/p", token=token) as one, browser.get("project/p", token=token) as other:
        for execution_id in (first, second, first):
            await in_thread(append, execution_id, SKIPPED)
        texts = await asyncio.gather(one.until("id: 3\n"), other.until("id: 3\n"))
    assert [[number for number, _, _ in _told(text)] for text in texts] == [["1", "2", "3"]] * 2
