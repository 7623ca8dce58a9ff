"""What errors of the database mean, by their SQLSTATE."""

from __future__ import annotations

import django.db
import psycopg
import pytest
from procrastinate.exceptions import ConnectorException
from psycopg_pool import PoolTimeout

from common.database.errors import Trouble, is_passing, trouble_of


def raised(error: Exception, by: Exception | None = None) -> Exception:
    """Return the error as it is raised, by the one that it comes from."""
    try:
        raise error from by
    except Exception as caught:  # noqa: BLE001 - it is what is wanted
        return caught


@pytest.mark.parametrize(
    ("state", "meaning"),
    [
        ("08006", Trouble.AWAY),
        ("08P01", Trouble.AWAY),
        ("53100", Trouble.AWAY),
        ("53300", Trouble.AWAY),
        ("58030", Trouble.AWAY),
        ("57P01", Trouble.AWAY),
        ("57P02", Trouble.AWAY),
        ("57P03", Trouble.AWAY),
        ("57P05", Trouble.AWAY),
        ("25P03", Trouble.AWAY),
        ("25P04", Trouble.AWAY),
        ("25006", Trouble.READ_ONLY),
        ("40001", Trouble.INTERRUPTED),
        ("40P01", Trouble.INTERRUPTED),
        ("55P03", Trouble.INTERRUPTED),
        ("57014", Trouble.INTERRUPTED),
        ("23503", Trouble.INTEGRITY),
        ("23505", Trouble.INTEGRITY),
        ("26000", Trouble.UNPREPARED),
        ("42P05", Trouble.UNPREPARED),
        ("0A000", Trouble.UNPREPARED),
        ("22012", Trouble.BUG),
        ("25P02", Trouble.BUG),
        ("42P01", Trouble.BUG),
        ("42501", Trouble.BUG),
    ],
)
def test_an_error_means_the_same_in_whatever_it_is_wrapped(state: str, meaning: Trouble) -> None:
    own = psycopg.errors.lookup(state)("It said no.")
    for error in (own, raised(django.db.InternalError(), own), raised(ConnectorException(), own)):
        assert trouble_of(error) is meaning
        assert is_passing(error) == (meaning in {Trouble.AWAY, Trouble.READ_ONLY, Trouble.INTERRUPTED})


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
    assert trouble_of(error) is Trouble.AWAY


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
    assert trouble_of(error) is Trouble.BUG
    assert not is_passing(error)
