"""Classification of database errors: outage, conflict or bug.

Errors of Django and psycopg are classified by SQLSTATE (PostgreSQL's manual, appendix A), which is more precise than
their classes. For example, a read-only server raises an "internal error".
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import django.db
import psycopg


class ErrorKind(Enum):
    """Kind of a database error."""

    UNAVAILABLE = "unavailable"  # the server is unreachable, does not respond, starts, stops, or lacks resources
    READ_ONLY = "read-only"  # the server rejects writes: a standby, or a primary that is being replaced
    INTERRUPTED = "interrupted"  # a statement was cancelled or lost a lock conflict; a retry may succeed
    INTEGRITY = "integrity"  # a constraint is violated: a row is missing, or exists already
    UNPREPARED = "unprepared"  # the server's prepared statements differ from what this process expects
    BUG = "bug"  # everything else


_DATABASE_ERRORS = (django.db.Error, psycopg.Error)
_CLASSES = {
    "08": ErrorKind.UNAVAILABLE,  # connection exceptions
    "23": ErrorKind.INTEGRITY,
    "40": ErrorKind.INTERRUPTED,  # serialization failures and deadlocks
    "53": ErrorKind.UNAVAILABLE,  # too little memory, disk, or connections
    "58": ErrorKind.UNAVAILABLE,  # an error of the server's operating system
}
_STATES = {
    "0A000": ErrorKind.UNPREPARED,  # "cached plan must not change result type"
    "25006": ErrorKind.READ_ONLY,
    "25P03": ErrorKind.UNAVAILABLE,  # idle_in_transaction_session_timeout ended the session
    "25P04": ErrorKind.UNAVAILABLE,  # transaction_timeout ended the session
    "26000": ErrorKind.UNPREPARED,
    "42P05": ErrorKind.UNPREPARED,
    "55P03": ErrorKind.INTERRUPTED,  # lock timeout
    "57014": ErrorKind.INTERRUPTED,  # cancelled by a timeout or by a person
    "57P01": ErrorKind.UNAVAILABLE,  # the server stops
    "57P02": ErrorKind.UNAVAILABLE,  # another session crashed
    "57P03": ErrorKind.UNAVAILABLE,  # the server starts
    "57P05": ErrorKind.UNAVAILABLE,  # idle_session_timeout ended the session
}
_TRANSIENT = frozenset({ErrorKind.UNAVAILABLE, ErrorKind.READ_ONLY, ErrorKind.INTERRUPTED})


def error_kind(error: BaseException) -> ErrorKind:
    """Return the kind of an error. An error that does not come from the database is a bug."""
    for each in _chain(error):
        state = getattr(each, "sqlstate", None)
        if state is not None:
            return _STATES.get(state) or _CLASSES.get(state[:2]) or ErrorKind.BUG
    lost = (django.db.OperationalError, django.db.InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
    return ErrorKind.UNAVAILABLE if any(isinstance(each, lost) for each in _chain(error)) else ErrorKind.BUG


def is_transient(error: BaseException) -> bool:
    """Return whether an error is temporary, so that a caller that can wait should retry."""
    return error_kind(error) in _TRANSIENT


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the database errors among its causes: Django and the queue wrap errors of psycopg."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, _DATABASE_ERRORS) or current is error:
            yield current
        current = current.__cause__
