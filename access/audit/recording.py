"""Writes of the audit log. Rows are never changed or deleted: a trigger refuses it.

A row is sent with the next statement of its act's transaction, at the latest with COMMIT. So an act costs one more
statement, and no further round trip.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.utils.crypto import salted_hmac
from uuid_utils.compat import uuid7

from access.audit.acts import Act, Via
from access.audit.origin import Origin, present_origin
from common.database import bulk
from common.database.server import database_now

#: Gives the session a public name, because its key is secret. Only a session of an earlier version has no name yet.
_NAME_SESSION = """
INSERT INTO access_sessionname (id, session_id, user_id) VALUES (%s, %s, %s) ON CONFLICT (session_id) DO NOTHING
"""
_COLUMNS = (
    ("id", "uuid"),
    ("at", "timestamptz"),
    ("act", "text"),
    ("via", "text"),
    ("user_id", "bigint"),
    ("token", "text"),
    ("address", "text"),
    ("request_id", "text"),
    ("subject_kind", "text"),
    ("subject_id", "text"),
    ("part", "text"),
    ("root_id", "uuid"),
    ("version", "integer"),
)
_STORE = f"""
INSERT INTO access_auditentry ({", ".join(name for name, _ in _COLUMNS)}, session)
SELECT {", ".join(f"v.{name}" for name, _ in _COLUMNS)},
  (SELECT named.id FROM access_sessionname AS named WHERE named.session_id = %s::text)
FROM json_to_recordset(%s::json) AS v ({", ".join(f"{name} {kind}" for name, kind in _COLUMNS)})
"""  # noqa: S608 - no input in it


_WITHOUT_USER = frozenset({Via.COMMAND, Via.OIDC})


@dataclass(frozen=True, slots=True)
class Subject:
    """What an act is about: ids and versions alone, no names and no texts."""

    kind: str  # `execution`, `document`, `user` …, or the label of a model of the admin
    id: object = ""
    part: str = ""  # id of a step, number of a comment, role, right
    root_id: UUID | None = None  # the root scope, whose owners may read the entry
    version: int | None = None


def record(
    act: Act,
    kind: str,
    id: object = "",
    *,
    part: str = "",
    root_id: UUID | None = None,
    version: int | None = None,
    user_id: int | None = None,
) -> None:
    """Record one act, in its own transaction.

    Args:
        act: What was done.
        kind: What it was done to, such as `execution`.
        id: The public id of that.
        part: A part of it, such as a step; or the role or right that was given or taken.
        root_id: Its root scope.
        version: Its version, after the act or that the act is about.
        user_id: Who acted, if that is not the user of the request, as at a login.

    Raises:
        TransactionManagementError: there is no transaction, so the act could be stored without its record.
    """
    record_each(act, [Subject(kind, id, part, root_id, version)], user_id=user_id)


def record_each(act: Act, subjects: Iterable[Subject], *, user_id: int | None = None) -> None:
    """Record an act upon several things, one row for each; see `record`."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(f"{act} is recorded outside of a transaction")
    origin = present_origin()
    rows = [_row(act, each, origin, user_id=user_id) for each in subjects]
    if not rows:
        return
    if origin.session_key is not None:
        bulk.execute_later(_NAME_SESSION, [uuid7(), origin.session_key, origin.user_id])
    bulk.execute_later(_STORE, [origin.session_key, bulk.to_json_text(rows)])


def record_read(
    act: Act, kind: str, id: object = "", *, root_id: UUID | None = None, version: int | None = None
) -> None:
    """Record an act that writes nothing else, in a transaction of its own."""
    with transaction.atomic():
        record(act, kind, id, root_id=root_id, version=version)


def hidden_name(name: str) -> str:
    """Return a keyed hash of a name that was typed: equal names have the same hash, which does not show the name."""
    return salted_hmac("access.audit.names", name, algorithm="sha256").hexdigest()[:32]


def _row(act: Act, subject: Subject, origin: Origin, *, user_id: int | None) -> dict[str, object]:
    return {
        "id": uuid7(),
        "at": database_now(),
        "act": act.value,
        "via": origin.via.value,
        "user_id": origin.user_id if user_id is None or origin.via in _WITHOUT_USER else user_id,
        "token": origin.token,
        "address": origin.address,
        "request_id": origin.request_id,
        "subject_kind": subject.kind,
        "subject_id": str(subject.id),
        "part": subject.part,
        "root_id": subject.root_id,
        "version": subject.version,
    }
