"""Writes of this room."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from knox.models import AuthToken
from knox.settings import knox_settings
from psycopg.types.json import Json, Jsonb

from access.errors import BadCredentials, Forbidden, ScopeForbidden
from access.models import KeptAnswer, Role, Scope, ScopeRole, SessionName
from access.selectors import allows, meant, named_root_scopes, role_of
from access.stream_grants import Credential
from access.tickets import Ticket, sign
from access.user import User
from common.database import bulk
from common.database.server import database_now

ANSWER_KEPT = timedelta(hours=24)  # for a request that is sent again with its `Idempotency-Key`
#: A change of the password waits until the token is there, and ends it.
_STILL_THE_SAME = "SELECT id FROM access_user WHERE id = %s AND password = %s AND is_active FOR SHARE"
#: For the rest of the transaction; the trigger `access_end_tokens` asks.
_HASHED_ANEW = "SELECT set_config('scriptorium.same_password_of', %s, true)"
_KEEP_ANSWER = """
INSERT INTO access_keptanswer (user_id, method, path, key, body_hash, status, headers, answer, kept_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (user_id, method, path, key) DO UPDATE SET (body_hash, status, headers, answer, kept_at)
  = (excluded.body_hash, excluded.status, excluded.headers, excluded.answer, excluded.kept_at)"""
_NAME_LENGTH = 32  # of a digest: enough to tell one token from all others


class BadName(ValueError):
    """A name that no user can have."""


class BadPassword(ValueError):
    """A password that the validators refuse; the message has their sentences."""


@transaction.atomic
def claim_root_scope(*, user: User, scope_type: str, scope_key: str, there: Iterable[Scope] | None = None) -> Scope:
    """Return the root scope; who first uses it owns it, and others need to be operators there.

    Args:
        user: Who uses it.
        scope_type: Its type.
        scope_key: Its name.
        there: What `named_root_scopes` has found a moment ago; looked up if it is not given.

    Raises:
        ScopeForbidden: it belongs to somebody else.
    """
    rows = named_root_scopes(user, scope_type=scope_type, scope_key=scope_key) if there is None else there
    if (known := meant(rows, scope_key)) is not None:
        own: Role | None = known.role_there  # type: ignore[attr-defined]  # annotated
        if not allows(Role.OWNER if user.is_staff else own, Role.OPERATOR):
            raise ScopeForbidden
        return known
    scope, created = Scope.objects.get_or_create(parent=None, type=scope_type, key=scope_key)
    if created:
        ScopeRole.objects.create(scope=scope, user=user, role=Role.OWNER)
    elif not allows(role_of(user, scope), Role.OPERATOR):
        raise ScopeForbidden
    return scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildScope:
    """A scope below another, named by its (parent, type, key); the id always is the same for the same name."""

    id: UUID
    parent_id: UUID
    root_id: UUID
    type: str
    key: str


def make_child_scopes(scopes: Iterable[ChildScope]) -> None:
    """Store those that are not there yet, in one order for all who do: at the latest with the COMMIT.

    Their parents are there.
    """
    now = database_now()
    rows = {scope.id: {**asdict(scope), "created_at": now} for scope in scopes}
    bulk.write_later(bulk.insertion(Scope, [rows[each] for each in sorted(rows)], or_ignore=True))


def lock_scopes(scope_ids: Collection[UUID]) -> None:
    """Have others who call this for one of the scopes wait until the transaction ends."""
    bulk.execute("SELECT id FROM access_scope WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [list(scope_ids)])


@transaction.atomic
def issue_token(user: User) -> tuple[AuthToken, str]:
    """Return a new token of the user: its row, and the text that is shown once and stored as a hash only.

    Raises:
        BadCredentials: the user's password was changed since `user` was read. The token would outlive that.
    """
    same = bulk.execute(_STILL_THE_SAME, [user.pk, user.password]).fetchone()
    if same is None:
        raise BadCredentials
    lifetime = knox_settings.TOKEN_TTL
    if lifetime is not None:
        lifetime += database_now() - timezone.now()  # knox counts from this machine's clock
    row, text = AuthToken.objects.create(user=user, expiry=lifetime)
    return row, text


def revoke_token(token: AuthToken) -> None:
    """End a token."""
    token.delete()


def issue_ticket(
    *, user: User, token: AuthToken | None, session_key: str | None, opens: str, seconds: int, now: datetime
) -> tuple[str, datetime]:
    """Return a ticket for one stream and when it expires, with the token that it is made with at the latest.

    Without a token it is made with the session.

    Raises:
        Forbidden: there is neither.
    """
    expires_at = (now + timedelta(seconds=seconds)).replace(microsecond=0)
    if token is not None:
        expires_at = min(expires_at, token.expiry.replace(microsecond=0)) if token.expiry else expires_at
    elif session_key is None:
        raise Forbidden("A ticket is made with a token or a session.")
    shown = Credential(user_id=user.pk, token=token.digest if token else None, session=session_key)
    return sign_ticket(credential=shown, opens=opens, expires_at=expires_at), expires_at


def sign_ticket(*, credential: Credential, opens: str, expires_at: datetime) -> str:
    """Return a ticket made with a credential, the token before the session; `expires_at` is a whole second."""
    if credential.token is not None:
        made_with = f"token:{credential.token[:_NAME_LENGTH]}"
    else:
        made_with = f"session:{SessionName.objects.get_or_create(session_id=credential.session)[0].id}"
    return sign(Ticket(user_id=credential.user_id, opens=opens, made_with=made_with, expires_at=expires_at))


def _check_password(password: str, *, name: str) -> None:
    try:
        validate_password(password, User(username=name))
    except ValidationError as error:
        raise BadPassword(" ".join(error.messages)) from error


@transaction.atomic
def hash_password_anew(*, user: User, password: str) -> bool:
    """Store the hash of the same password as new passwords are hashed; False, and nothing, when it changed meanwhile.

    It ends no token.
    """
    bulk.execute(_HASHED_ANEW, [str(user.pk)])
    before, user.password = user.password, make_password(password)
    return get_user_model().objects.filter(pk=user.pk, password=before).update(password=user.password) == 1


@transaction.atomic
def ensure_user(*, name: str, superuser: bool = False, password: str | None = None) -> User:
    """Return the user, made when missing; `superuser` and `password` are set when given, and else left as they are.

    Raises:
        BadName: no user can have this name.
        BadPassword: the validators of the settings refuse the password.
    """
    try:
        User(username=name).clean_fields(exclude={"password"})
    except ValidationError as error:
        raise BadName(" ".join(error.messages)) from error
    if password is not None:
        _check_password(password, name=name)
    user, created = get_user_model().objects.select_for_update().get_or_create(username=name)
    if superuser:
        user.is_staff = user.is_superuser = True
    if password is not None and not check_password(password, user.password):  # the same one again ends no token
        user.set_password(password)
    elif created:
        user.set_unusable_password()
    user.save(update_fields=["is_staff", "is_superuser", "password"])
    return user


@transaction.atomic
def set_active(user_ids: Collection[int], *, is_active: bool) -> list[User]:
    """Activate or deactivate users, who keep all that belongs to them; return those that were otherwise."""
    rows = User.objects.select_for_update().filter(pk__in=user_ids, is_active=not is_active)
    changed = list(rows.order_by("pk"))
    for user in changed:
        user.is_active = is_active
        user.save(update_fields=["is_active"])
    return changed


def keep_answer(
    *,
    user_id: int,
    method: str,
    path: str,
    key: str,
    body_hash: str,
    status: int,
    headers: Mapping[str, str],
    answer: object,
    now: datetime,
) -> None:
    """Keep the answer to a request with an `Idempotency-Key`, in place of one that is too old to be told again.

    It is stored with the next statement of the transaction, at the latest with its COMMIT.
    """
    values = [user_id, method, path, key, body_hash, status, Jsonb(dict(headers)), Json(answer), now]
    bulk.execute_later(_KEEP_ANSWER, values)


def remove_expired_tokens(*, now: datetime) -> None:
    """Remove the tokens that open nothing any more."""
    AuthToken.objects.filter(expiry__lt=now).delete()


def forget_answers(*, now: datetime) -> None:
    """Remove the kept answers that are too old to be told again."""
    KeptAnswer.objects.filter(kept_at__lte=now - ANSWER_KEPT).delete()
