"""Pages of scopes: who sees what, what owners do with people and the budget, the audit log."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.audit.acts import Act, Via
from access.models import AuditEntry, Invitation, KeptAnswer, ScopeRole
from access.people import invitations
from access.permissions import Role
from access.services import claim_root_scope, ensure_user
from access.user import User
from console.scopes.words import ACTS, WAITING, WAYS
from executions.engine.domain.states import InboxKind
from tests.factories import reports
from tests.integration.console.test_document_pages import queries_of
from tests.integration.console.test_edit_pages import HTMX, fields, text_of

pytestmark = pytest.mark.django_db

PLACE: dict[str, Any] = {"scope_type": "project", "scope_key": "alpha"}
SENT = {"scope_type": "project", "scope_id": "alpha"}
PAGE, PEOPLE = "/scopes/project/alpha/", "/scopes/-/people/project/alpha/"
MAX_QUERIES = 14  # statements; the page of a scope sends five in one round trip


@pytest.fixture(autouse=True)
def scope(ada: User) -> Any:
    """Ada's project."""
    return claim_root_scope(user=ada, **PLACE)


def as_user(name: str, role: Role | None, scope: Any) -> Client:
    """Return the browser of another user."""
    user = ensure_user(name=name)
    if role is not None:
        ScopeRole.objects.create(scope=scope, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


def roles() -> dict[str, str]:
    return dict(ScopeRole.objects.filter(scope__key="alpha").values_list("user__username", "role"))


def told(response: Any) -> str:
    """Return what a page says about a form that was sent."""
    found = re.search(r"data-told>(.*?)</(?:p|div)>", response.content.decode(), re.DOTALL)
    return "" if found is None else " ".join(re.sub(r"<[^>]+>", " ", found[1]).split())


def send(browser: Client, path: str, sent: dict[str, Any], status: int = 200) -> Any:
    response = browser.post(path, SENT | sent, headers=HTMX)
    assert response.status_code == status, response.content.decode()[:3000]
    return response


def test_the_list_shows_scopes_with_role_and_counts_and_finds_them(ada: User, browser: Client) -> None:
    claim_root_scope(user=ada, scope_type="project", scope_key="béta 100%")
    claim_root_scope(user=ensure_user(name="bob"), scope_type="project", scope_key="of-bob")
    reports.publish(gated=True)
    reports.hand_in(reports.start(ada, key="alpha"))
    page = text_of(browser.get("/scopes/"))
    assert "alpha project owner 1 waiting · 1 execution · 1 document People of alpha" in page
    assert "of-bob" not in page
    assert "béta" in text_of(browser.get("/scopes/?q=100%25"))
    assert "No scope matches." in text_of(browser.get("/scopes/?q=_"))
    assert browser.get("/scopes/?q=%00").status_code == 200
    assert browser.get("/scopes/?cursor=x").status_code == 400


@pytest.mark.parametrize("path", ["/scopes/", PAGE, PEOPLE, "/audit/", "/account/"])
def test_a_page_takes_few_queries_however_much_it_shows(ada: User, browser: Client, scope: Any, path: str) -> None:
    few = queries_of(browser, path)
    assert len(few) <= MAX_QUERIES, "\n".join(few)
    for number in range(3):
        claim_root_scope(user=ada, scope_type="project", scope_key=f"more-{number}")
        as_user(f"user-{number}", Role.VIEWER, scope)
        invitations.invite(user=ada, role=Role.VIEWER, now=timezone.now(), **PLACE)
    assert len(queries_of(browser, path)) <= len(few) + 2


def test_a_role_decides_what_a_page_shows(ada: User, scope: Any) -> None:
    viewer, stranger, operator = (
        as_user("vera", Role.VIEWER, scope),
        as_user("sam", None, scope),
        as_user("otto", Role.OPERATOR, scope),
    )
    for browser in (viewer, operator):
        page = text_of(browser.get(PAGE))
        assert "Owners ada" in page
        assert "Owners set the budget." in page
        assert "Set the budget" not in page
        assert "Audit log" not in page
        refused = browser.get(PEOPLE)
        assert refused.status_code == 403
        assert "Ask an owner of the scope for the role owner: ada" in text_of(refused)
        assert browser.get("/audit/").status_code == 403
        assert browser.get("/audit/?scope_type=project&scope_id=alpha").status_code == 403
        assert browser.get("/scopes/-/parts/audit/project/alpha/").status_code == 403
    for path in (PAGE, PEOPLE, "/scopes/-/parts/waiting/project/alpha/", "/audit/?scope_type=project&scope_id=alpha"):
        assert stranger.get(path).status_code == 404, path
    assert Client().get(PAGE)["Location"] == f"/login/?next={PAGE}"


def test_a_form_of_a_lower_role_is_refused_and_says_whom_to_ask(ada: User, scope: Any) -> None:
    otto = as_user("otto", Role.OPERATOR, scope)
    sam = as_user("sam", None, scope)
    offer, _ = invitations.invite(user=ada, role=Role.VIEWER, now=timezone.now(), **PLACE)
    acts: tuple[tuple[str, dict[str, str]], ...] = (
        ("roles/", {"username": "otto", "role": "owner"}),
        ("roles/take/", {"username": "ada"}),
        ("invitations/", {"role": "owner"}),
        (f"invitations/{offer.id}/", {}),
        ("budget/", {"max_cost_usd": "1"}),
    )
    before = AuditEntry.objects.count()
    for path, sent in acts:
        refused = send(otto, f"/scopes/-/{path}", sent, 403)
        assert b"An owner can change that: ada." in refused.content
        assert send(sam, f"/scopes/-/{path}", sent, 404)
        assert otto.post(f"/scopes/-/{path}", sent).status_code == 400  # no scope
        assert otto.get(f"/scopes/-/{path}").status_code == 400
    assert AuditEntry.objects.count() == before
    assert roles() == {"ada": "owner", "otto": "operator"}


def test_an_owner_gives_changes_and_takes_roles(browser: Client, scope: Any) -> None:
    ensure_user(name="bob")
    given = send(browser, "/scopes/-/roles/", {"username": "bob", "role": "reviewer"})
    assert told(given) == "bob is reviewer now."
    assert told(send(browser, "/scopes/-/roles/", {"username": "bob", "role": "operator"})) == "bob is operator now."
    assert roles() == {"ada": "owner", "bob": "operator"}
    unknown = send(browser, "/scopes/-/roles/", {"username": "eve", "role": "viewer"}, 422)
    assert 'id="given_username_error">There is no active user of this name.</p>' in unknown.content.decode()
    assert (
        told(send(browser, "/scopes/-/roles/take/", {"username": "bob"})) == "bob has no role in this scope any more."
    )
    assert told(send(browser, "/scopes/-/roles/take/", {"username": "bob"})) == "This user has no role in the scope."
    assert roles() == {"ada": "owner"}


def test_the_last_owner_stays_and_the_row_says_why(browser: Client, scope: Any) -> None:
    for path, sent in (("roles/", {"role": "viewer"}), ("roles/take/", {})):
        refused = send(browser, f"/scopes/-/{path}", {"username": "ada", **sent}, 422).content.decode()
        assert "This is the last owner of the scope; make another user an owner first." in refused
        assert 'aria-invalid="true"' in refused
    assert roles() == {"ada": "owner"}
    as_user("bob", Role.OWNER, scope)
    left = send(browser, "/scopes/-/roles/", {"username": "ada", "role": "viewer"}, 204)
    assert left["HX-Redirect"] == "/scopes/"  # the page of people is closed to her now


def test_a_link_of_an_invitation_is_shown_once_and_stored_nowhere(browser: Client) -> None:
    sent = fields(browser.get(PEOPLE), "/invitations/")
    assert sent["role"] == "reviewer"
    made = send(browser, "/scopes/-/invitations/", sent)
    [link] = re.findall(r'readonly value="(http://testserver/invitations/[^"]+)"', made.content.decode())
    assert (made["Cache-Control"], made["HX-Trigger"]) == ("no-store", "stored")
    token = link.split("/")[-2]
    again = send(browser, "/scopes/-/invitations/", sent)
    assert told(again).startswith("This invitation was made already.")
    assert token not in again.content.decode() + browser.get(PEOPLE).content.decode()
    assert token not in str(list(KeptAnswer.objects.values()))
    assert Client().get(f"/invitations/{token}/")["Location"] == "/invitations/"
    offer = Invitation.objects.get()
    path = f"/scopes/-/invitations/{offer.id}/"
    assert told(send(browser, path, {})).startswith("The invitation was withdrawn.")
    assert Client().get(f"/invitations/{token}/", follow=True).status_code == 410
    wrong = send(browser, "/scopes/-/invitations/", {"role": "reviewer", "email": "x"}, 422).content.decode()
    assert 'aria-describedby="invitation_email_helptext invitation_email_error"' in wrong


def test_as_many_invitations_as_may_be_open(browser: Client, restrict: Any) -> None:
    restrict(open_invitations=1)
    send(browser, "/scopes/-/invitations/", {"role": "viewer"})
    refused = send(browser, "/scopes/-/invitations/", {"role": "viewer"}, 422)
    assert "The scope has 1 open invitations; withdraw some first." in text_of(refused)


def test_the_budget_is_set_and_another_owner_is_not_overwritten(browser: Client) -> None:
    sent = fields(browser.get(PAGE), "/budget/")
    stored = send(browser, "/scopes/-/budget/", sent | {"max_cost_usd": "20"})
    assert told(stored) == "The budget was stored."
    assert "$0.00 spent or reserved of $20.00; $20.00 left." in text_of(stored)
    first = fields(browser.get(PAGE), "/budget/")
    assert first["max_cost_usd"] == "20"
    send(browser, "/scopes/-/budget/", first | {"max_cost_usd": "30"})
    stale = send(browser, "/scopes/-/budget/", first | {"max_cost_usd": "40"}, 422)
    assert "Another owner has changed the budget meanwhile." in text_of(stale)
    assert "of $30.00" in text_of(stale)
    for wrong in ("-1", "x", "NaN"):
        assert (
            'id="id_max_cost_usd_error"'
            in send(browser, "/scopes/-/budget/", {"max_cost_usd": wrong}, 422).content.decode()
        )
    removed = send(browser, "/scopes/-/budget/", fields(browser.get(PAGE), "/budget/") | {"max_cost_usd": ""})
    assert "There is no budget." in text_of(removed)


def test_the_page_names_what_waits_and_the_scopes_below(ada: User, browser: Client, scope: Any) -> None:
    reports.publish(gated=True)
    execution = reports.hand_in(reports.start(ada, key="alpha"))
    part = browser.get("/scopes/-/parts/waiting/project/alpha/")
    assert "1 document to decide." in text_of_part(part)
    assert f'href="/executions/{execution.id}/steps/research/decision/"' in part.content.decode()
    child = scope.children.create(root=scope, type="epic", key="one")
    child.children.create(root=scope, type="story", key="inner")
    assert "epic one 0 documents · 1 below" in text_of(browser.get(PAGE))
    assert "story inner" in text_of(browser.get(f"{PAGE}?parent={child.id}"))
    for other in ("x", claim_root_scope(user=ada, scope_type="project", scope_key="beta").id):
        assert browser.get(f"{PAGE}?parent={other}").status_code == 404


def text_of_part(part: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", part.content.decode()).split()).replace(" .", ".")


def test_a_key_may_have_slashes_and_marks(ada: User, browser: Client) -> None:
    claim_root_scope(user=ada, scope_type="project", scope_key="z/b?c#d e%")
    [path] = re.findall(r'href="(/scopes/project/z[^"]+)"', browser.get("/scopes/").content.decode())
    assert "z/b?c#d e%" in text_of(browser.get(path)).replace("&amp;", "&")


def test_the_audit_log_is_filtered_by_its_address(ada: User, browser: Client, scope: Any) -> None:
    ensure_user(name="bob")
    send(browser, "/scopes/-/roles/", {"username": "bob", "role": "viewer"})
    send(browser, "/scopes/-/invitations/", {"role": "viewer"})
    assert "ada gave a role, viewer in alpha" in text_of(browser.get("/audit/"))
    page = browser.get("/audit/?act=invitation.make&from=2020-01-01&scope_type=project&scope_id=alpha")
    assert "ada invited a person" in text_of(page)
    assert "ada gave a role" not in text_of(page)
    [csv] = re.findall(r'href="(/api/v1/audit[^"]+)"', page.content.decode())
    rows = browser.get(csv.replace("&amp;", "&"))
    assert rows["Content-Type"].startswith("text/csv")
    assert rows.content.count(b"invitation.make") == 1
    half = text_of(browser.get("/audit/?scope_id=alpha"))
    assert "A scope has a type and a key: fill in both." in half
    assert "No act matches." in text_of(browser.get("/audit/?user=eve"))
    assert "ada gave a role" in text_of_part(browser.get("/scopes/-/parts/audit/project/alpha/"))


def test_each_act_has_words() -> None:
    assert (set(ACTS), set(WAYS), set(WAITING)) == (set(Act), set(Via), set(InboxKind))


def test_only_who_may_read_the_log_is_led_to_it(browser: Client, scope: Any) -> None:
    assert 'href="/audit/"' in browser.get("/scopes/").content.decode()
    assert 'href="/audit/"' not in as_user("vera", Role.VIEWER, scope).get("/scopes/").content.decode()
