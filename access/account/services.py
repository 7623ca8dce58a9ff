"""Writes of a user's own account: profile, password, tokens and sessions."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import transaction
from knox.settings import knox_settings

from access.account.selectors import own_sessions, own_tokens
from access.audit import Act, record
from access.models import SessionName, Token
from access.permissions import Right
from access.selectors import root_scope
from access.services import issue_token
from access.user import User
from common.database.connections import give_back
from common.errors import Conflict, FieldError, Invalid, NotFound
from common.json_pointer import pointer


@transaction.atomic
def change_profile(*, user: User, **values: str) -> User:
    """Change name, language and time zone, as far as given, and return the user.

    Raises:
        Invalid: the language is no language tag, or the time zone is unknown.
    """
    row = User.objects.select_for_update().get(pk=user.pk)
    if "name" in values:
        values = {**values, "first_name": values["name"], "last_name": ""}
        del values["name"]
    for field, value in values.items():
        setattr(row, field, value)
    try:
        row.clean()
    except ValidationError as error:
        raise Invalid(errors=_faults(error)) from error
    row.save(update_fields=sorted(values))
    record(Act.USER_CHANGE, "user", user.pk)
    row.token_limits = user.token_limits
    return row


def check_new_password(*, user: User, password: str) -> None:
    """Check a new password by the configured validators.

    Raises:
        Invalid: a validator rejects it.
    """
    try:
        validate_password(password, user)
    except ValidationError as error:
        reasons = [(each.code or "invalid", " ".join(each.messages)) for each in error.error_list]
        errors = [FieldError(pointer="/new_password", code=code, detail=text) for code, text in reasons]
        raise Invalid(errors=errors) from error


def change_password(*, user: User, password: str, session_key: str | None) -> None:
    """Set a new password, which ends the user's tokens and all sessions but the given one.

    `user` has the password hash that the old password was checked with.

    Raises:
        Conflict: the password was changed since.
    """
    give_back()  # while this request waits for the hash
    before, after = user.password, make_password(password)
    with transaction.atomic():
        if User.objects.filter(pk=user.pk, password=before, is_active=True).update(password=after) != 1:
            raise Conflict("The password was changed by another request.")
        keys = SessionName.objects.filter(user=user).exclude(session_id=session_key or "")
        Session.objects.filter(session_key__in=keys.values("session_id")).delete()
        record(Act.PASSWORD_CHANGE, "user", user.pk)
    user.password = after


def longest_lifetime() -> timedelta:
    """Return how long a new token is valid at most, which is also the default."""
    lifetime: timedelta = knox_settings.TOKEN_TTL
    return lifetime


def make_token(
    *,
    user: User,
    now: datetime,
    name: str,
    rights: Collection[Right],
    expires_at: datetime | None = None,
    scope_type: str | None = None,
    scope_id: str | None = None,
    latest: datetime | None = None,
) -> tuple[Token, str]:
    """Create a token with a name and limits: return its row, and its text.

    It expires no later than `latest`, the expiry of the token that asks.

    Raises:
        Invalid: the expiry is past or too late, the user may not read the scope, or the rights do not fit a scope.
    """
    lifetime = longest_lifetime()
    end = now + lifetime if latest is None else min(now + lifetime, latest)
    if expires_at is not None and expires_at > end == latest:
        _reject("expires_at", "out-of-range", "This token expires before that, and makes none that lasts longer.")
    if expires_at is not None and not now < expires_at <= end:
        _reject("expires_at", "out-of-range", f"A token expires in the future, within {lifetime.days} days.")
    scope = None
    if scope_type is not None and scope_id is not None:
        if Right.AUTHOR in rights:
            _reject("rights", "author-with-scope", "Workflows belong to no scope: leave out the right, or the scope.")
        scope = root_scope(user, scope_type=scope_type, scope_key=scope_id)
        if scope is None:
            _reject("scope_id", "unknown-scope", "There is no such scope.")
    return issue_token(user, name=name, rights=rights, scope=scope, expires_at=expires_at or end)


@transaction.atomic
def revoke_own_token(*, user: User, token_id: UUID, now: datetime) -> None:
    """Revoke a token of the user.

    Raises:
        NotFound: the user has no such token.
    """
    deleted, _ = own_tokens(user, now=now).filter(id=token_id).delete()
    if not deleted:
        raise NotFound("There is no such token.")
    record(Act.TOKEN_END, "token", token_id)


@transaction.atomic
def end_own_session(*, user: User, session_id: UUID, now: datetime) -> None:
    """End a session of the user.

    Raises:
        NotFound: the user has no such session.
    """
    keys = list(own_sessions(user, now=now).filter(id=session_id).values_list("session_id", flat=True))
    deleted, _ = Session.objects.filter(session_key__in=keys).delete()
    if not deleted:
        raise NotFound("There is no such session.")
    record(Act.SESSION_END, "session", session_id)


def _faults(error: ValidationError) -> list[FieldError]:
    return [
        FieldError(pointer=pointer(name), code="invalid", detail=" ".join(texts))
        for name, texts in error.message_dict.items()
    ]


def _reject(field: str, code: str, detail: str) -> None:
    raise Invalid(errors=[FieldError(pointer=pointer(field), code=code, detail=detail)])
