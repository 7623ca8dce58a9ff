"""The page of an invitation: a link with a secret, a page without it, and three ways to accept."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import include, path
from django.utils import timezone
from django.views.generic import RedirectView

from access.models import Invitation, ScopeRole
from access.people import invitations
from access.permissions import Role
from access.services import claim_root_scope, ensure_user
from access.user import User
from orchestrator import urls

pytestmark = pytest.mark.django_db

PLACE: dict[str, Any] = {"scope_type": "project", "scope_key": "alpha"}
PAGE = "/invitations/"
PASSWORD = "a-long-Passphrase"
JOINED = "/scopes/project/alpha/?joined="


@pytest.fixture
def link(ada: User) -> str:
    """The path of the link of an invitation into Ada's project."""
    return invite(ada)


def invite(ada: User, email: str = "") -> str:
    claim_root_scope(user=ada, **PLACE)
    _, token = invitations.invite(user=ada, role=Role.REVIEWER, email=email, now=timezone.now(), **PLACE)
    return f"{PAGE}{token}/"


def roles() -> dict[str, str]:
    return dict(ScopeRole.objects.exclude(user__username="ada").values_list("user__username", "role"))


def opened(link: str) -> Client:
    """Return the browser of a stranger who has followed a link."""
    stranger = Client(enforce_csrf_checks=True)
    stranger.get(link)
    stranger.get(PAGE)
    return stranger


def send(client: Client, do: str, **fields: str) -> Any:
    token = client.cookies["csrftoken"].value
    signed = re.search(r'name="invitation" value="([^"]+)"', client.get(PAGE).content.decode())
    hidden = {"invitation": signed[1]} if signed else {}
    return client.post(PAGE, {"do": do, "csrfmiddlewaretoken": token, **hidden, **fields})


def create(client: Client, name: str, password: str = PASSWORD, again: str = "") -> Any:
    return send(client, "create", username=name, password=password, password_again=again or password)


def test_the_link_leads_to_a_page_whose_address_has_no_secret(link: str) -> None:
    stranger = Client()
    response = stranger.get(link)
    assert (response.status_code, response["Location"]) == (302, PAGE)
    assert (response["Referrer-Policy"], response["Cache-Control"]) == ("no-referrer", "no-store")
    page = stranger.get(PAGE)
    text = page.content.decode()
    assert "ada invites you to <strong>project alpha</strong> as reviewer." in text
    assert link.split("/")[2] not in text
    assert "default-src 'self'" in page["Content-Security-Policy"]
    assert Invitation.objects.get().accepted_at is None


def test_a_person_without_an_account_makes_one_and_is_logged_in(link: str) -> None:
    stranger = opened(link)
    done = create(stranger, "eve")
    assert (done.status_code, done["Location"]) == (302, JOINED)
    assert roles() == {"eve": "reviewer"}
    assert "You are reviewer in this scope now." in stranger.get(JOINED).content.decode()
    assert User.objects.get(username="eve").check_password(PASSWORD)
    assert stranger.get(PAGE).status_code == 404  # the browser has forgotten it
    assert Client().get(link, follow=True).status_code == 410


@pytest.mark.parametrize(
    ("name", "password", "again", "told"),
    [
        ("eve", "short", "", "too short"),
        ("eve", "evening-eve", "evening-eva", "differ"),
        ("ADA", PASSWORD, "", "Another user has this name."),
        ("e v e", PASSWORD, "", "valid username"),
        ("", PASSWORD, "", "blank"),
    ],
)
def test_a_name_or_password_that_cannot_be_used_makes_no_account(
    link: str, name: str, password: str, again: str, told: str
) -> None:
    refused = create(opened(link), name, password, again)
    assert refused.status_code == 422
    assert told in refused.content.decode()
    assert (User.objects.count(), roles()) == (1, {})


def test_a_person_with_an_account_logs_in_and_accepts(link: str) -> None:
    ensure_user(name="eve", password=PASSWORD)
    stranger = opened(link)
    wrong = send(stranger, "login", username="eve", password="wrong")
    assert (wrong.status_code, "Wrong name or password." in wrong.content.decode()) == (422, True)
    assert send(stranger, "login", username="eve", password=PASSWORD).status_code == 302
    assert roles() == {"eve": "reviewer"}


def test_passwords_on_the_page_are_limited(link: str, restrict: Callable[..., None]) -> None:
    restrict(password_tries=1)
    stranger = opened(link)
    tries = [send(stranger, "login", username="ada", password="wrong").status_code for _ in range(2)]
    names = [create(stranger, "ada", again=PASSWORD).status_code for _ in range(1)]
    assert tries + names == [422, 429, 429]


def test_a_user_who_is_logged_in_accepts_and_another_form_token_is_refused(link: str) -> None:
    browser = opened(link)
    browser.force_login(ensure_user(name="eve"))
    assert browser.get(link).status_code == 302
    assert "Accept as eve" in browser.get(PAGE).content.decode()
    assert browser.post(PAGE, {"do": "accept"}).status_code == 403
    assert roles() == {}
    assert send(browser, "accept").status_code == 302
    assert roles() == {"eve": "reviewer"}


