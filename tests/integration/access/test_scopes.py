"""Ownership of scopes, and what each role permits."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, transaction
from uuid_utils.compat import uuid7

from access import selectors, services
from access.errors import ScopeForbidden
from access.models import Scope, ScopeRole
from access.permissions import Role
from access.user import User
from common.errors import Forbidden, NotFound
from tests.support.two_connections import DEADLINE_SECONDS, blocked

pytestmark = pytest.mark.django_db


def claim(user: User, key: str = "alpha") -> Scope:
    return services.claim_root_scope(user=user, scope_type="project", scope_key=key)


def child_of(parent: Scope, key: str = "epic-1") -> Scope:
    root = parent if parent.root_id is None else parent.root
    return Scope.objects.create(parent=parent, root=root, type="epic", key=key)


def test_who_first_uses_a_scope_owns_it(alice: User) -> None:
    scope = claim(alice)
    assert (scope.type, scope.key, scope.parent_id) == ("project", "alpha", None)
    assert selectors.role_of(alice, scope) is Role.OWNER


def test_an_owner_comes_back_to_the_same_scope(alice: User) -> None:
    assert claim(alice) == claim(alice)
    assert ScopeRole.objects.count() == 1


def test_the_scope_of_another_user_is_forbidden_and_gives_no_role(alice: User, bob: User) -> None:
    scope = claim(alice)
    with pytest.raises(ScopeForbidden):
        claim(bob)
    assert selectors.role_of(bob, scope) is None


@pytest.mark.parametrize(("role", "allowed"), [("viewer", False), ("reviewer", False), ("operator", True)])
def test_starting_in_a_scope_takes_an_operator(alice: User, bob: User, role: str, allowed: bool) -> None:
    scope = claim(alice)
    ScopeRole.objects.create(scope=scope, user=bob, role=role)
    if allowed:
        assert claim(bob) == scope
    else:
        with pytest.raises(ScopeForbidden):
            claim(bob)


def test_staff_start_anywhere(alice: User, staff: User) -> None:
    assert claim(alice) == claim(staff)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_a_scope_first_at_once_one_owns_it(alice: User, bob: User) -> None:
    with ExitStack() as stack:
        with transaction.atomic():
            scope = claim(alice)
            other = stack.enter_context(blocked(lambda: claim(bob)))
        with pytest.raises(ScopeForbidden):
            other.result(DEADLINE_SECONDS)
    assert list(ScopeRole.objects.values_list("scope", "user")) == [(scope.id, alice.id)]


@pytest.mark.django_db(transaction=True)
def test_two_first_uses_by_one_user_at_once_make_one_scope(alice: User) -> None:
    with ExitStack() as stack:
        with transaction.atomic():
            scope = claim(alice)
            other = stack.enter_context(blocked(lambda: claim(alice)))
        assert other.result(DEADLINE_SECONDS) == scope
    assert (Scope.objects.count(), ScopeRole.objects.count()) == (1, 1)


def test_a_role_reaches_down_to_children_and_to_nothing_else(alice: User, bob: User) -> None:
    mine, other = claim(alice), claim(bob, "beta")
    epic = child_of(mine)
    story = child_of(epic, "story-1")
    child_of(other)
    assert set(selectors.visible_scopes(alice)) == {mine, epic, story}
    assert selectors.role_of(alice, story) is Role.OWNER
    assert selectors.role_of(bob, story) is None


def test_staff_see_everything_and_anonymous_users_nothing(alice: User, staff: User) -> None:
    scope = claim(alice)
    assert list(selectors.visible_scopes(staff)) == [scope]
    assert list(selectors.visible_scopes(AnonymousUser())) == []
    assert selectors.role_of(AnonymousUser(), scope) is None


@pytest.mark.parametrize("need", list(Role))
@pytest.mark.parametrize("have", list(Role))
def test_each_role_includes_the_ones_before_it(alice: User, bob: User, have: Role, need: Role) -> None:
    scope = claim(alice)
    ScopeRole.objects.create(scope=scope, user=bob, role=have)
    order = ["viewer", "reviewer", "operator", "owner"]
    if order.index(have) >= order.index(need):
        selectors.require_in(bob, scope.id, need)
    else:
        with pytest.raises(Forbidden):
            selectors.require_in(bob, scope.id, need)


def test_without_a_role_a_scope_cannot_be_told_from_none(alice: User, bob: User) -> None:
    scope = claim(alice)
    with pytest.raises(NotFound) as theirs:
        selectors.require_in(bob, scope.id, Role.VIEWER)
    with pytest.raises(NotFound) as nobodys:
        selectors.require_in(bob, uuid7(), Role.VIEWER)
    assert str(theirs.value) == str(nobodys.value)


def test_two_projects_may_both_have_an_epic_of_one_name_and_no_project_has_two(alice: User) -> None:
    first, second = claim(alice), claim(alice, "beta")
    assert child_of(first) != child_of(second)
    with pytest.raises(IntegrityError, match="scope_once_per_parent"), transaction.atomic():
        child_of(first)


def test_the_database_knows_no_root_twice_and_no_role_that_is_none(alice: User) -> None:
    scope = claim(alice)
    with pytest.raises(IntegrityError, match="scope_once_per_parent"), transaction.atomic():
        Scope.objects.create(type="project", key="alpha")
    with pytest.raises(IntegrityError, match="scope_root_has_no_parent"), transaction.atomic():
        Scope.objects.create(type="epic", key="e", parent=scope)
    with pytest.raises(IntegrityError, match="scope_role_known"), transaction.atomic():
        ScopeRole.objects.filter(scope=scope).update(role="king")
