"""Each operation that writes leaves a row in the audit log, over the API and in the admin."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from access.audit import Act
from access.models import AuditEntry, ExternalAccount, Scope, ScopeRole, Token
from access.user import User
from executions.engine.domain.execution import Execution
from telemetry.models import ModelLimit, Price
from tests.factories import reports
from tests.factories.callers import Caller, make_caller
from tests.factories.workflows import plan

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[4]
PASSWORD = "correct horse battery staple"
START = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A tool library."}
NOTE = {"scope_type": "project", "scope_id": "alpha", "type": "note", "content": {"title": "A", "text": "One."}}
TICKET = "A ticket permits to read one stream; reads are not recorded."
#: Operations that need no row, with the reason.
WITHOUT_A_ROW = {
    "executions_stream_tickets_create": TICKET,
    "scopes_stream_tickets_create": TICKET,
    "workflow_estimate": "It computes, and stores nothing.",
    "workflows_validate": "It checks, and stores nothing.",
}


class Desk:
    """Ada's things, each in the state that an operation needs."""

    def __init__(self, caller: Caller) -> None:
        self.ada = caller
        self._number = 0

    def number(self) -> int:
        """Return a new number."""
        self._number += 1
        return self._number

    def start(self) -> Execution:
        """Return a new execution in a scope of its own."""
        return reports.start(self.ada.user, f"scope-{self.number()}")

    def started(self) -> str:
        """Return the id of a new execution."""
        return str(self.start().id)

    def note(self) -> str:
        """Return a new document."""
        response = self.ada.post("/documents/", {**NOTE, "type": f"note-{self.number()}"})
        return str(response.json()["id"])

    def file(self) -> str:
        """Return a new file."""
        return str(self.ada.upload(b"Some text.").json()["id"])


def _decide(desk: Desk, decision: str) -> Any:
    waiting = reports.hand_in(desk.start())
    body = {"decision": decision, "document_version": 1, "comment": "So."}
    return desk.ada.post(f"/executions/{waiting.id}/steps/research/acceptance", body)


def _retry(desk: Desk) -> Any:
    execution = reports.cancel(desk.ada.user, desk.start().id)
    return desk.ada.post(f"/executions/{execution.id}/retry")


def _patch_document(desk: Desk) -> Any:
    body = json.dumps([{"op": "replace", "path": "/text", "value": "Two."}])
    return desk.ada.patch(f"/documents/{desk.note()}", body, content_type="application/json-patch+json", If_Match='"1"')


def _restore(desk: Desk) -> Any:
    key = desk.note()
    desk.ada.put(f"/documents/{key}", {"content": {"title": "A", "text": "Two."}}, If_Match='"1"')
    return desk.ada.post(f"/documents/{key}/restore", {"version": 1}, If_Match='"2"')


def _comment(desk: Desk, key: str) -> Any:
    return desk.ada.post(f"/documents/{key}/comments", {"pointer": "/text", "text": "Why?"})


def _resolve(desk: Desk) -> Any:
    key = desk.note()
    _comment(desk, key)
    return desk.ada.patch(f"/documents/{key}/comments/1", {"resolved": True})


def _bulk(desk: Desk) -> Any:
    ids = [desk.started(), desk.started()]
    return desk.ada.post("/executions/bulk", {"action": "cancel", "ids": ids})


def _answer(desk: Desk) -> Any:
    asking = reports.ask(desk.start())
    return desk.ada.post(f"/executions/{asking.id}/steps/research/clarification", {"answers": reports.GOOD_ANSWERS})


def _invite(desk: Desk) -> Any:
    return desk.ada.post("/scopes/project/alpha/invitations", {"role": "viewer"})


def _accept_invitation(desk: Desk) -> Any:
    token = _invite(desk).json()["url"].rstrip("/").rpartition("/")[2]
    return desk.ada.post("/invitations/accept", {"token": token})


def _spare_token(desk: Desk) -> Any:
    return desk.ada.post("/me/tokens", {"name": "Import"})