def test_a_session_that_has_ended_is_told(link: str) -> None:
    refused = send(opened(link), "accept")
    assert refused.status_code == 403
    assert "Your session has ended." in refused.content.decode()


def test_ended_and_unknown_invitations_are_told(link: str) -> None:
    stranger = opened(link)
    Invitation.objects.update(withdrawn_at=timezone.now())
    for response in (stranger.get(PAGE), create(stranger, "eve")):
        assert response.status_code == 410
        assert "This invitation was withdrawn." in response.content.decode()
    assert User.objects.count() == 1
    unknown = Client().get(f"{PAGE}{'x' * 22}/")
    assert (unknown.status_code, unknown["Referrer-Policy"]) == (404, "no-referrer")


def test_no_account_is_made_where_staff_make_them_or_for_an_address(ada: User, settings: Any) -> None:
    for_eve = opened(invite(ada, email="eve@example.org"))
    assert "new-password" not in for_eve.get(PAGE).content.decode()
    assert create(for_eve, "eve").status_code == 403
    settings.INVITATIONS_CREATE_ACCOUNTS = False
    anyone = opened(invite(ada))
    assert "new-password" not in anyone.get(PAGE).content.decode()
    assert create(anyone, "eve").status_code == 403
    assert (User.objects.count(), roles()) == (1, {})


def test_a_form_of_another_tab_does_not_end_the_session_of_another_user(link: str) -> None:
    ensure_user(name="eve", password=PASSWORD)
    for name in ("eve", "carol"):
        browser = opened(link)
        browser.force_login(ensure_user(name="bob"))
        browser.get(link)
        token = browser.cookies["csrftoken"].value
        form = {"username": name, "password": PASSWORD, "password_again": PASSWORD, "csrfmiddlewaretoken": token}
        refused = browser.post(PAGE, {"do": "login" if name == "eve" else "create", **form})
        assert refused.status_code == 403
        assert "bob is logged in here." in refused.content.decode()
        assert browser.get("/executions/").status_code == 200
    assert roles() == {}
    assert not User.objects.filter(username="carol").exists()


@pytest.mark.parametrize("do", ["create", "login"])
def test_a_form_that_is_sent_again_leads_on_and_others_are_told(link: str, do: str) -> None:
    if do == "login":
        ensure_user(name="eve", password=PASSWORD)
    first = opened(link)
    token, page = first.cookies["csrftoken"].value, first.get(PAGE).content.decode()
    signed = re.findall(r'name="invitation" value="([^"]+)"', page)[0]
    form = {"do": do, "username": "eve", "password": PASSWORD, "password_again": PASSWORD, "invitation": signed}
    form["csrfmiddlewaretoken"] = token
    before = dict(first.cookies.items())
    assert first.post(PAGE, form).status_code == 302
    assert first.get(link, follow=True).status_code == 200  # the same person opens the link again
    lost = Client(enforce_csrf_checks=True)  # the answer, with the new session, did not arrive
    lost.cookies.load({name: each.value for name, each in before.items()})
    assert lost.post(PAGE, {**form, "password": "wrong"}).status_code == 404
    again = lost.post(PAGE, form)
    assert (again.status_code, again["Location"]) == (302, JOINED)
    assert lost.get(JOINED).status_code == 200
    assert roles() == {"eve": "reviewer"}
    stranger = opened(link).get(PAGE)
    assert (stranger.status_code, "log in</a>" in stranger.content.decode()) == (410, True)
    forged = form | {"invitation": "forged", "csrfmiddlewaretoken": lost.cookies["csrftoken"].value}
    assert lost.post(PAGE, forged).status_code == 404


def test_a_name_with_nul_is_a_wrong_name(link: str) -> None:
    stranger = opened(link)
    assert send(stranger, "login", username="e\0ve", password=PASSWORD).status_code == 422
    assert create(stranger, "e\0ve").status_code == 422


def test_the_page_leads_to_the_provider_and_back(ada: User, settings: Any) -> None:
    at_provider = path(
        "login/single-sign-on/", include(([path("", RedirectView.as_view(url="/"), name="begin")], "oidc"))
    )
    settings.ROOT_URLCONF = (*urls.urlpatterns, at_provider)  # as with the variables of a provider
    settings.OIDC_ENABLED, settings.OIDC_NAME = True, "Harbour ID"
    for email in ("eve@example.org", ""):
        text = opened(invite(ada, email=email)).get(PAGE).content.decode()
        assert '"/login/single-sign-on/?next=/invitations/">Log in with Harbour ID</a>' in text
        assert text.index("Harbour ID") < text.index("Log in and accept")


def test_the_page_offers_nothing_to_a_person_for_whom_it_is_not(ada: User) -> None:
    eve = User.objects.create_user("eve", email="eve@example.org")
    browser = Client()
    browser.force_login(eve)
    browser.get(invite(ada, "eve@example.org"))
    page = browser.get(PAGE).content.decode()
    assert "This invitation is for another e-mail address." in page
    assert "Accept as" not in page
    User.objects.filter(pk=eve.pk).update(email_verified_at=timezone.now())
    assert "Accept as eve" in browser.get(PAGE).content.decode()
