"""Classification of database errors by SQLSTATE."""

from __future__ import annotations

import django.db
import psycopg
import pytest
from procrastinate.exceptions import ConnectorException
from psycopg_pool import PoolTimeout

from common.database.errors import ErrorKind, error_kind, is_transient


def raised(error: Exception, by: Exception | None = None) -> Exception:
    """Return the error as it is raised, by the one that it comes from."""
    try:
        raise error from by
    except Exception as caught:  # noqa: BLE001 - it is what is wanted
        return caught


@pytest.mark.parametrize(
    ("state", "meaning"),
    [
        ("08006", ErrorKind.UNAVAILABLE),
        ("08P01", ErrorKind.UNAVAILABLE),
        ("53100", ErrorKind.UNAVAILABLE),
        ("53300", ErrorKind.UNAVAILABLE),
        ("58030", ErrorKind.UNAVAILABLE),
        ("57P01", ErrorKind.UNAVAILABLE),
        ("57P02", ErrorKind.UNAVAILABLE),
        ("57P03", ErrorKind.UNAVAILABLE),
        ("57P05", ErrorKind.UNAVAILABLE),
        ("25P03", ErrorKind.UNAVAILABLE),
        ("25P04", ErrorKind.UNAVAILABLE),
        ("25006", ErrorKind.READ_ONLY),
        ("40001", ErrorKind.INTERRUPTED),
        ("40P01", ErrorKind.INTERRUPTED),
        ("55P03", ErrorKind.INTERRUPTED),
        ("57014", ErrorKind.INTERRUPTED),
        ("23503", ErrorKind.INTEGRITY),
        ("23505", ErrorKind.INTEGRITY),
        ("26000", ErrorKind.UNPREPARED),
        ("42P05", ErrorKind.UNPREPARED),
        ("0A000", ErrorKind.UNPREPARED),
        ("22012", ErrorKind.BUG),
        ("25P02", ErrorKind.BUG),
        ("42P01", ErrorKind.BUG),
        ("42501", ErrorKind.BUG),
    ],
)
def test_an_error_means_the_same_in_whatever_it_is_wrapped(state: str, meaning: ErrorKind) -> None:
    own = psycopg.errors.lookup(state)("It said no.")
    for error in (own, raised(django.db.InternalError(), own), raised(ConnectorException(), own)):
        assert error_kind(error) is meaning
        assert is_transient(error) == (meaning in {ErrorKind.UNAVAILABLE, ErrorKind.READ_ONLY, ErrorKind.INTERRUPTED})


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("the connection is lost"),
        psycopg.InterfaceError("the connection is closed"),
        django.db.OperationalError(),
        django.db.InterfaceError(),
        PoolTimeout("no connection is free"),
        raised(ConnectorException(), psycopg.OperationalError()),
    ],
    ids=repr,
)
def test_a_lost_connection_is_an_outage(error: Exception) -> None:
    assert error_kind(error) is ErrorKind.UNAVAILABLE


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        raised(ValueError(), psycopg.DataError()),
        psycopg.ProgrammingError(),
        django.db.Error(),
        KeyError(),
    ],
    ids=repr,
)
def test_everything_else_is_a_bug(error: Exception) -> None:
    assert error_kind(error) is ErrorKind.BUG
    assert not is_transient(error)