def _end_session(desk: Desk) -> Any:
    Client().force_login(desk.ada.user)
    [row] = desk.ada.get("/me/sessions").json()["data"]
    return desk.ada.delete(f"/me/sessions/{row['id']}")


def _change_password(desk: Desk) -> Any:
    carol = make_caller("carol")
    body = {"old_password": PASSWORD, "new_password": "another Horse, with a battery"}
    return carol.post("/me/password", body)


def _dismiss(desk: Desk) -> Any:
    failed = reports.fail(desk.start()).id
    [entry] = [each for each in desk.ada.get("/inbox/").json()["data"] if each["execution_id"] == str(failed)]
    return desk.ada.post(f"/inbox/{entry['id']}/dismiss", {})


def _assign(desk: Desk) -> Any:
    asking = reports.ask(desk.start())
    return desk.ada.post(f"/executions/{asking.id}/steps/research/assign", {"assignees": ["ada"]})


def _accept_many(desk: Desk) -> Any:
    items = [
        {"execution_id": str(reports.hand_in(desk.start()).id), "step_id": "research", "document_version": 1}
        for _ in range(2)
    ]
    return desk.ada.post("/steps/bulk", {"action": "accept", "items": items})


def _author(desk: Desk) -> Caller:
    author = make_caller("rita")
    User.objects.filter(pk=author.user.pk).update(is_author=True)
    return author


Do = Callable[[Desk], Any]
#: What an operation is called with, and the acts that it leaves.
WITH_A_ROW: dict[str, tuple[Do, list[Act]]] = {
    "auth_token_create": (
        lambda desk: desk.ada.post("/auth/token", {"username": "carol", "password": PASSWORD}),
        [Act.TOKEN_MAKE],
    ),
    "executions_create": (lambda desk: desk.ada.post("/executions/", START), [Act.EXECUTION_START]),
    "executions_bulk": (_bulk, [Act.EXECUTION_CANCEL] * 2),
    "executions_budget_partial_update": (
        lambda desk: desk.ada.patch(f"/executions/{desk.started()}/budget", {"max_cost_usd": "5"}),
        [Act.EXECUTION_BUDGET],
    ),
    "executions_cancel_create": (
        lambda desk: desk.ada.post(f"/executions/{desk.started()}/cancel"),
        [Act.EXECUTION_CANCEL],
    ),
    "executions_retry_create": (_retry, [Act.EXECUTION_RETRY]),
    "executions_destroy": (
        lambda desk: desk.ada.delete(f"/executions/{reports.finish(desk.start()).id}"),
        [Act.EXECUTION_ERASE],
    ),
    "executions_steps_clarification_create": (_answer, [Act.STEP_ANSWER]),
    "executions_steps_acceptance_create": (lambda desk: _decide(desk, "accept"), [Act.STEP_ACCEPT]),
    "documents_create": (lambda desk: desk.ada.post("/documents/", NOTE), [Act.DOCUMENT_ADD]),
    "documents_update": (
        lambda desk: desk.ada.put(
            f"/documents/{desk.note()}", {"content": {"title": "A", "text": "Two."}}, If_Match='"1"'
        ),
        [Act.DOCUMENT_EDIT],
    ),
    "documents_partial_update": (_patch_document, [Act.DOCUMENT_EDIT]),
    "documents_restore_create": (_restore, [Act.DOCUMENT_RESTORE]),
    "documents_comments_create": (lambda desk: _comment(desk, desk.note()), [Act.COMMENT_ADD]),
    "documents_comments_partial_update": (_resolve, [Act.COMMENT_RESOLVE]),
    "files_create": (lambda desk: desk.ada.upload(b"Some text."), [Act.FILE_UPLOAD]),
    "scopes_budget_update": (
        lambda desk: desk.ada.put("/scopes/project/alpha/budget", {"max_cost_usd": "5"}),
        [Act.SCOPE_BUDGET],
    ),
    "scopes_retention_update": (
        lambda desk: desk.ada.put("/scopes/project/alpha/retention", {"days": 5}),
        [Act.SCOPE_RETENTION],
    ),
    "scopes_roles_update": (
        lambda desk: desk.ada.put("/scopes/project/alpha/roles/carol", {"role": "viewer"}),
        [Act.ROLE_GIVE],
    ),
    "scopes_roles_destroy": (lambda desk: desk.ada.delete("/scopes/project/alpha/roles/carol"), [Act.ROLE_TAKE]),
    "scopes_invitations_create": (_invite, [Act.INVITATION_MAKE]),
    "scopes_invitations_destroy": (
        lambda desk: desk.ada.delete(f"/scopes/project/alpha/invitations/{_invite(desk).json()['id']}"),
        [Act.INVITATION_WITHDRAW],
    ),
    "invitations_accept": (_accept_invitation, [Act.INVITATION_ACCEPT]),
    "files_destroy": (lambda desk: desk.ada.delete(f"/files/{desk.file()}"), [Act.FILE_DELETE]),
    "me_update": (lambda desk: desk.ada.patch("/me", {"name": "Ada Obi"}), [Act.USER_CHANGE]),
    "me_tokens_create": (_spare_token, [Act.TOKEN_MAKE]),
    "me_tokens_destroy": (
        lambda desk: desk.ada.delete(f"/me/tokens/{_spare_token(desk).json()['id']}"),
        [Act.TOKEN_END],
    ),
    "me_sessions_destroy": (_end_session, [Act.SESSION_END]),
    "me_password": (_change_password, [Act.PASSWORD_CHANGE]),
    "inbox_dismiss_create": (_dismiss, [Act.EXECUTION_DISMISS]),
    "executions_steps_assign_create": (_assign, [Act.STEP_ASSIGN]),
    "steps_bulk": (_accept_many, [Act.STEP_ACCEPT] * 2),
    "workflows_create": (lambda desk: _author(desk).post("/workflows", plan()), [Act.WORKFLOW_PUBLISH]),
    "workflows_current_create": (
        lambda desk: _author(desk).post("/workflows/report/current", {"version": 1}),
        [Act.WORKFLOW_MAKE_CURRENT],
    ),
    "workflows_destroy": (lambda desk: _author(desk).delete("/workflows/report"), [Act.WORKFLOW_RETIRE]),
    "workflows_restore_create": (
        lambda desk: _author(desk).post("/workflows/report/restore", {}),
        [Act.WORKFLOW_RESTORE],
    ),
    "auth_token_destroy": (lambda desk: desk.ada.delete("/auth/token"), [Act.TOKEN_END]),  # the last one
}
OTHER_DECISIONS = {"reject": Act.STEP_REJECT, "request_changes": Act.STEP_REQUEST_CHANGES}


