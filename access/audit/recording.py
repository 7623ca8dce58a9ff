"""Writes of the audit log: an act, with the user, the credential and the address that it comes from.

Rows are never changed or deleted: a trigger refuses it. A row is sent with the next statement of its act's
transaction, at the latest with COMMIT. So an act costs one more statement, and no further round trip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection, transaction
from django.utils.crypto import salted_hmac
from uuid_utils.compat import uuid7

from access.audit.acts import Act, Via
from access.models import Token
from access.user import User
from common.database import bulk
from common.database.server import database_now
from common.present_request import network_of, present_request

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
_for_provider: ContextVar[bool] = ContextVar("acting for the provider", default=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """What an act is about: ids and versions alone, no names and no texts."""

    kind: str  # `execution`, `document`, `user` …, or the label of a model of the admin
    id: object = ""
    part: str = ""  # id of a step, number of a comment, role, right
    root_id: UUID | None = None  # the root scope, whose owners may read the entry
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who acts, with which credential, from where. Its repr, and so every log, hides the key of the session."""

    via: Via = Via.COMMAND
    user_id: int | None = None
    token: str = ""  # id of the token
    session_key: str | None = field(default=None, repr=False)
    address: str = ""
    request_id: str = ""


@contextmanager
def acting_for_provider() -> Iterator[None]:
    """Name the provider of single sign-on as the origin of all acts within the block: they have no user."""
    token = _for_provider.set(True)
    try:
        yield
    finally:
        _for_provider.reset(token)


def present_origin() -> Origin:
    """Return the origin of an act that happens now. Without a request it is a command, which has no user."""
    request = present_request()
    if _for_provider.get():
        address = "" if request is None else network_of(request)
        return Origin(via=Via.OIDC, address=address, request_id=getattr(request, "request_id", ""))
    if request is None:
        return Origin()
    user = getattr(request, "user", None)
    is_known = isinstance(user, User) and user.pk is not None
    token = getattr(request, "auth", None)
    session = getattr(request, "session", None)
    uses_session = is_known and not isinstance(token, Token) and session is not None
    return Origin(
        via=_way_of(request.path),
        user_id=user.pk if is_known else None,  # type: ignore[union-attr]  # it is a user then
        token=str(token.id) if isinstance(token, Token) else "",
        session_key=session.session_key if uses_session else None,  # type: ignore[union-attr]  # there is one then
        address=network_of(request),
        request_id=getattr(request, "request_id", ""),
    )


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


def _way_of(path: str) -> Via:
    if path.startswith("/api/"):
        return Via.API
    return Via.ADMIN if path.startswith("/admin/") else Via.CONSOLE
