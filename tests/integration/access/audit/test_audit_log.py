"""The audit log: what a row says, who may read it, and that no statement changes it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.utils import ProgrammingError
from django.test import Client

from access import services
from access.audit import Act, Subject, record, record_each
from access.audit.selectors import entries
from access.models import AuditEntry, SessionName
from access.permissions import Role
from access.user import User
from common.api.renderers import to_csv
from tests.factories.callers import Caller
from tests.integration.api.checks import grant, pointers

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery staple"


def listed(caller: Caller, **query: Any) -> list[dict[str, Any]]:
    response = caller.get("/audit", {name.rstrip("_"): value for name, value in query.items()})
    assert response.status_code == 200, response.content
    data: list[dict[str, Any]] = response.json()["data"]
    return data


def acts(caller: Caller, **query: Any) -> list[str]:
    return [each["act"] for each in listed(caller, **query)]


@pytest.fixture
def root(caller: Callable[..., Caller]) -> Caller:
    """Staff."""
    return caller("root", staff=True)


def start(caller: Caller, key: str = "alpha", **headers: str) -> str:
    body = {"workflow_id": "report", "scope_type": "project", "scope_id": key, "input": "A tool library."}
    response = caller.post("/executions/", body, **headers)
    assert response.status_code == 201, response.content
    return str(response.json()["execution_id"])


def test_a_row_says_who_did_what_when_and_from_where(ada: Caller, root: Caller, report: int) -> None:
    started = start(ada, X_Request_ID="a-request-of-ada", X_Forwarded_For="203.0.113.9")
    ada.post(f"/executions/{started}/cancel")
    cancelled, begun = listed(root, subject=started)
    assert (begun["act"], cancelled["act"], begun["version"]) == ("execution.start", "execution.cancel", 1)
    assert (begun["user_id"], begun["user"], begun["via"]) == (ada.user.pk, "ada", "api")
    assert (begun["address"], begun["request_id"]) == ("127.0.0.1", "a-request-of-ada")
    assert (begun["subject_kind"], begun["scope_type"], begun["scope_id"]) == ("execution", "project", "alpha")
    assert begun["session"] is None
    [made] = listed(root, act="token.make", subject=begun["token"])
    assert (made["subject_kind"], made["via"], made["user_id"]) == ("token", "command", None)  # by the factory


def test_repeating_an_act_that_changes_nothing_leaves_no_row(ada: Caller, root: Caller, report: int) -> None:
    started = start(ada, Idempotency_Key="once")
    start(ada, Idempotency_Key="once")
    for _ in range(2):
        ada.post(f"/executions/{started}/cancel")
    ada.post(f"/executions/{started}/retry", {"from_step": "unknown"})
    assert acts(root, subject=started) == ["execution.cancel", "execution.start"]


def test_a_browser_is_named_by_its_session_and_its_login_logout_and_failures_are_recorded(root: Caller) -> None:
    user = User.objects.create_user("carol", password=PASSWORD)
    for path in ("/login/", "/admin/login/"):
        browser = Client()
        for password in ("wrong", PASSWORD):
            user.is_staff = True
            user.save(update_fields=["is_staff"])
            browser.post(path, {"username": "carol", "password": password})
        [login] = listed(root, act="login", limit=1)
        name = SessionName.objects.get(session_id=browser.session.session_key)
        assert (login["session"], login["user"], login["token"]) == (str(name.id), "carol", "")
        assert login["via"] == ("admin" if "admin" in path else "console")
        browser.post(path.replace("login", "logout"))
        [logout] = listed(root, act="logout", limit=1)
        assert (logout["session"], logout["user"]) == (login["session"], "carol")
    failed = listed(root, act="login.fail")
    assert [each["user"] for each in failed] == [None, None]
    assert failed[0]["subject_id"] == failed[1]["subject_id"] != ""
    assert "carol" not in str(failed)


def test_the_log_has_no_names_and_stays_when_a_person_is_erased(
    caller: Callable[..., Caller], root: Caller, report: int
) -> None:
    person = caller("someone-with-a-name")
    start(person, key="a-telling-name")
    before = list(AuditEntry.objects.order_by("id").values())
    assert "name" not in str([list(row.values()) for row in before])
    User.objects.filter(pk=person.user.pk).delete()
    assert list(AuditEntry.objects.order_by("id").values()) == before
    erased = listed(root, user_id=person.user.pk)
    assert {each["user"] for each in erased} == {None}
    assert "execution.start" in {each["act"] for each in erased}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE access_auditentry SET act = 'login'",
        "UPDATE access_auditentry SET act = 'login' WHERE false",
        "DELETE FROM access_auditentry",
        "TRUNCATE access_auditentry",
    ],
)
def test_no_statement_changes_the_log(ada: Caller, statement: str) -> None:
    before = AuditEntry.objects.count()
    assert before
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert AuditEntry.objects.count() == before


def test_owners_read_what_happened_in_their_scopes_and_others_are_refused(
    ada: Caller, eve: Caller, caller: Callable[..., Caller], root: Caller, report: int
) -> None:
    started, other = start(ada), start(eve, key="beta")
    grant(eve.user, "alpha", Role.OPERATOR)
    assert {each["subject_id"] for each in listed(ada, act="execution.start")} == {started}
    assert {each["subject_id"] for each in listed(eve, act="execution.start")} == {other}
    assert {each["subject_id"] for each in listed(root, act="execution.start")} == {started, other}
    assert "token.make" not in acts(ada)
    named = {"scope_type": "project", "scope_id": "alpha"}
    assert acts(ada, **named) == ["execution.start", "scope.claim"]
    low = eve.get("/audit", named)
    assert (low.status_code, low.json()["code"]) == (403, "forbidden")
    stranger = caller("stranger")
    assert stranger.get("/audit", named).status_code == 404
    assert stranger.get("/audit").status_code == 403
    assert ada.get("/audit", {**named, "scope_id": "beta"}).status_code == 404
    assert Client().get("/api/v1/audit").status_code == 401


def test_filters_find_rows_and_wrong_ones_are_named(ada: Caller, root: Caller, report: int) -> None:
    started = start(ada)
    [row] = listed(root, subject=started)
    for query in ({"user": "ada"}, {"user_id": ada.user.pk}, {"act": "execution.start,login"}, {"from_": row["at"]}):
        assert row in listed(root, **query), query
    for query in ({"user": "another"}, {"user_id": 1_000_000}, {"act": "login"}, {"to": "2020-01-01T00:00:00Z"}):
        assert row not in listed(root, **query), query
    for name, value in (("act", "dance"), ("user_id", "x"), ("from", "yesterday"), ("scope_id", "alpha"), ("x", "1")):
        response = root.get("/audit", {name: value})
        assert response.status_code == 422, name
        assert pointers(response) == {{"scope_id": "/scope_type", "act": "/act/0"}.get(name, f"/{name}")}


_MANY = """
INSERT INTO access_auditentry (id, at, act, via, user_id, token, address, request_id, subject_kind, subject_id, part,
  root_id)