def rows_of(request_id: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(request_id=request_id).order_by("at", "id"))


def test_each_operation_that_writes_leaves_its_rows(ada: Caller) -> None:
    document = Client().get("/api/v1/openapi.json").json()
    writes = {
        operation["operationId"]
        for operations in document["paths"].values()
        for method, operation in operations.items()
        if method in {"post", "put", "patch", "delete"}
    }
    assert writes == WITH_A_ROW.keys() | WITHOUT_A_ROW.keys(), "say in this module what a new operation leaves"
    reports.publish()
    reports.publish(gated=True)
    User.objects.create_user("carol", password=PASSWORD)
    desk = Desk(ada)
    desk.note()  # claims the scope
    others = {each: (lambda desk, each=each: _decide(desk, each), [act]) for each, act in OTHER_DECISIONS.items()}
    for name, (do, acts) in [*others.items(), *WITH_A_ROW.items()]:
        response = do(desk)
        assert response.status_code < 300, (name, response.content)
        rows = rows_of(response.headers["X-Request-ID"])
        assert [each.act for each in rows] == acts, name
        for row in rows:
            assert (row.user_id is None, row.via, row.address) == (False, "api", "127.0.0.1"), name
            assert (row.token != "") is (name != "auth_token_create"), name


def test_an_accepted_edit_and_an_export_leave_their_rows(ada: Caller) -> None:
    reports.publish(gated=True)
    waiting = reports.hand_in(reports.start(ada.user))
    body = {"decision": "accept", "document_version": 1, "content": {"title": "Mine"}}
    response = ada.post(f"/executions/{waiting.id}/steps/research/acceptance", body)
    rows = rows_of(response.headers["X-Request-ID"])
    assert [(each.act, each.version) for each in rows] == [(Act.DOCUMENT_EDIT, 2), (Act.STEP_ACCEPT, 1)]
    assert rows[1].part == "research"
    response = ada.get(f"/executions/{waiting.id}/export?format=markdown")
    assert response.status_code == 200, response.content
    [row] = rows_of(response.headers["X-Request-ID"])
    assert (row.act, row.subject_id) == (Act.EXECUTION_EXPORT, str(waiting.id))
    path, headers = f"/api/v1/executions/{waiting.id}/export?format=markdown", {"Authorization": f"Bearer {ada.token}"}
    known = ada.http.get(path, headers={**headers, "If-None-Match": response.headers["ETag"]})
    for empty in (known, ada.http.head(path, headers=headers)):
        assert rows_of(empty.headers["X-Request-ID"]) == [], empty.status_code
    assert known.status_code == 304


