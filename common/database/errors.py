"""What an error of the database means: the one place that tells an outage from a conflict and from a bug.

Django's errors and psycopg's are told apart by their SQLSTATE (PostgreSQL's manual, appendix A), which says more than
their classes do: a server that takes no writes raises an "internal error", for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import django.db
import psycopg


class Trouble(Enum):
    """What kind of trouble an error tells of."""

    AWAY = "away"  # the server cannot be reached, does not answer, starts, stops, or lacks resources
    READ_ONLY = "read-only"  # the server takes no writes: a standby, or a server that is being replaced
    INTERRUPTED = "interrupted"  # a statement was cancelled, or lost a conflict over locks; a second try may succeed
    INTEGRITY = "integrity"  # a row that the statement relies on is not there, or one that it makes is
    UNPREPARED = "unprepared"  # a prepared statement is not what this process takes it for
    BUG = "bug"  # everything else


_DATABASE_ERRORS = (django.db.Error, psycopg.Error)
_CLASSES = {
    "08": Trouble.AWAY,  # connection exceptions
    "23": Trouble.INTEGRITY,
    "40": Trouble.INTERRUPTED,  # serialization failures and deadlocks
    "53": Trouble.AWAY,  # too little memory, disk, or connections
    "58": Trouble.AWAY,  # an error of the server's operating system
}
_STATES = {
    "0A000": Trouble.UNPREPARED,  # "cached plan must not change result type"
    "25006": Trouble.READ_ONLY,
    "25P03": Trouble.AWAY,  # the session was idle in a transaction for too long, and has ended
    "25P04": Trouble.AWAY,  # the transaction took too long, and its session has ended
    "26000": Trouble.UNPREPARED,
    "42P05": Trouble.UNPREPARED,
    "55P03": Trouble.INTERRUPTED,  # a lock was not to be had in time
    "57014": Trouble.INTERRUPTED,  # cancelled, by a time limit or by a person
    "57P01": Trouble.AWAY,  # the server stops
    "57P02": Trouble.AWAY,  # another session crashed
    "57P03": Trouble.AWAY,  # the server starts
    "57P05": Trouble.AWAY,  # the session was idle for too long
}
_PASSING = frozenset({Trouble.AWAY, Trouble.READ_ONLY, Trouble.INTERRUPTED})


def trouble_of(error: BaseException) -> Trouble:
    """Return what an error means. An error that is none of the database's is a bug."""
    for each in _chain(error):
        state = getattr(each, "sqlstate", None)
        if state is not None:
            return _STATES.get(state) or _CLASSES.get(state[:2]) or Trouble.BUG
    lost = (django.db.OperationalError, django.db.InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
    return Trouble.AWAY if any(isinstance(each, lost) for each in _chain(error)) else Trouble.BUG


def is_passing(error: BaseException) -> bool:
    """Return whether an error is an outage that passes: a caller that can wait tries again."""
    return trouble_of(error) in _PASSING


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error of the database and those that it comes from: Django and the queue wrap psycopg's."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, _DATABASE_ERRORS) or current is error:
            yield current
        current = current.__cause__
