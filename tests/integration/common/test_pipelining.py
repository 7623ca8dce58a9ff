"""Deferred statements share the round trip of the next one, and have the same effect as without it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import Count
from psycopg.types.json import Json

from access.user import User
from common.database import bulk, deferred_statements
from common.database.bulk import SqlQuery, run_together
from orchestrator.embedded_postgres import instance
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

_NEW = "INSERT INTO auth_group (name) VALUES (%s)"


@pytest.fixture
def link() -> Iterator[TcpProxy]:
    """A slow link to the suite's server."""
    with tcp_proxy(instance.socket_dir(Path(os.environ["DATA_DIR"])) / instance.SOCKET) as made:
        made.latency = 0.02
        yield made


def test_what_is_kept_is_waited_for_with_the_next_statement_and_the_last_with_commit(link: TcpProxy) -> None:
    where = f"postgresql://{instance.USER}@127.0.0.1:{link.port}/{instance.DATABASE}"
    with psycopg.connect(where, autocommit=True) as own:
        link.reset_counts()
        deferred_statements.defer(own, "BEGIN")
        deferred_statements.defer(own, "CREATE TEMPORARY TABLE told (number int)")
        deferred_statements.Cursor(own).execute("INSERT INTO told VALUES (%s)", [1])
        assert link.trips == 1
        deferred_statements.defer(own, "INSERT INTO told VALUES (%s)", [2])
        deferred_statements.commit(own)
        assert link.trips == 2
        found = deferred_statements.Cursor(own).execute("SELECT number FROM told ORDER BY 1").fetchall()
        assert found == [(1,), (2,)]
        deferred_statements.defer(own, "BEGIN")
        deferred_statements.defer(own, "INSERT INTO told VALUES (1 / %s)", [0])
        with pytest.raises(psycopg.errors.DivisionByZero):
            deferred_statements.commit(own)
        own.rollback()
        deferred_statements.defer(own, "BEGIN")
        deferred_statements.commit(own)  # nothing was done
        assert own.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("within", [False, True])
def test_a_savepoint_takes_back_what_was_done_in_it_and_nothing_else(first: bool, within: bool) -> None:
    with transaction.atomic():
        if first:
            User.objects.create(username="kept")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            if within:
                User.objects.create(username="taken back")
            with transaction.atomic():
                bulk.execute_later("INSERT INTO auth_group (name) VALUES (%s)", ["taken back"])
            raise ZeroDivisionError
        with transaction.atomic():
            User.objects.create(username="last")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM auth_group")
        assert cursor.fetchone() == (0,)
    assert set(User.objects.values_list("username", flat=True)) == {"last"} | ({"kept"} if first else set())


@pytest.mark.django_db(transaction=True)
def test_an_error_of_the_next_statement_is_raised_there_and_the_savepoint_helps() -> None:
    with transaction.atomic():
        User.objects.create(username="ann")
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.create(username="ann")
        with pytest.raises(DataError), transaction.atomic():
            bulk.execute("SELECT 1 / %s", [0])
        User.objects.create(username="bob")
    assert User.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_an_error_of_what_is_kept_stores_nothing() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(username="ann")
        bulk.execute_later(_NEW, ["same"])
        bulk.execute_later(_NEW, ["same"])
    assert not User.objects.exists()
    bulk.execute_later(_NEW, ["outside of a transaction: at once"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM auth_group")
        assert cursor.fetchone() == (1,)


@pytest.mark.django_db(transaction=True)
def test_a_script_and_a_large_statement_take_what_is_kept_along() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        bulk.execute_later(_NEW, ["first"])
        cursor.execute("SELECT 1; INSERT INTO auth_group (name) VALUES ('second')")
        bulk.execute_later(_NEW, ["third"])
        [(length,)] = bulk.execute("SELECT length(%s::text)", ["x" * 5_000_000]).fetchall()
        assert length == 5_000_000
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM auth_group ORDER BY id")
        assert cursor.fetchall() == [("first",), ("second",), ("third",)]


@pytest.mark.django_db
def test_questions_asked_together_find_what_each_finds_alone(alice: User, bob: User) -> None:
    rows = User.objects.order_by("username")
    names = rows.values_list("username", flat=True)
    asked = (
        rows.filter(username="bob"),
        names.all(),
        rows.values("username").annotate(groups=Count("groups")),
        rows.filter(pk__in=[]),
    )
    number = SqlQuery("SELECT count(*) FROM access_user WHERE id >= %s", [0])
    run_together(*asked, number)
    before = len(connection.queries_log)
    assert list(asked[0]) == [bob]
    assert list(asked[1]) == ["alice", "bob"]
    assert list(asked[2]) == [{"username": "alice", "groups": 0}, {"username": "bob", "groups": 0}]
    assert list(asked[3]) == []
    assert number.rows == [(2,)]
    assert len(connection.queries_log) == before


@pytest.mark.django_db(transaction=True)
def test_rows_can_be_locked_as_they_are_read_one_after_the_other() -> None:
    Group.objects.create(name="a")
    with transaction.atomic():
        assert [each.name for each in Group.objects.select_for_update().iterator()] == ["a"]
    assert [each.name for each in Group.objects.iterator()] == ["a"]


@pytest.mark.django_db(transaction=True)
def test_after_a_parameter_that_cannot_be_sent_nothing_is_lost() -> None:
    with pytest.raises(TypeError), transaction.atomic():
        Group.objects.create(name="lost")
        deferred_statements.defer(connection.connection, _NEW, [Json(object())])
    Group.objects.create(name="kept")
    connection.close()
    assert [each.name for each in Group.objects.all()] == ["kept"]


@pytest.mark.django_db(transaction=True)
def test_a_copy_is_a_part_of_its_transaction() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic(), connection.cursor() as cursor:
        with cursor.copy("COPY auth_group (name) FROM STDIN") as copy:
            copy.write_row(["copied"])
        raise ZeroDivisionError
    assert not Group.objects.exists()


@pytest.mark.django_db
def test_what_is_derived_from_a_question_asks_for_itself() -> None:
    Group.objects.bulk_create([Group(name="x"), Group(name="y")])
    groups = Group.objects.order_by("name")
    run_together(groups)
    assert [each.name for each in groups] == ["x", "y"]
    assert [each.name for each in groups.filter(name="y")] == ["y"]
    assert (groups.count(), groups.filter(name="x").count()) == (2, 1)
