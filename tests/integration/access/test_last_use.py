"""The last use of tokens: stored soon, coarsely, and never in the way of a request."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from access.credentials.last_use import EXACTNESS, LAST_USES, LastUses
from access.models import Token
from access.services import issue_token
from access.user import User
from tests.factories.callers import Caller
from tests.support.two_connections import elsewhere
from tests.support.waiting import HANG_SECONDS


def stored(digest: str) -> object:
    return Token.objects.get(digest=digest).last_used_at


@pytest.mark.django_db(transaction=True)
def test_a_request_has_the_use_of_its_token_stored_soon(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("access.credentials.last_use.DELAY_SECONDS", 0.01)
    [token] = Token.objects.filter(user__username="ada")
    assert token.last_used_at is None
    ada.get("/me")
    if (timer := LAST_USES._timer) is not None:
        timer.join(HANG_SECONDS)
    assert ada.get("/me/tokens").json()["data"][0]["last_used_at"] is not None


@pytest.mark.django_db
def test_a_use_is_stored_once_a_minute_and_never_turned_back(alice: User) -> None:
    uses, now, row = LastUses(), timezone.now(), issue_token(alice)[0]
    for written, at, expected in (
        (None, now, now),
        (now, now + EXACTNESS / 2, now),
        (now, now + EXACTNESS, now + EXACTNESS),
        (None, now + timedelta(seconds=1), now + EXACTNESS),  # a slower process
    ):
        uses.note(row.digest, written=written, now=at)
        uses.write()
        assert stored(row.digest) == expected
    uses.stop()


@pytest.mark.django_db(transaction=True)
def test_a_locked_token_is_left_out(alice: User) -> None:
    uses, now, rows = LastUses(), timezone.now(), [issue_token(alice)[0] for _ in range(2)]
    for row in rows:
        uses.note(row.digest, written=None, now=now)
    with transaction.atomic():
        Token.objects.select_for_update().get(digest=rows[0].digest)
        elsewhere(uses.write)
    assert [stored(row.digest) for row in rows] == [None, now]
    uses.stop()
