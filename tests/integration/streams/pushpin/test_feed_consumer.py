"""Feeds behind Pushpin: the headers that make it hold a response, and the catch-up for a client."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from knox.models import AuthToken

from executions.db_threads import in_thread
from executions.progress.pushpin import feed_consumer
from tests.factories.streams import ASKED, SKIPPED, STARTED, append, make_execution, make_user
from tests.integration.streams.client import Answer, Browser, ids

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "a-key-of-a-test-a-key-of-a-test-a-key"


def signed(key: str = KEY, *, issuer: str = "pushpin", seconds: int = 60) -> dict[str, str]:
    """Return the header with which Pushpin signs what it passes on."""
    return {"Grip-Sig": jwt.encode({"iss": issuer, "exp": int(time.time()) + seconds}, key)}


@pytest.fixture(autouse=True)
def pushpin(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a Pushpin."""
    settings.GRIP_URL = f"http://127.0.0.1:5561?verify-key={KEY}&verify-iss=pushpin"
    monkeypatch.setattr(feed_consumer, "SETTLE_SECONDS", 0.0)


async def told(*events: Any) -> str:
    """Have something told in the feed of project p; return its owner's token."""

    def tell() -> str:
        owner, token = make_user("ann")
        append(make_execution(owner, scope="p"), *events)
        return token

    return await in_thread(tell)


def channels(answer: Answer) -> dict[str, str]:
    """Return the channels that Pushpin is to hold an answer for, each with its last id."""
    pairs = (each.split("; prev-id=") for each in answer.headers["grip-channel"].split(", "))
    return {name: last for name, last in pairs}  # noqa: C416 - pairs are lists


def link(answer: Answer, **changed: str) -> dict[str, str]:
    """Return the headers with which Pushpin asks for what a client that it holds has missed."""
    lasts = [f"{name}; last-id={changed.get(name[:4], last)}" for name, last in channels(answer).items()]
    return {**signed(), "Grip-Last": lasts[0], "grip-last": lasts[1]}


async def test_an_answer_has_what_was_missed_and_is_held_after_it(browser: Browser) -> None:
    token = await told(STARTED, ASKED, SKIPPED)
    async with browser.get("project/p", token=token, headers={**signed(), "Last-Event-ID": "1"}) as answer:
        assert ids(await answer.rest()) == ["2", "3"]
        assert answer.headers["grip-hold"] == "stream"
        assert list(channels(answer).values()) == ["3", "0"]
        assert answer.headers["grip-link"] == "</scopes/project/p/stream?link=1>; rel=next; timeout=20"
        assert answer.headers["grip-keep-alive"] == r": keep-alive\n\n; format=cstring; timeout=15"


async def test_a_client_that_knows_no_position_is_told_where_the_feed_is(browser: Browser) -> None:
    token = await told(STARTED, ASKED)
    async with browser.get("project/p", token=token, headers=signed()) as answer:
        assert await answer.rest() == "retry: 2000\nid: 2\n\n"
        assert list(channels(answer).values()) == ["2", "0"]


async def test_a_link_brings_what_came_since_on_the_clients_behalf(browser: Browser) -> None:
    token = await told(STARTED)
    async with browser.get("project/p", token=token, headers={**signed(), "Last-Event-ID": "0"}) as first:
        await first.rest()
    await told(ASKED, SKIPPED)
    async with browser.get("project/p", query="link=1", headers=link(first)) as answer:
        assert ids(await answer.rest()) == ["2", "3"]
        assert "retry" not in answer.text
        assert channels(answer) == {name: {"1": "3"}.get(last, last) for name, last in channels(first).items()}
    async with browser.get("project/p", query="link=1", headers=link(first, feed="3")) as answer:
        assert await answer.rest() == ""
        assert list(channels(answer).values()) == ["3", "0"]


async def test_a_catch_up_of_a_client_without_access_ends_the_held_response(browser: Browser) -> None:
    token = await told(STARTED)
    async with browser.get("project/p", token=token, headers=signed()) as first:
        await first.rest()
    await in_thread(AuthToken.objects.all().delete)
    async with browser.get("project/p", query="link=1", headers=link(first)) as answer:
        assert (answer.status, await answer.rest()) == (200, "")
        assert "grip-hold" not in answer.headers
        assert "grip-link" not in answer.headers


async def test_a_client_that_lacks_too_much_is_let_go_and_served_directly(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_consumer, "LINK_BYTES", 300)
    monkeypatch.setattr(feed_consumer, "BODY_BYTES", 300)
    monkeypatch.setattr("executions.progress.cursor.PAGE_SIZE", 2)
    token = await told(STARTED)
    async with browser.get("project/p", token=token, headers=signed()) as first:
        await first.rest()
    await told(STARTED, ASKED, SKIPPED)
    async with browser.get("project/p", query="link=1", headers=link(first)) as answer:
        assert ids(await answer.rest()) == ["2", "3"]
        assert "grip-hold" not in answer.headers
    async with browser.get("project/p", token=token, headers={**signed(), "Last-Event-ID": "1"}) as answer:
        assert "grip-hold" not in answer.headers
        assert ids(await answer.until("id: 4\n")) == ["2", "3", "4"]
        assert not answer.ended


@pytest.mark.parametrize(
    "headers", [{}, signed("another-key-another-key-another-key"), signed(issuer="x"), signed(seconds=-1)]
)
async def test_what_pushpin_has_not_signed_is_served_directly(browser: Browser, headers: dict[str, str]) -> None:
    token = await told(STARTED)
    async with browser.get("project/p", token=token, headers={**headers, "Last-Event-ID": "0"}) as answer:
        assert "grip-hold" not in answer.headers
        assert ids(await answer.until("id: 1\n")) == ["1"]
        assert not answer.ended


@pytest.mark.parametrize("name", ["types", "t%79pes"])
async def test_chosen_types_are_served_directly(browser: Browser, name: str) -> None:
    token = await told(STARTED, ASKED)
    query = f"{name}=clarification_needed&last_event_id=0"
    async with browser.get("project/p", token=token, query=query, headers=signed()) as answer:
        assert "grip-hold" not in answer.headers
        assert ids(await answer.until("id: 2\n")) == ["2"]


async def test_a_stranger_is_refused_as_anywhere(browser: Browser) -> None:
    await told(STARTED)
    async with browser.get("project/p", headers=signed()) as answer:
        assert answer.status == 401
    _, token = await in_thread(make_user, "bob")
    async with browser.get("project/p", token=token, headers=signed()) as answer:
        assert answer.status == 404
