"""A ticket opens its stream, as long as the credential behind it is valid."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken

from access.models import ScopeRole
from access.services import issue_ticket
from access.url_secrets import ticket_target
from access.user import User
from executions.db_threads import in_thread
from tests.factories.streams import COMPLETE, STARTED, make_user, prepared
from tests.integration.streams.client import Browser, ids

pytestmark = pytest.mark.django_db(transaction=True)


def make_ticket(
    execution_id: UUID, *, kind: Literal["execution", "scope"] = "execution", seconds: int = 60, **made_with: Any
) -> str:
    """Return a ticket of Alice's, made with her token unless told otherwise."""
    alice = User.objects.get(username="alice")
    given = {"token": AuthToken.objects.filter(user=alice).first(), "session_key": None, **made_with}
    return issue_ticket(
        user=alice, opens=ticket_target(kind, execution_id), seconds=seconds, now=timezone.now(), **given
    )[0]


def log_in() -> str:
    """Return the key of a session of Alice's."""
    client = Client()
    client.force_login(User.objects.get(username="alice"))
    return client.cookies["sessionid"].value


async def status(browser: Browser, execution_id: UUID, ticket: str, **headers: str) -> tuple[int, str]:
    """Return what a ticket gets: the status and the code of the problem."""
    async with browser.get(execution_id, query=f"ticket={ticket}", headers=headers) as answer:
        if answer.status == 200:
            return 200, ""
        await answer.rest()
        assert not ticket or ticket not in answer.text
        assert answer.status != 401 or answer.headers["www-authenticate"] == "Bearer"
        return answer.status, answer.json()["code"]


async def test_a_ticket_opens_its_stream_without_any_header(browser: Browser) -> None:
    execution_id, _ = await prepared(STARTED, COMPLETE)
    ticket = await in_thread(make_ticket, execution_id)
    async with browser.get(execution_id, query=f"last_event_id=1&ticket={ticket.replace(':', '%3A')}") as answer:
        assert answer.status == 200
        assert ids(await answer.rest()) == ["2"]


async def test_a_ticket_made_in_a_session_works_until_that_ends(browser: Browser) -> None:
    execution_id, _ = await prepared(STARTED)
    key = await in_thread(log_in)
    ticket = await in_thread(make_ticket, execution_id, token=None, session_key=key)
    assert await status(browser, execution_id, ticket) == (200, "")
    await in_thread(Session.objects.all().delete)
    assert await status(browser, execution_id, ticket) == (401, "bad-ticket")


async def test_a_ticket_is_refused_for_anything_else_and_after_its_time(browser: Browser) -> None:
    execution_id, _ = await prepared(STARTED)
    for ticket in (
        await in_thread(make_ticket, execution_id, seconds=0),
        await in_thread(make_ticket, uuid4()),
        await in_thread(make_ticket, execution_id, kind="scope"),
        "",
        "made-up",
        (await in_thread(make_ticket, execution_id))[:-1],
    ):
        assert await status(browser, execution_id, ticket) == (401, "bad-ticket")


def revoke() -> None:
    AuthToken.objects.all().delete()


def expire() -> None:
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))


def deactivate() -> None:
    User.objects.update(is_active=False)


def take_the_role() -> None:
    ScopeRole.objects.all().delete()


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (revoke, (401, "bad-ticket")),
        (expire, (401, "bad-ticket")),
        (deactivate, (401, "bad-ticket")),
        (take_the_role, (404, "not-found")),
    ],
)
async def test_a_ticket_falls_with_what_it_rests_on(
    browser: Browser, change: Callable[[], None], answer: tuple[int, str]
) -> None:
    execution_id, _ = await prepared(STARTED)
    ticket = await in_thread(make_ticket, execution_id)
    assert await status(browser, execution_id, ticket) == (200, "")
    await in_thread(change)
    assert await status(browser, execution_id, ticket) == answer


async def test_what_is_shown_has_to_be_right_and_a_header_counts_first(browser: Browser) -> None:
    execution_id, token = await prepared(STARTED)
    ticket = await in_thread(make_ticket, execution_id)
    cookie = f"sessionid={await in_thread(log_in)}"
    assert await status(browser, execution_id, "wrong", Cookie=cookie) == (401, "bad-ticket")
    assert await status(browser, execution_id, ticket, Authorization="Bearer wrong") == (401, "authentication-failed")
    assert await status(browser, execution_id, "wrong", Authorization=f"Bearer {token}") == (200, "")
    _, stranger = await in_thread(make_user, "mallory")
    assert await status(browser, execution_id, ticket, Authorization=f"Bearer {stranger}") == (404, "not-found")


async def test_a_ticket_of_a_session_that_another_user_has_taken_over_is_refused(browser: Browser) -> None:
    execution_id, _ = await prepared(STARTED)

    def take_over() -> str:
        client = Client()
        client.force_login(User.objects.get(username="alice"))
        key = client.cookies["sessionid"].value
        ticket = make_ticket(execution_id, token=None, session_key=key)
        boss = make_user("boss")[0]
        User.objects.filter(pk=boss.pk).update(is_staff=True)
        session = client.session
        session["_auth_user_id"] = str(boss.pk)
        session["_auth_user_hash"] = boss.get_session_auth_hash()
        session.save()
        assert session.session_key == key
        return ticket

    ticket = await in_thread(take_over)
    assert await status(browser, execution_id, ticket) == (401, "bad-ticket")
