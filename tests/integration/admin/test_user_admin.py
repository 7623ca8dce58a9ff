"""Users, groups and tokens in the admin: forms, password changes, and no deletion of users."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from knox.models import AuthToken

from access import services
from access.models import ScopeRole
from access.user import User

pytestmark = pytest.mark.django_db

USERS = "/admin/access/user/"
PASSWORD = "a-long-Passphrase-of-9"


@pytest.fixture
def browser(db: None) -> Client:
    """The browser of a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def owner(alice: User) -> User:
    """A user with roles, a token, and an entry in the log of the admin."""
    for key in "abc":
        services.claim_root_scope(user=alice, scope_type="project", scope_key=key)
    services.issue_token(alice)
    kind = ContentType.objects.get_for_model(User)
    LogEntry.objects.create(user=alice, content_type=kind, object_id="1", action_flag=CHANGE)
    return alice


def fields(page: str) -> list[str]:
    """Return the fields of the page's own form that people fill in."""
    found = re.findall(r"<(?:input|select|textarea)\b[^>]*>", page)
    kinds = ("hidden", "checkbox", "radio", "submit", "search")
    return [each for each in found if ' name="' in each and not any(f'type="{kind}"' in each for kind in kinds)]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (f"{USERS}add/", ["username", "password1", "password2"]),
        (f"{USERS}{{user}}/change/", ["username", "first_name", "email"]),
        (f"{USERS}{{user}}/password/", ["password1", "password2"]),
        ("/admin/auth/group/add/", ["name"]),
        ("/admin/knox/authtoken/add/", ["user", "expiry_0"]),
    ],
)
def test_every_field_has_a_border(browser: Client, alice: User, path: str, names: list[str]) -> None:
    page = browser.get(path.format(user=alice.pk)).content.decode()
    shown = {name: each for each in fields(page) for name in re.findall(r' name="([^"]*)"', each)}
    assert set(names) <= set(shown)
    for name in names:
        assert re.search(r'class="[^"]*\b(border|unfold-admin-autocomplete|admin-autocomplete)\b', shown[name]), shown[
            name
        ]


def test_a_user_is_added_and_gets_another_password(browser: Client) -> None:
    form = {"username": "new", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    assert browser.post(f"{USERS}add/", form).status_code == 302
    user = User.objects.get(username="new")
    assert user.check_password(PASSWORD)
    page = browser.get(f"{USERS}{user.pk}/change/").content.decode()
    assert 'href="../password/"' in page
    other = f"{PASSWORD}-other"
    form = {"password1": other, "password2": other, "usable_password": "true"}
    assert browser.post(f"{USERS}{user.pk}/password/", form).status_code == 302
    user.refresh_from_db()
    assert user.check_password(other)


def test_a_group_is_added(browser: Client) -> None:
    assert browser.post("/admin/auth/group/add/", {"name": "editors"}).status_code == 302
    assert Group.objects.get().name == "editors"


def test_a_token_is_added_shown_once_and_not_changed(browser: Client, alice: User) -> None:
    form = {"user": alice.pk, "expiry_0": "", "expiry_1": ""}
    page = browser.post("/admin/knox/authtoken/add/", form, follow=True).content.decode()
    found = re.search(r"TOKEN ([0-9a-f]{64})", page)
    assert found is not None
    response = Client().get("/api/v1/workflows/", headers={"Authorization": f"Bearer {found[1]}"})
    assert response.status_code == 200
    row = AuthToken.objects.get()
    browser.post(f"/admin/knox/authtoken/{row.pk}/change/", {"digest": "x", "user": "", "expiry_0": "", "expiry_1": ""})
    row.refresh_from_db()
    assert (row.user, len(row.digest)) == (alice, 128)


def standing() -> tuple[int, int, int]:
    return ScopeRole.objects.count(), LogEntry.objects.count(), AuthToken.objects.count()


def test_a_user_is_not_deleted(browser: Client, owner: User) -> None:
    before = standing()
    assert browser.post(f"{USERS}{owner.pk}/delete/", {"post": "yes"}).status_code == 403
    form = {"action": "delete_selected", "_selected_action": [owner.pk], "post": "yes"}
    browser.post(USERS, form)
    assert User.objects.filter(pk=owner.pk).exists()
    assert standing() == before
    assert "delete_selected" not in browser.get(USERS).content.decode()
    assert f"{USERS}{owner.pk}/delete/" not in browser.get(f"{USERS}{owner.pk}/change/").content.decode()


def act(browser: Client, name: str, *users: User) -> Any:
    return browser.post(USERS, {"action": name, "_selected_action": [each.pk for each in users]}, follow=True)


def test_a_user_is_deactivated_and_keeps_what_belongs_to_it(browser: Client, owner: User) -> None:
    _, token = services.issue_token(owner)
    session = Client()
    session.force_login(owner)
    before = standing()
    assert "1 user is deactivated" in act(browser, "deactivate", owner).content.decode()
    owner.refresh_from_db()
    assert not owner.is_active
    roles, entries, _ = before
    assert standing() == (roles, entries + 1, 0)  # the log says who did it; tokens end with the account
    headers = {"Authorization": f"Bearer {token}"}
    assert Client().get("/api/v1/workflows/", headers=headers).status_code == 401
    assert session.get("/api/v1/workflows/").status_code == 401
    act(browser, "activate", owner)
    assert Client().get("/api/v1/workflows/", headers=headers).status_code == 401
    owner.refresh_from_db()
    _, new = services.issue_token(owner)
    assert Client().get("/api/v1/workflows/", headers={"Authorization": f"Bearer {new}"}).status_code == 200


def test_staff_do_not_deactivate_themselves(browser: Client, owner: User) -> None:
    root = User.objects.get(username="root")
    page = act(browser, "deactivate", root, owner).content.decode()
    assert "You cannot deactivate yourself." in page
    root.refresh_from_db()
    owner.refresh_from_db()
    assert (root.is_active, owner.is_active) == (True, False)


def test_who_may_only_look_deactivates_no_user(owner: User, bob: User) -> None:
    from django.contrib.auth.models import Permission

    bob.is_staff = True
    bob.save(update_fields=["is_staff"])
    bob.user_permissions.set(Permission.objects.filter(codename="view_user"))
    browser = Client()
    browser.force_login(bob)
    act(browser, "deactivate", owner)
    owner.refresh_from_db()
    assert owner.is_active
