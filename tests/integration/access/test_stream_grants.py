"""Validity of grants: a token or session, an active user, a role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from knox.models import AuthToken

from access.models import ScopeRole
from access.permissions import Role
from access.selectors import Credential, Grant, valid_grants
from access.services import claim_root_scope, issue_token
from access.user import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def scope_id(alice: User) -> UUID:
    """Alice's scope."""
    return claim_root_scope(user=alice, scope_type="project", scope_key="p").id


@pytest.fixture
def with_token(alice: User, scope_id: UUID) -> Grant:
    """What Alice may see with a token."""
    return Grant(credential=Credential(user_id=alice.pk, token=issue_token(alice)[0].digest), root_id=scope_id)


@pytest.fixture
def with_session(alice: User, scope_id: UUID) -> Grant:
    """What Alice may see with a session."""
    store = SessionStore()
    store.create()
    shown = Credential(user_id=alice.pk, session=store.session_key, password=alice.password)
    return Grant(credential=shown, root_id=scope_id)


def hold(*grants: Grant, later: timedelta = timedelta()) -> list[bool]:
    kept = valid_grants(set(grants), now=timezone.now() + later)
    return [grant in kept for grant in grants]


def set_inactive() -> None:
    User.objects.update(is_active=False)


def take_the_role() -> None:
    ScopeRole.objects.all().delete()


def revoke_tokens() -> None:
    AuthToken.objects.all().delete()


def end_sessions() -> None:
    Session.objects.all().delete()


def change_the_password() -> None:
    User.objects.update(password="another")  # as it is stored


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        (None, [True, True]),
        (set_inactive, [False, False]),
        (take_the_role, [False, False]),
        (revoke_tokens, [False, True]),
        (end_sessions, [True, False]),
        (change_the_password, [False, False]),
    ],
)
def test_a_grant_holds_while_all_that_it_rests_on_does(
    with_token: Grant, with_session: Grant, change: Callable[[], None] | None, holds: list[bool]
) -> None:
    if change is not None:
        change()
    assert hold(with_token, with_session) == holds


def test_tokens_and_sessions_expire(with_token: Grant, with_session: Grant) -> None:
    assert hold(with_token, with_session, later=timedelta(days=13)) == [True, True]
    assert hold(with_token, with_session, later=timedelta(days=15)) == [True, False]
    assert hold(with_token, with_session, later=timedelta(days=366)) == [False, False]
    AuthToken.objects.update(expiry=None)
    assert hold(with_token, later=timedelta(days=10_000)) == [True]


def test_another_role_is_as_good_and_staff_need_none(with_token: Grant, bob: User, staff: User) -> None:
    ScopeRole.objects.update(role=Role.VIEWER)
    theirs = [
        replace(with_token, credential=Credential(user_id=user.pk, token=issue_token(user)[0].digest))
        for user in (bob, staff)
    ]
    assert hold(with_token, *theirs) == [True, False, True]


def test_a_token_is_good_for_its_own_user_alone(with_token: Grant, staff: User) -> None:
    assert hold(replace(with_token, credential=replace(with_token.credential, user_id=staff.pk))) == [False]


def test_any_number_of_grants_is_looked_at_together(with_token: Grant, with_session: Grant) -> None:
    others = [replace(with_token, root_id=UUID(int=number)) for number in range(2_000)]
    assert valid_grants([with_token, *others, with_session], now=timezone.now()) == {with_token, with_session}
    assert valid_grants([], now=timezone.now()) == set()


def test_what_a_grant_rests_on_is_shown_nowhere(with_token: Grant, with_session: Grant) -> None:
    text = repr([with_token, with_session])
    for secret in (with_token.credential.token, with_session.credential.session):
        assert secret
        assert secret not in text
