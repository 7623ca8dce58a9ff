"""Scopes and roles in the admin: roles are granted and revoked; rows cannot be edited."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from access import selectors, services
from access.models import Scope, ScopeRole
from access.permissions import Role
from access.user import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(db: None) -> Client:
    """The browser of a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def scope(alice: User) -> Scope:
    """Alice's project."""
    return services.claim_root_scope(user=alice, scope_type="project", scope_key="alpha")


def submit(browser: Client, scope: Scope, *rows: dict[str, Any], initial: int) -> Any:
    """Send the page's form with these rows of roles."""
    form: dict[str, Any] = {"roles-TOTAL_FORMS": len(rows), "roles-INITIAL_FORMS": initial}
    for number, row in enumerate(rows):
        form |= {f"roles-{number}-{name}": value for name, value in row.items()}
    return browser.post(f"/admin/access/scope/{scope.id}/change/", form)


def test_an_owner_rule_is_seen_and_another_role_is_given(browser: Client, scope: Scope, bob: User) -> None:
    assert "alice" in browser.get(f"/admin/access/scope/{scope.id}/change/").content.decode()
    assert "alpha" in browser.get("/admin/access/scope/").content.decode()
    new = {"user": bob.id, "role": "viewer", "scope": scope.id, "id": ""}
    assert submit(browser, scope, new, initial=0).status_code == 302
    assert selectors.role_of(bob, scope) is Role.VIEWER


def test_a_role_is_taken_and_never_changed_in_place(browser: Client, scope: Scope, alice: User) -> None:
    row = ScopeRole.objects.get()
    known = {"id": row.id, "scope": scope.id, "user": alice.id}
    submit(browser, scope, {**known, "role": "viewer"}, initial=1)
    assert selectors.role_of(alice, scope) is Role.OWNER
    assert submit(browser, scope, {**known, "DELETE": "on"}, initial=1).status_code == 302
    assert selectors.role_of(alice, scope) is None


def test_a_scope_is_neither_made_nor_renamed_nor_deleted(browser: Client, scope: Scope) -> None:
    assert browser.get("/admin/access/scope/add/").status_code == 403
    assert browser.post(f"/admin/access/scope/{scope.id}/delete/", {"post": "yes"}).status_code == 403
    browser.post(
        f"/admin/access/scope/{scope.id}/change/",
        {"key": "stolen", "type": "x", "roles-TOTAL_FORMS": 0, "roles-INITIAL_FORMS": 0},
    )
    assert list(Scope.objects.values_list("type", "key")) == [("project", "alpha")]


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("role", ["viewer", "owner"])
def test_a_scope_that_is_no_root_has_no_table_of_roles_and_takes_none(
    browser: Client, scope: Scope, bob: User, depth: int, role: str
) -> None:
    child = scope
    for number in range(depth):
        child = Scope.objects.create(type="epic", key=f"e{number}", parent=child, root=scope)
    page = browser.get(f"/admin/access/scope/{child.id}/change/").content.decode()
    assert "roles-TOTAL_FORMS" not in page
    assert f'href="/admin/access/scope/{scope.id}/change/"' in page
    assert "roles-TOTAL_FORMS" in browser.get(f"/admin/access/scope/{scope.id}/change/").content.decode()
    new = {"user": bob.id, "role": role, "scope": child.id, "id": ""}
    submit(browser, child, new, initial=0)
    assert not ScopeRole.objects.filter(user=bob).exists()


def test_no_other_form_takes_a_role_on_a_scope_that_is_no_root(scope: Scope, bob: User) -> None:
    child = Scope.objects.create(type="epic", key="e", parent=scope, root=scope)
    with pytest.raises(ValidationError, match="Roles are given in the root scope"):
        ScopeRole(scope=child, user=bob, role=Role.VIEWER).full_clean()
    ScopeRole(scope=scope, user=bob, role=Role.VIEWER).full_clean()
