"""Roles in scopes over the API: who sees, gives and takes them, and the last owner."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import pytest
from django.db import transaction

from access.errors import LastOwner
from access.models import ScopeRole
from access.people import roles
from access.permissions import Role
from access.services import claim_root_scope, ensure_user, set_active
from access.user import User
from common.errors import NotFound
from tests.factories.callers import Caller
from tests.support.two_connections import DEADLINE_SECONDS, blocked

pytestmark = pytest.mark.django_db

ROLES = "/scopes/project/alpha/roles"


@pytest.fixture
def alpha(ada: Caller) -> Any:
    """The project of Ada."""
    return claim_root_scope(user=ada.user, scope_type="project", scope_key="alpha")


def held(scope: Any) -> dict[str, str]:
    """Return the roles in a scope by user."""
    return dict(ScopeRole.objects.filter(scope=scope).values_list("user__username", "role"))


def test_an_owner_gives_changes_and_takes_roles(alpha: Any, ada: Caller, eve: Caller) -> None:
    assert ada.put(f"{ROLES}/eve", {"role": "viewer"}).status_code == 201
    raised = ada.put(f"{ROLES}/eve/", {"role": "operator"})
    again = ada.put(f"{ROLES}/eve", {"role": "operator"})
    assert (raised.status_code, again.status_code) == (200, 200)
    assert again.json() == raised.json()
    listed = ada.get(ROLES).json()["data"]
    assert [(each["username"], each["role"]) for each in listed] == [("ada", "owner"), ("eve", "operator")]
    page = ada.get(ROLES, {"limit": 1}).json()
    assert [each["username"] for each in ada.get(ROLES, {"cursor": page["next_cursor"]}).json()["data"]] == ["eve"]
    assert ada.delete(f"{ROLES}/eve").status_code == 204
    assert ada.delete(f"{ROLES}/eve").status_code == 404
    assert held(alpha) == {"ada": "owner"}


def test_a_stranger_gets_404_and_a_lower_role_403_that_names_the_owners(alpha: Any, ada: Caller, eve: Caller) -> None:
    def statuses() -> set[int]:
        return {
            eve.get(ROLES).status_code,
            eve.put(f"{ROLES}/eve", {"role": "owner"}).status_code,
            eve.delete(f"{ROLES}/ada").status_code,
        }

    assert statuses() == {404}
    ada.put(f"{ROLES}/eve", {"role": "operator"})
    assert statuses() == {403}
    problem = eve.get(ROLES).json()
    named = (problem["code"], problem["role"], problem["needed_role"], problem["owners"])
    assert named == ("forbidden", "operator", "owner", ["ada"])
    assert held(alpha) == {"ada": "owner", "eve": "operator"}


def test_staff_give_roles_anywhere(alpha: Any, caller: Callable[..., Caller]) -> None:
    root = caller("root", staff=True)
    caller("eve")
    assert root.put(f"{ROLES}/eve", {"role": "owner"}).status_code == 201
    assert root.delete(f"{ROLES}/ada").status_code == 204
    assert held(alpha) == {"eve": "owner"}


def test_bad_requests_change_nothing(alpha: Any, ada: Caller, eve: Caller) -> None:
    set_active([ensure_user(name="gone").pk], is_active=False)
    answers = [
        (ada.put(f"{ROLES}/eve", {"role": "king"}), 422),
        (ada.put(f"{ROLES}/eve", {"role": "viewer", "rank": 1}), 422),
        (ada.put(f"{ROLES}/eve", {}), 422),
        (ada.put(f"{ROLES}/no-such-user", {"role": "viewer"}), 404),
        (ada.put(f"{ROLES}/gone", {"role": "viewer"}), 404),
        (ada.put("/scopes/project/beta/roles/eve", {"role": "viewer"}), 404),
    ]
    assert [response.status_code for response, _ in answers] == [status for _, status in answers]
    assert held(alpha) == {"ada": "owner"}


def test_the_last_active_owner_stays(alpha: Any, ada: Caller, eve: Caller) -> None:
    for response in (ada.delete(f"{ROLES}/ada"), ada.put(f"{ROLES}/ada", {"role": "viewer"})):
        assert (response.status_code, response.json()["code"]) == (409, "last-owner")
    ada.put(f"{ROLES}/eve", {"role": "owner"})
    set_active([eve.user.pk], is_active=False)
    assert ada.delete(f"{ROLES}/ada").status_code == 409
    set_active([eve.user.pk], is_active=True)
    assert ada.put(f"{ROLES}/ada", {"role": "viewer"}).status_code == 200
    assert ada.get(ROLES).status_code == 403


@pytest.mark.parametrize("key", ["a/b", "a?b", "ä ö", "a/roles", "100%", "roles/ada"])
def test_keys_of_any_characters_stand_in_paths(ada: Caller, eve: Caller, key: str) -> None:
    scope = claim_root_scope(user=ada.user, scope_type="project", scope_key=key)
    path = f"/scopes/project/{quote(key, safe='')}/roles"
    assert ada.put(f"{path}/eve", {"role": "viewer"}).status_code == 201
    assert [each["username"] for each in ada.get(path).json()["data"]] == ["ada", "eve"]
    assert held(scope) == {"ada": "owner", "eve": "viewer"}


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_leave_at_once_one_stays(alice: User, bob: User) -> None:
    scope = claim_root_scope(user=alice, scope_type="project", scope_key="alpha")
    place: dict[str, Any] = {"scope_type": "project", "scope_key": "alpha"}
    roles.give_role(user=alice, username="bob", role=Role.OWNER, **place)
    with ExitStack() as stack:
        with transaction.atomic():
            roles.take_role(user=alice, username="alice", **place)
            other = stack.enter_context(blocked(lambda: roles.take_role(user=bob, username="bob", **place)))
        with pytest.raises(LastOwner):
            other.result(DEADLINE_SECONDS)
    assert held(scope) == {"bob": "owner"}


@pytest.mark.django_db(transaction=True)
def test_who_loses_the_role_while_giving_one_gives_none(alice: User, bob: User) -> None:
    scope = claim_root_scope(user=alice, scope_type="project", scope_key="alpha")
    place: dict[str, Any] = {"scope_type": "project", "scope_key": "alpha"}
    roles.give_role(user=alice, username="bob", role=Role.OWNER, **place)
    ensure_user(name="friend")

    def give() -> object:
        return roles.give_role(user=bob, username="friend", role=Role.OWNER, **place)

    with ExitStack() as stack:
        with transaction.atomic():
            roles.take_role(user=alice, username="bob", **place)
            other = stack.enter_context(blocked(give))
        with pytest.raises(NotFound):
            other.result(DEADLINE_SECONDS)
    assert held(scope) == {"alice": "owner"}