@pytest.fixture
def browser(db: None) -> Client:
    """The browser of a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("root", password=PASSWORD))
    return client


@contextmanager
def leaving(*wanted: tuple[Act, str, object]) -> Iterator[None]:
    """Check which rows the block leaves."""
    before = set(AuditEntry.objects.values_list("id", flat=True))
    yield
    found = AuditEntry.objects.exclude(id__in=before).order_by("at", "id")
    assert [(row.act, row.subject_kind, row.subject_id) for row in found] == [
        (act, kind, str(key)) for act, kind, key in wanted
    ]
    assert {row.via for row in found} == {"admin"}
    assert not {None} & {value for row in found for value in (row.user_id, row.session)}


PRICE = {
    "provider": "p",
    "model": "m",
    "effective_from_0": "2027-01-01",
    "effective_from_1": "00:00:00",
    "input_usd": "1",
    "cache_read_usd": "1",
    "cache_write_usd": "1",
    "output_usd": "1",
    "tiers": "[]",
}


def post(browser: Client, path: str, **form: object) -> None:
    response = browser.post(f"/admin/{path}", form)
    assert response.status_code == 302, response.content.decode()[-3000:]


def test_writes_in_the_admin_leave_rows(browser: Client, alice: User) -> None:
    post(browser, "telemetry/price/add/", **PRICE)
    price = Price.objects.get()
    assert AuditEntry.objects.filter(act=Act.ADMIN_ADD, subject_id=str(price.pk)).count() == 1
    with leaving((Act.ADMIN_CHANGE, "telemetry.price", price.pk)):
        post(browser, f"telemetry/price/{price.pk}/change/", **{**PRICE, "input_usd": "2"}, version=1)
    with leaving((Act.ADMIN_DELETE, "telemetry.price", price.pk)):
        post(browser, f"telemetry/price/{price.pk}/delete/", post="yes")
    limits = [ModelLimit.objects.create(provider="p", model=name, calls_at_once=1) for name in "ab"]
    with leaving(*((Act.ADMIN_DELETE, "telemetry.modellimit", each.pk) for each in limits)):
        chosen = {"action": "delete_selected", "_selected_action": [each.pk for each in limits], "post": "yes"}
        post(browser, "telemetry/modellimit/", **chosen)
    group = Group.objects.create(name="some")
    with leaving((Act.ADMIN_CHANGE, "auth.group", group.pk)):
        post(browser, f"auth/group/{group.pk}/change/", name="others")
    post(browser, "knox/authtoken/add/", user=alice.pk)
    token = Token.objects.get(user=alice)
    assert AuditEntry.objects.filter(act=Act.TOKEN_MAKE, subject_id=token.id).count() == 1
    with leaving((Act.TOKEN_END, "token", token.id)):
        post(browser, f"knox/authtoken/{token.digest}/delete/", post="yes")


def test_what_the_admin_does_with_users_and_roles_leaves_rows(browser: Client, alice: User) -> None:
    with leaving((Act.PASSWORD_CHANGE, "user", alice.pk)):
        new = {"password1": "a-long-Passphrase-of-9", "password2": "a-long-Passphrase-of-9"}
        post(browser, f"access/user/{alice.pk}/password/", **new, usable_password="true")
    with leaving((Act.USER_DEACTIVATE, "user", alice.pk)):
        post(browser, "access/user/", action="deactivate", _selected_action=[alice.pk])
    scope = Scope.objects.create(type="project", key="alpha")
    path = f"access/scope/{scope.pk}/change/"
    table = {"roles-TOTAL_FORMS": 1, "roles-INITIAL_FORMS": 0, "roles-0-user": alice.pk, "roles-0-role": "viewer"}
    with leaving((Act.ADMIN_CHANGE, "access.scope", scope.pk), (Act.ROLE_GIVE, "user", alice.pk)):
        post(browser, path, **table)
    role = ScopeRole.objects.get()
    table |= {"roles-INITIAL_FORMS": 1, "roles-0-id": role.pk, "roles-0-scope": scope.pk, "roles-0-DELETE": "on"}
    with leaving((Act.ADMIN_CHANGE, "access.scope", scope.pk), (Act.ROLE_TAKE, "user", alice.pk)):
        post(browser, path, **table)
    assert not ScopeRole.objects.exists()
    [given] = AuditEntry.objects.filter(act=Act.ROLE_GIVE)
    assert given.root_id == scope.pk
    with leaving((Act.PASSWORD_CHANGE, "user", User.objects.get(username="root").pk)):
        new = {"old_password": PASSWORD, "new_password1": "another-long-Pass-9", "new_password2": "another-long-Pass-9"}
        post(browser, "password_change/", **new)


def test_rights_and_the_state_of_a_user_that_the_admin_changes_are_named(browser: Client, alice: User) -> None:
    account = ExternalAccount.objects.create(issuer="i", subject="s", user=alice, rights_by_group=["author", "staff"])
    User.objects.filter(pk=alice.pk).update(is_author=True)
    path, before = f"access/user/{alice.pk}/change/", AuditEntry.objects.count()
    form = {
        "username": "alice",
        "time_zone": "UTC",
        "language": "en",
        "date_joined_0": "2027-01-01",
        "date_joined_1": "0:0",
    }
    post(browser, path, **form, is_staff="on")
    found = AuditEntry.objects.order_by("at", "id")[before:]
    assert {(row.act, row.part) for row in found if row.subject_id == str(alice.pk)} == {
        (Act.USER_CHANGE, "+staff"),
        (Act.USER_CHANGE, "-author"),
        (Act.USER_DEACTIVATE, ""),
        (Act.ADMIN_CHANGE, ""),
    }
    account.refresh_from_db()
    assert account.rights_by_group == [], "a person decides from now on"


def test_the_admin_shows_the_log_and_changes_nothing(browser: Client, alice: User) -> None:
    browser.post("/admin/access/user/", {"action": "deactivate", "_selected_action": [alice.pk]})
    [row] = AuditEntry.objects.filter(act=Act.USER_DEACTIVATE)
    for query in ("", "?act=user.deactivate", f"?q={alice.pk}"):
        page = browser.get(f"/admin/access/auditentry/{query}").content.decode()
        assert f"/admin/access/auditentry/{row.pk}/change/" in page, query
    other = browser.get("/admin/access/auditentry/?act=login").content.decode()
    assert str(row.pk) not in other
    assert browser.get(f"/admin/access/auditentry/{row.pk}/change/").status_code == 200
    for path in ("add/", f"{row.pk}/delete/"):
        assert browser.post(f"/admin/access/auditentry/{path}", {"post": "yes"}).status_code == 403


def test_the_document_lists_all_acts() -> None:
    text = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    table = text.partition("## Acts")[2]
    listed = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert listed == [each.value for each in Act]
