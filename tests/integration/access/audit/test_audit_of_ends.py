"""The audit log has one row for a token or session that ends, however many requests end it, and none without an act."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client, RequestFactory
from django.utils import timezone
from knox.models import AuthToken

from access import services
from access.audit import Act
from access.models import AuditEntry, Token
from access.user import User

pytestmark = pytest.mark.django_db


def acts() -> list[str]:
    return list(AuditEntry.objects.exclude(act__in=[Act.TOKEN_MAKE, Act.LOGIN]).values_list("act", flat=True))


def by_api(token: Token) -> Callable[[], Any]:
    return lambda: services.revoke_token(token)


def by_admin(token: Token) -> Callable[[], Any]:
    page, row = admin.site.get_model_admin(AuthToken), AuthToken.objects.get(digest=token.digest)
    return lambda: page.delete_model(RequestFactory().post("/admin/"), row)


@pytest.mark.parametrize("way", [by_api, by_admin])
def test_a_token_ends_once(alice: User, way: Callable[[Token], Callable[[], Any]]) -> None:
    token, _ = services.issue_token(alice)
    ends = [way(Token.objects.get(id=token.id)), way(Token.objects.get(id=token.id))]  # both have read the row
    for end in ends:
        with transaction.atomic():
            end()
    assert not Token.objects.exists()
    assert acts() == [Act.TOKEN_END]


def test_a_session_that_is_gone_is_not_logged_out(alice: User) -> None:
    browser = Client()
    browser.force_login(alice)
    request = RequestFactory().post("/logout/")
    request.user, request.session = alice, browser.session
    for left in (1, 0):
        with transaction.atomic():
            services.record_logout(request)
            Session.objects.all().delete()
        assert acts() == [Act.LOGOUT], left


def test_an_expired_token_is_refused_without_a_row_even_beside_a_session(alice: User, bob: User) -> None:
    _, text = services.issue_token(alice)
    Token.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    browser = Client()
    browser.force_login(bob)
    assert browser.session[SESSION_KEY] == str(bob.pk)
    for _ in range(2):
        response = browser.get("/api/v1/workflows", headers={"Authorization": f"Bearer {text}"})
        assert response.status_code == 401
    assert acts() == []
    assert Token.objects.count() == 1
    services.remove_expired_tokens(now=timezone.now())
    assert not Token.objects.exists()