SELECT gen_random_uuid(), now() - n * interval '1 second', 'execution.start', 'api', n %% 20, '', '', '', 'execution',
  n::text, '', CASE WHEN n %% 10 = 0 THEN %s::uuid END
FROM generate_series(1, 20000) AS n"""


def test_a_page_of_a_long_log_is_read_by_an_index(root: Caller, ada: Caller) -> None:
    scope = services.claim_root_scope(user=ada.user, scope_type="project", scope_key="alpha")
    with connection.cursor() as cursor:
        cursor.execute(_MANY, [scope.id])
        cursor.execute("ANALYZE access_auditentry")
    alpha = {"scope_type": "project", "scope_id": "alpha"}
    asked: list[dict[str, Any]] = [{}, {"user": "ada"}, {"user_id": 7}, {"subject": "1234"}, alpha]
    for given in asked:
        plan = entries(reader=root.user, **given).order_by("-at", "-id")[:51].explain()
        assert "Index Scan" in plan, plan
        assert "Seq Scan" not in plan, plan
        assert "Sort" not in plan, plan
    assert "Seq Scan" not in entries(reader=ada.user).order_by("-at", "-id")[:51].explain()


def test_pages_join_without_gaps(root: Caller) -> None:
    with transaction.atomic():
        record_each(Act.ADMIN_ADD, [Subject("telemetry.price", number) for number in range(7)])
    whole = [each["id"] for each in listed(root)]
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = root.get("/audit", {"limit": 3, "cursor": cursor}).json()
        found += [each["id"] for each in page["data"]]
        cursor = page["next_cursor"]
    assert found == whole
    assert len(whole) >= 7


def test_csv_has_the_same_rows_is_bounded_and_is_recorded(
    root: Caller, ada: Caller, restrict: Callable[..., None], report: int
) -> None:
    start(ada)
    restrict(audit_rows=2)
    whole = [each["id"] for each in listed(root)]
    found: list[str] = []
    path: str | None = "/api/v1/audit?act=scope.claim,execution.start,token.make"
    wanted = [each["id"] for each in listed(root, act="scope.claim,execution.start,token.make")]
    while path is not None:
        response = root.get(path.removeprefix("/api/v1"), None, Accept="text/csv")
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
        rows = list(csv.DictReader(StringIO(response.content.decode())))
        assert len(rows) <= 2
        found += [row["id"] for row in rows]
        path = response.headers["Link"].partition(">")[0].lstrip("<") if "Link" in response.headers else None
    assert found == wanted
    assert len(found) > 2
    assert acts(root, act="audit.export") == ["audit.export"] * 2
    assert len(listed(root)) == len(whole) + 2
    scoped = ada.get("/audit?format=csv&scope_type=project&scope_id=alpha")
    assert scoped.status_code == 200
    assert acts(ada)[0] == "audit.export"  # the owner sees that the log of the scope was taken
    refused = root.get("/audit?format=csv&limit=3")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")


def test_a_cell_is_no_formula() -> None:
    row = {"a": "=1+1", "b": "@x", "c": "plain, with a comma", "d": None, "e": -3, "f": "-3"}
    assert to_csv([*row], [row]).splitlines()[1] == "'=1+1,'@x,\"plain, with a comma\",,-3,'-3"


def test_commands_record_without_a_user(root: Caller) -> None:
    call_command("issue_token", "new-one", stdout=StringIO())
    made, added = listed(root, limit=2)
    assert [each["act"] for each in (added, made)] == ["user.add", "token.make"]
    assert {(each["via"], each["user_id"], each["address"]) for each in (added, made)} == {("command", None, "")}


@pytest.mark.django_db(transaction=True)
def test_an_act_is_recorded_in_its_transaction_or_not_at_all() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        record(Act.ADMIN_ADD, "telemetry.price", 1)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record(Act.ADMIN_ADD, "telemetry.price", 2)
        raise ZeroDivisionError
    with transaction.atomic():
        record(Act.ADMIN_ADD, "telemetry.price", 3)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            record(Act.ADMIN_ADD, "telemetry.price", 4)
            raise ZeroDivisionError
    assert list(AuditEntry.objects.values_list("subject_id", flat=True)) == ["3"]


def test_names_of_acts_and_kinds_are_no_texts() -> None:
    with pytest.raises(Exception, match="audit_kind_is_a_name"), transaction.atomic():
        record(Act.ADMIN_ADD, "Ada did this", uuid4())
        AuditEntry.objects.count()


def test_activation_and_passwords_of_users_are_recorded(root: Caller, alice: User) -> None:
    services.set_active([alice.pk], is_active=False)
    services.ensure_user(name="alice", password=PASSWORD)
    assert acts(root, subject=str(alice.pk)) == ["user.change", "user.deactivate"]
