"""Tickets: their content, who accepts them, and that they appear in no log or page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from knox.models import AuthToken

from access import selectors
from access.errors import BadTicket
from access.models import SessionName
from access.services import issue_ticket, issue_token, remove_expired_sessions
from access.url_secrets import MAX_SECONDS, Ticket, extract_ticket, read, sign, ticket_target
from access.user import User
from common.errors import Forbidden

NOW = timezone.now().replace(microsecond=0)
STREAM = ticket_target("execution", uuid4())


def ticket(**changes: Any) -> Ticket:
    given = {"user_id": 7, "opens": STREAM, "made_with": "token:abc", "expires_at": NOW + timedelta(seconds=60)}
    return Ticket(**{**given, **changes})


def test_a_ticket_says_what_was_signed_and_needs_no_escaping_in_a_url() -> None:
    text = sign(ticket())
    assert read(text, opens=STREAM, now=NOW) == ticket()
    assert quote(text, safe=":") == text
    assert len(text) < 400


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a:b",
        "\ufffd:\x00",
        sign(ticket())[:-1],
        "A" + sign(ticket()),
        sign(ticket()).partition(":")[0],
        "x" * 100_000,
    ],
)
def test_what_was_not_signed_here_is_no_ticket(text: str) -> None:
    with pytest.raises(BadTicket) as refused:
        read(text, opens=STREAM, now=NOW)
    assert refused.value.__cause__ is None  # it would quote the ticket
    assert refused.value.__suppress_context__


def test_a_ticket_opens_one_thing_until_it_expires() -> None:
    text = sign(ticket())
    for opens in (ticket_target("execution", uuid4()), STREAM.replace("execution", "scope")):
        with pytest.raises(BadTicket):
            read(text, opens=opens, now=NOW)
    assert read(text, opens=STREAM, now=NOW + timedelta(seconds=59, milliseconds=999)) == ticket()
    with pytest.raises(BadTicket):
        read(text, opens=STREAM, now=NOW + timedelta(seconds=60))


@pytest.mark.parametrize(
    ("query", "shown", "left"),
    [
        (b"", None, b""),
        (b"a=1&types=x%2Cy", None, b"a=1&types=x%2Cy"),
        (b"ticket=abc", "abc", b"ticket="),
        (b"a=1&ticket=a%3Ab&b=2", "a:b", b"a=1&ticket=&b=2"),
        (b"ticket=one&ticket=two", "two", b"ticket=&ticket="),
        (b"%74icket=abc", "abc", b"%74icket="),
        (b"ticket", "", b"ticket="),
        (b"ticket=\xff", "\ufffd", b"ticket="),
        (b"tickets=abc", None, b"tickets=abc"),
    ],
)
def test_a_ticket_is_taken_out_of_the_query_that_a_server_logs(query: bytes, shown: str | None, left: bytes) -> None:
    scope: dict[str, Any] = {"type": "http", "query_string": query}
    servers_own = scope
    assert extract_ticket(scope).text == shown
    assert servers_own["query_string"] == left
    assert extract_ticket(scope).text == shown  # later readers get it too
    assert "abc" not in repr({**scope, "query_string": b""})


@pytest.mark.django_db
def test_a_ticket_lives_no_longer_than_its_token(alice: User) -> None:
    token = issue_token(alice)[0]
    made: dict[str, Any] = {"user": alice, "token": token, "session_key": None, "opens": STREAM, "now": NOW}
    text, expires_at = issue_ticket(**made, seconds=MAX_SECONDS)
    assert expires_at == NOW + timedelta(seconds=900) == read(text, opens=STREAM, now=NOW).expires_at
    assert token.digest not in text

    token.expiry = NOW + timedelta(seconds=30, milliseconds=500)
    assert issue_ticket(**made, seconds=MAX_SECONDS)[1] == NOW + timedelta(seconds=30)


@pytest.mark.django_db
def test_a_ticket_is_made_with_something(alice: User) -> None:
    with pytest.raises(Forbidden):
        issue_ticket(user=alice, token=None, session_key=None, opens=STREAM, seconds=60, now=NOW)


@pytest.mark.django_db
def test_a_token_is_found_by_its_name_while_it_is_good(alice: User, bob: User) -> None:
    token = issue_token(alice)[0]
    issue_token(alice)
    name = token.digest[:32]
    assert selectors.find_token(name, user_id=alice.pk, now=NOW) == token
    assert selectors.find_token(name, user_id=bob.pk, now=NOW) is None
    assert selectors.find_token(name, user_id=alice.pk, now=NOW + timedelta(days=400)) is None
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert selectors.find_token(name, user_id=alice.pk, now=NOW) is None
    User.objects.filter(pk=alice.pk).update(is_active=True)
    AuthToken.objects.filter(pk=token.pk).delete()
    assert selectors.find_token(name, user_id=alice.pk, now=NOW) is None


@pytest.mark.django_db
def test_a_session_has_one_name_that_does_not_tell_its_key_and_goes_with_it(alice: User) -> None:
    store = SessionStore()
    store.create()
    made: dict[str, Any] = {"user": alice, "token": None, "session_key": store.session_key, "opens": STREAM}
    first, second = (read(issue_ticket(**made, seconds=60, now=NOW)[0], opens=STREAM, now=NOW) for _ in range(2))
    assert first.made_with == second.made_with
    assert str(store.session_key) not in first.made_with
    name = SessionName.objects.get()
    assert first.made_with == f"session:{name.id}"
    assert selectors.find_session_key(name.id) == store.session_key

    store.flush()
    assert selectors.find_session_key(name.id) is None


@pytest.mark.django_db
def test_names_of_sessions_go_when_expired_sessions_are_cleared(alice: User) -> None:
    for days in (-1, 1):
        store = SessionStore()
        store.create()
        Session.objects.filter(pk=store.session_key).update(expire_date=NOW + timedelta(days=days))
        issue_ticket(user=alice, token=None, session_key=store.session_key, opens=STREAM, seconds=60, now=NOW)
    remove_expired_sessions(now=NOW)
    assert SessionName.objects.get().session_id == store.session_key
