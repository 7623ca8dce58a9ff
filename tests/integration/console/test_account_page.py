"""The page of an account: profile, password, tokens and sessions."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.models import KeptAnswer, SessionName, Token
from access.services import claim_root_scope, ensure_user
from access.user import User
from tests.integration.console.test_edit_pages import HTMX, fields, text_of
from tests.integration.console.test_scope_pages import told

pytestmark = pytest.mark.django_db

PAGE, TOKENS = "/account/", "/account/tokens/"
PASSWORD, NEXT = "a-long-Passphrase", "another-long-Passphrase"


@pytest.fixture
def ada(db: None) -> User:
    """A user with a password."""
    return ensure_user(name="ada", password=PASSWORD)


@pytest.fixture
def browser(ada: User) -> Client:
    """A browser in which she has logged in, as people do."""
    client = Client()
    client.post("/login/", {"username": "ada", "password": PASSWORD})
    return client


def send(browser: Client, path: str, sent: dict[str, Any], status: int = 200) -> Any:
    response = browser.post(path, sent, headers=HTMX)
    assert response.status_code == status, response.content.decode()[:3000]
    return response


def fault(response: Any, field: str) -> str:
    """Return what is said beside a field."""
    page = response.content.decode()
    [found] = re.findall(rf'id="{field}_error">([^<]*)<', page)
    assert re.search(rf'aria-describedby="[^"]*{field}_error"', page)
    return str(found)


def test_name_language_and_time_zone_are_changed(ada: User, browser: Client) -> None:
    sent = fields(browser.get(PAGE), "/profile/") | {"name": "Ada L.", "language": "pt-BR", "time_zone": "Asia/Tokyo"}
    assert told(send(browser, "/account/profile/", sent)) == "Stored."
    ada.refresh_from_db()
    assert (ada.get_full_name(), ada.language, ada.time_zone) == ("Ada L.", "pt-BR", "Asia/Tokyo")
    assert "Times are in Asia/Tokyo." in text_of(browser.get(PAGE))
    for name, value, said in (("language", "english!", "no language tag"), ("time_zone", "Mars/Olympus", "IANA")):
        assert said in fault(send(browser, "/account/profile/", sent | {name: value}, 422), f"profile_{name}")


def test_a_new_password_ends_tokens_and_other_sessions(ada: User, browser: Client) -> None:
    other = Client()
    other.post("/login/", {"username": "ada", "password": PASSWORD})
    send(browser, TOKENS, {"name": "cron", "rights": ["read"]})
    sent = {"old_password": PASSWORD, "new_password": NEXT, "new_password_again": NEXT}
    path = "/account/password/"
    assert fault(send(browser, path, sent | {"old_password": "wrong"}, 422), "password_old_password") == (
        "This is not your password."
    )
    assert "differ" in fault(
        send(browser, path, sent | {"new_password_again": "x"}, 422), "password_new_password_again"
    )
    short = send(browser, path, sent | {"new_password": "short", "new_password_again": "short"}, 422)
    assert "too short" in fault(short, "password_new_password")
    assert 'value="short"' not in short.content.decode()
    assert "Your tokens and your other sessions have ended." in told(send(browser, path, sent))
    assert browser.get(PAGE).status_code == 200
    assert other.get(PAGE).status_code == 302
    ada.refresh_from_db()
    assert ada.check_password(NEXT)
    assert "You have no tokens." in text_of(browser.get(PAGE))
    assert not KeptAnswer.objects.filter(path__startswith=path.rstrip("/")).exists()  # no hash of a password is stored


def test_a_token_is_shown_once_and_stored_nowhere(ada: User, browser: Client) -> None:
    claim_root_scope(user=ada, scope_type="project", scope_key="al/pha")
    claim_root_scope(user=ensure_user(name="bob"), scope_type="project", scope_key="of-bob")
    page = browser.get(PAGE)
    assert "of-bob" not in page.content.decode()
    day = timezone.localdate() + timedelta(days=3)
    sent = {
        "Idempotency-Key": fields(page, TOKENS)["Idempotency-Key"],
        "name": "cron",
        "rights": ["read", "operate"],
        "scope": "project/al/pha",
        "expires_at": day.isoformat(),
    }
    made = send(browser, TOKENS, sent)
    [text] = re.findall(r'id="secret"[^>]* value="([^"]+)"', made.content.decode())
    assert (made["Cache-Control"], made["HX-Trigger"]) == ("no-store", "stored")
    token = Token.objects.get()
    assert (token.name, token.rights, str(token.scope)) == ("cron", ["read", "operate"], "project/al/pha")
    assert token.expiry is not None
    assert token.expiry.date() == day + timedelta(days=1)  # when the day has ended
    again = send(browser, TOKENS, sent)
    assert told(again).startswith("This token was made already.")
    assert text not in again.content.decode() + str(list(KeptAnswer.objects.values()))
    used = Client().get("/api/v1/scopes/", headers={"Authorization": f"Bearer {text}"})
    assert [each["scope_id"] for each in used.json()["data"]] == ["al/pha"]
    path = f"{TOKENS}{token.id}/"
    assert told(send(browser, path, fields(browser.get(PAGE), path))) == "The token was revoked."
    assert told(send(browser, path, {})) == "This token had ended already."
    assert Client().get("/api/v1/me", headers={"Authorization": f"Bearer {text}"}).status_code == 401


def test_limits_of_a_token_are_said_beside_the_field(ada: User, browser: Client) -> None:
    claim_root_scope(user=ada, scope_type="project", scope_key="alpha")
    sent = {"name": "cron", "rights": ["author"], "scope": "project/alpha", "expires_at": "2020-01-01"}
    assert "in the future" in fault(send(browser, TOKENS, sent, 422), "token_expires_at")
    refused = send(browser, TOKENS, sent | {"expires_at": ""}, 422)
    assert fault(refused, "token_rights") == "Workflows belong to no scope: leave out the right, or the scope."
    assert "cron" in refused.content.decode()
    bare = send(browser, TOKENS, {"scope": "project/of-bob"}, 422)
    assert fault(bare, "token_rights") == "A token needs at least one right."
    assert fault(bare, "token_name") == "This field is required."
    assert "of-bob" in fault(bare, "token_scope")
    draft = send(browser, TOKENS, {"show": "draft", "name": "half a na", "rights": ["operate"]})
    assert 'value="half a na"' in draft.content.decode()
    assert Token.objects.count() == 0


def test_another_session_is_ended_and_this_one_stays(ada: User, browser: Client) -> None:
    other = Client()
    other.post("/login/", {"username": "ada", "password": PASSWORD})
    bob = Client()
    bob.force_login(ensure_user(name="bob"))
    page = browser.get(PAGE)
    assert text_of(page).count("Another browser") == 1
    [path] = re.findall(r'action="(/account/sessions/[^"]+)"', page.content.decode())
    assert told(send(bob, path, {})) == "This session had ended already."
    assert other.get(PAGE).status_code == 200
    assert told(send(browser, path, {})) == "The session was ended."
    assert other.get(PAGE).status_code == 302
    assert "This browser" in text_of(browser.get(PAGE))
    assert SessionName.objects.filter(user=ada).count() == 1
