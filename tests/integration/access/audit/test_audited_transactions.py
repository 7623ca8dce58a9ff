"""An act and its row in the audit log are stored together or not at all, wherever the connection breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from access.models import AuditEntry
from access.user import User
from tests.factories import reports
from tests.factories.callers import Caller
from tests.support.databases import filled_tables

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse battery staple"
START = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A tool library."}
NOTE = {"scope_type": "project", "scope_id": "alpha", "type": "note", "content": {"title": "A", "text": "One."}}
_BREAK = """
CREATE FUNCTION break_here() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_terminate_backend(pg_backend_pid());
  RETURN NULL;
END;
$$
"""
_AT_A_WRITE = """
CREATE TRIGGER break_here AFTER INSERT OR UPDATE OR DELETE ON {} FOR EACH STATEMENT EXECUTE FUNCTION break_here()"""
_AT_COMMIT = """
CREATE CONSTRAINT TRIGGER break_here AFTER INSERT ON access_auditentry DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION break_here()"""
#: Written before the act, and never part of it.
_COUNTERS = frozenset({"access_passwordtries"})


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def rows() -> dict[str, int]:
    """Return how many rows each table has."""
    found = {}
    with connection.cursor() as cursor:
        for name in set(filled_tables()) - _COUNTERS:
            cursor.execute(f'SELECT count(*) FROM "{name}"')  # noqa: S608 - of our own tables
            found[name] = cursor.fetchone()[0]
    return found


@contextmanager
def breaking(place: str) -> Iterator[None]:
    """Have the server end a connection that has written a table, or that commits an act."""
    run(_BREAK)
    run(_AT_COMMIT if place == "commit" else _AT_A_WRITE.format(place))
    try:
        yield
    finally:
        connection.close()  # it is broken
        run("DROP FUNCTION break_here CASCADE")


def act(caller: Caller, name: str) -> Callable[[], Any]:
    """Prepare an act, and return it."""
    if name == "start":
        return lambda: caller.post("/executions/", START)
    if name == "cancel":
        started = reports.start(caller.user).id
        return lambda: caller.post(f"/executions/{started}/cancel")
    if name == "add":
        return lambda: caller.post("/documents/", NOTE)
    if name == "upload":
        return lambda: caller.upload(b"Some text.")
    if name == "end token":
        return lambda: caller.delete("/auth/token")
    User.objects.create_user("carol", password=PASSWORD)
    browser = Client(raise_request_exception=False)
    return lambda: browser.post("/login/", {"username": "carol", "password": PASSWORD})


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("start", ["access_scope", "executions_execution", "procrastinate_jobs"]),
        ("cancel", ["executions_execution", "executions_executionevent"]),
        pytest.param("add", ["documents_documentversion"], marks=pytest.mark.torture),
        pytest.param("upload", ["documents_file"], marks=pytest.mark.torture),
        pytest.param("end token", ["knox_authtoken"], marks=pytest.mark.torture),
        ("log in", []),
    ],
)
def test_a_broken_connection_leaves_neither_the_act_nor_its_row(ada: Caller, name: str, places: list[str]) -> None:
    reports.publish()
    do = act(ada, name)
    before = rows()
    for place in [*places, "access_auditentry", "commit"]:
        with breaking(place):
            assert do().status_code >= 500, place
        left = rows()
        left.pop("django_session", None)
        assert left == before, place
        assert not any("_auth_user_id" in session.get_decoded() for session in Session.objects.all()), place
    recorded = AuditEntry.objects.count()
    assert do().status_code < 400
    assert AuditEntry.objects.count() > recorded
