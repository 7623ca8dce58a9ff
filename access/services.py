"""Writes of users, tokens, tickets, scopes and stored responses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from knox.crypto import create_token_string, hash_token
from knox.settings import knox_settings
from psycopg.types.json import Json, Jsonb
from uuid_utils.compat import uuid7

from access.audit import Act, Subject, record, record_each, right_part
from access.errors import BadCredentials, NameTaken, ScopeForbidden
from access.models import ExternalAccount, KeptAnswer, Scope, ScopeRole, SessionName, Token
from access.permissions import ALL_RIGHTS, NEEDED_ROLE, Action, Right, Role, allows
from access.selectors import Credential, is_reached, named_root_scopes, only_root, role_of, scope_forbidden
from access.url_secrets import Ticket, sign
from access.user import User
from common.database import bulk
from common.database.server import database_now
from common.errors import Forbidden

ANSWER_RETENTION = timedelta(hours=24)  # time in which a repeated `Idempotency-Key` gets the stored response
#: The same for forms of pages: longer than a browser keeps an unsent form with its key, which are seven days.
FORM_RETENTION = timedelta(days=8)
_OF_FORMS = ~Q(path__startswith="/api/")
#: FOR SHARE: a concurrent password change waits until the token is committed, and then deletes it.
_LOCK_UNCHANGED_USER = "SELECT id FROM access_user WHERE id = %s AND password = %s AND is_active FOR SHARE"
#: For the rest of the transaction; the trigger that deletes tokens reads it.
_ANNOUNCE_REHASH = "SELECT set_config('scriptorium.same_password_of', %s, true)"
#: A session keeps its name. Another user who logs in with the same session takes it over.
_NAME_SESSION = """
INSERT INTO access_sessionname (id, session_id, user_id) VALUES (%s, %s, %s)
ON CONFLICT (session_id) DO UPDATE SET user_id = excluded.user_id
WHERE access_sessionname.user_id IS DISTINCT FROM excluded.user_id"""
_KEEP_ANSWER = """
INSERT INTO access_keptanswer (user_id, method, path, key, body_hash, status, headers, answer, kept_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (user_id, method, path, key) DO UPDATE SET (body_hash, status, headers, answer, kept_at)
  = (excluded.body_hash, excluded.status, excluded.headers, excluded.answer, excluded.kept_at)"""
#: The index answer_ids has the ids in paths and answers. A start has its execution in the answer, other requests have
#: it in the path. Of documents the path counts, and of one that was added the answer's own id.
_FORGET_ANSWERS = """
UPDATE access_keptanswer SET answer = 'null', headers = '{}', status = 410
WHERE access_ids_in(path || ' ' || answer::text) && %s::text[] AND (
  strpos(path, %s) > 0 OR strpos(answer::text, %s) > 0
  OR substring(path FROM '/documents/([0-9a-f-]{36})') = ANY(%s::text[])
)
"""
_FORGET_ANSWERS_ABOUT = """
UPDATE access_keptanswer SET answer = 'null', headers = '{}', status = 410
WHERE access_ids_in(path || ' ' || answer::text) && %s::text[] AND (
  substring(path FROM '/documents/([0-9a-f-]{36})') = ANY(%s::text[]) OR answer ->> 'id' = ANY(%s::text[])
)
"""
_NAME_LENGTH = 32  # characters of a digest, enough to identify a token
_KEY_LENGTH = 15  # characters of a token that knox stores as they are
_OUT_OF_REACH = "This token is limited to another scope."


class BadName(ValueError):
    """An invalid user name."""


class BadPassword(ValueError):
    """A password that the validators reject; the message holds their reasons."""


@transaction.atomic
def claim_root_scope(
    *,
    user: User,
    scope_type: str,
    scope_key: str,
    need: Role = NEEDED_ROLE[Action.START],
    there: Iterable[Scope] | None = None,
) -> Scope:
    """Return the root scope. Its first user becomes its owner; other users need a role.

    Args:
        user: The user of the scope.
        scope_type: Type of the scope.
        scope_key: Normalized name of the scope.
        need: The lowest role that permits the command.
        there: A recent result of `named_root_scopes`; queried if missing.

    Raises:
        ScopeForbidden: the scope belongs to another user, and this user's role is too low; or the user's token does not
            reach it.
    """
    rows = named_root_scopes(user, scope_type=scope_type, scope_key=scope_key) if there is None else there
    for known in rows:
        if not is_reached(user, known.id):
            raise ScopeForbidden(_OUT_OF_REACH)
        own = Role(known.role_there) if known.role_there else None  # type: ignore[attr-defined]  # annotated
        if not allows(Role.OWNER if user.is_staff else own, need):
            raise scope_forbidden(known, have=own, need=need)
        return known
    if only_root(user) is not None:
        raise ScopeForbidden(_OUT_OF_REACH)
    scope, created = Scope.objects.get_or_create(parent=None, type=scope_type, key=scope_key)
    if created:
        ScopeRole.objects.create(scope=scope, user=user, role=Role.OWNER)
        record(Act.SCOPE_CLAIM, "scope", scope.id, root_id=scope.id)
    elif not allows(have := role_of(user, scope), need):
        raise scope_forbidden(scope, have=have, need=need)
    return scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildScope:
    """A scope below another one. Its id is derived from (parent, type, key)."""

    id: UUID
    parent_id: UUID
    root_id: UUID
    type: str
    key: str


def make_child_scopes(scopes: Iterable[ChildScope]) -> None:
    """Insert the missing scopes, at the latest with COMMIT. Their parents must exist.

    All transactions insert in the same order, which avoids deadlocks.
    """
    now = database_now()
    rows = {scope.id: {**asdict(scope), "created_at": now} for scope in scopes}
    bulk.write_later(bulk.insertion(Scope, [rows[each] for each in sorted(rows)], or_ignore=True))


def lock_scopes(scope_ids: Collection[UUID]) -> None:
    """Lock the scopes until the transaction ends."""
    bulk.execute("SELECT id FROM access_scope WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [list(scope_ids)])


@transaction.atomic
def issue_token(
    user: User,
    *,
    name: str = "",
    rights: Collection[Right] = ALL_RIGHTS,
    scope: Scope | None = None,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Create a token: return its row, and its text, which is stored only as a hash.

    Args:
        user: The user of the token.
        name: A name for people.
        rights: What the token may do.
        scope: The only root scope that it reaches; None: all scopes of the user.
        expires_at: When it expires; None: after `TOKEN_TTL_DAYS`.

    Raises:
        BadCredentials: the password was changed since `user` was read; the token would survive that change.
    """
    same = bulk.execute(_LOCK_UNCHANGED_USER, [user.pk, user.password]).fetchone()
    if same is None:
        raise BadCredentials
    now, text = database_now(), create_token_string()
    lifetime: timedelta | None = knox_settings.TOKEN_TTL
    row = Token.objects.create(
        digest=hash_token(text),
        token_key=text[:_KEY_LENGTH],
        user=user,
        name=name,
        rights=[each.value for each in Right if each in rights],
        scope=scope,
        created=now,
        expiry=expires_at or (None if lifetime is None else now + lifetime),
    )
    record(Act.TOKEN_MAKE, "token", row.id, user_id=user.pk)
    return row, text


def store_login(request: HttpRequest) -> None:
    """Store the session of a user who has just logged in, and record it. Every login page calls this.

    Until then the session in the database belongs to no user. If this fails, it stays so. A session that was to be kept
    for the time of a log-in alone is kept as long as all others.
    """
    request.session.set_expiry(None)
    request.session.modified = False  # keeps Django's middleware from storing it after a failure
    with transaction.atomic():
        request.session.save()
        record(Act.LOGIN, "user", request.user.pk)
    request.session.modified = True  # has the middleware send the cookie


def record_logout(request: HttpRequest) -> None:
    """Record that the user of a request logs out. Call it in the transaction that deletes the session, before that.

    A session that another request has ended meanwhile is not recorded again.
    """
    rows = Session.objects.select_for_update().filter(session_key=request.session.session_key)
    if isinstance(request.user, User) and rows.first() is not None:
        record(Act.LOGOUT, "user", request.user.pk)


@transaction.atomic
def revoke_token(token: Token) -> None:
    """Delete a token. If another request has deleted it, nothing changes."""
    deleted, _ = Token.objects.filter(pk=token.pk).delete()
    if deleted:
        record(Act.TOKEN_END, "token", token.id)


def issue_ticket(
    *, user: User, token: Token | None, session_key: str | None, opens: str, seconds: int, now: datetime
) -> tuple[str, datetime]:
    """Return a ticket for one stream, and its expiry. It is issued with the token, or else with the session.

    The ticket expires no later than the token.

    Raises:
        Forbidden: there is neither a token nor a session.
    """
    expires_at = (now + timedelta(seconds=seconds)).replace(microsecond=0)
    if token is not None:
        expires_at = min(expires_at, token.expiry.replace(microsecond=0)) if token.expiry else expires_at
    elif session_key is None:
        raise Forbidden("A ticket needs a token or a session.")
    credential = Credential(user_id=user.pk, token=token.digest if token else None, session=session_key)
    return sign_ticket(credential=credential, opens=opens, expires_at=expires_at), expires_at


def sign_ticket(*, credential: Credential, opens: str, expires_at: datetime) -> str:
    """Return a ticket for a credential, with its token or else its session. `expires_at` is a whole second."""
    if credential.token is not None:
        made_with = f"token:{credential.token[:_NAME_LENGTH]}"
    else:
        owner = {"user_id": credential.user_id}
        named, _ = SessionName.objects.get_or_create(session_id=credential.session, defaults=owner)
        made_with = f"session:{named.id}"
    return sign(Ticket(user_id=credential.user_id, opens=opens, made_with=made_with, expires_at=expires_at))


def name_session(*, key: str, user_id: int) -> None:
    """Give a session with a login its public name, with its user."""
    bulk.execute(_NAME_SESSION, [uuid7(), key, user_id])


def _check_name(name: str) -> None:
    try:
        User(username=name).clean_fields(exclude={"password"})
    except ValidationError as error:
        raise BadName(" ".join(error.messages)) from error


def _check_password(password: str, *, name: str) -> None:
    try:
        validate_password(password, User(username=name))
    except ValidationError as error:
        raise BadPassword(" ".join(error.messages)) from error


@transaction.atomic
def rehash_password(*, user: User, password: str) -> bool:
    """Upgrade the hash of an unchanged password. Return False, and write nothing, if the password was changed.

    The user's tokens stay valid.
    """
    bulk.execute(_ANNOUNCE_REHASH, [str(user.pk)])
    before, user.password = user.password, make_password(password)
    return get_user_model().objects.filter(pk=user.pk, password=before).update(password=user.password) == 1


@transaction.atomic
def ensure_user(*, name: str, superuser: bool = False, password: str | None = None) -> User:
    """Return the user; create it if missing. `superuser` and `password` are set only if given.

    Raises:
        BadName: the user name is invalid.
        BadPassword: the configured validators reject the password.
    """
    _check_name(name)
    if password is not None:
        _check_password(password, name=name)
    if superuser:
        keep_rights(name, ["staff"])
    user, created = get_user_model().objects.select_for_update().get_or_create(username=name)
    if superuser:
        user.is_staff = user.is_superuser = True
    if password is not None and not check_password(password, user.password):  # the same password again keeps the tokens
        user.set_password(password)
    elif created:
        user.set_unusable_password()
    user.save(update_fields=["is_staff", "is_superuser", "password"])
    if created or superuser or password is not None:
        part = right_part("superuser", given=True) if superuser else ""
        record(Act.USER_ADD if created else Act.USER_CHANGE, "user", user.pk, part=part)
    return user


def keep_rights(name: str, rights: Collection[str]) -> None:
    """Have groups no longer take these rights of a user, because a person decides. Accounts are locked before users."""
    for account in ExternalAccount.objects.select_for_update().filter(user__username=name).order_by("pk"):
        account.rights_by_group = [each for each in account.rights_by_group if each not in rights]
        account.save(update_fields=["rights_by_group"])


def check_new_account(*, name: str, password: str) -> str:
    """Return the normalized name of a new user.

    Raises:
        BadName: the user name is invalid.
        BadPassword: the configured validators reject the password.
    """
    name = User.normalize_username(name.strip())
    _check_name(name)
    _check_password(password, name=name)
    return name


def create_user(*, name: str, password_hash: str) -> User:
    """Create a user whose name and password were checked.

    Raises:
        NameTaken: another user has this name, also in other letter case.
    """
    users = get_user_model().objects
    if users.filter(username__iexact=name).exists():
        raise NameTaken
    user, created = users.get_or_create(username=name, defaults={"password": password_hash})
    if not created:  # by a concurrent request
        raise NameTaken
    record(Act.USER_ADD, "user", user.pk, user_id=user.pk)
    return user


@transaction.atomic
def set_active(user_ids: Collection[int], *, is_active: bool) -> list[User]:
    """Activate or deactivate users, and return the changed ones. Their data is kept; tokens and sessions end."""
    rows = User.objects.select_for_update(no_key=True).filter(pk__in=user_ids, is_active=not is_active)
    changed = list(rows.order_by("pk"))
    for user in changed:
        user.is_active = is_active
        user.save(update_fields=["is_active"])
    record_each(Act.USER_ACTIVATE if is_active else Act.USER_DEACTIVATE, [Subject("user", user.pk) for user in changed])
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
    """Store the response to a request with an `Idempotency-Key`, in place of an expired one.

    It is sent with the transaction's next statement, at the latest with COMMIT.
    """
    values = [user_id, method, path, key, body_hash, status, Jsonb(dict(headers)), Json(answer), now]
    bulk.execute_later(_KEEP_ANSWER, values)


def forget_answers(execution_id: UUID, document_ids: Collection[UUID] = ()) -> None:
    """Erase the stored responses about an execution and documents. A request that is repeated gets 410 then.

    Their keys stay for their time, so that a repeated request does not act again.
    """
    about, documents = str(execution_id), [str(each) for each in document_ids]
    bulk.execute(_FORGET_ANSWERS, [[about, *documents], about, about, documents])


def forget_answers_about(document_ids: Collection[UUID]) -> None:
    """Erase the stored responses about documents, as `forget_answers` does."""
    ids = [str(each) for each in document_ids]
    bulk.execute(_FORGET_ANSWERS_ABOUT, [ids, ids, ids])


def remove_expired_tokens(*, now: datetime) -> None:
    """Delete expired tokens."""
    Token.objects.filter(expiry__lt=now).delete()


def remove_expired_sessions(*, now: datetime) -> None:
    """Delete expired sessions, also those of log-ins by single sign-on that only began."""
    Session.objects.filter(expire_date__lt=now).delete()


def remove_old_answers(*, now: datetime) -> None:
    """Delete expired responses."""
    KeptAnswer.objects.filter(~_OF_FORMS, kept_at__lte=now - ANSWER_RETENTION).delete()
    KeptAnswer.objects.filter(_OF_FORMS, kept_at__lte=now - FORM_RETENTION).delete()
